//! Purges of what is stored, and of what is on its way into the store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use super::*;
use crate::{
    cache::{
        Begin, Exchange, Finished, FollowerOutcome, Leader, Lookup, Plan, Reason, key,
        policy::testing::{Clock, Lines, get, response, rfc},
    },
    config,
    metrics::Registry,
    wire::{RequestHead, Scheme},
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=100, stale-while-revalidate=50");

fn cache() -> Arc<Cache> {
    let config = config::Cache { capacity: 16 << 20, max_object: 1 << 20, ..config::Cache::default() };
    Cache::new(&config, &Registry::new())
}

fn key_of(target: &str) -> Vec<u8> {
    let mut key = Vec::new();
    key::build(&mut key, Scheme::Http, "example.com", target);
    key
}

fn lead(cache: &Arc<Cache>, key: &[u8], request: &RequestHead, now: Now) -> Leader {
    match cache.begin_fill(key, request, &rfc(), now) {
        Begin::Leader(leader) => leader,
        other => panic!("not the leader: {other:?}"),
    }
}

fn plan(cache: &Cache, request: &RequestHead, fields: Lines<'_>, now: Now) -> Plan {
    let exchange = Exchange { request, policy: &rfc(), requested: now, answered: now };
    cache.storable(&exchange, &response(200, fields)).unwrap()
}

fn put(cache: &Arc<Cache>, key: &[u8], request: &RequestHead, fields: Lines<'_>, now: Now) {
    lead(cache, key, request, now).store_whole(plan(cache, request, fields, now), b"body").unwrap();
}

fn is_hit(cache: &Cache, key: &[u8], now: Now) -> bool {
    matches!(cache.lookup(key, &get(&[]), &rfc(), now), Lookup::Hit { .. })
}

fn purge(cache: &Cache, what: Purged) -> u64 {
    cache.purge(&Purge { what, soft: false })
}

fn tag(tag: &str) -> Purged {
    Purged::Tag(tag.into())
}

#[test]
fn each_kind_takes_out_what_it_names_and_says_how_many() {
    let (cache, now, plain) = (cache(), Now::read(), get(&[]));
    let fill = || {
        for (target, tags, groups) in
            [("/a", "one", "\"g\""), ("/a/b", "one two", "\"g\", \"h\""), ("/c", "two", ""), ("/c\0way", "", "")]
        {
            put(&cache, &key_of(target), &plain, &[FRESH, ("xkey", tags), ("Cache-Groups", groups)], now);
        }
    };
    let left = || ["/a", "/a/b", "/c", "/c\0way"].map(|target| is_hit(&cache, &key_of(target), now));
    let origin = key::origin_of(&key_of("/")).to_vec();
    for (what, count, expected) in [
        (Purged::Url(key_of("/a")), 1, [false, true, true, true]),
        (Purged::Url(key_of("/c")), 2, [true, true, false, false]),
        (Purged::Prefix(key_of("/a")), 2, [false, false, true, true]),
        (tag("one"), 2, [false, false, true, true]),
        (tag("on"), 0, [true; 4]),
        (Purged::Group { origin: origin.clone(), name: b"h".into() }, 1, [true, false, true, true]),
        (Purged::Group { origin: b"http://other\0".to_vec(), name: b"h".into() }, 0, [true; 4]),
        (Purged::All, 4, [false; 4]),
    ] {
        purge(&cache, Purged::All);
        fill();
        assert_eq!(purge(&cache, what.clone()), count, "{what:?}");
        assert_eq!(left(), expected, "{what:?}");
        assert_eq!(purge(&cache, what.clone()), 0, "once more: {what:?}");
    }
    cache.store.settle();
    assert_eq!(cache.held_bytes(), 0);
}

#[test]
fn only_the_variants_that_carry_the_tag_go() {
    let (cache, now, key) = (cache(), Now::read(), key_of("/"));
    for value in ["1", "2", "3"] {
        let fields = [FRESH, ("Vary", "foo"), ("Cache-Tag", if value == "2" { "even" } else { "odd" })];
        put(&cache, &key, &get(&[("Foo", value)]), &fields, now);
    }
    assert_eq!(purge(&cache, tag("odd")), 2);
    let hits = ["1", "2", "3"]
        .map(|value| matches!(cache.lookup(&key, &get(&[("Foo", value)]), &rfc(), now), Lookup::Hit { .. }));
    assert_eq!(hits, [false, true, false]);
}

#[test]
fn what_is_purged_softly_is_stale_until_it_is_validated() {
    let (cache, plain, key) = (cache(), get(&[]), key_of("/"));
    let now = Now::read();
    put(&cache, &key, &plain, &[FRESH, ("ETag", "\"a\""), ("Cache-Tag", "t")], now);
    assert_eq!(cache.purge(&Purge { what: tag("t"), soft: true }), 1);
    let Lookup::StaleWhileRevalidate { stored, ttl, .. } = cache.lookup(&key, &plain, &rfc(), now) else { panic!() };
    assert!(ttl <= 0 && stored.answer.lifetime == 100);
    let exchange = Exchange { request: &plain, policy: &rfc(), requested: now, answered: now };
    let leader = lead(&cache, &key, &plain, now);
    leader.freshen(&exchange, &stored, &response(304, &[FRESH]), |_| {}).unwrap();
    assert!(is_hit(&cache, &key, now));
}

#[test]
fn a_soft_purge_counts_its_window_from_the_purge() {
    let (cache, plain, key, clock) = (cache(), get(&[]), key_of("/"), Clock::new());
    put(&cache, &key, &plain, &[FRESH], clock.at(0));
    let Lookup::Hit { stored, .. } = cache.lookup(&key, &plain, &rfc(), clock.at(30)) else { panic!() };
    stored.answer.end_freshness(30);
    stored.answer.end_freshness(60);
    let look = |seconds| cache.lookup(&key, &plain, &rfc(), clock.at(seconds));
    assert!(matches!(look(80), Lookup::StaleWhileRevalidate { age: 80, ttl: -50, .. }));
    assert!(matches!(look(81), Lookup::Revalidate { reason: Reason::Stale, .. }));
}

#[test]
fn no_fetch_that_was_under_way_stores_what_was_purged() {
    let origin = key::origin_of(&key_of("/")).to_vec();
    let kinds = [
        Purged::Url(key_of("/")),
        Purged::Prefix(key_of("")),
        tag("t"),
        Purged::Group { origin, name: b"g".into() },
        Purged::All,
    ];
    let fields = [FRESH, ("Cache-Tag", "t"), ("Cache-Groups", "\"g\"")];
    for (what, soft) in kinds.into_iter().flat_map(|what| [(what.clone(), false), (what, true)]) {
        let (cache, now, plain, key) = (cache(), Now::read(), get(&[]), key_of("/"));
        let purge = Purge { what, soft };
        let waiting = lead(&cache, &key, &plain, now);
        cache.purge(&purge);
        let stored = waiting.store_whole(plan(&cache, &plain, &fields, now), b"old");
        assert_eq!(stored.err(), Some(Reason::Invalidated), "{purge:?}");
        let (fill, _reader) = lead(&cache, &key, &plain, now).begin(plan(&cache, &plain, &fields, now)).unwrap();
        cache.purge(&purge);
        // Who comes now shares nothing that began before.
        drop(lead(&cache, &key, &plain, now));
        assert!(matches!(fill.finish(), Finished::NotStored(Reason::Invalidated)), "{purge:?}");
        assert!(!is_hit(&cache, &key, now), "{purge:?}");
        put(&cache, &key, &plain, &fields, now);
        assert!(is_hit(&cache, &key, now), "{purge:?}");
    }
}

#[test]
fn a_validation_that_was_under_way_makes_nothing_fresh() {
    for soft in [true, false] {
        let (cache, plain, key, clock) = (cache(), get(&[]), key_of("/"), Clock::new());
        put(&cache, &key, &plain, &[("Cache-Control", "max-age=10"), ("ETag", "\"a\""), ("xkey", "t")], clock.at(0));
        let now = clock.at(20);
        let Lookup::Revalidate { stored, .. } = cache.lookup(&key, &plain, &rfc(), now) else { panic!() };
        let leader = lead(&cache, &key, &plain, now);
        assert_eq!(cache.purge(&Purge { what: tag("t"), soft }), 1);
        let exchange = Exchange { request: &plain, policy: &rfc(), requested: now, answered: now };
        let (_, refused) = leader.freshen(&exchange, &stored, &response(304, &[]), |_| {}).unwrap();
        assert_eq!(refused, Some(Reason::Invalidated));
        match cache.lookup(&key, &plain, &rfc(), now) {
            Lookup::Revalidate { .. } => assert!(soft),
            Lookup::Miss(Reason::UriMiss) => assert!(!soft),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_waits_since_after_the_purge_tries_again_and_who_did_before_may_share() {
    let (cache, now, plain, key) = (cache(), Now::read(), get(&[]), key_of("/"));
    let leader = lead(&cache, &key, &plain, now);
    let follow = || match cache.begin_fill(&key, &plain, &rfc(), now) {
        Begin::Follower(follower) => follower,
        other => panic!("not a follower: {other:?}"),
    };
    let before = follow();
    purge(&cache, tag("t"));
    let after = follow();
    purge(&cache, tag("u"));
    let _ = leader.store_whole(plan(&cache, &plain, &[FRESH, ("Cache-Tag", "t")], now), b"old");
    assert!(matches!(before.head(&plain).await, FollowerOutcome::Stored(_)));
    assert!(matches!(after.head(&plain).await, FollowerOutcome::NotMyVariant));
}

#[test]
fn purges_too_long_ago_to_be_known_may_have_struck() {
    let (cache, now, plain, key) = (cache(), Now::read(), get(&[]), key_of("/"));
    let early = lead(&cache, &key, &plain, now);
    purge(&cache, tag("other"));
    let late = lead(&cache, &key_of("/late"), &plain, now);
    for _ in 0..KEPT {
        purge(&cache, tag("other"));
    }
    assert!(early.store_whole(plan(&cache, &plain, &[FRESH], now), b"body").is_err());
    assert!(late.store_whole(plan(&cache, &plain, &[FRESH], now), b"body").is_ok());
}

#[test]
fn invalidation_forgets_all_ways_and_routes_of_its_target_and_their_fetches() {
    // RFC 9111 §4.4
    let (cache, now, plain) = (cache(), Now::read(), get(&[]));
    put(&cache, &key_of("/x\0proto:https"), &plain, &[FRESH], now);
    put(&cache, &key_of("/xy"), &plain, &[FRESH], now);
    let leader = lead(&cache, &key_of("/x\0\0route"), &plain, now);
    cache.invalidate(&key_of("/x"), None);
    assert!(!is_hit(&cache, &key_of("/x\0proto:https"), now) && is_hit(&cache, &key_of("/xy"), now));
    assert!(leader.store_whole(plan(&cache, &plain, &[FRESH], now), b"old").is_err());
}

#[test]
fn what_began_before_a_purge_is_never_given_after_it() {
    let (cache, plain, purged) = (cache(), get(&[]), AtomicU64::new(0));
    let target = |number: u64| key_of(&format!("/{}", number % 23));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (cache, plain, purged) = (&cache, &plain, &purged);
            scope.spawn(move || {
                for round in 0..1000 {
                    let now = Now::read();
                    let began = cache.begin_fill(&target(round * 7 + thread), plain, &rfc(), now);
                    // The body tells how many purges had been announced when its fetch had begun.
                    let body = purged.load(SeqCst).to_be_bytes();
                    if let Begin::Leader(leader) = began {
                        let _ = leader.store_whole(plan(cache, plain, &[FRESH, ("Cache-Tag", "t u")], now), &body);
                    }
                }
            });
        }
        for round in 1..=200 {
            purged.store(round, SeqCst);
            purge(&cache, if round % 2 == 0 { tag("t") } else { Purged::Prefix(key_of("/")) });
            for number in 0..23 {
                if let Lookup::Hit { stored, .. } = cache.lookup(&target(number), &plain, &rfc(), Now::read()) {
                    let began = u64::from_be_bytes(stored.body.chunks()[0][..].try_into().unwrap());
                    assert!(began >= round, "{began} after {round}");
                }
            }
        }
    });
    purge(&cache, tag("t"));
    cache.store.settle();
    assert_eq!(cache.held_bytes(), 0);
}

#[test]
fn what_is_too_much_to_be_swept_at_once_is_out_of_use_at_once_all_the_same() {
    let (cache, now, plain) = (cache(), Now::read(), get(&[]));
    let count = 3 * SWEPT_AT_ONCE;
    for number in 0..count {
        put(&cache, &key_of(&number.to_string()), &plain, &[FRESH, ("Cache-Tag", "t")], now);
    }
    assert_eq!(purge(&cache, tag("t")), count);
    assert!((0..count).all(|number| !is_hit(&cache, &key_of(&number.to_string()), now)));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while cache.held_bytes() > 0 {
        assert!(std::time::Instant::now() < deadline, "{} bytes are left", cache.held_bytes());
        std::thread::yield_now();
        cache.store.settle();
    }
}

#[test]
#[ignore = "a measurement, which takes minutes and some GiB"]
#[expect(clippy::print_stdout, reason = "it tells its figures")]
fn how_long_purges_of_a_million_answers_take() {
    let config = config::Cache { capacity: 8 << 30, max_object: 1 << 20, ..config::Cache::default() };
    let cache = Cache::new(&config, &Registry::new());
    let (now, plain) = (Now::read(), get(&[]));
    for number in 0..1_000_000 {
        let tags = format!("all section-{} product-{}", number % 50, number % 10_000);
        let key = key_of(&format!("/section-{}/product-{number}", number % 50));
        put(&cache, &key, &plain, &[FRESH, ("Cache-Tag", &tags)], now);
    }
    cache.store.settle();
    let url = Purged::Url(key_of("/section-7/product-7"));
    for (what, soft) in [
        (tag("product-1234"), true),
        (tag("product-1234"), false),
        (tag("none"), false),
        (url, false),
        (Purged::Prefix(key_of("/section-49/")), false),
        (tag("section-3"), false),
        (tag("all"), true),
        (tag("all"), false),
    ] {
        let started = std::time::Instant::now();
        let struck = cache.purge(&Purge { what: what.clone(), soft });
        println!("{:6} {:5} {struck:7} answers in {:?}", what.kind(), soft, started.elapsed());
    }
}

/// Whether the answer to a POST, sent at this moment, goes into the store.
fn is_stored_for_gets(cache: &Arc<Cache>, key: &[u8], fields: Lines<'_>, sent: &Moment) -> bool {
    let (now, plain) = (Now::read(), get(&[]));
    let plan = plan(cache, &plain, fields, now);
    let stored = cache.begin_answered(key, &plain, now, sent).store_whole(plan, b"body").is_ok();
    assert_eq!(is_hit(cache, key, now), stored);
    cache.purge(&Purge { what: Purged::Url(key.to_vec()), soft: false });
    stored
}

#[test]
fn a_purge_between_a_post_and_its_answer_keeps_that_out_of_the_store() {
    let (cache, key) = (cache(), key_of("/a\0proto:https"));
    for (what, soft, is_stored) in [
        (tag("one"), false, false),
        (tag("one"), true, false),
        (tag("other"), false, true),
        (Purged::Url(key_of("/a")), false, false),
        (Purged::Url(key_of("/a")), true, false),
        (Purged::Url(key_of("/b")), false, true),
        (Purged::Prefix(key_of("/")), false, false),
        (Purged::All, false, false),
    ] {
        let sent = cache.moment(&key);
        cache.purge(&Purge { what: what.clone(), soft });
        assert_eq!(is_stored_for_gets(&cache, &key, &[FRESH, ("xkey", "one")], &sent), is_stored, "{what:?}");
    }
}

#[test]
fn what_a_post_invalidates_itself_leaves_its_own_answer_be_and_what_others_do_does_not() {
    // RFC 9110 §9.3.3, RFC 9111 §4.4, RFC 9875 §3
    let (cache, key) = (cache(), key_of("/a"));
    let origin = key::origin_of(&key).to_vec();
    let fields = [FRESH, ("Cache-Groups", "\"g\"")];
    for (others, is_stored) in [(false, true), (true, false)] {
        for by_group in [false, true] {
            let mut sent = cache.moment(&key);
            match (others, by_group) {
                (true, false) => cache.invalidate(&key, None),
                (true, true) => cache.invalidate_group(&origin, b"g", None),
                (false, _) => {}
            }
            for base in [key_of("/a"), key_of("/a"), key_of("/b")] {
                cache.invalidate(&base, Some(&mut sent));
            }
            cache.invalidate_group(&origin, b"g", Some(&mut sent));
            assert_eq!(is_stored_for_gets(&cache, &key, &fields, &sent), is_stored, "{others} {by_group}");
        }
    }
}

#[test]
fn what_shares_a_group_with_what_is_invalidated_goes_too_and_does_not_cascade() {
    // RFC 9875 §2.1, §2.2.1
    let (cache, now, plain) = (cache(), Now::read(), get(&[]));
    let other = b"http://other.example\0/a".to_vec();
    for (key, groups) in [
        (key_of("/a"), "\"one\", \"two\""),
        (key_of("/b"), "\"one\", \"three\""),
        (key_of("/c"), "\"three\""),
        (key_of("/d"), "\"ONE\""),
        (other.clone(), "\"one\""),
    ] {
        put(&cache, &key, &plain, &[FRESH, ("Cache-Groups", groups)], now);
    }
    let leader = lead(&cache, &key_of("/e"), &plain, now);
    cache.invalidate(&key_of("/a"), None);
    let left = ["/a", "/b", "/c", "/d"].map(|target| is_hit(&cache, &key_of(target), now));
    assert_eq!(left, [false, false, true, true]);
    assert!(is_hit(&cache, &other, now));
    let late = plan(&cache, &plain, &[FRESH, ("Cache-Groups", "\"two\"")], now);
    assert!(leader.store_whole(late, b"old").is_err(), "nor what was on its way");
    // An operator takes out what he names and nothing else.
    put(&cache, &key_of("/b"), &plain, &[FRESH, ("Cache-Groups", "\"three\"")], now);
    purge(&cache, Purged::Url(key_of("/b")));
    assert!(is_hit(&cache, &key_of("/c"), now));
}
