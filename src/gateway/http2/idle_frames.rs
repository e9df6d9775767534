//! Frames that a client sends for nothing: each is work for the gateway and brings no request on (CVE-2019-9512,
//! CVE-2019-9515). The crate `h2` bounds what they hold in memory, but not how many there are.

use std::time::{Duration, Instant};

/// Reads the heads of frames as they pass (RFC 9113 §4.1), at any slicing, and counts those that ask for nothing.
pub(super) struct IdleFrames {
    /// Bytes of the preface or of a frame's payload that are still to come.
    left: usize,
    head: [u8; HEAD],
    head_bytes: usize,
    /// So many since then.
    count: u32,
    since: Option<Instant>,
    /// Those that carry nothing, in all.
    controls: u64,
    /// Bytes that they were answered with.
    answered: u64,
}

impl IdleFrames {
    /// Before the client's preface (RFC 9113 §3.4).
    pub(super) fn new() -> Self {
        Self { left: PREFACE, head: [0; HEAD], head_bytes: 0, count: 0, since: None, controls: 0, answered: 0 }
    }

    /// Takes in what came, when so many bytes have been sent in all. Says whether there are too many such frames; the clock
    /// is asked only where there are many.
    pub(super) fn take(&mut self, mut bytes: &[u8], sent: u64, now: impl Fn() -> Instant) -> bool {
        let mut is_too_much = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                bytes = &bytes[passed..];
                self.left -= passed;
                continue;
            }
            let taken = bytes.len().min(HEAD - self.head_bytes);
            self.head[self.head_bytes..][..taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            self.head_bytes += taken;
            if self.head_bytes == HEAD {
                self.head_bytes = 0;
                self.left =
                    usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2]);
                is_too_much |= self.is_idle(self.head[3], sent) && self.count_one(&now);
            }
        }
        is_too_much
    }

    /// For each frame that a client gets it may open two windows and measure the way with a PING, as gRPC does; each frame
    /// has a head. What it is answered for such frames earns it nothing.
    fn is_idle(&mut self, kind: u8, sent: u64) -> bool {
        self.answered += match kind {
            // What opens and carries streams is bounded with them.
            DATA | HEADERS | CONTINUATION => return false,
            PING => 17,
            SETTINGS => 9,
            _ => 0,
        };
        self.controls += 1;
        self.controls > sent.saturating_sub(self.answered) / (HEAD as u64 / 3)
    }

    fn count_one(&mut self, now: impl Fn() -> Instant) -> bool {
        self.count += 1;
        if self.count < IDLE_FRAMES_MAX {
            return false;
        }
        let now = now();
        let before = self.since.replace(now);
        self.count = 0;
        before.is_some_and(|before| now.saturating_duration_since(before) < PERIOD)
    }
}

/// So many in a row may come at any speed; as many again within this time are too many.
const IDLE_FRAMES_MAX: u32 = 1000;
const PERIOD: Duration = Duration::from_secs(1);

const PREFACE: usize = 24;
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        [&[0, (payload >> 8) as u8, payload as u8, kind, 0, 0, 0, 0, 1], &vec![6; payload][..]].concat()
    }

    /// After how many of these frames, one each millisecond at most, it is too much.
    fn too_many(frames: &[Vec<u8>], millis: u64, sent_each: u64, slice: usize) -> Option<usize> {
        let (mut meter, begun) = (IdleFrames::new(), Instant::now());
        assert!(!meter.take(&[b'P'; PREFACE], 0, || begun));
        (1..=10_000).find(|&at| {
            let now = begun + Duration::from_millis(at as u64 * millis);
            let bytes = &frames[at % frames.len()];
            bytes.chunks(slice).any(|part| meter.take(part, sent_each * at as u64, || now))
        })
    }

    #[test]
    fn two_thousand_frames_for_nothing_within_a_second_are_too_many() {
        for slice in [1, 4, 100] {
            for kind in [2, 3, 4, 6, 7, 8, 0x42] {
                assert_eq!(too_many(&[frame(kind, 8)], 0, 0, slice), Some(2000), "{kind}");
                assert_eq!(too_many(&[frame(kind, 8)], 2, 0, slice), None, "{kind}");
            }
            let mixed = [frame(DATA, 300), frame(6, 8), frame(HEADERS, 0)];
            assert_eq!(too_many(&mixed, 0, 0, slice), Some(5998));
        }
    }

    #[test]
    fn what_belongs_to_streams_and_windows_opened_for_what_was_sent_are_no_such_frames() {
        for kind in [DATA, HEADERS, CONTINUATION] {
            assert_eq!(too_many(&[frame(kind, 20)], 0, 0, 5), None, "{kind}");
        }
        // Two windows and a PING for each frame of one byte that was sent, at any speed.
        let grpc = [frame(8, 4), frame(8, 4), frame(PING, 8)];
        assert_eq!(too_many(&grpc, 0, (10 + 17) / 3 + 1, 100), None);
        // What PINGs and SETTINGS are answered earns no more of them.
        assert_eq!(too_many(&[frame(PING, 8)], 0, 17, 100), Some(2000));
        assert_eq!(too_many(&[frame(SETTINGS, 6)], 0, 9, 100), Some(2000));
    }
}
