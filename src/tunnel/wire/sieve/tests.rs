//! What passes, what is held and what is broken, however the bytes are sliced.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::tunnel::wire::{
    HELD_BYTES_MAX,
    observer::tests::{Frame, frame, messages, plain_reading},
};

const TOKEN: [u8; 8] = *b"ours----";

/// A direction under a sieve, as the copy drives it.
struct Driven {
    observer: Observer,
    counts: Counts,
    passed: Vec<u8>,
    answered: usize,
    breach: Option<Breach>,
}

impl Driven {
    fn new(masked: bool) -> Self {
        let observer = if masked { Observer::from_client() } else { Observer::from_backend() };
        Self { observer, counts: Counts::default(), passed: Vec::new(), answered: 0, breach: None }
    }

    fn take(&mut self, sieve: &mut Sieve<'_>, bytes: &[u8]) {
        let held = self.observer.take_held();
        let mut input = [held.as_ref().map_or(&[][..], |held| held.as_ref()), bytes].concat();
        let sifted = sieve.sift(&mut self.observer, &mut input, &mut self.counts);
        self.passed.extend_from_slice(&input[..sifted.pass]);
        self.answered += usize::from(sifted.answered);
        if let Some(breach) = sifted.breach {
            self.breach = Some(breach);
        } else {
            assert_eq!(sifted.used, input.len());
        }
    }
}

fn sieve(pong: Option<[u8; 8]>, message_bytes: Option<u64>) -> Sieve<'static> {
    Sieve { pong, message_bytes, allowance: None, now: Instant::now() }
}

fn drive(stream: &[u8], slices: &[usize], masked: bool, sieve: &mut Sieve<'_>) -> Driven {
    let mut driven = Driven::new(masked);
    let (mut rest, mut sizes) = (stream, slices.iter().cycle());
    while !rest.is_empty() && driven.breach.is_none() {
        let size = (*sizes.next().unwrap()).min(rest.len());
        driven.take(sieve, &rest[..size]);
        rest = &rest[size..];
    }
    driven
}

proptest! {
    #[test]
    fn our_pong_alone_is_taken_out(
        (masked, frames) in any::<bool>().prop_flat_map(|masked| (Just(masked), messages(masked))),
        place in any::<prop::sample::Index>(),
        slices in prop::collection::vec(1..40usize, 1..6),
    ) {
        let place = place.index(frames.len() + 1);
        let key = masked.then_some([5, 6, 7, 8]);
        let of = |frames: &[Frame]| frames.iter().flat_map(Frame::bytes).collect::<Vec<u8>>();
        let theirs = Frame { first: 0x8a, payload: b"theirs--".to_vec(), key };
        let ours = Frame { first: 0x8a, payload: TOKEN.to_vec(), key };
        let (before, after) = (of(&frames[..place]), of(&frames[place..]));
        let stream = [&before[..], &theirs.bytes(), &ours.bytes(), &after].concat();
        let driven = drive(&stream, &slices, masked, &mut sieve(Some(TOKEN), None));
        prop_assert_eq!(driven.answered, 1);
        prop_assert_eq!(driven.passed, [&before[..], &theirs.bytes(), &after].concat());
    }

    #[test]
    fn what_is_within_the_limits_passes_whole_and_is_counted_as_without_them(
        (masked, frames) in any::<bool>().prop_flat_map(|masked| (Just(masked), messages(masked))),
        slices in prop::collection::vec(1..300usize, 1..6),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        let driven = drive(&stream, &slices, masked, &mut sieve(Some(TOKEN), Some(1 << 20)));
        prop_assert_eq!(&driven.passed, &stream);
        let (mut plain, mut counts) = (Driven::new(masked).observer, Counts::default());
        plain.feed(&stream, &mut counts);
        prop_assert_eq!(driven.counts, counts);
    }

    #[test]
    fn a_message_too_big_is_stopped_at_the_boundary_before_the_frame_that_makes_it_so(
        frames in messages(true),
        most in 0..400u64,
        slices in prop::collection::vec(1..300usize, 1..6),
    ) {
        // Slow and obvious: frame by frame.
        let (mut expected, mut size, mut breach) = (Vec::new(), 0, None);
        for frame in &frames {
            if frame.first & 8 == 0 {
                size = if frame.first & 15 == 0 { size } else { 0 } + frame.payload.len() as u64;
                if size > most {
                    breach = Some(Breach::MessageTooBig);
                    break;
                }
            }
            expected.extend(frame.bytes());
        }
        let stream: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        let driven = drive(&stream, &slices, true, &mut sieve(None, Some(most)));
        prop_assert_eq!(driven.breach, breach);
        prop_assert_eq!(driven.passed, expected);
        prop_assert!(driven.observer.at_boundary());
    }

    #[test]
    fn any_bytes_pass_but_for_less_than_a_header(
        (masked, frames) in any::<bool>().prop_flat_map(|masked| (Just(masked), prop::collection::vec(frame(masked), 0..4))),
        noise in prop::collection::vec(any::<u8>(), 0..20),
        slices in prop::collection::vec(1..70_000usize, 1..6),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(Frame::bytes).chain(noise).collect();
        let driven = drive(&stream, &slices, masked, &mut sieve(Some(TOKEN), None));
        prop_assert!(stream.starts_with(&driven.passed));
        prop_assert!(stream.len() - driven.passed.len() < HELD_BYTES_MAX);
        if plain_reading(&stream, masked) == plain_reading(&driven.passed, masked) {
            prop_assert_eq!(driven.passed, stream);
        }
    }
}

