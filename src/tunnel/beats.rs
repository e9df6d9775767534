//! Pings of the gateway, and what becomes of them: pure, with the time as a value (RFC 6455 §5.5.2).
//!
//! Each side is asked by itself. A Ping waits until the direction to that side is between two frames. Its Pong gives the
//! round-trip time; but whatever else the side sends shows as well that it is there, since a Pong may have to wait
//! behind a large message, or be left out in favour of a later Ping's.

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
    /// Since the Ping was sent.
    Sent { due: Instant, sent: Instant, token: Token, heard: bool },
}

/// What a moment brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Nothing to be done.
    Quiet,
    /// A Ping is wanted.
    Wanted,
    /// The side has sent nothing for too long.
    Gone,
}

impl Beat {
    /// The first Ping comes after a part of the interval, `early` from 0 to 1, so that tunnels that opened together do not
    /// ping together.
    pub(super) fn new(pings: Pings, now: Instant, early: f64) -> Self {
        Self { pings, state: State::Resting(now + pings.every.mul_f64(1.0 - early / 2.0)) }
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Instant {
        match self.state {
            State::Resting(due) => due,
            State::Due(due) | State::Sent { due, .. } => due + self.pings.answer,
        }
    }

    /// What is to be done now.
    pub(super) fn pulse(&mut self, now: Instant) -> Pulse {
        match self.state {
            State::Resting(due) if now < due => return Pulse::Quiet,
            State::Resting(_) => self.state = State::Due(now),
            State::Due(due) if now >= due + self.pings.answer => return Pulse::Gone,
            State::Due(_) => {}
            State::Sent { due, heard, .. } if now >= due + self.pings.answer => {
                if !heard {
                    return Pulse::Gone;
                }
                self.rest(due, now);
                return Pulse::Quiet;
            }
            State::Sent { .. } => return Pulse::Quiet,
        }
        Pulse::Wanted
    }

    /// Whether a Ping waits for its place.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.state, State::Due(_))
    }

    /// The Ping is on its way.
    pub(super) fn sent(&mut self, token: Token, now: Instant) {
        if let State::Due(due) = self.state {
            self.state = State::Sent { due, sent: now, token, heard: false };
        }
    }

    /// What the Pong must carry that is looked for.
    pub(super) fn awaited(&self) -> Option<Token> {
        match self.state {
            State::Sent { token, .. } => Some(token),
            _ => None,
        }
    }

    /// The side has sent something.
    pub(super) fn heard(&mut self, now: Instant) {
        match &mut self.state {
            State::Sent { heard, .. } => *heard = true,
            // It is there; only nothing can be said to it yet.
            State::Due(due) => *due = now,
            State::Resting(_) => {}
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
