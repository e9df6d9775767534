//! The cache: more than the machine has, more than its writer meant to give away.

use std::path::Path;

use crate::{
    config::{
        Outside,
        problem::{Problem, Problems},
        raw,
        shape::Either,
        text::{KeyField, TargetedField},
        value::Placed,
    },
    units::format_size,
};

/// `[cache]`.
pub(super) fn cache(written: &raw::Cache, outside: &Outside<'_>, problems: &mut Problems) {
    let capacity = written.capacity.value.0;
    if let Some(largest) = &written.max_object
        && largest.value.0 > capacity / 2
    {
        problems.push(
            Problem::warning(
                largest.place,
                "bodies of more than half the cache are not stored, as fetches need room too",
            )
            .label(format!("expected at most {}", format_size(capacity / 2))),
        );
    }
    if let Some(memory) = (outside.memory)().filter(|memory| capacity >= *memory) {
        problems.push(
            Problem::warning(written.capacity.place, "the cache is as large as the memory, or larger")
                .label(format!("expected well below {}, as connections need memory too", in_mebibytes(memory))),
        );
    }
    if let Some(snapshot) = &written.snapshot {
        let path = match &snapshot.value {
            Either::This(path) => path,
            Either::That(table) => &table.path.value,
        };
        let directory = path.0.parent().unwrap_or(Path::new("/"));
        if let Err(error) = (outside.directory)(directory) {
            problems.push(
                Problem::warning(snapshot.place, format!("no file can be made in `{}`: {error}", directory.display()))
                    .label("the snapshot would not be written"),
            );
        }
    }
    targeted_fields(&written.targeted_fields.value.0, problems);
}

fn targeted_fields(names: &[Placed<TargetedField>], problems: &mut Problems) {
    for (index, name) in names.iter().enumerate() {
        let is_same = |other: &str| other.eq_ignore_ascii_case(&name.value.0);
        let message = if is_same("CDN-Cache-Control") {
            "`CDN-Cache-Control` is always looked for, as the last"
        } else if names[..index].iter().any(|earlier| is_same(&earlier.value.0)) {
            "this field is listed twice"
        } else {
            continue;
        };
        problems.push(Problem::warning(name.place, message).label("expected it to be left out"));
    }
}

/// `cache` of a route, whose requests are these.
pub(super) fn route_cache(written: &raw::RouteCache, matches: &raw::Match, problems: &mut Problems) {
    if written.set_cookie.value == raw::SetCookie::Store {
        problems.push(
            Problem::warning(written.set_cookie.place, "answers with `Set-Cookie` may be stored and given to others")
                .label("expected `\"refuse\"`, unless every such cookie is the same for all"),
        );
    }
    for name in &written.key.value.fields.value.0 {
        key_field(name, problems);
    }
    purge(written, matches, problems);
}

fn key_field(name: &Placed<KeyField>, problems: &mut Problems) {
    let lower = name.value.0.to_ascii_lowercase();
    let label = match lower.as_str() {
        "cookie" | "authorization" | "user-agent" | "x-forwarded-for" | "x-real-ip" | "x-request-id" => {
            "nearly every client would have an entry of its own"
        }
        "accept-encoding" | "accept" | "accept-language" => {
            "`Vary` of the answers does this, and takes equal lists for equal"
        }
        "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-port" => "the key tells this already",
        "range" | "cache-control" | "pragma" | "age" => "the cache looks at this by itself",
        conditional if conditional.starts_with("if-") => "the cache looks at this by itself",
        _ => return,
    };
    problems.push(Problem::warning(name.place, format!("`{}` makes little sense in a key", name.value.0)).label(label));
}

fn purge(written: &raw::RouteCache, matches: &raw::Match, problems: &mut Problems) {
    let networks = &written.purge_from;
    for network in networks.value.0.iter().filter(|network| network.value.0.prefix_len() == 0) {
        problems.push(
            Problem::warning(network.place, "every client may take answers out of the cache")
                .label("expected the networks of those who publish"),
        );
    }
    if let Some(methods) = &matches.methods
        && !networks.value.0.is_empty()
        && !methods.value.0.iter().any(|method| method.value.0.as_str() == "PURGE")
    {
        problems.push(
            Problem::warning(networks.place, "no `PURGE` comes to this route")
                .label("allowed here")
                .related(methods.place, "but only these methods are taken"),
        );
    }
}

/// A figure for people: what a machine has is no round number.
fn in_mebibytes(bytes: u64) -> String {
    format_size(bytes >> 20 << 20)
}
