//! Looking into the cache: one URL's answers, and those that are worth most. In JSON, or as text with `format=text`.

use std::fmt::Write;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{AdminState, answer::Answer, request::Request};
use crate::{
    cache::{
        EntryView, TopBy, TopEntry,
        key::{self, Readable},
    },
    clock::Now,
    wire::Url,
};

pub(super) const ABOUT_ENTRY: &str = "?url=https://…: what is stored for a URL; format=text for people";
pub(super) const ABOUT_TOP: &str =
    "?by=hits|bytes_saved&limit=20: the answers that are worth most; format=text for people";

/// `GET /cache/entry`.
pub(super) fn entry(state: &AdminState, request: &Request) -> Answer {
    let url = request.parameter("url").ok_or_else(|| "expected ?url=".to_owned()).and_then(|text| Url::parse(&text));
    let bases = match url {
        Ok(url) => (state.bases)(&url),
        Err(error) => return Answer::wrong(StatusCode::BAD_REQUEST, &error),
    };
    let now = Now::read();
    let found: Vec<EntryView> =
        bases.iter().flat_map(|base| state.cache.entries_under(base, ENTRIES_MAX, now)).take(ENTRIES_MAX).collect();
    let status = if found.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    match wants_text(request) {
        true if found.is_empty() => Answer::text(status, "Nothing is stored for this URL.\n"),
        true => Answer::text(status, found.iter().map(entry_text).collect::<Vec<_>>().join("\n")),
        false => Answer::json(status, &json!({ "entries": found.iter().map(entry_object).collect::<Vec<_>>() })),
    }
}

fn entry_object(entry: &EntryView) -> Value {
    let fields = entry.head.fields.iter().map(|(name, value)| json!([lossy(name), lossy(value)]));
    let vary = entry.vary.iter().map(|(name, value)| (name.clone(), json!(value.as_deref().map(lossy))));
    let Readable { url, also } = key::readable(&entry.key);
    json!({
        "url": url,
        "also": also,
        "status": entry.head.status,
        "fields": fields.collect::<Vec<_>>(),
        "age_seconds": entry.age,
        "ttl_seconds": entry.ttl,
        "lifetime_seconds": entry.lifetime,
        "purged": entry.purged,
        "stored_at": entry.stored_at,
        "backend_seconds": entry.took,
        "body_bytes": entry.body_bytes,
        "held_bytes": entry.bytes,
        "hits": entry.hits,
        "vary": vary.collect::<Map<_, _>>(),
        "tags": entry.tags.iter().map(|tag| lossy(tag)).collect::<Vec<_>>(),
        "groups": entry.groups.iter().map(|group| lossy(group)).collect::<Vec<_>>(),
    })
}

fn entry_text(entry: &EntryView) -> String {
    let Readable { url, also } = key::readable(&entry.key);
    let mut text = format!("{url}\n");
    let freshness = match (entry.purged, entry.ttl) {
        (true, _) => "stale by a soft purge".to_owned(),
        (false, ttl @ 1..) => format!("fresh for {ttl} s more"),
        (false, ttl) => format!("stale since {} s", -ttl),
    };
    let joined = |words: &[Vec<u8>]| words.iter().map(|word| lossy(word)).collect::<Vec<_>>().join(", ");
    let vary = entry.vary.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}: {}", lossy(value)),
        None => format!("{name} is absent"),
    });
    for (name, value) in [
        ("key also", also.join(", ")),
        ("vary", vary.collect::<Vec<_>>().join(", ")),
        ("age", format!("{} s of {} s, {freshness}", entry.age, entry.lifetime)),
        ("hits", entry.hits.to_string()),
        ("body", format!("{} bytes, {} held in all", entry.body_bytes, entry.bytes)),
        ("backend", format!("took {:.3} s", entry.took)),
        ("tags", joined(&entry.tags)),
        ("groups", joined(&entry.groups)),
        ("status", entry.head.status.to_string()),
    ] {
        if !value.is_empty() {
            // Invariant: a String takes every write.
            let _ = writeln!(text, "  {name:<9} {value}");
        }
    }
    for (name, value) in entry.head.fields.iter() {
        let _ = writeln!(text, "    {}: {}", lossy(name), lossy(value));
    }
    text
}

/// `GET /cache/top`.
pub(super) fn top(state: &AdminState, request: &Request) -> Answer {
    let by = match request.parameter("by").as_deref() {
        None | Some("hits") => TopBy::Hits,
        Some("bytes_saved") => TopBy::BytesSaved,
        Some(_) => return Answer::wrong(StatusCode::BAD_REQUEST, "`by` is neither hits nor bytes_saved"),
    };
    let limit = match request.parameter("limit").map(|text| text.parse()) {
        None => TOP_USUAL,
        Some(Ok(limit @ 1..=TOP_MOST)) => limit,
        Some(_) => {
            return Answer::wrong(StatusCode::BAD_REQUEST, &format!("`limit` is no number from 1 to {TOP_MOST}"));
        }
    };
    let rows = state.cache.top(by, limit);
    match wants_text(request) {
        true => Answer::text(StatusCode::OK, top_text(&rows)),
        false => Answer::json(StatusCode::OK, &json!({ "entries": rows.iter().map(top_object).collect::<Vec<_>>() })),
    }
}

fn top_object(row: &TopEntry) -> Value {
    let Readable { url, also } = key::readable(&row.key);
    json!({
        "url": url,
        "also": also,
        "status": row.status,
        "hits": row.hits,
        "body_bytes": row.body_bytes,
        "bytes_saved": row.bytes_saved,
    })
}

fn top_text(rows: &[TopEntry]) -> String {
    let mut text = format!("{:>10} {:>14} {:>12} {:>6} url\n", "hits", "bytes saved", "body", "status");
    for row in rows {
        let (Readable { url, also }, saved) = (key::readable(&row.key), row.bytes_saved);
        let also = if also.is_empty() { String::new() } else { format!(" ({})", also.join(", ")) };
        let _ = writeln!(text, "{:>10} {saved:>14} {:>12} {:>6} {url}{also}", row.hits, row.body_bytes, row.status);
    }
    text
}

fn wants_text(request: &Request) -> bool {
    request.parameter("format").as_deref() == Some("text")
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Answers shown for one URL.
const ENTRIES_MAX: usize = 256;
const TOP_USUAL: usize = 20;
const TOP_MOST: usize = 1000;
