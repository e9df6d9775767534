//! The response head of a backend, read strictly: what is ambiguous is a bad gateway, not a guess.

use std::{borrow::Cow, mem::MaybeUninit, time::Duration};

use http::{Method, StatusCode};
use httparse::Status;

use super::fields::{list_members, offset_in};
use super::framing::{Coding, coding_of, is_plain_length, is_unregistered, length_of};
use super::request::FIELDS_MAX;
use super::text::bare_line_feed;
use super::{Fields, Parsed, Version, is_same};

/// A response head.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The version of the message.
    pub version: Version,
    /// Three digits, 100 to 999.
    pub status: u16,
    /// The reason phrase as it came; empty is fine (RFC 9112 §4).
    pub reason: Cow<'static, [u8]>,
    /// All field lines as they came, but that a Content-Length said more than once in the same way stands once.
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
    /// Not `HTTP/1.x SP status [SP reason] CRLF`, or a status below 100.
    StatusLine,
    /// A name that is no token, no colon, a folded line, a control byte, a bare line feed.
    FieldSyntax,
    /// More bytes than the configuration allows.
    HeadTooLarge,
    /// More field lines than the configuration allows.
    TooManyFields,
    /// No number, too large a number, or two different ones.
    ContentLength,
    /// Neither one `chunked` nor words that nobody has registered, or a coding in HTTP/1.0.
    TransferEncoding,
    /// Content-Length beside Transfer-Encoding.
    LengthAndCoding,
}

impl ResponseHead {
    /// Reads one head from the front of `bytes` into `self`. Bare LF line ends, folded lines and NUL are refused; white
    /// space in front of a colon is taken off.
    /// `head_bytes` and `fields` (at most 256) bound the head; what passes them is refused before the head is whole.
    pub fn parse(&mut self, bytes: &[u8], head_bytes: usize, fields: usize) -> Result<Parsed, BadAnswer> {
        self.clear();
        match bytes.first() {
            None => return Ok(Parsed::Partial),
            // httparse would skip empty lines.
            Some(b'H') => {}
            Some(_) => return Err(BadAnswer::StatusLine),
        }
        let window = &bytes[..bytes.len().min(head_bytes.saturating_add(1))];
        let mut lines = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let lines = &mut lines[..fields.min(FIELDS_MAX)];
        let mut parser = httparse::ParserConfig::default();
        // RFC 9112 §5.1: to be removed from an answer, where a request is refused for it. httparse's names come without it.
        parser.allow_spaces_after_header_name_in_responses(true);
        match parser.parse_response_with_uninit_headers(&mut response, window, lines) {
            Ok(Status::Complete(length)) if length <= head_bytes => {
                self.fill(&window[..length], &response)?;
                Ok(Parsed::Complete(length))
            }
            Ok(_) if bare_line_feed(window).is_some() => Err(BadAnswer::FieldSyntax),
            Ok(_) if window.len() > head_bytes => Err(BadAnswer::HeadTooLarge),
            Ok(_) => Ok(Parsed::Partial),
            Err(httparse::Error::TooManyHeaders) => Err(BadAnswer::TooManyFields),
            Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => Err(BadAnswer::FieldSyntax),
            Err(httparse::Error::NewLine) => Err(BadAnswer::FieldSyntax),
            Err(_) => Err(BadAnswer::StatusLine),
        }
    }

    /// Forgets the last answer and keeps its memory.
    pub fn clear(&mut self) {
        self.version = Version::Http11;
        self.status = 0;
        self.reason = Cow::Borrowed(b"");
        self.fields.clear();
    }

    /// Takes over a head whose syntax httparse has found sound; `response` is its reading of `head`.
    fn fill(&mut self, head: &[u8], response: &httparse::Response) -> Result<(), BadAnswer> {
        let (Some(minor), Some(status @ 100..)) = (response.version, response.code) else {
            return Err(BadAnswer::StatusLine);
        };
        if !head.ends_with(b"\r\n\r\n") {
            return Err(BadAnswer::FieldSyntax);
        }
        self.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        self.status = status;
        // httparse gives no reason that is not ASCII. `HTTP/1.1 200` has 12 bytes, a space comes before the reason.
        let end = memchr::memchr(b'\r', head).unwrap_or(head.len());
        let reason = head.get(13..end).unwrap_or_default();
        let usual = reason_for(status).as_bytes();
        self.reason = if reason == usual { Cow::Borrowed(usual) } else { Cow::Owned(reason.to_vec()) };

        self.fields.adopt(head, response.headers.len());
        let mut lengths = 0;
        let mut is_plain = true;
        for line in response.headers.iter() {
            let name = line.name.as_bytes();
            // httparse takes a bare line feed for a line end, too: each line has its CRLF if there is one before each name,
            // and behind the last.
            if !head[..offset_in(head, name)].ends_with(b"\r\n") {
                return Err(BadAnswer::FieldSyntax);
            }
            if is_same(name, CONTENT_LENGTH.as_bytes()) {
                lengths += 1;
                is_plain &= is_plain_length(line.value);
            }
            self.fields.push_part(head, name, line.value);
        }
        if lengths > 1 || !is_plain {
            // What can't be folded stays as it is: `framing` refuses it.
            if let Ok(Some(length)) = self.length() {
                self.fields.set("Content-Length", length.to_string());
            }
        }
        Ok(())
    }

