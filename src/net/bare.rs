//! Reads and writes of sockets with nothing around them.
//!
//! They go straight to the system where rustix does (on Linux nearly everywhere). In glibc each is a point where a thread
//! may be cancelled, which takes two locked operations. Vectored writes are left to tokio: they carry so much that it does
//! not show.

use std::{
    io,
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, SendFlags};
use tokio::{
    io::{AsyncRead, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
    task::coop,
};

/// A socket with nothing around it: TCP or Unix.
pub(super) trait Bare: AsFd + AsyncRead + Unpin {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn try_io(&self, interest: Interest, call: impl FnOnce() -> io::Result<()>) -> io::Result<()>;
}

/// One read into a buffer that has been written before; what has not is left to tokio, which can tell.
#[inline]
pub(super) fn poll_read<S: Bare>(
    socket: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    if buffer.initialized().len() < buffer.capacity() {
        return Pin::new(socket).poll_read(cx, buffer);
    }
    let free = buffer.initialize_unfilled();
    let room = free.len();
    loop {
        ready!(socket.poll_read_ready(cx))?;
        let read = || Ok(rustix::net::recv(&*socket, &mut *free, RecvFlags::empty())?.1);
        if let Some(length) = once(socket, Interest::READABLE, room, read) {
            buffer.advance(length?);
            return Poll::Ready(Ok(()));
        }
    }
}

/// One write. Mostly it can be made at once: the event loop is not asked before, but it counts as a part of the task's turn.
#[inline]
pub(super) fn poll_write(
    socket: &impl Bare,
    cx: &mut Context<'_>,
    bytes: &[u8],
    flags: SendFlags,
) -> Poll<io::Result<usize>> {
    let turn = ready!(coop::poll_proceed(cx));
    loop {
        let write = || Ok(rustix::net::send(socket, bytes, flags | NO_SIGNAL)?);
        if let Some(length) = once(socket, Interest::WRITABLE, bytes.len(), write) {
            turn.made_progress();
            return Poll::Ready(length);
        }
        ready!(socket.poll_write_ready(cx))?;
    }
}

/// One call that moves bytes; nothing, where the event loop is to be waited for before. Where fewer were moved than could
/// have been, the next call would block: it is spared, for whoever is told so waits for the event loop.
#[inline]
fn once(
    socket: &impl Bare,
    interest: Interest,
    most: usize,
    call: impl FnOnce() -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let mut moved = 0;
    let result = socket.try_io(interest, || {
        moved = call()?;
        let would_block_next = (1..most).contains(&moved);
        if would_block_next { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match result {
        Err(error) if moved == 0 => (error.kind() != io::ErrorKind::WouldBlock).then_some(Err(error)),
        _ => Some(Ok(moved)),
    }
}

macro_rules! bare {
    ($($socket:ty)*) => {$(
        impl Bare for $socket {
            fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_read_ready(cx)
            }

            fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_write_ready(cx)
            }

            fn try_io(&self, interest: Interest, call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
                self.try_io(interest, call)
            }
        }
    )*};
}

// tokio gives both the same, and no trait that says so.
bare!(TcpStream UnixStream);

/// A peer that is gone is an error of the call, and no signal, where the call can say so; Rust's runtime sees to the rest.
#[cfg(not(any(target_vendor = "apple", target_os = "redox")))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(any(target_vendor = "apple", target_os = "redox"))]
const NO_SIGNAL: SendFlags = SendFlags::empty();

#[cfg(test)]
mod tests;
