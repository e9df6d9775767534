//! The two fields that frame a message, Content-Length and Transfer-Encoding: one reading for both ends.
//!
//! Whatever could be read in two ways is invalid; nothing is guessed (RFC 9112 §6.3).

use super::text::{is_token, trim};

/// What the value of a Transfer-Encoding line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Exactly `chunked`, in any case.
    Chunked,
    /// A sound list of codings that are not known here, `chunked` at most at its end.
    Unknown,
    /// Anything else: no token, `chunked` twice or not last, or a word that some reader could take for it.
    Invalid,
}

/// Reads one Transfer-Encoding value.
pub(super) fn coding_of(value: &[u8]) -> Coding {
    if value.eq_ignore_ascii_case(CHUNKED) {
        return Coding::Chunked;
    }
    let mut members = value.split(|&byte| byte == b',').map(trim).peekable();
    while let Some(member) = members.next() {
        let is_last_chunked = members.peek().is_none() && member.eq_ignore_ascii_case(CHUNKED);
        if !is_token(member) || (resembles_chunked(member) && !is_last_chunked) {
            return Coding::Invalid;
        }
    }
    Coding::Unknown
}

/// Whether a sound list names codings that nobody has registered, and no other (RFC 9112 §7).
pub(super) fn is_unregistered(value: &[u8]) -> bool {
    let is_registered = |member: &[u8]| REGISTERED.iter().any(|coding| member.eq_ignore_ascii_case(coding));
    !value.split(|&byte| byte == b',').map(trim).any(is_registered)
}

/// Reads one Content-Length value: digits, or a list of the same number again and again (RFC 9110 §8.6).
/// `None` for anything else, a number above `u64::MAX` included.
pub(super) fn length_of(value: &[u8]) -> Option<u64> {
    let mut members = value.split(|&byte| byte == b',').map(|member| digits(trim(member)));
    let first = members.next()??;
    members.all(|member| member == Some(first)).then_some(first)
}

/// Whether a sound Content-Length value is one number as one would write it, so that it can be passed on as it is.
pub(super) fn is_plain_length(value: &[u8]) -> bool {
    value.len() == 1 || (value.first() != Some(&b'0') && value.iter().all(u8::is_ascii_digit))
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn resembles_chunked(member: &[u8]) -> bool {
    member.windows(CHUNKED.len()).any(|part| part.eq_ignore_ascii_case(CHUNKED))
}

const CHUNKED: &[u8] = b"chunked";
const REGISTERED: [&[u8]; 6] = [CHUNKED, b"compress", b"deflate", b"gzip", b"x-compress", b"x-gzip"];
