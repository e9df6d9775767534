//! One refresh at a time for what is given stale meanwhile.

use super::*;

const WINDOW: (&str, &str) = ("Cache-Control", "max-age=60, stale-while-revalidate=600");

/// A stored answer that is stale at the time given with it.
fn stale(cache: &Arc<Cache>) -> (Arc<Stored>, Now) {
    let stored = lead(cache, &get(&[])).store_whole(plan_of(cache, &[WINDOW, ("ETag", "\"a\"")]), b"old").unwrap();
    (stored, Clock::new().at(100))
}

fn after(now: Now, passed: Duration) -> Now {
    Now { instant: now.instant + passed, unix: now.unix + passed }
}

fn refresh(cache: &Arc<Cache>, stored: &Arc<Stored>, now: Now) -> Option<Leader> {
    cache.begin_refresh(KEY, &get(&[]), &rfc(), stored, now)
}

#[tokio::test]
async fn one_refreshes_and_a_failure_is_followed_by_a_pause() {
    let cache = roomy();
    let (stored, now) = stale(&cache);
    assert!(matches!(cache.lookup(KEY, &get(&[]), &rfc(), now), Lookup::StaleWhileRevalidate { .. }));
    let leader = refresh(&cache, &stored, now).unwrap();
    let long_after = after(now, REFRESH_PAUSE * 50);
    assert!(refresh(&cache, &stored, long_after).is_none(), "it is under way still");
    drop(leader);
    assert!(refresh(&cache, &stored, after(now, REFRESH_PAUSE / 2)).is_none(), "it has just failed");
    assert!(refresh(&cache, &stored, after(now, REFRESH_PAUSE)).is_some());
    assert!(cache.flights.shard(KEY).is_empty());
}

#[tokio::test]
async fn the_claim_lasts_until_the_new_body_is_whole() {
    let cache = roomy();
    let (stored, now) = stale(&cache);
    let (fill, _reader) = refresh(&cache, &stored, now).unwrap().begin(plan_of(&cache, &[FRESH])).unwrap();
    assert!(refresh(&cache, &stored, after(now, REFRESH_PAUSE)).is_none());
    fill.finish();
    assert!(is_hit(&cache, &get(&[])));
}

#[tokio::test]
async fn a_fetch_that_is_under_way_is_refresh_enough() {
    let cache = roomy();
    let (stored, now) = stale(&cache);
    let newest = get(&[("Cache-Control", "no-cache")]);
    let Begin::Leader(leader) = cache.begin_fill(KEY, &newest, &rfc(), now) else { panic!() };
    assert!(refresh(&cache, &stored, now).is_none());
    drop(leader);
    assert!(refresh(&cache, &stored, after(now, REFRESH_PAUSE)).is_some());
}

#[tokio::test]
async fn who_must_wait_waits_for_the_refresh() {
    let cache = roomy();
    let (stored, now) = stale(&cache);
    let leader = refresh(&cache, &stored, now).unwrap();
    let newest = get(&[("Cache-Control", "no-cache")]);
    let Begin::Follower(follower) = cache.begin_fill(KEY, &newest, &rfc(), now) else { panic!() };
    assert!(leader.is_awaited());
    let plain = get(&[]);
    let exchange = Exchange { request: &plain, policy: &rfc(), requested: now, answered: now };
    leader.freshen(&exchange, &stored, &response(304, &[]), |_| {}).unwrap();
    assert!(matches!(follower.head(&newest).await, FollowerOutcome::Stored(_)));
}
