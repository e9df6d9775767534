//! What a route asks of its tunnels, settled; all tunnels of a route share one.

use std::time::Duration;

use tokio::time::Instant;

use super::{close::CloseReason, wire::Farewell};
use crate::{
    config::{RouteWebSocket, Timeouts},
    net::socket::UNACKNOWLEDGED_MAX,
};

/// What a route asks of its tunnels.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// With nothing said in either direction the tunnel ends.
    pub idle: Duration,
    /// The same, once one side has ended its stream or sent a Close frame.
    pub linger: Duration,
    /// When the gateway closes: for the frames in flight to end, and again for both sides to answer our Close frame.
    pub close: Duration,
    /// How long a TCP peer may leave bytes unacknowledged, or take none, before it counts as gone.
    pub send: Duration,
    /// The longest that a tunnel lives; each has up to a tenth less, so that those that came together do not go together.
    pub lifetime: Option<Duration>,
    /// Bytes of a client's largest message.
    pub message_bytes: Option<u64>,
    /// Messages of a client in a second.
    pub messages_per_second: Option<u32>,
    /// Whether and how the gateway asks both sides if they are still there.
    pub pings: Option<Pings>,
    /// Whether control frames alone keep a tunnel from being idle.
    pub count_pings: bool,
    /// The code of Close frames for ends that are nobody's fault: drain, idle, lifetime.
    pub close_code: u16,
    /// The code of Close frames when the session has ended.
    pub session_code: u16,
    /// When the session ends that this tunnel was let in with; no term of a route, so that a tunnel that has one does not
    /// share its terms.
    pub session_ends: Option<Instant>,
    /// Whether frame headers are read at all. Without, nothing is counted but bytes, and ends have no Close frames.
    pub observe: bool,
}

/// How the gateway asks whether a side is still there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pings {
    /// From one Ping to the next.
    pub every: Duration,
    /// A side that sends nothing for so long after a Ping is gone.
    pub answer: Duration,
}

impl Terms {
    /// Of a route's tunnels.
    pub fn new(route: &RouteWebSocket, timeouts: &Timeouts) -> Self {
        Self {
            idle: route.idle_timeout,
            linger: timeouts.tunnel_linger,
            close: route.close_timeout,
            send: UNACKNOWLEDGED_MAX,
            lifetime: route.max_lifetime,
            message_bytes: route.max_message,
            messages_per_second: route.messages_per_second,
            pings: route.ping_interval.map(|every| Pings { every, answer: route.pong_timeout }),
            count_pings: route.count_pings_as_activity,
            close_code: route.close_code,
            session_code: route.session_code,
            session_ends: None,
            observe: route.observe,
        }
    }

    /// The same for one tunnel, whose session lasts so long from now on.
    pub fn with_session(&self, left: Duration) -> Self {
        Self { session_ends: Some(Instant::now() + left), ..self.clone() }
    }

    /// What both sides are told when the gateway ends a tunnel for this reason.
    pub(super) fn farewell(&self, reason: CloseReason) -> Farewell {
        match reason {
            CloseReason::AuthExpired => Farewell::new(self.session_code, reason.label()),
            _ => reason.farewell_or(self.close_code),
        }
    }
}
