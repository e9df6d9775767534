use std::{
    collections::HashMap,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::metrics::shard::Sharded;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    route: u16,
    code: u16,
}

fn describe(key: &Key) -> Vec<String> {
    vec![format!("route-{}", key.route), key.code.to_string()]
}

fn requests(registry: &Registry) -> Arc<Family<Key>> {
    registry.family("tidegate_http_requests_total", "Requests answered.", &["route", "code"], describe)
}

fn rows<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.starts_with(name)).collect()
}

#[test]
fn a_default_counter_counts_without_a_registry() {
    let counter = Counter::default();
    let clone = counter.clone();
    clone.add(2);
    counter.add(3);
    assert_eq!(counter.value(), 5);
}

#[test]
fn counts_of_all_threads_are_added_up() {
    let registry = Registry::new();
    let counter = registry.counter("tidegate_things_total", "Things.");
    let family = requests(&registry);
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                for code in 0..500 {
                    counter.add(1);
                    family.add(Key { route: 1, code: 200 + code % 2 }, 1);
                }
            });
        }
    });
    assert_eq!(counter.value(), 20_000);
    assert_eq!(family.value(Key { route: 1, code: 200 }), 10_000);
    let text = registry.render();
    assert_eq!(rows(&text, "tidegate_things_total"), ["tidegate_things_total 20000"]);
    assert_eq!(
        rows(&text, "tidegate_http_requests_total"),
        [
            "tidegate_http_requests_total{route=\"route-1\",code=\"200\"} 10000",
            "tidegate_http_requests_total{route=\"route-1\",code=\"201\"} 10000",
        ]
    );
}

#[test]
fn a_thread_keeps_its_slot() {
    let slots = Sharded::<std::sync::atomic::AtomicUsize>::default();
    assert!(std::ptr::eq(slots.mine(), slots.mine()));
    assert!(slots.iter().count().is_power_of_two());
}

#[test]
fn a_gauge_falls_when_its_guard_is_dropped_on_another_thread() {
    let gauge = Gauge::default();
    let guard = gauge.hold();
    assert_eq!(gauge.value(), 1);
    thread::spawn(move || drop(guard)).join().unwrap();
    assert_eq!(gauge.value(), 0);
}

#[test]
fn a_gauge_of_a_family_falls_when_its_guard_is_dropped_on_another_thread() {
    let registry = Registry::new();
    let tunnels = registry.gauge_family("tidegate_tunnels", "Open tunnels.", &["route", "code"], describe);
    let key = Key { route: 3, code: 101 };
    let guard = tunnels.hold(key);
    assert_eq!(tunnels.value(key), 1);
    assert_eq!(rows(&registry.render(), "tidegate_tunnels"), ["tidegate_tunnels{route=\"route-3\",code=\"101\"} 1"]);
    thread::spawn(move || drop(guard)).join().unwrap();
    assert_eq!(tunnels.value(key), 0);
}

