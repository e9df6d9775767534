//! What can be kept, and what may be given again (RFC 9111).
//!
//! The cache is handed heads and bytes and never knows an upstream or a socket. `policy` is pure; `store` holds the
//! entries; `fill` lets one fetch serve everybody who asked for the same thing meanwhile.
//!
//! One GET, seen from the gateway:
//! 1. [`key::build`], then [`Cache::lookup`].
//! 2. [`Lookup::Hit`]: [`conditional::evaluate`], then the 304 or `answer.http1` + `Age` + `body`. [`Lookup::Part`]: the
//!    304, or the bytes that are wanted. [`Lookup::StaleWhileRevalidate`]: like a hit, and
//!    [`Cache::begin_refresh`] behind the client's back.
//! 3. [`Lookup::Miss`] and [`Lookup::Revalidate`]: [`Cache::begin_fill`]. [`Begin::Stored`] is sent like a hit; a follower
//!    waits on [`Follower::head`]. The leader asks the backend: on a miss without the client's If-None-Match and
//!    If-Modified-Since (so that the answer serves all; `conditional::evaluate` answers them afterwards), on a validation
//!    with [`policy::validation_fields`] in their place.
//!    - 304 to a validation: [`Leader::freshen`];
//!    - 206 to what [`Leader::gap`] says is missing of an answer held in parts: [`Cache::fills_gap`];
//!    - no answer, or a 5xx, and [`Cache::stale_usable`]: [`Leader::resolve_stale`];
//!    - else [`Cache::storable`]: `Ok` → [`Leader::begin`] (or [`Leader::store_whole`]) and push the body, `Err` →
//!      [`Leader::pass`] and stream it.
//! 4. [`Lookup::Range`]: [`Cache::join_range`], or ask the backend as [`RangeAsk`] says, with [`Cache::begin_unasked`]
//!    taken before. A 206 goes to [`Cache::storable_part`] and [`Leader::begin_part`], a 200 is stored like any other, and
//!    what else comes is declined.
//! 5. [`Lookup::Pass`]: ask the backend with the request as it is and store nothing; for [`Lookup::Marked`] show the head
//!    to [`Cache::weigh_passed`]; a 200 to HEAD, if an answer is stored, to [`Cache::headed`]. After a 2xx or 3xx to an
//!    unsafe method: [`Cache::invalidate`]; then the answer to a POST may be one to GETs ([`Cache::storable_for_get`]).
//!
//! A miss is sent on with the backend's own head; `Answer::head` is for everybody who comes after.

mod account;
mod blocks;
pub mod fill;
mod given;
mod index;
pub mod key;
mod look;
mod lookup;
mod metrics;
mod parts;
pub mod policy;
mod purge;
mod reason;
mod snapshot;
mod status;
mod store;
mod stored;
mod validation;

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use account::{Account, Charge};
pub use fill::{Begin, FOLLOW_MAX, Fill, FillFailed, Finished, Follower, FollowerOutcome, Leader, PartFill, Reader};
use fill::{DONT_QUEUE, Flights};
pub use look::{EntryView, TOP_MAX, TopBy, TopEntry};
pub use lookup::Lookup;
use metrics::Metrics;
pub use parts::{Gap, PartPlan, Parts, RangeAsk};
use policy::Headed;
pub use policy::{Answer, BackendFailure, Exchange, Plan, Policy, conditional, range::Wanted};
use purge::Purges;
pub use purge::{Moment, Purge, Purged};
pub use reason::Reason;
pub use snapshot::{Restored, fingerprint};
pub use status::CacheStatus;
use store::Store;
pub use stored::{Body, Stored};
pub use validation::Validating;
use validation::Validation;

use crate::{
    clock::Now,
    config,
    metrics::Registry,
    wire::{RequestHead, ResponseHead},
};

/// The store and the fetches under way. One for the process.
pub struct Cache {
    store: Store,
    flights: Flights,
    purges: Purges,
    account: Arc<Account>,
    metrics: Metrics,
    max_object: u64,
    max_parts: usize,
    /// For work that goes on when a call has returned.
    itself: Weak<Cache>,
}

