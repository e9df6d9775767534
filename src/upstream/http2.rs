//! One HTTP/2 exchange with a backend (RFC 9113), on a connection that carries many.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client};

use super::{AnswerLimits, Failure, Outgoing};
use crate::{
    net::{Stream, Watchdog},
    wire::{Fields, Framing, ResponseHead, Scheme},
};

/// Flow-control window of one stream and of the connection, bytes: what may be under way without waiting for the client.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// A connection's handle: cheap to clone, one clone per exchange.
pub(super) type Handle = client::SendRequest<Bytes>;

/// One request and its answer.
pub struct Exchange {
    response: client::ResponseFuture,
    send: SendStream<Bytes>,
    /// A piece of the request body that flow control has not yet let through.
    waiting: Bytes,
    request_ended: bool,
    body: Option<RecvStream>,
    trailers: Option<Fields>,
    limits: AnswerLimits,
    watchdog: Watchdog,
}

/// Shakes hands and drives the connection in a task of its own until it ends.
pub(super) async fn handshake(stream: Stream, limits: &AnswerLimits) -> Result<Handle, Failure> {
    let (handle, connection) = client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .enable_push(false)
        .max_header_list_size(limits.head_bytes as u32)
        .handshake(stream)
        .await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "HTTP/2 connection to a backend ended");
        }
    });
    Ok(handle)
}

impl Exchange {
    /// Sends the head as soon as the connection has room for another stream.
    pub(super) async fn begin(handle: Handle, request: &Outgoing, limits: AnswerLimits) -> Result<Self, Failure> {
        let mut handle = handle.ready().await?;
        let bodiless = matches!(request.framing, Framing::None | Framing::Length(0));
        let (response, send) = handle.send_request(request_of(request)?, bodiless)?;
        let mut watchdog = Watchdog::default();
        watchdog.set(limits.answer_timeout.map(|timeout| Instant::now() + timeout));
        Ok(Self {
            response,
            send,
            waiting: Bytes::new(),
            request_ended: bodiless,
            body: None,
            trailers: None,
            limits,
            watchdog,
        })
    }

    /// Ready when another piece of the request body may be sent.
    pub fn poll_send_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while !self.waiting.is_empty() {
            self.send.reserve_capacity(self.waiting.len());
            let granted = match ready!(self.send.poll_capacity(cx)) {
                Some(granted) => granted?,
                // The backend has reset the stream or wants no more of the body; its answer tells.
                None => {
                    self.waiting.clear();
                    break;
                }
            };
            let piece = self.waiting.split_to(granted.min(self.waiting.len()));
            if self.send.send_data(piece, false).is_err() {
                self.waiting.clear();
            }
            self.answer_is_due();
        }
        Poll::Ready(Ok(()))
    }

    /// Queues a piece of the request body; to be called after `poll_send_ready`.
    pub fn send(&mut self, piece: Bytes) {
        self.waiting = piece;
        self.answer_is_due();
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
        self.answer_is_due();
    }

    /// The answer's head.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Failure>> {
        if let Poll::Ready(result) = Pin::new(&mut self.response).poll(cx) {
            let (parts, body) = result?.into_parts();
            self.body = Some(body);
            self.set_deadline(None);
            return Poll::Ready(Ok(ResponseHead::from_http2(parts.status.as_u16(), &parts.headers)));
        }
        // A client's pace is not the backend's fault; that it takes nothing, or gives no answer, is.
        if (self.request_ended || !self.waiting.is_empty()) && self.watchdog.poll_expired(cx).is_ready() {
            return Poll::Ready(Err(Failure::AnswerTimeout));
        }
        Poll::Pending
    }

    /// The next piece of the answer's body; `None` when it is complete.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match body.poll_data(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                // What was taken is paid back at once; the reader's own queue is what bounds memory.
                let _window = body.flow_control().release_capacity(piece.len());
                self.set_deadline(None);
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                if let Some(trailers) = ready!(body.poll_trailers(cx))? {
                    self.trailers = Fields::from_http2_trailers(&trailers);
                }
                Poll::Ready(None)
            }
            Poll::Pending => {
                // Time in which nobody asked for more, because the client is slow, does not count.
                if !self.watchdog.is_set() {
                    self.set_deadline(self.limits.read_timeout);
                }
                self.watchdog.poll_expired(cx).map(|()| Some(Err(Failure::ReadTimeout)))
            }
        }
    }

    /// The trailer section, once the body has ended.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }

    /// From now on the backend has its whole time for the answer.
    fn answer_is_due(&mut self) {
        if self.body.is_none() {
            self.set_deadline(self.limits.answer_timeout);
        }
    }

    fn set_deadline(&mut self, timeout: Option<std::time::Duration>) {
        self.watchdog.set(timeout.map(|timeout| Instant::now() + timeout));
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

fn request_of(request: &Outgoing) -> Result<http::Request<()>, Failure> {
    let scheme = match request.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let malformed = |_| Failure::Http2(h2::Reason::PROTOCOL_ERROR);
    let uri = http::Uri::builder()
        .scheme(scheme)
        .authority(request.authority.as_str())
        .path_and_query(request.target.as_str())
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
