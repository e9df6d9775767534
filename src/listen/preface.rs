//! HTTP/2 by prior knowledge (RFC 9113 §3.3): whether a fresh connection begins with the client preface.
//!
//! The bytes are looked at and left in the socket, so the handler reads the connection from its very first byte.

use std::{io, os::fd::AsFd};

use rustix::net::RecvFlags;
use tokio::io::{Interest, Ready};

use crate::net::Stream;

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstBytes {
    /// The whole preface.
    Http2,
    /// Anything else.
    Other,
    /// The client ended the connection without a byte.
    None,
}

/// Waits until the first bytes tell. Cancelling loses nothing. TLS streams say `Other`: there ALPN decides.
pub(super) async fn first_bytes(stream: &Stream) -> io::Result<FirstBytes> {
    loop {
        let (ready, peeked) = match stream {
            Stream::Tcp(stream) => {
                let ready = stream.ready(Interest::READABLE).await?;
                (ready, stream.try_io(Interest::READABLE, || peek(stream)))
            }
            Stream::Unix(stream) => {
                let ready = stream.ready(Interest::READABLE).await?;
                (ready, stream.try_io(Interest::READABLE, || peek(stream)))
            }
            Stream::Boxed(_) => return Ok(FirstBytes::Other),
        };
        match peeked {
            Ok(first) => return Ok(first),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !ended(ready) => {}
            // Part of the preface and then the end: the handler answers what there is.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(FirstBytes::Other),
            Err(error) => return Err(error),
        }
    }
}

/// `WouldBlock` while the bytes so far fit the preface and are not all of it: the runtime then waits for more to arrive,
/// where an unread byte would otherwise count as ready at once.
fn peek(socket: impl AsFd) -> io::Result<FirstBytes> {
    let mut buffer = [0; PREFACE.len()];
    let (length, _) = rustix::net::recv(socket, &mut buffer, RecvFlags::PEEK)?;
    match judge(&buffer[..length]) {
        Some(first) => Ok(first),
        None => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// What these bytes, all that came so far, say; `None` if more are needed. None at all is the end.
fn judge(bytes: &[u8]) -> Option<FirstBytes> {
    match bytes {
        [] => Some(FirstBytes::None),
        bytes if bytes == PREFACE => Some(FirstBytes::Http2),
        bytes if PREFACE.starts_with(bytes) => None,
        _ => Some(FirstBytes::Other),
    }
}

fn ended(ready: Ready) -> bool {
    ready.is_read_closed() || ready.is_error()
}

/// RFC 9113 §3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests;
