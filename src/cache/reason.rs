//! Why a request was answered as it was: one closed list for Cache-Status, access log, metric labels and `explain`.

/// The reason of a decision. `label()` is the word that stands everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Fresh in the store.
    Hit,
    /// Nothing is stored under this key.
    UriMiss,
    /// Stored, but for other values of the fields that Vary names (RFC 9111 §4.1).
    VaryMiss,
    /// Stored, but its lifetime is over (RFC 9111 §4.2).
    Stale,
    /// Stored with `no-cache`: to be validated before each use (RFC 9111 §5.2.2.4).
    NoCache,
    /// The request asks for a newer answer: no-cache, max-age, min-fresh or Pragma (RFC 9111 §5.2.1, §5.4).
    RequestNoCache,
    /// The request says `no-store` (RFC 9111 §5.2.1.5).
    RequestNoStore,
    /// Neither GET nor HEAD; to storing: not GET.
    Method,
    /// A GET or HEAD with a body.
    RequestBody,
    /// The answer to a Range that is neither a 200 nor a 206: it may be about the Range.
    Range,
    /// If-Match or If-Unmodified-Since: the backend's business (RFC 9110 §13.1).
    Precondition,
    /// `Authorization` in the request and no leave to share in the answer (RFC 9111 §3.5).
    Authorization,
    /// The cache is off, for the process or for the route.
    Off,
    /// An earlier answer for this key was not storable or kept others waiting; nobody queues for a while.
    Uncacheable,
    /// Parts of it are stored, but not all that is wanted (RFC 9111 §3.3).
    Gap,
    /// Another's fetch for this key did not get its head in time; this request went on alone.
    SlowFetch,
    /// The answer says `private` (RFC 9111 §5.2.2.7).
    Private,
    /// The answer says `no-store` (RFC 9111 §5.2.2.5).
    NoStore,
    /// `Vary: *` (RFC 9111 §4.1), or on a field that is written anew for each client.
    VaryStar,
    /// `Set-Cookie` without `public` or `s-maxage`, and the route does not store those.
    SetCookie,
    /// More tags or groups than can be purged by ([`super::policy::tags`]).
    TooManyTags,
    /// Neither a lifetime nor a validator, or a status that needs explicit freshness (RFC 9111 §3).
    NoFreshness,
    /// A 206 whose bytes have no certain place: several ranges, a whole of unknown length, or fields left out (If-Range).
    Partial,
    /// A 304 with nothing stored to update.
    NotModified,
    /// `must-understand` on a status that is not understood (RFC 9111 §5.2.2.3).
    MustUnderstand,
    /// A 1xx.
    Interim,
    /// A body above `max_object`.
    TooLarge,
    /// The byte bound is reached.
    NoRoom,
    /// The key was invalidated while its answer was on the way.
    Invalidated,
    /// A 304 whose strong validator is not the stored one's (RFC 9111 §4.3.4).
    ValidatorMismatch,
    /// A 5xx in answer to a validation: what is stored stays (RFC 9111 §4.3.3).
    ServerError,
    /// The body broke off, or had another length than announced.
    Incomplete,
}

impl Reason {
    /// All of them, for metrics and documents.
    pub const ALL: [Self; 32] = [
        Self::Hit,
        Self::UriMiss,
        Self::VaryMiss,
        Self::Stale,
        Self::NoCache,
        Self::RequestNoCache,
        Self::RequestNoStore,
        Self::Method,
        Self::RequestBody,
        Self::Range,
        Self::Precondition,
        Self::Authorization,
        Self::Off,
        Self::Uncacheable,
        Self::Gap,
        Self::SlowFetch,
        Self::Private,
        Self::NoStore,
        Self::VaryStar,
        Self::SetCookie,
        Self::TooManyTags,
        Self::NoFreshness,
        Self::Partial,
        Self::NotModified,
        Self::MustUnderstand,
        Self::Interim,
        Self::TooLarge,
        Self::NoRoom,
        Self::Invalidated,
        Self::ValidatorMismatch,
        Self::ServerError,
        Self::Incomplete,
    ];

    /// The word, from a closed list; also a valid `detail` token of RFC 9211.
    pub fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::UriMiss => "uri_miss",
            Self::VaryMiss => "vary_miss",
            Self::Stale => "stale",
            Self::NoCache => "no_cache",
            Self::RequestNoCache => "request_no_cache",
            Self::RequestNoStore => "request_no_store",
            Self::Method => "method",
            Self::RequestBody => "request_body",
            Self::Range => "range",
            Self::Precondition => "precondition",
            Self::Authorization => "authorization",
            Self::Off => "off",
            Self::Uncacheable => "uncacheable",
            Self::Gap => "gap",
            Self::SlowFetch => "slow_fetch",
            Self::Private => "private",
            Self::NoStore => "no_store",
            Self::VaryStar => "vary_star",
            Self::SetCookie => "set_cookie",
            Self::TooManyTags => "too_many_tags",
            Self::NoFreshness => "no_freshness",
            Self::Partial => "partial",
            Self::NotModified => "not_modified",
            Self::MustUnderstand => "must_understand",
            Self::Interim => "interim",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::Invalidated => "invalidated",
            Self::ValidatorMismatch => "validator_mismatch",
            Self::ServerError => "server_error",
            Self::Incomplete => "incomplete",
        }
    }

    /// The `fwd` word of Cache-Status (RFC 9211 §2.2) when this reason sent a request to the backend.
    pub fn forward_word(self) -> &'static str {
        match self {
            Self::UriMiss | Self::Uncacheable => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Gap => "partial",
            Self::Stale | Self::NoCache => "stale",
            Self::Method => "method",
            Self::RequestNoCache
            | Self::RequestNoStore
            | Self::RequestBody
            | Self::Range
            | Self::Precondition
            | Self::Authorization => "request",
            Self::Hit => "miss",
            _ => "bypass",
        }
    }

    /// Whether the answer, not this one request, was the trouble: then others need not queue for the same key.
    pub fn concerns_the_resource(self) -> bool {
        matches!(
            self,
            Self::Private
                | Self::NoStore
                | Self::VaryStar
                | Self::SetCookie
                | Self::TooManyTags
                | Self::NoFreshness
                | Self::MustUnderstand
                | Self::TooLarge
                | Self::NoRoom
                | Self::Partial
        )
    }
}
