//! One fetch per key: who fetches, who waits, and the body that all of them read while it grows.
//!
//! A flight is the life of one fetch: waiting for the head, streaming, settled. The leader's guards settle it whichever
//! way they go, so that nobody waits for ever. What a fill holds is charged to the byte bound before it is held.

mod filling;
mod flight;
mod leader;
mod part;
mod patience;
mod pipe;
mod refresh;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

pub use filling::{Fill, Finished};
pub(crate) use flight::Flights;
use flight::{Flight, Start, State, Wait, add, remove};
pub use leader::Leader;
pub use part::PartFill;
pub use patience::FOLLOW_MAX;
pub use pipe::{FillFailed, Reader};
use refresh::Claim;
pub use refresh::REFRESH_PAUSE;
pub(crate) use refresh::RefreshGate;

use super::{
    Answer, Cache, Lookup, Moment, Policy, Reason, Stored,
    policy::{self, Reuse, Wants},
};
use crate::{clock::Now, metrics::GaugeGuard, wire::RequestHead};

/// Whose job a missing answer is.
#[derive(Debug)]
pub enum Begin {
    /// Yours: fetch, and tell the others.
    Leader(Leader),
    /// Somebody is on it: wait for the head.
    Follower(Follower),
    /// Somebody has just stored it, after you had looked: send it like a hit, and count it ([`Cache::count_shared`]).
    Stored(Arc<Stored>),
    /// Somebody has just found that it is not worth queueing for, after you had looked: as [`Lookup::Marked`].
    Marked {
        /// Nobody queues until then.
        until: Instant,
    },
}

/// Waits for the leader's answer.
#[derive(Debug)]
pub struct Follower {
    cache: Arc<Cache>,
    key: Arc<[u8]>,
    flight: Wait,
    /// The request asks for something newer than what is stored.
    demanding: bool,
    /// How many purges there had been when it joined.
    since: u64,
    _counted: GaugeGuard,
}

/// What became of the wait.
#[derive(Debug)]
pub enum FollowerOutcome {
    /// The head is there and the body arrives: send `Reader::answer()` with Age, then the pieces; count it
    /// ([`Reader::count_shared`]).
    Streaming(Reader),
    /// The answer is whole, or was validated, or is served stale: send it like a hit, and count it
    /// ([`Cache::count_shared`]).
    Stored(Arc<Stored>),
    /// It can't be shared: fetch for yourself, without queueing.
    NotStorable(Reason),
    /// The leader still waits for its head: fetch for yourself. Nobody waits for you, but what you bring may serve others.
    TooSlow(Leader),
    /// The answer is for other values of the fields that Vary names: `begin_fill` again.
    NotMyVariant,
    /// The leader went away, or its fill failed before this reader had begun: `begin_fill` again.
    LeaderGone,
}

/// Joins or leads; see [`Cache::begin_fill`].
pub(super) fn begin(cache: &Arc<Cache>, key: &[u8], request: &RequestHead, policy: &Policy, now: Now) -> Begin {
    let mut shard = cache.flights.shard(key);
    // Under the lock: a fill that ended since the caller looked has stored its answer by now.
    let looked = cache.look(key, request, policy, now);
    let is_new = matches!(looked, Lookup::Miss(Reason::UriMiss));
    let demanding = match looked {
        Lookup::Hit { stored, .. } | Lookup::Part { stored, .. } => return Begin::Stored(stored),
        Lookup::Marked { until } => return Begin::Marked { until },
        Lookup::Revalidate { reason, .. } => reason == Reason::RequestNoCache,
        _ => false,
    };
    let identified = request.fields.contains("authorization");
    let since = cache.purges.count();
    let solo = request.method != http::Method::GET
        || if is_new { identified } else { is_served_alone(cache, key, request, identified) };
    let under_way = shard.get_key_value(key).filter(|_| !solo);
    let joined = under_way.and_then(|(key, flights)| {
        let flight = flights.iter().find(|flight| may_join(cache, key, flight, request, policy, now))?;
        Some((key, flight))
    });
    let start = || Start { fields: request.fields.clone(), began: now.instant, since };
    let flight = match joined {
        Some((key, flight)) if !flight.lets_go(now.instant) => {
            let (cache, key, flight) = (cache.clone(), key.clone(), flight.join());
            let _counted = cache.metrics.waiting.hold();
            return Begin::Follower(Follower { cache, key, flight, demanding, since, _counted });
        }
        Some((_, slow)) => {
            cache.metrics.gave_up.add(1);
            Flight::instead_of(slow, start())
        }
        None => Flight::new(start(), solo),
    };
    let key = add(&mut shard, key, &flight);
    drop(shard);
    Begin::Leader(Leader::new(cache.clone(), key, flight, None))
}

