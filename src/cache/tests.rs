//! The cache as a whole: look-ups, and the bound on its bytes.

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    policy::{
        Wants,
        testing::{Clock, Lines, get, request, response, rfc},
    },
    *,
};
use crate::wire::Framing;

const KEY: &[u8] = b"key";
const FRESH: (&str, &str) = ("Cache-Control", "max-age=100");

pub(crate) fn cache(capacity: u64, max_object: u64) -> Arc<Cache> {
    Cache::new(
        &config::Cache { capacity, max_object, status_field: true, ..config::Cache::default() },
        &Registry::new(),
    )
}

fn put(
    cache: &Arc<Cache>,
    key: &[u8],
    request: &RequestHead,
    fields: Lines<'_>,
    body: &[u8],
    now: Now,
) -> Result<(), Reason> {
    let policy = rfc();
    let Begin::Leader(leader) = cache.begin_fill(key, request, &policy, now) else { return Ok(()) };
    let exchange = Exchange { request, policy: &policy, requested: now, answered: now };
    leader.store_whole(cache.storable(&exchange, &response(200, fields))?, body).map(drop)
}

/// The same, where nothing stands in the way.
pub(crate) fn put_at(cache: &Arc<Cache>, key: &[u8], request: &RequestHead, fields: Lines<'_>, body: &[u8], now: Now) {
    put(cache, key, request, fields, body, now).unwrap();
}

/// A cache that holds one answer with these fields.
fn holding(fields: Lines<'_>) -> (Arc<Cache>, Clock) {
    let (cache, clock) = (cache(1 << 20, 1 << 16), Clock::new());
    put(&cache, KEY, &get(&[]), fields, b"body", clock.at(0)).unwrap();
    (cache, clock)
}

fn look(cache: &Cache, request: &RequestHead, now: Now) -> Lookup {
    cache.lookup(KEY, request, &rfc(), now)
}

#[test]
fn past_the_configured_bound_the_oldest_variant_goes() {
    let config = config::Cache { capacity: 1 << 20, max_object: 1 << 16, max_variants: 3, ..config::Cache::default() };
    let (cache, now) = (Cache::new(&config, &Registry::new()), Clock::new().at(0));
    for value in ["1", "2", "3", "4"] {
        put_at(&cache, KEY, &get(&[("Foo", value)]), &[FRESH, ("Vary", "foo")], b"body", now);
    }
    let hits =
        ["1", "2", "3", "4"].map(|value| matches!(look(&cache, &get(&[("Foo", value)]), now), Lookup::Hit { .. }));
    assert_eq!(hits, [false, true, true, true]);
    assert_eq!(cache.metrics.variants_dropped.value(), 1);
}

#[test]
fn a_hit_has_age_and_ttl_and_the_whole_answer() {
    let (cache, clock) = holding(&[FRESH, ("Age", "7")]);
    let Lookup::Hit { stored, age, ttl } = look(&cache, &get(&[]), clock.at(30)) else { panic!() };
    assert_eq!((age, ttl), (37, 63));
    assert_eq!(stored.body.chunks(), [Bytes::from_static(b"body")]);
    assert!(stored.answer.http1.starts_with(b"HTTP/1.1 200 Reason\r\n"));
    assert!(matches!(look(&cache, &get(&[]), clock.at(93)), Lookup::Revalidate { reason: Reason::Stale, .. }));
}

#[test]
fn head_is_answered_from_a_stored_get() {
    // RFC 9111 §4, RFC 9110 §9.3.2
    let (cache, clock) = holding(&[FRESH]);
    let head = request("HEAD", &[]);
    assert!(matches!(look(&cache, &head, clock.at(0)), Lookup::Hit { .. }));
    assert!(matches!(cache.lookup(b"other", &head, &rfc(), clock.at(0)), Lookup::Pass(Reason::UriMiss)));
}

