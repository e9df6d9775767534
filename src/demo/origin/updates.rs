//! One update each second: the level of an imagined tide. Every lane of the page hears of the same updates.
//!
//! The last few minutes are kept, so that a reader who comes back with the number it saw last misses nothing.

use std::{collections::VecDeque, f64::consts::TAU, fmt::Write};

use parking_lot::Mutex;
use tokio::sync::watch;

/// Updates that are kept for readers who ask with `since`.
const KEPT: usize = 300;

/// One update, the same on every lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Update {
    /// Counts from 1.
    pub(super) number: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(super) made_ms: u64,
    /// Metres above chart datum.
    pub(super) level: f64,
}

/// The updates so far, and a bell for those who wait for the next one.
pub(super) struct Updates {
    kept: Mutex<VecDeque<Update>>,
    latest: watch::Sender<u64>,
}

impl Updates {
    /// None so far.
    pub(super) fn new() -> Self {
        Self { kept: Mutex::new(VecDeque::with_capacity(KEPT)), latest: watch::Sender::new(0) }
    }

    /// Makes the next update and wakes all who wait.
    pub(super) fn add(&self, made_ms: u64) {
        let number = *self.latest.borrow() + 1;
        {
            let mut kept = self.kept.lock();
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(Update { number, made_ms, level: level(number) });
        }
        self.latest.send_replace(number);
    }

    /// The number of the newest update; 0 before the first.
    pub(super) fn latest(&self) -> u64 {
        *self.latest.borrow()
    }

    /// Those after `number` that are still kept, oldest first.
    pub(super) fn since(&self, number: u64) -> Vec<Update> {
        self.kept.lock().iter().filter(|update| update.number > number).copied().collect()
    }

    /// Rings when there is a new one.
    pub(super) fn bell(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// `{"latest":…,"updates":[…]}` with those after `number`: the answer to a poll.
    pub(super) fn answer_since(&self, number: u64) -> String {
        let updates: Vec<String> = self.since(number).iter().map(Update::json).collect();
        let mut text = String::new();
        // Invariant: writing to a String can't fail.
        let _ = write!(text, "{{\"latest\":{},\"updates\":[{}]}}", self.latest(), updates.join(","));
        text
    }
}

impl Update {
    /// The update as a JSON object.
    pub(super) fn json(&self) -> String {
        format!("{{\"number\":{},\"made\":{},\"level\":{:.2}}}", self.number, self.made_ms, self.level)
    }
}

/// Two waves, as real tides have; high water comes every 24 updates.
fn level(number: u64) -> f64 {
    let turn = number as f64 * TAU;
    2.5 + 1.5 * (turn / 24.0).sin() + 0.4 * (turn / 11.0).sin()
}
