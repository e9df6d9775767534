//! The key of the store: scheme, authority and target (RFC 9111 §2).

use crate::wire::Scheme;

/// Writes the key into `out` (cleared first): the authority in lower case and without the scheme's default port, the
/// target exactly as sent. A NUL, which neither part can hold, stands between them, so no two triples share a key.
pub fn build(out: &mut Vec<u8>, scheme: Scheme, authority: &str, target: &str) {
    out.clear();
    let (name, default_port) = match scheme {
        Scheme::Http => ("http://", ":80"),
        Scheme::Https => ("https://", ":443"),
    };
    // RFC 9110 §4.2.3: an empty port is the default one.
    let authority = authority.strip_suffix(default_port).or_else(|| authority.strip_suffix(':')).unwrap_or(authority);
    out.extend_from_slice(name.as_bytes());
    out.extend(authority.bytes().map(|byte| byte.to_ascii_lowercase()));
    out.push(0);
    out.extend_from_slice(target.as_bytes());
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

#[cfg(test)]
mod tests;
