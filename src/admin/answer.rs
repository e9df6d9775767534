//! What an endpoint says, and how that is written (RFC 9112 §4, RFC 9110 §6.6.1).

use std::{
    io::Write,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use http::StatusCode;
use serde_json::{Map, Value};

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
    pub(super) fn json(status: StatusCode, object: &Value) -> Self {
        Self { content_type: JSON, ..Self::text(status, format!("{object}\n")) }
    }

    /// An object for programs with many rows under `key`, and `rest` beside them. Rows are made and written one by one, and
    /// the processor is offered to others after every few: a worker that shares it waits for those, not for the list.
    pub(super) fn rows(
        status: StatusCode,
        key: &str,
        rows: impl Iterator<Item = Value>,
        rest: Map<String, Value>,
    ) -> Self {
        let mut text = format!("{{{}:[", Value::from(key)).into_bytes();
        for (index, row) in rows.enumerate() {
            if index > 0 {
                text.push(b',');
            }
            // Invariant: a Vec takes every write.
            let _ = write!(text, "{row}");
            if index % ROWS_AT_A_TIME == 0 {
                thread::yield_now();
            }
        }
        text.push(b']');
        for (key, value) in rest {
            let _ = write!(text, ",{}:{value}", Value::from(key));
        }
        text.extend_from_slice(b"}\n");
        Self { status, content_type: JSON, body: text, allow: None }
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

const JSON: &str = "application/json";
const HEAD_BYTES_USUAL: usize = 256;
/// Some twenty microseconds.
const ROWS_AT_A_TIME: usize = 4;
