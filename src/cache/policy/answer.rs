//! An answer as it is kept: the head, and everything worked out of it once so that a hit parses nothing.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    date,
    directives::ResponseDirectives,
    freshness::{Lifetime, LifetimeSource, date_of, initial_age},
    kept::kept_head,
    tags::{self, Tags, Words},
    vary::Vary,
};
use crate::{
    cache::account::ALLOCATION_OVERHEAD,
    clock::Now,
    wire::{Fields, ResponseHead, fields::write_line},
};

/// The head of an answer that may be reused, with what the decisions need. Immutable.
#[derive(Clone, Debug)]
pub struct Answer {
    /// As the backend sent it, less Age and the fields that are not stored (RFC 9111 §3.1); with `Date`, and with
    /// `Content-Length` once the length is known.
    pub head: ResponseHead,
    /// `HTTP/1.1 200 OK CRLF` and all stored field lines, ready to write; Age, Connection and the empty line are not there.
    pub http1: Bytes,
    /// The head of a 304 in the same form: status line and the fields of RFC 9110 §15.4.5.
    pub not_modified_http1: Bytes,
    /// Length of the body in bytes; `None` while a body of unknown length is still arriving.
    pub length: Option<u64>,
    /// The entity tag, verbatim.
    pub etag: Option<Bytes>,
    /// Last-Modified, verbatim.
    pub last_modified: Option<Bytes>,
    /// Last-Modified in seconds since the Unix epoch, or Date where there is none (RFC 9111 §4.3.2); `None` if it is no date.
    pub modified_seconds: Option<i64>,
    /// Seconds for which the answer is fresh, counted from age 0 (RFC 9111 §4.2.1).
    pub lifetime: u64,
    /// Where the lifetime comes from.
    pub lifetime_source: LifetimeSource,
    /// Which of [`super::Policy::targeted_fields`] decided; `None`: Cache-Control did.
    pub targeted: Option<usize>,
    /// Age at `received` (RFC 9111 §4.2.3, corrected_initial_age).
    pub initial_age: Duration,
    /// When the head arrived.
    pub received: Instant,
    /// What the request must repeat (RFC 9111 §4.1).
    pub vary: Vary,
    /// `no-cache` without field names: validate before each use.
    pub no_cache: bool,
    /// Never to be used when stale: must-revalidate, proxy-revalidate, s-maxage or no-cache.
    pub must_revalidate: bool,
    /// A request with Authorization may be answered (RFC 9111 §3.5).
    pub shared_with_authorization: bool,
    /// `stale-if-error` in seconds, where the answer says one (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
    /// `stale-while-revalidate` in seconds, where the answer says one (RFC 5861 §3).
    pub stale_while_revalidate: Option<u64>,
    /// What it may be purged by: its tags (`Cache-Tag`, `Surrogate-Key`, `xkey`).
    pub tags: Words,
    /// And its groups, which belong to its origin (RFC 9875).
    pub groups: Words,
    /// How long the backend took for it: what giving it again spares.
    pub took: Duration,
    /// Age at which a soft purge ended its freshness.
    pub(crate) ended: Ended,
    pub(crate) edits: Option<Box<Edits>>,
}

/// The lines that the route's edits have taken out of the head as the backend sent it, and those that they have put in.
#[derive(Clone, Debug)]
pub(crate) struct Edits {
    pub(crate) taken: Fields,
    pub(crate) added: Fields,
}

/// An age in seconds from which an answer is stale, however long it was to be fresh.
#[derive(Debug)]
pub(crate) struct Ended(AtomicU64);

/// What an answer's own words decide, found while weighing whether it may be stored.
pub(crate) struct Terms {
    pub(crate) directives: ResponseDirectives,
    pub(crate) vary: Vary,
    pub(crate) tags: Tags,
    pub(crate) lifetime: Lifetime,
    pub(crate) length: Option<u64>,
}

