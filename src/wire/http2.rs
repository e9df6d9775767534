//! Heads that HTTP/2 delivered or takes, under the same rules as HTTP/1.1 (RFC 9113 §8.2, §8.3).

use std::ops::Range;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::gather::{Gathered, Verdict};
use super::hop::{is_hop_by_hop, is_in, nominated_lines};
use super::target::{method_of, target_of};
use super::trailers::may_be_trailer;
use super::{Fields, Framing, HeadLimits, Refusal, RequestHead, ResponseHead, Version, reason_for, text};

impl RequestHead {
    /// Takes a head that HTTP/2 delivered into `self`, under the same rules (RFC 9113 §8.2, §8.3). The `Host` field becomes
    /// the authority's equal and stands first; `Cookie` lines are joined with "; " (RFC 9113 §8.2.3) and count as one.
    /// `end_of_stream` says that no body follows. `scheme` stays as it is: the listener knows it, not the client.
    pub fn read_http2(&mut self, parts: &Parts, end_of_stream: bool, limits: &HeadLimits) -> Result<(), Refusal> {
        self.clear();
        self.method = method_of(parts.method.as_str())?;
        self.fill_http2(parts, end_of_stream, limits)
    }

    /// Takes a head with the pseudo-field `:protocol` (RFC 8441 §4). One for `websocket` is read as the GET that it
    /// stands for (§5): without a body, `wants_websocket`, and with nothing else that differs from any other head.
    pub fn read_extended_connect(&mut self, parts: &Parts, protocol: &str, limits: &HeadLimits) -> Result<(), Refusal> {
        self.clear();
        // RFC 8441 §4: `:protocol` belongs to CONNECT.
        if parts.method != Method::CONNECT {
            return Err(Refusal::Method);
        }
        if protocol != "websocket" {
            return Err(Refusal::Protocol);
        }
        // RFC 9110 §9.3.6: a CONNECT has no content that could have a length.
        if parts.headers.contains_key(CONTENT_LENGTH) {
            return Err(Refusal::ContentLength);
        }
        self.fill_http2(parts, true, limits)?;
        self.wants_websocket = true;
        Ok(())
    }

    /// Everything but the method.
    fn fill_http2(&mut self, parts: &Parts, end_of_stream: bool, limits: &HeadLimits) -> Result<(), Refusal> {
        self.version = Version::Http2;
        self.keep_alive = true;
        // RFC 9113 §8.3.1: other schemes are for gateways to other services, as in HTTP/1.1's absolute form (RFC 8441 §5: a
        // WebSocket's are these two as well).
        if parts.uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
            return Err(Refusal::Target);
        }
        let target = parts.uri.path_and_query().ok_or(Refusal::Target)?.as_str();
        if target.len() > limits.target_bytes {
            return Err(Refusal::TargetTooLong);
        }
        let target = target_of(&self.method, target)?;
        if target.authority.is_some() {
            // RFC 9113 §8.3.1: `:path` holds path and query only.
            return Err(Refusal::Target);
        }
        self.target.push_str(target.path);
        self.authority.push_str(authority_of(parts)?);
        refuse_large(self, &parts.headers, limits)?;
        self.fill_lines(&parts.headers, end_of_stream)
    }

    fn fill_lines(&mut self, lines: &HeaderMap, end_of_stream: bool) -> Result<(), Refusal> {
        let mut gathered = Gathered::default();
        let mut has_cookies = false;
        self.fields.push("host", &self.authority);
        for (name, value) in lines {
            let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
            refuse_connection_specific(name, value)?;
            if !text::is_value(value) {
                return Err(Refusal::FieldSyntax);
            }
            if name == COOKIE.as_str().as_bytes() {
                has_cookies = true;
                continue;
            }
            match gathered.take(name, value, self.version)? {
                Verdict::Drop | Verdict::Host => {}
                Verdict::Length(length) => self.fields.push(name, length.to_string()),
                Verdict::Keep | Verdict::Coding => self.fields.push(name, value),
            }
        }
        if has_cookies {
            let crumbs: Vec<&[u8]> = lines.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
            self.fields.push("cookie", crumbs.join(&b"; "[..]));
        }
        self.framing = match gathered.framing(self.version)? {
            Framing::None if !end_of_stream => Framing::Chunked,
            // RFC 9113 §8.1.1: the stream has ended before as many bytes as were promised.
            Framing::Length(1..) if end_of_stream => return Err(Refusal::ContentLength),
            framing => framing,
        };
        self.expect_continue = gathered.expect_continue;
        Ok(())
    }
}

