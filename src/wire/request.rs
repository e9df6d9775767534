//! The request head, read once and strictly for every lane.
//!
//! What SECURITY's catalogue refuses is refused here, before anybody asks where the request should go.

use std::mem::MaybeUninit;

use http::Method;
use httparse::Status;

use super::fields::offset_in;
use super::gather::{Gathered, Verdict};
use super::target::{Diagnosis, METHOD_BYTES_MAX, diagnose, method_of, target_of};
use super::text::bare_line_feed;
use super::{Fields, Parsed, Version};

/// Bounds on a request head; each has a status of its own when passed.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the request target; past it 414 (RFC 9110 §15.5.15).
    pub target_bytes: usize,
    /// Bytes of the whole head; past it 431 (RFC 6585 §5).
    pub head_bytes: usize,
    /// Field lines, at most 256; past it 431.
    pub fields: usize,
}

/// The scheme that the client used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

/// How the request's body is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// Content-Length, above zero or zero.
    Length(u64),
    /// Transfer-Encoding: chunked, or an HTTP/2 body of unknown length.
    Chunked,
}

/// A request head that has been found sound. Reused from request to request: `clear` keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The method, case-sensitive.
    pub method: Method,
    /// The version of the message.
    pub version: Version,
    /// `http` or `https`, by the listener (or by a trusted proxy's word, set later).
    pub scheme: Scheme,
    /// Host and port as the client wrote them: of an absolute-form target when there was one, else the Host field
    /// (RFC 9112 §3.2.2), else `:authority`. Empty only for HTTP/1.0 without Host.
    pub authority: String,
    /// Origin-form target, path and query exactly as sent; `*` for OPTIONS (RFC 9112 §3.2).
    pub target: String,
    /// The field lines as they came, Host included, but for these: a Content-Length that was said twice stands once,
    /// the authority of an absolute-form target stands as Host, `Expect` of HTTP/1.0 is left out, and so are names that
    /// are framing or forwarding names with `_` for `-`, which some backends would take for those.
    pub fields: Fields,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the client lets the connection persist after this exchange (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// `Expect: 100-continue` (RFC 9110 §10.1.1).
    pub expect_continue: bool,
    /// `Upgrade` names `websocket` and `Connection` lists `upgrade`, or an extended CONNECT says so (RFC 8441), whatever
    /// else is right or wrong with the handshake.
    pub wants_websocket: bool,
}

/// Why a request head is refused. The word is a metric label and stands in the log; the connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not `method SP target SP version CRLF`, HTTP/0.9, or more than one empty line before it.
    RequestLine,
    /// The beginning of a TLS handshake, where none is spoken.
    Tls,
    /// No token, or longer than 32 bytes.
    Method,
    /// Neither origin, absolute nor (for OPTIONS) asterisk form, or with bytes that no target may hold.
    Target,
    /// Past `HeadLimits::target_bytes`.
    TargetTooLong,
    /// HTTP/2 or later on an HTTP/1 connection.
    Version,
    /// Past `HeadLimits::head_bytes`.
    HeadTooLarge,
    /// Past `HeadLimits::fields`.
    TooManyFields,
    /// A name that is no token, no colon, a folded line, a control byte; on HTTP/2 a connection-specific field.
    FieldSyntax,
    /// A line that ends without carriage return.
    BareLineFeed,
    /// Host is missing, twice there, invalid, or not the same as `:authority`.
    Host,
    /// The authority of an absolute-form target, or `:authority`, is invalid.
    Authority,
    /// No number, too large a number, or two different ones.
    ContentLength,
    /// Anything that could be taken for `chunked` and is not, or a coding in HTTP/1.0.
    TransferEncoding,
    /// A coding that is not known here.
    UnknownCoding,
    /// Content-Length beside Transfer-Encoding.
    LengthAndCoding,
    /// CONNECT is not served.
    Connect,
    /// An extended CONNECT (RFC 8441) for another protocol than `websocket`.
    Protocol,
    /// TRACE is not served.
    Trace,
    /// `Expect` with anything but one `100-continue`.
    Expectation,
}

impl RequestHead {
    /// Forgets the last request and keeps its memory.
    pub fn clear(&mut self) {
        self.authority.clear();
        self.target.clear();
        self.fields.clear();
        self.method = Method::GET;
        self.version = Version::Http11;
        self.framing = Framing::None;
        self.keep_alive = false;
        self.expect_continue = false;
        self.wants_websocket = false;
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        memchr::memchr(b'?', self.target.as_bytes()).map_or(&self.target, |end| &self.target[..end])
    }

