//! A fresh hit, answered on the spot: for connections that may have many requests to answer before they write.

use std::cell::RefCell;

use super::{Gateway, Visit, client::Client, facts::CacheWord, facts::Facts, is_ask};
use crate::{
    cache::CacheStatus,
    clock::Now,
    config::RouteAction,
    wire::{RequestHead, strip_nominated},
};

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Gateway {
    /// Queues the stored answer to a request that takes no more than that; to be flushed and recorded. `None`: it has to
    /// go the whole journey, and nothing was done.
    pub(super) fn hit<C: Client>(&self, client: &mut C, request: &mut RequestHead) -> Option<Facts> {
        if !is_ask(request) {
            return None;
        }
        strip_nominated(&mut request.fields);
        let way = self.way(request, client.info());
        let route = self.routes.find(request)?;
        let RouteAction::Forward { upstream } = self.config.routes[route].action else { return None };
        if !self.config.routes[route].cache.enabled {
            return None;
        }
        let mut facts = Facts::new(Now::read(), way.client);
        facts.route = Some(route);
        let mut visit = Visit { request, way, route, upstream, facts };
        let (stored, age, ttl) = KEY.with_borrow_mut(|key| {
            visit.write_key(self, key);
            self.cache.lookup_fresh(key, visit.request, &self.policies[route], visit.facts.now)
        })?;
        visit.facts.cache = CacheWord::Hit;
        self.answer_stored(client, &mut visit, &stored, age, CacheStatus::Hit { ttl });
        Some(visit.facts)
    }
}
