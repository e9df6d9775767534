//! The accept loop of one worker on one listener, and a connection's way to the handler.
//!
//! No error ends the loop; only the stop does. A connection is counted first, then TLS or the look at its first bytes
//! has its deadline, then the handler's future runs in the same task and its end gives the place back.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
    time::timeout,
};

use super::{
    bind::ListenSocket,
    limit::{Connections, Limit, Permit},
    metrics::{AcceptError, Handshake, Metrics, OpenConnection},
    preface::{FirstBytes, first_bytes},
    tls,
};
use crate::{
    clock::Seldom,
    config::ListenAddress,
    net::{ClientInfo, Stream},
};

/// One listener as its connections see it; shared by the workers.
pub struct Door {
    listener: usize,
    address: ListenAddress,
    entry: Entry,
    connections: Connections,
    metrics: Metrics,
    refusals: Seldom,
    errors: Seldom,
}

/// What happens to a connection before the handler has it.
pub enum Entry {
    /// Nothing: HTTP/1 without TLS.
    Plain,
    /// A look at the first bytes for HTTP/2 by prior knowledge, for at most this long.
    PriorKnowledge(Duration),
    /// The TLS handshake, for at most this long.
    Tls(Arc<ServerConfig>, Duration),
}

impl Door {
    /// `listener` is the index into `Config::listeners`, `address` where it really listens.
    pub fn new(
        listener: usize,
        address: ListenAddress,
        entry: Entry,
        connections: Connections,
        metrics: Metrics,
    ) -> Self {
        let (refusals, errors) = (Seldom::new(LOG_INTERVAL), Seldom::new(LOG_INTERVAL));
        Self { listener, address, entry, connections, metrics, refusals, errors }
    }

    fn admit(&self, client: Option<SocketAddr>) -> Option<Place> {
        self.metrics.accepted(self.listener);
        match self.connections.admit(client.map(|client| client.ip())) {
            Ok(permit) => Some(Place { _open: self.metrics.hold_open(self.listener), _permit: permit }),
            Err(limit) => {
                self.refused(limit, client);
                None
            }
        }
    }

    fn refused(&self, limit: Limit, client: Option<SocketAddr>) {
        self.metrics.refused(limit);
        if let Some(held_back) = self.refusals.ask(Instant::now()) {
            let client = client.map_or("unix".to_owned(), |client| client.ip().to_string());
            tracing::warn!(
                listener = %self.address, limit = limit.label(), client, held_back,
                "a connection was refused: the limit is reached"
            );
        }
    }

    /// How long to leave accepting alone after this error.
    fn failed(&self, error: &io::Error) -> Option<Duration> {
        let (reason, pause) = match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => (AcceptError::Descriptors, Some(PAUSE)),
            Some(Errno::NOBUFS | Errno::NOMEM) => (AcceptError::Memory, Some(PAUSE)),
            Some(Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR) => (AcceptError::Gone, None),
            // Linux also passes network errors of the new connection on here (accept(2)); a pause keeps a lasting one cheap.
            _ => (AcceptError::Other, Some(PAUSE)),
        };
        self.metrics.accept_error(reason);
        if reason != AcceptError::Gone
            && let Some(held_back) = self.errors.ask(Instant::now())
        {
            tracing::error!(listener = %self.address, held_back, "a connection could not be accepted: {error}");
        }
        pause
    }

    /// Ours, as the client sees it; asked of the system only where the listener takes every address.
    fn local(&self, stream: &TcpStream) -> Option<SocketAddr> {
        match &self.address {
            ListenAddress::Tcp(address) if !address.ip().is_unspecified() => Some(*address),
            _ => stream.local_addr().ok().map(canonical),
        }
    }
}

