//! Open connections and how the last ones ended: told, and closed. What is asked for is chosen by the filters of `selection`.
//!
//! A list is read a few hundred handles at a time and rendered a few rows at a time on a thread of its own, so that no tunnel
//! waits for it.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{AdminState, answer::Answer, request::Request, selection::Selection};
use crate::{
    clock::Now,
    tunnel::{Closed, Live, Order, RECENT_MAX, Tunnels, kick, wire::Tally},
};

pub(super) const ABOUT: &str = "?route=&upstream=&backend=&client=&state=&kind=&age=1m&idle=10s&limit=100&after=: what is open: WebSockets, and HTTP answers of some age";
pub(super) const ABOUT_ONE: &str = "one of them";
pub(super) const ABOUT_CLOSED: &str = "?route=&upstream=&backend=&client=&kind=&limit=100: how the last ones ended";
pub(super) const ABOUT_KICK: &str = "?code=1012&reason=: closes those of the same filters, or with all=true all of them; over Close frames where there are any";
pub(super) const ABOUT_KICK_ONE: &str = "?code=1012&reason=: closes it";

/// `GET /connections`.
pub(super) fn list(state: &AdminState, request: &Request) -> Answer {
    let asked = Selection::read(request, &state.tunnels, &["limit", "after"])
        .and_then(|selection| Ok((selection, limit(request)?, after(request)?)));
    let (selection, limit, after) = match asked {
        Ok(asked) => asked,
        Err(error) => return Answer::wrong(StatusCode::BAD_REQUEST, &error),
    };
    let now = Instant::now();
    let (found, next) = state.tunnels.select(after, limit, |live| selection.wants(live, &state.tunnels, now));
    let clock = Clock::read();
    let rows = found.iter().map(|live| row(live, &state.tunnels, clock).into());
    let rest = [("next", next.into()), ("open", state.tunnels.count().into())];
    let rest = rest.into_iter().map(|(key, value): (&str, Value)| (key.to_owned(), value)).collect();
    Answer::rows(StatusCode::OK, "connections", rows, rest)
}

/// `GET /connections/closed`.
pub(super) fn closed(state: &AdminState, request: &Request) -> Answer {
    let asked =
        Selection::read(request, &state.tunnels, &["limit"]).and_then(|selection| match selection.is_of_the_living() {
            true => Err("`state`, `age` and `idle` say nothing of what has ended".to_owned()),
            false => Ok((selection, limit(request)?)),
        });
    let (selection, limit) = match asked {
        Ok(asked) => asked,
        Err(error) => return Answer::wrong(StatusCode::BAD_REQUEST, &error),
    };
    let now = Instant::now();
    let wants = |closed: &Closed| selection.wants(&closed.live, &state.tunnels, now);
    let found = state.tunnels.recent(limit.min(RECENT_MAX), wants);
    let rows = found.iter().map(|closed| closed_row(closed, &state.tunnels));
    Answer::rows(StatusCode::OK, "connections", rows, Map::new())
}

/// `GET /connections/{id}`.
pub(super) fn one(state: &AdminState, request: &Request) -> Answer {
    match request.number().and_then(|id| find(&state.tunnels, id)) {
        Some(live) => Answer::json(StatusCode::OK, &row(&live, &state.tunnels, Clock::read()).into()),
        None => gone(),
    }
}

/// `DELETE /connections/{id}`.
pub(super) fn kick_one(state: &AdminState, request: &Request) -> Answer {
    let order = match request.only(&["code", "reason"]).and_then(|()| order(request)) {
        Ok(order) => order,
        Err(error) => return Answer::wrong(StatusCode::BAD_REQUEST, &error),
    };
    match request.number().and_then(|id| find(&state.tunnels, id)) {
        Some(live) => {
            live.end(order);
            Answer::json(StatusCode::OK, &json!({ "kicked": 1 }))
        }
        None => gone(),
    }
}

/// `DELETE /connections`.
pub(super) fn kick_all(state: &AdminState, request: &Request) -> Answer {
    let asked = Selection::read(request, &state.tunnels, &["code", "reason", "all"]).and_then(|selection| {
        match (selection.is_everything(), request.parameter("all").as_deref()) {
            (false, None) | (true, Some("true")) => Ok((selection, order(request)?)),
            (true, None) => Err("expected a filter, or all=true".to_owned()),
            (false, Some("true")) => Err("expected either filters or all=true".to_owned()),
            (_, Some(_)) => Err("`all` is not true".to_owned()),
        }
    });
    let (selection, order) = match asked {
        Ok(asked) => asked,
        Err(error) => return Answer::wrong(StatusCode::BAD_REQUEST, &error),
    };
    let now = Instant::now();
    let wanted = state.tunnels.all().filter(|live| selection.wants(live, &state.tunnels, now));
    let kicked = wanted.map(|live| live.end(order.clone())).count();
    tracing::info!(kicked, "connections are closed by order of an operator");
    Answer::json(StatusCode::OK, &json!({ "kicked": kicked }))
}

