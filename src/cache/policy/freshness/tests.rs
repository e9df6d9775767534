use proptest::prelude::*;

use super::*;
use crate::cache::{
    Reason,
    policy::{
        Policy, targeted,
        testing::{Clock, Lines, answer, get, guessing, lines, response, rfc, weigh},
    },
};

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Explicit(u64),
    Heuristic(u64),
    Route(u64),
    Unknown,
}

fn of(status: u16, fields: Lines<'_>) -> Told {
    with(Unsaid { heuristic: Some(Duration::from_secs(86_400)), default_ttl: None }, status, fields)
}

fn with(unsaid: Unsaid, status: u16, fields: Lines<'_>) -> Told {
    let head = response(status, fields);
    let directives = targeted::directives(&head.fields, &rfc().targeted_fields);
    let Lifetime { seconds, source } = lifetime(&head, &directives, unsaid, Clock::new().at(0));
    match source {
        LifetimeSource::Route => Told::Route(seconds),
        LifetimeSource::Heuristic => Told::Heuristic(seconds),
        LifetimeSource::Nothing => Told::Unknown,
        explicit if explicit.is_explicit() => Told::Explicit(seconds),
        other => panic!("{other:?}"),
    }
}

#[test]
fn s_maxage_wins_over_max_age_over_expires() {
    // RFC 9111 §4.2.1
    assert_eq!(of(200, &[("Cache-Control", "max-age=1, s-maxage=3600")]), Told::Explicit(3600));
    assert_eq!(of(200, &[("Cache-Control", "s-maxage=1"), ("Cache-Control", "max-age=3600")]), Told::Explicit(1));
    for expires in ["@-10000", "@10000", "0", "garbage"] {
        let fields = [("Cache-Control", "max-age=3600"), ("Expires", expires), ("Date", "@0")];
        assert_eq!(of(200, &fields), Told::Explicit(3600), "{expires}");
    }
    assert_eq!(of(200, &[("Cache-Control", "max-age=0"), ("Expires", "@10000")]), Told::Explicit(0));
}

#[test]
fn expires_counts_from_date_not_from_the_local_clock() {
    assert_eq!(of(200, &[("Expires", "@500"), ("Date", "@400")]), Told::Explicit(100));
    assert_eq!(of(200, &[("Expires", "@500"), ("Date", "@500")]), Told::Explicit(0));
    assert_eq!(of(200, &[("Expires", "@500"), ("Date", "@600")]), Told::Explicit(0));
    assert_eq!(of(200, &[("Expires", "@500")]), Told::Explicit(500));
    assert_eq!(of(200, &[("Expires", "@500"), ("Date", "yesterday")]), Told::Explicit(500));
}

#[test]
fn a_malformed_expires_has_expired() {
    // RFC 9111 §5.3
    for expires in ["0", "-1", "", "Thu, 18 Aug 2050 02:01:18 UTC"] {
        assert_eq!(of(200, &[("Expires", expires), ("Date", "@0"), ("Last-Modified", "@-1000")]), Told::Explicit(0));
    }
    assert_eq!(of(200, &[("Expires", "@900"), ("Expires", "0")]), Told::Explicit(0));
}

#[test]
fn heuristics_need_last_modified_and_a_status_that_allows_them() {
    // RFC 9111 §4.2.2
    let fields = [("Last-Modified", "@-1000"), ("Date", "@0")];
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(of(status, &fields), Told::Heuristic(100), "{status}");
    }
    for status in [201, 302, 303, 307, 400, 403, 500, 502, 503, 599] {
        assert_eq!(of(status, &fields), Told::Unknown, "{status}");
    }
    assert_eq!(of(599, &[("Last-Modified", "@-1000"), ("Cache-Control", "public")]), Told::Heuristic(100));
    assert_eq!(of(200, &[("ETag", "\"a\"")]), Told::Unknown);
    assert_eq!(of(200, &[("Last-Modified", "@100"), ("Date", "@0")]), Told::Unknown);
    assert_eq!(of(200, &[("Last-Modified", "@-100000000")]), Told::Heuristic(86_400));
    assert_eq!(of(200, &[]), Told::Unknown);
}

#[test]
fn heuristics_are_off_without_the_routes_word_and_with_a_cookie() {
    let head = response(200, &[("Last-Modified", "@-1000")]);
    assert_eq!(weigh(&get(&[]), &head, &rfc()).unwrap().lifetime, 0);
    assert_eq!(weigh(&get(&[]), &head, &guessing()).unwrap().lifetime, 100);
    // And then a date is no validator either: it does not tell answers to two people apart.
    let cookie = get(&[("Cookie", "a=b")]);
    assert_eq!(weigh(&cookie, &head, &guessing()).unwrap_err(), Reason::NoFreshness);
    let tagged = response(200, &[("Last-Modified", "@-1000"), ("ETag", "\"a\"")]);
    assert_eq!(weigh(&cookie, &tagged, &guessing()).unwrap().lifetime, 0);
    let public = response(200, &[("Last-Modified", "@-1000"), ("Cache-Control", "public")]);
    assert_eq!(weigh(&cookie, &public, &guessing()).unwrap().lifetime, 0);
}

