//! Field lines on their way through: what is dropped, what is set, in both directions (RFC 9110 §7.6, RFC 7239).
//!
//! A message is rebuilt from what was understood. What a client says about the way it came is believed only from trusted
//! proxies; for everybody else it is dropped and set anew.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{Gateway, Visit, facts::Facts};
use crate::{
    config::{FieldEdits, Route, Sticky},
    net::ClientInfo,
    upstream::{Affinity, Chosen, Outgoing, balance},
    wire::{
        Fields, HopByHop, RequestHead, ResponseHead, Scheme, fields::list_members, is_odd, is_same_word, is_twin,
        may_be_trailer, strip_hop_by_hop,
    },
};

/// What the request is forwarded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// The answer may be shared: fields that change an answer without being part of the key are dropped.
    Ask,
    Relay,
    Tunnel,
}

/// Who asks, seen through trusted proxies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// Whether what the peer says of the client is believed.
    pub(super) trusted: bool,
    /// The client's address.
    pub(super) client: IpAddr,
}

/// Room for what is mostly added to a request.
const ADDED_LINES: usize = 8;
const ADDED_BYTES: usize = 256;

/// The host of a request that names none.
const NO_HOST: &str = "localhost";

impl Gateway {
    /// Looks whether the peer is a trusted proxy, and who the client is then; also takes the scheme over from it.
    pub(super) fn way(&self, request: &mut RequestHead, info: &ClientInfo) -> Way {
        request.scheme = scheme_of(info);
        let peer = info.ip();
        let trusted = self.is_trusted(info, peer);
        if !trusted {
            return Way { trusted, client: peer };
        }
        match request.fields.get("x-forwarded-proto") {
            Some(b"https") => request.scheme = Scheme::Https,
            Some(b"http") => request.scheme = Scheme::Http,
            _ => {}
        }
        Way { trusted, client: client_behind(&request.fields, &self.config.trusted_proxies).unwrap_or(peer) }
    }

    /// The request as the backend is to see it.
    pub(super) fn outgoing(&self, visit: &mut Visit<'_>, info: &ClientInfo, lane: Lane) -> Outgoing {
        let (route, request, way) = (visit.route(self), visit.request, visit.way);
        let mut fields = request.fields.clone_with_room(ADDED_LINES, ADDED_BYTES);
        let hop = HopByHop::of(&fields);
        let edited = || route.request_fields.remove.iter().chain(route.request_fields.set.iter().map(|(name, _)| name));
        // Nor may a twin of a name stand for one that is part of the key, or that the gateway sets.
        let counted = if lane == Lane::Ask { route.cache.key.fields.as_slice() } else { &[] };
        fields.retain(|name, _| {
            let is_dropped = hop.contains(name)
                || is_replaced(name, way.trusted)
                || (lane == Lane::Ask && may_poison(name, way.trusted));
            let mut known = edited().chain(&self.config.forward.request_id).chain(counted);
            !is_dropped && !known.any(|known| is_twin(name, known.as_bytes()))
        });
        self.add_way(&mut fields, request, info, way);
        self.add_request_id(&mut fields, way, &mut visit.facts);
        let target = match route.strip_prefix.as_deref() {
            Some(prefix) => strip_prefix(&request.target, prefix, &mut fields),
            None => request.target.clone(),
        };
        if lane == Lane::Tunnel {
            // RFC 6455 §4.1: the only upgrade that is ever passed on.
            fields.push("Connection", "Upgrade");
            fields.push("Upgrade", "websocket");
        }
        if self.config.forward.via {
            fields.push("Via", "1.1 tidegate");
        }
        let mut authority = request.authority.clone();
        if !route.request_fields.is_empty() {
            edit(&mut fields, &route.request_fields);
            // An edit may name the host that the backend is to see.
            if let Some(host) = fields.get_str("host") {
                host.clone_into(&mut authority);
            }
            fields.remove("host");
        }
        if authority.is_empty() {
            // An HTTP/1.0 client may say none, but an HTTP/1.1 server has to be told one: RFC 9112 §3.3, a default name.
            authority.push_str(NO_HOST);
        }
        Outgoing {
            method: request.method.clone(),
            scheme: request.scheme,
            authority,
            target,
            fields,
            framing: request.framing,
            trailers: request.fields.has_token("te", "trailers"),
            announced: self.announced_trailers(request, route),
        }
    }