    /// The host without its port, as sent (a literal IPv6 address keeps its brackets).
    pub fn host(&self) -> &str {
        host_of(&self.authority)
    }

    /// Reads one head from the front of `bytes` into `self`; at most one empty line may stand before it (RFC 9112 §2.2).
    /// `bytes` may hold more than the head. A head that is not yet whole is refused as soon as it passes a limit, or as
    /// soon as what is there can't become a head. `scheme` stays as it is. After a refusal `self` holds what had been read by
    /// then, for the log.
    ///
    /// Field lines are one copy of the head and their places in it: nothing is allocated once `self` has seen a few heads.
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Parsed, Refusal> {
        let known = std::mem::take(&mut self.authority);
        self.clear();
        let (skipped, rest) = match bytes {
            [b'\r', b'\n', rest @ ..] => (2, rest),
            [b'\r'] => return Ok(Parsed::Partial),
            _ => (0, bytes),
        };
        match rest.first() {
            None => return Ok(Parsed::Partial),
            Some(b'\n') => return Err(Refusal::BareLineFeed),
            Some(b'\r') => return Err(Refusal::RequestLine),
            Some(_) => {}
        }
        // One byte past the limit tells a head that is too large; what lies beyond is not looked at.
        let window = &rest[..rest.len().min(limits.head_bytes.saturating_add(1))];
        let mut lines = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(window, &mut lines[..limits.fields.min(FIELDS_MAX)]) {
            Ok(Status::Complete(length)) if length <= limits.head_bytes => {
                self.fill(&window[..length], &request, known, limits)?;
                Ok(Parsed::Complete(skipped + length))
            }
            Ok(_) => refuse_partial(window, &request, limits),
            Err(httparse::Error::TooManyHeaders) => Err(Refusal::TooManyFields),
            Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => Err(Refusal::FieldSyntax),
            Err(httparse::Error::NewLine) => Err(Refusal::FieldSyntax),
            Err(_) => match diagnose(window, limits.target_bytes) {
                Diagnosis::Refused(refusal) => Err(refusal),
                Diagnosis::LaterMinor(digit) => self.parse_as_minor_1(bytes, skipped + digit, limits),
            },
        }
    }

    /// Reads a head whose version is 1.2 to 1.9 as 1.1 (RFC 9110 §2.5). Nobody sends this, so a copy may be made.
    fn parse_as_minor_1(&mut self, bytes: &[u8], digit: usize, limits: &HeadLimits) -> Result<Parsed, Refusal> {
        let mut copy = bytes.to_vec();
        copy[digit] = b'1';
        self.parse(&copy, limits)
    }

    /// Takes over a head whose syntax httparse has found sound; `request` is its reading of `head`, and `known` the
    /// authority of the request before, if there was one.
    fn fill(
        &mut self,
        head: &[u8],
        request: &httparse::Request,
        mut known: String,
        limits: &HeadLimits,
    ) -> Result<(), Refusal> {
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
            // Invariant: a reading that is complete has all three.
            return Err(Refusal::RequestLine);
        };
        if target.len() > limits.target_bytes {
            return Err(Refusal::TargetTooLong);
        }
        if has_bare_line_feed(head, request.headers) {
            return Err(Refusal::BareLineFeed);
        }
        self.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        self.method = method_of(method)?;
        let target = target_of(&self.method, target)?;
        if target.needs_slash {
            self.target.push('/');
        }
        self.target.push_str(target.path);