/// Host and port of the request: `:authority` or Host, the same if both are there (RFC 9113 §8.3.1).
fn authority_of(parts: &Parts) -> Result<&str, Refusal> {
    let pseudo = match parts.uri.authority() {
        Some(pseudo) => Some(text::authority(pseudo.as_str().as_bytes()).ok_or(Refusal::Authority)?),
        None => None,
    };
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = match hosts.next() {
        Some(host) => Some(text::authority(host.as_bytes()).ok_or(Refusal::Host)?),
        None => None,
    };
    match (pseudo, host) {
        _ if hosts.next().is_some() => Err(Refusal::Host),
        (Some(pseudo), Some(host)) if !pseudo.eq_ignore_ascii_case(host) => Err(Refusal::Host),
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(Refusal::Host),
    }
}

/// The limits of HTTP/1.1, for the head as it would be written there.
fn refuse_large(head: &RequestHead, lines: &HeaderMap, limits: &HeadLimits) -> Result<(), Refusal> {
    let (mut cookies, mut bytes) = (0_usize, head.target.len() + head.authority.len());
    for (name, value) in lines {
        cookies += usize::from(name == COOKIE);
        // Each line has `: ` and CRLF besides.
        bytes += name.as_str().len() + value.len() + 4;
    }
    if lines.len() - cookies.saturating_sub(1) > limits.fields {
        return Err(Refusal::TooManyFields);
    }
    if bytes > limits.head_bytes {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(())
}

/// RFC 9113 §8.2.2: a message with connection-specific fields is malformed; TE may say `trailers` and nothing else.
fn refuse_connection_specific(name: &[u8], value: &[u8]) -> Result<(), Refusal> {
    match name {
        b"transfer-encoding" => Err(Refusal::TransferEncoding),
        b"connection" | b"keep-alive" | b"proxy-connection" | b"upgrade" => Err(Refusal::FieldSyntax),
        b"te" if !value.eq_ignore_ascii_case(b"trailers") => Err(Refusal::FieldSyntax),
        _ => Ok(()),
    }
}

impl ResponseHead {
    /// A head that a backend sent over HTTP/2, with the canonical reason phrase and without fields of a connection,
    /// which it has no business to send (RFC 9113 §8.2.2).
    pub fn from_http2(status: u16, fields: &HeaderMap) -> Self {
        let mut head = Self {
            version: Version::Http2,
            status,
            reason: reason_for(status).as_bytes().into(),
            fields: Fields::new(),
        };
        for (name, value) in fields {
            // RFC 9110 §8.6: a Content-Length that was said twice stands once.
            let is_repeated = name == CONTENT_LENGTH && head.fields.contains(name);
            if !is_hop_by_hop(name.as_str().as_bytes()) && !is_repeated {
                head.fields.push(name, text::trim(value.as_bytes()));
            }
        }
        head
    }
}

impl Fields {
    /// A trailer section that came over HTTP/2, sifted as one of HTTP/1.1 is (RFC 9110 §6.5.1, RFC 9113 §8.1); `None` if
    /// nothing is left.
    pub fn from_http2_trailers(lines: &HeaderMap) -> Option<Self> {
        let fields: Self = lines
            .iter()
            .map(|(name, value)| (name.as_str(), text::trim(value.as_bytes())))
            .filter(|(name, value)| may_be_trailer(name.as_bytes()) && text::is_value(value))
            .collect();
        (!fields.is_empty()).then_some(fields)
    }

    /// The lines as HTTP/2 takes them, with room for a few more: names in lower case, no hop-by-hop fields and none that
    /// Connection nominates (RFC 9113 §8.2). Host is left in; who sends a request decides whether it becomes `:authority`.
    pub fn to_header_map(&self) -> HeaderMap {
        self.to_header_map_of(|_| true)
    }

    /// The same, of those lines only whose names are wanted.
    pub fn to_header_map_of(&self, is_wanted: impl Fn(&[u8]) -> bool) -> HeaderMap {
        let nominated = nominated_lines(self);
        let mut map = HeaderMap::with_capacity(self.len() + ADDED_LINES);
        let text = self.text();
        // Small heads are copied once, and their values are parts of that copy. HPACK's table may keep a value for as long
        // as the connection lives, and no more than this with it.
        let value_of = |value: Range<usize>| match text.len() {
            ..=SHARED_MAX => HeaderValue::from_maybe_shared(text.slice(value)),
            _ => HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text[value])),
        };
        for (name, value) in self.ranges() {
            let name = &text[name];
            if !is_wanted(name) || is_hop_by_hop(name) || is_in(&nominated, name) {
                continue;
            }
            // Invariant: lines were checked when they were read, and a head has far fewer lines than a map can hold.
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value_of(value)) {
                let _ = map.try_append(name, value);
            }
        }
        map
    }
}

/// Lines that are mostly added to a head on its way out.
const ADDED_LINES: usize = 4;

/// Bytes of a head that are copied as one.
const SHARED_MAX: usize = 1024;
