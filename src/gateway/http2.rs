//! HTTP/2 clients (RFC 9113): many requests at once on one connection, each one stream.
//!
//! A request that can be answered on the spot (a hit, a refusal) is answered in the loop that accepts the streams; only
//! what has to wait becomes a task of its own.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server, server::SendResponse};
use http::{HeaderMap, Method, Response, StatusCode};

use super::{
    Gateway,
    client::{BodyLength, Client, ClientFault},
    facts::Facts,
    failure::{self, OwnAnswer},
};
use crate::{
    cache::Answer,
    clock::Now,
    net::{ClientInfo, Stream, Watchdog},
    tunnel::{StopPhase, StopSignal},
    wire::{Fields, Framing, Refusal, RequestHead, ResponseHead, Scheme, response::reason_for},
};

/// Flow-control windows: what a client may send ahead of the backend, for one stream and for all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Streams that were reset before they were accepted, and that are still remembered; past it the connection ends with
/// ENHANCE_YOUR_CALM (CVE-2023-44487, CVE-2025-8671).
const PENDING_RESETS_MAX: usize = 20;
const LOCAL_RESETS_MAX: usize = 128;

/// Requests that a client may give up on one connection without more ado, and past which they may not be most of all:
/// each is work for a backend and nothing for the client (CVE-2023-44487, however slowly it is done).
const GIVEN_UP_MAX: u32 = 200;

/// Bytes that may wait for one of the many streams of a connection.
const QUEUE_MAX: usize = 64 * 1024;

/// Bytes of answers that one connection may hold for a client that takes none.
const SEND_BUFFER_MAX: usize = 256 * 1024;

/// A stream of the client's: its request, and the way to answer it.
type Accepted = (http::Request<RecvStream>, SendResponse<Bytes>);

/// Serves one connection until it ends.
pub(super) async fn serve(gateway: Arc<Gateway>, stream: Stream, info: ClientInfo) {
    let limits = &gateway.config.limits;
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(limits.head_bytes as u32)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .max_send_buffer_size(SEND_BUFFER_MAX);
    let handshake = builder.handshake(stream);
    let Ok(Ok(connection)) = tokio::time::timeout(gateway.config.timeouts.head, handshake).await else { return };
    Connection {
        stop: gateway.stopper.signal(),
        gateway,
        connection,
        info,
        watchdog: Watchdog::default(),
        leaving: false,
        began: 0,
        toll: Arc::default(),
    }
    .run()
    .await;
}

struct Connection {
    gateway: Arc<Gateway>,
    connection: server::Connection<Stream, Bytes>,
    info: ClientInfo,
    stop: StopSignal,
    watchdog: Watchdog,
    /// GOAWAY was sent: no further streams, those under way are finished.
    leaving: bool,
    /// Requests so far.
    began: u32,
    toll: Arc<Toll>,
}

/// What the requests of one connection cost, besides what HTTP/2 itself counts.
#[derive(Default)]
struct Toll {
    /// Under way. A stream that is reset makes room for another at once, its request ends a little later.
    open: AtomicU32,
    /// Given up by the client before they were answered.
    given_up: AtomicU32,
}

impl Connection {
    async fn run(mut self) {
        loop {
            let accepted = poll_fn(|cx| self.poll_accept(cx)).await;
            // An error or an end: the connection is over, and its streams see it.
            let Some(Ok((request, respond))) = accepted else { return };
            self.begin(request, respond);
            let given_up = self.toll.given_up.load(Ordering::Relaxed);
            if given_up > GIVEN_UP_MAX && given_up > self.began / 2 {
                self.gateway.metrics.limit_hits.add("http2_resets", 1);
                self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Accepted, h2::Error>>> {
        if !self.leaving && self.stop.poll_phase(cx) > StopPhase::Running {
            self.leave();
        }
        let accepted = self.connection.poll_accept(cx);
        if accepted.is_pending() {
            self.watch_rest(cx);
            return Poll::Pending;
        }
        self.watchdog.set(None);
        accepted
    }

    /// A connection without streams rests for `keep_alive` at most.
    fn watch_rest(&mut self, cx: &mut Context<'_>) {
        if self.connection.has_streams() {
            // Looked at again after a while: the end of a stream does not wake this task.
            self.watchdog.set(Some(Instant::now() + self.gateway.config.timeouts.keep_alive));
        } else if !self.watchdog.is_set() {
            self.watchdog.set(Some(Instant::now() + self.gateway.config.timeouts.keep_alive));
        }
        if self.watchdog.poll_expired(cx).is_ready() {
            self.watchdog.set(None);
            if !self.connection.has_streams() {
                self.leave();
            }
            cx.waker().wake_by_ref();
        }
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.leaving, true) {
            self.connection.abrupt_shutdown(Reason::NO_ERROR);
        } else {
            self.connection.graceful_shutdown();
        }
    }

    /// Starts one request; answers it here if that needs no waiting.
    fn begin(&mut self, request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        self.began = self.began.saturating_add(1);
        if self.toll.open.load(Ordering::Relaxed) >= self.gateway.config.limits.http2_streams.saturating_mul(2) {
            // RFC 9113 §8.7: nothing was done, the client may ask again.
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        let gateway = self.gateway.clone();
        let (parts, body) = request.into_parts();
        let parsed = RequestHead::from_http2(&parts, body.is_end_stream(), &gateway.head_limits);
        let mut client = Http2Client::new(&gateway, self.info.clone(), body, respond, self.toll.clone());
        let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            match parsed {
                Ok(mut request) => {
                    request.scheme = if client.info.tls { Scheme::Https } else { Scheme::Http };
                    client.begin_request(&request);
                    gateway.journey(&mut client, &mut request).await;
                }
                Err(refusal) => refuse(&gateway, &mut client, refusal).await,
            }
            client.close();
        });
        // Whoever is woken by this poll is the task spawned next, which registers anew.
        if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(work);
        }
    }
}

