//! How an answer reaches its client: as it comes from a backend, as it grows in a shared fetch, or from the store.

use std::{cell::RefCell, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use bytes::{Buf, Bytes};

use super::{
    Gateway, Visit,
    client::{BodyLength, Client, flush},
    facts::CacheWord,
    failure::Fault,
    fields,
    transfer::Transfer,
};
use crate::{
    cache::{
        Answer, CacheStatus, Reader, Reason, Stored,
        conditional::{self, Condition},
        policy::date,
    },
    clock::Now,
    upstream::Chosen,
    wire::ResponseHead,
};

thread_local! {
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Gateway {
    /// Brings a backend's answer to the client as it comes; `pieces` of it are here already. What is known of it is queued
    /// before anything is waited for.
    pub(super) fn stream<'c, C: Client>(
        &self,
        client: &'c mut C,
        visit: &mut Visit<'_>,
        mut transfer: Transfer,
        head: ResponseHead,
        status: Option<CacheStatus>,
        pieces: Vec<Bytes>,
    ) -> impl Future<Output = Result<(), Fault>> + Send + use<'c, C> {
        self.start(client, visit, head, transfer.length, Some(&transfer.chosen), status);
        pieces.into_iter().for_each(|piece| client.push(piece));
        transfer.withhold(&visit.route(self).response_fields);
        transfer.finish(client)
    }

    /// Queues the head of a backend's answer.
    pub(super) fn start<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        mut head: ResponseHead,
        length: BodyLength,
        chosen: Option<&Chosen>,
        status: Option<CacheStatus>,
    ) {
        visit.facts.status = head.status;
        if !head.fields.contains("date") {
            // RFC 9110 §6.6.1: what came without one is sent on with the time of its arrival.
            head.fields.push("Date", date::written(Now::read().unix_seconds()));
        }
        self.answer_fields(&mut head, visit.route(self));
        if let Some(chosen) = chosen {
            fields::set_sticky_cookie(&mut head, visit.request, chosen);
        }
        if let Some(status) = status {
            self.add_status(visit, &mut head, status);
        }
        client.start(&head, length);
    }

    /// Adds Cache-Status, where it is on; its reason is for the log, too.
    pub(super) fn add_status(&self, visit: &mut Visit<'_>, head: &mut ResponseHead, status: CacheStatus) {
        visit.facts.cache_reason = status.reason();
        if self.config.cache.status_field {
            with_text(status, |text| head.fields.push("Cache-Status", text));
        }
    }

    /// Sends a body that is still arriving, at this client's pace.
    pub(super) async fn read<C: Client>(
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
    pub(super) async fn read_on<C: Client>(&self, client: &mut C, reader: Reader) -> Result<(), Fault> {
        self.send_cut(client, &mut Source::Fill(reader), 0, u64::MAX).await?;
        client.finish(None);
        Ok(flush(client).await?)
    }

    /// Sends what a source has behind its first `skip` bytes, at most `take` of it, at this client's pace; says how much
    /// that was. What is queued at the end is not yet flushed.
    pub(super) async fn send_cut<C: Client>(
        &self,
        client: &mut C,
        source: &mut Source,
        mut skip: u64,
        take: u64,
    ) -> Result<u64, Fault> {
        let mut left = take;
        while left > 0 {
            let Some(mut piece) = next_piece(client, source).await? else { break };
            let skipped = skip.min(piece.len() as u64);
            skip -= skipped;
            piece.advance(skipped as usize);
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= piece.len() as u64;
            client.push(piece);
        }
        Ok(take - left)
    }

    /// Sends what another's fetch brings, as it comes.
    pub(super) async fn share<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        reader: Reader,
        reason: Reason,
    ) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::Collapsed;
        reader.count_shared(visit.request);
        self.read_part(client, visit, reader, collapsed(reason)).await
    }

    /// Sends a stored answer that another's fetch has brought, or what is wanted of it.
    pub(super) async fn collapsed<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Arc<Stored>,
        reason: Reason,
    ) -> Result<(), Fault> {
        visit.facts.cache = CacheWord::Collapsed;
        self.cache.count_shared(stored, visit.request);
        self.answer_range(client, visit, stored, stored.answer.age(Now::read()), collapsed(reason));
        Ok(flush(client).await?)
    }

    /// Queues a stored answer, or the 304 that the client's own condition asks for (RFC 9111 §4.3.2).
    pub(super) fn answer_stored<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        stored: &Stored,
        age: u64,
        status: CacheStatus,
    ) {
        if self.start_stored(client, visit, &stored.answer, age, status) == Condition::Proceed {
            client.hold(&stored.body);
            stored.body.chunks().iter().for_each(|piece| client.push_shared(piece));
        }
        client.finish(None);
    }

    fn start_stored<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        answer: &Answer,
        age: u64,
        mut status: CacheStatus,
    ) -> Condition {
        let condition = conditional::evaluate(visit.request, answer);
        let not_modified = condition == Condition::NotModified;
        if let (true, CacheStatus::Forwarded { status: told @ None, .. }) = (not_modified, &mut status) {
            // RFC 9211 §2.3: the status that the backend gave is not the one that is sent.
            *told = Some(answer.head.status);
        }
        visit.facts.status = if not_modified { 304 } else { answer.head.status };
        visit.facts.cache_reason = status.reason();
        client.start_stored(answer, not_modified, age, self.config.cache.status_field.then_some(status));
        condition
    }
}

/// Lends what a Cache-Status field says, from a buffer of the thread's.
pub(super) fn with_text<T>(status: CacheStatus, work: impl FnOnce(&[u8]) -> T) -> T {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        status.write(text);
        work(text)
    })
}

/// Where a body comes from.
pub(super) enum Source {
    /// A fetch for everybody.
    Fill(Reader),
    /// A fetch of this client's own.
    Backend(Box<Transfer>),
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        match self {
            Self::Fill(reader) => reader.next().await.transpose().map_err(Fault::Fill),
            Self::Backend(transfer) => {
                let piece = transfer.next_piece().await;
                Ok(piece.inspect_err(|failure| transfer.broke_off(failure))?)
            }
        }
    }
}

/// The next piece, once the client has room for it. What is there is gathered before it is written: a head and a small body
/// leave together.
async fn next_piece<C: Client>(client: &mut C, source: &mut Source) -> Result<Option<Bytes>, Fault> {
    let mut next = pin!(source.next());
    poll_fn(|cx| {
        if client.queued() >= client.lead() {
            if let Poll::Ready(Err(fault)) = client.poll_flush(cx) {
                return Poll::Ready(Err(fault.into()));
            }
            if client.queued() >= client.lead() {
                return Poll::Pending;
            }
        }
        match next.as_mut().poll(cx) {
            // Nothing follows for now, so what is queued goes, and be it a head alone.
            Poll::Pending => match client.poll_flush(cx) {
                Poll::Ready(Err(fault)) => Poll::Ready(Err(fault.into())),
                _ => client.poll_gone(cx).map(|fault| Err(fault.into())),
            },
            piece => piece,
        }
    })
    .await
}

/// What Cache-Status says of a request that shared another's fetch.
fn collapsed(reason: Reason) -> CacheStatus {
    CacheStatus::Forwarded { reason, status: None, stored: false, collapsed: true, detail: None }
}
