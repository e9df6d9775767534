//! Taking a part out of service, and back: its tunnels are told to go, one after another, and nothing new comes to it.
//!
//! What is drained stays so until it is taken back or the process ends. A route and an upstream still take requests, only
//! no tunnels (503); a server takes nothing any more, and all goes to the others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    AdminState,
    answer::Answer,
    request::{Request, text_of},
};
use crate::{
    tunnel::{CloseReason, Drain, Pace, Part},
    units,
};

pub(super) const ABOUT: &str = "{\"all\": true}, or route, upstream, server: its tunnels close one after another and nothing new comes, until {\"undo\": true}; \"rate\": per second, \"within\": \"30s\"";
pub(super) const ABOUT_LIST: &str = "what is drained";

/// The pace of a drain that says nothing else.
#[derive(Clone, Copy, Debug)]
pub struct DrainPace {
    /// Tunnels in a second.
    pub rate: u32,
    /// What has not ended by then is cut.
    pub within: Duration,
}

/// What an order wants.
enum Wish {
    Drain(Part, DrainPace),
    TakeBack(Part),
}

/// `POST /drain`.
pub(super) fn drain(state: &AdminState, request: &Request) -> Answer {
    match request.object().and_then(|order| read(state, &order)) {
        Ok(Wish::Drain(part, pace)) => begin(state, &part, pace),
        Ok(Wish::TakeBack(part)) => take_back(state, &part),
        Err(error) => Answer::wrong(StatusCode::BAD_REQUEST, &error),
    }
}

/// `GET /drain`.
pub(super) fn list(state: &AdminState, _: &Request) -> Answer {
    let drained: Vec<Value> = state.tunnels.drained().iter().map(|part| shown(state, part)).collect();
    Answer::json(StatusCode::OK, &json!({ "drained": drained }))
}

fn begin(state: &AdminState, part: &Part, DrainPace { rate, within }: DrainPace) -> Answer {
    let _alone = state.draining.lock();
    let now = Instant::now();
    // Before tunnels are told, so that none comes back to where it was.
    set_out(state, part, true);
    let drain = Drain { reason: CloseReason::Drain, pace: Pace::new(rate, now), cut_at: (now + within).into() };
    let count = state.tunnels.drain_part(part, drain);
    tracing::info!(part = %shown(state, part), tunnels = count, rate, "drained by order of an operator");
    let needed = count as f64 / f64::from(rate);
    let is_cut = needed > within.as_secs_f64();
    Answer::json(StatusCode::OK, &json!({ "draining": count, "seconds": needed, "cuts": is_cut }))
}

fn take_back(state: &AdminState, part: &Part) -> Answer {
    let _alone = state.draining.lock();
    let was_drained = state.tunnels.take_back(part);
    set_out(state, part, false);
    tracing::info!(part = %shown(state, part), was_drained, "taken back by order of an operator");
    Answer::json(StatusCode::OK, &json!({ "taken_back": was_drained }))
}

/// An upstream knows of its servers alone.
fn set_out(state: &AdminState, part: &Part, is_out: bool) {
    if let Part::Server(server) = part {
        state.upstreams.iter().for_each(|upstream| upstream.set_out(server, is_out));
    }
}

fn shown(state: &AdminState, part: &Part) -> Value {
    let name = |names: &[Arc<str>], index: u32| names.get(index as usize).map(ToString::to_string);
    match part {
        Part::All => json!({ "all": true }),
        Part::Route(index) => json!({ "route": name(state.tunnels.routes(), *index) }),
        Part::Upstream(index) => json!({ "upstream": name(state.tunnels.upstreams(), *index) }),
        Part::Server(server) => json!({ "server": &**server }),
    }
}

fn read(state: &AdminState, order: &Map<String, Value>) -> Result<Wish, String> {
    if let Some(stray) = order.keys().find(|key| !WHICH.contains(&key.as_str()) && !HOW.contains(&key.as_str())) {
        return Err(format!("unknown key `{stray}`; expected one of {}, and {}", WHICH.join(", "), HOW.join(", ")));
    }
    let mut whiches = order.iter().filter(|(key, _)| WHICH.contains(&key.as_str()));
    let (Some((key, value)), None) = (whiches.next(), whiches.next()) else {
        return Err(format!("expected exactly one of {}", WHICH.join(", ")));
    };
    let part = part(state, key, value)?;
    match order.get("undo") {
        None => Ok(Wish::Drain(part, pace(state, order)?)),
        Some(Value::Bool(true)) if order.len() == 2 => Ok(Wish::TakeBack(part)),
        Some(Value::Bool(true)) => Err("`undo` goes with neither `rate` nor `within`".to_owned()),
        Some(_) => Err("`undo` is not true".to_owned()),
    }
}

fn part(state: &AdminState, key: &str, value: &Value) -> Result<Part, String> {
    if key == "all" {
        return if *value == Value::Bool(true) { Ok(Part::All) } else { Err("`all` is not true".to_owned()) };
    }
    let name = text_of(key, value)?;
    let place = |names: &[Arc<str>]| names.iter().position(|own| **own == *name).map(|index| index as u32);
    let found = match key {
        "route" => place(state.tunnels.routes()).map(Part::Route),
        "upstream" => place(state.tunnels.upstreams()).map(Part::Upstream),
        _ => state.upstreams.iter().any(|upstream| upstream.has(name)).then(|| Part::Server(name.into())),
    };
    found.ok_or_else(|| format!("no {key} is named `{name}`"))
}

fn pace(state: &AdminState, order: &Map<String, Value>) -> Result<DrainPace, String> {
    let mut pace = state.drain;
    if let Some(rate) = order.get("rate") {
        let rate = rate.as_u64().and_then(|rate| u32::try_from(rate).ok()).filter(|rate| (1..=RATE_MAX).contains(rate));
        pace.rate = rate.ok_or_else(|| format!("`rate` is no number from 1 to {RATE_MAX}"))?;
    }
    if let Some(within) = order.get("within") {
        let within = units::parse_duration(text_of("within", within)?).map_err(|error| format!("`within`: {error}"))?;
        pace.within = within.min(WITHIN_MAX);
    }
    Ok(pace)
}

const WHICH: [&str; 4] = ["all", "route", "upstream", "server"];
const HOW: [&str; 3] = ["undo", "rate", "within"];
/// As `drain_rate` of `[limits]`.
const RATE_MAX: u32 = 1_000_000;
/// A day.
const WITHIN_MAX: Duration = Duration::from_secs(24 * 3600);
