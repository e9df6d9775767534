//! The demo's app: a small, real HTTP/1.1 server on a loopback port of its own thread.
//!
//! It is the backend that Tidegate stands in front of, so it speaks plain HTTP over a socket like any other: nothing goes
//! past the gateway. One update a second, told by polling, long poll, server-sent events and WebSocket.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime,
    sync::{Semaphore, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::clock::Now;
use updates::Updates;

mod answer;
mod connection;
mod files;
mod frames;
mod live;
mod updates;
mod websocket;

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS: usize = 1024;

/// From `stop` to the end of the thread, for what is still being said.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection that we have ended is read from.
const LINGER: Duration = Duration::from_secs(1);

/// Tells on uncached answers how many bytes the request's head had when it arrived.
const HEAD_BYTES: &str = "X-Request-Head-Bytes";

/// The running app.
pub(super) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// What all connections see.
struct Shared {
    updates: Updates,
    /// Becomes true once, when the origin stops.
    stopping: watch::Sender<bool>,
    /// Where the page may point its reader to; known once the gateway runs.
    neighbours: OnceLock<Neighbours>,
}

/// Addresses for the page.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    pub(super) gateway: SocketAddr,
    pub(super) metrics: SocketAddr,
    pub(super) origin: SocketAddr,
}

impl Origin {
    /// Binds a free loopback port and serves it from a thread of its own.
    pub(super) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stopping = watch::Sender::new(false);
        let shared = Arc::new(Shared { updates: Updates::new(), stopping, neighbours: OnceLock::new() });
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("demo-origin".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, for_thread));
        })?;
        Ok(Self { address, shared, thread })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells the page where the others are; the first word stays.
    pub(super) fn introduce(&self, neighbours: Neighbours) {
        let _ = self.shared.neighbours.set(neighbours); // A second word changes nothing.
    }

    /// Ends streams and WebSockets in order, then the thread.
    pub(super) fn stop(self) {
        self.shared.stopping.send_replace(true);
        let _ = self.thread.join(); // A panic there has been told on stderr already.
    }
}

impl Shared {
    /// What the page says about the house.
    fn about(&self) -> String {
        let addresses = self.neighbours.get().map(|all| {
            let Neighbours { gateway, metrics, origin } = all;
            format!(",\"gateway\":\"{gateway}\",\"metrics\":\"{metrics}\",\"origin\":\"{origin}\"")
        });
        format!("{{\"version\":\"{}\"{}}}", env!("CARGO_PKG_VERSION"), addresses.unwrap_or_default())
    }
}

/// Accepts and ticks until told to stop, then waits a little for the connections.
async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(problem) => {
            tracing::error!(%problem, "the demo's app can't listen");
            return;
        }
    };
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stopping = shared.stopping.subscribe();
    tokio::select! {
        () = accept(&listener, &shared, &permits) => {}
        () = tick(&shared) => {}
        () = until(&mut stopping, |&stopping| stopping) => {}
    }
    drop(listener);
    // All permits back means that every connection has ended.
    let all_ended = permits.acquire_many(CONNECTIONS as u32);
    let _ = timeout(STOP_TIMEOUT, all_ended).await; // Whoever is still talking is cut.
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>, permits: &Arc<Semaphore>) {
    // The semaphore is never closed: an error can't come.
    while let Ok(permit) = Arc::clone(permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true); // Only slower without.
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    connection::serve(stream, shared).await;
                    drop(permit);
                });
            }
            Err(problem) => {
                tracing::warn!(%problem, "the demo's app could not accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Waits until the watched value is as wanted; for ever, if it never is.
async fn until<T>(watched: &mut watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) {
    // An error would mean that the sender is gone; it lives in `Shared`, which every waiter holds.
    let _ = watched.wait_for(wanted).await;
}

/// Ends our side and reads on for a moment: closing over unread bytes would reset the connection and take the last answer
/// with it (RFC 9112 §9.6).
async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return; // Gone already.
    }
    let mut unread = [0; 4096];
    let to_the_end = async { while matches!(stream.read(&mut unread).await, Ok(bytes) if bytes > 0) {} };
    let _ = timeout(LINGER, to_the_end).await; // Whoever goes on talking is not heard.
}

async fn tick(shared: &Shared) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        shared.updates.add(Now::read().unix.as_millis() as u64);
    }
}

#[cfg(test)]
mod tests;
