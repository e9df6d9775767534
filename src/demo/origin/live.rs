//! Updates over plain HTTP: a long poll that is answered when there is something to say, and server-sent events.

use std::{io, num::NonZero, time::Duration};

use http::Method;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::{
    HEAD_BYTES, Shared,
    answer::{self, Answer},
    until,
};
use crate::{
    clock::Now,
    wire::{
        RequestHead, Version,
        body::{chunk_header, last_chunk},
    },
};

/// A long poll without news is answered after this time, so that nobody in between takes it for dead.
const WAIT: Duration = Duration::from_secs(25);

/// The answer to a long poll: with the updates after `since` as soon as there is one, empty after a while or when the
/// origin stops.
pub(super) async fn wait(shared: &Shared, since: u64) -> Answer {
    let (mut bell, mut stopping) = (shared.updates.bell(), shared.stopping.subscribe());
    // Each branch ends the wait; which one it was shows in the answer.
    let news = async {
        tokio::select! {
            () = until(&mut bell, |&latest| latest > since) => {}
            () = until(&mut stopping, |&stopping| stopping) => {}
        }
    };
    let _ = timeout(WAIT, news).await;
    Answer::json(shared.updates.answer_since(since))
}

/// Server-sent events (HTML §9.2): each update as it is made, until the client goes or the origin stops. The first
/// event, `hello`, tells how large the request's head was when it came here.
pub(super) async fn events(
    stream: &mut TcpStream,
    request: &RequestHead,
    shared: &Shared,
    since: u64,
    head_bytes: usize,
    keep_alive: bool,
) -> io::Result<()> {
    // HTTP/1.0 has no chunks: the body ends with the connection (RFC 9112 §6.3).
    let chunked = request.version != Version::Http10;
    let mut out = Vec::with_capacity(512);
    answer::open_head(&mut out, 200, Now::read().unix_seconds());
    answer::field(&mut out, "Content-Type", "text/event-stream");
    answer::field(&mut out, "Cache-Control", "no-store");
    answer::field(&mut out, HEAD_BYTES, head_bytes);
    if chunked {
        answer::field(&mut out, "Transfer-Encoding", "chunked");
    }
    answer::close_head(&mut out, request.version, keep_alive && chunked);
    if request.method == Method::HEAD {
        return stream.write_all(&out).await;
    }
    let hello = format!("retry: 1000\nevent: hello\ndata: {{\"head_bytes\":{head_bytes}}}\n\n");
    piece(&mut out, hello.as_bytes(), chunked);
    stream.write_all(&out).await?;

    let (mut bell, mut stopping) = (shared.updates.bell(), shared.stopping.subscribe());
    let mut told = since;
    loop {
        tokio::select! {
            () = until(&mut bell, |&latest| latest > told) => {}
            () = until(&mut stopping, |&stopping| stopping) => break,
        }
        out.clear();
        for update in shared.updates.since(told) {
            piece(&mut out, format!("id: {}\ndata: {}\n\n", update.number, update.json()).as_bytes(), chunked);
            told = update.number;
        }
        stream.write_all(&out).await?;
    }
    out.clear();
    if chunked {
        last_chunk(None, &mut out);
    }
    stream.write_all(&out).await
}

/// A piece of a body whose length nobody knows yet.
fn piece(out: &mut Vec<u8>, data: &[u8], chunked: bool) {
    if !chunked {
        out.extend_from_slice(data);
        return;
    }
    let Some(length) = NonZero::new(data.len()) else { return };
    chunk_header(length, out);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}
