//! `Cache-Status` (RFC 9211): what this cache did with a request.

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
    /// The word for the access log: why the backend was asked, or the answer not stored, or given although it is stale; as in
    /// `detail`, the metrics and explain. Empty for a plain hit.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Hit { .. } => "",
            Self::Refreshing { .. } => REFRESHING,
            Self::StaleHit { .. } => ON_ERROR,
            Self::Forwarded { reason, detail, .. } => detail.unwrap_or(reason).label(),
        }
    }

    /// Writes the member, without the field's name: `tidegate; hit; ttl=59`. Without the formatter, as nearly every answer
    /// has one.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Hit { ttl } => write_hit(out, ttl),
            Self::Refreshing { ttl } => {
                write_hit(out, ttl);
                write_word(out, "; detail=", REFRESHING);
            }
            Self::StaleHit { ttl, status, reason } => {
                write_forward(out, reason, status);
                write_number(out, "; ttl=", ttl.clamp(-NUMBER_MAX, NUMBER_MAX));
                write_word(out, "; detail=", ON_ERROR);
            }
            Self::Forwarded { reason, status, stored, collapsed, detail } => {
                write_forward(out, reason, status);
                if stored {
                    out.extend_from_slice(b"; stored");
                }
                if collapsed {
                    out.extend_from_slice(b"; collapsed");
                }
                // The forward word of some reasons is wider than they are: then the reason itself is the detail.
                let is_wide = matches!(reason.forward_word(), "bypass" | "request") || reason == Reason::Uncacheable;
                if let Some(detail) = detail.or(is_wide.then_some(reason)) {
                    write_word(out, "; detail=", detail.label());
                }
            }
        }
    }
}

fn write_hit(out: &mut Vec<u8>, ttl: i64) {
    write_number(out, "tidegate; hit; ttl=", ttl.clamp(-NUMBER_MAX, NUMBER_MAX));
}

fn write_forward(out: &mut Vec<u8>, reason: Reason, status: Option<u16>) {
    write_word(out, "tidegate; fwd=", reason.forward_word());
    if let Some(status) = status {
        write_number(out, "; fwd-status=", status);
    }
}

fn write_word(out: &mut Vec<u8>, parameter: &str, word: &str) {
    out.extend_from_slice(parameter.as_bytes());
    out.extend_from_slice(word.as_bytes());
}

fn write_number(out: &mut Vec<u8>, parameter: &str, number: impl itoa::Integer) {
    write_word(out, parameter, itoa::Buffer::new().format(number));
}

/// The words for what is given although it is stale.
const REFRESHING: &str = "stale_while_revalidate";
const ON_ERROR: &str = "stale_on_error";

/// What Structured Fields know of numbers ends at fifteen digits (RFC 8941 §3.3.1).
const NUMBER_MAX: i64 = 999_999_999_999_999;

#[cfg(test)]
mod tests;
