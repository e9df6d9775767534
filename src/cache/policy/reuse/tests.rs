use std::time::Duration;

use super::*;
use crate::cache::policy::testing::{Clock, Lines, answer, get, lines, rfc};

fn decide(response: Lines<'_>, request: &str, age: u64) -> Reuse {
    decide_with(&rfc(), response, request, age)
}

fn decide_with(policy: &Policy, response: Lines<'_>, request: &str, age: u64) -> Reuse {
    reuse(&answer(response), &RequestDirectives::of(&lines(&[("Cache-Control", request)])), policy, age)
}

fn fresh(request: &str, age: u64) -> Reuse {
    decide(&[("Cache-Control", "max-age=100")], request, age)
}

#[test]
fn fresh_means_that_lifetime_is_left() {
    // RFC 9111 §4.2
    assert_eq!(fresh("", 99), Reuse::Usable);
    assert_eq!(fresh("", 100), Reuse::Validate(Reason::Stale));
    assert_eq!(decide(&[("Cache-Control", "max-age=0"), ("ETag", "\"a\"")], "", 0), Reuse::Validate(Reason::Stale));
}

#[test]
fn no_cache_is_validated_before_each_use() {
    // RFC 9111 §5.2.2.4
    let response = [("Cache-Control", "no-cache, max-age=100"), ("ETag", "\"a\"")];
    assert_eq!(decide(&response, "max-stale", 0), Reuse::Validate(Reason::NoCache));
}

#[test]
fn the_request_may_ask_for_newer() {
    // RFC 9111 §5.2.1.1, §5.2.1.3, §5.2.1.4
    assert_eq!(fresh("no-cache", 0), Reuse::Validate(Reason::RequestNoCache));
    assert_eq!(fresh("max-age=10", 10), Reuse::Usable);
    assert_eq!(fresh("max-age=10", 11), Reuse::Validate(Reason::RequestNoCache));
    assert_eq!(fresh("min-fresh=10", 90), Reuse::Usable);
    assert_eq!(fresh("min-fresh=10", 91), Reuse::Validate(Reason::RequestNoCache));
    assert_eq!(fresh("unknown, ext=\"no-cache\"", 0), Reuse::Usable);
}

#[test]
fn the_request_may_be_content_with_stale() {
    // RFC 9111 §5.2.1.2
    assert_eq!(fresh("max-stale", 5000), Reuse::Usable);
    assert_eq!(fresh("max-stale=10", 110), Reuse::Usable);
    assert_eq!(fresh("max-stale=10", 111), Reuse::Validate(Reason::Stale));
    assert_eq!(fresh("max-stale, max-age=10", 111), Reuse::Validate(Reason::RequestNoCache));
    for word in ["must-revalidate", "proxy-revalidate", "s-maxage=100"] {
        let response = format!("max-age=100, {word}");
        assert_eq!(decide(&[("Cache-Control", &response)], "max-stale", 101), Reuse::Validate(Reason::Stale), "{word}");
    }
}

#[test]
fn within_its_window_a_stale_answer_is_given_while_it_is_refreshed() {
    // RFC 5861 §3: the window begins where freshness ends.
    let at = |request, age| decide(&[("Cache-Control", "max-age=100, stale-while-revalidate=50")], request, age);
    assert_eq!(at("", 99), Reuse::Usable);
    assert_eq!(at("", 100), Reuse::UsableWhileRevalidating);
    assert_eq!(at("", 150), Reuse::UsableWhileRevalidating);
    assert_eq!(at("", 151), Reuse::Validate(Reason::Stale));
    let from_the_start = [("Cache-Control", "max-age=0, stale-while-revalidate=5")];
    assert_eq!(decide(&from_the_start, "", 0), Reuse::UsableWhileRevalidating);
}