impl Answer {
    /// Whether neither the answer nor the route says that it is for others, or for how long: it may be about whoever asked.
    pub(crate) fn may_be_personal(&self) -> bool {
        let is_guessed = matches!(self.lifetime_source, LifetimeSource::Heuristic | LifetimeSource::Nothing);
        is_guessed && !self.shared_with_authorization
    }

    /// Whether it is kept for its validator alone: it may be about one person and has no lifetime at all, so nobody is ever
    /// given it unasked.
    pub(crate) fn is_kept_to_validate(&self) -> bool {
        self.lifetime == 0 && self.may_be_personal()
    }

    /// The answer as it is kept.
    pub(crate) fn new(received_head: &ResponseHead, terms: Terms, requested: Now, answered: Now) -> Self {
        let Terms { directives, vary, tags: Tags { tags, groups }, lifetime, length } = terms;
        let now = answered.unix_seconds() as i64;
        let head = kept_head(received_head, &directives.withheld, length, answered);
        let field = |name: &str| head.fields.get(name).map(Bytes::copy_from_slice);
        let modified_seconds = match head.fields.get("last-modified") {
            Some(date) => date::parse(date, now),
            None => Some(date_of(&head.fields, answered)),
        };
        Self {
            http1: http1_of(&head),
            not_modified_http1: http1_of(&not_modified(&head)),
            length,
            etag: field("etag"),
            last_modified: field("last-modified"),
            modified_seconds,
            lifetime: lifetime.seconds,
            lifetime_source: lifetime.source,
            targeted: directives.targeted,
            initial_age: initial_age(&received_head.fields, requested, answered),
            received: answered.instant,
            vary,
            no_cache: directives.no_cache,
            // RFC 9111 §5.2.2.10: s-maxage implies proxy-revalidate.
            must_revalidate: directives.must_revalidate
                || directives.proxy_revalidate
                || directives.s_maxage.is_some()
                || directives.no_cache,
            shared_with_authorization: directives.public || directives.must_revalidate || directives.s_maxage.is_some(),
            stale_if_error: directives.stale_if_error,
            stale_while_revalidate: directives.stale_while_revalidate,
            tags,
            groups,
            took: answered.instant.saturating_duration_since(requested.instant),
            ended: Ended::default(),
            edits: None,
            head,
        }
    }

    /// Changes the head as clients get it; what was decided stays.
    pub(crate) fn edit_head(&mut self, edit: impl FnOnce(&mut ResponseHead)) {
        let before = self.head.fields.clone();
        edit(&mut self.head);
        self.head.fields.shrink();
        let edits = Edits {
            taken: lines_without(&before, &self.head.fields),
            added: lines_without(&self.head.fields, &before),
        };
        self.edits = (!edits.taken.is_empty() || !edits.added.is_empty()).then(|| Box::new(edits));
        self.write_heads();
    }

    /// Brings what is ready to write in line with the head.
    pub(crate) fn write_heads(&mut self) {
        self.http1 = http1_of(&self.head);
        self.not_modified_http1 = http1_of(&not_modified(&self.head));
    }

    /// The head before it was edited: what a 304 renews, and what is weighed anew then.
    pub(super) fn backends_head(&self) -> ResponseHead {
        let mut head = self.head.clone();
        if let Some(edits) = &self.edits {
            head.fields = lines_without(&head.fields, &edits.added);
            for (name, value) in edits.taken.iter() {
                head.fields.push(name, value);
            }
        }
        head
    }

    /// The same answer, now that its body is known to have this length.
    pub(crate) fn with_length(&self, length: u64) -> Self {
        let mut answer = self.clone();
        if self.length.is_none() {
            answer.head.fields.set("Content-Length", length.to_string());
            answer.head.fields.shrink();
            answer.http1 = http1_of(&answer.head);
            answer.length = Some(length);
        }
        answer
    }

