//! The file as it is written: one type for each table, each key with its documentation and its default.
//!
//! This side of the border knows what was written and where. What it means together (references, overlaps, defaults
//! that depend on other keys) is `resolve`'s.

mod cache;
mod gateway;
mod route;
mod upstream;

pub(super) use cache::{
    Cache, ClientCacheControl, Key, Query, QueryTable, QueryWord, RangeFill, RouteCache, SNAPSHOT_BYTES, SNAPSHOT_TIME,
    SetCookie, Snapshot, SnapshotText,
};
pub(super) use gateway::{AccessLog, Admin, Forward, Limits, Listener, Pair, Timeouts};
pub(super) use route::{Edits, Match, OnChange, OriginsWord, Redirect, Route, WebSocket};
pub(super) use upstream::{MaxTunnels, Server, ServerText, Sticky, StickyTable, StickyWord, Tls, Upstream};

use super::{
    ListenAddress,
    shape::{Names, OneOrMany},
    text::{Network, UpstreamText},
    value::{Placed, Whole},
};

settings! {
    /// Tidegate's configuration.
    pub(super) struct File {
        /// Addresses to listen on without TLS, with default settings: one or a list. `0.0.0.0:8080` unless there is a
        /// `[[listener]]`.
        listen: OneOrMany<ListenAddress> = optional,
        /// Where requests go that no route takes, and the upstream of routes that name none: the name of an upstream or
        /// the address of a single backend.
        upstream: UpstreamText = optional,
        /// Worker threads; by default one for each processor that may be used.
        threads: Whole<1, 1024> = optional,
        /// Networks of proxies in front whose `X-Forwarded-*` and `Forwarded` are believed.
        trusted_proxies: Vec<Placed<Network>> = { Vec::new() },
        /// One address with settings of its own, such as TLS.
        listener: Vec<Placed<Listener>> = { Vec::new() },
        /// Metrics and health for operators.
        admin: Admin = { Admin::default() },
        /// Memory for answers that may be given again.
        cache: Cache = { Cache::default() },
        /// One line for each request, two for each tunnel.
        access_log: AccessLog = { AccessLog::default() },
        /// Bounds on what clients and backends may send and hold.
        limits: Limits = { Limits::default() },
        /// Deadlines of the clients' side and of stopping.
        timeouts: Timeouts = { Timeouts::default() },
        /// What is told to backends and clients about the way.
        forward: Forward = { Forward::default() },
        /// A named group of servers that give the same service.
        upstreams: Names<Upstream> = { Names(Vec::new()) },
        /// Which requests, and what happens to them. The longest path of the most exact host wins.
        routes: Vec<Placed<Route>> = { Vec::new() },
    }
}
