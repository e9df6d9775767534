//! The client's own conditions against a stored answer (RFC 9110 §13, RFC 9111 §4.3.2).

use http::Method;

use super::{Answer, date, directives::quoted_length};
use crate::wire::{NameMarks, RequestHead, is_same};

/// What the client's conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// None, or none that holds back the answer: send it.
    Proceed,
    /// The client has it: send `Answer::not_modified_http1` (or what `Answer::repeated_in_not_modified` tells) and Age.
    NotModified,
}

/// Weighs If-None-Match, or without it If-Modified-Since (RFC 9110 §13.2.2). If-Match, If-Unmodified-Since and Range never
/// come here: `Cache::lookup` passes such requests on.
pub fn evaluate(request: &RequestHead, answer: &Answer) -> Condition {
    // RFC 9110 §13.2.1: an answer that is no success is sent as it is, and §13.1.2: a 304 is for GET and HEAD alone.
    if !request.fields.may_have(MARKS)
        || !(200..300).contains(&answer.head.status)
        || !matches!(request.method, Method::GET | Method::HEAD)
    {
        return Condition::Proceed;
    }
    let (mut tagged, mut tag_matches, mut since) = (false, false, None);
    for (name, value) in request.fields.like(MARKS) {
        if is_same(name, b"if-none-match") {
            tagged = true;
            tag_matches |= match answer.etag.as_deref() {
                // Mostly what was sent comes back as it was.
                Some(own) => value == own || any_tag(value, |tag| is_weak_match(tag, own)),
                None => any_tag(value, |_| false),
            };
        } else if is_same(name, b"if-modified-since") {
            // RFC 9110 §13.1.3: one that has more than one member is ignored; nothing is no date.
            since = Some(if since.is_none() { value } else { b"" });
        }
    }
    let unmodified = || match (since, answer.modified_seconds) {
        (Some(since), Some(_)) if answer.last_modified.as_deref() == Some(since) => true,
        (Some(since), Some(modified)) => {
            // Two-digit years are placed by the answer's own time, which is now to within its age.
            date::parse(since, modified).is_some_and(|since| modified <= since)
        }
        _ => false,
    };
    if tag_matches || (!tagged && unmodified()) { Condition::NotModified } else { Condition::Proceed }
}

/// Whether `matches` holds for a member of this If-None-Match line; `*` stands for any answer there is.
fn any_tag(line: &[u8], matches: impl Fn(&[u8]) -> bool) -> bool {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let length = tag_length(rest);
        let tag = rest[..length].trim_ascii_end();
        if tag == b"*" || (!tag.is_empty() && matches(tag)) {
            return true;
        }
        match rest.get(length + 1..) {
            Some(next) => rest = next,
            None => return false,
        }
    }
}

/// Bytes up to the comma behind the tag at the front; a comma between quotes belongs to the tag, and a backslash is no
/// escape in one (RFC 9110 §8.8.3).
fn tag_length(text: &[u8]) -> usize {
    let mut quoted = false;
    text.iter()
        .position(|&byte| {
            quoted ^= byte == b'"';
            byte == b',' && !quoted
        })
        .unwrap_or(text.len())
}

/// RFC 9110 §8.8.3.2: the same opaque tag, weak or not.
pub(crate) fn is_weak_match(one: &[u8], other: &[u8]) -> bool {
    opaque(one) == opaque(other)
}

/// Whether the tag is a strong validator: quoted, and not marked weak.
pub(crate) fn is_strong(tag: &[u8]) -> bool {
    tag.strip_prefix(b"\"").and_then(quoted_length).is_some()
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

const MARKS: NameMarks = NameMarks::of(&["if-none-match", "if-modified-since"]);

#[cfg(test)]
mod tests;
