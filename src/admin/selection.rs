//! Which connections an operator means. All that is given must hold; a word that is not known is an error, for a kick
//! without its filter would be a kick of everybody.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::time::Instant;

use super::request::Request;
use crate::{
    tunnel::{Kind, Live, State, Tunnels},
    units,
};

/// The filters of a request.
#[derive(Debug, Default)]
pub(super) struct Selection {
    route: Option<String>,
    upstream: Option<String>,
    backend: Option<String>,
    client: Option<IpNet>,
    state: Option<State>,
    kind: Option<Kind>,
    age: Option<Duration>,
    idle: Option<Duration>,
}

impl Selection {
    /// The filters of the query, beside which only the parameters `others` may stand.
    pub(super) fn read(request: &Request, tunnels: &Tunnels, others: &[&str]) -> Result<Self, String> {
        request.only(&[&FILTERS[..], others].concat())?;
        let period = |key: &str| {
            let text = request.parameter(key);
            text.map(|text| units::parse_duration(&text).map_err(|error| format!("`{key}`: {error}"))).transpose()
        };
        Ok(Self {
            route: named(request, "route", tunnels.routes())?,
            upstream: named(request, "upstream", tunnels.upstreams())?,
            backend: request.parameter("backend"),
            client: request.parameter("client").map(|text| network(&text)).transpose()?,
            state: word(request, "state", &State::ALL, State::label)?,
            kind: word(request, "kind", &Kind::ALL, Kind::label)?,
            age: period("age")?,
            idle: period("idle")?,
        })
    }

    /// Whether no filter is given.
    pub(super) fn is_everything(&self) -> bool {
        let Self { route, upstream, backend, client, state, kind, age, idle } = self;
        let who = route.is_none() && upstream.is_none() && backend.is_none() && client.is_none();
        who && state.is_none() && kind.is_none() && age.is_none() && idle.is_none()
    }

    /// Whether a filter is given that only an open connection can pass.
    pub(super) fn is_of_the_living(&self) -> bool {
        self.state.is_some() || self.age.is_some() || self.idle.is_some()
    }

    pub(super) fn wants(&self, live: &Live, tunnels: &Tunnels, now: Instant) -> bool {
        fn holds<T>(filter: Option<&T>, test: impl Fn(&T) -> bool) -> bool {
            filter.is_none_or(test)
        }
        holds(self.route.as_ref(), |name| tunnels.route_of(live) == name)
            && holds(self.upstream.as_ref(), |name| tunnels.upstream_of(live) == name)
            && holds(self.backend.as_ref(), |server| live.is_at(server))
            && holds(self.client.as_ref(), |net| live.about.client.is_some_and(|ip| net.contains(&ip.to_canonical())))
            && holds(self.state.as_ref(), |state| live.state() == *state)
            && holds(self.kind.as_ref(), |kind| live.about.kind == *kind)
            && holds(self.age.as_ref(), |age| now.saturating_duration_since(live.since()) >= *age)
            && holds(self.idle.as_ref(), |idle| now.saturating_duration_since(live.last_activity()) >= *idle)
    }
}

/// A name of the configuration.
fn named(request: &Request, key: &str, names: &[Arc<str>]) -> Result<Option<String>, String> {
    let Some(name) = request.parameter(key) else { return Ok(None) };
    is_known(key, &name, names)?;
    Ok(Some(name))
}

/// Whether the configuration has this name.
fn is_known(key: &str, name: &str, names: &[Arc<str>]) -> Result<(), String> {
    match names.iter().any(|own| **own == *name) {
        true => Ok(()),
        false => Err(format!("no {key} is named `{name}`")),
    }
}

fn word<T: Copy>(request: &Request, key: &str, all: &[T], label: fn(T) -> &'static str) -> Result<Option<T>, String> {
    let Some(word) = request.parameter(key) else { return Ok(None) };
    let found = all.iter().copied().find(|one| label(*one) == word);
    let words = || all.iter().map(|one| label(*one)).collect::<Vec<_>>().join(", ");
    found.map(Some).ok_or_else(|| format!("`{key}` is none of {}", words()))
}

/// An address, or a network of them.
fn network(text: &str) -> Result<IpNet, String> {
    let one = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    one.or_else(|_| text.parse()).map_err(|_| format!("`{text}` is neither an IP address nor a network"))
}

const FILTERS: [&str; 8] = ["route", "upstream", "backend", "client", "state", "kind", "age", "idle"];
