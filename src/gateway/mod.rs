//! The journey of a request; the one place where the parts meet.
//!
//! A connection is read by `http1` or `http2`. Each request then goes: route → guards → lane → answer → record; what needs
//! no waiting is done first, a stored answer included (`journey`). The lane is `ask` (GET and HEAD without a body: the
//! store, a shared fetch, or the backend), `relay` (everything else) or `upgrade` (a WebSocket handshake, then a tunnel).
//! `ask` and `relay` bring bytes to a `Client` and get them from a `Transfer`, which an `Opening` has begun, and `answer`
//! sends what was found. A `Fetch` serves many, comes to something `settled`, and goes on in the `background` when its
//! client leaves. `fields` says what is told on the way, `failure` what the gateway answers itself, `facts` what is counted,
//! `unsent` what waits for clients that don't read, and `watch` makes an answer that stays open known, as its `observed`
//! client tells of it. For operators: `purge` takes answers of a URL out, `explain` tells in words what would become of a
//! request.

mod answer;
mod ask;
mod background;
mod body_meter;
mod client;
mod explain;
mod facts;
mod failure;
mod fetch;
mod fields;
mod handover;
mod http1;
mod http2;
mod journey;
mod metrics;
mod observed;
mod opening;
mod parts;
mod purge;
mod ranged;
mod relay;
mod settled;
mod transfer;
mod unsent;
mod upgrade;
mod watch;

use std::{
    cell::RefCell,
    pin::Pin,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Method;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::{
    background::Background,
    client::{Client, ClientFault},
    facts::Facts,
    failure::Fault,
    fields::Way,
    metrics::Metrics,
    opening::{Opened, Opening, Sending},
    transfer::Transfer,
    unsent::Unsent,
    upgrade::OpenTunnel,
};
use crate::{
    access_log::AccessLog,
    cache::{self, Cache},
    clock::Now,
    config::{Config, OnBackendDown, Route, RouteAction},
    metrics::Registry,
    net::{ClientInfo, Stream},
    route::RouteTable,
    tunnel::{CloseReason, Drain, Live, Open, Pace, Permits, State, Stopper, Terms, Tunnels, fates},
    upstream::{self, Chosen, Outgoing, Upstream},
    wire::{Framing, HeadLimits, RequestHead},
};

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Everything that answering takes. One for the process; cheap to share.
pub struct Gateway {
    config: Arc<Config>,
    routes: RouteTable,
    /// By route: its part in the cache's decisions.
    policies: Vec<cache::Policy>,
    upstreams: Vec<Arc<Upstream>>,
    cache: Arc<Cache>,
    background: Background,
    metrics: Metrics,
    unsent: Arc<Unsent>,
    tunnels: Tunnels,
    permits: Permits,
    /// By route: what it asks of its tunnels.
    terms: Vec<Arc<Terms>>,
    access_log: AccessLog,
    head_limits: HeadLimits,
    stopper: Stopper,
    /// The turns of those whose server has gone down.
    fallen: Mutex<Pace>,
}

/// One request on its way.
struct Visit<'r> {
    request: &'r RequestHead,
    way: Way,
    route: usize,
    upstream: usize,
    facts: Facts,
}

/// A connection: its requests, or the tunnel that it has become. A few words, whatever requests need: so is the task of
/// a tunnel at rest.
enum Serving {
    Requests(Pin<Box<dyn Future<Output = Option<OpenTunnel>> + Send>>),
    Tunnel(OpenTunnel),
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            *self = match &mut *self {
                Self::Requests(requests) => match ready!(requests.as_mut().poll(cx)) {
                    None => return Poll::Ready(()),
                    Some(tunnel) => Self::Tunnel(tunnel),
                },
                Self::Tunnel(tunnel) => return tunnel.as_mut().poll(cx),
            };
        }
    }
}

