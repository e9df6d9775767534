//! The observer against a slow, obvious reading of the same bytes.

use proptest::prelude::*;

use super::*;
use crate::tunnel::wire::{Tally, close_frame, ping_frame};

/// One frame as a test writes it.
#[derive(Clone, Debug)]
pub(in crate::tunnel::wire) struct Frame {
    pub(in crate::tunnel::wire) first: u8,
    pub(in crate::tunnel::wire) payload: Vec<u8>,
    pub(in crate::tunnel::wire) key: Option<[u8; 4]>,
}

impl Frame {
    pub(in crate::tunnel::wire) fn bytes(&self) -> Vec<u8> {
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

/// What can be known of a stream's beginning.
#[derive(Debug, Default, PartialEq)]
pub(in crate::tunnel::wire) struct Reading {
    at_boundary: bool,
    may_end: bool,
    lost: Option<NotFrames>,
    close: Option<(u16, String)>,
    tally: Tally,
    sizes: Vec<u64>,
}

/// The slow, obvious twin: the whole stream at hand, read frame by frame from its start.
pub(in crate::tunnel::wire) fn plain_reading(stream: &[u8], masked: bool) -> Reading {
    let mut reading = Reading::default();
    let mut message: Option<(bool, u64)> = None;
    let mut rest = stream;
    loop {
        reading.at_boundary = rest.is_empty();
        reading.may_end = rest.is_empty() && message.is_none();
        if rest.len() < 2 {
            return reading;
        }
        let (fin, opcode, mask, short) = (rest[0] >> 7 == 1, rest[0] & 15, rest[1] >> 7 == 1, rest[1] & 127);
        let lost = |mut reading: Reading, reason| {
            (reading.lost, reading.at_boundary, reading.may_end) = (Some(reason), false, true);
            reading
        };
        if ![0, 1, 2, 8, 9, 10].contains(&opcode) {
            return lost(reading, NotFrames::Opcode);
        }
        if mask != masked {
            return lost(reading, NotFrames::Masking);
        }
        if opcode >= 8 && (!fin || short > 125) {
            return lost(reading, NotFrames::Control);
        }
        let extended = [2, 8].get(usize::from(short).wrapping_sub(126)).copied().unwrap_or(0);
        let header = 2 + extended + if masked { 4 } else { 0 };
        if rest.len() < header {
            return reading;
        }
        let length = match short {
            126 => u64::from(u16::from_be_bytes([rest[2], rest[3]])),
            127 => u64::from_be_bytes(rest[2..10].try_into().unwrap()),
            short => u64::from(short),
        };
        if short == 126 && length < 126 || short == 127 && !(65_536..1 << 63).contains(&length) {
            return lost(reading, NotFrames::Length);
        }
        reading.tally.frames += 1;
        let key: [u8; 4] = if masked { rest[header - 4..header].try_into().unwrap() } else { [0; 4] };
        match (opcode, &mut message) {
            (1 | 2, None) => message = Some((opcode == 1, length)),
            (0, Some((_, size))) => *size = size.saturating_add(length),
            (0..=2, _) => return lost(reading, NotFrames::Fragments),
            (9, _) => reading.tally.pings += 1,
            (10, _) => reading.tally.pongs += 1,
            _ => {}
        }
        let Some(payload) = rest[header..].get(..usize::try_from(length).unwrap_or(usize::MAX)) else { return reading };
        if opcode == 8 && reading.close.is_none() {
            let plain: Vec<u8> = payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
            reading.close = Some(match plain.len() {
                0 | 1 => (1005, String::new()),
                _ => (u16::from_be_bytes([plain[0], plain[1]]), String::from_utf8_lossy(&plain[2..]).into()),
            });
        }
        if opcode < 8 && fin {
            let (is_text, size) = message.take().unwrap();
            *(if is_text { &mut reading.tally.text } else { &mut reading.tally.binary }) += 1;
            reading.tally.largest = reading.tally.largest.max(size);
            reading.sizes.push(size);
        }
        rest = &rest[header + payload.len()..];
    }
}

fn verdict(observer: &Observer, counts: &Counts) -> Reading {
    Reading {
        at_boundary: observer.at_boundary(),
        may_end: observer.may_end(),
        lost: observer.not_frames(),
        close: observer.close().map(|farewell| (farewell.code, farewell.text.into())),
        tally: counts.tally,
        sizes: vec![],
    }
}

fn assert_same(observer: &Observer, counts: &Counts, mut plain: Reading) {
    let sizes = std::mem::take(&mut plain.sizes);
    assert_eq!(verdict(observer, counts), plain);
    let mut buckets = [0; 13];
    sizes.iter().for_each(|size| buckets[crate::tunnel::wire::size_bucket(*size)] += 1);
    assert_eq!((counts.sizes, counts.message_bytes), (buckets, sizes.iter().sum()));
}

/// Frames that make sense one after another, and now and then do not.
pub(in crate::tunnel::wire) fn frame(masked: bool) -> impl Strategy<Value = Frame> {
    let data = (
        prop_oneof![Just(0x81u8), Just(0x02), Just(0x80), Just(0xc1), Just(0x00), Just(0x82)],
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

/// Messages in pieces, with control frames between the pieces.
pub(in crate::tunnel::wire) fn messages(masked: bool) -> impl Strategy<Value = Vec<Frame>> {
    let piece = (prop_oneof![0..8usize, 120..130usize, 250..300usize], prop::option::of(0..=125usize));
    let message = (1..=2u8, any::<bool>(), prop::collection::vec(piece, 1..5));
    (prop::collection::vec(message, 0..5), any::<[u8; 4]>()).prop_map(move |(messages, key)| {
        let key = masked.then_some(key);
        let mut frames = Vec::new();
        for (opcode, compressed, pieces) in messages {
            for (at, (length, ping)) in pieces.iter().enumerate() {
                let mut first = if at == 0 { opcode | u8::from(compressed) << 6 } else { 0 };
                first |= u8::from(at + 1 == pieces.len()) << 7;
                frames.push(Frame { first, payload: vec![at as u8; *length], key });
                frames.extend(ping.map(|length| Frame {
                    first: 0x89 + (length as u8 & 1),
                    payload: vec![7; length],
                    key,
                }));
            }
        }
        frames
    })
}

fn feed_in_slices(observer: &mut Observer, counts: &mut Counts, stream: &[u8], slices: &[usize]) {
    let (mut rest, mut sizes) = (stream, slices.iter().cycle());
    while !rest.is_empty() {
        let size = (*sizes.next().unwrap()).min(rest.len());
        observer.feed(&rest[..size], counts);
        rest = &rest[size..];
    }
}

proptest! {
    #[test]
    fn frames_in_any_slicing_read_as_the_slow_twin_reads_them(
        (masked, frames) in any::<bool>().prop_flat_map(|masked| {
            (Just(masked), prop_oneof![prop::collection::vec(frame(masked), 0..8), messages(masked)])
        }),
        slices in prop::collection::vec(1..9000usize, 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut stream: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        stream.truncate(cut.index(stream.len() + 1));
        let (mut observer, mut counts) = (Observer::new(masked), Counts::default());
        feed_in_slices(&mut observer, &mut counts, &stream, &slices);
        assert_same(&observer, &counts, plain_reading(&stream, masked));
    }

    #[test]
    fn whole_messages_in_tiny_slices_read_as_the_slow_twin_reads_them(
        (masked, frames) in any::<bool>().prop_flat_map(|masked| (Just(masked), messages(masked))),
        slices in prop::collection::vec(1..17usize, 1..6),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        let (mut observer, mut counts) = (Observer::new(masked), Counts::default());
        feed_in_slices(&mut observer, &mut counts, &stream, &slices);
        prop_assert!(observer.may_end());
        assert_same(&observer, &counts, plain_reading(&stream, masked));
    }

    #[test]
    fn any_bytes_in_any_slicing_read_as_the_slow_twin_reads_them(
        masked in any::<bool>(),
        stream in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0x88), Just(0x02), Just(0x82), Just(126)], 0..60),
        slices in prop::collection::vec(1..7usize, 1..6),
    ) {
        let (mut observer, mut counts) = (Observer::new(masked), Counts::default());
        feed_in_slices(&mut observer, &mut counts, &stream, &slices);
        assert_same(&observer, &counts, plain_reading(&stream, masked));
    }

    #[test]
    fn advance_stops_at_the_end_of_each_frame(frames in messages(false)) {
        let stream: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        let (mut observer, mut counts) = (Observer::from_backend(), Counts::default());
        let mut rest = &stream[..];
        for frame in &frames {
            let used = observer.advance(rest, &mut counts);
            prop_assert_eq!(used, frame.bytes().len());
            prop_assert!(observer.at_boundary());
            rest = &rest[used..];
        }
        prop_assert!(rest.is_empty());
    }
}

fn read(observer: &mut Observer, bytes: &[u8]) -> Reading {
    let mut counts = Counts::default();
    observer.feed(bytes, &mut counts);
    verdict(observer, &counts)
}

#[test]
fn every_split_of_one_frame_in_two_gives_the_same_reading() {
    for masked in [false, true] {
        let close =
            Frame { first: 0x88, payload: b"\x03\xe8bye".to_vec(), key: masked.then_some([1, 2, 3, 4]) }.bytes();
        for split in 0..=close.len() {
            let mut observer = Observer::new(masked);
            read(&mut observer, &close[..split]);
            assert_eq!(observer.at_boundary(), split == 0 || split == close.len());
            assert_eq!(observer.has_closed(), split == close.len());
            let reading = read(&mut observer, &close[split..]);
            assert_eq!(reading.close, Some((1000, "bye".to_owned())));
        }
    }
}

#[test]
fn the_first_close_stays() {
    let mut observer = Observer::from_backend();
    read(&mut observer, &close_frame(&Farewell::new(1012, "restart"), None));
    read(&mut observer, &close_frame(&Farewell::new(1000, ""), None));
    assert_eq!(observer.close(), Some(Farewell::new(1012, "restart")));
}

#[test]
fn a_text_too_long_for_a_close_frame_is_cut_between_two_letters() {
    let frame = close_frame(&Farewell::new(3000, &"ä".repeat(100)), None);
    assert_eq!(read(&mut Observer::from_backend(), &frame).close, Some((3000, "ä".repeat(61))));
}

#[test]
fn bytes_of_another_protocol_lose_the_place_for_good() {
    let mut observer = Observer::from_client();
    assert_eq!(read(&mut observer, b"SSH-2.0-OpenSSH_9.2\r\n").lost, Some(NotFrames::Opcode));
    let reading = read(&mut observer, &close_frame(&Farewell::new(1000, ""), Some([0; 4])));
    assert!(reading.lost.is_some() && reading.close.is_none() && reading.tally == Tally::default());
}

#[test]
fn closed_eyes_see_nothing() {
    let mut observer = Observer::from_backend();
    observer.close_eyes();
    assert_eq!(read(&mut observer, &close_frame(&Farewell::new(1000, ""), None)).lost, Some(NotFrames::Unasked));
    assert!(!observer.at_boundary());
}

#[test]
fn control_frames_do_not_speak() {
    let mut observer = Observer::from_backend();
    let mut counts = Counts::default();
    let ping = ping_frame([1; 8], None);
    for byte in &ping {
        assert!(!observer.feed(std::slice::from_ref(byte), &mut counts));
    }
    assert!(observer.feed(b"\x81\x01x", &mut counts));
    assert!(!observer.feed(&ping, &mut counts));
}

#[test]
fn frames_made_here_are_read_back() {
    for key in [None, Some([9, 8, 7, 6])] {
        let mut observer = Observer::new(key.is_some());
        let mut counts = Counts::default();
        observer.feed(&ping_frame([3; 8], key), &mut counts);
        observer.feed(&close_frame(&Farewell::new(1012, "x"), key), &mut counts);
        assert_eq!((counts.tally.pings, counts.tally.frames), (1, 2));
        assert_eq!(observer.close(), Some(Farewell::new(1012, "x")));
    }
}
