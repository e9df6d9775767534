//! One fetch for many, whatever way it ends.

use std::{
    future::Future,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;

use super::{pipe::PASS_WINDOW, *};
use crate::{
    cache::{
        Exchange, Plan,
        policy::testing::{Clock, Lines, get, request, response, rfc},
    },
    config,
    metrics::Registry,
    wire::ResponseHead,
};

const KEY: &[u8] = b"key";
const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");
const MEBIBYTE: u64 = 1024 * 1024;

fn cache(capacity: u64, max_object: u64) -> Arc<Cache> {
    Cache::new(&config::Cache { capacity, max_object, status_field: true }, &Registry::new())
}

fn roomy() -> Arc<Cache> {
    cache(64 * MEBIBYTE, MEBIBYTE)
}

fn begin(cache: &Arc<Cache>, request: &RequestHead) -> Begin {
    cache.begin_fill(KEY, request, &rfc(), Clock::new().at(0))
}

fn lead(cache: &Arc<Cache>, request: &RequestHead) -> Leader {
    match begin(cache, request) {
        Begin::Leader(leader) => leader,
        other => panic!("not the leader: {other:?}"),
    }
}

fn follow(cache: &Arc<Cache>, request: &RequestHead) -> Follower {
    match begin(cache, request) {
        Begin::Follower(follower) => follower,
        other => panic!("not a follower: {other:?}"),
    }
}

fn plan(cache: &Cache, request: &RequestHead, head: &ResponseHead) -> Plan {
    let now = Clock::new().at(0);
    cache.storable(&Exchange { request, policy: &rfc(), requested: now, answered: now }, head).unwrap()
}

fn plan_of(cache: &Cache, fields: Lines<'_>) -> Plan {
    plan(cache, &get(&[]), &response(200, fields))
}

fn is_hit(cache: &Cache, request: &RequestHead) -> bool {
    matches!(cache.lookup(KEY, request, &rfc(), Clock::new().at(0)), Lookup::Hit { .. })
}

/// Polls once; a future that is not ready is given back to be polled again.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn read_all(mut reader: Reader) -> Result<Vec<u8>, FillFailed> {
    let mut body = Vec::new();
    while let Some(piece) = reader.next().await {
        body.extend_from_slice(&piece?);
    }
    Ok(body)
}

async fn streaming(follower: Follower, request: &RequestHead) -> Reader {
    match follower.head(request).await {
        FollowerOutcome::Streaming(reader) => reader,
        other => panic!("no stream: {other:?}"),
    }
}

#[tokio::test]
async fn all_who_come_meanwhile_read_one_fetch_while_it_grows() {
    let cache = roomy();
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let early = follow(&cache, &plain);
    let (mut fill, own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    fill.push(Bytes::from_static(b"one "));
    let mut late = streaming(follow(&cache, &plain), &plain).await;
    assert_eq!(late.next().await.unwrap().unwrap(), "one ");
    fill.push(Bytes::new());
    fill.push(Bytes::from_static(b"two"));
    assert_eq!(late.next().await.unwrap().unwrap(), "two");
    let Finished::Stored(stored) = fill.finish() else { panic!() };
    assert!(late.next().await.is_none() && late.next().await.is_none());
    assert_eq!(read_all(own).await.unwrap(), b"one two");
    let FollowerOutcome::Stored(same) = early.head(&plain).await else { panic!() };
    assert!(Arc::ptr_eq(&same, &stored));
    assert_eq!(stored.body.chunks(), [Bytes::from_static(b"one two")]);
    assert_eq!(stored.answer.head.fields.get("content-length"), Some(&b"7"[..]));
    assert!(is_hit(&cache, &plain));
}

#[tokio::test]
async fn pieces_that_are_there_are_taken_together() {
    let cache = roomy();
    let (mut fill, mut reader) = lead(&cache, &get(&[])).begin(plan_of(&cache, &[FRESH])).unwrap();
    for piece in ["a", "b", "c"] {
        fill.push(Bytes::from_static(piece.as_bytes()));
    }
    let mut out = Vec::new();
    assert_eq!(reader.take_ready(&mut out, 2), Ok(false));
    assert_eq!(out, ["a", "b"]);
    fill.finish();
    assert_eq!(reader.take_ready(&mut out, 2), Ok(true));
    assert_eq!(out.len(), 3);
}

#[tokio::test]
async fn a_leader_that_goes_lets_the_followers_try() {
    let cache = roomy();
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let follower = follow(&cache, &plain);
    drop(leader);
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::LeaderGone));
    drop(lead(&cache, &plain));
    assert!(cache.flights.shard(KEY).is_empty());
}

