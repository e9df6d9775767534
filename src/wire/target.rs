//! The request line: method, target and version (RFC 9112 §3).

use http::Method;

use super::Refusal;
use super::text::{authority, is_token};

/// A request target, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'h> {
    /// `host[:port]` of an absolute-form target.
    pub(super) authority: Option<&'h str>,
    /// Whether a slash must be put before `path`: the URI had a query and no path.
    pub(super) needs_slash: bool,
    /// Path and query, or `*`.
    pub(super) path: &'h str,
}

/// Reads a method. CONNECT and TRACE are not served.
pub(super) fn method_of(name: &str) -> Result<Method, Refusal> {
    match name {
        "GET" => Ok(Method::GET),
        "CONNECT" => Err(Refusal::Connect),
        "TRACE" => Err(Refusal::Trace),
        _ if name.len() > METHOD_BYTES_MAX => Err(Refusal::Method),
        _ => Method::from_bytes(name.as_bytes()).map_err(|_| Refusal::Method),
    }
}

/// Reads a target in origin, absolute or asterisk form (RFC 9112 §3.2).
///
/// Of the bytes that RFC 3986 forbids, those that browsers and peers send all the same (`"<>\^{|}` and the grave accent)
/// are let through; controls, space, DEL, `#` and everything above ASCII are not.
pub(super) fn target_of<'h>(method: &Method, target: &'h str) -> Result<Target<'h>, Refusal> {
    if !has_sound_bytes(target.as_bytes()) {
        return Err(Refusal::Target);
    }
    match target.as_bytes() {
        [b'/', ..] => Ok(Target { authority: None, needs_slash: false, path: target }),
        [b'*'] if method == Method::OPTIONS => Ok(Target { authority: None, needs_slash: false, path: target }),
        _ => absolute(method, target),
    }
}

/// `http://authority[/path][?query]`, or `https` (RFC 9112 §3.2.2).
fn absolute<'h>(method: &Method, target: &'h str) -> Result<Target<'h>, Refusal> {
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::Target)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refusal::Target);
    }
    let end = memchr::memchr2(b'/', b'?', rest.as_bytes()).unwrap_or(rest.len());
    let authority = authority(&rest.as_bytes()[..end]).ok_or(Refusal::Authority)?;
    let path = match &rest[end..] {
        // RFC 9112 §3.2.4: OPTIONS for a URI without path and query is about the server as a whole.
        "" if method == Method::OPTIONS => "*",
        "" => "/",
        path => path,
    };
    Ok(Target { authority: Some(authority), needs_slash: path.starts_with('?'), path })
}

fn has_sound_bytes(target: &[u8]) -> bool {
    // To the end in any case: mostly nothing is found, and so it takes many bytes at once.
    !target.iter().fold(false, |unsound, &byte| unsound | (byte <= b' ') | (byte >= 0x7f) | (byte == b'#'))
}

/// What is wrong with a request line that could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Diagnosis {
    Refused(Refusal),
    /// Nothing but a minor version above 1, the digit of which stands here. RFC 9110 §2.5: it is to be read as 1.
    LaterMinor(usize),
}

/// Finds out why the request line at the front of `head` could not be read; the slow way, off the hot path.
pub(super) fn diagnose(head: &[u8], target_bytes: usize) -> Diagnosis {
    // RFC 8446 §5.1: a record of type handshake; its version begins with 3, whichever that is.
    if let [22] | [22, 3, ..] = head {
        return Diagnosis::Refused(Refusal::Tls);
    }
    let end = memchr::memchr2(b'\r', b'\n', head).unwrap_or(head.len());
    let mut parts = head[..end].splitn(3, |&byte| byte == b' ');
    let (method, target, version) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if !is_token(method) || method.len() > METHOD_BYTES_MAX {
        return Diagnosis::Refused(Refusal::Method);
    }
    let Some(target) = target.filter(|target| !target.is_empty()) else {
        return Diagnosis::Refused(Refusal::RequestLine);
    };
    if target.len() > target_bytes {
        return Diagnosis::Refused(Refusal::TargetTooLong);
    }
    if !has_sound_bytes(target) {
        return Diagnosis::Refused(Refusal::Target);
    }
    // No version at all: HTTP/0.9.
    let Some(version) = version.and_then(|version| version.strip_prefix(b"HTTP/")) else {
        return Diagnosis::Refused(Refusal::RequestLine);
    };
    match version {
        [b'1', b'.', b'2'..=b'9'] => Diagnosis::LaterMinor(end - 1),
        [b'2'..=b'9'] | [b'2'..=b'9', b'.', b'0'..=b'9'] => Diagnosis::Refused(Refusal::Version),
        _ => Diagnosis::Refused(Refusal::RequestLine),
    }
}

/// No method in the IANA registry has more than 17 bytes.
pub(super) const METHOD_BYTES_MAX: usize = 32;
