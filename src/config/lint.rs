//! What can be run, but may not do what its writer meant. Looked for only where there are no errors.

mod cache;

use super::{
    Config, ListenAddress, Outside, RouteAction,
    problem::{Problem, Problems},
    raw,
    resolve::takes_everything,
    shape::{Either, OneOrMany, OrOff},
    value::Placed,
};
use crate::units::format_size;

/// Notes every warning.
pub(super) fn lint(file: &raw::File, config: &Config, outside: &Outside<'_>, problems: &mut Problems) {
    trusted_proxies(file, problems);
    admin(file, problems);
    unused(file, config, problems);
    for (name, upstream) in &file.upstreams.value.0 {
        if let Some(upstream) = upstream {
            servers(&name.value, upstream, problems);
        }
    }
    limits(file, outside, problems);
    cache::cache(&file.cache.value, outside, problems);
    for route in &file.routes.value {
        one_route(&route.value, problems);
    }
    redirects(file, config, problems);
}

fn trusted_proxies(file: &raw::File, problems: &mut Problems) {
    for network in file.trusted_proxies.value.iter().filter(|network| network.value.0.prefix_len() == 0) {
        problems.push(
            Problem::warning(network.place, "every client is trusted to say who it is")
                .label("expected the networks of your proxies only")
                .hint("with this, anybody can forge `X-Forwarded-For`".to_owned()),
        );
    }
}

fn admin(file: &raw::File, problems: &mut Problems) {
    let listen = &file.admin.value.listen;
    if let OrOff(Some(address)) = listen.value
        && !address.0.ip().is_loopback()
    {
        problems.push(
            Problem::warning(listen.place, "the admin listener can be reached from other machines")
                .label("expected a loopback address, unless a firewall stands before it"),
        );
    }
}

fn unused(file: &raw::File, config: &Config, problems: &mut Problems) {
    for (name, _) in &file.upstreams.value.0 {
        let is_used = config.routes.iter().any(|route| match route.action {
            RouteAction::Forward { upstream } => {
                config.upstreams.get(upstream).is_some_and(|one| *one.name == *name.value)
            }
            RouteAction::RedirectToHttps => false,
        });
        if !is_used {
            problems.push(
                Problem::warning(name.place, format!("the upstream `{}` is not used", name.value))
                    .label("no route names it"),
            );
        }
    }
    let Some(upstream) = &file.upstream else { return };
    let every_route_has_its_own =
        file.routes.value.iter().all(|route| route.value.upstream.is_some() || route.value.redirect.is_some());
    // Without a route that takes everything, the upstream has made one.
    let is_covered = config.routes.iter().take(file.routes.value.len()).any(takes_everything);
    if every_route_has_its_own && is_covered {
        problems.push(
            Problem::warning(upstream.place, "the upstream at the top of the file is not used")
                .label("a route takes every request before it"),
        );
    }
}

fn servers(name: &str, upstream: &raw::Upstream, problems: &mut Problems) {
    if let Some(Placed { value: OneOrMany(servers), place }) = &upstream.servers {
        if servers.len() > 1 && upstream.sticky.is_none() {
            problems.push(
                Problem::warning(*place, format!("`{name}` has {} servers and no `sticky`", servers.len()))
                    .label("a client's requests go to different ones")
                    .hint(STICKY_HINT.to_owned()),
            );
        }
        for (index, server) in servers.iter().enumerate() {
            let first = servers[..index].iter().find(|earlier| address(&earlier.value) == address(&server.value));
            if let Some(first) = first {
                problems.push(
                    Problem::warning(server.place, "this server is listed twice")
                        .label("a larger share is written as `weight`")
                        .related(first.place, "listed here first"),
                );
            }
        }
    }
    if let Some(Placed { value: Either::That(tls), .. }) = &upstream.tls
        && !tls.verify.value
    {
        problems.push(
            Problem::warning(tls.verify.place, format!("the certificates of `{name}` are not verified"))
                .label("anybody between can read and change everything")
                .hint("for an authority of your own, write `ca = \"authority.pem\"`".to_owned()),
        );
    }
}

fn address(server: &raw::ServerText) -> &super::BackendAddress {
    match server {
        Either::This(backend) => &backend.address,
        Either::That(server) => &server.address.value.address,
    }
}

fn limits(file: &raw::File, outside: &Outside<'_>, problems: &mut Problems) {
    let (limits, timeouts) = (&file.limits.value, &file.timeouts.value);
    if let OrOff(Some(size)) = limits.body.value {
        small_body(size.0, limits.body.place, problems);
    }
    short_idle(timeouts.tunnel_idle.value.0, timeouts.tunnel_idle.place, problems);
    // The default is for any machine; a number that somebody has written is meant.
    let connections = &limits.connections;
    if connections.place.is_some()
        && let Some(open_files) = (outside.open_files)().filter(|most| *most < connections.value.0.saturating_mul(2))
    {
        problems.push(
            Problem::warning(
                connections.place,
                format!("the process may have {open_files} files open, too few for these"),
            )
            .label("each is one, and one more to its backend")
            .hint("raise the limit: `LimitNOFILE=` in a systemd unit, `ulimit -n` in a shell".to_owned()),
        );
    }
}

fn one_route(route: &raw::Route, problems: &mut Problems) {
    if let Some(Placed { value: OrOff(Some(size)), place }) = &route.body_limit {
        small_body(size.0, *place, problems);
    }
    if let Either::That(written) = &route.cache.value {
        cache::route_cache(written, &route.r#match.value, problems);
    }
    if let Either::That(websocket) = &route.websocket.value
        && let Some(idle) = &websocket.idle_timeout
    {
        short_idle(idle.value.0, idle.place, problems);
    }
}

fn small_body(bytes: u64, place: Option<super::Place>, problems: &mut Problems) {
    if bytes < SMALL_BODY {
        problems.push(
            Problem::warning(place, format!("request bodies of more than {} are refused", format_size(bytes)))
                .label("uploads and saved notebooks are often larger"),
        );
    }
}

fn short_idle(idle: std::time::Duration, place: Option<super::Place>, problems: &mut Problems) {
    if idle < SHORT_IDLE {
        problems.push(
            Problem::warning(place, "tunnels that are silent for less than a minute are closed")
                .label("expected more than the apps' own pings need, such as `\"1h\"`"),
        );
    }
}

fn redirects(file: &raw::File, config: &Config, problems: &mut Problems) {
    let has_tls = config.listeners.iter().any(|listener| listener.tls.is_some());
    let is_behind_proxy = !config.trusted_proxies.is_empty()
        || config.listeners.iter().all(|listener| matches!(listener.address, ListenAddress::Unix(_)));
    if has_tls || is_behind_proxy {
        return;
    }
    for redirect in file.routes.value.iter().filter_map(|route| route.value.redirect.as_ref()) {
        problems.push(
            Problem::warning(redirect.place, "clients are sent to https, but no listener has TLS")
                .label("expected a `[[listener]]` with `tls`, or the TLS proxy in front among `trusted_proxies`"),
        );
    }
}

const STICKY_HINT: &str = "Socket.IO, SignalR, Streamlit and the like need `sticky = \"cookie\"`; if any server will do, \
                           write `sticky = \"off\"`";

/// Bodies below this are met every day.
const SMALL_BODY: u64 = 1 << 20;

/// What apps' own pings need is below.
const SHORT_IDLE: std::time::Duration = std::time::Duration::from_secs(60);
