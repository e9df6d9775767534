//! Buffers that the thread lends: a connection that has nothing to write holds none, and what one message has grown serves
//! the next one of whatever connection, while it is warm.

use std::cell::RefCell;

/// Spare buffers of one thread.
const SPARE_MAX: usize = 16;

/// Memory that a spare buffer may keep.
const KEEP_MAX: usize = 8 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer; with memory, if the thread has some to spare.
pub(super) fn lend() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Lets the thread lend the memory again, unless it is much or many were lent.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() > KEEP_MAX {
        return;
    }
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests;
