//! Numbers told apart by labels.
//!
//! A key is a small `Copy` value; counting finds its cell in the calling thread's own table, under a lock that only a
//! scrape ever contends for. Label values are made from the key at the scrape. The number of keys is bounded, so that
//! no mistake in a label can fill the memory of the gateway or of Prometheus.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::{
    buckets::BUCKETS_MAX,
    cell::Counter,
    metric::{Rows, Source, Value},
    shard::Sharded,
};

/// Most label sets of one family; what is counted under further ones is dropped and told in
/// `tidegate_metrics_label_sets_dropped_total`.
pub const LABEL_SETS_MAX: usize = 4096;

/// A key's label values, in the order of the family's label names.
pub type Describe<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// Counters told apart by labels. `K` is a small value made of indices and closed enums; its label values are made at the scrape.
pub struct Family<K> {
    table: Table<K, u64>,
    describe: Describe<K>,
}

/// Gauges told apart by labels.
pub struct GaugeFamily<K> {
    table: Table<K, i64>,
    describe: Describe<K>,
}

/// Holds one gauge of a family one higher for as long as it lives.
#[must_use = "the gauge falls again when the guard is dropped"]
pub struct GaugeFamilyGuard<K: Key> {
    family: Arc<GaugeFamily<K>>,
    key: K,
}

/// Durations or sizes, told apart by labels, in buckets.
pub struct HistogramFamily<K> {
    table: Table<K, Spread>,
    buckets: &'static [f64],
    describe: Describe<K>,
}

/// What a key must be able to do; nobody implements it by hand.
pub trait Key: Copy + Eq + Hash + Send + Sync + 'static {}

impl<K: Copy + Eq + Hash + Send + Sync + 'static> Key for K {}

/// Observations of one label set: how many fell into each bucket (not cumulated; the last is above all bounds).
#[derive(Clone, Copy, Default)]
pub(super) struct Spread {
    pub(super) counts: [u64; BUCKETS_MAX + 1],
    pub(super) sum: f64,
}

impl<K: Key> Family<K> {
    pub(super) fn new(describe: Describe<K>, dropped: Counter) -> Self {
        Self { table: Table::new(dropped), describe }
    }

    /// Counts `amount` more under the key.
    #[inline]
    pub fn add(&self, key: K, amount: u64) {
        self.table.update(key, |cell| *cell = cell.wrapping_add(amount));
    }

    /// What was counted under the key, by all threads.
    pub fn value(&self, key: K) -> u64 {
        self.table.cells_of(&key).fold(0, u64::wrapping_add)
    }
}

impl<K: Key> GaugeFamily<K> {
    pub(super) fn new(describe: Describe<K>, dropped: Counter) -> Self {
        Self { table: Table::new(dropped), describe }
    }

    /// Raises the key's gauge, or lowers it by a negative amount.
    #[inline]
    pub fn add(&self, key: K, amount: i64) {
        self.table.update(key, |cell| *cell = cell.wrapping_add(amount));
    }

    /// One higher until the guard is dropped, on whatever thread.
    pub fn hold(self: &Arc<Self>, key: K) -> GaugeFamilyGuard<K> {
        self.add(key, 1);
        GaugeFamilyGuard { family: self.clone(), key }
    }

    /// The key's gauge, over all threads.
    pub fn value(&self, key: K) -> i64 {
        self.table.cells_of(&key).fold(0, i64::wrapping_add)
    }
}

impl<K: Key> Drop for GaugeFamilyGuard<K> {
    fn drop(&mut self) {
        self.family.add(self.key, -1);
    }
}

impl<K: Key> HistogramFamily<K> {
    /// Bounds past `BUCKETS_MAX` are left out; the registry has reported them.
    pub(super) fn new(buckets: &'static [f64], describe: Describe<K>, dropped: Counter) -> Self {
        let buckets = &buckets[..buckets.len().min(BUCKETS_MAX)];
        Self { table: Table::new(dropped), buckets, describe }
    }

    /// Records one value in base units (seconds, bytes). What is no number is left out: it would spoil the sum for ever.
    #[inline]
    pub fn observe(&self, key: K, value: f64) {
        if !value.is_finite() {
            return;
        }
        let bucket = self.buckets.partition_point(|bound| *bound < value);
        self.table.update(key, |spread| {
            spread.counts[bucket] = spread.counts[bucket].wrapping_add(1);
            spread.sum += value;
        });
    }

