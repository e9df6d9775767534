//! Whether an answer may be stored (RFC 9111 §3, §3.5); what is not understood is not.

use http::Method;

use super::{
    Exchange, Plan,
    answer::{Answer, Terms},
    directives::ResponseDirectives,
    freshness::{Lifetime, Unsaid, is_heuristically_cacheable, lifetime},
    kept::announced_length,
    location::same_origin_target,
    tags::Tags,
    targeted,
    vary::{Anything, Vary},
    wants::Wants,
};
use crate::{
    cache::Reason,
    wire::{Fields, Framing, RequestHead, ResponseHead},
};

/// Leave to store, or why not.
pub(crate) fn storable(exchange: &Exchange<'_>, head: &ResponseHead) -> Result<Plan, Reason> {
    request_allows(exchange, &Method::GET)?;
    if !matches!(exchange.request.framing, Framing::None | Framing::Length(0)) {
        return Err(Reason::RequestBody);
    }
    planned(exchange, head)
}

/// Leave to store the answer to a POST for every GET to come, or why not: a 200 that says of itself how long it is fresh,
/// and by Content-Location that it is what a GET of the same URI would have given (RFC 9110 §9.3.3).
pub(crate) fn storable_for_get(exchange: &Exchange<'_>, head: &ResponseHead) -> Result<Plan, Reason> {
    request_allows(exchange, &Method::POST)?;
    let RequestHead { target, fields, .. } = exchange.request;
    let named = head.fields.get_str("content-location");
    let is_the_resource =
        named.and_then(|named| same_origin_target(exchange.request, named)).as_deref() == Some(target.as_str());
    // RFC 9110 §13.2.1, §14.2: of a POST with conditions or a range the answer may be anything.
    let is_plain = !CONDITIONS.iter().any(|condition| fields.contains(condition));
    if head.status != 200 || !is_the_resource || !is_plain {
        return Err(Reason::Method);
    }
    // Nothing is supposed about an answer to a POST, so a lifetime is one that it says.
    planned(exchange, head).and_then(|plan| if plan.answer.lifetime > 0 { Ok(plan) } else { Err(Reason::NoFreshness) })
}

fn planned(exchange: &Exchange<'_>, head: &ResponseHead) -> Result<Plan, Reason> {
    let directives = targeted::directives(&head.fields, &exchange.policy.targeted_fields);
    // Most answers that may not be stored say so in a word, and then nothing else need be read of them.
    status_allows(head).and_then(|()| directives_allow(&directives, head.status))?;
    match weigh_by(directives, exchange, head) {
        (terms, None) => Ok(Plan { answer: Answer::new(head, terms, exchange.requested, exchange.answered) }),
        (_, Some(reason)) => Err(reason),
    }
}

/// What the answer's own words decide, and why it may not be stored, if so.
pub(crate) fn weigh(exchange: &Exchange<'_>, head: &ResponseHead) -> (Terms, Option<Reason>) {
    weigh_by(targeted::directives(&head.fields, &exchange.policy.targeted_fields), exchange, head)
}

/// The same with the directives that count.
fn weigh_by(directives: ResponseDirectives, exchange: &Exchange<'_>, head: &ResponseHead) -> (Terms, Option<Reason>) {
    let Exchange { request, answered, .. } = *exchange;
    let vary = Vary::of(&head.fields, &request.fields);
    let tags = Tags::of(&head.fields);
    let lifetime = lifetime(head, &directives, unsaid(exchange, head), answered);
    let refused = status_allows(head)
        .and_then(|()| directives_allow(&directives, head.status))
        .and_then(|()| vary_allows(&vary, &request.fields))
        .and_then(|()| sharing_allows(exchange, head, &directives))
        .and_then(|()| if tags.is_ok() { Ok(()) } else { Err(Reason::TooManyTags) })
        .and_then(|()| worth_storing(exchange.request, head, &directives, lifetime));
    let (vary, tags) = (vary.unwrap_or_default(), tags.unwrap_or_default());
    (Terms { directives, vary, tags, lifetime, length: announced_length(head) }, refused.err())
}

