//! One exchange between a client and a backend: the request body up, heads and the answer's body down, both at once.
//! How it begins is told in `opening`.
//!
//! One future drives both directions. Neither end is read further while the other holds more than its bound, so a slow
//! side stops the fast one and memory stays flat, whatever the size of the bodies.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::Method;

use super::{
    client::{BodyLength, Client, ClientFault},
    failure::Fault,
};
use crate::{
    cache::PartFill,
    clock::Now,
    config::FieldEdits,
    upstream::{Chosen, Exchange, Failure, INTERIM_MAX, Outgoing},
    wire::{Framing, ResponseHead},
};

/// One exchange, from the moment that a connection has the request's head.
pub(super) struct Transfer {
    pub(super) chosen: Chosen,
    pub(super) exchange: Exchange,
    /// How long the answer's body is, as its head said.
    pub(super) length: BodyLength,
    /// When the final head came; until then, when the request began.
    pub(super) answered: Now,
    /// Names of the request's trailers that may go on.
    announced: Option<Arc<[Vec<u8>]>>,
    /// Names of the answer's trailers that may not: the route has a say in these fields.
    withheld: Option<Box<[Vec<u8>]>>,
    /// Gathers the body for the store as it passes.
    pub(super) part: Option<Box<PartFill>>,
    /// The request body is not yet at its end.
    uploading: bool,
    /// Some of it has been taken from the client, which has it no more.
    has_taken_body: bool,
    /// An answer that is to switch protocols was asked for.
    upgrade: bool,
    /// Interim answers so far.
    interim: usize,
}

impl Transfer {
    /// An exchange whose request is on its way.
    pub(super) fn new(chosen: Chosen, exchange: Exchange, request: &Outgoing, upgrade: bool, began: Now) -> Self {
        let uploading = !matches!(request.framing, Framing::None | Framing::Length(0));
        let (length, answered) = (BodyLength::Unknown, began);
        let announced = request.announced.clone();
        let (withheld, part, interim) = (None, None, 0);
        let has_taken_body = false;
        Self {
            chosen,
            exchange,
            length,
            answered,
            announced,
            withheld,
            part,
            uploading,
            has_taken_body,
            upgrade,
            interim,
        }
    }

    /// Has trailers of the answer go no further where the route has a say in fields of their names.
    pub(super) fn withhold(&mut self, edits: &FieldEdits) {
        if !edits.is_empty() {
            self.withheld = Some(edits.names().map(|name| name.as_bytes().to_vec()).collect());
        }
    }

