//! What is handed on comes back as it was, and damage costs no more than it lies in.

use std::{io::Cursor, os::unix::fs::PermissionsExt};

use proptest::prelude::*;

use super::*;
use crate::{
    cache::{
        Exchange, Lookup, Purge, Purged, Reason,
        policy::testing::{Clock, Lines, get, response, rfc},
        tests::{cache, put_at},
    },
    metrics::Registry,
    wire::RequestHead,
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=100");
const LATER: Duration = Duration::from_secs(3600);

fn roomy() -> Arc<Cache> {
    cache(64 << 20, 1 << 20)
}

fn saved(cache: &Cache, now: Now) -> Vec<u8> {
    cache.save(Vec::new(), 7, u64::MAX, now, Instant::now() + LATER).unwrap().0
}

fn restored(cache: &Cache, file: &[u8], now: Now) -> Option<Restored> {
    cache.restore(Cursor::new(file), 7, now, Instant::now() + LATER).unwrap()
}

/// The same moment on the wall, in a process that has just begun.
fn elsewhere(now: Now) -> Now {
    Now { instant: Instant::now(), ..now }
}

fn hit(cache: &Cache, key: &[u8], request: &RequestHead, now: Now) -> Option<(Arc<Stored>, u64, i64)> {
    match cache.look(key, request, &rfc(), now) {
        Lookup::Hit { stored, age, ttl } => Some((stored, age, ttl)),
        _ => None,
    }
}

/// Three answers, the last given most often.
fn three(now: Now) -> Arc<Cache> {
    let cache = roomy();
    for (key, body, hits) in [(&b"one"[..], &b"first"[..], 1), (b"two", b"second", 2), (b"three", b"third", 3)] {
        put_at(&cache, key, &get(&[]), &[FRESH, ("ETag", "\"a\""), ("Cache-Tag", "t")], body, now);
        for _ in 0..hits {
            cache.lookup(key, &get(&[]), &rfc(), now);
        }
    }
    cache
}

/// What is there of the three, each with the right body.
fn left_of_three(cache: &Cache, now: Now) -> usize {
    let all = [(&b"one"[..], "first"), (b"two", "second"), (b"three", "third")];
    let found = all.iter().filter_map(|(key, body)| Some((hit(cache, key, &get(&[]), now)?, body)));
    found.map(|((stored, ..), body)| assert_eq!(stored.body.chunks().concat(), body.as_bytes())).count()
}

#[test]
fn answers_come_back_with_their_age_counted_on() {
    let clock = Clock::new();
    let file = saved(&three(clock.at(0)), clock.at(20));
    let (cache, now) = (roomy(), elsewhere(clock.at(50)));
    assert_eq!(restored(&cache, &file, now), Some(Restored { answers: 3, ..Restored::default() }));
    let told = hit(&cache, b"three", &get(&[]), now).map(|(stored, age, ttl)| (age, ttl, stored.hits()));
    assert_eq!(told, Some((50, 50, 3)));
    assert_eq!(cache.purge(&Purge { what: Purged::Tag(b"t".to_vec()), soft: false }), 3);
    cache.store.settle();
    assert_eq!(cache.held_bytes(), 0);
}

#[test]
fn what_was_purged_softly_stays_stale() {
    let clock = Clock::new();
    let old = roomy();
    put_at(&old, b"key", &get(&[]), &[FRESH, ("ETag", "\"a\"")], b"body", clock.at(0));
    hit(&old, b"key", &get(&[]), clock.at(0)).unwrap().0.answer.end_freshness(10);
    let (cache, now) = (roomy(), elsewhere(clock.at(20)));
    restored(&cache, &saved(&old, clock.at(20)), now);
    assert!(matches!(cache.look(b"key", &get(&[]), &rfc(), now), Lookup::Revalidate { reason: Reason::Stale, .. }));
}

#[test]
fn a_variant_answers_only_the_requests_that_it_did() {
    let clock = Clock::new();
    let old = roomy();
    let lines = [get(&[("Foo", "1"), ("Foo", " 2")]), get(&[("Foo", "3")]), get(&[])];
    for request in &lines {
        put_at(&old, b"key", request, &[FRESH, ("Vary", "foo")], b"body", clock.at(0));
    }
    let (cache, now) = (roomy(), elsewhere(clock.at(0)));
    restored(&cache, &saved(&old, clock.at(0)), now);
    for request in &lines {
        assert!(hit(&cache, b"key", request, now).is_some(), "{:?}", request.fields);
    }
    assert!(hit(&cache, b"key", &get(&[("Foo", "1, 2")]), now).is_some());
    assert!(hit(&cache, b"key", &get(&[("Foo", "2")]), now).is_none());
    assert!(hit(&cache, b"other", &get(&[]), now).is_none());
}

#[test]
fn what_has_expired_is_left_out_unless_it_can_be_validated() {
    let clock = Clock::new();
    let old = roomy();
    put_at(&old, b"plain", &get(&[]), &[FRESH], b"body", clock.at(0));
    put_at(&old, b"tagged", &get(&[]), &[FRESH, ("ETag", "\"a\"")], b"body", clock.at(0));
    let file = saved(&old, clock.at(0));
    let (cache, now) = (roomy(), elsewhere(clock.at(100)));
    assert_eq!(restored(&cache, &file, now), Some(Restored { answers: 1, expired: 1, ..Restored::default() }));
    assert!(matches!(cache.look(b"tagged", &get(&[]), &rfc(), now), Lookup::Revalidate { .. }));
}

#[test]
fn when_the_clock_has_been_set_back_everything_is_validated() {
    let clock = Clock::new();
    let old = roomy();
    put_at(&old, b"plain", &get(&[]), &[FRESH], b"body", clock.at(1000));
    put_at(&old, b"tagged", &get(&[]), &[FRESH, ("ETag", "\"a\"")], b"body", clock.at(1000));
    let (cache, now) = (roomy(), elsewhere(clock.at(0)));
    let expected = Restored { answers: 1, expired: 1, ..Restored::default() };
    assert_eq!(restored(&cache, &saved(&old, clock.at(1001)), now), Some(expected));
    assert!(matches!(cache.look(b"tagged", &get(&[]), &rfc(), now), Lookup::Revalidate { .. }));
}

#[test]
fn another_configuration_version_or_file_is_no_snapshot() {
    let now = Clock::new().at(0);
    let file = saved(&three(now), now);
    let later = Instant::now() + LATER;
    assert_eq!(roomy().restore(Cursor::new(&file), 8, now, later).unwrap(), None);
    let mut newer = file.clone();
    newer[8] += 1;
    assert_eq!(restored(&roomy(), &newer, now), None);
    assert_eq!(restored(&roomy(), b"", now), None);
    assert_eq!(restored(&roomy(), &[b'x'; 5000], now), None);
}

#[test]
fn the_hottest_come_first_within_the_bytes_and_the_room() {
    let now = Clock::new().at(0);
    let old = three(now);
    let whole = saved(&old, now).len() as u64;
    let (file, answers) = old.save(Vec::new(), 7, whole * 2 / 3, now, Instant::now() + LATER).unwrap();
    assert!(answers < 3);
    let cache = roomy();
    restored(&cache, &file, elsewhere(now));
    assert!(hit(&cache, b"three", &get(&[]), elsewhere(now)).is_some());
    let small = crate::cache::tests::cache(4500, 1000);
    let restored = restored(&small, &saved(&old, now), elsewhere(now)).unwrap();
    assert!(restored.cut_short && restored.answers < 3 && small.held_bytes() <= 4500);
    assert_eq!(old.save(Vec::new(), 7, u64::MAX, now, Instant::now()).unwrap().1, 0);
}

#[test]
fn a_file_that_ends_anywhere_gives_what_is_whole_in_it() {
    let now = Clock::new().at(0);
    let file = saved(&three(now), now);
    let mut most = 0;
    for length in 0..file.len() {
        let cache = roomy();
        let answers = restored(&cache, &file[..length], elsewhere(now)).map_or(0, |restored| restored.answers);
        assert_eq!(left_of_three(&cache, elsewhere(now)), answers as usize, "{length}");
        assert!(answers >= most && answers < 3, "{length}");
        most = answers;
    }
    assert_eq!(most, 2);
}

#[test]
fn a_flipped_bit_costs_one_answer_at_most() {
    let now = Clock::new().at(0);
    let file = saved(&three(now), now);
    for at in 0..file.len() {
        let mut file = file.clone();
        file[at] ^= 1 << (at % 8);
        let cache = roomy();
        let Some(restored) = restored(&cache, &file, elsewhere(now)) else {
            assert!(at < 36, "{at}");
            continue;
        };
        assert_eq!((restored.answers, left_of_three(&cache, elsewhere(now))), (2, 2), "{at}");
        assert_eq!(restored.damaged, 1, "{at}");
    }
}

#[test]
fn a_body_that_looks_like_records_is_a_body() {
    let now = Clock::new().at(0);
    let other = roomy();
    put_at(&other, b"forged", &get(&[]), &[FRESH], b"forged", now);
    let old = roomy();
    put_at(&old, b"key", &get(&[]), &[FRESH], &saved(&other, now), now);
    let mut file = saved(&old, now);
    // Where the only record's lengths are damaged, the next mark is looked for.
    file[45] ^= 1;
    let cache = roomy();
    let expected = Restored { damaged: 1, ..Restored::default() };
    assert_eq!(restored(&cache, &file, elsewhere(now)), Some(expected));
}

#[test]
fn the_file_is_for_its_owner_alone_and_is_read_once() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = config::Snapshot { path: directory.path().join("hot"), bytes: 1 << 20, time: LATER };
    fs::write(directory.path().join("hot.new"), "left behind").unwrap();
    let now = Clock::new().at(0);
    three(now).write_snapshot(&snapshot, 7, now);
    assert_eq!(fs::metadata(&snapshot.path).unwrap().permissions().mode() & 0o777, 0o600);
    let (cache, again) = (roomy(), roomy());
    cache.read_snapshot(&snapshot, 7, elsewhere(now));
    again.read_snapshot(&snapshot, 7, elsewhere(now));
    assert_eq!((left_of_three(&cache, elsewhere(now)), left_of_three(&again, elsewhere(now))), (3, 0));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// An answer of which its first ten bytes are held, and ten behind the twentieth.
fn parted(now: Now) -> Arc<Cache> {
    let (cache, request) = (roomy(), get(&[("Range", "bytes=0-")]));
    for range in ["0-9", "20-29"] {
        let content_range = format!("bytes {range}/1000");
        let head = response(206, &[FRESH, ("ETag", "\"a\""), ("Content-Range", &content_range)]);
        let exchange = Exchange { request: &request, policy: &rfc(), requested: now, answered: now };
        let plan = cache.storable_part(b"key", &exchange, &head).unwrap();
        let mut part = cache.begin_unasked(b"key", &request, now).begin_part(plan, now).unwrap();
        part.push(b"ten bytes.");
        part.finish().unwrap();
    }
    cache
}

#[test]
fn what_is_no_set_of_parts_is_not_read() {
    let now = Clock::new().at(0);
    let file = saved(&parted(now), now);
    let written = |numbers: [u64; 5]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
    let runs = written([2, 0, 10, 20, 30]);
    let at = file.windows(runs.len()).position(|window| window == runs).unwrap();
    for (numbers, is_read) in [
        ([2, 0, 10, 20, 30], true),
        ([2, 20, 30, 0, 10], false),
        ([2, 0, 10, 10, 20], false),
        ([2, 0, 10, 5, 15], false),
        ([2, 0, 0, 0, 20], false),
        ([2, 0, 10, 20, 31], false),
        ([2, 0, 10, 999, 1009], false),
        ([2, 10, 0, 20, 30], false),
        ([u64::MAX, 0, 10, 20, 30], false),
    ] {
        let mut forged = file.clone();
        forged[at..at + runs.len()].copy_from_slice(&written(numbers));
        // With the sums of what stands there now: of the record's parts, and of what stands before them.
        let sum = crc32fast::hash(&forged[36 + 32..]);
        forged[36 + 24..36 + 28].copy_from_slice(&sum.to_le_bytes());
        let sum = crc32fast::hash(&forged[36..36 + 28]);
        forged[36 + 28..36 + 32].copy_from_slice(&sum.to_le_bytes());
        let cache = roomy();
        restored(&cache, &forged, elsewhere(now));
        let part = cache.look(b"key", &get(&[("Range", "bytes=22-29")]), &rfc(), elsewhere(now));
        assert_eq!(matches!(part, Lookup::Part { .. }), is_read, "{numbers:?}: {part:?}");
    }
}

#[test]
fn what_is_past_todays_bounds_is_left_out() {
    let now = Clock::new().at(0);
    let old = roomy();
    put_at(&old, b"small", &get(&[]), &[FRESH], &[b'x'; 1000], now);
    put_at(&old, b"large", &get(&[]), &[FRESH], &[b'x'; 1001], now);
    let smaller = cache(64 << 20, 1000);
    let expected = Restored { answers: 1, expired: 1, ..Restored::default() };
    assert_eq!(restored(&smaller, &saved(&old, now), elsewhere(now)), Some(expected));
    let held = [&b"small"[..], b"large"].map(|key| hit(&smaller, key, &get(&[]), elsewhere(now)).is_some());
    assert_eq!(held, [true, false]);
    for (max_parts, answers) in [(2, 1), (1, 0)] {
        let config = config::Cache { capacity: 64 << 20, max_object: 1000, max_parts, ..config::Cache::default() };
        let cache = Cache::new(&config, &Registry::new());
        let expected = Restored { answers, expired: 1 - answers, ..Restored::default() };
        assert_eq!(restored(&cache, &saved(&parted(now), now), elsewhere(now)), Some(expected), "{max_parts}");
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/;=.]{1,20}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_comes_back_as_it_was(
        answers in prop::collection::vec((0u8..6, text(), text(), 0usize..200_000, 0u64..90, 0u64..4), 1..8),
        seconds in 0u64..150,
    ) {
        let (old, clock) = (roomy(), Clock::new());
        for (key, vary, tags, size, age, hits) in &answers {
            let (age, request) = (age.to_string(), get(&[("Foo", vary)]));
            let validator = if hits % 2 == 0 { ("ETag", "\"e\"") } else { ("Last-Modified", "@-1000") };
            let fields: Lines<'_> = &[
                ("Cache-Control", "max-age=100, stale-if-error=7, public"), ("Vary", "foo, Bar"), ("xkey", tags), validator,
                ("Cache-Groups", "\"g\""), ("Age", &age), ("X-Odd", vary), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"),
            ];
            put_at(&old, &[*key], &request, fields, &vec![*key; *size], clock.at(0));
            for _ in 0..*hits {
                old.lookup(&[*key], &request, &rfc(), clock.at(0));
            }
        }
        let (cache, then) = (roomy(), clock.at(seconds));
        let now = elsewhere(then);
        restored(&cache, &saved(&old, clock.at(seconds / 2)), now);
        for (key, vary, ..) in &answers {
            let request = get(&[("Foo", vary)]);
            let told = |cache: &Cache, now| match cache.look(&[*key], &request, &rfc(), now) {
                Lookup::Hit { stored, age, ttl } => (stored, age, ttl),
                Lookup::Revalidate { stored, .. } => (stored.clone(), stored.answer.age(now), -1),
                other => panic!("{other:?}"),
            };
            let ((before, old_age, old_ttl), (after, age, ttl)) = (told(&old, then), told(&cache, now));
            prop_assert_eq!((age, ttl), (old_age, old_ttl));
            prop_assert_eq!(after.body.chunks().concat(), before.body.chunks().concat());
            prop_assert_eq!(after.hits(), before.hits());
            let said = |answer: &crate::cache::Answer| {
                let plain = crate::cache::Answer { received: clock.at(0).instant, initial_age: Duration::ZERO, ..answer.clone() };
                format!("{plain:?}")
            };
            prop_assert_eq!(said(&after.answer), said(&before.answer));
        }
    }

    #[test]
    fn no_bytes_panic(noise in prop::collection::vec(any::<u8>(), 0..400), cut in 0usize..400) {
        let now = Clock::new().at(0);
        let file = saved(&three(now), now);
        let _ = record::decode(&noise, 5, now);
        let mixed = [&file[..cut.min(file.len())], &noise].concat();
        restored(&roomy(), &mixed, now);
    }
}
