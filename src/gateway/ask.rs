//! The ask lane: GET and HEAD without a body that the store could not answer by itself (`begin` does that): answered from a
//! fetch that serves many, or by the backend.

use std::{sync::Arc, time::Instant};

use http::Method;

use super::{
    Gateway, Visit,
    background::Kind,
    client::{Client, unless_gone},
    facts::{CacheWord, Facts},
    failure::Fault,
    fetch::{Settled, Trouble},
    fields::Lane,
    opening::Sending,
    settled::{Led, Why},
};
use crate::{
    cache::{Begin, FollowerOutcome, Gap, Leader, RangeAsk, Reason, Stored},
    clock::Now,
    net::ClientInfo,
    wire::{RequestHead, ResponseHead},
};

/// How often a request may find that its leader went away, before it fetches for itself.
pub(super) const FILLS_TRIED: usize = 4;

impl Gateway {
    /// Answers a GET or HEAD for which the store has nothing that could be given as it is.
    pub(super) async fn ask<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        errand: Errand,
    ) -> Result<(), Fault> {
        match errand {
            Errand::Fill(reason) => Box::pin(self.fill(client, visit, None, reason)).await,
            Errand::Revalidate(stored, reason) => self.revalidate(client, visit, stored, reason).await,
            Errand::Range(ask, reason) => Box::pin(self.ranged(client, visit, ask, reason)).await,
            Errand::Pass(reason) => Box::pin(self.pass(client, visit, Pass::of(reason, visit.facts.now))).await,
            Errand::Marked(until) => Box::pin(self.pass(client, visit, Pass::marked(until, visit.facts.now))).await,
        }
    }

    /// Asks for a stale answer anew, behind the back of the client that it has just been given to; with that client's
    /// fields, and without its conditions. Once for all who are given it meanwhile.
    pub(super) fn refresh(self: &Arc<Self>, visit: &mut Visit<'_>, info: &ClientInfo, stored: &Arc<Stored>) {
        let (policy, now) = (&self.policies[visit.route], visit.facts.now);
        let leader = visit.with_key(self, |key| self.cache.begin_refresh(key, visit.request, policy, stored, now));
        let Some(leader) = leader else { return };
        // What is stored is the answer to a GET of the whole, and a HEAD, or a GET of a range, may have been given it.
        let mut request = RequestHead { method: Method::GET, ..visit.request.clone() };
        request
            .fields
            .retain(|name, _| !name.eq_ignore_ascii_case(b"range") && !name.eq_ignore_ascii_case(b"if-range"));
        let facts =
            Facts { request_id: visit.facts.request_id.clone(), ..Facts::new(visit.facts.now, visit.way.client) };
        let mut visit = Visit { request: &request, facts, ..*visit };
        let now = visit.facts.now;
        let fetch = self.fetch(&mut visit, info, leader, Some(stored.clone()), None, now);
        self.go_on(Kind::Refresh, fetch, request);
    }

    /// Asks the backend whether a stored answer still stands. An answer to HEAD is no fetch that others could share.
    async fn revalidate<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: Arc<Stored>,
        reason: Reason,
    ) -> Result<(), Fault> {
        if visit.request.method == Method::GET {
            return Box::pin(self.fill(client, visit, Some(stored), reason)).await;
        }
        let pass = Pass { stored: Some(stored), ..Pass::of(Some(reason), visit.facts.now) };
        Box::pin(self.pass(client, visit, pass)).await
    }

    /// Asks the backend for this client alone and stores nothing.
    async fn pass<C: Client>(&self, client: &mut C, visit: &mut Visit<'_>, pass: Pass) -> Result<(), Fault> {
        let Pass { reason, mut detail, stored, marked, now } = pass;
        visit.facts.cache = if reason.is_some() { CacheWord::Pass } else { CacheWord::None };
        let outgoing = self.outgoing(visit, client.info(), Lane::Ask);
        let validating = stored.as_ref().map(|_| self.cache.validating());
        let opened = self.open(client, visit, outgoing, Sending::Repeatable, now).await;
        if let (Some(stored), Some(reason)) = (&stored, reason)
            && self.may_stand_in(visit.request, visit.route, stored, &opened)
        {
            if let Some(validating) = validating {
                validating.stands_in();
            }
            return self.answer_stale(client, visit, stored, &Trouble::of(opened), reason).await;
        }
        let (transfer, head) = opened?;
        let exchange = self.exchange(visit, now, &transfer);
        match (&stored, validating) {
            (Some(stored), Some(validating)) if visit.request.method == Method::HEAD && head.status == 200 => {
                // What a HEAD tells about the stored answer to GET (RFC 9111 §4.3.5).
                let edit = |merged: &mut ResponseHead| self.answer_fields(merged, visit.route(self));
                visit.with_key(self, |key| self.cache.headed(key, &exchange, (stored, validating), &head, edit));
            }
            (_, Some(validating)) => validating.passes(head.status),
            (_, None) => {}
        }
        if let Some(until) = marked {
            detail =
                self.cache.weigh_passed(|| visit.with_key(self, <[u8]>::to_vec), &exchange, &head, until).or(detail);
        }
        let status = reason.map(|reason| Why { reason, detail: None }.forwarded(false, detail));
        self.stream(client, visit, transfer, head, status, Vec::new()).await
    }

    /// Fetches what is missing or stale: once for everybody who asks for it meanwhile.
    async fn fill<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        mut stored: Option<Arc<Stored>>,
        reason: Reason,
    ) -> Result<(), Fault> {
        let key = visit.with_key(self, <[u8]>::to_vec);
        let mut now = visit.facts.now;
        // Once: if what is missing can't be joined to what is held, be it for want of room, the whole is asked for.
        let mut completes = reason == Reason::Gap;
        for _ in 0..FILLS_TRIED {
            let (leader, detail) = match self.cache.begin_fill(&key, visit.request, &self.policies[visit.route], now) {
                Begin::Leader(leader) => (Some(leader), None),
                Begin::Stored(stored) => return self.collapsed(client, visit, &stored, reason).await,
                Begin::Marked { until } => return Box::pin(self.pass(client, visit, Pass::marked(until, now))).await,
                Begin::Follower(follower) => {
                    let outcome = Box::pin(unless_gone(client, follower.head(visit.request))).await?;
                    now = Now::read();
                    match outcome {
                        FollowerOutcome::Streaming(reader) => {
                            return Box::pin(self.share(client, visit, reader, reason)).await;
                        }
                        FollowerOutcome::Stored(stored) => return self.collapsed(client, visit, &stored, reason).await,
                        FollowerOutcome::NotStorable(detail) => {
                            let pass = Pass { detail: Some(detail), stored, ..Pass::of(Some(reason), now) };
                            return Box::pin(self.pass(client, visit, pass)).await;
                        }
                        FollowerOutcome::TooSlow(leader) => (Some(leader), Some(Reason::SlowFetch)),
                        FollowerOutcome::NotMyVariant | FollowerOutcome::LeaderGone => (None, None),
                    }
                }
            };
            let Some(leader) = leader else { continue };
            let gap = if std::mem::take(&mut completes) { leader.gap(visit.request) } else { None };
            let settled = self.fetch_with(client, visit, leader, stored.take(), gap, now).await?;
            if self.answer_settled(client, visit, settled, Why { reason, detail }).await? == Led::Answered {
                return Ok(());
            }
            now = Now::read();
        }
        Box::pin(self.pass(client, visit, Pass { stored, ..Pass::of(Some(reason), now) })).await
    }

    /// Asks the backend together with the client, and tells the cache what came. The fetch goes on if the client leaves.
    pub(super) async fn fetch_with<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        stored: Option<Arc<Stored>>,
        gap: Option<Gap>,
        now: Now,
    ) -> Result<Settled, Fault> {
        visit.facts.cache = CacheWord::Miss;
        let mut fetch = self.fetch(visit, client.info(), leader, stored, gap, now);
        let opened = fetch.opening.with_client(client).await;
        visit.facts.server = fetch.opening.server();
        if let Err(Fault::Client(fault)) = opened {
            if fetch.aim.leader.serves_others() {
                self.go_on(Kind::Orphan, fetch, visit.request.clone());
            }
            return Err(fault.into());
        }
        Ok(self.settle(fetch.aim, visit.request, opened))
    }
}

/// What is to be asked of the backend for a GET or HEAD.
pub(super) enum Errand {
    /// What is missing.
    Fill(Reason),
    /// Whether what is stored still stands.
    Revalidate(Arc<Stored>, Reason),
    /// A range that the store can't give.
    Range(RangeAsk, Reason),
    /// The request as it is; with why, or `None` where no cache is asked.
    Pass(Option<Reason>),
    /// The same, as nobody queues for its key until then.
    Marked(Instant),
}

/// Why a request goes to the backend for its client alone.
struct Pass {
    /// What Cache-Status says; `None` where no cache was asked.
    reason: Option<Reason>,
    /// And what the reason does not tell.
    detail: Option<Reason>,
    /// What may stand in if the backend fails.
    stored: Option<Arc<Stored>>,
    /// Until when nobody queues for its key, if that is the reason.
    marked: Option<Instant>,
    /// When it begins.
    now: Now,
}

impl Pass {
    fn of(reason: Option<Reason>, now: Now) -> Self {
        Self { reason, detail: None, stored: None, marked: None, now }
    }

    fn marked(until: Instant, now: Now) -> Self {
        Self { marked: Some(until), ..Self::of(Some(Reason::Uncacheable), now) }
    }
}