#[tokio::test]
async fn a_fill_that_breaks_off_is_an_error_to_every_reader_and_stores_nothing() {
    let cache = roomy();
    let plain = get(&[]);
    for way in 0..3 {
        let leader = lead(&cache, &plain);
        let unread = follow(&cache, &plain);
        let (mut fill, mut own) = leader.begin(plan_of(&cache, &[FRESH, ("Content-Length", "9")])).unwrap();
        let mut reader = streaming(follow(&cache, &plain), &plain).await;
        fill.push(Bytes::from_static(b"half"));
        assert_eq!(own.next().await.unwrap().unwrap(), "half");
        match way {
            0 => drop(fill),
            1 => fill.fail(),
            // RFC 9111 §3.3: fewer bytes than announced.
            _ => assert!(matches!(fill.finish(), Finished::NotStored(Reason::Incomplete))),
        }
        for reader in [&mut own, &mut reader] {
            assert_eq!(reader.next().await, Some(Err(FillFailed::Incomplete)));
            assert_eq!(reader.next().await, Some(Err(FillFailed::Incomplete)));
        }
        assert!(matches!(unread.head(&plain).await, FollowerOutcome::LeaderGone));
        assert!(!is_hit(&cache, &plain));
        drop((own, reader));
        assert_eq!(cache.held_bytes(), 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_storable_sends_the_followers_off_and_is_remembered() {
    let cache = roomy();
    let plain = get(&[]);
    let clock = Clock::new();
    lead(&cache, &plain).pass(Reason::NoStore, clock.at(0));
    assert!(matches!(cache.lookup(KEY, &plain, &rfc(), clock.at(0)), Lookup::Miss(Reason::UriMiss)));
    let leader = lead(&cache, &plain);
    let follower = follow(&cache, &plain);
    leader.pass(Reason::NoStore, clock.at(0));
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::NotStorable(Reason::NoStore)));
    assert!(matches!(cache.lookup(KEY, &plain, &rfc(), clock.at(9)), Lookup::Pass(Reason::Uncacheable)));
    assert!(matches!(cache.lookup(KEY, &plain, &rfc(), clock.at(11)), Lookup::Miss(Reason::UriMiss)));
}

#[tokio::test]
async fn trouble_of_one_request_is_not_remembered() {
    let cache = roomy();
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let _follower = follow(&cache, &plain);
    leader.pass(Reason::Authorization, Clock::new().at(0));
    assert!(matches!(cache.lookup(KEY, &plain, &rfc(), Clock::new().at(0)), Lookup::Miss(_)));
}

#[tokio::test]
async fn another_variant_is_no_answer_and_gets_a_leader_of_its_own() {
    // RFC 9111 §4.1
    let cache = roomy();
    let (one, two) = (get(&[("Foo", "1")]), get(&[("Foo", "2")]));
    let head = response(200, &[FRESH, ("Vary", "foo")]);
    let leader = lead(&cache, &one);
    let waiting = follow(&cache, &two);
    let (fill, _reader) = leader.begin(plan(&cache, &one, &head)).unwrap();
    assert!(matches!(waiting.head(&two).await, FollowerOutcome::NotMyVariant));
    let second = lead(&cache, &two);
    streaming(follow(&cache, &one), &one).await;
    fill.finish();
    second.store_whole(plan(&cache, &two, &head), b"two").unwrap();
    assert!(is_hit(&cache, &one) && is_hit(&cache, &two) && !is_hit(&cache, &get(&[])));
    // From now on it is known what the answers vary on, before there is a head.
    let later = Clock::new().at(5000);
    let begin = |request| cache.begin_fill(KEY, request, &rfc(), later);
    let (Begin::Leader(_one), Begin::Leader(_two)) = (begin(&one), begin(&two)) else { panic!() };
    assert!(matches!(begin(&one), Begin::Follower(_)));
}

#[tokio::test]
async fn what_each_use_must_validate_is_not_shared() {
    // RFC 9111 §5.2.2.4
    let cache = roomy();
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let follower = follow(&cache, &plain);
    let head = [("Cache-Control", "no-cache"), ("ETag", "\"a\"")];
    let (mut fill, own) = leader.begin(plan_of(&cache, &head)).unwrap();
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::NotStorable(Reason::NoCache)));
    fill.push(Bytes::from_static(b"x"));
    assert!(matches!(fill.finish(), Finished::Stored(_)));
    assert_eq!(read_all(own).await.unwrap(), b"x");
    // Each validates for itself, and nobody waits.
    let (Begin::Leader(_one), Begin::Leader(_two)) = (begin(&cache, &plain), begin(&cache, &plain)) else { panic!() };
}