#[test]
fn what_the_store_does_not_answer_passes() {
    let (cache, clock) = holding(&[FRESH]);
    let reason = |request: &RequestHead| match look(&cache, request, clock.at(0)) {
        Lookup::Pass(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(&request("POST", &[])), Reason::Method);
    assert_eq!(reason(&request("get", &[])), Reason::Method);
    assert_eq!(reason(&RequestHead { framing: Framing::Chunked, ..get(&[]) }), Reason::RequestBody);
    assert_eq!(reason(&get(&[("If-Match", "\"a\"")])), Reason::Precondition);
    assert_eq!(reason(&get(&[("if-unmodified-since", "x")])), Reason::Precondition);
    assert_eq!(reason(&get(&[("Cache-Control", "no-store")])), Reason::RequestNoStore);
    assert_eq!(reason(&get(&[("Authorization", "Basic eDp5")])), Reason::Authorization);
}

#[test]
fn another_spelling_of_the_host_gets_what_is_stored_and_fetches_for_itself_alone() {
    let (cache, clock) = holding(&[("Cache-Control", "max-age=60, stale-while-revalidate=60")]);
    for authority in ["EXAMPLE.com", "example.com:80", "example.com:"] {
        let ask = |fields| RequestHead { authority: authority.into(), ..get(fields) };
        let found = |fields, seconds| look(&cache, &ask(fields), clock.at(seconds));
        assert!(matches!(found(&[], 30), Lookup::Hit { .. }));
        for fields in [&[][..], &[("Cache-Control", "only-if-cached")]] {
            assert!(matches!(found(fields, 90), Lookup::StaleWhileRevalidate { .. }), "{authority}");
        }
        assert!(matches!(found(&[], 130), Lookup::Pass(Reason::Authority)));
        assert!(matches!(found(&[("Cache-Control", "only-if-cached")], 130), Lookup::GatewayTimeout));
        let missed = cache.lookup(b"other", &ask(&[]), &rfc(), clock.at(0));
        assert!(matches!(missed, Lookup::Pass(Reason::Authority)), "{authority}");
    }
}

#[test]
fn a_range_is_answered_from_what_is_fresh_and_else_passes() {
    // RFC 9110 §14.2
    let (cache, clock) = holding(&[FRESH, ("Vary", "foo")]);
    let ranged =
        |method: &str, range: &str, seconds| look(&cache, &request(method, &[("Range", range)]), clock.at(seconds));
    assert!(matches!(ranged("GET", "bytes=0-1", 1), Lookup::Part { age: 1, wanted: Wanted::Parts(_), .. }));
    assert!(matches!(ranged("GET", "bytes=4-", 1), Lookup::Part { wanted: Wanted::Unsatisfiable(4), .. }));
    assert!(matches!(ranged("GET", "nonsense", 1), Lookup::Hit { .. }));
    assert!(matches!(ranged("HEAD", "bytes=0-1", 1), Lookup::Hit { .. }));
    let as_sent = |lookup, why| matches!(lookup, Lookup::Range { ask: RangeAsk::AsSent, reason } if reason == why);
    let stale = ranged("GET", "bytes=0-1", 100);
    assert!(matches!(stale, Lookup::Range { ask: RangeAsk::Validate(_), reason: Reason::Stale }));
    assert!(as_sent(ranged("GET", "nonsense", 100), Reason::Stale));
    let other = get(&[("Range", "bytes=0-1"), ("Foo", "1")]);
    assert!(as_sent(look(&cache, &other, clock.at(1)), Reason::VaryMiss));
}

#[test]
fn an_identified_client_gets_what_the_backend_shares() {
    // RFC 9111 §3.5
    let (cache, clock) = holding(&[("Cache-Control", "max-age=100, public")]);
    assert!(matches!(look(&cache, &get(&[("Authorization", "Basic eDp5")]), clock.at(0)), Lookup::Hit { .. }));
}

#[test]
fn only_if_cached_never_asks_the_backend() {
    // RFC 9111 §5.2.1.7
    let (cache, clock) = holding(&[FRESH, ("Vary", "foo")]);
    let asked = |fields: Lines<'_>, seconds| {
        let mut request = get(fields);
        request.fields.push("Cache-Control", "only-if-cached");
        look(&cache, &request, clock.at(seconds))
    };
    assert!(matches!(asked(&[], 0), Lookup::Hit { .. }));
    assert!(matches!(asked(&[], 100), Lookup::GatewayTimeout));
    assert!(matches!(asked(&[("Foo", "1")], 0), Lookup::GatewayTimeout));
    assert!(matches!(asked(&[("Cache-Control", "max-stale")], 100), Lookup::Hit { ttl: 0, .. }));
    cache.invalidate(KEY, None);
    assert!(matches!(asked(&[], 0), Lookup::GatewayTimeout));
}

#[test]
fn a_route_may_ignore_the_requests_directives() {
    let (cache, clock) = holding(&[FRESH]);
    let deaf = Policy { client_cache_control: false, ..rfc() };
    for fields in [("Cache-Control", "no-cache, no-store"), ("Pragma", "no-cache"), ("Cache-Control", "max-age=0")] {
        let request = get(&[fields]);
        assert!(matches!(cache.lookup(KEY, &request, &deaf, clock.at(1)), Lookup::Hit { .. }));
        assert!(!matches!(look(&cache, &request, clock.at(1)), Lookup::Hit { .. }));
    }
}

#[test]
fn invalidation_forgets_every_variant() {
    // RFC 9111 §4.4
    let (cache, clock) = holding(&[FRESH, ("Vary", "foo")]);
    let other = get(&[("Foo", "2")]);
    put(&cache, KEY, &other, &[FRESH, ("Vary", "foo")], b"two", clock.at(0)).unwrap();
    assert!(matches!(look(&cache, &other, clock.at(0)), Lookup::Hit { .. }));
    cache.invalidate(KEY, None);
    for request in [get(&[]), other] {
        assert!(matches!(look(&cache, &request, clock.at(0)), Lookup::Miss(Reason::UriMiss)));
    }
}

