//! The ask lane: GET and HEAD without a body, answered from the store, from a fetch that serves many, or by the backend.

use std::{cell::RefCell, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use bytes::{Bytes, BytesMut};
use http::Method;

use super::{
    Gateway, Visit,
    client::{BodyLength, Client, ClientFault, QUEUE_MAX, flush},
    facts::CacheWord,
    failure::Fault,
    fields::{self, Lane},
    transfer::{Sending, Transfer, body_length},
};
use crate::{
    cache::{
        self, Answer, BackendFailure, Begin, CacheStatus, FollowerOutcome, Leader, Lookup, Plan, Reader, Reason,
        Stored,
        conditional::{self, Condition},
    },
    clock::Now,
    upstream::Outgoing,
    wire::ResponseHead,
};

/// A body that fits into this and has arrived with its head is stored at once, without a task of its own.
const WHOLE_MAX: usize = 64 * 1024;

/// How often a request may find that its leader went away, before it fetches for itself.
const FILLS_TRIED: usize = 4;

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Gateway {
    /// Answers one GET or HEAD.
    pub(super) async fn ask<C: Client>(self: &Arc<Self>, client: &mut C, visit: &mut Visit<'_>) -> Result<(), Fault> {
        if !visit.route(self).cache.enabled {
            return Box::pin(self.pass(client, visit, None)).await;
        }
        let looked = KEY.with_borrow_mut(|key| {
            visit.write_key(key);
            self.cache.lookup(key, visit.request, &self.policies[visit.route], visit.facts.now)
        });
        match looked {
            Lookup::Hit { stored, age, ttl } => {
                visit.facts.cache = if ttl < 0 { CacheWord::Stale } else { CacheWord::Hit };
                self.answer_stored(client, visit, &stored, age, CacheStatus::Hit { ttl });
                Ok(flush(client).await?)
            }
            Lookup::Miss(reason) => Box::pin(self.fill(client, visit, None, reason)).await,
            Lookup::Revalidate { stored, reason } if visit.request.method == Method::GET => {
                Box::pin(self.fill(client, visit, Some(stored), reason)).await
            }
            Lookup::Revalidate { reason, .. } | Lookup::Pass(reason) => {
                Box::pin(self.pass(client, visit, Some(reason))).await
            }
            Lookup::GatewayTimeout => Err(Fault::OnlyIfCached),
        }
    }

    /// Asks the backend for this client alone and stores nothing.
    async fn pass<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        reason: Option<Reason>,
    ) -> Result<(), Fault> {
        visit.facts.cache = if reason.is_some() { CacheWord::Pass } else { CacheWord::None };
        let outgoing = self.outgoing(visit, client.info(), Lane::Ask);
        let (transfer, head) = self.open(client, visit, &outgoing, Sending::Repeatable).await?;
        let status = reason.map(|reason| forwarded(reason, false, None));
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
        let mut key = Vec::new();
        visit.write_key(&mut key);
        for _ in 0..FILLS_TRIED {
            let policy = &self.policies[visit.route];
            match self.cache.begin_fill(&key, visit.request, policy, visit.facts.now) {
                Begin::Leader(leader) => match self.lead(client, visit, leader, stored.take(), reason).await? {
                    Led::Answered => return Ok(()),
                    Led::Again => {}
                },
                Begin::Stored(stored) => return self.collapsed(client, visit, &stored, reason).await,
                Begin::Follower(follower) => match wait(client, follower.head(visit.request)).await? {
                    FollowerOutcome::Streaming(reader) => {
                        visit.facts.cache = CacheWord::Collapsed;
                        return self.read(client, visit, reader, joined(reason)).await;
                    }
                    FollowerOutcome::Stored(stored) => return self.collapsed(client, visit, &stored, reason).await,
                    FollowerOutcome::NotStorable(reason) => return self.pass(client, visit, Some(reason)).await,
                    FollowerOutcome::NotMyVariant | FollowerOutcome::LeaderGone => {}
                },
            }
        }
        self.pass(client, visit, Some(reason)).await
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
        let outgoing = self.fill_request(visit, client, stored.as_deref());
        let requested = Now::read();
        let opened = self.open(client, visit, &outgoing, Sending::Repeatable).await;
        let answered = Now::read();
        let policy = &self.policies[visit.route];
        let failure = match &opened {
            Ok((_, head)) if head.status >= 500 => Some(BackendFailure::Status(head.status)),
            Err(Fault::Backend(_)) => Some(BackendFailure::Unreachable),
            _ => None,
        };
        if let (Some(failure), Some(stored)) = (failure, &stored)
            && self.cache.stale_usable(visit.request, &stored.answer, failure, policy, answered)
        {
            leader.resolve_stale(stored);
            visit.facts.cache = CacheWord::Stale;
            if let Err(fault) = &opened {
                visit.facts.failure = fault.label();
            }
            let age = stored.answer.age(answered);
            self.answer_stored(
                client,
                visit,
                stored,
                age,
                CacheStatus::StaleHit { ttl: stored.answer.ttl(age), reason },
            );
            flush(client).await?;
            return Ok(Led::Answered);
        }
        let (transfer, head) = opened?;
        let exchange = cache::Exchange { request: visit.request, policy, requested, answered };
        if let (304, Some(stored)) = (head.status, &stored) {
            transfer.finish_unread();
            // A 304 that is about something else: once more, without conditions (RFC 9111 §4.3.3).
            let Ok(stored) = leader.freshen(&exchange, stored, &head) else { return Ok(Led::Again) };
            visit.facts.cache = CacheWord::Revalidated;
            let status =
                CacheStatus::Forwarded { reason, status: Some(304), stored: true, collapsed: false, detail: None };
            self.answer_stored(client, visit, &stored, stored.answer.age(answered), status);
            flush(client).await?;
            return Ok(Led::Answered);
        }
        match self.cache.storable(&exchange, &head) {
            Ok(plan) => self.store(client, visit, leader, self.edited(visit, plan), transfer, head, reason).await?,
            Err(detail) => {
                leader.pass(detail, answered);
                let status = forwarded(reason, false, Some(detail));
                self.stream(client, visit, transfer, head, Some(status), Vec::new()).await?;
            }
        }
        Ok(Led::Answered)
    }

    /// The request as it serves everybody: without this client's conditions, with the store's (RFC 9111 §4.3.1).
    fn fill_request<C: Client>(&self, visit: &mut Visit<'_>, client: &C, stored: Option<&Stored>) -> Outgoing {
        let mut outgoing = self.outgoing(visit, client.info(), Lane::Ask);
        for name in ["if-none-match", "if-modified-since"] {
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
                self.start(client, visit, head, BodyLength::Exact(body.len() as u64), Some(&chosen), Some(status));
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
                let length = body_length(&visit.request.method, &head);
                let status = forwarded(reason, true, None);
                if conditional::evaluate(visit.request, reader.answer()) == Condition::Proceed {
                    self.start(client, visit, head, length, Some(&transfer.chosen), Some(status));
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
    fn edited(&self, visit: &Visit<'_>, plan: Plan) -> Plan {
        let route = visit.route(self);
        if !self.config.forward.via && route.response_fields.is_empty() {
            return plan;
        }
        plan.edit(|head| self.answer_fields(head, route))
    }

    /// Brings a backend's answer to the client as it comes; `pieces` of it are here already.
    async fn stream<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        transfer: Transfer,
        head: ResponseHead,
        status: Option<CacheStatus>,
        pieces: Vec<Bytes>,
    ) -> Result<(), Fault> {
        let length = body_length(&visit.request.method, &head);
        self.start(client, visit, head, length, Some(&transfer.chosen), status);
        pieces.into_iter().for_each(|piece| client.push(piece));
        transfer.finish(client).await
    }

    /// Queues the head of a backend's answer.
    pub(super) fn start<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        mut head: ResponseHead,
        length: BodyLength,
        chosen: Option<&crate::upstream::Chosen>,
        status: Option<CacheStatus>,
    ) {
        visit.facts.status = head.status;
        self.answer_fields(&mut head, visit.route(self));
        if let Some(chosen) = chosen {
            fields::set_sticky_cookie(&mut head, visit.request, chosen);
        }
        if let Some(status) = status.filter(|_| self.config.cache.status_field) {
            let mut text = Vec::with_capacity(96);
            status.write(&mut text);
            head.fields.push("Cache-Status", text);
        }
        client.start(&head, length);
    }

    /// Sends a body that is still arriving, at this client's pace.
    async fn read<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        reader: Reader,
        status: CacheStatus,
    ) -> Result<(), Fault> {
        let answer = reader.answer().clone();
        let age = answer.age(Now::read());
        if self.start_stored(client, visit, &answer, age, status) == Condition::NotModified {
            client.finish(None);
            return Ok(flush(client).await?);
        }
        self.read_on(client, reader).await
    }

    /// Sends the body that a reader gives; the head is queued.
    async fn read_on<C: Client>(&self, client: &mut C, mut reader: Reader) -> Result<(), Fault> {
        loop {
            let next = {
                let mut next = pin!(reader.next());
                poll_fn(|cx| {
                    if client.queued() > 0
                        && let Poll::Ready(Err(fault)) = client.poll_flush(cx)
                    {
                        return Poll::Ready(Err(fault));
                    }
                    if client.queued() >= QUEUE_MAX {
                        return Poll::Pending;
                    }
                    match next.as_mut().poll(cx) {
                        Poll::Ready(piece) => Poll::Ready(Ok(piece)),
                        Poll::Pending => client.poll_gone(cx).map(Err),
                    }
                })
                .await?
            };
            match next {
                Some(Ok(piece)) => client.push(piece),
                Some(Err(failed)) => return Err(Fault::Fill(failed)),
                None => break,
            }
        }
        client.finish(None);
        Ok(flush(client).await?)
    }

    async fn collapsed<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Arc<Stored>,
        reason: Reason,
    ) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::Collapsed;
        self.answer_stored(client, visit, stored, stored.answer.age(Now::read()), joined(reason));
        Ok(flush(client).await?)
    }

    /// Queues a stored answer, or the 304 that the client's own condition asks for (RFC 9111 §4.3.2).
    fn answer_stored<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Stored,
        age: u64,
        status: CacheStatus,
    ) {
        if self.start_stored(client, visit, &stored.answer, age, status) == Condition::Proceed {
            for piece in stored.body.chunks() {
                client.push(piece.clone());
            }
        }
        client.finish(None);
    }

    fn start_stored<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        answer: &Answer,
        age: u64,
        status: CacheStatus,
    ) -> Condition {
        let condition = conditional::evaluate(visit.request, answer);
        let not_modified = condition == Condition::NotModified;
        visit.facts.status = if not_modified { 304 } else { answer.head.status };
        let mut age_text = itoa::Buffer::new();
        let age = ("Age", age_text.format(age).as_bytes());
        if !self.config.cache.status_field {
            client.start_stored(answer, not_modified, &[age]);
            return condition;
        }
        KEY.with_borrow_mut(|text| {
            text.clear();
            status.write(text);
            client.start_stored(answer, not_modified, &[age, ("Cache-Status", text)]);
        });
        condition
    }
}

/// What leading came to.
enum Led {
    Answered,
    /// The validation was about something else: fetch again.
    Again,
}

/// Brings a body into the store, at the pace of the backend; the client that asked first may have gone.
async fn pump(mut transfer: Transfer, mut fill: cache::Fill) {
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

/// Waits for a leader, unless the client goes away first.
async fn wait<C: Client, T>(client: &mut C, head: impl Future<Output = T>) -> Result<T, ClientFault> {
    let mut head = pin!(head);
    poll_fn(|cx| match head.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
        Poll::Pending => client.poll_gone(cx).map(Err),
    })
    .await
}

fn forwarded(reason: Reason, stored: bool, detail: Option<Reason>) -> CacheStatus {
    CacheStatus::Forwarded { reason, status: None, stored, collapsed: false, detail }
}

fn joined(reason: Reason) -> CacheStatus {
    CacheStatus::Forwarded { reason, status: None, stored: false, collapsed: true, detail: None }
}

fn joined_pieces(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() <= 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}
