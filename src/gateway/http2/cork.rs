//! What one connection has to say, gathered until there is nothing more to add.
//!
//! `h2` writes and flushes between one accepted stream and the next, so that ten requests that came together would be
//! answered in ten writes and ten TLS records. Here they are gathered and leave in one when the connection comes to rest.
//! The buffer is the thread's: a connection at rest holds none, one that is not read holds `GATHERED_MAX` at most.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::idle_frames::IdleFrames;
use crate::net::Stream;

/// The connection's stream in the hands of `h2`, and of who lets out what was gathered. Both are polled by the same
/// task: the lock is never waited for.
#[derive(Clone)]
pub(super) struct Cork {
    shared: Arc<Mutex<Gathering>>,
}

struct Gathering {
    stream: Stream,
    bytes: Vec<u8>,
    written: usize,
    /// A flush by `h2` does nothing.
    held: bool,
    /// `h2` was told to wait for room.
    refused: bool,
    /// Bytes that `h2` has written in all.
    taken: u64,
    /// Bytes that have come from the client in all.
    heard: u64,
    idle_frames: IdleFrames,
    /// The client sends too much for nothing.
    is_flooded: bool,
}

impl Cork {
    /// Every flush is done, until `hold`.
    pub(super) fn new(stream: Stream) -> Self {
        let gathering = Gathering {
            stream,
            bytes: Vec::new(),
            written: 0,
            held: false,
            refused: false,
            taken: 0,
            heard: 0,
            idle_frames: IdleFrames::new(),
            is_flooded: false,
        };
        Self { shared: Arc::new(Mutex::new(gathering)) }
    }

    /// From now on nothing leaves but by `poll_release`, or for want of room.
    pub(super) fn hold(&self) {
        self.shared.lock().held = true;
    }

    /// Whether the client has sent too many frames for nothing since this was last asked.
    pub(super) fn take_flood(&self) -> bool {
        std::mem::take(&mut self.shared.lock().is_flooded)
    }

    /// Bytes that have come from the client in all.
    pub(super) fn heard(&self) -> u64 {
        self.shared.lock().heard
    }

    /// Lets everything out.
    pub(super) fn poll_release(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().poll_release(cx)
    }
}

impl Gathering {
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Hands everything to the stream.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.bytes[self.written..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += taken;
        }
        if self.written > 0 {
            self.written = 0;
            self.bytes.clear();
            SPARE.set(std::mem::take(&mut self.bytes));
        }
        if std::mem::take(&mut self.refused) {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.bytes.len() == GATHERED_MAX && self.poll_empty(cx)?.is_pending() {
            self.refused = true;
            return Poll::Pending;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
            self.bytes.reserve_exact(GATHERED_MAX);
        }
        let before = self.bytes.len();
        for piece in pieces {
            let room = GATHERED_MAX - self.bytes.len();
            self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        let taken = self.bytes.len() - before;
        self.taken += taken as u64;
        Poll::Ready(Ok(taken))
    }
}

impl AsyncRead for Cork {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.shared.lock();
        let Gathering { stream, idle_frames, taken, heard, is_flooded, .. } = &mut *gathering;
        let before = buf.filled().len();
        let read = Pin::new(stream).poll_read(cx, buf);
        let came = &buf.filled()[before..];
        *heard += came.len() as u64;
        *is_flooded |= idle_frames.take(came, *taken, Instant::now);
        read
    }
}

impl AsyncWrite for Cork {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.lock().poll_gather(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.lock().poll_gather(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.shared.lock();
        if gathering.held { Poll::Ready(Ok(())) } else { gathering.poll_release(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.shared.lock();
        ready!(gathering.poll_release(cx))?;
        Pin::new(&mut gathering.stream).poll_shutdown(cx)
    }
}

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Four full TLS records.
const GATHERED_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
