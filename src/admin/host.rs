//! Which Host may be asked for.
//!
//! A page of a foreign site can make its own name point here (DNS rebinding), and the browser then lets it read what
//! it gets; a route that leads here by mistake brings the public name along. Both show in Host: what an operator, a
//! probe or Prometheus asks for is an address, `localhost`, or a name that the operator has listed.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::request::host_of;

/// Whether a request with this authority may be answered. It is empty only in HTTP/1.0 without Host, which no browser
/// sends and load balancers' checks do.
pub(super) fn is_own(authority: &str, names: &[String]) -> bool {
    let host = host_of(authority);
    if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    authority.is_empty()
        || name.parse::<Ipv4Addr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// What the refused client is told.
pub(super) const EXPLANATION: &str = "\
This is the admin listener of a gateway. It answers only when it is asked for by IP address, as localhost, or by a
name that its operator has allowed (`hosts` of `[admin]`), so that a web page can't reach it through a name of its
own.
";
