//! Backends: which server, a connection to it, one exchange on it.
//!
//! An upstream is given a finished request and gives heads and pieces of a body; it knows no client, route or cache.
//! `balance` is pure; `server` knows how each one stands; `connect` dials; `http1` and `http2` carry exchanges; `pool` keeps connections at rest.

pub mod balance;
mod connect;
mod failure;
mod http1;
mod http2;
mod metrics;
mod pool;
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;

use self::{
    balance::Candidate,
    connect::{Dialer, Speak},
    server::Server,
};
pub use self::{
    failure::{Failure, INTERIM_MAX},
    metrics::Metrics,
    server::Purpose,
};
use crate::{
    config::{self, Balance, Sticky, UpstreamProtocol},
    net::{OutQueue, Stream},
    wire::{Fields, Framing, ResponseHead, Scheme},
};

/// A named group of servers, ready to be used.
pub struct Upstream {
    /// What the operator settled for this group.
    pub config: config::Upstream,
    index: u16,
    servers: Vec<Server>,
    name_hashes: Vec<u64>,
    schedule: Vec<u16>,
    cursor: AtomicUsize,
    /// A server has gone down since it was last asked.
    has_fallen: AtomicBool,
    dialer: Dialer,
    limits: AnswerLimits,
    metrics: Arc<Metrics>,
    born: Instant,
}

/// A request as a backend is to see it. Hop-by-hop fields, `Host` and framing are not among `fields`.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The client's method.
    pub method: Method,
    /// For `:scheme` on HTTP/2: how the client had come in.
    pub scheme: Scheme,
    /// `Host`, or `:authority` on HTTP/2.
    pub authority: String,
    /// Path and query, or `*`.
    pub target: String,
    /// The other fields, in order.
    pub fields: Fields,
    /// How the body's end is told.
    pub framing: Framing,
    /// The client takes trailers (`TE: trailers`, RFC 9110 §10.1.4); told to HTTP/2 backends, as gRPC wants it.
    pub trailers: bool,
}

impl Outgoing {
    /// Whether no body follows the head.
    fn ends_with_head(&self) -> bool {
        matches!(self.framing, Framing::None | Framing::Length(0))
    }
}

/// Bounds on an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerLimits {
    /// Bytes of a head.
    pub head_bytes: usize,
    /// Field lines in a head.
    pub fields: usize,
    /// Wait for the head; `None` waits as long as the client does.
    pub answer_timeout: Option<Duration>,
    /// Wait for each piece of the body; `None` waits as long as the client does.
    pub read_timeout: Option<Duration>,
}

/// What ties a client to a server.
#[derive(Clone, Debug)]
pub enum Affinity {
    /// Any server will do.
    None,
    /// A stable hash of the client's address or of a field.
    Key(u64),
    /// The token of a sticky cookie.
    Token(String),
}

/// One server, chosen for one exchange: its load is one higher for as long as this lives, and the result is counted at
/// the end.
pub struct Chosen {
    upstream: Arc<Upstream>,
    server: usize,
    purpose: Purpose,
    /// How the exchange went, as far as is known; counted when it is over.
    result: &'static str,
    counted: bool,
}

/// The result of an exchange whose client went away before the answer.
const CANCELLED: &str = "cancelled";

/// One request and its answer, on either version of HTTP.
pub enum Exchange {
    /// On a connection of its own, for as long as it lasts.
    Http1(http1::Exchange),
    /// A stream among others.
    Http2(Box<http2::Exchange>),
}