#[test]
fn a_cache_without_capacity_passes_everything() {
    let cache = cache(0, 1 << 20);
    let (plain, policy, now) = (get(&[]), rfc(), Clock::new().at(0));
    assert!(matches!(look(&cache, &plain, now), Lookup::Pass(Reason::Off)));
    let exchange = Exchange { request: &plain, policy: &policy, requested: now, answered: now };
    assert_eq!(cache.storable(&exchange, &response(200, &[FRESH])).err(), Some(Reason::Off));
    assert_eq!(cache.held_bytes(), 0);
}

#[test]
fn what_is_evicted_is_paid_back_and_room_is_found_again() {
    let cache = cache(1 << 20, 1 << 18);
    let now = Clock::new().at(0);
    let mut refused = 0;
    for number in 0..2000u32 {
        let body = vec![0; 20_000];
        refused += usize::from(put(&cache, &number.to_be_bytes(), &get(&[]), &[FRESH], &body, now).is_err());
        assert!(cache.held_bytes() <= 1 << 20);
    }
    assert_eq!(refused, 0);
}

#[test]
fn what_is_asked_for_often_survives_a_scan() {
    let cache = cache(1 << 20, 1 << 16);
    let now = Clock::new().at(0);
    let body = vec![0; 10_000];
    for number in 0..20u32 {
        put(&cache, &number.to_be_bytes(), &get(&[]), &[FRESH], &body, now).unwrap();
    }
    for round in 0..50u32 {
        for number in 0..20u32 {
            cache.lookup(&number.to_be_bytes(), &get(&[]), &rfc(), now);
        }
        for number in 0..40 {
            let _ = put(&cache, &(1000 + round * 40 + number).to_be_bytes(), &get(&[]), &[FRESH], &body, now);
        }
    }
    let left = (0..20u32)
        .filter(|number| matches!(cache.lookup(&number.to_be_bytes(), &get(&[]), &rfc(), now), Lookup::Hit { .. }))
        .count();
    assert!(left >= 18, "{left} of 20 are left");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_byte_bound_holds_under_random_load(
        steps in prop::collection::vec((0u8..30, 0usize..40_000, 0u8..5), 1..200),
    ) {
        let cache = cache(200_000, 30_000);
        let (plain, policy, now) = (get(&[]), rfc(), Clock::new().at(0));
        let mut readers = Vec::new();
        for (key, size, way) in steps {
            let Begin::Leader(leader) = cache.begin_fill(&[key], &plain, &policy, now) else { continue };
            let exchange = Exchange { request: &plain, policy: &policy, requested: now, answered: now };
            let plan = cache.storable(&exchange, &response(200, &[FRESH])).unwrap();
            if way == 0 {
                cache.invalidate(&[key], None);
            }
            let Ok((mut fill, reader)) = leader.begin(plan) else { continue };
            for piece in vec![1u8; size].chunks(3000) {
                fill.push(Bytes::copy_from_slice(piece));
                prop_assert!(cache.held_bytes() <= 200_000);
            }
            match way {
                1 => fill.fail(),
                _ => drop(fill.finish()),
            }
            if way == 2 {
                readers.push(reader);
            }
            prop_assert!(cache.held_bytes() <= 200_000);
        }
        drop(readers);
        for key in 0..30 {
            cache.invalidate(&[key], None);
        }
    }
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "it tells its figures")]
fn what_a_hit_costs_and_what_counting_it_adds() {
    const ROUNDS: u32 = 2_000_000;
    let cache = cache(64 << 20, 1 << 16);
    let (clock, plain, policy) = (Clock::new().at(0), get(&[]), rfc());
    for number in 0..1000u32 {
        put_at(&cache, &number.to_be_bytes(), &plain, &[FRESH], &[0; 1024], clock);
    }
    let Lookup::Hit { stored, .. } = cache.look(&0u32.to_be_bytes(), &plain, &policy, clock) else { panic!() };
    let time = |what: &str, act: &dyn Fn(u32)| {
        let started = std::time::Instant::now();
        (0..ROUNDS).for_each(act);
        println!("{what}: {:?}", started.elapsed() / ROUNDS);
    };
    time("a hit", &|round| drop(cache.lookup(&(round % 1000).to_be_bytes(), &plain, &policy, clock)));
    time("of that, counting it", &|_| cache.count_given(&stored, &plain, Wants::default(), &Wanted::Whole));
}

#[test]
fn a_body_that_could_not_stay_is_not_stored_at_all() {
    // Of 16 MiB 2 are the allocator's, and half of the rest is for what is being fetched.
    let (cache, now) = (cache(16 << 20, 12 << 20), Clock::new().at(0));
    let put = |key: &str, length| put(&cache, key.as_bytes(), &get(&[]), &[FRESH], &vec![0; length], now);
    assert_eq!(put("large", (7 << 20) + 1), Err(Reason::TooLarge));
    assert_eq!(put("just", (7 << 20) - (64 << 10)), Ok(()));
    cache.store.settle();
    assert!(matches!(cache.lookup(b"just", &get(&[]), &rfc(), now), Lookup::Hit { .. }));
}