#[tokio::test]
async fn head_requests_neither_wait_nor_keep_others_waiting() {
    let cache = roomy();
    let _head = lead(&cache, &request("HEAD", &[]));
    let _get = lead(&cache, &get(&[]));
    let _another = lead(&cache, &request("HEAD", &[]));
    follow(&cache, &get(&[]));
}

#[tokio::test]
async fn who_looked_before_it_was_stored_gets_it_after() {
    let cache = roomy();
    let plain = get(&[]);
    assert!(!is_hit(&cache, &plain));
    lead(&cache, &plain).store_whole(plan_of(&cache, &[FRESH]), b"whole").unwrap();
    assert!(matches!(begin(&cache, &plain), Begin::Stored(_)));
}

#[tokio::test]
async fn a_whole_answer_is_shared_at_once() {
    let cache = roomy();
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let follower = follow(&cache, &plain);
    let stored = leader.store_whole(plan_of(&cache, &[FRESH, ("Content-Length", "5")]), b"whole").unwrap();
    let FollowerOutcome::Stored(same) = follower.head(&plain).await else { panic!() };
    assert!(Arc::ptr_eq(&stored, &same));
    cache.invalidate(KEY);
    let leader = lead(&cache, &plain);
    let short = plan_of(&cache, &[FRESH, ("Content-Length", "6")]);
    assert_eq!(leader.store_whole(short, b"whole").unwrap_err(), Reason::Incomplete);
}

#[tokio::test]
async fn an_invalidation_reaches_fetches_under_way() {
    // RFC 9111 §4.4
    let cache = roomy();
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let before = follow(&cache, &plain);
    let (mut fill, own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    fill.push(Bytes::from_static(b"old"));
    cache.invalidate(KEY);
    let after = lead(&cache, &plain);
    assert!(matches!(fill.finish(), Finished::NotStored(Reason::Invalidated)));
    assert!(!is_hit(&cache, &plain));
    assert_eq!(read_all(own).await.unwrap(), b"old");
    assert!(matches!(before.head(&plain).await, FollowerOutcome::Stored(_)));
    after.store_whole(plan_of(&cache, &[FRESH]), b"new").unwrap();
    assert!(is_hit(&cache, &plain));
}

#[tokio::test]
async fn a_304_makes_the_stored_answer_fresh_for_all_who_wait() {
    // RFC 9111 §4.3.4
    let cache = roomy();
    let (plain, policy, clock) = (get(&[]), rfc(), Clock::new());
    let old = lead(&cache, &plain).store_whole(plan_of(&cache, &[FRESH, ("ETag", "\"a\"")]), b"body").unwrap();
    let later = clock.at(5000);
    let Begin::Leader(leader) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    let Begin::Follower(follower) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    let exchange = Exchange { request: &plain, policy: &policy, requested: later, answered: later };
    let other = response(304, &[("ETag", "\"b\"")]);
    let kept = cache.held_bytes();
    let (leader, reason) = leader.freshen(&exchange, &old, &other).unwrap_err();
    assert_eq!(reason, Reason::ValidatorMismatch);
    drop(leader);
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::LeaderGone));
    assert!(matches!(cache.lookup(KEY, &plain, &policy, later), Lookup::Miss(_)), "the mismatched one is dropped");

    let old = lead(&cache, &plain).store_whole(plan_of(&cache, &[FRESH, ("ETag", "\"a\"")]), b"body").unwrap();
    let Begin::Leader(leader) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    let Begin::Follower(follower) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    let fresh = leader.freshen(&exchange, &old, &response(304, &[("ETag", "\"a\"")])).unwrap();
    let FollowerOutcome::Stored(same) = follower.head(&plain).await else { panic!() };
    assert!(Arc::ptr_eq(&fresh, &same) && Arc::ptr_eq(&fresh.body, &old.body));
    assert!(matches!(cache.lookup(KEY, &plain, &policy, later), Lookup::Hit { age: 0, .. }));
    drop((old, fresh, same));
    cache.store.settle();
    assert!(cache.held_bytes() < kept + 4096);
}

