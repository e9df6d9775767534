//! The time of one request, read once and passed on.

use std::{
    cell::Cell,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// One moment on both clocks: the monotonic one for durations, the wall's for dates.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines and elapsed time.
    pub instant: Instant,
    /// Since the Unix epoch, for dates and logs.
    pub unix: Duration,
}

impl Now {
    /// Reads the monotonic clock. The wall's was read by this thread within the last second, and what has gone by since is
    /// added: a clock that is set meanwhile is noticed a second later at most.
    pub fn read() -> Self {
        Self::at(Instant::now())
    }

    /// The same for a moment that was read just now.
    pub fn at(instant: Instant) -> Self {
        let known = READ.get().and_then(|read| read.seen_from(instant));
        known.unwrap_or_else(|| {
            let now = Self { instant, unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() };
            READ.set(Some(now));
            now
        })
    }

    /// This moment carried on to a later one, if that is near enough.
    fn seen_from(self, instant: Instant) -> Option<Self> {
        let gone = instant.checked_duration_since(self.instant)?;
        (gone < WALL_STANDS).then(|| Self { instant, unix: self.unix + gone })
    }

    /// Whole seconds since the Unix epoch.
    pub fn unix_seconds(&self) -> u64 {
        self.unix.as_secs()
    }
}

/// For how long a reading of the wall's clock is carried on.
const WALL_STANDS: Duration = Duration::from_secs(1);

thread_local! {
    /// Both clocks as this thread read them last.
    static READ: Cell<Option<Now>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests;
