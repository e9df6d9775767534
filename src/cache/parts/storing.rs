//! Whether a 206 may be stored, and with what it is put together (RFC 9111 §3.3, §3.4).

use super::{Gap, asking::gap_of_whole, may_combine};
use crate::{
    cache::{
        Answer, Cache, Exchange, Plan, Policy, Reader, Reason, Stored, fill,
        policy::{
            self, Freshened,
            content_range::{Place, as_whole, is_same},
        },
        store::Found,
    },
    clock::Now,
    wire::{RequestHead, ResponseHead},
};

/// Leave to store a part: the answer that it is a part of, and which bytes they are.
#[derive(Debug)]
pub struct PartPlan {
    pub(crate) answer: Answer,
    pub(crate) place: Place,
    /// Bytes that may be kept of it.
    pub(crate) bytes_max: u64,
}

impl PartPlan {
    /// The answer that this is a part of.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Changes the head as it will be kept, if there is anything to change; what was decided from the backend's own head
    /// stays.
    #[must_use]
    pub fn edit(mut self, edit: Option<impl FnOnce(&mut ResponseHead)>) -> Self {
        if let Some(edit) = edit {
            self.answer.edit_head(edit);
        }
        self
    }

    /// The same for a fetch that everybody may share.
    pub fn into_whole(self) -> Plan {
        Plan { answer: self.answer }
    }
}

impl Cache {
    /// A reader of the whole that is being fetched, if the one range wanted is near what has come of it.
    pub fn join_range(&self, key: &[u8], request: &RequestHead, policy: &Policy, now: Now) -> Option<Reader> {
        fill::join_near(self, key, request, policy, now).inspect(|_| self.metrics.collapsed.add(1))
    }

    /// Whether this 206 may be stored as a part (RFC 9111 §3.3); says why not.
    pub fn storable_part(&self, key: &[u8], exchange: &Exchange<'_>, head: &ResponseHead) -> Result<PartPlan, Reason> {
        if self.account.capacity() == 0 {
            return Err(Reason::Off);
        }
        let (whole, place) = as_whole(head).ok_or(Reason::Partial)?;
        let answer = policy::storable(exchange, &whole)?.answer;
        if let Found::Stored(stored) = self.store.peek(key, &exchange.request.fields)
            && place.sure
            && may_combine(&stored, &answer)
        {
            let answer = renewed(&stored, exchange, &whole)?;
            let bytes_max = self.max_object.saturating_sub(stored.body.length());
            return Ok(PartPlan { answer, place, bytes_max });
        }
        // RFC 9110 §15.3.7: the answer to If-Range may leave out what the client has.
        if exchange.request.fields.contains("if-range") {
            return Err(Reason::Partial);
        }
        Ok(PartPlan { answer, place, bytes_max: self.max_object })
    }

    /// Whether this 206 is just what was missing; else it is about another representation (RFC 9111 §3.4), or its place is
    /// not certain.
    pub fn fills_gap(&self, gap: &Gap, exchange: &Exchange<'_>, head: &ResponseHead) -> Result<PartPlan, Reason> {
        let (whole, place) = as_whole(head).ok_or(Reason::Partial)?;
        let answer = policy::storable(exchange, &whole)?.answer;
        if !place.sure || place.bytes != gap.missing || !is_same(&gap.stored.answer, &answer) {
            return Err(Reason::ValidatorMismatch);
        }
        let answer = renewed(&gap.stored, exchange, &whole)?;
        let bytes_max = self.max_object.saturating_sub(gap.stored.body.length());
        Ok(PartPlan { answer, place, bytes_max })
    }

    /// What is missing of the whole that this request wants, if it is worth asking for alone.
    pub(crate) fn gap(&self, key: &[u8], request: &RequestHead) -> Option<Gap> {
        let Found::Stored(stored) = self.store.peek(key, &request.fields) else { return None };
        gap_of_whole(&stored).filter(|gap| gap.wanted.end <= self.max_object)
    }
}

/// The stored answer with the fields that came (RFC 9111 §3.4).
fn renewed(stored: &Stored, exchange: &Exchange<'_>, whole: &ResponseHead) -> Result<Answer, Reason> {
    let Freshened { answer, refused } = policy::freshened(&stored.answer, exchange, whole)?;
    refused.map_or(Ok(answer), Err)
}
