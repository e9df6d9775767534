//! Fetches that have no client of their own: those whose client went away before the head of the answer came. They go on
//! for who waits and for who may come; each costs a backend a request, so there is a bound.
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

/// Why a fetch has no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Its client went away before the head came.
    Orphan,
}

/// The fetches in the background, counted and bounded.
pub(super) struct Background {
    orphans: Arc<Semaphore>,
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
            running: registry.gauge_family(
                "tidegate_cache_background_fetches",
                "Fetches into the cache that go on without a client now. kind=orphan: the client that asked first has left.",
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
        };
        let Ok(_permit) = places.clone().try_acquire_owned() else {
            self.ended.add((kind, "refused"), 1);
            return None;
        };
        Some(Place { kind, _permit, _counted: self.running.hold(kind) })
    }
}

impl Gateway {
    /// Goes on with a fetch whose client has left, unless it would serve nobody else. `request` is the client's.
    pub(super) fn adopt(self: &Arc<Self>, fetch: Fetch, request: &RequestHead) {
        if fetch.leader.serves_others()
            && let Some(place) = self.background.place(Kind::Orphan)
        {
            tokio::spawn(self.clone().fetch_alone(fetch, request.clone(), place));
        }
    }

    /// Brings a fetch to its end without a client, for as long as somebody waits for it or is likely to come.
    async fn fetch_alone(self: Arc<Self>, mut fetch: Fetch, request: RequestHead, place: Place) {
        let opened = loop {
            match timeout(place.kind.patience(), fetch.opening.alone()).await {
                Ok(opened) => break opened.map_err(Fault::Backend),
                Err(_) if fetch.leader.is_awaited() => {}
                Err(_) => return self.background.ended.add((place.kind, "given_up"), 1),
            }
        };
        let settled = self.settle(fetch, &request, opened).await;
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
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
        }
    }
}
