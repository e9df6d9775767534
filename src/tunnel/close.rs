//! How a tunnel ended: one reason of a closed list, who brought it about, and what had passed.

use std::{io, time::Duration};

use super::{
    live::Totals,
    wire::{Breach, Farewell},
};

/// Why a tunnel ended. The word stands in the log and is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed first: with a Close frame, or with a clean end of its stream.
    ClientClose,
    /// The backend closed first, in the same sense.
    BackendClose,
    /// The client vanished: reset, timed out, a TLS stream cut short, or a stream that ended within a message.
    ClientGone,
    /// The backend vanished.
    BackendGone,
    /// The client's stream failed in another way, such as a broken TLS record.
    ClientError,
    /// The backend's stream failed in another way.
    BackendError,
    /// Nothing was said for the idle time.
    Idle,
    /// It had lived as long as its route lets tunnels live.
    Lifetime,
    /// A side sent nothing for too long after a Ping of ours.
    PongTimeout,
    /// The client sent a larger message than its route takes.
    MessageTooBig,
    /// The client sent more messages than its route takes.
    MessageRate,
    /// The client's bytes were no frames, where its route limits messages, and the backend did not mind.
    Protocol,
    /// The gateway, or a part of it, drains.
    Drain,
    /// An operator ended it.
    Kicked,
    /// Its route is not what it was when it opened.
    RouteChanged,
    /// What its handshake was let in with has expired.
    AuthExpired,
    /// The gateway waited no longer: for a drain to come to its end, or at its own.
    ShutdownCut,
}

/// One of the three that can end a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Who opened the tunnel.
    Client,
    /// Who accepted it.
    Backend,
    /// We ourselves.
    Gateway,
}

/// One of the two ends of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Client,
    Backend,
}

/// The end of one tunnel, for log and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub reason: CloseReason,
    /// Who sent the first Close frame; where there was none, who brought the end about.
    pub by: Party,
    /// The first Close frame of either side, or of our own; `None` when there was no such frame.
    pub farewell: Option<Farewell>,
    /// What has passed.
    pub totals: Totals,
    /// From its opening to its end; of an HTTP answer, from its request.
    pub duration: Duration,
}

impl Ended {
    /// The code of the first Close frame; 1005 for one without a code, `None` when there was no such frame.
    pub fn code(&self) -> Option<u16> {
        self.farewell.as_ref().map(|farewell| farewell.code)
    }
}

/// Close codes in few words, for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeClass {
    /// No Close frame was seen.
    None,
    /// 1000: the purpose is fulfilled.
    Normal,
    /// 1001: a page was left, a server goes down.
    GoingAway,
    /// 1005: a Close frame without a code.
    NoCode,
    /// Any other of RFC 6455 §7.4.1 and its registry, 1002 to 2999.
    Protocol,
    /// 3000 to 3999: libraries and frameworks.
    Registered,
    /// 4000 to 4999: applications.
    Private,
    /// No code at all by RFC 6455 §7.4.2.
    Invalid,
}

impl CloseReason {
    /// The word for metrics and logs, from a closed list.
    pub fn label(self) -> &'static str {
        match self {
            Self::ClientClose => "client-close",
            Self::BackendClose => "backend-close",
            Self::ClientGone => "client-gone",
            Self::BackendGone => "backend-gone",
            Self::ClientError => "client-io-error",
            Self::BackendError => "backend-io-error",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::PongTimeout => "pong-timeout",
            Self::MessageTooBig => "message-too-big",
            Self::MessageRate => "message-rate",
            Self::Protocol => "protocol",
            Self::Drain => "drain",
            Self::Kicked => "kicked",
            Self::RouteChanged => "route-changed",
            Self::AuthExpired => "auth-expired",
            Self::ShutdownCut => "shutdown-cut",
        }
    }

    /// Who brings about an end for this reason.
    pub fn by(self) -> Party {
        match self {
            Self::ClientClose | Self::ClientGone | Self::ClientError => Party::Client,
            Self::BackendClose | Self::BackendGone | Self::BackendError => Party::Backend,
            Self::Idle
            | Self::Lifetime
            | Self::PongTimeout
            | Self::MessageTooBig
            | Self::MessageRate
            | Self::Protocol
            | Self::Drain
            | Self::Kicked
            | Self::RouteChanged
            | Self::AuthExpired
            | Self::ShutdownCut => Party::Gateway,
        }
    }

    /// What both sides are told when the gateway ends a tunnel for this reason (RFC 6455 §7.4.1).
    pub(super) fn farewell(self) -> Farewell {
        self.farewell_or(SERVICE_RESTART)
    }

    /// The same, with another code where the end is nobody's fault.
    pub(super) fn farewell_or(self, usual: u16) -> Farewell {
        let code = match self {
            Self::MessageTooBig => MESSAGE_TOO_BIG,
            Self::MessageRate | Self::AuthExpired => POLICY_VIOLATION,
            Self::Protocol => PROTOCOL_ERROR,
            Self::BackendGone | Self::BackendError => BAD_GATEWAY,
            _ => usual,
        };
        Farewell::new(code, self.label())
    }
}