    /// The trailers that the request announces (RFC 9110 §6.6.2) and that may go on: none that the route or the gateway
    /// itself has a say in, for what becomes of fields becomes of no trailers.
    fn announced_trailers(&self, request: &RequestHead, route: &Route) -> Option<Arc<[Vec<u8>]>> {
        if !request.fields.contains("trailer") {
            return None;
        }
        let announced = request.fields.all("trailer").flat_map(list_members);
        let own = |name: &[u8]| {
            let mut own = route.request_fields.names().chain(self.config.forward.request_id.as_deref());
            own.any(|own| is_same_word(own.as_bytes(), name))
        };
        let is_let_go_on = |name: &&[u8]| may_be_trailer(name) && !is_unkeyed(name) && !own(name);
        Some(announced.filter(is_let_go_on).map(<[u8]>::to_vec).collect())
    }

    /// The answer as the client is to see it: hop-by-hop fields gone, the route's edits done, `Via` where it is on.
    pub(super) fn answer_fields(&self, head: &mut ResponseHead, route: &Route) {
        strip_hop_by_hop(&mut head.fields);
        if self.config.forward.via {
            head.fields.push("Via", "1.1 tidegate");
        }
        edit(&mut head.fields, &route.response_fields);
    }

    fn is_trusted(&self, info: &ClientInfo, peer: IpAddr) -> bool {
        // Who may connect to a Unix socket is decided by the file's permissions.
        info.client.is_none() || self.config.trusted_proxies.iter().any(|net| net.contains(&canonical(peer)))
    }

    fn add_way(&self, fields: &mut Fields, request: &RequestHead, info: &ClientInfo, way: Way) {
        // What somebody has said who is not trusted is gone by now, so it need not be looked for.
        let is_there = |fields: &Fields, name: &str| way.trusted && fields.contains(name);
        let add_member = |fields: &mut Fields, name: &str, member: &str| match way.trusted {
            true => append(fields, name, member),
            false => fields.push(name, member),
        };
        let peer = text_of(canonical(info.ip()));
        let scheme = scheme_name(request.scheme);
        if info.client.is_some() {
            add_member(fields, "X-Forwarded-For", &peer);
            if !is_there(fields, "x-real-ip") {
                if way.trusted {
                    fields.push("X-Real-IP", canonical(way.client).to_string());
                } else {
                    fields.push("X-Real-IP", &peer);
                }
            }
        }
        for (name, value) in [
            ("X-Forwarded-Proto", scheme),
            ("X-Forwarded-Host", request.authority.as_str()),
            ("X-Forwarded-Port", port_of(&request.authority, request.scheme)),
        ] {
            if !value.is_empty() && !is_there(fields, name) {
                fields.push(name, value);
            }
        }
        if self.config.forward.forwarded {
            let node = match canonical(info.ip()) {
                _ if info.client.is_none() => "unknown".to_owned(),
                IpAddr::V4(address) => address.to_string(),
                // RFC 7239 §6: an IPv6 address stands in brackets and quotes.
                IpAddr::V6(address) => format!("\"[{address}]\""),
            };
            add_member(fields, "Forwarded", &format!("for={node};host=\"{}\";proto={scheme}", request.authority));
        }
    }

    fn add_request_id(&self, fields: &mut Fields, way: Way, facts: &mut Facts) {
        let Some(name) = &self.config.forward.request_id else { return };
        if way.trusted
            && let Some(given) = fields.get(name).and_then(|given| std::str::from_utf8(given).ok())
            && is_request_id(given)
        {
            facts.request_id = Some(given.to_owned());
            return;
        }
        fields.set(name, facts.request_id());
    }
}

/// Whether an id is fit for logs and pages as it is, whoever made it up.
fn is_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte))
}

