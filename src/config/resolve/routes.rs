//! `[[routes]]`, and the route that the file's `upstream` makes.

use std::{collections::HashMap, sync::Arc};

use super::{body_limit, cache::route_cache, named_twice, upstreams::Upstreams};
use crate::config::{
    FieldEdits, FieldMatch, HostPattern, Limits, OnChange, Origins, Route, RouteAction, RouteMatch, RouteWebSocket,
    Timeouts,
    problem::{Place, Problem, Problems},
    raw,
    shape::{Either, Names},
    text::FieldValue,
    value::{Placed, Text, Whole},
};

/// In file order, the fallback last.
pub(super) fn routes(
    file: &raw::File,
    limits: &Limits,
    timeouts: &Timeouts,
    upstreams: &mut Upstreams,
    problems: &mut Problems,
) -> Vec<Route> {
    let fallback = file.upstream.as_ref().and_then(|upstream| upstreams.refer(upstream, problems));
    let context = Context { file, limits, timeouts, fallback };
    let mut routes: Vec<(Route, Option<Place>)> = Vec::new();
    for written in &file.routes.value {
        routes.extend(context.route(&written.value, upstreams, problems).map(|route| (route, written.place)));
    }
    check_matches(&routes, file, problems);
    if let Some(upstream) = fallback
        && !routes.iter().any(|(route, _)| takes_everything(route))
    {
        let written = raw::Route::default();
        let matches = RouteMatch { path: "/".to_owned(), ..RouteMatch::default() };
        routes.push((context.settled(&written, matches, RouteAction::Forward { upstream }, None, problems), None));
    }
    let is_unreadable = file.mark.is_unreadable("upstream") || file.mark.is_unreadable("routes");
    if file.routes.value.is_empty() && file.upstream.is_none() && !is_unreadable {
        problems.push(
            Problem::error(None, "there is nothing to pass requests to")
                .hint("write `upstream = \"127.0.0.1:3000\"` at the top of the file, or `[[routes]]`".to_owned()),
        );
    }
    name_all(&mut routes, file, problems);
    routes.into_iter().map(|(route, _)| route).collect()
}

/// Whether no request is left for another route.
pub(in crate::config) fn takes_everything(route: &Route) -> bool {
    let matches = &route.matches;
    route.action != RouteAction::RedirectToHttps
        && matches.hosts.is_empty()
        && matches.path == "/"
        && matches.methods.is_empty()
        && matches.fields.is_empty()
}

struct Context<'c> {
    file: &'c raw::File,
    limits: &'c Limits,
    timeouts: &'c Timeouts,
    /// The file's own `upstream`.
    fallback: Option<usize>,
}

