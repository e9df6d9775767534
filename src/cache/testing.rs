//! Heads and times by hand, for the tests of the cache.

use std::time::{Duration, Instant};

use super::{
    Reason,
    policy::{Answer, Exchange, Policy, date, storable},
};
use crate::{
    clock::Now,
    wire::{Fields, RequestHead, ResponseHead},
};

/// 2026-11-24 00:00:00 GMT, the present of the tests.
pub(crate) const PRESENT: u64 = 1_795_478_400;

pub(crate) type Lines<'a> = &'a [(&'a str, &'a str)];

/// A GET with these fields.
pub(crate) fn get(fields: Lines<'_>) -> RequestHead {
    request("GET", fields)
}

pub(crate) fn request(method: &str, fields: Lines<'_>) -> RequestHead {
    RequestHead {
        method: method.parse().unwrap(),
        authority: "example.com".into(),
        target: "/".into(),
        fields: lines(fields),
        ..RequestHead::default()
    }
}

/// A response; a value `@n` is the date n seconds from the present.
pub(crate) fn response(status: u16, fields: Lines<'_>) -> ResponseHead {
    ResponseHead { status, reason: b"Reason".into(), fields: lines(fields), ..ResponseHead::default() }
}

pub(crate) fn lines(fields: Lines<'_>) -> Fields {
    fields
        .iter()
        .map(|(name, value)| match value.strip_prefix('@') {
            Some(offset) => (*name, http_date(offset.parse().unwrap())),
            None => (*name, (*value).to_owned()),
        })
        .collect()
}

/// The date so many seconds from the present.
pub(crate) fn http_date(offset: i64) -> String {
    String::from_utf8(date::written((PRESENT as i64 + offset) as u64)).unwrap()
}

/// The present and times after it, on both clocks.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn at(self, seconds: u64) -> Now {
        let passed = Duration::from_secs(seconds);
        Now { instant: self.0 + passed, unix: Duration::from_secs(PRESENT) + passed }
    }
}

/// As RFC 9111 has it, without guessing and without a stale-if-error of its own.
pub(crate) fn rfc() -> Policy {
    Policy {
        store_set_cookie: true,
        client_cache_control: true,
        heuristic: None,
        stale_if_error: Duration::ZERO,
        stale_while_revalidate: Duration::ZERO,
        default_ttl: None,
        targeted_fields: ["cdn-cache-control".into()].into(),
    }
}

/// The same with heuristic freshness up to a day.
pub(crate) fn guessing() -> Policy {
    Policy { heuristic: Some(Duration::from_secs(86_400)), ..rfc() }
}

/// Whether this answer to this request may be stored, when it took no time.
pub(crate) fn weigh(request: &RequestHead, response: &ResponseHead, policy: &Policy) -> Result<Answer, Reason> {
    let now = Clock::new().at(0);
    let exchange = Exchange { request, policy, requested: now, answered: now };
    storable(&exchange, response).map(|plan| plan.answer)
}

/// The answer of a 200 with these fields to a plain GET.
pub(crate) fn answer(fields: Lines<'_>) -> Answer {
    weigh(&get(&[]), &response(200, fields), &rfc()).unwrap()
}
