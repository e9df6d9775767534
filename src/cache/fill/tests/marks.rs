//! Who does not queue: for what is not storable, and for what does not come.

use super::*;

/// Each in what the key's answer is.
fn look(cache: &Cache, now: Now) -> Lookup {
    cache.lookup(KEY, &get(&[]), &rfc(), now)
}

fn is_marked(cache: &Cache, now: Now) -> bool {
    matches!(look(cache, now), Lookup::Pass(Reason::Uncacheable))
}

/// A follower that came longer ago than anybody waits.
fn follow_overdue(cache: &Arc<Cache>, request: &RequestHead) -> Follower {
    let now = Now::read();
    let came = Now { instant: now.instant - FOLLOW_MAX, ..now };
    match cache.begin_fill(KEY, request, &rfc(), came) {
        Begin::Follower(follower) => follower,
        other => panic!("not a follower: {other:?}"),
    }
}

/// Shows the head of an answer that passed, to the request with these fields.
fn passed(cache: &Cache, fields: Lines<'_>, head: &ResponseHead, now: Now) -> Option<Reason> {
    let request = get(fields);
    let exchange = Exchange { request: &request, policy: &rfc(), requested: now, answered: now };
    cache.weigh_passed(KEY, &exchange, head)
}

#[tokio::test]
async fn an_answer_that_is_not_storable_sends_the_followers_off_and_is_remembered() {
    let (cache, plain, clock) = (roomy(), get(&[]), Clock::new());
    lead(&cache, &plain).pass(Reason::NoStore, 200, clock.at(0));
    assert!(matches!(look(&cache, clock.at(0)), Lookup::Miss(Reason::UriMiss)), "nobody waited");
    let leader = lead(&cache, &plain);
    let follower = follow(&cache, &plain);
    leader.pass(Reason::NoStore, 200, clock.at(0));
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::NotStorable(Reason::NoStore)));
    assert!(is_marked(&cache, clock.at(119)));
    assert!(matches!(look(&cache, clock.at(120)), Lookup::Miss(Reason::UriMiss)));
    // Who looked before the mark was made does not queue either.
    assert!(matches!(begin(&cache, &plain), Begin::Pass(Reason::Uncacheable)));
}

#[test]
fn a_client_with_conditions_is_not_kept_from_a_304_for_long() {
    let (cache, clock) = (roomy(), Clock::new());
    lead(&cache, &get(&[("If-None-Match", "\"a\"")])).pass(Reason::Private, 200, clock.at(0));
    assert!(is_marked(&cache, clock.at(1)));
}

#[test]
fn trouble_of_one_request_is_not_remembered() {
    let (cache, plain, clock) = (roomy(), get(&[]), Clock::new());
    let leader = lead(&cache, &plain);
    let _follower = follow(&cache, &plain);
    leader.pass(Reason::Authorization, 200, clock.at(0));
    assert!(matches!(look(&cache, clock.at(0)), Lookup::Miss(_)));
}

#[tokio::test]
async fn who_waited_too_long_goes_on_alone_and_nobody_else_waits() {
    let (cache, plain) = (roomy(), get(&[]));
    let leader = lead(&cache, &plain);
    let patient = follow(&cache, &plain);
    assert!(matches!(follow_overdue(&cache, &plain).head(&plain).await, FollowerOutcome::TooSlow));
    assert!(is_marked(&cache, Now::read()));
    assert!(matches!(begin(&cache, &plain), Begin::Pass(Reason::Uncacheable)));
    // Who still has time stays, and an answer that comes at last and may be kept serves everybody again.
    let (mut fill, _own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    assert!(!is_marked(&cache, Now::read()));
    fill.push(Bytes::from_static(b"late"));
    let late = streaming(follow(&cache, &plain), &plain).await;
    let early = streaming(patient, &plain).await;
    fill.finish();
    assert_eq!((read_all(late).await.unwrap(), read_all(early).await.unwrap()), (b"late".to_vec(), b"late".to_vec()));
    assert!(is_hit(&cache, &plain));
}

#[tokio::test]
async fn an_answer_that_is_there_in_time_is_taken_however_late_the_follower_looks() {
    let (cache, plain) = (roomy(), get(&[]));
    let leader = lead(&cache, &plain);
    let follower = follow_overdue(&cache, &plain);
    leader.store_whole(plan_of(&cache, &[FRESH]), b"whole").unwrap();
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::Stored(_)));
}

