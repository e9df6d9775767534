//! Ranges that the store can't give by itself (RFC 9111 §3.3, §3.4): asked for as the client does, or only for what is
//! missing; or, where the route says so, cut out of a fetch of the whole.
//!
//! No range waits for long for another fetch: one that lies far ahead of what has come is asked for beside it.

pub(super) mod gap;
mod whole;

use std::sync::Arc;

use super::{
    Gateway, Visit,
    client::Client,
    facts::CacheWord,
    failure::Fault,
    fetch::Trouble,
    fields::Lane,
    opening::Sending,
    settled::{Led, Why},
    transfer::Transfer,
};
use crate::{
    cache::{self, Exchange, Leader, PartPlan, RangeAsk, Reason, Stored},
    clock::Now,
    upstream::Outgoing,
    wire::ResponseHead,
};

impl Gateway {
    /// Answers a GET with Range that needs the backend.
    pub(super) async fn ranged<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        ask: RangeAsk,
        reason: Reason,
    ) -> Result<(), Fault> {
        let key = visit.with_key(self, <[u8]>::to_vec);
        let policy = &self.policies[visit.route];
        if !matches!(ask, RangeAsk::Validate(_))
            && let Some(reader) = self.cache.join_range(&key, visit.request, policy, visit.facts.now)
        {
            return self.share(client, visit, reader, reason).await;
        }
        let why = Why { reason, detail: None };
        // What has parts already, or is known not to be kept, is not fetched whole for a range.
        let is_new = matches!(reason, Reason::UriMiss | Reason::VaryMiss);
        let fetches_whole = is_new && visit.route(self).cache.range_fill;
        if fetches_whole && self.whole(client, visit, &key, why).await? == Led::Answered {
            return Ok(());
        }
        if self.ask_range(client, visit, &key, &ask, why).await? == Led::Again {
            self.ask_range(client, visit, &key, &RangeAsk::AsSent, why).await?;
        }
        Ok(())
    }

    /// Asks the backend for a range. `Again`: what is stored was of no use for it, and has been forgotten.
    async fn ask_range<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        key: &[u8],
        ask: &RangeAsk,
        why: Why,
    ) -> Result<Led, Fault> {
        visit.facts.cache = CacheWord::Pass;
        let mut leader = self.cache.begin_unasked(key, visit.request, visit.facts.now);
        if let RangeAsk::Validate(_) = ask {
            leader.validates();
        }
        let outgoing = self.range_request(visit, client, ask);
        let requested = Now::read();
        let opened = self.open(client, visit, outgoing, Sending::Repeatable, requested).await;
        if let RangeAsk::Validate(stored) = ask
            && self.may_stand_in(visit.request, visit.route, stored, &opened)
        {
            leader.resolve_stale(stored);
            self.answer_stale(client, visit, stored, &Trouble::of(opened), why.reason).await?;
            return Ok(Led::Answered);
        }
        let (transfer, head) = opened?;
        let exchange = self.exchange(visit, requested, &transfer);
        match (head.status, ask) {
            (304, RangeAsk::Validate(stored)) => {
                transfer.finish_unread();
                self.validated(client, visit, leader, stored, &exchange, &head, why).await
            }
            (200 | 206 | 416, RangeAsk::Missing(gap)) => {
                self.fill_gap(client, visit, leader, gap, &exchange, (transfer, head)).await
            }
            (206, _) => {
                let weighed = self.cache.storable_part(key, &exchange, &head);
                self.pass_part(client, visit, leader, weighed, (transfer, head), exchange.answered, why).await
            }
            (200, _) => {
                visit.facts.cache = CacheWord::Miss;
                let weighed = self.cache.storable(&exchange, &head);
                let got = (transfer, head);
                let settled = self.weighed(leader, weighed, got, visit.route);
                self.answer_settled(client, visit, settled, why).await
            }
            // What else there is may be about the Range: it says nothing about the whole.
            _ => {
                let is_validation_error = matches!(ask, RangeAsk::Validate(_)) && head.status >= 500;
                let detail = if is_validation_error { Reason::ServerError } else { Reason::Range };
                leader.decline(detail);
                let status = why.forwarded(false, Some(detail));
                self.stream(client, visit, transfer, head, Some(status), Vec::new()).await?;
                Ok(Led::Answered)
            }
        }
    }

    /// The request for a range: the client's own, with the store's validators, or for what is missing alone.
    fn range_request<C: Client>(&self, visit: &mut Visit<'_>, client: &C, ask: &RangeAsk) -> Outgoing {
        let mut outgoing = self.outgoing(visit, client.info(), Lane::Ask);
        match ask {
            RangeAsk::AsSent => {}
            // RFC 9110 §13.2.2: If-None-Match is weighed before Range; another representation is answered in parts at once.
            RangeAsk::Validate(stored) => {
                let validators = cache::policy::validation_fields(&stored.answer);
                validators.for_each(|(name, value)| outgoing.fields.push(name, value));
            }
            RangeAsk::Missing(gap) => gap.fields().for_each(|(name, value)| outgoing.fields.set(name, value)),
        }
        outgoing
    }

    /// Answers from what a 304 has made fresh again.
    #[expect(clippy::too_many_arguments, reason = "the whole state of a fetch that has just got its head")]
    async fn validated<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        stored: &Arc<Stored>,
        exchange: &Exchange<'_>,
        head: &ResponseHead,
        why: Why,
    ) -> Result<Led, Fault> {
        let edit = |merged: &mut ResponseHead| self.answer_fields(merged, visit.route(self));
        let Ok((stored, refused)) = leader.freshen(exchange, stored, head, edit) else { return Ok(Led::Again) };
        // Its validator may have changed with the 304, and then the client's If-Range asks for the whole.
        if !stored.can_answer(visit.request) {
            return Ok(Led::Again);
        }
        self.answer_validated(client, visit, &stored, refused, why).await?;
        Ok(Led::Answered)
    }

    /// Passes a 206 on, and gathers it for the store on its way.
    #[expect(clippy::too_many_arguments, reason = "the whole state of a fetch that has just got its head")]
    async fn pass_part<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        weighed: Result<PartPlan, Reason>,
        (mut transfer, head): (Transfer, ResponseHead),
        answered: Now,
        why: Why,
    ) -> Result<Led, Fault> {
        let begun = match weighed {
            Ok(plan) => leader.begin_part(plan.edit(self.edits(visit.route)), answered),
            Err(detail) => {
                leader.decline(detail);
                Err(detail)
            }
        };
        let detail = begun.as_ref().err().copied();
        if detail.is_none() {
            visit.facts.cache = CacheWord::Miss;
        }
        transfer.part = begun.ok().map(Box::new);
        let status = why.forwarded(detail.is_none(), detail);
        self.stream(client, visit, transfer, head, Some(status), Vec::new()).await?;
        Ok(Led::Answered)
    }
}
