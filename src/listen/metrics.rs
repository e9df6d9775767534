//! What the listeners count.

use std::sync::Arc;

use super::limit::Limit;
use crate::metrics::{Family, GaugeFamily, Registry};

/// The listeners' handles; cheap to clone. Listeners are told apart by their index, labelled with their address.
#[derive(Clone)]
pub struct Metrics {
    open: Arc<GaugeFamily<usize>>,
    accepted: Arc<Family<usize>>,
    refused: Arc<Family<Limit>>,
    accept_errors: Arc<Family<AcceptError>>,
    handshakes: Arc<Family<Handshake>>,
    reloads: Arc<Family<bool>>,
    expiry: Arc<GaugeFamily<(usize, usize)>>,
}

/// How a TLS handshake went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Handshake {
    /// The handshake was completed.
    Ok,
    /// `timeouts.tls_handshake` passed.
    Timeout,
    /// The client went away in the middle.
    Gone,
    /// The two could not agree, or the client did not speak TLS.
    Failed,
    /// The client spoke HTTP without TLS.
    Http,
}

/// Why a connection could not be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AcceptError {
    /// The process or the system is out of file descriptors.
    Descriptors,
    /// The system is out of memory for sockets.
    Memory,
    /// The client had gone before it was accepted.
    Gone,
    Other,
}

impl Metrics {
    /// Registers the handles. `listeners` are the labels of the listeners in order; `certificates` are the certificate
    /// files of each.
    pub fn register(registry: &Registry, listeners: Vec<String>, certificates: Vec<Vec<String>>) -> Self {
        let listeners: Arc<[String]> = listeners.into();
        let name_of = move |listeners: &Arc<[String]>| {
            let listeners = listeners.clone();
            move |index: &usize| vec![listeners.get(*index).cloned().unwrap_or_default()]
        };
        Self {
            open: registry.gauge_family(
                "tidegate_connections",
                "Client connections open now, tunnels among them.",
                &["listener"],
                name_of(&listeners),
            ),
            accepted: registry.family(
                "tidegate_connections_accepted_total",
                "Client connections taken from the system, refused ones among them.",
                &["listener"],
                name_of(&listeners),
            ),
            refused: registry.family(
                "tidegate_connections_refused_total",
                "Client connections closed before anything was read, by the limit that refused them. When this rises with limit=connections, the gateway is full.",
                &["limit"],
                |limit: &Limit| vec![limit.label().to_owned()],
            ),
            accept_errors: registry.family(
                "tidegate_accept_errors_total",
                "Connections that could not be accepted. reason=descriptors means that the open-file limit is too low; accepting pauses for 100 ms each time.",
                &["reason"],
                |error: &AcceptError| vec![error.label().to_owned()],
            ),
            handshakes: registry.family(
                "tidegate_tls_handshakes_total",
                "TLS handshakes with clients, by how they went. result=http is a client that spoke HTTP without TLS to a port with it.",
                &["result"],
                |result: &Handshake| vec![result.label().to_owned()],
            ),
            reloads: registry.family(
                "tidegate_tls_reloads_total",
                "Changed certificate files that were read again. result=failed leaves the certificate in use as it was.",
                &["result"],
                |ok: &bool| vec![if *ok { "ok" } else { "failed" }.to_owned()],
            ),
            expiry: registry.gauge_family(
                "tidegate_tls_certificate_expiry_timestamp_seconds",
                "When the certificate in use ends, in seconds since the Unix epoch.",
                &["listener", "file"],
                move |(listener, pair): &(usize, usize)| {
                    let certificate = certificates.get(*listener).and_then(|files| files.get(*pair));
                    vec![listeners.get(*listener).cloned().unwrap_or_default(), certificate.cloned().unwrap_or_default()]
                },
            ),
        }
    }

    pub(super) fn accepted(&self, listener: usize) {
        self.accepted.add(listener, 1);
    }

    pub(super) fn refused(&self, limit: Limit) {
        self.refused.add(limit, 1);
    }

    pub(super) fn accept_error(&self, error: AcceptError) {
        self.accept_errors.add(error, 1);
    }

    pub(super) fn handshake(&self, result: Handshake) {
        self.handshakes.add(result, 1);
    }

    pub(super) fn reload(&self, ok: bool) {
        self.reloads.add(ok, 1);
    }

    /// Moves a certificate's end from one moment to another; 0 is where it starts.
    pub(super) fn expiry_moved(&self, listener: usize, pair: usize, from: i64, to: i64) {
        self.expiry.add((listener, pair), to.saturating_sub(from));
    }

    /// One more open connection until the guard is dropped.
    pub(super) fn hold_open(&self, listener: usize) -> OpenConnection {
        self.open.add(listener, 1);
        OpenConnection { open: self.open.clone(), listener }
    }
}

/// One open connection in the gauge.
pub(super) struct OpenConnection {
    open: Arc<GaugeFamily<usize>>,
    listener: usize,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.add(self.listener, -1);
    }
}

impl Handshake {
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Http => "http",
        }
    }
}

impl AcceptError {
    fn label(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Memory => "memory",
            Self::Gone => "gone",
            Self::Other => "other",
        }
    }
}
