use std::sync::Arc;

use super::*;
use crate::{
    cache::{
        Cache, Exchange, Lookup,
        policy::testing::{Clock, Lines, get, response, rfc},
    },
    config,
    metrics::Registry,
    wire::RequestHead,
};

const KEY: &[u8] = b"key";
const STRONG: Lines<'_> = &[("Cache-Control", "max-age=60"), ("ETag", "\"a\"")];

fn cache(capacity: u64, max_object: u64) -> Arc<Cache> {
    let config = config::Cache { capacity, max_object, status_field: true, ..config::Cache::default() };
    Cache::new(&config, &Registry::new())
}

fn roomy() -> Arc<Cache> {
    cache(1 << 22, 1 << 20)
}

fn ranged() -> RequestHead {
    get(&[("Range", "bytes=0-")])
}

/// Begins to gather bytes that come with this Content-Range.
fn begin(cache: &Arc<Cache>, fields: Lines<'_>, content_range: &str) -> Result<PartFill, Reason> {
    let (request, now) = (ranged(), Clock::new().at(0));
    let leader = cache.begin_unasked(KEY, &request, Clock::new().at(0));
    let mut head = response(206, fields);
    head.fields.push("Content-Range", content_range);
    let exchange = Exchange { request: &request, policy: &rfc(), requested: now, answered: now };
    leader.begin_part(cache.storable_part(KEY, &exchange, &head)?, now)
}

/// The bytes held of this range, if all of it is.
fn held(cache: &Cache, range: &str) -> Option<Vec<u8>> {
    let request = get(&[("Range", range)]);
    match cache.lookup(KEY, &request, &rfc(), Clock::new().at(0)) {
        Lookup::Part { stored, wanted: crate::cache::Wanted::Parts(ranges), .. } => {
            Some(ranges.iter().flat_map(|range| stored.slice(range)).flatten().collect())
        }
        _ => None,
    }
}

/// Stores these bytes, each as long as its range.
fn put_parts(cache: &Arc<Cache>, fields: Lines<'_>, ranges: &[&str]) {
    for range in ranges {
        let (first, last) = range.split_once('-').unwrap();
        let length = last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1;
        let mut part = begin(cache, fields, &format!("bytes {range}/1000000")).unwrap();
        part.push(&vec![first.as_bytes()[0]; length]);
        part.finish().unwrap();
    }
}

#[test]
fn past_the_configured_bound_the_shortest_part_goes() {
    let config = config::Cache { capacity: 1 << 22, max_object: 1 << 20, max_parts: 2, ..config::Cache::default() };
    let cache = Cache::new(&config, &Registry::new());
    put_parts(&cache, STRONG, &["0-9", "100-104", "200-209"]);
    let kept = ["bytes=0-9", "bytes=100-104", "bytes=200-209"].map(|range| held(&cache, range).is_some());
    assert_eq!(kept, [true, false, true]);
    assert_eq!(cache.metrics.parts_dropped.value(), 1);
}

#[test]
fn parts_are_handed_on_in_a_snapshot_and_go_on_growing() {
    let (old, now) = (roomy(), Clock::new().at(0));
    // More than a block, less than one, and what ends with the whole.
    put_parts(&old, STRONG, &["0-99999", "200000-200006", "900000-999999"]);
    held(&old, "bytes=5-14").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let snapshot = config::Snapshot {
        path: directory.path().join("hot"),
        bytes: 1 << 20,
        time: std::time::Duration::from_secs(60),
    };
    old.write_snapshot(&snapshot, 7, now);
    let cache = roomy();
    cache.read_snapshot(&snapshot, 7, now);
    for range in ["bytes=0-99999", "bytes=65530-65540", "bytes=200000-200006", "bytes=-100000"] {
        assert_eq!(held(&cache, range), held(&old, range), "{range}");
        assert!(held(&cache, range).is_some(), "{range}");
    }
    assert_eq!(held(&cache, "bytes=99999-100000"), None);
    let row = &cache.top(crate::cache::TopBy::BytesSaved, 1)[0];
    assert_eq!((row.hits, row.bytes_saved), (9, 10 + 2 * (100_000 + 11 + 7 + 100_000)));
    put_parts(&cache, STRONG, &["100000-199999", "200007-899999"]);
    let whole = cache.lookup(KEY, &get(&[]), &rfc(), now);
    let Lookup::Hit { stored, .. } = whole else { panic!("{whole:?}") };
    assert_eq!(stored.body.length(), 1_000_000);
    drop(stored);
    assert_eq!(emptied(&cache), 0);
}

