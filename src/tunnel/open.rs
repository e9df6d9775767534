//! A tunnel's own hold on its row: from the handshake on, and then while it carries bytes.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    close::{CloseReason, CodeClass, Ended, Side},
    list::Drain,
    live::{Live, State, Totals, wake},
    metrics::{Course, HandshakeResult, Place},
    orders::Source,
    recent::Closed,
    row::{Due, Row},
    wire::{Counts, NotFrames},
};
use crate::{clock::Now, metrics::GaugeFamilyGuard};

/// A tunnel that is still a handshake. It leaves the list and the gauge with its drop, unless it opens.
pub struct Connecting {
    row: Row,
    held: GaugeFamilyGuard<Place>,
    due: Due,
}

/// One open tunnel, held by itself. It leaves the list and the gauge with its drop, whatever ends it.
pub struct Open {
    row: Row,
    held: GaugeFamilyGuard<Place>,
    ended: bool,
}

impl Connecting {
    pub(super) fn new(row: Row) -> Self {
        let held = row.shared.metrics.connections.hold(place(&row.live));
        Self { row, held, due: None }
    }

    /// Ready when the handshake is not to go on, with the reason; otherwise the task is woken then.
    pub fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.row.poll_asked(&mut self.due, cx)
    }

    /// The server that is asked.
    pub fn note_backend(&self, server: &Arc<str>) {
        self.row.live.note_backend(server);
    }

    /// Counts it as open from now on.
    pub fn open(self, backend: Option<&Arc<str>>, subprotocol: Box<str>) -> Open {
        let Self { row, held, .. } = self;
        let (live, shared) = (&row.live, &row.shared);
        shared.metrics.handshakes.add((live.route as usize, HandshakeResult::Opened), 1);
        live.note_opened(Instant::now());
        live.note_agreed(backend, subprotocol);
        // Those that were told before the server was known have not been missed; now it is this one's turn.
        let told = shared.list.lock().tell_drained(live);
        wake(told);
        live.remind();
        let mut open = Open { row, held, ended: false };
        open.set_state(State::Open);
        open
    }
}

impl Open {
    /// Asks it to go when it is the next one's turn, for good.
    pub fn drain(&self, drain: &mut Drain) {
        self.live().end(drain.order(Source::Lasting));
    }

    pub(super) fn live(&self) -> &Live {
        &self.row.live
    }

    /// Tells the record and the metrics what has passed since they were told last.
    pub(super) fn settle(&self, up: Option<&Counts>, down: Option<&Counts>) {
        let nothing = Counts::default();
        let (up, down) = (up.unwrap_or(&nothing), down.unwrap_or(&nothing));
        let (live, metrics) = (self.live(), &self.row.shared.metrics);
        live.note_traffic(&up.tally, &down.tally);
        metrics.traffic(live.route as usize, Course::Up, up);
        metrics.traffic(live.route as usize, Course::Down, down);
    }

    pub(super) fn set_state(&mut self, state: State) {
        if self.live().state() != state {
            self.live().note_state(state);
            self.held = self.row.shared.metrics.connections.hold(place(&self.row.live));
        }
    }

    pub(super) fn note_round_trip(&self, side: Side, took: Duration) {
        self.live().note_round_trip(side, took);
        self.row.shared.metrics.round_trip.observe_duration((self.live().route as usize, side), took);
    }

    /// One direction's bytes are not read as frames any more.
    pub(super) fn note_not_frames(&self, reason: NotFrames) {
        self.row.shared.metrics.not_frames.add((self.live().route as usize, reason), 1);
    }

    pub(super) fn totals(&self) -> Totals {
        self.live().totals()
    }

    /// How the tunnel ended.
    pub(super) fn end(&mut self, ended: &Ended) {
        let shared = &self.row.shared;
        shared.metrics.duration.observe_duration(self.live().route as usize, ended.duration);
        let at = Now::read().unix;
        shared.recent.push(Closed { live: Arc::clone(&self.row.live), ended: ended.clone(), at });
        self.count_end(ended.reason, ended.code());
    }

    fn count_end(&mut self, reason: CloseReason, code: Option<u16>) {
        let route = self.live().route as usize;
        self.row.shared.metrics.closed.add((route, reason, CodeClass::of(code)), 1);
        self.ended = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.ended {
            // Nobody but a runtime that goes down drops a tunnel before its end.
            self.count_end(CloseReason::ShutdownCut, None);
        }
    }
}

/// Where it is counted.
fn place(live: &Live) -> Place {
    Place { route: live.route as usize, upstream: live.upstream as usize, state: live.state() }
}
