//! Order and spread of a drain.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn the_longest_silent_go_first_and_one_in_each_slot(
        silences in prop::collection::vec(0..50u64, 0..300),
        rate in 1..5000u32,
        chances in prop::collection::vec(0.0..1.0f64, 1..20),
    ) {
        let start = Instant::now();
        let silent: Vec<_> =
            silences.iter().enumerate().map(|(at, silence)| (Duration::from_secs(*silence), at)).collect();
        let mut chances = chances.iter().copied().cycle();
        let mut pace = Pace::new(rate, start);
        let plan: Vec<_> = pace.plan(silent, || chances.next().unwrap()).collect();
        let mut expected: Vec<usize> = (0..silences.len()).collect();
        expected.sort_by_key(|at| (std::cmp::Reverse(silences[*at]), *at));
        prop_assert!(plan.iter().map(|(_, at)| *at).eq(expected));
        let slot = Duration::from_secs(1) / rate;
        for (at, (moment, _)) in plan.iter().enumerate() {
            let begin = start + slot * at as u32;
            prop_assert!(*moment >= begin && *moment < begin + slot + Duration::from_nanos(1));
        }
        // Whoever comes later waits behind them.
        prop_assert!(pace.next(0.0) >= start + slot * silences.len() as u32);
    }
}

#[test]
fn ten_thousand_in_a_minute_are_about_170_a_second() {
    let start = Instant::now();
    let mut pace = Pace::new(170, start);
    let plan: Vec<_> = pace.plan(vec![(Duration::ZERO, ()); 10_000], || 0.5).collect();
    let took = plan[9_999].0 - start;
    assert!((58..60).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn no_rate_is_no_division_by_zero() {
    let start = Instant::now();
    let mut pace = Pace::new(0, start);
    assert_eq!((pace.next(0.0), pace.next(0.0)), (start, start + Duration::from_secs(1)));
}

#[test]
fn who_comes_later_waits_behind_those_who_wait() {
    let start = Instant::now();
    let mut first = Pace::new(10, start);
    let mut later = first.clone();
    for _ in 0..15 {
        first.next(0.0);
    }
    first.skip(5);
    later.queue_behind(&first);
    assert_eq!(later.next(0.0), start + Duration::from_secs(2));
    // Nobody waits for turns that are over.
    let mut anew = Pace::new(10, start + Duration::from_secs(60));
    anew.queue_behind(&later);
    assert_eq!(anew.next(0.0), start + Duration::from_secs(60));
}
