//! One client of the admin listener: requests in order until either side has had enough.
//!
//! A body is read for the endpoints that take one, up to a limit and in the time of a head. Any other request that has one
//! is answered and the connection closed.

use std::{io, sync::Arc, thread, time::Duration};

use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};

use super::{
    AdminState,
    answer::{Answer, Delivery},
    endpoints::{self, Endpoint},
    request::Request,
};
use crate::{
    clock::Now,
    wire::{Framing, HeadLimits, Parsed, RequestHead, Version},
};

/// How long the steps of a connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// From the first byte of a request head to its last.
    pub(super) head: Duration,
    /// For a request to begin.
    pub(super) idle: Duration,
    /// For an answer to be taken.
    pub(super) send: Duration,
}

/// The waits of a gateway that runs. Idle is longer than the minute in which Prometheus usually comes again.
pub(super) const WAITS: Waits =
    Waits { head: Duration::from_secs(5), idle: Duration::from_secs(75), send: Duration::from_secs(10) };

/// What waiting for a request gave.
enum Next {
    Request,
    /// It can't be read; this is said before the connection is closed.
    Refused(Answer),
    /// The client left, or was silent, or the server stops.
    End,
}

struct Connection {
    stream: TcpStream,
    /// Bytes received and not yet understood.
    buffer: Vec<u8>,
    head: RequestHead,
    waits: Waits,
}

/// Answers the requests of one connection until it ends.
pub(super) async fn run(stream: TcpStream, state: Arc<AdminState>, mut closing: watch::Receiver<bool>, waits: Waits) {
    let mut connection = Connection { stream, buffer: Vec::new(), head: RequestHead::default(), waits };
    loop {
        match connection.next_request(&mut closing).await {
            Next::Request => {}
            Next::Refused(answer) => {
                let delivery = Delivery { is_head: false, closes: true, now: Now::read().unix };
                if connection.send(&answer, delivery).await {
                    connection.linger().await;
                }
                return;
            }
            Next::End => return,
        }
        let head = std::mem::take(&mut connection.head);
        let Some((answer, is_whole)) = connection.answer(&state, &head).await else { return };
        let is_last = !is_whole || !head.keep_alive || head.version != Version::Http11 || *closing.borrow();
        let is_head = head.method == Method::HEAD;
        let delivery = Delivery { is_head, closes: is_last, now: Now::read().unix };
        let was_sent = connection.send(&answer, delivery).await;
        if !was_sent || is_last {
            if was_sent && !is_whole {
                connection.linger().await;
            }
            return;
        }
    }
}

fn has_body(head: &RequestHead) -> bool {
    !matches!(head.framing, Framing::None | Framing::Length(0))
}

/// Makes the answer where blocking harms nobody: rendering ten thousand series takes a while.
async fn answer(state: &Arc<AdminState>, endpoint: &'static Endpoint, request: Request) -> Answer {
    let state = state.clone();
    spawn_blocking(move || endpoint.answer(&state, &request)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "an admin endpoint broke down");
        Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "This could not be answered; the gateway's log tells more.\n")
    })
}

