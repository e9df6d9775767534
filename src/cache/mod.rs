//! What can be kept, and what may be given again (RFC 9111).
//!
//! The cache is handed heads and bytes and never knows an upstream or a socket. `policy` is pure; `store` holds the
//! entries; `fill` lets one fetch serve everybody who asked for the same thing meanwhile.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    clock::Now,
    config,
    metrics::Registry,
    wire::{RequestHead, ResponseHead},
};

/// The store and the fetches under way. One for the process.
pub struct Cache {}

/// One stored answer, immutable once stored.
pub struct Stored {
    /// As the backend sent it, less the fields that are not stored (RFC 9111 §3.1).
    pub head: ResponseHead,
    /// `HTTP/1.1 200 OK CRLF` and all stored field lines except Age, ready to write; the empty line is not there.
    pub http1: Bytes,
    /// The whole body.
    pub body: Vec<Bytes>,
    /// Bytes of the body.
    pub length: u64,
}

/// What the store says to a request.
pub enum Lookup {
    /// Answer from the store; `age` and `ttl` in seconds (a negative ttl was allowed by max-stale).
    Hit { stored: Arc<Stored>, age: u64, ttl: i64 },
    /// Stored, but to be validated first: send `conditions` along (If-None-Match, If-Modified-Since).
    Revalidate { stored: Arc<Stored>, reason: Reason },
    /// Fetch it; the answer may be stored.
    Miss(Reason),
    /// Fetch it without queueing, and don't store: the request or an earlier answer forbids it.
    Pass(Reason),
    /// `only-if-cached` and nothing usable: 504 (RFC 9111 §5.2.1.7).
    GatewayTimeout,
}

/// Why: one closed list for Cache-Status, log, metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    Hit,
    UriMiss,
    VaryMiss,
    Stale,
    RequestNoCache,
    Method,
    Bypass,
    Uncacheable,
}

/// The route's part in the decision.
#[derive(Clone, Debug)]
pub struct Policy {
    pub store_set_cookie: bool,
    pub client_cache_control: bool,
    pub heuristic: Option<Duration>,
    pub stale_if_error: Duration,
}

impl Cache {
    pub fn new(config: &config::Cache, registry: &Registry) -> Arc<Self> {
        let _ = (config, registry);
        Arc::new(Self {})
    }

    pub fn lookup(&self, key: &[u8], request: &RequestHead, policy: &Policy, now: Now) -> Lookup {
        let _ = (key, request, policy, now);
        Lookup::Pass(Reason::Bypass)
    }
}
