//! An answer as it is kept: the head, and everything worked out of it once so that a hit parses nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::vary::Vary;
use crate::{clock::Now, wire::ResponseHead};

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
    /// Last-Modified in seconds since the Unix epoch, where it is a date.
    pub last_modified_seconds: Option<i64>,
    /// Seconds for which the answer is fresh, counted from age 0 (RFC 9111 §4.2.1).
    pub lifetime: u64,
    /// Age at `received` (RFC 9111 §4.2.3, corrected_initial_age).
    pub initial_age: Duration,
    /// When the head arrived.
    pub received: Instant,
    /// What the request must repeat (RFC 9111 §4.1).
    pub vary: Vary,
    /// `no-cache` without field names: validate before each use.
    pub no_cache: bool,
    /// Never to be used stale: must-revalidate, proxy-revalidate, s-maxage or no-cache.
    pub must_revalidate: bool,
    /// A request with Authorization may be answered (RFC 9111 §3.5).
    pub shared_with_authorization: bool,
    /// `stale-if-error` in seconds, where the answer says one (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
}

/// One stored answer, whole and immutable.
#[derive(Debug)]
pub struct Stored {
    /// The head and what was worked out of it.
    pub answer: Arc<Answer>,
    /// The whole body, shared with every reader.
    pub body: Arc<Body>,
}

/// The body of a stored answer. It counts against the byte bound until its last reader lets go of it.
#[derive(Debug)]
pub struct Body {
    chunks: Box<[Bytes]>,
    length: u64,
}

impl Body {
    /// A body of these pieces.
    pub fn new(chunks: Vec<Bytes>) -> Self {
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self { chunks: chunks.into_boxed_slice(), length }
    }

    /// The pieces, none of them empty.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Answer {
    /// Age in whole seconds (RFC 9111 §4.2.3): what it had when it came, and the time that it has been here.
    pub fn age(&self, now: Now) -> u64 {
        self.initial_age.saturating_add(now.instant.saturating_duration_since(self.received)).as_secs()
    }

    /// Seconds of freshness left; negative when stale.
    pub fn ttl(&self, now: Now) -> i64 {
        let (lifetime, age) = (self.lifetime.min(i64::MAX as u64) as i64, self.age(now).min(i64::MAX as u64) as i64);
        lifetime.saturating_sub(age)
    }
}
