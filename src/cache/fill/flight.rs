//! The fetches under way, by key, and the lock under which a key's entry is changed.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::pipe::Pipe;
use crate::{
    cache::{Reason, Stored},
    wire::Fields,
};

/// All fetches under way. A key's shard is locked whenever its entry in the store is written, too.
#[derive(Debug)]
pub(crate) struct Flights {
    shards: Box<[Mutex<Shard>]>,
    hasher: foldhash::fast::RandomState,
}

/// The fetches of one part of the keys: several of one key where their nominated fields differ, or nobody may share them.
pub(super) type Shard = HashMap<Box<[u8]>, Vec<Arc<Flight>>, foldhash::fast::RandomState>;

/// One fetch.
#[derive(Debug)]
pub(super) struct Flight {
    /// The leader's request fields, to compare by what Vary will name.
    pub(super) fields: Fields,
    /// Nobody waits for this one.
    solo: bool,
    /// The key was invalidated since: not to be stored, nobody joins. Written and read under the shard's lock.
    pub(super) doomed: AtomicBool,
    /// How many have joined.
    pub(super) followers: AtomicUsize,
    /// Somebody gave up waiting for its head.
    overdue: AtomicBool,
    state: Mutex<State>,
    changed: Notify,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// No head yet.
    Waiting,
    /// The body arrives.
    Streaming(Arc<Pipe>),
    /// There is a whole answer.
    Stored(Arc<Stored>),
    /// As the backend failed, a stale answer stands in.
    Stale(Arc<Stored>),
    /// Nothing to share.
    NotStorable(Reason),
    /// The leader has gone, or its fill failed.
    Gone,
}

impl Flights {
    pub(crate) fn new() -> Self {
        let hasher = foldhash::fast::RandomState::default();
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::with_hasher(hasher.clone()))).collect();
        Self { shards, hasher }
    }

    /// The lock of this key's shard.
    pub(super) fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        // The table in a shard takes the low bits of the same hash; the upper ones choose the shard.
        let hash = self.hasher.hash_one(key);
        self.shards[(hash >> 48) as usize % SHARDS].lock()
    }

    /// Dooms the fetches of this key, and does `also` under the key's lock.
    pub(crate) fn doom<T>(&self, key: &[u8], also: impl FnOnce() -> T) -> T {
        let mut shard = self.shard(key);
        for flight in shard.remove(key).into_iter().flatten() {
            flight.doomed.store(true, Relaxed);
        }
        also()
    }

    /// Does `change` under the key's lock.
    pub(crate) fn locked<T>(&self, key: &[u8], change: impl FnOnce() -> T) -> T {
        let _shard = self.shard(key);
        change()
    }
}

impl Flight {
    pub(super) fn new(fields: Fields, solo: bool) -> Arc<Self> {
        Arc::new(Self {
            fields,
            solo,
            doomed: AtomicBool::new(false),
            followers: AtomicUsize::new(0),
            overdue: AtomicBool::new(false),
            state: Mutex::new(State::Waiting),
            changed: Notify::new(),
        })
    }

    /// Whether a request with these fields may wait for it, as far as can be known now.
    pub(super) fn may_serve(&self, request: &Fields) -> bool {
        !self.solo
            && match &*self.state.lock() {
                State::Waiting => true,
                State::Streaming(pipe) => pipe.is_keeping() && pipe.answer().vary.matches(request),
                _ => false,
            }
    }

    /// Whether the leader's client asked with conditions or a range of its own, which a fetch for everybody leaves out.
    pub(super) fn is_conditional(&self) -> bool {
        ["if-none-match", "if-modified-since", "range"].iter().any(|name| self.fields.contains(name))
    }

    /// Notes that somebody gave up waiting; whether that is the first.
    pub(super) fn is_now_overdue(&self) -> bool {
        !self.overdue.swap(true, Relaxed)
    }

    /// Whether it has no head yet, although somebody has given up waiting for it.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.load(Relaxed) && matches!(&*self.state.lock(), State::Waiting)
    }

    pub(super) fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Moves on and wakes all who wait.
    pub(super) fn set(&self, state: State) {
        *self.state.lock() = state;
        self.changed.notify_waiters();
    }

    /// Waits for the state to be another than `Waiting`.
    pub(super) async fn settled(&self) -> State {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.state() {
                State::Waiting => changed.await,
                state => return state,
            }
        }
    }
}

/// Takes this fetch out of its key's list.
pub(super) fn remove(shard: &mut Shard, key: &[u8], flight: &Arc<Flight>) {
    if let Some(flights) = shard.get_mut(key) {
        flights.retain(|other| !Arc::ptr_eq(other, flight));
        if flights.is_empty() {
            shard.remove(key);
        }
    }
}

const SHARDS: usize = 64;
