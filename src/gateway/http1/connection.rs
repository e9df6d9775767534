//! One HTTP/1.x connection: what it keeps between requests, and how it ends.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use http::Method;
use tokio::io::AsyncWriteExt;

use super::body::RequestBody;
use crate::{
    gateway::{Gateway, client::Client, unsent::Waiting},
    net::{ClientInfo, OutQueue, Stream, Watchdog, scratch, socket},
    tunnel::{StopPhase, StopSignal},
    wire::{RequestHead, Version, response::reason_for},
};

/// What may be left of a request body for the connection to persist.
const UNREAD_MAX: u64 = 64 * 1024;

/// A closing connection is read for this long and this much, so that the answer is not lost to a reset (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// One connection, and the request it carries now.
pub(in crate::gateway) struct Http1Client {
    pub(super) stream: Stream,
    pub(super) info: ClientInfo,
    pub(super) input: BytesMut,
    pub(super) gateway: Arc<Gateway>,
    /// No request has come yet.
    pub(super) is_new: bool,
    pub(super) in_head: bool,
    pub(super) read_watchdog: Watchdog,
    pub(super) write_watchdog: Watchdog,
    stop: StopSignal,
    pub(super) out: OutQueue,
    pub(super) waiting: Waiting,
    // Of the request at hand:
    pub(super) body: Option<Box<RequestBody>>,
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) persists: bool,
    pub(super) owes_continue: bool,
    pub(super) started: bool,
    pub(super) finished: bool,
    pub(super) chunked: bool,
    /// Only the end of the connection ends the answer's body (HTTP/1.0).
    pub(super) until_close: bool,
    pub(super) bodiless: bool,
    /// The answer's body is the store's, whose memory is counted there.
    pub(super) is_stored: bool,
    pub(super) sent: u64,
    /// What of the connection's bytes stands before the answer, and what had left when the client was last waited for.
    pub(super) began_at: u64,
    pub(super) flushed_at: u64,
    pub(super) half_closed: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Http1Client {
    pub(super) fn new(gateway: &Arc<Gateway>, stream: Stream, info: ClientInfo) -> Self {
        Self {
            stream,
            info,
            input: BytesMut::new(),
            gateway: gateway.clone(),
            is_new: true,
            in_head: false,
            read_watchdog: Watchdog::default(),
            write_watchdog: Watchdog::default(),
            stop: gateway.stopper.signal(),
            out: OutQueue::default(),
            waiting: Waiting::new(gateway.unsent.clone()),
            body: None,
            version: Version::Http11,
            is_head: false,
            persists: false,
            owes_continue: false,
            started: false,
            finished: false,
            chunked: false,
            until_close: false,
            bodiless: false,
            is_stored: false,
            sent: 0,
            began_at: 0,
            flushed_at: 0,
            half_closed: None,
        }
    }

    /// Takes over what the head says about the exchange.
    pub(super) fn begin_request(&mut self, request: &RequestHead) {
        self.is_new = false;
        self.in_head = false;
        RequestBody::begin(&mut self.body, request.framing, &self.gateway.config.limits);
        self.version = request.version;
        self.is_head = request.method == Method::HEAD;
        self.persists = request.keep_alive;
        self.owes_continue = request.expect_continue;
        self.half_closed = None;
        self.begin_answer();
    }

    /// Nothing is queued of an answer yet.
    pub(super) fn begin_answer(&mut self) {
        self.started = false;
        self.finished = false;
        self.chunked = false;
        self.until_close = false;
        self.bodiless = false;
        self.is_stored = false;
        self.sent = 0;
    }

    /// Whether another request may follow, once this one is read: the answer ended where its framing says.
    pub(super) fn may_go_on(&self) -> bool {
        // What a half-closed client sent before it stopped sending is still answered (RFC 9112 §9.3.2).
        let more_may_come = self.half_closed.is_none() || !self.input.is_empty();
        self.persists && self.finished && more_may_come
    }

    /// Whether the request was read to its end.
    pub(super) fn is_read(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.decoder.is_ended())
    }

    /// Whether what is left of the request is little, and surely on its way: then the connection outlives an answer that
    /// came without it.
    pub(super) fn is_body_worth_reading(&self) -> bool {
        match &self.body {
            Some(body) if !body.decoder.is_ended() => {
                !self.owes_continue && body.decoder.remaining().is_some_and(|left| left <= UNREAD_MAX)
            }
            _ => true,
        }
    }

    /// Reads what the answer did not need of the request body, so that none of it is taken for a request (CVE-2025-4366).
    pub(super) async fn read_rest_of_body(&mut self) {
        let rest = async { while let Some(Ok(_)) = poll_fn(|cx| self.poll_body(cx)).await {} };
        // In time or not, `is_read` tells.
        let _read = tokio::time::timeout(LINGER, rest).await;
    }

    /// Ends the connection so that the last answer arrives: the sending side first, then what the client still sends is
    /// read for a while.
    pub(super) async fn close(&mut self) {
        if !self.finished && self.started {
            // The answer was cut, and must not look whole (RFC 9112 §8): where its end is the connection's, a bare end would.
            if self.until_close {
                socket::reset_on_close(&self.stream);
            }
            return;
        }
        let drained = async {
            self.stream.shutdown().await?;
            let mut left = LINGER_BYTES;
            poll_fn(|cx| {
                while left > 0 {
                    match ready!(scratch::poll_read(&mut self.stream, cx, <[u8]>::len))? {
                        0 => break,
                        read => left = left.saturating_sub(read),
                    }
                }
                Poll::Ready(Ok::<(), io::Error>(()))
            })
            .await
        };
        // Whatever the end was, the connection is dropped now.
        let _ended = tokio::time::timeout(LINGER, drained).await;
    }

    /// Whether the gateway is stopping; the task is woken when it begins to.
    pub(super) fn poll_stopping(&mut self, cx: &mut Context<'_>) -> bool {
        self.stop.poll_phase(cx) > StopPhase::Running
    }

    /// Before an answer to a head that was refused: nothing of the last request counts any more.
    pub(super) fn reset_for_refusal(&mut self) {
        self.begin_request(&RequestHead::default());
    }

    /// What is queued from here on is the answer.
    pub(super) fn note_beginning(&mut self) {
        self.began_at = self.out.sent() + self.out.len() as u64;
    }

    /// The first line of an answer, interim or final.
    pub(super) fn write_status_line(&mut self, status: u16, reason: &[u8]) {
        self.note_beginning();
        let out = self.out.text();
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
        out.push(b' ');
        out.extend_from_slice(if reason.is_empty() { reason_for(status).as_bytes() } else { reason });
        out.extend_from_slice(b"\r\n");
    }

    /// What the answer says about the connection, and the end of its head.
    pub(super) fn write_end_of_head(&mut self) {
        self.persists &= self.stop.phase() == StopPhase::Running;
        let word: &[u8] = match (self.persists, self.version) {
            (false, _) => b"Connection: close\r\n\r\n",
            // RFC 9112 §C.2.2: an HTTP/1.0 client must be told that the connection persists.
            (true, Version::Http10) => b"Connection: keep-alive\r\n\r\n",
            (true, _) => b"\r\n",
        };
        self.out.text().extend_from_slice(word);
        self.started = true;
    }
}
