//! What is asked of one tunnel, and on whose account.
//!
//! Several may ask at a time, and some take back what they have asked. So each one's order is kept by itself, and what is
//! in force is reckoned from those that are left.

use tokio::time::Instant;

use super::{close::CloseReason, wire::Farewell};

/// How a tunnel is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// On whose account.
    pub source: Source,
    /// For log and metrics.
    pub reason: CloseReason,
    /// For the Close frames; `None` leaves it to the route's code and the reason's own word.
    pub farewell: Option<Farewell>,
    /// Not before this moment.
    pub at: Instant,
    /// What has not ended by then is cut.
    pub cut_at: Option<Instant>,
}

/// On whose account a tunnel is asked to end. It belongs to one part of each kind, so that the kind says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What nobody takes back: a stop, a route that has changed, a server that is down, an operator's word to this one.
    Lasting,
    /// An operator drains all tunnels.
    All,
    /// An operator drains its route.
    Route,
    /// An operator drains its upstream.
    Upstream,
    /// An operator drains its server.
    Server,
}

/// All that is asked of one tunnel: by source. Takes a word's room while that is nothing.
#[derive(Debug, Default)]
pub(super) struct Orders(Option<Box<[Option<Order>; SOURCES]>>);

impl Orders {
    /// Takes one in beside the others, or together with what its source has asked before.
    pub(super) fn add(&mut self, order: Order) {
        let own = &mut self.0.get_or_insert_default()[order.source as usize];
        *own = Some(match own.take() {
            Some(before) => before.and(order),
            None => order,
        });
    }

    /// What this source has asked counts no more.
    pub(super) fn take_back(&mut self, source: Source) {
        let Some(orders) = &mut self.0 else { return };
        orders[source as usize] = None;
        if orders.iter().all(Option::is_none) {
            self.0 = None;
        }
    }

    /// Of all orders the one that comes first in time, and the first moment to cut of them all.
    pub(super) fn in_force(&self) -> Option<Order> {
        let orders = self.0.iter().flat_map(|orders| orders.iter().flatten());
        orders.cloned().reduce(Order::and)
    }
}

impl Order {
    /// What it comes to together with another.
    fn and(self, other: Self) -> Self {
        let cut_at = self.cut_at.into_iter().chain(other.cut_at).min();
        let first = if self.at <= other.at { self } else { other };
        Self { cut_at, ..first }
    }

    /// The next moment that something is to happen.
    pub(super) fn next(&self) -> Instant {
        self.cut_at.map_or(self.at, |cut_at| self.at.min(cut_at))
    }
}

/// How many sources there are.
const SOURCES: usize = Source::Server as usize + 1;

#[cfg(test)]
mod tests;
