//! One slot for each worker thread.
//!
//! A thread takes the next index when it first counts and keeps it. There are more slots than worker threads; when
//! more threads than slots have counted, two share one, which costs time and never correctness.

use std::{
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use crossbeam_utils::CachePadded;

/// A value for each slot, each on cache lines of its own.
pub(crate) struct Sharded<T> {
    /// A power of two of them.
    slots: Box<[CachePadded<T>]>,
}

impl<T> Sharded<T> {
    /// The slot of the calling thread.
    #[inline]
    pub(crate) fn mine(&self) -> &T {
        &self.slots[thread_index() & (self.slots.len() - 1)]
    }

    /// All slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|slot| &**slot)
    }
}

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self { slots: (0..slot_count()).map(|_| CachePadded::default()).collect() }
    }
}

/// The calling thread's number: threads are numbered as they first count.
#[inline]
fn thread_index() -> usize {
    THREAD_INDEX.with(|index| match index.get() {
        UNNUMBERED => {
            let next = NEXT_INDEX.fetch_add(1, Ordering::Relaxed);
            index.set(next);
            next
        }
        number => number,
    })
}

/// Twice the processors, as a power of two: a worker for each, and the few threads beside them.
fn slot_count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let processors = available_parallelism().map_or(1, usize::from);
        (2 * processors).next_power_of_two().clamp(SLOTS_MIN, SLOTS_MAX)
    })
}

const SLOTS_MIN: usize = 8;
const SLOTS_MAX: usize = 64;
const UNNUMBERED: usize = usize::MAX;

static NEXT_INDEX: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD_INDEX: Cell<usize> = const { Cell::new(UNNUMBERED) };
}
