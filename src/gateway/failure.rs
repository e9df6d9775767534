//! Answers that the gateway gives itself: refusals, failures, redirects. Small, HTML or JSON as the client prefers, with
//! the request's id and no version.

use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::{
    Gateway,
    client::{BodyLength, Client, ClientFault, flush},
    facts::Facts,
};
use crate::{
    cache::{FillFailed, policy::date},
    clock::Now,
    tunnel::{CloseReason, NoPermit, PermitLimit},
    upstream::Failure,
    wire::{Refusal, RequestHead, ResponseHead, Version, response::reason_for},
};

/// Why a request was not answered by a backend or the store.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Backend(Failure),
    Client(ClientFault),
    /// The body that others fetch broke off.
    Fill(FillFailed),
    /// `only-if-cached` and nothing stored (RFC 9111 §5.2.1.7).
    OnlyIfCached,
    NoRoute,
    /// An extended CONNECT where the route takes no WebSockets (RFC 9220 §3).
    NoTunnel,
    /// The gateway is stopping.
    Draining,
    /// Somebody wanted its end: an operator, or the gateway that stops.
    Ended(CloseReason),
    /// A limit on tunnels stands against one more.
    NoPermit(NoPermit),
}

/// One answer of our own.
pub(super) struct OwnAnswer<'a> {
    pub(super) status: u16,
    /// One sentence for people.
    pub(super) message: &'a str,
    /// Further field lines.
    pub(super) fields: &'a [(&'a str, &'a str)],
}

impl Fault {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Backend(failure) => failure.status(),
            Self::Client(fault) => fault.status(),
            Self::Fill(_) => 502,
            Self::OnlyIfCached => 504,
            Self::NoRoute => 404,
            Self::NoTunnel => 501,
            Self::Draining | Self::Ended(_) | Self::NoPermit(_) => 503,
        }
    }

    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Backend(failure) => failure.label(),
            Self::Client(fault) => fault.label(),
            Self::Fill(FillFailed::Incomplete) => "fill_failed",
            Self::Fill(FillFailed::TooSlow) => "too_slow",
            Self::OnlyIfCached => "only_if_cached",
            Self::NoRoute => "no_route",
            Self::NoTunnel => "no_tunnel",
            Self::Draining => "draining",
            Self::Ended(reason) => reason.label(),
            Self::NoPermit(refused) => refused.limit.label(),
        }
    }

    /// Seconds after which the client may come back, if it is turned away; spread, so that not all come back in the same
    /// moment.
    fn retry_after(&self) -> Option<u64> {
        let least = match self {
            Self::Draining => Duration::ZERO,
            Self::Ended(CloseReason::Drain | CloseReason::RouteChanged | CloseReason::ShutdownCut) => Duration::ZERO,
            Self::Backend(Failure::TakenOut | Failure::Local(_)) => Duration::ZERO,
            Self::NoPermit(refused) => refused.after,
            _ => return None,
        };
        Some(least.as_secs() + u64::from(fastrand::u32(RETRY_SECONDS)))
    }

    /// Whether the same request may well be answered a little later.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Backend(_) | Self::Fill(_) | Self::Draining | Self::Ended(_))
    }

    fn message(&self) -> &'static str {
        match self {
            Self::Backend(Failure::TakenOut) => "The application is being worked on.",
            Self::Backend(failure) if failure.status() == 504 => "The application did not answer in time.",
            Self::Backend(_) | Self::Fill(_) => "The application could not be reached or gave a broken answer.",
            Self::Client(ClientFault::BodyTooLarge) => "The request body is larger than this server accepts.",
            Self::Client(ClientFault::BodyTimeout) => "The request body came too slowly.",
            Self::Client(_) => "The request could not be understood.",
            Self::OnlyIfCached => "Nothing is stored for this request.",
            Self::NoRoute => "No route is configured for this host and path.",
            Self::NoTunnel => "No WebSockets are served here.",
            Self::Draining => "This server is stopping.",
            Self::Ended(_) => "This request was ended by the server's operator.",
            Self::NoPermit(NoPermit { limit: PermitLimit::Drained, .. }) => "The application is being worked on.",
            Self::NoPermit(_) => "Too many connections are open or come at once.",
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Backend(failure)
    }
}

impl From<ClientFault> for Fault {
    fn from(fault: ClientFault) -> Self {
        Self::Client(fault)
    }
}

/// Ends a request that failed: an error page if nothing was sent yet, else a cut that can't be taken for the end.
pub(super) async fn fail<C: Client>(client: &mut C, request: &RequestHead, facts: &mut Facts, fault: &Fault) {
    facts.failure = fault.label();
    // A backend's answer may break in the very bytes that its head came with.
    let is_backends = matches!(fault, Fault::Backend(_) | Fault::Fill(_));
    if client.started() && !(is_backends && client.take_back()) {
        return match fault {
            Fault::Ended(_) => client.break_off(),
            _ => client.abandon(),
        };
    }
    let is_gone = matches!(fault, Fault::Client(ClientFault::Gone | ClientFault::SendTimeout));
    if is_gone || (fault.may_pass() && is_event_source(request)) {
        // Nobody is there to be told, or it would not come back if it were: the status is for the log and the counters.
        facts.status = fault.status();
        return client.abandon();
    }
    let retry = fault.retry_after().map(|seconds| seconds.to_string());
    let retry = retry.as_deref().map(|seconds| ("Retry-After", seconds));
    let fields = retry.as_slice();
    answer(client, request, facts, &OwnAnswer { status: fault.status(), message: fault.message(), fields }).await;
}

