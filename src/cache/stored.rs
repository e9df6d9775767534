//! What lies in the store: answers, several of them under one key.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;

use super::{
    Answer, Parts,
    account::{ALLOCATION_OVERHEAD, CHUNK_OVERHEAD, Charge, ENTRY_OVERHEAD, Part},
    fill::RefreshGate,
    given::Given,
    index,
    purge::Purged,
};
use crate::{clock::Now, wire::Fields};

/// One stored answer, whole or some parts of it; immutable but for how often it was given, who refreshes it, and that it is
/// given no longer.
#[derive(Debug)]
pub struct Stored {
    /// The head and what was worked out of it; that of the whole, also where only parts are held.
    pub answer: Arc<Answer>,
    /// The body, or the parts of it that are held, shared with every reader.
    pub body: Arc<Body>,
    /// Which bytes are held; `None`: all of them.
    pub(crate) parts: Option<Arc<Parts>>,
    /// Who refreshes it, once it is stale.
    pub(super) refresh: RefreshGate,
    hits: AtomicU64,
    /// Of as many whole bodies as there were hits, the bytes that were not given (modulo 2⁶⁴): so that only a hit that gives
    /// less than the whole counts twice.
    unsent: AtomicU64,
    struck: AtomicBool,
    charge: Charge,
}

/// The body of a stored answer. It counts against the byte bound until its last reader lets go of it.
#[derive(Debug)]
pub struct Body {
    chunks: Box<[Bytes]>,
    length: u64,
    charge: Charge,
}

/// The answers under one key, newest first. Never changed but once: emptied when the store has let go of it, so that its
/// bytes are free even while the table still holds the husk.
#[derive(Debug)]
pub(crate) struct Resource {
    key: Arc<[u8]>,
    variants: ArcSwap<Vec<Arc<Stored>>>,
}

impl Stored {
    /// A whole answer.
    pub(crate) fn new(answer: Arc<Answer>, body: Arc<Body>, charge: Charge) -> Arc<Self> {
        Self::given(answer, body, None, charge, Given::default())
    }

    /// The same body under a head that a validation has renewed.
    pub(crate) fn renewed(&self, answer: Answer, charge: Charge) -> Arc<Self> {
        Self::given(Arc::new(answer), self.body.clone(), self.parts.clone(), charge, self.given_so_far())
    }

    /// An answer of which only these parts are held, if any are named, and which was given so often before.
    pub(crate) fn given(
        answer: Arc<Answer>,
        body: Arc<Body>,
        parts: Option<Arc<Parts>>,
        charge: Charge,
        Given { hits, bytes }: Given,
    ) -> Arc<Self> {
        let unsent = AtomicU64::new(hits.wrapping_mul(body.length).wrapping_sub(bytes));
        let (hits, struck, refresh) = (AtomicU64::new(hits), AtomicBool::new(false), RefreshGate::default());
        Arc::new(Self { answer, body, parts, refresh, hits, unsent, struck, charge: charge.of(Part::Heads) })
    }

    /// Whether the whole body is held; else it answers only ranges (RFC 9111 §3.3).
    pub fn is_whole(&self) -> bool {
        self.parts.is_none()
    }

    /// Bytes of the whole body, held or not.
    pub fn length(&self) -> u64 {
        self.answer.length.unwrap_or(self.body.length)
    }

    /// Whether all these bytes are held.
    pub(crate) fn holds(&self, wanted: &Range<u64>) -> bool {
        self.parts.as_ref().is_none_or(|parts| parts.runs.cover(wanted))
    }

    /// These bytes, which are held, in pieces; nothing is copied.
    pub fn slice(&self, wanted: &Range<u64>) -> impl Iterator<Item = Bytes> {
        let place = match &self.parts {
            Some(parts) => parts.runs.place(wanted).unwrap_or(0..0),
            None => wanted.clone(),
        };
        let mut start = 0;
        self.body.chunks.iter().filter_map(move |chunk| {
            let end = start + chunk.len() as u64;
            let (from, to) = (place.start.max(start), place.end.min(end));
            let piece = (from < to).then(|| chunk.slice((from - start) as usize..(to - start) as usize));
            start = end;
            piece
        })
    }

    /// What an answer costs beside its body.
    pub(crate) fn head_cost(answer: &Answer, key: &[u8]) -> u64 {
        let labels = index::labels_cost(answer, key);
        answer.memory() + size_of::<Self>() as u64 + key.len() as u64 + labels + ENTRY_OVERHEAD + LENGTH_LINE
    }

    /// Bytes charged for it, the body included.
    pub(crate) fn cost(&self) -> u64 {
        self.charge.bytes() + self.body.charge.bytes()
    }

    /// How often it was given from the store.
    pub fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    /// Bytes of bodies that were given from the store: of ranges the ranges alone, and none with a 304 or to HEAD.
    pub fn given_bytes(&self) -> u64 {
        // In this order: a hit is counted before what it did not give.
        let unsent = self.unsent.load(Acquire);
        self.hits().wrapping_mul(self.body.length).wrapping_sub(unsent).cast_signed().max(0).cast_unsigned()
    }

    pub(crate) fn given_so_far(&self) -> Given {
        Given { hits: self.hits(), bytes: self.given_bytes() }
    }

    /// Counts that so many bytes of it are given.
    pub(crate) fn count_hit(&self, bytes: u64) {
        self.hits.fetch_add(1, Relaxed);
        if bytes != self.body.length {
            self.unsent.fetch_add(self.body.length.wrapping_sub(bytes), Release);
        }
    }

