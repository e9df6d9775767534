//! The ask lane: GET and HEAD without a body that the store could not answer by itself (`begin` does that): answered from a
//! fetch that serves many, or by the backend.

use std::sync::Arc;

use http::Method;

use super::{
    Gateway, Visit,
    answer::collapsed,
    background::Kind,
    client::{Client, flush, unless_gone},
    facts::{CacheWord, Facts},
    failure::Fault,
    fetch::{Growing, Settled, Trouble, Whole},
    fields::Lane,
    opening::Sending,
};
use crate::{
    cache::{
        self, Begin, CacheStatus, FollowerOutcome, Gap, Leader, RangeAsk, Reason, Stored,
        conditional::{self, Condition},
    },
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
            Errand::Pass(reason) => Box::pin(self.pass(client, visit, Pass { reason, ..Pass::default() })).await,
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
        let pass = Pass { reason: Some(reason), stored: Some(stored), ..Pass::default() };
        Box::pin(self.pass(client, visit, pass)).await
    }

    /// Asks the backend for this client alone and stores nothing.
    async fn pass<C: Client>(&self, client: &mut C, visit: &mut Visit<'_>, pass: Pass) -> Result<(), Fault> {
        let Pass { reason, mut detail, stored } = pass;
        visit.facts.cache = if reason.is_some() { CacheWord::Pass } else { CacheWord::None };
        let outgoing = self.outgoing(visit, client.info(), Lane::Ask);
        let opened = self.open(client, visit, outgoing, Sending::Repeatable).await;
        if let (Some(stored), Some(reason)) = (&stored, reason)
            && self.may_stand_in(visit.request, visit.route, stored, &opened)
        {
            return self.answer_stale(client, visit, stored, &Trouble::of(opened), reason).await;
        }
        let (transfer, head) = opened?;
        if let (&Method::HEAD, 200, Some(stored)) = (&visit.request.method, head.status, &stored) {
            self.headed(visit, stored, &head);
        }
        if reason == Some(Reason::Uncacheable) {
            detail = self.weigh_passed(visit, &head).or(detail);
        }
        let status = reason.map(|reason| forwarded(reason, false, detail));
        self.stream(client, visit, transfer, head, status, Vec::new()).await
    }

    /// Whether the answer to a request that did not queue calls for queueing again; else why not.
    fn weigh_passed(&self, visit: &Visit<'_>, head: &ResponseHead) -> Option<Reason> {
        let (policy, now) = (&self.policies[visit.route], visit.facts.now);
        let exchange = cache::Exchange { request: visit.request, policy, requested: now, answered: Now::read() };
        visit.with_key(self, |key| self.cache.weigh_passed(key, &exchange, head))
    }

    /// What a HEAD tells about the stored answer to GET (RFC 9111 §4.3.5).
    fn headed(&self, visit: &Visit<'_>, stored: &Arc<Stored>, head: &ResponseHead) {
        let (policy, requested) = (&self.policies[visit.route], visit.facts.now);
        let exchange = cache::Exchange { request: visit.request, policy, requested, answered: Now::read() };
        let edit = |merged: &mut ResponseHead| self.answer_fields(merged, visit.route(self));
        visit.with_key(self, |key| self.cache.headed(key, &exchange, stored, head, edit));
    }

    /// Sends a stored answer although it is stale, as the backend failed (RFC 9111 §4.2.4).
    pub(super) async fn answer_stale<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Stored,
        trouble: &Trouble,
        reason: Reason,
    ) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::Stale;
        visit.facts.failure = trouble.label;
        let age = stored.answer.age(Now::read());
        let status = CacheStatus::StaleHit { ttl: stored.answer.ttl(age), status: trouble.status, reason };
        self.answer_range(client, visit, stored, age, status);
        Ok(flush(client).await?)
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
            match self.cache.begin_fill(&key, visit.request, &self.policies[visit.route], now) {
                Begin::Leader(leader) => {
                    let why = Why { reason, detail: None };
                    let gap = if std::mem::take(&mut completes) { leader.gap(visit.request) } else { None };
                    if self.lead(client, visit, leader, stored.take(), gap, why, now).await? == Led::Answered {
                        return Ok(());
                    }
                }
                Begin::Stored(stored) => return self.collapsed(client, visit, &stored, reason).await,
                Begin::Follower(follower) => match unless_gone(client, follower.head(visit.request)).await? {
                    FollowerOutcome::Streaming(reader) => {
                        visit.facts.cache = CacheWord::Collapsed;
                        return self.read(client, visit, reader, collapsed(reason)).await;
                    }
                    FollowerOutcome::Stored(stored) => return self.collapsed(client, visit, &stored, reason).await,
                    FollowerOutcome::NotStorable(detail) => {
                        let pass = Pass { reason: Some(reason), detail: Some(detail), stored };
                        return self.pass(client, visit, pass).await;
                    }
                    FollowerOutcome::TooSlow(leader) => {
                        let why = Why { reason, detail: Some(Reason::SlowFetch) };
                        let gap = if std::mem::take(&mut completes) { leader.gap(visit.request) } else { None };
                        let led = self.lead(client, visit, leader, stored.take(), gap, why, Now::read()).await?;
                        if led == Led::Answered {
                            return Ok(());
                        }
                    }
                    FollowerOutcome::NotMyVariant | FollowerOutcome::LeaderGone => {}
                },
                Begin::Pass(reason) => {
                    return self.pass(client, visit, Pass { reason: Some(reason), ..Pass::default() }).await;
                }
            }
            now = Now::read();
        }
        self.pass(client, visit, Pass { reason: Some(reason), detail: None, stored }).await
    }

    /// Fetches for everybody: the leader's part.
    #[expect(clippy::too_many_arguments, reason = "what a fetch is made of, and for whom")]
    async fn lead<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        stored: Option<Arc<Stored>>,
        gap: Option<Gap>,
        why: Why,
        now: Now,
    ) -> Result<Led, Fault> {
        let settled = self.fetch_with(client, visit, leader, stored, gap, now).await?;
        self.answer_settled(client, visit, settled, why).await
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
            if fetch.leader.serves_others() {
                self.go_on(Kind::Orphan, fetch, visit.request.clone());
            }
            return Err(fault.into());
        }
        Ok(self.settle(fetch, visit.request, opened).await)
    }

    /// Sends what a fetch came to.
    pub(super) async fn answer_settled<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        settled: Settled,
        why: Why,
    ) -> Result<Led, Fault> {
        match settled {
            Settled::StoodIn(stored, trouble) => {
                self.answer_stale(client, visit, &stored, &trouble, why.reason).await?
            }
            Settled::Validated(stored, detail) => {
                visit.facts.cache = CacheWord::Revalidated;
                let (reason, kept) = (why.reason, detail.is_none());
                let detail = detail.or(why.detail);
                let status =
                    CacheStatus::Forwarded { reason, status: Some(304), stored: kept, collapsed: false, detail };
                self.answer_stored(client, visit, &stored, stored.answer.age(Now::read()), status);
                flush(client).await?;
            }
            Settled::Again => return Ok(Led::Again),
            Settled::Whole(whole) => {
                self.answer_whole(client, visit, whole, why);
                flush(client).await?;
            }
            Settled::Growing(growing) => self.answer_growing(client, visit, growing, why).await?,
            Settled::Unshared(transfer, head, pieces, detail) => {
                let status = why.forwarded(false, Some(detail));
                self.stream(client, visit, transfer, head, Some(status), pieces).await?;
            }
            Settled::Failed(fault) => return Err(fault),
        }
        Ok(Led::Answered)
    }

    /// Queues an answer that is here as a whole.
    fn answer_whole<C: Client>(&self, client: &mut C, visit: &mut Visit<'_>, whole: Whole, why: Why) {
        let Whole { head, body, length, chosen, kept } = whole;
        let status = why.forwarded(kept.is_ok(), kept.as_ref().err().copied());
        if let Ok(stored) = &kept
            && conditional::evaluate(visit.request, &stored.answer) == Condition::NotModified
        {
            return self.answer_stored(client, visit, stored, stored.answer.age(Now::read()), status);
        }
        // What passes through is what the backend sent, Age and all.
        self.start(client, visit, head, length, Some(&chosen), Some(status));
        client.push(body);
        client.finish(None);
    }

    /// Sends an answer whose body is still arriving.
    async fn answer_growing<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        mut growing: Growing,
        why: Why,
    ) -> Result<(), Fault> {
        let status = why.forwarded(true, None);
        if growing.gap.is_some() {
            // What the backend sent is only a part of what the client gets.
            return self.read(client, visit, growing.pump(), why.told(206)).await;
        }
        if conditional::evaluate(visit.request, growing.reader.answer()) == Condition::NotModified {
            return self.read(client, visit, growing.pump(), status).await;
        }
        let head = std::mem::take(&mut growing.head);
        let transfer = &growing.transfer;
        self.start(client, visit, head, transfer.length, Some(&transfer.chosen), Some(status));
        self.read_on(client, growing.pump()).await
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
}

