//! The tunnel lane's beginning: a WebSocket handshake, checked on both sides, and then the tunnel (RFC 6455 §4).

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::{
    Gateway, Visit,
    client::{Client, ClientFault, flush},
    facts::Facts,
    failure::{self, Fault, OwnAnswer},
    fields::Lane,
    journey::Begun,
    observed::{Observed, Track},
    opening::Sending,
    transfer::Transfer,
    watch::unless_asked,
};
use crate::{
    access_log::{Kind, Record},
    clock::Now,
    config::Sticky,
    net::Stream,
    tunnel::{self, About, BadSwitch, Connecting, ForeignOrigin, HandshakeResult, Permit, PermitLimit, StopPhase},
    upstream::{Chosen, Failure},
    wire::{RequestHead, ResponseHead, Version, strip_hop_by_hop, strip_nominated},
};

/// A client whose exchange may become a tunnel.
pub(super) trait TunnelClient: Client {
    /// Queues the head that opens the tunnel. Gives the status that it says.
    fn switch(&mut self, head: ResponseHead) -> u16;

    /// The client's bytes from here on, and those that came behind its handshake; `None` if it was told of no tunnel.
    fn into_stream(self) -> Option<(Stream, Bytes)>;
}

/// A tunnel that carries bytes; gives nothing but its end.
pub(super) type OpenTunnel = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What both sides have agreed to: the client has its 101, and the bytes are next.
pub(super) struct Agreed {
    chosen: Chosen,
    permit: Permit,
    connecting: Connecting,
    backend: Stream,
    backend_first: Bytes,
    facts: Facts,
    route: usize,
    subprotocol: Box<str>,
    /// How long the session lasts that the backend has let it in with.
    session: Option<Duration>,
}

/// Takes a request that asks for a WebSocket: gives the tunnel to be opened, or answers the request.
pub(super) async fn serve<C: TunnelClient>(
    gateway: &Arc<Gateway>,
    client: &mut C,
    request: &mut RequestHead,
) -> Option<Agreed> {
    // As for any other request: a field for this hop alone chooses no route.
    strip_nominated(&mut request.fields);
    let way = gateway.way(request, client.info());
    let mut facts = Facts::new(Now::read(), way.client);
    let (route, upstream) = match gateway.route(client, request, &mut facts) {
        Ok(Some((route, upstream))) if gateway.config.routes[route].websocket.enabled => (route, upstream),
        Ok(Some(_)) if request.version == Version::Http2 => {
            // An ordinary answer to CONNECT could be taken for a tunnel.
            Box::pin(failure::fail(client, request, &mut facts, &Fault::NoTunnel)).await;
            gateway.record(&mut facts, request, client);
            return None;
        }
        // No tunnels here: an ordinary request, whose Upgrade goes no further.
        _ => {
            match gateway.begin(client, request) {
                Begun::Answered(answered) => Box::pin(gateway.send(client, request, answered)).await,
                Begun::Onward(onward) => gateway.proceed(client, request, onward).await,
            };
            return None;
        }
    };
    let mut visit = Visit { request, way, route, upstream, facts };
    let shaken = gateway.shake_hands(client, &mut visit).await;
    gateway.follow_fallen(upstream);
    let outcome = match shaken {
        Ok(Handshake::Switched(switched)) => return gateway.switch(client, visit, switched).await,
        Ok(Handshake::Refused) => Ok(()),
        Ok(Handshake::Declined(transfer, head)) => {
            gateway.tunnels.refused(route, HandshakeResult::Declined);
            Box::pin(gateway.pass_on(client, &mut visit, *transfer, head)).await
        }
        Err(fault) => {
            gateway.tunnels.refused(route, result_of(&fault));
            Err(fault)
        }
    };
    if let Err(fault) = outcome {
        Box::pin(failure::fail(client, visit.request, &mut visit.facts, &fault)).await;
    }
    gateway.record(&mut visit.facts, visit.request, client);
    None
}

