//! The right and duty to fetch one answer.

use std::sync::{
    Arc,
    atomic::Ordering::{Acquire, Relaxed},
};

use super::{Claim, DONT_QUEUE, Fill, Flight, Reader, State, pipe::Pipe, remove};
use crate::{
    cache::{
        Answer, Cache, Exchange, Gap, Plan, Reason, Stored, Validating,
        blocks::{self, Blocks},
        store::Found,
        stored::Body,
        validation::Validation,
    },
    clock::Now,
    metrics::GaugeGuard,
    wire::{RequestHead, ResponseHead},
};

/// Whoever holds it fetches the answer for all who wait. Dropped without a word, it lets them try for themselves.
#[derive(Debug)]
pub struct Leader {
    duty: Duty,
}

/// A flight that is to be settled; dropped without, the leader is gone.
#[derive(Debug)]
pub(super) struct Duty {
    pub(super) cache: Arc<Cache>,
    pub(super) key: Arc<[u8]>,
    pub(super) flight: Arc<Flight>,
    settled: bool,
    /// Where it validates what is stored.
    validating: Option<Validating>,
    _counted: GaugeGuard,
    /// Of a refresh: until it has ended, nobody begins another.
    _claim: Option<Claim>,
}

impl Leader {
    pub(super) fn new(cache: Arc<Cache>, key: Arc<[u8]>, flight: Arc<Flight>, _claim: Option<Claim>) -> Self {
        let _counted = cache.metrics.fills.hold();
        Self { duty: Duty { cache, key, flight, settled: false, validating: None, _counted, _claim } }
    }

    /// The fetch asks whether what is stored still stands.
    pub fn validates(&mut self) {
        self.duty.validating = Some(self.duty.cache.validating());
    }

    /// Whether somebody waits for this fetch now.
    pub fn is_awaited(&self) -> bool {
        self.duty.flight.is_awaited()
    }

    /// Whether others may wait for this fetch: not for one that only its own client can be served by.
    pub fn serves_others(&self) -> bool {
        !self.duty.flight.is_solo()
    }

    pub(super) fn into_duty(self) -> Duty {
        self.duty
    }

    /// What is missing of the whole, if the rest of it is stored and that is worth asking for alone.
    pub fn gap(&self, request: &RequestHead) -> Option<Gap> {
        self.duty.cache.gap(&self.duty.key, request)
    }

    /// Forgets parts that turned out to be of no use.
    pub fn forget(&self, stored: &Arc<Stored>) {
        let Duty { cache, key, .. } = &self.duty;
        cache.flights.locked(key, || cache.store.replace(key, stored, None, || false));
    }

    /// The answer, of this status, is not to be stored: the waiting are told to fetch for themselves. If the reason lies in
    /// the resource, nobody queues for this key for a while, where that spares anybody something: others waited, or the
    /// client had waited itself, or asked with conditions, which only a request of its own brings to the backend. `now` is
    /// when the head arrived.
    pub fn pass(self, reason: Reason, status: u16, now: Now) {
        let Duty { cache, key, flight, .. } = &self.duty;
        cache.metrics.refused.add(reason, 1);
        let spares = flight.followers.load(Relaxed) > 0 || flight.is_second_try() || flight.is_conditional();
        if spares && reason.concerns_the_resource() {
            // An error says nothing about what is stored (RFC 9111 §4.3.3).
            let replaces = status < 500
                && matches!(reason, Reason::Private | Reason::NoStore | Reason::VaryStar | Reason::SetCookie);
            cache.flights.locked(key, || {
                if replaces {
                    cache.store.retire(key, &flight.fields, now);
                }
                cache.store.dont_queue(key, now.instant + DONT_QUEUE);
            });
        }
        self.duty.settle(State::NotStorable(reason));
    }

