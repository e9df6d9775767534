//! `[cache]`, and `cache` of a route.

use super::{many, set};
use crate::config::{
    Cache, KeyShape, QueryShape, RouteCache, Snapshot, raw,
    shape::{Either, OneOrMany},
    text::{FilePath, KeyField, Network, ParameterName, TargetedField},
    value::{Mark, Period, Placed, Size, Whole},
};

pub(super) fn cache(settled: &Cache) -> raw::Cache {
    // The last is always there.
    let own = settled.targeted_fields.iter().take(settled.targeted_fields.len().saturating_sub(1));
    let targeted = own.map(|name| set(TargetedField(name.to_string()))).collect();
    raw::Cache {
        mark: Mark::default(),
        enabled: set(settled.capacity > 0),
        capacity: set(Size(settled.capacity)),
        max_object: Some(set(Size(settled.max_object))),
        max_variants: set(Whole(settled.max_variants as u64)),
        max_parts: set(Whole(settled.max_parts as u64)),
        status_field: set(settled.status_field),
        targeted_fields: set(OneOrMany(targeted)),
        snapshot: settled.snapshot.as_ref().map(snapshot),
    }
}

fn snapshot(settled: &Snapshot) -> Placed<raw::SnapshotText> {
    set(Either::That(raw::Snapshot {
        mark: Mark::default(),
        path: set(FilePath(settled.path.clone())),
        bytes: set(Size(settled.bytes)),
        time: set(Period(settled.time)),
    }))
}

pub(super) fn route_cache(settled: &RouteCache) -> raw::RouteCache {
    let set_cookie = if settled.store_set_cookie { raw::SetCookie::Store } else { raw::SetCookie::Refuse };
    let client_cache_control = match settled.client_cache_control {
        true => raw::ClientCacheControl::Honour,
        false => raw::ClientCacheControl::Ignore,
    };
    raw::RouteCache {
        mark: Mark::default(),
        enabled: set(settled.enabled),
        heuristic: set(settled.heuristic.map_or(Either::This(false), |longest| Either::That(Period(longest)))),
        stale_if_error: set(Period(settled.stale_if_error)),
        set_cookie: set(set_cookie),
        client_cache_control: set(client_cache_control),
        stale_while_revalidate: set(Period(settled.stale_while_revalidate)),
        default_ttl: set(Period(settled.default_ttl.unwrap_or_default())),
        key: set(key(&settled.key)),
        range_fill: set(if settled.range_fill { raw::RangeFill::Whole } else { raw::RangeFill::Part }),
        purge_from: set(OneOrMany(settled.purge_from.iter().map(|network| set(Network(*network))).collect())),
    }
}

fn key(settled: &KeyShape) -> raw::Key {
    let names = |names: &[String]| many(names.iter().cloned().map(ParameterName));
    let table = |ignore, keep| Either::That(raw::QueryTable { mark: Mark::default(), ignore, keep });
    let query = match &settled.query {
        QueryShape::All => Either::This(raw::QueryWord::All),
        QueryShape::Keep(keep) if keep.is_empty() => Either::This(raw::QueryWord::None),
        QueryShape::Ignore(ignore) => table(names(ignore), None),
        QueryShape::Keep(keep) => table(None, names(keep)),
    };
    raw::Key {
        mark: Mark::default(),
        query: set(query),
        sort_query: set(settled.sort_query),
        fields: set(OneOrMany(settled.fields.iter().cloned().map(KeyField).map(set).collect())),
    }
}
