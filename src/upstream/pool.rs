//! Connections at rest, kept by the worker thread that made them.
//!
//! A thread's pool is touched by that thread alone: no lock, and a socket stays with the event loop it is registered in.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use super::{Failure, http1::Connection, http2::Handle};

/// One server, whatever the upstream; unique in the process.
pub(super) type ServerId = u64;

/// How often connections are looked at that were closed by the other side or have rested long enough.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Streams that a connection is trusted with before it says how many it takes (RFC 9113 §6.5.2 recommends 100).
const STREAMS_BEFORE_SETTINGS: usize = 100;

static RESTING: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool::default());
}

#[derive(Default)]
struct Pool {
    http1: HashMap<ServerId, Vec<Idle>, foldhash::fast::RandomState>,
    http2: HashMap<ServerId, Vec<Rested>, foldhash::fast::RandomState>,
    sweeping: bool,
}

struct Idle {
    connection: Box<Connection>,
    /// Closed once this has come; set by the first sweep that finds it.
    until: Option<Instant>,
    timeout: Duration,
    _counted: Counted,
}

/// One connection in the count of those at rest.
struct Counted;

/// One HTTP/2 connection in the pool.
struct Rested {
    shared: Arc<Shared>,
    /// It carries nothing: closed once this has come.
    until: Option<Instant>,
    timeout: Duration,
}

/// One HTTP/2 connection, from the moment that somebody dials it.
#[derive(Default)]
pub(super) struct Shared {
    /// One dial for all who want the connection meanwhile, and one failure.
    pub(super) dialled: OnceCell<Result<Handle, Failure>>,
    streams: AtomicUsize,
    /// It has kept somebody waiting for too long.
    given_up: AtomicBool,
}

/// One stream's place on an HTTP/2 connection.
pub(super) struct Lease(Arc<Shared>);

/// HTTP/1.1 connections at rest, over all threads.
pub(super) fn resting() -> i64 {
    RESTING.load(Ordering::Relaxed)
}

/// The most recently used connection to that server that is still quiet.
pub(super) fn take(server: ServerId) -> Option<Box<Connection>> {
    POOL.with_borrow_mut(|pool| {
        let list = pool.http1.get_mut(&server)?;
        while let Some(mut idle) = list.pop() {
            if idle.connection.is_quiet() {
                return Some(idle.connection);
            }
        }
        None
    })
}

/// Keeps a connection for `timeout`, or less if its backend has said so, at most `most` of them to that server.
pub(super) fn keep(server: ServerId, connection: Box<Connection>, timeout: Duration, most: usize) {
    POOL.with_borrow_mut(|pool| {
        // The backend has counted for longer, and its end takes its time to arrive.
        let patience = connection.patience().saturating_sub(SWEEP_EVERY);
        let list = pool.http1.entry(server).or_default();
        if list.len() < most && !patience.is_zero() {
            let timeout = timeout.min(patience);
            list.push(Idle { connection, until: None, timeout, _counted: Counted::new() });
        }
        pool.begin_sweeping();
    });
}

/// A place on this thread's first HTTP/2 connection to that server with room for a stream; on a new one, which the caller
/// dials, if there is none. A connection without streams is kept for `timeout`.
pub(super) fn http2(server: ServerId, timeout: Duration) -> Lease {
    POOL.with_borrow_mut(|pool| {
        let list = pool.http2.entry(server).or_default();
        let lease = match list.iter().find(|rested| rested.shared.has_room()) {
            Some(rested) => Lease::new(&rested.shared),
            None => {
                let shared = Arc::<Shared>::default();
                let lease = Lease::new(&shared);
                list.push(Rested { shared, until: None, timeout });
                lease
            }
        };
        pool.begin_sweeping();
        lease
    })
}

/// Takes a connection that has failed or is going away out of the pool; what it still carries goes on.
pub(super) fn forget_http2(server: ServerId, shared: &Arc<Shared>) {
    POOL.with_borrow_mut(|pool| {
        if let Some(list) = pool.http2.get_mut(&server) {
            list.retain(|rested| !Arc::ptr_eq(&rested.shared, shared));
        }
    });
}

/// Closes what has rested long enough or was closed by the other side; ends when nothing is left.
async fn sweep() {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let now = Instant::now();
        let empty = POOL.with_borrow_mut(|pool| {
            pool.http1.retain(|_, list| {
                list.retain_mut(|idle| idle.is_wanted(now));
                !list.is_empty()
            });
            pool.http2.retain(|_, list| {
                list.retain_mut(|rested| rested.is_wanted(now));
                !list.is_empty()
            });
            pool.sweeping = !(pool.http1.is_empty() && pool.http2.is_empty());
            !pool.sweeping
        });
        if empty {
            return;
        }
    }
}

impl Pool {
    fn begin_sweeping(&mut self) {
        if !std::mem::replace(&mut self.sweeping, true) {
            tokio::spawn(sweep());
        }
    }
}

impl Idle {
    fn is_wanted(&mut self, now: Instant) -> bool {
        // It has rested for as long as a sweep already, perhaps.
        let until = *self.until.get_or_insert(now + self.timeout.saturating_sub(SWEEP_EVERY));
        until > now && self.connection.is_quiet()
    }
}

impl Rested {
    fn is_wanted(&mut self, now: Instant) -> bool {
        if self.shared.given_up.load(Ordering::Relaxed) {
            return false;
        }
        if self.shared.streams.load(Ordering::Relaxed) > 0 {
            self.until = None;
            return true;
        }
        *self.until.get_or_insert(now + self.timeout) > now
    }
}

impl Shared {
    /// Whether one more stream fits. What a connection takes that is still being dialled is not known yet.
    fn has_room(&self) -> bool {
        if self.given_up.load(Ordering::Relaxed) {
            return false;
        }
        let most = match self.dialled.get() {
            None => STREAMS_BEFORE_SETTINGS,
            Some(Ok(handle)) => handle.streams_max().max(1),
            Some(Err(_)) => 0,
        };
        self.streams.load(Ordering::Relaxed) < most
    }
}

impl Lease {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.streams.fetch_add(1, Ordering::Relaxed);
        Self(shared.clone())
    }

    /// Nothing new comes to this connection any more: a backend that is silent on one stream may be so on all. What it
    /// carries already goes on.
    pub(super) fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Relaxed);
    }

    /// The connection that the place is on.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counted {
    fn new() -> Self {
        RESTING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        RESTING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
