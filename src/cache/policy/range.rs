//! Ranges of a whole stored answer (RFC 9110 §14): which parts a request is given, if not all.

use std::ops::Range;

use super::{Answer, conditional::is_strong, content_range::is_date_strong, directives::delta_seconds};
use crate::wire::RequestHead;

/// What a request with Range is given of an answer that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: the Range is not understood, not for this representation, or not worth it.
    Whole,
    /// These bytes, none of the ranges empty: one for a plain 206, several for `multipart/byteranges`.
    Parts(Vec<Range<u64>>),
    /// No byte of it is in any of the ranges: 416, with the length.
    Unsatisfiable(u64),
}

impl Wanted {
    /// How many bytes that is of a body of this length.
    pub(crate) fn bytes(&self, length: u64) -> u64 {
        match self {
            Self::Whole => length,
            Self::Parts(ranges) => ranges.iter().fold(0, |sum, range| sum.saturating_add(range.end - range.start)),
            Self::Unsatisfiable(_) => 0,
        }
    }
}

/// Weighs Range and If-Range of a GET, whose other conditions hold (RFC 9110 §13.2.2, §14.2).
pub fn evaluate(request: &RequestHead, answer: &Answer) -> Wanted {
    let mut lines = request.fields.all("range");
    let (Some(line), None, Some(length)) = (lines.next(), lines.next(), answer.length) else { return Wanted::Whole };
    // Only a 200 is cut into parts, and only if it is not itself one, whatever it calls itself.
    if answer.head.status != 200 || answer.head.fields.contains("content-range") || !is_for(request, answer) {
        return Wanted::Whole;
    }
    // §14.2: a Range may be ignored; of no bytes there is no part, and 416 would say that something is wrong.
    let Some(asked) = parse(line, length).filter(|_| length > 0) else { return Wanted::Whole };
    let parts: Vec<Range<u64>> = asked.into_iter().filter(|part| !part.is_empty()).collect();
    let sum = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.end - part.start));
    match parts.len() {
        0 => Wanted::Unsatisfiable(length),
        1 => Wanted::Parts(parts),
        // §14.2, §17.15: who asks for the same bytes again and again gets them once.
        _ if sum >= length || overlaps(&parts) > OVERLAPS => Wanted::Whole,
        _ => Wanted::Parts(parts),
    }
}

/// §13.1.5: without If-Range, or if it names this representation strongly.
fn is_for(request: &RequestHead, answer: &Answer) -> bool {
    let mut lines = request.fields.all("if-range");
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(tag), None) if tag.contains(&b'"') => is_strong(tag) && answer.etag.as_deref() == Some(tag),
        (Some(date), None) => answer.last_modified.as_deref() == Some(date) && is_date_strong(answer),
        (Some(_), Some(_)) => false,
    }
}

/// The ranges in bytes, cut to `length` (an unsatisfiable one is empty); `None` if the field is not well-formed, is of
/// another unit, or asks for more parts than anybody needs.
fn parse(line: &[u8], length: u64) -> Option<Vec<Range<u64>>> {
    let unit = line.get(..6).filter(|unit| unit.eq_ignore_ascii_case(b"bytes="))?;
    let mut ranges = Vec::new();
    for member in line[unit.len()..].split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        if member.is_empty() {
            continue;
        }
        if ranges.len() == RANGES {
            return None;
        }
        let dash = member.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (&member[..dash], &member[dash + 1..]);
        ranges.push(match (first, last) {
            ([], suffix) => length.saturating_sub(delta_seconds(suffix)?)..length,
            (first, []) => delta_seconds(first)?.min(length)..length,
            (first, last) => {
                let (first, last) = (delta_seconds(first)?, delta_seconds(last)?);
                // §14.1.1: a last position before the first makes the whole set invalid.
                if last < first {
                    return None;
                }
                first.min(length)..last.saturating_add(1).min(length)
            }
        });
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// How many pairs of these have bytes in common.
fn overlaps(parts: &[Range<u64>]) -> usize {
    let pairs = parts.iter().enumerate().flat_map(|(at, one)| parts[at + 1..].iter().map(move |other| (one, other)));
    pairs.filter(|(one, other)| one.start < other.end && other.start < one.end).count()
}

/// Parts in one answer; who asks for more gets the whole.
const RANGES: usize = 16;
/// Pairs of parts that overlap; who asks for more gets the whole.
const OVERLAPS: usize = 2;

#[cfg(test)]
mod tests;