impl Cache {
    /// An empty cache. Its figures are scraped from `registry`.
    pub fn new(config: &config::Cache, registry: &Registry) -> Arc<Self> {
        let metrics = Metrics::new(registry);
        let capacity = account::usable(config.capacity, config.threads);
        let account = Account::new(capacity);
        let storable = account::storable(capacity, config.max_object);
        let store = Store::new(storable, config.max_variants, &account, &metrics);
        Metrics::observe(registry, &account, config.capacity, store.entries());
        let (flights, purges) = (Flights::new(), Purges::default());
        // One that is larger would go as soon as it is stored.
        let (max_object, max_parts) = (config.max_object.min(storable), config.max_parts);
        Arc::new_cyclic(|itself| {
            let itself = itself.clone();
            Self { store, flights, purges, account, metrics, max_object, max_parts, itself }
        })
    }

    /// Joins the fetch under way for this key and these nominated fields, or becomes its leader. With the `now` of the
    /// look-up before it.
    pub fn begin_fill(self: &Arc<Self>, key: &[u8], request: &RequestHead, policy: &Policy, now: Now) -> Begin {
        fill::begin(self, key, request, policy, now)
    }

    /// Becomes the leader of a refresh of `stored` ([`Lookup::StaleWhileRevalidate`]); `None` if somebody fetches it
    /// already, or has just tried. Once per answer, and at most every [`fill::REFRESH_PAUSE`].
    pub fn begin_refresh(
        self: &Arc<Self>,
        key: &[u8],
        request: &RequestHead,
        policy: &Policy,
        stored: &Arc<Stored>,
        now: Now,
    ) -> Option<Leader> {
        fill::begin_refresh(self, key, request, policy, stored, now)
    }

    /// Whether the answer may be stored (RFC 9111 §3); says why not.
    pub fn storable(&self, exchange: &Exchange<'_>, head: &ResponseHead) -> Result<Plan, Reason> {
        self.within_bounds(policy::storable(exchange, head)?)
    }

    /// For the head of an answer to a request that passed because nobody queues for its key until then
    /// ([`Lookup::Marked`]). If such an answer may be stored, the next request queues again; else says why not, and the key
    /// stays marked. The key is only asked for where the mark is to be changed.
    pub fn weigh_passed(
        &self,
        key: impl FnOnce() -> Vec<u8>,
        exchange: &Exchange<'_>,
        head: &ResponseHead,
        until: Instant,
    ) -> Option<Reason> {
        // A 304 to the client's own condition speaks for the answer that it stands for (RFC 9110 §15.4.5).
        let storable = match head.status {
            304 => self.storable(exchange, &ResponseHead { status: 200, ..head.clone() }),
            _ => self.storable(exchange, head),
        };
        let reason = match storable {
            Ok(_) => {
                let key = key();
                self.flights.locked(&key, || self.store.unmark(&key));
                return None;
            }
            Err(reason) => Some(reason).filter(|reason| reason.concerns_the_resource())?,
        };
        self.metrics.refused.add(reason, 1);
        let now = exchange.answered.instant;
        // Writing costs much, so not with every answer.
        if until < now + DONT_QUEUE / 2 {
            let key = key();
            self.flights.locked(&key, || self.store.renew_mark(&key, now + DONT_QUEUE));
        }
        Some(reason)
    }

    /// Whether the answer to a POST may be stored for GETs to come (RFC 9110 §9.3.3); says why not. To be filled through
    /// [`Cache::begin_answered`], after the POST's own invalidation.
    pub fn storable_for_get(&self, exchange: &Exchange<'_>, head: &ResponseHead) -> Result<Plan, Reason> {
        self.within_bounds(policy::storable_for_get(exchange, head)?)
    }

    /// The right to store the answer to a GET with Range, for which nobody else may wait. To be taken before the backend is
    /// asked: what is invalidated from then on is not stored.
    pub fn begin_unasked(self: &Arc<Self>, key: &[u8], request: &RequestHead, now: Now) -> Leader {
        fill::begin_unasked(self, key, request, now)
    }

    /// The same for an answer that has come already, to a request that was sent at this moment: what has been purged since is
    /// not stored, as it was made before that.
    pub fn begin_answered(self: &Arc<Self>, key: &[u8], request: &RequestHead, now: Now, sent: &Moment) -> Leader {
        fill::begin_answered(self, key, request, now, sent)
    }

    /// A request begins that validates what is stored, outside of a fetch ([`Leader::validates`]).
    pub fn validating(&self) -> Validating {
        Validating::new(&self.metrics.validations)
    }

