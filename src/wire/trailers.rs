//! The trailer section of a chunked body (RFC 9112 §7.1.2): gathered within a bound, read strictly, sifted.

use bytes::{Buf, BytesMut};

use super::Fields;
use super::hop::is_hop_by_hop;

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
/// the content is may come after it. With `_` for `-` some backends would take it for the same.
pub(super) fn may_be_trailer(name: &[u8]) -> bool {
    let name: Vec<u8> = name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect();
    !is_hop_by_hop(&name)
        && !FORBIDDEN.contains(&name.as_slice())
        && !FORBIDDEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
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
