//! How a tunnel ended: one reason of a closed list, who brought it about, and what had passed.

use std::{io, time::Duration};

/// Why a tunnel ended. The word stands in the log and is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed first: with a Close frame, or with a clean end of its stream.
    ClientClose,
    /// The backend closed first, in the same sense.
    BackendClose,
    /// The client vanished: reset, timed out, or a TLS stream cut short.
    ClientGone,
    /// The backend vanished.
    BackendGone,
    /// The client's stream failed in another way, such as a broken TLS record.
    ClientError,
    /// The backend's stream failed in another way.
    BackendError,
    /// No byte passed for the idle time.
    Idle,
    /// One side had closed, and then no byte passed for the linger time.
    Linger,
    /// The gateway asked both sides to go, because it drains.
    Drain,
    /// The gateway stopped and waited no longer.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Backend,
}

/// The end of one tunnel, for log and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub reason: CloseReason,
    /// Who sent the first Close frame; where there was none, who brought the end about.
    pub by: Party,
    /// The code of the first Close frame of either side; 1005 for one without a code, `None` when there was no such frame.
    pub code: Option<u16>,
    /// Bytes that the backend's socket took.
    pub bytes_up: u64,
    /// Bytes that the client's socket took.
    pub bytes_down: u64,
    /// From the 101 to the end.
    pub duration: Duration,
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
            Self::Linger => "linger",
            Self::Drain => "drain",
            Self::ShutdownCut => "shutdown-cut",
        }
    }

    /// Who brings about an end for this reason.
    pub fn by(self) -> Party {
        match self {
            Self::ClientClose | Self::ClientGone | Self::ClientError => Party::Client,
            Self::BackendClose | Self::BackendGone | Self::BackendError => Party::Backend,
            Self::Idle | Self::Linger | Self::Drain | Self::ShutdownCut => Party::Gateway,
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
