//! Which keys there are, in order, and which of them carry a tag: what purges and operators go by, and never a request.
//!
//! In shards by the base of the key. A shard's lock is held for one look or one change, and nothing else is locked
//! meanwhile. A key's row is here before its entry is in the store's table, and goes when the table has let go of that very
//! entry, so that nothing that can be given is missing here.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasher, Hash, Hasher},
    ops::{Bound, Range},
    sync::Arc,
};

use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard};

use super::{
    Answer,
    key::{base_of, is_under, origin_of},
    purge::Purged,
    store::Entry,
    stored::Resource,
};

/// All rows.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shard {
    rows: BTreeMap<Arc<[u8]>, Entry>,
    /// By tag or group, as `write_tag` and `write_group` have them.
    labels: HashMap<Box<[u8]>, HashSet<Itself, RandomState>, RandomState>,
}

/// A resource that is equal to itself alone.
#[derive(Debug)]
struct Itself(Arc<Resource>);

impl Index {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::default() }
    }

    /// What stands under a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry> {
        self.shard_of(key).rows.get(key).cloned()
    }

    /// Takes an entry in, in the place of its predecessor.
    pub(crate) fn put(&self, entry: &Entry) {
        let mut shard = self.shard_of(entry.key());
        let before = shard.rows.insert(entry.key().clone(), entry.clone());
        // In this order, so that a label that both have is not taken down and put up again.
        if let Some(resource) = entry.resource() {
            shard.label(resource);
        }
        if let Some(before) = before.as_ref().and_then(Entry::resource) {
            shard.unlabel(before);
        }
    }

    /// Takes this very entry out, if it is still here.
    pub(crate) fn remove(&self, entry: &Entry) {
        let mut shard = self.shard_of(entry.key());
        if shard.rows.get(entry.key()) == Some(entry) {
            shard.rows.remove(entry.key());
            if let Some(resource) = entry.resource() {
                shard.unlabel(resource);
            }
        }
    }

    /// The shards that may hold something of these.
    pub(crate) fn shards(&self, what: &Purged) -> Range<usize> {
        match what {
            Purged::Url(base) => {
                let at = self.place_of(base);
                at..at + 1
            }
            _ => 0..SHARDS,
        }
    }

    /// Shows every resource of a shard that may hold an answer of these, in the order of their keys where it goes by keys;
    /// ends when `visit` returns false. The shard is locked meanwhile.
    pub(crate) fn visit(&self, shard: usize, what: &Purged, mut visit: impl FnMut(&Arc<Resource>) -> bool) {
        let shard = self.shards[shard].lock();
        let labelled = |label: &[u8]| shard.labels.get(label).into_iter().flatten();
        match what {
            // All that begins with the base and goes on with a NUL comes before all that goes on otherwise.
            Purged::Url(base) => shard.from(base).take_while(|row| is_under(row.key(), base)).all(visit),
            Purged::Prefix(prefix) => shard.from(prefix).take_while(|row| row.key().starts_with(prefix)).all(visit),
            Purged::Tag(tag) => labelled(&tag_label(tag)).all(|itself| visit(&itself.0)),
            Purged::Group { origin, name } => labelled(&group_label(origin, name)).all(|itself| visit(&itself.0)),
            Purged::All => shard.rows.values().filter_map(Entry::resource).all(visit),
        };
    }

    fn shard_of(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        self.shards[self.place_of(key)].lock()
    }

    fn place_of(&self, key: &[u8]) -> usize {
        (self.hasher.hash_one(base_of(key)) >> 48) as usize % SHARDS
    }
}

impl Shard {
    /// The resources from this key on.
    fn from(&self, key: &[u8]) -> impl Iterator<Item = &Arc<Resource>> {
        let rows = self.rows.range::<[u8], _>((Bound::Included(key), Bound::Unbounded));
        rows.filter_map(|(_, entry)| entry.resource())
    }

    fn label(&mut self, resource: &Arc<Resource>) {
        for label in labels(resource) {
            match self.labels.get_mut(&*label) {
                Some(labelled) => labelled.insert(Itself(resource.clone())),
                None => self.labels.entry(label.into()).or_default().insert(Itself(resource.clone())),
            };
        }
    }

    fn unlabel(&mut self, resource: &Arc<Resource>) {
        let itself = Itself(resource.clone());
        for label in labels(resource) {
            let Some(labelled) = self.labels.get_mut(&*label) else { continue };
            labelled.remove(&itself);
            if labelled.is_empty() {
                self.labels.remove(&*label);
            } else if is_sparse(labelled.len(), labelled.capacity()) {
                labelled.shrink_to_fit();
            }
        }
        if is_sparse(self.labels.len(), self.labels.capacity()) {
            self.labels.shrink_to_fit();
        }
    }
}

impl PartialEq for Itself {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Itself {}

impl Hash for Itself {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// What the index holds for an answer beside its key's row, in bytes.
pub(crate) fn labels_cost(answer: &Answer, key: &[u8]) -> u64 {
    let origin = origin_of(key).len();
    let words = answer.tags.iter().map(|tag| tag.len()).chain(answer.groups.iter().map(|name| name.len() + origin));
    words.map(|length| length as u64 + LABEL_OVERHEAD).sum()
}

/// The labels of all variants; some may come twice.
fn labels(resource: &Resource) -> Vec<Vec<u8>> {
    let origin = origin_of(resource.key());
    let variants = resource.variants();
    let of = |answer: &Answer| {
        let tags = answer.tags.iter().map(|tag| tag_label(tag));
        tags.chain(answer.groups.iter().map(|name| group_label(origin, name))).collect::<Vec<_>>()
    };
    variants.iter().flat_map(|stored| of(&stored.answer)).collect()
}

fn tag_label(tag: &[u8]) -> Vec<u8> {
    [b"t", tag].concat()
}

/// An origin ends with its only NUL, so no two pairs share a label.
fn group_label(origin: &[u8], name: &[u8]) -> Vec<u8> {
    [b"g", origin, name].concat()
}

/// Whether a table was made for many more than it holds.
fn is_sparse(length: usize, capacity: usize) -> bool {
    capacity > 64 && length < capacity / 4
}

const SHARDS: usize = 64;
/// What a label of an answer costs beside its bytes: a share of the tables.
const LABEL_OVERHEAD: u64 = 96;

#[cfg(test)]
mod tests;
