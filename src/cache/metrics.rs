//! What the cache counts.

use std::{sync::Arc, time::Duration};

use super::{
    Reason,
    account::{Account, Part},
    validation::Validation,
};
use crate::metrics::{Counter, Family, Gauge, Registry};

/// The cache's own numbers; hits and misses by route are the gateway's.
pub(crate) struct Metrics {
    pub(crate) evictions: Arc<Family<Cause>>,
    pub(crate) stored: Counter,
    pub(crate) parts_stored: Counter,
    pub(crate) parts_completed: Counter,
    pub(crate) parts_dropped: Counter,
    pub(crate) misses: Arc<Family<Reason>>,
    pub(crate) validations: Arc<Family<Validation>>,
    pub(crate) refused: Arc<Family<Reason>>,
    pub(crate) fills: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) fills_failed: Counter,
    pub(crate) collapsed: Counter,
    pub(crate) gave_up: Counter,
    pub(crate) readers_cut: Counter,
    pub(crate) variants_dropped: Counter,
    pub(crate) invalidations: Counter,
    /// By kind, and whether soft.
    pub(crate) purges: Arc<Family<(&'static str, bool)>>,
    pub(crate) purged: Arc<Family<(&'static str, bool)>>,
    pub(crate) saved: Saved,
}

/// Why an entry left the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// For want of room, although it had been asked for again.
    Size,
    /// For want of room, or never let in, and nobody had asked for it again.
    Unused,
    /// A newer answer took its place, or joined it under the same key.
    Replaced,
    /// It was purged or invalidated.
    Removed,
}

/// What the backends were spared.
#[derive(Clone, Default)]
pub(crate) struct Saved {
    bytes: Counter,
    microseconds: Counter,
}

impl Cause {
    fn label(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Unused => "unused",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
        }
    }
}

impl Saved {
    fn new(registry: &Registry) -> Self {
        let saved = Self {
            bytes: registry.counter(
                "tidegate_cache_saved_bytes_total",
                "Body bytes given from the store, after a validation too, or of a fetch that several requests shared: what the backends did not have to send.",
            ),
            ..Self::default()
        };
        let microseconds = saved.microseconds.clone();
        registry.counter_from(
            "tidegate_cache_saved_seconds_total",
            "Time that the backends would have taken for the answers given from the store, or of a fetch that several requests shared, without being asked for them; going by what each took when it was fetched.",
            move || microseconds.value() / 1_000_000,
        );
        saved
    }