/// What a handshake came to.
enum Handshake {
    /// 101 from the backend, and rightly so.
    Switched(Box<Switched>),
    /// The backend's answer is another one, for the client to see.
    Declined(Box<Transfer>, ResponseHead),
    /// Answered here.
    Refused,
}

/// What a backend's 101 comes with.
struct Switched {
    transfer: Transfer,
    head: ResponseHead,
    permit: Permit,
    connecting: Connecting,
    session: Option<Duration>,
}

impl Gateway {
    async fn shake_hands<C: TunnelClient>(&self, client: &mut C, visit: &mut Visit<'_>) -> Result<Handshake, Fault> {
        if self.stopper.signal().phase() > StopPhase::Running {
            return Err(Fault::Draining);
        }
        let handshake = match tunnel::check(visit.request) {
            Ok(handshake) => handshake,
            Err(refusal) => {
                self.tunnels.refused(visit.route, HandshakeResult::Invalid);
                visit.facts.failure = refusal.label();
                let own = OwnAnswer {
                    status: refusal.status(visit.request.version),
                    message: "This is not a WebSocket handshake that can be understood (RFC 6455).",
                    fields: refusal.fields(),
                };
                return Ok(self.refuse(client, visit, own).await);
            }
        };
        if let Err(foreign) = self.check_origin(visit) {
            self.tunnels.refused(visit.route, HandshakeResult::Origin);
            visit.facts.failure = foreign.label();
            let shown = |name| visit.request.fields.get(name).map(String::from_utf8_lossy).unwrap_or_default();
            tracing::info!(
                reason = foreign.label(), origin = ?shown("origin"), host = ?visit.request.authority,
                route = %visit.route(self).name, "WebSocket handshake refused: see `websocket.origins` of the route"
            );
            let message = "This page's origin may not open a WebSocket here.";
            return Ok(self.refuse(client, visit, OwnAnswer { status: foreign.status(), message, fields: &[] }).await);
        }
        let route = visit.route;
        let asker = visit.asker(client);
        let permit = self.permits.take(route, asker.client, visit.facts.now.instant).map_err(Fault::NoPermit)?;
        let refused = |limit| Fault::NoPermit(self.permits.refuse(route, limit));
        let (about, since) = (asker.about(tunnel::Kind::WebSocket), visit.facts.now.instant.into());
        let connecting = self.tunnels.connect(route, visit.upstream, about, since);
        let mut connecting = connecting.map_err(|tunnel::Drained| refused(PermitLimit::Drained))?;
        let outgoing = self.outgoing(visit, client.info(), Lane::Tunnel);
        let track = Track::of(visit.request);
        let observed = &mut Observed::new(client, &track);
        let mut opening = self.opening(visit, outgoing, Sending::Upgrade, visit.facts.now);
        let opened = unless_asked(&mut connecting, &track, pin!(opening.with_client(observed))).await;
        visit.facts.server = opening.server();
        let (mut transfer, mut head) = opened.map_err(|fault| match fault {
            Fault::Backend(Failure::Full) => refused(PermitLimit::Server),
            fault => fault,
        })?;
        // RFC 8441 §5, RFC 9110 §9.3.6: over HTTP/2 a 2xx would say that the tunnel is open.
        if visit.request.version == Version::Http2 && (200..300).contains(&head.status) {
            return Err(Failure::BadSwitch.into());
        }
        if head.status != 101 {
            transfer.chosen.decline();
            return Ok(Handshake::Declined(Box::new(transfer), head));
        }
        let verified = tunnel::verify_switch(&head, handshake.key()).and_then(|()| self.session_of(&mut head, visit));
        match verified {
            Ok(session) => Ok(Handshake::Switched(Box::new(Switched { transfer, head, permit, connecting, session }))),
            Err(fault) => {
                tracing::warn!(reason = fault.label(), server = ?self.server_name(&visit.facts), "a backend's 101 does not answer the handshake");
                Err(Failure::BadSwitch.into())
            }
        }
    }

