//! Completing what is held in parts: one range of it, or the whole (RFC 9111 §3.3, §3.4).

use std::sync::Arc;

use super::whole::cut_of_whole;
use crate::{
    cache::{self, CacheStatus, Exchange, FillFailed, Gap, Leader, PartPlan, Reason, Stored, Wanted},
    clock::Now,
    gateway::{
        Gateway, Visit,
        answer::Source,
        ask::{Led, forwarded, pump},
        client::{BodyLength, Client, flush},
        facts::CacheWord,
        failure::Fault,
        transfer::{Sending, Transfer},
    },
    wire::ResponseHead,
};

impl Gateway {
    /// Sends what is held of a range, what was missing as it comes, and what is held behind it.
    #[expect(clippy::too_many_arguments, reason = "the whole state of a fetch that has just got its head")]
    pub(super) async fn fill_gap<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        gap: &Gap,
        plan: PartPlan,
        mut transfer: Transfer,
        answered: Now,
    ) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::Miss;
        let answer = plan.answer().clone();
        let begun = leader.begin_part(plan, answered);
        let status = forwarded(Reason::Gap, begun.is_ok(), begun.as_ref().err().copied());
        transfer.part = begun.ok();
        let wanted = Wanted::Parts(vec![gap.wanted.clone()]);
        self.start_part(client, visit, &answer, answer.age(Now::read()), status, &wanted);
        let (before, behind) = gap.held();
        gap.stored.slice(&before).for_each(|piece| client.push(piece));
        let missing = gap.missing.end - gap.missing.start;
        let mut source = Source::Backend(Box::new(transfer));
        if self.send_cut(client, &mut source, 0, missing).await? < missing {
            return Err(Fault::Fill(FillFailed::Incomplete));
        }
        if let Source::Backend(transfer) = source {
            transfer.finish_unread();
        }
        gap.stored.slice(&behind).for_each(|piece| client.push(piece));
        client.finish(None);
        Ok(flush(client).await?)
    }

    /// The backend has another representation, whole: it replaces the parts, and the range is cut out of it, unless it lies
    /// too far behind its beginning.
    #[expect(clippy::too_many_arguments, reason = "the whole state of a fetch that has just got its head")]
    pub(super) async fn replace<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        key: &[u8],
        leader: Leader,
        gap: &Gap,
        exchange: &Exchange<'_>,
        (transfer, head): (Transfer, ResponseHead),
    ) -> Result<Led, Fault> {
        self.cache.forget(key, &gap.stored);
        visit.facts.cache = CacheWord::Miss;
        let plan = match self.cache.storable(exchange, &head) {
            Ok(plan) if plan.answer().length.is_some() => plan,
            // The length of this one is not known: the client takes it as it comes, which a Range allows.
            weighed => {
                let got = (transfer, head);
                self.keep_or_pass(client, visit, leader, weighed, got, Reason::Gap, exchange.answered).await?;
                return Ok(Led::Answered);
            }
        };
        if !plan.is_near(visit.request) {
            return Ok(Led::Again);
        }
        let Ok((fill, reader)) = leader.begin(self.edited(visit, plan)) else { return Ok(Led::Again) };
        tokio::spawn(pump(transfer, fill));
        self.read_part(client, visit, reader, cut_of_whole(Reason::Gap)).await?;
        Ok(Led::Answered)
    }

    /// Fetches what is missing of an answer that is held in parts, for everybody who wants the whole.
    pub(in crate::gateway) async fn complete<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        gap: Gap,
    ) -> Result<Led, Fault> {
        let mut key = Vec::new();
        visit.write_key(self, &mut key);
        let mut outgoing = self.fill_request(visit, client, None);
        gap.fields().for_each(|(name, value)| outgoing.fields.push(name, value));
        let requested = Now::read();
        let (transfer, head) = self.open(client, visit, &outgoing, Sending::Repeatable).await?;
        let answered = Now::read();
        let policy = &self.policies[visit.route];
        let exchange = Exchange { request: visit.request, policy, requested, answered };
        match head.status {
            206 => {
                let plan = match self.cache.fills_gap(&gap, &exchange, &head) {
                    Ok(plan) if transfer.length_is(gap.missing.end - gap.missing.start) => plan,
                    _ => return Ok(self.forget(&key, &gap)),
                };
                let plan = self.edited_part(visit, plan, &head).into_whole();
                let Ok((fill, reader)) = leader.begin(plan) else { return Ok(self.forget(&key, &gap)) };
                tokio::spawn(join(transfer, fill, gap));
                let status = CacheStatus::Forwarded {
                    reason: Reason::Gap,
                    status: Some(206),
                    stored: true,
                    collapsed: false,
                    detail: None,
                };
                self.read(client, visit, reader, status).await?;
            }
            416 => return Ok(self.forget(&key, &gap)),
            _ => {
                let weighed = self.cache.storable(&exchange, &head);
                self.keep_or_pass(client, visit, leader, weighed, (transfer, head), Reason::Gap, answered).await?;
            }
        }
        Ok(Led::Answered)
    }

    pub(super) fn forget(&self, key: &[u8], gap: &Gap) -> Led {
        self.cache.forget(key, &gap.stored);
        Led::Again
    }
}

impl Transfer {
    /// Whether the body is, for all that is known, so long.
    pub(super) fn length_is(&self, bytes: u64) -> bool {
        matches!(self.length, BodyLength::Unknown) || self.length == BodyLength::Exact(bytes)
    }
}

/// Brings the whole into the store: what is held, what is missing as it comes, and what is held behind it.
async fn join(mut transfer: Transfer, mut fill: cache::Fill, gap: Gap) {
    let (before, behind) = gap.held();
    if !push_held(&mut fill, &gap.stored, &before).await {
        return;
    }
    let mut left = gap.missing.end - gap.missing.start;
    while left > 0 {
        fill.ready().await;
        if !fill.is_wanted() {
            return;
        }
        match transfer.next_piece().await {
            Ok(Some(piece)) if piece.len() as u64 <= left => {
                left -= piece.len() as u64;
                fill.push(piece);
            }
            // More or less than it said.
            Ok(_) => return fill.fail(),
            Err(failure) => {
                transfer.broke_off(&failure);
                return fill.fail();
            }
        }
    }
    transfer.finish_unread();
    if push_held(&mut fill, &gap.stored, &behind).await {
        fill.finish();
    }
}

/// Adds bytes that are held already; `false` if nobody is served by going on.
async fn push_held(fill: &mut cache::Fill, stored: &Stored, held: &std::ops::Range<u64>) -> bool {
    for piece in stored.slice(held) {
        fill.ready().await;
        if !fill.is_wanted() {
            return false;
        }
        fill.push(piece);
    }
    true
}
