//! Completing what is held in parts: one range of it, or the whole (RFC 9111 §3.3, §3.4).

use std::{ops::Range, sync::Arc};

use crate::{
    cache::{Exchange, Fill, FillFailed, Gap, Leader, PartPlan, Reason, Stored, Wanted},
    clock::Now,
    gateway::{
        Gateway, Visit,
        answer::Source,
        client::{BodyLength, Client, flush},
        facts::CacheWord,
        failure::Fault,
        fetch::{Growing, Settled, Whole, bring},
        settled::{Led, Why},
        transfer::Transfer,
    },
    wire::ResponseHead,
};

/// Why what is missing is asked for.
const WHY: Why = Why { reason: Reason::Gap, detail: None };

impl Gateway {
    /// The backend was asked for what is missing of a range: just that, or another representation, comes.
    pub(super) async fn fill_gap<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        gap: &Gap,
        exchange: &Exchange<'_>,
        (transfer, head): (Transfer, ResponseHead),
    ) -> Result<Led, Fault> {
        visit.facts.cache = CacheWord::Miss;
        if let Some(plan) = self.plan_of_gap(gap, exchange, visit.route, &transfer, &head) {
            self.send_filled(client, visit, leader, gap, plan, transfer, exchange.answered).await?;
            return Ok(Led::Answered);
        }
        leader.forget(&gap.stored);
        if head.status != 200 {
            return Ok(Led::Again);
        }
        // RFC 9110 §13.1.5: that of another representation, and all of it. It replaces the parts, and the range is cut out
        // of it, unless that lies too far behind its beginning. Where nobody knows its length, the client gets it all.
        let weighed = self.cache.storable(exchange, &head);
        if let Ok(plan) = &weighed
            && plan.answer().length.is_some()
            && !plan.is_near(visit.request)
        {
            return Ok(Led::Again);
        }
        let settled = self.weighed(leader, weighed, (transfer, head), visit.route);
        self.deliver_part(client, visit, settled, WHY).await
    }

    /// Sends what is held of a range, what was missing as it comes, and what is held behind it.
    #[expect(clippy::too_many_arguments, reason = "the whole state of a fetch that has just got its head")]
    async fn send_filled<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        gap: &Gap,
        plan: PartPlan,
        mut transfer: Transfer,
        answered: Now,
    ) -> Result<(), Fault> {
        let answer = plan.answer().clone();
        let begun = leader.begin_part(plan, answered);
        let status = WHY.forwarded(begun.is_ok(), begun.as_ref().err().copied());
        transfer.part = begun.ok().map(Box::new);
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

    /// The backend was asked for what is missing of the whole, for everybody: joins it to what is held.
    pub(in crate::gateway) fn settle_gap(
        &self,
        leader: Leader,
        gap: Gap,
        exchange: &Exchange<'_>,
        route: usize,
        (transfer, head): (Transfer, ResponseHead),
    ) -> Settled {
        let Some(plan) = self.plan_of_gap(&gap, exchange, route, &transfer, &head) else {
            leader.forget(&gap.stored);
            return Settled::Again;
        };
        match leader.begin(plan.into_whole()) {
            Ok((fill, reader)) => Settled::Growing(Growing { head, transfer, reader, fill, gap: Some(gap) }),
            Err(_) => Settled::Again,
        }
    }

    /// The answer, if what comes is just what is missing of it.
    fn plan_of_gap(
        &self,
        gap: &Gap,
        exchange: &Exchange<'_>,
        route: usize,
        transfer: &Transfer,
        head: &ResponseHead,
    ) -> Option<PartPlan> {
        let missing = gap.missing.end - gap.missing.start;
        let fits = matches!(transfer.length, BodyLength::Unknown) || transfer.length == BodyLength::Exact(missing);
        let plan = self.cache.fills_gap(gap, exchange, head).ok().filter(|_| fits)?;
        Some(plan.edit(self.edits(route)))
    }

    /// Sends the range that is wanted of a whole that has come, or is coming. `Again`: it lies too far ahead, or the whole
    /// is not kept.
    pub(super) async fn deliver_part<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        settled: Settled,
        why: Why,
    ) -> Result<Led, Fault> {
        match settled {
            Settled::Whole(Whole { kept: Ok(stored), head, .. }) => {
                let status = why.told(head.status, true, None);
                self.answer_range(client, visit, &stored, stored.answer.age(Now::read()), status);
                flush(client).await?;
                Ok(Led::Answered)
            }
            Settled::Growing(growing) if growing.reader.answer().length.is_some() => {
                let reader = growing.pump();
                if !reader.is_near(visit.request) {
                    return Ok(Led::Again);
                }
                self.read_part(client, visit, reader, why.told(200, true, None)).await?;
                Ok(Led::Answered)
            }
            other => self.answer_settled(client, visit, other, why).await,
        }
    }
}

/// Brings the whole into the store: what is held, what is missing as it comes, and what is held behind it.
pub(in crate::gateway) async fn join(mut transfer: Transfer, mut fill: Fill, gap: Gap) {
    let (before, behind) = gap.held();
    if !push_held(&mut fill, &gap.stored, &before).await {
        return;
    }
    if bring(&mut transfer, &mut fill, gap.missing.end - gap.missing.start).await != Some(0) {
        return;
    }
    transfer.finish_unread();
    if push_held(&mut fill, &gap.stored, &behind).await {
        fill.finish();
    }
}

/// Adds bytes that are held already; `false` if nobody is served by going on.
async fn push_held(fill: &mut Fill, stored: &Stored, held: &Range<u64>) -> bool {
    for piece in stored.slice(held) {
        fill.ready().await;
        if !fill.is_wanted() {
            return false;
        }
        fill.push(piece);
    }
    true
}