#[test]
fn bytes_that_are_no_frames_break_a_limit_and_nothing_else() {
    // Enough of them for the backend to see what they are, and what the last read brought.
    let driven = drive(b"SSH-2.0-client", &[3], true, &mut sieve(None, Some(10)));
    assert_eq!((driven.breach, driven.passed.len()), (Some(Breach::NotFrames), 12));
    // A piece of no message is as little a frame.
    let driven = drive(b"\x80\x80\0\0\0\0and what follows", &[3], true, &mut sieve(None, Some(10)));
    assert_eq!((driven.breach, driven.passed.len()), (Some(Breach::NotFrames), 18));
    let driven = drive(b"SSH-2.0-client", &[3], true, &mut sieve(Some(TOKEN), None));
    assert_eq!((driven.breach, driven.passed.len()), (None, 14));
    let mut blind = Driven::new(true);
    blind.observer.close_eyes();
    for _ in 0..2 {
        blind.take(&mut sieve(None, Some(10)), b"SSH-2.0-client");
    }
    assert_eq!((blind.breach, blind.passed.len()), (None, 28));
}

#[test]
fn a_message_rate_is_a_second_s_worth_at_once_and_then_the_rate() {
    let start = Instant::now();
    let mut allowance = Allowance::new(3, start);
    let mut driven = Driven::new(false);
    let mut say = |at: Duration, bytes: &[u8]| {
        let sieve = &mut Sieve { pong: None, message_bytes: None, allowance: Some(&mut allowance), now: start + at };
        driven.breach = None;
        driven.take(sieve, bytes);
        driven.breach
    };
    // Pieces and control frames are no messages.
    assert_eq!(say(Duration::ZERO, b"\x01\0\x89\0\0\0\x80\0\x82\0\x81\0\x89\0"), None);
    assert_eq!(say(Duration::from_millis(300), b"\x81\0"), Some(Breach::MessageRate));
    assert_eq!(say(Duration::from_millis(400), b"\x81\0"), None);
    assert_eq!(say(Duration::from_millis(500), b"\x81\0"), Some(Breach::MessageRate));
    assert_eq!(say(Duration::from_secs(60), b"\x81\0\x81\0\x81\0"), None);
    assert_eq!(say(Duration::from_secs(60), b"\x81\0"), Some(Breach::MessageRate));
}
