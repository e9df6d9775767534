//! The time of one request, read once and passed on; and what is to be told now and then only.

mod seldom;

pub use seldom::Seldom;

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
            let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = Self::pair(Instant::now, wall).back_to(instant);
            READ.set(Some(now));
            now
        })
    }

    /// Reads both clocks as at one moment. A thread that is put off between two readings would pair moments that lie far
    /// apart, and all that it dates within a second: then it reads again, and of a few tries the closest counts.
    fn pair(instant: impl Fn() -> Instant, wall: impl Fn() -> Duration) -> Self {
        let read = || {
            let (before, unix) = (instant(), wall());
            let apart = instant().saturating_duration_since(before);
            (apart, Self { instant: before, unix })
        };
        let mut closest = read();
        for _ in 1..PAIR_TRIES {
            if closest.0 < PAIR_APART {
                break;
            }
            let again = read();
            if again.0 < closest.0 {
                closest = again;
            }
        }
        closest.1
    }

    /// The same for a moment before it; a later one stands for this one.
    fn back_to(self, instant: Instant) -> Self {
        Self { instant, unix: self.unix.saturating_sub(self.instant.saturating_duration_since(instant)) }
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
/// Readings of both clocks that are closer to each other are as good as one.
const PAIR_APART: Duration = Duration::from_micros(100);
/// More than that are put off by a machine that has other things to do, and time is of no great concern there.
const PAIR_TRIES: usize = 4;

thread_local! {
    /// Both clocks as this thread read them last.
    static READ: Cell<Option<Now>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests;
