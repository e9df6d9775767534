//! The WebSocket: pushes the same updates as the other lanes, and gives every message back as it came (RFC 6455).

use std::{io, ops::ControlFlow, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    Shared,
    answer::{self, Answer},
    close,
    frames::{self, BadFrame, Frame},
    until,
};
use crate::{clock::Now, tunnel::handshake, wire::RequestHead};

/// Largest message that is given back, in bytes.
const MESSAGE_MAX: usize = 1024 * 1024;

/// How long the other side may take to answer our Close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Service Restart: a client that hears it comes back.
const RESTART: u16 = 1012;

/// The message under way, in its fragments.
#[derive(Default)]
struct Message {
    opcode: u8,
    payload: Vec<u8>,
    open: bool,
}

/// Answers the handshake and serves the connection until it ends. `input` may hold frames that came with the request.
pub(super) async fn serve(
    mut stream: TcpStream,
    input: BytesMut,
    request: &RequestHead,
    shared: &Shared,
    head_bytes: usize,
) {
    let answer = match switch(request, Now::read().unix_seconds()) {
        Ok(head) => head,
        Err(refusal) => {
            let bytes = refusal.to_bytes(request, false, Now::read().unix_seconds());
            let _ = stream.write_all(&bytes).await; // Told if it can be; the connection ends either way.
            return close(stream).await;
        }
    };
    // A client that vanishes ends the conversation like one that closes.
    let _ = converse(&mut stream, input, answer, shared, head_bytes).await;
    close(stream).await;
}

/// The 101, or why not (RFC 6455 §4.2).
fn switch(request: &RequestHead, unix_seconds: u64) -> Result<Vec<u8>, Answer> {
    let accepted = handshake::check(request).map_err(|refusal| {
        let answer = Answer::text(refusal.status(request.version), "This is no handshake of a WebSocket.\n");
        refusal.fields().iter().fold(answer, |answer, (name, value)| answer.with(name, value))
    })?;
    let mut head = Vec::with_capacity(256);
    answer::open_head(&mut head, 101, unix_seconds);
    head.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    head.extend_from_slice(&handshake::accept_for(accepted.key()));
    head.extend_from_slice(b"\r\n\r\n");
    Ok(head)
}

async fn converse(
    stream: &mut TcpStream,
    mut input: BytesMut,
    mut out: Vec<u8>,
    shared: &Shared,
    head_bytes: usize,
) -> io::Result<()> {
    frames::write(&mut out, frames::TEXT, format!("{{\"hello\":{{\"head_bytes\":{head_bytes}}}}}").as_bytes());
    let (mut bell, mut stopping) = (shared.updates.bell(), shared.stopping.subscribe());
    let (mut told, mut message) = (shared.updates.latest(), Message::default());
    loop {
        let flow = answer_frames(&mut input, &mut message, &mut out);
        stream.write_all(&out).await?;
        out.clear();
        if flow.is_break() {
            return Ok(());
        }
        tokio::select! {
            read = stream.read_buf(&mut input) => if read? == 0 { return Ok(()) },
            () = until(&mut bell, |&latest| latest > told) => {
                for update in shared.updates.since(told) {
                    frames::write(&mut out, frames::TEXT, update.json().as_bytes());
                    told = update.number;
                }
            }
            () = until(&mut stopping, |&stopping| stopping) => {
                frames::write_close(&mut out, RESTART);
                stream.write_all(&out).await?;
                // A client that doesn't answer in time has had its chance (RFC 6455 §7.1.1).
                let _ = timeout(CLOSE_TIMEOUT, until_close(stream, &mut input)).await;
                return Ok(());
            }
        }
    }
}

/// Takes every whole frame off `input` and writes what is to be said to it. `Break` says that a Close was written.
fn answer_frames(input: &mut BytesMut, message: &mut Message, out: &mut Vec<u8>) -> ControlFlow<()> {
    loop {
        match frames::take(input, MESSAGE_MAX)
            .and_then(|frame| frame.map(|frame| take_in(frame, message, out)).transpose())
        {
            Ok(Some(flow)) if flow.is_break() => return flow,
            Ok(Some(_)) => {}
            Ok(None) => return ControlFlow::Continue(()),
            Err(problem) => {
                frames::write_close(out, problem.close_code());
                return ControlFlow::Break(());
            }
        }
    }
}

/// What one frame asks for.
fn take_in(frame: Frame, message: &mut Message, out: &mut Vec<u8>) -> Result<ControlFlow<()>, BadFrame> {
    match frame.opcode {
        frames::PING => frames::write(out, frames::PONG, &frame.payload),
        frames::PONG => {}
        frames::CLOSE => {
            // RFC 6455 §5.5.1: answered with the code that came.
            frames::write(out, frames::CLOSE, frame.payload.get(..2).unwrap_or_default());
            return Ok(ControlFlow::Break(()));
        }
        opcode => {
            if (opcode == frames::CONTINUATION) != message.open {
                return Err(BadFrame::Protocol);
            }
            if !message.open {
                *message = Message { opcode, payload: Vec::new(), open: true };
            }
            if message.payload.len() + frame.payload.len() > MESSAGE_MAX {
                return Err(BadFrame::TooBig);
            }
            message.payload.extend_from_slice(&frame.payload);
            if frame.last {
                let whole = std::mem::take(message);
                if whole.opcode == frames::TEXT && std::str::from_utf8(&whole.payload).is_err() {
                    return Err(BadFrame::Text);
                }
                frames::write(out, whole.opcode, &whole.payload);
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Reads until the other side's Close or its end.
async fn until_close(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<()> {
    loop {
        match frames::take(input, MESSAGE_MAX) {
            Ok(Some(frame)) if frame.opcode != frames::CLOSE => {}
            Ok(None) => {
                if stream.read_buf(input).await? == 0 {
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
    }
}
