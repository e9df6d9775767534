//! What is counted where an answer is given whose body comes from the store, or from another's fetch: how often each was,
//! and what the backends were spared by it.

use std::time::Duration;

use super::{
    Answer, Cache, Stored, Wanted,
    conditional::{self, Condition},
    policy::{Wants, range},
};
use crate::wire::RequestHead;

/// How often an answer was given, and the bytes of bodies that went out with that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) hits: u64,
    pub(crate) bytes: u64,
}

/// What those have been given who share a body whose length may not be known before its end.
#[derive(Debug, Default)]
pub(super) struct Shared {
    hits: u64,
    wholes: u64,
    /// Of those who take less than the whole.
    bytes: u64,
}

impl Cache {
    /// Counts that a request is given what is wanted of an answer as it is: nothing of its body with a 304, or to HEAD.
    pub(super) fn count_given(&self, stored: &Stored, request: &RequestHead, wants: Wants, wanted: &Wanted) {
        let bytes = if is_bare(request, wants, &stored.answer) { 0 } else { wanted.bytes(stored.body.length()) };
        stored.count_hit(bytes);
        self.metrics.saved.count(bytes, stored.answer.took);
    }

    /// Counts that a request is given an answer that another's fetch has brought into the store.
    pub fn count_shared(&self, stored: &Stored, request: &RequestHead) {
        self.count_spared(stored, request, stored.answer.took);
    }

    /// Counts that a request is given a stored answer although a backend was asked for it, and has validated it or failed:
    /// that has spared the body, and no time.
    pub fn count_kept(&self, stored: &Stored, request: &RequestHead) {
        self.count_spared(stored, request, Duration::ZERO);
    }

    fn count_spared(&self, stored: &Stored, request: &RequestHead, took: Duration) {
        let bytes = less_than_whole(request, &stored.answer).unwrap_or(stored.body.length());
        stored.count_hit(bytes);
        self.metrics.saved.count(bytes, took);
    }

    /// Counts what those were given who shared a body that has come to its end; before they learn of that.
    pub(super) fn count_all(&self, given: Given, answer: &Answer, stored: Option<&Stored>) {
        let hits = u32::try_from(given.hits).unwrap_or(u32::MAX);
        self.metrics.saved.count(given.bytes, answer.took.saturating_mul(hits));
        if let Some(stored) = stored {
            stored.count_all(given);
        }
    }
}

impl Shared {
    /// One more shares the body.
    pub(super) fn add(&mut self, request: &RequestHead, answer: &Answer) {
        self.hits += 1;
        match less_than_whole(request, answer) {
            Some(bytes) => self.bytes = self.bytes.saturating_add(bytes),
            None => self.wholes += 1,
        }
    }

    /// What that comes to, as the body turns out to be of this length.
    pub(super) fn of_length(&self, length: u64) -> Given {
        Given { hits: self.hits, bytes: self.bytes.saturating_add(self.wholes.saturating_mul(length)) }
    }
}

/// What a request takes of the body, if that is less than the whole.
fn less_than_whole(request: &RequestHead, answer: &Answer) -> Option<u64> {
    let wants = Wants::of(&request.fields);
    if is_bare(request, wants, answer) {
        return Some(0);
    }
    match wanted(request, wants, answer) {
        Wanted::Whole => None,
        parts => Some(parts.bytes(0)),
    }
}

/// What a request wants of the body. RFC 9110 §14.2: Range is for GET alone.
pub(super) fn wanted(request: &RequestHead, wants: Wants, answer: &Answer) -> Wanted {
    let is_ranged = wants.range && request.method == http::Method::GET;
    if is_ranged { range::evaluate(request, answer) } else { Wanted::Whole }
}

/// Whether the answer goes out without its body: to HEAD, and as a 304.
fn is_bare(request: &RequestHead, wants: Wants, answer: &Answer) -> bool {
    request.method == http::Method::HEAD
        || (wants.condition && conditional::evaluate(request, answer) == Condition::NotModified)
}
