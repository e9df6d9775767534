//! A beat through its life, moment by moment.

use proptest::{collection::vec, prelude::*, sample};

use super::*;

const PINGS: Pings = Pings { every: Duration::from_secs(30), answer: Duration::from_secs(10) };

const TOKEN: Token = [1; 8];

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

/// The Ping finds its place and leaves at once.
fn ask(beat: &mut Beat, now: Instant) {
    beat.placed(TOKEN);
    beat.sent(now);
}

#[test]
fn pings_come_at_their_interval_and_pongs_give_the_round_trip() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    assert_eq!((beat.deadline(), beat.pulse(at(start, 29))), (Some(at(start, 30)), Pulse::Quiet));
    assert_eq!(beat.pulse(at(start, 30)), Pulse::Wanted);
    assert!(beat.is_wanted() && beat.awaited().is_none());
    ask(&mut beat, at(start, 31));
    assert_eq!((beat.awaited(), beat.deadline()), (Some(TOKEN), Some(at(start, 41))));
    assert_eq!(beat.answered(at(start, 33)), Some(Duration::from_secs(2)));
    assert_eq!((beat.awaited(), beat.deadline()), (None, Some(at(start, 60))));
    assert_eq!(beat.answered(at(start, 34)), None);
}

#[test]
fn tunnels_that_opened_together_do_not_ping_together() {
    let start = Instant::now();
    assert_eq!(Beat::new(PINGS, start, 1.0).deadline(), Some(at(start, 15)));
}

#[test]
fn a_side_that_sends_nothing_is_gone() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    beat.pulse(at(start, 30));
    ask(&mut beat, at(start, 30));
    assert_eq!(beat.pulse(at(start, 39)), Pulse::Quiet);
    assert_eq!(beat.pulse(at(start, 40)), Pulse::Gone);
}

#[test]
fn whatever_a_side_sends_shows_that_it_is_there() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    beat.pulse(at(start, 30));
    ask(&mut beat, at(start, 30));
    beat.heard();
    assert_eq!(beat.pulse(at(start, 40)), Pulse::Quiet);
    assert_eq!((beat.awaited(), beat.deadline()), (None, Some(at(start, 60))));
}

#[test]
fn a_ping_that_finds_no_place_waits_for_it_however_long() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    beat.pulse(at(start, 30));
    assert_eq!((beat.deadline(), beat.pulse(at(start, 4000))), (None, Pulse::Wanted));
    ask(&mut beat, at(start, 4000));
    assert_eq!((beat.pulse(at(start, 4009)), beat.pulse(at(start, 4010))), (Pulse::Quiet, Pulse::Gone));
}

#[test]
fn a_ping_that_was_not_taken_is_no_question() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    beat.pulse(at(start, 30));
    beat.placed(TOKEN);
    assert_eq!((beat.deadline(), beat.pulse(at(start, 4000))), (None, Pulse::Quiet));
    beat.sent(at(start, 4000));
    assert_eq!(beat.answered(at(start, 4001)), Some(Duration::from_secs(1)));
    assert_eq!(beat.deadline(), Some(at(start, 4001)));
}

#[test]
fn one_who_could_not_be_heard_has_all_the_time_again() {
    let start = Instant::now();
    let mut beat = Beat::new(PINGS, start, 0.0);
    beat.pulse(at(start, 30));
    ask(&mut beat, at(start, 30));
    beat.unheard(at(start, 39));
    assert_eq!((beat.deadline(), beat.pulse(at(start, 48))), (Some(at(start, 49)), Pulse::Quiet));
    assert_eq!((beat.awaited(), beat.pulse(at(start, 49))), (Some(TOKEN), Pulse::Gone));
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Pulse,
    Placed,
    Sent,
    Unheard,
    Heard,
    Answered,
}

proptest! {
    #[test]
    fn only_one_who_was_asked_and_is_silent_since_is_gone(
        events in vec((0..8u64, sample::select(vec![
            Event::Pulse, Event::Placed, Event::Sent, Event::Unheard, Event::Heard, Event::Answered,
        ])), 0..200),
    ) {
        let start = Instant::now();
        let mut beat = Beat::new(PINGS, start, 0.0);
        let mut now = start;
        // Since when an answer is owed.
        let mut asked: Option<Instant> = None;
        for (later, event) in events {
            now += Duration::from_secs(later);
            match event {
                Event::Pulse => {
                    let is_gone = beat.pulse(now) == Pulse::Gone;
                    prop_assert_eq!(is_gone, asked.is_some_and(|asked| now >= asked + PINGS.answer));
                    if is_gone {
                        return Ok(());
                    }
                }
                Event::Placed => beat.placed(TOKEN),
                Event::Sent => {
                    let was_waiting = matches!(beat.state, State::Placed { .. });
                    beat.sent(now);
                    asked = if was_waiting { Some(now) } else { asked };
                }
                Event::Unheard => {
                    beat.unheard(now);
                    asked = asked.map(|_| now);
                }
                Event::Heard => {
                    beat.heard();
                    asked = None;
                }
                Event::Answered => {
                    beat.answered(now);
                    asked = None;
                }
            }
        }
    }
}
