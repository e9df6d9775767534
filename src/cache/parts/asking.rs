//! What a request for a range is given from the store, and how the backend is asked for the rest (RFC 9111 §3.3, §3.4).

use std::{ops::Range, sync::Arc};

use crate::{
    cache::{
        Answer, Lookup, Plan, Reason, Stored, Wanted,
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
    let is_held = stored.gives(&wanted);
    let ttl = stored.answer.ttl(age);
    let (is_usable, reason) = match reuse {
        Reuse::Usable => (true, Reason::Gap),
        // RFC 5861 §3. What is refreshed is the whole answer: of parts that nothing validates it would be fetched for nobody.
        Reuse::UsableWhileRevalidating if is_held && (stored.is_whole() || stored.answer.has_validator()) => {
            return Lookup::StaleWhileRevalidate { stored, age, ttl };
        }
        Reuse::UsableWhileRevalidating => (false, Reason::Stale),
        Reuse::Validate(reason) => (false, reason),
    };
    let is_conditional = request.fields.contains("if-none-match") || request.fields.contains("if-modified-since");
    let ask = match wanted {
        Wanted::Whole if is_held && is_usable => return Lookup::Hit { stored, age, ttl },
        wanted if is_held && is_usable => return Lookup::Part { stored, age, ttl, wanted },
        // The client's own conditions are the backend's to weigh, then.
        _ if is_conditional => RangeAsk::AsSent,
        Wanted::Parts(_) | Wanted::Unsatisfiable(_) if is_held => RangeAsk::Validate(stored),
        Wanted::Parts(ranges) => match &ranges[..] {
            [range] => missing(&stored, range).map_or(RangeAsk::AsSent, RangeAsk::Missing),
            _ => RangeAsk::AsSent,
        },
        Wanted::Whole | Wanted::Unsatisfiable(_) => RangeAsk::AsSent,
    };
    Lookup::Range { ask, reason }
}

impl Stored {
    /// Whether what is held answers this. RFC 9111 §3.3: from parts, ranges that are held and nothing else; that a range
    /// lies behind the end is for the whole to say.
    fn gives(&self, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::Parts(ranges) => ranges.iter().all(|range| self.holds(range)),
            Wanted::Whole | Wanted::Unsatisfiable(_) => self.is_whole(),
        }
    }

    /// Whether what is held answers this GET, be it fresh or not.
    pub fn can_answer(&self, request: &RequestHead) -> bool {
        self.gives(&range::evaluate(request, &self.answer))
    }
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

/// Whether the one range that this request wants of an answer begins within the bytes that have come of it, or not more
/// than [`RANGE_AHEAD`] behind them.
pub(crate) fn is_near(request: &RequestHead, answer: &Answer, arrived: u64) -> bool {
    match range::evaluate(request, answer) {
        Wanted::Parts(ranges) => match &ranges[..] {
            [range] => range.start <= arrived.saturating_add(RANGE_AHEAD),
            _ => false,
        },
        Wanted::Whole | Wanted::Unsatisfiable(_) => false,
    }
}

impl Plan {
    /// Whether the one range that this request wants lies near the beginning of the body, so that it is worth waiting for
    /// what stands before it.
    pub fn is_near(&self, request: &RequestHead) -> bool {
        is_near(request, &self.answer, 0)
    }
}

/// Bytes that a wanted range may begin behind what has come of a body under way and still be waited for; what lies further
/// ahead is asked for beside it. Some milliseconds of a backend nearby, a second of a slow one.
const RANGE_AHEAD: u64 = 1024 * 1024;