fn find(tunnels: &Tunnels, id: u64) -> Option<Arc<Live>> {
    tunnels.select(0, 1, |live| live.id == id).0.pop()
}

fn gone() -> Answer {
    Answer::wrong(StatusCode::NOT_FOUND, "no such connection is open; see /connections/closed")
}

/// How to end what is chosen.
fn order(request: &Request) -> Result<Order, String> {
    let (code, reason) = (request.parameter("code"), request.parameter("reason"));
    let farewell = match (&code, &reason) {
        (None, None) => None,
        (None, Some(_)) => return Err("`reason` needs `code` beside it".to_owned()),
        (Some(code), reason) => {
            let code = code.parse().map_err(|_| format!("`{code}` is no code of a Close frame"))?;
            Some((code, reason.as_deref().unwrap_or_default()))
        }
    };
    kick(farewell).map_err(|error| error.to_string())
}

fn limit(request: &Request) -> Result<usize, String> {
    match request.parameter("limit").map(|text| text.parse()) {
        None => Ok(ROWS_USUAL),
        Some(Ok(limit @ 1..=ROWS_MAX)) => Ok(limit),
        Some(_) => Err(format!("`limit` is no number from 1 to {ROWS_MAX}")),
    }
}

fn after(request: &Request) -> Result<usize, String> {
    let after = request.parameter("after").map(|text| text.parse()).transpose();
    after.map(Option::unwrap_or_default).map_err(|_| "`after` is no `next` of a list".to_owned())
}

/// One moment on the clock of rows and on the wall's.
#[derive(Clone, Copy)]
struct Clock {
    now: Instant,
    unix: Duration,
}

impl Clock {
    fn read() -> Self {
        Self { now: Instant::now(), unix: Now::read().unix }
    }
}

fn row(live: &Live, tunnels: &Tunnels, clock: Clock) -> Map<String, Value> {
    let age = clock.now.saturating_duration_since(live.since());
    let mut row = who(live, tunnels);
    let round_trip = |took: Option<Duration>| took.map(|took| took.as_micros() as f64 / 1000.0);
    for (key, value) in [
        ("state", live.state().label().into()),
        ("since", seconds(clock.unix.saturating_sub(age))),
        ("age_seconds", seconds(age)),
        ("client_round_trip_ms", round_trip(live.client_round_trip()).into()),
        ("backend_round_trip_ms", round_trip(live.backend_round_trip()).into()),
    ] {
        row.insert(key.to_owned(), value);
    }
    let totals = live.totals();
    row.insert("idle_seconds".to_owned(), seconds(clock.now.saturating_duration_since(live.last_activity())));
    row.insert("up".to_owned(), counters(live, &totals.up));
    row.insert("down".to_owned(), counters(live, &totals.down));
    row
}

fn closed_row(closed: &Closed, tunnels: &Tunnels) -> Value {
    let Closed { live, ended, at } = closed;
    let mut row = who(live, tunnels);
    for (key, value) in [
        ("reason", ended.reason.label().into()),
        ("by", ended.by.label().into()),
        ("code", ended.code().into()),
        ("text", ended.farewell.as_ref().map(|farewell| &*farewell.text).into()),
        ("closed", seconds(*at)),
        ("since", seconds(at.saturating_sub(ended.duration))),
        ("duration_seconds", seconds(ended.duration)),
    ] {
        row.insert(key.to_owned(), value);
    }
    row.insert("up".to_owned(), counters(live, &ended.totals.up));
    row.insert("down".to_owned(), counters(live, &ended.totals.down));
    row.into()
}

/// What does not change while it is open.
fn who(live: &Live, tunnels: &Tunnels) -> Map<String, Value> {
    let about = &live.about;
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let facts = [
        ("id", live.id.into()),
        ("kind", about.kind.label().into()),
        ("route", tunnels.route_of(live).into()),
        ("upstream", tunnels.upstream_of(live).into()),
        ("backend", live.backend().as_deref().into()),
        ("client", about.client.map(|client| client.to_string()).into()),
        ("user_agent", text(&about.user_agent).into()),
        ("subprotocol", text(&live.subprotocol()).into()),
    ];
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn counters(live: &Live, tally: &Tally) -> Value {
    if !live.is_tunnel() {
        return json!({ "bytes": tally.bytes });
    }
    json!({
        "bytes": tally.bytes,
        "frames": tally.frames,
        "text": tally.text,
        "binary": tally.binary,
        "pings": tally.pings,
        "pongs": tally.pongs,
        "largest": tally.largest,
    })
}

/// To the millisecond.
fn seconds(span: Duration) -> Value {
    (span.as_millis() as f64 / 1000.0).into()
}

const ROWS_USUAL: usize = 100;
/// Rows of one answer; about half a megabyte.
const ROWS_MAX: usize = 1000;
