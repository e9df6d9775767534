//! The relay lane: requests with bodies, other methods, gRPC. Both bodies stream; nothing is stored.

use std::sync::Arc;

use http::Method;

use super::{Gateway, Visit, client::Client, facts::CacheWord, failure::Fault, fields::Lane, opening::Sending};
use crate::{
    cache::{self, Purge, Purged, policy::tags::invalidated_groups},
    wire::{Framing, ResponseHead, Scheme},
};

impl Gateway {
    /// Brings one request to the backend and its answer back.
    pub(super) async fn relay<C: Client>(self: &Arc<Self>, client: &mut C, visit: &mut Visit<'_>) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::None;
        let outgoing = self.outgoing(visit, client.info(), Lane::Relay);
        let sending = if is_repeatable(visit) { Sending::Repeatable } else { Sending::Once };
        let (transfer, head) = self.open(client, visit, outgoing, sending).await?;
        self.invalidate(visit, &head);
        self.stream(client, visit, transfer, head, None, Vec::new()).await
    }

    /// A successful unsafe request changes what is stored for its target and for what it names (RFC 9111 §4.4).
    fn invalidate(&self, visit: &Visit<'_>, head: &ResponseHead) {
        let safe = matches!(visit.request.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        if safe {
            return;
        }
        self.invalidate_groups(visit, head);
        if !(200..400).contains(&head.status) {
            return;
        }
        let named = ["location", "content-location"]
            .into_iter()
            .filter_map(|name| head.fields.get_str(name).and_then(|value| same_origin_target(visit, value)));
        let mut key = Vec::new();
        for target in std::iter::once(visit.request.target.as_str()).chain(named) {
            // A GET may have come by another route than this request, by one that fields choose for example.
            let routes = (0..self.config.routes.len()).filter(|&at| !self.config.routes[at].matches.fields.is_empty());
            for route in std::iter::once(None).chain(routes.map(Some)) {
                visit.write_key_of(&mut key, target, route);
                self.cache.invalidate(&key);
            }
        }
    }

    /// The backend says which groups of this origin an unsafe request has changed, whatever came of it otherwise
    /// (RFC 9875 §3).
    fn invalidate_groups(&self, visit: &Visit<'_>, head: &ResponseHead) {
        for name in invalidated_groups(&head.fields) {
            let mut origin = Vec::new();
            cache::key::build(&mut origin, visit.request.scheme, &visit.request.authority, "");
            self.cache.purge(&Purge { what: Purged::Group { origin, name: name.into() }, soft: false });
        }
    }
}

/// Whether the request may be sent twice (RFC 9110 §9.2.2), which a streamed body never allows.
fn is_repeatable(visit: &Visit<'_>) -> bool {
    let idempotent = matches!(
        visit.request.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    idempotent && matches!(visit.request.framing, Framing::None | Framing::Length(0))
}

/// The path and query of a reference to the same origin; others are not ours to invalidate.
fn same_origin_target<'v>(visit: &Visit<'_>, value: &'v str) -> Option<&'v str> {
    if value.starts_with('/') && !value.starts_with("//") {
        return Some(value);
    }
    let scheme = match visit.request.scheme {
        Scheme::Http => "http://",
        Scheme::Https => "https://",
    };
    let rest = value.strip_prefix(scheme)?.strip_prefix(visit.request.authority.as_str())?;
    rest.starts_with('/').then_some(rest)
}
