//! Every open tunnel of the gateway: listed, counted, drained, cut.
//!
//! The list is touched when a tunnel opens and when it ends. Reading it takes a page at a time, so that a reader of fifty
//! thousand tunnels holds the lock for as long as it takes to copy a few hundred handles.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    close::{CloseReason, CodeClass, Ended, Side},
    live::{Live, Order, State, Totals},
    metrics::{Course, HandshakeResult, Metrics, Place},
    pace::Pace,
    wire::{Counts, NotFrames},
};
use crate::metrics::{GaugeFamilyGuard, Registry};

/// All tunnels. Cheap to clone.
#[derive(Clone)]
pub struct Tunnels {
    shared: Arc<Shared>,
}

struct Shared {
    metrics: Metrics,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// By place; places are used again.
    places: Vec<Option<Arc<Live>>>,
    free: Vec<u32>,
    opened: u64,
    ending: Ending,
}

/// What becomes of tunnels that open from now on.
#[derive(Default)]
enum Ending {
    #[default]
    No,
    /// They are told to go in their turn.
    Drain(Drain),
    /// They are cut.
    Cut,
}

/// How many tunnels are told to go, how fast, and how.
#[derive(Clone, Debug)]
pub struct Drain {
    /// For log and metrics.
    pub reason: CloseReason,
    /// When the next one is told.
    pub pace: Pace,
    /// What has not ended by then is cut.
    pub cut_at: Instant,
}

/// One open tunnel, held by itself. It leaves the list and the gauge with its drop, whatever ends it.
pub struct Open {
    shared: Arc<Shared>,
    live: Arc<Live>,
    held: GaugeFamilyGuard<Place>,
    place: u32,
    ended: bool,
}

impl Tunnels {
    /// None is open yet. Declares the metrics; `routes` and `upstreams` are the names for the indices that are counted with.
    pub fn new(registry: &Registry, routes: &[Arc<str>], upstreams: &[Arc<str>]) -> Self {
        let metrics = Metrics::register(registry, routes, upstreams);
        Self { shared: Arc::new(Shared { metrics, list: Mutex::default() }) }
    }

    /// Counts a request for a tunnel that did not open one.
    pub fn refused(&self, route: usize, result: HandshakeResult) {
        self.shared.metrics.handshakes.add((route, result), 1);
    }

    /// Counts a tunnel as open from now on.
    pub fn open(&self, route: usize, upstream: usize) -> Open {
        let metrics = &self.shared.metrics;
        metrics.handshakes.add((route, HandshakeResult::Opened), 1);
        let (place, live) = self.shared.list.lock().add(route as u32, upstream as u32);
        let held = metrics.connections.hold(Place { route, upstream, state: live.state() });
        Open { shared: Arc::clone(&self.shared), live, held, place, ended: false }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        let list = self.shared.list.lock();
        list.places.len() - list.free.len()
    }

    /// The tunnels from `place` on, at most a page of them, and where the next page begins; `None` after the last. One that
    /// is open all the while is seen exactly once.
    pub fn page(&self, place: usize) -> (Vec<Arc<Live>>, Option<usize>) {
        let list = self.shared.list.lock();
        let end = list.places.len().min(place.saturating_add(PAGE));
        let page = list.places.get(place..end).unwrap_or_default().iter().flatten().cloned().collect();
        (page, (end < list.places.len()).then_some(end))
    }

    /// All tunnels, page by page.
    pub fn all(&self) -> impl Iterator<Item = Arc<Live>> {
        let mut next = Some(0);
        let pages = std::iter::from_fn(move || {
            let (page, after) = self.page(next?);
            next = after;
            Some(page)
        });
        pages.flatten()
    }

    /// Asks tunnels to go, at the drain's pace, the longest silent first. Says how many, and when the last is told.
    pub fn drain(&self, which: impl Fn(&Live) -> bool, drain: &mut Drain) -> usize {
        let now = Instant::now();
        let silent: Vec<(Duration, Arc<Live>)> = self
            .all()
            .filter(|live| which(live))
            .map(|live| (now.saturating_duration_since(live.last_activity()), live))
            .collect();
        let count = silent.len();
        let Drain { reason, cut_at, .. } = *drain;
        for (at, live) in drain.pace.plan(silent, fastrand::f64) {
            live.end(Order { reason, farewell: None, at: at.into(), cut_at: Some(cut_at) });
        }
        count
    }

