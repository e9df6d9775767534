//! Backends: which server, a connection to it, one exchange on it.
//!
//! An upstream is given a finished request and gives heads and pieces of a body; it knows no client, route or cache.
//! `balance` is pure; `server` knows how each one stands; `chosen` begins exchanges with one, which `connect` dials; `http1`
//! and `http2` carry them; `pool` keeps connections at rest.

pub mod balance;
mod chosen;
mod connect;
mod exchange;
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
    time::{Duration, Instant},
};

use http::Method;

use self::{balance::Candidate, connect::Dialer, server::Server};
pub use self::{
    chosen::Chosen,
    exchange::Exchange,
    failure::{Failure, INTERIM_MAX},
    metrics::Metrics,
    server::Purpose,
};
use crate::{
    clock::Seldom,
    config::{self, Balance},
    wire::{Fields, Framing, Scheme},
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
    /// Of answers that can't be passed on, which a server may give to every request.
    bad_answers: Seldom,
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
    /// Names of the trailers that may go on, and that go on to HTTP/2 backends.
    pub announced: Option<Arc<[Vec<u8>]>>,
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
            bad_answers: Seldom::new(LOG_INTERVAL),
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
                return Ok(Chosen::new(self.clone(), server, purpose));
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

/// Field lines of an answer.
const ANSWER_FIELDS_MAX: usize = 256;
/// Of lines in the log that say the same of one server or upstream, one goes through in so long.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
