//! Content-Range: where the bytes of a 206 belong (RFC 9110 §14.4), and what makes two answers one (RFC 9111 §3.4).

use std::ops::Range;

use super::{Answer, conditional::is_strong, date, directives::delta_seconds, kept::announced_length};
use crate::wire::ResponseHead;

/// Where the body of a 206 belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The positions of its bytes.
    pub(crate) bytes: Range<u64>,
    /// Content-Range and the length of the body agree, as far as is known; else it is not combined with anything.
    pub(crate) sure: bool,
}

/// The head of a 206 with one range as that of the 200 that it is a part of (RFC 9111 §3.3), and where its body belongs.
/// `None`: several ranges, another unit, a whole of unknown length, or numbers that can't be.
pub(crate) fn as_whole(head: &ResponseHead) -> Option<(ResponseHead, Place)> {
    let content_type = head.fields.get("content-type").unwrap_or_default();
    if head.status != 206 || content_type.get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/")) {
        return None;
    }
    let mut lines = head.fields.all("content-range");
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (named, complete) = parse(line)?;
    let (bytes, complete, sure) = match announced_length(head) {
        Some(held) if held != named.end - named.start => {
            // Where the two disagree, the first position and the bytes that are there count. A range that goes to the end
            // by its own words ends the whole where its bytes end.
            let bytes = named.start..named.start.checked_add(held)?;
            let complete = if named.end == complete { bytes.end } else { complete };
            (bytes, complete, false)
        }
        _ => (named, complete, true),
    };
    if bytes.is_empty() || bytes.end > complete {
        return None;
    }
    let mut whole = head.clone();
    whole.status = 200;
    whole.reason = crate::wire::response::reason_for(200).as_bytes().into();
    for name in ["content-range", "transfer-encoding"] {
        whole.fields.remove(name);
    }
    whole.fields.set("Content-Length", complete.to_string());
    Some((whole, Place { bytes, sure }))
}

/// `bytes first-last/complete`; `None` for anything else, an unknown complete length included.
pub fn parse(line: &[u8]) -> Option<(Range<u64>, u64)> {
    line.get(..6).filter(|unit| unit.eq_ignore_ascii_case(b"bytes "))?;
    let rest = &line[6..];
    let dash = rest.iter().position(|&byte| byte == b'-')?;
    let slash = rest.iter().position(|&byte| byte == b'/').filter(|&slash| slash > dash)?;
    let first = delta_seconds(&rest[..dash])?;
    let last = delta_seconds(&rest[dash + 1..slash])?;
    let complete = delta_seconds(&rest[slash + 1..])?;
    // RFC 9110 §14.4: invalid otherwise, and then not to be combined with anything.
    (first <= last && last < complete).then(|| (first..last + 1, complete))
}

/// The validator that lets parts be combined and fetched with If-Range: a strong entity tag, or a Last-Modified that is
/// well before Date where there is no tag (RFC 9110 §8.8.2.2, §13.1.5).
pub(crate) fn strong_validator(answer: &Answer) -> Option<&[u8]> {
    match &answer.etag {
        Some(etag) => Some(&etag[..]).filter(|etag| is_strong(etag)),
        None => answer.last_modified.as_deref().filter(|_| is_date_strong(answer)),
    }
}

/// Whether two answers are of the same representation beyond doubt: then their parts may be combined (RFC 9111 §3.4).
pub(crate) fn is_same(one: &Answer, other: &Answer) -> bool {
    one.length == other.length
        && strong_validator(one).is_some_and(|validator| strong_validator(other) == Some(validator))
}

/// RFC 9110 §8.8.2.2: Last-Modified tells two versions apart only if the answer was made well after it.
pub(crate) fn is_date_strong(answer: &Answer) -> bool {
    let made = answer.head.fields.get("date").and_then(|made| date::parse(made, 0));
    match (answer.modified_seconds, made) {
        (Some(modified), Some(made)) => made.saturating_sub(modified) >= 60,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
