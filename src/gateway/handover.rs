//! What one process's cache hands on to the next: `cache.snapshot`.

use super::Gateway;
use crate::{
    cache,
    clock::Now,
    config::{Route, RouteCache},
};

impl Gateway {
    /// Takes over what an older process has left in the snapshot's file, if one is configured. Before anything is served.
    pub fn take_over(&self) {
        if let Some(snapshot) = &self.config.cache.snapshot {
            self.cache.read_snapshot(snapshot, self.fingerprint(), Now::read());
        }
    }

    /// Writes it for the next one, within the snapshot's time. When nothing is served any more.
    pub fn hand_on(&self) {
        if let Some(snapshot) = &self.config.cache.snapshot {
            self.cache.write_snapshot(snapshot, self.fingerprint(), Now::read());
        }
    }

    /// Of everything that decides under which key an answer lies, for how long it is kept and what has been done to its head.
    fn fingerprint(&self) -> u32 {
        let config = &self.config;
        let routes: Vec<_> = config.routes.iter().map(deciding).collect();
        let upstreams: Vec<_> = config.upstreams.iter().map(|upstream| &upstream.name).collect();
        cache::fingerprint(&(routes, upstreams, &config.trusted_proxies, &config.forward))
    }
}

/// What of a route decides that. Named one by one, so that who adds a key has to say what it does.
fn deciding(route: &Route) -> impl std::fmt::Debug {
    let Route {
        name: _,
        matches,
        action,
        strip_prefix,
        request_fields,
        response_fields,
        body_bytes: _,
        cache,
        websocket: _,
    } = route;
    let RouteCache {
        enabled,
        store_set_cookie,
        client_cache_control: _,
        heuristic,
        stale_if_error,
        stale_while_revalidate,
        default_ttl,
        key,
        range_fill: _,
        purge_from: _,
    } = cache;
    let kept = (enabled, store_set_cookie, heuristic, stale_if_error, stale_while_revalidate, default_ttl);
    (matches, action, strip_prefix, request_fields, response_fields, kept, key)
}
