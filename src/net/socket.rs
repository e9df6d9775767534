//! Socket options of connections that stay open.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};

use super::Stream;

/// Prepares a connection for a long life: small messages leave at once (TCP_NODELAY), a peer that vanished in silence is
/// found by keepalive probes, and one that takes nothing for `unacknowledged` is given up (TCP_USER_TIMEOUT, where the
/// system has it; whole milliseconds).
///
/// Unix sockets have no such peers. Of a boxed stream the socket can't be reached: whoever made it sets the options on
/// the socket beneath, with [`prepare_socket`]. An error is the system's and names no more than the option that failed.
pub fn prepare(stream: &Stream, unacknowledged: Duration) -> io::Result<()> {
    match stream {
        Stream::Tcp(stream) => prepare_socket(SockRef::from(stream), unacknowledged),
        Stream::Unix(_) | Stream::Boxed(_) => Ok(()),
    }
}

/// The same for a TCP socket of any kind.
pub fn prepare_socket(socket: SockRef<'_>, unacknowledged: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(unacknowledged))?;
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = unacknowledged;
    Ok(())
}

/// Lets the end of the connection reach the peer as a reset, which can't be taken for the end of a message. An error or
/// another kind of socket leaves it as it is: TLS tells a cut by itself (RFC 8446 §6.1), a Unix socket can't be reset.
pub fn reset_on_close(stream: &Stream) {
    if let Stream::Tcp(stream) = stream {
        let _kept = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
}

/// Silence after which the first probe is sent. Under the two minutes after which NATs forget a connection.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// Between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// Probes without an answer before the connection is given up.
const PROBES: u32 = 4;

#[cfg(test)]
mod tests;