    /// Asks all tunnels to go, and those that open later as well. Says how many there are.
    pub fn drain_all(&self, mut drain: Drain) -> usize {
        {
            let mut list = self.shared.list.lock();
            if !matches!(list.ending, Ending::No) {
                return 0;
            }
            list.ending = Ending::Drain(drain.clone());
        }
        let count = self.drain(|_| true, &mut drain);
        let mut list = self.shared.list.lock();
        if let Ending::Drain(later) = &mut list.ending {
            *later = drain;
        }
        count
    }

    /// Ends all tunnels at once, and those that open later as well.
    pub fn cut_all(&self) {
        self.shared.list.lock().ending = Ending::Cut;
        self.all().for_each(|live| live.cut());
    }
}

impl List {
    fn add(&mut self, route: u32, upstream: u32) -> (u32, Arc<Live>) {
        let live = Arc::new(Live::new(self.opened, route, upstream));
        self.opened += 1;
        match &mut self.ending {
            Ending::No => {}
            Ending::Drain(drain) => {
                let at = drain.pace.next(fastrand::f64()).into();
                live.end(Order { reason: drain.reason, farewell: None, at, cut_at: Some(drain.cut_at) });
            }
            Ending::Cut => live.cut(),
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            (self.places.len() - 1) as u32
        });
        self.places[place as usize] = Some(Arc::clone(&live));
        (place, live)
    }

    fn remove(&mut self, place: u32) {
        self.places[place as usize] = None;
        self.free.push(place);
        if self.free.len() == self.places.len() {
            // None is left: nor is the memory that many once took.
            (self.places, self.free) = Default::default();
        }
    }
}

impl Open {
    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// Tells the record and the metrics what has passed since they were told last.
    pub(super) fn settle(&self, up: Option<&Counts>, down: Option<&Counts>) {
        let nothing = Counts::default();
        let (up, down) = (up.unwrap_or(&nothing), down.unwrap_or(&nothing));
        self.live.note_traffic(&up.tally, &down.tally);
        self.shared.metrics.traffic(self.live.route as usize, Course::Up, up);
        self.shared.metrics.traffic(self.live.route as usize, Course::Down, down);
    }

    pub(super) fn set_state(&mut self, state: State) {
        if self.live.state() != state {
            self.live.note_state(state);
            let place = Place { state, ..self.place() };
            self.held = self.shared.metrics.connections.hold(place);
        }
    }

    pub(super) fn note_round_trip(&self, side: Side, took: Duration) {
        self.live.note_round_trip(side, took);
        self.shared.metrics.round_trip.observe_duration((self.live.route as usize, side), took);
    }

    /// One direction's bytes are not read as frames any more.
    pub(super) fn note_not_frames(&self, reason: NotFrames) {
        self.shared.metrics.not_frames.add((self.live.route as usize, reason), 1);
    }

    pub(super) fn totals(&self) -> Totals {
        self.live.totals()
    }

    /// How the tunnel ended.
    pub(super) fn end(&mut self, ended: &Ended) {
        self.shared.metrics.duration.observe_duration(self.live.route as usize, ended.duration);
        self.count_end(ended.reason, ended.code());
    }

    fn count_end(&mut self, reason: CloseReason, code: Option<u16>) {
        self.shared.metrics.closed.add((self.live.route as usize, reason, CodeClass::of(code)), 1);
        self.ended = true;
    }

    fn place(&self) -> Place {
        Place { route: self.live.route as usize, upstream: self.live.upstream as usize, state: self.live.state() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.list.lock().remove(self.place);
        if !self.ended {
            // Nobody but a runtime that goes down drops a tunnel before its end.
            self.count_end(CloseReason::ShutdownCut, None);
        }
    }
}

/// Handles copied at a time.
const PAGE: usize = 256;

#[cfg(test)]
mod tests;
