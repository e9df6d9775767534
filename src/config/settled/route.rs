//! Which requests go where, and what becomes of them on the way.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;

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

    /// The names of all fields that it has a say in.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let given = self.set.iter().chain(&self.add).map(|(name, _)| name);
        self.remove.iter().chain(given).map(String::as_str)
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
    /// What becomes of tunnels whose server is down.
    pub on_backend_down: OnBackendDown,
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

/// What becomes of tunnels whose server takes no connections any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBackendDown {
    /// They go on for as long as their own connections do.
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