/// Leads a refresh; see [`Cache::begin_refresh`].
pub(super) fn begin_refresh(
    cache: &Arc<Cache>,
    key: &[u8],
    request: &RequestHead,
    policy: &Policy,
    stored: &Arc<Stored>,
    now: Now,
) -> Option<Leader> {
    let claim = Claim::of(stored, now.instant)?;
    let mut shard = cache.flights.shard(key);
    let mut under_way = shard.get(key).into_iter().flatten();
    if under_way.any(|flight| may_join(cache, key, flight, request, policy, now)) {
        return None;
    }
    let since = cache.purges.count();
    let start = Start { fields: request.fields.clone(), began: now.instant, since };
    let flight = Flight::new(start, false);
    let key = add(&mut shard, key, &flight);
    drop(shard);
    Some(Leader::new(cache.clone(), key, flight, Some(claim)))
}

/// Leads a fetch that nobody may join; see [`Cache::begin_unasked`].
pub(super) fn begin_unasked(cache: &Arc<Cache>, key: &[u8], request: &RequestHead, now: Now) -> Leader {
    let mut shard = cache.flights.shard(key);
    let flight = alone(request, now, cache.purges.count());
    let key = add(&mut shard, key, &flight);
    drop(shard);
    Leader::new(cache.clone(), key, flight, None)
}

/// The same with an answer that is here; see [`Cache::begin_answered`].
pub(super) fn begin_answered(cache: &Arc<Cache>, key: &[u8], request: &RequestHead, now: Now, sent: &Moment) -> Leader {
    let mut shard = cache.flights.shard(key);
    let flight = alone(request, now, sent.since);
    // Under the lock: who strikes the key later finds the flight.
    flight.doomed.store(cache.purges.have_struck_since(sent), Relaxed);
    let key = add(&mut shard, key, &flight);
    drop(shard);
    Leader::new(cache.clone(), key, flight, None)
}

fn alone(request: &RequestHead, now: Now, since: u64) -> Arc<Flight> {
    Flight::new(Start { fields: request.fields.clone(), began: now.instant, since }, true)
}

/// Reads a fetch under way for the one range that is wanted of it; see [`Cache::join_range`].
pub(super) fn join_near(cache: &Cache, key: &[u8], request: &RequestHead, policy: &Policy, now: Now) -> Option<Reader> {
    let shard = cache.flights.shard(key);
    let mut flights = shard.get(key)?.iter().filter(|flight| may_join(cache, key, flight, request, policy, now));
    flights.find_map(|flight| match flight.state() {
        State::Streaming(pipe) if withheld(pipe.answer(), request).is_none() => {
            pipe.join().filter(|reader| reader.is_near(request))
        }
        _ => None,
    })
}

/// Whether it would be in vain to wait for a fetch that brings an answer like the last: one that each use has to validate
/// (RFC 9111 §5.2.2.4) or that is stale as it comes is for its own request only, and some are withheld from others. HEAD has
/// no body to share in any case.
fn is_served_alone(cache: &Cache, key: &[u8], request: &RequestHead, identified: bool) -> bool {
    let resource = cache.store.resource(key);
    let known = resource.and_then(|resource| resource.select(&request.fields).or_else(|| resource.newest()));
    match known {
        Some(stored) => !stored.answer.is_shareable() || withheld(&stored.answer, request).is_some(),
        None => identified,
    }
}

/// Whether to wait for this fetch. Before its head is there, what Vary named the last time tells whether it will do; an
/// answer that has been arriving for a while must be as fresh as if it were stored.
fn may_join(cache: &Cache, key: &[u8], flight: &Flight, request: &RequestHead, policy: &Policy, now: Now) -> bool {
    if !flight.may_serve(&request.fields) {
        return false;
    }
    match flight.state() {
        State::Waiting => {
            let newest = cache.store.resource(key).and_then(|resource| resource.newest());
            newest.is_none_or(|stored| stored.answer.vary.agree(&flight.fields, &request.fields))
        }
        State::Streaming(pipe) => {
            if cache.purges.strike(key, pipe.answer(), flight.since, cache.purges.count()) {
                return false;
            }
            let directives = Wants::of(&request.fields).directives(request, policy.client_cache_control);
            policy::reuse(pipe.answer(), &directives, policy, pipe.answer().age(now)) == Reuse::Usable
        }
        _ => true,
    }
}

