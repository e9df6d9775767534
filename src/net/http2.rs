//! What a peer has sent on the streams of one HTTP/2 connection and nobody has read: it is held in little more than its bytes.
//!
//! Flow control counts bytes, and each frame costs `h2` some 300 bytes besides, however few are in it: a window of 256 KiB
//! in frames of one byte would be 75 MiB. `h2` bounds that with a budget of the whole connection, so that one reader that is
//! stuck ends the streams of all. Here no more than `READ_MAX` bytes are read before what lies in `h2` is gathered, stream by
//! stream, into plain buffers, whose windows are not given back. So the memory of a connection is bounded by twice its
//! window and `READ_MAX / 10` frames, about 2 MiB of them, and that budget is not needed.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The streams of one connection that may bring data.
#[derive(Clone, Default)]
pub struct Streams(Arc<List>);

#[derive(Default)]
struct List {
    open: Mutex<Vec<Arc<Mutex<Receiving>>>>,
    /// Bytes read of the connection since data was gathered last.
    read: AtomicUsize,
}

/// What one stream brings.
pub struct Received {
    receiving: Arc<Mutex<Receiving>>,
    streams: Streams,
}

struct Receiving {
    stream: RecvStream,
    gathered: Gathered,
    /// Who waits for data.
    reader: Option<Waker>,
}

/// Data in order: pieces that are worth a buffer of their own, then small ones in one.
#[derive(Default)]
struct Gathered {
    pieces: VecDeque<Bytes>,
    small: BytesMut,
}

/// A connection that is read so far and no further until its streams are gathered.
pub struct Paced<S> {
    io: S,
    streams: Streams,
}

impl Streams {
    /// Gathers what nobody has read, if so much has come since the last time; before each poll of the connection, so that
    /// readers that keep up have had their turn.
    pub fn gather(&self) {
        if self.0.read.load(Ordering::Relaxed) < READ_MAX {
            return;
        }
        self.0.read.store(0, Ordering::Relaxed);
        for receiving in self.0.open.lock().iter() {
            receiving.lock().gather();
        }
    }
}

impl Received {
    /// Of a stream of this connection.
    pub fn new(stream: RecvStream, streams: &Streams) -> Self {
        let is_over = stream.is_end_stream();
        let receiving = Receiving { stream, gathered: Gathered::default(), reader: None };
        let receiving = Arc::new(Mutex::new(receiving));
        if !is_over {
            streams.0.open.lock().push(receiving.clone());
        }
        Self { receiving, streams: streams.clone() }
    }

    /// The next piece; `None` at the end. Its window is given back by `release`.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let receiving = &mut *self.receiving.lock();
        if let Some(piece) = receiving.gathered.pop() {
            return Poll::Ready(Some(Ok(piece)));
        }
        let polled = receiving.stream.poll_data(cx);
        receiving.reader = polled.is_pending().then(|| cx.waker().clone());
        polled
    }

    /// The trailers, once the data has ended.
    pub fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        let receiving = &mut *self.receiving.lock();
        let polled = receiving.stream.poll_trailers(cx);
        receiving.reader = polled.is_pending().then(|| cx.waker().clone());
        polled
    }

    /// Whether neither data nor trailers are to come.
    pub fn is_end_stream(&self) -> bool {
        let receiving = self.receiving.lock();
        receiving.gathered.is_empty() && receiving.stream.is_end_stream()
    }

    /// Lets the peer send so many bytes more. Of a stream that has ended nothing is left to be given back.
    pub fn release(&mut self, bytes: usize) {
        let _window = self.receiving.lock().stream.flow_control().release_capacity(bytes);
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let mut open = self.streams.0.open.lock();
        if let Some(place) = open.iter().position(|receiving| Arc::ptr_eq(receiving, &self.receiving)) {
            open.swap_remove(place);
        }
        if open.is_empty() {
            // A connection at rest holds nothing of its streams.
            *open = Vec::new();
        }
    }
}

impl Receiving {
    fn gather(&mut self) {
        // `h2` wakes whoever has asked last: that stays the reader.
        let mut context = Context::from_waker(self.reader.as_ref().unwrap_or(Waker::noop()));
        while let Poll::Ready(Some(Ok(piece))) = self.stream.poll_data(&mut context) {
            self.gathered.push(piece);
        }
    }
}

impl Gathered {
    fn push(&mut self, piece: Bytes) {
        // A small one would hold the whole buffer that it was read into.
        if piece.len() < WORTH_KEEPING {
            return self.small.extend_from_slice(&piece);
        }
        let before = self.take_small();
        self.pieces.extend(before);
        self.pieces.push_back(piece);
    }

    fn pop(&mut self) -> Option<Bytes> {
        self.pieces.pop_front().or_else(|| self.take_small())
    }

    fn take_small(&mut self) -> Option<Bytes> {
        (!self.small.is_empty()).then(|| std::mem::take(&mut self.small).freeze())
    }

    fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.small.is_empty()
    }
}

impl<S> Paced<S> {
    /// The connection that carries these streams.
    pub fn new(io: S, streams: &Streams) -> Self {
        Self { io, streams: streams.clone() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.streams.0.read.load(Ordering::Relaxed) >= READ_MAX {
            // It is the readers' turn; then the connection's task gathers what they have left.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.streams.0.read.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Bytes that are read of a connection between one gathering and the next. A frame has ten at least (RFC 9113 §4.1).
const READ_MAX: usize = 64 * 1024;

/// Pieces of this length are kept as they are.
const WORTH_KEEPING: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_gathered_comes_out_in_order(lengths in prop::collection::vec((0_usize..20_000, any::<bool>()), 0..40)) {
            let (mut gathered, mut given, mut taken) = (Gathered::default(), Vec::new(), Vec::new());
            for (at, (length, is_read)) in lengths.into_iter().enumerate() {
                let piece = vec![at as u8; length / if at % 3 == 0 { 1 } else { 1000 }];
                given.extend_from_slice(&piece);
                gathered.push(piece.into());
                if is_read {
                    taken.extend(gathered.pop().unwrap_or_default());
                }
            }
            while let Some(piece) = gathered.pop() {
                prop_assert!(!piece.is_empty());
                taken.extend(piece);
            }
            prop_assert!(gathered.is_empty() && taken == given);
        }
    }
}
