//! What a request for a range is given from the store, and how the backend is asked for the rest (RFC 9111 §3.3, §3.4).

use std::{ops::Range, sync::Arc};

use crate::{
    cache::{
        Lookup, Reason, Stored, Wanted,
        policy::{Reuse, content_range::strong_validator, range},
    },
    wire::RequestHead,
};

/// How the backend is asked for a range that the store can't give by itself.
#[derive(Debug)]
pub enum RangeAsk {
    /// As the client does.
    AsSent,
    /// As the client does, with the validators of what is stored: after a 304 it may be given.
    Validate(Arc<Stored>),
    /// For what is missing of it.
    Missing(Gap),
}

/// What is missing of the bytes that are wanted.
#[derive(Debug)]
pub struct Gap {
    /// Has the rest of them.
    pub stored: Arc<Stored>,
    /// What the client is to get.
    pub wanted: Range<u64>,
    /// What to ask the backend for; all of `wanted` before and behind it is held.
    pub missing: Range<u64>,
}

impl Gap {
    fn of(stored: &Arc<Stored>, wanted: Range<u64>) -> Option<Self> {
        let parts = stored.parts.as_ref().filter(|parts| parts.sure)?;
        strong_validator(&stored.answer)?;
        let missing = parts.runs.missing(&wanted)?;
        Some(Self { stored: stored.clone(), wanted, missing })
    }

    /// The fields that ask for what is missing of this very representation, or for all of another (RFC 9110 §13.1.5). They
    /// take the place of the client's own.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        let Range { start, end } = self.missing;
        // RFC 9110 §14.1.2: to the end, without saying where that is.
        let last = if end == self.stored.length() { String::new() } else { (end - 1).to_string() };
        let range = ("Range", format!("bytes={start}-{last}").into_bytes());
        let validator = strong_validator(&self.stored.answer).map(|validator| ("If-Range", validator.to_vec()));
        std::iter::once(range).chain(validator)
    }

    /// The bytes wanted that are held, before and behind what is missing.
    pub fn held(&self) -> (Range<u64>, Range<u64>) {
        (self.wanted.start..self.missing.start, self.missing.end..self.wanted.end)
    }
}

/// A look at something stored for a GET with Range.
pub(crate) fn look(stored: Arc<Stored>, request: &RequestHead, reuse: Reuse, age: u64) -> Lookup {
    let wanted = range::evaluate(request, &stored.answer);
    let (is_usable, reason) = match reuse {
        Reuse::Usable => (true, Reason::Gap),
        // What refreshes an answer in the background fetches all of it, which is not this client's wish.
        Reuse::UsableWhileRevalidating => (false, Reason::Stale),
        Reuse::Validate(reason) => (false, reason),
    };
    // RFC 9111 §3.3: from parts, ranges that are held and nothing else; that a range lies behind the end is for the whole
    // to say.
    let is_held = match &wanted {
        Wanted::Parts(ranges) => ranges.iter().all(|range| stored.holds(range)),
        Wanted::Whole | Wanted::Unsatisfiable(_) => stored.is_whole(),
    };
    let ttl = stored.answer.ttl(age);
    let is_conditional = request.fields.contains("if-none-match") || request.fields.contains("if-modified-since");
    let has_validator = stored.answer.etag.is_some() || stored.answer.last_modified.is_some();
    let ask = match wanted {
        Wanted::Whole if is_held && is_usable => return Lookup::Hit { stored, age, ttl },
        wanted if is_held && is_usable => return Lookup::Part { stored, age, ttl, wanted },
        // The client's own conditions are the backend's to weigh, then.
        _ if is_conditional => RangeAsk::AsSent,
        Wanted::Parts(_) | Wanted::Unsatisfiable(_) if is_held && has_validator => RangeAsk::Validate(stored),
        Wanted::Parts(ranges) => match &ranges[..] {
            [range] => missing(&stored, range).map_or(RangeAsk::AsSent, RangeAsk::Missing),
            _ => RangeAsk::AsSent,
        },
        Wanted::Whole | Wanted::Unsatisfiable(_) => RangeAsk::AsSent,
    };
    Lookup::Range { ask, reason }
}

/// What is missing of this range, if some of it is held.
fn missing(stored: &Arc<Stored>, range: &Range<u64>) -> Option<Gap> {
    Gap::of(stored, range.clone()).filter(|gap| gap.missing != gap.wanted)
}

/// What is missing of the whole, if that is one piece: then asking for it costs no more than asking for everything, and
/// spares what is held.
pub(crate) fn gap_of_whole(stored: &Arc<Stored>) -> Option<Gap> {
    let gap = Gap::of(stored, 0..stored.length())?;
    let parts = stored.parts.as_ref()?;
    (parts.runs.gaps(&gap.wanted).count() == 1).then_some(gap)
}
