use proptest::prelude::*;

use super::{Condition::*, *};
use crate::{
    cache::policy::testing::{Lines, answer, get, response, rfc, weigh},
    wire::Fields,
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");

fn tagged(etag: &str, request: Lines<'_>) -> Condition {
    evaluate(&get(request), &answer(&[FRESH, ("ETag", etag)]))
}

#[test]
fn if_none_match_compares_weakly_over_all_lines() {
    // RFC 9110 §13.1.2, §8.8.3.2
    assert_eq!(tagged("\"a\"", &[("If-None-Match", "\"a\"")]), NotModified);
    assert_eq!(tagged("\"a\"", &[("If-None-Match", "W/\"a\"")]), NotModified);
    assert_eq!(tagged("W/\"a\"", &[("If-None-Match", "\"a\"")]), NotModified);
    assert_eq!(tagged("\"a\"", &[("If-None-Match", "\"x\" , \"a\"")]), NotModified);
    assert_eq!(tagged("\"a\"", &[("If-None-Match", "\"x\""), ("if-none-match", "\"a\"")]), NotModified);
    assert_eq!(tagged("\"a,b\"", &[("If-None-Match", "\"x\",\"a,b\"")]), NotModified);
    assert_eq!(tagged("\"a\\\"", &[("If-None-Match", "\"a\\\", \"b\"")]), NotModified);
    assert_eq!(tagged("\"a\"", &[("If-None-Match", "*")]), NotModified);
    for other in ["\"b\"", "\"A\"", "a", "\"a", "", ",", "\"x,\"a\"", "w/\"a\""] {
        assert_eq!(tagged("\"a\"", &[("If-None-Match", other)]), Proceed, "{other}");
    }
    assert_eq!(tagged("\"a\"", &[]), Proceed);
}

#[test]
fn if_none_match_wins_over_if_modified_since() {
    // RFC 9110 §13.2.2
    let kept = answer(&[FRESH, ("ETag", "\"a\""), ("Last-Modified", "@-100")]);
    let since = crate::cache::policy::testing::http_date(0);
    assert_eq!(evaluate(&get(&[("If-None-Match", "\"b\""), ("If-Modified-Since", &since)]), &kept), Proceed);
    assert_eq!(evaluate(&get(&[("If-None-Match", "\"a\""), ("If-Modified-Since", "x")]), &kept), NotModified);
    let untagged = answer(&[FRESH, ("Last-Modified", "@-100")]);
    assert_eq!(evaluate(&get(&[("If-None-Match", "\"b\""), ("If-Modified-Since", &since)]), &untagged), Proceed);
}

#[test]
fn if_modified_since_takes_any_layout_at_or_after_the_change() {
    // RFC 9110 §13.1.3
    let kept = answer(&[FRESH, ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    for since in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:38 GMT",
    ] {
        assert_eq!(evaluate(&get(&[("If-Modified-Since", since)]), &kept), NotModified, "{since}");
    }
    for since in ["Sun, 06 Nov 1994 08:49:36 GMT", "0", "", "Sun, 06 Nov 94 08:49:37 GMT"] {
        assert_eq!(evaluate(&get(&[("If-Modified-Since", since)]), &kept), Proceed, "{since}");
    }
}

#[test]
fn without_last_modified_the_date_stands_in() {
    // RFC 9111 §4.3.2
    let kept = answer(&[FRESH, ("Date", "@-10")]);
    let since = |offset| crate::cache::policy::testing::http_date(offset);
    assert_eq!(evaluate(&get(&[("If-Modified-Since", &since(-10))]), &kept), NotModified);
    assert_eq!(evaluate(&get(&[("If-Modified-Since", &since(-11))]), &kept), Proceed);
}

#[test]
fn conditions_hold_back_successes_only() {
    // RFC 9110 §13.2.1
    let missing = weigh(&get(&[]), &response(404, &[FRESH, ("ETag", "\"a\"")]), &rfc()).unwrap();
    assert_eq!(evaluate(&get(&[("If-None-Match", "\"a\"")]), &missing), Proceed);
}

#[test]
fn strong_tags_are_quoted_and_not_marked_weak() {
    assert!(is_strong(b"\"a\""));
    assert!(!is_strong(b"W/\"a\"") && !is_strong(b"a") && !is_strong(b"\"a") && !is_strong(b""));
}

proptest! {
    #[test]
    fn no_bytes_panic(line in any::<Vec<u8>>()) {
        let mut fields = Fields::new();
        fields.push("If-None-Match", &line);
        fields.push("If-Modified-Since", &line);
        let request = RequestHead { fields, ..get(&[]) };
        let _ = evaluate(&request, &answer(&[FRESH, ("ETag", "\"a\"")]));
    }
}