/// Why a request goes to the backend for its client alone.
#[derive(Default)]
struct Pass {
    /// What Cache-Status says; `None` where no cache was asked.
    reason: Option<Reason>,
    /// And what the reason does not tell.
    detail: Option<Reason>,
    /// What may stand in if the backend fails.
    stored: Option<Arc<Stored>>,
}

/// Why a request leads a fetch.
#[derive(Clone, Copy)]
pub(super) struct Why {
    pub(super) reason: Reason,
    /// What the reason does not tell.
    pub(super) detail: Option<Reason>,
}

/// What leading came to.
#[derive(PartialEq, Eq)]
pub(super) enum Led {
    Answered,
    /// What came was about something else than what is stored: fetch again.
    Again,
}

impl Why {
    /// What Cache-Status says when the answer is stored, or not and why.
    pub(super) fn forwarded(self, stored: bool, detail: Option<Reason>) -> CacheStatus {
        forwarded(self.reason, stored, detail.or(self.detail))
    }

    /// What it says when the answer is stored, and the backend gave it with another status than the client gets.
    pub(super) fn told(self, status: u16) -> CacheStatus {
        let Self { reason, detail } = self;
        CacheStatus::Forwarded { reason, status: Some(status), stored: true, collapsed: false, detail }
    }
}

fn forwarded(reason: Reason, stored: bool, detail: Option<Reason>) -> CacheStatus {
    CacheStatus::Forwarded { reason, status: None, stored, collapsed: false, detail }
}
