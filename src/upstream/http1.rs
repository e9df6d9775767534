//! One HTTP/1.1 exchange with a backend on a connection of its own.
//!
//! An answer's first bytes come through the thread's scratch, where its head is read as it lies, so that who waits for them
//! holds no buffer; later reads go straight into the buffer that the body's pieces are views of. A request leaves in one
//! write. The connection is kept afterwards only when both messages ended exactly where their framing says (RFC 9112 §9.3,
//! §9.6). It stays where it is in memory, whoever has it.

use std::{
    io,
    num::NonZero,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::{AnswerLimits, Failure, Outgoing};
use crate::{
    net::{OutQueue, Stream, Watchdog, compact, scratch},
    wire::{AnswerFraming, BodyDecoder, Decoded, Fields, Framing, Parsed, ResponseHead, body},
};

/// Reads of a head that did not come whole.
const READ_HEAD: usize = 8 * 1024;

/// Room for a request's head; a longer one grows it.
const HEAD_USUAL: usize = 512;

/// Reads of a body: at most, and where little is asked for.
const READ_BODY: usize = 64 * 1024;
const READ_LEAST: usize = 1024;

/// Bytes of a request body that may wait for the backend to take them.
const SEND_MAX: usize = 128 * 1024;

/// A connection that may carry one exchange after another.
pub(super) struct Connection {
    stream: Stream,
    input: BytesMut,
    out: OutQueue,
    watchdog: Watchdog,
    limits: AnswerLimits,
    /// Exchanges carried so far.
    exchanges: u64,
    /// How long the backend lets it rest, by its last answer.
    patience: Duration,
    // Of the exchange at hand:
    method: Method,
    chunked: bool,
    /// The request is queued whole.
    request_ended: bool,
    /// Writing has failed: nothing more of the request is taken, but an answer may have come before (RFC 9112 §9.5).
    deaf: bool,
    answer: Answer,
}

/// One request and its answer.
pub struct Exchange(Box<Connection>);

enum Answer {
    /// No final head yet.
    Awaited {
        any_byte: bool,
    },
    Body {
        decoder: BodyDecoder,
        persists: bool,
    },
}

impl Answer {
    /// Its first bytes are there.
    fn began(&mut self) {
        if let Self::Awaited { any_byte } = self {
            *any_byte = true;
        }
    }
}

impl Connection {
    /// `out` is what of the first request has not left yet.
    pub(super) fn new(stream: Stream, out: OutQueue, limits: AnswerLimits) -> Box<Self> {
        Box::new(Self {
            stream,
            input: BytesMut::new(),
            out,
            watchdog: Watchdog::default(),
            limits,
            exchanges: 0,
            patience: Duration::MAX,
            method: Method::GET,
            chunked: false,
            request_ended: true,
            deaf: false,
            answer: Answer::Awaited { any_byte: false },
        })
    }

    /// How long the backend lets it rest: what comes later may cross its end on the way, and a request that can't be sent
    /// again would be lost.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// As if an answer had said so.
    #[cfg(test)]
    pub(super) fn let_rest(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Whether the peer has neither closed nor spoken out of turn. Costs no system call while nothing has come: the
    /// event loop's readiness is asked first.
    pub(super) fn is_quiet(&mut self) -> bool {
        if !self.stream.is_readable() {
            return true;
        }
        let mut byte = [0; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer).is_pending()
    }
}

impl Exchange {
    /// Queues the request's head; nothing is written before the first `poll_*`.
    pub(super) fn begin(mut connection: Box<Connection>, request: &Outgoing) -> Self {
        write_request_head(request, connection.out.text());
        Self::begun(connection, request)
    }

    /// The same where the connection has the head already.
    pub(super) fn begun(mut connection: Box<Connection>, request: &Outgoing) -> Self {
        connection.exchanges += 1;
        connection.method = request.method.clone();
        connection.chunked = request.framing == Framing::Chunked;
        connection.request_ended = request.ends_with_head();
        connection.deaf = false;
        connection.answer = Answer::Awaited { any_byte: false };
        Self(connection)
    }

    /// Whether the connection had carried an exchange before.
    fn is_reused(&self) -> bool {
        self.0.exchanges > 1
    }

    /// Ready when another piece of the request body may be sent; written is only what leaves no room for it, so that what
    /// comes together leaves together, by `poll_write`. Once writing has failed it never is: then the answer, which is
    /// polled for as well, tells what happened.
    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.0.out.len() >= SEND_MAX {
            self.poll_write(cx);
        }
        if self.0.deaf || self.0.out.len() >= SEND_MAX { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Queues a piece of the request body.
    pub fn send(&mut self, piece: Bytes) {
        // HTTP/2 may end a body with a frame that has no bytes (RFC 9113 §6.1); as a chunk it would end the body twice.
        let Some(length) = NonZero::new(piece.len()) else { return };
        let out = &mut self.0.out;
        if self.0.chunked {
            let mut line = Vec::with_capacity(18);
            body::chunk_header(length, &mut line);
            out.push_slice(&line);
            out.push(piece);
            out.push_slice(b"\r\n");
        } else {
            out.push(piece);
        }
    }

    /// The request body is complete.
    pub fn end(&mut self) {
        if self.0.chunked && !self.0.request_ended {
            let mut end = Vec::new();
            body::last_chunk(None, &mut end);
            self.0.out.push_slice(&end);
        }
        self.0.request_ended = true;
    }

    /// The next head: interim ones first, then the final one.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Failure>> {
        self.poll_write(cx);
        let mut head = ResponseHead::default();
        if !self.0.input.is_empty() && self.parse_input(&mut head)? {
            return Poll::Ready(Ok(head));
        }
        loop {
            let is_begun = !self.0.input.is_empty();
            let read = if is_begun { self.poll_on(&mut head, cx) } else { self.poll_first(&mut head, cx) };
            match read {
                Poll::Ready(Ok(parsed)) => {
                    if parsed? {
                        return Poll::Ready(Ok(head));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.io_failure(&error))),
                Poll::Pending if self.poll_answer_overdue(cx).is_ready() => {
                    return Poll::Ready(Err(Failure::AnswerTimeout));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The next piece of the answer's body; `None` when it is complete. At most `most` bytes, or a few, are read for it.
    pub fn poll_body(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        self.poll_write(cx);
        loop {
            let Connection { answer, input, .. } = &mut *self.0;
            let Answer::Body { decoder, .. } = answer else { return Poll::Ready(None) };
            let room = input.capacity();
            match decoder.decode(input)? {
                Decoded::Data(piece) if piece.len() == room => return Poll::Ready(Some(Ok(piece))),
                Decoded::Data(piece) => return Poll::Ready(Some(Ok(compact(piece)))),
                Decoded::End => return Poll::Ready(None),
                Decoded::NeedMore => {}
            }
            // One byte more than is to come: a read that comes short spares the one that would find nothing.
            let most = most.clamp(READ_LEAST, READ_BODY);
            let room = |left: u64| left.saturating_add(1).clamp(READ_LEAST as u64, most as u64) as usize;
            let wanted = decoder.remaining().map_or(most, room);
            let Poll::Ready(read) = self.poll_fill(wanted, cx) else {
                // Silence is counted from the first time that nothing was there: a client that takes its time is not it.
                return match self.poll_overdue(self.0.limits.read_timeout, cx) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(Failure::ReadTimeout))),
                    Poll::Pending => Poll::Pending,
                };
            };
            self.0.watchdog.set(None);
            match read {
                Ok(0) => {
                    let Answer::Body { decoder, .. } = &mut self.0.answer else { return Poll::Ready(None) };
                    decoder.end_of_input()?;
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Failure::from(error)))),
            }
        }
    }

    /// How many bytes of the body are to come, where its framing tells.
    pub fn length(&self) -> Option<u64> {
        match &self.0.answer {
            Answer::Body { decoder, .. } => decoder.remaining(),
            Answer::Awaited { .. } => None,
        }
    }

    /// The trailer section, once the body has ended.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        match &mut self.0.answer {
            Answer::Body { decoder, .. } => decoder.take_trailers(),
            Answer::Awaited { .. } => None,
        }
    }

    /// Gives the connection back if it can carry another exchange.
    pub(super) fn into_reusable(self) -> Option<Box<Connection>> {
        let Self(mut connection) = self;
        let Answer::Body { decoder, persists } = &connection.answer else { return None };
        // RFC 9112 §9.2: bytes after the answer belong to no request; the connection is not used again.
        let clean = decoder.is_ended() && *persists && connection.request_ended && !connection.deaf;
        (clean && connection.out.is_empty() && connection.input.is_empty()).then(|| {
            connection.input = BytesMut::new();
            connection.watchdog.set(None);
            connection
        })
    }

    /// After a 101: the bare connection and what came behind the head.
    pub fn into_upgraded(self) -> (Stream, Bytes) {
        let Connection { stream, input, .. } = *self.0;
        (stream, input.freeze())
    }

    /// Reads a head that lies at the front of the input; `false` while it is not whole.
    fn parse_input(&mut self, head: &mut ResponseHead) -> Result<bool, Failure> {
        let Connection { input, limits, answer, .. } = &mut *self.0;
        answer.began();
        let Parsed::Complete(length) = head.parse(input, limits.head_bytes, limits.fields)? else { return Ok(false) };
        input.advance(length);
        self.head_came(head)?;
        Ok(true)
    }

    /// Reads the answer's first bytes, and its head where they lie; `false` if it is not whole.
    fn poll_first(&mut self, head: &mut ResponseHead, cx: &mut Context<'_>) -> Poll<io::Result<Result<bool, Failure>>> {
        let Connection { stream, input, limits, answer, .. } = &mut *self.0;
        let parsed = ready!(scratch::poll_read(stream, cx, |bytes| {
            if bytes.is_empty() {
                return None;
            }
            answer.began();
            let parsed = head.parse(bytes, limits.head_bytes, limits.fields);
            let taken = if let Ok(Parsed::Complete(length)) = parsed { length } else { 0 };
            // A buffer of just that size: what is behind the head is mostly the body, and goes on in it.
            *input = BytesMut::from(&bytes[taken..]);
            Some(parsed)
        }))?;
        Poll::Ready(Ok(match parsed {
            None => Err(self.closed()),
            Some(Ok(Parsed::Complete(_))) => self.head_came(head).map(|()| true),
            Some(Ok(Parsed::Partial)) => Ok(false),
            Some(Err(bad)) => Err(bad.into()),
        }))
    }

    /// Reads on where a head was begun.
    fn poll_on(&mut self, head: &mut ResponseHead, cx: &mut Context<'_>) -> Poll<io::Result<Result<bool, Failure>>> {
        Poll::Ready(Ok(match ready!(self.poll_fill(READ_HEAD, cx))? {
            0 => Err(self.closed()),
            _ => self.parse_input(head),
        }))
    }

    /// A final head tells how its body is framed.
    fn head_came(&mut self, head: &ResponseHead) -> Result<(), Failure> {
        if head.is_interim() {
            return Ok(());
        }
        let framing = head.framing(&self.0.method)?;
        let patience = head.keep_alive_timeout().unwrap_or(Duration::MAX);
        let persists = head.keep_alive() && framing != AnswerFraming::UntilClose && !patience.is_zero();
        self.0.patience = patience;
        self.0.answer = Answer::Body { decoder: BodyDecoder::for_answer(framing), persists };
        self.0.watchdog.set(None);
        Ok(())
    }

    /// Writes what is queued; every byte that the backend takes shows that it is alive.
    ///
    /// A backend may answer (413, 401) and close before it has read the request: its answer counts (RFC 9112 §9.5). So a
    /// write that fails ends nothing but the writing; the next read gives that answer, or the end of the connection.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) {
        let Connection { stream, out, watchdog, .. } = &mut *self.0;
        if out.is_empty() {
            return;
        }
        let before = out.sent();
        let flushed = out.poll_flush(stream, cx);
        if out.sent() != before {
            watchdog.set(None);
        }
        if matches!(flushed, Poll::Ready(Err(_))) {
            *out = OutQueue::default();
            self.0.deaf = true;
        }
    }

    fn poll_fill(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Connection { stream, input, .. } = &mut *self.0;
        input.reserve(wanted);
        pin!(stream.read_buf(input)).poll(cx)
    }

    /// The answer is waited for once the backend has the whole request, or while it takes no more of it; a client that
    /// is still sending has its own deadlines.
    fn poll_answer_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.0.request_ended && !self.0.deaf && self.0.out.is_empty() {
            self.0.watchdog.set(None);
            return Poll::Pending;
        }
        self.poll_overdue(self.0.limits.answer_timeout, cx)
    }

    /// Ready when `timeout` has passed since the backend was first waited for.
    fn poll_overdue(&mut self, timeout: Option<Duration>, cx: &mut Context<'_>) -> Poll<()> {
        let watchdog = &mut self.0.watchdog;
        if !watchdog.is_set() {
            watchdog.set(timeout.map(|timeout| Instant::now() + timeout));
        }
        watchdog.poll_expired(cx)
    }

    fn closed(&self) -> Failure {
        match self.0.answer {
            Answer::Awaited { any_byte: false } => Failure::Closed { reused: self.is_reused() },
            _ => Failure::Closed { reused: false },
        }
    }

    fn io_failure(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => self.closed(),
            kind => Failure::Io(kind),
        }
    }
}

/// The head as RFC 9112 §3 writes it: `Host` first, then the fields, then the framing.
pub(super) fn write_request_head(request: &Outgoing, out: &mut Vec<u8>) {
    out.reserve(HEAD_USUAL);
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(request.authority.as_bytes());
    out.extend_from_slice(b"\r\n");
    request.fields.write_http1(out);
    match request.framing {
        Framing::None => {}
        Framing::Length(length) => {
            use std::io::Write;
            // Invariant: writing to a Vec can't fail.
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
