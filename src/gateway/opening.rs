//! A request on its way to the head of its answer: a server chosen, a connection found or made, the request sent, and all
//! of it again where nothing is lost by that.
//!
//! An `Opening` owns what it needs, so it can go on when the client that it was begun for has gone: whoever polls it next
//! takes it up where it stands.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{client::Client, failure::Fault, transfer::Transfer};
use crate::{
    clock::Now,
    upstream::{Affinity, Chosen, Exchange, Failure, Outgoing, Purpose, Upstream},
    wire::{ResponseHead, strip_hop_by_hop},
};

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// It may be sent twice when a kept connection turns out dead (RFC 9110 §9.2.2).
    Repeatable,
    Once,
    /// It asks for another protocol, on a connection of its own.
    Upgrade,
}

/// One request until the final head of its answer is there.
pub(super) struct Opening {
    upstream: Arc<Upstream>,
    affinity: Affinity,
    sending: Sending,
    /// From when on the time to the head is counted.
    started: Now,
    /// Servers that this request has failed with.
    tried: Vec<usize>,
    /// A kept connection will do: none has turned out dead so far.
    may_reuse: bool,
    /// The server that was asked last.
    server: Option<usize>,
    /// The client has been told of it.
    is_told: bool,
    /// A connection was found, and the body is to go up with the head.
    is_new: bool,
    state: State,
}

enum State {
    /// To be sent to a server that is still to be chosen.
    Unsent(Outgoing),
    Dialling(Pin<Box<dyn Future<Output = Dialled> + Send>>),
    /// The head is waited for.
    Sent(Transfer, Outgoing),
    /// The outcome was given away.
    Over,
}

/// The request, the server that was dialled, and what came of it.
type Dialled = (Outgoing, Chosen, Result<Exchange, Failure>);

/// The exchange and its final head.
pub(super) type Opened<E> = Result<(Transfer, ResponseHead), E>;

impl Opening {
    /// Does nothing before it is polled.
    pub(super) fn new(
        upstream: &Arc<Upstream>,
        request: Outgoing,
        affinity: Affinity,
        sending: Sending,
        started: Now,
    ) -> Self {
        Self {
            upstream: upstream.clone(),
            affinity,
            sending,
            started,
            tried: Vec::new(),
            may_reuse: sending != Sending::Upgrade,
            server: None,
            is_told: false,
            is_new: false,
            state: State::Unsent(request),
        }
    }

    /// The server that was asked last: its place among the upstream's.
    pub(super) fn server(&self) -> Option<usize> {
        self.server
    }

    /// Waits for the final head together with the client: its body goes up, interim heads come down at once, and it is
    /// noticed when it goes away. What has been done so far is not lost then.
    pub(super) async fn with_client<C: Client>(&mut self, client: &mut C) -> Opened<Fault> {
        poll_fn(|cx| self.poll_with_client(client, cx)).await
    }

    /// Waits for the final head of a request without a body. May be dropped while it waits; nothing is lost.
    pub(super) async fn alone(&mut self) -> Opened<Failure> {
        poll_fn(|cx| self.poll_opened(|_| {}, cx)).await
    }

    fn poll_with_client<C: Client>(&mut self, client: &mut C, cx: &mut Context<'_>) -> Poll<Opened<Fault>> {
        loop {
            let uploaded = match &mut self.state {
                State::Sent(transfer, _) => transfer.poll_upload(client, cx),
                _ => Poll::Pending,
            };
            // An answer that came before the body was whole counts more than the body's fault.
            if let Poll::Ready(opened) = self.poll_opened(|head| client.interim(head), cx) {
                return Poll::Ready(opened.map_err(Fault::Backend));
            }
            if let Poll::Ready(Err(fault)) = uploaded {
                return Poll::Ready(Err(fault));
            }
            if !std::mem::take(&mut self.is_new) {
                break;
            }
        }
        if let Some(server) = self.server.filter(|_| !self.is_told) {
            client.asking(self.upstream.server_name(server));
            self.is_told = true;
        }
        if client.queued() > 0
            && let Poll::Ready(Err(fault)) = client.poll_flush(cx)
        {
            return Poll::Ready(Err(fault.into()));
        }
        if !self.transfer().is_some_and(Transfer::is_uploading)
            && let Poll::Ready(fault) = client.poll_gone(cx)
        {
            return Poll::Ready(Err(fault.into()));
        }
        Poll::Pending
    }