    /// Age in whole seconds (RFC 9111 §4.2.3): what it had when it came, and the time that it has been here.
    pub fn age(&self, now: Now) -> u64 {
        self.initial_age.saturating_add(now.instant.saturating_duration_since(self.received)).as_secs()
    }

    /// Seconds of freshness left at this age; negative when stale.
    pub fn ttl(&self, age: u64) -> i64 {
        let whole = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        whole(self.lifetime.min(self.ended.age())).saturating_sub(whole(age))
    }

    /// It is stale from this age on: a soft purge. Only a validation makes it fresh again.
    pub(crate) fn end_freshness(&self, age: u64) {
        self.ended.0.fetch_min(age, Relaxed);
    }

    /// The age at which a soft purge ended its freshness, if one did.
    pub fn ended(&self) -> Option<u64> {
        Some(self.ended.age()).filter(|&age| age != u64::MAX)
    }

    /// Whether the backend can be asked if it still stands (RFC 9111 §4.3.1).
    pub(crate) fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Whether a request that came while the answer was being fetched may be given it: not if each use needs a
    /// validation of its own, or if it was stale when it came (RFC 9111 §4).
    pub fn is_shareable(&self) -> bool {
        !self.no_cache && self.lifetime > self.initial_age.as_secs()
    }

    /// Tells which fields of the head stand in the 304 that stands for this answer (RFC 9110 §15.4.5); Age beside them.
    pub fn repeated_in_not_modified(&self) -> impl Fn(&[u8]) -> bool {
        repeated_in_not_modified(&self.head)
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> u64 {
        let validators = self.etag.as_ref().map_or(0, Bytes::len) + self.last_modified.as_ref().map_or(0, Bytes::len);
        let (words, allocations) = tags::memory(&self.tags, &self.groups);
        let heads =
            self.head.fields.memory() + self.head.reason.len() + self.http1.len() + self.not_modified_http1.len();
        let edits = self.edits.as_ref().map_or(0, |edits| {
            size_of::<Edits>() + edits.taken.memory() + edits.added.memory() + 5 * ALLOCATION_OVERHEAD as usize
        });
        (size_of::<Self>() + edits + heads + validators + words + self.vary.memory()) as u64
            + (8 + allocations) as u64 * ALLOCATION_OVERHEAD
    }
}

impl Ended {
    fn age(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Default for Ended {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Clone for Ended {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.age()))
    }
}

/// The lines that the others do not have.
fn lines_without(lines: &Fields, others: &Fields) -> Fields {
    let mut left: Fields = lines.iter().filter(|line| !others.iter().any(|other| other == *line)).collect();
    left.shrink();
    left
}

/// The status line and the field lines.
fn http1_of(head: &ResponseHead) -> Bytes {
    let mut out = Vec::with_capacity(head.fields.memory() + 64);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(&head.reason);
    out.extend_from_slice(b"\r\n");
    for (name, value) in head.fields.iter() {
        write_line(&mut out, name, value);
    }
    Bytes::from(out.into_boxed_slice())
}

/// RFC 9110 §15.4.5: what a 304 must repeat, and Last-Modified where there is no entity tag to go by.
fn repeated_in_not_modified(head: &ResponseHead) -> impl Fn(&[u8]) -> bool + use<> {
    const REPEATED: [&str; 6] = ["cache-control", "content-location", "date", "etag", "expires", "vary"];
    let has_etag = head.fields.contains("etag");
    move |name| {
        REPEATED.iter().any(|repeated| repeated.as_bytes().eq_ignore_ascii_case(name))
            || (!has_etag && name.eq_ignore_ascii_case(b"last-modified"))
    }
}

fn not_modified(head: &ResponseHead) -> ResponseHead {
    let is_repeated = repeated_in_not_modified(head);
    let mut fields = head.fields.clone();
    fields.retain(|name, _| is_repeated(name));
    ResponseHead { version: head.version, status: 304, reason: b"Not Modified".into(), fields }
}

#[cfg(test)]
mod tests;
