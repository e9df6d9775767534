//! Servers that requests go to.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

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

impl std::fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
