//! Single numbers: counters, gauges and the guard that holds a gauge up.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use super::shard::Sharded;

/// A number that only grows. Clones count into the same cells; a default one works and is exposed nowhere.
#[derive(Clone, Default)]
pub struct Counter(Arc<Sharded<AtomicU64>>);

/// A number that goes up and down. Clones count into the same cells; a default one works and is exposed nowhere.
#[derive(Clone, Default)]
pub struct Gauge(Arc<Sharded<AtomicI64>>);

/// Holds a gauge one higher for as long as it lives.
#[must_use = "the gauge falls again when the guard is dropped"]
pub struct GaugeGuard(Gauge);

impl Counter {
    /// Counts `amount` more.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.mine().fetch_add(amount, Ordering::Relaxed);
    }

    /// The sum over all threads.
    pub fn value(&self) -> u64 {
        self.0.iter().fold(0, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)))
    }
}

impl Gauge {
    /// Raises the gauge, or lowers it by a negative amount.
    #[inline]
    pub fn add(&self, amount: i64) {
        self.0.mine().fetch_add(amount, Ordering::Relaxed);
    }

    /// One higher until the guard is dropped, on whatever thread.
    pub fn hold(&self) -> GaugeGuard {
        self.add(1);
        GaugeGuard(self.clone())
    }

    /// The sum over all threads. While threads change it, the sum is one that was never true for longer than the reading took.
    pub fn value(&self) -> i64 {
        self.0.iter().fold(0, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)))
    }
}

impl std::fmt::Debug for GaugeGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GaugeGuard").finish_non_exhaustive()
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}
