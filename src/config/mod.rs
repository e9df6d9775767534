//! The settled configuration: what the gateway runs on.
//!
//! Every reference is resolved, every default filled in, every value in its unit; nothing here can be invalid.
//! `raw` is the file as written, `resolve` the only bridge between the two.
//!
//! The way of a file: `tree` (values with their places) ← `expand` (variables, `file:`), `merge` (`conf.d`), `raw` (typed,
//! by the one declaration of all keys), `resolve` (references, overlaps), `lint` (warnings). The way back: `effective`,
//! `written`. From the declaration alone: `schema`, `reference`, `suggest`.

#[macro_use]
mod table;

mod effective;
mod expand;
mod kind;
mod lint;
mod load;
mod merge;
mod problem;
mod raw;
mod reference;
mod render;
mod resolve;
mod schema;
mod settled;
mod shape;
mod suggest;
mod text;
mod tree;
mod value;
mod written;

pub use effective::{effective, effective_json};
pub use expand::Outside;
pub use load::{Loaded, address, from_text, from_texts, load, minimal, minimal_with_admin};
pub use problem::{Place, Problem, Problems, Severity, Source};
pub use reference::reference;
pub use schema::schema;
pub use settled::*;

<<<<<<< HEAD
/// One address to listen on.
#[derive(Clone, Debug)]
pub struct Listener {
    pub address: ListenAddress,
    pub tls: Option<ListenerTls>,
    /// HTTP/2 without TLS by prior knowledge (RFC 9113 §3.3).
    pub h2c: bool,
    /// HTTP/2 by ALPN on a TLS listener.
    pub http2: bool,
}

/// A TCP address or the path of a Unix socket (written `unix:/run/app.sock`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// PEM files; the first pair answers for names that none covers.
    pub pairs: Vec<CertificateFiles>,
    pub minimum: TlsVersion,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

#[derive(Clone, Debug)]
pub struct Admin {
    pub listen: SocketAddr,
}

#[derive(Clone, Debug)]
pub struct Cache {
    /// Bytes of memory for stored answers; 0 switches the cache off.
    pub capacity: u64,
    /// Largest body that is stored, in bytes; larger ones pass through.
    pub max_object: u64,
    /// `Cache-Status` (RFC 9211) on answers.
    pub status_field: bool,
}

#[derive(Clone, Debug)]
pub struct AccessLog {
    pub target: LogTarget,
    pub format: LogFormat,
    /// Records that may wait for the writer; further ones are dropped and counted.
    pub queue: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    Off,
    Stdout,
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Combined,
}

/// Bounds. Passing one is counted in `tidegate_limit_hits_total{limit}`.
#[derive(Clone, Debug)]
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
    pub body_rate_grace: Duration,
    /// Bytes of a backend's answer head.
    pub answer_head_bytes: usize,
    /// Concurrent HTTP/2 streams of one connection.
    pub http2_streams: u32,
}

/// Deadlines of the client's side and of stopping. The backend's are the upstream's.
#[derive(Clone, Debug)]
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
    /// From the stop signal to the end of the process.
    pub shutdown: Duration,
}

/// What is told to backends and clients about the way.
#[derive(Clone, Debug)]
pub struct Forward {
    /// `Forwarded` (RFC 7239) beside X-Forwarded-*.
    pub forwarded: bool,
    /// `Via` (RFC 9110 §7.6.3), both ways.
    pub via: bool,
    /// The field that carries the request id; `None` sends none.
    pub request_id: Option<String>,
}

/// A named group of servers that give the same service.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub name: Arc<str>,
    /// At least one.
    pub servers: Vec<Server>,
    pub balance: Balance,
    pub sticky: Option<Sticky>,
    pub tls: Option<UpstreamTls>,
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub address: BackendAddress,
    /// 1 to 1000.
    pub weight: u32,
}

/// Where a backend listens. A name is looked up when a connection is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendAddress {
    Tcp(SocketAddr),
    Name { host: Arc<str>, port: u16 },
    Unix(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    /// The server with the fewest requests in flight and open tunnels, relative to its weight.
    LeastLoad,
}

/// What keeps a client with one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// A cookie of this name, set by the gateway.
    Cookie(String),
    SourceAddress,
    /// A hash of this request field.
    Field(String),
}

#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// For SNI and verification; never empty while `verify` is true.
    pub server_name: String,
    pub verify: bool,
    /// PEM file of the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    Http1,
    Http2,
}

/// Which requests, what happens to them.
#[derive(Clone, Debug)]
pub struct Route {
    /// For metrics and logs: the file's `name`, else made of host and path.
    pub name: Arc<str>,
    pub matches: RouteMatch,
    pub action: RouteAction,
    /// Taken off the front of the path before it goes to the backend; told in X-Forwarded-Prefix.
    pub strip_prefix: Option<String>,
    pub request_fields: FieldEdits,
    pub response_fields: FieldEdits,
    /// Bytes of a request body.
    pub body_bytes: u64,
    pub cache: RouteCache,
    pub websocket: RouteWebSocket,
}

#[derive(Clone, Debug, Default)]
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
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: any names below, not the name itself.
    Suffix(String),
}

/// A request field that must be there, with this value if one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMatch {
    pub name: String,
    pub value: Option<String>,
}

#[derive(Clone, Debug)]
pub enum RouteAction {
    /// Index into `Config::upstreams`.
    Forward { upstream: usize },
    /// Same host, path and query on https; 308 (or 301 for GET and HEAD).
    RedirectToHttps,
}

/// Applied in this order: remove, set, add.
#[derive(Clone, Debug, Default)]
pub struct FieldEdits {
    pub remove: Vec<String>,
    pub set: Vec<(String, String)>,
    pub add: Vec<(String, String)>,
}

impl FieldEdits {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

#[derive(Clone, Debug)]
pub struct RouteCache {
    pub enabled: bool,
    /// Store answers that carry Set-Cookie as RFC 9111 allows; off, only `public` or `s-maxage` make them storable.
    pub store_set_cookie: bool,
    /// Whether Cache-Control of the request is honoured (RFC 9111 §5.2.1).
    pub client_cache_control: bool,
    /// Heuristic freshness (RFC 9111 §4.2.2); `None` is off, else the cap.
    pub heuristic: Option<Duration>,
    /// Serve stale on 500, 502, 503, 504 for this long after freshness ended (RFC 5861 §4), where the answer says nothing.
    pub stale_if_error: Duration,
}

#[derive(Clone, Debug)]
pub struct RouteWebSocket {
    pub enabled: bool,
    pub origins: Origins,
    pub idle_timeout: Duration,
}

/// Which Origin may open a tunnel (RFC 6455 §10.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// A foreign Origin is refused only when the handshake carries cookies.
    Default,
    Any,
    SameHost,
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
=======
#[cfg(test)]
mod tests;
>>>>>>> config
