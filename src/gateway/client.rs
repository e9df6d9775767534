//! The client's end of one request, whatever the version of HTTP.
//!
//! Everything is queued and then flushed: what a lane writes costs nothing until `poll_flush`, and a lane that must not
//! run ahead of a slow client looks at `queued`. Two implementations: `http1` and `http2`.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::{
    cache::{Answer, Body, CacheStatus},
    net::{ClientInfo, Watchdog},
    wire::{BadBody, Fields, ResponseHead},
};

/// How long the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// There is none: HEAD, 204, 304.
    None,
    Exact(u64),
    /// It ends when it ends: chunked, or with the connection for HTTP/1.0.
    Unknown,
}

/// What a client can do wrong after its head was found sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientFault {
    /// It closed or reset the connection or the stream.
    Gone,
    /// It takes what is sent to it too slowly.
    SendTimeout,
    /// Its body comes too slowly.
    BodyTimeout,
    BodyTooLarge,
    BadBody(BadBody),
}

/// One request's client.
pub(super) trait Client: Send {
    fn info(&self) -> &ClientInfo;

    /// A server is asked for the answer.
    fn asking(&mut self, _server: &Arc<str>) {}

    /// The next piece of the request body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientFault>>>;

    /// The trailer section of the request, once its body has ended.
    fn take_trailers(&mut self) -> Option<Fields>;

    /// Bytes of the request body that may come; past it `BodyTooLarge`.
    fn limit_body(&mut self, bytes: u64);

    /// Body bytes received.
    fn received(&self) -> u64;

    /// Queues an interim answer (RFC 9110 §15.2); nothing for HTTP/1.0.
    fn interim(&mut self, head: &ResponseHead);

    /// Queues the head of the answer. Hop-by-hop fields are not in it; framing is added here.
    fn start(&mut self, head: &ResponseHead, length: BodyLength);

    /// Queues the head of a stored answer (RFC 9111 §4), or of the 304 that stands for it, with its age and Cache-Status
    /// (RFC 9211) behind its own lines.
    fn start_stored(&mut self, answer: &Answer, not_modified: bool, age: u64, status: Option<CacheStatus>);

    /// Pieces of a stored body are queued next: it counts in the cache until they are sent.
    fn hold(&mut self, body: &Arc<Body>);

    /// Queues a piece of the answer's body.
    fn push(&mut self, piece: Bytes);

    /// The same for one that others hold too.
    fn push_shared(&mut self, piece: &Bytes) {
        self.push(piece.clone());
    }

    /// The answer is complete.
    fn finish(&mut self, trailers: Option<&Fields>);

    /// Bytes queued and not yet taken by the client.
    fn queued(&self) -> usize;

    /// Bytes that may be queued before the source is no longer read.
    fn lead(&self) -> usize;

    /// Body bytes queued since `start`.
    fn sent(&self) -> u64;

    /// Whether a final head was queued: it is too late for another status.
    fn started(&self) -> bool;

    /// Writes what is queued.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>>;

    /// Ready when the client has gone away.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<ClientFault>;

    /// A timer for as long as the request is answered, which may have been running; to be given back.
    fn lend_watchdog(&mut self) -> Watchdog {
        Watchdog::default()
    }

    /// The timer is not needed any more.
    fn return_watchdog(&mut self, _watchdog: Watchdog) {}

    /// Forgets an answer that was begun, if nothing of it has left: another may be given then. Says whether it did.
    fn take_back(&mut self) -> bool;

    /// The answer can't be completed: it must not look whole to the client (RFC 9112 §8, RFC 9113 §8.1).
    fn abandon(&mut self);

    /// The same, though nothing is wrong: the gateway does not want it to go on.
    fn break_off(&mut self) {
        self.abandon();
    }
}

/// Writes everything that is queued.
pub(super) async fn flush<C: Client>(client: &mut C) -> Result<(), ClientFault> {
    poll_fn(|cx| client.poll_flush(cx)).await
}

/// Waits for something that is not the client's, unless the client goes away first.
pub(super) async fn unless_gone<C: Client, T>(client: &mut C, work: impl Future<Output = T>) -> Result<T, ClientFault> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
        Poll::Pending => client.poll_gone(cx).map(Err),
    })
    .await
}

impl ClientFault {
    /// The status for the client when nothing was sent yet.
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Gone | Self::SendTimeout => 499,
            Self::BodyTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::BadBody(_) => 400,
        }
    }

    /// The word for metrics and logs, from a closed list.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Gone => "client_gone",
            Self::SendTimeout => "send_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::BadBody(_) => "bad_request_body",
        }
    }
}
