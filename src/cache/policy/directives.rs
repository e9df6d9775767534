//! Cache-Control, taken apart (RFC 9111 §5.2): quoted strings are skipped as such, names compare without case, unknown
//! directives are ignored, and what is malformed is read in the careful sense.

use crate::wire::{Fields, is_same};

/// What the Cache-Control of an answer says. Seconds that are malformed count as 0, of duplicates the smaller counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseDirectives {
    pub(crate) max_age: Option<u64>,
    pub(crate) s_maxage: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
    pub(crate) stale_while_revalidate: Option<u64>,
    /// `no-cache` for the whole answer, not for some fields of it.
    pub(crate) no_cache: bool,
    /// `private` for the whole answer.
    pub(crate) private: bool,
    pub(crate) no_store: bool,
    pub(crate) public: bool,
    /// must-revalidate.
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    /// Fields named by `no-cache="…"` and `private="…"`, in lower case: not to be stored (RFC 9111 §5.2.2.4, §5.2.2.7).
    pub(crate) withheld: Vec<Vec<u8>>,
    /// Which of the policy's targeted fields they are from; else they are Cache-Control's (RFC 9213).
    pub(crate) targeted: Option<usize>,
}

/// What the Cache-Control (or Pragma) of a request says. What is malformed is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestDirectives {
    pub(crate) max_age: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
    /// `max-stale` without a value is `u64::MAX`.
    pub(crate) max_stale: Option<u64>,
    pub(crate) stale_if_error: Option<u64>,
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
}

/// What stands behind a directive's `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument<'a> {
    None,
    Token(&'a [u8]),
    /// Between the quotes, escapes left in.
    Quoted(&'a [u8]),
    /// Space round the `=`, nothing behind it, or more behind a quoted string.
    Invalid,
}

/// A quoted string has no end: what follows it can't be told from what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unterminated;

impl ResponseDirectives {
    /// Reads all Cache-Control lines. A quoted string without end may hide anything, so it counts as `no-store`.
    pub(crate) fn of(fields: &Fields) -> Self {
        let mut directives = Self::default();
        for line in fields.all("cache-control") {
            let read = each_directive(line, |name, argument| {
                directives.take(name, argument);
                directives.no_store |=
                    is_garbled_refusal(name) || matches!(argument, Argument::Token(token) if is_garbled_refusal(token));
            });
            directives.no_store |= read.is_err();
        }
        directives
    }

    /// Notes one directive.
    pub(super) fn take(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |word: &str| is_same(name, word.as_bytes());
        if is("max-age") {
            lower(&mut self.max_age, seconds(argument).unwrap_or(0));
        } else if is("s-maxage") {
            lower(&mut self.s_maxage, seconds(argument).unwrap_or(0));
        } else if is("stale-if-error") {
            lower(&mut self.stale_if_error, seconds(argument).unwrap_or(0));
        } else if is("stale-while-revalidate") {
            lower(&mut self.stale_while_revalidate, seconds(argument).unwrap_or(0));
        } else if is("no-cache") {
            self.no_cache |= !withhold(argument, &mut self.withheld);
        } else if is("private") {
            self.private |= !withhold(argument, &mut self.withheld);
        } else if is("no-store") {
            self.no_store = true;
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        }
    }
}

impl RequestDirectives {
    /// Reads all Cache-Control lines of a request.
    pub(crate) fn of(fields: &Fields) -> Self {
        let mut directives = Self::default();
        for line in fields.all("cache-control") {
            // What stands before a quoted string without end has been taken; the rest is nobody's word.
            let _ = each_directive(line, |name, argument| directives.take(name, argument));
        }
        directives
    }

    /// `Pragma: no-cache`, for a request without Cache-Control (RFC 9111 §5.4).
    pub(crate) fn of_pragma(fields: &Fields) -> Self {
        Self { no_cache: fields.has_token("pragma", "no-cache"), ..Self::default() }
    }

    fn take(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |word: &str| is_same(name, word.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-stale") && argument == Argument::None {
            lower(&mut self.max_stale, u64::MAX);
        } else if let Some(seconds) = seconds(argument) {
            if is("max-age") {
                lower(&mut self.max_age, seconds);
            } else if is("min-fresh") {
                let longest = self.min_fresh.map_or(seconds, |before| before.max(seconds));
                self.min_fresh = Some(longest);
            } else if is("max-stale") {
                lower(&mut self.max_stale, seconds);
            } else if is("stale-if-error") {
                lower(&mut self.stale_if_error, seconds);
            }
        }
    }
}

/// Calls `take` for each directive of one line.
pub(crate) fn each_directive<'a>(
    line: &'a [u8],
    mut take: impl FnMut(&'a [u8], Argument<'a>),
) -> Result<(), Unterminated> {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|&byte| byte == b'=' || byte == b',').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let (argument, after) = match behind.first() {
            Some(b'=') => argument(&behind[1..])?,
            _ => (Argument::None, behind),
        };
        let argument = if name.len() != name.trim_ascii_end().len() && argument != Argument::None {
            Argument::Invalid
        } else {
            argument
        };
        let name = name.trim_ascii_end();
        if !name.is_empty() {
            take(name, argument);
        }
        match after.split_first() {
            Some((_, next)) => rest = next,
            None => return Ok(()),
        }
    }
}

