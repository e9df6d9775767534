//! WebSocket frames as the origin needs them (RFC 6455 §5): a client's frames taken off a buffer, our own written.
//!
//! Pure. No extension is ever agreed, so reserved bits must be zero.

use bytes::{Buf, BytesMut};

pub(super) const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xA;

/// One frame, unmasked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Last frame of its message.
    pub(super) last: bool,
    pub(super) opcode: u8,
    pub(super) payload: Vec<u8>,
}

/// What is wrong with a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadFrame {
    /// Against RFC 6455 §5.2 or §5.5.
    Protocol,
    TooBig,
    /// A text message that is not UTF-8 (RFC 6455 §8.1).
    Text,
}

impl BadFrame {
    /// The code of the Close frame that tells (RFC 6455 §7.4.1).
    pub(super) fn close_code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::TooBig => 1009,
            Self::Text => 1007,
        }
    }
}

/// Takes one frame of a client off the front of `input`; `None` while it isn't whole. `payload_max` in bytes.
pub(super) fn take(input: &mut BytesMut, payload_max: usize) -> Result<Option<Frame>, BadFrame> {
    let [first, second, ..] = **input else { return Ok(None) };
    let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
    let is_control = opcode & 0x8 != 0;
    let short_length = usize::from(second & 0x7f);
    let known = matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG);
    // RFC 6455 §5.1: a client masks. §5.2: reserved bits. §5.5: control frames are short and whole.
    if first & 0x70 != 0 || second & 0x80 == 0 || !known || (is_control && (!last || short_length > 125)) {
        return Err(BadFrame::Protocol);
    }
    let (length, length_end) = match (short_length, &input[2..]) {
        (126, [high, low, ..]) => (u64::from(u16::from_be_bytes([*high, *low])), 4),
        (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10),
        (126 | 127, _) => return Ok(None),
        (length, _) => (length as u64, 2),
    };
    let length = usize::try_from(length).ok().filter(|&length| length <= payload_max).ok_or(BadFrame::TooBig)?;
    let Some(&[a, b, c, d]) = input.get(length_end..length_end + 4) else { return Ok(None) };
    if input.len() < length_end + 4 + length {
        return Ok(None);
    }
    input.advance(length_end + 4);
    let masked = input.split_to(length);
    let payload = masked.iter().zip([a, b, c, d].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Ok(Some(Frame { last, opcode, payload }))
}

/// Writes one whole message as a server does, unmasked (RFC 6455 §5.1).
pub(super) fn write(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Writes a Close frame (RFC 6455 §5.5.1).
pub(super) fn write_close(out: &mut Vec<u8>, code: u16) {
    write(out, CLOSE, &code.to_be_bytes());
}
