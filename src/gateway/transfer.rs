//! One exchange between a client and a backend: the request body up, heads and the answer's body down, both at once.
//!
//! One future drives both directions. Neither end is read further while the other holds more than its bound, so a slow
//! side stops the fast one and memory stays flat, whatever the size of the bodies.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{
    client::{BodyLength, Client, ClientFault, unless_gone},
    failure::Fault,
};
use crate::{
    cache::PartFill,
    upstream::{Affinity, Chosen, Exchange, Failure, INTERIM_MAX, Outgoing, Upstream},
    wire::{Framing, ResponseHead},
};

/// One exchange, from the moment that a backend has the request's head.
pub(super) struct Transfer {
    pub(super) chosen: Chosen,
    pub(super) exchange: Exchange,
    /// How long the answer's body is, as its head said.
    pub(super) length: BodyLength,
    /// Gathers the body for the store as it passes.
    pub(super) part: Option<PartFill>,
    /// The request body is not yet at its end.
    uploading: bool,
    /// An answer that is to switch protocols was asked for.
    upgrade: bool,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// It may be sent twice when a kept connection turns out dead (RFC 9110 §9.2.2).
    Repeatable,
    Once,
    /// It asks for another protocol, on a connection of its own.
    Upgrade,
}

impl Transfer {
    /// Sends `request` to a server of `upstream` and waits for the final head. Servers that can't be reached are passed
    /// over, a dead kept connection is replaced, while nothing is lost by it.
    pub(super) async fn open<C: Client>(
        client: &mut C,
        upstream: &std::sync::Arc<Upstream>,
        request: &Outgoing,
        affinity: &Affinity,
        sending: Sending,
        server: &mut Option<std::sync::Arc<str>>,
    ) -> Result<(Self, ResponseHead), Fault> {
        let started = std::time::Instant::now();
        let mut tried = Vec::new();
        let mut may_reuse = true;
        loop {
            let chosen = upstream.choose(affinity, &mut tried).ok_or(Failure::NoServer)?;
            *server = Some(chosen.name());
            let outcome = Self::attempt(client, chosen, request, sending, may_reuse).await;
            match outcome {
                Ok(opened) => {
                    upstream.count_first_byte(started.elapsed());
                    return Ok(opened);
                }
                Err(Fault::Backend(failure)) => {
                    let dead = failure.is_stale_connection() && sending == Sending::Repeatable && may_reuse;
                    if dead {
                        may_reuse = false;
                        tried.pop();
                    } else if !failure.is_connect() || !upstream.may_try_another(&tried) {
                        return Err(failure.into());
                    }
                    upstream.count_retry();
                }
                Err(other) => return Err(other),
            }
        }
    }

    async fn attempt<C: Client>(
        client: &mut C,
        mut chosen: Chosen,
        request: &Outgoing,
        sending: Sending,
        may_reuse: bool,
    ) -> Result<(Self, ResponseHead), Fault> {
        let upgrade = sending == Sending::Upgrade;
        let begun = async {
            if upgrade { chosen.begin_upgrade(request).await } else { chosen.begin(request, may_reuse).await }
        };
        // Dialling may take its time, and nobody waits for it any more once the client has gone.
        let begun = unless_gone(client, begun).await?;
        let exchange = begun.inspect_err(|failure| chosen.settle(Err(failure)))?;
        let uploading = !matches!(request.framing, Framing::None | Framing::Length(0));
        let mut transfer = Self { chosen, exchange, length: BodyLength::Unknown, part: None, uploading, upgrade };
        match transfer.final_head(client).await {
            Ok(head) => {
                transfer.chosen.settle(Ok(()));
                transfer.length = match body_length(&request.method, &head) {
                    // Over HTTP/2 a head may end the answer without saying so in a field.
                    BodyLength::Unknown if transfer.exchange.is_ended() => BodyLength::Exact(0),
                    length => length,
                };
                Ok((transfer, head))
            }
            Err(fault) => {
                if let Fault::Backend(failure) = &fault {
                    transfer.broke_off(failure);
                }
                Err(fault)
            }
        }
    }

    /// Waits for the final head; interim ones go to the client at once (RFC 9110 §15.2).
    async fn final_head<C: Client>(&mut self, client: &mut C) -> Result<ResponseHead, Fault> {
        for _ in 0..=INTERIM_MAX {
            let mut head = poll_fn(|cx| self.poll_head(client, cx)).await?;
            if head.status < 200 || head.status == 204 {
                // RFC 9110 §8.6: not sent in these, and not to be passed on, for the next reader may believe it.
                head.fields.remove("content-length");
            }
            if head.status == 101 && !self.upgrade {
                return Err(Failure::UnaskedSwitch.into());
            }
            if !head.is_interim() || head.status == 101 {
                return Ok(head);
            }
            crate::wire::strip_hop_by_hop(&mut head.fields);
            // 100 is the client's end to give: it was not passed on that anybody waits for it.
            if head.status != 100 {
                client.interim(&head);
            }
        }
        Err(Failure::TooManyInterim.into())
    }

