//! A part of an answer on its way to one client, gathered for the store as it passes.
//!
//! At the client's pace: a player that seeks on takes nothing more of the range that it left. What has come is kept all
//! the same, as the first position and the bytes that are there say what it is.

use std::sync::Arc;

use bytes::Bytes;

use super::leader::Duty;
use crate::{
    cache::{
        Answer, Leader, PartPlan, Reason, Stored,
        account::Charge,
        parts::{Combined, PartBounds, Piece, may_combine},
        policy::content_range::Place,
        stored::Body,
    },
    clock::Now,
};

/// Gathers the bytes of a part. Dropped, it stores what it has.
pub struct PartFill {
    answer: Arc<Answer>,
    answered: Now,
    /// Where the bytes belong, as announced.
    place: Place,
    bytes_max: u64,
    chunks: Vec<Bytes>,
    /// The piece that grows, of just the capacity that is paid for.
    growing: Vec<u8>,
    /// Bytes that came, and those of them that are kept.
    received: u64,
    kept: u64,
    is_full: bool,
    head_cost: u64,
    charge: Charge,
    /// `None` once it is settled.
    duty: Option<Duty>,
}

impl Leader {
    /// Begins to gather a part. `Err`: there is no room within the byte bound, or as much is held of the answer as of any.
    pub fn begin_part(self, plan: PartPlan, answered: Now) -> Result<PartFill, Reason> {
        let duty = self.into_duty();
        let PartPlan { answer, place, bytes_max, .. } = plan;
        if bytes_max == 0 {
            duty.decline(Reason::TooLarge);
            return Err(Reason::TooLarge);
        }
        let head_cost = Stored::head_cost(&answer, &duty.key);
        let Some(charge) = duty.cache.charge(head_cost + Body::cost_of(0, 0)) else {
            duty.decline(Reason::NoRoom);
            return Err(Reason::NoRoom);
        };
        Ok(PartFill {
            answer: Arc::new(answer),
            answered,
            place,
            bytes_max,
            chunks: Vec::new(),
            growing: Vec::new(),
            received: 0,
            kept: 0,
            is_full: false,
            head_cost,
            charge,
            duty: Some(duty),
        })
    }

    /// The answer is for its own client alone, for a reason that says nothing about the resource.
    pub fn decline(self, reason: Reason) {
        self.into_duty().decline(reason);
    }
}

impl PartFill {
    /// Takes a copy of the bytes that came, as far as they may be kept.
    pub fn push(&mut self, mut data: &[u8]) {
        self.received += data.len() as u64;
        while !data.is_empty() && !self.is_full {
            if self.growing.len() == self.growing.capacity() && !self.grow() {
                self.is_full = true;
                return;
            }
            let (now, later) = data.split_at(data.len().min(self.growing.capacity() - self.growing.len()));
            self.growing.extend_from_slice(now);
            self.kept += now.len() as u64;
            data = later;
        }
    }

    /// Bytes of the body that have come so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The body has ended as its framing says: stores it, if that is where it was announced to end.
    pub fn finish(mut self) -> Result<(), Reason> {
        if self.received != self.place.bytes.end - self.place.bytes.start {
            if let Some(duty) = self.duty.take() {
                duty.decline(Reason::Incomplete);
            }
            return Err(Reason::Incomplete);
        }
        self.settle()
    }

    /// Room for the next bytes.
    fn grow(&mut self) -> bool {
        let announced = (self.place.bytes.end - self.place.bytes.start).saturating_sub(self.kept);
        let room = announced.min(self.bytes_max.saturating_sub(self.kept)).min(CHUNK);
        let Some(duty) = self.duty.as_ref().filter(|_| room > 0) else { return false };
        let cost = self.head_cost + Body::cost_of(self.kept + room, self.chunks.len() as u64 + 2);
        if !duty.cache.grow(&mut self.charge, cost) {
            return false;
        }
        let full = std::mem::replace(&mut self.growing, Vec::with_capacity(room as usize));
        if !full.is_empty() {
            self.chunks.push(Bytes::from(full));
        }
        true
    }

    /// Stores what is kept, put together with what the store has of the same representation.
    fn settle(&mut self) -> Result<(), Reason> {
        let Some(duty) = self.duty.take() else { return Ok(()) };
        // More than was announced is nobody's word to go by.
        if self.kept == 0 || self.received > self.place.bytes.end - self.place.bytes.start {
            duty.decline(Reason::Incomplete);
            return Err(Reason::Incomplete);
        }
        let last = std::mem::take(&mut self.growing).into_boxed_slice();
        self.chunks.extend((!last.is_empty()).then(|| Bytes::from(last)));
        let start = self.place.bytes.start;
        let place = Place { bytes: start..start + self.kept, ..self.place };
        let is_sure = place.sure;
        let piece = Piece { place, chunks: std::mem::take(&mut self.chunks) };
        let (cache, key) = (duty.cache.clone(), duty.key.clone());
        let (answer, answered, charge) = (&self.answer, self.answered, &mut self.charge);
        duty.settle_part(|before| {
            if let Some(before) = &before
                && !(is_sure && may_combine(before, answer))
                && (before.answer.received > answer.received
                    || (before.is_whole() && before.answer.ttl(before.answer.age(answered)) > 0))
            {
                // What came later, or is whole and fresh, is not given up for a part that can't be added to it.
                return Err(Reason::ValidatorMismatch);
            }
            let most = PartBounds { bytes: cache.max_object, runs: cache.max_parts };
            let combined = Combined::of(answer, before.as_deref(), piece, most);
            let cost = Stored::head_cost(answer, &key) + combined.cost();
            if !cache.grow(charge, cost) {
                return Err(Reason::NoRoom);
            }
            charge.shrink_to(cost);
            cache.metrics.parts_dropped.add(combined.dropped as u64);
            cache.metrics.parts_completed.add(u64::from(combined.parts.is_none()));
            Ok(combined.stored(answer.clone(), charge.split(u64::MAX)))
        })
    }
}

impl std::fmt::Debug for PartFill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartFill").field("place", &self.place).field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Drop for PartFill {
    fn drop(&mut self) {
        // Why it was not stored is counted.
        let _stored = self.settle();
    }
}

/// Bytes of one piece.
const CHUNK: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