#[test]
fn what_is_no_set_of_parts_is_not_read() {
    let (old, now) = (roomy(), Clock::new().at(0));
    put_parts(&old, STRONG, &["0-9", "20-29"]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hot");
    let snapshot = config::Snapshot { path: path.clone(), bytes: 1 << 20, time: std::time::Duration::from_secs(60) };
    old.write_snapshot(&snapshot, 7, now);
    let file = std::fs::read(&path).unwrap();
    let runs: Vec<u8> = [2u64, 0, 10, 20, 30].iter().flat_map(|number| number.to_le_bytes()).collect();
    let at = file.windows(runs.len()).position(|window| window == runs).unwrap();
    for numbers in [
        [2u64, 0, 10, 20, 30],
        [2, 20, 30, 0, 10],
        [2, 0, 10, 10, 20],
        [2, 0, 10, 5, 15],
        [2, 0, 0, 0, 20],
        [2, 0, 10, 20, 31],
        [2, 0, 10, 999_999, 1_000_009],
        [2, 10, 0, 20, 30],
        [u64::MAX, 0, 10, 20, 30],
    ] {
        let mut forged = file.clone();
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        forged[at..at + bytes.len()].copy_from_slice(&bytes);
        // The sums of what stands there now: of the parts of the record, and of its head.
        let sum = crc32fast::hash(&forged[36 + 32..]);
        forged[36 + 24..36 + 28].copy_from_slice(&sum.to_le_bytes());
        let head = crc32fast::hash(&forged[36..36 + 28]);
        forged[36 + 28..36 + 32].copy_from_slice(&head.to_le_bytes());
        std::fs::write(&path, &forged).unwrap();
        let cache = roomy();
        cache.read_snapshot(&snapshot, 7, now);
        assert_eq!(held(&cache, "bytes=0-9").is_some(), numbers == [2, 0, 10, 20, 30], "{numbers:?}");
    }
}

/// Everything stored is let go of.
fn emptied(cache: &Cache) -> u64 {
    cache.invalidate(KEY, None);
    cache.store.settle();
    cache.held_bytes()
}

#[test]
fn what_comes_is_stored_in_pieces_of_its_size() {
    let cache = roomy();
    let content: Vec<u8> = (0..200_000u32).map(|at| at as u8).collect();
    let mut part = begin(&cache, STRONG, "bytes 100000-299999/300000").unwrap();
    content.chunks(777).for_each(|piece| part.push(piece));
    part.finish().unwrap();
    assert_eq!(held(&cache, "bytes=100000-"), Some(content));
    let Lookup::Part { stored, .. } = cache.lookup(KEY, &get(&[("Range", "bytes=-1")]), &rfc(), Clock::new().at(0))
    else {
        panic!()
    };
    assert!(stored.body.chunks().len() <= 4);
    assert_eq!(cache.held_bytes(), stored.cost());
    drop(stored);
    assert_eq!(emptied(&cache), 0);
}

#[test]
fn what_came_before_the_client_left_is_kept() {
    let cache = roomy();
    let mut part = begin(&cache, STRONG, "bytes 10-19/30").unwrap();
    part.push(b"abc");
    drop(part);
    assert_eq!(held(&cache, "bytes=11-12"), Some(b"bc".to_vec()));
    assert_eq!(held(&cache, "bytes=11-13"), None);
    drop(begin(&cache, STRONG, "bytes 20-29/30").unwrap());
    assert_eq!(held(&cache, "bytes=11-12"), Some(b"bc".to_vec()), "nothing came, nothing changes");
    assert_eq!(emptied(&cache), 0);
}

#[test]
fn a_body_of_another_length_than_announced_is_not_stored() {
    let cache = roomy();
    for (pieces, ends) in
        [(&[&b"abc"[..]][..], true), (&[b"abcdef", b"ghijkl"], true), (&[b"abcdef", b"ghijkl"], false)]
    {
        let mut part = begin(&cache, STRONG, "bytes 0-9/30").unwrap();
        pieces.iter().for_each(|piece| part.push(piece));
        if ends {
            assert_eq!(part.finish(), Err(Reason::Incomplete));
        } else {
            drop(part);
        }
        assert_eq!(held(&cache, "bytes=0-0"), None);
    }
    assert_eq!(cache.held_bytes(), 0);
}

#[test]
fn what_was_invalidated_meanwhile_is_not_stored() {
    // RFC 9111 §4.4
    let cache = roomy();
    let mut part = begin(&cache, STRONG, "bytes 0-2/30").unwrap();
    part.push(b"abc");
    cache.invalidate(KEY, None);
    assert_eq!(part.finish(), Err(Reason::Invalidated));
    assert_eq!(held(&cache, "bytes=0-0"), None);
    assert_eq!(cache.held_bytes(), 0);
}

#[test]
fn a_fresh_whole_is_not_given_up_for_a_part_of_something_else() {
    let cache = roomy();
    let (request, now) = (get(&[]), Clock::new().at(0));
    let policy = rfc();
    let crate::cache::Begin::Leader(leader) = cache.begin_fill(KEY, &request, &policy, now) else { panic!() };
    let mut part = begin(&cache, STRONG, "bytes 0-2/30").unwrap();
    part.push(b"abc");
    let exchange = Exchange { request: &request, policy: &policy, requested: now, answered: now };
    let plan = cache.storable(&exchange, &response(200, &[("Cache-Control", "max-age=60"), ("ETag", "\"b\"")]));
    leader.store_whole(plan.unwrap(), b"whole").unwrap();
    assert_eq!(part.finish(), Err(Reason::ValidatorMismatch));
    assert_eq!(held(&cache, "bytes=0-4"), Some(b"whole".to_vec()));
    assert_eq!(emptied(&cache), 0);
}

#[test]
fn no_more_than_the_largest_object_is_kept_and_the_bound_holds() {
    let (cache, tight) = (cache(400_000, 100_000), cache(20_000, 10_000));
    let mut part = begin(&cache, STRONG, "bytes 0-999999/2000000").unwrap();
    for _ in 0..1000 {
        part.push(&[1; 1000]);
        assert!(cache.held_bytes() < 150_000);
    }
    part.finish().unwrap();
    assert_eq!(held(&cache, "bytes=0-99999").map(|bytes| bytes.len()), Some(100_000));
    assert_eq!(held(&cache, "bytes=0-100000"), None);
    // There is no more room for this answer: what is held stays.
    assert_eq!(begin(&cache, STRONG, "bytes 500000-500009/2000000").err(), Some(Reason::TooLarge));
    assert!(held(&cache, "bytes=0-99999").is_some());
    let mut parts: Vec<PartFill> = Vec::new();
    while let Ok(mut part) = begin(&tight, STRONG, "bytes 0-999/2000") {
        part.push(&[1; 1000]);
        parts.push(part);
        assert!(tight.held_bytes() <= 20_000 && parts.len() < 100);
    }
    drop(parts);
    assert_eq!(emptied(&tight), 0);
}

#[test]
fn a_206_to_if_range_adds_to_what_is_there_and_begins_nothing() {
    // RFC 9110 §15.3.7
    let cache = roomy();
    let now = Clock::new().at(0);
    let request = get(&[("Range", "bytes=3-5"), ("If-Range", "\"a\"")]);
    let exchange = Exchange { request: &request, policy: &rfc(), requested: now, answered: now };
    let mut head = response(206, STRONG);
    head.fields.push("Content-Range", "bytes 3-5/30");
    assert_eq!(cache.storable_part(KEY, &exchange, &head).err(), Some(Reason::Partial));
    let mut fields = STRONG.to_vec();
    fields.push(("Content-Type", "video/x"));
    let mut part = begin(&cache, &fields, "bytes 0-2/30").unwrap();
    part.push(b"abc");
    part.finish().unwrap();
    let plan = cache.storable_part(KEY, &exchange, &head).unwrap();
    assert_eq!(plan.answer().head.fields.get("content-type"), Some(&b"video/x"[..]));
    let mut part = cache.begin_unasked(KEY, &request, Clock::new().at(0)).begin_part(plan, now).unwrap();
    part.push(b"def");
    part.finish().unwrap();
    assert_eq!(held(&cache, "bytes=0-5"), Some(b"abcdef".to_vec()));
}

#[test]
fn a_client_that_asks_byte_by_byte_leaves_few_pieces() {
    let cache = roomy();
    for at in (0..3000).rev().chain(4000..7000) {
        let mut part = begin(&cache, STRONG, &format!("bytes {at}-{at}/100000")).unwrap();
        part.push(&[at as u8]);
        part.finish().unwrap();
    }
    assert_eq!(held(&cache, "bytes=4000-6999"), Some((4000..7000).map(|at| at as u8).collect()));
    let Lookup::Part { stored, .. } = cache.lookup(KEY, &get(&[("Range", "bytes=7-8")]), &rfc(), Clock::new().at(0))
    else {
        panic!()
    };
    assert_eq!(stored.body.chunks().len(), 2, "one for each run");
    assert_eq!(cache.held_bytes(), stored.cost());
    drop(stored);
    assert_eq!(emptied(&cache), 0);
}

#[test]
fn a_whole_is_not_given_up_for_bytes_of_no_certain_place() {
    let cache = roomy();
    let mut whole = begin(&cache, STRONG, "bytes 0-2/3").unwrap();
    whole.push(b"abc");
    whole.finish().unwrap();
    assert!(matches!(cache.lookup(KEY, &get(&[]), &rfc(), Clock::new().at(0)), Lookup::Hit { .. }));
    let unsure = &[STRONG[0], STRONG[1], ("Content-Length", "1")];
    let mut part = begin(&cache, unsure, "bytes 1-2/3").unwrap();
    part.push(b"b");
    assert_eq!(part.finish(), Err(Reason::ValidatorMismatch));
    assert!(matches!(cache.lookup(KEY, &get(&[]), &rfc(), Clock::new().at(0)), Lookup::Hit { .. }));
}
