//! `Cache-Status` (RFC 9211): what this cache did with a request.

use super::Reason;

/// What is to be said in one member of `Cache-Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// Answered from the store, with the seconds of freshness left (RFC 9211 §2.1, §2.4).
    Hit { ttl: i64 },
    /// Answered from the store although stale, because of the backend's failure or on the client's word.
    StaleHit { ttl: i64, reason: Reason },
    /// The backend was asked (RFC 9211 §2.2).
    Forwarded {
        /// Why it was.
        reason: Reason,
        /// The backend's status, where it isn't the one sent (RFC 9211 §2.3): 304 to a validation.
        status: Option<u16>,
        /// The answer went into the store (RFC 9211 §2.5).
        stored: bool,
        /// This request shared another's fetch (RFC 9211 §2.6).
        collapsed: bool,
        /// Why it was not stored, if that has a reason of its own.
        detail: Option<Reason>,
    },
}

impl CacheStatus {
    /// Writes the member, without the field's name: `tidegate; hit; ttl=59`.
    pub fn write(self, out: &mut Vec<u8>) {
        let _ = out;
    }
}
