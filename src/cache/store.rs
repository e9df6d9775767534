//! The table of entries by key; the only file that knows moka.
//!
//! Entries are replaced, never changed. Whoever reads, decides and writes holds the key's lock in `fill::Flights`, so that
//! no write is lost. Admission is TinyLFU by bytes: a scan of things asked for once does not push out what is asked for often.
//! Beside the table stands the index, which a look-up never touches; moka's listener, called for whatever leaves the table
//! on whatever thread does its work, keeps it true and locks nothing else.

mod entry;

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use moka::notification::RemovalCause;

pub(crate) use entry::Entry;
use entry::{Mark, WEIGHT_UNIT, mark_cost, weight};

use super::{
    account::{Account, Part},
    index::Index,
    metrics::{Cause, Metrics},
    purge::Purged,
    stored::{Resource, Stored},
};
use crate::{clock::Now, wire::Fields};

type Table = moka::sync::Cache<Arc<[u8]>, Entry, foldhash::fast::RandomState>;

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
    index: Arc<Index>,
    account: Arc<Account>,
    /// Variants of one key.
    variants_max: usize,
}

impl Store {
    /// Room for `capacity` bytes of entries.
    pub(crate) fn new(capacity: u64, variants_max: usize, account: &Arc<Account>, metrics: &Metrics) -> Self {
        let index = Arc::new(Index::new());
        let (rows, evictions) = (index.clone(), metrics.evictions.clone());
        let table: Table = moka::sync::Cache::<Arc<[u8]>, Entry>::builder()
            .max_capacity(capacity / WEIGHT_UNIT)
            .weigher(|key, entry| weight(key, entry))
            .eviction_listener(move |_, entry, cause| {
                rows.remove(&entry);
                let Entry::Resource(resource) = entry else { return };
                evictions.add(why(&resource, cause), 1);
                // moka frees what it has taken out when no thread can be looking at it any more, which may take a while;
                // the bytes are wanted now.
                resource.clear();
            })
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self { table, index, account: account.clone(), variants_max }
    }

    /// The answer for a request with these fields, which counts as asked for. Nothing is allocated when its nominated fields
    /// are byte for byte those of the stored request.
    pub(crate) fn find(&self, key: &[u8], request: &Fields) -> Found {
        Self::found(|| self.table.get(key), request)
    }

    /// The same without counting: what is looked at for a second time on behalf of one request must not seem to be asked for
    /// twice, or nothing that is asked for once could be told from what is asked for often.
    pub(crate) fn peek(&self, key: &[u8], request: &Fields) -> Found {
        Self::found(|| self.index.get(key), request)
    }

    fn found(entry: impl Fn() -> Option<Entry>, request: &Fields) -> Found {
        // Looked at just as another took its place, an entry is empty; the next look finds its successor.
        for _ in 0..2 {
            match entry() {
                None => return Found::Nothing,
                Some(Entry::DontQueue(mark)) => return Found::DontQueue(mark.until),
                Some(Entry::Resource(resource)) => match resource.select(request) {
                    Some(stored) => return Found::Stored(stored),
                    None if resource.len() > 0 => return Found::OtherVariants,
                    None => {}
                },
            }
        }
        Found::Nothing
    }

