//! WebSocket frames: the observer is at the same place however its bytes are sliced, and a sieve passes nothing on that
//! did not come.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use tidegate::tunnel::wire::{Allowance, Breach, Counts, HELD_BYTES_MAX, Observer, Sieve};

fuzz_target!(|bytes: &[u8]| {
    for new in [Observer::from_client, Observer::from_backend] {
        let (mut whole, mut counts) = (new(), Counts::default());
        whole.feed(bytes, &mut counts);
        for slice in [1, 3] {
            let (mut sliced, mut same) = (new(), Counts::default());
            bytes.chunks(slice).for_each(|piece| {
                sliced.feed(piece, &mut same);
            });
            assert_eq!(
                (sliced.at_boundary(), sliced.may_end(), sliced.not_frames(), sliced.close(), same),
                (whole.at_boundary(), whole.may_end(), whole.not_frames(), whole.close(), counts.clone()),
            );
            sift(new(), bytes, slice);
        }
    }
});

fn sift(mut observer: Observer, bytes: &[u8], slice: usize) {
    let now = Instant::now();
    let mut allowance = Allowance::new(3, now);
    let (mut passed, mut answers) = (Vec::new(), 0);
    for piece in bytes.chunks(slice) {
        let held = observer.take_held();
        let mut input = [held.as_ref().map_or(&[][..], |held| held.as_ref()), piece].concat();
        let mut sieve = Sieve { pong: Some([0; 8]), message_bytes: Some(40), allowance: Some(&mut allowance), now };
        let sifted = sieve.sift(&mut observer, &mut input, &mut Counts::default());
        passed.extend_from_slice(&input[..sifted.pass]);
        answers += usize::from(sifted.answered);
        if let Some(breach) = sifted.breach {
            // What is no frame has no boundaries.
            assert!(breach == Breach::NotFrames || observer.at_boundary());
            break;
        }
        assert_eq!(sifted.used, input.len());
    }
    if answers == 0 {
        assert!(bytes.starts_with(&passed));
    }
    assert!(HELD_BYTES_MAX > observer.take_held().map_or(0, |held| held.as_ref().len()));
}
