//! What an endpoint says, and how that is written (RFC 9112 §4, RFC 9110 §6.6.1).

use std::{
    borrow::Cow,
    io::Write,
    iter, thread,
    time::{Duration, UNIX_EPOCH},
};

use http::StatusCode;
use serde::Serialize;
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
    pub(super) fn json(status: StatusCode, object: &impl Serialize) -> Self {
        let mut body = Vec::new();
        write_json(&mut body, object);
        body.push(b'\n');
        Self { status, content_type: JSON, body, allow: None }
    }

    /// An object for programs with many rows under `key`, and `rest` beside them. Rows are made and written one by one, and
    /// the processor is offered to others after every few: a worker that shares it waits for those, not for the list.
    pub(super) fn rows(
        status: StatusCode,
        key: &str,
        rows: impl Iterator<Item: Serialize>,
        rest: Map<String, Value>,
    ) -> Self {
        let mut text = Vec::with_capacity(rows.size_hint().0 * ROW_BYTES_USUAL);
        // Invariant: a Vec takes every write.
        let _ = write!(text, "{{{}:[", Value::from(key));
        for (index, row) in rows.enumerate() {
            if index > 0 {
                text.push(b',');
            }
            write_json(&mut text, &row);
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

    /// The bytes of the message, in pieces: between two of them others may have the processor.
    pub(super) fn pieces(&self, delivery: Delivery) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let body = if delivery.is_head { &[][..] } else { &self.body };
        let (first, rest) = body.split_at(body.len().min(PIECE_BYTES));
        let mut out = self.head(delivery);
        out.extend_from_slice(first);
        iter::once(Cow::from(out)).chain(rest.chunks(PIECE_BYTES).map(Cow::from))
    }

    fn head(&self, delivery: Delivery) -> Vec<u8> {
        let Self { status, content_type, body, allow } = self;
        let reason = status.canonical_reason().unwrap_or("");
        let date = httpdate::fmt_http_date(UNIX_EPOCH + delivery.now);
        let mut out = Vec::with_capacity(HEAD_BYTES_USUAL + body.len().min(PIECE_BYTES));
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
        out
    }
}

/// Adds an object of ours to a body.
fn write_json(body: &mut Vec<u8>, object: &impl Serialize) {
    // Invariant: a Vec takes every write, and what we tell has names for keys.
    let _ = serde_json::to_writer(body, object);
}

const JSON: &str = "application/json";
const HEAD_BYTES_USUAL: usize = 256;
const ROW_BYTES_USUAL: usize = 512;
/// Some twenty microseconds.
const ROWS_AT_A_TIME: usize = 16;
/// As long on their way to the kernel.
const PIECE_BYTES: usize = 32 * 1024;
