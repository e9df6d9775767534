//! One request, from its head to its line in the log.
//!
//! `begin` goes as far as that can be done without waiting: what the store has for a request as it is, or in parts, is
//! queued there and then, and `send` is all that is left. HTTP/2 connections begin many before they write. Everything else
//! goes on with `proceed`.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Instant,
};

use http::Method;

use super::{
    Gateway, Visit,
    ask::Errand,
    client::{Client, ClientFault, flush},
    facts::{CacheWord, Facts},
    failure::{self, Fault, OwnAnswer},
    fields::Way,
    is_ask,
    observed::{Observed, Track},
    watch::Asker,
};
use crate::{
    cache::{
        CacheStatus, Lookup,
        conditional::{self, Condition},
        key,
    },
    clock::Now,
    config::ListenAddress,
    wire::{RequestHead, strip_nominated},
};

/// What the beginning came to.
pub(super) enum Begun {
    /// The answer is queued as a whole: to be sent and recorded.
    Answered(Answered),
    /// The way is known that is left to go.
    Onward(Onward),
}

/// A request that is answered but for the sending.
pub(super) struct Answered {
    pub(super) facts: Facts,
    route: usize,
    upstream: usize,
}

/// A request that goes on, with what is known of it.
pub(super) struct Onward {
    pub(super) way: Way,
    pub(super) facts: Facts,
    /// Where to, or why nowhere.
    pub(super) course: Result<Course, Fault>,
}

/// Where a request goes.
pub(super) enum Course {
    /// To its route's upstream; with what the ask lane is to do there, if that is its lane.
    Forward { route: usize, upstream: usize, errand: Option<Errand> },
    /// To the same place on https.
    Redirect,
}

impl Gateway {
    /// Takes a request as far as that goes without waiting.
    pub(super) fn begin<C: Client>(self: &Arc<Self>, client: &mut C, request: &mut RequestHead) -> Begun {
        // What the client says to this hop alone chooses no route and no stored answer, as the backend never sees it.
        strip_nominated(&mut request.fields);
        let way = self.way(request, client.info());
        let mut facts = Facts::new(Now::read(), way.client);
        let (route, upstream) = match self.route(client, request, &mut facts) {
            Ok(Some(found)) => found,
            Ok(None) => return Begun::Onward(Onward { way, facts, course: Ok(Course::Redirect) }),
            Err(fault) => return Begun::Onward(Onward { way, facts, course: Err(fault) }),
        };
        if !is_ask(request) {
            return Begun::Onward(Onward { way, facts, course: Ok(Course::Forward { route, upstream, errand: None }) });
        }
        let mut visit = Visit { request, way, route, upstream, facts };
        let looked = self.look(client, &mut visit);
        let facts = visit.facts;
        match looked {
            Ok(None) => Begun::Answered(Answered { facts, route, upstream }),
            Ok(errand) => Begun::Onward(Onward { way, facts, course: Ok(Course::Forward { route, upstream, errand }) }),
            Err(fault) => Begun::Onward(Onward { way, facts, course: Err(fault) }),
        }
    }