impl Context<'_> {
    fn route(&self, written: &raw::Route, upstreams: &mut Upstreams, problems: &mut Problems) -> Option<Route> {
        let matches = matched(&written.r#match.value, problems);
        let strip_prefix = strip_prefix(written, &matches.path, problems);
        let action = self.action(written, upstreams, problems)?;
        Some(self.settled(written, matches, action, strip_prefix, problems))
    }

    fn action(&self, written: &raw::Route, upstreams: &mut Upstreams, problems: &mut Problems) -> Option<RouteAction> {
        match (&written.upstream, &written.redirect) {
            (Some(upstream), Some(redirect)) => {
                problems.push(
                    Problem::error(redirect.place, "a route has either an `upstream` or a `redirect`")
                        .label("expected one of them")
                        .related(upstream.place, "the upstream"),
                );
                None
            }
            (None, Some(_)) => Some(RouteAction::RedirectToHttps),
            (Some(upstream), None) => {
                upstreams.refer(upstream, problems).map(|upstream| RouteAction::Forward { upstream })
            }
            (None, None) => {
                let is_unreadable = written.mark.is_unreadable("upstream")
                    || written.mark.is_unreadable("redirect")
                    || self.file.mark.is_unreadable("upstream")
                    || self.file.upstream.is_some();
                if self.fallback.is_none() && !is_unreadable {
                    problems.push(
                        Problem::error(written.mark.place, "the route has neither an `upstream` nor a `redirect`")
                            .label("expected `upstream = \"…\"`, here or at the top of the file"),
                    );
                }
                self.fallback.map(|upstream| RouteAction::Forward { upstream })
            }
        }
    }

    fn settled(
        &self,
        written: &raw::Route,
        matches: RouteMatch,
        action: RouteAction,
        strip_prefix: Option<String>,
        problems: &mut Problems,
    ) -> Route {
        Route {
            name: Arc::from(written.name.as_ref().map_or("", |name| name.value.0.as_str())),
            matches,
            action,
            strip_prefix,
            request_fields: edits(&written.request_fields.value),
            response_fields: edits(&written.response_fields.value),
            body_bytes: written.body_limit.as_ref().map_or(self.limits.body_bytes, |limit| body_limit(&limit.value)),
            cache: route_cache(&written.cache.value, problems),
            websocket: self.websocket(&written.websocket, problems),
        }
    }

    fn websocket(&self, written: &Placed<Either<bool, raw::WebSocket>>, problems: &mut Problems) -> RouteWebSocket {
        let by_default = raw::WebSocket::default();
        let (enabled, table) = match &written.value {
            Either::This(enabled) => (*enabled, &by_default),
            Either::That(table) => (table.enabled.value, table),
        };
        let origins = match &table.origins.value {
            Either::This(raw::OriginsWord::Default) => Origins::Default,
            Either::This(raw::OriginsWord::Any) => Origins::Any,
            Either::This(raw::OriginsWord::SameHost) => Origins::SameHost,
            Either::That(list) => {
                if list.is_empty() {
                    problems.push(
                        Problem::error(table.origins.place, "the list of origins is empty, so nobody could connect")
                            .label("expected origins, or `websocket = false` for the route"),
                    );
                }
                Origins::List(list.iter().map(|origin| origin.value.0.clone()).collect())
            }
        };
        check_websocket(table, problems);
        let rate = |rate: Whole<1, 1_000_000>| u32::try_from(rate.0).unwrap_or(u32::MAX);
        RouteWebSocket {
            enabled,
            origins,
            idle_timeout: table.idle_timeout.as_ref().map_or(self.timeouts.tunnel_idle, |period| period.value.0),
            count_pings_as_activity: table.count_pings_as_activity.value,
            max_lifetime: table.max_lifetime.value.0.map(|period| period.0),
            max_message: table.max_message.value.0.map(|size| size.0),
            messages_per_second: table.messages_per_second.value.0.map(rate),
            max_connections: table.max_connections.value.0.map(|count| count.0),
            max_connections_per_client: table.max_connections_per_client.value.0.map(|count| count.0),
            handshakes_per_second: table.handshakes_per_second.value.0.map(rate),
            handshakes_per_second_per_client: table.handshakes_per_second_per_client.value.0.map(rate),
            ping_interval: table.ping_interval.value.0.map(|period| period.0),
            pong_timeout: table.pong_timeout.value.0,
            close_timeout: table.close_timeout.as_ref().map_or(self.timeouts.tunnel_close, |period| period.value.0),
            close_code: u16::try_from(table.close_code.value.0).unwrap_or(u16::MAX),
            session_field: table.session_field.value.0.as_ref().map(|name| name.0.clone()),
            session_code: u16::try_from(table.session_code.value.0).unwrap_or(u16::MAX),
            on_change: match table.on_change.value {
                raw::OnChange::Keep => OnChange::Keep,
                raw::OnChange::Drain => OnChange::Drain,
            },
            observe: table.observe.value,
        }
    }
}

/// What a tunnel's terms can't be together, and codes that no Close frame may carry (RFC 6455 §7.4.1).
fn check_websocket(table: &raw::WebSocket, problems: &mut Problems) {
    for (code, usual) in [(&table.close_code, 1012), (&table.session_code, 1008)] {
        if matches!(code.value.0, 1004 | 1005 | 1006 | 1015) {
            problems.push(
                Problem::error(code.place, "this code can't be sent in a Close frame")
                    .label(format!("expected {usual}, or a code from 3000 to 4999 that the clients know")),
            );
        }
    }
    if table.observe.value {
        return;
    }
    for (key, place) in [
        ("max_message", table.max_message.value.0.and(table.max_message.place)),
        ("messages_per_second", table.messages_per_second.value.0.and(table.messages_per_second.place)),
        ("ping_interval", table.ping_interval.value.0.and(table.ping_interval.place)),
    ] {
        if place.is_some() {
            problems.push(
                Problem::error(place, format!("`{key}` needs frame headers to be read"))
                    .label("expected `observe = true` beside it"),
            );
        }
    }
}

fn matched(written: &raw::Match, problems: &mut Problems) -> RouteMatch {
    for list in [
        written.host.as_ref().map(|host| (host.place, host.value.0.is_empty())),
        written.methods.as_ref().map(|methods| (methods.place, methods.value.0.is_empty())),
    ] {
        if let Some((place, true)) = list {
            problems.push(
                Problem::error(place, "the list is empty, so the route would take nothing")
                    .label("expected at least one, or no list to match all"),
            );
        }
    }
    let mut fields = Vec::new();
    for (name, condition) in &written.fields.value.0 {
        let value = match condition {
            Some(Either::This(true)) => None,
            Some(Either::That(value)) => Some(value.0.clone()),
            Some(Either::This(false)) => {
                problems.push(
                    Problem::error(name.place, "a route can't ask for the absence of a field")
                        .label("expected `true` or a value"),
                );
                continue;
            }
            None => continue,
        };
        fields.push(FieldMatch { name: name.value.clone(), value });
    }
    let mut hosts: Vec<HostPattern> = Vec::new();
    for host in written.host.iter().flat_map(|host| &host.value.0) {
        if hosts.contains(&host.value) {
            problems.push(Problem::warning(host.place, format!("the host `{}` is listed twice", host.value.text())));
        } else {
            hosts.push(host.value.clone());
        }
    }
    let methods = written.methods.iter().flat_map(|methods| &methods.value.0).map(|method| method.value.0.clone());
    RouteMatch { hosts, path: written.path.value.0.clone(), methods: methods.collect(), fields }
}

