//! A connection as programs read it: one JSON object for each that is open, and for each that has ended.
//!
//! A list may have thousands: a row is written straight from what is known, without a tree of values between.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::{
    clock::Now,
    tunnel::{
        Closed, Live, Tunnels,
        wire::{NotFrames, Tally},
    },
};

/// One that is open.
#[derive(Serialize)]
pub(super) struct Row<'r> {
    #[serde(flatten)]
    who: Who<'r>,
    state: &'static str,
    since: Seconds,
    age_seconds: Seconds,
    idle_seconds: Seconds,
    client_round_trip_ms: Option<f64>,
    backend_round_trip_ms: Option<f64>,
    up: Counters,
    down: Counters,
}

/// One that has ended.
#[derive(Serialize)]
pub(super) struct ClosedRow<'r> {
    #[serde(flatten)]
    who: Who<'r>,
    reason: &'static str,
    by: &'static str,
    code: Option<u16>,
    text: Option<&'r str>,
    since: Seconds,
    closed: Seconds,
    duration_seconds: Seconds,
    up: Counters,
    down: Counters,
}

/// What does not change while it is open.
#[derive(Serialize)]
struct Who<'r> {
    id: u64,
    kind: &'static str,
    route: &'r str,
    upstream: &'r str,
    backend: Option<Arc<str>>,
    client: Option<IpAddr>,
    user_agent: Option<&'r str>,
    subprotocol: Option<Box<str>>,
}

/// One direction.
#[derive(Serialize)]
struct Counters {
    bytes: u64,
    #[serde(flatten)]
    messages: Option<Messages>,
}

/// What only a tunnel has.
#[derive(Serialize)]
struct Messages {
    frames: u64,
    text: u64,
    binary: u64,
    pings: u64,
    pongs: u64,
    largest: u64,
    not_frames: Option<&'static str>,
}

/// A span, or a moment since the Unix epoch; told to the millisecond.
struct Seconds(Duration);

/// One moment on the clock of rows and on the wall's.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    now: Instant,
    unix: Duration,
}

impl Clock {
    pub(super) fn read() -> Self {
        Self { now: Instant::now(), unix: Now::read().unix }
    }
}

impl<'r> Row<'r> {
    pub(super) fn of(live: &'r Live, tunnels: &'r Tunnels, clock: Clock) -> Self {
        let age = clock.now.saturating_duration_since(live.since());
        let totals = live.totals();
        let milliseconds = |took: Option<Duration>| took.map(|took| took.as_micros() as f64 / 1000.0);
        Self {
            who: Who::of(live, tunnels),
            state: live.state().label(),
            since: Seconds(clock.unix.saturating_sub(age)),
            age_seconds: Seconds(age),
            idle_seconds: Seconds(clock.now.saturating_duration_since(live.last_activity())),
            client_round_trip_ms: milliseconds(live.client_round_trip()),
            backend_round_trip_ms: milliseconds(live.backend_round_trip()),
            up: Counters::of(live, &totals.up),
            down: Counters::of(live, &totals.down),
        }
    }
}

impl<'r> ClosedRow<'r> {
    pub(super) fn of(closed: &'r Closed, tunnels: &'r Tunnels) -> Self {
        let Closed { live, ended, at } = closed;
        Self {
            who: Who::of(live, tunnels),
            reason: ended.reason.label(),
            by: ended.by.label(),
            code: ended.code(),
            text: ended.farewell.as_ref().map(|farewell| &*farewell.text),
            since: Seconds(at.saturating_sub(ended.duration)),
            closed: Seconds(*at),
            duration_seconds: Seconds(ended.duration),
            up: Counters::of(live, &ended.totals.up),
            down: Counters::of(live, &ended.totals.down),
        }
    }
}

impl<'r> Who<'r> {
    fn of(live: &'r Live, tunnels: &'r Tunnels) -> Self {
        let about = &live.about;
        let subprotocol = live.subprotocol();
        Self {
            id: live.id,
            kind: about.kind.label(),
            route: tunnels.route_of(live),
            upstream: tunnels.upstream_of(live),
            backend: live.backend(),
            client: about.client,
            user_agent: (!about.user_agent.is_empty()).then_some(&*about.user_agent),
            subprotocol: (!subprotocol.is_empty()).then_some(subprotocol),
        }
    }
}

impl Counters {
    fn of(live: &Live, tally: &Tally) -> Self {
        let &Tally { bytes, frames, text, binary, pings, pongs, largest, not_frames } = tally;
        let not_frames = not_frames.map(NotFrames::label);
        let messages = Messages { frames, text, binary, pings, pongs, largest, not_frames };
        Self { bytes, messages: live.is_tunnel().then_some(messages) }
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_millis() as f64 / 1000.0)
    }
}
