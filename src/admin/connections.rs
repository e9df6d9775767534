//! Open connections and how the last ones ended: told, and closed. What is asked for is chosen by the filters of `selection`.
//!
//! A list is read a few hundred handles at a time and rendered a few rows at a time on a thread of its own, so that no tunnel
//! waits for it.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    AdminState,
    answer::Answer,
    request::Request,
    row::{Clock, ClosedRow, Row},
    selection::Selection,
};
use crate::tunnel::{Closed, Live, Order, RECENT_MAX, Tunnels, kick};

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
    let rows = found.iter().map(|live| Row::of(live, &state.tunnels, clock));
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
    let rows = found.iter().map(|closed| ClosedRow::of(closed, &state.tunnels));
    Answer::rows(StatusCode::OK, "connections", rows, Map::new())
}

/// `GET /connections/{id}`.
pub(super) fn one(state: &AdminState, request: &Request) -> Answer {
    match request.number().and_then(|id| find(&state.tunnels, id)) {
        Some(live) => Answer::json(StatusCode::OK, &Row::of(&live, &state.tunnels, Clock::read())),
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
    Answer::wrong(
        StatusCode::NOT_FOUND,
        "no such connection is open; `tidegate connections --closed` tells how the last ones ended",
    )
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

const ROWS_USUAL: usize = 100;
/// Rows of one answer; about half a megabyte.
const ROWS_MAX: usize = 1000;