#[test]
fn label_values_are_escaped() {
    let registry = Registry::new();
    let family = registry.family("tidegate_odd_total", "Odd.", &["name"], |_: &u8| vec!["a\"b\\c\nd".to_owned()]);
    family.add(0, 1);
    assert_eq!(rows(&registry.render(), "tidegate_odd_total"), [r#"tidegate_odd_total{name="a\"b\\c\nd"} 1"#]);
}

#[test]
fn a_histogram_shows_cumulated_buckets_sum_and_count() {
    let registry = Registry::new();
    let histogram =
        registry.histogram_family("tidegate_wait_seconds", "Wait.", &["route"], &[0.1, 1.0], |_: &u8| vec!["a".into()]);
    for value in [0.05, 0.1, 0.5, 7.0] {
        histogram.observe(0, value);
    }
    histogram.observe(0, f64::NAN);
    histogram.observe(0, f64::INFINITY);
    assert_eq!(histogram.count(0), 4);
    assert_eq!(
        rows(&registry.render(), "tidegate_wait_seconds"),
        [
            "tidegate_wait_seconds_bucket{route=\"a\",le=\"0.1\"} 2",
            "tidegate_wait_seconds_bucket{route=\"a\",le=\"1\"} 3",
            "tidegate_wait_seconds_bucket{route=\"a\",le=\"+Inf\"} 4",
            "tidegate_wait_seconds_sum{route=\"a\"} 7.65",
            "tidegate_wait_seconds_count{route=\"a\"} 4",
        ]
    );
}

#[test]
fn durations_are_observed_in_seconds() {
    let registry = Registry::new();
    let histogram =
        registry
            .histogram_family("tidegate_wait_seconds", "Wait.", &[], buckets::DURATION_SECONDS, |_: &()| Vec::new());
    histogram.observe_duration((), Duration::from_millis(1500));
    assert_eq!(rows(&registry.render(), "tidegate_wait_seconds_sum"), ["tidegate_wait_seconds_sum 1.5"]);
}

#[test]
fn label_sets_past_the_bound_are_dropped_and_counted() {
    let registry = Registry::new();
    let family = registry.family("tidegate_wide_total", "Wide.", &["number"], |key: &u32| vec![key.to_string()]);
    let family_of_thread = family.clone();
    thread::spawn(move || (0..LABEL_SETS_MAX as u32).for_each(|key| family_of_thread.add(key, 1))).join().unwrap();
    // Known to the family though new to this thread.
    family.add(7, 1);
    family.add(LABEL_SETS_MAX as u32, 1);
    family.add(LABEL_SETS_MAX as u32 + 1, 5);
    let text = registry.render();
    assert_eq!(rows(&text, "tidegate_wide_total").len(), LABEL_SETS_MAX);
    assert_eq!(family.value(7), 2);
    assert_eq!(
        rows(&text, "tidegate_metrics_label_sets_dropped_total"),
        ["tidegate_metrics_label_sets_dropped_total 2"]
    );
}

#[test]
fn a_name_declared_again_counts_on() {
    let registry = Registry::new();
    registry.counter("tidegate_things_total", "Things.").add(1);
    registry.counter("tidegate_things_total", "Things.").add(1);
    let level = registry.gauge("tidegate_level", "Level.");
    let _guard = level.hold();
    registry.gauge("tidegate_level", "Level.").add(2);
    registry.gauge_from("tidegate_asked", "Asked.", || 1.0);
    registry.gauge_from("tidegate_asked", "Asked.", || 2.5);
    let text = registry.render();
    assert_eq!(rows(&text, "tidegate_things_total"), ["tidegate_things_total 2"]);
    assert_eq!(rows(&text, "tidegate_level"), ["tidegate_level 3"]);
    assert_eq!(rows(&text, "tidegate_asked"), ["tidegate_asked 2.5"]);
    assert_eq!(registry.lint(), Vec::<String>::new());
}

#[test]
fn families_of_two_generations_are_added_up_by_label_values() {
    let registry = Registry::new();
    let declare = |first: &'static str, second: &'static str| {
        registry.family("tidegate_http_requests_total", "Requests.", &["route"], move |key: &usize| {
            vec![[first, second][*key].to_owned()]
        })
    };
    let old = declare("shop", "blog");
    old.add(0, 1);
    old.add(1, 2);
    let new = declare("blog", "wiki");
    new.add(0, 10);
    new.add(1, 20);
    let expected = [
        "tidegate_http_requests_total{route=\"blog\"} 12",
        "tidegate_http_requests_total{route=\"shop\"} 1",
        "tidegate_http_requests_total{route=\"wiki\"} 20",
    ];
    assert_eq!(rows(&registry.render(), "tidegate_http_requests_total"), expected);
    drop(old);
    assert_eq!(rows(&registry.render(), "tidegate_http_requests_total"), expected, "the old counts stay");
    assert_eq!(rows(&registry.render(), "tidegate_http_requests_total"), expected, "and are kept once");
}

#[test]
fn gauges_of_a_family_that_nobody_holds_vanish_and_held_ones_stay() {
    let registry = Registry::new();
    let declare = || registry.gauge_family("tidegate_tunnels", "Tunnels.", &["route", "code"], describe);
    let old = declare();
    old.add(Key { route: 1, code: 1 }, 5);
    let guard = old.hold(Key { route: 2, code: 2 });
    drop(old);
    assert_eq!(rows(&registry.render(), "tidegate_tunnels").len(), 2);
    drop(guard);
    assert!(rows(&registry.render(), "tidegate_tunnels").is_empty());
}

#[test]
fn a_contradicting_declaration_works_unexposed_and_is_reported() {
    let registry = Registry::new();
    registry.counter("tidegate_things_total", "Things.").add(1);
    let other = registry.counter("tidegate_things_total", "Other things.");
    other.add(1);
    assert_eq!(other.value(), 1);
    let bad = registry.gauge("tidegate level", "Not a name.");
    bad.add(1);
    assert_eq!(rows(&registry.render(), "tidegate_things_total"), ["tidegate_things_total 1"]);
    let problems = registry.lint();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("tidegate_things_total"));
    assert!(problems[1].contains("not a valid metric name"));
}

#[test]
fn the_process_and_the_build_are_exposed() {
    let text = Registry::default().render();
    assert!(text.contains("# TYPE process_resident_memory_bytes gauge"), "{text}");
    let build = rows(&text, "tidegate_build_info");
    assert_eq!(build.len(), 1);
    assert!(build[0].contains(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"")), "{build:?}");
    assert!(build[0].ends_with(" 1"));
}

#[test]
fn descriptions_tell_what_was_declared() {
    let registry = Registry::new();
    let _family = requests(&registry);
    assert!(registry.descriptions().contains(&Description {
        name: "tidegate_http_requests_total",
        kind: Kind::Counter,
        labels: &["route", "code"],
        help: "Requests answered.",
    }));
}

#[test]
fn a_scrape_beside_counting_loses_nothing() {
    let registry = Registry::new();
    let family = requests(&registry);
    let start = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                for code in 0..20_000 {
                    family.add(Key { route: 0, code: code % 50 }, 1);
                }
            });
        }
        start.wait();
        for _ in 0..20 {
            registry.render();
        }
    });
    let total: u64 = (0..50).map(|code| family.value(Key { route: 0, code })).sum();
    assert_eq!(total, 40_000);
}

