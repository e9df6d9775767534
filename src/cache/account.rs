//! The byte bound: everything stored and everything being fetched into the store is charged here before it is held.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What one piece of a body costs beside its bytes: its handle, its shared counter and the allocator's own.
pub(crate) const CHUNK_OVERHEAD: u64 = 96;
/// What an allocation costs beside its bytes.
pub(crate) const ALLOCATION_OVERHEAD: u64 = 32;
/// What an entry costs in the store's tables.
pub(crate) const ENTRY_OVERHEAD: u64 = 256;

/// What is resident beside what is charged, measured: logs and tables that are about to shrink, and what the allocator keeps
/// for each thread, a page or two for every size that is in use. It belongs to the capacity as configured, and is not there
/// for answers.
const OVERHEAD: u64 = 4 << 20;
const THREAD_OVERHEAD: u64 = 2 << 20;

/// What of a configured capacity is there for answers where so many threads fill it.
pub(crate) fn usable(capacity: u64, threads: usize) -> u64 {
    // Little caches would have nothing left: of them a thread has an eighth at most, and all of them a half.
    let most = capacity / 8 * (threads as u64).min(4);
    capacity - (OVERHEAD + threads as u64 * THREAD_OVERHEAD).min(most)
}

/// What of that is there for stored answers. What is being fetched needs room beside them: a sixteenth, or one largest object
/// if that is more.
pub(crate) fn storable(usable: u64, max_object: u64) -> u64 {
    usable - (usable / 16).max(max_object.min(usable / 2))
}

/// Bytes held, never above the capacity.
#[derive(Debug)]
pub(crate) struct Account {
    held: AtomicU64,
    /// The same by part; for the eye, so that a sum need not be exact at every moment.
    parts: [AtomicU64; 3],
    capacity: u64,
}

/// What bytes are held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What is being fetched.
    Fills,
    /// Heads, keys, and their share of the tables and the index.
    Heads,
    /// Stored bodies.
    Bodies,
}

/// Bytes held by one owner, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    part: Part,
    bytes: u64,
}

impl Account {
    pub(crate) fn new(capacity: u64) -> Arc<Self> {
        Arc::new(Self { held: AtomicU64::new(0), parts: Default::default(), capacity })
    }

    /// Bytes held for this.
    pub(crate) fn held_for(&self, part: Part) -> u64 {
        self.parts[part as usize].load(Relaxed)
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// The bound.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Takes `bytes` for a fill, if they are there.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        let part = Part::Fills;
        self.take(part, bytes).then(|| Charge { account: self.clone(), part, bytes })
    }

    fn take(&self, part: Part, bytes: u64) -> bool {
        let grown = |held: u64| held.checked_add(bytes).filter(|&sum| sum <= self.capacity);
        let is_taken = self.held.fetch_update(Relaxed, Relaxed, grown).is_ok();
        if is_taken {
            self.parts[part as usize].fetch_add(bytes, Relaxed);
        }
        is_taken
    }

    fn give_back(&self, part: Part, bytes: u64) {
        self.parts[part as usize].fetch_sub(bytes, Relaxed);
        self.held.fetch_sub(bytes, Relaxed);
    }
}

impl Charge {
    /// Nothing, for what is not kept.
    pub(crate) fn none(account: &Arc<Account>) -> Self {
        Self { account: account.clone(), part: Part::Fills, bytes: 0 }
    }

    /// The same bytes, held for this from now on.
    pub(crate) fn of(mut self, part: Part) -> Self {
        self.account.parts[part as usize].fetch_add(self.bytes, Relaxed);
        self.account.parts[self.part as usize].fetch_sub(self.bytes, Relaxed);
        self.part = part;
        self
    }

    /// Bytes held by this one.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Brings it up to `bytes`; false if they are not there, and then nothing has changed.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 && !self.account.take(self.part, more) {
            return false;
        }
        self.bytes += more;
        true
    }

    /// Gives back what is above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.account.give_back(self.part, less);
    }

    /// Gives `bytes` of it (at most all) to a new owner.
    pub(crate) fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { account: self.account.clone(), part: self.part, bytes }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.give_back(self.part, self.bytes);
    }
}

#[cfg(test)]
mod tests;
