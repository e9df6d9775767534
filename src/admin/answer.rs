//! What an endpoint says, and how that is written (RFC 9112 §4, RFC 9110 §6.6.1).

use std::{
    io::Write,
    time::{Duration, UNIX_EPOCH},
};

use http::StatusCode;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// The methods of a path that was asked by another (RFC 9110 §10.2.1).
    pub(super) allow: Option<String>,
}

/// What is to be known of the exchange to write its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// The request was HEAD.
    pub(super) is_head: bool,
    /// No further request is read.
    pub(super) closes: bool,
    /// For Date, since the Unix epoch.
    pub(super) now: Duration,
}

impl Answer {
    /// One sentence or a few, for people.
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: text.into().into_bytes(), allow: None }
    }

    /// An object for programs.
    pub(super) fn json(status: StatusCode, object: &serde_json::Value) -> Self {
        Self { content_type: "application/json", ..Self::text(status, format!("{object}\n")) }
    }

    /// What is wrong with a question, for programs and people.
    pub(super) fn wrong(status: StatusCode, error: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": error }))
    }

    /// The bytes of the message.
    pub(super) fn to_http1(&self, delivery: Delivery) -> Vec<u8> {
        let Self { status, content_type, body, allow } = self;
        let reason = status.canonical_reason().unwrap_or("");
        let date = httpdate::fmt_http_date(UNIX_EPOCH + delivery.now);
        let mut out = Vec::with_capacity(HEAD_BYTES_USUAL + body.len());
        // Invariant: a Vec takes every write.
        let _ = write!(
            out,
            "HTTP/1.1 {} {reason}\r\nDate: {date}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
            status.as_u16(),
            body.len()
        );
        if let Some(methods) = allow {
            let _ = write!(out, "Allow: {methods}\r\n");
        }
        if delivery.closes {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if !delivery.is_head {
            out.extend_from_slice(body);
        }
        out
    }
}

const HEAD_BYTES_USUAL: usize = 256;
