//! How the last connections ended: a ring that forgets the oldest.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{close::Ended, live::Live};

/// A connection that has ended.
#[derive(Clone, Debug)]
pub struct Closed {
    /// What it was.
    pub live: Arc<Live>,
    /// How it ended.
    pub ended: Ended,
    /// When, since the Unix epoch.
    pub at: Duration,
}

/// The last ends, at most [`RECENT_MAX`].
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<Closed>>);

impl Recent {
    /// Takes in one more end.
    pub(super) fn push(&self, closed: Closed) {
        let mut ring = self.0.lock();
        let oldest = if ring.len() < RECENT_MAX { None } else { ring.pop_front() };
        ring.push_back(closed);
        drop(ring);
        // Freed outside the lock.
        drop(oldest);
    }

    /// The last ones, the latest first, of those that `which` wants at most so many.
    pub(super) fn latest(&self, most: usize, which: impl Fn(&Closed) -> bool) -> Vec<Closed> {
        let ring = self.0.lock();
        ring.iter().rev().filter(|closed| which(closed)).take(most).cloned().collect()
    }
}

/// Ends that are remembered.
pub const RECENT_MAX: usize = 512;