#[tokio::test]
async fn a_validation_overtaken_by_an_invalidation_stores_nothing() {
    let cache = roomy();
    let (plain, policy, clock) = (get(&[]), rfc(), Clock::new());
    let old = lead(&cache, &plain).store_whole(plan_of(&cache, &[FRESH, ("ETag", "\"a\"")]), b"body").unwrap();
    let exchange = Exchange { request: &plain, policy: &policy, requested: clock.at(0), answered: clock.at(0) };
    cache.invalidate(KEY);
    cache.freshen(KEY, &exchange, &old, &response(304, &[])).unwrap();
    assert!(!is_hit(&cache, &plain));
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_all_but_who_asked_for_newer() {
    let cache = roomy();
    let (plain, policy, later) = (get(&[]), rfc(), Clock::new().at(5000));
    let demanding = get(&[("Cache-Control", "no-cache")]);
    let old = lead(&cache, &plain).store_whole(plan_of(&cache, &[FRESH]), b"body").unwrap();
    let Begin::Leader(leader) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    let Begin::Follower(easy) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    let Begin::Follower(strict) = cache.begin_fill(KEY, &demanding, &policy, later) else { panic!() };
    leader.resolve_stale(&old);
    assert!(matches!(easy.head(&plain).await, FollowerOutcome::Stored(_)));
    assert!(matches!(strict.head(&demanding).await, FollowerOutcome::NotStorable(Reason::RequestNoCache)));
}

#[tokio::test]
async fn a_body_that_outgrows_the_largest_object_reaches_its_readers_in_bounded_memory() {
    let cache = cache(64 * MEBIBYTE, 300_000);
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let (mut fill, own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    let follower = streaming(follow(&cache, &plain), &plain).await;
    let body: Vec<u8> = (0..2_000_000u32).map(|number| (number % 251) as u8).collect();
    let readers = tokio::spawn(async move { tokio::join!(read_all(own), read_all(follower)) });
    let (mut refused_late, mut most) = (false, 0);
    for piece in body.chunks(10_000) {
        fill.push(Bytes::copy_from_slice(piece));
        fill.ready().await;
        assert!(fill.is_wanted());
        if fill.passing().is_some() {
            most = most.max(cache.held_bytes());
            refused_late |= matches!(begin(&cache, &plain), Begin::Leader(_));
        }
    }
    assert!(refused_late && most <= PASS_WINDOW + 10_000 + 8192, "{most}");
    assert!(matches!(fill.finish(), Finished::NotStored(Reason::TooLarge)));
    let (one, other) = readers.await.unwrap();
    assert!(one.unwrap() == body && other.unwrap() == body);
    assert!(!is_hit(&cache, &plain));
    assert_eq!(cache.held_bytes(), 0);
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_by_its_head() {
    let cache = cache(64 * MEBIBYTE, 1000);
    let now = Clock::new().at(0);
    let (request, policy) = (get(&[]), rfc());
    let exchange = Exchange { request: &request, policy: &policy, requested: now, answered: now };
    let weigh = |length| cache.storable(&exchange, &response(200, &[FRESH, ("Content-Length", length)])).err();
    assert_eq!((weigh("1000"), weigh("1001")), (None, Some(Reason::TooLarge)));
}

#[tokio::test]
async fn without_room_nothing_is_stored_and_all_still_get_the_body() {
    let cache = cache(16_384, 8192);
    let plain = get(&[]);
    let leader = lead(&cache, &plain);
    let (mut fill, own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    let hog = cache.charge(10_000).unwrap();
    for _ in 0..7 {
        fill.push(Bytes::from_static(&[7; 1000]));
    }
    assert_eq!(fill.passing(), Some(Reason::NoRoom));
    assert!(cache.held_bytes() <= 16_384);
    assert!(matches!(fill.finish(), Finished::NotStored(Reason::NoRoom)));
    assert_eq!(read_all(own).await.unwrap().len(), 7000);
    let _all = cache.charge(6000).unwrap();
    let follower_side = lead(&cache, &plain);
    let follower = follow(&cache, &plain);
    assert_eq!(follower_side.begin(plan_of(&cache, &[FRESH])).unwrap_err(), Reason::NoRoom);
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::NotStorable(Reason::NoRoom)));
    drop(hog);
}

#[tokio::test]
async fn a_reader_that_stops_holds_up_nobody_for_long() {
    let pipe = pipe::Pipe::new(Arc::new(plan_of(&roomy(), &[FRESH]).answer));
    let (mut stuck, mut quick) = (pipe.join().unwrap(), pipe.join().unwrap());
    pipe.stop_keeping();
    assert!(pipe.join().is_none());
    let half = Bytes::from(vec![0; PASS_WINDOW as usize / 2 + 1]);
    pipe.push(half.clone());
    pipe.push(half.clone());
    let patience = Duration::from_millis(20);
    // Both are equally slow: nobody is cut, the body waits.
    let waiting = tokio::time::timeout(patience * 5, pipe.drained(patience, |_| panic!("cut too early"))).await;
    assert!(waiting.is_err());
    quick.next().await.unwrap().unwrap();
    quick.next().await.unwrap().unwrap();
    let cut = std::cell::Cell::new(0);
    assert_eq!(pipe.drained(patience, |readers| cut.set(readers)).await, 0);
    assert_eq!(cut.get(), 1);
    assert_eq!(stuck.next().await, Some(Err(FillFailed::TooSlow)));
    pipe.push(half);
    assert!(quick.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn a_fill_is_wanted_while_it_is_kept_or_read() {
    let cache = cache(64 * MEBIBYTE, 100);
    let (mut fill, reader) = lead(&cache, &get(&[])).begin(plan_of(&cache, &[FRESH])).unwrap();
    let second = streaming(follow(&cache, &get(&[])), &get(&[])).await;
    drop(reader);
    assert!(fill.is_wanted());
    fill.push(Bytes::from_static(&[0; 200]));
    assert!(fill.is_wanted());
    drop(second);
    assert!(!fill.is_wanted());
    fill.ready().await;
}

#[tokio::test]
async fn a_vanished_first_client_does_not_stop_the_fill() {
    let cache = roomy();
    let plain = get(&[]);
    let (mut fill, own) = lead(&cache, &plain).begin(plan_of(&cache, &[FRESH])).unwrap();
    drop(own);
    fill.push(Bytes::from_static(b"body"));
    assert!(matches!(fill.finish(), Finished::Stored(_)));
    assert!(is_hit(&cache, &plain));
}

#[tokio::test]
async fn large_bodies_keep_their_pieces_and_small_pieces_are_joined() {
    let cache = roomy();
    for (piece, pieces, expected) in [(20_000, 10, 10), (100, 3000, 5), (1, 65_536, 1), (65_536, 1, 1)] {
        cache.invalidate(KEY);
        let (mut fill, own) = lead(&cache, &get(&[])).begin(plan_of(&cache, &[FRESH])).unwrap();
        let mut body = Vec::new();
        for number in 0..pieces {
            let data = vec![number as u8; piece];
            body.extend_from_slice(&data);
            fill.push(data.into());
        }
        let Finished::Stored(stored) = fill.finish() else { panic!() };
        assert_eq!(stored.body.chunks().len(), expected);
        assert_eq!(stored.body.chunks().concat(), body);
        assert_eq!(stored.body.length(), body.len() as u64);
        assert_eq!(read_all(own).await.unwrap(), body);
    }
}

#[test]
fn a_change_between_looking_and_waiting_is_not_missed() {
    // Every order of one reader's polls and the fill's steps: the last poll is always ready.
    for order in 0..1 << 6 {
        let cache = roomy();
        let plain = get(&[]);
        let leader = lead(&cache, &plain);
        let follower = follow(&cache, &plain);
        let mut reading = Box::pin(async {
            let mut reader = match follower.head(&plain).await {
                FollowerOutcome::Streaming(reader) => reader,
                FollowerOutcome::Stored(stored) => return stored.body.chunks().concat(),
                other => panic!("{other:?}"),
            };
            let mut body = Vec::new();
            while let Some(piece) = reader.next().await {
                body.extend_from_slice(&piece.unwrap());
            }
            body
        });
        let mut result = None;
        let mut step = |at: u32| {
            if order >> at & 1 == 1 && result.is_none() {
                if let Poll::Ready(body) = poll(&mut reading) {
                    result = Some(body);
                }
            }
        };
        step(0);
        let (mut fill, _own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
        step(1);
        fill.push(Bytes::from_static(b"a"));
        step(2);
        fill.push(Bytes::from_static(b"b"));
        step(3);
        fill.finish();
        step(4);
        step(5);
        let body = result.or_else(|| match poll(&mut reading) {
            Poll::Ready(body) => Some(body),
            Poll::Pending => None,
        });
        assert_eq!(body.as_deref(), Some(&b"ab"[..]), "{order:b}");
    }
}

#[test]
fn many_runtimes_share_one_fetch_and_nobody_sleeps_for_ever() {
    let cache = roomy();
    let fetches = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    let work = async {
                        for round in 0..200u32 {
                            let key = round.to_be_bytes();
                            let tasks = (0..5).map(|_| one_request(&cache, key, &fetches));
                            for body in futures_util::future::join_all(tasks).await {
                                assert_eq!(body, vec![round as u8; 3 * 1000]);
                            }
                        }
                    };
                    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
                });
            });
        }
    });
    assert_eq!(fetches.into_inner(), 200);
}

