//! The trailer section of a chunked body (RFC 9112 §7.1.2): gathered within a bound, read strictly, sifted.

use bytes::{Buf, BytesMut};

use super::hop::{is_in, is_like_hop_by_hop};
use super::{Fields, is_same_word};

/// Gathers the section from whatever pieces it comes in.
#[derive(Debug, Default)]
pub(super) struct TrailerSection {
    text: Vec<u8>,
}

/// The section is too long, has too many lines or is not made of field lines.
#[derive(Debug)]
pub(super) struct BadTrailers;

impl TrailerSection {
    /// Takes bytes off `input` up to the end of the section, and says whether that has been reached.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<bool, BadTrailers> {
        while !input.is_empty() {
            let line_feed = memchr::memchr(b'\n', input);
            let length = line_feed.map_or(input.len(), |place| place + 1);
            if self.text.len() + length > SECTION_BYTES_MAX {
                return Err(BadTrailers);
            }
            self.text.extend_from_slice(&input[..length]);
            input.advance(length);
            if line_feed.is_none() {
                break;
            }
            if !self.text.ends_with(b"\r\n") {
                return Err(BadTrailers);
            }
            if self.text == b"\r\n" || self.text.ends_with(b"\r\n\r\n") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The lines of a section that has ended, without those that no trailer may hold; `None` if there is no other.
    pub(super) fn finish(self) -> Result<Option<Fields>, BadTrailers> {
        if self.text == b"\r\n" {
            return Ok(None);
        }
        let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
        let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(&self.text, &mut lines) else {
            return Err(BadTrailers);
        };
        let fields: Fields = lines
            .iter()
            .filter(|line| may_be_trailer(line.name.as_bytes()))
            .map(|line| (line.name, line.value))
            .collect();
        Ok((!fields.is_empty()).then_some(fields))
    }
}

/// RFC 9110 §6.5.1: no field that frames, routes, authenticates, modifies the request, controls caching or says what
/// the content is may come after it, nor one that some backends would take for such a field.
pub fn may_be_trailer(name: &[u8]) -> bool {
    let is_like = |prefix: &&[u8]| name.get(..prefix.len()).is_some_and(|front| is_same_word(prefix, front));
    !is_like_hop_by_hop(name)
        && !FORBIDDEN.iter().any(|known| is_same_word(known, name))
        && !FORBIDDEN_PREFIXES.iter().any(is_like)
}

impl Fields {
    /// Of these trailers those whose names are among `announced`, if there are any.
    pub fn announced(mut self, announced: &[Vec<u8>]) -> Option<Self> {
        self.retain(|name, _| is_in(announced, name));
        (!self.is_empty()).then_some(self)
    }

    /// These trailers without those of the names `withheld` and their like, if others are left.
    pub fn without(mut self, withheld: &[Vec<u8>]) -> Option<Self> {
        self.retain(|name, _| !withheld.iter().any(|withheld| is_same_word(withheld, name)));
        (!self.is_empty()).then_some(self)
    }
}

const FORBIDDEN: [&[u8]; 24] = [
    b"age",
    b"authorization",
    b"cache-control",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"location",
    b"max-forwards",
    b"origin",
    b"pragma",
    b"range",
    b"referer",
    b"retry-after",
    b"set-cookie",
    b"status",
    b"strict-transport-security",
    b"vary",
    b"via",
    b"warning",
    b"www-authenticate",
    b"x-real-ip",
];

const FORBIDDEN_PREFIXES: [&[u8]; 6] = [b"content-", b"if-", b"proxy-", b"sec-", b"x-forwarded-", b"access-control-"];

const SECTION_BYTES_MAX: usize = 16 * 1024;
const LINES_MAX: usize = 64;