#[test]
fn the_request_or_the_answer_may_forbid_to_refresh_behind_the_clients_back() {
    for request in ["no-cache", "max-age=10", "max-age=1000", "min-fresh=1"] {
        let decided = decide(&[("Cache-Control", "max-age=100, stale-while-revalidate=50")], request, 110);
        assert!(matches!(decided, Reuse::Validate(_)), "{request}: {decided:?}");
    }
    for word in ["must-revalidate", "proxy-revalidate", "s-maxage=100", "no-cache"] {
        let response = format!("max-age=100, stale-while-revalidate=50, {word}");
        let decided = decide(&[("Cache-Control", &response), ("ETag", "\"a\"")], "", 110);
        assert!(matches!(decided, Reuse::Validate(_)), "{word}: {decided:?}");
    }
}

#[test]
fn the_routes_window_is_for_answers_that_say_nothing_and_were_fresh_once() {
    let policy = Policy { stale_while_revalidate: Duration::from_secs(50), ..rfc() };
    let at = |response, age| decide_with(&policy, &[("Cache-Control", response), ("ETag", "\"a\"")], "", age);
    assert_eq!(at("max-age=100", 150), Reuse::UsableWhileRevalidating);
    assert_eq!(at("max-age=100", 151), Reuse::Validate(Reason::Stale));
    assert_eq!(at("max-age=100, stale-while-revalidate=0", 110), Reuse::Validate(Reason::Stale));
    assert_eq!(at("max-age=0", 0), Reuse::Validate(Reason::Stale));
    assert_eq!(at("max-age=100, must-revalidate", 110), Reuse::Validate(Reason::Stale));
}

#[test]
fn pragma_counts_only_without_cache_control() {
    // RFC 9111 §5.4
    let wants = |fields, honoured| {
        let request = get(fields);
        Wants::of(&request.fields).directives(&request, honoured).no_cache
    };
    assert!(wants(&[("Pragma", "x, No-Cache")], true));
    assert!(!wants(&[("Pragma", "no-cache"), ("Cache-Control", "max-age=1")], true));
    assert!(!wants(&[("Pragma", "foo")], true));
    assert!(!wants(&[("Pragma", "no-cache")], false));
    assert!(!wants(&[("Cache-Control", "no-cache")], false));
}

fn stands_in(response: &str, request: &str, failure: BackendFailure, route: u64, age: u64) -> bool {
    let kept = answer(&[("Cache-Control", response), ("ETag", "\"a\"")]);
    let clock = Clock::new();
    let mut kept = kept;
    kept.received = clock.at(0).instant;
    let policy = Policy { stale_if_error: Duration::from_secs(route), ..rfc() };
    stale_usable(&get(&[("Cache-Control", request)]), &kept, failure, &policy, clock.at(age))
}

#[test]
fn stale_stands_in_for_an_unreachable_backend_unless_forbidden() {
    // RFC 9111 §4.2.4
    assert!(stands_in("max-age=1", "", BackendFailure::Unreachable, 0, 5000));
    for word in ["must-revalidate", "proxy-revalidate", "s-maxage=1", "no-cache"] {
        let response = format!("max-age=1, {word}");
        assert!(!stands_in(&response, "", BackendFailure::Unreachable, 3600, 5), "{word}");
    }
    assert!(!stands_in("max-age=1", "no-cache", BackendFailure::Unreachable, 0, 5));
}

#[test]
fn stale_stands_in_for_an_error_within_its_window() {
    // RFC 5861 §4
    for status in [500, 502, 503, 504] {
        let failure = BackendFailure::Status(status);
        assert!(!stands_in("max-age=1", "", failure, 0, 2), "{status}");
        assert!(stands_in("max-age=1, stale-if-error=60", "", failure, 0, 61), "{status}");
        assert!(!stands_in("max-age=1, stale-if-error=60", "", failure, 0, 62), "{status}");
        assert!(stands_in("max-age=1", "", failure, 60, 61), "{status}");
        assert!(!stands_in("max-age=1, stale-if-error=0", "", failure, 60, 5), "{status}");
        assert!(stands_in("max-age=1", "stale-if-error=60", failure, 0, 61), "{status}");
    }
    for status in [200, 404, 501, 505] {
        assert!(!stands_in("max-age=1, stale-if-error=60", "", BackendFailure::Status(status), 60, 5), "{status}");
    }
}
