//! Which directives count for this cache: those of a targeted field (RFC 9213), or of Cache-Control.

use super::{
    directives::{Argument, ResponseDirectives},
    structured::{self, Member},
};
use crate::wire::Fields;

/// The directives of the first of the `targeted` fields (by name, in their order) that is there, not empty and valid;
/// else those of Cache-Control.
pub(crate) fn directives(fields: &Fields, targeted: &[Box<str>]) -> ResponseDirectives {
    let mut valid = targeted.iter().enumerate().filter_map(|(at, name)| Some((at, read(fields, name)?)));
    match valid.next() {
        // RFC 9213 §2.2: then Cache-Control and Expires are not looked at.
        Some((at, directives)) => ResponseDirectives { targeted: Some(at), ..directives },
        None => ResponseDirectives::of(fields),
    }
}

/// One targeted field; `None` if there is nothing to go by. Seconds that are no integer are an error of the whole field,
/// as a backend that means something else by it is not to be guessed at (RFC 9213 §2.1).
fn read(fields: &Fields, name: &str) -> Option<ResponseDirectives> {
    let mut directives = ResponseDirectives::default();
    for (word, member) in structured::dictionary(fields, name)? {
        let word = word.as_bytes();
        match member {
            Member::Integer(seconds) if is_timed(word) => {
                directives.take(word, Argument::Token(seconds.to_string().as_bytes()));
            }
            _ if is_timed(word) => return None,
            // RFC 8941 §3.3.6: `no-store=?0` says that it may be stored.
            Member::Boolean(false) => {}
            Member::Boolean(true) => directives.take(word, Argument::None),
            Member::Text(text) => directives.take(word, Argument::Quoted(text.as_bytes())),
            Member::Integer(_) | Member::Other => directives.take(word, Argument::Invalid),
        }
    }
    Some(directives)
}

/// Whether the directive's argument is a number of seconds.
fn is_timed(word: &[u8]) -> bool {
    matches!(word, b"max-age" | b"s-maxage" | b"stale-while-revalidate" | b"stale-if-error")
}

#[cfg(test)]
mod tests;
