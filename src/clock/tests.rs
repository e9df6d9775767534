use super::*;

fn now() -> Now {
    Now { instant: Instant::now(), unix: Duration::from_secs(1000) }
}

#[test]
fn a_reading_of_the_wall_is_carried_on_for_less_than_a_second() {
    let (now, almost) = (now(), Duration::from_nanos(999_999_999));
    let later = now.seen_from(now.instant + almost).unwrap();
    assert_eq!((later.instant, later.unix), (now.instant + almost, now.unix + almost));
    assert!(now.seen_from(now.instant + WALL_STANDS).is_none());
    assert!(now.seen_from(now.instant + Duration::from_secs(86_400)).is_none());
}

#[test]
fn a_moment_before_the_reading_is_read_anew() {
    let now = now();
    assert!(now.seen_from(now.instant - Duration::from_millis(1)).is_none());
}

#[test]
fn both_clocks_go_on_together() {
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for _ in 0..1000 {
        let (before, now, after) = (wall(), Now::read(), wall());
        let slack = Duration::from_millis(50);
        assert!(before <= now.unix + slack && now.unix <= after + slack, "{before:?} {:?} {after:?}", now.unix);
    }
}

#[test]
fn a_wall_clock_that_was_set_is_seen_after_a_second() {
    let start = Instant::now();
    READ.set(Some(Now { instant: start, unix: Duration::from_secs(1000) }));
    assert_eq!(Now::at(start + Duration::from_millis(999)).unix, Duration::from_millis(1_000_999));
    assert!(Now::at(start + WALL_STANDS).unix > Duration::from_secs(1_000_000_000));
}
