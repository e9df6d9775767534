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

#[test]
fn readings_of_both_clocks_that_lie_apart_are_read_again() {
    let start = Instant::now();
    // The thread is put off for a second behind the first reading of each pair, for as long as `torn` says.
    let pair = |torn: &[u64]| {
        let (reading, now) = (Cell::new(0), Cell::new(Duration::ZERO));
        let instant = || {
            let moment = start + now.get();
            if reading.get() % 2 == 0 {
                let off = torn.get(reading.get() / 2).copied().unwrap_or(0);
                now.set(now.get() + Duration::from_millis(off));
            }
            reading.set(reading.get() + 1);
            moment
        };
        let pair = Now::pair(instant, || Duration::from_secs(1000) + now.get());
        let error = pair.unix - Duration::from_secs(1000) - (pair.instant - start);
        (error, reading.get())
    };
    assert_eq!(pair(&[]), (Duration::ZERO, 2), "in peace each clock is read as often as it must be");
    assert_eq!(pair(&[1000]), (Duration::ZERO, 4));
    assert_eq!(pair(&[1000, 1000]), (Duration::ZERO, 6));
    assert_eq!(pair(&[900, 700, 800, 1000]), (Duration::from_millis(700), 2 * PAIR_TRIES), "and no more than that");
}

#[test]
fn a_moment_just_before_the_pair_is_dated_by_it() {
    let now = now();
    let earlier = now.back_to(now.instant - Duration::from_millis(3));
    assert_eq!(
        (now.instant - earlier.instant, now.unix - earlier.unix),
        (Duration::from_millis(3), Duration::from_millis(3))
    );
}
