//! Whether a stored answer is given again, has to be validated, or may be given stale (RFC 9111 §4, §5.2.1, RFC 5861).

use super::{Answer, BackendFailure, Policy, directives::RequestDirectives, wants::Wants};
use crate::{cache::Reason, clock::Now, wire::RequestHead};

/// What may be done with a stored answer that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Give it.
    Usable,
    /// Give it although it is stale, and ask the backend meanwhile (RFC 5861 §3).
    UsableWhileRevalidating,
    /// Ask the backend first.
    Validate(Reason),
}

/// Decides for an answer of this age (RFC 9111 §4).
pub(crate) fn reuse(answer: &Answer, directives: &RequestDirectives, policy: &Policy, age: u64) -> Reuse {
    if answer.no_cache {
        return Reuse::Validate(Reason::NoCache);
    }
    // Whatever the request says of staleness (§5.2.1.2).
    if answer.is_kept_to_validate() {
        return Reuse::Validate(Reason::Stale);
    }
    // §5.2.1.4, §5.2.1.1, §5.2.1.3
    let ttl = answer.ttl(age);
    let too_old = directives.max_age.is_some_and(|most| age > most);
    let too_soon_stale = directives.min_fresh.is_some_and(|least| ttl < i64::try_from(least).unwrap_or(i64::MAX));
    if directives.no_cache || too_old {
        return Reuse::Validate(Reason::RequestNoCache);
    }
    // §4.2: fresh is what has lifetime left; at age = lifetime it has none.
    if ttl > 0 {
        return if too_soon_stale { Reuse::Validate(Reason::RequestNoCache) } else { Reuse::Usable };
    }
    // §4.2.4: nobody's word overrides must-revalidate and its kin.
    if answer.must_revalidate || too_soon_stale {
        return Reuse::Validate(Reason::Stale);
    }
    // §5.2.1.2
    let staleness = ttl.unsigned_abs();
    if directives.max_stale.is_some_and(|most| staleness <= most) {
        return Reuse::Usable;
    }
    // §5.2.1.1: a client that says how old at most, and no max-stale, does not want it stale.
    let window = revalidation_window(answer, policy);
    if window > 0 && staleness <= window && directives.max_age.is_none() {
        Reuse::UsableWhileRevalidating
    } else {
        Reuse::Validate(Reason::Stale)
    }
}

/// For how many seconds after its freshness an answer is given while it is asked for anew (RFC 5861 §3). The route's own
/// window is for answers that were fresh once: what came stale was meant to be asked for each time.
pub(crate) fn revalidation_window(answer: &Answer, policy: &Policy) -> u64 {
    let by_route = if answer.lifetime > 0 { policy.stale_while_revalidate.as_secs() } else { 0 };
    answer.stale_while_revalidate.unwrap_or(by_route)
}

/// Whether the answer may stand in although the backend failed (RFC 9111 §4.2.4, RFC 5861 §4).
pub(crate) fn stale_usable(
    request: &RequestHead,
    answer: &Answer,
    failure: BackendFailure,
    policy: &Policy,
    now: Now,
) -> bool {
    let directives = Wants::of(&request.fields).directives(request, policy.client_cache_control);
    if answer.must_revalidate || directives.no_cache || answer.is_kept_to_validate() {
        return false;
    }
    match failure {
        BackendFailure::Unreachable => true,
        BackendFailure::Status(500 | 502 | 503 | 504) => {
            let by_answer = answer.stale_if_error.unwrap_or(policy.stale_if_error.as_secs());
            let window = by_answer.max(directives.stale_if_error.unwrap_or(0));
            let staleness = answer.ttl(answer.age(now)).saturating_neg().max(0).unsigned_abs();
            window > 0 && staleness <= window
        }
        BackendFailure::Status(_) => false,
    }
}

#[cfg(test)]
mod tests;
