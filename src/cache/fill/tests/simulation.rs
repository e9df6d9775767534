//! Fills under faults, in memory and on a stopped clock: clients that are slow, vanish or give up, backends that hang, die
//! at any byte or answer what may not be kept, purges in the middle, and too little room.
//!
//! Every run has a seed, which it prints when it fails; `TIDEGATE_SIMULATIONS=100000` runs that many, `TIDEGATE_SEED=n`
//! begins at that seed. What must hold in the end: everybody has come to an end; who was told of a whole body had each of
//! its bytes; nobody was given what was purged before he came; no fetch is left; what is charged is what the store holds.

mod backend;
mod clients;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::*;
use crate::cache::{
    Answer, Purge, Purged,
    account::{Charge, ENTRY_OVERHEAD},
};

/// Runs in the ordinary suite.
const RUNS: u64 = 60;

const KEYS: usize = 3;
const CAPACITY: u64 = 400_000;
const MAX_OBJECT: u64 = 60_000;

/// One run's world.
struct World {
    cache: Arc<Cache>,
    policy: Policy,
    started: tokio::time::Instant,
    chance: RefCell<fastrand::Rng>,
    /// By key: how often the backend has answered, and the last answer that a purge has made unfit.
    versions: [Cell<u32>; KEYS],
    purged: [Cell<u32>; KEYS],
    /// By key and version: purged, but confirmed by the backend since.
    confirmed: RefCell<std::collections::HashSet<(usize, u32)>>,
    /// Tasks that no client waits for.
    running: Cell<usize>,
    /// What was seen, so that a run that proves nothing shows.
    seen: RefCell<std::collections::BTreeMap<&'static str, usize>>,
}

/// One of the tasks that no client waits for.
struct Running(Rc<World>);

impl Running {
    fn new(world: &Rc<World>) -> Self {
        world.running.set(world.running.get() + 1);
        Self(world.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

/// Prints the seed of a run that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat it: TIDEGATE_SEED={} TIDEGATE_SIMULATIONS=1", self.0);
        }
    }
}

#[test]
fn whatever_fails_nobody_is_left_waiting_or_told_less_than_all() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, runs) = (number("TIDEGATE_SEED").unwrap_or(1), number("TIDEGATE_SIMULATIONS").unwrap_or(RUNS));
    let mut seen = std::collections::BTreeMap::new();
    for seed in first..first + runs {
        let _told = Seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let local = tokio::task::LocalSet::new();
        for (what, times) in local.block_on(&runtime, run(seed)) {
            *seen.entry(what).or_insert(0) += times;
        }
    }
    let expected = [
        "hit",
        "stale hit",
        "refresh",
        "led",
        "followed",
        "streamed",
        "collapsed",
        "went alone",
        "passed",
        "told to pass",
        "leader gone",
        "other variant",
        "cut short",
        "too slow",
        "vanished",
        "orphaned",
        "freshened",
        "stood in",
        "too large",
        "purged",
        "squeezed",
    ];
    if runs >= RUNS {
        let missing: Vec<_> = expected.iter().filter(|what| !seen.contains_key(**what)).collect();
        assert!(missing.is_empty(), "never seen: {missing:?}; seen: {seen:?}");
    }
}

async fn run(seed: u64) -> std::collections::BTreeMap<&'static str, usize> {
    let world = Rc::new(World {
        cache: cache(CAPACITY, MAX_OBJECT),
        policy: Policy { stale_if_error: Duration::from_secs(20), ..rfc() },
        started: tokio::time::Instant::now(),
        chance: RefCell::new(fastrand::Rng::with_seed(seed)),
        versions: Default::default(),
        purged: Default::default(),
        confirmed: RefCell::default(),
        running: Cell::new(0),
        seen: RefCell::default(),
    });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        tasks.spawn_local(clients::client(world.clone()));
    }
    tasks.spawn_local(world.clone().operator());
    tasks.spawn_local(world.clone().squeeze());
    let ended = tokio::time::timeout(Duration::from_secs(3600), async {
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        world.idle().await;
    });
    ended.await.unwrap_or_else(|_| panic!("somebody waits for ever"));
    world.must_be_clean();
    world.seen.take()
}

