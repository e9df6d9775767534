//! Waiting for the next request of a connection.

use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Buf;
use tokio::io::AsyncReadExt;

use super::Http1Client;
use crate::{
    net::scratch,
    wire::{Parsed, Refusal, RequestHead},
};

/// What came instead of silence.
pub(super) enum Next {
    Request,
    /// The client has gone, the connection has rested long enough, or the gateway is stopping.
    Ended,
    Refused(Refusal),
    /// The head did not come whole within its deadline (408).
    TooSlow,
}

impl Http1Client {
    /// From now on the next request is waited for, as it may have been `since` a moment ago.
    pub(super) fn await_request(&mut self, since: Instant) {
        let rest = if self.requests == 0 { self.timeouts.head } else { self.timeouts.keep_alive };
        self.read_watchdog.set(Some(since + rest));
    }

    /// Waits for the next request and reads its head into `request`.
    pub(super) fn poll_request(&mut self, request: &mut RequestHead, cx: &mut Context<'_>) -> Poll<Next> {
        let next = ready!(self.poll_next(request, cx));
        self.read_watchdog.set(None);
        if matches!(next, Next::Request) {
            self.begin_request(request);
        }
        Poll::Ready(next)
    }

    fn poll_next(&mut self, request: &mut RequestHead, cx: &mut Context<'_>) -> Poll<Next> {
        // Bytes of a pipelined request are here already (RFC 9112 §9.3.2).
        if !self.input.is_empty()
            && let Some(next) = self.parse_input(request)
        {
            return Poll::Ready(next);
        }
        loop {
            let read = if self.input.is_empty() {
                self.poll_read_scratch(request, cx)
            } else {
                self.poll_read_on(request, cx)
            };
            match read {
                Poll::Ready(Ok(Some(next))) => return Poll::Ready(next),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Next::Ended),
                Poll::Pending => break,
            }
        }
        if self.read_watchdog.poll_expired(cx).is_ready() {
            // Silence is no request: only a head that was begun is answered.
            return Poll::Ready(if self.input.is_empty() { Next::Ended } else { Next::TooSlow });
        }
        if self.input.is_empty() && self.poll_stopping(cx) {
            return Poll::Ready(Next::Ended);
        }
        Poll::Pending
    }

    /// Reads a head that begins now, and parses it where it lies.
    fn poll_read_scratch(&mut self, request: &mut RequestHead, cx: &mut Context<'_>) -> Poll<io::Result<Option<Next>>> {
        let Self { stream, input, head_limits, .. } = self;
        let parsed = ready!(scratch::poll_read(stream, cx, |bytes| {
            if bytes.is_empty() {
                return None;
            }
            let parsed = request.parse(bytes, head_limits);
            match parsed {
                Ok(Parsed::Complete(length)) => input.extend_from_slice(&bytes[length..]),
                Ok(Parsed::Partial) => input.extend_from_slice(bytes),
                Err(_) => {}
            }
            Some(parsed)
        }))?;
        Poll::Ready(Ok(match parsed {
            None => Some(Next::Ended),
            Some(Ok(Parsed::Complete(_))) => Some(Next::Request),
            Some(Ok(Parsed::Partial)) => {
                self.head_begun();
                None
            }
            Some(Err(refusal)) => Some(Next::Refused(refusal)),
        }))
    }

    /// Reads on where a head was begun.
    fn poll_read_on(&mut self, request: &mut RequestHead, cx: &mut Context<'_>) -> Poll<io::Result<Option<Next>>> {
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        if read == 0 {
            return Poll::Ready(Ok(Some(Next::Ended)));
        }
        Poll::Ready(Ok(self.parse_input(request)))
    }

    fn parse_input(&mut self, request: &mut RequestHead) -> Option<Next> {
        match request.parse(&self.input, &self.head_limits) {
            Ok(Parsed::Complete(length)) => {
                self.input.advance(length);
                if self.input.is_empty() {
                    self.input = bytes::BytesMut::new();
                }
                Some(Next::Request)
            }
            Ok(Parsed::Partial) => {
                self.head_begun();
                None
            }
            Err(refusal) => Some(Next::Refused(refusal)),
        }
    }

    /// From its first byte, a head has its own deadline, however slowly the rest comes.
    fn head_begun(&mut self) {
        if !std::mem::replace(&mut self.in_head, true) {
            self.read_watchdog.set(Some(Instant::now() + self.timeouts.head));
        }
    }
}