    /// How the body of this answer to `method` is framed (RFC 9112 §6.3). Content-Length twice with different values,
    /// or beside Transfer-Encoding, is refused, even where there is no body: the client would see the fields.
    ///
    /// The gateway asks for no coding (it sends no TE) and takes none off but `chunked`. A registered one is refused: the
    /// client would get compressed bytes, and nobody would tell it. A word that means nothing to anybody is taken for what
    /// it says of the framing, that the body ends with the connection; the client's own framing takes its place. An HTTP/2
    /// body of unknown length is `Chunked`.
    pub fn framing(&self, method: &Method) -> Result<AnswerFraming, BadAnswer> {
        let length = self.length()?;
        let mut codings = self.fields.all(TRANSFER_ENCODING);
        let framing = match (codings.next(), length) {
            (Some(_), Some(_)) => return Err(BadAnswer::LengthAndCoding),
            (Some(coding), None) => {
                // RFC 9112 §6.1: a 1.0 message with Transfer-Encoding has faulty framing; HTTP/2 knows no such field.
                if self.version != Version::Http11 || codings.next().is_some() {
                    return Err(BadAnswer::TransferEncoding);
                }
                match coding_of(coding) {
                    Coding::Chunked => AnswerFraming::Chunked,
                    Coding::Unknown if is_unregistered(coding) => AnswerFraming::UntilClose,
                    Coding::Unknown | Coding::Invalid => return Err(BadAnswer::TransferEncoding),
                }
            }
            (None, Some(length)) => AnswerFraming::Length(length),
            (None, None) if self.version == Version::Http2 => AnswerFraming::Chunked,
            (None, None) => AnswerFraming::UntilClose,
        };
        if method == Method::HEAD || self.is_interim() || matches!(self.status, 204 | 304) {
            return Ok(AnswerFraming::None);
        }
        Ok(framing)
    }

    /// The one number that all Content-Length lines say, if there are any.
    fn length(&self) -> Result<Option<u64>, BadAnswer> {
        let mut length = None;
        for value in self.fields.all(CONTENT_LENGTH) {
            let said = length_of(value).ok_or(BadAnswer::ContentLength)?;
            if length.replace(said).is_some_and(|before| before != said) {
                return Err(BadAnswer::ContentLength);
            }
        }
        Ok(length)
    }

    /// Whether the backend lets the connection persist (RFC 9112 §9.3).
    pub fn keep_alive(&self) -> bool {
        let (mut close, mut persist) = (false, false);
        for option in self.fields.all("connection").flat_map(list_members) {
            close |= is_same(option, b"close");
            persist |= is_same(option, b"keep-alive");
        }
        !close && (self.version != Version::Http10 || persist)
    }

    /// How long the backend says that it keeps the connection when nothing comes (`Keep-Alive: timeout=5`, in seconds:
    /// RFC 2068 §19.7.1.1); not at all, where it says nothing that can be read.
    pub fn keep_alive_timeout(&self) -> Option<Duration> {
        let mut members = self.fields.all("keep-alive").flat_map(list_members);
        members.find_map(|member| {
            let (name, value) = member.split_at_checked(TIMEOUT.len())?;
            let seconds = str::from_utf8(value).ok()?.parse().ok()?;
            is_same(name, TIMEOUT).then(|| Duration::from_secs(seconds))
        })
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

/// The reason phrase that the registry gives for a status; empty for one that it does not know (RFC 9110 §15).
pub fn reason_for(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

const CONTENT_LENGTH: &str = "content-length";
const TRANSFER_ENCODING: &str = "transfer-encoding";
/// Of `Keep-Alive`.
const TIMEOUT: &[u8] = b"timeout=";