    fn poll_head<C: Client>(&mut self, client: &mut C, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Fault>> {
        let uploaded = self.poll_upload(client, cx);
        // An answer that came before the body was whole counts more than the body's fault.
        if let Poll::Ready(head) = self.exchange.poll_head(cx) {
            return Poll::Ready(head.map_err(Fault::Backend));
        }
        if let Poll::Ready(Err(fault)) = uploaded {
            return Poll::Ready(Err(fault));
        }
        if client.queued() > 0
            && let Poll::Ready(Err(fault)) = client.poll_flush(cx)
        {
            return Poll::Ready(Err(fault.into()));
        }
        if !self.uploading
            && let Poll::Ready(fault) = client.poll_gone(cx)
        {
            return Poll::Ready(Err(fault.into()));
        }
        Poll::Pending
    }

    /// Moves the request body on as far as both ends let it.
    fn poll_upload<C: Client>(&mut self, client: &mut C, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.uploading {
            ready!(self.exchange.poll_send_ready(cx))?;
            match ready!(client.poll_body(cx)) {
                Some(piece) => self.exchange.send(piece?),
                None => {
                    self.exchange.end(client.take_trailers().as_ref());
                    self.uploading = false;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Brings the answer's body to the client and ends the answer. Gives the connection back where it may be kept.
    pub(super) async fn finish<C: Client>(mut self, client: &mut C) -> Result<(), Fault> {
        let mut down_ended = false;
        let moved = poll_fn(|cx| self.poll_body(client, &mut down_ended, cx)).await;
        if let Err(Fault::Backend(failure)) = &moved {
            self.broke_off(failure);
        }
        moved?;
        self.chosen.finish(self.exchange);
        Ok(())
    }

    /// The pieces of the body that are here already, at most about `limit` bytes; `true` says that it is complete with them.
    pub(super) async fn take_ready(&mut self, limit: usize) -> Result<(Vec<Bytes>, bool), Failure> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        poll_fn(|cx| {
            while bytes < limit {
                match self.exchange.poll_body(cx) {
                    Poll::Ready(Some(piece)) => {
                        let piece = piece?;
                        bytes += piece.len();
                        pieces.push(piece);
                    }
                    Poll::Ready(None) => return Poll::Ready(Ok(true)),
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(false))
        })
        .await
        .inspect_err(|failure| self.chosen.settle(Err(failure)))
        .map(|ended| (pieces, ended))
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn next_piece(&mut self) -> Result<Option<Bytes>, Failure> {
        poll_fn(|cx| self.poll_piece(cx)).await.transpose()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let piece = self.exchange.poll_body(cx);
        if let Some(part) = &mut self.part {
            match &piece {
                Poll::Ready(Some(Ok(piece))) => part.push(piece),
                // Before the client can see the end, so that its next request finds the part in the store.
                Poll::Ready(None) => drop(self.part.take().map(PartFill::finish)),
                Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            }
        }
        piece
    }

    /// Gives the connection back after a body that was read to its end, or that is not there.
    pub(super) fn finish_unread(mut self) -> Chosen {
        let mut context = Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(None) = self.exchange.poll_body(&mut context) {
            self.chosen.finish(self.exchange);
        }
        self.chosen
    }

    /// The exchange did not end as its head promised.
    pub(super) fn broke_off(&mut self, failure: &Failure) {
        self.chosen.settle(Err(failure));
    }

    fn poll_body<C: Client>(
        &mut self,
        client: &mut C,
        down_ended: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        loop {
            if !*down_ended
                && let Poll::Ready(Err(fault)) = self.poll_upload(client, cx)
                && fault.is_fatal_after_head()
            {
                return Poll::Ready(Err(fault));
            }
            // What is there is gathered before it is written: a head and a small body leave together.
            while !*down_ended && client.queued() < client.queue_max() {
                match self.poll_piece(cx) {
                    Poll::Ready(Some(piece)) => client.push(piece?),
                    Poll::Ready(None) => {
                        client.finish(self.exchange.take_trailers().as_ref());
                        *down_ended = true;
                    }
                    Poll::Pending => break,
                }
            }
            let was_full = client.queued() >= client.queue_max();
            match client.poll_flush(cx) {
                Poll::Ready(Ok(())) if *down_ended => return Poll::Ready(Ok(())),
                // There is room again: the backend's next piece was not asked for.
                Poll::Ready(Ok(())) if was_full => {}
                Poll::Ready(Ok(())) => break,
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault.into())),
                Poll::Pending => break,
            }
        }
        if !self.uploading
            && !*down_ended
            && let Poll::Ready(fault) = client.poll_gone(cx)
        {
            return Poll::Ready(Err(fault.into()));
        }
        Poll::Pending
    }
}

impl Fault {
    /// Whether a fault of the upload ends an answer that is under way: a client that has gone, or that broke its body,
    /// gets no whole answer; a backend that takes no more of the body may still be answering (RFC 9112 §9.5).
    fn is_fatal_after_head(&self) -> bool {
        matches!(self, Self::Client(fault) if *fault != ClientFault::BodyTooLarge)
    }
}

/// How long an answer's body is, as its head says it.
fn body_length(method: &http::Method, head: &ResponseHead) -> BodyLength {
    // RFC 9112 §6.3: these never have one, whatever the fields say.
    if method == http::Method::HEAD || matches!(head.status, 204 | 304) {
        return BodyLength::None;
    }
    let length = head.fields.get("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    length.map_or(BodyLength::Unknown, BodyLength::Exact)
}

#[cfg(test)]
mod tests;
