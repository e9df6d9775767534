//! One HTTP/2 exchange with a backend (RFC 9113), on a connection that carries many.

use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{SendStream, client};

use super::{AnswerLimits, Failure, Outgoing, pool::Lease};
use crate::{
    net::{
        Stream, Watchdog,
        http2::{Paced, Received, Streams},
        socket::{Origin, UNACKNOWLEDGED_MAX, prepare},
    },
    wire::{Fields, Framing, ResponseHead, Scheme},
};

/// Flow-control window of one stream and of the connection, bytes: what may be under way without waiting for the client.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// A connection's handle: cheap to clone, one clone per exchange.
#[derive(Clone)]
pub(super) struct Handle {
    requests: client::SendRequest<Bytes>,
    streams: Streams,
}

/// One request and its answer.
pub struct Exchange {
    response: client::ResponseFuture,
    send: SendStream<Bytes>,
    /// A piece of the request body that flow control has not yet let through.
    waiting: Bytes,
    request_ended: bool,
    body: Option<Received>,
    /// Where its answer's data counts.
    streams: Streams,
    trailers: Option<Fields>,
    limits: AnswerLimits,
    watchdog: Watchdog,
    /// One stream more on its connection.
    lease: Lease,
}

/// Shakes hands and drives the connection in a task of its own until it ends.
pub(super) async fn handshake(stream: Stream, limits: &AnswerLimits) -> Result<Handle, Failure> {
    // No keepalive probe is sent while something is unacknowledged.
    if let Err(error) = prepare(&stream, Origin::Dialled, UNACKNOWLEDGED_MAX) {
        // A connection that is gone already says so at the first read.
        tracing::debug!(%error, "socket options of an HTTP/2 connection");
    }
    let streams = Streams::default();
    let (requests, mut connection) = client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // Of one client that does not read its small pieces, all others would lose their streams. `Streams` bounds memory.
        .data_frame_budget(usize::MAX)
        .enable_push(false)
        .max_header_list_size(limits.head_bytes as u32)
        .handshake(Paced::new(stream, &streams))
        .await?;
    let handle = Handle { requests, streams: streams.clone() };
    tokio::spawn(async move {
        let ended = poll_fn(|cx| {
            streams.gather();
            Pin::new(&mut connection).poll(cx)
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "HTTP/2 connection to a backend ended");
        }
    });
    Ok(handle)
}

impl Handle {
    /// How many streams the backend takes at once, as far as it has said.
    pub(super) fn streams_max(&self) -> usize {
        self.requests.current_max_send_streams()
    }
}

impl Exchange {
    /// Sends the head (`head_of` makes it) on the lease's connection; an error says that it has ended or is going away,
    /// and that nothing of this request was sent on it.
    pub(super) async fn begin(
        handle: Handle,
        lease: Lease,
        head: http::Request<()>,
        ends_with_head: bool,
        limits: AnswerLimits,
    ) -> Result<Self, Failure> {
        let Handle { requests, streams } = handle;
        let (response, send) = requests.ready().await?.send_request(head, ends_with_head)?;
        Ok(Self {
            response,
            send,
            waiting: Bytes::new(),
            request_ended: ends_with_head,
            body: None,
            streams,
            trailers: None,
            limits,
            watchdog: Watchdog::default(),
            lease,
        })
    }

