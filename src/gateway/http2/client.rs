//! One stream of an HTTP/2 connection as the lanes see it: the request's body read, its answer written.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{AGE, CONTENT_LENGTH},
};

use super::{SEND_BUFFER_MAX, Ticket, given::Given, stream::TunnelStream};
use crate::{
    cache::{Answer, Body, CacheStatus},
    gateway::{
        Gateway,
        answer::with_text,
        body_meter::BodyMeter,
        client::{BodyLength, Client, ClientFault},
        unsent::Waiting,
        upgrade::TunnelClient,
    },
    net::{ClientInfo, Stream, Watchdog, http2::Received},
    wire::{Fields, Framing, RequestHead, ResponseHead},
};

/// Bytes that may wait for one of the many streams of a connection.
const QUEUE_MAX: usize = 64 * 1024;

/// Bytes of an answer that are given to the connection without being counted there: most answers are no longer.
const UNCOUNTED_MAX: u64 = 16 * 1024;

/// The rest of a request that was answered before it was whole: this much of it is taken, for this long.
const UNREAD_MAX: usize = 64 * 1024;
const UNREAD_WAIT: Duration = Duration::from_millis(500);

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// One stream as a `Client`.
pub(super) struct Http2Client {
    pub(super) info: ClientInfo,
    body: Received,
    respond: SendResponse<Bytes>,
    /// The answer's head, until the first flush: by then it is known whether anything follows it.
    head: Option<Response<()>>,
    send: Option<SendStream<Bytes>>,
    queue: VecDeque<Bytes>,
    queued: usize,
    waiting: Waiting,
    /// What the connection has of an answer that is long and not the store's.
    given: Option<Given>,
    /// The answer's body is the store's, whose memory is counted there.
    is_stored: bool,
    /// The answer is complete but for what is queued; with its trailers.
    ended: Option<Option<HeaderMap>>,
    end_sent: bool,
    failed: bool,
    /// What is said of an answer that is not whole.
    reset: Reason,
    bodiless: bool,
    is_head: bool,
    body_ended: bool,
    owes_continue: bool,
    ticket: Ticket,
    meter: BodyMeter,
    sent: u64,
    send_timeout: Duration,
    write_watchdog: Watchdog,
}

impl Http2Client {
    pub(super) fn new(
        gateway: &Gateway,
        info: ClientInfo,
        body: Received,
        respond: SendResponse<Bytes>,
        ticket: Ticket,
    ) -> Self {
        let config = &gateway.config;
        Self {
            info,
            body,
            respond,
            head: None,
            send: None,
            queue: VecDeque::new(),
            queued: 0,
            waiting: Waiting::new(gateway.unsent.clone()),
            given: None,
            is_stored: false,
            ended: None,
            end_sent: false,
            failed: false,
            reset: Reason::INTERNAL_ERROR,
            bodiless: false,
            is_head: false,
            body_ended: false,
            owes_continue: false,
            ticket,
            meter: BodyMeter::new(&config.limits),
            sent: 0,
            send_timeout: config.timeouts.send,
            write_watchdog: Watchdog::default(),
        }
    }

    pub(super) fn begin_request(&mut self, request: &RequestHead) {
        self.is_head = request.method == Method::HEAD;
        self.body_ended = request.framing == Framing::None;
        self.owes_continue = request.expect_continue;
    }

    /// Queues the head; the body follows unless there is none.
    fn queue_head(&mut self, status: u16, headers: HeaderMap, bodiless: bool) {
        self.bodiless = bodiless || self.is_head;
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = headers;
        self.head = Some(response);
    }

    /// Sends the head. One that nothing follows ends the stream itself: an empty DATA frame behind it would say the same,
    /// but gRPC's clients take the fields for trailers only if they stand in the last frame.
    fn send_head(&mut self) {
        let Some(head) = self.head.take() else { return };
        let is_last = self.bodiless || (self.queue.is_empty() && matches!(self.ended, Some(None)));
        match self.respond.send_response(head, is_last) {
            Ok(send) => self.send = Some(send),
            Err(_) => self.failed = true,
        }
        self.end_sent = is_last;
    }

    /// The client has gone. Who leaves an answer that is on its way, as players and `EventSource` do, has had its use of it.
    fn give_up(&mut self) {
        self.ticket.given_up |= self.send.is_none();
    }

    fn enqueue(&mut self, piece: Bytes) {
        self.sent += piece.len() as u64;
        self.queued += piece.len();
        self.queue.push_back(piece);
    }

