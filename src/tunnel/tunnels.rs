//! Every open tunnel of the gateway: listed, counted, drained, cut.
//!
//! The list is touched when a tunnel opens and when it ends. Reading it takes a page at a time, so that a reader of fifty
//! thousand tunnels holds the lock for as long as it takes to copy a few hundred handles.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    about::About,
    list::{Drain, Ending, List, Part},
    live::Live,
    metrics::{HandshakeResult, Metrics},
    open::Connecting,
    orders::{Order, Source},
    recent::{Closed, Recent},
    row::Row,
};
use crate::metrics::Registry;

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

/// Why there is no place for a handshake: its route or its upstream is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained;

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

    /// Puts a tunnel on the list whose handshake has come at that moment.
    ///
    /// # Errors
    /// An operator drains what it would belong to.
    pub fn connect(&self, route: usize, upstream: usize, about: About, since: Instant) -> Result<Connecting, Drained> {
        let shared = Arc::clone(&self.shared);
        let added = {
            let mut list = shared.list.lock();
            let (route, upstream) = (route as u32, upstream as u32);
            if list.is_barred(route, upstream) {
                return Err(Drained);
            }
            list.add(route, upstream, about, since)
        };
        Ok(Connecting::new(Row::new(shared, added)))
    }

    /// How many are on the list.
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

    /// Asks those that come to no end by themselves to go, at the pace that `drain` names for so many, the longest silent
    /// first. Says how many.
    pub fn drain(&self, which: impl Fn(&Live) -> bool, drain: impl FnOnce(usize) -> Drain) -> usize {
        self.ask_to_go(None, which, |count| Some(drain(count)))
    }

    /// The same on the account of a part, or for good; nobody is asked where there are no turns any more.
    fn ask_to_go(
        &self,
        part: Option<&Part>,
        which: impl Fn(&Live) -> bool,
        turns: impl FnOnce(usize) -> Option<Drain>,
    ) -> usize {
        let now = Instant::now();
        let endless = self.all().filter(|live| live.is_endless() && which(live));
        let silent: Vec<_> = endless.map(|live| (now.saturating_duration_since(live.last_activity()), live)).collect();
        let count = silent.len();
        let Some(Drain { reason, mut pace, cut_at }) = turns(count) else { return 0 };
        let source = part.map_or(Source::Lasting, Part::source);
        for (at, live) in pace.plan(silent, fastrand::f64) {
            let order = Order { source, reason, farewell: None, at: at.into(), cut_at: Some(cut_at) };
            match part {
                Some(Part::Server(server)) => live.end_at(server, order),
                _ => live.end(order),
            }
        }
        count
    }

    /// Asks those of a part to go, to which nothing new comes until it is taken back. Says how many there are now.
    pub fn drain_part(&self, part: &Part, drain: Drain) -> usize {
        {
            let mut list = self.shared.list.lock();
            list.drained.retain(|(other, _)| other != part);
            list.drained.push((part.clone(), drain));
        }
        self.ask_to_go(
            Some(part),
            |live| part.has(live),
            |count| {
                let mut list = self.shared.list.lock();
                let (_, drain) = list.drained.iter_mut().find(|(other, _)| other == part)?;
                Some(drain.reserve(count))
            },
        )
    }

    /// Takes a part back: new tunnels come to it again, and those stay whose turn to go has not come, unless something else
    /// asks them to go as well. Says whether it was drained.
    pub fn take_back(&self, part: &Part) -> bool {
        let was_drained = {
            let mut list = self.shared.list.lock();
            let before = list.drained.len();
            list.drained.retain(|(other, _)| other != part);
            list.drained.len() < before
        };
        if was_drained {
            self.all().filter(|live| part.has(live)).for_each(|live| live.take_back(part.source()));
        }
        was_drained
    }

    /// What is drained and was not taken back.
    pub fn drained(&self) -> Vec<Part> {
        self.shared.list.lock().drained.iter().map(|(part, _)| part.clone()).collect()
    }

    /// Asks all to go that come to no end by themselves, and those that come later as well. Says how many there are.
    pub fn drain_all(&self, drain: Drain) -> usize {
        {
            let mut list = self.shared.list.lock();
            if !matches!(list.ending, Ending::No) {
                return 0;
            }
            list.ending = Ending::Drain(drain);
        }
        self.ask_to_go(
            None,
            |_| true,
            |count| match &mut self.shared.list.lock().ending {
                Ending::Drain(drain) => Some(drain.reserve(count)),
                Ending::No | Ending::Cut => None,
            },
        )
    }

    /// Ends all tunnels at once, and those that open later as well.
    pub fn cut_all(&self) {
        self.shared.list.lock().ending = Ending::Cut;
        self.all().for_each(|live| live.cut());
    }
}

/// Handles copied at a time.
const PAGE: usize = 256;

#[cfg(test)]
mod tests;
