//! The tables of the gateway as a whole.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::config::{
    ListenAddress, LogFormat, LogTarget, TlsVersion,
    shape::{OneOrMany, OrOff},
    text::{AdminAddress, FieldName, FilePath, HostName},
    value::{Period, Placed, Size, Whole},
};

table! {
    /// An address to listen on, with settings of its own.
    pub(super) struct Listener {
        /// IP address and port, or `unix:/path`.
        address: ListenAddress = required,
        /// Certificates with their keys. The first answers for names that no other covers.
        tls: Vec<Placed<Pair>> = optional,
        /// The oldest version of TLS that is spoken: `"1.2"` by default.
        minimum_tls: TlsVersion = optional,
        /// HTTP/2 without TLS, by prior knowledge.
        h2c: bool = { false },
        /// HTTP/2 over TLS, agreed on by ALPN.
        http2: bool = { true },
    }
}

table! {
    /// A certificate and its key. Of several, the first answers for names that no other covers.
    pub(super) struct Pair {
        /// PEM file of the certificate, followed by those that lead to the authority.
        certificate: FilePath = required,
        /// PEM file of the key.
        key: FilePath = required,
    }
}

settings! {
    /// The operators' listener: `/metrics`, `/live`, `/ready`.
    pub(super) struct Admin {
        /// IP address and port, or `"off"`.
        listen: OrOff<AdminAddress> = { OrOff(Some(AdminAddress(ADMIN_LISTEN))) },
        /// Names under which it may be asked for: one or a list, without port. IP addresses, `localhost`, the machine's own
        /// name and `tidegate` always may; every other name is refused, so that no web page can reach it.
        hosts: OneOrMany<HostName> = { OneOrMany(Vec::new()) },
    }
}

settings! {
    /// The access log.
    pub(super) struct AccessLog {
        /// Where to: `"stdout"`, `"off"` or a file.
        path: LogTarget = { LogTarget::Stdout },
        /// How a line looks.
        format: LogFormat = { LogFormat::Combined },
        /// Lines that may wait for the writer. Further ones are dropped and counted: a slow disk holds no request up.
        queue: Whole<1, 10_000_000> = { Whole(8192) },
    }
}

settings! {
    /// Bounds. Each time one is hit is counted in `tidegate_limit_hits_total`.
    pub(super) struct Limits {
        /// Open client connections in all.
        connections: Whole<1, COUNT_MAX> = { Whole(65_536) },
        /// Open client connections of one address (of IPv6: of one /64).
        connections_per_address: Whole<1, COUNT_MAX> = { Whole(4096) },
        /// A request's head; above, the answer is 431.
        head: Size<1024, HEAD_MAX> = { Size(32 << 10) },
        /// A request's target; above, the answer is 414.
        target: Size<256, HEAD_MAX> = { Size(8 << 10) },
        /// Field lines of a request; above, the answer is 431.
        fields: Whole<8, 10_000> = { Whole(100) },
        /// A request's body, unless the route says otherwise; above, the answer is 413.
        body: OrOff<Size<0, MEMORY_MAX>> = { OrOff(Some(Size(128 << 20))) },
        /// Bytes of a request's body that must arrive each second; slower ones are given up. `0` asks for none.
        body_rate: Size<0, MEMORY_MAX> = { Size(1024) },
        /// How long a body may be slower than that at first.
        body_rate_grace: Period<true> = { Period(Duration::from_secs(10)) },
        /// The head of a backend's answer; above, the client gets 502.
        answer_head: Size<1024, HEAD_MAX> = { Size(64 << 10) },
        /// Requests at a time on one HTTP/2 connection.
        http2_streams: Whole<1, 10_000> = { Whole(128) },
        /// Bytes of answers, and of tunnels over HTTP/2, that wait for clients to take them, in all. Past it, backends are
        /// read less far ahead of their clients: slower, in less memory for each.
        unsent: Size<0, MEMORY_MAX> = { Size(64 << 20) },
        /// Open tunnels in all, or `"off"`; above, the answer is 503 with `Retry-After`.
        tunnels: OrOff<Whole<1, COUNT_MAX>> = { OrOff(None) },
        /// Tunnels that a drain closes in a second, those that were silent longest first. They come back elsewhere as fast.
        drain_rate: Whole<1, 1_000_000> = { Whole(200) },
    }
}

settings! {
    /// Deadlines. Those of the backends' side stand at the upstream.
    pub(super) struct Timeouts {
        /// The whole TLS handshake.
        tls_handshake: Period<false> = { Period(Duration::from_secs(10)) },
        /// The whole head of a request, from its first byte; above, the answer is 408.
        head: Period<false> = { Period(Duration::from_secs(10)) },
        /// Between two requests on a connection.
        keep_alive: Period<false> = { Period(Duration::from_secs(75)) },
        /// A write to the client that makes no progress.
        send: Period<false> = { Period(Duration::from_secs(60)) },
        /// A tunnel with no byte in either direction. Noticed up to a second late.
        tunnel_idle: Period<false> = { Period(Duration::from_secs(60 * 60)) },
        /// A tunnel's second direction, after the first has ended.
        tunnel_linger: Period<true> = { Period(Duration::from_secs(30)) },
        /// When the gateway ends a tunnel with Close frames: how long it waits for both ends to answer.
        tunnel_close: Period<true> = { Period(Duration::from_secs(5)) },
        /// A drain: what has not ended by then is cut.
        tunnel_drain: Period<true> = { Period(Duration::from_secs(30)) },
        /// From the stop signal to the end of the process.
        shutdown: Period<true> = { Period(Duration::from_secs(30)) },
    }
}

settings! {
    /// What is told about the way. `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` are always set.
    pub(super) struct Forward {
        /// `Forwarded` (RFC 7239) beside `X-Forwarded-*`.
        forwarded: bool = { false },
        /// `Via` (RFC 9110 §7.6.3), both ways. Some backends don't compress for requests that carry it.
        via: bool = { false },
        /// The field that carries a request's id to the backend, or `"off"`. It is the id of the access log and of error pages.
        request_id: OrOff<FieldName> = { OrOff(Some(FieldName("X-Request-Id".to_owned()))) },
    }
}

choice! {
    /// Versions of TLS.
    TlsVersion {
        "1.2" => TlsVersion::Tls12: "TLS 1.2 and 1.3",
        "1.3" => TlsVersion::Tls13: "TLS 1.3 only",
    }
}

choice! {
    /// Looks of an access log's line.
    LogFormat {
        "combined" => LogFormat::Combined: "the format that web servers have in common",
        "json" => LogFormat::Json: "one object a line",
    }
}

const ADMIN_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// A pebibyte: more than any machine's memory or any body.
pub(super) const MEMORY_MAX: u64 = 1 << 50;
const HEAD_MAX: u64 = 1 << 20;
const COUNT_MAX: u64 = 100_000_000;
