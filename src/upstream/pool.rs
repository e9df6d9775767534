//! Connections at rest, kept by the worker thread that made them.
//!
//! A thread's pool is touched by that thread alone: no lock, and a socket stays with the event loop it is registered in.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use super::{http1::Connection, http2::Handle};

/// One server, whatever the upstream; unique in the process.
pub(super) type ServerId = u64;

/// How often connections are looked at that were closed by the other side or have rested long enough.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

static RESTING: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool::default());
}

#[derive(Default)]
struct Pool {
    http1: HashMap<ServerId, Vec<Idle>, foldhash::fast::RandomState>,
    http2: HashMap<ServerId, Handle, foldhash::fast::RandomState>,
    sweeping: bool,
}

struct Idle {
    connection: Connection,
    until: Instant,
    _counted: Counted,
}

/// One connection in the count of those at rest.
struct Counted;

/// HTTP/1.1 connections at rest, over all threads.
pub(super) fn resting() -> i64 {
    RESTING.load(Ordering::Relaxed)
}

/// The most recently used connection to that server that is still quiet.
pub(super) fn take(server: ServerId) -> Option<Connection> {
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

/// Keeps a connection for `timeout`, at most `most` of them to that server.
pub(super) fn keep(server: ServerId, connection: Connection, timeout: Duration, most: usize) {
    POOL.with_borrow_mut(|pool| {
        let list = pool.http1.entry(server).or_default();
        if list.len() < most {
            list.push(Idle { connection, until: Instant::now() + timeout, _counted: Counted::new() });
        }
        if !std::mem::replace(&mut pool.sweeping, true) {
            tokio::spawn(sweep());
        }
    });
}

/// This thread's HTTP/2 connection to that server.
pub(super) fn http2(server: ServerId) -> Option<Handle> {
    POOL.with_borrow(|pool| pool.http2.get(&server).cloned())
}

/// Remembers (or forgets) this thread's HTTP/2 connection to that server.
pub(super) fn set_http2(server: ServerId, handle: Option<Handle>) {
    POOL.with_borrow_mut(|pool| match handle {
        Some(handle) => pool.http2.insert(server, handle),
        None => pool.http2.remove(&server),
    });
}

/// Closes what has rested long enough or was closed by the other side; ends when nothing is left.
async fn sweep() {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let now = Instant::now();
        let empty = POOL.with_borrow_mut(|pool| {
            pool.http1.retain(|_, list| {
                list.retain_mut(|idle| idle.until > now && idle.connection.is_quiet());
                !list.is_empty()
            });
            pool.sweeping = !pool.http1.is_empty();
            !pool.sweeping
        });
        if empty {
            return;
        }
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
