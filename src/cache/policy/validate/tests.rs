use super::*;
use crate::cache::policy::testing::{Clock, Lines, answer, get, http_date, response, rfc, weigh};

fn after(stored: Lines<'_>, not_modified: Lines<'_>) -> Result<Freshened, Reason> {
    let now = Clock::new().at(0);
    let request = get(&[]);
    let exchange = Exchange { request: &request, policy: &rfc(), requested: now, answered: now };
    freshened(&answer(stored), &exchange, &response(304, not_modified))
}

fn field(freshened: &Freshened, name: &str) -> Option<String> {
    freshened.answer.head.fields.get(name).map(|value| String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn the_cache_asks_with_the_stored_bytes() {
    // RFC 9111 §4.3.1
    let kept = answer(&[("ETag", "W/\"odd , tag\""), ("Last-Modified", "yesterday")]);
    let fields: Vec<_> = validation_fields(&kept).collect();
    assert_eq!(fields, [("If-None-Match", &b"W/\"odd , tag\""[..]), ("If-Modified-Since", b"yesterday")]);
    assert_eq!(validation_fields(&answer(&[("Cache-Control", "max-age=1")])).count(), 0);
}

#[test]
fn a_304_updates_what_it_names_and_leaves_the_rest() {
    // RFC 9111 §4.3.4, §3.2
    let stored = [
        ("ETag", "\"a\""),
        ("Cache-Control", "max-age=1"),
        ("A", "1"),
        ("B", "1"),
        ("b", "2"),
        ("Content-Type", "text/plain"),
        ("Content-Length", "5"),
        ("Content-Encoding", "gzip"),
        ("Content-Range", "x"),
        ("Date", "@-500"),
        ("Age", "7"),
    ];
    let fresh = after(
        &stored,
        &[
            ("Cache-Control", "max-age=3600"),
            ("ETag", "\"a\""),
            ("B", "3"),
            ("Content-Type", "text/html"),
            ("Content-Length", "0"),
            ("Content-Encoding", "br"),
            ("Content-Range", "y"),
            ("Connection", "hop"),
            ("Hop", "1"),
            ("Date", "@0"),
        ],
    )
    .unwrap();
    assert_eq!((fresh.refused, fresh.answer.lifetime, fresh.answer.initial_age.as_secs()), (None, 3600, 0));
    assert_eq!(fresh.answer.head.status, 200);
    for (name, value) in [("a", "1"), ("b", "3"), ("content-type", "text/html"), ("content-length", "5")] {
        assert_eq!(field(&fresh, name).as_deref(), Some(value), "{name}");
    }
    for (name, value) in
        [("content-encoding", Some("gzip")), ("content-range", Some("x")), ("hop", None), ("age", None)]
    {
        assert_eq!(field(&fresh, name).as_deref(), value, "{name}");
    }
    assert_eq!(fresh.answer.head.fields.all("b").count(), 1);
    assert_eq!(field(&fresh, "date"), Some(http_date(0)));
    assert_eq!(fresh.answer.length, Some(5));
}

#[test]
fn freshness_restarts_from_the_304() {
    let stored = [("Cache-Control", "max-age=100"), ("ETag", "\"a\""), ("Date", "@-500"), ("Age", "5000")];
    let fresh = after(&stored, &[]).unwrap();
    assert_eq!((fresh.answer.lifetime, fresh.answer.initial_age.as_secs()), (100, 0));
    assert_eq!(field(&fresh, "date"), Some(http_date(0)));
    let aged = after(&stored, &[("Age", "30"), ("Date", "@0")]).unwrap();
    assert_eq!(aged.answer.initial_age.as_secs(), 30);
}

#[test]
fn a_304_updates_what_its_validator_names() {
    // RFC 9111 §4.3.4: by a strong tag, else by a weak one, else the only one that was asked about.
    let selects = |stored: &str, told: &str| {
        let own = [("ETag", stored), ("Last-Modified", "@-10")];
        let told = [("ETag", told)];
        let absent = |lines: &[(&'static str, &str)]| lines[0].1.is_empty();
        let freshened = after(if absent(&own) { &own[1..] } else { &own }, if absent(&told) { &[] } else { &told });
        freshened.map_err(|reason| assert_eq!(reason, Reason::ValidatorMismatch)).is_ok()
    };
    for (stored, told) in [("\"a\"", "\"a\""), ("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\""), ("\"a\"", ""), ("", "")] {
        assert!(selects(stored, told), "{stored} {told}");
    }
    for (stored, told) in
        [("\"a\"", "\"b\""), ("\"a\"", "W/\"b\""), ("W/\"a\"", "\"a\""), ("", "\"a\""), ("", "W/\"a\"")]
    {
        assert!(!selects(stored, told), "{stored} {told}");
    }
}

#[test]
fn a_304_brings_new_targeted_directives_and_tags() {
    // RFC 9213 §2.2, RFC 9111 §4.3.4
    let stored =
        [("ETag", "\"a\""), ("CDN-Cache-Control", "max-age=10"), ("Cache-Control", "max-age=1"), ("xkey", "a")];
    let renewed = |news: Lines<'_>| after(&stored, news).unwrap();
    assert_eq!(renewed(&[("Cache-Control", "no-store")]).answer.lifetime, 10);
    assert_eq!(renewed(&[("CDN-Cache-Control", "max-age=20")]).answer.lifetime, 20);
    assert_eq!(renewed(&[("CDN-Cache-Control", "private")]).refused, Some(Reason::Private));
    assert_eq!(renewed(&[("CDN-Cache-Control", "&")]).answer.lifetime, 1);
    assert_eq!(*renewed(&[("xkey", "b")]).answer.tags, [Box::from(*b"b")]);
}

#[test]
fn a_head_tells_whether_the_stored_answer_still_stands() {
    // RFC 9111 §4.3.5
    let kept = answer(&[("ETag", "\"a\""), ("Last-Modified", "@-10"), ("Content-Length", "5")]);
    let told = |fields: Lines<'_>| super::headed(&kept, &response(200, fields));
    assert_eq!(told(&[("ETag", "\"a\""), ("Content-Length", "5")]), Headed::Same);
    assert_eq!(told(&[("Last-Modified", "@-10")]), Headed::Same);
    assert_eq!(told(&[("ETag", "\"b\"")]), Headed::Other);
    assert_eq!(told(&[("ETag", "\"a\""), ("Last-Modified", "@-9")]), Headed::Other);
    assert_eq!(told(&[("ETag", "\"a\""), ("Content-Length", "6")]), Headed::Other);
    assert_eq!(told(&[("Content-Length", "6")]), Headed::Other);
    assert_eq!(told(&[("Content-Length", "5")]), Headed::Unknown);
    assert_eq!(told(&[]), Headed::Unknown);
    let gone = weigh(&get(&[]), &response(404, &[("ETag", "\"a\"")]), &rfc()).unwrap();
    assert_eq!(headed(&gone, &response(200, &[("ETag", "\"a\"")])), Headed::Other);
}

#[test]
fn a_304_that_forbids_storing_still_answers_its_own_request() {
    let fresh =
        after(&[("ETag", "\"a\""), ("Cache-Control", "max-age=1")], &[("Cache-Control", "private, max-age=60")]);
    let fresh = fresh.unwrap();
    assert_eq!(fresh.refused, Some(Reason::Private));
    assert_eq!(field(&fresh, "cache-control").as_deref(), Some("private, max-age=60"));
}

#[test]
fn a_vary_that_no_client_sees_is_not_lost_by_a_304() {
    // RFC 9111 §4.1, §4.3.4; §5.2.2.4 and §5.2.2.7 for why it is not in the stored head
    let request = get(&[("Foo", "1")]);
    let now = Clock::new().at(0);
    let exchange = Exchange { request: &request, policy: &rfc(), requested: now, answered: now };
    for hiding in
        [("Cache-Control", "max-age=60, private=\"vary\""), ("Cache-Control", "max-age=60, no-cache=\"vary, b\"")]
    {
        let fields = [("ETag", "\"a\""), ("Cache-Control", "max-age=60"), ("Vary", "Foo"), hiding];
        let mut kept = weigh(&request, &response(200, &fields), &rfc()).unwrap();
        assert!(!kept.head.fields.contains("vary"), "{hiding:?}");
        // The news say nothing of it, repeat it in the open, repeat it hidden, or name another.
        for (news, names) in [
            (&[("ETag", "\"a\"")][..], &["foo"][..]),
            (&[("ETag", "\"a\"")], &["foo"]),
            (&[("Vary", "Foo"), hiding], &["foo"]),
            (&[("Vary", "Bar"), ("Vary", "Foo"), hiding], &["bar", "foo"]),
        ] {
            let fresh = freshened(&kept, &exchange, &response(304, news)).unwrap();
            assert_eq!(fresh.refused, None, "{hiding:?} {news:?}");
            assert_eq!(fresh.answer.vary.names().collect::<Vec<_>>(), names, "{hiding:?} {news:?}");
            assert!(!fresh.answer.vary.matches(&get(&[("Foo", "2")]).fields), "{hiding:?} {news:?}");
            assert!(fresh.answer.vary.matches(&request.fields), "{hiding:?} {news:?}");
            assert!(!fresh.answer.head.fields.contains("vary"), "{hiding:?} {news:?}");
            kept = fresh.answer;
        }
        let star = freshened(&kept, &exchange, &response(304, &[("Vary", "*"), hiding])).unwrap();
        assert_eq!(star.refused, Some(Reason::VaryStar), "{hiding:?}");
    }
    // No connection option hides it, and what stands in the open goes on to be replaced.
    let nominated = [("Connection", "vary"), ("ETag", "\"a\""), ("Cache-Control", "max-age=60"), ("Vary", "Foo")];
    let fresh = after(&nominated, &[("Connection", "vary"), ("Cache-Control", "max-age=9")]).unwrap();
    assert_eq!(field(&fresh, "vary").as_deref(), Some("Foo"));
    let stored = [("ETag", "\"a\""), ("Cache-Control", "max-age=60"), ("Vary", "Foo")];
    let moved = after(&stored, &[("Vary", "Bar")]).unwrap();
    assert_eq!(moved.answer.vary.names().collect::<Vec<_>>(), ["bar"]);
}
