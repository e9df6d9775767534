//! Taking answers out of use before their time: by key, by what the keys begin with, by tag, by group, or all.
//!
//! A purge strikes what is stored, one flag for each answer, and only then takes it out of the table. A fetch that was
//! under way when it came does not store what it would have struck: fetches for a URL are doomed at once; for the other
//! kinds, which can't be told before the answer's head is there, purges are numbered and kept for a while, and a fetch
//! remembers how many there were when it began. A request that only turns out to be a fetch when its answer comes (a POST)
//! is on no list that could be doomed; it remembers how many strikes there have been that may be about its key.

use std::{
    array,
    collections::VecDeque,
    hash::BuildHasher,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use parking_lot::Mutex;

use super::{
    Answer, Cache,
    key::{base_of, is_under, origin_of},
};
use crate::clock::Now;

/// Which answers, and how thoroughly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Which answers.
    pub what: Purged,
    /// They stay, stale from now on: `stale-while-revalidate` and `stale-if-error` may still give them. Else they are gone.
    pub soft: bool,
}

/// Which answers are purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// Everything under this base of keys (scheme, authority and target as [`super::key::build`] writes them): all variants,
    /// whatever follows the base in the key.
    Url(Vec<u8>),
    /// Everything whose key begins like this.
    Prefix(Vec<u8>),
    /// Answers that carry this tag in `Cache-Tag`, `Surrogate-Key` or `xkey`.
    Tag(Vec<u8>),
    /// Answers of this origin (scheme and authority, as a key begins) that are in this group (RFC 9875).
    Group {
        /// What the keys of the origin begin with, the NUL included.
        origin: Vec<u8>,
        /// The group's name.
        name: Vec<u8>,
    },
    /// Everything.
    All,
}

/// The purges that a fetch under way may have to hear of, numbered from 0.
#[derive(Debug)]
pub(crate) struct Purges {
    count: AtomicU64,
    latest: Mutex<VecDeque<Purged>>,
    /// How often something was struck by its URL. Many bases share one count, so that it may be about another.
    by_url: [AtomicU64; URL_COUNTS],
    hasher: foldhash::fast::RandomState,
}

/// What had been purged when a request was sent, as far as it may be about its key.
#[derive(Debug)]
pub struct Moment {
    /// How many purges there had been, but for those by URL.
    pub(crate) since: u64,
    /// Where its base is counted, and how often that had been struck.
    place: usize,
    by_url: u64,
}

impl Cache {
    /// Purges, and says how many answers were there. When it returns, no request that starts later is given one of them as
    /// fresh, and no fetch that was under way stores one. It takes about a microsecond for each; where they are
    /// many, a thread of its own takes them out of the table afterwards.
    pub fn purge(&self, purge: &Purge) -> u64 {
        self.strike_counted(&purge.what, purge.soft, None)
    }

    /// To be taken before a request is sent whose answer may turn out to be worth storing: a hash and two atomic reads.
    pub fn moment(&self, key: &[u8]) -> Moment {
        self.purges.moment(key)
    }

    /// An unsafe request has changed what is under this base of keys: it is forgotten, and what shares a group with it
    /// (RFC 9111 §4.4, RFC 9875 §2.2.1). Fetches under way are not stored and take no further followers; but the request
    /// itself, sent at this moment, may still store its own answer.
    pub fn invalidate(&self, base: &[u8], mut sent: Option<&mut Moment>) {
        let groups = self.store.groups_under(base);
        if self.strike(&Purged::Url(base.to_vec()), false, sent.as_deref_mut()) > 0 {
            self.metrics.invalidations.add(1);
        }
        // What shares another group with one of those stays: groups do not cascade.
        for name in groups {
            self.invalidate_group(origin_of(base), &name, sent.as_deref_mut());
        }
    }

    /// The same for a group of this origin, scheme and authority as a key begins (RFC 9875 §3). Counts as a purge.
    pub fn invalidate_group(&self, origin: &[u8], name: &[u8], sent: Option<&mut Moment>) {
        let what = Purged::Group { origin: origin.to_vec(), name: name.to_vec() };
        self.strike_counted(&what, false, sent);
    }

    fn strike_counted(&self, what: &Purged, soft: bool, sent: Option<&mut Moment>) -> u64 {
        let struck = self.strike(what, soft, sent);
        self.metrics.purges.add((what.kind(), soft), 1);
        self.metrics.purged.add((what.kind(), soft), struck);
        struck
    }