    /// Records many values at once that were sorted into the same buckets elsewhere: `counts` by bucket, the last above all
    /// bounds, and their sum.
    pub fn merge(&self, key: K, counts: &[u32], sum: f64) {
        self.table.update(key, |spread| {
            for (cell, count) in spread.counts.iter_mut().zip(counts) {
                *cell = cell.wrapping_add(u64::from(*count));
            }
            spread.sum += sum;
        });
    }

    /// Records one duration, in seconds.
    #[inline]
    pub fn observe_duration(&self, key: K, duration: Duration) {
        self.observe(key, duration.as_secs_f64());
    }

    /// How many values were recorded under the key, by all threads.
    pub fn count(&self, key: K) -> u64 {
        self.table.cells_of(&key).map(|spread| spread.count()).sum()
    }
}

impl Spread {
    /// How many values were recorded.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds the values of another spread over the same buckets.
    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.wrapping_add(more);
        }
        self.sum += other.sum;
    }
}

impl<K: Key> Source for Family<K> {
    fn rows(&self, rows: &mut Rows) {
        for (key, count) in self.table.copy() {
            rows.add((self.describe)(&key), Value::Count(count));
        }
    }
}

impl<K: Key> Source for GaugeFamily<K> {
    fn rows(&self, rows: &mut Rows) {
        for (key, level) in self.table.copy() {
            rows.add((self.describe)(&key), Value::Level(level));
        }
    }
}

impl<K: Key> Source for HistogramFamily<K> {
    fn rows(&self, rows: &mut Rows) {
        for (key, spread) in self.table.copy() {
            rows.add((self.describe)(&key), Value::Spread(Box::new(spread)));
        }
    }
}

/// The cells of one family: a table for each worker thread, and the keys that all of them may hold.
struct Table<K, V> {
    shards: Sharded<Mutex<Cells<K, V>>>,
    /// At most `LABEL_SETS_MAX`. Asked only when a thread meets a key for the first time.
    keys: Mutex<HashSet<K, RandomState>>,
    dropped: Counter,
}

/// One thread's cells.
struct Cells<K, V> {
    cells: Vec<(K, V)>,
    places: HashMap<K, usize, RandomState>,
    /// Where the key of the last update stands: mostly the next one's too.
    last: usize,
}

impl<K, V> Default for Cells<K, V> {
    fn default() -> Self {
        Self { cells: Vec::new(), places: HashMap::default(), last: 0 }
    }
}

impl<K: Key, V: Copy + Default> Cells<K, V> {
    #[inline]
    fn find(&mut self, key: &K) -> Option<&mut V> {
        if self.cells.get(self.last).is_none_or(|(last, _)| last != key) {
            self.last = *self.places.get(key)?;
        }
        self.cells.get_mut(self.last).map(|(_, value)| value)
    }

    fn add(&mut self, key: K) -> &mut V {
        self.last = self.cells.len();
        self.places.insert(key, self.last);
        self.cells.push((key, V::default()));
        &mut self.cells[self.last].1
    }

    fn value(&self, key: &K) -> Option<V> {
        self.places.get(key).map(|&place| self.cells[place].1)
    }
}

impl<K: Key, V: Copy + Default> Table<K, V> {
    fn new(dropped: Counter) -> Self {
        Self { shards: Sharded::default(), keys: Mutex::default(), dropped }
    }

    #[inline]
    fn update(&self, key: K, change: impl FnOnce(&mut V)) {
        let mut cells = self.shards.mine().lock();
        if let Some(cell) = cells.find(&key) {
            change(cell);
        } else if self.admit(key) {
            change(cells.add(key));
        } else {
            self.dropped.add(1);
        }
    }

    /// Whether the family may hold the key. A key once admitted stays so: a guard's −1 always finds its +1.
    #[cold]
    fn admit(&self, key: K) -> bool {
        let mut keys = self.keys.lock();
        keys.contains(&key) || (keys.len() < LABEL_SETS_MAX && keys.insert(key))
    }

    fn cells_of(&self, key: &K) -> impl Iterator<Item = V> {
        self.shards.iter().filter_map(|shard| shard.lock().value(key))
    }

    /// Every cell of every thread; a key comes once for each thread that counted it. Each thread's lock is held for a
    /// plain copy into memory taken beforehand.
    fn copy(&self) -> Vec<(K, V)> {
        let most = self.keys.lock().len();
        let mut copy = Vec::new();
        for shard in self.shards.iter() {
            copy.reserve(most);
            copy.extend_from_slice(&shard.lock().cells);
        }
        copy
    }
}
