//! What a request says that matters to a cache, collected in one pass over its fields.

use super::directives::RequestDirectives;
use crate::wire::{Fields, NameMarks, RequestHead, is_same};

/// Which of the fields that matter are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) cache_control: bool,
    pub(crate) pragma: bool,
    pub(crate) authorization: bool,
    pub(crate) cookie: bool,
    pub(crate) range: bool,
    /// If-Match or If-Unmodified-Since.
    pub(crate) precondition: bool,
    /// If-None-Match or If-Modified-Since.
    pub(crate) condition: bool,
}

impl Wants {
    /// One pass at most; names are told apart by their length first.
    pub(crate) fn of(fields: &Fields) -> Self {
        let mut wants = Self::default();
        for (name, _) in fields.like(MARKS) {
            let is = |word: &[u8]| is_same(name, word);
            match name.len() {
                5 if is(b"range") => wants.range = true,
                6 if is(b"pragma") => wants.pragma = true,
                6 if is(b"cookie") => wants.cookie = true,
                8 if is(b"if-match") => wants.precondition = true,
                13 if is(b"cache-control") => wants.cache_control = true,
                13 if is(b"authorization") => wants.authorization = true,
                13 if is(b"if-none-match") => wants.condition = true,
                17 if is(b"if-modified-since") => wants.condition = true,
                19 if is(b"if-unmodified-since") => wants.precondition = true,
                _ => {}
            }
        }
        wants
    }

    /// The directives, or none if the route does not honour them. Pragma counts only without Cache-Control (RFC 9111 §5.4).
    pub(crate) fn directives(self, request: &RequestHead, honoured: bool) -> RequestDirectives {
        match self {
            _ if !honoured => RequestDirectives::default(),
            Self { cache_control: true, .. } => RequestDirectives::of(&request.fields),
            Self { pragma: true, .. } => RequestDirectives::of_pragma(&request.fields),
            _ => RequestDirectives::default(),
        }
    }
}

const MARKS: NameMarks = NameMarks::of(&[
    "range",
    "pragma",
    "cookie",
    "if-match",
    "cache-control",
    "authorization",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
]);
