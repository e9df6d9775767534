//! One server as its upstream knows it: what it carries, how it stands, and whether it may be given more.
//!
//! Two things are known of a server's health, both from connecting to it: one that has just refused, or whose name has just
//! led nowhere, is a suspect, and is tried after all others for a while; one that has refused so often in a row is down
//! until a connection succeeds. What hinders us here says nothing of it. An operator may take a server out besides: then it
//! is given nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{LOG_INTERVAL, balance::Candidate, pool};
use crate::{clock::Seldom, config};

/// How long a server that refused a connection, or could not be found, is tried only after the others.
const SUSPECT_FOR: Duration = Duration::from_secs(5);

/// Connections in a row that a server refuses before it counts as down.
const DOWN_AFTER: u32 = 3;

/// What a server is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A request and its answer.
    Exchange,
    /// A tunnel, which takes one of the server's places.
    Tunnel,
}

pub(super) struct Server {
    pub(super) id: pool::ServerId,
    pub(super) name: Arc<str>,
    /// Stands for the server in a sticky cookie; says nothing about its address.
    pub(super) token: String,
    weight: u32,
    tunnels_max: Option<usize>,
    load: AtomicUsize,
    /// Of the load, what holds or wants to become a tunnel.
    tunnels: AtomicUsize,
    /// On the upstream's clock, in microseconds; 0 for a server in good standing.
    suspect_until: AtomicU64,
    /// Connections refused since the last that was not.
    refusals: AtomicU32,
    /// When that was, on the same clock; 0 before the first.
    connected_at: AtomicU64,
    is_out: AtomicBool,
    /// Of connections that come to nothing: while it is down, each request's may.
    pub(super) unreached: Seldom,
}

