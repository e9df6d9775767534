//! The list itself: who is on it, and what those are told that come later.

use std::{sync::Arc, task::Waker};

use tokio::time::Instant;

use super::{
    about::{About, Kind},
    close::CloseReason,
    live::Live,
    orders::{Order, Source},
    pace::Pace,
};

#[derive(Default)]
pub(super) struct List {
    /// By place; places are used again.
    pub(super) places: Vec<Option<Arc<Live>>>,
    pub(super) free: Vec<u32>,
    opened: u64,
    pub(super) ending: Ending,
    /// What operators have drained and not taken back; each part once.
    pub(super) drained: Vec<(Part, Drain)>,
}

/// What becomes of those that come from now on.
#[derive(Default)]
pub(super) enum Ending {
    #[default]
    No,
    /// They are told to go in their turn.
    Drain(Drain),
    /// They are cut.
    Cut,
}

/// How many are told to go, how fast, and how.
#[derive(Clone, Debug)]
pub struct Drain {
    /// For log and metrics.
    pub reason: CloseReason,
    /// When the next one is told.
    pub pace: Pace,
    /// What has not ended by then is cut.
    pub cut_at: Instant,
}

/// What an operator drains. A route and an upstream stay open to requests, so it is their tunnels alone that go; from a
/// server requests are kept away too, so those of its answers go as well that come to no end by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Every tunnel.
    All,
    /// The tunnels of the route at this index.
    Route(u32),
    /// The tunnels to the upstream at this index.
    Upstream(u32),
    /// What leads to a server of this name.
    Server(Arc<str>),
}

impl Drain {
    /// The next turns, so many of them, which nobody else is given.
    pub fn reserve(&mut self, count: usize) -> Self {
        let turns = self.clone();
        self.pace.skip(count);
        turns
    }

    /// For the next one.
    pub(super) fn order(&mut self, source: Source) -> Order {
        let at = self.pace.next(fastrand::f64()).into();
        Order { source, reason: self.reason, farewell: None, at, cut_at: Some(self.cut_at) }
    }
}

impl Part {
    /// Whether it is drained with this part.
    pub(super) fn has(&self, live: &Live) -> bool {
        let is_tunnel = live.about.kind == Kind::WebSocket;
        match self {
            Self::All => is_tunnel,
            Self::Route(route) => is_tunnel && live.route == *route,
            Self::Upstream(upstream) => is_tunnel && live.upstream == *upstream,
            Self::Server(server) => live.is_endless() && live.is_at(server),
        }
    }

    /// On whose account those are asked to go that have it.
    pub(super) fn source(&self) -> Source {
        match self {
            Self::All => Source::All,
            Self::Route(_) => Source::Route,
            Self::Upstream(_) => Source::Upstream,
            Self::Server(_) => Source::Server,
        }
    }

    /// Whether no new tunnel of this route and upstream may come. From a server its upstream keeps them away.
    fn bars(&self, route: u32, upstream: u32) -> bool {
        match self {
            Self::All => true,
            Self::Route(own) => *own == route,
            Self::Upstream(own) => *own == upstream,
            Self::Server(_) => false,
        }
    }
}

impl List {
    /// Whether no new tunnel of this route and upstream may come.
    pub(super) fn is_barred(&self, route: u32, upstream: u32) -> bool {
        self.drained.iter().any(|(part, _)| part.bars(route, upstream))
    }

    pub(super) fn add(&mut self, route: u32, upstream: u32, about: About, since: Instant) -> (u32, Arc<Live>) {
        let live = Arc::new(Live::new(self.opened, route, upstream, about, since));
        self.opened += 1;
        let _nobody_listens_yet = self.tell(&live);
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

    /// Tells one what the others have been told that it belongs to. Gives whom to wake once the list's lock is given back.
    #[must_use]
    pub(super) fn tell(&mut self, live: &Live) -> Option<Waker> {
        let told = match &mut self.ending {
            Ending::Drain(drain) if live.is_endless() => live.note_order(drain.order(Source::Lasting)),
            Ending::No | Ending::Drain(_) => None,
            Ending::Cut => live.note_cut(),
        };
        self.tell_drained(live).or(told)
    }

    /// The same of what operators have drained: by now more may be known of it.
    #[must_use]
    pub(super) fn tell_drained(&mut self, live: &Live) -> Option<Waker> {
        let its_own = self.drained.iter_mut().filter(|(part, _)| part.has(live));
        its_own.fold(None, |told, (part, drain)| live.note_order(drain.order(part.source())).or(told))
    }
}
