//! The table of entries by key; the only file that knows moka.
//!
//! Entries are replaced, never changed. Whoever reads, decides and writes holds the key's lock in `fill::Flights`, so that
//! no write is lost. Admission is TinyLFU by bytes: a scan of things asked for once does not push out what is asked for often.

use std::{sync::Arc, time::Instant};

use super::{
    account::ENTRY_OVERHEAD,
    metrics::Metrics,
    stored::{Resource, Stored},
};
use crate::{clock::Now, wire::Fields};

/// What stands under a key.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// Answers.
    Resource(Arc<Resource>),
    /// Until then nobody queues for this key: its last answer was not storable, or did not come in time.
    DontQueue(Instant),
}

type Table = moka::sync::Cache<Box<[u8]>, Entry, foldhash::fast::RandomState>;

/// What a look-up by key and nominated fields comes to.
#[derive(Debug)]
pub(crate) enum Found {
    Stored(Arc<Stored>),
    /// There are answers, but for other values of the nominated fields.
    OtherVariants,
    DontQueue(Instant),
    Nothing,
}

/// All entries.
#[derive(Debug)]
pub(crate) struct Store {
    table: Table,
}

impl Store {
    /// Room for `capacity` bytes of entries.
    pub(crate) fn new(capacity: u64, metrics: &Metrics) -> Self {
        let evictions = metrics.evictions.clone();
        let table: Table = moka::sync::Cache::<Box<[u8]>, Entry>::builder()
            .max_capacity(capacity / WEIGHT_UNIT)
            .weigher(|key, entry| weight(key, entry))
            .eviction_listener(move |_, entry, cause| {
                // moka frees what it has taken out when no thread can be looking at it any more, which may take a while;
                // the bytes are wanted now.
                if let Entry::Resource(resource) = entry {
                    resource.clear();
                }
                if cause.was_evicted() {
                    evictions.add(1);
                }
            })
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self { table }
    }

    /// The entry, and a mark that it was asked for. Nothing is allocated.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry> {
        self.table.get(key)
    }

    /// The answer for a request with these fields. Nothing is allocated when its nominated fields are byte for byte those
    /// of the stored request.
    pub(crate) fn find(&self, key: &[u8], request: &Fields) -> Found {
        // Looked at just as another took its place, an entry is empty; the next look finds its successor.
        for _ in 0..2 {
            match self.get(key) {
                None => return Found::Nothing,
                Some(Entry::DontQueue(until)) => return Found::DontQueue(until),
                Some(Entry::Resource(resource)) => match resource.select(request) {
                    Some(stored) => return Found::Stored(stored),
                    None if resource.len() > 0 => return Found::OtherVariants,
                    None => {}
                },
            }
        }
        Found::Nothing
    }

    /// Puts an answer in front of the others under its key; says how many variants had to go for the bound.
    pub(crate) fn put(&self, key: &[u8], stored: Arc<Stored>, request: &Fields) -> usize {
        let before = match self.get(key) {
            Some(Entry::Resource(resource)) => Some(resource),
            _ => None,
        };
        let (resource, dropped) = Resource::with(before.as_deref(), stored, request);
        self.table.insert(key.into(), Entry::Resource(Arc::new(resource)));
        dropped
    }

    /// Puts `new` in the place of `old`, or takes `old` out; false if `old` is not there any more.
    pub(crate) fn replace(&self, key: &[u8], old: &Arc<Stored>, new: Option<Arc<Stored>>) -> bool {
        let Some(Entry::Resource(resource)) = self.get(key) else { return false };
        let Some(resource) = resource.replacing(old, new) else { return false };
        if resource.len() == 0 {
            self.table.invalidate(key);
        } else {
            self.table.insert(key.into(), Entry::Resource(Arc::new(resource)));
        }
        true
    }

    /// Takes out the answer that a request with these fields would validate now: the backend has just given another in its
    /// place, which is not stored. What is fresh, and what other requests are given, stays.
    pub(crate) fn retire(&self, key: &[u8], request: &Fields, now: Now) {
        let Found::Stored(stored) = self.find(key, request) else { return };
        if stored.answer.no_cache || stored.answer.ttl(stored.answer.age(now)) <= 0 {
            self.replace(key, &stored, None);
        }
    }

    /// Marks the key as not worth queueing for, unless there are answers.
    pub(crate) fn dont_queue(&self, key: &[u8], until: Instant) {
        if !matches!(self.get(key), Some(Entry::Resource(_))) {
            self.table.insert(key.into(), Entry::DontQueue(until));
        }
    }

    /// How long the key is marked for; the mark may have run out.
    pub(crate) fn marked_until(&self, key: &[u8]) -> Option<Instant> {
        match self.get(key) {
            Some(Entry::DontQueue(until)) => Some(until),
            _ => None,
        }
    }

    /// Takes the mark away.
    pub(crate) fn unmark(&self, key: &[u8]) {
        if self.marked_until(key).is_some() {
            self.table.invalidate(key);
        }
    }

    /// Takes everything under the key out; says whether there was something.
    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        self.table.remove(key).is_some()
    }

    /// Does what moka has put off: admission, eviction, giving back memory.
    pub(crate) fn settle(&self) {
        self.table.run_pending_tasks();
    }

    /// A second handle on the same table, for the scrape.
    pub(crate) fn entries(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let table = self.table.clone();
        move || table.entry_count()
    }
}

/// moka weighs in 32 bits; counted in units of 64 bytes, one key may hold 256 GiB.
const WEIGHT_UNIT: u64 = 64;

fn weight(key: &[u8], entry: &Entry) -> u32 {
    let bytes = match entry {
        Entry::Resource(resource) => resource.cost(),
        Entry::DontQueue(_) => key.len() as u64 + ENTRY_OVERHEAD,
    };
    u32::try_from(bytes.div_ceil(WEIGHT_UNIT)).unwrap_or(u32::MAX)
}
