//! What can go wrong with a backend, named, and whose fault it is.

use std::{io, sync::Arc};

use crate::wire::{BadAnswer, BadBody};

/// Why an exchange with a backend failed. All of it is the backend's side, or lies on the way to it; the client's failures
/// are the gateway's.
#[derive(Clone, Debug)]
pub enum Failure {
    /// No connection: refused, unreachable, TLS refused.
    Connect(Arc<str>),
    /// No connection can be begun here: this machine has no descriptor, port or memory left for it.
    Local(Arc<str>),
    /// The server's name leads to no address.
    Name(Arc<str>),
    /// No connection within `connect_timeout`.
    ConnectTimeout,
    /// No server is left to try.
    NoServer,
    /// Every server that is left has as many tunnels as it may have.
    Full,
    /// Every server that is left was taken out by an operator.
    TakenOut,
    /// The connection ended before an answer.
    Closed {
        /// It had carried an exchange before.
        reused: bool,
    },
    /// The backend has surely not looked at the request (RFC 9113 §6.8, §8.7).
    Unseen,
    /// Reading or writing failed.
    Io(io::ErrorKind),
    /// No head within `answer_timeout`.
    AnswerTimeout,
    /// No further piece of the body within `read_timeout`.
    ReadTimeout,
    /// A head that can't be understood in one way only.
    BadAnswer(BadAnswer),
    /// A body whose framing is wrong.
    BadBody(BadBody),
    /// More than `INTERIM_MAX` interim answers in front of one answer (RFC 9110 §15.2).
    TooManyInterim,
    /// 101 that nobody asked for (RFC 9110 §15.2.2).
    UnaskedSwitch,
    /// 101 whose fields don't answer the handshake (RFC 6455 §4.1).
    BadSwitch,
    /// The stream or its connection was reset (RFC 9113 §7).
    Http2(h2::Reason),
}

/// Interim answers passed in front of one final answer.
pub const INTERIM_MAX: usize = 16;

impl Failure {
    /// The status for the client when nothing was sent yet (RFC 9110 §15.6.3 to §15.6.5).
    pub fn status(&self) -> u16 {
        match self {
            Self::ConnectTimeout | Self::AnswerTimeout | Self::ReadTimeout => 504,
            Self::Full | Self::TakenOut | Self::Local(_) => 503,
            _ => 502,
        }
    }

    /// The word for metrics and logs, from a closed list.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Local(_) => "local",
            Self::Name(_) => "name",
            Self::ConnectTimeout => "connect_timeout",
            Self::NoServer => "no_server",
            Self::Full => "max_tunnels",
            Self::TakenOut => "taken_out",
            Self::Closed { .. } | Self::Unseen => "closed",
            Self::Io(_) => "io",
            Self::AnswerTimeout => "answer_timeout",
            Self::ReadTimeout => "read_timeout",
            Self::BadAnswer(_) => "bad_answer",
            Self::BadBody(_) => "bad_body",
            Self::TooManyInterim => "too_many_interim",
            Self::UnaskedSwitch => "unasked_switch",
            Self::BadSwitch => "bad_switch",
            Self::Http2(_) => "http2",
        }
    }

    /// Whether another server may be tried: nothing was sent to this one.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Local(_) | Self::Name(_)) || self.is_refusal()
    }

    /// Whether it lies in what the server said, which nobody knows the reason of who sees a 502.
    pub(super) fn is_bad_answer(&self) -> bool {
        let is_bad = matches!(self, Self::BadAnswer(_) | Self::BadBody(_) | Self::Http2(_));
        is_bad || matches!(self, Self::TooManyInterim | Self::UnaskedSwitch)
    }

    /// Whether the server is to blame that there is no connection.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::ConnectTimeout)
    }

    /// Of what happened at two addresses of one server, what says more of it: that it refuses, rather than that its other
    /// address can't be had from here, as an IPv6 one where there is no IPv6.
    pub(super) fn or(self, later: Self) -> Self {
        if self.is_refusal() && !later.is_refusal() { self } else { later }
    }

    /// Whether the same request may be sent again when it is idempotent: a kept connection was dead and no byte of an
    /// answer came (RFC 9110 §9.2.2).
    pub fn is_stale_connection(&self) -> bool {
        matches!(self, Self::Closed { reused: true } | Self::Unseen)
    }

    /// Whether any request may be sent again, as long as it is still there to be sent.
    pub fn is_unseen(&self) -> bool {
        matches!(self, Self::Unseen)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

impl From<BadAnswer> for Failure {
    fn from(fault: BadAnswer) -> Self {
        Self::BadAnswer(fault)
    }
}

impl From<BadBody> for Failure {
    fn from(fault: BadBody) -> Self {
        Self::BadBody(fault)
    }
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        match error.get_io() {
            Some(io) => Self::Io(io.kind()),
            None => Self::Http2(error.reason().unwrap_or(h2::Reason::INTERNAL_ERROR)),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(why) => write!(f, "cannot connect: {why}"),
            Self::Local(why) => write!(f, "no connection can be begun on this machine: {why}"),
            Self::Name(why) => write!(f, "the name leads nowhere: {why}"),
            Self::Io(kind) => write!(f, "connection failed: {kind}"),
            Self::BadAnswer(fault) => write!(f, "bad answer: {}", fault.label()),
            Self::BadBody(fault) => write!(f, "bad body: {}", fault.label()),
            Self::Http2(reason) => write!(f, "HTTP/2: {reason}"),
            other => f.write_str(other.label()),
        }
    }
}