async fn refuse(gateway: &Gateway, client: &mut Http2Client, refusal: Refusal) {
    gateway.metrics.refused.add(refusal.label(), 1);
    let request = RequestHead::default();
    let mut facts = Facts::new(Now::read(), client.info.ip());
    let own = OwnAnswer { status: refusal.status(), message: reason_for(refusal.status()), fields: &[] };
    failure::answer(client, &request, &mut facts, &own).await;
    facts.failure = refusal.label();
    gateway.record(&mut facts, &request, client);
}

/// One stream as a `Client`.
struct Http2Client {
    info: ClientInfo,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    queue: VecDeque<Bytes>,
    queued: usize,
    /// The answer is complete but for what is queued; with its trailers.
    ended: Option<Option<HeaderMap>>,
    end_sent: bool,
    failed: bool,
    bodiless: bool,
    is_head: bool,
    body_ended: bool,
    owes_continue: bool,
    /// The client has reset the stream or is gone.
    given_up: bool,
    toll: Arc<Toll>,
    body_limit: u64,
    body_rate: u64,
    body_rate_grace: Duration,
    received: u64,
    waiting_since: Option<Instant>,
    waited: Duration,
    sent: u64,
    send_timeout: Duration,
    read_watchdog: Watchdog,
    write_watchdog: Watchdog,
}

impl Http2Client {
    fn new(
        gateway: &Gateway,
        info: ClientInfo,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        toll: Arc<Toll>,
    ) -> Self {
        let config = &gateway.config;
        toll.open.fetch_add(1, Ordering::Relaxed);
        Self {
            info,
            body,
            respond,
            send: None,
            queue: VecDeque::new(),
            queued: 0,
            ended: None,
            end_sent: false,
            failed: false,
            bodiless: false,
            is_head: false,
            body_ended: false,
            owes_continue: false,
            given_up: false,
            toll,
            body_limit: u64::MAX,
            body_rate: config.limits.body_rate,
            body_rate_grace: config.limits.body_rate_grace,
            received: 0,
            waiting_since: None,
            waited: Duration::ZERO,
            sent: 0,
            send_timeout: config.timeouts.send,
            read_watchdog: Watchdog::default(),
            write_watchdog: Watchdog::default(),
        }
    }

    fn begin_request(&mut self, request: &RequestHead) {
        self.is_head = request.method == Method::HEAD;
        self.body_ended = request.framing == Framing::None;
        self.owes_continue = request.expect_continue;
    }

    /// Queues the head; the body follows unless there is none.
    fn send_head(&mut self, status: u16, headers: HeaderMap, bodiless: bool) {
        self.bodiless = bodiless || self.is_head;
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = headers;
        match self.respond.send_response(response, self.bodiless) {
            Ok(send) => self.send = Some(send),
            Err(_) => self.failed = true,
        }
        self.end_sent = self.bodiless;
    }

    /// Ends the stream as its answer ended: whole, or reset (RFC 9113 §8.1).
    fn close(mut self) {
        let whole = self.end_sent && !self.failed;
        if let Some(send) = self.send.as_mut().filter(|_| !whole) {
            send.send_reset(Reason::INTERNAL_ERROR);
        } else if !whole {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
        } else if !self.body_ended && !self.body.is_end_stream() {
            // The rest of the request is not wanted (RFC 9113 §8.1).
            if let Some(send) = self.send.as_mut() {
                send.send_reset(Reason::NO_ERROR);
            }
        }
    }

