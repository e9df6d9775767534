//! The values that the gateway runs on.
//!
//! Plain data: who made it has proved that it can be run.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;

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

/// A named group of servers that give the same service.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// As in the file; for a single address, that address.
    pub name: Arc<str>,
    /// At least one.
    pub servers: Vec<Server>,
    /// How a server is chosen.
    pub balance: Balance,
    /// What keeps a client with one server.
    pub sticky: Option<Sticky>,
    /// `None` speaks plain HTTP.
    pub tls: Option<UpstreamTls>,
    /// What is spoken.
    pub protocol: UpstreamProtocol,
    /// To connect (and shake hands, with TLS).
    pub connect_timeout: Duration,
    /// From the whole request sent to the answer's head; `None` waits for ever.
    pub answer_timeout: Option<Duration>,
    /// Between two pieces of the answer's body; `None` waits for ever.
    pub read_timeout: Option<Duration>,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Unused connections kept to each server, by each worker thread.
    pub idle_connections: usize,
    /// Further servers tried after a connect failure.
    pub retries: usize,
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens.
    pub address: BackendAddress,
    /// 1 to 1000.
    pub weight: u32,
    /// Open tunnels.
    pub max_tunnels: Option<u64>,
}

/// Where a backend listens. A name is looked up when a connection is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A host name.
    Name {
        /// As it is looked up.
        host: Arc<str>,
        /// 1 to 65535.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn, by weight.
    RoundRobin,
    /// The server with the fewest requests in flight and open tunnels, relative to its weight.
    LeastLoad,
}

/// What keeps a client with one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// A cookie of this name, set by the gateway.
    Cookie(String),
    /// The client's IP address.
    SourceAddress,
    /// A hash of this request field.
    Field(String),
}

/// TLS to the servers of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamTls {
    /// For SNI and verification; never empty while `verify` is true.
    pub server_name: String,
    /// Whether the certificate is verified.
    pub verify: bool,
    /// PEM file of the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
}

/// What is spoken to backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 (RFC 9112).
    Http1,
    /// HTTP/2 (RFC 9113).
    Http2,
}

/// Which requests, what happens to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// For metrics and logs: the file's `name`, else made of host and path.
    pub name: Arc<str>,
    /// Which requests.
    pub matches: RouteMatch,
    /// What happens to them.
    pub action: RouteAction,
    /// Taken off the front of the path before it goes to the backend; told in X-Forwarded-Prefix.
    pub strip_prefix: Option<String>,
    /// On the way to the backend.
    pub request_fields: FieldEdits,
    /// On the way to the client.
    pub response_fields: FieldEdits,
    /// Bytes of a request body.
    pub body_bytes: u64,
    /// What may be stored and given again.
    pub cache: RouteCache,
    /// Whether and how tunnels are opened.
    pub websocket: RouteWebSocket,
}

/// Which requests a route takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteMatch {
    /// No host matches every host.
    pub hosts: Vec<HostPattern>,
    /// A path prefix that ends at a segment's border; `/` matches all. Begins with `/`.
    pub path: String,
    /// Empty matches every method.
    pub methods: Vec<http::Method>,
    /// All must match.
    pub fields: Vec<FieldMatch>,
}

/// Lower case, without port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: any names below, not the name itself.
    Suffix(String),
}

/// A request field that must be there, with this value if one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMatch {
    /// The field's name, in any case.
    pub name: String,
    /// The value it must have; `None` takes any.
    pub value: Option<String>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteAction {
    /// Index into `Config::upstreams`.
    Forward {
        /// The position in that list.
        upstream: usize,
    },
    /// Same host, path and query on https; 308 (or 301 for GET and HEAD). Such a route takes only requests that came by
    /// http, before a forwarding route of the same match; those by https are left to the other routes.
    RedirectToHttps,
}

/// Applied in this order: remove, set, add.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldEdits {
    /// Names of fields to take out.
    pub remove: Vec<String>,
    /// Fields to leave with exactly this value.
    pub set: Vec<(String, String)>,
    /// Fields to add a line of.
    pub add: Vec<(String, String)>,
}

