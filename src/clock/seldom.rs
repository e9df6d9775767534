//! Messages that repeat: one now and then, with the number of those that were held back.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lets one message through in each interval.
pub struct Seldom {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl Seldom {
    /// None was let through yet.
    pub fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::default() }
    }

    /// `Some` with the number of messages held back since the last one, if one may be written at `now`.
    pub fn ask(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        let due = state.last.is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        if !due {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_message_passes_and_the_next_one_tells_how_many_were_held_back() {
        let start = Instant::now();
        let seldom = Seldom::new(Duration::from_secs(10));
        assert_eq!(seldom.ask(start), Some(0));
        assert_eq!(seldom.ask(start + Duration::from_secs(1)), None);
        assert_eq!(seldom.ask(start + Duration::from_secs(9)), None);
        assert_eq!(seldom.ask(start + Duration::from_secs(10)), Some(2));
        assert_eq!(seldom.ask(start + Duration::from_secs(11)), None);
    }
}
