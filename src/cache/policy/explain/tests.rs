use super::*;
use crate::cache::policy::testing::{Clock, Lines, get, guessing, response};

fn told(asked: Lines<'_>, fields: Lines<'_>) -> Vec<String> {
    let now = Clock::new().at(0);
    let request = get(asked);
    let exchange = Exchange { request: &request, policy: &guessing(), requested: now, answered: now };
    let facts = explain(&exchange, &response(200, fields)).facts();
    facts.into_iter().map(|(name, words)| format!("{name}: {words}")).collect()
}

#[test]
fn an_answer_is_explained_with_its_numbers() {
    let fields = [
        ("CDN-Cache-Control", "max-age=100, stale-while-revalidate=5"),
        ("Cache-Control", "no-store"),
        ("Age", "30"),
        ("Vary", "Accept, X"),
        ("ETag", "\"a\""),
        ("Last-Modified", "yesterday"),
        ("Surrogate-Key", "b a"),
        ("Cache-Groups", "\"g\""),
    ];
    let expected = [
        "stored: yes",
        "reused: yes",
        "lifetime: 100 s, from max-age of cdn-cache-control",
        "age: 30 s",
        "stale: while refreshing for 5 s, on a backend's error for 0 s, without a backend always",
        "etag: \"a\"",
        "last_modified: yesterday",
        "vary: accept, x",
        "tags: a, b",
        "groups: g",
    ];
    assert_eq!(told(&[], &fields), expected);
}

#[test]
fn a_refusal_says_why_and_what_would_have_been() {
    let expected = [
        "stored: no, private: the answer says `private` (RFC 9111 §5.2.2.7)",
        "reused: no",
        "lifetime: 60 s, from s-maxage of cache-control",
        "age: 0 s",
        "stale: never",
    ];
    assert_eq!(told(&[], &[("Cache-Control", "private, s-maxage=60")]), expected);
    let star = told(&[], &[("Cache-Control", "max-age=60"), ("Vary", "*")]);
    assert!(star[0].starts_with("stored: no, vary_star: "), "{star:?}");
}

#[test]
fn a_stored_answer_may_still_have_to_be_validated() {
    let told = |asked, fields| told(asked, fields)[1].clone();
    let stale = told(&[], &[("Expires", "0"), ("ETag", "\"a\"")]);
    assert_eq!(stale, "reused: after a validation, stale: its lifetime is over (RFC 9111 §4.2)");
    let refreshed = told(&[], &[("Cache-Control", "max-age=0, stale-while-revalidate=9"), ("ETag", "\"a\"")]);
    assert_eq!(refreshed, "reused: yes, while it is refreshed");
    let demanded = told(&[("Cache-Control", "no-cache")], &[("Cache-Control", "max-age=60")]);
    assert!(demanded.starts_with("reused: after a validation, request_no_cache: "), "{demanded}");
}
