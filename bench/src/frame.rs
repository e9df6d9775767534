//! WebSocket frames (RFC 6455 §5.2), in whatever pieces they come.

use base64::{Engine, prelude::BASE64_STANDARD};
use sha1::{Digest, Sha1};

pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The key that every handshake of the bench sends (the one of RFC 6455 §1.3).
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What a server answers to a client's key (RFC 6455 §4.2.2).
pub fn accept(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(hash.finalize())
}

/// Writes the head of a final frame.
pub fn write_head(out: &mut Vec<u8>, opcode: u8, length: u64, mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.push(0x80 | opcode);
    match length {
        0..126 => out.push(masked | length as u8),
        126..0x1_0000 => {
            out.push(masked | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&mask.unwrap_or_default()[..if mask.is_some() { 4 } else { 0 }]);
}

/// A whole frame as a client sends it.
pub fn from_client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    write_head(&mut frame, opcode, payload.len() as u64, Some(MASK));
    let begin = frame.len();
    frame.extend_from_slice(payload);
    unmask(&mut frame[begin..], MASK);
    frame
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    if mask == [0; 4] {
        return;
    }
    let wide = u64::from_ne_bytes([mask, mask].concat().try_into().expect("eight bytes"));
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let masked = u64::from_ne_bytes((&*word).try_into().expect("eight bytes"));
        word.copy_from_slice(&(masked ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Reads frames from pieces.
#[derive(Default)]
pub struct Frames {
    /// The head as far as it has come; empty while a payload is read.
    head: Vec<u8>,
    opcode: u8,
    left: u64,
    mask: [u8; 4],
    in_payload: bool,
}

/// Part of a frame; its payload is unmasked already.
pub enum Part<'p> {
    Begin { opcode: u8, length: u64 },
    Payload { opcode: u8, bytes: &'p [u8] },
    End { opcode: u8 },
}

impl Frames {
    /// Tells the parts of what has come.
    pub fn feed(&mut self, mut bytes: &mut [u8], mut tell: impl FnMut(Part<'_>)) {
        loop {
            if !self.in_payload {
                let Some((first, rest)) = bytes.split_first_mut() else { return };
                self.head.push(*first);
                bytes = rest;
                if !self.begin() {
                    continue;
                }
                tell(Part::Begin { opcode: self.opcode, length: self.left });
            }
            let here = bytes.len().min(self.left as usize);
            let (payload, rest) = bytes.split_at_mut(here);
            bytes = rest;
            if here > 0 {
                unmask(payload, self.mask);
                self.mask.rotate_left(here % 4);
                self.left -= here as u64;
                tell(Part::Payload { opcode: self.opcode, bytes: payload });
            }
            if self.left > 0 {
                return;
            }
            self.in_payload = false;
            tell(Part::End { opcode: self.opcode });
        }
    }

    /// Whether the head is whole; then its payload follows.
    fn begin(&mut self) -> bool {
        let head = &self.head;
        if head.len() < 2 {
            return false;
        }
        let extended = match head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let masked = if head[1] & 0x80 != 0 { 4 } else { 0 };
        if head.len() < 2 + extended + masked {
            return false;
        }
        self.opcode = head[0] & 0x0f;
        self.left = match extended {
            0 => u64::from(head[1] & 0x7f),
            _ => head[2..2 + extended].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        self.mask = [0; 4];
        self.mask[..masked].copy_from_slice(&head[2 + extended..]);
        self.head.clear();
        self.in_payload = true;
        true
    }
}
