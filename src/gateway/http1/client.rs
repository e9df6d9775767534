//! One HTTP/1.x connection as the lanes see it: the body of the request at hand read, its answer written.

use std::{
    io::Write,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::Http1Client;
use crate::{
    cache::{Answer, Body, CacheStatus},
    gateway::{
        client::{BodyLength, Client, ClientFault},
        upgrade::TunnelClient,
    },
    net::{ClientInfo, Stream, Watchdog, compact, scratch},
    wire::{Decoded, Fields, ResponseHead, Version, body, fields::write_line},
};

/// Bytes that may wait for a client before the source of its answer is no longer read.
const QUEUE_MAX: usize = 256 * 1024;

/// Reads of a request body.
const READ_BODY: usize = 64 * 1024;

/// Bytes that a client may send ahead while its request is answered (pipelining); past it, and a last read, they stay in
/// the socket.
const AHEAD_MAX: usize = 64 * 1024;

/// Room for what is mostly said behind the lines of a stored head.
const TAIL_ROOM: usize = 128;

/// How long a client that has shut down its sending side is still answered: it may only be half-closed (RFC 9112 §9.6).
const HALF_CLOSED_GRACE: Duration = Duration::from_secs(5);

impl Client for Http1Client {
    fn info(&self) -> &ClientInfo {
        &self.info
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientFault>>> {
        loop {
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            match body.decoder.decode(&mut self.input) {
                Ok(Decoded::Data(piece)) => {
                    return match body.meter.count(piece.len()) {
                        Ok(()) => Poll::Ready(Some(Ok(compact(piece)))),
                        Err(fault) => self.broken_body(fault),
                    };
                }
                Ok(Decoded::End) => return Poll::Ready(None),
                // A chunk that announces too much is refused before it comes.
                Ok(Decoded::NeedMore) => {
                    if let Err(fault) = body.meter.announce(body.decoder.announced()) {
                        return self.broken_body(fault);
                    }
                }
                Err(fault) => return self.broken_body(ClientFault::BadBody(fault)),
            }
            // RFC 9110 §10.1.1: the client waits for this before it sends its body, unless it has begun already.
            if std::mem::replace(&mut self.owes_continue, false) && self.input.is_empty() && !self.started {
                self.out.push_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            if !self.out.is_empty()
                && let Poll::Ready(Err(fault)) = self.poll_flush(cx)
            {
                return Poll::Ready(Some(Err(fault)));
            }
            if let Err(fault) = ready!(self.poll_read_body(cx)) {
                return self.broken_body(fault);
            }
        }
    }

    fn take_trailers(&mut self) -> Option<Fields> {
        self.body.as_mut()?.decoder.take_trailers()
    }

    fn limit_body(&mut self, bytes: u64) {
        if let Some(body) = &mut self.body {
            body.meter.limit(bytes);
        }
    }

    fn received(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.meter.received())
    }

    fn interim(&mut self, head: &ResponseHead) {
        // RFC 9110 §15.2: an HTTP/1.0 client does not know interim answers.
        if self.version == Version::Http10 {
            return;
        }
        self.write_status_line(head.status, &head.reason);
        head.fields.write_http1(self.out.text());
        self.out.text().extend_from_slice(b"\r\n");
    }

    fn start(&mut self, head: &ResponseHead, length: BodyLength) {
        self.bodiless = self.is_head || length == BodyLength::None;
        self.chunked = length == BodyLength::Unknown && self.version == Version::Http11 && !self.is_head;
        if length == BodyLength::Unknown && !self.chunked && !self.is_head {
            // RFC 9112 §6.3: for HTTP/1.0 the body ends with the connection.
            self.persists = false;
            self.until_close = true;
        }
        self.persists &= self.is_body_worth_reading();
        self.write_status_line(head.status, &head.reason);
        head.fields.write_http1(self.out.text());
        if let BodyLength::Exact(length) = length
            && !head.fields.contains("content-length")
        {
            write_line(self.out.text(), b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
        }
        if self.chunked {
            self.out.text().extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        self.write_end_of_head();
    }

    fn start_stored(&mut self, answer: &Answer, not_modified: bool, age: u64, status: Option<CacheStatus>) {
        self.bodiless = self.is_head || not_modified;
        self.chunked = answer.length.is_none() && self.version == Version::Http11 && !self.bodiless;
        self.persists &= self.is_body_worth_reading();
        self.until_close = answer.length.is_none() && !self.chunked && !self.bodiless;
        self.persists &= !self.until_close;
        self.note_beginning();
        let head = if not_modified { &answer.not_modified_http1 } else { &answer.http1 };
        let out = self.out.text();
        out.reserve(head.len() + TAIL_ROOM);
        out.extend_from_slice(head);
        out.extend_from_slice(b"Age: ");
        out.extend_from_slice(itoa::Buffer::new().format(age).as_bytes());
        if let Some(status) = status {
            out.extend_from_slice(b"\r\nCache-Status: ");
            status.write(out);
        }
        out.extend_from_slice(if self.chunked { &b"\r\nTransfer-Encoding: chunked\r\n"[..] } else { b"\r\n" });
        self.write_end_of_head();
    }

    fn hold(&mut self, body: &Arc<Body>) {
        self.waiting.hold(body);
    }

    fn push(&mut self, piece: Bytes) {
        if self.bodiless || piece.is_empty() {
            return;
        }
        self.sent += piece.len() as u64;
        if self.chunked {
            let mut line = [0; 20];
            let mut cursor = std::io::Cursor::new(&mut line[..]);
            // Invariant: 16 digits and CRLF fit into 20 bytes.
            let _ = write!(cursor, "{:x}\r\n", piece.len());
            let length = cursor.position() as usize;
            self.out.push_slice(&line[..length]);
            self.out.push(piece);
            self.out.push_slice(b"\r\n");
        } else {
            self.out.push(piece);
        }
    }

    fn push_shared(&mut self, piece: &Bytes) {
        if self.chunked || self.bodiless {
            return self.push(piece.clone());
        }
        self.is_stored = true;
        self.sent += piece.len() as u64;
        self.out.push_shared(piece);
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        if self.chunked && !self.bodiless {
            let mut end = Vec::new();
            body::last_chunk(trailers, &mut end);
            self.out.push_slice(&end);
        }
        self.finished = true;
    }

    fn queued(&self) -> usize {
        // What the stream holds back is to be flushed too.
        self.out.len().max(usize::from(!self.out.is_empty()))
    }

    fn lead(&self) -> usize {
        self.waiting.lead(QUEUE_MAX)
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn started(&self) -> bool {
        self.started
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        match self.out.poll_flush(&mut self.stream, cx) {
            Poll::Ready(Ok(())) => {
                self.waiting.over();
                self.write_watchdog.set(None);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => {
                self.persists = false;
                Poll::Ready(Err(ClientFault::Gone))
            }
            Poll::Pending => {
                self.waiting.set(if self.is_stored { 0 } else { self.out.len().min(QUEUE_MAX) });
                // The deadline is for progress, not for the whole: it moves on with every byte taken.
                if self.flushed_at != self.out.sent() || !self.write_watchdog.is_set() {
                    self.flushed_at = self.out.sent();
                    self.write_watchdog.set(Some(Instant::now() + self.gateway.config.timeouts.send));
                }
                if self.write_watchdog.poll_expired(cx).is_ready() {
                    self.persists = false;
                    return Poll::Ready(Err(ClientFault::SendTimeout));
                }
                Poll::Pending
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<ClientFault> {
        if let Some(grace) = &mut self.half_closed {
            return grace.as_mut().poll(cx).map(|()| ClientFault::Gone);
        }
        if !self.is_read() {
            // The request body is still to be read: `poll_body` sees the end.
            return Poll::Pending;
        }
        while self.input.len() < AHEAD_MAX {
            let Self { stream, input, .. } = self;
            let read = scratch::poll_read(stream, cx, |bytes| {
                input.extend_from_slice(bytes);
                bytes.len()
            });
            match read {
                Poll::Ready(Ok(0)) => {
                    let mut grace = Box::pin(tokio::time::sleep(HALF_CLOSED_GRACE));
                    let expired = grace.as_mut().poll(cx);
                    self.half_closed = Some(grace);
                    return expired.map(|()| ClientFault::Gone);
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => {
                    self.persists = false;
                    return Poll::Ready(ClientFault::Gone);
                }
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    /// The one that waits for heads: none is waited for meanwhile.
    fn lend_watchdog(&mut self) -> Watchdog {
        std::mem::take(&mut self.read_watchdog)
    }

    fn return_watchdog(&mut self, watchdog: Watchdog) {
        self.read_watchdog = watchdog;
    }

    fn take_back(&mut self) -> bool {
        if !self.started || self.out.sent() != self.began_at {
            return false;
        }
        self.out.clear();
        self.waiting.over();
        self.begin_answer();
        true
    }

    fn abandon(&mut self) {
        self.persists = false;
        self.finished = false;
    }
}

impl TunnelClient for Http1Client {
    /// A 101: the connection speaks another protocol behind it (RFC 9110 §15.2.2).
    fn switch(&mut self, head: ResponseHead) -> u16 {
        self.write_status_line(head.status, &head.reason);
        head.fields.write_http1(self.out.text());
        self.out.text().extend_from_slice(b"\r\n");
        self.started = true;
        head.status
    }

    fn into_stream(self) -> Option<(Stream, Bytes)> {
        Some((self.stream, self.input.freeze()))
    }
}

impl Http1Client {
    /// Reads on in the body.
    fn poll_read_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        let Self { body: Some(body), stream, input, started, .. } = self else { return Poll::Ready(Ok(())) };
        let wanted = body.decoder.remaining().map_or(READ_BODY, |left| left.clamp(512, READ_BODY as u64) as usize);
        input.reserve(wanted);
        match pin!(stream.read_buf(input)).poll(cx) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(ClientFault::Gone)),
            Poll::Ready(Ok(_)) => {
                body.meter.came();
                Poll::Ready(Ok(()))
            }
            // Once the answer has begun, the two are in a dialogue, and silence may be part of it.
            Poll::Pending if !*started && body.meter.poll_too_slow(cx).is_ready() => {
                Poll::Ready(Err(ClientFault::BodyTimeout))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// What is left of the body can't be told from a request: the connection ends.
    fn broken_body(&mut self, fault: ClientFault) -> Poll<Option<Result<Bytes, ClientFault>>> {
        self.persists = false;
        Poll::Ready(Some(Err(fault)))
    }
}