    fn poll_body_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs_f64(self.received as f64 / self.body_rate.max(1) as f64);
        let allowed = (self.body_rate_grace + earned).saturating_sub(self.waited);
        self.read_watchdog.set(Some(since + allowed));
        self.read_watchdog.poll_expired(cx)
    }

    /// Sends what flow control lets through; ready when nothing is queued.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        let Some(send) = &mut self.send else {
            return Poll::Ready(if self.failed { Err(ClientFault::Gone) } else { Ok(()) });
        };
        while let Some(piece) = self.queue.front_mut() {
            send.reserve_capacity(piece.len());
            let granted = match ready!(send.poll_capacity(cx)) {
                Some(Ok(granted)) if granted > 0 => granted.min(piece.len()),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Poll::Ready(Err(ClientFault::Gone)),
            };
            let part = piece.split_to(granted);
            if piece.is_empty() {
                self.queue.pop_front();
            }
            self.queued -= granted;
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
                if let Some(since) = self.waiting_since.take() {
                    self.waited += since.elapsed();
                }
                self.read_watchdog.set(None);
                self.received += piece.len() as u64;
                // Paid back as it is taken: the window bounds what waits for a slow backend.
                let _window = self.body.flow_control().release_capacity(piece.len());
                if self.received > self.body_limit {
                    return Poll::Ready(Some(Err(ClientFault::BodyTooLarge)));
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(Some(Err(_))) => {
                self.given_up = true;
                Poll::Ready(Some(Err(ClientFault::Gone)))
            }
            Poll::Ready(None) => {
                self.body_ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                // RFC 9110 §10.1.1: the client waits for this before it sends its body, unless it has begun already.
                if std::mem::replace(&mut self.owes_continue, false) && self.received == 0 && !self.started() {
                    self.interim(&ResponseHead { status: 100, ..ResponseHead::default() });
                }
                self.poll_body_deadline(cx).map(|()| Some(Err(ClientFault::BodyTimeout)))
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
        self.body_limit = bytes;
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn interim(&mut self, head: &ResponseHead) {
        let mut response = Response::new(());
        // RFC 9113 §8.6: there is no 101 in HTTP/2.
        let Ok(status) = StatusCode::from_u16(head.status) else { return };
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        *response.status_mut() = status;
        *response.headers_mut() = head.fields.to_header_map();
        // A stream that has gone says so at the next write.
        let _sent = self.respond.send_informational(response);
    }

    fn start(&mut self, head: &ResponseHead, length: BodyLength) {
        let mut headers = head.fields.to_header_map();
        if let BodyLength::Exact(length) = length {
            headers.entry(http::header::CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        self.send_head(head.status, headers, matches!(length, BodyLength::None | BodyLength::Exact(0)));
    }

    fn start_stored(&mut self, answer: &Answer, not_modified: bool, tail: &[(&str, &[u8])]) {
        let mut headers = match not_modified {
            true => answer.not_modified_head().fields.to_header_map(),
            false => answer.head.fields.to_header_map(),
        };
        for (name, value) in tail {
            if let (Ok(name), Ok(value)) =
                (http::HeaderName::from_bytes(name.as_bytes()), http::HeaderValue::from_bytes(value))
            {
                headers.append(name, value);
            }
        }
        let status = if not_modified { 304 } else { answer.head.status };
        self.send_head(status, headers, not_modified || answer.length == Some(0));
    }

    fn push(&mut self, piece: Bytes) {
        if !self.bodiless && !piece.is_empty() {
            self.sent += piece.len() as u64;
            self.queued += piece.len();
            self.queue.push_back(piece);
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

    fn queue_max(&self) -> usize {
        QUEUE_MAX
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn started(&self) -> bool {
        self.send.is_some() || self.failed
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        let sent = self.poll_send(cx);
        match sent {
            Poll::Ready(result) => {
                self.write_watchdog.set(None);
                self.failed |= result.is_err();
                self.given_up |= result.is_err();
                Poll::Ready(result)
            }
            Poll::Pending => {
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
            self.given_up = true;
            ClientFault::Gone
        })
    }

    fn abandon(&mut self) {
        self.failed = true;
    }
}

impl Drop for Http2Client {
    fn drop(&mut self) {
        self.toll.open.fetch_sub(1, Ordering::Relaxed);
        self.toll.given_up.fetch_add(u32::from(self.given_up), Ordering::Relaxed);
    }
}
