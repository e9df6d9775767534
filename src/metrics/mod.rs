//! Numbers that the hot paths count and Prometheus scrapes.
//!
//! A part declares its own handles against the `Registry` and counts through them; nothing here knows what is counted.
//! Every cell is sharded by worker thread, so that counting never touches a line of memory that another thread writes;
//! the shards are added up at the scrape.

use std::{hash::Hash, sync::Arc, time::Duration};

/// Everything that can be scraped. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {}

/// A number that only grows.
#[derive(Clone, Default)]
pub struct Counter {}

/// A number that goes up and down.
#[derive(Clone, Default)]
pub struct Gauge {}

/// Holds a gauge one higher for as long as it lives.
pub struct GaugeGuard(Gauge);

/// Counters told apart by labels. `K` is a small value made of indices and closed enums; its label values are made at the scrape.
pub struct Family<K>(std::marker::PhantomData<K>);

/// Gauges told apart by labels.
pub struct GaugeFamily<K>(std::marker::PhantomData<K>);

/// Durations or sizes, told apart by labels, in buckets.
pub struct HistogramFamily<K>(std::marker::PhantomData<K>);

/// A key's label values, in the order of the family's label names.
pub type Describe<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

impl Registry {
    pub fn new() -> Self {
        Self {}
    }

    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        let _ = (name, help);
        Counter {}
    }

    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        let _ = (name, help);
        Gauge {}
    }

    /// A gauge whose value is asked for at the scrape.
    pub fn gauge_from(&self, name: &'static str, help: &'static str, value: impl Fn() -> f64 + Send + Sync + 'static) {
        let _ = (name, help, value);
    }

    /// A counter whose value is asked for at the scrape.
    pub fn counter_from(
        &self,
        name: &'static str,
        help: &'static str,
        value: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let _ = (name, help, value);
    }

    pub fn family<K: Copy + Eq + Hash + Send + Sync + 'static>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        describe: impl Fn(&K) -> Vec<String> + Send + Sync + 'static,
    ) -> Arc<Family<K>> {
        let _ = (name, help, labels, describe);
        Arc::new(Family(std::marker::PhantomData))
    }

    pub fn gauge_family<K: Copy + Eq + Hash + Send + Sync + 'static>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        describe: impl Fn(&K) -> Vec<String> + Send + Sync + 'static,
    ) -> Arc<GaugeFamily<K>> {
        let _ = (name, help, labels, describe);
        Arc::new(GaugeFamily(std::marker::PhantomData))
    }

    /// `buckets` are upper bounds in base units (seconds, bytes), rising.
    pub fn histogram_family<K: Copy + Eq + Hash + Send + Sync + 'static>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
        describe: impl Fn(&K) -> Vec<String> + Send + Sync + 'static,
    ) -> Arc<HistogramFamily<K>> {
        let _ = (name, help, labels, buckets, describe);
        Arc::new(HistogramFamily(std::marker::PhantomData))
    }

    /// The text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        String::new()
    }
}

impl Counter {
    pub fn add(&self, amount: u64) {
        let _ = amount;
    }
}

impl Gauge {
    pub fn add(&self, amount: i64) {
        let _ = amount;
    }

    /// One higher until the guard is dropped.
    pub fn hold(&self) -> GaugeGuard {
        self.add(1);
        GaugeGuard(self.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static> Family<K> {
    pub fn add(&self, key: K, amount: u64) {
        let _ = (key, amount);
    }
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static> GaugeFamily<K> {
    pub fn add(&self, key: K, amount: i64) {
        let _ = (key, amount);
    }
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static> HistogramFamily<K> {
    pub fn observe(&self, key: K, value: f64) {
        let _ = (key, value);
    }

    pub fn observe_duration(&self, key: K, duration: Duration) {
        self.observe(key, duration.as_secs_f64());
    }
}
