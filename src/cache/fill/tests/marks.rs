//! Who does not queue: for what is not storable, and for what does not come.

use super::*;

/// Each in what the key's answer is.
fn look(cache: &Cache, now: Now) -> Lookup {
    cache.lookup(KEY, &get(&[]), &rfc(), now)
}

fn is_marked(cache: &Cache, now: Now) -> bool {
    matches!(look(cache, now), Lookup::Marked { .. })
}

/// Shows the head of an answer that passed, to the request with these fields.
fn passed(cache: &Cache, fields: Lines<'_>, head: &ResponseHead, now: Now) -> Option<Reason> {
    let request = get(fields);
    let exchange = Exchange { request: &request, policy: &rfc(), requested: now, answered: now };
    // Who looked just before the mark went has still seen it.
    let until = if let Lookup::Marked { until } = look(cache, now) { until } else { now.instant };
    cache.weigh_passed(|| KEY.to_vec(), &exchange, head, until)
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
    assert!(matches!(begin(&cache, &plain), Begin::Marked { .. }));
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

/// Both clocks as tokio has them, stopped or not.
fn present() -> Now {
    Now { instant: tokio::time::Instant::now().into_std(), ..Clock::new().at(0) }
}

/// A fetch without a head, and so many who wait for it.
fn awaited(cache: &Arc<Cache>, followers: usize) -> (Leader, Vec<Follower>) {
    let (plain, now) = (get(&[]), present());
    let Begin::Leader(leader) = cache.begin_fill(KEY, &plain, &rfc(), now) else { panic!() };
    let follow = || match cache.begin_fill(KEY, &plain, &rfc(), now) {
        Begin::Follower(follower) => follower,
        other => panic!("not a follower: {other:?}"),
    };
    (leader, std::iter::repeat_with(follow).take(followers).collect())
}

/// Waits, each in a task of its own.
fn all_wait(followers: Vec<Follower>) -> tokio::task::JoinSet<FollowerOutcome> {
    followers.into_iter().map(|follower| async { follower.head(&get(&[])).await }).collect()
}

async fn pass_time(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_goes_on_alone_first_one_then_more_then_all() {
    let cache = roomy();
    let (_leader, followers) = awaited(&cache, 1000);
    let mut waiting = all_wait(followers);
    pass_time(4).await;
    let mut alone = Vec::new();
    for expected in [0, 1, 3, 7, 15, 31, 63] {
        pass_time(1).await;
        while let Some(outcome) = waiting.try_join_next() {
            let FollowerOutcome::TooSlow(leader) = outcome.unwrap() else { panic!() };
            alone.push(leader);
        }
        // The turn may come up to a step late.
        assert!(alone.len() <= expected.max(1) * 2 + 1, "{} after {expected}", alone.len());
        assert!(alone.len() >= expected / 2, "{} after {expected}", alone.len());
        assert!(!is_marked(&cache, present()));
    }
    pass_time(2).await;
    assert_eq!(waiting.len(), 1000 - alone.len());
    assert!(
        std::iter::from_fn(|| waiting.try_join_next())
            .all(|outcome| matches!(outcome, Ok(FollowerOutcome::TooSlow(_))))
    );
    assert!(waiting.is_empty() && is_marked(&cache, present()));
    assert!(matches!(begin(&cache, &get(&[])), Begin::Marked { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_one_brings_who_went_on_alone_serves_all_who_still_wait() {
    for streaming in [false, true] {
        let cache = roomy();
        let (_hangs, followers) = awaited(&cache, 100);
        let mut waiting = all_wait(followers);
        let FollowerOutcome::TooSlow(leader) = waiting.join_next().await.unwrap().unwrap() else { panic!() };
        let mut late = None;
        if streaming {
            let (mut fill, _own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
            fill.push(Bytes::from_static(b"body"));
            late = Some(fill);
        } else {
            leader.store_whole(plan_of(&cache, &[FRESH]), b"body").unwrap();
        }
        let mut readers = Vec::new();
        while let Some(outcome) = waiting.join_next().await {
            match outcome.unwrap() {
                FollowerOutcome::Streaming(reader) if streaming => readers.push(reader),
                FollowerOutcome::Stored(stored) => assert_eq!(stored.body.chunks().concat(), b"body"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(readers.len(), if streaming { 99 } else { 0 });
        late.map(Fill::finish);
        for reader in readers {
            assert_eq!(read_all(reader).await.unwrap(), b"body");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_word_that_it_is_nobody_elses_lets_all_go() {
    let cache = roomy();
    let (_hangs, followers) = awaited(&cache, 100);
    let mut waiting = all_wait(followers);
    let FollowerOutcome::TooSlow(leader) = waiting.join_next().await.unwrap().unwrap() else { panic!() };
    leader.pass(Reason::Private, 200, present());
    while let Some(outcome) = waiting.join_next().await {
        assert!(matches!(outcome.unwrap(), FollowerOutcome::NotStorable(Reason::Private)));
    }
    assert!(is_marked(&cache, present()));
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_takes_a_turn_that_is_free_and_else_waits() {
    let cache = roomy();
    let (leader, _) = awaited(&cache, 0);
    pass_time(6).await;
    let begin = || cache.begin_fill(KEY, &get(&[]), &rfc(), present());
    let mut alone: Vec<Begin> = std::iter::repeat_with(begin).take(3).collect();
    assert!(alone.iter().all(|begun| matches!(begun, Begin::Leader(_))));
    let Begin::Follower(late) = begin() else { panic!() };
    // Their failures change nothing for who waits; the slow answer serves them at last.
    alone.clear();
    let (fill, _own) = leader.begin(plan_of(&cache, &[FRESH])).unwrap();
    let plain = get(&[]);
    let reader = streaming(late, &plain).await;
    fill.finish();
    assert_eq!(read_all(reader).await.unwrap(), b"");
    assert!(cache.flights.shard(KEY).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_in_time_is_taken_however_late_the_follower_looks() {
    let (cache, plain) = (roomy(), get(&[]));
    let (leader, mut followers) = awaited(&cache, 1);
    pass_time(60).await;
    leader.store_whole(plan_of(&cache, &[FRESH]), b"whole").unwrap();
    assert!(matches!(followers.remove(0).head(&plain).await, FollowerOutcome::Stored(_)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_validation_keeps_the_stored_answer() {
    let (cache, plain) = (roomy(), get(&[]));
    lead(&cache, &plain).store_whole(plan_of(&cache, &[FRESH]), b"old").unwrap();
    let newest = get(&[("Cache-Control", "no-cache")]);
    let begin = || cache.begin_fill(KEY, &newest, &rfc(), present());
    let Begin::Leader(_slow) = begin() else { panic!() };
    let Begin::Follower(follower) = begin() else { panic!() };
    assert!(matches!(follower.head(&newest).await, FollowerOutcome::TooSlow(_)));
    pass_time(60).await;
    let Begin::Leader(_alone) = begin() else { panic!() };
    assert!(is_hit(&cache, &plain), "the stored answer is there still");
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
