//! Waiting for the next request of a connection.

use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Buf;
use tokio::io::AsyncReadExt;

use super::{Http1Client, lent};
use crate::{
    net::scratch,
    wire::{Parsed, Refusal, RequestHead},
};

/// What came instead of silence: a request, or what ends the connection.
type Next = Result<Box<RequestHead>, Last>;

/// Why there will be no request any more.
pub(super) enum Last {
    /// The client has gone, the connection has rested long enough, or the gateway is stopping.
    Ended,
    Refused(Box<RequestHead>, Refusal),
    /// The head did not come whole within its deadline (408).
    TooSlow,
}

impl Http1Client {
    /// From now on the next request is waited for, as it may have been `since` a moment ago.
    pub(super) fn await_request(&mut self, since: Instant) {
        let timeouts = &self.gateway.config.timeouts;
        let rest = if self.is_new { timeouts.head } else { timeouts.keep_alive };
        self.read_watchdog.set(Some(since + rest));
    }

    /// Waits for the next request and reads its head.
    pub(super) fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let next = ready!(self.poll_next(cx));
        self.read_watchdog.set(None);
        if let Ok(request) = &next {
            self.begin_request(request);
        }
        Poll::Ready(next)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        // Bytes of a pipelined request are here already (RFC 9112 §9.3.2).
        if !self.input.is_empty()
            && let Some(next) = self.parse_input()
        {
            return Poll::Ready(next);
        }
        loop {
            let read = if self.input.is_empty() { self.poll_read_scratch(cx) } else { self.poll_read_on(cx) };
            match read {
                Poll::Ready(Ok(Some(next))) => return Poll::Ready(next),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Last::Ended)),
                Poll::Pending => break,
            }
        }
        if self.read_watchdog.poll_expired(cx).is_ready() {
            // Silence is no request: only a head that was begun is answered.
            return Poll::Ready(if self.input.is_empty() { Err(Last::Ended) } else { Err(Last::TooSlow) });
        }
        if self.input.is_empty() && self.poll_stopping(cx) {
            return Poll::Ready(Err(Last::Ended));
        }
        Poll::Pending
    }

    /// Reads a head that begins now, and parses it where it lies.
    fn poll_read_scratch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Next>>> {
        let Self { stream, input, gateway, .. } = self;
        let parsed = ready!(scratch::poll_read(stream, cx, |bytes| {
            if bytes.is_empty() {
                return None;
            }
            let (request, parsed) = lent::parse(bytes, &gateway.head_limits);
            match parsed {
                Ok(Parsed::Complete(length)) => input.extend_from_slice(&bytes[length..]),
                Ok(Parsed::Partial) => input.extend_from_slice(bytes),
                Err(_) => {}
            }
            Some((request, parsed))
        }))?;
        Poll::Ready(Ok(match parsed {
            None => Some(Err(Last::Ended)),
            Some((request, Ok(Parsed::Complete(_)))) => Some(Ok(request)),
            Some((request, Ok(Parsed::Partial))) => {
                lent::give_back(request);
                self.head_begun();
                None
            }
            Some((request, Err(refusal))) => Some(Err(Last::Refused(request, refusal))),
        }))
    }

    /// Reads on where a head was begun.
    fn poll_read_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Next>>> {
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        if read == 0 {
            return Poll::Ready(Ok(Some(Err(Last::Ended))));
        }
        Poll::Ready(Ok(self.parse_input()))
    }

    fn parse_input(&mut self) -> Option<Next> {
        let (request, parsed) = lent::parse(&self.input, &self.gateway.head_limits);
        match parsed {
            Ok(Parsed::Complete(length)) => {
                self.input.advance(length);
                if self.input.is_empty() {
                    self.input = bytes::BytesMut::new();
                }
                Some(Ok(request))
            }
            Ok(Parsed::Partial) => {
                lent::give_back(request);
                self.head_begun();
                None
            }
            Err(refusal) => Some(Err(Last::Refused(request, refusal))),
        }
    }

    /// From its first byte, a head has its own deadline, however slowly the rest comes.
    fn head_begun(&mut self) {
        if !std::mem::replace(&mut self.in_head, true) {
            self.read_watchdog.set(Some(Instant::now() + self.gateway.config.timeouts.head));
        }
    }
}
