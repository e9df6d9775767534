//! The position in a stream of WebSocket frames, whatever the slicing of its bytes (RFC 6455 §5.2).
//!
//! A tracker reads frame headers and skips payloads, so its cost is per frame and per read, not per byte. It can't break
//! a tunnel: bytes that are no frames make it lose its place for good, and then it only says so.

/// Follows the frames of one direction.
#[derive(Debug)]
pub struct FrameTracker {
    state: State,
    /// Whether frames of this direction must be masked (RFC 6455 §5.1: those of a client are, those of a server are not).
    masked: bool,
    close: Option<u16>,
}

#[derive(Debug)]
enum State {
    /// At a boundary, or within a header.
    Header(Header),
    /// So many bytes of payload are still to come; never zero.
    Payload(u64),
    /// Within the first two payload bytes of a Close frame.
    CloseCode { left: u8, seen: u8, code: [u8; 2], key: [u8; 4] },
    /// The bytes were no frames.
    Lost,
}

/// As much of a frame's header as has come.
#[derive(Debug, Default)]
struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    length: u8,
}

impl FrameTracker {
    /// For frames that a client sends: masked.
    pub fn from_client() -> Self {
        Self::new(true)
    }

    /// For frames that a backend sends: not masked.
    pub fn from_backend() -> Self {
        Self::new(false)
    }

    fn new(masked: bool) -> Self {
        Self { state: State::boundary(), masked, close: None }
    }

    /// Takes the next bytes of the stream, all of them.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.advance(rest)..];
        }
    }

    /// Takes bytes up to the end of the frame that they belong to, and says how many that were: all of them when the
    /// frame does not end within them, or when the place is lost.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            used += match &mut self.state {
                State::Header(header) => {
                    let taken = header.fill(rest);
                    self.read_header();
                    taken
                }
                State::Payload(left) => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::boundary();
                    }
                    taken
                }
                State::CloseCode { .. } => {
                    self.read_close_code(rest[0]);
                    1
                }
                State::Lost => rest.len(),
            };
            if self.at_boundary() {
                break;
            }
        }
        used
    }

    /// Whether everything taken so far is whole frames, so that another frame may be put in here.
    pub fn at_boundary(&self) -> bool {
        matches!(&self.state, State::Header(header) if header.length == 0)
    }

    /// Whether the bytes turned out to be no WebSocket frames; this does not change any more.
    pub fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// The code of the first Close frame, once it has passed; 1005 for one without a code (RFC 6455 §7.1.5).
    pub fn close_code(&self) -> Option<u16> {
        self.close
    }

    /// Whether frames of this direction are masked.
    pub fn is_masked(&self) -> bool {
        self.masked
    }

    fn read_header(&mut self) {
        let State::Header(header) = &self.state else { return };
        if header.is_wrong(self.masked) {
            self.state = State::Lost;
            return;
        }
        let Some(payload) = header.payload_length() else { return };
        let closes = header.opcode() == OPCODE_CLOSE;
        self.state = match payload {
            // A code has two bytes: with fewer there is none.
            0 | 1 if closes => {
                self.close.get_or_insert(NO_CODE);
                State::after_payload(payload)
            }
            2..=CONTROL_PAYLOAD_MAX if closes => {
                State::CloseCode { left: payload as u8, seen: 0, code: [0; 2], key: header.masking_key() }
            }
            _ => State::after_payload(payload),
        };
    }

    fn read_close_code(&mut self, byte: u8) {
        let State::CloseCode { left, seen, code, key } = &mut self.state else { return };
        let place = usize::from(*seen & 1);
        code[place] = byte ^ key[place];
        *seen += 1;
        *left -= 1;
        if *seen == 2 {
            self.close.get_or_insert(u16::from_be_bytes(*code));
            self.state = State::after_payload(u64::from(*left));
        }
    }
}

impl State {
    fn boundary() -> Self {
        Self::Header(Header::default())
    }

    fn after_payload(left: u64) -> Self {
        if left == 0 { Self::boundary() } else { Self::Payload(left) }
    }
}

impl Header {
    /// Takes what belongs to the header off the front of `bytes`; how much the header needs may only show on the way.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let have = usize::from(self.length);
        let taken = (self.needed() - have).min(bytes.len());
        self.bytes[have..have + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken as u8;
        taken
    }

    /// The header's length as far as it is known yet.
    fn needed(&self) -> usize {
        if self.length < 2 {
            return 2;
        }
        2 + self.extended_length() + if self.is_masked() { 4 } else { 0 }
    }

    fn extended_length(&self) -> usize {
        match self.bytes[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn opcode(&self) -> u8 {
        self.bytes[0] & 0x0f
    }

    fn is_masked(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// Whether what has come can't be the header of a frame (RFC 6455 §5.2, §5.5). Reserved bits belong to extensions
    /// and are let be.
    fn is_wrong(&self, masked: bool) -> bool {
        if self.length < 2 {
            return false;
        }
        let control = self.opcode() & 0x08 != 0;
        let fragment = self.bytes[0] & 0x80 == 0;
        matches!(self.opcode(), 0x3..=0x7 | 0xb..=0xf)
            || self.is_masked() != masked
            || control && (fragment || self.extended_length() != 0)
            || self.payload_length().is_some_and(|length| match self.extended_length() {
                // The shortest form must be used, and the highest bit is zero.
                2 => length < 126,
                8 => length <= u64::from(u16::MAX) || length > i64::MAX as u64,
                _ => false,
            })
    }

    /// Bytes of payload; `None` until the header is whole.
    fn payload_length(&self) -> Option<u64> {
        if self.length < 2 || usize::from(self.length) < self.needed() {
            return None;
        }
        let extended = &self.bytes[2..2 + self.extended_length()];
        Some(match extended.is_empty() {
            true => u64::from(self.bytes[1] & 0x7f),
            false => extended.iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        })
    }

    /// Zeros for a frame that is not masked. To be asked of a whole header.
    fn masking_key(&self) -> [u8; 4] {
        let mut key = [0; 4];
        if self.is_masked() {
            let start = 2 + self.extended_length();
            key.copy_from_slice(&self.bytes[start..start + 4]);
        }
        key
    }
}

/// A Close frame with `code` and no reason (RFC 6455 §5.5.1), masked with `key` when it goes to a backend (§5.3).
pub fn close_frame(code: u16, key: Option<[u8; 4]>) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    match key {
        None => vec![0x80 | OPCODE_CLOSE, 2, high, low],
        Some([a, b, c, d]) => vec![0x80 | OPCODE_CLOSE, 0x80 | 2, a, b, c, d, high ^ a, low ^ b],
    }
}

/// Two bytes, eight of extended length, four of masking key.
const HEADER_BYTES_MAX: usize = 14;
/// RFC 6455 §5.5.
const CONTROL_PAYLOAD_MAX: u64 = 125;
const OPCODE_CLOSE: u8 = 0x8;
/// RFC 6455 §7.4.1: "no status code was present". Never sent.
const NO_CODE: u16 = 1005;

#[cfg(test)]
mod tests;