    fn transfer(&self) -> Option<&Transfer> {
        match &self.state {
            State::Sent(transfer, _) => Some(transfer),
            _ => None,
        }
    }

    /// The final head; `interim` is shown those that come before. Servers that can't be reached are passed over, a dead
    /// kept connection is replaced, while nothing is lost by it. Pending also as soon as a body can go up.
    fn poll_opened(&mut self, mut interim: impl FnMut(&ResponseHead), cx: &mut Context<'_>) -> Poll<Opened<Failure>> {
        loop {
            if self.is_new {
                return Poll::Pending;
            }
            match std::mem::replace(&mut self.state, State::Over) {
                State::Unsent(request) => self.send(request)?,
                State::Dialling(mut dial) => match dial.as_mut().poll(cx) {
                    Poll::Ready((request, chosen, Ok(exchange))) => self.sent(request, chosen, exchange),
                    Poll::Ready((request, chosen, Err(failure))) => self.again(request, chosen, failure, true)?,
                    Poll::Pending => {
                        self.state = State::Dialling(dial);
                        return Poll::Pending;
                    }
                },
                State::Sent(mut transfer, request) => match transfer.poll_head(&request.method, cx) {
                    Poll::Ready(Ok(mut head)) if head.is_interim() && head.status != 101 => {
                        strip_hop_by_hop(&mut head.fields);
                        // 100 is the client's end to give: it was not passed on that anybody waits for it.
                        if head.status != 100 {
                            interim(&head);
                        }
                        self.state = State::Sent(transfer, request);
                    }
                    Poll::Ready(Ok(head)) => {
                        transfer.answered = Now::read();
                        let took = transfer.answered.instant.saturating_duration_since(self.started.instant);
                        self.upstream.count_first_byte(took);
                        return Poll::Ready(Ok((transfer, head)));
                    }
                    Poll::Ready(Err(failure)) => {
                        let is_whole = !transfer.has_taken_body();
                        self.again(request, transfer.chosen, failure, is_whole)?;
                    }
                    Poll::Pending => {
                        self.state = State::Sent(transfer, request);
                        return Poll::Pending;
                    }
                },
                State::Over => return Poll::Pending,
            }
        }
    }

    /// Chooses a server, and sends the request where that takes no wait.
    fn send(&mut self, request: Outgoing) -> Result<(), Failure> {
        let purpose = if self.sending == Sending::Upgrade { Purpose::Tunnel } else { Purpose::Exchange };
        let chosen = self.upstream.choose(&self.affinity, &self.tried, purpose)?;
        self.server = Some(chosen.index());
        self.is_told = false;
        if self.may_reuse
            && let Some(exchange) = chosen.begin_kept(&request)
        {
            self.sent(request, chosen, exchange);
            return Ok(());
        }
        let upgrade = self.sending == Sending::Upgrade;
        // Also because the room that a TLS handshake needs is not to be carried about by every request.
        self.state = State::Dialling(Box::pin(async move {
            let begun = if upgrade { chosen.begin_upgrade(&request).await } else { chosen.begin(&request).await };
            (request, chosen, begun)
        }));
        Ok(())
    }

    fn sent(&mut self, request: Outgoing, chosen: Chosen, exchange: Exchange) {
        let transfer = Transfer::new(chosen, exchange, &request, self.sending == Sending::Upgrade, self.started);
        self.is_new = transfer.is_uploading();
        self.state = State::Sent(transfer, request);
    }

    /// Goes on with another connection or another server, if that can do no harm. `is_whole`: nothing of the body is gone.
    fn again(
        &mut self,
        request: Outgoing,
        mut chosen: Chosen,
        failure: Failure,
        is_whole: bool,
    ) -> Result<(), Failure> {
        chosen.settle(Err(&failure));
        let is_repeatable = failure.is_stale_connection() && self.sending == Sending::Repeatable;
        if (is_repeatable || (failure.is_unseen() && is_whole)) && self.may_reuse {
            self.may_reuse = false;
        } else {
            self.tried.push(chosen.index());
            if !failure.is_connect() || !self.upstream.may_try_another(&self.tried) {
                return Err(failure);
            }
        }
        self.upstream.count_retry();
        self.state = State::Unsent(request);
        Ok(())
    }
}
