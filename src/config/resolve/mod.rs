//! The only bridge from the file as written to the values that the gateway runs on.
//!
//! Every reference is looked up, every default that depends on another key is filled in, everything that contradicts
//! itself is noted. What comes out is only to be used if no error was noted.

mod cache;
mod listeners;
mod routes;
mod upstreams;

pub(super) use routes::takes_everything;

use std::time::Duration;

use super::{
    AccessLog, Admin, Config, Forward, Limits, Timeouts,
    expand::Outside,
    problem::{Problem, Problems},
    raw,
    shape::OrOff,
    value::Size,
};

/// Settles a file; `cores` is how many processors may be used.
pub(super) fn resolve(file: &raw::File, cores: usize, outside: &Outside<'_>, problems: &mut Problems) -> Config {
    let admin = admin(&file.admin.value);
    let listeners = listeners::listeners(file, outside, problems);
    let mut upstreams = upstreams::Upstreams::named(&file.upstreams.value, outside, problems);
    let limits = limits(&file.limits.value);
    let timeouts = timeouts(&file.timeouts.value);
    let routes = routes::routes(file, &limits, &timeouts, &mut upstreams, problems);
    let threads = file.threads.as_ref().map_or(cores, |threads| threads.value.count());
    Config {
        listeners,
        admin,
        threads,
        cache: cache::cache(&file.cache.value, threads),
        access_log: access_log(&file.access_log.value),
        limits,
        timeouts,
        trusted_proxies: file.trusted_proxies.value.iter().map(|network| network.value.0).collect(),
        forward: forward(&file.forward.value),
        upstreams: upstreams.list,
        routes,
    }
}

fn admin(written: &raw::Admin) -> Option<Admin> {
    let hosts = written.hosts.value.0.iter().map(|host| host.value.0.clone());
    written.listen.value.0.as_ref().map(|address| Admin { listen: address.0, hosts: hosts.collect() })
}

fn access_log(written: &raw::AccessLog) -> AccessLog {
    AccessLog { target: written.path.value.clone(), format: written.format.value, queue: written.queue.value.count() }
}

fn limits(written: &raw::Limits) -> Limits {
    Limits {
        connections: written.connections.value.count(),
        connections_per_address: written.connections_per_address.value.count(),
        head_bytes: memory(written.head.value),
        target_bytes: memory(written.target.value),
        fields: written.fields.value.count(),
        body_bytes: body_limit(&written.body.value),
        body_rate: written.body_rate.value.0,
        body_rate_grace: written.body_rate_grace.value.0,
        answer_head_bytes: memory(written.answer_head.value),
        http2_streams: u32::try_from(written.http2_streams.value.0).unwrap_or(u32::MAX),
        unsent_bytes: memory(written.unsent.value),
        tunnels: written.tunnels.value.0.map(|count| count.0),
        drain_rate: u32::try_from(written.drain_rate.value.0).unwrap_or(u32::MAX),
    }
}

fn timeouts(written: &raw::Timeouts) -> Timeouts {
    Timeouts {
        tls_handshake: written.tls_handshake.value.0,
        head: written.head.value.0,
        keep_alive: written.keep_alive.value.0,
        send: written.send.value.0,
        tunnel_idle: written.tunnel_idle.value.0,
        tunnel_linger: written.tunnel_linger.value.0,
        tunnel_close: written.tunnel_close.value.0,
        tunnel_drain: written.tunnel_drain.value.0,
        shutdown: written.shutdown.value.0,
    }
}

fn forward(written: &raw::Forward) -> Forward {
    Forward {
        forwarded: written.forwarded.value,
        via: written.via.value,
        request_id: written.request_id.value.0.as_ref().map(|name| name.0.clone()),
    }
}

/// Bytes of a body; no limit is the largest number.
fn body_limit<const MINIMUM: u64, const MAXIMUM: u64>(limit: &OrOff<Size<MINIMUM, MAXIMUM>>) -> u64 {
    limit.0.map_or(u64::MAX, |size| size.0)
}

/// Bytes that are held in memory.
fn memory<const MINIMUM: u64, const MAXIMUM: u64>(size: Size<MINIMUM, MAXIMUM>) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

/// Notes that something with a name was named before.
fn named_twice(
    what: &str,
    name: &str,
    second: Option<super::problem::Place>,
    first: Option<super::problem::Place>,
) -> Problem {
    Problem::error(second, format!("two {what} are named `{name}`"))
        .label("expected another name")
        .related(first, "named here first")
}

/// The longest heuristic lifetime where none is given.
pub(super) const HEURISTIC_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
