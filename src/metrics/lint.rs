//! The naming rules of Prometheus, held over a whole registry.
//!
//! `promtool check metrics` finds some of these only in metrics that have rows already, and lets a gauge end in
//! `_total`; this sees every declaration.

use prometheus::proto::MetricType;

use super::{
    metric::{Kind, Shape},
    registry::Registry,
};

impl Registry {
    /// What is wrong with the names, labels, help and buckets of everything declared, a sentence each; empty when all is right.
    pub fn lint(&self) -> Vec<String> {
        let mut problems = self.inner().problems.lock().clone();
        let shapes = self.shapes();
        for shape in &shapes {
            problems.extend(problems_of(shape).into_iter().map(|problem| format!("{}: {problem}", shape.name)));
        }
        // What other collectors expose beside ours, as process_* does.
        for family in self.inner().exposition.gather() {
            if shapes.iter().any(|shape| shape.name == family.name()) {
                continue;
            }
            let is_counter = family.get_field_type() == MetricType::COUNTER;
            problems.extend(name_problems(family.name(), is_counter).map(|p| format!("{}: {p}", family.name())));
            if family.help().is_empty() {
                problems.push(format!("{}: has no help", family.name()));
            }
        }
        problems
    }
}

fn problems_of(shape: &Shape) -> Vec<String> {
    let mut problems: Vec<String> = name_problems(shape.name, shape.kind == Kind::Counter).collect();
    if !PREFIXES.iter().any(|prefix| shape.name.starts_with(prefix)) {
        problems.push(format!("the name begins with none of {PREFIXES:?}"));
    }
    if shape.help.trim().is_empty() {
        problems.push("has no help".to_owned());
    }
    if shape.kind == Kind::Histogram {
        let is_in_base_unit = UNITS.iter().any(|unit| shape.name.ends_with(&format!("_{unit}")));
        if !is_in_base_unit {
            problems.push(format!("a histogram's name ends in its base unit, one of {UNITS:?}"));
        }
        if shape.buckets.is_empty()
            || !shape.buckets.is_sorted_by(|a, b| a < b)
            || !shape.buckets.iter().all(|b| b.is_finite())
        {
            problems.push("buckets must be there, finite and rising".to_owned());
        }
    }
    problems.extend(shape.labels.iter().flat_map(|label| label_problems(shape, label)));
    problems
}

fn name_problems(name: &str, is_counter: bool) -> impl Iterator<Item = String> {
    let mut problems = Vec::new();
    if !is_snake_case(name) {
        problems.push("the name is not in lower case with underscores".to_owned());
    }
    let stem = name.strip_suffix("_total");
    match (is_counter, stem) {
        (true, None) => problems.push("a counter's name ends in `_total`".to_owned()),
        (false, Some(_)) => problems.push("only a counter's name ends in `_total`".to_owned()),
        _ => {}
    }
    let words: Vec<&str> = stem.unwrap_or(name).split('_').collect();
    for (index, word) in words.iter().enumerate() {
        if FOREIGN_UNITS.contains(word) {
            problems.push(format!("`{word}` is not a base unit"));
        }
        if KIND_WORDS.contains(word) {
            problems.push(format!("`{word}` says the type, which is told elsewhere"));
        }
        if UNITS.contains(word) && index + 1 != words.len() {
            problems.push(format!("the unit `{word}` stands last"));
        }
    }
    if words.last().is_some_and(|last| RESERVED_ENDINGS.contains(last)) {
        problems.push("the ending belongs to the rows of a histogram".to_owned());
    }
    problems.into_iter()
}

/// A label's name may be the metric's subsystem (`tidegate_upstream_…{upstream}`), not a word of what is counted.
fn label_problems(shape: &Shape, label: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_snake_case(label) || label.starts_with("__") {
        problems.push(format!("the label `{label}` is not in lower case with underscores"));
    }
    if RESERVED_LABELS.contains(&label) {
        problems.push(format!("the label `{label}` is reserved"));
    }
    if shape.name.split('_').skip(2).any(|word| word == label) {
        problems.push(format!("the label `{label}` stands in the name as well"));
    }
    problems
}

fn is_snake_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

const PREFIXES: &[&str] = &["tidegate_"];
const UNITS: &[&str] = &["seconds", "bytes", "ratio", "celsius", "volts", "meters", "joules", "grams"];
const FOREIGN_UNITS: &[&str] = &[
    "ms",
    "msec",
    "millis",
    "milliseconds",
    "us",
    "usec",
    "microseconds",
    "ns",
    "nanoseconds",
    "sec",
    "secs",
    "minutes",
    "hours",
    "days",
    "bits",
    "kb",
    "kib",
    "mb",
    "mib",
    "gb",
    "gib",
    "kilobytes",
    "megabytes",
    "gigabytes",
    "percent",
    "percentage",
];
const KIND_WORDS: &[&str] = &["counter", "gauge", "histogram", "summary"];
const RESERVED_ENDINGS: &[&str] = &["count", "sum", "bucket", "created"];
const RESERVED_LABELS: &[&str] = &["le", "quantile", "job", "instance"];
