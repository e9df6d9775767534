//! "Did you mean": what an unknown word was probably meant to be.

use super::{kind::Declaration, problem::Problem, raw, tree::Entry, value::Wrong};

/// The problem of a key that its table doesn't have.
pub(super) fn unknown_key(entry: &Entry, declaration: &Declaration) -> Problem {
    let problem = Problem::error(entry.key_place, format!("unknown key `{}`", entry.key));
    if let Some(name) = key_meant(&entry.key, declaration) {
        return problem.label(format!("did you mean `{name}`?"));
    }
    let names: Vec<&str> = declaration.keys.iter().map(|key| key.name).collect();
    let homes = homes_of(&entry.key);
    let problem = if homes.is_empty() {
        problem
    } else {
        problem.hint(format!("`{}` is a key of {}", entry.key, homes.join(" and of ")))
    };
    problem.label(format!("expected one of {}", listed(&names)))
}

/// The key of the table that an unknown one was probably meant to be.
pub(super) fn key_meant(key: &str, declaration: &Declaration) -> Option<&'static str> {
    let names: Vec<&'static str> = declaration.keys.iter().map(|key| key.name).collect();
    closest(key, &names).or_else(|| elsewhere_called(key, &names))
}

/// The fault of a word that is none of a choice's.
pub(super) fn unknown_word(text: &str, words: &[&str]) -> Wrong {
    let label = match closest(text, words) {
        Some(word) => format!("did you mean `\"{word}\"`?"),
        None => format!("expected one of {}", listed(words)),
    };
    Wrong::new(format!("unknown value `{text}`"), label)
}

/// The name that is near enough to be a slip of the finger.
pub(super) fn closest<'n>(text: &str, names: &[&'n str]) -> Option<&'n str> {
    let text = text.to_ascii_lowercase().replace('-', "_");
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(&text, &name.replace('-', "_")), *name))
        .filter(|(likeness, name)| *likeness > LIKENESS_MIN || strsim::osa_distance(&text, name) <= 1)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// Names in backticks, with commas.
pub(super) fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What our key is called by people who come from another proxy.
fn elsewhere_called<'n>(key: &str, names: &[&'n str]) -> Option<&'n str> {
    ELSEWHERE
        .iter()
        .filter(|(theirs, _)| theirs.eq_ignore_ascii_case(key))
        .find_map(|(_, ours)| names.iter().find(|name| *name == ours))
        .copied()
}

/// The tables that have a key of this name, as they are written in a file.
fn homes_of(key: &str) -> Vec<String> {
    let mut homes = Vec::new();
    collect_homes(key, "", &raw::File::declaration(), &mut homes);
    homes.dedup();
    homes
}

fn collect_homes(key: &str, path: &str, declaration: &Declaration, homes: &mut Vec<String>) {
    for own in &declaration.keys {
        if own.name == key {
            homes.push(if path.is_empty() { "the top of the file".to_owned() } else { format!("`{path}`") });
        }
        for (more, table) in own.kind.tables() {
            let dot = if path.is_empty() { "" } else { "." };
            collect_homes(key, &format!("{path}{dot}{}{more}", own.name), table, homes);
        }
    }
}

/// Jaro-Winkler likeness from which on two names are taken for the same.
const LIKENESS_MIN: f64 = 0.87;

/// Words of other proxies, and ours.
const ELSEWHERE: &[(&str, &str)] = &[
    ("bind", "listen"),
    ("port", "listen"),
    ("proxy", "upstream"),
    ("proxy_pass", "upstream"),
    ("backend", "upstream"),
    ("target", "upstream"),
    ("url", "address"),
    ("backends", "upstreams"),
    ("server", "servers"),
    ("targets", "servers"),
    ("workers", "threads"),
    ("headers", "fields"),
    ("request_headers", "request_fields"),
    ("response_headers", "response_fields"),
    ("real_ip_from", "trusted_proxies"),
    ("location", "path"),
    ("max_size", "capacity"),
    ("websockets", "websocket"),
    ("cert", "certificate"),
    ("lb", "balance"),
    ("sni", "server_name"),
];