    /// Ends the stream as its answer ended: whole, or reset (RFC 9113 §8.1). What is left of a request that was answered
    /// whole is read for a moment, because some clients take a reset for a failure all the same; then letting go of the
    /// stream sends NO_ERROR behind what is queued.
    pub(super) async fn close(mut self) {
        if self.end_sent && !self.failed {
            if !self.body_ended && !self.body.is_end_stream() {
                self.read_rest_of_body().await;
            }
            return;
        }
        match &mut self.send {
            Some(send) => send.send_reset(self.reset),
            None => self.respond.send_reset(self.reset),
        }
    }

    async fn read_rest_of_body(&mut self) {
        let rest = async {
            let mut bytes = 0;
            while let Some(Ok(piece)) = poll_fn(|cx| self.body.poll_data(cx)).await {
                bytes += piece.len();
                if bytes > UNREAD_MAX {
                    return;
                }
            }
        };
        // Late or not, the stream is let go now.
        let _read = tokio::time::timeout(UNREAD_WAIT, rest).await;
    }

    fn send_interim(&mut self, status: StatusCode, headers: HeaderMap) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        // A stream that has gone says so at the next write.
        let _sent = self.respond.send_informational(response);
    }

    /// Sends what flow control lets through; ready when nothing is queued.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        self.send_head();
        let Some(send) = &mut self.send else {
            return Poll::Ready(if self.failed { Err(ClientFault::Gone) } else { Ok(()) });
        };
        while let Some(piece) = self.queue.front_mut() {
            if let Some(given) = &self.given
                && given.poll_room(SEND_BUFFER_MAX, cx).is_pending()
            {
                // The end of the stream is heard of meanwhile.
                return send.poll_reset(cx).map(|_| Err(ClientFault::Gone));
            }
            send.reserve_capacity(piece.len());
            let granted = match ready!(send.poll_capacity(cx)) {
                Some(Ok(granted)) if granted > 0 => granted.min(piece.len()),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Poll::Ready(Err(ClientFault::Gone)),
            };
            let mut part = piece.split_to(granted);
            if piece.is_empty() {
                self.queue.pop_front();
            }
            self.queued -= granted;
            if let Some(given) = &self.given {
                part = given.count(part);
            }
            self.write_watchdog.set(None);
            let last = self.queue.is_empty() && matches!(self.ended, Some(None));
            if send.send_data(part, last).is_err() {
                return Poll::Ready(Err(ClientFault::Gone));
            }
            self.end_sent |= last;
        }
        if let Some(trailers) = self.ended.take().filter(|_| !self.end_sent) {
            let ended = match trailers {
                Some(trailers) => send.send_trailers(trailers),
                None => send.send_data(Bytes::new(), true),
            };
            self.end_sent = true;
            return Poll::Ready(ended.map_err(|_| ClientFault::Gone));
        }
        Poll::Ready(Ok(()))
    }
}

impl Client for Http2Client {
    fn info(&self) -> &ClientInfo {
        &self.info
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientFault>>> {
        match self.body.poll_data(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                self.owes_continue = false;
                self.meter.came();
                // Paid back as it is taken: the window bounds what waits for a slow backend.
                self.body.release(piece.len());
                Poll::Ready(Some(self.meter.count(piece.len()).map(|()| piece)))
            }
            Poll::Ready(Some(Err(_))) => {
                self.give_up();
                Poll::Ready(Some(Err(ClientFault::Gone)))
            }
            Poll::Ready(None) => {
                self.body_ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                // RFC 9110 §10.1.1: the client waits for this before it sends its body.
                if std::mem::replace(&mut self.owes_continue, false) && !self.started() {
                    self.send_interim(StatusCode::CONTINUE, HeaderMap::new());
                }
                // Once the answer has begun, the two are in a dialogue, and silence may be part of it.
                if !self.started() && self.meter.poll_too_slow(cx).is_ready() {
                    return Poll::Ready(Some(Err(ClientFault::BodyTimeout)));
                }
                Poll::Pending
            }
        }
    }

    fn take_trailers(&mut self) -> Option<Fields> {
        let mut context = Context::from_waker(Waker::noop());
        match self.body.poll_trailers(&mut context) {
            Poll::Ready(Ok(Some(trailers))) => Fields::from_http2_trailers(&trailers),
            _ => None,
        }
    }

    fn limit_body(&mut self, bytes: u64) {
        self.meter.limit(bytes);
    }

