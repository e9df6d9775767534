//! Telling tunnels to go, one after another, so that they come back elsewhere or anew.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    AdminState,
    answer::Answer,
    request::{Request, text_of},
    selection::is_known,
};
use crate::{
    tunnel::{CloseReason, Drain, Live, Pace, Tunnels},
    units,
};

pub(super) const ABOUT: &str = "closes the tunnels of now, one after another: {\"all\": true}, or route, upstream, server; and \"rate\": per second, \"within\": \"30s\"";

/// The pace of a drain that says nothing else.
#[derive(Clone, Copy, Debug)]
pub struct DrainPace {
    /// Tunnels in a second.
    pub rate: u32,
    /// What has not ended by then is cut.
    pub within: Duration,
}

/// Which tunnels a drain is for.
enum Which {
    All,
    Route(String),
    Upstream(String),
    Server(String),
}

/// `POST /drain`.
pub(super) fn drain(state: &AdminState, request: &Request) -> Answer {
    match request.object().and_then(|order| read(state, &order)) {
        Ok((which, DrainPace { rate, within })) => {
            let now = Instant::now();
            let pace = Pace::new(rate, now);
            let mut drain = Drain { reason: CloseReason::Drain, pace, cut_at: (now + within).into() };
            let count = state.tunnels.drain(|live| which.has(live, &state.tunnels), &mut drain);
            tracing::info!(tunnels = count, rate, "tunnels are told to go by order of an operator");
            let needed = count as f64 / f64::from(rate);
            let is_cut = needed > within.as_secs_f64();
            Answer::json(StatusCode::OK, &json!({ "draining": count, "seconds": needed, "cuts": is_cut }))
        }
        Err(error) => Answer::wrong(StatusCode::BAD_REQUEST, &error),
    }
}

fn read(state: &AdminState, order: &Map<String, Value>) -> Result<(Which, DrainPace), String> {
    if let Some(stray) = order.keys().find(|key| !WHICH.contains(&key.as_str()) && !HOW.contains(&key.as_str())) {
        return Err(format!("unknown key `{stray}`; expected one of {}, and {}", WHICH.join(", "), HOW.join(", ")));
    }
    let mut whiches = order.iter().filter(|(key, _)| WHICH.contains(&key.as_str()));
    let (Some((key, value)), None) = (whiches.next(), whiches.next()) else {
        return Err(format!("expected exactly one of {}", WHICH.join(", ")));
    };
    let which = match key.as_str() {
        "all" if *value == Value::Bool(true) => Which::All,
        "all" => return Err("`all` is not true".to_owned()),
        "server" => Which::Server(text_of(key, value)?.to_owned()),
        "route" => {
            is_known(key, text_of(key, value)?, state.tunnels.routes())?;
            Which::Route(text_of(key, value)?.to_owned())
        }
        _ => {
            is_known(key, text_of(key, value)?, state.tunnels.upstreams())?;
            Which::Upstream(text_of(key, value)?.to_owned())
        }
    };
    let mut pace = state.drain;
    if let Some(rate) = order.get("rate") {
        let rate = rate.as_u64().and_then(|rate| u32::try_from(rate).ok()).filter(|rate| (1..=RATE_MAX).contains(rate));
        pace.rate = rate.ok_or_else(|| format!("`rate` is no number from 1 to {RATE_MAX}"))?;
    }
    if let Some(within) = order.get("within") {
        let within = units::parse_duration(text_of("within", within)?).map_err(|error| format!("`within`: {error}"))?;
        pace.within = within.min(WITHIN_MAX);
    }
    Ok((which, pace))
}

impl Which {
    fn has(&self, live: &Live, tunnels: &Tunnels) -> bool {
        match self {
            Self::All => true,
            Self::Route(name) => tunnels.route_of(live) == name,
            Self::Upstream(name) => tunnels.upstream_of(live) == name,
            Self::Server(server) => live.about.backend.as_deref() == Some(server),
        }
    }
}

const WHICH: [&str; 4] = ["all", "route", "upstream", "server"];
const HOW: [&str; 2] = ["rate", "within"];
/// As `drain_rate` of `[limits]`.
const RATE_MAX: u32 = 1_000_000;
/// A day.
const WITHIN_MAX: Duration = Duration::from_secs(24 * 3600);
