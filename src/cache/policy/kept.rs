//! Which fields of an answer are kept (RFC 9111 §3.1), and the head built from them.

use super::date;
use crate::{
    clock::Now,
    wire::{Fields, ResponseHead},
};

/// Fields that speak of one connection, not of the answer (RFC 9110 §7.6.1, RFC 9111 §3.1), and Age, which is made anew
/// for every answer.
const NOT_KEPT: [&str; 12] = [
    "age",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Whether this field of a message with these fields stays out of the store: hop-by-hop by name or by nomination.
pub(crate) fn is_dropped(name: &[u8], fields: &Fields) -> bool {
    NOT_KEPT.iter().any(|dropped| dropped.as_bytes().eq_ignore_ascii_case(name))
        || fields.connection_nominated().any(|nominated| nominated.eq_ignore_ascii_case(name))
}

/// The head as it is kept: without dropped and withheld fields, one Content-Length if the length is known, a Date.
pub(crate) fn kept_head(head: &ResponseHead, withheld: &[Vec<u8>], length: Option<u64>, answered: Now) -> ResponseHead {
    let mut fields = Fields::new();
    let mut length_stands = !announces_length(head.status);
    for (name, value) in head.fields.iter() {
        if name.eq_ignore_ascii_case(b"content-length") {
            if let (false, Some(length)) = (length_stands, length) {
                fields.push(name, length.to_string());
                length_stands = true;
            }
        } else if !is_dropped(name, &head.fields) && !withheld.iter().any(|w| w.eq_ignore_ascii_case(name)) {
            fields.push(name, value);
        }
    }
    if let (false, Some(length)) = (length_stands, length) {
        fields.push("Content-Length", length.to_string());
    }
    if !fields.contains("date") {
        // RFC 9110 §6.6.1: an answer without Date gets the time of its reception when it is kept.
        fields.push("Date", date::written(answered.unix_seconds()));
    }
    fields.shrink();
    ResponseHead { version: head.version, status: head.status, reason: head.reason.clone(), fields }
}

/// The length of the body that this head announces to a GET: of 204 and 304 none, else Content-Length where there is no
/// transfer coding (RFC 9112 §6.3; the wire has refused what is ambiguous).
pub(crate) fn announced_length(head: &ResponseHead) -> Option<u64> {
    if !announces_length(head.status) {
        return Some(0);
    }
    if head.fields.contains("transfer-encoding") {
        return None;
    }
    head.fields.get("content-length").and_then(super::directives::delta_seconds)
}

/// Whether an answer of this status carries Content-Length (RFC 9110 §8.6).
fn announces_length(status: u16) -> bool {
    !matches!(status, 204 | 304)
}
