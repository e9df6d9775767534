//! What is counted of tunnels: open now, handshakes, ends with their reasons, how long, how much, how far away.
//!
//! Label values come from closed lists: routes and upstreams of the configuration, and the words of our own enums. A
//! tunnel counts for itself and tells its numbers here about once a second while it is busy, and at its end.

use std::sync::Arc;

use super::{
    close::{CloseReason, CodeClass, Side},
    live::State,
    wire::{Counts, NotFrames},
};
use crate::metrics::{
    Family, GaugeFamily, HistogramFamily, Registry,
    buckets::{BYTES, DURATION_SECONDS, TUNNEL_SECONDS},
};

/// The handles of every tunnel.
pub(super) struct Metrics {
    pub(super) connections: Arc<GaugeFamily<Place>>,
    pub(super) answers: Arc<GaugeFamily<usize>>,
    pub(super) handshakes: Arc<Family<(usize, HandshakeResult)>>,
    pub(super) closed: Arc<Family<(usize, CloseReason, CodeClass)>>,
    pub(super) duration: Arc<HistogramFamily<usize>>,
    pub(super) round_trip: Arc<HistogramFamily<(usize, Side)>>,
    pub(super) not_frames: Arc<Family<(usize, NotFrames)>>,
    bytes: Arc<Family<(usize, Course)>>,
    messages: Arc<Family<(usize, Course, Said)>>,
    sizes: Arc<HistogramFamily<(usize, Course)>>,
}

/// Where a tunnel is counted: route and upstream, as indices into the configuration, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) route: usize,
    pub(super) upstream: usize,
    pub(super) state: State,
}

/// The two ways through a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Course {
    Up,
    Down,
}

/// What peers say.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Said {
    Text,
    Binary,
    Ping,
    Pong,
}

/// What became of a request for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeResult {
    /// The tunnel opened.
    Opened,
    /// The request was no right handshake (400, 426).
    Invalid,
    /// The Origin was not let in (403).
    Origin,
    /// A limit, a drain or an operator stood against it (503).
    Limited,
    /// The backend answered otherwise, and its answer was passed on.
    Declined,
    /// The backend said 101 and did not mean this handshake (502).
    BadSwitch,
    /// No backend could be reached, or it answered nothing useful (502, 504).
    BackendFailed,
    /// The client went away before there was an answer.
    ClientGone,
}

/// Names by index.
type Names = Arc<[Arc<str>]>;

