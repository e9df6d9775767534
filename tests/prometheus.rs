//! What we give Prometheus, and the rules we ship for it, in the judgement of its own tool.
//!
//! `promtool` comes in Debian's package `prometheus`. Without it these tests say so and pass, except where CI=true.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected stops and says where")]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tidegate::{
    config,
    metrics::{Kind, Registry, buckets},
    server::{self, Server},
};

#[test]
fn what_is_scraped_finds_favour_with_promtool() {
    let (registry, scraped) = whole();
    promtool(Path::new("."), &["check", "metrics"], &scraped);
    registry.family("tidegate_things_total", "Things.", &["name"], odd_name).add(0, 3);
    registry.gauge_family("tidegate_level", "Level.", &["name"], odd_name).add(0, -3);
    let histogram =
        registry.histogram_family("tidegate_wait_seconds", "Wait.", &["name"], buckets::DURATION_SECONDS, odd_name);
    histogram.observe(0, 0.2);
    promtool(Path::new("."), &["check", "metrics"], &registry.render());
}

#[test]
fn everything_that_is_declared_keeps_the_naming_rules() {
    let (registry, _) = whole();
    assert_eq!(registry.lint(), Vec::<String>::new());
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
    let (registry, _) = whole();
    let declared: BTreeSet<&str> = registry.descriptions().iter().map(|description| description.name).collect();
    let rules = fs::read_to_string(shipped().join("tidegate.rules.yml")).unwrap();
    let asked: BTreeSet<&str> = rules
        // Recorded series have colons in their names and are no metrics of ours.
        .split(|character: char| !(character.is_ascii_alphanumeric() || "_:".contains(character)))
        .filter(|word| word.starts_with("tidegate_"))
        .collect();
    assert!(asked.len() > 5, "{asked:?}");
    assert_eq!(asked.difference(&declared).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn the_reference_of_the_metrics_is_up_to_date() {
    let (registry, _) = whole();
    let mut text = "# Metrics\n\nWhat `GET /metrics` on the admin listener tells, beside `process_*`. Upstreams, routes, listeners and certificates \
                    are\nlabelled with the names of the configuration; all other label values come from closed lists.\n\n\
                    | name | kind | labels | what it says |\n|---|---|---|---|\n"
        .to_owned();
    for description in registry.descriptions() {
        let kind = match description.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = description.labels.iter().map(|label| format!("`{label}`")).collect();
        let help = description.help.replace('|', "\\|");
        text += &format!("| `{}` | {kind} | {} | {help} |\n", description.name, labels.join(", "));
    }
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&place, &text).unwrap();
    }
    let written = fs::read_to_string(&place).unwrap();
    assert_eq!(written, text, "docs/metrics.md is out of date: UPDATE_DOCS=1 cargo test --test prometheus");
}

/// A whole gateway's registry, and what it tells a scraper.
fn whole() -> (Registry, String) {
    let config = config::minimal_with_admin("127.0.0.1:0", "127.0.0.1:9", Some("127.0.0.1:0")).unwrap();
    let mut registry = None;
    let running = Server::start(config, |parts| {
        registry = Some(parts.registry.clone());
        server::assemble(parts)
    });
    let running = running.unwrap_or_else(|problem| panic!("{problem}"));
    let mut stream = TcpStream::connect(running.admin_address().unwrap()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, scraped) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    (registry.unwrap(), scraped.to_owned())
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
