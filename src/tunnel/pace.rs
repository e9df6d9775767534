//! Who is told to go when: pure, with time and chance as values.
//!
//! A drain that told everybody at once would have everybody come back at once. So the closes are spread: one in each
//! slot of a second's `rate`th part, at a random moment of its slot, those that were silent longest first.

use std::time::{Duration, Instant};

/// The moments of one drain, one after another.
#[derive(Clone, Debug)]
pub struct Pace {
    slot: Instant,
    length: Duration,
}

impl Pace {
    /// At most `rate` in a second from `now` on; zero counts as one.
    pub fn new(rate: u32, now: Instant) -> Self {
        Self { slot: now, length: Duration::from_secs(1) / rate.max(1) }
    }

    /// Waits behind those of another pace who have not had their turn.
    pub fn queue_behind(&mut self, other: &Self) {
        self.slot = self.slot.max(other.slot);
    }

    /// The next moment; `chance`, from 0 to 1, says where in its slot.
    pub fn next(&mut self, chance: f64) -> Instant {
        let moment = self.slot + self.length.mul_f64(chance);
        self.slot += self.length;
        moment
    }

    /// Leaves so many turns to others, who come first.
    pub fn skip(&mut self, turns: usize) {
        self.slot += self.length.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX));
    }

    /// Gives each of `silent` its moment; those with the longest silence come first. Equal ones keep their order.
    pub fn plan<T>(
        &mut self,
        mut silent: Vec<(Duration, T)>,
        mut chance: impl FnMut() -> f64,
    ) -> impl Iterator<Item = (Instant, T)> {
        silent.sort_by_key(|(silence, _)| std::cmp::Reverse(*silence));
        silent.into_iter().map(move |(_, one)| (self.next(chance()), one))
    }
}

#[cfg(test)]
mod tests;
