//! Bodies on an HTTP/1.1 connection: the framing taken off (RFC 9112 §6, §7).

use std::num::NonZero;

use bytes::{Buf, Bytes, BytesMut};

use super::trailers::TrailerSection;
use super::{AnswerFraming, Fields, Framing};

/// Takes the framing off one body, whatever the slicing of its bytes. Data come out as views of the input, never copied.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    /// Bytes of chunk extensions of this body.
    extension_bytes: usize,
    trailers: Option<Fields>,
}

#[derive(Debug)]
enum State {
    Length(u64),
    UntilClose,
    /// In the digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// After the size of a chunk, in white space or an extension; `line_bytes` of it so far.
    Extension {
        size: u64,
        line_bytes: usize,
        begun: bool,
    },
    /// After the carriage return of a chunk's line.
    SizeLineFeed(u64),
    Data(u64),
    /// Before the carriage return that ends a chunk's data.
    DataReturn,
    DataLineFeed,
    Trailers(TrailerSection),
    Ended,
}

/// What the next bytes of a body gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A piece of the body, never empty.
    Data(Bytes),
    /// The input is used up and the body goes on.
    NeedMore,
    /// The body is complete; what is left in the input belongs to the next message.
    End,
}

/// What is wrong with a body's framing (400 to a client, 502 or a cut for a backend).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// No digits, more than 16, or something else behind them.
    ChunkSize,
    /// A control byte in an extension, or too much of it.
    ChunkExtension,
    /// A line or data that do not end with CRLF.
    ChunkEnd,
    /// A trailer section that is no field section, or longer than 16 KiB or 64 lines.
    Trailers,
    /// The connection ended before the body did.
    CutShort,
}

impl BodyDecoder {
    /// For a client's request.
    pub fn for_request(framing: Framing) -> Self {
        Self::new(match framing {
            Framing::None | Framing::Length(0) => State::Ended,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => CHUNK_START,
        })
    }

    /// For a backend's answer.
    pub fn for_answer(framing: AnswerFraming) -> Self {
        Self::new(match framing {
            AnswerFraming::None | AnswerFraming::Length(0) => State::Ended,
            AnswerFraming::Length(length) => State::Length(length),
            AnswerFraming::Chunked => CHUNK_START,
            AnswerFraming::UntilClose => State::UntilClose,
        })
    }

    fn new(state: State) -> Self {
        Self { state, extension_bytes: 0, trailers: None }
    }

