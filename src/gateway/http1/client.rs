//! One HTTP/1.x connection as a `Client`: its body read, its answers written.

use std::{
    future::poll_fn,
    io::Write,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    cache::Answer,
    config::{Limits, Timeouts},
    gateway::{
        Gateway,
        client::{BodyLength, Client, ClientFault},
    },
    net::{ClientInfo, OutQueue, Stream, Watchdog},
    tunnel::{StopPhase, StopSignal},
    wire::{
        BodyDecoder, Decoded, Fields, Framing, HeadLimits, RequestHead, ResponseHead, Version, body,
        fields::write_line, response::reason_for,
    },
};

/// Reads of a request body.
const READ_BODY: usize = 64 * 1024;

/// Bytes that a client may send ahead while its request is answered (pipelining); past it they stay in the socket.
const AHEAD_MAX: usize = 64 * 1024;

/// How long a client that has shut down its sending side is still answered: it may only be half-closed (RFC 9112 §9.6).
const HALF_CLOSED_GRACE: Duration = Duration::from_secs(5);

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
    pub(super) head_limits: HeadLimits,
    pub(super) timeouts: Timeouts,
    pub(super) requests: u64,
    pub(super) in_head: bool,
    pub(super) read_watchdog: Watchdog,
    write_watchdog: Watchdog,
    stop: StopSignal,
    out: OutQueue,
    body_rate: u64,
    body_rate_grace: Duration,
    // Of the request at hand:
    decoder: BodyDecoder,
    version: Version,
    is_head: bool,
    persists: bool,
    owes_continue: bool,
    body_limit: u64,
    received: u64,
    /// Since when the body is waited for, and how long it was before.
    waiting_since: Option<Instant>,
    waited: Duration,
    started: bool,
    finished: bool,
    chunked: bool,
    bodiless: bool,
    sent: u64,
    flushed_at: u64,
    half_closed: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Http1Client {
    pub(super) fn new(gateway: &Arc<Gateway>, stream: Stream, info: ClientInfo) -> Self {
        let Limits { body_rate, body_rate_grace, .. } = gateway.config.limits;
        Self {
            stream,
            info,
            input: BytesMut::new(),
            head_limits: gateway.head_limits,
            timeouts: gateway.config.timeouts.clone(),
            requests: 0,
            in_head: false,
            read_watchdog: Watchdog::default(),
            write_watchdog: Watchdog::default(),
            stop: gateway.stopper.signal(),
            out: OutQueue::default(),
            body_rate,
            body_rate_grace,
            decoder: BodyDecoder::for_request(Framing::None),
            version: Version::Http11,
            is_head: false,
            persists: false,
            owes_continue: false,
            body_limit: u64::MAX,
            received: 0,
            waiting_since: None,
            waited: Duration::ZERO,
            started: false,
            finished: false,
            chunked: false,
            bodiless: false,
            sent: 0,
            flushed_at: 0,
            half_closed: None,
        }
    }

    /// Takes over what the head says about the exchange.
    pub(super) fn begin_request(&mut self, request: &RequestHead) {
        self.requests += 1;
        self.in_head = false;
        self.decoder = BodyDecoder::for_request(request.framing);
        self.version = request.version;
        self.is_head = request.method == Method::HEAD;
        self.persists = request.keep_alive;
        self.owes_continue = request.expect_continue;
        self.body_limit = u64::MAX;
        self.received = 0;
        self.waiting_since = None;
        self.waited = Duration::ZERO;
        self.started = false;
        self.finished = false;
        self.chunked = false;
        self.bodiless = false;
        self.sent = 0;
    }

    /// Whether another request may follow: both messages ended where their framing says.
    pub(super) async fn may_go_on(&mut self) -> bool {
        self.persists && self.finished && self.half_closed.is_none() && self.read_rest_of_body().await
    }

    /// Whether what is left of the request is little, and surely on its way: then the connection outlives an answer that
    /// came without it.
    fn is_body_worth_reading(&self) -> bool {
        self.decoder.is_ended()
            || (!self.owes_continue && self.decoder.remaining().is_some_and(|left| left <= UNREAD_MAX))
    }

    /// Reads what the answer did not need of the request body, so that none of it is taken for a request (CVE-2025-4366).
    async fn read_rest_of_body(&mut self) -> bool {
        let rest = async {
            while !self.decoder.is_ended() {
                match poll_fn(|cx| self.poll_body(cx)).await {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => return false,
                    None => break,
                }
            }
            true
        };
        tokio::time::timeout(LINGER, rest).await.unwrap_or(false)
    }

    /// Queues a 101: the connection speaks another protocol behind it (RFC 9110 §15.2.2).
    pub(in crate::gateway) fn switch(&mut self, head: &ResponseHead) {
        self.write_status_line(head.status, &head.reason);
        head.fields.write_http1(self.out.text());
        self.out.text().extend_from_slice(b"\r\n");
        self.started = true;
    }

    /// The bare connection and the bytes that came behind the head; for a tunnel.
    pub(in crate::gateway) fn into_parts(self) -> (Stream, Bytes) {
        (self.stream, self.input.freeze())
    }

    /// Ends the connection so that the last answer arrives: the sending side first, then what the client still sends is
    /// read for a while.
    pub(super) async fn close(mut self) {
        if !self.finished && self.started {
            // The answer was cut: a reset or a bare end must not look like its end.
            return;
        }
        let drained = async {
            self.stream.shutdown().await?;
            let mut left = LINGER_BYTES;
            let mut scratch = [0; 4096];
            while left > 0 {
                match self.stream.read(&mut scratch).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            Ok::<(), std::io::Error>(())
        };
        // Whatever the end was, the connection is dropped now.
        let _ended = tokio::time::timeout(LINGER, drained).await;
    }

    /// Whether the gateway is stopping; the task is woken when it begins to.
    pub(super) fn poll_stopping(&mut self, cx: &mut Context<'_>) -> bool {
        self.stop.poll_phase(cx) > StopPhase::Running
    }

    /// Before an answer to a head that was refused: nothing of the last request counts any more.
    pub(in crate::gateway) fn reset_for_refusal(&mut self) {
        self.begin_request(&RequestHead::default());
    }

    /// Bytes per second may not fall below the floor once the grace is over; only time spent waiting for the client counts.
    fn poll_body_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs_f64(self.received as f64 / self.body_rate.max(1) as f64);
        let allowed = (self.body_rate_grace + earned).saturating_sub(self.waited);
        self.read_watchdog.set(Some(since + allowed));
        self.read_watchdog.poll_expired(cx)
    }

    fn body_came(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        self.read_watchdog.set(None);
    }

    fn write_status_line(&mut self, status: u16, reason: &[u8]) {
        let out = self.out.text();
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
        out.push(b' ');
        out.extend_from_slice(if reason.is_empty() { reason_for(status).as_bytes() } else { reason });
        out.extend_from_slice(b"\r\n");
    }

    /// What the answer says about the connection, and the end of its head.
    fn write_end_of_head(&mut self) {
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

impl Client for Http1Client {
    fn info(&self) -> &ClientInfo {
        &self.info
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientFault>>> {
        loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Decoded::Data(piece)) => {
                    self.received += piece.len() as u64;
                    if self.received > self.body_limit {
                        self.persists = false;
                        return Poll::Ready(Some(Err(ClientFault::BodyTooLarge)));
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
                Ok(Decoded::End) => return Poll::Ready(None),
                // A chunk that announces too much is refused before it comes.
                Ok(Decoded::NeedMore) if self.received.saturating_add(self.decoder.announced()) > self.body_limit => {
                    self.persists = false;
                    return Poll::Ready(Some(Err(ClientFault::BodyTooLarge)));
                }
                Ok(Decoded::NeedMore) => {}
                Err(fault) => {
                    self.persists = false;
                    return Poll::Ready(Some(Err(ClientFault::BadBody(fault))));
                }
            }
            // RFC 9110 §10.1.1: the client waits for this before it sends its body, unless it has begun already.
            if std::mem::replace(&mut self.owes_continue, false) && self.input.is_empty() && !self.started {
                self.out.push_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            if !self.out.is_empty()
                && let Poll::Ready(Err(fault)) = self.poll_flush(cx)
            {
                return Poll::Ready(Some(Err(fault)));
            }
            let wanted = self.decoder.remaining().map_or(READ_BODY, |left| (left as usize).clamp(512, READ_BODY));
            self.input.reserve(wanted);
            match pin!(self.stream.read_buf(&mut self.input)).poll(cx) {
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.persists = false;
                    return Poll::Ready(Some(Err(ClientFault::Gone)));
                }
                Poll::Ready(Ok(_)) => self.body_came(),
                Poll::Pending if self.poll_body_deadline(cx).is_ready() => {
                    self.persists = false;
                    return Poll::Ready(Some(Err(ClientFault::BodyTimeout)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn take_trailers(&mut self) -> Option<Fields> {
        self.decoder.take_trailers()
    }

    fn limit_body(&mut self, bytes: u64) {
        self.body_limit = bytes;
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn interim(&mut self, head: &ResponseHead) {
        // RFC 9110 §15.2: an HTTP/1.0 client does not know interim answers. 100 is ours to give, see `poll_body`.
        if self.version == Version::Http10 || head.status == 100 {
            return;
        }
        self.write_status_line(head.status, &head.reason);
        head.fields.write_http1(self.out.text());
        self.out.text().extend_from_slice(b"\r\n");
    }

    fn start(&mut self, head: &ResponseHead, length: BodyLength) {
        self.bodiless = self.is_head || length == BodyLength::None;
        self.chunked = length == BodyLength::Unknown && self.version == Version::Http11 && !self.is_head;
        if length == BodyLength::Unknown && !self.chunked && !self.is_head {
            // RFC 9112 §6.3: for HTTP/1.0 the body ends with the connection.
            self.persists = false;
        }
        self.persists &= self.is_body_worth_reading();
        self.write_status_line(head.status, &head.reason);
        head.fields.write_http1(self.out.text());
        if let BodyLength::Exact(length) = length
            && !head.fields.contains("content-length")
        {
            write_line(self.out.text(), b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
        }
        if self.chunked {
            self.out.text().extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        self.write_end_of_head();
    }

    fn start_stored(&mut self, answer: &Answer, not_modified: bool, tail: &[(&str, &[u8])]) {
        self.bodiless = self.is_head || not_modified;
        self.chunked = answer.length.is_none() && self.version == Version::Http11 && !self.bodiless;
        self.persists &= self.is_body_worth_reading();
        self.persists &= answer.length.is_some() || self.chunked || self.bodiless;
        let head = if not_modified { &answer.not_modified_http1 } else { &answer.http1 };
        self.out.push_slice(head);
        for (name, value) in tail {
            write_line(self.out.text(), name.as_bytes(), value);
        }
        if self.chunked {
            self.out.text().extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        self.write_end_of_head();
    }

    fn push(&mut self, piece: Bytes) {
        if self.bodiless || piece.is_empty() {
            return;
        }
        self.sent += piece.len() as u64;
        if self.chunked {
            let mut line = [0; 20];
            let mut cursor = std::io::Cursor::new(&mut line[..]);
            // Invariant: 16 digits and CRLF fit into 20 bytes.
            let _ = write!(cursor, "{:x}\r\n", piece.len());
            let length = cursor.position() as usize;
            self.out.push_slice(&line[..length]);
            self.out.push(piece);
            self.out.push_slice(b"\r\n");
        } else {
            self.out.push(piece);
        }
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        if self.chunked && !self.bodiless {
            let mut end = Vec::new();
            body::last_chunk(trailers, &mut end);
            self.out.push_slice(&end);
        }
        self.finished = true;
    }

    fn queued(&self) -> usize {
        self.out.len()
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn started(&self) -> bool {
        self.started
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        match self.out.poll_flush(&mut self.stream, cx) {
            Poll::Ready(Ok(())) => {
                self.write_watchdog.set(None);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => {
                self.persists = false;
                Poll::Ready(Err(ClientFault::Gone))
            }
            Poll::Pending => {
                // The deadline is for progress, not for the whole: it moves on with every byte taken.
                if self.flushed_at != self.out.sent() || !self.write_watchdog.is_set() {
                    self.flushed_at = self.out.sent();
                    self.write_watchdog.set(Some(Instant::now() + self.timeouts.send));
                }
                if self.write_watchdog.poll_expired(cx).is_ready() {
                    self.persists = false;
                    return Poll::Ready(Err(ClientFault::SendTimeout));
                }
                Poll::Pending
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<ClientFault> {
        if let Some(grace) = &mut self.half_closed {
            return grace.as_mut().poll(cx).map(|()| ClientFault::Gone);
        }
        if !self.decoder.is_ended() {
            // The request body is still to be read: `poll_body` sees the end.
            return Poll::Pending;
        }
        while self.input.len() < AHEAD_MAX {
            self.input.reserve(512);
            match pin!(self.stream.read_buf(&mut self.input)).poll(cx) {
                Poll::Ready(Ok(0)) => {
                    let mut grace = Box::pin(tokio::time::sleep(HALF_CLOSED_GRACE));
                    let expired = grace.as_mut().poll(cx);
                    self.half_closed = Some(grace);
                    return expired.map(|()| ClientFault::Gone);
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => {
                    self.persists = false;
                    return Poll::Ready(ClientFault::Gone);
                }
                Poll::Pending => break,
            }
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Poll::Pending
    }

    fn abandon(&mut self) {
        self.persists = false;
        self.finished = false;
    }
}