impl Gateway {
    /// Prepares routes, upstreams and the cache; an error says what can't be used.
    pub fn new(config: Arc<Config>, registry: &Registry, access_log: AccessLog) -> Result<Arc<Self>, String> {
        let names: Vec<Arc<str>> = config.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
        let route_names: Vec<Arc<str>> = config.routes.iter().map(|route| route.name.clone()).collect();
        let upstream_metrics = upstream::Metrics::new(registry, names.clone());
        let upstreams = config
            .upstreams
            .iter()
            .enumerate()
            .map(|(index, upstream)| Upstream::new(upstream, index, &config.limits, upstream_metrics.clone()))
            .collect::<Result<_, _>>()?;
        let metrics = Metrics::new(registry, &config);
        Ok(Arc::new(Self {
            routes: RouteTable::new(&config.routes),
            policies: config.routes.iter().map(|route| policy_of(&config, route)).collect(),
            upstreams,
            cache: Cache::new(&config.cache, registry),
            background: Background::new(registry),
            unsent: Unsent::new(config.limits.unsent_bytes, metrics.limit_hits.clone(), registry),
            metrics,
            tunnels: Tunnels::new(registry, &route_names, &names),
            permits: {
                let routes: Vec<_> = config.routes.iter().map(|route| (route.name.clone(), &route.websocket)).collect();
                Permits::new(registry, config.limits.tunnels, &routes)
            },
            access_log,
            head_limits: HeadLimits {
                target_bytes: config.limits.target_bytes,
                head_bytes: config.limits.head_bytes,
                fields: config.limits.fields,
            },
            terms: config.routes.iter().map(|route| Arc::new(Terms::new(&route.websocket, &config.timeouts))).collect(),
            stopper: Stopper::new(),
            fallen: Mutex::new(Pace::new(config.limits.drain_rate, Instant::now().into_std())),
            config,
        }))
    }

    /// Serves one connection to its end, tunnels and all.
    pub fn serve(self: Arc<Self>, stream: Stream, info: ClientInfo) -> impl Future<Output = ()> + Send {
        Serving::Requests(if info.http2 {
            Box::pin(async move {
                http2::serve(self, stream, info).await;
                None
            })
        } else {
            Box::pin(http1::serve(self, stream, info))
        })
    }

    /// The upstreams, for operators.
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// What is open, for operators.
    pub fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// From now on: idle connections close, busy ones close after their answer, and what comes
    /// to no end by itself, tunnels above all, is told to go one after another.
    pub fn drain(&self) {
        self.stopper.drain();
        let (rate, most) = (self.config.limits.drain_rate, self.config.timeouts.tunnel_drain);
        let count = self.tunnels.drain_all(self.usual_drain(CloseReason::Drain));
        if count > 0 {
            let needed = Duration::from_secs(count as u64) / rate.max(1);
            tracing::info!(tunnels = count, rate, "draining: tunnels are told to go; the last one in {needed:.1?}");
            if needed > most {
                tracing::warn!(
                    "{most:?} are too short for that: see `drain_rate` of [limits] and `tunnel_drain` of [timeouts]"
                );
            }
        }
    }

    /// Lets the open tunnels follow a new configuration, under which nothing else is done here: those that it leaves as
    /// they are notice nothing, the others go as their routes say, at the drain's pace. Says how many go.
    pub fn follow(&self, new: &Config) -> usize {
        let count = self.tunnels.follow(&fates(&self.config, new), self.usual_drain(CloseReason::RouteChanged));
        if count > 0 {
            tracing::info!(tunnels = count, "tunnels are told to go: their routes have changed");
        }
        count
    }

    /// Tunnels of servers that have gone down since this was last asked go too, where their route says so.
    fn follow_fallen(&self, upstream: usize) {
        let fallen = self.upstreams[upstream].take_fallen();
        if fallen.is_empty() {
            return;
        }
        fence(Ordering::SeqCst);
        let goes = |live: &Live| {
            // A handshake finds another server by itself, or is asked when it is open.
            live.is_tunnel()
                && live.state() != State::Connecting
                && live.upstream as usize == upstream
                && self.leaves_fallen(live.route as usize)
                && fallen.iter().any(|server| live.is_at(server))
        };
        let count = self.tunnels.drain(goes, |count| self.turns_of_fallen(count));
        if count > 0 {
            tracing::info!(tunnels = count, servers = ?fallen, "tunnels are told to go: their servers are down");
        }
    }

    /// The same for a tunnel that has just opened: its server may have gone down since it took the handshake.
    fn follow_fallen_late(&self, open: &Open, chosen: &Chosen, route: usize) {
        // Either this sees that the server is down, or `follow_fallen`, which has come to know it, that the tunnel is open.
        fence(Ordering::SeqCst);
        if !chosen.is_down() || !self.leaves_fallen(route) {
            return;
        }
        open.drain(&mut self.turns_of_fallen(1));
        tracing::debug!("a tunnel is told to go: its server is down");
    }

    /// Turns for so many whose server has gone down, behind those who have theirs: no two drains share one.
    fn turns_of_fallen(&self, count: usize) -> Drain {
        let mut drain = self.usual_drain(CloseReason::Drain);
        let mut fallen = self.fallen.lock();
        drain.pace.queue_behind(&fallen);
        let turns = drain.reserve(count);
        *fallen = drain.pace;
        turns
    }

    /// Whether the tunnels of that route go when their server is down.
    fn leaves_fallen(&self, route: usize) -> bool {
        self.config.routes.get(route).is_some_and(|route| route.websocket.on_backend_down == OnBackendDown::Drain)
    }

