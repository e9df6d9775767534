//! The response head of a backend, read strictly: what is ambiguous is a bad gateway, not a guess.

use http::Method;

use super::{Fields, Parsed, Version};

/// A response head.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The version of the message.
    pub version: Version,
    /// Three digits, 100 to 999.
    pub status: u16,
    /// The reason phrase as it came; empty is fine (RFC 9112 §4).
    pub reason: Vec<u8>,
    /// All field lines as they came.
    pub fields: Fields,
}

/// How the response's body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFraming {
    /// No body: HEAD, 1xx, 204, 304.
    None,
    /// Content-Length.
    Length(u64),
    /// chunked.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// What is wrong with a backend's answer. The word is a metric label; the client gets 502 if nothing was sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    StatusLine,
    FieldSyntax,
    HeadTooLarge,
    TooManyFields,
    ContentLength,
    TransferEncoding,
    LengthAndCoding,
}

impl ResponseHead {
    /// Reads one head from the front of `bytes` into `self`. Bare LF line ends, folded lines and NUL are refused.
    pub fn parse(&mut self, bytes: &[u8], head_bytes: usize, fields: usize) -> Result<Parsed, BadAnswer> {
        let _ = (bytes, head_bytes, fields);
        Ok(Parsed::Partial)
    }

    /// How the body of this answer to `method` is framed (RFC 9112 §6.3). Content-Length twice with different values,
    /// or beside Transfer-Encoding, is refused.
    pub fn framing(&self, method: &Method) -> Result<AnswerFraming, BadAnswer> {
        let _ = method;
        Err(BadAnswer::StatusLine)
    }

    /// Whether the backend lets the connection persist (RFC 9112 §9.3).
    pub fn keep_alive(&self) -> bool {
        false
    }

    /// 1xx (RFC 9110 §15.2).
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }
}

impl BadAnswer {
    /// The word for metrics and logs, from a closed list.
    pub fn label(self) -> &'static str {
        match self {
            Self::StatusLine => "status_line",
            Self::FieldSyntax => "field_syntax",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::ContentLength => "content_length",
            Self::TransferEncoding => "transfer_encoding",
            Self::LengthAndCoding => "length_and_coding",
        }
    }
}
