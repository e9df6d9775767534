//! How many tunnels may be open, and how many handshakes come in a second: in all, of a route, of one client on a route.
//!
//! A handshake takes a [`Permit`] before any backend is asked, and the tunnel keeps it; its drop gives the place back,
//! whatever the way out. One lock for a handshake and one for its end; a tunnel that is open touches nothing here.
//! Clients are told apart as at the listeners: an IPv6 client owns at least a /64.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::rate::{Due, Rate};
use crate::{
    config::RouteWebSocket,
    metrics::{Counter, Family, Registry},
};

/// The places of all tunnels. Cheap to clone.
#[derive(Clone)]
pub struct Permits {
    shared: Arc<Shared>,
}

/// The place of one tunnel, from its handshake on.
pub struct Permit {
    shared: Arc<Shared>,
    route: u32,
    client: Option<Client>,
}

/// Which limit stands against a handshake. Its word is that of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PermitLimit {
    /// `tunnels` of `[limits]`.
    Tunnels,
    /// `max_connections` of the route.
    Connections,
    /// `max_connections_per_client` of the route.
    ConnectionsPerClient,
    /// `handshakes_per_second` of the route.
    Handshakes,
    /// `handshakes_per_second_per_client` of the route.
    HandshakesPerClient,
    /// `max_tunnels` of the servers; the places are the upstream's own.
    Server,
}

/// A handshake that has to come again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPermit {
    /// What stands against it.
    pub limit: PermitLimit,
    /// When it would not any more, where that is known.
    pub after: Duration,
}

struct Shared {
    total_max: Option<u64>,
    routes: Vec<Limits>,
    book: Mutex<Book>,
    refused: Arc<Family<(usize, PermitLimit)>>,
    uncounted: Counter,
}

/// What a route's key words come to.
struct Limits {
    open: Option<u64>,
    open_of_client: Option<u64>,
    rate: Option<Rate>,
    rate_of_client: Option<Rate>,
}

/// What is open, and what has come lately.
struct Book {
    total: u64,
    routes: Vec<Use>,
    /// Of routes that limit single clients only. One that has nothing open and owes nothing may be forgotten.
    clients: HashMap<(u32, Client), Use, foldhash::fast::RandomState>,
    /// From so many on the forgettable are looked for, at most once a second.
    prune_from: usize,
    pruned: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    open: u64,
    due: Due,
}

/// What counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    V4(u32),
    /// The upper 64 bits.
    V6(u64),
}

impl Permits {
    /// With nothing open. Declares the metrics; `routes` are in the order of the indices that are asked with.
    pub fn new(registry: &Registry, total_max: Option<u64>, routes: &[(Arc<str>, &RouteWebSocket)]) -> Self {
        let names: Vec<Arc<str>> = routes.iter().map(|(name, _)| Arc::clone(name)).collect();
        let refused = registry.family(
            "tidegate_websocket_refused_total",
            "Handshakes answered with 503 because a limit stood against them, by the limit's key.",
            &["route", "limit"],
            move |(route, limit): &(usize, PermitLimit)| {
                vec![names.get(*route).map(ToString::to_string).unwrap_or_default(), limit.label().to_owned()]
            },
        );
        let uncounted = registry.counter(
            "tidegate_websocket_clients_uncounted_total",
            "Handshakes let in without the limits of single clients, because too many clients came at once to tell them apart. When this rises, an attack comes from very many addresses.",
        );
        let book = Book {
            total: 0,
            routes: vec![Use::default(); routes.len()],
            clients: HashMap::default(),
            prune_from: PRUNE_FROM_FIRST,
            pruned: None,
        };
        let routes = routes.iter().map(|(_, websocket)| Limits::new(websocket)).collect();
        Self { shared: Arc::new(Shared { total_max, routes, book: Mutex::new(book), refused, uncounted }) }
    }

    /// A place for one more tunnel of this route and client, or the limit that refuses it. A refused handshake costs its
    /// client nothing of its rate.
    ///
    /// # Errors
    /// The limit, which has been counted.
    pub fn take(&self, route: usize, client: Option<IpAddr>, now: Instant) -> Result<Permit, NoPermit> {
        let taken = self.shared.take(route, client.map(Client::of), now);
        if let Err(NoPermit { limit, .. }) = &taken {
            self.shared.refused.add((route, *limit), 1);
        }
        let client = taken?;
        Ok(Permit { shared: Arc::clone(&self.shared), route: route as u32, client })
    }