/// The methods that are served (RFC 9110 §10.2.1).
pub(super) const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");

/// Whether a browser's `EventSource` asks: it comes back after a connection that broke, and never after an answer with another
/// status than 200 (WHATWG HTML §9.2.3). What it sends is said there too (§9.2.2); a program that reads the status says less.
fn is_event_source(request: &RequestHead) -> bool {
    let says = |name, value: &[u8]| request.fields.get(name).is_some_and(|said| said.eq_ignore_ascii_case(value));
    request.method == Method::GET && says("accept", b"text/event-stream") && says("cache-control", b"no-cache")
}

/// After how long a client that is turned away may come back.
const RETRY_SECONDS: std::ops::RangeInclusive<u32> = 3..=10;

/// Queues and writes an answer of our own.
pub(super) async fn answer<C: Client>(client: &mut C, request: &RequestHead, facts: &mut Facts, own: &OwnAnswer<'_>) {
    facts.status = own.status;
    let json = prefers_json(request);
    let body = page(own, json, facts.request_id());
    let media_type = if json { "application/json" } else { "text/html; charset=utf-8" };
    let mut head = own_head(own.status, facts.now, media_type, body.len());
    for (name, value) in own.fields {
        head.fields.push(name, value);
    }
    client.start(&head, BodyLength::Exact(body.len() as u64));
    client.push(Bytes::from(body));
    client.finish(None);
    if let Err(fault) = flush(client).await {
        facts.failure = fault.label();
    }
}

/// The head of an answer of our own, which nobody is to keep.
pub(super) fn own_head(status: u16, now: Now, media_type: &str, length: usize) -> ResponseHead {
    let mut head = ResponseHead { version: Version::Http11, status, ..ResponseHead::default() };
    // RFC 9110 §6.6.1.
    head.fields.push("Date", date::written(now.unix_seconds()));
    head.fields.push("Content-Type", media_type);
    head.fields.push("Cache-Control", "no-store");
    head.fields.push("Content-Length", length.to_string());
    head
}

/// Answers a head that was refused.
pub(super) async fn refuse<C: Client>(gateway: &Gateway, client: &mut C, request: &RequestHead, refusal: Refusal) {
    gateway.metrics.refused.add(refusal.label(), 1);
    match refusal {
        Refusal::HeadTooLarge => gateway.metrics.limit_hits.add("head_bytes", 1),
        Refusal::TooManyFields => gateway.metrics.limit_hits.add("fields", 1),
        Refusal::TargetTooLong => gateway.metrics.limit_hits.add("target_bytes", 1),
        _ => {}
    }
    // RFC 9110 §15.5.6: a 405 names the methods that are there.
    let fields: &[(&str, &str)] = if refusal.status() == 405 { &[ALLOW] } else { &[] };
    end_with(
        gateway,
        client,
        request,
        refusal.label(),
        OwnAnswer { status: refusal.status(), message: reason_for(refusal.status()), fields },
    )
    .await;
}

/// Answers a head that did not come whole in time (RFC 9110 §15.5.9).
pub(super) async fn too_slow<C: Client>(gateway: &Gateway, client: &mut C, request: &RequestHead) {
    gateway.metrics.limit_hits.add("head_timeout", 1);
    let own = OwnAnswer { status: 408, message: "The request came too slowly.", fields: &[] };
    end_with(gateway, client, request, "head_timeout", own).await;
}

async fn end_with<C: Client>(
    gateway: &Gateway,
    client: &mut C,
    request: &RequestHead,
    failure: &'static str,
    own: OwnAnswer<'_>,
) {
    let mut facts = Facts::new(Now::read(), client.info().ip());
    answer(client, request, &mut facts, &own).await;
    facts.failure = failure;
    gateway.record(&mut facts, request, client);
}

/// Whether the client names JSON before HTML.
fn prefers_json(request: &RequestHead) -> bool {
    let accept = request.fields.get("accept").unwrap_or_default();
    let place = |word: &[u8]| memchr::memmem::find(accept, word);
    match (place(b"json"), place(b"html")) {
        (Some(json), Some(html)) => json < html,
        (json, _) => json.is_some(),
    }
}

fn page(own: &OwnAnswer<'_>, json: bool, request_id: &str) -> String {
    let (status, reason, message) = (own.status, reason_for(own.status), own.message);
    if json {
        return format!(
            "{{\"status\":{status},\"title\":\"{reason}\",\"detail\":\"{message}\",\"request_id\":\"{request_id}\"}}\n"
        );
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{status} {reason}</title></head>\n<body><h1>{status} {reason}</h1>\n\
         <p>{message}</p>\n<p><small>Request {request_id}</small></p></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_for_no_fault_of_its_own_is_told_when_to_come_back() {
        for reason in [CloseReason::Drain, CloseReason::RouteChanged, CloseReason::ShutdownCut] {
            let fault = Fault::Ended(reason);
            assert_eq!((fault.status(), fault.retry_after().is_some()), (503, true), "{reason:?}");
        }
        assert_eq!(Fault::Ended(CloseReason::Kicked).retry_after(), None);
    }
}
