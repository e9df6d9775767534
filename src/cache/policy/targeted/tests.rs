use super::*;
use crate::cache::{
    Reason,
    policy::testing::{Lines, get, lines, response, rfc, weigh},
};

fn of(fields: Lines<'_>) -> ResponseDirectives {
    directives(&lines(fields), &["own-cache-control".into(), "cdn-cache-control".into()])
}

/// What comes of `CDN-Cache-Control: targeted` beside a Cache-Control.
fn weighed(targeted: &str, plain: &str) -> Result<u64, Reason> {
    let fields = [("CDN-Cache-Control", targeted), ("Cache-Control", plain), ("ETag", "\"a\"")];
    weigh(&get(&[]), &response(200, &fields), &rfc()).map(|answer| answer.lifetime)
}

#[test]
fn a_valid_targeted_field_is_all_that_counts() {
    // RFC 9213 §2.2
    assert_eq!(weighed("max-age=10000", "no-store"), Ok(10000));
    assert_eq!(weighed("max-age=10000", "max-age=1, s-maxage=2, must-revalidate"), Ok(10000));
    assert_eq!(weighed("none", "max-age=60"), Ok(0));
    for (targeted, reason) in [("private", Reason::Private), ("no-store, max-age=60", Reason::NoStore)] {
        assert_eq!(weighed(targeted, "max-age=60"), Err(reason), "{targeted}");
    }
    assert_eq!(weighed("max-age=0", "max-age=60"), Ok(0));
    let expires = [("CDN-Cache-Control", "unknown"), ("Expires", "@500"), ("ETag", "\"a\"")];
    assert_eq!(weigh(&get(&[]), &response(200, &expires), &rfc()).unwrap().lifetime, 0);
}

#[test]
fn an_empty_or_invalid_targeted_field_is_not_there() {
    // RFC 9213 §2.1: whatever else it says, a prohibition included.
    for wrong in ["", "max-age=60, &", "max-age=", "max-age=\"60\"", "max-age=60.0", "max-age", "MAX-AGE=60", "a,,b"] {
        assert_eq!(weighed(wrong, "max-age=5"), Ok(5), "{wrong}");
    }
    for wrong in ["no-store, max-age=x", "private, stale-if-error=\"1\"", "no-store, s-maxage=?1"] {
        assert_eq!(weighed(wrong, "max-age=5"), Ok(5), "{wrong}");
    }
}

#[test]
fn every_directive_may_be_targeted() {
    let told = of(&[(
        "CDN-Cache-Control",
        "max-age=1;x, s-maxage=2, stale-while-revalidate=3, stale-if-error=4, public, must-revalidate, \
         proxy-revalidate, must-understand, no-cache=\"Set-Cookie, x\", private=y",
    )]);
    assert_eq!((told.max_age, told.s_maxage), (Some(1), Some(2)));
    assert_eq!((told.stale_while_revalidate, told.stale_if_error), (Some(3), Some(4)));
    assert!(told.public && told.must_revalidate && told.proxy_revalidate && told.must_understand);
    assert!(!told.no_cache && !told.private && !told.no_store);
    assert_eq!(told.withheld, [b"set-cookie".to_vec(), b"x".to_vec(), b"y".to_vec()]);
}

#[test]
fn a_prohibition_counts_whatever_its_argument_unless_it_says_false() {
    assert!(of(&[("CDN-Cache-Control", "no-store=5")]).no_store);
    assert!(of(&[("CDN-Cache-Control", "no-cache=5, private=(a)")]).no_cache);
    assert!(of(&[("CDN-Cache-Control", "no-cache=5, private=(a)")]).private);
    assert!(!of(&[("CDN-Cache-Control", "no-store=?0")]).no_store);
    assert_eq!(of(&[("CDN-Cache-Control", "max-age=-1")]).max_age, Some(0));
}

#[test]
fn the_first_of_the_list_that_is_valid_counts() {
    let both = [("CDN-Cache-Control", "max-age=1"), ("Own-Cache-Control", "max-age=2"), ("Cache-Control", "max-age=3")];
    assert_eq!((of(&both).max_age, of(&both).targeted), (Some(2), Some(0)));
    let broken = [("CDN-Cache-Control", "max-age=1"), ("Own-Cache-Control", "&"), ("Cache-Control", "max-age=3")];
    assert_eq!((of(&broken).max_age, of(&broken).targeted), (Some(1), Some(1)));
    let none = [("Other-Cache-Control", "max-age=1"), ("Cache-Control", "max-age=3")];
    assert_eq!((of(&none).max_age, of(&none).targeted), (Some(3), None));
}

#[test]
fn several_lines_are_one_field() {
    let fields = [("CDN-Cache-Control", "max-age=1"), ("CDN-Cache-Control", "no-store")];
    assert!(of(&fields).no_store && of(&fields).max_age == Some(1));
}