#[test]
fn every_naming_rule_is_held() {
    type Declare = fn(&Registry);
    let cases: &[(Declare, &str)] = &[
        (|r| drop(r.counter("tidegate_requests", "Help.")), "a counter's name ends in `_total`"),
        (|r| drop(r.gauge("tidegate_connections_total", "Help.")), "only a counter's name ends in `_total`"),
        (|r| drop(r.gauge("tidegate_delay_ms", "Help.")), "`ms` is not a base unit"),
        (|r| drop(r.gauge("tidegate_bytes_held", "Help.")), "the unit `bytes` stands last"),
        (|r| drop(r.gauge("tidegate_load_gauge", "Help.")), "`gauge` says the type"),
        (|r| drop(r.gauge("tidegate_request_count", "Help.")), "belongs to the rows of a histogram"),
        (|r| drop(r.gauge("tidegate_openConnections", "Help.")), "not in lower case"),
        (|r| drop(r.gauge("connections", "Help.")), "begins with none of"),
        (|r| drop(r.gauge("tidegate_connections", " ")), "has no help"),
        (|r| drop(r.gauge("tidegate_connections", "")), "empty help"),
        (
            |r| drop(r.family("tidegate_http_code_total", "Help.", &["code"], |_: &u8| vec![String::new()])),
            "the label `code` stands in the name as well",
        ),
        (
            |r| drop(r.family("tidegate_http_total", "Help.", &["le"], |_: &u8| vec![String::new()])),
            "the label `le` is reserved",
        ),
        (
            |r| drop(r.histogram_family("tidegate_wait", "Help.", &[], &[1.0], |_: &u8| Vec::new())),
            "a histogram's name ends in its base unit",
        ),
        (
            |r| drop(r.histogram_family("tidegate_wait_seconds", "Help.", &[], &[1.0, 1.0], |_: &u8| Vec::new())),
            "buckets must be there, finite and rising",
        ),
        (
            |r| drop(r.histogram_family("tidegate_wait_seconds", "Help.", &[], &[0.5; 40], |_: &u8| Vec::new())),
            "40 buckets, at most 24 are kept",
        ),
    ];
    for (declare, expected) in cases {
        let registry = Registry::new();
        declare(&registry);
        let problems = registry.lint();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
    }
}

#[test]
fn a_subsystem_may_have_the_name_of_a_label() {
    let registry = Registry::new();
    let _family =
        registry.family("tidegate_upstream_requests_total", "Help.", &["upstream"], |_: &u8| vec!["a".into()]);
    let _other = registry.family("tidegate_limit_hits_total", "Help.", &["limit"], |_: &u8| vec!["a".into()]);
    registry.gauge("tidegate_config_last_reload_success_timestamp_seconds", "Help.");
    assert_eq!(registry.lint(), Vec::<String>::new());
}

#[test]
fn the_shared_buckets_are_sound() {
    for list in [buckets::DURATION_SECONDS, buckets::TUNNEL_SECONDS, buckets::BYTES] {
        assert!(list.len() <= buckets::BUCKETS_MAX);
        assert!(list.is_sorted_by(|a, b| a < b));
    }
    assert_eq!(buckets::TUNNEL_SECONDS.last(), Some(&86_400.0));
}

proptest! {
    /// The slow, obvious twin of the sharded, bucketed table: a list that is counted through.
    #[test]
    fn observations_are_where_counting_one_by_one_puts_them(values in prop::collection::vec((0u8..3, 0.0f64..100.0), 0..200)) {
        const BUCKETS: &[f64] = &[0.5, 1.0, 10.0, 50.0];
        let registry = Registry::new();
        let histogram =
            registry.histogram_family("tidegate_wait_seconds", "Wait.", &["key"], BUCKETS, |key: &u8| vec![key.to_string()]);
        let half = values.len() / 2;
        thread::scope(|scope| {
            for part in [&values[..half], &values[half..]] {
                let histogram = &histogram;
                scope.spawn(move || part.iter().for_each(|(key, value)| histogram.observe(*key, *value)));
            }
        });
        let text = registry.render();
        let samples: HashMap<&str, f64> = rows(&text, "tidegate_wait_seconds")
            .into_iter()
            .filter_map(|row| row.rsplit_once(' '))
            .map(|(series, value)| (series, value.parse().unwrap()))
            .collect();
        for key in 0u8..3 {
            let mine: Vec<f64> = values.iter().filter(|(other, _)| *other == key).map(|(_, value)| *value).collect();
            if mine.is_empty() {
                continue;
            }
            for bound in BUCKETS {
                let series = format!("tidegate_wait_seconds_bucket{{key=\"{key}\",le=\"{bound}\"}}");
                let expected = mine.iter().filter(|value| *value <= bound).count();
                prop_assert_eq!(samples[series.as_str()], expected as f64);
            }
            let count = format!("tidegate_wait_seconds_count{{key=\"{key}\"}}");
            prop_assert_eq!(samples[count.as_str()], mine.len() as f64);
        }
    }
}