    /// Whether the route lets the handshake's Origin in. The cookie that ties clients to servers is the gateway's own.
    pub(super) fn check_origin(&self, visit: &Visit<'_>) -> Result<(), ForeignOrigin> {
        let ours = match &self.upstreams[visit.upstream].config.sticky {
            Some(Sticky::Cookie(name)) => Some(name.as_str()),
            _ => None,
        };
        tunnel::check_origin(visit.request, &visit.route(self).websocket.origins, ours)
    }

    /// Passes on the answer that a backend gives instead of a tunnel; like any other it is a row when it lasts.
    async fn pass_on<C: TunnelClient>(
        &self,
        client: &mut C,
        visit: &mut Visit<'_>,
        transfer: Transfer,
        head: ResponseHead,
    ) -> Result<(), Fault> {
        let (asker, now) = (visit.asker(client), visit.facts.now);
        let mut watchdog = client.lend_watchdog();
        let track = Track::of(visit.request);
        let observed = &mut Observed::new(client, &track);
        if let Some(server) = self.server_name(&visit.facts) {
            observed.asking(server);
        }
        let work = self.stream(observed, visit, transfer, head, None, Vec::new());
        let (outcome, row) = self.watched(asker, &track, &mut watchdog, now, pin!(work)).await;
        client.return_watchdog(watchdog);
        self.close_row(row, &outcome, client);
        outcome
    }

    /// Takes out of a 101 what it says about the session.
    fn session_of(&self, head: &mut ResponseHead, visit: &Visit<'_>) -> Result<Option<Duration>, BadSwitch> {
        let Some(name) = &visit.route(self).websocket.session_field else { return Ok(None) };
        let left = {
            let mut lines = head.fields.all(name);
            match (lines.next(), lines.next()) {
                (None, _) => return Ok(None),
                (Some(value), None) => tunnel::session_left(value, Now::read().unix),
                (Some(_), Some(_)) => None,
            }
        };
        head.fields.remove(name);
        // What should end and can't is not begun.
        left.map(Some).ok_or(BadSwitch::Session)
    }

    async fn refuse<C: TunnelClient>(&self, client: &mut C, visit: &mut Visit<'_>, own: OwnAnswer<'_>) -> Handshake {
        let failure = visit.facts.failure;
        Box::pin(failure::answer(client, visit.request, &mut visit.facts, &own)).await;
        visit.facts.failure = failure;
        Handshake::Refused
    }

    /// Tells the client that the tunnel is open. `None` if it can't be told any more.
    async fn switch<C: TunnelClient>(
        &self,
        client: &mut C,
        mut visit: Visit<'_>,
        mut switched: Box<Switched>,
    ) -> Option<Agreed> {
        let mut head = std::mem::take(&mut switched.head);
        self.switch_fields(&mut head, &visit);
        let subprotocol = About::text(head.fields.get("sec-websocket-protocol"));
        super::fields::set_sticky_cookie(&mut head, visit.request, &switched.transfer.chosen);
        visit.facts.status = client.switch(head);
        if let Err(fault) = flush(client).await {
            self.tunnels.refused(visit.route, HandshakeResult::ClientGone);
            visit.facts.failure = fault.label();
            self.record(&mut visit.facts, visit.request, client);
            return None;
        }
        let Switched { transfer: Transfer { mut chosen, exchange, .. }, permit, connecting, session, .. } = *switched;
        chosen.count();
        let (backend, backend_first) = exchange.into_upgraded()?;
        let Visit { route, facts, .. } = visit;
        Some(Agreed { chosen, permit, connecting, backend, backend_first, facts, route, subprotocol, session })
    }