/// Adds to a key what the backend will see of a trusted proxy's word, but for the addresses: such a proxy may pass on
/// what its client made up. What the gateway would have said itself is left out, so that it changes no key.
pub(super) fn write_way(request: &RequestHead, key: &mut Vec<u8>) {
    for (name, value) in request.fields.iter() {
        let Some(kind) = strip_prefix_ignoring_case(name, b"x-forwarded-") else {
            if name.eq_ignore_ascii_case(b"forwarded") {
                write_forwarded(value, key);
            }
            continue;
        };
        let own = match kind.to_ascii_lowercase().as_slice() {
            b"for" => continue,
            b"proto" => scheme_name(request.scheme),
            b"host" => request.authority.as_str(),
            b"port" => port_of(&request.authority, request.scheme),
            _ => "",
        };
        if value != own.as_bytes() {
            // No target holds a NUL, so this can't be mistaken for a part of one.
            key.push(0);
            key.extend(kind.to_ascii_lowercase());
            key.push(b':');
            key.extend_from_slice(value);
        }
    }
}

/// The parameters of Forwarded that are no addresses (RFC 7239 §4).
fn write_forwarded(value: &[u8], key: &mut Vec<u8>) {
    // Quotes that can be read in two ways are not read at all.
    if value.contains(&b'\\') || value.iter().filter(|&&byte| byte == b'"').count() % 2 == 1 {
        key.extend_from_slice(b"\0;");
        return key.extend_from_slice(value);
    }
    let mut quoted = false;
    let pairs = value.split(|&byte| {
        quoted ^= byte == b'"';
        !quoted && matches!(byte, b';' | b',')
    });
    for pair in pairs.map(<[u8]>::trim_ascii) {
        let is_address = [&b"for="[..], b"by="].iter().any(|name| strip_prefix_ignoring_case(pair, name).is_some());
        if !is_address {
            key.extend_from_slice(b"\0;");
            key.extend_from_slice(pair);
        }
    }
}

fn strip_prefix_ignoring_case<'t>(text: &'t [u8], prefix: &[u8]) -> Option<&'t [u8]> {
    let (front, rest) = text.split_at_checked(prefix.len())?;
    front.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

/// What ties this client to a server, as the upstream's configuration says.
pub(super) fn affinity(sticky: Option<&Sticky>, request: &RequestHead, client: IpAddr) -> Affinity {
    match sticky {
        None => Affinity::None,
        Some(Sticky::SourceAddress) => Affinity::Key(match canonical(client) {
            IpAddr::V4(address) => balance::stable_hash(&address.octets()),
            // One customer has a whole /64 (RFC 6177).
            IpAddr::V6(address) => balance::stable_hash(&address.octets()[..8]),
        }),
        Some(Sticky::Field(name)) => {
            request.fields.get(name).map_or(Affinity::None, |value| Affinity::Key(balance::stable_hash(value)))
        }
        Some(Sticky::Cookie(name)) => {
            cookie(&request.fields, name).map_or(Affinity::None, |token| Affinity::Token(token.to_owned()))
        }
    }
}

/// Sets the sticky cookie, unless the client has just that one already.
pub(super) fn set_sticky_cookie(head: &mut ResponseHead, request: &RequestHead, chosen: &Chosen) {
    let Some((name, token)) = chosen.sticky_cookie() else { return };
    if cookie(&request.fields, name) != Some(token) {
        let secure = if request.scheme == Scheme::Https { "; Secure" } else { "" };
        head.fields.push("Set-Cookie", format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax{secure}"));
    }
}

/// Remove, set, add: in this order.
pub(super) fn edit(fields: &mut Fields, edits: &FieldEdits) {
    for name in &edits.remove {
        fields.remove(name);
    }
    for (name, value) in &edits.set {
        fields.set(name, value);
    }
    for (name, value) in &edits.add {
        fields.push(name, value);
    }
}

/// The rightmost address of X-Forwarded-For that is not itself a trusted proxy.
fn client_behind(fields: &Fields, trusted: &[IpNet]) -> Option<IpAddr> {
    let lines: Vec<&[u8]> = fields.all("x-forwarded-for").collect();
    let mut last = None;
    for member in lines.iter().rev().flat_map(|line| line.rsplit(|&byte| byte == b',')) {
        let Some(address) = std::str::from_utf8(member).ok().and_then(|text| parse_node(text.trim())) else { break };
        last = Some(address);
        if !trusted.iter().any(|net| net.contains(&address)) {
            break;
        }
    }
    last
}

fn parse_node(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip())).map(canonical)
}

/// An IPv4 address inside an IPv6 one is that IPv4 address (a dual-stack listener shows it so).
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    }
}

