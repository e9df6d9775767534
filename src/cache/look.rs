//! Looking into the store for the operator: the answers under a URL, and those that are worth most.
//!
//! Nothing here marks an entry as asked for, and nothing is locked for longer than one look takes; a walk through the whole
//! table goes beside those who use it and holds no more rows than are wanted.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use super::{Cache, Stored, purge::Purged};
use crate::{clock::Now, wire::ResponseHead};

/// One stored answer as an operator sees it.
#[derive(Clone, Debug)]
pub struct EntryView {
    /// What it is stored under, as [`super::key::build`] and the gateway wrote it.
    pub key: Vec<u8>,
    /// The head as it is kept, without Age.
    pub head: ResponseHead,
    /// Age in seconds (RFC 9111 §4.2.3).
    pub age: u64,
    /// Seconds of freshness left; negative when stale.
    pub ttl: i64,
    /// Seconds for which it was to be fresh, counted from age 0.
    pub lifetime: u64,
    /// A soft purge has ended its freshness before its time.
    pub purged: bool,
    /// Seconds since the Unix epoch at which it was stored or last validated.
    pub stored_at: u64,
    /// How long the backend took for its head, in seconds.
    pub took: f64,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Bytes that it holds of the capacity.
    pub bytes: u64,
    /// How often it was given from the store.
    pub hits: u64,
    /// The request fields that it depends on, in lower case, and the values that a request must have; `None`: must lack.
    pub vary: Vec<(String, Option<Vec<u8>>)>,
    /// Its tags.
    pub tags: Vec<Vec<u8>>,
    /// Its groups (RFC 9875).
    pub groups: Vec<Vec<u8>>,
}

/// One row of the most valuable answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopEntry {
    /// What they are ranked by: hits, or bytes saved.
    pub value: u64,
    /// How often it was given.
    pub hits: u64,
    /// Bytes of bodies that its backend was spared.
    pub bytes_saved: u64,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Status of the answer.
    pub status: u16,
    /// What it is stored under.
    pub key: Vec<u8>,
}

/// What answers are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopBy {
    /// How often an answer was given.
    Hits,
    /// Bytes of the bodies that were given: of ranges the ranges alone, and none with a 304 or to HEAD.
    BytesSaved,
}

impl Cache {
    /// The answers under this base of keys, at most `limit`, with all that is known of them.
    pub fn entries_under(&self, base: &[u8], limit: usize, now: Now) -> Vec<EntryView> {
        let mut found: Vec<(Arc<[u8]>, Arc<Stored>)> = Vec::new();
        self.store.visit(&Purged::Url(base.to_vec()), |resource| {
            let variants = resource.variants();
            let given = variants.iter().filter(|stored| !stored.is_struck()).take(limit - found.len());
            found.extend(given.map(|stored| (resource.key().clone(), stored.clone())));
            found.len() < limit
        });
        found.into_iter().map(|(key, stored)| EntryView::of(&key, &stored, now)).collect()
    }

    /// The answers that are worth most, best first, at most `limit`. Walks through everything: for a thread that may block.
    pub fn top(&self, by: TopBy, limit: usize) -> Vec<TopEntry> {
        let limit = limit.min(TOP_MAX);
        let mut best: BinaryHeap<Reverse<TopEntry>> = BinaryHeap::with_capacity(limit + 1);
        for resource in self.store.resources() {
            for stored in resource.variants().iter().filter(|stored| !stored.is_struck() && stored.hits() > 0) {
                let value = by.value(stored);
                if best.len() < limit || best.peek().is_some_and(|least| value > least.0.value) {
                    best.push(Reverse(TopEntry::of(value, resource.key(), stored)));
                }
                if best.len() > limit {
                    best.pop();
                }
            }
        }
        best.into_sorted_vec().into_iter().map(|Reverse(row)| row).collect()
    }
}

impl EntryView {
    fn of(key: &[u8], stored: &Stored, now: Now) -> Self {
        let answer = &stored.answer;
        let (age, owned) = (answer.age(now), |words: &[Box<[u8]>]| words.iter().map(|word| word.to_vec()).collect());
        let resident = now.instant.saturating_duration_since(answer.received);
        let vary = answer.vary.values().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect();
        Self {
            key: key.to_vec(),
            head: answer.head.clone(),
            age,
            ttl: answer.ttl(age),
            lifetime: answer.lifetime,
            purged: answer.ended().is_some(),
            stored_at: now.unix.saturating_sub(resident).as_secs(),
            took: answer.took.as_secs_f64(),
            body_bytes: stored.body.length(),
            bytes: stored.cost(),
            hits: stored.hits(),
            vary,
            tags: owned(&answer.tags),
            groups: owned(&answer.groups),
        }
    }
}

impl TopEntry {
    fn of(value: u64, key: &[u8], stored: &Stored) -> Self {
        let (hits, body_bytes, status) = (stored.hits(), stored.body.length(), stored.answer.head.status);
        Self { value, hits, bytes_saved: stored.given_bytes(), body_bytes, status, key: key.to_vec() }
    }
}

impl TopBy {
    fn value(self, stored: &Stored) -> u64 {
        match self {
            Self::Hits => stored.hits(),
            Self::BytesSaved => stored.given_bytes(),
        }
    }
}

/// Rows of one ranking at most.
pub const TOP_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
