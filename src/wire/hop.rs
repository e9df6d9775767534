//! Hop-by-hop fields: what belongs to one connection and goes no further (RFC 9110 §7.6.1).
//!
//! Connection may nominate more fields. A nomination must never take away what frames, routes, guards or dates the
//! message, or what the gateway itself adds, so it has no effect on those.

use super::fields::list_members;
use super::{Fields, NameMarks, is_same, is_same_word};

/// Takes out Connection, the fields that it nominates (see `Fields::connection_nominated`), Keep-Alive,
/// Proxy-Connection, Proxy-Authenticate, Proxy-Authentication-Info, Proxy-Authorization, TE, Trailer,
/// Transfer-Encoding, Upgrade and HTTP2-Settings.
pub fn strip_hop_by_hop(fields: &mut Fields) {
    let hop = HopByHop::of(fields);
    let marks = hop.nominated.iter().fold(MARKS, |marks, name| marks.with(name));
    fields.retain_named(marks, |name| !hop.contains(name));
}

/// The fields of one message that go no further than the next hop, for who looks at each of them anyway.
pub struct HopByHop {
    nominated: Vec<Vec<u8>>,
}

impl HopByHop {
    /// What `strip_hop_by_hop` would take out of these.
    pub fn of(fields: &Fields) -> Self {
        Self { nominated: nominated_lines(fields) }
    }

    /// Whether a field of that name goes no further.
    pub fn contains(&self, name: &[u8]) -> bool {
        is_hop_by_hop(name) || is_in(&self.nominated, name)
    }
}

/// Takes out the fields that Connection nominates and leaves everything else, so that nothing is decided by a field that
/// goes no further.
pub fn strip_nominated(fields: &mut Fields) {
    let nominated = nominated_lines(fields);
    if !nominated.is_empty() {
        fields.retain(|name, _| !is_in(&nominated, name));
    }
}

/// Whether a field of that name is hop-by-hop of itself, without a nomination.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    MARKS.meet(NameMarks::NONE.with(name)) && HOP_BY_HOP.iter().any(|known| is_same(name, known.as_bytes()))
}

/// Whether some backends would take it for one that is.
pub(super) fn is_like_hop_by_hop(name: &[u8]) -> bool {
    HOP_BY_HOP.iter().any(|known| is_same_word(known.as_bytes(), name))
}

impl Fields {
    /// The field names that Connection nominates, but for those on which a nomination has no effect.
    pub fn connection_nominated(&self) -> impl Iterator<Item = &[u8]> {
        self.all("connection").flat_map(list_members).filter(|name| is_nominable(name))
    }
}

/// The nominated names of which there is a line: no more than there are lines, and mostly none.
pub(super) fn nominated_lines(fields: &Fields) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    if !fields.may_have(CONNECTION) {
        return names;
    }
    for options in fields.all("connection") {
        // Nearly always it is one of these alone.
        if OPTIONS.iter().any(|option| is_same(options, option)) {
            continue;
        }
        for name in list_members(options) {
            if !is_hop_by_hop(name) && fields.contains(name) && is_nominable(name) && !is_in(&names, name) {
                names.push(name.to_vec());
            }
        }
    }
    names
}

pub(super) fn is_in(names: &[Vec<u8>], name: &[u8]) -> bool {
    names.iter().any(|candidate| is_same(candidate, name))
}

/// Whether a nomination of that name has an effect: it is no option of the connection itself, and is not protected.
fn is_nominable(name: &[u8]) -> bool {
    !OPTIONS.iter().any(|option| is_same(name, option)) && !is_protected(name)
}

fn is_protected(name: &[u8]) -> bool {
    PROTECTED.iter().any(|known| is_same(name, known))
        || PROTECTED_PREFIXES.iter().any(|prefix| name.get(..prefix.len()).is_some_and(|start| is_same(start, prefix)))
}

/// What Connection says of the connection itself.
const OPTIONS: [&[u8]; 3] = [b"keep-alive", b"close", b"upgrade"];

const HOP_BY_HOP: [&str; 11] = [
    "te",
    "upgrade",
    "trailer",
    "connection",
    "keep-alive",
    "http2-settings",
    "proxy-connection",
    "transfer-encoding",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
];

const MARKS: NameMarks = NameMarks::of(&HOP_BY_HOP);

const CONNECTION: NameMarks = NameMarks::of(&["connection"]);

const PROTECTED: [&[u8]; 32] = [
    // Framing, routing and what says what the body is.
    b"host",
    b"content-length",
    b"content-type",
    b"content-encoding",
    b"content-range",
    b"expect",
    b"range",
    b"forwarded",
    b"via",
    b"x-real-ip",
    b"x-request-id",
    // Guards.
    b"authorization",
    b"www-authenticate",
    b"cookie",
    b"set-cookie",
    b"origin",
    b"referer",
    b"content-security-policy",
    b"strict-transport-security",
    b"x-frame-options",
    b"x-content-type-options",
    // Caching.
    b"age",
    b"cache-control",
    b"cdn-cache-control",
    b"date",
    b"etag",
    b"expires",
    b"last-modified",
    b"location",
    b"pragma",
    b"vary",
    b"warning",
];

const PROTECTED_PREFIXES: [&[u8]; 4] = [b"x-forwarded-", b"sec-", b"if-", b"access-control-"];
