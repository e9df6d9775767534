//! `[upstreams.NAME]` and its servers.

use std::time::Duration;

use crate::config::{
    Balance, UpstreamProtocol,
    shape::{Either, Named, OneOrMany, OrOff},
    text::{Backend, CertificateName, FieldName, FilePath},
    value::{Period, Whole},
};

settings! {
    /// A group of servers that give the same service.
    pub(super) struct Upstream {
        /// Where they are: `host:port`, `http://host`, `https://host`, `unix:/path`, or tables with `address`,
        /// `weight` and `max_tunnels`.
        servers: OneOrMany<ServerText> = needed,
        /// How a server is chosen.
        balance: Balance = { Balance::RoundRobin },
        /// What keeps a client with one server, or `"off"`.
        sticky: Sticky = optional,
        /// TLS to the servers, with verification: `true`, or a table. `https://` says the same.
        tls: Either<bool, Tls> = optional,
        /// What is spoken to the servers.
        protocol: UpstreamProtocol = { UpstreamProtocol::Http1 },
        /// To connect, with TLS also to shake hands.
        connect_timeout: Period<false> = { Period(Duration::from_secs(5)) },
        /// From the whole request sent to the head of the answer, or `"off"`.
        answer_timeout: OrOff<Period<false>> = { OrOff(Some(Period(Duration::from_secs(5 * 60)))) },
        /// Between two pieces of the answer's body, or `"off"`.
        read_timeout: OrOff<Period<false>> = { OrOff(None) },
        /// How long an unused connection is kept; less where the backend says so (`Keep-Alive: timeout=5`).
        idle_timeout: Period<true> = { Period(Duration::from_secs(60)) },
        /// Unused connections kept to each server by each worker thread.
        idle_connections: Whole<0, 100_000> = { Whole(64) },
        /// Further servers that are tried when one can't be connected to.
        retries: Whole<0, 100> = { Whole(2) },
        /// Open tunnels to each server, or `"off"`. A full server is passed over; when all are, the answer is 503 with
        /// `Retry-After`.
        max_tunnels: MaxTunnels = { OrOff(None) },
    }
}

/// A server in either way of writing.
pub(in crate::config) type ServerText = Either<Backend, Server>;

table! {
    /// A server with settings of its own.
    pub(super) struct Server {
        /// As in `servers`.
        address: Backend = required,
        /// Its share, compared to the others'.
        weight: Whole<1, 1000> = { Whole(1) },
        /// Open tunnels to this server, or `"off"`; by default as the upstream's.
        max_tunnels: MaxTunnels = optional,
    }
}

/// A bound on the tunnels of one server.
pub(in crate::config) type MaxTunnels = OrOff<Whole<1, 100_000_000>>;

/// Stickiness in either way of writing.
pub(in crate::config) type Sticky = Either<StickyWord, StickyTable>;

/// Stickiness that needs no name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum StickyWord {
    Cookie,
    SourceAddress,
    Off,
}

choice! {
    /// Ways to know a client again.
    StickyWord {
        "cookie" => StickyWord::Cookie: "a cookie that the gateway sets",
        "source-address" => StickyWord::SourceAddress: "the client's IP address",
        "off" => StickyWord::Off: "nothing: any server will do",
    }
}

settings! {
    /// Stickiness by a cookie or a field of a given name: one of the two.
    pub(super) struct StickyTable {
        /// Name of the cookie that the gateway sets.
        cookie: FieldName = optional,
        /// Name of a request field that tells clients apart.
        field: FieldName = optional,
    }
}

settings! {
    /// TLS to the servers.
    pub(super) struct Tls {
        /// The name to ask for and to verify; by default the servers' host name.
        server_name: CertificateName = optional,
        /// `false` believes any certificate: for tests only.
        verify: bool = { true },
        /// PEM file of the authorities to trust instead of the system's.
        ca: FilePath = optional,
    }
}

choice! {
    /// Ways to choose a server.
    Balance {
        "round-robin" => Balance::RoundRobin: "each in turn, by weight",
        "least-load" => Balance::LeastLoad: "the one with the fewest requests in flight and open tunnels",
    }
}

choice! {
    /// Versions of HTTP to backends.
    UpstreamProtocol {
        "http1" => UpstreamProtocol::Http1: "HTTP/1.1",
        "http2" => UpstreamProtocol::Http2: "HTTP/2, with or without TLS",
    }
}

impl Named for Upstream {
    const OF: &'static str = "upstreams";
}
