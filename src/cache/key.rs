//! The key of the store: scheme, authority and target (RFC 9111 §2), and what else tells requests apart.
//!
//! ```text
//! https://example.com NUL /a?b          the base, the target as the route's shape has it
//!     NUL =x-country:DE                 a request field that the route's key has; without the colon it is absent
//!     NUL proto:http                    what a trusted proxy says of the way, but for addresses
//!     NUL NUL 7 bytes                   the route, where request fields chose it
//! ```

mod shape;

use crate::{
    config::KeyShape,
    wire::{Fields, Scheme},
};

/// Writes the key into `out` (cleared first): the authority in lower case and without the scheme's default port, the
/// target exactly as sent. A NUL, which neither part can hold, stands between them, so no two triples share a key.
pub fn build(out: &mut Vec<u8>, scheme: Scheme, authority: &str, target: &str) {
    begin(out, scheme, authority);
    out.extend_from_slice(target.as_bytes());
}

/// The same with the target as a route's shape has it.
pub fn build_shaped(out: &mut Vec<u8>, scheme: Scheme, authority: &str, target: &str, shape: &KeyShape) {
    begin(out, scheme, authority);
    shape::push_target(out, target, shape);
}

/// Adds the request fields that are part of the key.
pub fn add_fields(out: &mut Vec<u8>, request: &Fields, shape: &KeyShape) {
    shape::push_fields(out, request, shape);
}

/// Adds the route, by its index.
pub fn add_route(out: &mut Vec<u8>, route: usize) {
    out.push(0);
    // The first of these bytes is a NUL too: nowhere else do two stand together.
    out.extend_from_slice(&route.to_be_bytes());
}

fn begin(out: &mut Vec<u8>, scheme: Scheme, authority: &str) {
    out.clear();
    let name = match scheme {
        Scheme::Http => "http://",
        Scheme::Https => "https://",
    };
    out.extend_from_slice(name.as_bytes());
    let from = out.len();
    out.extend_from_slice(without_default_port(scheme, authority).as_bytes());
    out[from..].make_ascii_lowercase();
    out.push(0);
}

/// Whether an authority stands in keys as it is: in lower case, without its scheme's own port (RFC 9110 §4.2.3). The answer
/// to a request that writes it otherwise may say it so, and is not to be given to others.
pub fn is_authority_as_sent(scheme: Scheme, authority: &str) -> bool {
    without_default_port(scheme, authority).len() == authority.len()
        && !authority.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn without_default_port(scheme: Scheme, authority: &str) -> &str {
    let default_port = match scheme {
        Scheme::Http => ":80",
        Scheme::Https => ":443",
    };
    // An empty port is the default one.
    authority.strip_suffix(default_port).or_else(|| authority.strip_suffix(':')).unwrap_or(authority)
}

/// What [`build`] wrote of a key: the key up to its second NUL. What follows tells apart ways, routes and chosen fields.
pub(crate) fn base_of(key: &[u8]) -> &[u8] {
    memchr::memchr_iter(0, key).nth(1).map_or(key, |end| &key[..end])
}

/// What the keys of an origin begin with: scheme and authority, the NUL included.
pub(crate) fn origin_of(key: &[u8]) -> &[u8] {
    memchr::memchr(0, key).map_or(&key[..0], |end| &key[..=end])
}

/// Whether the key is this base or stands under it.
pub(crate) fn is_under(key: &[u8], base: &[u8]) -> bool {
    key.strip_prefix(base).is_some_and(|rest| rest.first().is_none_or(|&byte| byte == 0))
}

/// A key for people: the URL, and what else tells it apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    /// Scheme, authority and target.
    pub url: String,
    /// A field with its value each (`x-country: DE`, `x-country is absent`), or a route (`route 3`, counted from 0).
    pub also: Vec<String>,
}

/// The key in words.
pub fn readable(key: &[u8]) -> Readable {
    let base = base_of(key);
    let url = base.iter().filter(|&&byte| byte != 0).copied().collect::<Vec<_>>();
    let mut also = Vec::new();
    let mut rest = &key[base.len()..];
    while let Some((0, after)) = rest.split_first() {
        if let Some((index, behind)) = after.split_first_chunk().filter(|_| after.starts_with(&[0])) {
            also.push(format!("route {}", usize::from_be_bytes(*index)));
            rest = behind;
            continue;
        }
        let (item, behind) = after.split_at(memchr::memchr(0, after).unwrap_or(after.len()));
        also.push(readable_item(&String::from_utf8_lossy(item)));
        rest = behind;
    }
    Readable { url: String::from_utf8_lossy(&url).into_owned(), also }
}

fn readable_item(item: &str) -> String {
    match (item.strip_prefix('='), item.strip_prefix(';'), item.split_once(':')) {
        (Some(field), ..) => match field.split_once(':') {
            Some((name, value)) => format!("{name}: {value}"),
            None => format!("{field} is absent"),
        },
        (None, Some(pair), _) => format!("forwarded: {pair}"),
        (None, None, Some((kind, value))) => format!("x-forwarded-{kind}: {value}"),
        (None, None, None) => item.to_owned(),
    }
}

#[cfg(test)]
mod tests;