    /// Queues what the store has for a GET or HEAD, if it may be given as it is; else says what is to be asked of the backend.
    fn look<C: Client>(self: &Arc<Self>, client: &mut C, visit: &mut Visit<'_>) -> Result<Option<Errand>, Fault> {
        if !visit.route(self).cache.enabled {
            return Ok(Some(Errand::Pass(None)));
        }
        let policy = &self.policies[visit.route];
        let looked = visit.with_key(self, |key| self.cache.lookup(key, visit.request, policy, visit.facts.now));
        let word = |ttl: i64| if ttl < 0 { CacheWord::Stale } else { CacheWord::Hit };
        match looked {
            Lookup::Hit { stored, age, ttl } => {
                visit.facts.cache = word(ttl);
                self.answer_stored(client, visit, &stored, age, CacheStatus::Hit { ttl });
            }
            Lookup::Part { stored, age, ttl, wanted } => {
                visit.facts.cache = word(ttl);
                let status = CacheStatus::Hit { ttl };
                match conditional::evaluate(visit.request, &stored.answer) {
                    Condition::NotModified => self.answer_stored(client, visit, &stored, age, status),
                    Condition::Proceed => self.answer_part(client, visit, &stored, age, status, &wanted),
                }
            }
            Lookup::StaleWhileRevalidate { stored, age, ttl } => {
                visit.facts.cache = CacheWord::Stale;
                self.answer_range(client, visit, &stored, age, CacheStatus::Refreshing { ttl });
                // Another Host than the key's brings back what is for nobody else: the next one refreshes it.
                if key::is_authority_as_sent(visit.request.scheme, &visit.request.authority) {
                    self.refresh(visit, client.info(), &stored);
                }
            }
            Lookup::Miss(reason) => return Ok(Some(Errand::Fill(reason))),
            Lookup::Revalidate { stored, reason } => return Ok(Some(Errand::Revalidate(stored, reason))),
            Lookup::Range { ask, reason } => return Ok(Some(Errand::Range(ask, reason))),
            Lookup::Pass(reason) => return Ok(Some(Errand::Pass(Some(reason)))),
            Lookup::Marked { until } => return Ok(Some(Errand::Marked(until))),
            Lookup::GatewayTimeout => return Err(Fault::OnlyIfCached),
        }
        Ok(None)
    }

    /// The end of a journey that was nearly over when it had begun: the answer that is queued is sent. What leaves at once,
    /// as nearly all do, is not watched.
    pub(super) async fn send<C: Client>(&self, client: &mut C, request: &RequestHead, answered: Answered) -> Instant {
        let outcome = match poll_fn(|cx| Poll::Ready(client.poll_flush(cx))).await {
            Poll::Ready(outcome) => outcome.map_err(Fault::from),
            Poll::Pending => Box::pin(self.send_watched(client, request, &answered)).await,
        };
        let mut facts = answered.facts;
        self.end(client, request, &mut facts, outcome).await
    }

    async fn send_watched<C: Client>(
        &self,
        client: &mut C,
        request: &RequestHead,
        answered: &Answered,
    ) -> Result<(), Fault> {
        let &Answered { ref facts, route, upstream } = answered;
        let asker = Asker { request, client: client.info().client.map(|_| facts.client), route, upstream };
        let mut watchdog = client.lend_watchdog();
        let track = Track::of(request);
        let observed = &mut Observed::new(client, &track);
        let work = async { Ok(flush(observed).await?) };
        let (outcome, row) = self.watched(asker, &track, &mut watchdog, facts.now, pin!(work)).await;
        client.return_watchdog(watchdog);
        self.close_row(row, &outcome, client);
        outcome
    }