#[test]
fn age_is_the_first_member_of_the_first_line() {
    // RFC 9111 §5.1
    let age = |values: &[&str]| age_value(&lines(&values.iter().map(|value| ("Age", *value)).collect::<Vec<_>>()));
    assert_eq!(age(&["7200"]), 7200);
    assert_eq!(age(&["7200,0"]), 7200);
    assert_eq!(age(&["0, 7200"]), 0);
    assert_eq!(age(&["7200", "0"]), 7200);
    assert_eq!(age(&["99999999999999999999"]), u64::MAX);
    for invalid in ["abc", "-7200", "7200.0", "", "\"5\""] {
        assert_eq!(age(&[invalid]), 0, "{invalid}");
    }
}

#[test]
fn initial_age_is_the_greater_of_two_reckonings() {
    // RFC 9111 §4.2.3
    let clock = Clock::new();
    let age =
        |fields, requested, answered| initial_age(&lines(fields), clock.at(requested), clock.at(answered)).as_secs();
    assert_eq!(age(&[("Date", "@0"), ("Age", "10")], 0, 0), 10);
    assert_eq!(age(&[("Date", "@-30"), ("Age", "10")], 0, 0), 30);
    assert_eq!(age(&[("Date", "@0"), ("Age", "10")], 0, 5), 15);
    assert_eq!(age(&[("Date", "@100")], 0, 0), 0);
    assert_eq!(age(&[], 0, 3), 3);
    assert_eq!(age(&[("Age", "18446744073709551615")], 0, 9), u64::MAX);
}

#[test]
fn age_grows_with_the_time_in_store_and_saturates() {
    let fields = [("Cache-Control", "max-age=3600"), ("Date", "@0"), ("Age", "7200")];
    let kept = answer(&fields);
    assert_eq!(kept.age(Clock::new().at(10)), 7210);
    assert!(kept.ttl(7200) < 0);
    let kept = answer(&[("Cache-Control", "max-age=99999999999999999999"), ("Age", "99999999999999999999")]);
    assert_eq!(kept.age(Clock::new().at(10)), u64::MAX);
    assert_eq!(kept.ttl(u64::MAX), 0);
}

proptest! {
    #[test]
    fn age_never_goes_backwards(
        age in any::<u64>(), date in -100_000i64..100_000, delay in 0u64..1000, first in 0u64..10_000, more in 0u64..10_000,
    ) {
        let clock = Clock::new();
        let fields = lines(&[("Age", &age.to_string()), ("Date", &format!("@{date}"))]);
        let initial = initial_age(&fields, clock.at(0), clock.at(delay));
        prop_assert!(initial.as_secs() >= age);
        let mut kept = answer(&[("Cache-Control", "max-age=1")]);
        kept.initial_age = initial;
        kept.received = clock.at(delay).instant;
        let (early, late) = (kept.age(clock.at(first)), kept.age(clock.at(first + more)));
        prop_assert!(early <= late);
        prop_assert!(kept.ttl(early) >= kept.ttl(late));
    }
}

#[test]
fn the_routes_lifetime_is_for_a_200_that_says_nothing() {
    let unsaid = Unsaid { heuristic: Some(Duration::from_secs(86_400)), default_ttl: Some(Duration::from_secs(30)) };
    assert_eq!(with(unsaid, 200, &[]), Told::Route(30));
    assert_eq!(with(unsaid, 200, &[("Last-Modified", "@-1000"), ("ETag", "\"a\"")]), Told::Route(30));
    for field in [("Cache-Control", "x"), ("Cache-Control", ""), ("CDN-Cache-Control", "x")] {
        assert_eq!(with(unsaid, 200, &[field]), Told::Unknown, "{field:?}");
    }
    assert_eq!(with(unsaid, 200, &[("CDN-Cache-Control", "")]), Told::Route(30));
    assert_eq!(with(unsaid, 200, &[("Expires", "0")]), Told::Explicit(0));
    assert_eq!(with(unsaid, 404, &[]), Told::Unknown);
}

#[test]
fn the_routes_lifetime_is_not_for_what_may_be_about_one_person() {
    let policy = Policy { default_ttl: Some(Duration::from_secs(30)), ..rfc() };
    let lifetime = |asked: Lines<'_>, fields: Lines<'_>| {
        weigh(&get(asked), &response(200, fields), &policy).map(|answer| answer.lifetime).ok()
    };
    assert_eq!(lifetime(&[], &[]), Some(30));
    assert_eq!(lifetime(&[("Cookie", "a=b")], &[]), None);
    assert_eq!(lifetime(&[("Authorization", "Basic eA==")], &[]), None);
    assert_eq!(lifetime(&[], &[("Set-Cookie", "a=b")]), None);
}