fn strip_prefix(written: &raw::Route, path: &str, problems: &mut Problems) -> Option<String> {
    let strip = written.strip_prefix.as_ref()?;
    let prefix = match &strip.value {
        Either::This(false) => return None,
        Either::This(true) => path,
        Either::That(prefix) => prefix.0.as_str(),
    };
    let prefix = prefix.trim_end_matches('/');
    let rest = path.strip_prefix(prefix);
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        problems.push(
            Problem::error(strip.place, format!("the matched path `{path}` does not begin with `{prefix}`"))
                .label("expected the beginning of the path that is matched, or `true`"),
        );
    }
    (!prefix.is_empty()).then(|| prefix.to_owned())
}

fn edits(written: &raw::Edits) -> FieldEdits {
    let lines = |names: &Names<FieldValue>| {
        names.0.iter().filter_map(|(name, value)| Some((name.value.clone(), value.as_ref()?.0.clone()))).collect()
    };
    FieldEdits {
        remove: written.remove.iter().flat_map(|names| &names.value.0).map(|name| name.value.0.clone()).collect(),
        set: lines(&written.set.value),
        add: lines(&written.add.value),
    }
}

/// Notes routes that a request could never choose between.
fn check_matches(routes: &[(Route, Option<Place>)], file: &raw::File, problems: &mut Problems) {
    let mut seen: HashMap<String, Option<Place>> = HashMap::new();
    // A match of which a part could not be read may look like another.
    let unclear: Vec<Option<Place>> = file
        .routes
        .value
        .iter()
        .filter(|route| !route.value.r#match.value.mark.is_whole() || route.value.mark.is_unreadable("match"))
        .map(|route| route.place)
        .collect();
    for (route, place) in routes.iter().filter(|(_, place)| !unclear.contains(place)) {
        for (key, host) in match_keys(route) {
            if let Some(first) = seen.get(&key) {
                let host = if host.is_empty() { String::new() } else { format!(" of `{host}`") };
                problems.push(
                    Problem::error(
                        *place,
                        format!("two routes take the same requests: `{}`{host}", route.matches.path),
                    )
                    .label("expected another host, path, method or field")
                    .related(*first, "taken here first"),
                );
                break;
            }
            seen.insert(key, *place);
        }
    }
}

/// One text for each host; equal texts match the same requests.
fn match_keys(route: &Route) -> Vec<(String, String)> {
    let matches = &route.matches;
    // A redirect takes requests by http, and may stand beside the route for those by https.
    let is_redirect = route.action == RouteAction::RedirectToHttps;
    let mut methods: Vec<&str> = matches.methods.iter().map(|method| method.as_str()).collect();
    let mut fields: Vec<(String, Option<&str>)> =
        matches.fields.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.as_deref())).collect();
    methods.sort_unstable();
    methods.dedup();
    fields.sort_unstable();
    let rest = format!("{is_redirect} {:?} {methods:?} {fields:?}", matches.path);
    if matches.hosts.is_empty() {
        return vec![(rest, String::new())];
    }
    matches.hosts.iter().map(|host| (format!("{host:?} {rest}"), host.text())).collect()
}

/// Gives each route a name of its own.
fn name_all(routes: &mut [(Route, Option<Place>)], file: &raw::File, problems: &mut Problems) {
    let mut taken: HashMap<String, Option<Place>> = HashMap::new();
    for name in file.routes.value.iter().filter_map(|route| route.value.name.as_ref()) {
        match taken.get(&name.value.0) {
            Some(first) => problems.push(named_twice("routes", &name.value.0, name.place, *first)),
            None => drop(taken.insert(name.value.0.clone(), name.place)),
        }
    }
    for (route, place) in routes.iter_mut().filter(|(route, _)| route.name.is_empty()) {
        let hosts: Vec<String> = route.matches.hosts.iter().map(Text::text).collect();
        let prefix = if route.action == RouteAction::RedirectToHttps { "redirect:" } else { "" };
        let made = format!("{prefix}{}{}", hosts.join(","), route.matches.path);
        let mut name = made.clone();
        for number in 2.. {
            if !taken.contains_key(&name) {
                break;
            }
            name = format!("{made}#{number}");
        }
        taken.insert(name.clone(), *place);
        route.name = Arc::from(name);
    }
}