    fn usual_drain(&self, reason: CloseReason) -> Drain {
        let now = Instant::now();
        let pace = Pace::new(self.config.limits.drain_rate, now.into_std());
        Drain { reason, pace, cut_at: now + self.config.timeouts.tunnel_drain }
    }

    /// From now on: tunnels end at once; what else is left is dropped with its connection.
    pub fn cut(&self) {
        self.stopper.cut();
        self.tunnels.cut_all();
    }

    /// The route and its upstream, once the guards have let the request through; `None` for a redirect.
    fn route<C: Client>(
        &self,
        client: &mut C,
        request: &RequestHead,
        facts: &mut Facts,
    ) -> Result<Option<(usize, usize)>, Fault> {
        let index = self.routes.find(request).ok_or(Fault::NoRoute)?;
        facts.route = Some(index);
        let route = &self.config.routes[index];
        let RouteAction::Forward { upstream } = route.action else { return Ok(None) };
        if request.framing != Framing::None {
            client.limit_body(route.body_bytes);
            if matches!(request.framing, Framing::Length(length) if length > route.body_bytes) {
                return Err(ClientFault::BodyTooLarge.into());
            }
        }
        Ok(Some((index, upstream)))
    }

    /// A request to the visit's upstream, which begins now.
    fn opening(&self, visit: &Visit<'_>, outgoing: Outgoing, sending: Sending, now: Now) -> Opening {
        let upstream = &self.upstreams[visit.upstream];
        let affinity = fields::affinity(upstream.config.sticky.as_ref(), visit.request, visit.way.client);
        Opening::new(upstream, outgoing, affinity, sending, now)
    }

    /// Sends a request to the visit's upstream, `now`, and waits for the head of the answer.
    fn open<C: Client>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        outgoing: Outgoing,
        sending: Sending,
        now: Now,
    ) -> impl Future<Output = Opened<Fault>> + Send {
        let mut opening = self.opening(visit, outgoing, sending, now);
        async move {
            let opened = opening.with_client(client).await;
            visit.facts.server = opening.server();
            opened
        }
    }

    /// A request that went to the backend at `requested`, for the cache's decisions about its answer.
    fn exchange<'v>(&'v self, visit: &Visit<'v>, requested: Now, transfer: &Transfer) -> cache::Exchange<'v> {
        let policy = &self.policies[visit.route];
        cache::Exchange { request: visit.request, policy, requested, answered: transfer.answered }
    }

    /// The address of the server that was asked last, as configured.
    fn server_name(&self, facts: &Facts) -> Option<&Arc<str>> {
        let RouteAction::Forward { upstream } = self.config.routes[facts.route?].action else { return None };
        Some(self.upstreams[upstream].server_name(facts.server?))
    }
}

impl Visit<'_> {
    fn route<'g>(&self, gateway: &'g Gateway) -> &'g Route {
        &gateway.config.routes[self.route]
    }

    /// Lends the request's key, from a buffer of the thread's; `work` must not ask for another.
    fn with_key<T>(&self, gateway: &Gateway, work: impl FnOnce(&[u8]) -> T) -> T {
        KEY.with_borrow_mut(|key| {
            self.write_key(gateway, key);
            work(key)
        })
    }

    /// The key of the request's answer: scheme, authority and target, as the route's shape has them; the fields that are
    /// part of it; what a trusted proxy says of the way; and the route, where fields chose it.
    fn write_key(&self, gateway: &Gateway, key: &mut Vec<u8>) {
        let (route, request) = (self.route(gateway), self.request);
        let shape = &route.cache.key;
        cache::key::build_shaped(key, request.scheme, &request.authority, &request.target, shape);
        cache::key::add_fields(key, &request.fields, shape);
        if self.way.trusted {
            fields::write_way(request, key);
        }
        if !route.matches.fields.is_empty() {
            cache::key::add_route(key, self.route);
        }
    }
}

/// Whether the ask lane takes a request: nothing but its target and fields says what is wanted.
fn is_ask(request: &RequestHead) -> bool {
    matches!(request.method, Method::GET | Method::HEAD)
        && matches!(request.framing, Framing::None | Framing::Length(0))
}

fn policy_of(config: &Config, route: &Route) -> cache::Policy {
    cache::Policy {
        store_set_cookie: route.cache.store_set_cookie,
        client_cache_control: route.cache.client_cache_control,
        heuristic: route.cache.heuristic,
        stale_if_error: route.cache.stale_if_error,
        stale_while_revalidate: route.cache.stale_while_revalidate,
        default_ttl: route.cache.default_ttl,
        targeted_fields: config.cache.targeted_fields.clone(),
    }
}

#[cfg(test)]
mod tests;
