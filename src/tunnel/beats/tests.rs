//! A beat through its life, moment by moment.

use super::*;

const PINGS: Pings = Pings { every: Duration::from_secs(30), answer: Duration::from_secs(10) };

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn pings_come_at_their_interval_and_pongs_give_the_round_trip() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    assert_eq!((beat.deadline(), beat.pulse(at(start, 29))), (at(start, 30), Pulse::Quiet));
    assert_eq!(beat.pulse(at(start, 30)), Pulse::Wanted);
    assert!(beat.is_wanted() && beat.awaited().is_none());
    beat.sent([1; 8], at(start, 31));
    assert_eq!((beat.awaited(), beat.deadline()), (Some([1; 8]), at(start, 40)));
    assert_eq!(beat.answered(at(start, 33)), Some(Duration::from_secs(2)));
    assert_eq!((beat.awaited(), beat.deadline()), (None, at(start, 60)));
    assert_eq!(beat.answered(at(start, 34)), None);
}

#[test]
fn tunnels_that_opened_together_do_not_ping_together() {
    let start = Instant::now();
    assert_eq!(Beat::new(PINGS, start, 1.0).deadline(), at(start, 15));
}

#[test]
fn a_side_that_sends_nothing_is_gone() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    beat.pulse(at(start, 30));
    beat.sent([1; 8], at(start, 30));
    assert_eq!(beat.pulse(at(start, 39)), Pulse::Quiet);
    assert_eq!(beat.pulse(at(start, 40)), Pulse::Gone);
}

#[test]
fn whatever_a_side_sends_shows_that_it_is_there() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    beat.pulse(at(start, 30));
    beat.sent([1; 8], at(start, 30));
    beat.heard(at(start, 35));
    assert_eq!(beat.pulse(at(start, 40)), Pulse::Quiet);
    assert_eq!((beat.awaited(), beat.deadline()), (None, at(start, 60)));
}

#[test]
fn a_ping_that_finds_no_place_is_no_question() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    beat.pulse(at(start, 30));
    beat.heard(at(start, 38));
    assert_eq!(beat.pulse(at(start, 45)), Pulse::Wanted);
    // But a side that takes nothing and sends nothing is gone.
    assert_eq!(beat.pulse(at(start, 48)), Pulse::Gone);
}
