//! One fetch per key: who fetches, who waits, and the body that all of them read while it grows.

use std::sync::Arc;

use bytes::Bytes;

use super::{Answer, Exchange, Plan, Reason, Stored};
use crate::wire::{RequestHead, ResponseHead};

/// Whose job a missing answer is.
pub enum Begin {
    /// Yours: fetch, and tell the others.
    Leader(Leader),
    /// Somebody is on it: wait for the head.
    Follower(Follower),
}

/// The right and duty to fetch one answer. Dropped without a word, it lets the followers try for themselves.
pub struct Leader {}

/// Waits for the leader's answer.
pub struct Follower {}

/// What became of the wait.
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

/// Takes the body from the backend as it comes. Dropped before `finish`, it is a failure to every reader.
pub struct Fill {}

/// What became of a fill.
#[derive(Debug)]
pub enum Finished {
    /// It is in the store.
    Stored(Arc<Stored>),
    /// Its readers got it all, and nothing is stored.
    NotStored(Reason),
}

/// Reads a body that is still arriving, from its first byte and at its own pace.
pub struct Reader {}

/// The body broke off: the client must not take what it got for the whole (cut the connection, reset the stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillFailed {
    /// The backend broke off, or the fetch was given up.
    Incomplete,
    /// This reader was too slow for a body that is not stored and that others read.
    TooSlow,
}

impl Leader {
    /// The answer is not to be stored: the waiting are told to fetch for themselves, and if somebody waited and the
    /// reason lies in the resource, nobody queues for this key for a while.
    pub fn pass(self, _reason: Reason) {}

    /// Opens the body. `Err`: no room within the byte bound (the waiting have been told); send the answer to your
    /// client and store nothing.
    pub fn begin(self, _plan: Plan) -> Result<(Fill, Reader), Reason> {
        Err(Reason::Off)
    }

    /// Stores an answer whose whole body is in memory. On `Err` the waiting have been told to fetch for themselves.
    pub fn store_whole(self, _plan: Plan, _body: Bytes) -> Result<Arc<Stored>, Reason> {
        Err(Reason::Off)
    }

    /// The backend said 304 to our validation: merges and stores (see [`super::Cache::freshen`]), and the waiting get
    /// it too. On `Err` (the 304 is about something else) the leader is given back, to fetch without conditions.
    pub fn freshen(
        self,
        _exchange: &Exchange<'_>,
        _stored: &Arc<Stored>,
        _not_modified: &ResponseHead,
    ) -> Result<Arc<Stored>, (Self, Reason)> {
        Err((self, Reason::Off))
    }

    /// Answers the waiting with this stored answer as it is: stale, when the backend failed and `stale_usable` allows.
    pub fn resolve(self, _stored: &Arc<Stored>) {}
}

impl Follower {
    /// Waits for the leader's head. `request` is the follower's own, for Vary. Cancel-safe.
    pub async fn head(self, _request: &RequestHead) -> FollowerOutcome {
        FollowerOutcome::LeaderGone
    }
}

impl Fill {
    /// Adds a piece of the body (copied once into memory of exactly its size). Never blocks.
    pub fn push(&mut self, _data: &[u8]) {}

    /// To be awaited before reading more from the backend: returns at once while the body is being kept; a body that
    /// has outgrown `max_object` or the byte bound is only passed on, at the pace of its readers.
    pub async fn ready(&mut self) {}

    /// Whether anybody is served by going on: the body will be stored, or a reader is left.
    pub fn is_wanted(&self) -> bool {
        false
    }

    /// The body is complete: stores it (if all is well) and lets the readers end.
    pub fn finish(self) -> Finished {
        Finished::NotStored(Reason::Off)
    }

    /// The body broke off: an error to every reader, nothing stored. The same as dropping it.
    pub fn fail(self) {}
}

impl Reader {
    /// The head that goes with this body.
    pub fn answer(&self) -> &Arc<Answer> {
        unimplemented!()
    }

    /// The next piece; `None` at the end of a complete body. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, FillFailed>> {
        None
    }

    /// Moves the pieces that are there already to `out`, at most `limit` of them, without waiting; `Ok(true)` says that
    /// the body is complete with them.
    pub fn take_ready(&mut self, _out: &mut Vec<Bytes>, _limit: usize) -> Result<bool, FillFailed> {
        Ok(true)
    }
}
