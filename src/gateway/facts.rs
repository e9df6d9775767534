//! What is known of one request when it ends: the access log's line and the counters' labels come from here.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use http::Method;

use super::{Gateway, client::Client};
use crate::{
    access_log::{Kind, Record},
    clock::Now,
    wire::{RequestHead, Scheme, Version},
};

/// The cache's part in an answer, for logs and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum CacheWord {
    /// The cache was not asked.
    #[default]
    None,
    Hit,
    /// Served past its freshness.
    Stale,
    /// Validated with the backend first.
    Revalidated,
    Miss,
    /// Another request's fetch gave the answer.
    Collapsed,
    /// The cache could not serve or keep it.
    Pass,
}

/// One request's facts, filled in on its way.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) now: Now,
    /// The client's address as believed (behind trusted proxies: what they say).
    pub(super) client: IpAddr,
    pub(super) route: Option<usize>,
    /// The server that was asked last: its place among those of the route's upstream.
    pub(super) server: Option<usize>,
    pub(super) status: u16,
    pub(super) cache: CacheWord,
    /// The reason in Cache-Status, on or off.
    pub(super) cache_reason: &'static str,
    pub(super) failure: &'static str,
    /// Made when it is first needed.
    pub(super) request_id: Option<String>,
}

/// Labels of `tidegate_http_requests_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestLabels {
    /// Index of the route; `u16::MAX` where none matched.
    pub(super) route: u16,
    /// Index into `METHODS`.
    pub(super) method: u8,
    pub(super) status: u16,
    pub(super) cache: CacheWord,
}

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// The methods that are labels of their own; the last stands for all others.
pub(super) const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "_OTHER"];

impl Facts {
    pub(super) fn new(now: Now, client: IpAddr) -> Self {
        Self {
            now,
            client,
            route: None,
            server: None,
            status: 0,
            cache: CacheWord::None,
            cache_reason: "",
            failure: "",
            request_id: None,
        }
    }

    /// The request's id: 32 hexadecimal digits, made here unless a trusted proxy gave one.
    pub(super) fn request_id(&mut self) -> &str {
        self.request_id.get_or_insert_with(|| {
            // Quicker than the formatter, as each request that goes on to a backend needs it.
            let mut digits = [0; 32];
            for (pair, byte) in digits.chunks_exact_mut(2).zip(fastrand::u128(..).to_be_bytes()) {
                pair[0] = HEXADECIMAL[usize::from(byte >> 4)];
                pair[1] = HEXADECIMAL[usize::from(byte & 15)];
            }
            std::str::from_utf8(&digits).unwrap_or_default().to_owned()
        })
    }
}

impl Gateway {
    /// Counts a finished request and writes its line. Says when it was finished: now.
    pub(super) fn record<C: Client>(&self, facts: &mut Facts, request: &RequestHead, client: &C) -> Instant {
        let ended = Instant::now();
        let elapsed = ended.saturating_duration_since(facts.now.instant);
        let route = facts.route.map_or(u16::MAX, |route| route as u16);
        let labels =
            RequestLabels { route, method: method_index(&request.method), status: facts.status, cache: facts.cache };
        self.metrics.requests.add(labels, 1);
        self.metrics.duration.observe_duration(route, elapsed);
        self.metrics.sent.add(route, client.sent());
        if client.received() > 0 {
            self.metrics.received.add(route, client.received());
        }
        if self.access_log.is_on() {
            self.write_line(facts, request, client, elapsed);
        }
        ended
    }

    fn write_line<C: Client>(&self, facts: &mut Facts, request: &RequestHead, client: &C, duration: Duration) {
        facts.request_id();
        let mut record = self.line(facts, request, Kind::Request);
        record.client = client.info().client.map(|_| facts.client);
        record.sent = client.sent();
        record.received = client.received();
        record.duration = duration;
        self.access_log.write(&record);
    }

    /// A line's parts that every kind of line has.
    pub(super) fn line<'r>(&'r self, facts: &'r Facts, request: &'r RequestHead, kind: Kind<'r>) -> Record<'r> {
        Record {
            now: facts.now,
            kind,
            client: Some(facts.client),
            // A head that was refused within its request line has neither.
            method: if request.target.is_empty() { "" } else { request.method.as_str() },
            target: &request.target,
            version: match request.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
                Version::Http2 => "HTTP/2.0",
            },
            scheme: match request.scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            },
            host: &request.authority,
            status: facts.status,
            sent: 0,
            received: 0,
            duration: Duration::ZERO,
            route: facts.route.map_or("", |route| &self.config.routes[route].name),
            upstream: self.server_name(facts).map(|name| &**name),
            cache: facts.cache.label(),
            cache_reason: facts.cache_reason,
            failure: facts.failure,
            referer: request.fields.get("referer").unwrap_or_default(),
            user_agent: request.fields.get("user-agent").unwrap_or_default(),
            request_id: facts.request_id.as_deref().unwrap_or_default(),
        }
    }
}

impl CacheWord {
    /// The word for metrics and logs, from a closed list.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Pass => "pass",
        }
    }
}

fn method_index(method: &Method) -> u8 {
    let name = method.as_str();
    METHODS.iter().position(|known| *known == name).unwrap_or(METHODS.len() - 1) as u8
}
