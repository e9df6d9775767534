//! What store and rules say, in words for people.

use super::Story;
use crate::{
    cache::{
        CacheStatus, Lookup, Reason,
        policy::{date, explain::Explanation},
    },
    clock::Now,
};

/// What the rules say of an answer that has so many seconds of freshness left. Of one that is not stored its age means nothing.
pub(super) fn terms(explained: &Explanation, now: Now, left: i64) -> Story {
    let mut story = explained.facts();
    if explained.refused.is_some() {
        story.retain(|(about, _)| !matches!(*about, "reused" | "age" | "stale"));
    } else if let Some(at) = story.iter().position(|(about, _)| *about == "age") {
        story.insert(at + 1, ("fresh_until", moment(now, left)));
    }
    story
}

/// What the store says, and why a backend is asked if one is.
pub(super) fn told(looked: &Lookup) -> (String, Option<Reason>) {
    let because =
        |word: &str, reason: &Reason| (format!("{word}, {}: {}", reason.label(), reason.sentence()), Some(*reason));
    match looked {
        Lookup::Hit { ttl, .. } => (format!("hit: {}", status_of(CacheStatus::Hit { ttl: *ttl })), None),
        Lookup::Part { ttl, .. } => (format!("hit, in part: {}", status_of(CacheStatus::Hit { ttl: *ttl })), None),
        Lookup::StaleWhileRevalidate { ttl, .. } => {
            (format!("hit, stale, and refreshed meanwhile: {}", status_of(CacheStatus::Refreshing { ttl: *ttl })), None)
        }
        Lookup::Revalidate { reason, .. } => because("validated with the backend first", reason),
        Lookup::Range { reason, .. } => because("miss, of a range", reason),
        Lookup::Miss(reason) => because("miss", reason),
        Lookup::Pass(reason) => because("pass", reason),
        Lookup::Marked { .. } => because("pass", &Reason::Uncacheable),
        Lookup::GatewayTimeout => ("504: only-if-cached, and nothing is stored that would do".to_owned(), None),
    }
}

pub(super) fn status_of(status: CacheStatus) -> String {
    let mut text = Vec::new();
    status.write(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// So many seconds from a moment, as a date and relative to it.
fn moment(from: Now, seconds: i64) -> String {
    let date = date::written(from.unix_seconds().saturating_add_signed(seconds));
    let date = String::from_utf8_lossy(&date);
    match seconds {
        0.. => format!("{date}, for {seconds} s"),
        _ => format!("{date}, {} s ago", seconds.unsigned_abs()),
    }
}