/// Why an answer that was fetched for somebody else is not given to this request (RFC 9111 §3.5); as careful with whoever
/// has cookies.
fn withheld(answer: &Answer, request: &RequestHead) -> Option<Reason> {
    let has = |name| request.fields.contains(name);
    if !answer.shared_with_authorization && has("authorization") {
        return Some(Reason::Authorization);
    }
    (answer.may_be_personal() && has("cookie")).then_some(Reason::Cookie)
}

impl Follower {
    /// Waits for the leader's head; once the fetch is [`FOLLOW_MAX`] old, only until its turn has come to go on alone.
    /// `request` is the follower's own. May be dropped while it waits.
    pub async fn head(self, request: &RequestHead) -> FollowerOutcome {
        let mut until = self.flight.began + FOLLOW_MAX;
        let state = loop {
            if let Ok(state) = tokio::time::timeout_at(until.into(), self.flight.settled()).await {
                break state;
            }
            let now = tokio::time::Instant::now().into_std();
            if self.flight.lets_go(now) {
                return FollowerOutcome::TooSlow(self.go_alone(request, now));
            }
            until = now + patience::STEP;
        };
        let outcome = self.outcome(state, request);
        if matches!(outcome, FollowerOutcome::Streaming(_) | FollowerOutcome::Stored(_)) {
            self.cache.metrics.collapsed.add(1);
        }
        outcome
    }

    /// Who finds that all may go also sees to it that nobody comes to wait: the answer seems to be a long-poll's.
    fn go_alone(&self, request: &RequestHead, now: Instant) -> Leader {
        self.cache.metrics.gave_up.add(1);
        let slow = self.flight.flight();
        let since = self.cache.purges.count();
        let start = Start { fields: request.fields.clone(), began: now, since };
        let flight = Flight::instead_of(slow, start);
        let mut shard = self.cache.flights.shard(&self.key);
        if self.flight.is_now_hopeless(now) {
            self.cache.store.dont_queue(&self.key, now + DONT_QUEUE);
        }
        let key = add(&mut shard, &self.key, &flight);
        drop(shard);
        Leader::new(self.cache.clone(), key, flight, None)
    }

    fn outcome(&self, state: State, request: &RequestHead) -> FollowerOutcome {
        let answer = match &state {
            State::Streaming(pipe) => pipe.answer(),
            State::Stored(stored) | State::Stale(stored) => &stored.answer,
            State::NotStorable(reason) => return FollowerOutcome::NotStorable(*reason),
            State::Waiting | State::Gone => return FollowerOutcome::LeaderGone,
        };
        // A purge that came between the fetch and this request: only now can it be told whether it is about the answer.
        let is_struck = self.cache.purges.strike(&self.key, answer, self.flight.since, self.since);
        if is_struck || !answer.vary.matches(&request.fields) {
            return FollowerOutcome::NotMyVariant;
        }
        if let Some(reason) = withheld(answer, request) {
            return FollowerOutcome::NotStorable(reason);
        }
        match state {
            // RFC 9111 §5.2.1.4: who asked for a validated answer is not given a stale one.
            State::Stale(_) if self.demanding => FollowerOutcome::NotStorable(Reason::RequestNoCache),
            State::Stored(stored) | State::Stale(stored) => FollowerOutcome::Stored(stored),
            State::Streaming(pipe) => match pipe.join() {
                Some(reader) => FollowerOutcome::Streaming(reader),
                None => FollowerOutcome::NotStorable(Reason::TooLarge),
            },
            State::NotStorable(_) | State::Waiting | State::Gone => FollowerOutcome::LeaderGone,
        }
    }
}

/// How long nobody queues for a key whose answer could not be shared with those who waited for it, or kept them waiting
/// for too long; renewed while its answers stay like that (see [`Cache::weigh_passed`]).
pub(super) const DONT_QUEUE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
