//! Every open tunnel of the gateway: listed, counted, drained, cut.
//!
//! The list is touched when a tunnel opens and when it ends. Reading it takes a page at a time, so that a reader of fifty
//! thousand tunnels holds the lock for as long as it takes to copy a few hundred handles.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    about::{About, Kind},
    close::{CloseReason, CodeClass, Ended, Side},
    live::{Live, Order, State, Totals},
    metrics::{Course, HandshakeResult, Metrics, Place},
    pace::Pace,
    recent::{Closed, Recent},
    wire::{Counts, NotFrames},
};
use crate::{
    clock::Now,
    metrics::{GaugeFamilyGuard, Registry},
};

/// All tunnels. Cheap to clone.
#[derive(Clone)]
pub struct Tunnels {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) metrics: Metrics,
    pub(super) list: Mutex<List>,
    pub(super) recent: Recent,
    routes: Vec<Arc<str>>,
    upstreams: Vec<Arc<str>>,
}

#[derive(Default)]
pub(super) struct List {
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
        let (routes, upstreams) = (routes.to_vec(), upstreams.to_vec());
        let shared = Shared { metrics, list: Mutex::default(), recent: Recent::default(), routes, upstreams };
        Self { shared: Arc::new(shared) }
    }

    /// The names of all routes.
    pub fn routes(&self) -> &[Arc<str>] {
        &self.shared.routes
    }

    /// The names of all upstreams.
    pub fn upstreams(&self) -> &[Arc<str>] {
        &self.shared.upstreams
    }

    /// The name of its route.
    pub fn route_of(&self, live: &Live) -> &str {
        self.shared.routes.get(live.route as usize).map_or("", |name| name)
    }

    /// The name of its upstream.
    pub fn upstream_of(&self, live: &Live) -> &str {
        self.shared.upstreams.get(live.upstream as usize).map_or("", |name| name)
    }

    /// Counts a request for a tunnel that did not open one.
    pub fn refused(&self, route: usize, result: HandshakeResult) {
        self.shared.metrics.handshakes.add((route, result), 1);
    }

    /// Counts a tunnel as open from now on.
    pub fn open(&self, route: usize, upstream: usize, about: About) -> Open {
        let metrics = &self.shared.metrics;
        metrics.handshakes.add((route, HandshakeResult::Opened), 1);
        let (place, live) = self.shared.list.lock().add(route as u32, upstream as u32, about, Instant::now());
        let held = metrics.connections.hold(Place { route, upstream, state: live.state() });
        Open { shared: Arc::clone(&self.shared), live, held, place, ended: false }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        let list = self.shared.list.lock();
        list.places.len() - list.free.len()
    }

    /// The tunnels from `place` on, each with its place, at most a page of them, and where the next page begins; `None`
    /// after the last. One that is open all the while is seen exactly once.
    pub fn page(&self, place: usize) -> (Vec<(usize, Arc<Live>)>, Option<usize>) {
        let list = self.shared.list.lock();
        let end = list.places.len().min(place.saturating_add(PAGE));
        let places = list.places.get(place..end).unwrap_or_default().iter();
        let page = (place..).zip(places).filter_map(|(place, live)| Some((place, live.clone()?))).collect();
        (page, (end < list.places.len()).then_some(end))
    }

    /// Of the tunnels from `place` on those that `which` wants, at most `most`, and where to go on; `None` after the last.
    pub fn select(&self, place: usize, most: usize, which: impl Fn(&Live) -> bool) -> (Vec<Arc<Live>>, Option<usize>) {
        let (mut found, mut next) = (Vec::new(), Some(place));
        while let Some(place) = next {
            let (page, after) = self.page(place);
            for (place, live) in page.into_iter().filter(|(_, live)| which(live)) {
                if found.len() >= most {
                    return (found, Some(place));
                }
                found.push(live);
            }
            next = after;
        }
        (found, None)
    }

    /// How the last ones ended, the latest first: of those that `which` wants at most `most`.
    pub fn recent(&self, most: usize, which: impl Fn(&Closed) -> bool) -> Vec<Closed> {
        self.shared.recent.latest(most, which)
    }

    /// All tunnels, page by page.
    pub fn all(&self) -> impl Iterator<Item = Arc<Live>> {
        let mut next = Some(0);
        let pages = std::iter::from_fn(move || {
            let (page, after) = self.page(next?);
            next = after;
            Some(page)
        });
        pages.flatten().map(|(_, live)| live)
    }

    /// Asks tunnels to go, at the drain's pace, the longest silent first. Says how many, and when the last is told.
    pub fn drain(&self, which: impl Fn(&Live) -> bool, drain: &mut Drain) -> usize {
        let now = Instant::now();
        let silent: Vec<(Duration, Arc<Live>)> = self
            .all()
            .filter(|live| live.about.kind == Kind::WebSocket && which(live))
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
    pub(super) fn add(&mut self, route: u32, upstream: u32, about: About, since: Instant) -> (u32, Arc<Live>) {
        let is_tunnel = about.kind == Kind::WebSocket;
        let live = Arc::new(Live::new(self.opened, route, upstream, about, since));
        self.opened += 1;
        match &mut self.ending {
            // What a client has half of can't be moved elsewhere.
            Ending::Drain(_) if !is_tunnel => {}
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

    pub(super) fn remove(&mut self, place: u32) {
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
        let at = Now::read().unix;
        self.shared.recent.push(Closed { live: Arc::clone(&self.live), ended: ended.clone(), at });
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
        self.live.hang_up();
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