    /// Ready when another piece of the request body may be sent.
    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while !self.waiting.is_empty() {
            self.send.reserve_capacity(self.waiting.len());
            let granted = match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(0)) => continue,
                Some(granted) => granted.map_err(|error| failure_of(&error))?,
                // The backend has reset the stream or wants no more of the body; its answer tells.
                None => {
                    self.waiting.clear();
                    break;
                }
            };
            // The backend takes bytes: it is alive.
            self.watchdog.set(None);
            let piece = self.waiting.split_to(granted.min(self.waiting.len()));
            if self.send.send_data(piece, false).is_err() {
                self.waiting.clear();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Queues a piece of the request body; to be called after `poll_send_ready`.
    pub fn send(&mut self, piece: Bytes) {
        self.waiting = piece;
    }

    /// The request body is complete; to be called after `poll_send_ready`.
    pub fn end(&mut self, trailers: Option<&Fields>) {
        if std::mem::replace(&mut self.request_ended, true) {
            return;
        }
        // An error here is a stream that has ended already; the answer says how.
        let _ended = match trailers {
            Some(trailers) => self.send.send_trailers(trailers.to_header_map()),
            None => self.send.send_data(Bytes::new(), true),
        };
    }

    /// The next head: interim ones first, then the final one.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Failure>> {
        if let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
            return Poll::Ready(Ok(ResponseHead::from_http2(interim.status().as_u16(), interim.headers())));
        }
        if let Poll::Ready(result) = Pin::new(&mut self.response).poll(cx) {
            let (parts, body) = result.map_err(|error| failure_of(&error))?.into_parts();
            self.body = Some(Received::new(body, &self.streams));
            self.watchdog.set(None);
            return Poll::Ready(Ok(ResponseHead::from_http2(parts.status.as_u16(), &parts.headers)));
        }
        // While the client is still sending, the backend is not what is waited for, unless it takes no more.
        if !self.request_ended && self.waiting.is_empty() {
            self.watchdog.set(None);
            return Poll::Pending;
        }
        self.poll_overdue(self.limits.answer_timeout, cx).map(|()| Err(Failure::AnswerTimeout))
    }

    /// How many bytes the body has, as far as the head tells; none, where that was all (a gRPC answer may be head only).
    pub fn length(&self, head: &ResponseHead) -> Option<u64> {
        if self.body.as_ref().is_some_and(Received::is_end_stream) {
            return Some(0);
        }
        head.fields.get_str("content-length").and_then(|length| length.parse().ok())
    }

    /// The next piece of the answer's body; `None` when it is complete.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match body.poll_data(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                // What was taken is paid back at once; the reader's own queue is what bounds memory.
                body.release(piece.len());
                self.watchdog.set(None);
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                if let Some(trailers) = ready!(body.poll_trailers(cx))? {
                    self.trailers = Fields::from_http2_trailers(&trailers);
                }
                Poll::Ready(None)
            }
            // Silence is counted from the first time that nothing was there: a client that takes its time is not it.
            Poll::Pending => self.poll_overdue(self.limits.read_timeout, cx).map(|()| Some(Err(Failure::ReadTimeout))),
        }
    }

    /// The trailer section, once the body has ended.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }

    /// Ready when `timeout` has passed since the backend was first waited for: nobody else is to wait for it then.
    fn poll_overdue(&mut self, timeout: Option<Duration>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.watchdog.is_set() {
            self.watchdog.set(timeout.map(|timeout| Instant::now() + timeout));
        }
        ready!(self.watchdog.poll_expired(cx));
        self.lease.give_up();
        Poll::Ready(())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // A request that did not end whole may never look whole (RFC 9113 §8.1).
        if !self.request_ended {
            self.send.send_reset(h2::Reason::CANCEL);
        }
    }
}

/// What went wrong before an answer. A stream that the backend surely did not look at may be sent again; so may one whose
/// connection ended, which says nothing about the request, where it is idempotent.
fn failure_of(error: &h2::Error) -> Failure {
    // RFC 9113 §8.7; §6.8: streams above the last that GOAWAY names, and `h2` tells no others of it.
    let is_refused = error.reason() == Some(h2::Reason::REFUSED_STREAM) && error.is_reset();
    if error.is_remote() && (is_refused || error.is_go_away()) {
        return Failure::Unseen;
    }
    if error.is_io() {
        return Failure::Closed { reused: true };
    }
    Failure::Http2(error.reason().unwrap_or(h2::Reason::INTERNAL_ERROR))
}

/// The head as HTTP/2 takes it; an error is an authority or a target that is no part of a URI.
pub(super) fn head_of(request: &Outgoing) -> Result<http::Request<()>, Failure> {
    let scheme = match request.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let malformed = |_| Failure::Http2(h2::Reason::PROTOCOL_ERROR);
    let uri = http::Uri::builder()
        .scheme(scheme)
        .authority(request.authority.as_str())
        .path_and_query(&*acceptable(&request.target))
        .build()
        .map_err(malformed)?;
    let mut head = http::Request::builder()
        .method(request.method.clone())
        .version(http::Version::HTTP_2)
        .uri(uri)
        .body(())
        .map_err(malformed)?;
    *head.headers_mut() = request.fields.to_header_map();
    if request.trailers {
        head.headers_mut().insert(http::header::TE, http::HeaderValue::from_static("trailers"));
    }
    if let Framing::Length(length) = request.framing {
        head.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
    }
    Ok(head)
}

/// The target with those bytes percent-encoded that `http::Uri` refuses.
///
/// RFC 3986 allows none of them raw, but clients send them, and over HTTP/1.1 they go on as sent. They delimit nothing, so
/// that encoded they say the same to every server that decodes (RFC 3986 §2.1, §2.4), and the request is served.
fn acceptable(target: &str) -> Cow<'_, str> {
    if !target.bytes().any(|byte| matches!(byte, b'"' | b'<' | b'>' | b'`')) {
        return Cow::Borrowed(target);
    }
    let query = target.find('?').unwrap_or(target.len());
    let encoded = target.char_indices().map(|(at, char)| match char {
        '<' => "%3C",
        '>' => "%3E",
        '"' if at > query => "%22",
        '`' if at < query => "%60",
        _ => &target[at..at + char.len_utf8()],
    });
    Cow::Owned(encoded.collect())
}

#[cfg(test)]
mod tests;
