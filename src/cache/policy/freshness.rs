//! How long an answer is fresh (RFC 9111 §4.2.1, §4.2.2) and how old it came (§4.2.3).

use std::time::Duration;

use super::{
    date,
    directives::{ResponseDirectives, delta_seconds},
};
use crate::{
    clock::Now,
    wire::{Fields, ResponseHead, fields::list_members},
};

/// The lifetime in seconds, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) seconds: u64,
    pub(crate) source: LifetimeSource,
}

/// Where a lifetime comes from; the first that is there counts (RFC 9111 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeSource {
    /// `s-maxage`, in whatever shape it is.
    SMaxage,
    /// `max-age`, in whatever shape it is.
    MaxAge,
    /// Expires less Date; what is no date has expired.
    Expires,
    /// [`super::Policy::default_ttl`].
    Route,
    /// A tenth of the time since Last-Modified (RFC 9111 §4.2.2).
    Heuristic,
    /// Nothing to go by.
    Nothing,
}

impl LifetimeSource {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 6] =
        [Self::SMaxage, Self::MaxAge, Self::Expires, Self::Route, Self::Heuristic, Self::Nothing];
}

/// What stands in for a lifetime that the answer does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unsaid {
    /// The cap of a guessed one; `None` forbids to guess.
    pub(crate) heuristic: Option<Duration>,
    /// For a 200 that says nothing at all.
    pub(crate) default_ttl: Option<Duration>,
}

impl LifetimeSource {
    /// The words for people; `control` is the field whose directives count.
    pub fn words(self, control: &str) -> String {
        match self {
            Self::SMaxage => format!("from s-maxage of {control}"),
            Self::MaxAge => format!("from max-age of {control}"),
            Self::Expires => "from expires less date".to_owned(),
            Self::Route => "from the route's default_ttl".to_owned(),
            Self::Heuristic => "a tenth of the time since last-modified, up to the route's cap".to_owned(),
            Self::Nothing => "as nothing says how long".to_owned(),
        }
    }

    /// Whether the answer itself says how long it lives.
    pub fn is_explicit(self) -> bool {
        matches!(self, Self::SMaxage | Self::MaxAge | Self::Expires)
    }
}

/// The lifetime of this answer; `answered` stands in for a Date that is missing or not a date.
pub(crate) fn lifetime(
    head: &ResponseHead,
    directives: &ResponseDirectives,
    unsaid: Unsaid,
    answered: Now,
) -> Lifetime {
    let from = |source, seconds| Lifetime { seconds, source };
    // §4.2.1: a shared cache takes s-maxage, then max-age, then Expires.
    if let Some(seconds) = directives.s_maxage {
        return from(LifetimeSource::SMaxage, seconds);
    }
    if let Some(seconds) = directives.max_age {
        return from(LifetimeSource::MaxAge, seconds);
    }
    // RFC 9213 §2.2: beside a targeted field Expires is not looked at.
    if let Some(seconds) = expires(&head.fields, answered).filter(|_| directives.targeted.is_none()) {
        return from(LifetimeSource::Expires, seconds);
    }
    let says_nothing = directives.targeted.is_none() && !head.fields.contains("cache-control");
    if let (200, true, Some(by_route)) = (head.status, says_nothing, unsaid.default_ttl) {
        return from(LifetimeSource::Route, by_route.as_secs());
    }
    match unsaid.heuristic.and_then(|cap| guessed(head, directives, cap, answered)) {
        Some(seconds) => from(LifetimeSource::Heuristic, seconds),
        None => from(LifetimeSource::Nothing, 0),
    }
}

/// Expires − Date (RFC 9111 §5.3): what is no date, `0` above all, is in the past; of several lines the earliest counts.
fn expires(fields: &Fields, answered: Now) -> Option<u64> {
    let (date, now) = (date_of(fields, answered), answered.unix_seconds() as i64);
    let left = |line| date::parse(line, now).map_or(0, |at| at.saturating_sub(date).max(0));
    fields.all("expires").map(left).min().map(|seconds| seconds as u64)
}

/// A tenth of the time since Last-Modified, up to `cap`, where it is allowed to guess (RFC 9111 §4.2.2).
fn guessed(head: &ResponseHead, directives: &ResponseDirectives, cap: Duration, answered: Now) -> Option<u64> {
    if !directives.public && !is_heuristically_cacheable(head.status) {
        return None;
    }
    let date = date_of(&head.fields, answered);
    let modified = date::parse(head.fields.get("last-modified")?, answered.unix_seconds() as i64)?;
    (modified <= date).then(|| (date.saturating_sub(modified) as u64 / 10).min(cap.as_secs()))
}

/// Corrected initial age (RFC 9111 §4.2.3): the greater of what Date tells and what Age and the way tell.
pub(crate) fn initial_age(fields: &Fields, requested: Now, answered: Now) -> Duration {
    let apparent = (answered.unix_seconds() as i64).saturating_sub(date_of(fields, answered)).max(0) as u64;
    let delay = answered.instant.saturating_duration_since(requested.instant);
    let corrected = Duration::from_secs(age_value(fields)).saturating_add(delay);
    corrected.max(Duration::from_secs(apparent))
}

/// The Age that came along: the first member of the first line; what is no number is ignored (RFC 9111 §5.1).
fn age_value(fields: &Fields) -> u64 {
    fields.get("age").and_then(|line| list_members(line).next()).and_then(delta_seconds).unwrap_or(0)
}

/// The Date field, or the time of reception where there is none that is a date (RFC 9110 §6.6.1).
pub(crate) fn date_of(fields: &Fields, answered: Now) -> i64 {
    let now = answered.unix_seconds() as i64;
    fields.get("date").and_then(|line| date::parse(line, now)).unwrap_or(now)
}

/// The statuses for which RFC 9110 §15.1 allows to guess, less 206 which is never stored.
pub(crate) fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

#[cfg(test)]
mod tests;