impl Upstream {
    /// Prepares an upstream; an error says what is wrong with its TLS settings.
    pub fn new(
        config: &config::Upstream,
        index: usize,
        limits: &config::Limits,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, String> {
        let weights: Vec<u32> = config.servers.iter().map(|server| server.weight).collect();
        let names: Vec<String> = config.servers.iter().map(|server| server.address.to_string()).collect();
        let name_hashes: Vec<u64> = names.iter().map(|name| balance::stable_hash(name.as_bytes())).collect();
        let servers = config.servers.iter().zip(names.iter().zip(&name_hashes));
        let servers = servers.map(|(settled, (name, hash))| Server::new(settled, name, *hash)).collect();
        let dialer = Dialer::new(config.connect_timeout, config.tls.as_ref())
            .map_err(|why| format!("upstream `{}`: {why}", config.name))?;
        Ok(Arc::new(Self {
            index: index as u16,
            servers,
            name_hashes,
            schedule: balance::schedule(&weights),
            cursor: AtomicUsize::new(0),
            has_fallen: AtomicBool::new(false),
            dialer,
            limits: AnswerLimits {
                head_bytes: limits.answer_head_bytes,
                fields: ANSWER_FIELDS_MAX,
                answer_timeout: config.answer_timeout,
                read_timeout: config.read_timeout,
            },
            metrics,
            born: Instant::now(),
            config: config.clone(),
        }))
    }

    /// Chooses a server that is not in `tried`.
    ///
    /// # Errors
    /// Why there is none: those that are left are full or taken out, or none is left.
    pub fn choose(self: &Arc<Self>, affinity: &Affinity, tried: &[usize], purpose: Purpose) -> Result<Chosen, Failure> {
        // Again only where another was quicker to take the last place of a server, which is full then.
        while let Some(server) = self.pick(affinity, tried, purpose) {
            if self.servers[server].take(purpose) {
                self.metrics.in_flight.add(self.index, 1);
                let upstream = self.clone();
                return Ok(Chosen { upstream, server, purpose, result: CANCELLED, counted: false });
            }
        }
        let mut left = self.left(tried).peekable();
        let is_any_left = left.peek().is_some();
        Err(match left.any(|server| !server.is_out()) {
            true => Failure::Full,
            false if is_any_left => Failure::TakenOut,
            false => Failure::NoServer,
        })
    }

    /// The address of the server in this place, as configured.
    pub fn server_name(&self, index: usize) -> &Arc<str> {
        &self.servers[index].name
    }

    /// Whether a request that could not be sent may be tried with another server.
    pub fn may_try_another(&self, tried: &[usize]) -> bool {
        tried.len() <= self.config.retries && self.left(tried).any(|server| !server.is_out())
    }

    /// Whether it has a server of this name, which is its address as configured.
    pub fn has(&self, name: &str) -> bool {
        self.servers.iter().any(|server| *server.name == *name)
    }

    /// Keeps requests and tunnels away from a server of this name, or lets them come again.
    pub fn set_out(&self, name: &str, is_out: bool) {
        self.servers.iter().filter(|server| *server.name == *name).for_each(|server| server.set_out(is_out));
    }

    /// The servers that are down, if one of them has gone down since this was last asked.
    pub fn take_fallen(&self) -> Vec<Arc<str>> {
        if !self.has_fallen.load(Ordering::Relaxed) || !self.has_fallen.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        self.servers.iter().filter(|server| server.is_down()).map(|server| server.name.clone()).collect()
    }

    fn left<'s>(&'s self, tried: &'s [usize]) -> impl Iterator<Item = &'s Server> {
        self.servers.iter().enumerate().filter(|(index, _)| !tried.contains(index)).map(|(_, server)| server)
    }

    /// Counts a request that is sent once more.
    pub fn count_retry(&self) {
        self.metrics.retries.add(self.index, 1);
    }

    /// Counts the time to the answer's head.
    pub fn count_first_byte(&self, elapsed: Duration) {
        self.metrics.first_byte.observe_duration(self.index, elapsed);
    }

    fn pick(&self, affinity: &Affinity, tried: &[usize], purpose: Purpose) -> Option<usize> {
        if let [server] = &self.servers[..] {
            return (tried.is_empty() && !server.is_out() && !server.is_full(purpose)).then_some(0);
        }
        let now = self.at(Instant::now());
        let candidates: Vec<Candidate> = self
            .servers
            .iter()
            .enumerate()
            .map(|(index, server)| server.candidate(purpose, tried.contains(&index), now))
            .collect();
        match affinity {
            Affinity::Key(key) => return balance::rendezvous(*key, &self.name_hashes, &candidates),
            Affinity::Token(token) => {
                let bound = self.servers.iter().position(|server| server.token == *token);
                if let Some(index) = bound.filter(|&index| !candidates[index].barred && !candidates[index].suspect) {
                    return Some(index);
                }
            }
            Affinity::None => {}
        }
        let cursor = self.cursor.fetch_add(1, Ordering::Relaxed);
        match self.config.balance {
            Balance::RoundRobin => balance::round_robin(&self.schedule, cursor, &candidates),
            Balance::LeastLoad => balance::least_load(cursor, &candidates),
        }
    }

    /// A moment on the upstream's own clock, in microseconds: never 0, which stands for none.
    fn at(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.born).as_micros() as u64 + 1
    }
}

