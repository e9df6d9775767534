//! The ask lane: GET and HEAD without a body, answered from the store, from a fetch that serves many, or by the backend.

use std::{cell::RefCell, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::Method;

use super::{
    Gateway, Visit,
    answer::collapsed,
    client::{BodyLength, Client, flush, unless_gone},
    facts::CacheWord,
    failure::Fault,
    fields::Lane,
    transfer::{Sending, Transfer},
};
use crate::{
    cache::{
        self, BackendFailure, Begin, CacheStatus, FollowerOutcome, Leader, Lookup, Plan, Reason, Stored,
        conditional::{self, Condition},
    },
    clock::Now,
    upstream::Outgoing,
    wire::ResponseHead,
};

/// A body that fits into this and has arrived with its head is stored at once, without a task of its own.
const WHOLE_MAX: usize = 64 * 1024;

/// How often a request may find that its leader went away, before it fetches for itself.
pub(super) const FILLS_TRIED: usize = 4;

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Gateway {
    /// Answers one GET or HEAD.
    pub(super) async fn ask<C: Client>(self: &Arc<Self>, client: &mut C, visit: &mut Visit<'_>) -> Result<(), Fault> {
        if !visit.route(self).cache.enabled {
            return Box::pin(self.pass(client, visit, Pass::default())).await;
        }
        let looked = KEY.with_borrow_mut(|key| {
            visit.write_key(self, key);
            self.cache.lookup(key, visit.request, &self.policies[visit.route], visit.facts.now)
        });
        match looked {
            Lookup::Hit { stored, age, ttl } => {
                visit.facts.cache = if ttl < 0 { CacheWord::Stale } else { CacheWord::Hit };
                self.answer_stored(client, visit, &stored, age, CacheStatus::Hit { ttl });
                Ok(flush(client).await?)
            }
            Lookup::Part { stored, age, ttl, wanted } => {
                visit.facts.cache = if ttl < 0 { CacheWord::Stale } else { CacheWord::Hit };
                let status = CacheStatus::Hit { ttl };
                match conditional::evaluate(visit.request, &stored.answer) {
                    Condition::NotModified => self.answer_stored(client, visit, &stored, age, status),
                    Condition::Proceed => self.answer_part(client, visit, &stored, age, status, &wanted),
                }
                Ok(flush(client).await?)
            }
            Lookup::Miss(reason) => Box::pin(self.fill(client, visit, None, reason)).await,
            Lookup::Revalidate { stored, reason } if visit.request.method == Method::GET => {
                Box::pin(self.fill(client, visit, Some(stored), reason)).await
            }
            Lookup::Revalidate { stored, reason } => {
                let pass = Pass { reason: Some(reason), stored: Some(stored), ..Pass::default() };
                Box::pin(self.pass(client, visit, pass)).await
            }
            Lookup::Range { ask, reason } => Box::pin(self.ranged(client, visit, ask, reason)).await,
            Lookup::Pass(reason) => {
                Box::pin(self.pass(client, visit, Pass { reason: Some(reason), ..Pass::default() })).await
            }
            Lookup::GatewayTimeout => Err(Fault::OnlyIfCached),
        }
    }

    /// Asks the backend for this client alone and stores nothing.
    async fn pass<C: Client>(&self, client: &mut C, visit: &mut Visit<'_>, pass: Pass) -> Result<(), Fault> {
        let Pass { reason, mut detail, stored } = pass;
        visit.facts.cache = if reason.is_some() { CacheWord::Pass } else { CacheWord::None };
        let outgoing = self.outgoing(visit, client.info(), Lane::Ask);
        let opened = self.open(client, visit, &outgoing, Sending::Repeatable).await;
        if let (Some(stored), Some(reason)) = (&stored, reason)
            && let Some(failure) = self.stands_in(visit, stored, &opened)
        {
            return self.answer_stale(client, visit, stored, opened, failure, reason).await;
        }
        let (transfer, head) = opened?;
        if reason == Some(Reason::Uncacheable) || detail == Some(Reason::SlowFetch) {
            detail = self.weigh_passed(visit, &head).or(detail);
        }
        let status = reason.map(|reason| forwarded(reason, false, detail));
        self.stream(client, visit, transfer, head, status, Vec::new()).await
    }

    /// Whether the answer to a request that did not queue calls for queueing again; else why not.
    fn weigh_passed(&self, visit: &Visit<'_>, head: &ResponseHead) -> Option<Reason> {
        let (policy, now) = (&self.policies[visit.route], visit.facts.now);
        let exchange = cache::Exchange { request: visit.request, policy, requested: now, answered: Now::read() };
        KEY.with_borrow_mut(|key| {
            visit.write_key(self, key);
            self.cache.weigh_passed(key, &exchange, head)
        })
    }

    /// How the backend failed, if the stored answer may be sent in place of what came.
    pub(super) fn stands_in(&self, visit: &Visit<'_>, stored: &Stored, opened: &Opened) -> Option<BackendFailure> {
        let failure = match opened {
            Ok((_, head)) if head.status >= 500 => BackendFailure::Status(head.status),
            Err(Fault::Backend(_)) => BackendFailure::Unreachable,
            _ => return None,
        };
        let policy = &self.policies[visit.route];
        let usable = self.cache.stale_usable(visit.request, &stored.answer, failure, policy, Now::read());
        usable.then_some(failure)
    }

    /// Sends a stored answer although it is stale, as the backend failed (RFC 9111 §4.2.4).
    pub(super) async fn answer_stale<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Stored,
        opened: Opened,
        failure: BackendFailure,
        reason: Reason,
    ) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::Stale;
        match opened {
            Ok((transfer, _)) => drop(transfer.finish_unread()),
            Err(fault) => visit.facts.failure = fault.label(),
        }
        let status = match failure {
            BackendFailure::Status(status) => Some(status),
            BackendFailure::Unreachable => None,
        };
        let age = stored.answer.age(Now::read());
        let status = CacheStatus::StaleHit { ttl: stored.answer.ttl(age), status, reason };
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
        let mut key = Vec::new();
        visit.write_key(self, &mut key);
        for _ in 0..FILLS_TRIED {
            let policy = &self.policies[visit.route];
            match self.cache.begin_fill(&key, visit.request, policy, visit.facts.now) {
                Begin::Leader(leader) => match self.lead(client, visit, leader, stored.take(), reason).await? {
                    Led::Answered => return Ok(()),
                    Led::Again => {}
                },
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
                    FollowerOutcome::TooSlow => {
                        let pass = Pass { reason: Some(reason), detail: Some(Reason::SlowFetch), stored };
                        return self.pass(client, visit, pass).await;
                    }
                    FollowerOutcome::NotMyVariant | FollowerOutcome::LeaderGone => {}
                },
                Begin::Pass(reason) => {
                    return self.pass(client, visit, Pass { reason: Some(reason), ..Pass::default() }).await;
                }
            }
        }
        self.pass(client, visit, Pass { reason: Some(reason), detail: None, stored }).await
    }

    /// Fetches for everybody: the leader's part.
    async fn lead<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        stored: Option<Arc<Stored>>,
        reason: Reason,
    ) -> Result<Led, Fault> {
        visit.facts.cache = CacheWord::Miss;
        if let Some(gap) = leader.gap(visit.request).filter(|_| reason == Reason::Gap) {
            return self.complete(client, visit, leader, gap).await;
        }
        let outgoing = self.fill_request(visit, client, stored.as_deref());
        let requested = Now::read();
        let opened = self.open(client, visit, &outgoing, Sending::Repeatable).await;
        let answered = Now::read();
        if let Some(stored) = &stored
            && let Some(failure) = self.stands_in(visit, stored, &opened)
        {
            leader.resolve_stale(stored);
            self.answer_stale(client, visit, stored, opened, failure, reason).await?;
            return Ok(Led::Answered);
        }
        let policy = &self.policies[visit.route];
        let (transfer, head) = opened?;
        let exchange = cache::Exchange { request: visit.request, policy, requested, answered };
        if let (304, Some(stored)) = (head.status, &stored) {
            transfer.finish_unread();
            let route = visit.route(self);
            let edit = |merged: &mut ResponseHead| self.renewed_fields(merged, &head, route);
            // A 304 that is about something else: once more, without conditions (RFC 9111 §4.3.3).
            let Ok((stored, detail)) = leader.freshen(&exchange, stored, &head, edit) else { return Ok(Led::Again) };
            visit.facts.cache = CacheWord::Revalidated;
            let kept = detail.is_none();
            let status = CacheStatus::Forwarded { reason, status: Some(304), stored: kept, collapsed: false, detail };
            self.answer_stored(client, visit, &stored, stored.answer.age(answered), status);
            flush(client).await?;
            return Ok(Led::Answered);
        }
        // RFC 9111 §4.3.3: an error says nothing about what is stored, however long it calls itself fresh.
        let is_validation_error = stored.is_some() && head.status >= 500;
        let weighed =
            if is_validation_error { Err(Reason::ServerError) } else { self.cache.storable(&exchange, &head) };
        self.keep_or_pass(client, visit, leader, weighed, (transfer, head), reason, answered).await?;
        Ok(Led::Answered)
    }

    /// Sends an answer, and keeps it if it may be kept.
    #[expect(clippy::too_many_arguments, reason = "the whole state of a fetch that has just got its head")]
    pub(super) async fn keep_or_pass<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        weighed: Result<Plan, Reason>,
        (transfer, head): (Transfer, ResponseHead),
        reason: Reason,
        answered: Now,
    ) -> Result<(), Fault> {
        match weighed {
            Ok(plan) => self.store(client, visit, leader, self.edited(visit, plan), transfer, head, reason).await,
            Err(detail) => {
                leader.pass(detail, head.status, answered);
                let status = forwarded(reason, false, Some(detail));
                self.stream(client, visit, transfer, head, Some(status), Vec::new()).await
            }
        }
    }

    /// The request as it serves everybody: without this client's conditions and range, with the store's (RFC 9111 §4.3.1).
    pub(super) fn fill_request<C: Client>(
        &self,
        visit: &mut Visit<'_>,
        client: &C,
        stored: Option<&Stored>,
    ) -> Outgoing {
        let mut outgoing = self.outgoing(visit, client.info(), Lane::Ask);
        for name in ["if-none-match", "if-modified-since", "range", "if-range"] {
            outgoing.fields.remove(name);
        }
        for (name, value) in stored.into_iter().flat_map(|stored| cache::policy::validation_fields(&stored.answer)) {
            outgoing.fields.push(name, value);
        }
        outgoing
    }

    /// Keeps an answer and sends it: at once if it is small and here, else by a task that goes on whatever happens to
    /// this client.
    #[expect(clippy::too_many_arguments, reason = "the whole state of a fetch that has just got its head")]
    async fn store<C: Client>(
        self: &Arc<Self>,
        client: &mut C,
        visit: &mut Visit<'_>,
        leader: Leader,
        plan: Plan,
        mut transfer: Transfer,
        head: ResponseHead,
        reason: Reason,
    ) -> Result<(), Fault> {
        let (pieces, ended) = transfer.take_ready(WHOLE_MAX).await?;
        let announced = transfer.length;
        if ended {
            let body = joined_pieces(pieces);
            let kept = leader.store_whole(plan, &body);
            let chosen = transfer.finish_unread();
            let status = forwarded(reason, kept.is_ok(), kept.as_ref().err().copied());
            if let Ok(stored) = &kept
                && conditional::evaluate(visit.request, &stored.answer) == Condition::NotModified
            {
                self.answer_stored(client, visit, stored, stored.answer.age(Now::read()), status);
            } else {
                // What passes through is what the backend sent, Age and all.
                let length = match announced {
                    BodyLength::None => BodyLength::None,
                    _ => BodyLength::Exact(body.len() as u64),
                };
                self.start(client, visit, head, length, Some(&chosen), Some(status));
                client.push(body);
                client.finish(None);
            }
            return Ok(flush(client).await?);
        }
        match leader.begin(plan) {
            Ok((mut fill, reader)) => {
                for piece in pieces {
                    fill.push(piece);
                }
                let status = forwarded(reason, true, None);
                if conditional::evaluate(visit.request, reader.answer()) == Condition::Proceed {
                    self.start(client, visit, head, announced, Some(&transfer.chosen), Some(status));
                    tokio::spawn(pump(transfer, fill));
                    return self.read_on(client, reader).await;
                }
                tokio::spawn(pump(transfer, fill));
                self.read(client, visit, reader, status).await
            }
            Err(detail) => {
                self.stream(client, visit, transfer, head, Some(forwarded(reason, false, Some(detail))), pieces).await
            }
        }
    }

    /// The stored answer carries the route's edits, so that a hit need not do them again.
    pub(super) fn edited(&self, visit: &Visit<'_>, plan: Plan) -> Plan {
        let route = visit.route(self);
        if !self.config.forward.via && route.response_fields.is_empty() {
            return plan;
        }
        plan.edit(|head| self.answer_fields(head, route))
    }
}

/// What came of asking the backend.
pub(super) type Opened = Result<(Transfer, ResponseHead), Fault>;

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

/// What leading came to.
pub(super) enum Led {
    Answered,
    /// The validation, or what was missing, was about something else: fetch again.
    Again,
}

/// Brings a body into the store, at the pace of the backend; the client that asked first may have gone.
pub(super) async fn pump(mut transfer: Transfer, mut fill: cache::Fill) {
    loop {
        fill.ready().await;
        if !fill.is_wanted() {
            return;
        }
        match transfer.next_piece().await {
            Ok(Some(piece)) => fill.push(piece),
            Ok(None) => {
                transfer.finish_unread();
                fill.finish();
                return;
            }
            // The reason is counted with the exchange; the readers are told that the body broke off.
            Err(failure) => {
                transfer.broke_off(&failure);
                return fill.fail();
            }
        }
    }
}

pub(super) fn forwarded(reason: Reason, stored: bool, detail: Option<Reason>) -> CacheStatus {
    CacheStatus::Forwarded { reason, status: None, stored, collapsed: false, detail }
}

fn joined_pieces(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() <= 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}