        let gathered = self.fill_fields(head, request.headers, target.authority, &known)?;
        let (host, framing) = (gathered.host, gathered.framing(self.version));
        self.keep_alive = gathered.keep_alive(self.version);
        self.expect_continue = gathered.expect_continue;
        self.wants_websocket = gathered.wants_websocket(self.version);
        let authority = match (target.authority, host) {
            // RFC 9112 §3.2: a 1.1 request must have Host, even where the target makes it void.
            (_, None) if self.version == Version::Http11 => return Err(Refusal::Host),
            (Some(authority), None) => {
                self.fields.push("Host", authority);
                authority.as_bytes()
            }
            (Some(authority), Some(_)) => authority.as_bytes(),
            (None, host) => host.unwrap_or_default(),
        };
        if known.as_bytes() != authority {
            known.clear();
            known.push_str(str::from_utf8(authority).map_err(|_| Refusal::Host)?);
        }
        self.authority = known;
        self.framing = framing?;
        Ok(())
    }

    fn fill_fields<'h, 'k>(
        &mut self,
        head: &[u8],
        lines: &[httparse::Header<'h>],
        authority: Option<&str>,
        known: &'k str,
    ) -> Result<Gathered<'h, 'k>, Refusal> {
        let mut gathered = Gathered::knowing(known);
        self.fields.adopt(head, lines.len());
        for line in lines {
            let name = line.name.as_bytes();
            match (gathered.take(name, line.value, self.version)?, authority) {
                (Verdict::Drop, _) => {}
                (Verdict::Coding, _) if has_tab_in_line(head, name) => return Err(Refusal::TransferEncoding),
                (Verdict::Length(length), _) => self.fields.push(name, length.to_string()),
                // RFC 9112 §3.2.2: the authority of the target replaces what Host says.
                (Verdict::Host, Some(authority)) => self.fields.push(name, authority),
                (Verdict::Keep | Verdict::Host | Verdict::Coding, _) => self.fields.push_part(head, name, line.value),
            }
        }
        Ok(gathered)
    }
}

/// Whether a line of a sound head ends without CR. httparse takes a bare LF for a line end, but a CR only before LF, and a
/// name begins right behind a line end; so it is enough to look what stands two bytes before each name, and at the end.
fn has_bare_line_feed(head: &[u8], lines: &[httparse::Header]) -> bool {
    let is_bare = |line: &httparse::Header| {
        let name = offset_in(head, line.name.as_bytes());
        head.get(name.wrapping_sub(2)) != Some(&b'\r')
    };
    !head.ends_with(b"\r\n\r\n") || lines.iter().any(is_bare)
}

/// Says why a head that is not whole can't become one, as early as that can be known.
fn refuse_partial(window: &[u8], request: &httparse::Request, limits: &HeadLimits) -> Result<Parsed, Refusal> {
    let target_bytes = match (request.method, request.path) {
        (None, _) if window.len() > METHOD_BYTES_MAX => return Err(Refusal::Method),
        (None, _) => 0,
        (Some(method), None) => window.len() - method.len() - 1,
        (Some(_), Some(target)) => target.len(),
    };
    if target_bytes > limits.target_bytes {
        Err(Refusal::TargetTooLong)
    } else if bare_line_feed(window).is_some() {
        Err(Refusal::BareLineFeed)
    } else if window.len() > limits.head_bytes {
        Err(Refusal::HeadTooLarge)
    } else {
        Ok(Parsed::Partial)
    }
}

/// Whether a tab stands in the line of which `name`, a part of `head`, is the name. For Transfer-Encoding, where no
/// sender means well by it: readers that do not trim it see another coding.
fn has_tab_in_line(head: &[u8], name: &[u8]) -> bool {
    let line = &head[offset_in(head, name)..];
    line.iter().take_while(|&&byte| byte != b'\r').any(|&byte| byte == b'\t')
}

/// The host part of `host[:port]`.
pub fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => &authority[..end + 2],
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::Connect | Self::Trace => 405,
            Self::Expectation => 417,
            // RFC 9220 §3, of a `:protocol` that is not known.
            Self::UnknownCoding | Self::Protocol => 501,
            Self::Version => 505,
            _ => 400,
        }
    }

    /// The word for metrics and logs, from a closed list.
    pub fn label(self) -> &'static str {
        match self {
            Self::RequestLine => "request_line",
            Self::Tls => "tls",
            Self::Method => "method",
            Self::Target => "target",
            Self::TargetTooLong => "target_too_long",
            Self::Version => "version",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::FieldSyntax => "field_syntax",
            Self::BareLineFeed => "bare_line_feed",
            Self::Host => "host",
            Self::Authority => "authority",
            Self::ContentLength => "content_length",
            Self::TransferEncoding => "transfer_encoding",
            Self::UnknownCoding => "unknown_coding",
            Self::LengthAndCoding => "length_and_coding",
            Self::Connect => "connect",
            Self::Protocol => "protocol",
            Self::Trace => "trace",
            Self::Expectation => "expectation",
        }
    }
}

/// More field lines than these are refused whatever the configuration says; their places are kept on the stack.
pub(super) const FIELDS_MAX: usize = 256;