    /// Whether so many bytes more would push nothing out.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.settle();
        let capacity = self.table.policy().max_capacity().unwrap_or(u64::MAX);
        self.table.weighted_size() + bytes.div_ceil(WEIGHT_UNIT) <= capacity
    }

    /// Counts a key as asked for.
    pub(crate) fn touch(&self, key: &[u8]) {
        self.table.get(key);
    }

    /// What stands under a key; not counted as asked for.
    #[cfg(test)]
    pub(crate) fn entry(&self, key: &[u8]) -> Option<Entry> {
        self.index.get(key)
    }

    /// All answers under a key, if there are some; not counted as asked for.
    pub(crate) fn resource(&self, key: &[u8]) -> Option<Arc<Resource>> {
        self.index.get(key)?.resource().cloned()
    }

    /// Puts an answer in front of the others under its key; says how many variants had to go for the bound. `None`: a purge
    /// has struck it on its way, as `is_struck` says.
    pub(crate) fn put(
        &self,
        key: &[u8],
        stored: &Arc<Stored>,
        request: &Fields,
        is_struck: impl Fn() -> bool,
    ) -> Option<usize> {
        if is_struck() {
            return None;
        }
        let before = self.resource(key);
        let (resource, dropped) = Resource::with(before.as_deref(), key, stored.clone(), request, self.variants_max);
        self.place(resource, Some(stored), is_struck).then_some(dropped)
    }

    /// Puts `new` in the place of `old`, or takes `old` out; false if `old` is not there any more, or a purge has struck
    /// `new` on its way, as `is_struck` says.
    pub(crate) fn replace(
        &self,
        key: &[u8],
        old: &Arc<Stored>,
        new: Option<Arc<Stored>>,
        is_struck: impl Fn() -> bool,
    ) -> bool {
        if is_struck() {
            return false;
        }
        let Some(resource) = self.resource(key).and_then(|before| before.replacing(old, new.clone())) else {
            return false;
        };
        self.place(resource, new.as_ref(), is_struck)
    }

    /// Takes out what purges have struck under this key.
    pub(crate) fn sweep(&self, key: &[u8]) {
        if let Some(resource) = self.resource(key) {
            self.place(resource.swept(), None, || false);
        }
    }

    /// Puts a resource into index and table; false if its newest answer, `new`, is struck.
    fn place(&self, resource: Resource, new: Option<&Arc<Stored>>, is_struck: impl Fn() -> bool) -> bool {
        let key = resource.key().clone();
        if resource.len() == 0 {
            self.table.invalidate(&*key);
            return true;
        }
        let entry = Entry::Resource(Arc::new(resource));
        self.index.put(&entry);
        // Whoever purges notes it first and goes through the index then. So it has found this answer, or is known by now.
        let is_struck = new.is_some_and(|new| new.is_struck() || (is_struck() && new.strike()));
        self.table.insert(key.clone(), entry);
        if is_struck {
            self.sweep(&key);
        }
        !is_struck
    }

    /// Takes out the answer that a request with these fields would validate now: the backend has just given another in its
    /// place, which is not stored. What is fresh, and what other requests are given, stays.
    pub(crate) fn retire(&self, key: &[u8], request: &Fields, now: Now) {
        let Found::Stored(stored) = self.peek(key, request) else { return };
        if stored.answer.no_cache || stored.answer.ttl(stored.answer.age(now)) <= 0 {
            self.replace(key, &stored, None, || false);
        }
    }

    /// Strikes the answers that are purged, or makes them stale from `soft` on; says how many.
    pub(crate) fn strike(&self, what: &Purged, soft: Option<Now>) -> u64 {
        let mut struck = 0;
        self.visit(what, |resource| {
            struck += resource.strike(what, soft);
            true
        });
        struck
    }

    /// The groups that answers under this base are in, each once.
    pub(crate) fn groups_under(&self, base: &[u8]) -> BTreeSet<Box<[u8]>> {
        let mut groups = BTreeSet::new();
        self.visit(&Purged::Url(base.to_vec()), |resource| {
            let variants = resource.variants();
            let known = variants.iter().filter(|stored| !stored.is_struck());
            groups.extend(known.flat_map(|stored| stored.answer.groups.iter().cloned()));
            true
        });
        groups
    }

    /// The keys that have to be swept after a purge, in portions.
    pub(crate) fn struck_keys(&self, what: &Purged) -> impl Iterator<Item = Vec<Arc<[u8]>>> {
        self.index.shards(what).map(|shard| {
            let mut keys = Vec::new();
            self.index.visit(shard, what, |resource| {
                if resource.variants().iter().any(|stored| stored.is_struck()) {
                    keys.push(resource.key().clone());
                }
                true
            });
            keys
        })
    }

    /// Marks the key as not worth queueing for, unless there are answers, or no room for a mark.
    pub(crate) fn dont_queue(&self, key: &[u8], until: Instant) {
        if self.resource(key).is_some() {
            return;
        }
        if let Some(_charge) = self.account.charge(mark_cost(key)) {
            let key: Arc<[u8]> = key.into();
            let _charge = _charge.of(Part::Heads);
            let entry = Entry::DontQueue(Arc::new(Mark { key: key.clone(), until, _charge }));
            self.index.put(&entry);
            self.table.insert(key, entry);
        }
    }

    /// Marks the key for longer, if it is still marked.
    pub(crate) fn renew_mark(&self, key: &[u8], until: Instant) {
        if self.is_marked(key) {
            self.dont_queue(key, until);
        }
    }

    /// Takes the mark away.
    pub(crate) fn unmark(&self, key: &[u8]) {
        if self.is_marked(key) {
            self.table.invalidate(key);
        }
    }

    /// Whether there is a mark; it may have run out.
    fn is_marked(&self, key: &[u8]) -> bool {
        matches!(self.index.get(key), Some(Entry::DontQueue(_)))
    }

    /// Shows the resources that may hold an answer of these, until `visit` returns false. A part of the index is locked meanwhile.
    pub(crate) fn visit(&self, what: &Purged, mut visit: impl FnMut(&Arc<Resource>) -> bool) {
        let mut goes_on = true;
        for shard in self.index.shards(what) {
            self.index.visit(shard, what, |resource| {
                goes_on = goes_on && visit(resource);
                goes_on
            });
        }
    }

    /// All resources, in no order, beside whoever changes the table meanwhile. Nothing is marked as asked for.
    pub(crate) fn resources(&self) -> impl Iterator<Item = Arc<Resource>> {
        self.table.iter().filter_map(|(_, entry)| entry.resource().cloned())
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

/// Why a resource leaves the table. moka does not tell apart what it pushed out and what it never let in; what nobody asked
/// for again is neither a loss.
fn why(resource: &Resource, cause: RemovalCause) -> Cause {
    match cause {
        RemovalCause::Size | RemovalCause::Expired if resource.hits() == 0 => Cause::Unused,
        RemovalCause::Size | RemovalCause::Expired => Cause::Size,
        RemovalCause::Replaced => Cause::Replaced,
        RemovalCause::Explicit => Cause::Removed,
    }
}

#[cfg(test)]
mod tests;
