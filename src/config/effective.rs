//! The settled configuration as a file: every key written out, nothing left to a default.
//!
//! It is the way back over the border that `resolve` crosses: settled values become a file as written. The struct
//! literals name every key, so a key that is added and forgotten here does not compile.

mod cache;

use super::{
    AccessLog, Config, FieldEdits, Forward, Limits, Listener, OnChange, Origins, Route, RouteAction, RouteMatch,
    RouteWebSocket, Server, Sticky, Timeouts, Upstream, UpstreamTls, raw,
    shape::{Either, Names, OneOrMany, OrOff},
    text::{
        AdminAddress, Backend, CertificateName, Edited, FieldName, FieldValue, FilePath, HostName, Label, Method,
        Network, Origin, PathPrefix, UpstreamText,
    },
    value::{Mark, Period, Placed, Size, Value, Whole},
    written::{self, Written},
};

/// The configuration as TOML that loads to the same values.
///
/// Values from the environment and from files stand in it as they are, secrets too.
pub fn effective(config: &Config) -> String {
    match file(config).write() {
        Written::Table(root) => written::document(&root),
        other => other.inline(),
    }
}

/// The same as JSON.
pub fn effective_json(config: &Config) -> serde_json::Value {
    file(config).write().to_json()
}

fn file(config: &Config) -> raw::File {
    raw::File {
        mark: Mark::default(),
        listen: None,
        upstream: None,
        threads: Some(set(whole(config.threads))),
        trusted_proxies: set(config.trusted_proxies.iter().map(|network| set(Network(*network))).collect()),
        listener: set(config.listeners.iter().map(listener).map(set).collect()),
        admin: set(raw::Admin {
            mark: Mark::default(),
            listen: set(OrOff(config.admin.as_ref().map(|admin| AdminAddress(admin.listen)))),
            hosts: set(OneOrMany(
                config.admin.iter().flat_map(|admin| &admin.hosts).map(|host| set(HostName(host.clone()))).collect(),
            )),
        }),
        cache: set(cache::cache(&config.cache)),
        access_log: set(access_log(&config.access_log)),
        limits: set(limits(&config.limits)),
        timeouts: set(timeouts(&config.timeouts)),
        forward: set(forward(&config.forward)),
        upstreams: set(Names(
            config.upstreams.iter().map(|one| (set(one.name.to_string()), Some(upstream(one)))).collect(),
        )),
        routes: set(config.routes.iter().map(|one| set(route(one, &config.upstreams))).collect()),
    }
}

fn listener(settled: &Listener) -> raw::Listener {
    let pair = |files: &super::CertificateFiles| raw::Pair {
        mark: Mark::default(),
        certificate: set(FilePath(files.certificate.clone())),
        key: set(FilePath(files.key.clone())),
    };
    raw::Listener {
        mark: Mark::default(),
        address: set(settled.address.clone()),
        tls: settled.tls.as_ref().map(|tls| set(tls.pairs.iter().map(pair).map(set).collect())),
        minimum_tls: settled.tls.as_ref().map(|tls| set(tls.minimum)),
        h2c: set(settled.h2c),
        http2: set(settled.http2),
    }
}

fn access_log(settled: &AccessLog) -> raw::AccessLog {
    raw::AccessLog {
        mark: Mark::default(),
        path: set(settled.target.clone()),
        format: set(settled.format),
        queue: set(whole(settled.queue)),
    }
}

fn limits(settled: &Limits) -> raw::Limits {
    raw::Limits {
        mark: Mark::default(),
        connections: set(whole(settled.connections)),
        connections_per_address: set(whole(settled.connections_per_address)),
        head: set(size(settled.head_bytes)),
        target: set(size(settled.target_bytes)),
        fields: set(whole(settled.fields)),
        body: set(body_limit(settled.body_bytes)),
        body_rate: set(Size(settled.body_rate)),
        body_rate_grace: set(Period(settled.body_rate_grace)),
        answer_head: set(size(settled.answer_head_bytes)),
        http2_streams: set(Whole(u64::from(settled.http2_streams))),
        unsent: set(size(settled.unsent_bytes)),
        tunnels: set(OrOff(settled.tunnels.map(Whole))),
        drain_rate: set(Whole(u64::from(settled.drain_rate))),
    }
}

