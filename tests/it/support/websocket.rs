//! WebSocket by hand: handshakes and single frames (RFC 6455).

use std::{panic::Location, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha1::{Digest, Sha1};
use tokio::sync::{mpsc, watch};

use super::{Answer, Connection, Next, Talk, pattern, reply::Responder, script};

/// The key of every story's handshake: 16 bytes in base64.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// One frame, unmasked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// RFC 6455 §4.2.2.
pub fn accept_value(key: &str) -> String {
    BASE64_STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

/// A sound handshake with further fields.
pub fn handshake(target: &str, fields: &[(&str, &str)]) -> String {
    let mut text = format!(
        "GET {target} HTTP/1.1\r\nHost: example.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n"
}

impl Frame {
    pub fn text(text: &str) -> Self {
        Self { fin: true, opcode: 1, payload: text.into() }
    }

    pub fn binary(payload: Vec<u8>) -> Self {
        Self { fin: true, opcode: 2, payload }
    }

    pub fn close(code: u16) -> Self {
        Self { fin: true, opcode: 8, payload: code.to_be_bytes().into() }
    }

    /// The code of a Close frame.
    pub fn close_code(&self) -> Option<u16> {
        (self.opcode == 8 && self.payload.len() >= 2).then(|| u16::from_be_bytes([self.payload[0], self.payload[1]]))
    }

    /// As a client sends it, masked.
    pub fn masked(&self) -> Vec<u8> {
        self.masked_with([0x37, 0xfa, 0x21, 0x3d])
    }

    /// Masked with this key; the one of zeros costs nothing.
    pub fn masked_with(&self, key: [u8; 4]) -> Vec<u8> {
        [&self.head(0x80)[..], &key, &mask(&self.payload, key)].concat()
    }

    /// As a server sends it.
    pub fn plain(&self) -> Vec<u8> {
        [self.head(0), self.payload.clone()].concat()
    }

    fn head(&self, mask: u8) -> Vec<u8> {
        let mut out = vec![u8::from(self.fin) << 7 | self.opcode];
        match self.payload.len() {
            length @ 0..=125 => out.push(mask | length as u8),
            length @ 126..=0xffff => {
                out.push(mask | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(mask | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out
    }

    /// Takes a frame off the front of `buffer`.
    pub fn take(buffer: &mut Vec<u8>) -> Option<Self> {
        let (first, second) = (*buffer.first()?, *buffer.get(1)?);
        let (length, mut at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let mut key = [0; 4];
        if second & 0x80 != 0 {
            key = buffer.get(at..at + 4)?.try_into().ok()?;
            at += 4;
        }
        let end = at + usize::try_from(length).ok()?;
        let payload = mask(buffer.get(at..end)?, key);
        buffer.drain(..end);
        Some(Self { fin: first & 0x80 != 0, opcode: first & 0x0f, payload })
    }
}

/// Puts the mask on or takes it off (RFC 6455 §5.3).
fn mask(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    match key {
        [0, 0, 0, 0] => payload.to_vec(),
        key => payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect(),
    }
}

impl Connection {
    /// Shakes hands and checks the 101.
    #[track_caller]
    pub fn upgrade(&mut self, target: &str, fields: &[(&str, &str)]) -> impl Future<Output = Answer> {
        let (place, request) = (Location::caller(), handshake(target, fields));
        async move {
            self.send(request).await;
            let head = self.head_at(place).await;
            let is = |name: &str, value: &str| head.field(name).is_some_and(|got| got.eq_ignore_ascii_case(value));
            let accepted = head.field("Sec-WebSocket-Accept") == Some(&*accept_value(KEY));
            let sound = head.status == 101 && accepted && is("Upgrade", "websocket") && is("Connection", "upgrade");
            assert!(sound, "{place}: expected a sound 101\n{}", self.transcript());
            head
        }
    }

    pub async fn send_frame(&mut self, frame: &Frame) {
        self.send(frame.masked()).await;
    }

    /// The next frame; the connection's end fails the story.
    #[track_caller]
    pub fn frame(&mut self) -> impl Future<Output = Frame> {
        let place = Location::caller();
        async move {
            match self.frame_or_end().await {
                Some(frame) => frame,
                None => panic!("{place}: the connection ended instead of a frame\n{}", self.transcript()),
            }
        }
    }

    /// The next frame, or `None` when the connection has ended.
    pub async fn frame_or_end(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.wire.buffer) {
                return Some(frame);
            }
            match super::within("a frame", self.wire.fill()).await {
                Ok(count) if count > 0 => {}
                _ => return None,
            }
        }
    }
}

impl Talk {
    /// The next frame from the client, through the gateway; `None` when the connection has ended.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.wire.buffer) {
                return Some(frame);
            }
            match self.wire.fill().await {
                Ok(count) if count > 0 => {}
                _ => return None,
            }
        }
    }

    /// The right 101 to the request, with further fields.
    pub fn switching(&self, fields: &[(&str, &str)]) -> String {
        let key = self.request.field("sec-websocket-key").unwrap_or_default();
        let mut text = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
            accept_value(key)
        );
        for (name, value) in fields {
            text += &format!("{name}: {value}\r\n");
        }
        text + "\r\n"
    }
}

/// Accepts and echoes every frame; answers Close with Close and ends.
pub fn websocket_echo() -> Responder {
    script(|mut talk| async move {
        let switching = talk.switching(&[]);
        talk.send(switching).await;
        echo_frames(talk).await
    })
}

/// Accepts once that is let, and leaves the rest to `then`.
pub fn held_websocket<F>(
    released: &watch::Receiver<bool>,
    then: impl Fn(Talk) -> F + Send + Sync + 'static,
) -> Responder
where
    F: Future<Output = Next> + Send + 'static,
{
    let (released, then) = (released.clone(), Arc::new(then));
    script(move |mut talk| {
        let (mut released, then) = (released.clone(), then.clone());
        async move {
            released.wait_for(|go| *go).await.unwrap();
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            then(talk).await
        }
    })
}

/// Accepts and sends messages of 1 MiB until one is not taken for half a second, which is told with how many were.
pub fn websocket_flood() -> (Responder, mpsc::UnboundedReceiver<usize>) {
    let (told, tell) = mpsc::unbounded_channel();
    let responder = script(move |mut talk| {
        let told = told.clone();
        async move {
            let switching = talk.switching(&[]);
            talk.send(switching).await;
            let frame = Frame::binary(pattern(0, 1 << 20)).plain();
            for sent in 0..64 {
                let sending = tokio::time::timeout(Duration::from_millis(500), talk.send(&frame));
                if sending.await.is_err() {
                    told.send(sent).unwrap();
                    break;
                }
            }
            talk.gone().await;
            Next::Close
        }
    });
    (responder, tell)
}

/// Echoes every frame; answers Close with Close and ends.
pub async fn echo_frames(mut talk: Talk) -> Next {
    while let Some(frame) = talk.frame().await {
        talk.send(frame.plain()).await;
        if frame.opcode == 8 {
            break;
        }
    }
    talk.close().await
}
