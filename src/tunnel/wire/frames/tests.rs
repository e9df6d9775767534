//! The tracker against a slow, obvious reading of the same bytes.

use proptest::prelude::*;

use super::*;

/// One frame as a test writes it.
#[derive(Clone, Debug)]
struct Frame {
    first: u8,
    payload: Vec<u8>,
    key: Option<[u8; 4]>,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let mask_bit = if self.key.is_some() { 0x80 } else { 0 };
        let mut out = vec![self.first];
        match self.payload.len() {
            length @ 0..126 => out.push(mask_bit | length as u8),
            length @ 126..65_536 => {
                out.push(mask_bit | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(mask_bit | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let key = self.key.unwrap_or_default();
        out.extend_from_slice(self.key.as_ref().map_or(&[], |key| &key[..]));
        out.extend(self.payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
        out
    }
}

/// The slow, obvious twin: the whole stream at hand, read frame by frame from its start.
fn plain_reading(stream: &[u8], masked: bool) -> (bool, bool, Option<u16>) {
    let (mut at, mut close) = (0, None);
    while at < stream.len() {
        let rest = &stream[at..];
        if rest.len() < 2 {
            return (false, false, close);
        }
        let (fin, opcode, mask, short) = (rest[0] >> 7, rest[0] & 15, rest[1] >> 7, rest[1] & 127);
        let known = [0, 1, 2, 8, 9, 10].contains(&opcode);
        if !known || (mask == 1) != masked || opcode >= 8 && (fin == 0 || short > 125) {
            return (false, true, close);
        }
        let extended = if short == 126 {
            2
        } else if short == 127 {
            8
        } else {
            0
        };
        let header = 2 + extended + if masked { 4 } else { 0 };
        if rest.len() < header {
            return (false, false, close);
        }
        let length = match short {
            126 => u64::from(u16::from_be_bytes([rest[2], rest[3]])),
            127 => u64::from_be_bytes(rest[2..10].try_into().unwrap()),
            short => u64::from(short),
        };
        if short == 126 && length < 126 || short == 127 && !(65_536..1 << 63).contains(&length) {
            return (false, true, close);
        }
        let payload = &rest[header..];
        if opcode == 8 && close.is_none() {
            let key: [u8; 4] = if masked { rest[header - 4..header].try_into().unwrap() } else { [0; 4] };
            if length < 2 {
                close = Some(1005);
            } else if payload.len() >= 2 {
                close = Some(u16::from_be_bytes([payload[0] ^ key[0], payload[1] ^ key[1]]));
            }
        }
        if (payload.len() as u64) < length {
            return (false, false, close);
        }
        at += header + length as usize;
    }
    (true, false, close)
}

fn verdict(tracker: &FrameTracker) -> (bool, bool, Option<u16>) {
    (tracker.at_boundary(), tracker.is_lost(), tracker.close_code())
}

fn frame(masked: bool) -> impl Strategy<Value = Frame> {
    let data = (
        prop_oneof![Just(0x81u8), Just(0x02), Just(0x80), Just(0xc1), Just(0x00)],
        prop_oneof![0..8usize, 120..130usize, 65_530..65_540usize],
    );
    let control = (prop_oneof![Just(0x88u8), Just(0x89), Just(0x8a)], 0..=125usize);
    (prop_oneof![3 => data, 1 => control], any::<[u8; 4]>(), any::<u8>()).prop_map(
        move |((first, length), key, fill)| Frame {
            first,
            payload: (0..length).map(|at| fill.wrapping_add(at as u8)).collect(),
            key: masked.then_some(key),
        },
    )
}

fn feed_in_slices(tracker: &mut FrameTracker, stream: &[u8], slices: &[usize]) {
    let (mut rest, mut sizes) = (stream, slices.iter().cycle());
    while !rest.is_empty() {
        let size = (*sizes.next().unwrap()).min(rest.len());
        tracker.feed(&rest[..size]);
        rest = &rest[size..];
    }
}

proptest! {
    #[test]
    fn frames_in_any_slicing_read_as_the_slow_twin_reads_them(
        (masked, frames) in any::<bool>().prop_flat_map(|masked| (Just(masked), prop::collection::vec(frame(masked), 0..8))),
        slices in prop::collection::vec(1..9000usize, 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut stream: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        stream.truncate(cut.index(stream.len() + 1));
        let mut tracker = FrameTracker::new(masked);
        feed_in_slices(&mut tracker, &stream, &slices);
        prop_assert_eq!(verdict(&tracker), plain_reading(&stream, masked));
    }

    #[test]
    fn any_bytes_in_any_slicing_read_as_the_slow_twin_reads_them(
        masked in any::<bool>(),
        stream in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0x88), Just(0x02), Just(0x82), Just(126)], 0..60),
        slices in prop::collection::vec(1..7usize, 1..6),
    ) {
        let mut tracker = FrameTracker::new(masked);
        feed_in_slices(&mut tracker, &stream, &slices);
        prop_assert_eq!(verdict(&tracker), plain_reading(&stream, masked));
    }

    #[test]
    fn advance_stops_at_the_end_of_each_frame(frames in prop::collection::vec(frame(false), 1..6)) {
        let stream: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        let mut tracker = FrameTracker::from_backend();
        let mut rest = &stream[..];
        for frame in &frames {
            let used = tracker.advance(rest);
            prop_assert_eq!(used, frame.bytes().len());
            prop_assert!(tracker.at_boundary());
            rest = &rest[used..];
        }
        prop_assert!(rest.is_empty());
    }
}

#[test]
fn every_split_of_one_frame_in_two_gives_the_same_reading() {
    for masked in [false, true] {
        let frame =
            Frame { first: 0x88, payload: b"\x03\xe8bye".to_vec(), key: masked.then_some([1, 2, 3, 4]) }.bytes();
        for split in 0..=frame.len() {
            let mut tracker = FrameTracker::new(masked);
            tracker.feed(&frame[..split]);
            assert_eq!(tracker.at_boundary(), split == 0 || split == frame.len());
            tracker.feed(&frame[split..]);
            assert_eq!(verdict(&tracker), (true, false, Some(1000)));
        }
    }
}

#[test]
fn the_first_close_code_stays() {
    let mut tracker = FrameTracker::from_backend();
    tracker.feed(&close_frame(1012, None));
    tracker.feed(&close_frame(1000, None));
    assert_eq!(tracker.close_code(), Some(1012));
}

#[test]
fn close_without_a_code_reads_as_1005() {
    for payload in [vec![], vec![3]] {
        let mut tracker = FrameTracker::from_backend();
        tracker.feed(&Frame { first: 0x88, payload, key: None }.bytes());
        assert_eq!(verdict(&tracker), (true, false, Some(1005)));
    }
}

#[test]
fn bytes_of_another_protocol_lose_the_place_for_good() {
    let mut tracker = FrameTracker::from_client();
    tracker.feed(b"SSH-2.0-OpenSSH_9.2\r\n");
    assert!(tracker.is_lost());
    tracker.feed(&close_frame(1000, Some([0; 4])));
    assert!(tracker.is_lost() && tracker.close_code().is_none());
}

#[test]
fn close_frames_made_here_are_read_back() {
    let mut to_client = FrameTracker::from_backend();
    to_client.feed(&close_frame(1012, None));
    assert_eq!(verdict(&to_client), (true, false, Some(1012)));
    let mut to_backend = FrameTracker::from_client();
    to_backend.feed(&close_frame(1012, Some([9, 8, 7, 6])));
    assert_eq!(verdict(&to_backend), (true, false, Some(1012)));
}
