//! `[upstreams.NAME]`, and addresses written where a name could stand.

use std::sync::Arc;

use super::listeners::check_certificates;
use crate::config::{
    BackendAddress, Server, Sticky, Upstream, UpstreamTls,
    expand::Outside,
    problem::{Place, Problem, Problems},
    raw,
    shape::{Either, Names, OneOrMany},
    suggest::{closest, listed},
    text::{Backend, UpstreamText},
    value::Placed,
};

/// The settled upstreams, by name, and how they are found.
pub(super) struct Upstreams {
    pub(super) list: Vec<Upstream>,
    /// Names in the file whose upstream could not be read.
    broken: Vec<String>,
}

impl Upstreams {
    /// Those of the file.
    pub(super) fn named(names: &Names<raw::Upstream>, outside: &Outside<'_>, problems: &mut Problems) -> Self {
        let mut upstreams = Self { list: Vec::new(), broken: Vec::new() };
        for (name, written) in &names.0 {
            match written.as_ref().and_then(|written| settled(name, written, outside, problems)) {
                Some(upstream) => upstreams.list.push(upstream),
                None => upstreams.broken.push(name.value.clone()),
            }
        }
        upstreams
    }

    /// The index of what a reference means; an address becomes an upstream with this one server.
    pub(super) fn refer(&mut self, reference: &Placed<UpstreamText>, problems: &mut Problems) -> Option<usize> {
        let text = reference.value.text.as_str();
        if let Some(index) = self.list.iter().position(|upstream| *upstream.name == *text) {
            return Some(index);
        }
        if self.broken.iter().any(|name| name == text) {
            return None;
        }
        match &reference.value.backend {
            Ok(backend) => Some(self.single(backend)),
            Err(message) => {
                problems.push(self.unknown(text, message, reference.place));
                None
            }
        }
    }

    fn single(&mut self, backend: &Backend) -> usize {
        let name = crate::config::value::Text::text(backend);
        if let Some(index) = self.list.iter().position(|upstream| *upstream.name == *name) {
            return index;
        }
        let tls = backend.tls_host.clone().map(|host| UpstreamTls { server_name: host, verify: true, ca: None });
        let server = Server { address: backend.address.clone(), weight: 1, max_tunnels: None };
        self.list.push(with_defaults(&name, &raw::Upstream::default(), vec![server], None, tls));
        self.list.len() - 1
    }

    fn unknown(&self, text: &str, as_address: &str, place: Option<Place>) -> Problem {
        let names: Vec<&str> = self.list.iter().map(|upstream| &*upstream.name).collect();
        if text.contains([':', '/', '.']) {
            return Problem::error(place, as_address)
                .label("expected `host:port`, `http://host`, `https://host`, `unix:/path` or the name of an upstream");
        }
        let problem = Problem::error(place, format!("there is no upstream `{text}`"));
        match closest(text, &names) {
            Some(name) => problem.label(format!("did you mean `{name}`?")),
            None if names.is_empty() => {
                problem.label(format!("expected `[upstreams.{text}]` in the file, or an address"))
            }
            None => problem.label(format!("expected one of {}, or an address", listed(&names))),
        }
    }
}

/// `None` if what must be there is not; its absence has been noted.
fn settled(
    name: &Placed<String>,
    written: &raw::Upstream,
    outside: &Outside<'_>,
    problems: &mut Problems,
) -> Option<Upstream> {
    let listed = written.servers.as_ref()?;
    if listed.value.0.is_empty() {
        problems.push(
            Problem::error(listed.place, format!("the upstream `{}` has no servers", name.value))
                .label("expected at least one, such as `\"127.0.0.1:3000\"`"),
        );
    }
    let servers = listed.value.0.iter().map(|server| one_server(&server.value, &written.max_tunnels.value)).collect();
    let sticky = written.sticky.as_ref().and_then(|sticky| stickiness(sticky, problems));
    let tls = tls(written, &listed.value, outside, problems);
    Some(with_defaults(&name.value, written, servers, sticky, tls))
}

fn with_defaults(
    name: &str,
    written: &raw::Upstream,
    servers: Vec<Server>,
    sticky: Option<Sticky>,
    tls: Option<UpstreamTls>,
) -> Upstream {
    Upstream {
        name: Arc::from(name),
        servers,
        balance: written.balance.value,
        sticky,
        tls,
        protocol: written.protocol.value,
        connect_timeout: written.connect_timeout.value.0,
        answer_timeout: written.answer_timeout.value.0.map(|period| period.0),
        read_timeout: written.read_timeout.value.0.map(|period| period.0),
        idle_timeout: written.idle_timeout.value.0,
        idle_connections: written.idle_connections.value.count(),
        retries: written.retries.value.count(),
    }
}

