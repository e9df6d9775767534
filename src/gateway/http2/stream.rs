//! One stream of an HTTP/2 connection as a tunnel sees it: bytes both ways, each with its own end (RFC 8441 §5).
//!
//! Flow control is the backpressure: the client may send on only as its bytes are read here, and no more is taken for it
//! than its window lets through, and than may wait for a client that does not read. END_STREAM is the end of one
//! direction; a stream that is dropped before is reset with CANCEL, as a connection would be, and what it was given is lost
//! if it has not left yet.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h2::{Reason, SendStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use super::{SEND_BUFFER_MAX, Ticket, given::Given};
use crate::net::{Io, http2::Received};

/// The two directions of a stream, once its exchange has become a tunnel.
pub(super) struct TunnelStream {
    receive: Received,
    send: SendStream<Bytes>,
    /// What was received and not yet read. Its window is not paid back.
    unread: Bytes,
    /// What was written and has not left.
    given: Given,
    /// Nothing may be written until some of that has left.
    is_held: bool,
    shut: bool,
    /// Told when all that was written has left, once the stream is to be broken off.
    left: Option<oneshot::Receiver<()>>,
    _ticket: Ticket,
}

/// A piece without bytes: dropped when all that was sent before it has left, or never will.
struct LastPiece(#[expect(dead_code, reason = "its drop tells")] oneshot::Sender<()>);

impl AsRef<[u8]> for LastPiece {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

impl TunnelStream {
    pub(super) fn new(receive: Received, send: SendStream<Bytes>, given: Given, ticket: Ticket) -> Self {
        Self { receive, send, unread: Bytes::new(), given, is_held: false, shut: false, left: None, _ticket: ticket }
    }

    /// Waits for room in the connection's hands; the end of the stream is heard of meanwhile.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.given.poll_room(SEND_BUFFER_MAX, cx).is_ready() {
            self.is_held = false;
            return Poll::Ready(Ok(()));
        }
        if !std::mem::replace(&mut self.is_held, true) {
            self.given.count_wait();
        }
        self.send.poll_reset(cx).map(|_| Err(gone()))
    }
}

/// Its connection is shared.
impl Io for TunnelStream {
    /// RFC 8441 §5: what is a reset of a connection elsewhere is RST_STREAM with CANCEL here.
    fn poll_break_off(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // `h2` forgets what waits in front of a reset.
        let left = self.left.get_or_insert_with(|| {
            let (last, left) = oneshot::channel();
            // A stream that is over drops it at once.
            let _sent = self.send.send_data(Bytes::from_owner(LastPiece(last)), false);
            left
        });
        // Nobody sends anything: the sender's drop is what is waited for.
        let _dropped = ready!(Pin::new(left).poll(cx));
        self.send.send_reset(Reason::CANCEL);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(this.receive.poll_data(cx)) {
                Some(piece) => this.unread = piece.map_err(received_fault)?,
                None if ready!(this.receive.poll_trailers(cx)).map_err(received_fault)?.is_none() => {
                    return Poll::Ready(Ok(()));
                }
                // RFC 9113 §8.5: on such a stream a HEADERS frame is a stream error, and no end.
                None => {
                    this.send.send_reset(Reason::PROTOCOL_ERROR);
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
        }
        let taken = this.unread.len().min(buf.remaining());
        buf.put_slice(&this.unread[..taken]);
        this.unread.advance(taken);
        if this.unread.is_empty() {
            // An emptied `Bytes` would still hold the memory of its frame.
            this.unread = Bytes::new();
        }
        this.receive.release(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_room(cx))?;
        this.send.reserve_capacity(buf.len());
        // Only a change is told; what was granted before is not told again. A change may also be back at nothing: the client
        // may have made its windows smaller since (RFC 9113 §6.9.2).
        let mut granted = this.send.capacity();
        while granted == 0 {
            granted = match ready!(this.send.poll_capacity(cx)) {
                Some(Ok(granted)) => granted,
                Some(Err(_)) | None => return Poll::Ready(Err(gone())),
            };
        }
        let taken = granted.min(buf.len());
        let piece = this.given.count(Bytes::copy_from_slice(&buf[..taken]));
        let sent = this.send.send_data(piece, false);
        Poll::Ready(sent.map(|()| taken).map_err(|_| gone()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's own task writes what its streams have given it.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::replace(&mut this.shut, true) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(this.send.send_data(Bytes::new(), true).map_err(|_| gone()))
    }
}

/// The client has reset the stream, or is gone with the whole connection.
fn gone() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// What ended the receiving side other than END_STREAM.
fn received_fault(error: h2::Error) -> io::Error {
    let kind = match error.get_io() {
        Some(error) => error.kind(),
        None if error.is_remote() => io::ErrorKind::ConnectionReset,
        // It broke the rules of HTTP/2.
        None => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}