impl Connection {
    /// Waits for a request and reads its head into `self.head`.
    async fn next_request(&mut self, closing: &mut watch::Receiver<bool>) -> Next {
        if self.buffer.is_empty() {
            let begun = tokio::select! {
                // An error means that the server is gone, which is a reason to end as well.
                _ = closing.wait_for(|closing| *closing) => return Next::End,
                begun = timeout(self.waits.idle, self.stream.read_buf(&mut self.buffer)) => begun,
            };
            if !matches!(begun, Ok(Ok(1..))) {
                return Next::End;
            }
        }
        let deadline = Instant::now() + self.waits.head;
        loop {
            self.head.clear();
            match self.head.parse(&self.buffer, &LIMITS) {
                Ok(Parsed::Complete(length)) => {
                    self.buffer.drain(..length);
                    return Next::Request;
                }
                Ok(Parsed::Partial) => {}
                Err(refusal) => {
                    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
                    return Next::Refused(Answer::text(status, format!("Refused: {}.\n", refusal.label())));
                }
            }
            match timeout_at(deadline, self.stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(1..)) => {}
                Ok(_) => return Next::End,
                Err(_) => {
                    return Next::Refused(Answer::text(StatusCode::REQUEST_TIMEOUT, "The request took too long.\n"));
                }
            }
        }
    }

    /// What to say to a request, and whether all of it was read; `None` if nobody is left to be answered.
    async fn answer(&mut self, state: &Arc<AdminState>, head: &RequestHead) -> Option<(Answer, bool)> {
        let endpoint = match endpoints::find(state, head) {
            Ok(endpoint) => endpoint,
            Err(answer) => return Some((answer, !has_body(head))),
        };
        if !endpoint.takes_body() {
            let request = Request { head: head.clone(), body: Vec::new() };
            return Some((answer(state, endpoint, request).await, !has_body(head)));
        }
        match self.read_body(head).await {
            Ok(body) => Some((answer(state, endpoint, Request { head: head.clone(), body }).await, true)),
            Err(refused) => refused.map(|refused| (refused, false)),
        }
    }

    /// The body of a request for an endpoint that takes one. `Err` says what to answer before the connection is closed, or
    /// that nobody is left to be answered.
    async fn read_body(&mut self, head: &RequestHead) -> Result<Vec<u8>, Option<Answer>> {
        let length = match head.framing {
            Framing::None => return Ok(Vec::new()),
            Framing::Length(length) if length <= BODY_BYTES_MAX => length as usize,
            Framing::Length(_) => {
                let text = format!("a body of more than {BODY_BYTES_MAX} bytes");
                return Err(Some(Answer::wrong(StatusCode::PAYLOAD_TOO_LARGE, &text)));
            }
            // RFC 9110 §15.5.12
            Framing::Chunked => {
                return Err(Some(Answer::wrong(StatusCode::LENGTH_REQUIRED, "a body without Content-Length")));
            }
        };
        let deadline = Instant::now() + self.waits.head;
        if head.expect_continue && self.buffer.is_empty() {
            // RFC 9110 §10.1.1
            let told = timeout_at(deadline, self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")).await;
            told.map_err(|_| None)?.map_err(|_| None)?;
        }
        while self.buffer.len() < length {
            match timeout_at(deadline, self.stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(1..)) => {}
                Ok(_) => return Err(None),
                Err(_) => return Err(Some(Answer::wrong(StatusCode::REQUEST_TIMEOUT, "a body that takes too long"))),
            }
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Whether the whole answer was taken.
    async fn send(&mut self, answer: &Answer, delivery: Delivery) -> bool {
        let write = async {
            for piece in answer.pieces(delivery) {
                self.stream.write_all(&piece).await?;
                // A worker that shares the processor waits for a piece, not for a list of half a megabyte.
                thread::yield_now();
            }
            io::Result::Ok(())
        };
        matches!(timeout(self.waits.send, write).await, Ok(Ok(())))
    }

    /// Reads a little of what the client still sends: closing over unread bytes would reset the connection and could
    /// take the answer from the client (RFC 9112 §9.6).
    async fn linger(&mut self) {
        let discard = async {
            self.stream.shutdown().await?;
            let mut rest = (&mut self.stream).take(LINGER_BYTES_MAX);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // Whatever comes of it, the connection is closed after it.
        let _ = timeout(LINGER_WAIT, discard).await;
    }
}

const LIMITS: HeadLimits = HeadLimits { target_bytes: 16 * 1024, head_bytes: 24 * 1024, fields: 64 };
/// What an order to purge or a saved head may need.
const BODY_BYTES_MAX: u64 = 256 * 1024;
const LINGER_BYTES_MAX: u64 = 64 * 1024;
const LINGER_WAIT: Duration = Duration::from_millis(500);
