//! WebSocket frames: the tracker is at the same place however its bytes are sliced.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::tunnel::wire::FrameTracker;

fuzz_target!(|bytes: &[u8]| {
    for new in [FrameTracker::from_client, FrameTracker::from_backend] {
        let mut whole = new();
        whole.feed(bytes);
        for slice in [1, 3] {
            let mut sliced = new();
            bytes.chunks(slice).for_each(|piece| sliced.feed(piece));
            assert_eq!(
                (sliced.at_boundary(), sliced.is_lost(), sliced.close_code()),
                (whole.at_boundary(), whole.is_lost(), whole.close_code()),
            );
        }
    }
});