#[tokio::test]
async fn a_slow_validation_keeps_the_stored_answer_and_nobody_waiting() {
    let (cache, plain) = (roomy(), get(&[]));
    // Stored long ago, as its Age says: each request has to validate it, and shares that.
    lead(&cache, &plain).store_whole(plan_of(&cache, &[FRESH]), b"old").unwrap();
    let later = Clock::new().at(5000);
    let begin = |now| cache.begin_fill(KEY, &plain, &rfc(), now);
    let Begin::Leader(_slow) = begin(later) else { panic!() };
    let Begin::Follower(mut follower) = begin(later) else { panic!() };
    follower.deadline = Instant::now();
    assert!(matches!(follower.head(&plain).await, FollowerOutcome::TooSlow));
    assert!(is_hit(&cache, &plain), "the stored answer is there still");
    let (Begin::Leader(_one), Begin::Leader(_two)) = (begin(later), begin(later)) else { panic!() };
}

#[tokio::test]
async fn the_mark_lasts_while_answers_are_not_storable_and_goes_with_the_first_that_is() {
    let (cache, plain, clock) = (roomy(), get(&[]), Clock::new());
    let mark = || {
        let leader = lead(&cache, &plain);
        let _follower = follow(&cache, &plain);
        leader.pass(Reason::NoStore, 200, clock.at(0));
    };
    mark();
    let secret = response(200, &[("Cache-Control", "no-store")]);
    assert_eq!(passed(&cache, &[], &secret, clock.at(59)), Some(Reason::NoStore));
    assert!(!is_marked(&cache, clock.at(121)), "an early one need not be written");
    assert_eq!(passed(&cache, &[], &secret, clock.at(100)), Some(Reason::NoStore));
    assert!(is_marked(&cache, clock.at(219)));
    // What one request brings about says nothing of the next.
    let fresh = response(200, &[FRESH]);
    assert_eq!(passed(&cache, &[("Authorization", "Basic eDp5")], &fresh, clock.at(210)), None);
    assert!(is_marked(&cache, clock.at(219)));
    assert_eq!(passed(&cache, &[], &fresh, clock.at(210)), None);
    assert!(matches!(look(&cache, clock.at(210)), Lookup::Miss(Reason::UriMiss)));
    // A 304 says what the 200 would have said.
    mark();
    assert_eq!(
        passed(&cache, &[], &response(304, &[("Cache-Control", "private")]), clock.at(1)),
        Some(Reason::Private)
    );
    assert!(is_marked(&cache, clock.at(1)));
    assert_eq!(passed(&cache, &[], &response(304, &[FRESH]), clock.at(1)), None);
    assert!(!is_marked(&cache, clock.at(1)));
    // Without a mark there is none to renew.
    assert_eq!(passed(&cache, &[], &secret, clock.at(1)), Some(Reason::NoStore));
    assert!(!is_marked(&cache, clock.at(1)));
}

#[tokio::test]
async fn an_answer_that_is_not_storable_replaces_only_what_it_stands_for() {
    for (status, seconds, kept) in [(200, 5000, false), (500, 5000, true), (200, 1, true)] {
        let (cache, policy, now) = (roomy(), rfc(), Clock::new().at(seconds));
        let vary = [FRESH, ("Vary", "foo")];
        let (one, two) = (get(&[("Foo", "1")]), get(&[("Foo", "2")]));
        for request in [&one, &two] {
            let plan = plan(&cache, request, &response(200, &vary));
            lead(&cache, request).store_whole(plan, b"body").unwrap();
        }
        let newest = get(&[("Foo", "1"), ("Cache-Control", "no-cache")]);
        let Begin::Leader(leader) = cache.begin_fill(KEY, &newest, &policy, now) else { panic!() };
        let Begin::Follower(_follower) = cache.begin_fill(KEY, &newest, &policy, now) else { panic!() };
        leader.pass(Reason::NoStore, status, now);
        assert_eq!(is_hit(&cache, &one), kept, "{status} after {seconds} s");
        assert!(is_hit(&cache, &two));
    }
}

#[tokio::test]
async fn a_body_that_arrives_for_longer_than_it_is_fresh_is_joined_by_nobody_new() {
    let (cache, plain, policy) = (roomy(), get(&[]), rfc());
    let (_fill, _own) = lead(&cache, &plain).begin(plan_of(&cache, &[FRESH])).unwrap();
    let (soon, later) = (Clock::new().at(3000), Clock::new().at(3601));
    let newer = get(&[("Cache-Control", "max-age=60")]);
    assert!(matches!(cache.begin_fill(KEY, &plain, &policy, soon), Begin::Follower(_)));
    assert!(matches!(cache.begin_fill(KEY, &newer, &policy, soon), Begin::Leader(_)));
    assert!(matches!(cache.begin_fill(KEY, &plain, &policy, later), Begin::Leader(_)));
}