    /// Bytes so far.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.value()
    }

    /// Counts what was given: two additions to memory that no other thread writes.
    pub(crate) fn count(&self, bytes: u64, took: Duration) {
        self.bytes.add(bytes);
        self.microseconds.add(took.as_micros() as u64);
    }
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help);
        Self {
            evictions: registry.family(
                "tidegate_cache_evictions_total",
                "Entries that left the store, by cause: size (pushed out although asked for again), unused (pushed out or never let in, and asked for once), replaced, removed (purged or invalidated). When size rises fast, the cache is too small for what is asked for often.",
                &["cause"],
                |cause: &Cause| vec![cause.label().to_owned()],
            ),
            stored: counter("tidegate_cache_stored_total", "Answers put into the store."),
            parts_stored: counter(
                "tidegate_cache_parts_stored_total",
                "Parts of answers (206) put into the store, alone or beside others of the same answer.",
            ),
            parts_completed: counter(
                "tidegate_cache_parts_completed_total",
                "Answers that became whole in the store by a part that came.",
            ),
            parts_dropped: counter(
                "tidegate_cache_parts_dropped_total",
                "Parts given up because one answer had too many, or outgrew max_object. Rising: many places of large files are asked for.",
            ),
            misses: registry.family(
                "tidegate_cache_misses_total",
                "Look-ups that the store did not answer, by reason. `stale` and `no_cache` are validated first.",
                &["reason"],
                |reason: &Reason| vec![reason.label().to_owned()],
            ),
            validations: registry.family(
                "tidegate_cache_validations_total",
                "Validations of stored answers, by result: not_modified (fresh again), replaced (by a new answer), not_stored (what came is not kept), mismatch (a 304 about something else), stale (the backend failed, and the stale answer was given), failed (the backend failed, or the request was given up, and nothing was given).",
                &["result"],
                |result: &Validation| vec![result.label().to_owned()],
            ),
            refused: registry.family(
                "tidegate_cache_refused_total",
                "Answers that were not stored, by reason. What was expected to be cached shows here why it is not.",
                &["reason"],
                |reason: &Reason| vec![reason.label().to_owned()],
            ),
            fills: registry.gauge(
                "tidegate_cache_fills",
                "Fetches now whose answers may go into the store, from when they begin. More than usual: a backend hangs, or is slow.",
            ),
            waiting: registry.gauge(
                "tidegate_cache_waiting",
                "Requests that wait now for the head of an answer that another request fetches. Many: a backend hangs under what is asked for often.",
            ),
            fills_failed: counter(
                "tidegate_cache_fills_failed_total",
                "Fetches into the store that broke off. Rising: a backend cuts its answers short.",
            ),
            collapsed: counter("tidegate_cache_collapsed_total", "Requests that shared another's fetch."),
            gave_up: counter(
                "tidegate_cache_waits_given_up_total",
                "Requests that waited too long for another's fetch to begin its answer and went on alone. Rising: long-polls, or a slow backend.",
            ),
            readers_cut: counter(
                "tidegate_cache_readers_cut_total",
                "Clients cut off because they held up others on an answer too large to store.",
            ),
            variants_dropped: counter(
                "tidegate_cache_variants_dropped_total",
                "Variants given up because one key had too many. Rising: a Vary on a field with many values.",
            ),
            invalidations: counter("tidegate_cache_invalidations_total", "URLs forgotten after an unsafe request."),
            purges: registry.family(
                "tidegate_cache_purges_total",
                "Purges, by kind (url, prefix, tag, group, all) and mode (hard, soft).",
                &["kind", "mode"],
                purge_labels,
            ),
            purged: registry.family(
                "tidegate_cache_purged_total",
                "Stored answers that purges hit, by kind and mode of the purge.",
                &["kind", "mode"],
                purge_labels,
            ),
            saved: Saved::new(registry),
        }
    }

    /// The numbers that are looked up at the scrape.
    pub(crate) fn observe(
        registry: &Registry,
        account: &Arc<Account>,
        capacity: u64,
        entries: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let held = account.clone();
        registry.gauge_from("tidegate_cache_entries", "Keys in the store.", move || entries() as f64);
        registry.gauge_from(
            "tidegate_cache_size_bytes",
            "Bytes of stored answers and of those being fetched, with their overhead; never above the capacity.",
            move || held.held() as f64,
        );
        for (part, name, help) in PARTS {
            let account = account.clone();
            registry.gauge_from(name, help, move || account.held_for(part) as f64);
        }
        let help = "The byte bound as configured. A part of it is not there for answers: 4 MiB, and 2 MiB for each worker thread, are what tables and the memory allocator take.";
        registry.gauge_from("tidegate_cache_capacity_bytes", help, move || capacity as f64);
    }
}

const PARTS: [(Part, &str, &str); 3] = [
    (Part::Bodies, "tidegate_cache_bodies_bytes", "Bytes of stored bodies, with their overhead."),
    (
        Part::Heads,
        "tidegate_cache_heads_bytes",
        "Bytes of stored heads and keys and of marks on keys, with their share of tables and index.",
    ),
    (Part::Fills, "tidegate_cache_fills_bytes", "Bytes of answers being fetched into the store."),
];

fn purge_labels((kind, soft): &(&'static str, bool)) -> Vec<String> {
    vec![(*kind).to_owned(), if *soft { "soft" } else { "hard" }.to_owned()]
}
