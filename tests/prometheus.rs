//! What we give Prometheus, and the rules we ship for it, in the judgement of its own tool.
//!
//! `promtool` comes in Debian's package `prometheus`. Without it these tests say so and pass, except where CI=true.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected stops and says where")]

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tidegate::{
    access_log::AccessLog,
    config::{self, LogFormat, LogTarget},
    metrics::{Registry, buckets},
};

/// Metrics that the rules may ask for and that other parts declare.
const ASKED_FOR: &[&str] = &[
    "tidegate_config_last_reload_successful",
    "tidegate_http_requests_total",
    "tidegate_limit_hits_total",
    "tidegate_tls_certificate_expiry_timestamp_seconds",
    "tidegate_upstream_requests_total",
];

#[test]
fn what_is_scraped_finds_favour_with_promtool() {
    let registry = Registry::new();
    let log = config::AccessLog { target: LogTarget::Off, format: LogFormat::Json, queue: 1 };
    AccessLog::start(&log, &registry).unwrap();
    registry.family("tidegate_things_total", "Things.", &["name"], odd_name).add(0, 3);
    registry.gauge_family("tidegate_level", "Level.", &["name"], odd_name).add(0, -3);
    let histogram =
        registry.histogram_family("tidegate_wait_seconds", "Wait.", &["name"], buckets::DURATION_SECONDS, odd_name);
    histogram.observe(0, 0.2);
    promtool(Path::new("."), &["check", "metrics"], &registry.render());
}

#[test]
fn the_example_of_a_scrape_is_sound() {
    promtool(&shipped(), &["check", "config", "prometheus.yml"], "");
}

#[test]
fn the_rules_are_sound_and_fire_when_they_should() {
    promtool(&shipped(), &["check", "rules", "tidegate.rules.yml"], "");
    promtool(&shipped(), &["test", "rules", "tidegate.rules.test.yml"], "");
}

#[test]
fn the_rules_ask_for_metrics_that_there_are() {
    let registry = Registry::new();
    let log = config::AccessLog { target: LogTarget::Off, format: LogFormat::Json, queue: 1 };
    AccessLog::start(&log, &registry).unwrap();
    let declared: BTreeSet<&str> =
        registry.descriptions().iter().map(|description| description.name).chain(ASKED_FOR.iter().copied()).collect();
    let rules = fs::read_to_string(shipped().join("tidegate.rules.yml")).unwrap();
    let asked: BTreeSet<&str> = rules
        // Recorded series have colons in their names and are no metrics of ours.
        .split(|character: char| !(character.is_ascii_alphanumeric() || "_:".contains(character)))
        .filter(|word| word.starts_with("tidegate_"))
        .collect();
    assert!(asked.len() > 5, "{asked:?}");
    assert_eq!(asked.difference(&declared).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert_eq!(ASKED_FOR.iter().filter(|name| !asked.contains(*name)).collect::<Vec<_>>(), Vec::<&&str>::new());
}

fn odd_name(_: &u8) -> Vec<String> {
    vec!["quote \" backslash \\ line\nfeed".to_owned()]
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

/// Runs promtool, which must succeed and have nothing to object.
fn promtool(directory: &Path, arguments: &[&str], input: &str) {
    let started = Command::new("promtool")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if std::env::var("CI").as_deref() == Ok("true") => panic!("CI must not skip promtool: {error}"),
        Err(error) => {
            eprintln!("SKIPPED: promtool {arguments:?} was not run ({error}); install Debian's package `prometheus`");
            return;
        }
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (said, objected) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}{objected}");
    if arguments == ["check", "metrics"] {
        assert_eq!(objected, "", "promtool {arguments:?}");
    }
}