impl Chosen {
    /// Says how the exchange went; what is said last is counted, once, when this is dropped.
    pub fn settle(&mut self, result: Result<(), &Failure>) {
        self.result = result.map_or_else(Failure::label, |()| "ok");
    }

    /// What was to be a tunnel is none: it takes no place among them any more.
    pub fn decline(&mut self) {
        self.server().give_place_back(self.purpose);
        self.purpose = Purpose::Exchange;
    }

    /// Counts the exchange now, though its load lasts: it has become a tunnel.
    pub fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.upstream.metrics.exchanges.add((self.upstream.index, self.result), 1);
        }
    }

    /// The server's place among the upstream's.
    pub fn index(&self) -> usize {
        self.server
    }

    /// `name=token` for a client that is to come back to this server, where the upstream is sticky by cookie.
    pub fn sticky_cookie(&self) -> Option<(&str, &str)> {
        match &self.upstream.config.sticky {
            Some(Sticky::Cookie(name)) => Some((name, &self.server().token)),
            _ => None,
        }
    }

    /// Starts an exchange on a kept connection of HTTP/1.1, if there is one; without any wait.
    pub fn begin_kept(&self, request: &Outgoing) -> Option<Exchange> {
        if self.upstream.config.protocol == UpstreamProtocol::Http2 {
            return None;
        }
        let connection = pool::take(self.server().id)?;
        self.upstream.metrics.reused.add(self.upstream.index, 1);
        Some(Exchange::Http1(http1::Exchange::begin(connection, request)))
    }

    /// Starts an exchange on a new connection; over HTTP/2 as one more stream, where there is a connection.
    pub async fn begin(&self, request: &Outgoing) -> Result<Exchange, Failure> {
        if self.upstream.config.protocol == UpstreamProtocol::Http2 {
            return Box::pin(self.begin_http2(request, self.upstream.limits)).await;
        }
        self.begin_upgrade(request).await
    }

    /// Starts an exchange that is to become a tunnel: HTTP/1.1 on a connection of its own (RFC 9110 §7.8).
    pub async fn begin_upgrade(&self, request: &Outgoing) -> Result<Exchange, Failure> {
        let mut head = OutQueue::default();
        http1::write_request_head(request, head.text());
        // A head that a body follows waits for it, so that both leave together.
        let first = request.ends_with_head().then_some(&mut head);
        let speak = if self.purpose == Purpose::Tunnel { Speak::WebSocket } else { Speak::Http1 };
        let stream = self.dial_counted(speak, first).await?;
        let connection = http1::Connection::new(stream, head, self.upstream.limits);
        Ok(Exchange::Http1(http1::Exchange::begun(connection, request)))
    }

    /// Keeps the connection of a finished exchange for the next one, if it is fit for that.
    pub fn finish(&self, exchange: Exchange) {
        let config = &self.upstream.config;
        if let Exchange::Http1(exchange) = exchange
            && let Some(connection) = exchange.into_reusable()
        {
            pool::keep(self.server().id, connection, config.idle_timeout, config.idle_connections);
        }
    }

    async fn begin_http2(&self, request: &Outgoing, limits: AnswerLimits) -> Result<Exchange, Failure> {
        let id = self.server().id;
        let ends_with_head = request.ends_with_head();
        loop {
            let head = http2::head_of(request)?;
            let lease = pool::http2(id, self.upstream.config.idle_timeout);
            let reused = lease.shared().dialled.initialized();
            let dial = async || http2::handshake(Box::pin(self.dial_counted(Speak::Http2, None)).await?, &limits).await;
            let dialled = lease.shared().dialled.get_or_init(dial).await.clone();
            let handle = match dialled {
                Ok(handle) => handle,
                Err(failure) => {
                    pool::forget_http2(id, lease.shared());
                    return Err(failure);
                }
            };
            let shared = lease.shared().clone();
            match http2::Exchange::begin(handle, lease, head, ends_with_head, limits).await {
                Ok(exchange) => {
                    if reused {
                        self.upstream.metrics.reused.add(self.upstream.index, 1);
                    }
                    return Ok(Exchange::Http2(Box::new(exchange)));
                }
                // A kept connection has ended or is going away: nothing of this request was sent on it.
                Err(_) if reused => pool::forget_http2(id, &shared),
                Err(failure) => {
                    pool::forget_http2(id, &shared);
                    return Err(failure);
                }
            }
        }
    }

    async fn dial_counted(&self, speak: Speak, first: Option<&mut OutQueue>) -> Result<Stream, Failure> {
        let begun = Instant::now();
        let address = &self.upstream.config.servers[self.server].address;
        let dialled = self.upstream.dialer.dial(address, speak, first).await;
        let ended = Instant::now();
        match &dialled {
            Ok(_) => {
                self.upstream.metrics.connect.observe_duration(self.upstream.index, ended.duration_since(begun));
                self.server().connected(self.upstream.at(ended));
            }
            Err(failure) => {
                let (upstream, server) = (&self.upstream.config.name, &self.server().name);
                tracing::warn!(%upstream, %server, %failure, "no connection to a server");
                let (begun, ended) = (self.upstream.at(begun), self.upstream.at(ended));
                if matches!(failure, Failure::Name(_)) {
                    self.server().suspect(begun, ended);
                } else if failure.is_refusal() && self.server().refused(begun, ended) {
                    tracing::warn!(%upstream, %server, "a server is down: it takes no connections any more");
                    self.upstream.has_fallen.store(true, Ordering::Release);
                }
            }
        }
        dialled
    }

    /// Whether it takes no connections any more.
    pub fn is_down(&self) -> bool {
        self.server().is_down()
    }

    fn server(&self) -> &Server {
        &self.upstream.servers[self.server]
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.count();
        self.server().give_back(self.purpose);
        self.upstream.metrics.in_flight.add(self.upstream.index, -1);
    }
}