impl From<Breach> for CloseReason {
    fn from(breach: Breach) -> Self {
        match breach {
            Breach::MessageTooBig => Self::MessageTooBig,
            Breach::MessageRate => Self::MessageRate,
            Breach::NotFrames => Self::Protocol,
        }
    }
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }

    pub(super) fn party(self) -> Party {
        match self {
            Self::Client => Party::Client,
            Self::Backend => Party::Backend,
        }
    }

    /// Its stream ended: in order, or in the middle of something.
    pub(super) fn ended(self, in_order: bool) -> CloseReason {
        match self {
            _ if in_order => self.closed(),
            Self::Client => CloseReason::ClientGone,
            Self::Backend => CloseReason::BackendGone,
        }
    }

    /// It closed.
    pub(super) fn closed(self) -> CloseReason {
        match self {
            Self::Client => CloseReason::ClientClose,
            Self::Backend => CloseReason::BackendClose,
        }
    }

    /// Its connection failed: the peer is gone, or something else is wrong with it.
    pub(super) fn failed(self, error: &io::Error) -> CloseReason {
        match (self, is_gone(error.kind())) {
            (Self::Client, true) => CloseReason::ClientGone,
            (Self::Client, false) => CloseReason::ClientError,
            (Self::Backend, true) => CloseReason::BackendGone,
            (Self::Backend, false) => CloseReason::BackendError,
        }
    }
}

/// What a connection says when there is nobody at its other end. `UnexpectedEof` is TLS without its closing alert.
fn is_gone(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::*;
    matches!(
        kind,
        ConnectionReset
            | ConnectionAborted
            | NotConnected
            | BrokenPipe
            | WriteZero
            | UnexpectedEof
            | TimedOut
            | HostUnreachable
            | NetworkUnreachable
            | NetworkDown
    )
}

impl Party {
    /// The word for logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Gateway => "gateway",
        }
    }
}

impl CodeClass {
    /// The class of a Close code, or of its absence.
    pub fn of(code: Option<u16>) -> Self {
        match code {
            None => Self::None,
            Some(1000) => Self::Normal,
            Some(1001) => Self::GoingAway,
            Some(1005) => Self::NoCode,
            Some(1002..=2999) => Self::Protocol,
            Some(3000..=3999) => Self::Registered,
            Some(4000..=4999) => Self::Private,
            Some(_) => Self::Invalid,
        }
    }

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Normal => "1000",
            Self::GoingAway => "1001",
            Self::NoCode => "1005",
            Self::Protocol => "1xxx",
            Self::Registered => "3xxx",
            Self::Private => "4xxx",
            Self::Invalid => "invalid",
        }
    }
}

// RFC 6455 §7.4.1 and the registry that it founded (§11.7).
const PROTOCOL_ERROR: u16 = 1002;
const POLICY_VIOLATION: u16 = 1008;
const MESSAGE_TOO_BIG: u16 = 1009;
const SERVICE_RESTART: u16 = 1012;
const BAD_GATEWAY: u16 = 1014;
