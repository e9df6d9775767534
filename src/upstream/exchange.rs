//! One request and its answer, whichever version of HTTP carries them.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::{Failure, http1, http2};
use crate::{
    net::Stream,
    wire::{Fields, ResponseHead},
};

/// One request and its answer, on either version of HTTP.
pub enum Exchange {
    /// On a connection of its own, for as long as it lasts.
    Http1(http1::Exchange),
    /// A stream among others.
    Http2(Box<http2::Exchange>),
}

impl Exchange {
    /// Ready when another piece of the request body may be sent.
    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self {
            Self::Http1(exchange) => exchange.poll_send_ready(cx),
            Self::Http2(exchange) => exchange.poll_send_ready(cx),
        }
    }

    /// Sends a piece of the request body; to be called after `poll_send_ready`.
    pub fn send(&mut self, piece: Bytes) {
        match self {
            Self::Http1(exchange) => exchange.send(piece),
            Self::Http2(exchange) => exchange.send(piece),
        }
    }

    /// The request body is complete; to be called after `poll_send_ready`. An HTTP/1.1 backend is told of no trailers, which
    /// RFC 9110 §6.5.1 allows: some take what stands behind the last chunk for the next request.
    pub fn end(&mut self, trailers: Option<&Fields>) {
        match self {
            Self::Http1(exchange) => exchange.end(),
            Self::Http2(exchange) => exchange.end(trailers),
        }
    }

    /// Writes what is queued of the request, as far as the backend takes it. Over HTTP/2 the connection does that.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Http1(exchange) => exchange.poll_write(cx),
            Self::Http2(_) => {}
        }
    }

    /// The next head: interim ones first, then the final one.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Failure>> {
        match self {
            Self::Http1(exchange) => exchange.poll_head(cx),
            Self::Http2(exchange) => exchange.poll_head(cx),
        }
    }

    /// The next piece of the answer's body; `None` when it is complete. Little more than `most` bytes are read for it, at
    /// most; over HTTP/2 flow control is the bound.
    pub fn poll_body(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        match self {
            Self::Http1(exchange) => exchange.poll_body(most, cx),
            Self::Http2(exchange) => exchange.poll_body(cx),
        }
    }

    /// How many bytes the answer's body has, as its final `head` and the framing tell; to be asked once that is here.
    pub fn length(&self, head: &ResponseHead) -> Option<u64> {
        match self {
            Self::Http1(exchange) => exchange.length(),
            Self::Http2(exchange) => exchange.length(head),
        }
    }

    /// The trailer section, once the body has ended.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        match self {
            Self::Http1(exchange) => exchange.take_trailers(),
            Self::Http2(exchange) => exchange.take_trailers(),
        }
    }

    /// After a 101 (HTTP/1.1 only): the bare connection and the bytes that came behind the head.
    pub fn into_upgraded(self) -> Option<(Stream, Bytes)> {
        match self {
            Self::Http1(exchange) => Some(exchange.into_upgraded()),
            Self::Http2(_) => None,
        }
    }
}