impl Exchange {
    /// Ready when another piece of the request body may be sent.
    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self {
            Self::Http1(exchange) => exchange.poll_send_ready(cx),
            Self::Http2(exchange) => exchange.poll_send_ready(cx),
        }
    }

    /// Sends a piece of the request body; to be called after `poll_send_ready`.
    pub fn send(&mut self, piece: Bytes) {
        match self {
            Self::Http1(exchange) => exchange.send(piece),
            Self::Http2(exchange) => exchange.send(piece),
        }
    }

    /// The request body is complete; to be called after `poll_send_ready`.
    pub fn end(&mut self, trailers: Option<&Fields>) {
        match self {
            Self::Http1(exchange) => exchange.end(trailers),
            Self::Http2(exchange) => exchange.end(trailers),
        }
    }

    /// Writes what is queued of the request, as far as the backend takes it. Over HTTP/2 the connection does that.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Http1(exchange) => exchange.poll_write(cx),
            Self::Http2(_) => {}
        }
    }

    /// The next head: interim ones first, then the final one.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Failure>> {
        match self {
            Self::Http1(exchange) => exchange.poll_head(cx),
            Self::Http2(exchange) => exchange.poll_head(cx),
        }
    }

    /// The next piece of the answer's body; `None` when it is complete.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        match self {
            Self::Http1(exchange) => exchange.poll_body(cx),
            Self::Http2(exchange) => exchange.poll_body(cx),
        }
    }

    /// How many bytes the answer's body has, as its final `head` and the framing tell; to be asked once that is here.
    pub fn length(&self, head: &ResponseHead) -> Option<u64> {
        match self {
            Self::Http1(exchange) => exchange.length(),
            Self::Http2(exchange) => exchange.length(head),
        }
    }

    /// The trailer section, once the body has ended.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        match self {
            Self::Http1(exchange) => exchange.take_trailers(),
            Self::Http2(exchange) => exchange.take_trailers(),
        }
    }

    /// After a 101 (HTTP/1.1 only): the bare connection and the bytes that came behind the head.
    pub fn into_upgraded(self) -> Option<(Stream, Bytes)> {
        match self {
            Self::Http1(exchange) => Some(exchange.into_upgraded()),
            Self::Http2(_) => None,
        }
    }
}

/// Field lines of an answer.
const ANSWER_FIELDS_MAX: usize = 256;