/// The argument at the front, and the rest from its comma on.
fn argument(bytes: &[u8]) -> Result<(Argument<'_>, &[u8]), Unterminated> {
    if bytes.first() != Some(&b'"') {
        let end = bytes.iter().position(|&byte| byte == b',').unwrap_or(bytes.len());
        let token = bytes[..end].trim_ascii_end();
        let valid = token.first().is_some_and(|first| !first.is_ascii_whitespace());
        return Ok((if valid { Argument::Token(token) } else { Argument::Invalid }, &bytes[end..]));
    }
    let inner = &bytes[1..];
    let length = quoted_length(inner).ok_or(Unterminated)?;
    let behind = &inner[length + 1..];
    let end = behind.iter().position(|&byte| byte == b',').unwrap_or(behind.len());
    let clean = behind[..end].trim_ascii().is_empty();
    Ok((if clean { Argument::Quoted(&inner[..length]) } else { Argument::Invalid }, &behind[end..]))
}

/// How many bytes stand before the quote that closes a string whose opening one has been taken.
pub(crate) fn quoted_length(inner: &[u8]) -> Option<usize> {
    let mut escaped = false;
    inner.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// delta-seconds (RFC 9111 §1.2.2): digits and nothing else, in a token or a quoted string; too large a number is the largest.
fn seconds(argument: Argument<'_>) -> Option<u64> {
    match argument {
        Argument::Token(digits) | Argument::Quoted(digits) => delta_seconds(digits),
        Argument::None | Argument::Invalid => None,
    }
}

/// Digits and nothing else; saturating.
pub(crate) fn delta_seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// Whether a name or a token is none, and holds a word that forbids to share: some backends write `private; max-age=60` or
/// `no-store no-cache`, and what they mean by it is no secret.
fn is_garbled_refusal(bytes: &[u8]) -> bool {
    let is_between = |byte: &u8| matches!(byte, b';' | b' ' | b'\t');
    let forbids = |word: &[u8]| ["no-store", "no-cache", "private"].iter().any(|no| is_same(word, no.as_bytes()));
    bytes.iter().any(is_between) && bytes.split(is_between).any(forbids)
}

fn lower(slot: &mut Option<u64>, seconds: u64) {
    *slot = Some(slot.map_or(seconds, |before| before.min(seconds)));
}

/// Notes the field names of a qualified `no-cache` or `private`; false if it names none and so means the whole answer.
fn withhold(argument: Argument<'_>, names: &mut Vec<Vec<u8>>) -> bool {
    let (Argument::Quoted(list) | Argument::Token(list)) = argument else { return false };
    let before = names.len();
    let members = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    names.extend(members.map(<[u8]>::to_ascii_lowercase));
    names.len() > before
}

#[cfg(test)]
mod tests;