/// The address in digits; IPv4 without the formatter, as each request that goes on to a backend needs it.
fn text_of(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

fn port_of(authority: &str, scheme: Scheme) -> &str {
    match authority.rsplit_once(':') {
        // A colon within brackets is the address's.
        Some((_, port)) if !port.is_empty() && !port.ends_with(']') => port,
        _ if scheme == Scheme::Https => "443",
        _ => "80",
    }
}

/// Adds a member to a list that a trusted proxy began, or begins it.
fn append(fields: &mut Fields, name: &str, member: &str) {
    if !fields.contains(name) {
        return fields.push(name, member);
    }
    let mut list: Vec<u8> = fields.all(name).collect::<Vec<_>>().join(&b", "[..]);
    list.extend_from_slice(b", ");
    list.extend_from_slice(member.as_bytes());
    fields.set(name, list);
}

/// Takes the prefix off the target and tells the backend about it.
fn strip_prefix(target: &str, prefix: &str, fields: &mut Fields) -> String {
    let prefix = prefix.trim_end_matches('/');
    let Some(rest) = target.strip_prefix(prefix).filter(|rest| !prefix.is_empty() && ends_segment(rest)) else {
        return target.to_owned();
    };
    fields.set("X-Forwarded-Prefix", prefix);
    if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
}

/// Whether a prefix in front of `rest` ends where a segment does: `/app` is no prefix of `/apple`.
fn ends_segment(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['/', '?'])
}

/// The value of one cookie (RFC 6265 §4.2).
fn cookie<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    let valued = fields.cookies().filter(|(candidate, _)| *candidate == name.as_bytes()).filter_map(|(_, value)| value);
    valued.filter_map(|value| std::str::from_utf8(value).ok()).next()
}

/// Fields that are written anew for the backend, or that only a trusted proxy may send.
fn is_replaced(name: &[u8], trusted: bool) -> bool {
    match name.len() {
        4 => is_same_word(b"host", name),
        // 100-continue is ours to give: the body is asked for when a backend is there to take it (RFC 9110 §10.1.1).
        6 => is_same_word(b"expect", name),
        14 if is_same_word(b"content-length", name) => true,
        // Nor does a trusted proxy know the twins, which may be its client's word and are no part of the key.
        _ if trusted && !is_odd(name) => false,
        9 => is_same_word(b"forwarded", name) || is_same_word(b"x-real-ip", name),
        _ => name.len() > 12 && is_same_word(b"x-forwarded-", &name[..12]),
    }
}

/// Whether an answer to a request with such a field may be one that only its client is to have.
pub(super) fn may_poison(name: &[u8], trusted: bool) -> bool {
    is_unkeyed(name) || (!trusted && is_hearsay(name))
}

/// Fields by which other proxies tell of the client or of what it asked for: some backends make links and choices of them,
/// and from a client that is no trusted proxy they are its own word.
fn is_hearsay(name: &[u8]) -> bool {
    const HEARSAY: [&str; 11] = [
        "x-scheme",
        "x-url-scheme",
        "x-forwarded",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-uri",
        "x-original-method",
        "x-http-host-override",
        "x-proxy-host",
        "x-backend-host",
        "x-host-override",
    ];
    const OTHERS: [&str; 4] = ["base-url", "client-ip", "front-end-https", "true-client-ip"];
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'x') => is_like_one_of(&HEARSAY, name),
        Some(b'b' | b'c' | b'f' | b't') => is_like_one_of(&OTHERS, name),
        _ => false,
    }
}

/// How a client's connection came in.
pub(super) fn scheme_of(info: &ClientInfo) -> Scheme {
    if info.tls { Scheme::Https } else { Scheme::Http }
}

/// Fields that make some backends answer another question than the one in the key (cache poisoning).
fn is_unkeyed(name: &[u8]) -> bool {
    const UNKEYED: [&str; 7] = [
        "x-host",
        "x-http-method",
        "x-rewrite-url",
        "x-original-url",
        "x-original-host",
        "x-method-override",
        "x-http-method-override",
    ];
    matches!(name, [b'x' | b'X', ..]) && is_like_one_of(&UNKEYED, name)
}

fn is_like_one_of(known: &[&str], name: &[u8]) -> bool {
    known.iter().any(|known| is_same_word(known.as_bytes(), name))
}

#[cfg(test)]
mod tests;
