//! Socket options of connections that stay open.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::net::SendFlags;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::{OutQueue, Stream};

/// Prepares a listening socket so that what it accepts is fit for a long life: small messages leave at once (TCP_NODELAY),
/// and a peer that vanished in silence is found by keepalive probes. Linux hands both on to each accepted connection, which
/// spares five system calls for each.
pub fn prepare_listener(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&probes())
}

/// Begins a connection that does not block, whose small messages leave at once. It is open when it takes bytes: on one
/// machine that is now, elsewhere when the event loop says that it can be written. Where we speak first, the packet that
/// would have completed the connection is spared: the first bytes do.
pub fn begin_connect(address: SocketAddr, speaks_first: bool) -> io::Result<TcpStream> {
    let socket = new_socket(address)?;
    socket.set_tcp_nodelay(true)?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    if speaks_first {
        // Where the system does not want to, a packet more goes.
        let _kept = socket.set_tcp_quickack(false);
    }
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = speaks_first;
    match socket.connect(&address.into()) {
        // Linux says "in progress" of each, even of one that is open by then.
        Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// One call where the system can make a socket that does not block.
#[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))
}

#[cfg(not(any(target_os = "android", target_os = "freebsd", target_os = "linux")))]
fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Prepares a connection, whose small messages leave at once already, for a long life: a peer that vanished is found by
/// keepalive probes, and one that takes nothing for `unacknowledged` is given up (TCP_USER_TIMEOUT, where the system has
/// it; whole milliseconds).
///
/// Unix sockets have no such peers. A boxed stream whose socket can't be reached is left as it is. An error is the system's
/// and names no more than the option that failed.
pub fn prepare(stream: &Stream, from: Origin, unacknowledged: Duration) -> io::Result<()> {
    let Some(socket) = stream.socket() else { return Ok(()) };
    let socket = SockRef::from(socket);
    if from == Origin::Dialled || cfg!(not(target_os = "linux")) {
        socket.set_tcp_keepalive(&probes())?;
    }
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(unacknowledged))?;
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = unacknowledged;
    Ok(())
}

/// Where a connection is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From a socket that [`prepare_listener`] has prepared.
    Accepted,
    /// Made by us.
    Dialled,
}

fn probes() -> TcpKeepalive {
    TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES)
}

/// Writes of `first` what the system takes now, without a question to the event loop, which may not know the socket yet.
/// `WouldBlock` where it takes nothing yet.
pub fn write_first(stream: &tokio::net::TcpStream, first: &mut OutQueue) -> io::Result<()> {
    first.write_now(&mut &*SockRef::from(stream))
}

/// Lets the end of the connection reach the peer as a reset, which can't be taken for the end of a message. An error or
/// another kind of socket leaves it as it is: TLS tells a cut by itself (RFC 8446 §6.1), a Unix socket can't be reset.
pub fn reset_on_close(stream: &Stream) {
    if let Stream::Tcp(stream) = stream {
        let _kept = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
}

/// What is written so may wait for the end of the connection, to leave with it (MSG_MORE, where the system has it). Linux
/// waits 200 ms at most, and no longer than until small messages are said to leave at once, once more.
#[cfg(target_os = "linux")]
pub const BEFORE_END: SendFlags = SendFlags::MORE;
#[cfg(not(target_os = "linux"))]
pub const BEFORE_END: SendFlags = SendFlags::empty();

const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
/// Silence after which the first probe of a connection is sent. Under the two minutes after which NATs forget a connection.
pub const PROBE_AFTER: Duration = Duration::from_secs(60);
/// Between two probes.
pub const PROBE_EVERY: Duration = Duration::from_secs(15);
/// Bytes of a tunnel, or of an HTTP/2 connection, that a peer leaves unacknowledged for this long, or does not take: it has
/// gone.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(120);
/// Probes without an answer before the connection is given up.
pub const PROBES: u32 = 4;

#[cfg(test)]
mod tests;