    fn strike(&self, what: &Purged, soft: bool, sent: Option<&mut Moment>) -> u64 {
        let now = soft.then(Now::read);
        let struck = match what {
            Purged::Url(base) => self.flights.doom(base, || {
                self.purges.note_url(base, sent);
                self.store.unmark(base);
                self.store.strike(what, now)
            }),
            _ => {
                // In this order: an answer that is stored later knows of the purge, one that was stored before is found.
                self.purges.note(what.clone(), sent);
                self.store.strike(what, now)
            }
        };
        if struck > 0 && !soft && (struck <= SWEPT_AT_ONCE || !self.sweep_meanwhile(what)) {
            self.sweep(what);
        }
        struck
    }

    /// Sweeps on another thread; false if there is none to be had.
    fn sweep_meanwhile(&self, what: &Purged) -> bool {
        let Some(cache) = self.itself.upgrade() else { return false };
        let what = what.clone();
        let thread = std::thread::Builder::new().name("tidegate-sweep".to_owned());
        thread.spawn(move || cache.sweep(&what)).is_ok()
    }

    /// Takes out of the table what has been struck.
    fn sweep(&self, what: &Purged) {
        for keys in self.store.struck_keys(what) {
            for key in keys {
                self.flights.locked(&key, || self.store.sweep(&key));
            }
        }
    }
}

impl Purged {
    /// Whether it is about this answer.
    pub(crate) fn strikes(&self, key: &[u8], answer: &Answer) -> bool {
        let is_among = |words: &[Box<[u8]>], word: &[u8]| words.binary_search_by(|own| (**own).cmp(word)).is_ok();
        match self {
            Self::Url(base) => is_under(key, base),
            Self::Prefix(prefix) => key.starts_with(prefix),
            Self::Tag(tag) => is_among(&answer.tags, tag),
            // RFC 9875 §2: a group means something within its origin only.
            Self::Group { origin, name } => origin_of(key) == *origin && is_among(&answer.groups, name),
            Self::All => true,
        }
    }

    /// The word for metrics, from a closed list.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Prefix(_) => "prefix",
            Self::Tag(_) => "tag",
            Self::Group { .. } => "group",
            Self::All => "all",
        }
    }
}

impl Default for Purges {
    fn default() -> Self {
        let by_url = array::from_fn(|_| AtomicU64::new(0));
        Self { count: AtomicU64::new(0), latest: Mutex::default(), by_url, hasher: Default::default() }
    }
}

impl Purges {
    fn moment(&self, key: &[u8]) -> Moment {
        let place = self.place_of(key);
        Moment { since: self.count(), place, by_url: self.by_url[place].load(Acquire) }
    }

    /// Whether something was struck by its URL since, by others, that may be about the key of that moment. For an answer
    /// that is on its way into the store to be told of all others, under the key's lock.
    pub(crate) fn have_struck_since(&self, moment: &Moment) -> bool {
        self.by_url[moment.place].load(Acquire) != moment.by_url
    }

    /// Under the key's lock. Whoever `sent` the request that it comes from need not hear of it.
    fn note_url(&self, base: &[u8], sent: Option<&mut Moment>) {
        let place = self.place_of(base);
        self.by_url[place].fetch_add(1, Release);
        if let Some(sent) = sent.filter(|sent| sent.place == place) {
            sent.by_url += 1;
        }
    }

    fn place_of(&self, key: &[u8]) -> usize {
        (self.hasher.hash_one(base_of(key)) >> 48) as usize % URL_COUNTS
    }

    /// How many there have been.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Acquire)
    }

    /// Whoever `sent` the request that it comes from need not hear of it, if there was none before that he has to.
    fn note(&self, what: Purged, sent: Option<&mut Moment>) {
        let mut latest = self.latest.lock();
        if latest.len() == KEPT {
            latest.pop_front();
        }
        latest.push_back(what);
        let number = self.count();
        self.count.store(number + 1, Release);
        if let Some(sent) = sent.filter(|sent| sent.since == number) {
            sent.since += 1;
        }
    }

    /// Whether one of the purges from number `since` up to `until` is about this answer. Of purges that are too long ago to be
    /// known, one may have been.
    pub(crate) fn strike(&self, key: &[u8], answer: &Answer, since: u64, until: u64) -> bool {
        if since >= until {
            return false;
        }
        let latest = self.latest.lock();
        let first = self.count() - latest.len() as u64;
        let known = latest.iter().skip(since.saturating_sub(first) as usize).take((until - since) as usize);
        since < first || known.into_iter().any(|purged| purged.strikes(key, answer))
    }
}

/// Purges remembered for the fetches under way.
const KEPT: usize = 4096;

/// Counts of strikes by URL. Whether one was about another URL that shares its count is not known: of a hundred changes
/// while a POST is under way, one in twenty such answers is not stored for it.
const URL_COUNTS: usize = 2048;

/// Answers that are taken out of the table before a purge returns: some milliseconds.
const SWEPT_AT_ONCE: u64 = 1024;

#[cfg(test)]
mod tests;
