//! Bytes on their way out of one connection.
//!
//! Heads and small pieces are gathered in one buffer of the thread's, large pieces are queued as they are, and everything leaves
//! in as few vectored writes as the kernel takes: an answer of a few KiB is one system call, a stored body is never copied.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::{Spare, Stream};

/// Pieces up to this size are copied behind the head: cheaper than another entry of a vectored write.
const COPY_MAX: usize = 4 * 1024;

/// Entries of one vectored write.
const SLICES_MAX: usize = 16;

thread_local! {
    static SPARE: Spare<Vec<u8>> = const { Spare::none() };
}

/// What is to be written, in order.
#[derive(Default)]
pub struct OutQueue {
    front: Vec<u8>,
    front_sent: usize,
    rest: VecDeque<Bytes>,
    rest_bytes: usize,
    sent: u64,
    /// The stream may hold back some of what it took (TLS).
    held_back: bool,
}

/// A piece that may wait: a small one is copied, so that it does not keep the whole buffer that it was read into.
pub fn compact(piece: Bytes) -> Bytes {
    if piece.len() <= COPY_MAX { Bytes::copy_from_slice(&piece) } else { piece }
}

impl OutQueue {
    /// The buffer to append small text to, such as a head.
    pub fn text(&mut self) -> &mut Vec<u8> {
        if !self.rest.is_empty() {
            // Something large is queued already: what is gathered from here on stands behind it.
            return self.text_behind();
        }
        self.front_mut()
    }

    /// Queues one piece.
    pub fn push(&mut self, piece: Bytes) {
        if self.rest.is_empty() && piece.len() <= COPY_MAX {
            self.push_slice(&piece);
        } else if !piece.is_empty() {
            self.rest_bytes += piece.len();
            self.rest.push_back(piece);
        }
    }

    /// The same for one that others hold too.
    pub fn push_shared(&mut self, piece: &Bytes) {
        if self.rest.is_empty() && piece.len() <= COPY_MAX {
            self.push_slice(piece);
        } else {
            self.push(piece.clone());
        }
    }

    /// Queues small bytes wherever they belong.
    pub fn push_slice(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            // It would borrow memory that nothing gives back.
            return;
        }
        if self.rest.is_empty() {
            self.front_mut().extend_from_slice(bytes);
        } else {
            self.push(Bytes::copy_from_slice(bytes));
        }
    }

    /// Forgets what was not yet written.
    pub fn clear(&mut self) {
        let unwritten = self.unwritten();
        self.advance(unwritten);
        self.sent -= unwritten as u64;
    }

    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.unwritten()
    }

    /// Whether everything is written, and nothing held back by the stream.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && !self.held_back
    }

    /// Bytes written since the queue was made.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Writes until everything is out; `Pending` when the peer takes no more. How much went out, `sent` tells.
    pub fn poll_flush(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unwritten() > 0 {
            let written = if self.rest.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, &self.front[self.front_sent..]))?
            } else {
                ready!(self.poll_write_many(stream, cx))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
            self.held_back = true;
        }
        if self.held_back {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.held_back = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what a bare socket takes now, asking no event loop. `WouldBlock` says that it takes nothing yet.
    pub fn write_now(&mut self, socket: &mut impl io::Write) -> io::Result<()> {
        let written = socket.write(&self.front[self.front_sent..])?;
        self.advance(written);
        Ok(())
    }

    fn unwritten(&self) -> usize {
        self.front.len() - self.front_sent + self.rest_bytes
    }

    /// What is gathered; memory for it is lent with the first byte, until all is written.
    #[inline]
    fn front_mut(&mut self) -> &mut Vec<u8> {
        if self.front.capacity() == 0 {
            self.front = SPARE.with(Spare::take).unwrap_or_default();
        }
        &mut self.front
    }

    fn text_behind(&mut self) -> &mut Vec<u8> {
        // Rare (a head behind an unflushed large body): the queue is folded into one buffer, so that order is kept.
        let mut folded = self.front.split_off(self.front_sent);
        for piece in self.rest.drain(..) {
            folded.extend_from_slice(&piece);
        }
        self.rest_bytes = 0;
        self.front_sent = 0;
        self.front = folded;
        &mut self.front
    }

    fn poll_write_many(&self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        let front = &self.front[self.front_sent..];
        if !front.is_empty() {
            slices[0] = IoSlice::new(front);
            count = 1;
        }
        for piece in self.rest.iter().take(SLICES_MAX - count) {
            slices[count] = IoSlice::new(piece);
            count += 1;
        }
        Pin::new(stream).poll_write_vectored(cx, &slices[..count])
    }

    fn advance(&mut self, written: usize) {
        self.sent += written as u64;
        let from_front = written.min(self.front.len() - self.front_sent);
        self.front_sent += from_front;
        let mut left = written - from_front;
        while left > 0 {
            // Invariant: no more is written than was queued, so a piece is there while bytes are left.
            let Some(piece) = self.rest.front_mut() else { break };
            let taken = left.min(piece.len());
            piece.advance(taken);
            self.rest_bytes -= taken;
            left -= taken;
            if piece.is_empty() {
                self.rest.pop_front();
            }
        }
        if self.front_sent > 0 && self.front_sent == self.front.len() {
            self.front.clear();
            self.front_sent = 0;
            SPARE.with(|spare| spare.keep(std::mem::take(&mut self.front), Vec::capacity));
        }
    }
}

#[cfg(test)]
mod tests;
