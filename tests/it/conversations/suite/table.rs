//! A conversation as data: what the client says, and what it must hear.

use super::judge::{NOT_UTF8, PROTOCOL_ERROR};
use crate::support::Frame;

/// Numbered as Autobahn numbers its cases.
pub struct Conversation {
    pub number: String,
    /// `Sec-WebSocket-Extensions` that both ends agree to.
    pub extension: Option<&'static str>,
    pub says: Vec<Say>,
    /// Every byte behind the handshake.
    pub hears: Vec<u8>,
    /// The client's script has the Close itself.
    pub closes: bool,
    frames: usize,
    chop: Chop,
}

pub enum Say {
    Bytes(Vec<u8>),
    /// In writes of so many bytes.
    Chopped(Vec<u8>, usize),
    /// Waits until so many frames have come.
    Await(usize),
    /// FIN, without a Close.
    Finish,
}

/// How bytes are cut into writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chop {
    /// All in one.
    Whole,
    /// A frame at a time.
    Frames,
    /// So many bytes at a time.
    Bytes(usize),
}

pub const CHOPS: [Chop; 3] = [Chop::Whole, Chop::Frames, Chop::Bytes(1)];

impl Conversation {
    pub fn new(number: impl Into<String>) -> Self {
        Self {
            number: number.into(),
            extension: None,
            says: Vec::new(),
            hears: Vec::new(),
            closes: false,
            frames: 0,
            chop: Chop::Frames,
        }
    }

    /// From here on; whole means that all which follows is one write.
    pub fn chopped(mut self, chop: Chop) -> Self {
        self.chop = chop;
        self.says.push(Say::Bytes(Vec::new()));
        self
    }

    pub fn extended(mut self, extension: &'static str) -> Self {
        self.extension = Some(extension);
        self
    }

    pub fn says(self, frame: Frame) -> Self {
        self.says_bytes(frame.masked())
    }

    pub fn says_bytes(mut self, bytes: Vec<u8>) -> Self {
        match (self.chop, self.says.last_mut()) {
            (Chop::Whole, Some(Say::Bytes(before))) => before.extend(bytes),
            (Chop::Bytes(size), _) => self.says.push(Say::Chopped(bytes, size)),
            _ => self.says.push(Say::Bytes(bytes)),
        }
        self
    }

    pub fn hears(mut self, frame: Frame) -> Self {
        self.hears.extend(frame.plain());
        self.frames += 1;
        self
    }

    /// Says a whole message and hears it again.
    pub fn echo(self, frame: Frame) -> Self {
        self.says(frame.clone()).hears(frame)
    }

    pub fn ping(self, payload: &[u8]) -> Self {
        self.says(control(9, payload)).hears(control(10, payload))
    }

    /// Says one message in pieces of these payloads.
    pub fn pieces(mut self, opcode: u8, payloads: &[&[u8]]) -> Self {
        for (at, payload) in payloads.iter().enumerate() {
            self = self.says(piece(at + 1 == payloads.len(), if at == 0 { opcode } else { 0 }, payload));
        }
        self
    }

    /// Goes on once all that was to be heard so far has been.
    pub fn awaits(mut self) -> Self {
        self.says.push(Say::Await(self.frames));
        self
    }

    /// Ends as it should.
    pub fn closed(self, code: u16) -> Self {
        self.awaits().close(&code.to_be_bytes()).hears(Frame::close(code))
    }

    /// Says a Close with this payload, whatever is wrong with it.
    pub fn close(mut self, payload: &[u8]) -> Self {
        self.closes = true;
        self.says(control(8, payload))
    }

    /// The judge fails the connection.
    pub fn fails(self) -> Self {
        self.hears(Frame::close(PROTOCOL_ERROR))
    }

    pub fn fails_as_text(self) -> Self {
        self.hears(Frame::close(NOT_UTF8))
    }

    /// The client goes without a Close.
    pub fn leaves(mut self) -> Self {
        self = self.awaits();
        self.says.push(Say::Finish);
        self
    }
}

pub fn control(opcode: u8, payload: &[u8]) -> Frame {
    Frame { fin: true, opcode, payload: payload.into() }
}

pub fn piece(fin: bool, opcode: u8, payload: &[u8]) -> Frame {
    Frame { fin, opcode, payload: payload.into() }
}
