//! HTTP/2 clients (RFC 9113): many requests at once on one connection, each one stream.
//!
//! A request that can be answered on the spot (a hit, a refusal) is answered in the loop that accepts the streams; only
//! what has to wait becomes a task of its own. What has become a tunnel (RFC 8441) goes on as one stream among the others.

mod client;
mod cork;
mod given;
mod idle_frames;
mod stream;

use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, ext::Protocol, server, server::SendResponse};
use tokio::sync::Notify;

use self::{client::Http2Client, cork::Cork};
use super::{
    Gateway,
    client::{Client, ClientFault},
    failure,
    journey::{Answered, Begun, Onward},
    upgrade::{self, OpenTunnel},
};
use crate::{
    net::{
        ClientInfo, Stream, Watchdog,
        http2::{Paced, Received, Streams},
        socket::{Origin, UNACKNOWLEDGED_MAX, prepare},
    },
    tunnel::{self, StopPhase, StopSignal},
    wire::{Framing, Refusal, RequestHead},
};

/// Flow-control windows: what a client may send ahead of the backend, for one stream and for all. Streams that nobody
/// reads, tunnels to stuck backends above all, hold up the others only when there are sixteen of them.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// Streams that were reset before they were accepted, and that are still remembered; past it the connection ends with
/// ENHANCE_YOUR_CALM (CVE-2023-44487, CVE-2025-8671).
const PENDING_RESETS_MAX: usize = 20;
const LOCAL_RESETS_MAX: usize = 128;

/// Requests that a client may give up on one connection before they are answered without more ado, and past which they may
/// not be most of all: each is work for a backend and nothing for the client (CVE-2023-44487, however slowly it is done).
const GIVEN_UP_MAX: u32 = 200;

/// How long a stop waits for a client without streams to hear of it and to say that it has; a round trip is what it takes
/// (RFC 9113 §6.8), from when it has read what the system still holds for it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Bytes of an answer that one stream may hold for a client that takes none; less where too much waits in all.
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
        .max_send_buffer_size(SEND_BUFFER_MAX)
        // A tunnel of small frames to a backend that is stuck would end the whole connection. `Streams` bounds memory.
        .data_frame_budget(usize::MAX);
    if gateway.config.routes.iter().any(|route| route.websocket.enabled) {
        // RFC 8441 §3.
        builder.enable_connect_protocol();
    }
    // Whatever it has asked for, a client that acknowledges nothing for so long is gone.
    if let Err(error) = prepare(&stream, Origin::Accepted, UNACKNOWLEDGED_MAX) {
        // A connection that is gone already says so at the first read.
        tracing::debug!(%error, "socket options of an HTTP/2 connection");
    }
    let cork = Cork::new(stream);
    let streams = Streams::default();
    let handshake = builder.handshake(Paced::new(cork.clone(), &streams));
    let Ok(Ok(connection)) = tokio::time::timeout(gateway.config.timeouts.head, handshake).await else { return };
    cork.hold();
    let toll = Arc::<Toll>::default();
    let connection = Connection {
        stop: gateway.stopper.signal(),
        gateway,
        connection,
        streams,
        cork,
        info,
        watchdog: Watchdog::default(),
        leaving: false,
        stopping: false,
        work: Work::default(),
        has_accepted: false,
        began: 0,
        head: RequestHead::default(),
        toll: toll.clone(),
    };
    connection.run().await;
    // A stop waits for connections: so for what is still to be said of their streams, in the log for example.
    toll.all_paid().await;
}

struct Connection {
    gateway: Arc<Gateway>,
    connection: server::Connection<Paced<Cork>, Bytes>,
    streams: Streams,
    cork: Cork,
    info: ClientInfo,
    stop: StopSignal,
    watchdog: Watchdog,
    /// GOAWAY was sent: no further streams, those under way are finished.
    leaving: bool,
    /// The gateway stops.
    stopping: bool,
    /// What there was to do when it was last looked.
    work: Work,
    /// A stream was accepted a moment ago; others may have come with it.
    has_accepted: bool,
    /// Requests so far.
    began: u32,
    /// Where heads are read.
    head: RequestHead,
    toll: Arc<Toll>,
}

/// What the requests of one connection cost, besides what HTTP/2 itself counts.
#[derive(Default)]
struct Toll {
    /// Under way, tunnels included. A stream that is reset makes room for another at once, its request ends a little later.
    open: AtomicU32,
    /// Given up by the client before the head of their answer was sent.
    given_up: AtomicU32,
    /// Rung when `open` comes down to zero.
    none_open: Notify,
}

