//! A fresh hit, answered on the spot: for connections that may have many requests to answer before they write.

use std::cell::RefCell;

use super::{Gateway, Visit, client::Client, facts::CacheWord, facts::Facts, is_ask};
use crate::{
    cache::{CacheStatus, Lookup},
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
        let looked = KEY.with_borrow_mut(|key| {
            visit.write_key(self, key);
            self.cache.lookup(key, visit.request, &self.policies[route], visit.facts.now)
        });
        match looked {
            // What is stale may call for more than an answer.
            Lookup::Hit { stored, age, ttl: ttl @ 0.. } => {
                visit.facts.cache = CacheWord::Hit;
                self.answer_stored(client, &mut visit, &stored, age, CacheStatus::Hit { ttl });
                Some(visit.facts)
            }
            _ => None,
        }
    }
}
