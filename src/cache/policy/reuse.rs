//! Whether a stored answer is given again, has to be validated, or may be given stale (RFC 9111 §4, §5.2.1, RFC 5861).

use super::{Answer, BackendFailure, Policy, directives::RequestDirectives, wants::Wants};
use crate::{cache::Reason, clock::Now, wire::RequestHead};

/// What may be done with a stored answer that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Give it.
    Usable,
    /// Ask the backend first.
    Validate(Reason),
}

/// Decides for an answer of this age (RFC 9111 §4).
pub(crate) fn reuse(answer: &Answer, directives: &RequestDirectives, age: u64) -> Reuse {
    if answer.no_cache {
        return Reuse::Validate(Reason::NoCache);
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
    // §5.2.1.2, and §4.2.4: no word of the client's overrides must-revalidate and its kin.
    let accepted = directives.max_stale.is_some_and(|most| ttl.unsigned_abs() <= most);
    if accepted && !answer.must_revalidate && !too_soon_stale { Reuse::Usable } else { Reuse::Validate(Reason::Stale) }
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
    if answer.must_revalidate || directives.no_cache {
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