impl FieldEdits {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// The cache for a route's requests.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteCache {
    /// Whether the lane is used at all.
    pub enabled: bool,
    /// Store answers that carry Set-Cookie as RFC 9111 allows; off, only `public` or `s-maxage` make them storable.
    pub store_set_cookie: bool,
    /// Whether Cache-Control of the request is honoured (RFC 9111 §5.2.1).
    pub client_cache_control: bool,
    /// Heuristic freshness (RFC 9111 §4.2.2); `None` is off, else the cap.
    pub heuristic: Option<Duration>,
    /// Serve stale on 500, 502, 503, 504 for this long after freshness ended (RFC 5861 §4), where the answer says nothing.
    pub stale_if_error: Duration,
    /// Serve stale at once, and refresh meanwhile, for this long after freshness ended (RFC 5861 §3), where the answer says
    /// nothing.
    pub stale_while_revalidate: Duration,
    /// Lifetime of a 200 that says nothing about caching at all; `None` gives it none, as RFC 9111 has it.
    pub default_ttl: Option<Duration>,
    /// What makes two requests the same to the store, beside scheme and authority and path.
    pub key: KeyShape,
    /// A Range request for something that is not stored: fetch the whole for everybody (`true`), or only the part asked for.
    pub range_fill: bool,
    /// Networks from which `PURGE` is obeyed; others are refused. Without any, it is an ordinary method.
    pub purge_from: Vec<IpNet>,
}

/// How a request's key is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyShape {
    /// Which parameters of the query count.
    pub query: QueryShape,
    /// Their order does not count.
    pub sort_query: bool,
    /// Request fields, in lower case and in order, whose values count too.
    pub fields: Vec<String>,
}

/// Which parameters of the query tell two requests apart. A name that ends in `*` stands for all that begin like it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QueryShape {
    /// All of them, byte for byte.
    #[default]
    All,
    /// All but these, byte for byte.
    Ignore(Vec<String>),
    /// These alone, in upper or lower case; none at all ignores the query.
    Keep(Vec<String>),
}

/// WebSockets of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteWebSocket {
    /// Whether the lane is used at all.
    pub enabled: bool,
    /// Pages of which origin may open one.
    pub origins: Origins,
    /// A tunnel with no byte in either direction.
    pub idle_timeout: Duration,
    /// Whether control frames alone keep a tunnel from being idle.
    pub count_pings_as_activity: bool,
    /// The longest that a tunnel lives.
    pub max_lifetime: Option<Duration>,
    /// Bytes of a client's largest message.
    pub max_message: Option<u64>,
    /// Messages of a client in a second.
    pub messages_per_second: Option<u32>,
    /// Open tunnels.
    pub max_connections: Option<u64>,
    /// Open tunnels of one client address.
    pub max_connections_per_client: Option<u64>,
    /// Handshakes in a second.
    pub handshakes_per_second: Option<u32>,
    /// Handshakes of one client address in a second.
    pub handshakes_per_second_per_client: Option<u32>,
    /// From one Ping of the gateway to the next.
    pub ping_interval: Option<Duration>,
    /// For a sign of life after such a Ping.
    pub pong_timeout: Duration,
    /// Both ends' answers to the gateway's Close frames.
    pub close_timeout: Duration,
    /// Of Close frames for ends that are nobody's fault.
    pub close_code: u16,
    /// The field of a 101 that says when the session ends.
    pub session_field: Option<String>,
    /// Of Close frames when it has ended.
    pub session_code: u16,
    /// What a reload does with tunnels whose configuration has changed.
    pub on_change: OnChange,
    /// Whether frame headers are read.
    pub observe: bool,
}

/// What a reload does with tunnels whose route, upstream or terms have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// They go on as they were opened.
    Keep,
    /// They are closed at the drain's pace.
    Drain,
}

/// Which Origin may open a tunnel (RFC 6455 §10.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// A foreign Origin is refused only when the handshake carries cookies.
    Default,
    /// Every origin.
    Any,
    /// Only pages of the host that is asked.
    SameHost,
    /// These, as browsers send them: scheme, host and port.
    List(Vec<String>),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl std::fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
