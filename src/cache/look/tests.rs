use super::*;
use crate::cache::tests::{cache, put_at};
use crate::cache::{
    Lookup, Purge,
    policy::testing::{Clock, get, request, rfc},
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=100");

#[test]
fn the_answers_under_a_url_are_told_with_all_that_is_known() {
    let (cache, clock) = (cache(1 << 20, 1 << 16), Clock::new());
    for (key, foo) in
        [(&b"http://a\0/x"[..], "1"), (b"http://a\0/x", "2"), (b"http://a\0/x\0way", "1"), (b"http://a\0/xy", "1")]
    {
        let fields = [FRESH, ("Vary", "Foo, Bar"), ("Cache-Tag", "b a"), ("Cache-Groups", "\"g\""), ("Age", "7")];
        put_at(&cache, key, &get(&[("Foo", foo)]), &fields, b"body", clock.at(0));
    }
    for _ in 0..3 {
        cache.lookup(b"http://a\0/x", &get(&[("Foo", "2")]), &rfc(), clock.at(0));
    }
    let views = cache.entries_under(b"http://a\0/x", 10, clock.at(20));
    assert_eq!(views.len(), 3);
    let EntryView { key, head, age, ttl, lifetime, purged, body_bytes, bytes, hits, vary, tags, groups, .. } =
        &views[0];
    assert_eq!((&key[..], head.status, *age, *ttl, *lifetime), (&b"http://a\0/x"[..], 200, 27, 73, 100));
    assert_eq!((*purged, *body_bytes, *hits), (false, 4, 3));
    assert!(*bytes > 500);
    assert_eq!(*vary, [("foo".to_owned(), Some(b"2".to_vec())), ("bar".to_owned(), None)]);
    assert_eq!((tags.len(), groups.concat()), (2, b"g".to_vec()));
    assert_eq!(cache.entries_under(b"http://a\0/x", 2, clock.at(20)).len(), 2);
    assert_eq!(cache.entries_under(b"http://a\0/x", 0, clock.at(20)).len(), 0);
    cache.purge(&Purge { what: Purged::Url(b"http://a\0/x\0way".to_vec()), soft: true });
    let purged: Vec<bool> =
        cache.entries_under(b"http://a\0/x", 9, clock.at(20)).iter().map(|view| view.purged).collect();
    assert_eq!(purged, [false, false, true]);
}

#[test]
fn the_most_valuable_come_first_and_no_more_than_asked_for() {
    let (cache, now) = (cache(1 << 20, 1 << 16), Clock::new().at(0));
    for (number, size) in [(1u8, 100), (2, 10), (3, 1000), (4, 1)] {
        put_at(&cache, &[number], &get(&[]), &[FRESH], &vec![0; size], now);
        for _ in 0..number - 1 {
            cache.lookup(&[number], &get(&[]), &rfc(), now);
        }
    }
    let ranked = |by, limit| cache.top(by, limit).iter().map(|row| (row.key[0], row.value)).collect::<Vec<_>>();
    assert_eq!(ranked(TopBy::Hits, 9), [(4, 3), (3, 2), (2, 1)]);
    assert_eq!(ranked(TopBy::BytesSaved, 2), [(3, 2000), (2, 10)]);
    assert!(ranked(TopBy::Hits, 0).is_empty());
}

#[test]
fn only_bytes_that_were_given_count_as_saved() {
    let (cache, now) = (cache(1 << 20, 1 << 16), Clock::new().at(0));
    let fields = [("Cache-Control", "max-age=100, stale-while-revalidate=100"), ("ETag", "\"a\"")];
    put_at(&cache, b"key", &get(&[]), &fields, &[0; 100], now);
    let saved = || cache.top(TopBy::BytesSaved, 9).first().map_or(0, |row| row.bytes_saved);
    let mut expected = 0;
    let held = ("If-None-Match", "\"a\"");
    for later in [now, Clock::new().at(150)] {
        for (request, given) in [
            (get(&[]), 100),
            (request("HEAD", &[]), 0),
            (request("HEAD", &[("Range", "bytes=0-9")]), 0),
            (get(&[held]), 0),
            (get(&[("If-None-Match", "\"b\"")]), 100),
            (get(&[("If-Modified-Since", "@1000")]), 0),
            (get(&[("Range", "bytes=0-9")]), 10),
            (get(&[("Range", "bytes=0-1, 4-5")]), 4),
            (get(&[("Range", "bytes=0-9"), held]), 0),
            (get(&[("Range", "bytes=100-")]), 0),
            (get(&[("Range", "lines=1")]), 100),
        ] {
            let found = cache.lookup(b"key", &request, &rfc(), later);
            assert!(!matches!(found, Lookup::Revalidate { .. } | Lookup::Range { .. }), "{request:?}: {found:?}");
            expected += given;
            assert_eq!(saved(), expected, "{:?} {:?}", request.method, request.fields);
        }
    }
}