impl World {
    fn now(&self) -> Now {
        let instant = tokio::time::Instant::now();
        let passed = instant - self.started;
        let unix = Duration::from_secs(crate::cache::testing::PRESENT) + passed;
        Now { instant: instant.into_std(), unix }
    }

    fn note(&self, what: &'static str) {
        *self.seen.borrow_mut().entry(what).or_insert(0) += 1;
    }

    /// Whether what happens so many times in a hundred happens now.
    fn percent(&self, likely: u32) -> bool {
        self.chance.borrow_mut().u32(0..100) < likely
    }

    fn number(&self, range: std::ops::Range<u64>) -> u64 {
        self.chance.borrow_mut().u64(range)
    }

    async fn pause(&self, most_millis: u64) {
        let millis = self.number(0..most_millis + 1);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// Purges now and then, one key or all.
    async fn operator(self: Rc<Self>) {
        for _ in 0..12 {
            self.pause(8000).await;
            let key = self.number(0..KEYS as u64) as usize;
            let what = match self.number(0..8) {
                0 => Purged::All,
                1 => Purged::Prefix(Vec::new()),
                2 | 3 => Purged::Tag(backend::TAG.into()),
                _ => Purged::Url(vec![key as u8]),
            };
            let all = !matches!(what, Purged::Url(_));
            self.cache.purge(&Purge { what, soft: false });
            for purged in (0..KEYS).filter(|&other| all || other == key) {
                self.purged[purged].set(self.versions[purged].get());
                self.confirmed.borrow_mut().retain(|(confirmed, _)| *confirmed != purged);
            }
            self.note("purged");
        }
    }

    /// Takes most of the room now and then.
    async fn squeeze(self: Rc<Self>) {
        for _ in 0..8 {
            self.pause(10_000).await;
            let squeezed: Option<Charge> = self.cache.charge(self.number(0..CAPACITY));
            self.note(if squeezed.is_some() { "squeezed" } else { "no room to squeeze" });
            self.pause(5000).await;
        }
    }

    /// A task that no client waits for.
    fn spawn(self: &Rc<Self>, work: impl Future<Output = ()> + 'static) -> tokio::task::AbortHandle {
        let counted = Running::new(self);
        let work = async move {
            work.await;
            drop(counted);
        };
        tokio::task::spawn_local(work).abort_handle()
    }

    /// Waits for the tasks that no client waits for.
    async fn idle(&self) {
        while self.running.get() > 0 {
            self.pause(1000).await;
        }
    }

    fn must_be_clean(&self) {
        assert_eq!(self.cache.flights.len(), 0, "fetches are left");
        assert_eq!(self.cache.metrics.fills.value(), 0, "fills are left");
        let stored = |key: usize| match self.cache.store.entry(&[key as u8]) {
            Some(crate::cache::store::Entry::Resource(resource)) => resource.cost(),
            Some(crate::cache::store::Entry::DontQueue(_)) => 1 + ENTRY_OVERHEAD,
            None => 0,
        };
        assert_eq!(
            self.held_becomes(|| (0..KEYS).map(stored).sum()),
            (0..KEYS).map(stored).sum::<u64>(),
            "held by nobody"
        );
        for key in 0..KEYS {
            self.cache.invalidate(&[key as u8], None);
        }
        assert_eq!(self.held_becomes(|| 0), 0, "bytes are left");
    }

    /// What is charged, once the table has let go of what it keeps until no thread can be looking at it.
    fn held_becomes(&self, expected: impl Fn() -> u64) -> u64 {
        for _ in 0..1000 {
            self.cache.store.settle();
            if self.cache.held_bytes() == expected() {
                break;
            }
        }
        self.cache.held_bytes()
    }
}
