//! One connection to the origin: heads read, requests answered in order, until one side has had enough.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Shared, answer::Answer, close, files::File, live, until, websocket};
use crate::{
    clock::Now,
    wire::{Framing, HeadLimits, Parsed, Refusal, RequestHead},
};

/// Longer than the gateway keeps an unused connection, so that the gateway is the one to close it.
const IDLE: Duration = Duration::from_secs(150);

const LIMITS: HeadLimits = HeadLimits { target_bytes: 8 * 1024, head_bytes: 64 * 1024, fields: 200 };

/// What is to be done with a request.
enum Reply {
    Whole(Answer),
    /// Answered when there is an update after this one.
    Wait(u64),
    /// Server-sent events after this update.
    Events(u64),
    WebSocket,
}

/// What the next head gave.
enum Next {
    /// It took this many bytes.
    Head(usize),
    Refused(Refusal),
    /// The client has gone, or the origin stops.
    Over,
}

/// Serves one connection until it ends. A connection that breaks is nobody's fault here and ends the same way.
pub(super) async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut input = BytesMut::with_capacity(4096);
    let mut head = RequestHead::default();
    loop {
        let head_bytes = match next_head(&mut stream, &mut input, &mut head, &shared).await {
            Next::Head(bytes) => bytes,
            Next::Refused(refusal) => {
                let answer = Answer::text(refusal.status(), "This request was not understood.\n");
                let bytes = answer.to_bytes(&RequestHead::default(), false, Now::read().unix_seconds());
                let _ = stream.write_all(&bytes).await; // Told if it can be; the connection ends either way.
                return close(stream).await;
            }
            Next::Over => return,
        };
        // A body is not read here; after its answer the connection can't go on.
        let keep_alive = head.keep_alive && head.framing == Framing::None;
        let sent = match reply_to(&head, &shared) {
            Reply::Whole(answer) => send(&mut stream, &head, answer, head_bytes, keep_alive).await,
            Reply::Wait(since) => {
                let answer = live::wait(&shared, since).await;
                send(&mut stream, &head, answer, head_bytes, keep_alive).await
            }
            Reply::Events(since) => live::events(&mut stream, &head, &shared, since, head_bytes, keep_alive).await,
            Reply::WebSocket => return websocket::serve(stream, input, &head, &shared, head_bytes).await,
        };
        if sent.is_err() || !keep_alive {
            return close(stream).await;
        }
    }
}

async fn next_head(stream: &mut TcpStream, input: &mut BytesMut, head: &mut RequestHead, shared: &Shared) -> Next {
    let mut stopping = shared.stopping.subscribe();
    loop {
        if !input.is_empty() {
            head.clear();
            match head.parse(input, &LIMITS) {
                Ok(Parsed::Complete(bytes)) => {
                    input.advance(bytes);
                    return Next::Head(bytes);
                }
                Ok(Parsed::Partial) => {}
                Err(refusal) => return Next::Refused(refusal),
            }
        }
        tokio::select! {
            read = timeout(IDLE, stream.read_buf(input)) => match read {
                Ok(Ok(bytes)) if bytes > 0 => {}
                _ => return Next::Over,
            },
            () = until(&mut stopping, |&stopping| stopping) => return Next::Over,
        }
    }
}

/// What to do with this request. Pure.
fn reply_to(request: &RequestHead, shared: &Shared) -> Reply {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Reply::Whole(Answer::text(405, "GET and HEAD are all there is.\n").with("Allow", "GET, HEAD"));
    }
    // A number from before a restart is ahead of ours, and means now.
    let latest = shared.updates.latest();
    let since = number_after(&request.target, "since=").map(|number| number.min(latest));
    match request.path() {
        "/api/time" => Reply::Whole(Answer::json(format!("{{\"now\":{}}}", Now::read().unix.as_millis()))),
        "/api/about" => Reply::Whole(Answer::json(shared.about())),
        "/api/updates" => Reply::Whole(Answer::json(shared.updates.answer_since(since.unwrap_or(0)))),
        "/api/wait" if request.method == Method::HEAD => Reply::Whole(Answer::json(String::new())),
        "/api/wait" => Reply::Wait(since.unwrap_or(latest)),
        // A browser that comes back says where it was (HTML §9.2.4).
        "/api/events" => {
            let last = request.fields.get("last-event-id").and_then(|value| std::str::from_utf8(value).ok());
            let last = last.and_then(|value| value.parse().ok()).map(|number: u64| number.min(latest));
            Reply::Events(last.or(since).unwrap_or(latest))
        }
        "/ws" if request.wants_websocket => Reply::WebSocket,
        "/ws" => Reply::Whole(Answer::text(426, "This is a WebSocket.\n").with("Upgrade", "websocket")),
        path => Reply::Whole(match File::find(path) {
            Some(file) => file.answer(request),
            None => Answer::text(404, "There is nothing here.\n"),
        }),
    }
}

/// Sends a whole answer; those that no cache keeps also tell how large the request's head was when it came here.
async fn send(
    stream: &mut TcpStream,
    request: &RequestHead,
    mut answer: Answer,
    head_bytes: usize,
    keep_alive: bool,
) -> io::Result<()> {
    if answer.fields.get("cache-control") == Some(b"no-store") {
        answer.fields.push(super::HEAD_BYTES, head_bytes.to_string());
    }
    let bytes = answer.to_bytes(request, keep_alive, Now::read().unix_seconds());
    stream.write_all(&bytes).await
}

/// The number that follows `name` in the query.
fn number_after(target: &str, name: &str) -> Option<u64> {
    let (_, query) = target.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name))?.parse().ok()
}