    /// Counts a handshake that has found another limit in its way than those that are kept here.
    pub fn refuse(&self, route: usize, limit: PermitLimit) -> NoPermit {
        self.shared.refused.add((route, limit), 1);
        NoPermit { limit, after: Duration::ZERO }
    }

    /// Places that are taken.
    pub fn taken(&self) -> u64 {
        self.shared.book.lock().total
    }
}

impl Shared {
    /// Takes a place; gives the client if it is counted.
    fn take(&self, route: usize, client: Option<Client>, now: Instant) -> Result<Option<Client>, NoPermit> {
        // Invariant: callers' routes are those that `new` was given.
        let limits = &self.routes[route];
        let book = &mut *self.book.lock();
        let full = |limit| Err(NoPermit { limit, after: Duration::ZERO });
        if self.total_max.is_some_and(|most| book.total >= most) {
            return full(PermitLimit::Tunnels);
        }
        if limits.open.is_some_and(|most| book.routes[route].open >= most) {
            return full(PermitLimit::Connections);
        }
        let client = client.filter(|_| limits.open_of_client.is_some() || limits.rate_of_client.is_some());
        let key = client.map(|client| (route as u32, client));
        let mut of_client = key.and_then(|key| book.clients.get(&key).copied()).unwrap_or_default();
        if client.is_some() && limits.open_of_client.is_some_and(|most| of_client.open >= most) {
            return full(PermitLimit::ConnectionsPerClient);
        }
        if let (Some(rate), Some(_)) = (limits.rate_of_client, client) {
            let late = |after| NoPermit { limit: PermitLimit::HandshakesPerClient, after };
            of_client.due = rate.admit(of_client.due, now).map_err(late)?;
        }
        if let Some(rate) = limits.rate {
            let late = |after| NoPermit { limit: PermitLimit::Handshakes, after };
            book.routes[route].due = rate.admit(book.routes[route].due, now).map_err(late)?;
        }
        book.total += 1;
        book.routes[route].open += 1;
        of_client.open += 1;
        let Some(key) = key else { return Ok(None) };
        if !book.has_room_for(key, now) {
            self.uncounted.add(1);
            return Ok(None);
        }
        book.clients.insert(key, of_client);
        Ok(client)
    }
}

impl Book {
    /// Forgets clients of whom there is nothing to know, now and then; says whether one more may be known.
    fn has_room_for(&mut self, key: (u32, Client), now: Instant) -> bool {
        let is_time = self.pruned.is_none_or(|at| now.saturating_duration_since(at) >= PRUNE_EVERY);
        if self.clients.len() >= self.prune_from && is_time {
            self.clients.retain(|_, used| used.open > 0 || used.due.is_some_and(|due| due > now));
            // Looked for again when as many more have come, so that each pays for a constant share of it.
            self.prune_from = (2 * self.clients.len()).clamp(PRUNE_FROM_FIRST, CLIENTS_MAX);
            self.pruned = Some(now);
        }
        self.clients.len() < CLIENTS_MAX || self.clients.contains_key(&key)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut book = self.shared.book.lock();
        book.total -= 1;
        book.routes[self.route as usize].open -= 1;
        let Some(client) = self.client else { return };
        let key = (self.route, client);
        let Some(used) = book.clients.get_mut(&key) else { return };
        used.open -= 1;
        if used.open == 0 && used.due.is_none() {
            book.clients.remove(&key);
        }
    }
}

impl Limits {
    fn new(websocket: &RouteWebSocket) -> Self {
        Self {
            open: websocket.max_connections,
            open_of_client: websocket.max_connections_per_client,
            rate: websocket.handshakes_per_second.map(Rate::new),
            rate_of_client: websocket.handshakes_per_second_per_client.map(Rate::new),
        }
    }
}

impl Client {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl PermitLimit {
    /// The metric label and the word of the log.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tunnels => "tunnels",
            Self::Connections => "max_connections",
            Self::ConnectionsPerClient => "max_connections_per_client",
            Self::Handshakes => "handshakes_per_second",
            Self::HandshakesPerClient => "handshakes_per_second_per_client",
            Self::Server => "max_tunnels",
        }
    }
}

/// Clients that are told apart. About 4 MiB.
const CLIENTS_MAX: usize = 65_536;
const PRUNE_FROM_FIRST: usize = 1024;
const PRUNE_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
