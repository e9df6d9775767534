//! What is counted of one direction.

use super::NotFrames;

/// Of one direction, since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes that the receiver's socket took, frames of our own among them.
    pub bytes: u64,
    /// Frames of all kinds, from their headers on.
    pub frames: u64,
    /// Whole messages of text.
    pub text: u64,
    /// Whole messages of bytes.
    pub binary: u64,
    /// Pings of the peer; ours are not counted.
    pub pings: u64,
    /// Pongs of the peer, but for the answers to our own pings.
    pub pongs: u64,
    /// Bytes of the largest whole message, as they were on the wire: perhaps compressed, without headers.
    pub largest: u64,
    /// Why its bytes are not read as frames, from some byte on: then only `bytes` counts what follows.
    pub not_frames: Option<NotFrames>,
}

/// What has happened in one direction and was not yet told to anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The numbers.
    pub tally: Tally,
    /// Whole messages by size, as [`size_bucket`] sorts them.
    pub sizes: [u32; SIZE_BUCKETS],
    /// Bytes of all whole messages.
    pub message_bytes: u64,
}

/// As many as `metrics::buckets::BYTES` has bounds, and one above all of them.
pub(super) const SIZE_BUCKETS: usize = 13;

impl Tally {
    /// Whole messages.
    pub fn messages(&self) -> u64 {
        self.text + self.binary
    }

    /// Takes in what has happened since.
    pub fn add(&mut self, more: &Self) {
        self.bytes += more.bytes;
        self.frames += more.frames;
        self.text += more.text;
        self.binary += more.binary;
        self.pings += more.pings;
        self.pongs += more.pongs;
        self.largest = self.largest.max(more.largest);
        self.not_frames = self.not_frames.or(more.not_frames);
    }
}

impl Counts {
    /// A whole message has passed.
    #[inline]
    pub(super) fn message(&mut self, is_text: bool, bytes: u64) {
        if is_text {
            self.tally.text += 1;
        } else {
            self.tally.binary += 1;
        }
        self.tally.largest = self.tally.largest.max(bytes);
        self.sizes[size_bucket(bytes)] += 1;
        self.message_bytes += bytes;
    }
}

/// Which of the histogram's buckets a message falls into: their bounds are 256 bytes and every fourfold of it.
#[inline]
pub fn size_bucket(bytes: u64) -> usize {
    let bits = (u64::BITS - bytes.saturating_sub(1).leading_zeros()) as usize;
    (bits.saturating_sub(8).div_ceil(2)).min(SIZE_BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::buckets::BYTES;

    #[test]
    fn buckets_are_those_of_the_histogram() {
        assert_eq!(BYTES.len() + 1, SIZE_BUCKETS);
        let around = |bound: &f64| [*bound as u64 - 1, *bound as u64, *bound as u64 + 1];
        for size in BYTES.iter().flat_map(around).chain([0, 1, u64::MAX]) {
            let plain = BYTES.partition_point(|bound| *bound < size as f64);
            assert_eq!(size_bucket(size), plain, "{size}");
        }
    }
}
