use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::{Clock, Lines, answer, get, guessing, lines, response, rfc, weigh};

fn of(status: u16, fields: Lines<'_>) -> Lifetime {
    let head = response(status, fields);
    let directives = ResponseDirectives::of(&head.fields);
    lifetime(&head, &directives, Some(Duration::from_secs(86_400)), Clock::new().at(0))
}

#[test]
fn s_maxage_wins_over_max_age_over_expires() {
    // RFC 9111 §4.2.1
    assert_eq!(of(200, &[("Cache-Control", "max-age=1, s-maxage=3600")]), Lifetime::Explicit(3600));
    assert_eq!(of(200, &[("Cache-Control", "s-maxage=1"), ("Cache-Control", "max-age=3600")]), Lifetime::Explicit(1));
    for expires in ["@-10000", "@10000", "0", "garbage"] {
        let fields = [("Cache-Control", "max-age=3600"), ("Expires", expires), ("Date", "@0")];
        assert_eq!(of(200, &fields), Lifetime::Explicit(3600), "{expires}");
    }
    assert_eq!(of(200, &[("Cache-Control", "max-age=0"), ("Expires", "@10000")]), Lifetime::Explicit(0));
}

#[test]
fn expires_counts_from_date_not_from_the_local_clock() {
    assert_eq!(of(200, &[("Expires", "@500"), ("Date", "@400")]), Lifetime::Explicit(100));
    assert_eq!(of(200, &[("Expires", "@500"), ("Date", "@500")]), Lifetime::Explicit(0));
    assert_eq!(of(200, &[("Expires", "@500"), ("Date", "@600")]), Lifetime::Explicit(0));
    assert_eq!(of(200, &[("Expires", "@500")]), Lifetime::Explicit(500));
    assert_eq!(of(200, &[("Expires", "@500"), ("Date", "yesterday")]), Lifetime::Explicit(500));
}

#[test]
fn a_malformed_expires_has_expired() {
    // RFC 9111 §5.3
    for expires in ["0", "-1", "", "Thu, 18 Aug 2050 02:01:18 UTC"] {
        assert_eq!(
            of(200, &[("Expires", expires), ("Date", "@0"), ("Last-Modified", "@-1000")]),
            Lifetime::Explicit(0)
        );
    }
    assert_eq!(of(200, &[("Expires", "@900"), ("Expires", "0")]), Lifetime::Explicit(0));
}

#[test]
fn heuristics_need_last_modified_and_a_status_that_allows_them() {
    // RFC 9111 §4.2.2
    let fields = [("Last-Modified", "@-1000"), ("Date", "@0")];
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(of(status, &fields), Lifetime::Heuristic(100), "{status}");
    }
    for status in [201, 302, 303, 307, 400, 403, 500, 502, 503, 599] {
        assert_eq!(of(status, &fields), Lifetime::Unknown, "{status}");
    }
    assert_eq!(of(599, &[("Last-Modified", "@-1000"), ("Cache-Control", "public")]), Lifetime::Heuristic(100));
    assert_eq!(of(200, &[("ETag", "\"a\"")]), Lifetime::Unknown);
    assert_eq!(of(200, &[("Last-Modified", "@100"), ("Date", "@0")]), Lifetime::Unknown);
    assert_eq!(of(200, &[("Last-Modified", "@-100000000")]), Lifetime::Heuristic(86_400));
    assert_eq!(of(200, &[]), Lifetime::Unknown);
}

#[test]
fn heuristics_are_off_without_the_routes_word_and_with_a_cookie() {
    let head = response(200, &[("Last-Modified", "@-1000")]);
    assert_eq!(weigh(&get(&[]), &head, &rfc()).unwrap().lifetime, 0);
    assert_eq!(weigh(&get(&[]), &head, &guessing()).unwrap().lifetime, 100);
    assert_eq!(weigh(&get(&[("Cookie", "a=b")]), &head, &guessing()).unwrap().lifetime, 0);
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
