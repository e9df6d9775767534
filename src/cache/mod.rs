//! What can be kept, and what may be given again (RFC 9111).
//!
//! The cache is handed heads and bytes and never knows an upstream or a socket. `policy` is pure; `store` holds the
//! entries; `fill` lets one fetch serve everybody who asked for the same thing meanwhile.
//!
//! One GET, seen from the gateway:
//! 1. [`key::build`], then [`Cache::lookup`].
//! 2. [`Lookup::Hit`]: [`conditional::evaluate`], then the 304 or `answer.http1` + `Age` + `body`.
//! 3. [`Lookup::Miss`] and [`Lookup::Revalidate`]: [`Cache::begin_fill`]. A follower waits on [`Follower::head`]. The leader
//!    asks the backend: on a miss without the client's If-None-Match and If-Modified-Since (so that the answer serves all;
//!    `conditional::evaluate` answers them afterwards), on a validation with [`policy::validation_fields`] in their place.
//!    - 304 to a validation: [`Leader::freshen`];
//!    - no answer, or a 5xx, and [`Cache::stale_usable`]: [`Leader::resolve`];
//!    - else [`Cache::storable`]: `Ok` → [`Leader::begin`] and push the body, `Err` → [`Leader::pass`] and stream it.
//! 4. [`Lookup::Pass`]: ask the backend with the request as it is and store nothing. After a 2xx or 3xx to an unsafe
//!    method: [`Cache::invalidate`].

pub mod fill;
pub mod key;
pub mod policy;
mod reason;
mod status;

use std::sync::Arc;

pub use fill::{Begin, Fill, FillFailed, Finished, Follower, FollowerOutcome, Leader, Reader};
pub use policy::{Answer, BackendFailure, Body, Exchange, Plan, Policy, Stored, conditional};
pub use reason::Reason;
pub use status::CacheStatus;

use crate::{
    clock::Now,
    config,
    metrics::Registry,
    wire::{RequestHead, ResponseHead},
};

/// The store and the fetches under way. One for the process.
pub struct Cache {}

/// What the store says to a request.
#[derive(Debug)]
pub enum Lookup {
    /// Answer from the store; `age` and `ttl` in seconds (a negative ttl was allowed by max-stale).
    Hit {
        /// The answer.
        stored: Arc<Stored>,
        /// For the Age field.
        age: u64,
        /// Freshness left.
        ttl: i64,
    },
    /// Stored, but to be validated first, with [`policy::validation_fields`] (none, if it has no validator).
    Revalidate {
        /// The answer to validate.
        stored: Arc<Stored>,
        /// Why.
        reason: Reason,
    },
    /// Fetch it through [`Cache::begin_fill`]; the answer may be stored.
    Miss(Reason),
    /// Fetch it without queueing, and don't store: the request or an earlier answer forbids it.
    Pass(Reason),
    /// `only-if-cached` and nothing usable: 504 (RFC 9111 §5.2.1.7).
    GatewayTimeout,
}

impl Cache {
    /// An empty cache. Its figures are scraped from `registry`.
    pub fn new(config: &config::Cache, registry: &Registry) -> Arc<Self> {
        let _ = (config, registry);
        Arc::new(Self {})
    }

    /// What the store has for this request. No allocation and no copy on a hit.
    pub fn lookup(&self, key: &[u8], request: &RequestHead, policy: &Policy, now: Now) -> Lookup {
        let _ = (key, request, policy, now);
        Lookup::Pass(Reason::Off)
    }

    /// Joins the fetch under way for this key and these nominated fields, or becomes its leader.
    pub fn begin_fill(self: &Arc<Self>, key: &[u8], request: &RequestHead) -> Begin {
        let _ = (key, request);
        Begin::Leader(Leader {})
    }

    /// Whether the answer may be stored (RFC 9111 §3); says why not.
    pub fn storable(&self, exchange: &Exchange<'_>, head: &ResponseHead) -> Result<Plan, Reason> {
        policy::storable(exchange, head)
    }

    /// Merges a 304 into the stored answer and stores that, if the answer validated is still there (RFC 9111 §4.3.4).
    /// For a validation outside a fill; a leader uses [`Leader::freshen`]. `Err`: the 304 is about another representation
    /// (the stored one is dropped); ask again without conditions.
    pub fn freshen(
        &self,
        key: &[u8],
        exchange: &Exchange<'_>,
        stored: &Arc<Stored>,
        not_modified: &ResponseHead,
    ) -> Result<Arc<Stored>, Reason> {
        let _ = (key, exchange, not_modified);
        Ok(stored.clone())
    }

    /// Whether this stored answer may be sent although the backend failed (RFC 9111 §4.2.4, RFC 5861 §4).
    pub fn stale_usable(
        &self,
        request: &RequestHead,
        answer: &Answer,
        failure: BackendFailure,
        policy: &Policy,
        now: Now,
    ) -> bool {
        let _ = (request, answer, failure, policy, now);
        false
    }

    /// Forgets everything under this key; fetches under way are not stored and take no further followers (RFC 9111 §4.4).
    pub fn invalidate(&self, key: &[u8]) {
        let _ = key;
    }
}
