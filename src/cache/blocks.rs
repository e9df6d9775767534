//! Memory for bodies, in blocks of few sizes.
//!
//! An allocator keeps pages for every size that is in use, on every thread; bodies in blocks of exactly their lengths hold a
//! third more than their bytes in a small cache. So a body lies in blocks of 64 KiB, the rest of it in one of 32, 16 and 8 KiB
//! each at most, and only what is less than that in a block of its own length. A body of up to 64 KiB has up to four.

use bytes::{Bytes, BytesMut};

/// The blocks of a body that arrives, filled in order.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Bytes of the whole body, if they are known.
    announced: Option<u64>,
    taken: u64,
    /// Bytes of all blocks so far.
    held: u64,
    /// What is left of the last one.
    open: BytesMut,
}

impl Blocks {
    /// For a body of this length, as far as it is known.
    pub(crate) fn new(announced: Option<u64>) -> Self {
        Self { announced, taken: 0, held: 0, open: BytesMut::new() }
    }

    /// What all blocks will hold once `more` bytes have been copied in.
    pub(crate) fn held_with(&self, more: u64) -> u64 {
        let (mut taken, mut held, mut room) = (self.taken, self.held, self.room());
        let mut left = more;
        while left > room {
            (taken, left) = (taken + room, left - room);
            room = self.size_at(taken);
            held += room;
        }
        held
    }

    /// Copies bytes in, and shows them where they now are.
    pub(crate) fn copy(&mut self, mut data: &[u8], mut show: impl FnMut(Bytes)) {
        while !data.is_empty() {
            if self.room() == 0 {
                let size = self.size_at(self.taken);
                self.open = BytesMut::with_capacity(size as usize);
                self.held += size;
            }
            let (now, later) = data.split_at(data.len().min(self.room() as usize));
            self.open.extend_from_slice(now);
            self.taken += now.len() as u64;
            show(self.open.split().freeze());
            data = later;
        }
    }

    fn room(&self) -> u64 {
        self.open.capacity() as u64
    }

    /// The size of a block that begins here.
    fn size_at(&self, taken: u64) -> u64 {
        match self.announced {
            Some(length) if length > taken => size_for(length - taken),
            // As much again as is here already: what is too much at the end is soon copied away.
            _ => taken.clamp(SMALLEST, LARGEST).next_power_of_two(),
        }
    }
}

/// A body in as few blocks as it can lie in; `pieces` hold `length` bytes.
pub(crate) fn joined(pieces: &[Bytes], length: u64) -> Vec<Bytes> {
    let mut blocks = Vec::with_capacity(count(length) as usize);
    let mut left = length;
    let mut block = Vec::with_capacity(size_for(left) as usize);
    for mut piece in pieces.iter().cloned() {
        while !piece.is_empty() {
            let room = (size_for(left) as usize - block.len()).min(piece.len());
            block.extend_from_slice(&piece.split_to(room));
            if block.len() as u64 == size_for(left) {
                left -= block.len() as u64;
                let next = Vec::with_capacity(size_for(left) as usize);
                blocks.push(Bytes::from(std::mem::replace(&mut block, next).into_boxed_slice()));
            }
        }
    }
    blocks
}

/// The sizes of those blocks, in order.
pub(crate) fn sizes(length: u64) -> impl Iterator<Item = u64> {
    let mut left = length;
    std::iter::from_fn(move || {
        let size = size_for(left);
        left -= size;
        (size > 0).then_some(size)
    })
}

/// In how many blocks a body of this length lies.
pub(crate) fn count(length: u64) -> u64 {
    let rest = length % LARGEST;
    length / LARGEST + u64::from((rest / SMALLEST).count_ones()) + u64::from(!rest.is_multiple_of(SMALLEST))
}

/// The first block of so many bytes.
fn size_for(left: u64) -> u64 {
    match left {
        LARGEST.. => LARGEST,
        SMALLEST..LARGEST => 1 << left.ilog2(),
        _ => left,
    }
}

/// Bytes of the largest block.
pub(crate) const LARGEST: u64 = 64 * 1024;
/// Bytes of the smallest of a fixed size.
const SMALLEST: u64 = 8 * 1024;

#[cfg(test)]
mod tests;
