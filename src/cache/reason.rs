//! Why a request was answered as it was: one closed list for Cache-Status, access log, metric labels and `explain`.

/// Declares each reason once: its name, its word, and its sentence for people.
macro_rules! reasons {
    ($($name:ident, $label:literal, $sentence:literal;)*) => {
        /// The reason of a decision. `label()` is the word that stands everywhere.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $sentence] $name,)*
        }

        impl Reason {
            /// All of them, for metrics and documents.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word, from a closed list; also a valid `detail` token of RFC 9211.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }

            /// The sentence for people that stands behind the word.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)*
                }
            }
        }
    };
}

reasons! {
    Hit, "hit", "fresh in the store";
    UriMiss, "uri_miss", "nothing is stored under this key";
    VaryMiss, "vary_miss", "stored, but for other values of the fields that Vary names (RFC 9111 §4.1)";
    Stale, "stale", "its lifetime is over (RFC 9111 §4.2)";
    NoCache, "no_cache", "the answer says `no-cache`: to be validated before each use (RFC 9111 §5.2.2.4)";
    RequestNoCache, "request_no_cache", "the request asks for a newer answer: no-cache, max-age, min-fresh or Pragma (RFC 9111 §5.2.1, §5.4)";
    RequestNoStore, "request_no_store", "the request says `no-store` (RFC 9111 §5.2.1.5)";
    Method, "method", "neither GET nor HEAD; to storing: not GET";
    RequestBody, "request_body", "a GET or HEAD with a body";
    Authority, "authority", "a Host in capitals or with its scheme's own port, which the key leaves out; the answer may say it so";
    Range, "range", "the answer to a Range that is neither a 200 nor a 206: it may be about the Range";
    Precondition, "precondition", "If-Match or If-Unmodified-Since: the backend's business (RFC 9110 §13.1)";
    Authorization, "authorization", "`Authorization` in the request, and no leave to share in the answer (RFC 9111 §3.5)";
    Cookie, "cookie", "`Cookie` in the request, and an answer of which nothing says that it is for others: no lifetime, no leave to share";
    Off, "off", "the cache is off, for the process or for the route";
    Uncacheable, "uncacheable", "an earlier answer for this key was not storable or kept others waiting; nobody queues for a while";
    Gap, "gap", "parts of it are stored, but not all that is wanted (RFC 9111 §3.3)";
    SlowFetch, "slow_fetch", "another's fetch for this key did not get its head in time; this request went on alone";
    Private, "private", "the answer says `private` (RFC 9111 §5.2.2.7)";
    NoStore, "no_store", "the answer says `no-store` (RFC 9111 §5.2.2.5)";
    VaryStar, "vary_star", "`Vary: *` (RFC 9111 §4.1), or on a field that is written anew for each client";
    VaryTwin, "vary_twin", "the request has a field named like one of Vary's, with `_` or the like for `-`; a backend may take it for that one";
    SetCookie, "set_cookie", "`Set-Cookie` without `public` or `s-maxage`, and the route does not store those";
    TooManyTags, "too_many_tags", "more tags or groups than an answer can be purged by";
    NoFreshness, "no_freshness", "neither a lifetime nor a validator, or a status that needs explicit freshness (RFC 9111 §3)";
    Partial, "partial", "a 206 whose bytes have no certain place: several ranges, a whole of unknown length, or fields left out (If-Range)";
    NotModified, "not_modified", "a 304 with nothing stored to update";
    MustUnderstand, "must_understand", "`must-understand` on a status that is not understood (RFC 9111 §5.2.2.3)";
    Interim, "interim", "a 1xx";
    TooLarge, "too_large", "a body above `max_object`";
    NoRoom, "no_room", "the byte bound is reached";
    Invalidated, "invalidated", "the key was invalidated while its answer was on the way";
    ValidatorMismatch, "validator_mismatch", "a 304 whose strong validator is not the stored one's (RFC 9111 §4.3.4)";
    ServerError, "server_error", "a 5xx in answer to a validation: what is stored stays (RFC 9111 §4.3.3)";
    Incomplete, "incomplete", "the body broke off, or had another length than announced";
}

impl Reason {
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
            | Self::Authority
            | Self::Range
            | Self::Precondition
            | Self::Authorization
            | Self::Cookie => "request",
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
