//! One server that is asked: what begins with it, and how that is counted.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use super::{
    AnswerLimits, Exchange, Failure, Outgoing, Purpose, Upstream, connect::Speak, http1, http2, pool, server::Server,
};
use crate::{
    config::{Sticky, UpstreamProtocol},
    net::{OutQueue, Stream},
};

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

impl Chosen {
    /// Of a server that has taken it.
    pub(super) fn new(upstream: Arc<Upstream>, server: usize, purpose: Purpose) -> Self {
        upstream.metrics.in_flight.add(upstream.index, 1);
        Self { upstream, server, purpose, result: CANCELLED, counted: false }
    }

    /// Says how the exchange went; what is said last is counted, once, when this is dropped.
    pub fn settle(&mut self, result: Result<(), &Failure>) {
        self.result = result.map_or_else(Failure::label, |()| "ok");
        if let Err(failure) = result
            && failure.is_bad_answer()
            && let Some(held_back) = self.upstream.bad_answers.ask(Instant::now())
        {
            let (upstream, server) = (&self.upstream.config.name, &self.server().name);
            tracing::warn!(%upstream, %server, %failure, held_back, "a server's answer can't be passed on");
        }
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
        let (upstream, server) = (&self.upstream.config.name, &self.server().name);
        match &dialled {
            Ok(_) => {
                self.upstream.metrics.connect.observe_duration(self.upstream.index, ended.duration_since(begun));
                if self.server().connected(self.upstream.at(ended)) {
                    tracing::info!(%upstream, %server, "a server is back: it takes connections again");
                }
            }
            Err(failure) => {
                if let Some(held_back) = self.server().unreached.ask(ended) {
                    tracing::warn!(%upstream, %server, %failure, held_back, "no connection to a server");
                }
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
