//! When a stale answer may be asked for anew behind the clients' backs (RFC 5861 §3): by one at a time, and after a pause
//! if that did not bring a fresh one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::cache::Stored;

/// From the beginning of one refresh to that of the next, as long as they bring nothing. A backend in trouble is not
/// asked by each hit.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(2);

/// Part of a stored answer. Its successor has a new one.
#[derive(Debug, Default)]
pub(crate) struct RefreshGate {
    /// Milliseconds after the answer came, before which nobody begins; [`UNDER_WAY`] while somebody is at it.
    opens: AtomicU64,
}

/// The one who is at it.
#[derive(Debug)]
pub(super) struct Claim {
    stored: Arc<Stored>,
    reopens: u64,
}

impl Claim {
    /// For the first who asks; one atomic read for all who come meanwhile.
    pub(super) fn of(stored: &Arc<Stored>, now: Instant) -> Option<Self> {
        let since = |at: Instant| at.saturating_duration_since(stored.answer.received).as_millis() as u64;
        let opens = stored.refresh.opens.load(Relaxed);
        let is_first =
            opens <= since(now) && stored.refresh.opens.compare_exchange(opens, UNDER_WAY, Relaxed, Relaxed).is_ok();
        is_first.then(|| Self { stored: stored.clone(), reopens: since(now + REFRESH_PAUSE) })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.stored.refresh.opens.store(self.reopens, Relaxed);
    }
}

const UNDER_WAY: u64 = u64::MAX;
