//! HTTP/1.1 as bytes (RFC 9112): heads read strictly, bodies framed, field lines kept as they came.
//!
//! Pure: slices and buffers in, values out; no socket, no clock, no lock. Every lane and both ends of the gateway read
//! messages through this module alone, so there is one reading of every message, and what is written is built from it.

pub mod body;
mod case;
pub mod fields;
mod framing;
mod gather;
pub mod hop;
mod http2;
mod marks;
pub mod request;
pub mod response;
pub mod saved;
mod target;
mod text;
mod trailers;
mod url;

pub use body::{BadBody, BodyDecoder, Decoded};
pub use case::{is_odd, is_same, is_same_word, is_twin};
pub use fields::Fields;
pub use hop::{HopByHop, strip_hop_by_hop, strip_nominated};
pub use marks::NameMarks;
pub use request::{Framing, HeadLimits, Refusal, RequestHead, Scheme};
pub use response::{AnswerFraming, BadAnswer, ResponseHead, reason_for};
pub use trailers::may_be_trailer;
pub use url::Url;

/// Version of the message, for what depends on it (persistence, chunked, 1xx).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0 (RFC 1945, RFC 9112 §9.3).
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2 (RFC 9113).
    Http2,
}

/// What reading a head gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed; nothing is known yet.
    Partial,
    /// The head is whole and took this many bytes.
    Complete(usize),
}

#[cfg(test)]
mod tests;