/// What may be supposed where the answer says nothing: nothing about an answer that may be about one person, as the request
/// has cookies or the answer sets one; nor about an answer to anything but a GET or HEAD.
fn unsaid(exchange: &Exchange<'_>, head: &ResponseHead) -> Unsaid {
    let Exchange { request, policy, .. } = *exchange;
    if request.fields.contains("cookie") || !matches!(request.method, Method::GET | Method::HEAD) {
        return Unsaid::default();
    }
    let default_ttl = policy.default_ttl.filter(|_| !head.fields.contains("set-cookie"));
    Unsaid { heuristic: policy.heuristic, default_ttl }
}

/// Whether the fields that Vary names tell for which requests the answer is (§4.1).
fn vary_allows(vary: &Result<Vary, Anything>, request: &Fields) -> Result<(), Reason> {
    match vary {
        Err(Anything) => Err(Reason::VaryStar),
        Ok(vary) if vary.has_twin(request) => Err(Reason::VaryTwin),
        Ok(_) => Ok(()),
    }
}

/// Whether what one client was given may be given to others.
fn sharing_allows(exchange: &Exchange<'_>, head: &ResponseHead, directives: &ResponseDirectives) -> Result<(), Reason> {
    // §3.5: only with a word that allows it is an answer to one identified client for others.
    let shared = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    if exchange.request.fields.contains("authorization") && !shared {
        return Err(Reason::Authorization);
    }
    let sets_cookie =
        head.fields.contains("set-cookie") && !directives.withheld.iter().any(|name| name.as_slice() == b"set-cookie");
    if sets_cookie && !exchange.policy.store_set_cookie && !directives.public && directives.s_maxage.is_none() {
        return Err(Reason::SetCookie);
    }
    Ok(())
}

/// This method, and no `no-store` where the route honours it.
fn request_allows(exchange: &Exchange<'_>, only: &Method) -> Result<(), Reason> {
    let RequestHead { method, fields, .. } = exchange.request;
    if method != only {
        return Err(Reason::Method);
    }
    let directives = Wants::of(fields).directives(exchange.request, exchange.policy.client_cache_control);
    if directives.no_store { Err(Reason::RequestNoStore) } else { Ok(()) }
}

fn status_allows(head: &ResponseHead) -> Result<(), Reason> {
    match head.status {
        ..200 => Err(Reason::Interim),
        206 => Err(Reason::Partial),
        304 => Err(Reason::NotModified),
        _ => Ok(()),
    }
}

fn directives_allow(directives: &ResponseDirectives, status: u16) -> Result<(), Reason> {
    if directives.private {
        return Err(Reason::Private);
    }
    // §5.2.2.3: must-understand overrides no-store for a status that is understood, and forbids all others.
    match (directives.must_understand, directives.no_store) {
        (true, _) if !is_understood(status) => Err(Reason::MustUnderstand),
        (false, true) => Err(Reason::NoStore),
        _ => Ok(()),
    }
}

/// §3: with explicit freshness any final status; with a validator alone those that may be guessed about. What could
/// never be used, fresh, validated or stale, isn't kept either.
fn worth_storing(
    request: &RequestHead,
    head: &ResponseHead,
    directives: &ResponseDirectives,
    lifetime: Lifetime,
) -> Result<(), Reason> {
    let explicit = lifetime.source.is_explicit() || directives.public;
    if !explicit && !is_heuristically_cacheable(head.status) {
        return Err(Reason::NoFreshness);
    }
    // A date does not tell answers to two people apart.
    let dates_tell = directives.public || !request.fields.contains("cookie");
    let has_validator = head.fields.contains("etag") || (dates_tell && head.fields.contains("last-modified"));
    let stale_is_usable = directives.max_age.is_some()
        && directives.s_maxage.is_none()
        && !directives.must_revalidate
        && !directives.proxy_revalidate;
    let fresh_is_usable = lifetime.seconds > 0;
    if has_validator || (!directives.no_cache && (fresh_is_usable || stale_is_usable)) {
        Ok(())
    } else {
        Err(Reason::NoFreshness)
    }
}

/// The statuses whose meaning to a cache is known here: all of RFC 9110 §15 but the partial ones.
fn is_understood(status: u16) -> bool {
    matches!(status, 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// Fields that make of a POST something else than the POST of its body.
const CONDITIONS: [&str; 6] =
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"];

#[cfg(test)]
mod tests;
