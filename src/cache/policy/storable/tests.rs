use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::cache::policy::{
    Policy, tags,
    testing::{Clock, Lines, answer, get, guessing, request, response, rfc, weigh},
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");

fn refused(status: u16, fields: Lines<'_>) -> Option<Reason> {
    weigh(&get(&[]), &response(status, fields), &rfc()).err()
}

#[test]
fn private_and_no_store_are_never_stored() {
    // RFC 9111 §3, §5.2.2.5, §5.2.2.7
    assert_eq!(refused(200, &[("Cache-Control", "private, max-age=3600")]), Some(Reason::Private));
    assert_eq!(refused(200, &[("Cache-Control", "PRIVATE"), ("ETag", "\"a\""), FRESH]), Some(Reason::Private));
    assert_eq!(refused(200, &[FRESH, ("Cache-Control", "No-StOrE")]), Some(Reason::NoStore));
    assert_eq!(refused(200, &[FRESH]), None);
}

#[test]
fn must_understand_lifts_no_store_for_a_known_status_only() {
    // RFC 9111 §5.2.2.3
    let fields = [("Cache-Control", "max-age=3600, no-store, must-understand")];
    assert_eq!(refused(200, &fields), None);
    assert_eq!(refused(499, &fields), Some(Reason::MustUnderstand));
    assert_eq!(refused(499, &[("Cache-Control", "max-age=3600, must-understand")]), Some(Reason::MustUnderstand));
}

#[test]
fn authorization_needs_a_word_that_allows_sharing() {
    // RFC 9111 §3.5
    let weigh = |directives: &str| {
        let answer = response(200, &[("Cache-Control", directives)]);
        weigh(&get(&[("Authorization", "Basic eDp5")]), &answer, &rfc()).err()
    };
    assert_eq!(weigh("max-age=3600"), Some(Reason::Authorization));
    assert_eq!(weigh("max-age=3600, proxy-revalidate"), Some(Reason::Authorization));
    for word in ["public", "must-revalidate", "s-maxage=3600"] {
        assert_eq!(weigh(&format!("max-age=3600, {word}")), None, "{word}");
    }
}

#[test]
fn vary_star_is_never_stored() {
    assert_eq!(refused(200, &[FRESH, ("Vary", "a"), ("Vary", "*")]), Some(Reason::VaryStar));
}

#[test]
fn set_cookie_is_stored_by_the_routes_or_the_backends_word() {
    let safe = Policy { store_set_cookie: false, ..rfc() };
    let weigh = |directives: &str, policy| {
        weigh(&get(&[]), &response(200, &[("Cache-Control", directives), ("Set-Cookie", "a=b")]), policy).err()
    };
    assert_eq!(weigh("max-age=3600", &safe), Some(Reason::SetCookie));
    assert_eq!(weigh("max-age=3600, public", &safe), None);
    assert_eq!(weigh("s-maxage=3600", &safe), None);
    assert_eq!(weigh("max-age=3600, private=\"set-cookie\"", &safe), None);
    assert_eq!(weigh("max-age=3600", &rfc()), None);
}

#[test]
fn any_final_status_with_explicit_freshness_is_stored() {
    // RFC 9111 §3
    for status in [200, 204, 301, 302, 307, 400, 404, 410, 500, 503, 599, 299, 499, 416] {
        assert_eq!(refused(status, &[FRESH]), None, "{status}");
        assert_eq!(refused(status, &[("Expires", "@3600"), ("Date", "@0")]), None, "{status}");
    }
}

#[test]
fn interim_partial_and_not_modified_answers_are_never_stored() {
    assert_eq!(refused(103, &[FRESH]), Some(Reason::Interim));
    assert_eq!(refused(206, &[FRESH]), Some(Reason::Partial));
    assert_eq!(refused(304, &[FRESH, ("ETag", "\"a\"")]), Some(Reason::NotModified));
}

#[test]
fn without_freshness_a_validator_is_needed_and_a_status_that_allows_it() {
    assert_eq!(refused(200, &[]), Some(Reason::NoFreshness));
    assert_eq!(refused(200, &[("ETag", "\"a\"")]), None);
    assert_eq!(refused(200, &[("Last-Modified", "@-1000")]), None);
    assert_eq!(refused(500, &[("ETag", "\"a\"")]), Some(Reason::NoFreshness));
    assert_eq!(refused(500, &[("ETag", "\"a\""), ("Cache-Control", "public")]), None);
    assert_eq!(refused(200, &[("Expires", "0")]), Some(Reason::NoFreshness));
}

#[test]
fn what_could_never_be_used_is_not_kept() {
    assert_eq!(refused(200, &[("Cache-Control", "no-cache")]), Some(Reason::NoFreshness));
    assert_eq!(refused(200, &[("Cache-Control", "no-cache, max-age=60")]), Some(Reason::NoFreshness));
    assert_eq!(refused(200, &[("Cache-Control", "no-cache"), ("ETag", "\"a\"")]), None);
    assert_eq!(refused(200, &[("Cache-Control", "max-age=0, must-revalidate")]), Some(Reason::NoFreshness));
    // Stale, it may still stand in for a backend that is gone.
    assert_eq!(refused(200, &[("Cache-Control", "max-age=0")]), None);
}

#[test]
fn only_get_without_a_body_is_stored() {
    let answer = response(200, &[FRESH]);
    for method in ["POST", "HEAD", "PUT", "PURGE"] {
        assert_eq!(weigh(&request(method, &[]), &answer, &rfc()).err(), Some(Reason::Method));
    }
    let fat = RequestHead { framing: Framing::Length(3), ..get(&[]) };
    assert_eq!(weigh(&fat, &answer, &rfc()).err(), Some(Reason::RequestBody));
}

#[test]
fn no_store_of_the_request_counts_where_the_route_honours_it() {
    // RFC 9111 §5.2.1.5
    let asked = get(&[("Cache-Control", "no-store")]);
    let answer = response(200, &[FRESH]);
    assert_eq!(weigh(&asked, &answer, &rfc()).err(), Some(Reason::RequestNoStore));
    let deaf = Policy { client_cache_control: false, ..rfc() };
    assert_eq!(weigh(&asked, &answer, &deaf).err(), None);
}

proptest! {
    #[test]
    fn a_forbidden_answer_is_never_stored(
        status in 200u16..600,
        forbidding in prop::sample::select(vec!["no-store", "private", "NO-STORE", "Private", "no-store=1", "private="]),
        others in prop::collection::vec(
            prop::sample::select(vec!["max-age=60", "s-maxage=60", "public", "must-revalidate", "ext=\"a,b\"", "", "x=y"]), 0..5),
        at in any::<prop::sample::Index>(),
        lines in any::<bool>(),
    ) {
        let mut directives = others;
        directives.insert(at.index(directives.len() + 1), forbidding);
        let joined = directives.join(", ");
        let mut fields = vec![("ETag", "\"a\""), ("Expires", "@500")];
        if lines {
            fields.extend(directives.iter().map(|directive| ("Cache-Control", *directive)));
        } else {
            fields.push(("Cache-Control", joined.as_str()));
        }
        let policy = Policy { heuristic: Some(Duration::from_secs(60)), ..guessing() };
        prop_assert!(weigh(&get(&[]), &response(status, &fields), &policy).is_err());
    }
}

#[test]
fn what_could_not_be_purged_by_all_its_tags_is_not_kept() {
    let tags = (0..=tags::TAGS_MAX).map(|at| at.to_string()).collect::<Vec<_>>().join(",");
    let fields = [("Cache-Control", "max-age=60"), ("Cache-Tag", tags.as_str())];
    assert_eq!(weigh(&get(&[]), &response(200, &fields), &rfc()).unwrap_err(), Reason::TooManyTags);
    let kept = answer(&[("Cache-Control", "max-age=60"), ("Cache-Tag", "b a"), ("Cache-Groups", "\"g\"")]);
    assert_eq!((kept.tags.len(), kept.groups.len()), (2, 1));
    assert!(kept.memory() > answer(&[("Cache-Control", "max-age=60")]).memory());
}

#[test]
fn an_answer_to_post_may_be_kept_for_gets_to_come() {
    // RFC 9110 §9.3.3: explicit freshness, and a Content-Location that is the request's own URI.
    let weighed = |asked: Lines<'_>, status, fields: Lines<'_>, policy: &Policy| {
        let now = Clock::new().at(0);
        let request = RequestHead { framing: Framing::Length(3), ..request("POST", asked) };
        let exchange = Exchange { request: &request, policy, requested: now, answered: now };
        storable_for_get(&exchange, &response(status, fields)).map(|plan| plan.answer.lifetime)
    };
    let itself = ("Content-Location", "/");
    assert_eq!(weighed(&[], 200, &[FRESH, itself], &rfc()), Ok(3600));
    assert_eq!(weighed(&[], 200, &[FRESH, ("Content-Location", "http://example.com/")], &rfc()), Ok(3600));
    assert_eq!(weighed(&[], 200, &[("Expires", "@60"), itself], &rfc()), Ok(60));
    for other in ["/other", "http://other/", "/?", "https://example.com/", ""] {
        assert_eq!(weighed(&[], 200, &[FRESH, ("Content-Location", other)], &rfc()), Err(Reason::Method), "{other}");
    }
    for status in [201, 204, 206, 303, 404] {
        assert_eq!(weighed(&[], status, &[FRESH, itself], &rfc()), Err(Reason::Method), "{status}");
    }
    let supposed = Policy { default_ttl: Some(Duration::from_secs(60)), ..guessing() };
    for unsaid in [&[itself][..], &[itself, ("Last-Modified", "@-1000"), ("Cache-Control", "public")]] {
        assert_eq!(weighed(&[], 200, unsaid, &supposed), Err(Reason::NoFreshness), "{unsaid:?}");
    }
    assert_eq!(weighed(&[], 200, &[("Cache-Control", "no-store"), itself], &rfc()), Err(Reason::NoStore));
    assert_eq!(weighed(&[("Cache-Control", "no-store")], 200, &[FRESH, itself], &rfc()), Err(Reason::RequestNoStore));
    assert_eq!(weighed(&[("If-None-Match", "\"a\"")], 200, &[FRESH, itself], &rfc()), Err(Reason::Method));
    assert_eq!(weighed(&[("Authorization", "x")], 200, &[FRESH, itself], &rfc()), Err(Reason::Authorization));
}

#[test]
fn what_may_be_made_for_a_twin_of_a_nominated_field_is_not_stored() {
    let varied = response(200, &[FRESH, ("Vary", "Accept-Language, X-Device-Class")]);
    let weighed = |asked: Lines<'_>| weigh(&get(asked), &varied, &rfc()).err();
    for name in
        ["Accept_Language", "accept_language", "X-Device_Class", "X_Device_Class", "Accept.Language", "x~device-class"]
    {
        assert_eq!(weighed(&[(name, "de")]), Some(Reason::VaryTwin), "{name}");
    }
    for name in ["Accept-Language", "Accept_Languages", "Other_Name", "X_Device", "Other.Name"] {
        assert_eq!(weighed(&[(name, "de")]), None, "{name}");
    }
}