    fn received(&self) -> u64 {
        self.meter.received()
    }

    fn interim(&mut self, head: &ResponseHead) {
        // RFC 9113 §8.6: there is no 101 in HTTP/2.
        match StatusCode::from_u16(head.status) {
            Ok(StatusCode::SWITCHING_PROTOCOLS) | Err(_) => {}
            Ok(status) => self.send_interim(status, head.fields.to_header_map()),
        }
    }

    fn start(&mut self, head: &ResponseHead, length: BodyLength) {
        let mut headers = head.fields.to_header_map();
        // Of an answer without a body, the end of the stream tells: gRPC wants its head-only answers as they are.
        if let BodyLength::Exact(length @ 1..) = length {
            headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        self.queue_head(head.status, headers, matches!(length, BodyLength::None | BodyLength::Exact(0)));
    }

    fn start_stored(&mut self, answer: &Answer, not_modified: bool, age: u64, status: Option<CacheStatus>) {
        let mut headers = match not_modified {
            true => answer.head.fields.to_header_map_of(answer.repeated_in_not_modified()),
            false => answer.head.fields.to_header_map(),
        };
        headers.append(AGE, age.into());
        if let Some(Ok(status)) = status.map(|status| with_text(status, HeaderValue::from_bytes)) {
            headers.append(CACHE_STATUS, status);
        }
        let status = if not_modified { 304 } else { answer.head.status };
        self.queue_head(status, headers, not_modified || answer.length == Some(0));
    }

    fn hold(&mut self, body: &Arc<Body>) {
        self.waiting.hold(body);
    }

    fn push(&mut self, piece: Bytes) {
        if !self.bodiless && !piece.is_empty() {
            self.enqueue(piece);
            if self.sent > UNCOUNTED_MAX && self.given.is_none() {
                self.given = Some(Given::new(self.waiting.unsent().clone()));
            }
        }
    }

    fn push_shared(&mut self, piece: &Bytes) {
        if !self.bodiless && !piece.is_empty() {
            self.is_stored = true;
            self.enqueue(piece.clone());
        }
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        if !self.end_sent {
            self.ended = Some(trailers.map(Fields::to_header_map));
        }
    }

    fn queued(&self) -> usize {
        self.queued
    }

    fn lead(&self) -> usize {
        self.waiting.lead(QUEUE_MAX)
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn started(&self) -> bool {
        // A stream that has failed before is not: what is logged then is why.
        self.head.is_some() || self.send.is_some()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        let sent = self.poll_send(cx);
        match sent {
            Poll::Ready(result) => {
                self.waiting.over();
                self.write_watchdog.set(None);
                self.failed |= result.is_err();
                if result.is_err() {
                    self.give_up();
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.waiting.set(if self.is_stored { 0 } else { self.queued.min(QUEUE_MAX) });
                if !self.write_watchdog.is_set() {
                    self.write_watchdog.set(Some(Instant::now() + self.send_timeout));
                }
                if self.write_watchdog.poll_expired(cx).is_ready() {
                    self.failed = true;
                    return Poll::Ready(Err(ClientFault::SendTimeout));
                }
                Poll::Pending
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<ClientFault> {
        let reset = match &mut self.send {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|_| {
            self.failed = true;
            self.give_up();
            ClientFault::Gone
        })
    }

    fn take_back(&mut self) -> bool {
        if self.head.take().is_none() {
            return false;
        }
        self.queue.clear();
        (self.queued, self.sent) = (0, 0);
        (self.ended, self.given) = (None, None);
        (self.bodiless, self.is_stored) = (false, false);
        true
    }

    fn abandon(&mut self) {
        self.failed = true;
    }

    /// RFC 9113 §7: what ends early, and not by an error.
    fn break_off(&mut self) {
        self.failed = true;
        self.reset = Reason::CANCEL;
    }
}

impl TunnelClient for Http2Client {
    /// RFC 8441 §5: a 200 says what 101 does, and the fields of HTTP/1.1's own handshake are left out.
    fn switch(&mut self, mut head: ResponseHead) -> u16 {
        head.fields.remove("sec-websocket-accept");
        self.queue_head(200, head.fields.to_header_map(), false);
        200
    }

    fn into_stream(self) -> Option<(Stream, Bytes)> {
        let given = Given::new(self.waiting.unsent().clone());
        let stream = TunnelStream::new(self.body, self.send?, given, self.ticket);
        Some((Stream::Boxed(Box::new(stream)), Bytes::new()))
    }
}
