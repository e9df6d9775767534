//! The combined log format of Apache and nginx, and after it what they don't tell.
//!
//! ```text
//! client - - [day/Mon/year:HH:MM:SS +0000] "METHOD target HTTP/x" status bytes "referer" "user-agent"
//!     "event" seconds "cache" "route" "upstream" "host" "failure" "request-id"
//!     "close-reason" close-code "closed-by" bytes-up bytes-down
//! ```
//! on one line; the third part only where `event` is `tunnel_close`. Everything up to the user agent is what GoAccess
//! and the like read as `COMBINED`; they leave the rest alone. What is unknown is `-`; the client of a Unix socket is
//! `unix:`, as in nginx. A tunnel has two lines, both with status 101; `"tunnel_open"` and `"tunnel_close"` tell them apart.

use std::io::Write;

use super::{
    Kind, Record,
    escape::{inside_quotes, quoted},
    number::{decimal, seconds},
    time::TextClock,
};

/// Appends the record's line, line feed included.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, clock: &mut TextClock) {
    common_part(out, record, clock);
    own_part(out, record);
    if let Kind::TunnelClose { reason, code, by, bytes_up, bytes_down, .. } = record.kind {
        out.push(b' ');
        quoted(out, reason.as_bytes());
        match code {
            Some(code) => number(out, code.into()),
            None => out.extend_from_slice(b" -"),
        }
        out.push(b' ');
        quoted(out, by.as_bytes());
        number(out, bytes_up);
        number(out, bytes_down);
    }
    out.push(b'\n');
}

fn common_part(out: &mut Vec<u8>, record: &Record<'_>, clock: &mut TextClock) {
    match record.client {
        Some(address) => {
            // Invariant: a Vec takes every write.
            let _ = write!(out, "{address}");
        }
        None => out.extend_from_slice(b"unix:"),
    }
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(clock.combined(record.now.unix));
    out.extend_from_slice(b"] \"");
    if record.method.is_empty() {
        out.push(b'-');
    } else {
        inside_quotes(out, record.method.as_bytes());
        out.push(b' ');
        inside_quotes(out, record.target.as_bytes());
        out.push(b' ');
        inside_quotes(out, record.version.as_bytes());
    }
    out.push(b'"');
    number(out, record.status.into());
    number(out, record.sent);
    out.push(b' ');
    quoted(out, record.referer);
    out.push(b' ');
    quoted(out, record.user_agent);
}

fn own_part(out: &mut Vec<u8>, record: &Record<'_>) {
    out.push(b' ');
    quoted(out, record.kind.label().as_bytes());
    out.push(b' ');
    seconds(out, record.duration);
    let texts =
        [record.cache, record.route, record.upstream.unwrap_or(""), record.host, record.failure, record.request_id];
    for text in texts {
        out.push(b' ');
        quoted(out, text.as_bytes());
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.push(b' ');
    decimal(out, number);
}