fn timeouts(settled: &Timeouts) -> raw::Timeouts {
    raw::Timeouts {
        mark: Mark::default(),
        tls_handshake: set(Period(settled.tls_handshake)),
        head: set(Period(settled.head)),
        keep_alive: set(Period(settled.keep_alive)),
        send: set(Period(settled.send)),
        tunnel_idle: set(Period(settled.tunnel_idle)),
        tunnel_linger: set(Period(settled.tunnel_linger)),
        tunnel_close: set(Period(settled.tunnel_close)),
        tunnel_drain: set(Period(settled.tunnel_drain)),
        shutdown: set(Period(settled.shutdown)),
    }
}

fn forward(settled: &Forward) -> raw::Forward {
    raw::Forward {
        mark: Mark::default(),
        forwarded: set(settled.forwarded),
        via: set(settled.via),
        request_id: set(OrOff(settled.request_id.clone().map(FieldName))),
    }
}

fn upstream(settled: &Upstream) -> raw::Upstream {
    let sticky = match &settled.sticky {
        None => Either::This(raw::StickyWord::Off),
        Some(Sticky::SourceAddress) => Either::This(raw::StickyWord::SourceAddress),
        Some(Sticky::Cookie(name)) => {
            Either::That(raw::StickyTable { cookie: Some(set(FieldName(name.clone()))), ..raw::StickyTable::default() })
        }
        Some(Sticky::Field(name)) => {
            Either::That(raw::StickyTable { field: Some(set(FieldName(name.clone()))), ..raw::StickyTable::default() })
        }
    };
    raw::Upstream {
        mark: Mark::default(),
        servers: Some(set(OneOrMany(settled.servers.iter().map(server).map(set).collect()))),
        balance: set(settled.balance),
        sticky: Some(set(sticky)),
        tls: Some(set(settled.tls.as_ref().map_or(Either::This(false), |settled| Either::That(tls(settled))))),
        protocol: set(settled.protocol),
        connect_timeout: set(Period(settled.connect_timeout)),
        answer_timeout: set(OrOff(settled.answer_timeout.map(Period))),
        read_timeout: set(OrOff(settled.read_timeout.map(Period))),
        idle_timeout: set(Period(settled.idle_timeout)),
        idle_connections: set(whole(settled.idle_connections)),
        retries: set(whole(settled.retries)),
        // Each server has its own.
        max_tunnels: set(OrOff(None)),
    }
}

fn server(settled: &Server) -> raw::ServerText {
    Either::That(raw::Server {
        mark: Mark::default(),
        address: set(Backend { address: settled.address.clone(), tls_host: None }),
        weight: set(Whole(u64::from(settled.weight))),
        max_tunnels: Some(set(OrOff(settled.max_tunnels.map(Whole)))),
    })
}

fn tls(settled: &UpstreamTls) -> raw::Tls {
    raw::Tls {
        mark: Mark::default(),
        server_name: Some(set(CertificateName(settled.server_name.clone()))),
        verify: set(settled.verify),
        ca: settled.ca.clone().map(FilePath).map(set),
    }
}

fn route(settled: &Route, upstreams: &[Upstream]) -> raw::Route {
    let (upstream, redirect) = match settled.action {
        RouteAction::Forward { upstream } => (upstreams.get(upstream).map(|one| UpstreamText::named(&one.name)), None),
        RouteAction::RedirectToHttps => (None, Some(raw::Redirect::Https)),
    };
    raw::Route {
        mark: Mark::default(),
        name: Some(set(Label(settled.name.to_string()))),
        r#match: set(matches(&settled.matches)),
        upstream: upstream.map(set),
        redirect: redirect.map(set),
        strip_prefix: settled.strip_prefix.clone().map(|prefix| set(Either::That(PathPrefix(prefix)))),
        request_fields: set(edits(&settled.request_fields)),
        response_fields: set(edits(&settled.response_fields)),
        body_limit: Some(set(body_limit(settled.body_bytes))),
        cache: set(Either::That(cache::route_cache(&settled.cache))),
        websocket: set(Either::That(websocket(&settled.websocket))),
    }
}