    /// The journey of a request from where it may have to wait. Boxed, so that each course is as large as it needs.
    pub(super) fn proceed<'a, C: Client>(
        self: &'a Arc<Self>,
        client: &'a mut C,
        request: &'a RequestHead,
        onward: Onward,
    ) -> Pin<Box<dyn Future<Output = Instant> + Send + 'a>> {
        let Onward { way, mut facts, course } = onward;
        match course {
            Ok(Course::Forward { route, upstream, errand }) => {
                Box::pin(self.forward(client, Visit { request, way, route, upstream, facts }, errand))
            }
            Ok(Course::Redirect) => Box::pin(async move {
                let outcome = self.redirect(client, request, &mut facts).await;
                self.end(client, request, &mut facts, outcome).await
            }),
            Err(fault) => Box::pin(async move { self.end(client, request, &mut facts, Err(fault)).await }),
        }
    }

    /// By way of the upstream.
    #[expect(clippy::manual_async_fn, reason = "arguments of an async function are held beside what is made of them")]
    fn forward<'a, C: Client>(
        self: &'a Arc<Self>,
        client: &'a mut C,
        mut visit: Visit<'a>,
        errand: Option<Errand>,
    ) -> impl Future<Output = Instant> + Send + 'a {
        async move {
            let (request, upstream, now) = (visit.request, visit.upstream, visit.facts.now);
            let asker = visit.asker(client);
            let mut watchdog = client.lend_watchdog();
            let track = Track::of(request);
            let observed = &mut Observed::new(client, &track);
            let work = async {
                if let Some(errand) = errand {
                    self.ask(observed, &mut visit, errand).await
                } else if self.is_purge(&visit) {
                    Box::pin(self.purge(observed, &mut visit)).await
                } else {
                    Box::pin(self.relay(observed, &mut visit)).await
                }
            };
            let (outcome, row) = self.watched(asker, &track, &mut watchdog, now, pin!(work)).await;
            client.return_watchdog(watchdog);
            self.follow_fallen(upstream);
            self.close_row(row, &outcome, client);
            self.end(client, request, &mut visit.facts, outcome).await
        }
    }

    /// The last steps of every journey.
    async fn end<C: Client>(
        &self,
        client: &mut C,
        request: &RequestHead,
        facts: &mut Facts,
        outcome: Result<(), Fault>,
    ) -> Instant {
        if let Err(fault) = outcome {
            self.count_limit(&fault);
            Box::pin(failure::fail(client, request, facts, &fault)).await;
        }
        self.record(facts, request, client)
    }

    /// The same target on https. 308 keeps the method and the body (RFC 9110 §15.4.9); GET and HEAD get the 301 that
    /// every client knows.
    async fn redirect<C: Client>(&self, client: &mut C, request: &RequestHead, facts: &mut Facts) -> Result<(), Fault> {
        let host = request.host();
        if host.is_empty() {
            return Err(Fault::NoRoute);
        }
        let path = if request.target == "*" { "/" } else { &request.target };
        let location = match self.https_port(request) {
            Some(port) => format!("https://{host}:{port}{path}"),
            None => format!("https://{host}{path}"),
        };
        let status = if matches!(request.method, Method::GET | Method::HEAD) { 301 } else { 308 };
        let fields = [("Location", location.as_str())];
        let own = OwnAnswer { status, message: "This page is served over https.", fields: &fields };
        failure::answer(client, request, facts, &own).await;
        Ok(())
    }

    /// The port that https has here, where it is not the usual one (RFC 9110 §4.2.2) and the client can be told of it. That
    /// takes a client that has asked for the port of a listener: one that was asked for another came by way of somebody
    /// who maps ports, or of port 80, and 443 is the port that stands beside it.
    fn https_port(&self, request: &RequestHead) -> Option<u16> {
        let asked = request.authority[request.host().len()..].strip_prefix(':')?.parse().ok()?;
        let ports = |secure: bool| {
            let listeners = self.config.listeners.iter().filter(move |listener| listener.tls.is_some() == secure);
            listeners.map(|listener| match &listener.address {
                ListenAddress::Tcp(address) => Some(address.port()),
                ListenAddress::Unix(_) => None,
            })
        };
        let port = ports(true).next()??;
        let is_only_one = ports(true).all(|other| other == Some(port));
        let is_ours = asked != HTTP_PORT && ports(false).any(|plain| plain == Some(asked));
        (is_only_one && is_ours && port != HTTPS_PORT).then_some(port)
    }

    fn count_limit(&self, fault: &Fault) {
        match fault {
            Fault::Client(ClientFault::BodyTooLarge) => self.metrics.limit_hits.add("body_bytes", 1),
            Fault::Client(ClientFault::BodyTimeout) => self.metrics.limit_hits.add("body_rate", 1),
            Fault::Client(ClientFault::SendTimeout) => self.metrics.limit_hits.add("send_timeout", 1),
            _ => {}
        }
    }
}

/// What a URL means that names no port (RFC 9110 §4.2.1, §4.2.2).
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
