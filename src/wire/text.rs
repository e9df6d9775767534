//! The alphabets of HTTP: which bytes may stand where (RFC 9110 §5.6, RFC 3986 §3.2.2).

use std::net::Ipv6Addr;
use std::str::FromStr;

/// Whether `text` is a token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| ALPHABET[byte as usize] & TOKEN != 0)
}

/// `text` without the spaces and tabs round it (OWS, RFC 9110 §5.6.3).
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Whether `text` may be a field's value: no control byte but HTAB (RFC 9110 §5.5), no space or tab at either end.
pub(super) fn is_value(text: &[u8]) -> bool {
    trim(text).len() == text.len() && text.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// The end of the first line that does not end with CRLF, if there is one: the place of a line feed that stands alone.
pub(super) fn bare_line_feed(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', text).find(|&place| place == 0 || text[place - 1] != b'\r')
}

/// `text` as `host[:port]` if it is one (RFC 9110 §7.2): a name, an IPv4 or a bracketed IPv6 address; not empty, no
/// user, no comma, no zone, a port (if any) of digits up to 65535.
pub(super) fn authority(text: &[u8]) -> Option<&str> {
    // ASCII only, by the alphabet below; the conversion comes first because the parts need it.
    let text = std::str::from_utf8(text).ok()?;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            Ipv6Addr::from_str(address).ok()?;
            (None, port)
        }
        None => {
            let end = memchr::memchr(b':', text.as_bytes()).unwrap_or(text.len());
            (Some(&text.as_bytes()[..end]), &text[end..])
        }
    };
    (host.is_none_or(is_host_name) && is_port(port)).then_some(text)
}

/// A registered name or IPv4 address without the comma, which would look like two Host values joined.
fn is_host_name(name: &[u8]) -> bool {
    (1..=HOST_BYTES_MAX).contains(&name.len())
        && name.iter().enumerate().all(|(place, &byte)| {
            ALPHABET[byte as usize] & HOST != 0
                || (byte == b'%'
                    && matches!(name[place + 1..], [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
        })
}

fn is_port(port: &str) -> bool {
    match port.strip_prefix(':') {
        None => port.is_empty(),
        // RFC 3986 §3.2.3: port = *DIGIT.
        Some(digits) => {
            digits.is_empty() || (digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok())
        }
    }
}

const TOKEN: u8 = 1;
const HOST: u8 = 2;

/// For each byte the alphabets that it belongs to.
static ALPHABET: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        if character.is_ascii_alphanumeric() {
            table[byte] = TOKEN | HOST;
        }
        byte += 1;
    }
    mark(&mut table, b"!#$%&'*+-.^_`|~", TOKEN);
    mark(&mut table, b"-._~!$&'()*+;=", HOST);
    table
};

const fn mark(table: &mut [u8; 256], members: &[u8], alphabet: u8) {
    let mut place = 0;
    while place < members.len() {
        table[members[place] as usize] |= alphabet;
        place += 1;
    }
}

/// Longer than any name in the DNS (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 255;
