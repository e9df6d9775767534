//! What the gateway counts about requests; the parts count for themselves.

use std::sync::Arc;

use super::facts::{METHODS, RequestLabels};
use crate::{
    config::Config,
    metrics::{Family, HistogramFamily, Registry, buckets},
};

/// Handles of the request path. Routes are indices; `u16::MAX` stands for "no route".
pub(super) struct Metrics {
    pub(super) requests: Arc<Family<RequestLabels>>,
    pub(super) duration: Arc<HistogramFamily<u16>>,
    pub(super) sent: Arc<Family<u16>>,
    pub(super) received: Arc<Family<u16>>,
    pub(super) refused: Arc<Family<&'static str>>,
    pub(super) limit_hits: Arc<Family<&'static str>>,
}

/// The limits that are counted here; those on connections are counted where connections are accepted.
const LIMITS: [&str; 10] = [
    "head_bytes",
    "target_bytes",
    "fields",
    "head_timeout",
    "body_bytes",
    "body_rate",
    "send_timeout",
    "unsent",
    "http2_resets",
    "http2_flood",
];

impl Metrics {
    pub(super) fn new(registry: &Registry, config: &Config) -> Self {
        let names: Arc<[Arc<str>]> = config.routes.iter().map(|route| route.name.clone()).collect();
        let name =
            move |route: u16| names.get(usize::from(route)).map_or_else(|| "_none".to_owned(), |name| name.to_string());
        let one = {
            let name = name.clone();
            move |route: &u16| vec![name(*route)]
        };
        let word = |word: &&'static str| vec![(*word).to_owned()];
        let metrics = Self {
            requests: registry.family(
                "tidegate_http_requests_total",
                "Requests answered, by route, method, status and the cache's part in the answer",
                &["route", "method", "code", "cache"],
                move |labels: &RequestLabels| {
                    vec![
                        name(labels.route),
                        METHODS[usize::from(labels.method)].to_owned(),
                        labels.status.to_string(),
                        labels.cache.label().to_owned(),
                    ]
                },
            ),
            duration: registry.histogram_family(
                "tidegate_http_request_duration_seconds",
                "Time from a request's head to the end of its answer",
                &["route"],
                buckets::DURATION_SECONDS,
                one.clone(),
            ),
            sent: registry.family(
                "tidegate_http_response_bytes_total",
                "Body bytes sent to clients",
                &["route"],
                one.clone(),
            ),
            received: registry.family(
                "tidegate_http_request_bytes_total",
                "Body bytes received from clients",
                &["route"],
                one,
            ),
            refused: registry.family(
                "tidegate_http_refused_total",
                "Requests refused before any route was asked, by what was wrong with them",
                &["reason"],
                word,
            ),
            limit_hits: registry.family(
                "tidegate_limit_hits_total",
                "Times a configured limit was reached, by limit",
                &["limit"],
                word,
            ),
        };
        // Shown from the start, so that a dashboard sees the first hit as a rise.
        LIMITS.iter().for_each(|limit| metrics.limit_hits.add(limit, 0));
        metrics
    }
}