impl Server {
    pub(super) fn new(settled: &config::Server, name: &str, hash: u64) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: Arc::from(name),
            token: format!("{hash:016x}"),
            weight: settled.weight,
            tunnels_max: settled.max_tunnels.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            load: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
            suspect_until: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            connected_at: AtomicU64::new(0),
            is_out: AtomicBool::new(false),
            unreached: Seldom::new(LOG_INTERVAL),
        }
    }

    /// What balancing is to know of it.
    pub(super) fn candidate(&self, purpose: Purpose, tried: bool, now: u64) -> Candidate {
        Candidate {
            weight: self.weight,
            load: self.load.load(Ordering::Relaxed),
            suspect: self.suspect_until.load(Ordering::Relaxed) > now,
            barred: tried || self.is_out() || self.is_full(purpose),
        }
    }

    /// Whether it has no room for one more of this kind.
    pub(super) fn is_full(&self, purpose: Purpose) -> bool {
        purpose == Purpose::Tunnel && self.tunnels_max.is_some_and(|most| self.tunnels.load(Ordering::Relaxed) >= most)
    }

    /// One more is carried by it, unless another was quicker to take the last place.
    pub(super) fn take(&self, purpose: Purpose) -> bool {
        let most = self.tunnels_max.unwrap_or(usize::MAX);
        let more = |tunnels| (tunnels < most).then_some(tunnels + 1);
        let is_taken = purpose == Purpose::Exchange
            || self.tunnels.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if is_taken {
            self.load.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// One is carried no longer.
    pub(super) fn give_back(&self, purpose: Purpose) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.give_place_back(purpose);
    }

    /// The same of its place among the tunnels alone.
    pub(super) fn give_place_back(&self, purpose: Purpose) {
        if purpose == Purpose::Tunnel {
            self.tunnels.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// It has taken a connection. Says whether it was down until now.
    pub(super) fn connected(&self, now: u64) -> bool {
        self.connected_at.fetch_max(now, Ordering::Relaxed);
        self.suspect_until.store(0, Ordering::Relaxed);
        // Mostly it was in good standing, and a look costs less than a write that all threads see.
        self.refusals.load(Ordering::Relaxed) > 0 && self.refusals.swap(0, Ordering::Relaxed) >= DOWN_AFTER
    }

    /// It has refused a connection, which was begun at that moment. Says whether it is down with it. Once it has taken
    /// another, what was begun before says nothing of it any more.
    pub(super) fn refused(&self, begun: u64, now: u64) -> bool {
        self.suspect(begun, now) && self.refusals.fetch_add(1, Ordering::Relaxed) + 1 == DOWN_AFTER
    }

    /// A connection that was begun at that moment has come to nothing: others are tried before it for a while. Says whether
    /// that counts, which it does not once another was taken.
    pub(super) fn suspect(&self, begun: u64, now: u64) -> bool {
        let counts = begun > self.connected_at.load(Ordering::Relaxed);
        if counts {
            self.suspect_until.store(now + SUSPECT_FOR.as_micros() as u64, Ordering::Relaxed);
        }
        counts
    }

    pub(super) fn is_down(&self) -> bool {
        self.refusals.load(Ordering::Relaxed) >= DOWN_AFTER
    }

    pub(super) fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    pub(super) fn set_out(&self, is_out: bool) {
        self.is_out.store(is_out, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(max_tunnels: Option<u64>) -> Server {
        let address = config::BackendAddress::Tcp(([127, 0, 0, 1], 1).into());
        Server::new(&config::Server { address, weight: 1, max_tunnels }, "a", 7)
    }

    #[test]
    fn places_for_tunnels_are_bounded_and_come_back_and_requests_need_none() {
        let server = server(Some(2));
        assert!(server.take(Purpose::Tunnel) && server.take(Purpose::Tunnel));
        assert!(server.is_full(Purpose::Tunnel) && !server.is_full(Purpose::Exchange));
        assert!(!server.take(Purpose::Tunnel) && server.take(Purpose::Exchange));
        assert!(server.candidate(Purpose::Tunnel, false, 1).barred);
        assert_eq!(server.candidate(Purpose::Tunnel, false, 1).load, 3, "who found no place is no load");
        server.give_back(Purpose::Tunnel);
        assert!(!server.candidate(Purpose::Tunnel, false, 1).barred && server.take(Purpose::Tunnel));
    }

    #[test]
    fn a_server_is_down_when_it_has_refused_often_and_up_with_one_connection() {
        let server = server(None);
        assert!(!server.refused(1, 1) && !server.refused(1, 1) && !server.is_down());
        assert!(!server.connected(2), "it was not down");
        assert!(!server.refused(3, 3) && !server.refused(3, 3) && server.refused(3, 3) && server.is_down());
        assert!(!server.refused(3, 3), "that is told once");
        assert!(server.candidate(Purpose::Exchange, false, 4).suspect);
        assert!(server.connected(5) && !server.connected(5), "that it is back is told once, too");
        assert!(!server.is_down() && !server.candidate(Purpose::Exchange, false, 6).suspect);
    }

    #[test]
    fn a_connection_that_was_begun_before_another_was_taken_says_nothing_when_it_fails() {
        let server = server(None);
        server.connected(10);
        for begun in [1, 9, 10] {
            assert!(!server.refused(begun, 20) && !server.candidate(Purpose::Exchange, false, 20).suspect);
        }
        assert!(!server.refused(11, 20) && !server.refused(11, 20) && server.refused(11, 20) && server.is_down());
    }

    #[test]
    fn a_name_that_leads_nowhere_makes_a_suspect_and_takes_nothing_down() {
        let server = server(None);
        for begun in 1..=2 * u64::from(DOWN_AFTER) {
            assert!(server.suspect(begun, begun));
        }
        assert!(server.candidate(Purpose::Exchange, false, 9).suspect && !server.is_down());
    }

    #[test]
    fn one_that_was_taken_out_is_given_nothing_until_it_is_taken_back() {
        let server = server(None);
        server.set_out(true);
        assert!(server.candidate(Purpose::Exchange, false, 1).barred);
        server.set_out(false);
        assert!(!server.candidate(Purpose::Exchange, false, 1).barred);
    }
}
