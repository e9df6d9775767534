//! The time of one request, read once and passed on.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment on both clocks: the monotonic one for durations, the wall's for dates.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines and elapsed time.
    pub instant: Instant,
    /// Since the Unix epoch, for dates and logs.
    pub unix: Duration,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Self {
        Self { instant: Instant::now(), unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// Whole seconds since the Unix epoch.
    pub fn unix_seconds(&self) -> u64 {
        self.unix.as_secs()
    }
}
