//! One frame's header (RFC 6455 §5.2).

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the frame is.
    pub opcode: Opcode,
    /// Whether it is the last of its message.
    pub fin: bool,
    /// Zeros where the frame is not masked.
    pub key: [u8; 4],
    /// Bytes of payload.
    pub payload: u64,
    /// Bytes of the header itself.
    pub length: usize,
}

/// What a frame is (RFC 6455 §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message before it.
    Continuation,
    /// A message of text begins.
    Text,
    /// A message of bytes begins.
    Binary,
    /// The sender says nothing more.
    Close,
    /// To be answered.
    Ping,
    /// An answer to a Ping, or a heartbeat that nobody asked for.
    Pong,
}

/// Why bytes are not, or not any more, read as frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotFrames {
    /// The route asks for a blind copy.
    Unasked,
    /// An opcode that nobody has given a meaning (RFC 6455 §5.2).
    Opcode,
    /// A client's frame without a mask, or a server's with one (§5.1).
    Masking,
    /// A control frame in pieces, or of more than 125 bytes (§5.5).
    Control,
    /// A length that is not written in the shortest way, or beyond 63 bits (§5.2).
    Length,
    /// A piece of no message, or a message within another (§5.4).
    Fragments,
}

/// The longest header: two bytes, eight of extended length, four of masking key. No more of a frame is ever held back.
pub const HELD_BYTES_MAX: usize = 14;
/// RFC 6455 §5.5.
pub(super) const CONTROL_PAYLOAD_MAX: u64 = 125;

impl Head {
    /// Reads the header that `bytes` begin with; `None` while it is not whole. Reserved bits belong to extensions such as
    /// permessage-deflate and are let be: what a payload means is nobody's business here.
    #[inline]
    pub fn read(bytes: &[u8], masked: bool) -> Result<Option<Self>, NotFrames> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::of(first & 0x0f).ok_or(NotFrames::Opcode)?;
        let (fin, short) = (first & 0x80 != 0, second & 0x7f);
        if (second & 0x80 != 0) != masked {
            return Err(NotFrames::Masking);
        }
        if opcode.is_control() && (!fin || u64::from(short) > CONTROL_PAYLOAD_MAX) {
            return Err(NotFrames::Control);
        }
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let key_bytes = if masked { 4 } else { 0 };
        let Some(rest) = rest.get(..extended + key_bytes) else { return Ok(None) };
        let (extended, key) = rest.split_at(extended);
        let payload = match *extended {
            [high, low] => u64::from(u16::from_be_bytes([high, low])),
            [a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => u64::from(short),
        };
        let is_shortest = match short {
            126 => payload >= 126,
            127 => payload > u64::from(u16::MAX) && payload <= i64::MAX as u64,
            _ => true,
        };
        if !is_shortest {
            return Err(NotFrames::Length);
        }
        let key = key.try_into().unwrap_or_default();
        Ok(Some(Self { opcode, fin, key, payload, length: 2 + rest.len() }))
    }
}

impl Opcode {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it may stand between the pieces of a message (RFC 6455 §5.5).
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl NotFrames {
    /// The word for metrics, from a closed list.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unasked => "unasked",
            Self::Opcode => "opcode",
            Self::Masking => "masking",
            Self::Control => "control",
            Self::Length => "length",
            Self::Fragments => "fragments",
        }
    }
}
