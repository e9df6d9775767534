//! One JSON object on a line (RFC 8259), with OpenTelemetry's names where it has one.
//!
//! `timestamp` (RFC 3339, UTC, milliseconds), `event` (`request`, `tunnel_open`, `tunnel_close`), `client.address`,
//! `http.request.method`, `url.scheme`, `url.path`, `url.query`, `server.address`, `server.port`,
//! `network.protocol.version`, `http.response.status_code`, `http.request.body.size`, `http.response.body.size`,
//! `duration` (seconds), `route`, `upstream`, `cache`, `cache_reason` (why it did not answer by itself, or keep the
//! answer, or gave a stale one: the word of Cache-Status, metrics and explain), `failure`, `request_id`,
//! `user_agent.original`, `http.request.header.referer`; on `tunnel_close` also `ws.close_reason`, `ws.close_code`,
//! `ws.close_by`, `ws.close_text`, `ws.bytes_up`, `ws.bytes_down`, `ws.messages_up`, `ws.messages_down`. What is unknown or
//! empty is left out.

use std::io::Write;

use super::{
    Kind, Record,
    escape::json_string,
    number::{decimal, padded, seconds},
    time::TextClock,
};
use crate::wire::request::host_of;

/// Appends the record's line, line feed included.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, clock: &mut TextClock) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    out.extend_from_slice(clock.rfc3339(record.now.unix));
    out.push(b'.');
    padded(out, record.now.unix.subsec_millis().into(), 3);
    out.extend_from_slice(b"Z\"");
    text(out, "event", record.kind.label().as_bytes());
    if let Some(address) = record.client {
        name(out, "client.address");
        // Invariant: a Vec takes every write.
        let _ = write!(out, "\"{address}\"");
    }
    request(out, record);
    number(out, "http.response.status_code", record.status.into());
    number(out, "http.request.body.size", record.received);
    number(out, "http.response.body.size", record.sent);
    name(out, "duration");
    seconds(out, record.duration);
    text(out, "route", record.route.as_bytes());
    text(out, "upstream", record.upstream.unwrap_or("").as_bytes());
    text(out, "cache", record.cache.as_bytes());
    text(out, "cache_reason", record.cache_reason.as_bytes());
    text(out, "failure", record.failure.as_bytes());
    text(out, "request_id", record.request_id.as_bytes());
    text(out, "user_agent.original", record.user_agent);
    text(out, "http.request.header.referer", record.referer);
    tunnel(out, record.kind);
    out.extend_from_slice(b"}\n");
}

fn request(out: &mut Vec<u8>, record: &Record<'_>) {
    text(out, "http.request.method", record.method.as_bytes());
    text(out, "url.scheme", record.scheme.as_bytes());
    let (path, query) = record.target.split_once('?').unwrap_or((record.target, ""));
    text(out, "url.path", path.as_bytes());
    text(out, "url.query", query.as_bytes());
    let host = host_of(record.host);
    text(out, "server.address", host.as_bytes());
    if let Some(port) = record.host[host.len()..].strip_prefix(':').and_then(|port| port.parse::<u16>().ok()) {
        number(out, "server.port", port.into());
    }
    let version = record.version.strip_prefix("HTTP/").unwrap_or(record.version);
    // OpenTelemetry writes HTTP/2 and its followers without a minor version, as they have none.
    let version = version.strip_suffix(".0").filter(|major| *major != "1").unwrap_or(version);
    text(out, "network.protocol.version", version.as_bytes());
}

fn tunnel(out: &mut Vec<u8>, kind: Kind<'_>) {
    let Kind::TunnelClose { reason, code, by, bytes_up, bytes_down, messages_up, messages_down, text: said } = kind
    else {
        return;
    };
    text(out, "ws.close_reason", reason.as_bytes());
    if let Some(code) = code {
        number(out, "ws.close_code", code.into());
    }
    text(out, "ws.close_by", by.as_bytes());
    text(out, "ws.close_text", said.as_bytes());
    number(out, "ws.bytes_up", bytes_up);
    number(out, "ws.bytes_down", bytes_down);
    number(out, "ws.messages_up", messages_up);
    number(out, "ws.messages_down", messages_down);
}

/// A member whose value is text; none where the text is empty.
fn text(out: &mut Vec<u8>, member: &str, value: &[u8]) {
    if !value.is_empty() {
        name(out, member);
        json_string(out, value);
    }
}

fn number(out: &mut Vec<u8>, member: &str, value: u64) {
    name(out, member);
    decimal(out, value);
}

/// A member's name, which is one of ours, and all that stands before its value.
fn name(out: &mut Vec<u8>, member: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(member.as_bytes());
    out.extend_from_slice(b"\":");
}

impl Kind<'_> {
    /// The word for what the line is about.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::TunnelOpen => "tunnel_open",
            Kind::TunnelClose { .. } => "tunnel_close",
        }
    }
}
