//! Purging by URL: from what an operator or a client names to the keys that answers are stored under.

use std::{net::IpAddr, sync::Arc};

use super::{
    Gateway, Visit,
    client::{BodyLength, Client, flush},
    failure::{self, Fault, OwnAnswer},
    fields::canonical,
};
use crate::{
    cache::{self, Purge, Purged},
    wire::{Scheme, Url, request::host_of},
};

impl Gateway {
    /// What is stored, for operators.
    pub fn cache(&self) -> &Arc<cache::Cache> {
        &self.cache
    }

    /// The bases of the keys under which answers for a URL may be stored (see [`cache::key`]).
    pub fn bases_of(&self, url: &Url) -> Vec<Vec<u8>> {
        url.schemes().iter().flat_map(|&scheme| self.bases(scheme, &url.authority, &url.target)).collect()
    }

    /// The same for one scheme: a base for each way in which the routes on that path shape the query.
    pub(super) fn bases(&self, scheme: Scheme, authority: &str, target: &str) -> Vec<Vec<u8>> {
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let mut bases = Vec::new();
        for route in self.routes.on_path(host_of(authority), path) {
            let mut base = Vec::new();
            cache::key::build_shaped(&mut base, scheme, authority, target, &self.config.routes[route].cache.key);
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        bases
    }

    /// Whether this is a `PURGE` that the route takes for itself.
    pub(super) fn is_purge(&self, visit: &Visit<'_>) -> bool {
        visit.request.method.as_str() == PURGE && !visit.route(self).cache.purge_from.is_empty()
    }

    /// Obeys a `PURGE`, if its client may ask for it: the answers of its URL, by http or by https, are gone, or stale.
    pub(super) async fn purge<C: Client>(&self, client: &mut C, visit: &mut Visit<'_>) -> Result<(), Fault> {
        if !self.may_purge(visit) {
            let own = OwnAnswer { status: 403, message: "Purging is not allowed from this address.", fields: &[] };
            failure::answer(client, visit.request, &mut visit.facts, &own).await;
            return Ok(());
        }
        let (request, soft) = (visit.request, is_soft(visit));
        let url = Url { scheme: None, authority: request.authority.clone(), target: request.target.clone() };
        let bases = self.bases_of(&url).into_iter();
        let purged: u64 = bases.map(|base| self.cache.purge(&Purge { what: Purged::Url(base), soft })).sum();
        let body = format!("{{\"purged\":{purged},\"soft\":{soft}}}\n");
        let head = failure::own_head(200, visit.facts.now, "application/json", body.len());
        visit.facts.status = head.status;
        client.start(&head, BodyLength::Exact(body.len() as u64));
        client.push(body.into());
        client.finish(None);
        Ok(flush(client).await?)
    }

    fn may_purge(&self, visit: &Visit<'_>) -> bool {
        let client: IpAddr = canonical(visit.way.client);
        visit.route(self).cache.purge_from.iter().any(|network| network.contains(&client))
    }
}

/// Whether the answers are to stay for a backend that fails. Fastly's word for it is known to many tools.
fn is_soft(visit: &Visit<'_>) -> bool {
    ["soft-purge", "fastly-soft-purge"].iter().any(|name| visit.request.fields.get(name) == Some(b"1"))
}

const PURGE: &str = "PURGE";
