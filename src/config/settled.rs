//! The values that the gateway runs on.
//!
//! Plain data: who made it has proved that it can be run.

mod route;
mod upstream;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;

pub use self::{
    route::{
        FieldEdits, FieldMatch, HostPattern, KeyShape, OnBackendDown, OnChange, Origins, QueryShape, Route,
        RouteAction, RouteCache, RouteMatch, RouteWebSocket,
    },
    upstream::{BackendAddress, Balance, Server, Sticky, Upstream, UpstreamProtocol, UpstreamTls},
};

/// The whole configuration of one gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where clients come in; at least one.
    pub listeners: Vec<Listener>,
    /// Where operators and Prometheus look in.
    pub admin: Option<Admin>,
    /// Worker threads, each with an event loop and listening sockets of its own; at least one.
    pub threads: usize,
    /// Memory for answers.
    pub cache: Cache,
    /// Where requests are told of.
    pub access_log: AccessLog,
    /// Bounds.
    pub limits: Limits,
    /// Deadlines of the clients' side.
    pub timeouts: Timeouts,
    /// Networks whose X-Forwarded-* and Forwarded are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What is told about the way.
    pub forward: Forward,
    /// By name; a route's `upstream` is an index into this list.
    pub upstreams: Vec<Upstream>,
    /// In file order; the route table sorts them.
    pub routes: Vec<Route>,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// What is bound.
    pub address: ListenAddress,
    /// `None` speaks plain HTTP.
    pub tls: Option<ListenerTls>,
    /// HTTP/2 without TLS by prior knowledge (RFC 9113 §3.3).
    pub h2c: bool,
    /// HTTP/2 by ALPN on a TLS listener.
    pub http2: bool,
}

/// A TCP address or the path of a Unix socket (written `unix:/run/app.sock`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    /// PEM files; the first pair answers for names that none covers.
    pub pairs: Vec<CertificateFiles>,
    /// The oldest version that is spoken.
    pub minimum: TlsVersion,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The operators' listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// What is bound.
    pub listen: SocketAddr,
    /// Names under which it may be asked for, lower case and without port, beside those it knows of itself.
    pub hosts: Vec<String>,
}

/// The cache of the whole gateway. By default there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Bytes of memory for stored answers; 0 switches the cache off.
    pub capacity: u64,
    /// Largest body that is stored, in bytes; larger ones pass through.
    pub max_object: u64,
    /// Threads that fill it ([`Config::threads`]); the allocator keeps some memory for each, which counts as the cache's.
    pub threads: usize,
    /// Variants of one key that are stored side by side.
    pub max_variants: usize,
    /// Stretches of one answer that are stored side by side.
    pub max_parts: usize,
    /// `Cache-Status` (RFC 9211) on answers.
    pub status_field: bool,
    /// Fields that tell this cache alone what `Cache-Control` tells all (RFC 9213), in lower case; the first that is there
    /// and valid counts.
    pub targeted_fields: Arc<[Box<str>]>,
    /// Where the hottest entries are kept between two runs.
    pub snapshot: Option<Snapshot>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            capacity: 0,
            max_object: 0,
            threads: 1,
            max_variants: 64,
            max_parts: 32,
            status_field: false,
            targeted_fields: Arc::default(),
            snapshot: None,
        }
    }
}

/// The file that hands the hottest entries on from one process to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Written at stop, read at start.
    pub path: PathBuf,
    /// Bytes that are written at most.
    pub bytes: u64,
    /// How long the stop may take for it.
    pub time: Duration,
}

/// The access log.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// Where to.
    pub target: LogTarget,
    /// How a line looks.
    pub format: LogFormat,
    /// Records that may wait for the writer; further ones are dropped and counted.
    pub queue: usize,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// The format that web servers have in common.
    Combined,
}

/// Bounds. Passing one is counted in `tidegate_limit_hits_total{limit}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Open client connections in all.
    pub connections: usize,
    /// Open client connections of one address (IPv6: one /64).
    pub connections_per_address: usize,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Field lines of a request head.
    pub fields: usize,
    /// Bytes of a request body (a route may say otherwise).
    pub body_bytes: u64,
    /// Lowest rate of a request body, bytes per second, after `body_rate_grace`.
    pub body_rate: u64,
    /// How long a body may be slower at first.
    pub body_rate_grace: Duration,
    /// Bytes of a backend's answer head.
    pub answer_head_bytes: usize,
    /// Concurrent HTTP/2 streams of one connection.
    pub http2_streams: u32,
    /// Bytes that wait for clients, from which on backends are read less far ahead.
    pub unsent_bytes: usize,
    /// Open tunnels in all.
    pub tunnels: Option<u64>,
    /// Tunnels that a drain closes in a second.
    pub drain_rate: u32,
}

/// Deadlines of the client's side and of stopping. The backend's are the upstream's.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// The whole TLS handshake.
    pub tls_handshake: Duration,
    /// The whole request head, from its first byte.
    pub head: Duration,
    /// Between two requests of a connection.
    pub keep_alive: Duration,
    /// A write to the client that makes no progress.
    pub send: Duration,
    /// A tunnel with no byte in either direction.
    pub tunnel_idle: Duration,
    /// A tunnel's second direction, after the first has ended.
    pub tunnel_linger: Duration,
    /// Both ends' answers to the gateway's Close frames.
    pub tunnel_close: Duration,
    /// From the beginning of a drain to the cut of what is left.
    pub tunnel_drain: Duration,
    /// From the stop signal to the end of the process.
    pub shutdown: Duration,
}

/// What is told to backends and clients about the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// `Forwarded` (RFC 7239) beside X-Forwarded-*.
    pub forwarded: bool,
    /// `Via` (RFC 9110 §7.6.3), both ways.
    pub via: bool,
    /// The field that carries the request id; `None` sends none.
    pub request_id: Option<String>,
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
