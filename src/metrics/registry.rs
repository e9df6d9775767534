//! Where handles are declared and everything is scraped; the one door to the `prometheus` crate.

use std::{collections::BTreeMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use prometheus::TextEncoder;

use super::{
    buckets::BUCKETS_MAX,
    cell::{Counter, Gauge},
    family::{Family, GaugeFamily, HistogramFamily},
    metric::{Exposed, Kind, Metric, Shape, Source, Value},
};

/// The media type of what `render` gives.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that can be scraped. Cheap to clone.
///
/// A name may be declared again with the same help, labels and kind: counters and gauges are then shared, rows of
/// families are added up, and a value that is asked for at the scrape is asked of the last declaration. A
/// declaration that contradicts an earlier one, or that Prometheus would not take, gives a handle that works and is
/// not exposed; it is logged as an error and told by `lint`.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

/// What an operator may know about one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The whole name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Label names, in order.
    pub labels: &'static [&'static str],
    /// What it counts and in which unit.
    pub help: &'static str,
}

pub(super) struct Inner {
    pub(super) exposition: prometheus::Registry,
    metrics: Mutex<BTreeMap<&'static str, Arc<Metric>>>,
    /// Declarations that were refused.
    pub(super) problems: Mutex<Vec<String>>,
    label_sets_dropped: Counter,
}

impl Registry {
    /// A registry that exposes the process (`process_*`), the build (`tidegate_build_info`) and what will be declared.
    pub fn new() -> Self {
        let registry = Self {
            inner: Arc::new(Inner {
                exposition: prometheus::Registry::new(),
                metrics: Mutex::default(),
                problems: Mutex::default(),
                label_sets_dropped: Counter::default(),
            }),
        };
        #[cfg(target_os = "linux")]
        registry.expose(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        registry.info(
            "tidegate_build_info",
            "The program that runs; always 1.",
            &["version", "os", "arch"],
            [env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH],
        );
        let dropped = registry.inner.label_sets_dropped.clone();
        registry.counter_from(
            "tidegate_metrics_label_sets_dropped_total",
            "Times that something was not counted because its metric already had its greatest number of label sets. When this rises, a label has too many values.",
            move || dropped.value(),
        );
        registry
    }

    /// A number that only grows. The name ends in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.declare(Kind::Counter, name, help, &[], &[]).map_or_else(Counter::default, |metric| metric.counter())
    }

    /// A number that goes up and down.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.declare(Kind::Gauge, name, help, &[], &[]).map_or_else(Gauge::default, |metric| metric.gauge())
    }

    /// A gauge whose value is asked for at the scrape. The function must not declare metrics nor wait.
    pub fn gauge_from(&self, name: &'static str, help: &'static str, value: impl Fn() -> f64 + Send + Sync + 'static) {
        if let Some(metric) = self.declare(Kind::Gauge, name, help, &[], &[]) {
            metric.set_reading(Box::new(value));
        }
    }

    /// A counter whose value is asked for at the scrape. The function must not declare metrics nor wait.
    pub fn counter_from(
        &self,
        name: &'static str,
        help: &'static str,
        value: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        if let Some(metric) = self.declare(Kind::Counter, name, help, &[], &[]) {
            metric.set_reading(Box::new(move || value() as f64));
        }
    }

    /// Facts that are text: a gauge that is always 1, with the facts as its labels. The name ends in `_info`.
    pub fn info<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str; N],
        values: [&str; N],
    ) {
        if let Some(metric) = self.declare(Kind::Gauge, name, help, labels, &[]) {
            metric.keep(values.map(str::to_owned).to_vec(), Value::Level(1));
        }
    }

    /// Counters told apart by labels. `describe` gives a key's label values, in the order of `labels`; it is called at
    /// the scrape.
    pub fn family<K: Copy + Eq + Hash + Send + Sync + 'static>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        describe: impl Fn(&K) -> Vec<String> + Send + Sync + 'static,
    ) -> Arc<Family<K>> {
        let family = Arc::new(Family::new(Box::new(describe), self.inner.label_sets_dropped.clone()));
        self.declare_family(Kind::Counter, name, help, labels, &[], family.clone());
        family
    }

    /// Gauges told apart by labels; see `family`.
    pub fn gauge_family<K: Copy + Eq + Hash + Send + Sync + 'static>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        describe: impl Fn(&K) -> Vec<String> + Send + Sync + 'static,
    ) -> Arc<GaugeFamily<K>> {
        let family = Arc::new(GaugeFamily::new(Box::new(describe), self.inner.label_sets_dropped.clone()));
        self.declare_family(Kind::Gauge, name, help, labels, &[], family.clone());
        family
    }

    /// Durations or sizes told apart by labels; see `family`.
    /// `buckets` are upper bounds in base units (seconds, bytes), rising, at most `buckets::BUCKETS_MAX`.
    pub fn histogram_family<K: Copy + Eq + Hash + Send + Sync + 'static>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
        describe: impl Fn(&K) -> Vec<String> + Send + Sync + 'static,
    ) -> Arc<HistogramFamily<K>> {
        if buckets.len() > BUCKETS_MAX {
            self.report(format!("{name}: {} buckets, at most {BUCKETS_MAX} are kept", buckets.len()));
        }
        let dropped = self.inner.label_sets_dropped.clone();
        let family = Arc::new(HistogramFamily::new(buckets, Box::new(describe), dropped));
        self.declare_family(Kind::Histogram, name, help, labels, buckets, family.clone());
        family
    }

    /// The text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.inner.exposition.gather(), &mut text) {
            tracing::error!(%error, "the metrics were rendered only in part");
        }
        text
    }

    /// Everything that was declared, by name.
    pub fn descriptions(&self) -> Vec<Description> {
        self.shapes()
            .into_iter()
            .map(|Shape { name, help, kind, labels, .. }| Description { name, kind, labels, help })
            .collect()
    }

    pub(super) fn shapes(&self) -> Vec<Shape> {
        self.inner.metrics.lock().values().map(|metric| metric.shape).collect()
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    fn declare_family(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
        family: Arc<dyn Source>,
    ) {
        if let Some(metric) = self.declare(kind, name, help, labels, buckets) {
            metric.add_family(family);
        }
    }

    /// The metric of that name, new or declared before; `None` when it can't be exposed, which has then been reported.
    fn declare(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
    ) -> Option<Arc<Metric>> {
        let shape = Shape { name, help, kind, labels, buckets };
        let mut metrics = self.inner.metrics.lock();
        if let Some(metric) = metrics.get(name) {
            if metric.shape == shape {
                return Some(metric.clone());
            }
            self.report(format!("{name}: declared before with another help, kind, labels or buckets"));
            return None;
        }
        let metric = match Metric::new(shape) {
            Ok(metric) => Arc::new(metric),
            Err(error) => {
                self.report(format!("{name}: {error}"));
                return None;
            }
        };
        if !self.expose(Box::new(Exposed(metric.clone()))) {
            return None;
        }
        metrics.insert(name, metric.clone());
        Some(metric)
    }

    fn expose(&self, collector: Box<dyn prometheus::core::Collector>) -> bool {
        let names = collector.desc().iter().map(|desc| desc.fq_name.clone()).collect::<Vec<_>>().join(", ");
        let registered = self.inner.exposition.register(collector);
        if let Err(error) = &registered {
            self.report(format!("{names}: {error}"));
        }
        registered.is_ok()
    }

    fn report(&self, problem: String) {
        tracing::error!(problem, "a metric cannot be exposed as declared");
        self.inner.problems.lock().push(problem);
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
