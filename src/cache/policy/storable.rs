//! Whether an answer may be stored (RFC 9111 §3, §3.5); what is not understood is not.

use http::Method;

use super::{
    Exchange, Plan,
    answer::{Answer, Terms},
    directives::ResponseDirectives,
    freshness::{Lifetime, is_heuristically_cacheable, lifetime},
    kept::announced_length,
    tags::Tags,
    vary::Vary,
    wants::Wants,
};
use crate::{
    cache::Reason,
    wire::{Framing, RequestHead, ResponseHead},
};

/// Leave to store, or why not.
pub(crate) fn storable(exchange: &Exchange<'_>, head: &ResponseHead) -> Result<Plan, Reason> {
    request_allows(exchange)?;
    let terms = terms(exchange, head)?;
    Ok(Plan { answer: Answer::new(head, terms, exchange.requested, exchange.answered) })
}

/// What the answer's own words decide, or why it may not be stored.
pub(crate) fn terms(exchange: &Exchange<'_>, head: &ResponseHead) -> Result<Terms, Reason> {
    let Exchange { request, policy, answered, .. } = *exchange;
    status_allows(head)?;
    let directives = ResponseDirectives::of(&head.fields);
    directives_allow(&directives, head.status)?;
    let vary = Vary::of(&head.fields, &request.fields).map_err(|_| Reason::VaryStar)?;
    let tags = Tags::of(&head.fields).map_err(|_| Reason::TooManyTags)?;
    // §3.5: only with a word that allows it is an answer to one identified client for others.
    let shared = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    if request.fields.contains("authorization") && !shared {
        return Err(Reason::Authorization);
    }
    let sets_cookie =
        head.fields.contains("set-cookie") && !directives.withheld.iter().any(|name| name.as_slice() == b"set-cookie");
    if sets_cookie && !policy.store_set_cookie && !directives.public && directives.s_maxage.is_none() {
        return Err(Reason::SetCookie);
    }
    // Nothing is guessed about an answer to a request with cookies: it may be about one person.
    let heuristic = policy.heuristic.filter(|_| !request.fields.contains("cookie"));
    let lifetime = lifetime(head, &directives, heuristic, answered);
    worth_storing(head, &directives, lifetime)?;
    Ok(Terms { directives, vary, tags, lifetime: lifetime.seconds(), length: announced_length(head) })
}

/// A GET without a body, and without `no-store` where the route honours it.
fn request_allows(exchange: &Exchange<'_>) -> Result<(), Reason> {
    let RequestHead { method, framing, fields, .. } = exchange.request;
    if *method != Method::GET {
        return Err(Reason::Method);
    }
    if !matches!(framing, Framing::None | Framing::Length(0)) {
        return Err(Reason::RequestBody);
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
fn worth_storing(head: &ResponseHead, directives: &ResponseDirectives, lifetime: Lifetime) -> Result<(), Reason> {
    let explicit = matches!(lifetime, Lifetime::Explicit(_)) || directives.public;
    if !explicit && !is_heuristically_cacheable(head.status) {
        return Err(Reason::NoFreshness);
    }
    let has_validator = head.fields.contains("etag") || head.fields.contains("last-modified");
    let stale_is_usable = directives.max_age.is_some()
        && directives.s_maxage.is_none()
        && !directives.must_revalidate
        && !directives.proxy_revalidate;
    let fresh_is_usable = lifetime.seconds() > 0;
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

#[cfg(test)]
mod tests;
