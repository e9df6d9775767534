//! The relay lane: requests with bodies, other methods, gRPC. Both bodies stream; nothing is stored, but the answer to a
//! POST that says it is a GET's.

use std::sync::Arc;

use http::Method;

use super::{
    Gateway, Visit,
    client::Client,
    facts::CacheWord,
    failure::{self, Fault, OwnAnswer},
    fetch::keep,
    fields::{Lane, may_poison},
    opening::Sending,
    settled::Why,
    transfer::Transfer,
};
use crate::{
    cache::{
        self, Leader, Moment, Plan, Reason, key,
        policy::{same_origin_target, tags::invalidated_groups},
    },
    wire::{Framing, RequestHead, ResponseHead, is_twin},
};

impl Gateway {
    /// Brings one request to the backend and its answer back.
    pub(super) async fn relay<C: Client>(self: &Arc<Self>, client: &mut C, visit: &mut Visit<'_>) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::None;
        let mut outgoing = self.outgoing(visit, client.info(), Lane::Relay);
        match hops_left(visit.request) {
            None => {}
            Some(0) => {
                let own =
                    OwnAnswer { status: 200, message: "These methods are served here.", fields: &[failure::ALLOW] };
                failure::answer(client, visit.request, &mut visit.facts, &own).await;
                return Ok(());
            }
            Some(hops) => outgoing.fields.set("Max-Forwards", (hops - 1).to_string()),
        }
        let sending = if is_repeatable(visit) { Sending::Repeatable } else { Sending::Once };
        let mut sent = self.moment(visit);
        let (transfer, head) = self.open(client, visit, outgoing, sending, visit.facts.now).await?;
        self.invalidate(visit, &head, sent.as_mut());
        let mut why = Why { reason: self.why_relayed(visit), detail: None };
        match sent.filter(|_| head.fields.contains("content-location")) {
            None => {}
            Some(sent) => match self.for_get(visit, &transfer, &head, &sent) {
                Ok((leader, plan)) => {
                    let settled = keep(leader, plan, transfer, head);
                    return Box::pin(self.answer_settled(client, visit, settled, why)).await.map(drop);
                }
                Err(detail) => why.detail = Some(detail).filter(|detail| *detail != why.reason),
            },
        }
        let status = visit.route(self).cache.enabled.then(|| why.forwarded(false, None));
        self.stream(client, visit, transfer, head, status, Vec::new()).await
    }

    /// What Cache-Status says of a request that the store has no say in.
    pub(super) fn why_relayed(&self, visit: &Visit<'_>) -> Reason {
        match visit.request.method {
            _ if self.config.cache.capacity == 0 => Reason::Off,
            Method::GET | Method::HEAD => Reason::RequestBody,
            _ => Reason::Method,
        }
    }

    /// What had been purged when a POST was sent: its answer may be one for GETs to come.
    fn moment(&self, visit: &Visit<'_>) -> Option<Moment> {
        let is_kept = visit.route(self).cache.enabled && self.config.cache.capacity > 0;
        if visit.request.method != Method::POST || !is_kept {
            return None;
        }
        Some(visit.with_key(self, |key| self.cache.moment(key)))
    }

    /// Leave to store the answer to a POST for GETs to come (RFC 9110 §9.3.3), or why not. Not while the request is still
    /// being sent: what stores an answer only listens to the backend. And not where a field has reached the backend that a
    /// GET could not have brought there: then the answer may be poisoned by it.
    /// `sent`: what had been purged when it was.
    fn for_get(
        &self,
        visit: &Visit<'_>,
        transfer: &Transfer,
        head: &ResponseHead,
        sent: &Moment,
    ) -> Result<(Leader, Plan), Reason> {
        let request = visit.request;
        let counted = &visit.route(self).cache.key.fields;
        let is_poisoned = request.fields.iter().any(|(name, _)| {
            may_poison(name, visit.way.trusted) || counted.iter().any(|known| is_twin(name, known.as_bytes()))
        });
        if transfer.is_uploading() || is_poisoned {
            return Err(Reason::Method);
        }
        if !key::is_authority_as_sent(request.scheme, &request.authority) {
            return Err(Reason::Authority);
        }
        let now = visit.facts.now;
        let plan = self.cache.storable_for_get(&self.exchange(visit, now, transfer), head)?;
        let leader = visit.with_key(self, |key| self.cache.begin_answered(key, visit.request, now, sent));
        Ok((leader, plan.edit(self.edits(visit.route))))
    }

    /// A successful unsafe request changes what is stored for its target and for what it names (RFC 9111 §4.4).
    fn invalidate(&self, visit: &Visit<'_>, head: &ResponseHead, mut sent: Option<&mut Moment>) {
        let safe = matches!(visit.request.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        if safe {
            return;
        }
        self.invalidate_groups(visit, head, sent.as_deref_mut());
        if !(200..400).contains(&head.status) {
            return;
        }
        let named = ["location", "content-location"]
            .into_iter()
            .filter_map(|name| head.fields.get_str(name).and_then(|value| same_origin_target(visit.request, value)));
        for target in std::iter::once(visit.request.target.as_str().into()).chain(named) {
            // The bases alone: a GET may have come another way than this request, or by another route.
            for base in self.bases(visit.request.scheme, &visit.request.authority, &target) {
                self.cache.invalidate(&base, sent.as_deref_mut());
            }
        }
    }

    /// The backend says which groups of this origin an unsafe request has changed, whatever came of it otherwise
    /// (RFC 9875 §3).
    fn invalidate_groups(&self, visit: &Visit<'_>, head: &ResponseHead, mut sent: Option<&mut Moment>) {
        for name in invalidated_groups(&head.fields) {
            let mut origin = Vec::new();
            cache::key::build(&mut origin, visit.request.scheme, &visit.request.authority, "");
            self.cache.invalidate_group(&origin, &name, sent.as_deref_mut());
        }
    }
}

/// How many more times an OPTIONS may be passed on, where it says so: at none, this is whom it was for (RFC 9110 §7.6.2).
fn hops_left(request: &RequestHead) -> Option<u64> {
    if request.method != Method::OPTIONS {
        return None;
    }
    request.fields.get_str("max-forwards")?.parse().ok()
}

/// Whether the request may be sent twice (RFC 9110 §9.2.2), which a streamed body never allows.
fn is_repeatable(visit: &Visit<'_>) -> bool {
    let idempotent = matches!(
        visit.request.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    idempotent && matches!(visit.request.framing, Framing::None | Framing::Length(0))
}
