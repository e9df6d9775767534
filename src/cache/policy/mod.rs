//! The rules, pure: heads, the route's policy and `now` in, a decision with its reason out (RFC 9111).
//!
//! No lock, no clock, no runtime. What is not understood is not stored, and what is malformed is read in the careful sense.

pub(crate) mod answer;
pub mod conditional;
pub mod content_range;
pub mod date;
mod directives;
pub mod explain;
mod freshness;
mod kept;
mod location;
pub mod range;
mod reuse;
mod storable;
mod structured;
pub mod tags;
mod targeted;
mod validate;
pub mod vary;
mod wants;

use std::{sync::Arc, time::Duration};

pub use answer::Answer;
pub use freshness::LifetimeSource;
pub use location::same_origin_target;
pub use reuse::Reuse;
pub(crate) use reuse::{reuse, stale_usable};
pub(crate) use storable::{storable, storable_for_get};
pub use validate::validation_fields;
pub(crate) use validate::{Freshened, Headed, freshened, headed};
pub(crate) use wants::Wants;

use crate::{
    clock::Now,
    wire::{RequestHead, ResponseHead},
};

/// The route's part in the decision.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Store answers with Set-Cookie as RFC 9111 allows; else only with `public` or `s-maxage`.
    pub store_set_cookie: bool,
    /// Honour Cache-Control and Pragma of the request (RFC 9111 §5.2.1, §5.4).
    pub client_cache_control: bool,
    /// Heuristic freshness (RFC 9111 §4.2.2) up to this; `None` is off.
    pub heuristic: Option<Duration>,
    /// Serve stale on 500, 502, 503, 504 for this long after freshness ended, where the answer says nothing (RFC 5861 §4).
    pub stale_if_error: Duration,
    /// Serve stale and refresh meanwhile for this long after freshness ended, where the answer says nothing (RFC 5861 §3).
    pub stale_while_revalidate: Duration,
    /// Lifetime of a 200 that says nothing of its own (no Cache-Control, no Expires, no valid targeted field), for backends
    /// that never do; `None` gives it none. Not for requests with Cookie or Authorization, nor for answers with Set-Cookie.
    pub default_ttl: Option<Duration>,
    /// Targeted fields (RFC 9213), in lower case; the first that is there and valid counts instead of Cache-Control.
    pub targeted_fields: Arc<[Box<str>]>,
}

/// One request to the backend and its times.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// As the client sent it.
    pub request: &'a RequestHead,
    /// The route's policy.
    pub policy: &'a Policy,
    /// When the request went to the backend.
    pub requested: Now,
    /// When the head of the answer arrived.
    pub answered: Now,
}

/// How the backend failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendFailure {
    /// No connection, a time-out, or a connection that ended before an answer.
    Unreachable,
    /// An answer with this status.
    Status(u16),
}

/// Leave to store: the answer as it will be kept.
#[derive(Debug)]
pub struct Plan {
    pub(crate) answer: Answer,
}

impl Plan {
    /// The answer as it will be kept; its length is known if the backend announced it.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Changes the head as it will be kept, if there is anything to change; what was decided from the backend's own head
    /// stays.
    #[must_use]
    pub fn edit(mut self, edit: Option<impl FnOnce(&mut ResponseHead)>) -> Self {
        if let Some(edit) = edit {
            self.answer.edit_head(edit);
        }
        self
    }
}

#[cfg(test)]
pub(crate) use super::testing;
#[cfg(test)]
mod tests;
