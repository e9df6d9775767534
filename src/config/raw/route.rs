//! `[[routes]]`: which requests, and what happens to them.

use std::path::Path;

use super::RouteCache;
use crate::config::{
    HostPattern, OnBackendDown,
    shape::{Either, Named, Names, OneOrMany, OrOff},
    text::{Edited, FieldName, FieldValue, Label, Method, Origin, PathPrefix, UpstreamText},
    value::{Period, Placed, Size, Text, Whole, Wrong},
};

settings! {
    /// One route.
    pub(super) struct Route {
        /// For metrics and logs; by default made of host and path.
        name: Label = optional,
        /// Which requests.
        r#match: Match = { Match::default() },
        /// Where they go: the name of an upstream or the address of a single backend. By default the file's `upstream`.
        upstream: UpstreamText = optional,
        /// Instead of an upstream: requests that came by http are sent to the same URL on https; those by https are left
        /// to the other routes.
        redirect: Redirect = optional,
        /// Taken off the front of the path before it goes to the backend: `true` for the matched path, or a path.
        strip_prefix: Either<bool, PathPrefix> = optional,
        /// Changes to the request's fields.
        request_fields: Edits = { Edits::default() },
        /// Changes to the answer's fields.
        response_fields: Edits = { Edits::default() },
        /// Largest body of a request, or `"off"`; by default `body` of `[limits]`.
        body_limit: OrOff<Size<0, { 1 << 50 }>> = optional,
        /// The cache for these requests: `true`, `false`, or a table.
        cache: Either<bool, RouteCache> = { Either::This(true) },
        /// WebSockets: `true`, `false`, or a table.
        websocket: Either<bool, WebSocket> = { Either::This(true) },
    }
}

settings! {
    /// Which requests a route takes: all that is given must hold.
    pub(super) struct Match {
        /// Host without port, or `*.example.com` for all names below: one or a list.
        host: OneOrMany<HostPattern> = optional,
        /// The beginning of the path, up to the end of a segment: `/app` takes `/app` and `/app/x`, not `/apple`.
        path: PathPrefix = { PathPrefix("/".to_owned()) },
        /// Methods; none means all.
        methods: OneOrMany<Method> = optional,
        /// Request fields that must be there: with a value, or with any (`true`).
        fields: Names<FieldCondition> = { Names(Vec::new()) },
    }
}

/// `true`, or the value that a field must have.
pub(in crate::config) type FieldCondition = Either<bool, FieldValue>;

settings! {
    /// Changes to fields, in this order: remove, set, add.
    pub(super) struct Edits {
        /// Names of fields to take out.
        remove: OneOrMany<Edited> = optional,
        /// Fields to leave with exactly this value.
        set: Names<FieldValue> = { Names(Vec::new()) },
        /// Fields to add a line of.
        add: Names<FieldValue> = { Names(Vec::new()) },
    }
}

