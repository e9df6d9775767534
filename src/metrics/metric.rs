//! One metric as Prometheus sees it: a name, and rows gathered from everything that was declared under that name.
//!
//! A name may be declared again, which happens when parts are rebuilt under a new configuration. Single counters and
//! gauges are then shared; families stand side by side, and rows with the same label values are added up. A family
//! that nobody holds any more leaves its counts behind, so that no counter ever falls.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
};

use parking_lot::Mutex;
use prometheus::{
    core::{Collector, Desc},
    proto,
};

use super::{
    cell::{Counter, Gauge},
    family::Spread,
};

/// The types of the text exposition format that the gateway uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

/// What was said when a name was first declared; every later declaration must say the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    /// Of histograms only.
    pub(super) buckets: &'static [f64],
}

/// A name with everything that is counted under it.
pub(super) struct Metric {
    pub(super) shape: Shape,
    desc: Desc,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counter: Option<Counter>,
    gauge: Option<Gauge>,
    /// Asked at the scrape; the last one declared.
    reading: Option<Box<dyn Fn() -> f64 + Send + Sync>>,
    families: Vec<Arc<dyn Source>>,
    /// Rows that never change: information, and what families left behind.
    kept: Rows,
}

/// Something with rows. Implemented by the three families.
pub(super) trait Source: Send + Sync {
    /// Adds the present rows.
    fn rows(&self, rows: &mut Rows);
}

/// The value of one row.
#[derive(Clone)]
pub(super) enum Value {
    Count(u64),
    Level(i64),
    Reading(f64),
    Spread(Box<Spread>),
}

/// Label values and what was counted under them.
#[derive(Clone, Default)]
pub(super) struct Rows(BTreeMap<Vec<String>, Value>);

impl Metric {
    pub(super) fn new(shape: Shape) -> prometheus::Result<Self> {
        let labels = shape.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(shape.name.to_owned(), shape.help.to_owned(), labels, Default::default())?;
        Ok(Self { shape, desc, state: Mutex::default() })
    }

    /// The one counter of this name.
    pub(super) fn counter(&self) -> Counter {
        self.state.lock().counter.get_or_insert_default().clone()
    }

    /// The one gauge of this name.
    pub(super) fn gauge(&self) -> Gauge {
        self.state.lock().gauge.get_or_insert_default().clone()
    }

    pub(super) fn set_reading(&self, reading: Box<dyn Fn() -> f64 + Send + Sync>) {
        self.state.lock().reading = Some(reading);
    }

    pub(super) fn add_family(&self, family: Arc<dyn Source>) {
        self.state.lock().families.push(family);
    }

    /// One row that stays as it is; one with the same label values is replaced.
    pub(super) fn keep(&self, values: Vec<String>, value: Value) {
        self.state.lock().kept.0.insert(values, value);
    }

    fn rows(&self) -> Rows {
        let mut state = self.state.lock();
        if self.shape.kind == Kind::Gauge {
            // A gauge that nobody can lower any more says nothing about the present.
            state.families.retain(|family| !is_abandoned(family));
        } else {
            let State { families, kept, .. } = &mut *state;
            for abandoned in families.extract_if(.., |family| is_abandoned(family)) {
                abandoned.rows(kept);
            }
        }
        let mut rows = state.kept.clone();
        if let Some(counter) = &state.counter {
            rows.add(Vec::new(), Value::Count(counter.value()));
        }
        if let Some(gauge) = &state.gauge {
            rows.add(Vec::new(), Value::Level(gauge.value()));
        }
        if let Some(reading) = &state.reading {
            rows.add(Vec::new(), Value::Reading(reading()));
        }
        for family in &state.families {
            family.rows(&mut rows);
        }
        rows
    }

    fn proto_metric(&self, mut values: Vec<String>, value: &Value) -> proto::Metric {
        debug_assert_eq!(values.len(), self.shape.labels.len(), "label values of {}", self.shape.name);
        values.resize(self.shape.labels.len(), String::new());
        let labels = self.shape.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value);
            pair
        });
        let mut metric = proto::Metric::from_label(labels.collect());
        match (self.shape.kind, value) {
            (_, Value::Spread(spread)) => metric.set_histogram(self.proto_histogram(spread)),
            (Kind::Counter, value) => {
                let mut counter = proto::Counter::default();
                counter.set_value(value.as_f64());
                metric.set_counter(counter);
            }
            (_, value) => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value.as_f64());
                metric.set_gauge(gauge);
            }
        }
        metric
    }

    fn proto_histogram(&self, spread: &Spread) -> proto::Histogram {
        let mut cumulated = 0;
        let buckets = self.shape.buckets.iter().zip(spread.counts).map(|(bound, count)| {
            cumulated += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulated);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(spread.count());
        histogram.set_sample_sum(spread.sum);
        histogram
    }
}

impl Rows {
    /// Adds to the row of these label values.
    pub(super) fn add(&mut self, values: Vec<String>, value: Value) {
        use std::collections::btree_map::Entry;
        match self.0.entry(values) {
            Entry::Vacant(row) => {
                row.insert(value);
            }
            Entry::Occupied(mut row) => row.get_mut().merge(value),
        }
    }
}

impl Value {
    fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Count(sum), Self::Count(more)) => *sum = sum.wrapping_add(more),
            (Self::Level(sum), Self::Level(more)) => *sum = sum.wrapping_add(more),
            (Self::Spread(sum), Self::Spread(more)) => sum.merge(&more),
            (sum, more) => *sum = Self::Reading(sum.as_f64() + more.as_f64()),
        }
    }

    fn as_f64(&self) -> f64 {
        match self {
            Self::Count(count) => *count as f64,
            Self::Level(level) => *level as f64,
            Self::Reading(reading) => *reading,
            Self::Spread(spread) => spread.sum,
        }
    }
}

impl Kind {
    /// The word of the text exposition format.
    pub fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The registry's view of a shared metric.
pub(super) struct Exposed(pub(super) Arc<Metric>);

impl Collector for Exposed {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let rows = self.0.rows();
        let mut family = proto::MetricFamily::default();
        family.set_name(self.0.shape.name.to_owned());
        family.set_help(self.0.shape.help.to_owned());
        family.set_field_type(match self.0.shape.kind {
            Kind::Counter => proto::MetricType::COUNTER,
            Kind::Gauge => proto::MetricType::GAUGE,
            Kind::Histogram => proto::MetricType::HISTOGRAM,
        });
        family.set_metric(rows.0.into_iter().map(|(values, value)| self.0.proto_metric(values, &value)).collect());
        vec![family]
    }
}

/// Whether nobody can count into the family any more.
fn is_abandoned(family: &Arc<dyn Source>) -> bool {
    let abandoned = Arc::strong_count(family) == 1;
    // Pairs with the release of the last holder: what it counted is seen by the reading that follows.
    fence(Ordering::Acquire);
    abandoned
}
