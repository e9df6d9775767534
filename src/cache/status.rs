//! `Cache-Status` (RFC 9211): what this cache did with a request.

use std::io::Write;

use super::Reason;

/// What is to be said in one member of `Cache-Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// Answered from the store (RFC 9211 §2.1).
    Hit {
        /// Seconds of freshness left; negative when stale (RFC 9211 §2.4).
        ttl: i64,
    },
    /// Answered from the store, stale, while it is asked for anew (RFC 5861 §3).
    Refreshing {
        /// Seconds of freshness left: none, or less.
        ttl: i64,
    },
    /// Answered from the store, stale, because the backend failed.
    StaleHit {
        /// Negative seconds of freshness.
        ttl: i64,
        /// The backend's status, if it gave one.
        status: Option<u16>,
        /// Why the backend was asked in the first place.
        reason: Reason,
    },
    /// The backend was asked (RFC 9211 §2.2).
    Forwarded {
        /// Why it was.
        reason: Reason,
        /// The backend's status, where it isn't the one sent (RFC 9211 §2.3): 304 to a validation.
        status: Option<u16>,
        /// The answer goes into the store (RFC 9211 §2.5).
        stored: bool,
        /// This request shared another's fetch (RFC 9211 §2.6).
        collapsed: bool,
        /// Why it was not stored, if that has a reason of its own (RFC 9211 §2.8).
        detail: Option<Reason>,
    },
}

impl CacheStatus {
    /// Writes the member, without the field's name: `tidegate; hit; ttl=59`.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"tidegate");
        // Invariant: writing to a Vec can't fail.
        let _ = match self {
            Self::Hit { ttl } => write!(out, "; hit; ttl={ttl}"),
            Self::Refreshing { ttl } => write!(out, "; hit; ttl={ttl}; detail=stale_while_revalidate"),
            Self::StaleHit { ttl, status, reason } => {
                let _ = write!(out, "; fwd={}", reason.forward_word());
                if let Some(status) = status {
                    let _ = write!(out, "; fwd-status={status}");
                }
                write!(out, "; ttl={ttl}; detail=stale_on_error")
            }
            Self::Forwarded { reason, status, stored, collapsed, detail } => {
                let _ = write!(out, "; fwd={}", reason.forward_word());
                if let Some(status) = status {
                    let _ = write!(out, "; fwd-status={status}");
                }
                if stored {
                    out.extend_from_slice(b"; stored");
                }
                if collapsed {
                    out.extend_from_slice(b"; collapsed");
                }
                // The forward word of some reasons is wider than they are: then the reason itself is the detail.
                let is_wide = matches!(reason.forward_word(), "bypass" | "request") || reason == Reason::Uncacheable;
                let wide = is_wide.then_some(reason);
                match detail.or(wide) {
                    Some(detail) => write!(out, "; detail={}", detail.label()),
                    None => Ok(()),
                }
            }
        };
    }
}

#[cfg(test)]
mod tests;