impl Metrics {
    pub(super) fn register(registry: &Registry, routes: &[Arc<str>], upstreams: &[Arc<str>]) -> Self {
        let (names, upstreams) = (Names::from(routes), Names::from(upstreams));
        let routes = || Arc::clone(&names);
        Self {
            connections: {
                let names = routes();
                registry.gauge_family(
                    "tidegate_websocket_connections",
                    "Tunnels now: `connecting`, whose handshake is under way; `open`; `draining`, which will be told to go in their turn; `closing`, which have been told and have not gone yet.",
                    &["route", "upstream", "state"],
                    move |place: &Place| {
                        let state = place.state.label().to_owned();
                        vec![name(&names, place.route), name(&upstreams, place.upstream), state]
                    },
                )
            },
            answers: {
                let names = routes();
                registry.gauge_family(
                    "tidegate_http_long_answers",
                    "HTTP answers that have been open for more than five seconds: streams of events, long polls, large downloads.",
                    &["route"],
                    move |route: &usize| vec![name(&names, *route)],
                )
            },
            handshakes: {
                let names = routes();
                registry.family(
                    "tidegate_websocket_handshakes_total",
                    "Requests for a tunnel, by what became of them.",
                    &["route", "result"],
                    move |(route, result): &(usize, HandshakeResult)| {
                        vec![name(&names, *route), result.label().to_owned()]
                    },
                )
            },
            closed: {
                let names = routes();
                registry.family(
                    "tidegate_websocket_connections_closed_total",
                    "Tunnels that have ended, by reason and by class of the first Close frame's code.",
                    &["route", "reason", "code_class"],
                    move |(route, reason, class): &(usize, CloseReason, CodeClass)| {
                        vec![name(&names, *route), reason.label().to_owned(), class.label().to_owned()]
                    },
                )
            },
            duration: {
                let names = routes();
                registry.histogram_family(
                    "tidegate_websocket_connection_duration_seconds",
                    "How long tunnels were open, counted at their end.",
                    &["route"],
                    TUNNEL_SECONDS,
                    move |route: &usize| vec![name(&names, *route)],
                )
            },
            round_trip: {
                let names = routes();
                registry.histogram_family(
                    "tidegate_websocket_round_trip_seconds",
                    "From a Ping of the gateway to its Pong, by the side that answered; see `ping_interval` of the route.",
                    &["route", "side"],
                    DURATION_SECONDS,
                    move |(route, side): &(usize, Side)| vec![name(&names, *route), side.party().label().to_owned()],
                )
            },
            not_frames: {
                let names = routes();
                registry.family(
                    "tidegate_websocket_unobserved_total",
                    "Directions of tunnels whose bytes turned out not to be WebSocket frames, by what was wrong. They are carried all the same; when this rises, a peer is broken or speaks something else.",
                    &["route", "reason"],
                    move |(route, reason): &(usize, NotFrames)| vec![name(&names, *route), reason.label().to_owned()],
                )
            },
            bytes: {
                let names = routes();
                registry.family(
                    "tidegate_websocket_bytes_total",
                    "Bytes passed on through tunnels; direction up is to the backend. A busy tunnel is counted every second.",
                    &["route", "direction"],
                    move |(route, course): &(usize, Course)| vec![name(&names, *route), course.label().to_owned()],
                )
            },
            messages: {
                let names = routes();
                registry.family(
                    "tidegate_websocket_messages_total",
                    "Whole messages, Pings and Pongs passed on through tunnels; direction up is to the backend.",
                    &["route", "direction", "opcode"],
                    move |(route, course, said): &(usize, Course, Said)| {
                        vec![name(&names, *route), course.label().to_owned(), said.label().to_owned()]
                    },
                )
            },
            sizes: {
                let names = routes();
                registry.histogram_family(
                    "tidegate_websocket_message_bytes",
                    "Sizes of whole messages as they were on the wire, perhaps compressed.",
                    &["route", "direction"],
                    BYTES,
                    move |(route, course): &(usize, Course)| vec![name(&names, *route), course.label().to_owned()],
                )
            },
        }
    }

    /// Counts what has passed in one direction.
    pub(super) fn traffic(&self, route: usize, course: Course, counts: &Counts) {
        let tally = &counts.tally;
        let messages = [
            (Said::Text, tally.text),
            (Said::Binary, tally.binary),
            (Said::Ping, tally.pings),
            (Said::Pong, tally.pongs),
        ];
        for (said, count) in messages.into_iter().filter(|(_, count)| *count > 0) {
            self.messages.add((route, course, said), count);
        }
        if tally.bytes > 0 {
            self.bytes.add((route, course), tally.bytes);
        }
        if tally.messages() > 0 {
            self.sizes.merge((route, course), &counts.sizes, counts.message_bytes as f64);
        }
    }
}

impl HandshakeResult {
    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Invalid => "invalid",
            Self::Origin => "origin",
            Self::Limited => "limited",
            Self::Declined => "declined",
            Self::BadSwitch => "bad_switch",
            Self::BackendFailed => "backend_failed",
            Self::ClientGone => "client_gone",
        }
    }
}

impl Course {
    fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl Said {
    fn label(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }
}

/// The name at an index. Indices are the configuration's own; one beyond the names would show as an empty label.
fn name(names: &[Arc<str>], index: usize) -> String {
    names.get(index).map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
