//! The backend's end of a fill: pieces in, an entry in the store out.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    State,
    leader::Duty,
    pipe::{Ballast, LAGGARD_PATIENCE, Pipe},
};
use crate::cache::{
    Answer, Reason, Stored,
    account::Charge,
    blocks::{self, Blocks},
    stored::Body,
};

/// Takes the body from the backend as it comes. Dropped before `finish`, it is a failure to every reader.
pub struct Fill {
    pipe: Arc<Pipe>,
    /// Pays for what is held.
    charge: Charge,
    /// What the head costs.
    head_cost: u64,
    length: u64,
    pieces: u64,
    blocks: Box<Blocks>,
    /// Why the body is only passed on, if it is.
    passing: Option<Reason>,
    /// `None` once it has ended.
    duty: Option<Duty>,
}

/// What became of a fill.
#[derive(Debug)]
pub enum Finished {
    /// It is in the store.
    Stored(Arc<Stored>),
    /// Nothing is stored; its readers got it all, unless the reason is `Incomplete`.
    NotStored(Reason),
}

impl Fill {
    pub(super) fn new(duty: Duty, pipe: Arc<Pipe>, charge: Charge) -> Self {
        let head_cost = Stored::head_cost(pipe.answer(), &duty.key);
        let blocks = Box::new(Blocks::new(pipe.answer().length));
        Self { pipe, charge, head_cost, length: 0, pieces: 0, blocks, passing: None, duty: Some(duty) }
    }

    /// Adds a piece of the body. Never waits. While the body is being kept the bytes are copied, into blocks of the store's
    /// own, so that no larger buffer lives on behind a stored answer.
    pub fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        self.length += data.len() as u64;
        if self.passing.is_none() {
            self.passing = self.no_longer_kept(data.len() as u64);
            if self.passing.is_some() {
                self.pipe.stop_keeping();
            }
        }
        if self.passing.is_some() {
            let retained = self.pipe.push(data);
            return self.charge.shrink_to(retained + self.head_cost);
        }
        let Self { blocks, pipe, pieces, .. } = self;
        blocks.copy(&data, |piece| {
            *pieces += 1;
            pipe.push(piece);
        });
    }

    /// To be awaited before reading more from the backend: returns at once while the body is being kept; a body that has
    /// outgrown `max_object` or the byte bound is passed on at the pace of its readers, at most 256 KiB ahead of the
    /// slowest; one who keeps others waiting for ten seconds is cut off. May be dropped while it waits.
    pub async fn ready(&mut self) {
        if self.passing.is_none() {
            return;
        }
        let Some(duty) = &self.duty else { return };
        let retained = self.pipe.drained(LAGGARD_PATIENCE, |cut| duty.cache.metrics.readers_cut.add(cut)).await;
        self.charge.shrink_to(retained + self.head_cost);
    }

    /// Why the body is only passed on and will not be stored, once that is so.
    pub fn passing(&self) -> Option<Reason> {
        self.passing
    }

    /// Whether anybody is served by going on: the body will be stored, or a reader is left.
    pub fn is_wanted(&self) -> bool {
        self.passing.is_none() || self.pipe.has_readers()
    }

    /// The body is complete: stores it, if it was kept, and lets the readers end.
    pub fn finish(mut self) -> Finished {
        let is_whole = self.pipe.answer().length.is_none_or(|announced| announced == self.length);
        let Some(duty) = self.duty.take_if(|_| is_whole) else { return Finished::NotStored(Reason::Incomplete) };
        if let Some(reason) = self.passing {
            duty.cache.metrics.refused.add(reason, 1);
            duty.cache.count_all(self.pipe.shared(self.length), self.pipe.answer(), None);
            self.pipe.complete(Ballast::Charge { _charge: self.charge.split(u64::MAX) });
            duty.settle(State::NotStorable(reason));
            return Finished::NotStored(reason);
        }
        let (stored, ballast) = self.whole(&duty);
        let cache = duty.cache.clone();
        let settled = duty.settle_storing(&stored);
        // In this order, so that a client that has seen the end finds the answer in the store, and itself counted.
        cache.count_all(self.pipe.shared(self.length), &stored.answer, Some(&stored));
        self.pipe.complete(ballast);
        match settled {
            Ok(()) => Finished::Stored(stored),
            Err(reason) => Finished::NotStored(reason),
        }
    }

    /// The body broke off: an error to every reader, nothing stored. The same as dropping it.
    pub fn fail(self) {}

    /// Why the body can't be kept any longer, now that `more` bytes are to come in.
    fn no_longer_kept(&mut self, more: u64) -> Option<Reason> {
        let Some(duty) = &self.duty else { return Some(Reason::Incomplete) };
        if self.length > duty.cache.max_object {
            return Some(Reason::TooLarge);
        }
        let held = self.blocks.held_with(more);
        // Those bytes may come to lie in one block more than they fill.
        let pieces = self.pieces + more.div_ceil(blocks::LARGEST) + 1;
        let cost = self.head_cost + Body::cost_of(held, pieces);
        (!duty.cache.grow(&mut self.charge, cost)).then_some(Reason::NoRoom)
    }

    /// The stored form, and what pays for the pieces that readers still hold.
    fn whole(&mut self, duty: &Duty) -> (Arc<Stored>, Ballast) {
        let answer = match self.pipe.answer().length {
            Some(_) => self.pipe.answer().clone(),
            None => Arc::new(self.pipe.answer().with_length(self.length)),
        };
        let pieces = self.pipe.chunks();
        let charge = self.charge.split(u64::MAX);
        match self.joined(duty, &pieces) {
            Some((chunks, for_chunks)) => {
                (self.stored(answer, chunks, for_chunks), Ballast::Charge { _charge: charge })
            }
            None => {
                let stored = self.stored(answer, pieces, charge);
                let body = stored.body.clone();
                (stored, Ballast::Body { _body: body })
            }
        }
    }

    fn stored(&self, answer: Arc<Answer>, chunks: Vec<Bytes>, mut charge: Charge) -> Arc<Stored> {
        let for_body = charge.split(charge.bytes().saturating_sub(self.head_cost));
        Stored::new(answer, Body::new(chunks, for_body), charge)
    }

    /// Many small pieces as few large ones, paid for; `None` if they are large enough and fill their blocks, or there is no
    /// room for both.
    fn joined(&self, duty: &Duty, pieces: &[Bytes]) -> Option<(Vec<Bytes>, Charge)> {
        let count = blocks::count(self.length);
        let are_few = self.pieces <= count || (self.length > blocks::LARGEST && self.length / self.pieces >= SMALL);
        let idle = self.blocks.held_with(0) - self.length;
        if are_few && idle <= self.length / 16 {
            return None;
        }
        let cost = self.head_cost + Body::cost_of(self.length, count);
        let charge = duty.cache.charge(cost)?;
        Some((blocks::joined(pieces, self.length), charge))
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        if let Some(duty) = self.duty.take() {
            duty.cache.metrics.fills_failed.add(1);
            // In this order: who has not begun to read tries again, who has gets the error.
            drop(duty);
            self.pipe.fail();
        }
    }
}

impl std::fmt::Debug for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fill").field("length", &self.length).field("passing", &self.passing).finish_non_exhaustive()
    }
}

/// Pieces of this size on the average are kept as they came.
const SMALL: u64 = 8 * 1024;