    /// Counts that it was given so often, with so many bytes in all.
    pub(crate) fn count_all(&self, Given { hits, bytes }: Given) {
        self.hits.fetch_add(hits, Relaxed);
        self.unsent.fetch_add(hits.wrapping_mul(self.body.length).wrapping_sub(bytes), Release);
    }

    /// Whether a purge has struck it: it is given to nobody any more.
    pub(crate) fn is_struck(&self) -> bool {
        self.struck.load(Acquire)
    }

    /// From now on it is given to nobody; false if that was so before.
    pub(crate) fn strike(&self) -> bool {
        !self.struck.swap(true, AcqRel)
    }
}

impl Body {
    pub(crate) fn new(chunks: Vec<Bytes>, charge: Charge) -> Arc<Self> {
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Arc::new(Self { chunks: chunks.into_boxed_slice(), length, charge: charge.of(Part::Bodies) })
    }

    /// What a body of so many bytes in so many pieces costs.
    pub(crate) fn cost_of(length: u64, chunks: u64) -> u64 {
        length + chunks * CHUNK_OVERHEAD + size_of::<Self>() as u64 + ALLOCATION_OVERHEAD
    }

    /// The pieces, none of them empty.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Bytes in all that are held.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Resource {
    fn new(key: Arc<[u8]>, variants: Vec<Arc<Stored>>) -> Self {
        Self { key, variants: ArcSwap::from_pointee(variants) }
    }

    /// What it is stored under.
    pub(crate) fn key(&self) -> &Arc<[u8]> {
        &self.key
    }

    /// Every answer that is here now, struck or not.
    pub(crate) fn variants(&self) -> Guard<Arc<Vec<Arc<Stored>>>> {
        self.variants.load()
    }

    /// The newest answer that this request may be given, whatever its age (RFC 9111 §4.1).
    pub(crate) fn select(&self, request: &Fields) -> Option<Arc<Stored>> {
        let variants = self.variants.load();
        let usable = || variants.iter().filter(|stored| !stored.is_struck());
        // Telling that one does not match costs much more than to find the one that was made for such a request.
        let exact = usable().find(|stored| stored.answer.vary.is_repeated_exactly(request));
        exact.or_else(|| usable().find(|stored| stored.answer.vary.matches(request))).cloned()
    }

    /// The newest of all.
    pub(crate) fn newest(&self) -> Option<Arc<Stored>> {
        self.variants.load().iter().find(|stored| !stored.is_struck()).cloned()
    }

    /// With a new answer in front, and without those that it stands for: at most `most`, past which the oldest goes. Also says
    /// how many had to go for that.
    pub(crate) fn with(
        before: Option<&Self>,
        key: &[u8],
        stored: Arc<Stored>,
        request: &Fields,
        most: usize,
    ) -> (Self, usize) {
        let own_key = before.map_or_else(|| key.into(), |before| before.key.clone());
        let mut variants = vec![stored];
        if let Some(before) = before.filter(|_| !variants[0].answer.vary.is_empty()) {
            let others = before.variants.load_full();
            let stays = |other: &&Arc<Stored>| !other.answer.vary.matches(request) && !other.is_struck();
            variants.extend(others.iter().filter(stays).cloned());
        }
        let dropped = variants.len().saturating_sub(most);
        variants.truncate(most);
        (Self::new(own_key, variants), dropped)
    }

    /// With `new` (or nothing) in the place of `old`; `None` if `old` is not here, or struck.
    pub(crate) fn replacing(&self, old: &Arc<Stored>, new: Option<Arc<Stored>>) -> Option<Self> {
        let variants = self.variants.load();
        let is_old = |stored: &Arc<Stored>| Arc::ptr_eq(stored, old);
        if old.is_struck() || !variants.iter().any(is_old) {
            return None;
        }
        let others = variants.iter().filter(|stored| !is_old(stored)).cloned();
        Some(Self::new(self.key.clone(), new.into_iter().chain(others).collect()))
    }

    /// Strikes the answers that are purged, or, where it is soft, makes them stale from `soft` on; says how many.
    pub(crate) fn strike(&self, what: &Purged, soft: Option<Now>) -> u64 {
        let variants = self.variants.load();
        let concerned = variants.iter().filter(|stored| what.strikes(&self.key, &stored.answer) && !stored.is_struck());
        let struck = concerned.filter(|stored| match soft {
            Some(now) => {
                stored.answer.end_freshness(stored.answer.age(now));
                true
            }
            None => stored.strike(),
        });
        struck.count() as u64
    }

    /// Without those that were struck.
    pub(crate) fn swept(&self) -> Self {
        let variants = self.variants.load();
        Self::new(self.key.clone(), variants.iter().filter(|stored| !stored.is_struck()).cloned().collect())
    }

    /// Lets go of all answers; who reads one keeps it.
    pub(crate) fn clear(&self) {
        self.variants.store(Arc::default());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.variants.load().len()
    }

    /// How often its answers were given.
    pub(crate) fn hits(&self) -> u64 {
        self.variants.load().iter().map(|stored| stored.hits()).sum()
    }

    /// Bytes charged for all variants.
    pub(crate) fn cost(&self) -> u64 {
        self.variants.load().iter().map(|stored| stored.cost()).sum()
    }
}

/// Content-Length, which an answer of unknown length gets when its body has ended: in the fields and in the written head.
const LENGTH_LINE: u64 = 128;

#[cfg(test)]
mod tests;
