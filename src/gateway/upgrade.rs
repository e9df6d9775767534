//! The tunnel lane's beginning: a WebSocket handshake, checked on both sides, and then the tunnel (RFC 6455 §4).

use std::sync::Arc;

use super::{
    Gateway, Visit,
    client::{Client, ClientFault, flush},
    facts::Facts,
    failure::{self, Fault, OwnAnswer},
    fields::Lane,
    http1::Http1Client,
    transfer::{Sending, Transfer, body_length},
};
use crate::{
    access_log::Kind,
    clock::Now,
    tunnel::{self, HandshakeResult, StopPhase, Terms},
    upstream::Failure,
    wire::{RequestHead, ResponseHead, strip_hop_by_hop},
};

/// Bytes that a peer of a tunnel leaves unacknowledged for this long: it has gone.
const UNACKNOWLEDGED_MAX: std::time::Duration = std::time::Duration::from_secs(120);

/// Takes a request that asks for a WebSocket: tunnels, and gives nothing back, or answers it and gives the client back.
pub(super) async fn serve(
    gateway: &Arc<Gateway>,
    mut client: Http1Client,
    request: &mut RequestHead,
) -> Option<Http1Client> {
    let way = gateway.way(request, client.info());
    let mut facts = Facts::new(Now::read(), way.client);
    let (route, upstream) = match gateway.route(&mut client, request, &mut facts) {
        Ok(Some((route, upstream))) if gateway.config.routes[route].websocket.enabled => (route, upstream),
        // No tunnels here: an ordinary request, whose Upgrade goes no further.
        _ => {
            gateway.journey(&mut client, request).await;
            return Some(client);
        }
    };
    let mut visit = Visit { request, way, route, upstream, facts };
    let outcome = match gateway.shake_hands(&mut client, &mut visit).await {
        Ok(Handshake::Switched(transfer, head)) => {
            gateway.tunnel(client, visit, transfer, head).await;
            return None;
        }
        Ok(Handshake::Refused) => Ok(()),
        Ok(Handshake::Declined(transfer, head)) => {
            gateway.tunnels.refused(route, HandshakeResult::Declined);
            let length = body_length(&visit.request.method, &head);
            gateway.start(&mut client, &mut visit, head, length, Some(&transfer.chosen), None);
            transfer.finish(&mut client).await
        }
        Err(fault) => {
            gateway.tunnels.refused(route, result_of(&fault));
            Err(fault)
        }
    };
    if let Err(fault) = outcome {
        failure::fail(&mut client, visit.request, &mut visit.facts, &fault).await;
    }
    gateway.record(&mut visit.facts, visit.request, &client);
    Some(client)
}

/// What a handshake came to.
enum Handshake {
    /// 101 from the backend, and rightly so.
    Switched(Transfer, ResponseHead),
    /// The backend's answer is another one, for the client to see.
    Declined(Transfer, ResponseHead),
    /// Answered here.
    Refused,
}

impl Gateway {
    async fn shake_hands(&self, client: &mut Http1Client, visit: &mut Visit<'_>) -> Result<Handshake, Fault> {
        if self.stopper.signal().phase() > StopPhase::Running {
            return Err(Fault::Draining);
        }
        let handshake = match tunnel::check(visit.request) {
            Ok(handshake) => handshake,
            Err(refusal) => {
                self.tunnels.refused(visit.route, HandshakeResult::Invalid);
                visit.facts.failure = refusal.label();
                let own = OwnAnswer {
                    status: refusal.status(),
                    message: "This is not a WebSocket handshake that can be understood (RFC 6455).",
                    fields: refusal.fields(),
                };
                return Ok(self.refuse(client, visit, own).await);
            }
        };
        if let Err(foreign) = tunnel::check_origin(visit.request, &visit.route(self).websocket.origins) {
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
        let outgoing = self.outgoing(visit, client.info(), Lane::Tunnel);
        let (transfer, head) = self.open(client, visit, &outgoing, Sending::Upgrade).await?;
        if head.status != 101 {
            return Ok(Handshake::Declined(transfer, head));
        }
        match tunnel::verify_switch(&head, handshake.key()) {
            Ok(()) => Ok(Handshake::Switched(transfer, head)),
            Err(fault) => {
                tracing::warn!(reason = fault.label(), server = ?visit.facts.server, "a backend's 101 does not answer the handshake");
                Err(Failure::BadSwitch.into())
            }
        }
    }

    async fn refuse(&self, client: &mut Http1Client, visit: &mut Visit<'_>, own: OwnAnswer<'_>) -> Handshake {
        let failure = visit.facts.failure;
        failure::answer(client, visit.request, &mut visit.facts, &own).await;
        visit.facts.failure = failure;
        Handshake::Refused
    }

    /// Tells the client that the tunnel is open, and carries bytes until it has ended.
    async fn tunnel(&self, mut client: Http1Client, mut visit: Visit<'_>, transfer: Transfer, mut head: ResponseHead) {
        visit.facts.status = 101;
        self.switch_fields(&mut head, &visit);
        super::fields::set_sticky_cookie(&mut head, visit.request, &transfer.chosen);
        client.switch(&head);
        if let Err(fault) = flush(&mut client).await {
            self.tunnels.refused(visit.route, HandshakeResult::ClientGone);
            visit.facts.failure = fault.label();
            return self.record(&mut visit.facts, visit.request, &client);
        }
        self.log_open(&mut visit, &client);
        let idle = visit.route(self).websocket.idle_timeout;
        let timeouts = &self.config.timeouts;
        let (linger, close) = (timeouts.tunnel_linger, timeouts.tunnel_close);
        let terms = Terms { idle, linger, close, send: UNACKNOWLEDGED_MAX };
        // The load of the server counts open tunnels too: `chosen` lives as long as this one.
        let Transfer { mut chosen, exchange, .. } = transfer;
        chosen.count();
        let Some((backend, backend_first)) = exchange.into_upgraded() else { return };
        let has_address = client.info().client.is_some();
        let (stream, client_first) = client.into_parts();
        let open = self.tunnels.open(visit.route, visit.upstream);
        let ended =
            tunnel::run(stream, client_first, backend, backend_first, &terms, self.stopper.signal(), open).await;
        drop(chosen);
        self.log_close(&visit, has_address, &ended);
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

    fn log_open(&self, visit: &mut Visit<'_>, client: &Http1Client) {
        if self.access_log.is_on() {
            visit.facts.request_id();
            let mut record = self.line(&visit.facts, visit.request, Kind::TunnelOpen);
            record.client = client.info().client.map(|_| visit.facts.client);
            self.access_log.write(&record);
        }
    }

    fn log_close(&self, visit: &Visit<'_>, has_address: bool, ended: &tunnel::Ended) {
        if !self.access_log.is_on() {
            return;
        }
        let kind = Kind::TunnelClose {
            reason: ended.reason.label(),
            code: ended.code,
            by: ended.by.label(),
            bytes_up: ended.bytes_up,
            bytes_down: ended.bytes_down,
        };
        let mut record = self.line(&visit.facts, visit.request, kind);
        record.now = Now::read();
        record.client = has_address.then_some(visit.facts.client);
        record.duration = ended.duration;
        self.access_log.write(&record);
    }
}

fn result_of(fault: &Fault) -> HandshakeResult {
    match fault {
        Fault::Draining => HandshakeResult::Limited,
        Fault::Backend(Failure::BadSwitch) => HandshakeResult::BadSwitch,
        Fault::Client(ClientFault::Gone) => HandshakeResult::ClientGone,
        _ => HandshakeResult::BackendFailed,
    }
}
