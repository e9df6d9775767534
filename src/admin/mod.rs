//! Looking inside: the small HTTP/1.1 server for operators, probes and Prometheus.
//!
//! It has a listener of its own, loopback by default, and reads requests through the same strict reading as the lanes.
//! Everything is bounded: the head and its deadline, the wait between requests, the connections. A request whose Host
//! is a foreign name is refused (see `host`), and what changes something takes JSON only, which no page can send unasked.
//! What can be asked is the table in `endpoints`; a theme has a file of its own.

mod answer;
mod connection;
mod connections;
mod drain;
mod endpoints;
mod entries;
mod explain;
mod host;
mod purge;
mod request;
mod row;
mod selection;

use std::{future::Future, io::Write, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    cache::Cache,
    metrics::{Counter, Registry},
    tunnel::Tunnels,
    upstream::Upstream,
    wire::{RequestHead, ResponseHead, Url},
};
use connection::Waits;

pub use drain::DrainPace;

/// What the endpoints tell of.
#[derive(Clone)]
pub struct AdminState {
    /// For `/metrics`.
    pub registry: Registry,
    /// For `/ready`; asked at each request, on a thread that may block for a moment.
    pub ready: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// Names under which the admin listener may be asked for, beside IP addresses and `localhost`: without port, as
    /// `tidegate` where containers find each other by name.
    pub hosts: Vec<String>,
    /// What is stored.
    pub cache: Arc<Cache>,
    /// The bases of the keys under which answers for a URL are stored (see [`crate::cache::key`]).
    pub bases: Bases,
    /// What would become of a request now, and of this answer to it: facts as (about, words).
    pub explain: Explain,
    /// What is open.
    pub tunnels: Tunnels,
    /// Where requests go: what servers there are, and to which nothing is to go.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Held while a part is drained or taken back, so that the two never mix.
    pub draining: Arc<parking_lot::Mutex<()>>,
    /// How tunnels are told to go when the order does not say it.
    pub drain: DrainPace,
    /// Facts for the front page, as (name, value).
    pub info: Vec<(&'static str, String)>,
}

/// Gives the bases of keys for a URL.
pub type Bases = Arc<dyn Fn(&Url) -> Vec<Vec<u8>> + Send + Sync>;

/// Explains what would become of a request, and of an answer to it.
pub type Explain = Arc<dyn Fn(RequestHead, Option<&ResponseHead>) -> Vec<(&'static str, String)> + Send + Sync>;

/// Whether the gateway should be given traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet: it does not listen everywhere.
    Starting,
    /// Yes.
    Ready,
    /// No more: it is stopping.
    Draining,
    /// Not until an operator takes it back, who has drained all of it.
    Drained,
}

/// Most open connections; further ones get 503 and are closed.
pub const CONNECTIONS_MAX: usize = 64;

/// Answers requests until `stop` is done, then closes idle connections, gives answers under way a second and returns.
pub async fn serve(listener: TcpListener, state: AdminState, stop: impl Future<Output = ()>) {
    serve_with(listener, state, stop, connection::WAITS).await;
}

async fn serve_with(listener: TcpListener, state: AdminState, stop: impl Future<Output = ()>, waits: Waits) {
    let refused = state.registry.counter(
        "tidegate_admin_connections_refused_total",
        "Connections to the admin listener that were refused because too many were open. When this rises, somebody opens connections and leaves them.",
    );
    let state = Arc::new(state);
    let (closing, closing_of_connection) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(connection::run(stream, state.clone(), closing_of_connection.clone(), waits));
                }
                Ok((stream, _)) => refuse(stream, &refused),
                Err(error) => {
                    // Mostly a lack of descriptors, which passes when some are closed.
                    tracing::warn!(%error, "the admin listener can't accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    closing.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_WAIT, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

impl Readiness {
    /// The word in the answer.
    pub fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Drained => "drained",
        }
    }
}

/// Says no as well as that is possible without waiting for the client.
fn refuse(stream: TcpStream, refused: &Counter) {
    refused.add(1);
    if let Ok(mut stream) = stream.into_std() {
        // A client that can't be told sees the connection closed, which says the same.
        let _ = stream.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const STOP_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
