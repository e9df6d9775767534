//! What the store has for a request, and what may be done with it (RFC 9111 §4): nothing is allocated or copied on a hit.

use std::{sync::Arc, time::Instant};

use super::{
    Cache, Policy, RangeAsk, Reason, Stored, Wanted, given,
    key::is_authority_as_sent,
    parts,
    policy::{self, Reuse, Wants},
    store::{Found, Store},
};
use crate::{
    clock::Now,
    wire::{Framing, RequestHead},
};

/// What the store says to a request.
#[derive(Debug)]
pub enum Lookup {
    /// Answer from the store; `age` and `ttl` in seconds (a negative ttl was allowed by max-stale).
    Hit {
        /// The answer.
        stored: Arc<Stored>,
        /// For the Age field.
        age: u64,
        /// Freshness left.
        ttl: i64,
    },
    /// The same, of which the request wants a part, unless its If-None-Match or If-Modified-Since holds.
    Part {
        /// The answer.
        stored: Arc<Stored>,
        /// For the Age field.
        age: u64,
        /// Freshness left.
        ttl: i64,
        /// Which bytes; not the whole.
        wanted: Wanted,
    },
    /// Answer from the store, with what of it is wanted, although it is stale, and refresh it meanwhile (RFC 5861 §3).
    StaleWhileRevalidate {
        /// The answer.
        stored: Arc<Stored>,
        /// For the Age field.
        age: u64,
        /// Freshness left: nothing, or less.
        ttl: i64,
    },
    /// Stored, but to be validated first, with [`policy::validation_fields`] (none, if it has no validator).
    Revalidate {
        /// The answer to validate.
        stored: Arc<Stored>,
        /// Why.
        reason: Reason,
    },
    /// A GET with Range that can't be answered from the store: fetch what is wanted beside all others, through
    /// [`Cache::begin_unasked`].
    Range {
        /// How to ask for it.
        ask: RangeAsk,
        /// Why.
        reason: Reason,
    },
    /// Fetch it through [`Cache::begin_fill`]; the answer may be stored.
    Miss(Reason),
    /// Fetch it without queueing, and don't store: the request forbids it.
    Pass(Reason),
    /// The same because an earlier answer was not storable or kept others waiting ([`Reason::Uncacheable`]); show the head to
    /// [`Cache::weigh_passed`].
    Marked {
        /// Nobody queues until then.
        until: Instant,
    },
    /// `only-if-cached` and nothing usable: 504 (RFC 9111 §5.2.1.7).
    GatewayTimeout,
}

impl Cache {
    /// What the store has for this request. No allocation and no copy on a hit.
    pub fn lookup(&self, key: &[u8], request: &RequestHead, policy: &Policy, now: Now) -> Lookup {
        let wants = Wants::of(&request.fields);
        let found = self.decide(|store| store.find(key, &request.fields), request, wants, policy, now);
        match &found {
            Lookup::Hit { stored, .. } => self.count_given(stored, request, wants, &Wanted::Whole),
            Lookup::Part { stored, wanted, .. } => self.count_given(stored, request, wants, wanted),
            Lookup::StaleWhileRevalidate { stored, .. } => {
                self.count_given(stored, request, wants, &given::wanted(request, wants, &stored.answer));
            }
            Lookup::Miss(reason)
            | Lookup::Pass(reason)
            | Lookup::Revalidate { reason, .. }
            | Lookup::Range { reason, .. } => {
                self.metrics.misses.add(*reason, 1);
            }
            Lookup::Marked { .. } => self.metrics.misses.add(Reason::Uncacheable, 1),
            Lookup::GatewayTimeout => {}
        }
        found
    }

    /// The same without counting: for whoever only wants to know.
    pub fn look(&self, key: &[u8], request: &RequestHead, policy: &Policy, now: Now) -> Lookup {
        self.decide(|store| store.peek(key, &request.fields), request, Wants::of(&request.fields), policy, now)
    }

    fn decide(
        &self,
        find: impl FnOnce(&Store) -> Found,
        request: &RequestHead,
        wants: Wants,
        policy: &Policy,
        now: Now,
    ) -> Lookup {
        if self.account.capacity() == 0 {
            return Lookup::Pass(Reason::Off);
        }
        let is_head = request.method == http::Method::HEAD;
        if !is_head && request.method != http::Method::GET {
            return Lookup::Pass(Reason::Method);
        }
        if !matches!(request.framing, Framing::None | Framing::Length(0)) {
            return Lookup::Pass(Reason::RequestBody);
        }
        let directives = wants.directives(request, policy.client_cache_control);
        let absent = |lookup| match lookup {
            _ if directives.only_if_cached => Lookup::GatewayTimeout,
            Lookup::Pass(_) => lookup,
            // What would be fetched for all is to be asked for as the key says.
            _ if !is_authority_as_sent(request.scheme, &request.authority) => Lookup::Pass(Reason::Authority),
            lookup => lookup,
        };
        if wants.precondition {
            return absent(Lookup::Pass(Reason::Precondition));
        }
        if directives.no_store {
            return absent(Lookup::Pass(Reason::RequestNoStore));
        }
        // RFC 9110 §14.2: Range is for GET alone.
        let is_ranged = wants.range && !is_head;
        // An answer to HEAD is not stored, so nobody need queue for one.
        let missing = |reason| {
            absent(match reason {
                _ if is_ranged => Lookup::Range { ask: RangeAsk::AsSent, reason },
                _ if is_head => Lookup::Pass(reason),
                _ => Lookup::Miss(reason),
            })
        };
        let stored = match find(&self.store) {
            Found::Stored(stored) => stored,
            Found::OtherVariants => return missing(Reason::VaryMiss),
            Found::DontQueue(until) if now.instant < until && is_ranged => return missing(Reason::Uncacheable),
            Found::DontQueue(until) if now.instant < until => return absent(Lookup::Marked { until }),
            Found::DontQueue(_) | Found::Nothing => return missing(Reason::UriMiss),
        };
        // RFC 9111 §3.5, and more careful: an identified client gets what the backend allows identified clients to share.
        if wants.authorization && !stored.answer.shared_with_authorization {
            return absent(Lookup::Pass(Reason::Authorization));
        }
        // As careful with whoever has cookies: what may be about another is validated, and only by a tag, which tells any two
        // answers apart. By a date alone a backend may say "not modified" of one that is about somebody else.
        let is_doubtful = wants.cookie && stored.answer.may_be_personal();
        if is_doubtful && stored.answer.etag.is_none() {
            return absent(Lookup::Pass(Reason::Cookie));
        }
        let age = stored.answer.age(now);
        let reuse = match policy::reuse(&stored.answer, &directives, policy, age) {
            Reuse::Usable | Reuse::UsableWhileRevalidating if is_doubtful => Reuse::Validate(Reason::Cookie),
            reuse => reuse,
        };
        match reuse {
            reuse if is_ranged => match parts::look(stored, request, reuse, age) {
                ask @ Lookup::Range { .. } => absent(ask),
                hit => hit,
            },
            // RFC 9111 §3.3: parts answer nothing but ranges.
            _ if !stored.is_whole() => missing(Reason::Gap),
            Reuse::Usable => Lookup::Hit { ttl: stored.answer.ttl(age), stored, age },
            Reuse::UsableWhileRevalidating => Lookup::StaleWhileRevalidate { ttl: stored.answer.ttl(age), stored, age },
            Reuse::Validate(reason) => absent(Lookup::Revalidate { stored, reason }),
        }
    }
}