settings! {
    /// WebSockets of a route.
    pub(super) struct WebSocket {
        /// `false` passes handshakes on as ordinary requests, without `Upgrade`.
        enabled: bool = { true },
        /// Pages of which origin may open one.
        origins: WordOrList = { Either::This(OriginsWord::Default) },
        /// A tunnel with no byte in either direction; by default `tunnel_idle` of `[timeouts]`. Noticed up to a second
        /// late.
        idle_timeout: Period<false> = optional,
        /// Whether Pings and Pongs alone keep a tunnel from being idle; the gateway's own never do.
        count_pings_as_activity: bool = { true },
        /// The longest that a tunnel is open, or `"off"`. Each is given up to a tenth less, so that tunnels that opened
        /// together do not end together.
        max_lifetime: OrOff<Period<false>> = { OrOff(None) },
        /// The largest message of a client, as it is on the wire, or `"off"`; above, the tunnel is closed with 1009.
        max_message: OrOff<Size<1, { 1 << 50 }>> = { OrOff(None) },
        /// Messages of a client in a second, as many at once, or `"off"`; above, the tunnel is closed with 1008.
        messages_per_second: OrOff<Whole<1, 1_000_000>> = { OrOff(None) },
        /// Open tunnels of this route, or `"off"`; above, the answer is 503 with `Retry-After`.
        max_connections: OrOff<Whole<1, 100_000_000>> = { OrOff(None) },
        /// Open tunnels of this route of one client address (of IPv6: of one /64), or `"off"`; above, the answer is 503.
        max_connections_per_client: OrOff<Whole<1, 100_000_000>> = { OrOff(None) },
        /// Handshakes of this route in a second, as many at once, or `"off"`; above, the answer is 503 with `Retry-After`.
        handshakes_per_second: OrOff<Whole<1, 1_000_000>> = { OrOff(None) },
        /// The same of one client address (of IPv6: of one /64).
        handshakes_per_second_per_client: OrOff<Whole<1, 1_000_000>> = { OrOff(None) },
        /// How often the gateway sends a Ping of its own to both sides, or `"off"`. Their Pongs go no further; the time that
        /// they take is counted.
        ping_interval: OrOff<Period<false>> = { OrOff(None) },
        /// A side that sends nothing for so long after such a Ping is gone.
        pong_timeout: Period<false> = { Period(std::time::Duration::from_secs(20)) },
        /// When the gateway ends a tunnel with Close frames: how long it waits for both sides to answer; by default
        /// `tunnel_close` of `[timeouts]`.
        close_timeout: Period<true> = optional,
        /// The code of Close frames for ends that are nobody's fault: a drain, an idle tunnel, its lifetime. To 1000 and 1001
        /// some clients do not come back.
        close_code: Whole<1000, 4999> = { Whole(1012) },
        /// A field of the backend's 101 that says when the session ends with which the tunnel was let in, or `"off"`: seconds
        /// from then on, an HTTP-date, or seconds since 1970. The tunnel is closed then. The client does not see the field; a
        /// 101 whose field can't be understood is a 502.
        session_field: OrOff<FieldName> = { OrOff(None) },
        /// The code of Close frames when the session has ended.
        session_code: Whole<1000, 4999> = { Whole(1008) },
        /// What becomes of tunnels when a reload changes their route, its upstream or what it asks of them. No
        /// command reloads the configuration yet.
        on_change: OnChange = { OnChange::Keep },
        /// What becomes of tunnels when their server is down: three connections to it in a row were refused, or not taken in
        /// time, whoever they were for. One that an operator drains loses its tunnels whatever stands here.
        on_backend_down: OnBackendDown = { OnBackendDown::Keep },
        /// Whether frame headers are read. `false` copies blindly: only bytes are counted, the other limits here do nothing,
        /// and what the gateway ends it ends without Close frames.
        observe: bool = { true },
    }
}

/// What a reload does with tunnels whose configuration has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum OnChange {
    Keep,
    Drain,
}

choice! {
    /// What becomes of tunnels whose server is down.
    OnBackendDown {
        "keep" => OnBackendDown::Keep: "they go on for as long as their own connections do",
        "drain" => OnBackendDown::Drain: "they are closed, at the drain's pace, to be opened anew elsewhere",
    }
}

choice! {
    /// What a reload does with tunnels whose configuration has changed.
    OnChange {
        "keep" => OnChange::Keep: "they go on as they were opened",
        "drain" => OnChange::Drain: "they are closed, at the drain's pace, to be opened anew",
    }
}

/// Origins in either way of writing.
pub(in crate::config) type WordOrList = Either<OriginsWord, Vec<Placed<Origin>>>;

/// A rule for origins that needs no list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum OriginsWord {
    Default,
    Any,
    SameHost,
}

choice! {
    /// Rules for origins.
    OriginsWord {
        "default" => OriginsWord::Default: "a foreign origin is refused if the handshake carries cookies other than the gateway's own",
        "any" => OriginsWord::Any: "every origin",
        "same-host" => OriginsWord::SameHost: "only pages of the same host",
    }
}

/// Where a route sends the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::config) enum Redirect {
    Https,
}

choice! {
    /// Where a route sends the client.
    Redirect {
        "https" => Redirect::Https: "the same URL on https",
    }
}

impl Named for FieldCondition {
    const OF: &'static str = "field names, each with a value or `true`";

    fn check_name(name: &str) -> Result<(), Wrong> {
        FieldName::parse(name, Path::new("")).map(drop)
    }
}

impl Named for FieldValue {
    const OF: &'static str = "field names, each with its value";

    fn check_name(name: &str) -> Result<(), Wrong> {
        Edited::parse(name, Path::new("")).map(drop)
    }
}
