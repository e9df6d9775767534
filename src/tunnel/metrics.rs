//! What is counted of tunnels: open now, handshakes, ends with their reasons, how long, how much.
//!
//! Label values come from closed lists: routes and upstreams of the configuration, and the words of our own enums.

use std::sync::Arc;

use super::{
    close::{CloseReason, CodeClass, Ended},
    stop::{StopSignal, Stopper},
};
use crate::metrics::{Family, GaugeFamily, GaugeFamilyGuard, HistogramFamily, Registry, buckets::TUNNEL_SECONDS};

/// Names by index.
type Names = Arc<[Arc<str>]>;

/// Every tunnel of the gateway: counted, and told when to end. Cheap to clone.
#[derive(Clone)]
pub struct Tunnels {
    handles: Arc<Handles>,
    stopper: Stopper,
}

struct Handles {
    connections: Arc<GaugeFamily<Place>>,
    handshakes: Arc<Family<(usize, HandshakeResult)>>,
    closed: Arc<Family<(usize, CloseReason, CodeClass)>>,
    duration: Arc<HistogramFamily<usize>>,
    bytes: Arc<Family<(usize, Course)>>,
}

/// Which route and upstream a tunnel belongs to, as indices into the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    route: usize,
    upstream: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Course {
    Up,
    Down,
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
    /// A limit or a drain stood against it (429, 503).
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

/// One open tunnel. Holds the gauge one higher for as long as it lives, whatever ends it.
pub struct Open {
    handles: Arc<Handles>,
    pub(super) stop: StopSignal,
    _held: GaugeFamilyGuard<Place>,
    route: usize,
    counted_up: u64,
    counted_down: u64,
    ended: bool,
}

impl Tunnels {
    /// None is open yet. Declares the metrics; `routes` and `upstreams` are the names for the indices that are counted with.
    pub fn new(registry: &Registry, routes: &[Arc<str>], upstreams: &[Arc<str>], stopper: Stopper) -> Self {
        let (routes, upstreams) = (Names::from(routes), Names::from(upstreams));
        let names = Arc::clone(&routes);
        let connections = registry.gauge_family(
            "tidegate_websocket_connections",
            "Tunnels open now.",
            &["route", "upstream"],
            move |place: &Place| vec![name(&names, place.route), name(&upstreams, place.upstream)],
        );
        let names = Arc::clone(&routes);
        let handshakes = registry.family(
            "tidegate_websocket_handshakes_total",
            "Requests for a tunnel, by what became of them.",
            &["route", "result"],
            move |(route, result): &(usize, HandshakeResult)| vec![name(&names, *route), result.label().to_owned()],
        );
        let names = Arc::clone(&routes);
        let closed = registry.family(
            "tidegate_websocket_connections_closed_total",
            "Tunnels that have ended, by reason and by class of the first Close frame's code.",
            &["route", "reason", "code_class"],
            move |(route, reason, class): &(usize, CloseReason, CodeClass)| {
                vec![name(&names, *route), reason.label().to_owned(), class.label().to_owned()]
            },
        );
        let names = Arc::clone(&routes);
        let duration = registry.histogram_family(
            "tidegate_websocket_connection_duration_seconds",
            "How long tunnels were open, counted at their end.",
            &["route"],
            TUNNEL_SECONDS,
            move |route: &usize| vec![name(&names, *route)],
        );
        let bytes = registry.family(
            "tidegate_websocket_bytes_total",
            "Bytes passed on through tunnels; direction up is to the backend. A busy tunnel is counted every second.",
            &["route", "direction"],
            move |(route, course): &(usize, Course)| vec![name(&routes, *route), course.label().to_owned()],
        );
        Self { handles: Arc::new(Handles { connections, handshakes, closed, duration, bytes }), stopper }
    }

    /// Counts a request for a tunnel that did not open one.
    pub fn refused(&self, route: usize, result: HandshakeResult) {
        self.handles.handshakes.add((route, result), 1);
    }

    /// Counts a tunnel as open from now on.
    pub fn open(&self, route: usize, upstream: usize) -> Open {
        self.handles.handshakes.add((route, HandshakeResult::Opened), 1);
        Open {
            handles: Arc::clone(&self.handles),
            stop: self.stopper.signal(),
            _held: self.handles.connections.hold(Place { route, upstream }),
            route,
            counted_up: 0,
            counted_down: 0,
            ended: false,
        }
    }
}

impl Open {
    /// How much has passed so far, in all.
    pub(super) fn count(&mut self, bytes_up: u64, bytes_down: u64) {
        let route = self.route;
        self.handles.bytes.add((route, Course::Up), bytes_up - self.counted_up);
        self.handles.bytes.add((route, Course::Down), bytes_down - self.counted_down);
        (self.counted_up, self.counted_down) = (bytes_up, bytes_down);
    }

    /// How the tunnel ended; the gauge goes down with the drop.
    pub(super) fn end(&mut self, ended: &Ended) {
        self.count(ended.bytes_up, ended.bytes_down);
        self.close(ended.reason, ended.code);
        self.handles.duration.observe_duration(self.route, ended.duration);
    }

    fn close(&mut self, reason: CloseReason, code: Option<u16>) {
        self.handles.closed.add((self.route, reason, CodeClass::of(code)), 1);
        self.ended = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.ended {
            // Nobody but a runtime that goes down drops a tunnel before its end.
            self.close(CloseReason::ShutdownCut, None);
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

/// The name at an index. Indices are the configuration's own; one beyond the names would show as an empty label.
fn name(names: &[Arc<str>], index: usize) -> String {
    names.get(index).map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
