//! Pings of the gateway, and what becomes of them: pure, with the time as a value (RFC 6455 §5.5.2).
//!
//! Each side is asked by itself. A Ping waits until the direction to that side is between two frames, and then until the
//! side has taken it: however long that lasts, one that was not asked owes no answer. (A peer that takes nothing more is
//! given up by the system, or the tunnel becomes idle.) Its Pong gives the round-trip time; but whatever else the side
//! sends shows as well that it is there, since a Pong may have to wait behind a large message, or be left out in favour
//! of a later Ping's.

use std::time::{Duration, Instant};

use super::terms::Pings;

/// The Pings to one side.
#[derive(Debug)]
pub(super) struct Beat {
    pings: Pings,
    state: State,
}

/// What the other side sends back; not to be guessed.
pub(super) type Token = [u8; 8];

#[derive(Clone, Copy, Debug)]
enum State {
    /// Until the next Ping is due.
    Resting(Instant),
    /// Since the Ping was due, but no place was found for it.
    Due(Instant),
    /// The Ping has its place, and was not taken yet.
    Placed { due: Instant, token: Token },
    /// The Ping was sent; something is to be heard by `until`.
    Sent { due: Instant, sent: Instant, until: Instant, token: Token, heard: bool },
}

/// What a moment brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Nothing to be done.
    Quiet,
    /// A Ping is wanted.
    Wanted,
    /// The side was asked and has sent nothing for too long.
    Gone,
}

impl Beat {
    /// The first Ping comes after a part of the interval, `early` from 0 to 1, so that tunnels that opened together do not
    /// ping together.
    pub(super) fn new(pings: Pings, now: Instant, early: f64) -> Self {
        Self { pings, state: State::Resting(now + pings.every.mul_f64(1.0 - early / 2.0)) }
    }

    /// When to look again; `None` while that is not for the clock to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Resting(due) => Some(due),
            State::Due(_) | State::Placed { .. } => None,
            State::Sent { until, .. } => Some(until),
        }
    }

    /// What is to be done now.
    pub(super) fn pulse(&mut self, now: Instant) -> Pulse {
        match self.state {
            State::Resting(due) if now >= due => {
                self.state = State::Due(now);
                Pulse::Wanted
            }
            State::Due(_) => Pulse::Wanted,
            State::Sent { until, heard: false, .. } if now >= until => Pulse::Gone,
            State::Sent { due, until, .. } if now >= until => {
                self.rest(due, now);
                Pulse::Quiet
            }
            State::Resting(_) | State::Placed { .. } | State::Sent { .. } => Pulse::Quiet,
        }
    }

    /// Whether a Ping waits for its place.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.state, State::Due(_))
    }

    /// The Ping has found its place.
    pub(super) fn placed(&mut self, token: Token) {
        if let State::Due(due) = self.state {
            self.state = State::Placed { due, token };
        }
    }

    /// The side has taken the Ping: the last byte of it is on its way.
    pub(super) fn sent(&mut self, now: Instant) {
        if let State::Placed { due, token } = self.state {
            let until = now + self.pings.answer;
            self.state = State::Sent { due, sent: now, until, token, heard: false };
        }
    }

    /// What the Pong must carry that is looked for.
    pub(super) fn awaited(&self) -> Option<Token> {
        match self.state {
            // The Pong may come in the moment in which the Ping leaves.
            State::Placed { token, .. } | State::Sent { token, .. } => Some(token),
            State::Resting(_) | State::Due(_) => None,
        }
    }

    /// The side has sent something.
    pub(super) fn heard(&mut self) {
        if let State::Sent { heard, .. } = &mut self.state {
            *heard = true;
        }
    }

    /// The side can't be heard now: its answer has from now on as long as it had before.
    pub(super) fn unheard(&mut self, now: Instant) {
        if let State::Sent { until, .. } = &mut self.state {
            *until = now + self.pings.answer;
        }
    }

    /// The Pong has come; gives the time that it took.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Duration> {
        let State::Sent { due, sent, .. } = self.state else { return None };
        self.rest(due, now);
        Some(now.saturating_duration_since(sent))
    }

    fn rest(&mut self, due: Instant, now: Instant) {
        self.state = State::Resting((due + self.pings.every).max(now));
    }
}

#[cfg(test)]
mod tests;
