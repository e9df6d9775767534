//! The architecture, held by a test: which part may know which, and where each outside crate comes in.
//!
//! The tables here and the picture in CONTRIBUTING.md say the same; whoever moves a part changes both. A broken rule is
//! told with its file and line. Comments and string literals are not code and are left out of the search.

#![allow(clippy::unwrap_used, reason = "a test that can't read the sources has nothing to say")]

mod scan;

use scan::{Source, sources};

/// Parts by layer. A part uses parts of lower layers only, and those of its own layer that `NEIGHBOURS` names.
const LAYERS: [&[&str]; 6] = [
    &["clock", "net", "units", "wire"],
    &["access_log", "config", "metrics"],
    &["cache", "listen", "route", "tunnel", "upstream"],
    &["admin", "gateway"],
    &["server"],
    &["cli", "demo", "main"],
];

/// Who may use whom inside one layer. The parts of layer 2 are strangers to each other: none of them stands here.
const NEIGHBOURS: [(&str, &str); 6] = [
    ("access_log", "config"),
    ("access_log", "metrics"),
    ("cli", "demo"),
    ("main", "cli"),
    ("metrics", "config"),
    ("net", "clock"),
];

/// One outside crate, one door: changing our mind about a crate then costs one place.
const DOORS: [(&str, &[&str]); 28] = [
    ("annotate_snippets", &["src/config/"]),
    ("base64", &["src/tunnel/"]),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/"]),
    ("clap_mangen", &["src/cli/"]),
    ("crc32fast", &["src/cache/snapshot/"]),
    ("crossbeam_utils", &["src/metrics/"]),
    // One reading of HTTP/2 for clients, one for backends, and what both keep of what they have received.
    ("h2", &["src/gateway/http2", "src/net/http2.rs", "src/upstream/"]),
    ("httpdate", &["src/admin/", "src/tunnel/session.rs"]),
    ("httparse", &["src/wire/"]),
    ("itoa", &["src/cache/status.rs", "src/gateway/"]),
    ("libmimalloc_sys", &["src/main.rs"]),
    ("mimalloc", &["src/main.rs"]),
    ("moka", &["src/cache/store"]),
    ("notify", &["src/listen/"]),
    ("pin_project_lite", &["src/net/watchdog.rs"]),
    ("pingora", &["src/upstream/connect.rs"]),
    ("prometheus", &["src/metrics/"]),
    ("rustls_native_certs", &["src/upstream/connect.rs"]),
    ("sd_notify", &["src/server/"]),
    ("sfv", &["src/cache/policy/structured"]),
    ("sha1", &["src/tunnel/"]),
    ("socket2", &["src/gateway/tests.rs", "src/listen/", "src/net/", "src/tunnel/copy/tests/"]),
    ("strsim", &["src/config/"]),
    ("tokio_rustls", &["src/listen/"]),
    ("toml", &["src/config/"]),
    ("tracing_subscriber", &["src/cli/"]),
    ("x509_parser", &["src/listen/"]),
];

/// Pure islands: everything they need comes in as an argument.
const ISLANDS: [&str; 7] = [
    "src/cache/policy",
    "src/config/resolve",
    "src/route/table",
    "src/tunnel/handshake",
    "src/tunnel/wire",
    "src/upstream/balance",
    "src/wire/",
];

/// What has no place on a pure island: runtimes, sockets, locks and clocks.
const NOT_PURE: [&str; 8] =
    ["tokio::", "pingora::", "parking_lot::", "Mutex", "RwLock", "Instant::now", "SystemTime::now", "Now::read"];

#[test]
fn every_part_has_its_layer() {
    let mut problems: Vec<String> = sources()
        .iter()
        .filter(|source| source.part() != "lib" && layer(source.part()).is_none())
        .map(|source| format!("{}: `{}` stands in no layer of tests/architecture.rs", source.path, source.part()))
        .collect();
    problems.dedup();
    tell(&problems);
}

#[test]
fn arrows_go_down_only() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.part() != "lib") {
        for (line, used) in source.uses() {
            if !may_use(source.part(), &used) {
                problems.push(format!("{}:{line}: `{}` may not use `{used}`", source.path, source.part()));
            }
        }
    }
    tell(&problems);
}

#[test]
fn each_outside_crate_has_its_door() {
    let mut problems = Vec::new();
    for source in sources() {
        for (outside, doors) in DOORS {
            if doors.iter().any(|door| source.path.starts_with(door)) {
                continue;
            }
            for line in source.mentions_crate(outside) {
                problems.push(format!(
                    "{}:{line}: `{outside}` comes in through {} only",
                    source.path,
                    doors.join(", ")
                ));
            }
        }
    }
    tell(&problems);
}

