//! One fetch for many, whatever way it ends.

mod bodies;
mod interleavings;
mod marks;
mod refreshes;
mod shared;
mod simulation;

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
        policy::testing::{Clock, Lines, get, guessing, request, response, rfc},
    },
    config,
    metrics::Registry,
    wire::ResponseHead,
};

const KEY: &[u8] = b"key";
const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");
const MEBIBYTE: u64 = 1024 * 1024;

fn cache(capacity: u64, max_object: u64) -> Arc<Cache> {
    Cache::new(
        &config::Cache { capacity, max_object, status_field: true, ..config::Cache::default() },
        &Registry::new(),
    )
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
    cache.invalidate(KEY, None);
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
    cache.invalidate(KEY, None);
    let after = lead(&cache, &plain);
    assert!(matches!(fill.finish(), Finished::NotStored(Reason::Invalidated)));
    assert_eq!(cache.metrics.refused.value(Reason::Invalidated), 1);
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
    let (leader, reason) = leader.freshen(&exchange, &old, &other, |_| {}).unwrap_err();
    assert_eq!(reason, Reason::ValidatorMismatch);
    drop(leader);
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::LeaderGone));
    assert!(matches!(cache.lookup(KEY, &plain, &policy, later), Lookup::Miss(_)), "the mismatched one is dropped");

    let old = lead(&cache, &plain).store_whole(plan_of(&cache, &[FRESH, ("ETag", "\"a\"")]), b"body").unwrap();
    let Begin::Leader(leader) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    let Begin::Follower(follower) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    let (fresh, refused) = leader.freshen(&exchange, &old, &response(304, &[("ETag", "\"a\"")]), |_| {}).unwrap();
    assert_eq!(refused, None);
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
    cache.invalidate(KEY, None);
    let leader = cache.begin_unasked(KEY, &plain, clock.at(0));
    let (_, refused) = leader.freshen(&exchange, &old, &response(304, &[]), |_| {}).unwrap();
    assert_eq!(refused, Some(Reason::Invalidated));
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
async fn a_purged_answer_stands_in_for_nobody_who_came_later() {
    let (cache, plain, policy, later) = (roomy(), get(&[]), rfc(), Clock::new().at(5000));
    let old = lead(&cache, &plain).store_whole(plan_of(&cache, &[FRESH]), b"body").unwrap();
    cache.invalidate(KEY, None);
    // A request that had found the answer before, and that leads only now.
    let Begin::Leader(leader) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    let Begin::Follower(follower) = cache.begin_fill(KEY, &plain, &policy, later) else { panic!() };
    leader.resolve_stale(&old);
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::LeaderGone));
}

#[test]
fn clients_with_cookies_wait_for_nobody_where_the_last_answer_may_have_been_personal() {
    let (cache, plain, with_cookie) = (roomy(), get(&[]), get(&[("Cookie", "who=me")]));
    let (policy, now, two_days_later) = (guessing(), Clock::new().at(0), Clock::new().at(172_800_000));
    let unsaid = response(200, &[("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"), ("ETag", "\"1\"")]);
    let exchange = Exchange { request: &plain, policy: &policy, requested: now, answered: now };
    lead(&cache, &plain).store_whole(cache.storable(&exchange, &unsaid).unwrap(), b"body").unwrap();
    let begin = |request| cache.begin_fill(KEY, request, &policy, two_days_later);
    let _one = begin(&plain);
    assert!(matches!(begin(&with_cookie), Begin::Leader(_)));
    assert!(matches!(begin(&plain), Begin::Follower(_)));
}

#[tokio::test]
async fn identified_clients_wait_for_nobody_unless_the_backend_shares() {
    // RFC 9111 §3.5
    let cache = roomy();
    let (plain, identified) = (get(&[]), get(&[("Authorization", "Basic eDp5")]));
    let _one = lead(&cache, &identified);
    let leader = lead(&cache, &plain);
    let _other = lead(&cache, &identified);
    leader.store_whole(plan_of(&cache, &[("Cache-Control", "public, max-age=60")]), b"body").unwrap();
    let later = Clock::new().at(500);
    let Begin::Leader(leader) = cache.begin_fill(KEY, &plain, &rfc(), later) else { panic!() };
    let begin = || match cache.begin_fill(KEY, &identified, &rfc(), later) {
        Begin::Follower(follower) => follower,
        other => panic!("{other:?}"),
    };
    let (early, plain_now) = (begin(), plan_of(&cache, &[FRESH]));
    let (_fill, _reader) = leader.begin(plain_now).unwrap();
    assert!(matches!(early.head(&identified).await, FollowerOutcome::NotStorable(Reason::Authorization)));
}