fn one_server(written: &raw::ServerText, usual: &raw::MaxTunnels) -> Server {
    let settled = |most: &raw::MaxTunnels| most.0.map(|most| most.0);
    match written {
        Either::This(backend) => Server { address: backend.address.clone(), weight: 1, max_tunnels: settled(usual) },
        Either::That(server) => Server {
            address: server.address.value.address.clone(),
            weight: u32::try_from(server.weight.value.0).unwrap_or(u32::MAX),
            max_tunnels: settled(server.max_tunnels.as_ref().map_or(usual, |most| &most.value)),
        },
    }
}

fn stickiness(written: &Placed<raw::Sticky>, problems: &mut Problems) -> Option<Sticky> {
    match &written.value {
        Either::This(raw::StickyWord::Cookie) => Some(Sticky::Cookie(COOKIE_DEFAULT.to_owned())),
        Either::This(raw::StickyWord::SourceAddress) => Some(Sticky::SourceAddress),
        Either::This(raw::StickyWord::Off) => None,
        Either::That(table) => match (&table.cookie, &table.field) {
            (Some(cookie), None) => Some(Sticky::Cookie(cookie.value.0.clone())),
            (None, Some(field)) => Some(Sticky::Field(field.value.0.clone())),
            (None, None) if table.mark.is_unreadable("cookie") || table.mark.is_unreadable("field") => None,
            _ => {
                problems.push(
                    Problem::error(written.place, "stickiness needs one of `cookie` and `field`")
                        .label("expected `{ cookie = \"name\" }` or `{ field = \"X-Name\" }`"),
                );
                None
            }
        },
    }
}

fn tls(
    written: &raw::Upstream,
    servers: &OneOrMany<raw::ServerText>,
    outside: &Outside<'_>,
    problems: &mut Problems,
) -> Option<UpstreamTls> {
    let backends: Vec<(&Backend, Option<Place>)> =
        servers.0.iter().map(|server| (backend(&server.value), server.place)).collect();
    let by_default = raw::Tls::default();
    let first_https = backends.iter().find(|(backend, _)| backend.tls_host.is_some());
    let table = match written.tls.as_ref().map(|tls| (&tls.value, tls.place)) {
        Some((Either::That(table), _)) => table,
        Some((Either::This(true), _)) => &by_default,
        Some((Either::This(false), place)) if first_https.is_some() => {
            problems.push(
                Problem::error(place, "`tls` is off for servers on `https://`")
                    .label("expected `http://` servers, or no `tls = false`"),
            );
            return None;
        }
        Some((Either::This(false), _)) => return None,
        None => {
            let (_, https_place) = first_https?;
            if let Some((_, place)) = backends.iter().find(|(backend, _)| backend.tls_host.is_none()) {
                problems.push(
                    Problem::error(*place, "some servers of this upstream are on `https://` and some are not")
                        .label("expected `https://` here as well")
                        .related(*https_place, "on `https://`"),
                );
                return None;
            }
            &by_default
        }
    };
    if let Some(ca) = &table.ca {
        check_certificates(ca, outside, problems);
    }
    let server_name = match &table.server_name {
        Some(name) => name.value.0.clone(),
        None => common_host(&backends).unwrap_or_default(),
    };
    // Also where no certificate is looked at: a name is what the server is asked for (RFC 6066 §3), and without any no
    // connection is begun.
    if server_name.is_empty() && !table.mark.is_unreadable("server_name") && !backends.is_empty() {
        problems.push(
            Problem::error(
                written.tls.as_ref().and_then(|tls| tls.place).or(backends[0].1),
                "TLS needs a name: what the servers are asked for, and what their certificate carries",
            )
            .label("expected `tls = { server_name = \"…\" }`"),
        );
    }
    Some(UpstreamTls { server_name, verify: table.verify.value, ca: table.ca.as_ref().map(|ca| ca.value.0.clone()) })
}

/// The host that all servers share: a name, or what an `https://` URL says.
fn common_host(backends: &[(&Backend, Option<Place>)]) -> Option<String> {
    let mut hosts = backends.iter().map(|(backend, _)| match (&backend.tls_host, &backend.address) {
        (Some(host), _) => Some(host.clone()),
        (None, BackendAddress::Name { host, .. }) => Some(host.to_string()),
        (None, _) => None,
    });
    let first = hosts.next()??;
    hosts.all(|host| host.as_deref() == Some(&first)).then_some(first)
}

fn backend(written: &raw::ServerText) -> &Backend {
    match written {
        Either::This(backend) => backend,
        Either::That(server) => &server.address.value,
    }
}

/// The cookie that the gateway sets where no name is given.
const COOKIE_DEFAULT: &str = "tidegate_server";
