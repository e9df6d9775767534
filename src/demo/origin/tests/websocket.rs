//! The WebSocket and its frames.

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

use super::{
    super::frames::{self, BadFrame, Frame},
    *,
};

#[tokio::test]
async fn updates_are_pushed_and_messages_come_back_as_they_were() {
    let origin = Origin::start().unwrap();
    let mut socket = connect(&origin).await;
    let hello = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(hello.starts_with("{\"hello\":{\"head_bytes\":"), "{hello}");
    let sent =
        [Message::text("hé"), Message::binary(vec![0; 70_000]), Message::text("x".repeat(300)), Message::text("")];
    for message in &sent {
        socket.send(message.clone()).await.unwrap();
    }
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    let (mut updates, mut echoes, mut pongs) = (0, Vec::new(), 0);
    while updates == 0 || echoes.len() < sent.len() || pongs == 0 {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) if text.starts_with("{\"number\":") => updates += 1,
            Message::Pong(payload) => pongs += usize::from(&payload[..] == b"are you there"),
            message => echoes.push(message),
        }
    }
    assert_eq!(echoes, sent);
    socket.close(None).await.unwrap();
    assert!(matches!(socket.next().await, None | Some(Ok(Message::Close(_)))));
    tokio::task::spawn_blocking(|| origin.stop()).await.unwrap();
}

#[tokio::test]
async fn stopping_says_that_the_client_should_come_back() {
    let origin = Origin::start().unwrap();
    let mut socket = connect(&origin).await;
    socket.next().await.unwrap().unwrap();
    let stopped = tokio::task::spawn_blocking(|| origin.stop());
    let close = loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Close(close) => break close.unwrap(),
            _ => continue,
        }
    };
    assert_eq!(close.code, CloseCode::Restart);
    assert!(socket.next().await.is_none_or(|end| end.is_err()));
    stopped.await.unwrap();
}

#[test]
fn a_handshake_that_is_not_right_is_answered_and_not_opened() {
    let origin = Origin::start().unwrap();
    let request = |version: &str, key: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: {version}\r\n\
             Sec-WebSocket-Key: {key}\r\n\r\n"
        )
    };
    let answer = ask(&origin, &request("12", KEY));
    assert_eq!((answer.status, answer.field("sec-websocket-version")), (426, "13"));
    assert_eq!(ask(&origin, &request("13", "short")).status, 400);
    origin.stop();
}

#[test]
fn frames_that_came_with_the_handshake_and_fragments_are_answered() {
    let mut bytes = Vec::new();
    masked(&mut bytes, false, frames::TEXT, b"half ");
    masked(&mut bytes, true, frames::PING, b"p");
    masked(&mut bytes, true, frames::CONTINUATION, b"and half");
    masked(&mut bytes, true, frames::CLOSE, &1000u16.to_be_bytes());
    let rest = after_hello(&bytes);
    let mut expected = Vec::new();
    frames::write(&mut expected, frames::PONG, b"p");
    frames::write(&mut expected, frames::TEXT, b"half and half");
    frames::write_close(&mut expected, 1000);
    assert_eq!(rest, expected);
}

#[test]
fn what_breaks_the_protocol_is_closed_with_its_code() {
    let mut unmasked = Vec::new();
    frames::write(&mut unmasked, frames::TEXT, b"x");
    let frame = |last, opcode, payload: &[u8]| {
        let mut bytes = Vec::new();
        masked(&mut bytes, last, opcode, payload);
        bytes
    };
    let mut two_beginnings = frame(false, frames::TEXT, b"a");
    two_beginnings.extend(frame(true, frames::TEXT, b"b"));
    for (bytes, code) in [
        (unmasked, 1002),
        (frame(true, 3, b""), 1002),
        (frame(true, frames::CONTINUATION, b"of what"), 1002),
        (frame(false, frames::PING, b""), 1002),
        (two_beginnings, 1002),
        (frame(true, frames::TEXT, b"\xff"), 1007),
        (frame(true, frames::BINARY, &vec![0; 1024 * 1024 + 1]), 1009),
    ] {
        let mut expected = Vec::new();
        frames::write_close(&mut expected, code);
        assert_eq!(after_hello(&bytes), expected, "{:?}", &bytes[..8.min(bytes.len())]);
    }
}

proptest! {
    #[test]
    fn frames_are_the_same_at_any_slicing(
        sent in prop::collection::vec((any::<bool>(), 0..3u8, prop::collection::vec(any::<u8>(), 0..400)), 0..5),
        cuts in prop::collection::vec(1..50usize, 1..20),
    ) {
        let mut bytes = Vec::new();
        for (last, opcode, payload) in &sent {
            masked(&mut bytes, *last, *opcode, payload);
        }
        let (mut input, mut taken, mut rest) = (BytesMut::new(), Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            input.extend_from_slice(now);
            while let Some(Frame { last, opcode, payload }) = frames::take(&mut input, 1000).unwrap() {
                taken.push((last, opcode, payload));
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(taken, sent);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn no_bytes_make_the_reader_of_frames_stumble(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = frames::take(&mut input, 32) {}
        prop_assert!(input.len() <= bytes.len());
    }
}

#[test]
fn a_frame_above_the_limit_is_refused_by_its_head_alone() {
    let mut input = BytesMut::from(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..]);
    assert_eq!(frames::take(&mut input, 1000), Err(BadFrame::TooBig));
}

async fn connect(origin: &Origin) -> WebSocketStream<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::connect(origin.address()).await.unwrap();
    client_async(format!("ws://{}/ws", origin.address()), stream).await.unwrap().0
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Writes a frame as a client does.
fn masked(out: &mut Vec<u8>, last: bool, opcode: u8, payload: &[u8]) {
    let mut plain = Vec::new();
    frames::write(&mut plain, opcode, payload);
    let head = plain.len() - payload.len();
    plain[0] = (u8::from(last) << 7) | opcode;
    plain[1] |= 0x80;
    out.extend_from_slice(&plain[..head]);
    let mask = [1, 2, 3, 4];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// What is answered to these frames, glued to their handshake, after the greeting; updates are left out.
fn after_hello(bytes: &[u8]) -> Vec<u8> {
    let origin = Origin::start().unwrap();
    let mut client = Client::new(&origin);
    let mut request = format!(
        "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(bytes);
    client.send(request);
    let head = client.read_head();
    assert_eq!((head.status, head.field("sec-websocket-accept")), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let mut rest = client.read_rest();
    let hello_length = 2 + usize::from(rest[1]);
    assert!(rest[2..hello_length].starts_with(b"{\"hello\":"));
    rest.drain(..hello_length);
    while rest.len() > 2 && rest[2..].starts_with(b"{\"number\":") {
        let update_length = 2 + usize::from(rest[1]);
        rest.drain(..update_length);
    }
    drop(client);
    origin.stop();
    rest
}