/// One request's part of the toll, for as long as it or its tunnel lives.
struct Ticket {
    toll: Arc<Toll>,
    /// The client has reset the stream or is gone, and had nothing of an answer.
    given_up: bool,
}

impl Toll {
    fn ticket(self: &Arc<Self>) -> Ticket {
        self.open.fetch_add(1, Ordering::Relaxed);
        Ticket { toll: self.clone(), given_up: false }
    }

    /// Returns once no request is under way. For one waiter.
    async fn all_paid(&self) {
        while self.open.load(Ordering::Acquire) > 0 {
            self.none_open.notified().await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.toll.given_up.fetch_add(u32::from(self.given_up), Ordering::Relaxed);
        if self.toll.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.toll.none_open.notify_one();
        }
    }
}

/// What a connection has to do.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Work {
    /// There are streams.
    is_busy: bool,
    /// The client does not take what was said.
    is_held_up: bool,
    /// Bytes that came from the client during a stop.
    heard: u64,
}

/// What becomes of a connection on which nothing new comes.
enum Rest {
    Wait,
    /// It was told to end: that has to be sent.
    Again,
    Over,
}

impl Connection {
    async fn run(mut self) {
        loop {
            let accepted = poll_fn(|cx| self.poll_accept(cx)).await;
            // An error or an end: the connection is over, and its streams see it.
            let (request, respond) = match accepted {
                Some(Ok(accepted)) => accepted,
                Some(Err(error)) => return self.count_flood(&error),
                None => return,
            };
            self.begin(request, respond);
            let given_up = self.toll.given_up.load(Ordering::Relaxed);
            if given_up > GIVEN_UP_MAX && given_up > self.began / 2 {
                self.gateway.metrics.limit_hits.add("http2_resets", 1);
                self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
        }
    }

    /// What a client can send too much of (resets, CONTINUATION, small and empty DATA) is bounded by the crate `h2`, which then
    /// says goodbye with this reason (RFC 9113 §10.5).
    fn count_flood(&self, error: &h2::Error) {
        if error.is_library() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
            self.gateway.metrics.limit_hits.add("http2_flood", 1);
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Accepted, h2::Error>>> {
        // Not between streams that came together: what lies in those that were not accepted yet can't be gathered.
        if !std::mem::take(&mut self.has_accepted) {
            self.streams.gather();
        }
        if !self.stopping && self.stop.poll_phase(cx) > StopPhase::Running {
            self.stopping = true;
            self.watchdog.set(None);
            if !std::mem::replace(&mut self.leaving, true) {
                self.connection.graceful_shutdown();
            }
        }
        loop {
            if let Poll::Ready(accepted) = self.connection.poll_accept(cx) {
                self.work.is_busy = true;
                self.has_accepted = true;
                return Poll::Ready(accepted);
            }
            if self.cork.take_flood() {
                self.gateway.metrics.limit_hits.add("http2_flood", 1);
                self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                continue;
            }
            // Nothing more to answer for now: what was said meanwhile goes out, and a connection at rest holds no head.
            self.head = RequestHead::default();
            let released = self.cork.poll_release(cx);
            if let Poll::Ready(Err(error)) = released {
                tracing::debug!(client = ?self.info.client, "an HTTP/2 connection: {error}");
                return Poll::Ready(None);
            }
            let work = Work {
                is_busy: self.connection.has_streams(),
                is_held_up: released.is_pending(),
                // A client that reads what the system holds for it may take its time to come to the goodbye.
                heard: if self.stopping { self.cork.heard() } else { 0 },
            };
            match self.watch_rest(work, cx) {
                Rest::Wait => return Poll::Pending,
                // A client that has taken neither the goodbye nor anything else for so long is not waited for.
                Rest::Over => return Poll::Ready(None),
                Rest::Again => {}
            }
        }
    }

    /// A connection without streams rests for `keep_alive` at most; one that has said goodbye is dropped then, or sooner where
    /// a stop waits for it.
    fn watch_rest(&mut self, work: Work, cx: &mut Context<'_>) -> Rest {
        if std::mem::replace(&mut self.work, work) != work || work.is_busy || !self.watchdog.is_set() {
            let keep_alive = self.gateway.config.timeouts.keep_alive;
            let is_farewell = self.stopping && !work.is_held_up;
            let patience = if is_farewell { keep_alive.min(FAREWELL) } else { keep_alive };
            self.watchdog.set(Some(Instant::now() + patience));
        }
        if self.watchdog.poll_expired(cx).is_pending() {
            return Rest::Wait;
        }
        self.watchdog.set(None);
        if std::mem::replace(&mut self.leaving, true) {
            return Rest::Over;
        }
        self.connection.graceful_shutdown();
        Rest::Again
    }

    /// Starts one request; answers it here if that needs no waiting.
    fn begin(&mut self, request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        self.began = self.began.saturating_add(1);
        if self.toll.open.load(Ordering::Relaxed) >= self.gateway.config.limits.http2_streams.saturating_mul(2) {
            // RFC 9113 §8.7: nothing was done, the client may ask again.
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        let (parts, body) = request.into_parts();
        let (limits, head) = (&self.gateway.head_limits, &mut self.head);
        let read = match parts.extensions.get::<Protocol>() {
            Some(protocol) => head.read_extended_connect(&parts, protocol.as_str(), limits),
            None => head.read_http2(&parts, body.is_end_stream(), limits),
        };
        let body = Received::new(body, &self.streams);
        let mut client = Http2Client::new(&self.gateway, self.info.clone(), body, respond, self.toll.ticket());
        if let Err(refusal) = read {
            return start(refuse(self.gateway.clone(), client, refusal));
        }
        client.begin_request(head);
        if head.wants_websocket {
            start(shake_hands(self.gateway.clone(), client, std::mem::take(head)));
            return;
        }
        match self.gateway.begin(&mut client, head) {
            Begun::Answered(answered) => self.send(client, answered),
            Begun::Onward(onward) => start(proceed(self.gateway.clone(), client, std::mem::take(head), onward)),
        }
    }

    /// Sends the answer that is queued: at once, or as the client takes it.
    fn send(&mut self, mut client: Http2Client, mut answered: Answered) {
        match client.poll_flush(&mut Context::from_waker(Waker::noop())) {
            // One that has announced an empty body may still have to end its stream, which is waited for.
            Poll::Ready(sent) if self.head.framing == Framing::None => {
                answered.facts.failure = sent.map_or_else(ClientFault::label, |()| "");
                self.gateway.record(&mut answered.facts, &self.head, &client);
            }
            _ => start(send(self.gateway.clone(), client, std::mem::take(&mut self.head), answered)),
        }
    }
}

/// Lets a request's work run: here as far as it goes without waiting, the rest in a task of its own.
fn start(work: impl Future<Output = Option<OpenTunnel>> + Send + 'static) {
    let mut work = Box::pin(work);
    // Whoever is woken by this poll is the task spawned next, which registers anew.
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(None) => {}
        Poll::Ready(Some(tunnel)) => drop(tokio::spawn(tunnel)),
        Poll::Pending => drop(tokio::spawn(async move {
            if let Some(tunnel) = work.await {
                tunnel.await;
            }
        })),
    }
}

/// Answers a request that could not be answered at once.
async fn proceed(
    gateway: Arc<Gateway>,
    mut client: Http2Client,
    request: RequestHead,
    onward: Onward,
) -> Option<OpenTunnel> {
    gateway.proceed(&mut client, &request, onward).await;
    client.close().await;
    None
}

/// Answers a request whose head was refused.
async fn refuse(gateway: Arc<Gateway>, mut client: Http2Client, refusal: Refusal) -> Option<OpenTunnel> {
    failure::refuse(&gateway, &mut client, &RequestHead::default(), refusal).await;
    client.close().await;
    None
}

/// Sends what is queued of an answer, as the client takes it.
async fn send(
    gateway: Arc<Gateway>,
    mut client: Http2Client,
    request: RequestHead,
    answered: Answered,
) -> Option<OpenTunnel> {
    gateway.send(&mut client, &request, answered).await;
    client.close().await;
    None
}

/// Answers an extended CONNECT for a WebSocket: with the tunnel, or like any other request.
async fn shake_hands(gateway: Arc<Gateway>, mut client: Http2Client, mut request: RequestHead) -> Option<OpenTunnel> {
    tunnel::complete(&mut request, fastrand::u128(..));
    match upgrade::serve(&gateway, &mut client, &mut request).await {
        Some(agreed) => agreed.open(gateway, client, &mut request),
        None => {
            client.close().await;
            None
        }
    }
}
