//! The words of the wire against catalogues, plain twins and arbitrary bytes.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod bodies;
mod fields;
mod hop;
mod http2;
mod lookups;
mod request_bodies;
mod requests;
mod requests_random;
mod responses;

use super::{HeadLimits, Parsed, Refusal, RequestHead};

const LIMITS: HeadLimits = HeadLimits { target_bytes: 8192, head_bytes: 32 * 1024, fields: 100 };

/// Reads a request head that is the whole of `text`.
fn read(text: &[u8]) -> Result<RequestHead, Refusal> {
    let mut head = RequestHead::default();
    match head.parse(text, &LIMITS)? {
        Parsed::Complete(length) => {
            assert_eq!(length, text.len(), "the head is the whole input");
            Ok(head)
        }
        Parsed::Partial => panic!("{} is not whole", text.escape_ascii()),
    }
}

/// A 1.1 request with these lines after Host.
fn with_lines(lines: &str) -> Result<RequestHead, Refusal> {
    read(format!("POST / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n").as_bytes())
}

fn refusal(read: Result<RequestHead, Refusal>) -> Option<Refusal> {
    read.err()
}
