//! Memory that a thread lends: a connection at rest holds none, and what one message has grown serves the next one of
//! whatever connection, while it is warm.

use std::cell::RefCell;

/// What a thread has to spare of one kind of memory; a few pieces, none of them large.
pub struct Spare<T>(RefCell<Vec<T>>);

impl<T> Spare<T> {
    /// Nothing.
    pub const fn none() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// The piece that was used last.
    pub fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }

    /// Lets a piece be taken again, unless it has many `bytes` or there are enough.
    pub fn keep(&self, piece: T, bytes: impl FnOnce(&T) -> usize) {
        let mut pieces = self.0.borrow_mut();
        if pieces.len() < PIECES_MAX && bytes(&piece) <= BYTES_MAX {
            pieces.push(piece);
        }
    }
}

/// Pieces of one kind and thread: heads are lent to as many requests as mostly wait for their backends.
const PIECES_MAX: usize = 64;
/// Of one piece.
const BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests;
