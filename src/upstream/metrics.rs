//! What is counted about backends. Label values are upstream names of the configuration and closed lists.

use std::sync::Arc;

use crate::metrics::{Family, GaugeFamily, HistogramFamily, Registry, buckets};

/// Handles shared by all upstreams; the key's `u16` is the upstream's index.
pub struct Metrics {
    /// Exchanges by result: `ok`, `cancelled` or a failure's word.
    pub exchanges: Arc<Family<(u16, &'static str)>>,
    /// Time to connect, name lookup and TLS included.
    pub connect: Arc<HistogramFamily<u16>>,
    /// Time from a request to the head of its answer.
    pub first_byte: Arc<HistogramFamily<u16>>,
    /// Requests sent once more.
    pub retries: Arc<Family<u16>>,
    /// Exchanges on a connection that had carried one before.
    pub reused: Arc<Family<u16>>,
    /// Requests under way and open tunnels.
    pub in_flight: Arc<GaugeFamily<u16>>,
}

impl Metrics {
    /// Declares the metrics; `names` are the upstreams' names in order.
    pub fn new(registry: &Registry, names: Vec<Arc<str>>) -> Arc<Self> {
        let names: Arc<[Arc<str>]> = names.into();
        let name = move |index: u16| names.get(usize::from(index)).map_or_else(String::new, |name| name.to_string());
        let one = {
            let name = name.clone();
            move |index: &u16| vec![name(*index)]
        };
        registry.gauge_from(
            "tidegate_upstream_idle_connections",
            "HTTP/1.1 connections to backends at rest, ready for the next request",
            || super::pool::resting() as f64,
        );
        Arc::new(Self {
            exchanges: registry.family(
                "tidegate_upstream_requests_total",
                "Exchanges with backends, by result: `ok`, `cancelled` (the client went first), or a fault on the backend's side; `local`: this machine had no descriptor or port left to connect with; `name`: the server's name led to no address",
                &["upstream", "result"],
                move |(index, result): &(u16, &'static str)| vec![name(*index), (*result).to_owned()],
            ),
            connect: registry.histogram_family(
                "tidegate_upstream_connect_duration_seconds",
                "Time to connect to a backend, name lookup and TLS included",
                &["upstream"],
                buckets::DURATION_SECONDS,
                one.clone(),
            ),
            first_byte: registry.histogram_family(
                "tidegate_upstream_first_byte_duration_seconds",
                "Time from the request to the head of the backend's answer",
                &["upstream"],
                buckets::DURATION_SECONDS,
                one.clone(),
            ),
            retries: registry.family(
                "tidegate_upstream_retries_total",
                "Requests sent once more: another server after a failed connect, or a kept connection that was dead",
                &["upstream"],
                one.clone(),
            ),
            reused: registry.family(
                "tidegate_upstream_connections_reused_total",
                "Exchanges on a connection that had carried one before",
                &["upstream"],
                one.clone(),
            ),
            in_flight: registry.gauge_family(
                "tidegate_upstream_in_flight",
                "Requests under way and open tunnels",
                &["upstream"],
                one,
            ),
        })
    }
}
