//! What the cache counts.

use std::sync::Arc;

use super::{Reason, account::Account};
use crate::metrics::{Counter, Family, Gauge, Registry};

/// The cache's own numbers; hits and misses by route are the gateway's.
pub(crate) struct Metrics {
    pub(crate) evictions: Counter,
    pub(crate) stored: Counter,
    pub(crate) validated: Counter,
    pub(crate) parts_stored: Counter,
    pub(crate) parts_completed: Counter,
    pub(crate) parts_dropped: Counter,
    pub(crate) refused: Arc<Family<Reason>>,
    pub(crate) fills: Gauge,
    pub(crate) fills_failed: Counter,
    pub(crate) collapsed: Counter,
    pub(crate) gave_up: Counter,
    pub(crate) readers_cut: Counter,
    pub(crate) variants_dropped: Counter,
    pub(crate) invalidations: Counter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help);
        Self {
            evictions: counter(
                "tidegate_cache_evictions_total",
                "Entries that had to go, or were not let in, for want of room. Rising fast: the cache is too small for what is asked for often.",
            ),
            stored: counter("tidegate_cache_stored_total", "Answers put into the store."),
            validated: counter("tidegate_cache_validated_total", "Stored answers that a 304 made fresh again."),
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
            refused: registry.family(
                "tidegate_cache_refused_total",
                "Answers that were not stored, by reason. What was expected to be cached shows here why it is not.",
                &["reason"],
                |reason: &Reason| vec![reason.label().to_owned()],
            ),
            fills: registry.gauge("tidegate_cache_fills", "Answers being fetched into the store now."),
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
            invalidations: counter("tidegate_cache_invalidations_total", "Keys forgotten after an unsafe request."),
        }
    }

    /// The numbers that are looked up at the scrape.
    pub(crate) fn observe(
        registry: &Registry,
        account: &Arc<Account>,
        entries: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let held = account.clone();
        registry.gauge_from("tidegate_cache_entries", "Keys in the store.", move || entries() as f64);
        registry.gauge_from(
            "tidegate_cache_size_bytes",
            "Bytes of stored answers and of those being fetched, with their overhead; never above the capacity.",
            move || held.held() as f64,
        );
        let account = account.clone();
        registry.gauge_from("tidegate_cache_capacity_bytes", "The byte bound, as configured.", move || {
            account.capacity() as f64
        });
    }
}
