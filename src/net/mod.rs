//! Sockets as the layers above see them: one stream type for plain, Unix and TLS connections, and who is at the other end.

mod bare;
pub mod http2;
mod out_queue;
pub mod scratch;
pub mod socket;
mod spare;
mod watchdog;

pub use out_queue::{OutQueue, compact};
pub use spare::Spare;
pub use watchdog::Watchdog;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use rustix::net::SendFlags;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// A connection's bytes. Plain sockets are kept bare, so that the lanes can use readiness and vectored writes on them.
pub enum Stream {
    /// A bare TCP socket.
    Tcp(TcpStream),
    /// A bare Unix socket.
    Unix(UnixStream),
    /// TLS on either side, and whatever a connector gave.
    Boxed(Box<dyn Io>),
}

/// What a boxed stream must be able to do.
pub trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// The TCP socket beneath, which nobody shares, if it can be reached.
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    /// See [`Stream::poll_break_off`].
    fn poll_break_off(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_flush(cx)
    }
}

/// Who is at the other end of a client's connection, and how it came in.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The client's address; `None` on a Unix socket.
    pub client: Option<SocketAddr>,
    /// Ours; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// HTTP/2 was agreed (ALPN) or is spoken by prior knowledge (RFC 9113 §3.3).
    pub http2: bool,
}

impl ClientInfo {
    /// The client's IP address; unspecified for a Unix socket.
    pub fn ip(&self) -> IpAddr {
        self.client.map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |address| address.ip())
    }
}

impl Stream {
    /// Whether it is a socket with nothing around it, of which closing says all that ending the write side would have said.
    pub fn is_bare(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Unix(_))
    }

    /// Writes bytes behind which the write side is about to end: they may wait for that, so that both leave in one packet.
    /// Where it does not end at once, [`Stream::let_go`] lets them leave.
    pub fn poll_write_last(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self::Tcp(stream) = self else { return Pin::new(self).poll_write(cx, bytes) };
        bare::poll_write(stream, cx, bytes, socket::BEFORE_END)
    }

    /// Lets leave what waits for the end of the write side. What the system says of it, the next write says too.
    pub fn let_go(&self) {
        if let Self::Tcp(stream) = self {
            let _kept = stream.set_nodelay(true);
        }
    }

    /// Ends the stream behind all that was written, but as one that broke: ready when it may be dropped. Over TLS nothing
    /// says that this was the end (RFC 8446 §6.1). A bare socket can only end: a reset would take back what is under way.
    pub fn poll_break_off(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Boxed(stream) => stream.poll_break_off(cx),
        }
    }

    /// The TCP socket beneath, if there is one, nobody shares it, and it can be reached.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
            Self::Boxed(stream) => stream.socket(),
        }
    }

    /// Whether the event loop has told of something to be read since a read last found nothing; always, where there may be
    /// something that it does not know of. Asks no system, and whoever waits to be woken still is.
    pub fn is_readable(&self) -> bool {
        let is_known = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, || Ok(())),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, || Ok(())),
            Self::Boxed(_) => Ok(()),
        };
        is_known.is_ok()
    }
}

#[cfg(test)]
impl Io for tokio::io::DuplexStream {}
#[cfg(test)]
impl<T: Io> Io for tokio::io::BufStream<T> {}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => bare::poll_read(stream, cx, buf),
            Self::Unix(stream) => bare::poll_read(stream, cx, buf),
            Self::Boxed(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => bare::poll_write(stream, cx, buf, SendFlags::empty()),
            Self::Unix(stream) => bare::poll_write(stream, cx, buf, SendFlags::empty()),
            Self::Boxed(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Boxed(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => true,
            Self::Boxed(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // The kernel has what was written to a bare socket.
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Boxed(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Boxed(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
