//! The request head, read once and strictly for every lane.
//!
//! What SECURITY's catalogue refuses is refused here, before anybody asks where the request should go.

use http::Method;

use super::{Fields, Parsed, Version};

/// Bounds on a request head; each has a status of its own when passed.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the request target; past it 414 (RFC 9110 §15.5.15).
    pub target_bytes: usize,
    /// Bytes of the whole head; past it 431 (RFC 6585 §5).
    pub head_bytes: usize,
    /// Field lines; past it 431.
    pub fields: usize,
}

/// The scheme that the client used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    #[default]
    Http,
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
    /// All field lines as they came, Host included.
    pub fields: Fields,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the client lets the connection persist after this exchange (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// `Expect: 100-continue` (RFC 9110 §10.1.1).
    pub expect_continue: bool,
    /// `Upgrade` names `websocket` and `Connection` lists `upgrade`, whatever else is right or wrong with the handshake.
    pub wants_websocket: bool,
}

/// Why a request head is refused. The word is a metric label and stands in the log; the connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    RequestLine,
    Method,
    Target,
    TargetTooLong,
    Version,
    HeadTooLarge,
    TooManyFields,
    FieldSyntax,
    BareLineFeed,
    Host,
    Authority,
    ContentLength,
    TransferEncoding,
    UnknownCoding,
    LengthAndCoding,
    Connect,
    Trace,
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
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// The host without its port, as sent (a literal IPv6 address keeps its brackets).
    pub fn host(&self) -> &str {
        host_of(&self.authority)
    }

    /// Reads one head from the front of `bytes` into `self`; at most one empty line may stand before it (RFC 9112 §2.2).
    /// `bytes` may hold more than the head. A head that is not yet whole is refused as soon as it passes a limit.
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Parsed, Refusal> {
        let _ = (bytes, limits);
        Ok(Parsed::Partial)
    }

    /// Takes a head that HTTP/2 delivered, under the same rules (RFC 9113 §8.2, §8.3). The `Host` field becomes the
    /// authority's equal; `Cookie` lines are joined with "; " (RFC 9113 §8.2.3).
    /// `end_of_stream` says that no body follows. Extended CONNECT (RFC 8441) is refused as `Connect` here.
    pub fn from_http2(parts: &http::request::Parts, end_of_stream: bool, limits: &HeadLimits) -> Result<Self, Refusal> {
        let _ = (parts, end_of_stream, limits);
        Err(Refusal::RequestLine)
    }
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
            Self::UnknownCoding => 501,
            Self::Version => 505,
            _ => 400,
        }
    }

    /// The word for metrics and logs, from a closed list.
    pub fn label(self) -> &'static str {
        match self {
            Self::RequestLine => "request_line",
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
            Self::Trace => "trace",
            Self::Expectation => "expectation",
        }
    }
}