    /// For a 200 to a HEAD that went to the backend although an answer to GET is stored: it refreshes that answer, or takes
    /// it out if another has taken its place (RFC 9111 §4.3.5). `edit` changes the refreshed head.
    pub fn headed(
        &self,
        key: &[u8],
        exchange: &Exchange<'_>,
        (stored, validating): (&Arc<Stored>, Validating),
        head: &ResponseHead,
        edit: impl FnOnce(&mut ResponseHead),
    ) {
        let result = match policy::headed(&stored.answer, head) {
            // Why it may be kept no longer, if so, has been counted.
            Headed::Same => {
                // No fetch tells whether a soft purge came since; going by seconds, one of the same second has.
                let ended_since =
                    |_: &Answer| stored.answer.ended().is_some_and(|age| age >= stored.answer.age(exchange.requested));
                match self.merge(key, exchange, stored, head, edit, ended_since) {
                    Ok(_) => Validation::NotModified,
                    Err(_) => Validation::Mismatch,
                }
            }
            Headed::Other => {
                self.flights.locked(key, || self.store.replace(key, stored, None, || false));
                Validation::Replaced
            }
            Headed::Unknown => Validation::NotStored,
        };
        validating.ends(result);
    }

    /// Whether this stored answer may be sent although the backend failed (RFC 9111 §4.2.4, RFC 5861 §4).
    pub fn stale_usable(
        &self,
        request: &RequestHead,
        answer: &Answer,
        failure: BackendFailure,
        policy: &Policy,
        now: Now,
    ) -> bool {
        policy::stale_usable(request, answer, failure, policy, now)
    }

    /// Bytes held by stored answers and fills, with their overhead; never above the capacity.
    pub fn held_bytes(&self) -> u64 {
        self.account.held()
    }

    fn within_bounds(&self, plan: Plan) -> Result<Plan, Reason> {
        match plan.answer.length {
            _ if self.account.capacity() == 0 => Err(Reason::Off),
            Some(length) if length > self.max_object => Err(Reason::TooLarge),
            _ => Ok(plan),
        }
    }

    /// Merges a 304 (or a 200 to HEAD) into the stored answer and stores that, if the answer validated is still there (RFC 9111
    /// §4.3.4); says beside it why the merged one is kept no longer, if so. `Err`: the news are about another representation
    /// (the stored one is dropped). `is_struck`: whether a purge that came since the request was sent is about it.
    fn merge(
        &self,
        key: &[u8],
        exchange: &Exchange<'_>,
        stored: &Arc<Stored>,
        not_modified: &ResponseHead,
        edit: impl FnOnce(&mut ResponseHead),
        is_struck: impl Fn(&Answer) -> bool,
    ) -> Result<(Arc<Stored>, Option<Reason>), Reason> {
        let policy::Freshened { mut answer, mut refused } = policy::freshened(&stored.answer, exchange, not_modified)
            .inspect_err(|_| {
            self.flights.locked(key, || self.store.replace(key, stored, None, || false));
        })?;
        answer.edit_head(edit);
        let paid = if refused.is_none() { self.charge(Stored::head_cost(&answer, key)) } else { None };
        if refused.is_none() && paid.is_none() {
            refused = Some(Reason::NoRoom);
        }
        let charge = paid.unwrap_or_else(|| Charge::none(&self.account));
        let merged = stored.renewed(answer, charge);
        let kept = refused.is_none().then(|| merged.clone());
        self.flights.locked(key, || {
            let is_struck = || is_struck(&merged.answer);
            if !self.store.replace(key, stored, kept, is_struck) && (is_struck() || stored.is_struck()) {
                refused = Some(Reason::Invalidated);
            }
        });
        if let Some(reason) = refused {
            self.metrics.refused.add(reason, 1);
        }
        Ok((merged, refused))
    }

    /// Takes room, after letting go of what the store has put off letting go of, if need be.
    fn charge(&self, bytes: u64) -> Option<Charge> {
        self.account.charge(bytes).or_else(|| {
            self.store.settle();
            self.account.charge(bytes)
        })
    }

    /// The same for more of it.
    fn grow(&self, charge: &mut Charge, bytes: u64) -> bool {
        charge.grow_to(bytes) || {
            self.store.settle();
            charge.grow_to(bytes)
        }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("held", &self.account.held()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