    /// Takes the next piece off the front of `input`. Chunk lines end with CRLF and nothing else, sizes have at most
    /// 16 digits, extensions are dropped and bounded (4 KiB a line, 16 KiB a message): RFC 9112 §7.1.
    ///
    /// `NeedMore` leaves `input` empty. After an error the body is lost, and so is the connection.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, BadBody> {
        loop {
            if matches!(self.state, State::Ended) {
                return Ok(Decoded::End);
            }
            if input.is_empty() {
                return Ok(Decoded::NeedMore);
            }
            match &mut self.state {
                State::UntilClose => return Ok(Decoded::Data(input.split().freeze())),
                State::Length(left) => {
                    let piece = take_up_to(left, input);
                    if *left == 0 {
                        self.state = State::Ended;
                    }
                    return Ok(Decoded::Data(piece));
                }
                State::Data(left) => {
                    let piece = take_up_to(left, input);
                    if *left == 0 {
                        self.state = State::DataReturn;
                    }
                    return Ok(Decoded::Data(piece));
                }
                State::Trailers(section) => {
                    if section.take(input).map_err(|_| BadBody::Trailers)? {
                        self.trailers = std::mem::take(section).finish().map_err(|_| BadBody::Trailers)?;
                        self.state = State::Ended;
                    }
                }
                _ => {
                    let byte = input.get_u8();
                    self.step(byte)?;
                }
            }
        }
    }

    /// Takes one byte of a chunk's line, or of the line end after its data.
    fn step(&mut self, byte: u8) -> Result<(), BadBody> {
        self.state = match (&self.state, byte) {
            (&State::Size { size, digits }, _) => self.after_size_byte(size, digits, byte)?,
            (&State::Extension { size, line_bytes, begun }, _) => {
                self.after_extension_byte(size, line_bytes, begun, byte)?
            }
            (State::SizeLineFeed(0), b'\n') => State::Trailers(TrailerSection::default()),
            (&State::SizeLineFeed(size), b'\n') => State::Data(size),
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => CHUNK_START,
            _ => return Err(BadBody::ChunkEnd),
        };
        Ok(())
    }

    fn after_size_byte(&mut self, size: u64, digits: u8, byte: u8) -> Result<State, BadBody> {
        match (char::from(byte).to_digit(16), byte) {
            (Some(_), _) if digits == SIZE_DIGITS_MAX => Err(BadBody::ChunkSize),
            (Some(digit), _) => Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }),
            (None, _) if digits == 0 => Err(BadBody::ChunkSize),
            (None, b'\r') => Ok(State::SizeLineFeed(size)),
            (None, b';' | b' ' | b'\t') => self.after_extension_byte(size, 0, false, byte),
            (None, _) => Err(BadBody::ChunkSize),
        }
    }

    /// RFC 9112 §7.1.1: white space before the semicolon is bad, but to be borne. Before CRLF it is neither.
    fn after_extension_byte(&mut self, size: u64, line_bytes: usize, begun: bool, byte: u8) -> Result<State, BadBody> {
        let begun = match byte {
            b'\r' if begun => return Ok(State::SizeLineFeed(size)),
            b' ' | b'\t' => begun,
            b';' => true,
            _ if !begun => return Err(BadBody::ChunkSize),
            0..b' ' | 0x7f => return Err(BadBody::ChunkExtension),
            _ => true,
        };
        self.extension_bytes += 1;
        if line_bytes == EXTENSION_LINE_BYTES_MAX || self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(BadBody::ChunkExtension);
        }
        Ok(State::Extension { size, line_bytes: line_bytes + 1, begun })
    }

    /// Whether the body is complete.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// To be called when the connection has ended: fine for a body that ends with it, an error for any other.
    pub fn end_of_input(&mut self) -> Result<(), BadBody> {
        match self.state {
            State::UntilClose | State::Ended => {
                self.state = State::Ended;
                Ok(())
            }
            _ => Err(BadBody::CutShort),
        }
    }

    /// The trailer section of a chunked body, once it has ended; framing, routing and credential fields are left out
    /// (RFC 9110 §6.5.1). `None` if nothing is left.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }

    /// Bytes that are surely still to come: of the whole body, or of the chunk at hand.
    pub fn announced(&self) -> u64 {
        match self.state {
            State::Length(left) | State::Data(left) => left,
            _ => 0,
        }
    }

    /// Bytes of the body still to come, where the framing tells.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Ended => Some(0),
            _ => None,
        }
    }
}

/// At most `left` bytes off the front of `input`, which it takes from `left`.
fn take_up_to(left: &mut u64, input: &mut BytesMut) -> Bytes {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= length as u64;
    // A buffer that is wanted whole need not be shared.
    if length == input.capacity() { std::mem::take(input).freeze() } else { input.split_to(length).freeze() }
}

impl BadBody {
    /// The word for metrics and logs, from a closed list.
    pub fn label(self) -> &'static str {
        match self {
            Self::ChunkSize => "chunk_size",
            Self::ChunkExtension => "chunk_extension",
            Self::ChunkEnd => "chunk_end",
            Self::Trailers => "trailers",
            Self::CutShort => "cut_short",
        }
    }
}

/// Writes the line that opens a chunk of `length` bytes; CRLF follows its data (RFC 9112 §7.1). A chunk without bytes would be
/// the last one.
pub fn chunk_header(length: NonZero<usize>, out: &mut Vec<u8>) {
    use std::io::Write;
    // Invariant: writing to a Vec can't fail.
    let _ = write!(out, "{length:x}\r\n");
}

/// The end of a chunked body, with its trailer section.
pub fn last_chunk(trailers: Option<&Fields>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write_http1(out);
    }
    out.extend_from_slice(b"\r\n");
}

const CHUNK_START: State = State::Size { size: 0, digits: 0 };
const SIZE_DIGITS_MAX: u8 = 16;
const EXTENSION_LINE_BYTES_MAX: usize = 4 * 1024;
const EXTENSION_BYTES_MAX: usize = 16 * 1024;
