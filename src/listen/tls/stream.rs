//! One client's TLS, on rustls' connection without buffers: ciphertext is read into and written from the thread's own, so
//! that a connection at rest holds its keys and no buffer.
//!
//! What a record gives beyond what was asked for, and ciphertext that the socket does not take at once, are kept until
//! they are gone; nothing more is read or encrypted meanwhile. Each is bounded by one buffer of the thread's.

use std::{
    cell::Cell,
    error, fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{
    ServerConfig,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::net::{Io, Stream};

/// A connection whose handshake is done.
pub struct TlsStream {
    stream: Stream,
    session: UnbufferedServerConnection,
    /// Received, and no whole record yet.
    incoming: Vec<u8>,
    /// Decrypted and not yet read.
    plain: Vec<u8>,
    plain_read: usize,
    outgoing: Outgoing,
    /// The client has said that it sends no more (RFC 8446 §6.1).
    ended: bool,
    /// We have.
    shut: bool,
    /// The client broke the protocol, and was told so.
    broken: bool,
}

/// Encrypted, and not yet taken by the socket. Empty, it holds no buffer.
#[derive(Default)]
struct Outgoing {
    buffer: Vec<u8>,
    filled: usize,
    sent: usize,
}

/// The client began with letters, as a request of HTTP does, where TLS is spoken.
#[derive(Debug)]
pub struct SpokeHttp;

/// Does the handshake.
///
/// # Errors
/// `InvalidData` for what is no TLS or not agreeable, after the alert that says so; with `SpokeHttp` in it after an answer
/// that the client can read; `UnexpectedEof` where the client left; the socket's own.
pub async fn accept(config: Arc<ServerConfig>, stream: Stream) -> io::Result<TlsStream> {
    let mut tls = TlsStream {
        stream,
        session: UnbufferedServerConnection::new(config).map_err(invalid)?,
        incoming: Vec::new(),
        plain: Vec::new(),
        plain_read: 0,
        outgoing: Outgoing::default(),
        ended: false,
        shut: false,
        broken: false,
    };
    poll_fn(|cx| tls.poll_handshake(cx)).await?;
    Ok(tls)
}

impl TlsStream {
    /// The protocol agreed on by ALPN.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_send(cx))?;
            if !self.session.is_handshaking() {
                return Pin::new(&mut self.stream).poll_flush(cx);
            }
            ready!(self.poll_receive(cx, &mut ReadBuf::new(&mut [])))?;
        }
    }

    /// Reads once, and hands out what whole records held: to `sink`, and what does not fit to `plain`.
    fn poll_receive(&mut self, cx: &mut Context<'_>, sink: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        with_received(|buffer| {
            let kept = self.incoming.len();
            if kept == buffer.len() {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            let mut read = ReadBuf::new(&mut buffer[kept..]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let received = kept + read.filled().len();
            if received == kept {
                // RFC 8446 §6.1: without the closing alert, the end may be an attacker's.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            buffer[..kept].copy_from_slice(&self.incoming);
            self.incoming = Vec::new();
            // RFC 8446 §5.1: no record's type is a letter.
            if buffer[0].is_ascii_alphabetic() && self.session.is_handshaking() {
                self.broken = true;
                self.outgoing.encode(|out| Ok(put(out, HTTPS_WANTED)))?;
                // As with an alert, below.
                let _said = self.poll_send(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, SpokeHttp)));
            }
            let done = self.digest(&mut buffer[..received], sink);
            match done {
                Ok(done) if done < received => self.incoming = buffer[done..received].to_vec(),
                Ok(_) => {}
                Err(_) => {
                    self.broken = true;
                    // The alert is said as well as it can be.
                    let _said = self.poll_send(cx);
                }
            }
            Poll::Ready(done.map(drop))
        })
    }

    /// Works through the whole records at the front of `bytes`. Gives how many bytes are done with.
    fn digest(&mut self, bytes: &mut [u8], sink: &mut ReadBuf<'_>) -> io::Result<usize> {
        let mut done = 0;
        loop {
            let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(&mut bytes[done..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        let direct = record.payload.len().min(sink.remaining());
                        sink.put_slice(&record.payload[..direct]);
                        self.plain.extend_from_slice(&record.payload[direct..]);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    self.outgoing.encode(|out| data.encode(out).map_err(room_for_message))?
                }
                // It stands in `outgoing`, which goes out before anything else.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | ConnectionState::Closed) => {
                    return Ok(done + discard);
                }
                // Early data is not agreed to.
                Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
                Err(error) => {
                    self.collect_alert();
                    return Err(invalid(error));
                }
            }
            done += discard;
        }
    }

    /// Takes what rustls has to say after an error. It is not shown the bytes again, and asked only while it has something:
    /// it would go on reading else.
    fn collect_alert(&mut self) {
        while self.session.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(mut data)) = self.session.process_tls_records(&mut []).state
        {
            if self.outgoing.encode(|out| data.encode(out).map_err(room_for_message)).is_err() {
                return;
            }
        }
    }

    /// Has `say` encrypt something behind what rustls has to say itself.
    fn speak<R>(
        &mut self,
        say: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>, &mut Outgoing) -> io::Result<R>,
    ) -> io::Result<R> {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        loop {
            // Always with what was received: rustls knows its place in a handshake message that has come in part, and
            // panics if its bytes are not there. There is nothing new in them.
            match self.session.process_tls_records(&mut self.incoming).state.map_err(invalid)? {
                ConnectionState::EncodeTlsData(mut data) => {
                    self.outgoing.encode(|out| data.encode(out).map_err(room_for_message))?
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.ended = true,
                ConnectionState::WriteTraffic(mut traffic) => return say(&mut traffic, &mut self.outgoing),
                _ => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Encrypts the beginning of `pieces`, at most `PLAIN_MAX` bytes. Gives how many.
    fn encrypt(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.speak(|traffic, outgoing| {
            let mut taken = 0;
            for piece in pieces {
                let part = &piece[..piece.len().min(PLAIN_MAX - taken)];
                outgoing.encode(|out| traffic.encrypt(part, out).map_err(room_for_data))?;
                taken += part.len();
            }
            Ok(taken)
        })
    }

    /// Writes ciphertext until there is none.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.poll_send(&mut self.stream, cx)
    }

    fn poll_write_pieces(&mut self, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        let taken = self.encrypt(pieces)?;
        // What the socket does not take now, the next write or flush sends.
        let _waits = self.poll_send(cx)?;
        Poll::Ready(Ok(taken))
    }
}

impl Io for TlsStream {
    fn socket(&self) -> Option<&TcpStream> {
        self.stream.socket()
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            let unread = &this.plain[this.plain_read..];
            if !unread.is_empty() {
                let taken = unread.len().min(buf.remaining());
                buf.put_slice(&unread[..taken]);
                this.plain_read += taken;
                if this.plain_read == this.plain.len() {
                    (this.plain, this.plain_read) = (Vec::new(), 0);
                }
            }
            if buf.filled().len() > before || this.ended || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let is_writer_waiting = !this.outgoing.buffer.is_empty();
            ready!(this.poll_receive(cx, buf))?;
            // What rustls answers goes out at once if it can, and else with the next write: that tells of a failure, too,
            // which is not to hide what has come. A writer that waits is woken, and must not lose its place.
            if !is_writer_waiting {
                let _said = this.poll_send(cx);
            }
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_pieces(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_pieces(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.shut, true) {
            // Whatever is in the way of the closing alert, the socket is closed.
            let _said = this.speak(|traffic, outgoing| {
                outgoing.encode(|out| traffic.queue_close_notify(out).map_err(room_for_data))
            });
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

impl Outgoing {
    /// Has `write` fill what is left of the buffer; it says how much it wrote, or how much room it needs.
    fn encode(&mut self, mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) -> io::Result<()> {
        if self.buffer.is_empty() {
            self.buffer = SENT.take();
            self.buffer.resize(SENT_BYTES, 0);
        }
        let mut written = write(&mut self.buffer[self.filled..]);
        if let Err(Some(room)) = written {
            // rustls speaks while data waits for the socket, or gave a certificate that is larger than the buffer.
            self.buffer.resize(self.filled + room, 0);
            written = write(&mut self.buffer[self.filled..]);
        }
        self.filled += written.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(())
    }

    fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.filled {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.buffer[self.sent..self.filled]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        if !self.buffer.is_empty() {
            let buffer = std::mem::take(self).buffer;
            if buffer.len() == SENT_BYTES {
                SENT.set(buffer);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Lends the thread's buffer for what is received. It is taken out while it is lent.
fn with_received<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = RECEIVED.take();
    buffer.resize(RECEIVED_BYTES, 0);
    let result = work(&mut buffer);
    RECEIVED.set(buffer);
    result
}

fn room_for_message(error: EncodeError) -> Option<usize> {
    match error {
        EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(required_size),
        EncodeError::AlreadyEncoded => None,
    }
}

fn room_for_data(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(required_size),
        EncryptError::EncryptExhausted => None,
    }
}

/// Writes all of `text`, for which there must be room. Gives its length.
fn put(out: &mut [u8], text: &[u8]) -> usize {
    out[..text.len()].copy_from_slice(text);
    text.len()
}

impl fmt::Display for SpokeHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client speaks HTTP without TLS")
    }
}

impl error::Error for SpokeHttp {}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

thread_local! {
    static RECEIVED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SENT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a client is told that asks without TLS; it ends with the connection (RFC 9112 §6.3).
const HTTPS_WANTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
Connection: close\r\n\
Cache-Control: no-store\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
\r\n\
This port speaks TLS. Ask with https:// (for a WebSocket: wss://) instead.\n";

/// Ciphertext of one read; above the largest record (RFC 8446 §5.2) and the largest handshake message that is put together.
const RECEIVED_BYTES: usize = 80 * 1024;
/// Data that is encrypted at once: four full records.
const PLAIN_MAX: usize = 64 * 1024;
/// With what the records add, also where the data came in many pieces.
const SENT_BYTES: usize = PLAIN_MAX + 4 * 1024;

#[cfg(test)]
mod tests;
