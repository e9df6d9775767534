//! Frames that the gateway makes itself: Close and Ping.

use super::head::{CONTROL_PAYLOAD_MAX, Opcode};

/// What a Close frame says (RFC 6455 §5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// 1005 for a frame without a code.
    pub code: u16,
    /// At most 123 bytes.
    pub text: Box<str>,
}

impl Farewell {
    /// RFC 6455 §7.4.1, "no status code was present". Never sent.
    pub const NO_CODE: u16 = 1005;

    /// Text beyond 123 bytes is cut off.
    pub fn new(code: u16, text: &str) -> Self {
        let end = text.floor_char_boundary(TEXT_BYTES_MAX);
        Self { code, text: text[..end].into() }
    }

    /// From a Close frame's unmasked payload. A text that is not UTF-8 is the receiver's to complain about; here it is
    /// shown as well as it can be.
    pub(super) fn read(payload: &[u8]) -> Self {
        match payload {
            [high, low, text @ ..] => {
                Self { code: u16::from_be_bytes([*high, *low]), text: String::from_utf8_lossy(text).into() }
            }
            _ => Self { code: Self::NO_CODE, text: "".into() },
        }
    }
}

/// A Close frame, masked with `key` when it goes to a backend (RFC 6455 §5.3).
pub fn close_frame(farewell: &Farewell, key: Option<[u8; 4]>) -> Vec<u8> {
    let payload = [&farewell.code.to_be_bytes()[..], farewell.text.as_bytes()].concat();
    control_frame(Opcode::Close, &payload, key)
}

/// A Ping frame, masked likewise.
pub fn ping_frame(payload: [u8; PING_BYTES], key: Option<[u8; 4]>) -> Vec<u8> {
    control_frame(Opcode::Ping, &payload, key)
}

/// At most 125 bytes of payload.
fn control_frame(opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let number = match opcode {
        Opcode::Close => 0x8,
        Opcode::Ping => 0x9,
        _ => 0xa,
    };
    let mut frame = vec![0x80 | number, payload.len() as u8];
    if let Some(key) = key {
        frame[1] |= 0x80;
        frame.extend_from_slice(&key);
    }
    let key = key.unwrap_or_default();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Payload of our pings, by which their pongs are known. With it a masked Pong is as long as the longest header.
pub(super) const PING_BYTES: usize = 8;
const TEXT_BYTES_MAX: usize = CONTROL_PAYLOAD_MAX as usize - 2;
