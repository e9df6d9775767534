//! How often something may happen: pure, with time as a value (the "generic cell rate algorithm" of ITU-T I.371, as a virtual
//! queue of which only the end is kept).

use std::time::{Duration, Instant};

/// So many in a second, and a second's worth at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    per_second: u32,
}

/// When the last one that was let in is paid for. A moment that has passed says that nothing is owed.
pub(super) type Due = Option<Instant>;

impl Rate {
    /// Zero counts as one.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1) }
    }

    /// What is due once one more is let in; `Err` says after how long it would be.
    pub(super) fn admit(self, due: Due, now: Instant) -> Result<Due, Duration> {
        let each = Duration::from_secs(1) / self.per_second;
        let due = due.map_or(now, |due| due.max(now)) + each;
        // What can't be divided without a rest must not cost the last of a second.
        let most = each * self.per_second;
        match (due - now).checked_sub(most) {
            Some(early) if !early.is_zero() => Err(early),
            _ => Ok(Some(due)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The twin counts tokens: a bucket of a second's worth that fills evenly.
        #[test]
        fn it_lets_in_what_a_bucket_of_tokens_would(
            per_second in 1_u32..=1000,
            pauses in prop::collection::vec(0_u64..=2_000_000, 1..200),
        ) {
            let (rate, mut now) = (Rate::new(per_second), Instant::now());
            // In nanoseconds of waiting, so that the twin has no fractions either.
            let each = 1_000_000_000 / u64::from(per_second);
            let (most, mut full) = (each * u64::from(per_second), each * u64::from(per_second));
            let mut due = None;
            for pause in pauses {
                now += Duration::from_micros(pause);
                full = (full + pause * 1000).min(most);
                match rate.admit(due, now) {
                    Ok(then) => {
                        prop_assert!(full >= each);
                        full -= each;
                        due = then;
                    }
                    Err(after) => {
                        prop_assert!(full < each);
                        prop_assert_eq!(after.as_nanos() as u64, each - full);
                    }
                }
            }
        }
    }
}