    /// The next head, interim (RFC 9110 §15.2) or final; `method` is the request's.
    pub(super) fn poll_head(&mut self, method: &Method, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Failure>> {
        let mut head = ready!(self.exchange.poll_head(cx))?;
        if head.status < 200 || head.status == 204 {
            // RFC 9110 §8.6: not sent in these, and not to be passed on, for the next reader may believe it.
            head.fields.remove("content-length");
        }
        if head.status == 101 && !self.upgrade {
            return Poll::Ready(Err(Failure::UnaskedSwitch));
        }
        if head.is_interim() && head.status != 101 {
            self.interim += 1;
            let is_one_too_many = self.interim > INTERIM_MAX;
            return Poll::Ready(if is_one_too_many { Err(Failure::TooManyInterim) } else { Ok(head) });
        }
        self.chosen.settle(Ok(()));
        // RFC 9112 §6.3: these never have one, whatever the fields say.
        let is_bodiless = method == Method::HEAD || matches!(head.status, 204 | 304);
        self.length = match self.exchange.length(&head) {
            _ if is_bodiless => BodyLength::None,
            Some(length) => BodyLength::Exact(length),
            None => BodyLength::Unknown,
        };
        Poll::Ready(Ok(head))
    }

    /// Whether some of the request body is still to go up.
    pub(super) fn is_uploading(&self) -> bool {
        self.uploading
    }

    /// Whether the request can't be sent anew, as some of its body is gone.
    pub(super) fn has_taken_body(&self) -> bool {
        self.has_taken_body
    }

    /// Moves the request body on as far as both ends let it.
    pub(super) fn poll_upload<C: Client>(&mut self, client: &mut C, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.uploading {
            ready!(self.exchange.poll_send_ready(cx))?;
            let polled = client.poll_body(cx);
            self.has_taken_body |= polled.is_ready();
            match polled {
                Poll::Ready(Some(piece)) => self.exchange.send(piece?),
                Poll::Ready(None) => {
                    let trailers =
                        client.take_trailers().and_then(|trailers| trailers.announced(self.announced.as_deref()?));
                    self.exchange.end(trailers.as_ref());
                    self.uploading = false;
                    self.exchange.poll_write(cx);
                }
                Poll::Pending => {
                    self.exchange.poll_write(cx);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Brings the answer's body to the client and ends the answer. Gives the connection back where it may be kept.
    #[expect(clippy::manual_async_fn, reason = "an argument of an async function is held beside what it moves to")]
    pub(super) fn finish<C: Client>(mut self, client: &mut C) -> impl Future<Output = Result<(), Fault>> + Send {
        async move {
            let mut down = Down::default();
            let moved = poll_fn(|cx| self.poll_body(client, &mut down, cx)).await;
            if let Err(Fault::Backend(failure)) = &moved {
                self.broke_off(failure);
            }
            moved?;
            self.chosen.finish(self.exchange);
            Ok(())
        }
    }

    /// The pieces of the body that are here already, at most about `limit` bytes; `true` says that it is complete with them.
    /// Who wants the rest polls for it.
    pub(super) fn take_ready(&mut self, limit: usize) -> Result<(Vec<Bytes>, bool), Failure> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        let mut context = Context::from_waker(Waker::noop());
        while bytes < limit {
            match self.exchange.poll_body(limit, &mut context) {
                Poll::Ready(Some(Ok(piece))) => {
                    bytes += piece.len();
                    pieces.push(piece);
                }
                Poll::Ready(Some(Err(failure))) => {
                    self.broke_off(&failure);
                    return Err(failure);
                }
                Poll::Ready(None) => return Ok((pieces, true)),
                Poll::Pending => break,
            }
        }
        Ok((pieces, false))
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn next_piece(&mut self) -> Result<Option<Bytes>, Failure> {
        poll_fn(|cx| self.poll_piece(usize::MAX, cx)).await.transpose()
    }

    fn poll_piece(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let piece = self.exchange.poll_body(most, cx);
        if let Some(part) = &mut self.part {
            let is_ended = match &piece {
                Poll::Ready(Some(Ok(piece))) => {
                    part.push(piece);
                    self.length == BodyLength::Exact(part.received())
                }
                Poll::Ready(None) => true,
                Poll::Ready(Some(Err(_))) | Poll::Pending => false,
            };
            // Before the client can see the end, which is with the last byte where the length is known: its next request
            // is to find the part in the store.
            if is_ended && let Some(part) = self.part.take() {
                // Why it was not stored is counted.
                let _stored = part.finish();
            }
        }
        piece
    }

    /// Gives the connection back after a body that was read to its end, or that is not there.
    pub(super) fn finish_unread(mut self) -> Chosen {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(None) = self.exchange.poll_body(0, &mut context) {
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
        down: &mut Down,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        loop {
            if !down.is_ended
                && let Poll::Ready(Err(fault)) = self.poll_upload(client, cx)
                && fault.is_fatal_after_head()
            {
                return Poll::Ready(Err(fault));
            }
            // Asked once, as others change it.
            let lead = client.lead();
            // What is there is gathered before it is written: a head and a small body leave together.
            while !down.is_ended && client.queued() < lead {
                match self.poll_piece(lead, cx) {
                    Poll::Ready(Some(piece)) => {
                        let piece = piece?;
                        // One that is going to wait does not keep a buffer that it is a small part of.
                        let is_copied = down.is_held_up && piece.len() < WORTH_COPYING;
                        client.push(if is_copied { Bytes::copy_from_slice(&piece) } else { piece });
                    }
                    Poll::Ready(None) => {
                        let withheld = self.withheld.as_deref().unwrap_or_default();
                        let trailers = self.exchange.take_trailers().and_then(|trailers| trailers.without(withheld));
                        client.finish(trailers.as_ref());
                        down.is_ended = true;
                    }
                    Poll::Pending => break,
                }
            }
            let was_full = client.queued() >= lead;
            let flushed = client.poll_flush(cx);
            down.is_held_up = flushed.is_pending();
            match flushed {
                Poll::Ready(Ok(())) if down.is_ended => return Poll::Ready(Ok(())),
                // There is room again: the backend's next piece was not asked for.
                Poll::Ready(Ok(())) if was_full => {}
                Poll::Ready(Ok(())) => break,
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault.into())),
                Poll::Pending => break,
            }
        }
        if !self.uploading
            && !down.is_ended
            && let Poll::Ready(fault) = client.poll_gone(cx)
        {
            return Poll::Ready(Err(fault.into()));
        }
        Poll::Pending
    }
}

/// How far an answer's body has got.
#[derive(Default)]
struct Down {
    /// The backend has given all of it.
    is_ended: bool,
    /// The client has not taken all that it was given.
    is_held_up: bool,
}

/// Smaller ones are less than half of what is read at once.
const WORTH_COPYING: usize = 32 * 1024;

impl Fault {
    /// Whether a fault of the upload ends an answer that is under way: a client that has gone, or that broke its body,
    /// gets no whole answer; a backend that takes no more of the body may still be answering (RFC 9112 §9.5).
    fn is_fatal_after_head(&self) -> bool {
        matches!(self, Self::Client(fault) if *fault != ClientFault::BodyTooLarge)
    }
}

#[cfg(test)]
mod tests;
