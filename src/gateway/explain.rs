//! What would become of a request, in words: by the routes, rules and store that requests go by, and nothing else.

mod words;

use std::{fmt::Write, net::IpAddr, time::Duration};

use http::Method;
use words::{status_of, terms, told};

use super::{Gateway, Visit, facts::Facts, fields::Way, is_ask, settled::Why};
use crate::{
    cache::{
        Exchange, Lookup, RangeAsk, Reason, Stored,
        key::{self, Readable},
        policy::{
            content_range, date,
            explain::{Explanation, explain, explain_stored, explain_validated},
        },
    },
    clock::Now,
    config::{Balance, RouteAction, Sticky},
    route::Verdict,
    tunnel,
    units::format_size,
    wire::{Framing, RequestHead, ResponseHead, strip_nominated},
};

/// Facts as (about, words), in the order in which one would tell them.
type Story = Vec<(&'static str, String)>;

impl Gateway {
    /// Tells what would become of a request that comes now, straight from a client, and of this answer to it if there is one.
    /// Nothing is asked of a backend and nothing is counted.
    pub fn explain(&self, mut request: RequestHead, answer: Option<&ResponseHead>) -> Story {
        strip_nominated(&mut request.fields);
        let mut story = Story::new();
        let found = self.routes.find(&request);
        match found {
            Some(route) => story.push(("route", self.config.routes[route].name.to_string())),
            None => story.push(("route", "none: the client gets 404".to_owned())),
        }
        story.extend(self.other_routes(&request, found));
        let Some(route) = found else { return story };
        let RouteAction::Forward { upstream } = self.config.routes[route].action else {
            story.push(("answer", "a redirect to the same URL on https".to_owned()));
            return story;
        };
        story.push(("backend", self.backend(upstream)));
        // Who asks is not known; nothing of the cache depends on it but what trusted proxies say.
        let way = Way { trusted: false, client: IpAddr::from([127, 0, 0, 1]) };
        let facts = Facts::new(Now::read(), way.client);
        let visit = Visit { request: &request, way, route, upstream, facts };
        self.guards(&visit, &mut story);
        self.lane(&visit, answer, &mut story);
        story
    }

    fn other_routes(&self, request: &RequestHead, found: Option<usize>) -> Story {
        let others = (0..self.config.routes.len()).filter(|&other| Some(other) != found);
        let told = others.map(|other| {
            let reason = match self.routes.verdict(other, request) {
                Verdict::Fits => "fits too, but another has a more exact host, a longer path or more conditions",
                Verdict::Host => "is for another host",
                Verdict::Path => "is for another path",
                Verdict::Https => "redirects what comes by http",
                Verdict::Method => "is for other methods",
                Verdict::Field => "asks for a field that the request lacks, or has with another value",
            };
            ("not", format!("`{}` {reason}", self.config.routes[other].name))
        });
        told.take(OTHERS_MAX).collect()
    }

    fn backend(&self, upstream: usize) -> String {
        let upstream = &self.upstreams[upstream].config;
        let servers: Vec<_> = upstream.servers.iter().map(|server| server.address.to_string()).collect();
        let mut text = format!("`{}`: {}", upstream.name, servers.join(", "));
        if servers.len() > 1 {
            text.push_str(match upstream.balance {
                Balance::RoundRobin => "; each in turn, by weight",
                Balance::LeastLoad => "; the one with the least load",
            });
        }
        // Invariant: a String takes every write.
        let _ = match &upstream.sticky {
            None => Ok(()),
            Some(Sticky::Cookie(name)) => write!(text, "; a client stays with one by the cookie `{name}`"),
            Some(Sticky::SourceAddress) => write!(text, "; a client stays with one by its address"),
            Some(Sticky::Field(name)) => write!(text, "; a client stays with one by its `{name}`"),
        };
        text
    }

    fn guards(&self, visit: &Visit<'_>, story: &mut Story) {
        let most = visit.route(self).body_bytes;
        match visit.request.framing {
            Framing::Length(length) if length > most => {
                story.push(("guard", format!("413: a body of more than {}", format_size(most))));
            }
            Framing::Length(1..) | Framing::Chunked if most < u64::MAX => {
                story.push(("guard", format!("a body of at most {}", format_size(most))));
            }
            _ => {}
        }
    }

    fn lane(&self, visit: &Visit<'_>, answer: Option<&ResponseHead>, story: &mut Story) {
        let (request, route) = (visit.request, visit.route(self));
        if request.wants_websocket && route.websocket.enabled {
            story.push(("lane", "tunnel: a WebSocket handshake".to_owned()));
            if let Err(refusal) = tunnel::check(request) {
                story.push(("guard", format!("{}: {}", refusal.status(request.version), refusal.label())));
            } else if let Err(foreign) = self.check_origin(visit) {
                story.push(("guard", format!("{}: {}", foreign.status(), foreign.label())));
            }
        } else if is_ask(request) {
            story.push(("lane", "ask: a GET or HEAD without a body".to_owned()));
            self.ask_explained(visit, answer, story);
        } else if self.is_purge(visit) {
            story.push(("lane", "purge: obeyed where `purge_from` has the client's address, else 403".to_owned()));
        } else {
            story.push(("lane", "relay: a body, or another method".to_owned()));
            if !request.method.is_safe() {
                let bases = self.bases(request.scheme, &request.authority, &request.target);
                story.extend(
                    bases
                        .iter()
                        .map(|base| ("invalidates", format!("{}, after a 2xx or 3xx", key::readable(base).url))),
                );
            }
            self.relay_explained(visit, answer, story);
        }
    }

    /// What the relay lane says of itself, and what becomes of the answer to a POST.
    fn relay_explained(&self, visit: &Visit<'_>, answer: Option<&ResponseHead>, story: &mut Story) {
        if !visit.route(self).cache.enabled {
            return;
        }
        let reason = self.why_relayed(visit);
        match answer.filter(|_| visit.request.method == Method::POST) {
            Some(head) => {
                let weigh = |exchange: &Exchange<'_>| self.cache.storable_for_get(exchange, head).map(drop);
                self.answer_explained(visit, head, reason, weigh, story);
            }
            None => story.push(("cache_status", status_of(Why { reason, detail: None }.forwarded(false, None)))),
        }
    }

    /// What the ask lane does, by the same calls.
    fn ask_explained(&self, visit: &Visit<'_>, answer: Option<&ResponseHead>, story: &mut Story) {
        if !visit.route(self).cache.enabled {
            return story.push(("cache", format!("pass, {}: {}", Reason::Off.label(), Reason::Off.sentence())));
        }
        let mut key = Vec::new();
        visit.write_key(self, &mut key);
        let Readable { url, also } = key::readable(&key);
        story.push(("key", std::iter::once(url).chain(also).collect::<Vec<_>>().join("; ")));
        let policy = &self.policies[visit.route];
        let looked = self.cache.look(&key, visit.request, policy, visit.facts.now);
        let (words, reason) = told(&looked);
        story.push(("cache", words));
        if let Lookup::Hit { stored, .. }
        | Lookup::Part { stored, .. }
        | Lookup::StaleWhileRevalidate { stored, .. }
        | Lookup::Revalidate { stored, .. } = &looked
        {
            let explained = explain_stored(visit.request, &stored.answer, policy, visit.facts.now);
            let left = stored.answer.ttl(explained.age);
            story.extend(terms(&explained, visit.facts.now, left));
        }
        match (answer, reason) {
            (Some(head), Some(reason)) => match validated(&looked).filter(|_| head.status == 304) {
                Some(stored) => self.validation_explained(visit, stored, head, reason, story),
                None => {
                    let passes = matches!(looked, Lookup::Pass(_) | Lookup::Marked { .. }).then_some(reason);
                    let part = matches!(looked, Lookup::Range { .. }) && head.status == 206;
                    let weigh = |exchange: &Exchange<'_>| match passes {
                        Some(reason) => Err(reason),
                        None if part => self.cache.storable_part(&key, exchange, head).map(drop),
                        None => self.cache.storable(exchange, head).map(drop),
                    };
                    self.answer_explained(visit, head, reason, weigh, story);
                }
            },
            (Some(_), None) => story.push(("answer", "not asked for: the stored one is given".to_owned())),
            (None, Some(reason)) => {
                story.push(("cache_status", status_of(Why { reason, detail: None }.forwarded(false, None))))
            }
            (None, None) => {}
        }
    }

    /// What would become of this answer, if the backend gave it now: `weigh` says whether it is stored, as the store has
    /// bounds of its own, parts of answers have rules of their own, and a request that passes stores nothing.
    fn answer_explained(
        &self,
        visit: &Visit<'_>,
        head: &ResponseHead,
        reason: Reason,
        weigh: impl FnOnce(&Exchange<'_>) -> Result<(), Reason>,
        story: &mut Story,
    ) {
        let answered = as_of(head, visit.facts.now);
        let policy = &self.policies[visit.route];
        let exchange = Exchange { request: visit.request, policy, requested: answered, answered };
        let explained = Explanation { refused: weigh(&exchange).err(), ..explain(&exchange, head) };
        let refused = explained.refused;
        let detail = refused.filter(|refused| *refused != reason);
        story.push(("cache_status", status_of(Why { reason, detail: None }.forwarded(refused.is_none(), detail))));
        let left = explained.lifetime.saturating_sub(explained.age);
        story.extend(terms(&explained, answered, i64::try_from(left).unwrap_or(i64::MAX)));
        if refused.is_none()
            && let Some((bytes, complete)) = head.fields.get("content-range").and_then(content_range::parse)
        {
            story.push(("part", format!("bytes {}-{} of {complete}", bytes.start, bytes.end - 1)));
        }
    }

    /// What this 304 would make of what is stored.
    fn validation_explained(
        &self,
        visit: &Visit<'_>,
        stored: &Stored,
        head: &ResponseHead,
        reason: Reason,
        story: &mut Story,
    ) {
        let (policy, answered) = (&self.policies[visit.route], as_of(head, visit.facts.now));
        let exchange = Exchange { request: visit.request, policy, requested: answered, answered };
        match explain_validated(&stored.answer, &exchange, head) {
            Ok(explained) => {
                let detail = explained.refused;
                let status = Why { reason, detail: None }.told(304, detail.is_none(), detail);
                story.push(("cache_status", status_of(status)));
                let left = explained.lifetime.saturating_sub(explained.age);
                story.extend(terms(&explained, answered, i64::try_from(left).unwrap_or(i64::MAX)));
            }
            Err(reason) => {
                let words = format!("{}: {}; it is asked for anew", reason.label(), reason.sentence());
                story.push(("answer", words));
            }
        }
    }
}

/// What would be validated.
fn validated(looked: &Lookup) -> Option<&Stored> {
    match looked {
        Lookup::Revalidate { stored, .. } | Lookup::Range { ask: RangeAsk::Validate(stored), .. } => Some(stored),
        _ => None,
    }
}

/// The moment at which a saved head was given, so that it counts as new: its Date, or now.
fn as_of(head: &ResponseHead, now: Now) -> Now {
    let seconds = now.unix_seconds() as i64;
    let date = head.fields.get("date").and_then(|line| date::parse(line, seconds));
    let unix = date.and_then(|date| u64::try_from(date).ok()).map_or(now.unix, Duration::from_secs);
    Now { unix, ..now }
}

/// Routes that are told of beside the one that takes the request.
const OTHERS_MAX: usize = 100;

#[cfg(test)]
mod tests;
