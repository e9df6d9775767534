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
pub(crate) enum Lifetime {
    /// From s-maxage, max-age or Expires, in whatever shape they are.
    Explicit(u64),
    /// A tenth of the time since Last-Modified (RFC 9111 §4.2.2).
    Heuristic(u64),
    /// Nothing to go by.
    Unknown,
}

impl Lifetime {
    /// Seconds; 0 when nothing is known.
    pub(crate) fn seconds(self) -> u64 {
        match self {
            Self::Explicit(seconds) | Self::Heuristic(seconds) => seconds,
            Self::Unknown => 0,
        }
    }
}

/// The lifetime of this answer. `heuristic` is the cap of a guessed one, `None` forbids to guess; `answered` stands in
/// for a Date that is missing or not a date.
pub(crate) fn lifetime(
    head: &ResponseHead,
    directives: &ResponseDirectives,
    heuristic: Option<Duration>,
    answered: Now,
) -> Lifetime {
    // §4.2.1: a shared cache takes s-maxage, then max-age, then Expires.
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return Lifetime::Explicit(seconds);
    }
    let fields = &head.fields;
    let now = answered.unix_seconds() as i64;
    let date = date_of(fields, answered);
    // §5.3: what is no date, `0` above all, is in the past. Of several lines the earliest counts.
    let expires =
        fields.all("expires").map(|line| date::parse(line, now).map_or(0, |at| at.saturating_sub(date).max(0)));
    if let Some(seconds) = expires.min() {
        return Lifetime::Explicit(seconds as u64);
    }
    let Some(cap) = heuristic else { return Lifetime::Unknown };
    if !directives.public && !is_heuristically_cacheable(head.status) {
        return Lifetime::Unknown;
    }
    match fields.get("last-modified").and_then(|line| date::parse(line, now)) {
        Some(modified) if modified <= date => {
            Lifetime::Heuristic((date.saturating_sub(modified) as u64 / 10).min(cap.as_secs()))
        }
        _ => Lifetime::Unknown,
    }
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
