//! Which pages may open a tunnel: the defence against cross-site WebSocket hijacking (RFC 6455 §10.2).
//!
//! Browsers send Origin with every handshake and a page can't forge it; a handshake without one comes from no page.

use crate::{config::Origins, wire::RequestHead};

/// Why a handshake's Origin is not let in (403, before any backend is asked).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignOrigin {
    /// `null`: a sandboxed frame, a file, or a redirect across origins.
    Null,
    /// Several lines, or no `scheme://host[:port]`.
    Malformed,
    /// Another host or port than the request's.
    OtherHost,
    /// Not in the route's list.
    NotListed,
}

/// Whether the handshake's Origin satisfies the route's policy. `ours` is the name of a cookie that the gateway sets itself, if it
/// does: that tells nobody who the client is.
pub fn check_origin(head: &RequestHead, policy: &Origins, ours: Option<&str>) -> Result<(), ForeignOrigin> {
    let mut lines = head.fields.all("origin");
    let Some(value) = lines.next() else { return Ok(()) };
    let value = match lines.next() {
        Some(_) => None,
        None => std::str::from_utf8(value).ok(),
    };
    match policy {
        Origins::Any => Ok(()),
        // Without cookies a hijacked page has nothing that it could act with.
        Origins::Default if head.fields.cookies().all(|(name, _)| Some(name) == ours.map(str::as_bytes)) => Ok(()),
        Origins::Default | Origins::SameHost => same_host(value, &head.authority),
        Origins::List(list) => listed(value, list),
    }
}

impl ForeignOrigin {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        403
    }

    /// The word for metrics and logs, from a closed list.
    pub fn label(self) -> &'static str {
        match self {
            Self::Null => "origin_null",
            Self::Malformed => "origin_malformed",
            Self::OtherHost => "origin_other_host",
            Self::NotListed => "origin_not_listed",
        }
    }
}

/// An Origin's parts (RFC 6454 §6.2, §7).
struct Origin<'o> {
    scheme: &'o str,
    host: &'o str,
    /// The port that is meant, be it written or the scheme's own.
    port: Option<u16>,
}

impl<'o> Origin<'o> {
    fn read(value: &'o str) -> Option<Self> {
        let (scheme, rest) = value.split_once("://")?;
        let (host, port) = host_and_port(rest)?;
        let sound = |text: &str| !text.is_empty() && !text.contains(['/', '?', '#', '@', ',', ' ']);
        let port = port.or(default_port(scheme));
        (sound(scheme) && sound(host)).then_some(Self { scheme, host, port })
    }

    /// Whether `authority` (`host[:port]`) is the same place. Its scheme is not asked: behind a proxy that takes TLS off
    /// the request has lost it. A port that is not written is the one that the Origin's scheme would have.
    fn is_at(&self, authority: &str) -> bool {
        let Some(own_port) = default_port(self.scheme) else { return false };
        host_and_port(authority).is_some_and(|(host, port)| {
            host.eq_ignore_ascii_case(self.host) && self.port == Some(port.unwrap_or(own_port))
        })
    }

    fn is(&self, other: &Origin<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
    }
}

fn same_host(value: Option<&str>, authority: &str) -> Result<(), ForeignOrigin> {
    match value {
        Some("null") => Err(ForeignOrigin::Null),
        Some(value) => match Origin::read(value) {
            None => Err(ForeignOrigin::Malformed),
            Some(origin) if origin.is_at(authority) => Ok(()),
            Some(_) => Err(ForeignOrigin::OtherHost),
        },
        None => Err(ForeignOrigin::Malformed),
    }
}

/// An entry with a scheme is a whole origin, one without is `host[:port]`, and `null` is `null`.
fn listed(value: Option<&str>, list: &[String]) -> Result<(), ForeignOrigin> {
    let value = value.ok_or(ForeignOrigin::Malformed)?;
    if value == "null" {
        return if list.iter().any(|entry| entry == "null") { Ok(()) } else { Err(ForeignOrigin::Null) };
    }
    let origin = Origin::read(value).ok_or(ForeignOrigin::Malformed)?;
    let matches = |entry: &String| match Origin::read(entry) {
        Some(entry) => entry.is(&origin),
        None => origin.is_at(entry),
    };
    if list.iter().any(matches) { Ok(()) } else { Err(ForeignOrigin::NotListed) }
}

/// Splits `host[:port]`; `None` for a port that is none. A literal IPv6 address keeps its brackets.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let after_address = text.find(']').map_or(0, |end| end + 1);
    match text[after_address..].find(':') {
        None => Some((text, None)),
        Some(at) => {
            let (host, port) = text.split_at(after_address + at);
            match &port[1..] {
                "" => Some((host, None)),
                digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some((host, Some(digits.parse().ok()?))),
                _ => None,
            }
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("http") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case("https") {
        Some(443)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
