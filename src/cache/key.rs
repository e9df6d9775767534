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

#[cfg(test)]
mod tests;