    /// Opens the body. `Err`: there is no room within the byte bound, and the waiting have been told; send the answer to
    /// your client and store nothing.
    pub fn begin(self, plan: Plan) -> Result<(Fill, Reader), Reason> {
        let Self { duty } = self;
        let answer = Arc::new(plan.answer);
        let announced = answer.length.unwrap_or(0);
        let cost = Stored::head_cost(&answer, &duty.key) + Body::cost_of(announced, 1);
        let Some(charge) = duty.cache.charge(cost) else {
            duty.cache.metrics.refused.add(Reason::NoRoom, 1);
            duty.settle(State::NotStorable(Reason::NoRoom));
            return Err(Reason::NoRoom);
        };
        let pipe = Pipe::new(answer.clone());
        let Some(reader) = pipe.join() else {
            // Invariant: a new pipe takes readers; should it not, nothing has been promised yet.
            duty.settle(State::Gone);
            return Err(Reason::Incomplete);
        };
        match unshareable(&answer) {
            Some(reason) => duty.flight.set(State::NotStorable(reason)),
            None => {
                // Who did not wait for the head may have marked the key.
                duty.cache.flights.locked(&duty.key, || duty.cache.store.unmark(&duty.key));
                duty.flight.set(State::Streaming(pipe.clone()));
            }
        }
        Ok((Fill::new(duty, pipe, charge), reader))
    }

    /// Stores an answer whose whole body is in memory. On `Err` the waiting have been told to fetch for themselves.
    pub fn store_whole(self, plan: Plan, body: &[u8]) -> Result<Arc<Stored>, Reason> {
        let Self { duty } = self;
        match duty.whole(plan, body) {
            Ok(stored) => {
                duty.settle_storing(&stored)?;
                Ok(stored)
            }
            Err(reason) => {
                duty.cache.metrics.refused.add(reason, 1);
                duty.settle(State::NotStorable(reason));
                Err(reason)
            }
        }
    }

    /// The backend said 304 to our validation: merges and stores (RFC 9111 §4.3.4), and the waiting get it too. On
    /// `Err` (the 304 is about something else) the leader is given back, to fetch without conditions. `edit` changes the
    /// merged head, after everything was decided. Says beside the answer why it is kept no longer, if so.
    pub fn freshen(
        mut self,
        exchange: &Exchange<'_>,
        stored: &Arc<Stored>,
        not_modified: &ResponseHead,
        edit: impl FnOnce(&mut ResponseHead),
    ) -> Result<(Arc<Stored>, Option<Reason>), (Self, Reason)> {
        let Duty { cache, key, .. } = &self.duty;
        match cache.merge(key, exchange, stored, not_modified, edit, |answer| self.duty.is_struck(answer)) {
            Ok((stored, refused)) => {
                self.duty.validated(Validation::NotModified);
                self.duty.settle(refused.map_or_else(|| shared(&stored), State::NotStorable));
                Ok((stored, refused))
            }
            Err(reason) => {
                self.duty.validated(Validation::Mismatch);
                Err((self, reason))
            }
        }
    }

    /// The backend failed and [`Cache::stale_usable`] allows it: the waiting get this stored answer as it is, unless it has
    /// been purged meanwhile, for some of them may have come after that.
    pub fn resolve_stale(mut self, stored: &Arc<Stored>) {
        self.duty.validated(Validation::Stale);
        let Duty { cache, key, flight, .. } = &self.duty;
        let found = cache.store.peek(key, &flight.fields);
        let is_there = matches!(found, Found::Stored(current) if Arc::ptr_eq(&current, stored));
        self.duty.settle(if is_there { State::Stale(stored.clone()) } else { State::Gone });
    }
}

impl Duty {
    /// Takes the fetch off the list and tells the waiting.
    pub(super) fn settle(mut self, state: State) {
        self.leave(state);
    }

    /// The same, with the answer put into the store in one step, unless the key was invalidated since the fetch began.
    pub(super) fn settle_storing(mut self, stored: &Arc<Stored>) -> Result<(), Reason> {
        let mut shard = self.cache.flights.shard(&self.key);
        remove(&mut shard, &self.key, &self.flight);
        let is_struck = || self.is_struck(&stored.answer);
        let put = self.cache.store.put(&self.key, stored, &self.flight.fields, is_struck);
        if let Some(dropped) = put {
            self.cache.metrics.variants_dropped.add(dropped as u64);
            self.cache.metrics.stored.add(1);
        }
        drop(shard);
        self.validated(Validation::Replaced);
        // Who joined before the invalidation came may still share the answer (RFC 9111 §4.4 speaks of stored ones).
        self.settled = true;
        self.flight.set(shared(stored));
        put.map(drop).ok_or(Reason::Invalidated).inspect_err(|reason| self.cache.metrics.refused.add(*reason, 1))
    }