#[test]
fn the_tables_name_nothing_that_is_gone() {
    let sources = sources();
    let mut problems = Vec::new();
    for part in LAYERS.concat().iter().filter(|&&part| !sources.iter().any(|source| source.part() == part)) {
        problems.push(format!("layer: `{part}` is not there"));
    }
    for island in ISLANDS.iter().filter(|&&island| !sources.iter().any(|source| source.path.starts_with(island))) {
        problems.push(format!("island: `{island}` is not there"));
    }
    for (outside, doors) in DOORS {
        for door in doors {
            let mut behind = sources.iter().filter(|source| source.path.starts_with(door));
            if !behind.any(|source| !source.mentions_crate(outside).is_empty()) {
                problems.push(format!("door: `{outside}` does not come in through {door}"));
            }
        }
    }
    tell(&problems);
}

#[test]
fn every_dependency_is_used() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let table = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<String> = table
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .map(|line| line.split([' ', '=']).next().unwrap().replace('-', "_"))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    let mut shipped = sources();
    shipped.retain(|source| !source.is_tests());
    let is_used = |name: &str| shipped.iter().any(|source| !source.mentions_crate(name).is_empty());
    let unused: Vec<&String> = names.iter().filter(|name| !is_used(name)).collect();
    assert!(unused.is_empty(), "Cargo.toml names what no source outside the tests uses: {unused:?}");
}

#[test]
fn pure_islands_stay_pure() {
    let mut problems = Vec::new();
    for source in sources() {
        // Tests of a pure part may measure and may run threads.
        if !ISLANDS.iter().any(|island| source.path.starts_with(island)) || source.is_tests() {
            continue;
        }
        for word in NOT_PURE {
            for line in source.mentions(word) {
                problems.push(format!("{}:{line}: `{word}` on a pure island", source.path));
            }
        }
    }
    tell(&problems);
}

#[test]
fn every_file_says_first_what_lives_in_it() {
    let problems: Vec<String> = sources()
        .iter()
        .filter(|source| !source.is_tests() && !source.text.starts_with("//! "))
        .map(|source| format!("{}:1: the first line is not a `//!` sentence", source.path))
        .collect();
    tell(&problems);
}

#[test]
fn a_layer_may_use_what_is_below_and_its_named_neighbours() {
    assert!(may_use("gateway", "cache"));
    assert!(may_use("cache", "cache"));
    assert!(may_use("cli", "demo"));
    assert!(!may_use("demo", "cli"));
    assert!(!may_use("cache", "upstream"));
    assert!(!may_use("cache", "gateway"));
    assert!(!may_use("gateway", "nobody_knows"));
}

#[test]
fn uses_are_found_in_every_way_of_writing_them() {
    let source = Source::new(
        "src/cache/store/shard.rs",
        "//! A shard.\nuse crate::{config::{self, Cache}, metrics, wire::Fields as F};\nuse super::super::listen;\nuse super::entry;\n\
         fn f() { crate::gateway::run(); super::super::super::admin::x(); let s = \"crate::cli\"; /* crate::server */ let c = '\"'; }\n// crate::main\n\
         fn g<'a>(x: &'a str) -> &'a str { crate::net::a(x) }\n",
    );
    let used: Vec<(usize, String)> = source.uses();
    let expected = [(2, "config"), (2, "metrics"), (2, "wire"), (5, "gateway"), (5, "admin"), (7, "net")];
    assert_eq!(used, expected.map(|(line, part)| (line, part.to_owned())));
}

#[test]
fn outside_crates_are_told_from_modules_and_fields_of_the_same_name() {
    let source = Source::new(
        "src/gateway/x.rs",
        "//! X.\nuse moka::sync::Cache;\nuse crate::cache::moka::X;\nlet a = self.moka;\nlet moka = ::moka::y();\nuse moka_like::Z;\n#[derive(moka::D)] struct S;\nuse {bytes::Bytes, moka::Q};\n",
    );
    assert_eq!(source.mentions_crate("moka"), [2, 5, 7, 8]);
}

fn layer(part: &str) -> Option<usize> {
    LAYERS.iter().position(|parts| parts.contains(&part))
}

fn may_use(user: &str, used: &str) -> bool {
    let (Some(from), Some(to)) = (layer(user), layer(used)) else { return false };
    user == used || to < from || NEIGHBOURS.contains(&(user, used))
}

fn tell(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