    /// Of the backend's 101 the client gets what belongs to the handshake, under our own hop fields.
    fn switch_fields(&self, head: &mut ResponseHead, visit: &Visit<'_>) {
        strip_hop_by_hop(&mut head.fields);
        // RFC 9110 §15.2.2, RFC 9112 §6.1: a 101 has no body to be framed.
        head.fields.remove("content-length");
        super::fields::edit(&mut head.fields, &visit.route(self).response_fields);
        head.fields.push("Connection", "Upgrade");
        head.fields.push("Upgrade", "websocket");
    }
}

impl Agreed {
    /// Lets go of what the handshake needed, and opens the tunnel.
    pub(super) fn open<C: TunnelClient>(
        self,
        gateway: Arc<Gateway>,
        client: C,
        request: &mut RequestHead,
    ) -> Option<OpenTunnel> {
        let Self { chosen, permit, connecting, backend, backend_first, facts, route, subprotocol, session } = self;
        let has_address = client.info().client.is_some();
        let (stream, client_first) = client.into_stream()?;
        let open = connecting.open(gateway.server_name(&facts), subprotocol);
        gateway.follow_fallen_late(&open, &chosen, route);
        // What the log says at the end is kept for nothing but the log.
        let logged = gateway
            .access_log
            .is_on()
            .then(|| Box::new(Logged::open(&gateway, facts, std::mem::take(request), has_address)));
        let terms = &gateway.terms[route];
        let terms = session.map_or_else(|| Arc::clone(terms), |left| Arc::new(terms.with_session(left)));
        Some(Box::pin(tunnel::run(stream, client_first, backend, backend_first, terms, open, move |ended| {
            // The load of a server counts open tunnels too, as do the limits.
            drop((chosen, permit));
            if let Some(logged) = logged {
                logged.close(&gateway, &ended);
            }
        })))
    }
}

/// What the two lines of a tunnel have in common.
struct Logged {
    request: RequestHead,
    facts: Facts,
    has_address: bool,
}

impl Logged {
    /// Writes the first line.
    fn open(gateway: &Gateway, mut facts: Facts, mut request: RequestHead, has_address: bool) -> Self {
        facts.request_id();
        // Of the fields no more is kept than lines tell.
        request
            .fields
            .retain(|name, _| [&b"referer"[..], b"user-agent"].iter().any(|told| name.eq_ignore_ascii_case(told)));
        request.fields.shrink();
        request.authority.shrink_to_fit();
        request.target.shrink_to_fit();
        let logged = Self { request, facts, has_address };
        gateway.access_log.write(&logged.line(gateway, Kind::TunnelOpen));
        logged
    }

    /// Writes the last line.
    fn close(&self, gateway: &Gateway, ended: &tunnel::Ended) {
        let kind = Kind::TunnelClose {
            reason: ended.reason.label(),
            code: ended.code(),
            by: ended.by.label(),
            bytes_up: ended.totals.up.bytes,
            bytes_down: ended.totals.down.bytes,
            messages_up: ended.totals.up.messages(),
            messages_down: ended.totals.down.messages(),
            text: ended.farewell.as_ref().map_or("", |farewell| &farewell.text),
        };
        let mut record = self.line(gateway, kind);
        record.now = Now::read();
        record.duration = ended.duration;
        gateway.access_log.write(&record);
    }

    fn line<'r>(&'r self, gateway: &'r Gateway, kind: Kind<'r>) -> Record<'r> {
        let mut record = gateway.line(&self.facts, &self.request, kind);
        record.client = self.has_address.then_some(self.facts.client);
        record
    }
}

fn result_of(fault: &Fault) -> HandshakeResult {
    match fault {
        Fault::Draining | Fault::Ended(_) | Fault::NoPermit(_) => HandshakeResult::Limited,
        Fault::Backend(Failure::BadSwitch) => HandshakeResult::BadSwitch,
        Fault::Client(ClientFault::Gone) => HandshakeResult::ClientGone,
        _ => HandshakeResult::BackendFailed,
    }
}
