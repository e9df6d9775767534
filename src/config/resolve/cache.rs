//! `[cache]`, and `cache` of a route.

use std::sync::Arc;

use crate::config::{
    Cache, KeyShape, QueryShape, RouteCache, Snapshot,
    problem::{Problem, Problems},
    raw,
    shape::{Either, OneOrMany},
    text::ParameterName,
    value::Placed,
};

/// The cache of the whole gateway, which so many threads fill.
pub(super) fn cache(written: &raw::Cache, threads: usize) -> Cache {
    let capacity = if written.enabled.value { written.capacity.value.0 } else { 0 };
    let max_object = written.max_object.as_ref().map_or((capacity / 8).min(MAX_OBJECT_DEFAULT), |size| size.value.0);
    let mut targeted_fields: Vec<Box<str>> = Vec::new();
    let targeted = written.targeted_fields.value.0.iter().map(|name| name.value.0.to_ascii_lowercase());
    // The common one is always there, as the last.
    for name in targeted.filter(|name| name != CDN_CACHE_CONTROL) {
        if !targeted_fields.iter().any(|known| **known == *name) {
            targeted_fields.push(name.into());
        }
    }
    targeted_fields.push(CDN_CACHE_CONTROL.into());
    Cache {
        capacity,
        max_object,
        threads,
        max_variants: written.max_variants.value.count(),
        max_parts: written.max_parts.value.count(),
        status_field: written.status_field.value,
        targeted_fields: Arc::from(targeted_fields),
        snapshot: written.snapshot.as_ref().map(|snapshot| self::snapshot(&snapshot.value)),
    }
}

fn snapshot(written: &raw::SnapshotText) -> Snapshot {
    match written {
        Either::This(path) => {
            Snapshot { path: path.0.clone(), bytes: raw::SNAPSHOT_BYTES.0, time: raw::SNAPSHOT_TIME.0 }
        }
        Either::That(table) => {
            Snapshot { path: table.path.value.0.clone(), bytes: table.bytes.value.0, time: table.time.value.0 }
        }
    }
}

/// The cache for a route's requests.
pub(super) fn route_cache(written: &Either<bool, raw::RouteCache>, problems: &mut Problems) -> RouteCache {
    let by_default = raw::RouteCache::default();
    let (enabled, table) = match written {
        Either::This(enabled) => (*enabled, &by_default),
        Either::That(table) => (table.enabled.value, table),
    };
    let heuristic = match &table.heuristic.value {
        Either::This(true) => Some(super::HEURISTIC_DEFAULT),
        Either::This(false) => None,
        Either::That(longest) => Some(longest.0),
    };
    RouteCache {
        enabled,
        store_set_cookie: table.set_cookie.value == raw::SetCookie::Store,
        client_cache_control: table.client_cache_control.value == raw::ClientCacheControl::Honour,
        heuristic,
        stale_if_error: table.stale_if_error.value.0,
        stale_while_revalidate: table.stale_while_revalidate.value.0,
        default_ttl: (!table.default_ttl.value.0.is_zero()).then_some(table.default_ttl.value.0),
        key: key(&table.key.value, problems),
        range_fill: table.range_fill.value == raw::RangeFill::Whole,
        purge_from: table.purge_from.value.0.iter().map(|network| network.value.0).collect(),
    }
}

fn key(written: &raw::Key, problems: &mut Problems) -> KeyShape {
    // In one order, so that equal shapes are equal, and each name once.
    let mut fields: Vec<String> = written.fields.value.0.iter().map(|name| name.value.0.to_ascii_lowercase()).collect();
    fields.sort_unstable();
    fields.dedup();
    KeyShape { query: query(&written.query, problems), sort_query: written.sort_query.value, fields }
}

fn query(written: &Placed<raw::Query>, problems: &mut Problems) -> QueryShape {
    let table = match &written.value {
        Either::This(raw::QueryWord::All) => return QueryShape::All,
        Either::This(raw::QueryWord::None) => return QueryShape::Keep(Vec::new()),
        Either::That(table) => table,
    };
    match (&table.ignore, &table.keep) {
        (Some(ignore), None) => {
            QueryShape::Ignore(names(ignore, "every parameter counts then: `query = \"all\"`", problems))
        }
        (None, Some(keep)) => QueryShape::Keep(names(keep, "no parameter counts then: `query = \"none\"`", problems)),
        (ignore, keep) => {
            // A slip in one of the names is told already.
            if ignore.is_some() || table.mark.is_whole() {
                let place = keep.as_ref().map_or(written.place, |keep| keep.place);
                let problem = Problem::error(place, "a query is shaped either by `ignore` or by `keep`");
                problems.push(problem.label("expected one of them"));
            }
            QueryShape::All
        }
    }
}

fn names(written: &Placed<OneOrMany<ParameterName>>, instead: &str, problems: &mut Problems) -> Vec<String> {
    if written.value.0.is_empty() {
        problems.push(Problem::error(written.place, "the list of parameters is empty").label(instead.to_owned()));
    }
    written.value.0.iter().map(|name| name.value.0.clone()).collect()
}

/// The field that is meant for caches such as this one (RFC 9213 §3.1).
const CDN_CACHE_CONTROL: &str = "cdn-cache-control";

/// The largest stored body where none is given, however large the cache.
const MAX_OBJECT_DEFAULT: u64 = 64 << 20;
