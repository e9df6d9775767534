//! One fetch per key: who fetches, who waits, and the body that all of them read while it grows.
//!
//! A flight is the life of one fetch: waiting for the head, streaming, settled. The leader's guards settle it whichever
//! way they go, so that nobody waits for ever. What a fill holds is charged to the byte bound before it is held.

mod filling;
mod flight;
mod leader;
mod pipe;

use std::sync::Arc;

pub use filling::{Fill, Finished};
pub(crate) use flight::Flights;
use flight::{Flight, State, remove};
pub use leader::Leader;
pub use pipe::{FillFailed, Reader};

use super::{Cache, Lookup, Policy, Reason, Stored, store::Entry};
use crate::{clock::Now, wire::RequestHead};

/// Whose job a missing answer is.
#[derive(Debug)]
pub enum Begin {
    /// Yours: fetch, and tell the others.
    Leader(Leader),
    /// Somebody is on it: wait for the head.
    Follower(Follower),
    /// Somebody has just stored it, after you had looked: send it like a hit.
    Stored(Arc<Stored>),
}

/// Waits for the leader's answer.
#[derive(Debug)]
pub struct Follower {
    flight: Arc<Flight>,
    /// The request asks for something newer than what is stored.
    demanding: bool,
    /// The request has `Authorization`.
    identified: bool,
}

/// What became of the wait.
#[derive(Debug)]
pub enum FollowerOutcome {
    /// The head is there and the body arrives: send `Reader::answer()` with Age, then the pieces.
    Streaming(Reader),
    /// The answer is whole, or was validated, or is served stale: send it like a hit.
    Stored(Arc<Stored>),
    /// It can't be shared: fetch for yourself, without queueing.
    NotStorable(Reason),
    /// The answer is for other values of the fields that Vary names: `begin_fill` again.
    NotMyVariant,
    /// The leader went away, or its fill failed before this reader had begun: `begin_fill` again.
    LeaderGone,
}

/// Joins or leads; see [`Cache::begin_fill`].
pub(super) fn begin(cache: &Arc<Cache>, key: &[u8], request: &RequestHead, policy: &Policy, now: Now) -> Begin {
    let mut shard = cache.flights.shard(key);
    // Under the lock: a fill that ended since the caller looked has stored its answer by now.
    let demanding = match cache.lookup(key, request, policy, now) {
        Lookup::Hit { stored, .. } => return Begin::Stored(stored),
        Lookup::Revalidate { reason, .. } => reason == Reason::RequestNoCache,
        _ => false,
    };
    let identified = request.fields.contains("authorization");
    let solo = is_solo(cache, key, request, identified);
    let flights = shard.entry(key.into()).or_default();
    let joined = flights.iter().find(|flight| !solo && may_join(cache, key, flight, request));
    if let Some(flight) = joined {
        flight.followers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        cache.metrics.collapsed.add(1);
        return Begin::Follower(Follower { flight: flight.clone(), demanding, identified });
    }
    let flight = Flight::new(request.fields.clone(), solo);
    flights.push(flight.clone());
    drop(shard);
    Begin::Leader(Leader::new(cache.clone(), key.into(), flight))
}

/// Whether this fetch can't serve others, so that waiting for it would be in vain: HEAD has no body to share; an answer that
/// each use has to validate (RFC 9111 §5.2.2.4) or that is stale as it comes is for its own request only; and so is one to
/// an identified client (RFC 9111 §3.5), unless the last answer said otherwise.
fn is_solo(cache: &Cache, key: &[u8], request: &RequestHead, identified: bool) -> bool {
    if request.method != http::Method::GET {
        return true;
    }
    let known = match cache.store.get(key) {
        Some(Entry::Resource(resource)) => resource.select(&request.fields).or_else(|| resource.newest()),
        _ => None,
    };
    match known {
        Some(stored) => !stored.answer.is_shareable() || (identified && !stored.answer.shared_with_authorization),
        None => identified,
    }
}

/// Whether to wait for this fetch. Before its head is there, what Vary named the last time tells whether it will do.
fn may_join(cache: &Cache, key: &[u8], flight: &Flight, request: &RequestHead) -> bool {
    if !flight.may_serve(&request.fields) {
        return false;
    }
    match (flight.state(), cache.store.get(key)) {
        (State::Waiting, Some(Entry::Resource(resource))) => {
            resource.newest().is_none_or(|stored| stored.answer.vary.agree(&flight.fields, &request.fields))
        }
        _ => true,
    }
}

impl Follower {
    /// Waits for the leader's head. `request` is the follower's own, for Vary. May be dropped while it waits.
    pub async fn head(self, request: &RequestHead) -> FollowerOutcome {
        let state = self.flight.settled().await;
        let answer = match &state {
            State::Streaming(pipe) => pipe.answer(),
            State::Stored(stored) | State::Stale(stored) => &stored.answer,
            State::NotStorable(reason) => return FollowerOutcome::NotStorable(*reason),
            State::Waiting | State::Gone => return FollowerOutcome::LeaderGone,
        };
        if !answer.vary.matches(&request.fields) {
            return FollowerOutcome::NotMyVariant;
        }
        if self.identified && !answer.shared_with_authorization {
            return FollowerOutcome::NotStorable(Reason::Authorization);
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

#[cfg(test)]
mod tests;
