//! Fetches that have no client of their own: those whose client went away before the head of the answer came, and refreshes
//! of what is given stale meanwhile (RFC 5861 §3). They serve who waits and who may come; each costs a backend a request,
//! so there are bounds.
//!
//! What is still under way when the gateway has stopped is dropped with its event loop.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    Gateway,
    failure::Fault,
    fetch::{Fetch, Settled},
};
use crate::{
    cache::FOLLOW_MAX,
    metrics::{Family, GaugeFamily, GaugeFamilyGuard, Registry},
    wire::RequestHead,
};

/// Fetches at a time whose client has left; past it they are dropped, and who waits for one tries anew.
const ORPHANS_MAX: usize = 256;

/// Refreshes at a time; past it a stale answer is given unrefreshed, until the next try or the end of its window.
const REFRESHES_MAX: usize = 256;

/// For how long a refresh that nobody waits for may be without an answer's head.
const REFRESH_PATIENCE: Duration = Duration::from_secs(30);

/// Why a fetch has no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Its client went away before the head came.
    Orphan,
    /// It renews a stale answer (RFC 5861 §3).
    Refresh,
}

/// The fetches in the background, counted and bounded.
pub(super) struct Background {
    orphans: Arc<Semaphore>,
    refreshes: Arc<Semaphore>,
    running: Arc<GaugeFamily<Kind>>,
    ended: Arc<Family<(Kind, &'static str)>>,
}

/// One fetch's place among those of its kind.
struct Place {
    kind: Kind,
    _permit: OwnedSemaphorePermit,
    _counted: GaugeFamilyGuard<Kind>,
}

impl Background {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            orphans: Arc::new(Semaphore::new(ORPHANS_MAX)),
            refreshes: Arc::new(Semaphore::new(REFRESHES_MAX)),
            running: registry.gauge_family(
                "tidegate_cache_background_fetches",
                "Fetches into the cache that go on without a client now. kind=orphan: the client that asked first has left. kind=refresh: a stale answer is given meanwhile (stale-while-revalidate).",
                &["kind"],
                |kind: &Kind| vec![kind.label().to_owned()],
            ),
            ended: registry.family(
                "tidegate_cache_background_fetches_total",
                "Fetches without a client, by how they ended. outcome=given_up: no answer came, and nobody waited for it. outcome=refused: too many were under way.",
                &["kind", "outcome"],
                |(kind, outcome): &(Kind, &'static str)| vec![kind.label().to_owned(), (*outcome).to_owned()],
            ),
        }
    }

    /// A place, if there is one.
    fn place(&self, kind: Kind) -> Option<Place> {
        let places = match kind {
            Kind::Orphan => &self.orphans,
            Kind::Refresh => &self.refreshes,
        };
        let Ok(_permit) = places.clone().try_acquire_owned() else {
            self.ended.add((kind, "refused"), 1);
            return None;
        };
        Some(Place { kind, _permit, _counted: self.running.hold(kind) })
    }
}

impl Gateway {
    /// Makes the fetch that was begun for `request` a task of its own, if there is a place for it.
    pub(super) fn go_on(self: &Arc<Self>, kind: Kind, fetch: Fetch, request: RequestHead) {
        if let Some(place) = self.background.place(kind) {
            tokio::spawn(self.clone().fetch_alone(fetch, request, place));
        }
    }

    /// Brings a fetch to its end without a client, for as long as somebody waits for it or is likely to come.
    async fn fetch_alone(self: Arc<Self>, mut fetch: Fetch, request: RequestHead, place: Place) {
        let opened = loop {
            match timeout(place.kind.patience(), fetch.opening.alone()).await {
                Ok(opened) => break Some(opened.map_err(Fault::Backend)),
                Err(_) if fetch.aim.leader.is_awaited() => {}
                Err(_) => break None,
            }
        };
        self.follow_fallen(fetch.upstream);
        let Some(opened) = opened else { return self.background.ended.add((place.kind, "given_up"), 1) };
        let settled = self.settle(fetch.aim, &request, opened);
        self.background.ended.add((place.kind, settled.label()), 1);
        if let Settled::Growing(growing) = settled {
            growing.pump();
        }
    }
}

impl Kind {
    /// How long to wait for a head that nobody waits for.
    fn patience(self) -> Duration {
        match self {
            // As long as a request would: what takes longer is mostly a long-poll, and of no use to others.
            Self::Orphan => FOLLOW_MAX,
            Self::Refresh => REFRESH_PATIENCE,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::Refresh => "refresh",
        }
    }
}