/// One client's way through look-up, fill and follow; the leader fails nobody.
async fn one_request(cache: &Arc<Cache>, key: [u8; 4], fetches: &std::sync::atomic::AtomicUsize) -> Vec<u8> {
    let plain = get(&[]);
    loop {
        match cache.begin_fill(&key, &plain, &rfc(), Now::read()) {
            Begin::Stored(stored) => return stored.body.chunks().concat(),
            Begin::Follower(follower) => match follower.head(&plain).await {
                FollowerOutcome::Streaming(reader) => return read_all(reader).await.unwrap(),
                FollowerOutcome::Stored(stored) => return stored.body.chunks().concat(),
                FollowerOutcome::LeaderGone => {}
                other => panic!("{other:?}"),
            },
            Begin::Leader(leader) => {
                fetches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tokio::task::yield_now().await;
                let now = Now::read();
                let exchange = Exchange { request: &plain, policy: &rfc(), requested: now, answered: now };
                let plan = cache.storable(&exchange, &response(200, &[FRESH])).unwrap();
                let (mut fill, reader) = leader.begin(plan).unwrap();
                let reading = tokio::spawn(read_all(reader));
                for _ in 0..3 {
                    fill.push(vec![u32::from_be_bytes(key) as u8; 1000].into());
                    tokio::task::yield_now().await;
                }
                assert!(matches!(fill.finish(), Finished::Stored(_)));
                return reading.await.unwrap().unwrap();
            }
        }
    }
}