fn matches(settled: &RouteMatch) -> raw::Match {
    let fields = settled.fields.iter().map(|field| {
        let condition = field.value.clone().map_or(Either::This(true), |value| Either::That(FieldValue(value)));
        (set(field.name.clone()), Some(condition))
    });
    raw::Match {
        mark: Mark::default(),
        host: many(settled.hosts.iter().cloned()),
        path: set(PathPrefix(settled.path.clone())),
        methods: many(settled.methods.iter().cloned().map(Method)),
        fields: set(Names(fields.collect())),
    }
}

fn edits(settled: &FieldEdits) -> raw::Edits {
    let lines = |lines: &[(String, String)]| {
        Names(lines.iter().map(|(name, value)| (set(name.clone()), Some(FieldValue(value.clone())))).collect())
    };
    raw::Edits {
        mark: Mark::default(),
        remove: many(settled.remove.iter().cloned().map(Edited)),
        set: set(lines(&settled.set)),
        add: set(lines(&settled.add)),
    }
}

fn websocket(settled: &RouteWebSocket) -> raw::WebSocket {
    let origins = match &settled.origins {
        Origins::Default => Either::This(raw::OriginsWord::Default),
        Origins::Any => Either::This(raw::OriginsWord::Any),
        Origins::SameHost => Either::This(raw::OriginsWord::SameHost),
        Origins::List(list) => Either::That(list.iter().cloned().map(Origin).map(set).collect()),
    };
    raw::WebSocket {
        mark: Mark::default(),
        enabled: set(settled.enabled),
        origins: set(origins),
        idle_timeout: Some(set(Period(settled.idle_timeout))),
        count_pings_as_activity: set(settled.count_pings_as_activity),
        max_lifetime: set(OrOff(settled.max_lifetime.map(Period))),
        max_message: set(OrOff(settled.max_message.map(Size))),
        messages_per_second: set(OrOff(settled.messages_per_second.map(|rate| Whole(rate.into())))),
        max_connections: set(OrOff(settled.max_connections.map(Whole))),
        max_connections_per_client: set(OrOff(settled.max_connections_per_client.map(Whole))),
        handshakes_per_second: set(OrOff(settled.handshakes_per_second.map(|rate| Whole(rate.into())))),
        handshakes_per_second_per_client: set(OrOff(
            settled.handshakes_per_second_per_client.map(|rate| Whole(rate.into())),
        )),
        ping_interval: set(OrOff(settled.ping_interval.map(Period))),
        pong_timeout: set(Period(settled.pong_timeout)),
        close_timeout: Some(set(Period(settled.close_timeout))),
        close_code: set(Whole(settled.close_code.into())),
        session_field: set(OrOff(settled.session_field.clone().map(FieldName))),
        session_code: set(Whole(settled.session_code.into())),
        on_change: set(match settled.on_change {
            OnChange::Keep => raw::OnChange::Keep,
            OnChange::Drain => raw::OnChange::Drain,
        }),
        on_backend_down: set(settled.on_backend_down),
        observe: set(settled.observe),
    }
}

fn set<T>(value: T) -> Placed<T> {
    Placed::built_in(value)
}

/// A list that is left out when it is empty.
fn many<T>(values: impl Iterator<Item = T>) -> Option<Placed<OneOrMany<T>>> {
    let values: Vec<_> = values.map(set).collect();
    (!values.is_empty()).then(|| set(OneOrMany(values)))
}

fn whole<const MINIMUM: u64, const MAXIMUM: u64>(count: usize) -> Whole<MINIMUM, MAXIMUM> {
    Whole(count as u64)
}

fn size<const MINIMUM: u64, const MAXIMUM: u64>(bytes: usize) -> Size<MINIMUM, MAXIMUM> {
    Size(bytes as u64)
}

fn body_limit<const MINIMUM: u64, const MAXIMUM: u64>(bytes: u64) -> OrOff<Size<MINIMUM, MAXIMUM>> {
    OrOff((bytes != u64::MAX).then_some(Size(bytes)))
}