    /// Whether a purge or an invalidation that came since the fetch began is about its answer.
    fn is_struck(&self, answer: &Answer) -> bool {
        let Self { cache, key, flight, .. } = self;
        flight.doomed.load(Acquire) || cache.purges.strike(key, answer, flight.since, cache.purges.count())
    }

    /// Puts a part into the store, made from what stands there, unless the key was invalidated since the fetch began.
    pub(super) fn settle_part(
        mut self,
        make: impl FnOnce(Option<Arc<Stored>>) -> Result<Arc<Stored>, Reason>,
    ) -> Result<(), Reason> {
        let (cache, fields) = (self.cache.clone(), &self.flight.fields);
        let made = cache.flights.locked(&self.key, || {
            let before = match cache.store.peek(&self.key, fields) {
                Found::Stored(stored) => Some(stored),
                _ => None,
            };
            let stored = make(before)?;
            let is_struck = || self.is_struck(&stored.answer);
            let dropped = cache.store.put(&self.key, &stored, fields, is_struck).ok_or(Reason::Invalidated)?;
            cache.metrics.variants_dropped.add(dropped as u64);
            cache.metrics.parts_stored.add(1);
            Ok(())
        });
        self.validated(if made.is_ok() { Validation::Replaced } else { Validation::NotStored });
        self.leave(State::Gone);
        made.inspect_err(|reason| cache.metrics.refused.add(*reason, 1))
    }

    /// Nothing is stored, and nobody waits to be told.
    pub(super) fn decline(self, reason: Reason) {
        self.cache.metrics.refused.add(reason, 1);
        self.settle(State::NotStorable(reason));
    }

    /// What came of the validation, if it is one that has not ended.
    fn validated(&mut self, result: Validation) {
        if let Some(validating) = self.validating.take() {
            validating.ends(result);
        }
    }

    fn leave(&mut self, state: State) {
        self.settled = true;
        if let State::NotStorable(reason) = state {
            self.validated(if reason == Reason::ServerError { Validation::Failed } else { Validation::NotStored });
        }
        remove(&mut self.cache.flights.shard(&self.key), &self.key, &self.flight);
        self.flight.set(state);
    }

    /// The stored form of a whole answer.
    fn whole(&self, plan: Plan, body: &[u8]) -> Result<Arc<Stored>, Reason> {
        let length = body.len() as u64;
        if plan.answer.length.is_some_and(|announced| announced != length) {
            return Err(Reason::Incomplete);
        }
        if length > self.cache.max_object {
            return Err(Reason::TooLarge);
        }
        let answer = plan.answer.with_length(length);
        let body_cost = Body::cost_of(length, blocks::count(length));
        let mut charge = self.cache.charge(Stored::head_cost(&answer, &self.key) + body_cost).ok_or(Reason::NoRoom)?;
        let mut chunks = Vec::new();
        Blocks::new(Some(length)).copy(body, |chunk| chunks.push(chunk));
        let body = Body::new(chunks, charge.split(body_cost));
        Ok(Stored::new(Arc::new(answer), body, charge))
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if !self.settled {
            self.leave(State::Gone);
        }
    }
}

/// A whole answer to those who wait, if they may have it.
fn shared(stored: &Arc<Stored>) -> State {
    unshareable(&stored.answer).map_or_else(|| State::Stored(stored.clone()), State::NotStorable)
}

/// Why nobody but the leader's own client may have this answer.
fn unshareable(answer: &Answer) -> Option<Reason> {
    let reason = if answer.no_cache { Reason::NoCache } else { Reason::Stale };
    (!answer.is_shareable()).then_some(reason)
}
