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

/// Bytes held, never above the capacity.
#[derive(Debug)]
pub(crate) struct Account {
    held: AtomicU64,
    capacity: u64,
}

/// Bytes held by one owner, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: u64,
}

impl Account {
    pub(crate) fn new(capacity: u64) -> Arc<Self> {
        Arc::new(Self { held: AtomicU64::new(0), capacity })
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// The bound.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Takes `bytes`, if they are there.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        self.take(bytes).then(|| Charge { account: self.clone(), bytes })
    }

    fn take(&self, bytes: u64) -> bool {
        let grown = |held: u64| held.checked_add(bytes).filter(|&sum| sum <= self.capacity);
        self.held.fetch_update(Relaxed, Relaxed, grown).is_ok()
    }
}

impl Charge {
    /// Nothing, for what is not kept.
    pub(crate) fn none(account: &Arc<Account>) -> Self {
        Self { account: account.clone(), bytes: 0 }
    }

    /// Bytes held by this one.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Brings it up to `bytes`; false if they are not there, and then nothing has changed.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 && !self.account.take(more) {
            return false;
        }
        self.bytes += more;
        true
    }

    /// Gives back what is above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.account.held.fetch_sub(less, Relaxed);
    }

    /// Gives `bytes` of it (at most all) to a new owner.
    pub(crate) fn split(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { account: self.account.clone(), bytes }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.held.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests;