/// Accepts until `stop` turns true, hands every connection to `handler` in a task of the current runtime, and closes the
/// socket. What the system had already accepted by then is still served.
pub async fn accept<H, F>(socket: ListenSocket, door: Arc<Door>, stop: watch::Receiver<bool>, handler: H)
where
    H: Fn(Stream, ClientInfo) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listening = match Listening::new(socket) {
        Ok(listening) => listening,
        Err(error) => {
            tracing::error!(listener = %door.address, "the socket could not be given to the event loop: {error}");
            return;
        }
    };
    let mut stopped = std::pin::pin!(stopped(stop.clone()));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopped => break,
            accepted = listening.accept() => accepted,
        };
        match accepted {
            Ok(incoming) => enter(incoming, &door, &stop, &handler),
            Err(error) => {
                if let Some(pause) = door.failed(&error) {
                    tokio::select! {
                        () = &mut stopped => break,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }
    // With the socket, its queue is thrown away: so it is emptied first.
    match listening.into_queue() {
        Ok(queue) => queue.take(SWEEP_MAX).for_each(|incoming| enter(incoming, &door, &stop, &handler)),
        Err(error) => tracing::warn!(listener = %door.address, "waiting connections were lost: {error}"),
    }
}

/// A listening socket in the event loop.
enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Incoming {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// A connection's place under the caps and in the gauge, for as long as its task lives.
struct Place {
    // First, so that the gauge is right when the last permit's return is noticed.
    _open: OpenConnection,
    _permit: Permit,
}

impl Listening {
    fn new(socket: ListenSocket) -> io::Result<Self> {
        match socket {
            ListenSocket::Tcp(socket) => TcpListener::from_std(socket).map(Self::Tcp),
            ListenSocket::Unix(socket) => UnixListener::from_std(socket).map(Self::Unix),
        }
    }

    async fn accept(&self) -> io::Result<Incoming> {
        match self {
            Self::Tcp(socket) => socket.accept().await.map(|(stream, client)| Incoming::Tcp(stream, client)),
            Self::Unix(socket) => socket.accept().await.map(|(stream, _)| Incoming::Unix(stream)),
        }
    }

    /// The connections that wait to be accepted, up to the first moment that none does.
    fn into_queue(self) -> io::Result<impl Iterator<Item = Incoming>> {
        let socket = match self {
            Self::Tcp(socket) => ListenSocket::Tcp(socket.into_std()?),
            Self::Unix(socket) => ListenSocket::Unix(socket.into_std()?),
        };
        Ok(std::iter::from_fn(move || match &socket {
            ListenSocket::Tcp(socket) => {
                let (stream, client) = socket.accept().ok()?;
                stream.set_nonblocking(true).ok()?;
                Some(Incoming::Tcp(TcpStream::from_std(stream).ok()?, client))
            }
            ListenSocket::Unix(socket) => {
                let (stream, _) = socket.accept().ok()?;
                stream.set_nonblocking(true).ok()?;
                Some(Incoming::Unix(UnixStream::from_std(stream).ok()?))
            }
        }))
    }
}

/// Counts the connection and gives it a task, or closes it.
fn enter<H, F>(incoming: Incoming, door: &Arc<Door>, stop: &watch::Receiver<bool>, handler: &H)
where
    H: Fn(Stream, ClientInfo) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (stream, client, local) = match incoming {
        Incoming::Tcp(stream, client) => {
            prepare(&stream);
            let local = door.local(&stream);
            (Stream::Tcp(stream), Some(canonical(client)), local)
        }
        Incoming::Unix(stream) => (Stream::Unix(stream), None, None),
    };
    let Some(place) = door.admit(client) else { return };
    let info = ClientInfo { client, local, tls: false, http2: false };
    let handler = handler.clone();
    // Everything is made outside of its task, which would otherwise hold the arguments for as long as the connection
    // lasts; and a plain connection does not carry the room that a handshake needs.
    match &door.entry {
        Entry::Plain => {
            let serving = handler(stream, info);
            tokio::spawn(async move {
                let _place = place;
                serving.await;
            });
        }
        Entry::PriorKnowledge(_) => {
            let beginning = Box::pin(door.clone().recognise(stream, info, stop.clone()));
            tokio::spawn(serve_begun(place, beginning, handler));
        }
        Entry::Tls(..) => {
            let beginning = Box::pin(door.clone().shake_hands(stream, info, stop.clone()));
            tokio::spawn(serve_begun(place, beginning, handler));
        }
    }
}

/// Serves a connection that has to find out how it is spoken on first.
async fn serve_begun<P, H, F>(
    _place: P,
    beginning: Pin<Box<impl Future<Output = Option<(Stream, ClientInfo)>>>>,
    handler: H,
) where
    H: Fn(Stream, ClientInfo) -> F,
    F: Future<Output = ()>,
{
    let Some((stream, info)) = beginning.await else { return };
    let serving = handler(stream, info);
    serving.await;
}

impl Door {
    /// Finds out whether the client speaks HTTP/2 by prior knowledge. `None` ends the connection: it said nothing, or
    /// nothing in time.
    async fn recognise(
        self: Arc<Self>,
        stream: Stream,
        mut info: ClientInfo,
        stop: watch::Receiver<bool>,
    ) -> Option<(Stream, ClientInfo)> {
        let Entry::PriorKnowledge(deadline) = &self.entry else { return Some((stream, info)) };
        match in_time(*deadline, stop, first_bytes(&stream)).await {
            Some(Ok(FirstBytes::Http2)) => info.http2 = true,
            Some(Ok(FirstBytes::Other)) => {}
            Some(Ok(FirstBytes::None) | Err(_)) => return None,
            None => {
                self.metrics.refused(Limit::FirstBytes);
                return None;
            }
        }
        Some((stream, info))
    }

    /// Does the TLS handshake. `None` ends the connection.
    async fn shake_hands(
        self: Arc<Self>,
        stream: Stream,
        mut info: ClientInfo,
        stop: watch::Receiver<bool>,
    ) -> Option<(Stream, ClientInfo)> {
        let Entry::Tls(config, deadline) = &self.entry else { return Some((stream, info)) };
        let result = match in_time(*deadline, stop, tls::accept(config.clone(), stream)).await {
            Some(Ok(stream)) => {
                self.metrics.handshake(Handshake::Ok);
                info.tls = true;
                info.http2 = stream.protocol() == Some(b"h2");
                return Some((Stream::Boxed(Box::new(stream)), info));
            }
            Some(Err(error)) => {
                let result = match error.get_ref() {
                    Some(fault) if fault.is::<tls::SpokeHttp>() => Handshake::Http,
                    _ if error.kind() == io::ErrorKind::InvalidData => Handshake::Failed,
                    _ => Handshake::Gone,
                };
                tracing::debug!(listener = %self.address, client = ?info.client, "TLS handshake: {error}");
                result
            }
            None => Handshake::Timeout,
        };
        self.metrics.handshake(result);
        None
    }
}

/// What the future gives, unless the deadline passes first, or the gateway stops and a last moment passes.
async fn in_time<T>(deadline: Duration, stop: watch::Receiver<bool>, future: impl Future<Output = T>) -> Option<T> {
    let last_moment = async {
        stopped(stop).await;
        tokio::time::sleep(LAST_MOMENT).await;
    };
    tokio::select! {
        biased;
        given = timeout(deadline, future) => given.ok(),
        () = last_moment => None,
    }
}

/// Linux has handed the listener's options on; elsewhere they are set here.
fn prepare(stream: &TcpStream) {
    if cfg!(not(target_os = "linux"))
        && let Err(error) = stream.set_nodelay(true)
    {
        tracing::debug!("TCP_NODELAY: {error}");
    }
}

/// An IPv4 client of a `[::]` listener under its IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Returns when `stop` has turned true, or nobody is left who could say so.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// After an error that would only repeat at once.
const PAUSE: Duration = Duration::from_millis(100);

/// After the stop, for a connection that came just before it to say what it wants. A silent one holds the stop no longer.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Between two log lines of the same kind.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Waiting connections that are still served when the socket is closed: as many as its queue can hold.
const SWEEP_MAX: usize = 4096;

#[cfg(test)]
mod tests;
