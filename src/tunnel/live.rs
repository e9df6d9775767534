//! One tunnel, or one HTTP answer that stays open, as others see it: what it is, what has passed, and the way to tell it to go.
//!
//! The tunnel itself is the only writer of its numbers: its last activity with one relaxed store, everything else under a
//! lock that only a reader of this one tunnel contends for; both when it begins to move after a rest, and then about once
//! a second.
//! To see whether anything is asked of it costs the tunnel one relaxed load.

mod asked;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use self::asked::Asked;
pub(super) use self::asked::{Request, wake};
use super::{
    about::{About, Kind},
    answers::Progress,
    close::Side,
    orders::{Order, Source},
    wire::Tally,
};

/// One tunnel, from its handshake on, or one HTTP answer that stays open.
#[derive(Debug)]
pub struct Live {
    /// Never used again in this process.
    pub id: u64,
    /// Index of the route.
    pub route: u32,
    /// Index of the upstream.
    pub upstream: u32,
    /// Who has asked for it.
    pub about: About,
    /// When its request came.
    begun: Instant,
    /// Milliseconds from then to the last activity.
    active: AtomicU64,
    /// Milliseconds from then to its opening; zero for an answer.
    opened: AtomicU32,
    state: AtomicU8,
    /// Something in `asked` has not been seen by the tunnel yet.
    is_asked: AtomicBool,
    /// Microseconds, of the client and of the backend; zero while there is none.
    round_trips: [AtomicU32; 2],
    /// It does not come to an end by itself.
    is_endless: AtomicBool,
    known: Mutex<Known>,
    asked: Mutex<Asked>,
}

/// What has passed through a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// From the client to the backend.
    pub up: Tally,
    /// From the backend to the client.
    pub down: Tally,
}

/// What becomes known as it goes on.
#[derive(Debug, Default)]
struct Known {
    totals: Totals,
    /// The server of the upstream.
    backend: Option<Arc<str>>,
    /// What both sides have agreed to (RFC 6455 §1.9); empty if that is nothing.
    subprotocol: Box<str>,
}

/// Where a tunnel stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Its handshake is under way.
    Connecting,
    /// Bytes pass.
    Open,
    /// It will be told to go when its turn comes.
    Draining,
    /// The gateway is closing it.
    Closing,
}

impl Live {
    pub(super) fn new(id: u64, route: u32, upstream: u32, about: About, begun: Instant) -> Self {
        let is_tunnel = about.kind == Kind::WebSocket;
        let state = if is_tunnel { State::Connecting } else { State::Open };
        Self {
            id,
            route,
            upstream,
            about,
            begun,
            active: AtomicU64::new(0),
            opened: AtomicU32::new(0),
            state: AtomicU8::new(state as u8),
            is_asked: AtomicBool::new(false),
            round_trips: Default::default(),
            is_endless: AtomicBool::new(is_tunnel),
            known: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Connecting,
            1 => State::Open,
            2 => State::Draining,
            _ => State::Closing,
        }
    }

    /// Since when it is what it is: a tunnel open, which its lifetime and its duration count from; a handshake or an
    /// answer under way, from its request on.
    pub fn since(&self) -> Instant {
        self.begun + Duration::from_millis(self.opened.load(Ordering::Relaxed).into())
    }

    /// When something last passed that keeps it from being idle, or up to a second later.
    pub fn last_activity(&self) -> Instant {
        self.begun + Duration::from_millis(self.active.load(Ordering::Relaxed))
    }

    /// What has passed, up to about a second ago.
    pub fn totals(&self) -> Totals {
        self.known.lock().totals
    }

    /// The server of the upstream; `None` while it is not known.
    pub fn backend(&self) -> Option<Arc<str>> {
        self.known.lock().backend.clone()
    }

    /// Whether that is its server.
    pub fn is_at(&self, server: &str) -> bool {
        self.known.lock().backend.as_deref() == Some(server)
    }

    /// Asks it to end on account of its server, unless it has gone on to another meanwhile.
    pub(super) fn end_at(&self, server: &str, order: Order) {
        let known = self.known.lock();
        let is_there = known.backend.as_deref() == Some(server);
        let told = is_there.then(|| self.note_order(order)).flatten();
        drop(known);
        wake(told);
    }

    /// The subprotocol that both sides have agreed to (RFC 6455 §1.9); empty if there is none.
    pub fn subprotocol(&self) -> Box<str> {
        self.known.lock().subprotocol.clone()
    }

    /// Whether it is, or is to become, a tunnel.
    pub fn is_tunnel(&self) -> bool {
        self.about.kind == Kind::WebSocket
    }

    /// Whether it does not come to an end by itself: a tunnel, or a stream of events.
    pub fn is_endless(&self) -> bool {
        self.is_endless.load(Ordering::Relaxed)
    }

    /// The last round trip of a Ping of ours to the client.
    pub fn client_round_trip(&self) -> Option<Duration> {
        self.round_trip(Side::Client)
    }

    /// The last round trip of a Ping of ours to the backend.
    pub fn backend_round_trip(&self) -> Option<Duration> {
        self.round_trip(Side::Backend)
    }

    #[inline]
    pub(super) fn note_activity(&self, now: Instant) {
        self.active.store(now.duration_since(self.begun).as_millis() as u64, Ordering::Relaxed);
    }

    /// Its handshake is over.
    pub(super) fn note_opened(&self, now: Instant) {
        let took = now.duration_since(self.begun).as_millis();
        self.opened.store(u32::try_from(took).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.note_activity(now);
    }

    pub(super) fn note_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(super) fn note_round_trip(&self, side: Side, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        self.round_trips[side as usize].store(micros, Ordering::Relaxed);
    }

    pub(super) fn note_traffic(&self, up: &Tally, down: &Tally) {
        let totals = &mut self.known.lock().totals;
        totals.up.add(up);
        totals.down.add(down);
    }

    /// The server that is asked. What was asked of it for another server's sake counts no more.
    pub(super) fn note_backend(&self, server: &Arc<str>) {
        let mut known = self.known.lock();
        let before = known.backend.replace(Arc::clone(server));
        let is_another = before.is_some_and(|before| before != *server);
        let told = is_another.then(|| self.note_taken_back(Source::Server)).flatten();
        drop(known);
        wake(told);
    }

    /// What its handshake has come to.
    pub(super) fn note_agreed(&self, backend: Option<&Arc<str>>, subprotocol: Box<str>) {
        if let Some(server) = backend {
            self.note_backend(server);
        }
        self.known.lock().subprotocol = subprotocol;
    }

    /// How far an answer has come.
    pub(super) fn note_progress(&self, progress: &Progress) {
        let mut known = self.known.lock();
        known.backend.clone_from(&progress.backend);
        let totals = &mut known.totals;
        if (totals.up.bytes, totals.down.bytes) != (progress.up, progress.down) {
            (totals.up.bytes, totals.down.bytes) = (progress.up, progress.down);
            self.note_activity(Instant::now());
        }
        self.is_endless.fetch_or(progress.is_endless, Ordering::Relaxed);
    }

    fn round_trip(&self, side: Side) -> Option<Duration> {
        match self.round_trips[side as usize].load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros.into())),
        }
    }
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Connecting, Self::Open, Self::Draining, Self::Closing];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::Draining => "draining",
            Self::Closing => "closing",
        }
    }
}

#[cfg(test)]
mod tests;
