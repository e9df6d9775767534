//! The fetches under way, by key, and the lock under which a key's entry is changed.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::{patience::let_go, pipe::Pipe};
use crate::{
    cache::{
        Reason, Stored,
        key::{base_of, is_under},
    },
    wire::Fields,
};

/// All fetches under way. A key's shard is locked whenever its entry in the store is written, too.
#[derive(Debug)]
pub(crate) struct Flights {
    shards: Box<[Mutex<Shard>]>,
    hasher: foldhash::fast::RandomState,
}

/// The fetches of one part of the keys: several of one key where their nominated fields differ, or nobody may share them.
pub(super) type Shard = HashMap<Arc<[u8]>, Vec<Arc<Flight>>, foldhash::fast::RandomState>;

/// One fetch.
#[derive(Debug)]
pub(super) struct Flight {
    /// The leader's request fields, to compare by what Vary will name.
    pub(super) fields: Fields,
    /// Nobody waits for this one.
    solo: bool,
    /// How many purges there had been when it began.
    pub(super) since: u64,
    /// The key was invalidated since: not to be stored, nobody joins. Written and read under the shard's lock.
    pub(super) doomed: AtomicBool,
    /// How many have joined.
    pub(super) followers: AtomicUsize,
    /// How many of them wait now.
    waiting: AtomicUsize,
    /// When the leader's request came.
    pub(super) began: Instant,
    /// How many have given up waiting for its head and fetch for themselves.
    left: AtomicUsize,
    /// Somebody has found that all may go.
    hopeless: AtomicBool,
    /// The fetch that this one's client waited for in vain. What this one brings serves those who still wait there.
    instead_of: Option<Arc<Flight>>,
    state: Mutex<State>,
    changed: Notify,
}

/// What is known of a fetch as it begins.
#[derive(Debug)]
pub(super) struct Start {
    /// The leader's request fields.
    pub(super) fields: Fields,
    /// When the leader's request came.
    pub(super) began: Instant,
    /// How many purges there had been.
    pub(super) since: u64,
}

/// One who waits for a flight.
#[derive(Debug)]
pub(super) struct Wait(Arc<Flight>);

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

    /// How many fetches are under way.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().values().map(Vec::len).sum::<usize>()).sum()
    }

    /// The lock of this key's shard, where all keys of the same base are.
    pub(super) fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        // The table in a shard takes the low bits of the same hash; the upper ones choose the shard.
        let hash = self.hasher.hash_one(base_of(key));
        self.shards[(hash >> 48) as usize % SHARDS].lock()
    }

    /// Dooms the fetches under this base of keys, and does `also` under their lock.
    pub(crate) fn doom<T>(&self, base: &[u8], also: impl FnOnce() -> T) -> T {
        let mut shard = self.shard(base);
        for flight in shard.extract_if(|key, _| is_under(key, base)).flat_map(|(_, flights)| flights) {
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
    /// A fetch that others may wait for, unless it is `solo`.
    pub(super) fn new(start: Start, solo: bool) -> Arc<Self> {
        Arc::new(Self::bare(start, solo, None))
    }

    /// A fetch for who has been waiting for another, too long; nobody waits for this one in its turn.
    pub(super) fn instead_of(slow: &Arc<Self>, start: Start) -> Arc<Self> {
        Arc::new(Self::bare(start, true, Some(slow.clone())))
    }

    fn bare(start: Start, solo: bool, instead_of: Option<Arc<Self>>) -> Self {
        let Start { fields, began, since } = start;
        Self {
            fields,
            solo,
            since,
            doomed: AtomicBool::new(false),
            followers: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            began,
            left: AtomicUsize::new(0),
            hopeless: AtomicBool::new(false),
            instead_of,
            state: Mutex::new(State::Waiting),
            changed: Notify::new(),
        }
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

    /// Somebody joins, and waits until what this gives is dropped.
    pub(super) fn join(self: &Arc<Self>) -> Wait {
        self.followers.fetch_add(1, Relaxed);
        self.waiting.fetch_add(1, Relaxed);
        Wait(self.clone())
    }

    /// Whether somebody waits for it now.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// Whether anybody but its leader's client may be served by it.
    pub(super) fn is_solo(&self) -> bool {
        self.solo
    }

    /// Whether the leader's client asked with conditions or a range of its own, which a fetch for everybody leaves out.
    pub(super) fn is_conditional(&self) -> bool {
        ["if-none-match", "if-modified-since", "range"].iter().any(|name| self.fields.contains(name))
    }

    /// Whether one more may give up waiting for the head and fetch for itself.
    pub(super) fn lets_go(&self, now: Instant) -> bool {
        if !matches!(&*self.state.lock(), State::Waiting) {
            return false;
        }
        match let_go(now.saturating_duration_since(self.began)) {
            Some(most) => self.left.fetch_update(Relaxed, Relaxed, |left| (left < most).then_some(left + 1)).is_ok(),
            None => true,
        }
    }

    /// Whether all may give up, and this is the first time that somebody asks.
    pub(super) fn is_now_hopeless(&self, now: Instant) -> bool {
        let_go(now.saturating_duration_since(self.began)).is_none() && !self.hopeless.swap(true, Relaxed)
    }

    /// Whether its client has waited for another fetch before.
    pub(super) fn is_second_try(&self) -> bool {
        self.instead_of.is_some()
    }

    pub(super) fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Moves on and wakes all who wait, here and for the fetch that this one did not wait for.
    pub(super) fn set(&self, state: State) {
        if let Some(slow) = self.instead_of.as_ref().filter(|_| state.concerns_others()) {
            slow.offer(state.clone());
        }
        *self.state.lock() = state;
        self.changed.notify_waiters();
    }

    /// What another fetch has found out, if this one has not come so far.
    fn offer(&self, found: State) {
        let mut state = self.state.lock();
        if matches!(*state, State::Waiting) {
            *state = found;
            drop(state);
            self.changed.notify_waiters();
        }
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

impl State {
    /// Whether it tells something to those who wait for another fetch of the same thing.
    fn concerns_others(&self) -> bool {
        match self {
            Self::Streaming(_) | Self::Stored(_) => true,
            Self::NotStorable(reason) => reason.concerns_the_resource(),
            Self::Waiting | Self::Stale(_) | Self::Gone => false,
        }
    }
}

impl Wait {
    /// What is waited for.
    pub(super) fn flight(&self) -> &Arc<Flight> {
        &self.0
    }
}

impl std::ops::Deref for Wait {
    type Target = Flight;

    fn deref(&self) -> &Flight {
        &self.0
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Relaxed);
    }
}

/// Puts this fetch on its key's list; gives the key, which all of that list share.
pub(super) fn add(shard: &mut Shard, key: &[u8], flight: &Arc<Flight>) -> Arc<[u8]> {
    let key = shard.get_key_value(key).map_or_else(|| Arc::from(key), |(known, _)| known.clone());
    shard.entry(key.clone()).or_default().push(flight.clone());
    key
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
