//! Request heads that the thread lends: a connection at rest holds none, and what one request has grown serves the next
//! one of whatever connection, while it is warm.

use std::cell::RefCell;

use crate::wire::{HeadLimits, Parsed, Refusal, RequestHead};

/// Spare heads of one thread.
const SPARE_MAX: usize = 16;

/// Memory that a spare head may keep.
const KEEP_MAX: usize = 8 * 1024;

thread_local! {
    #[expect(clippy::vec_box, reason = "they are handed on as boxes, which are a word")]
    static SPARE: RefCell<Vec<Box<RequestHead>>> = const { RefCell::new(Vec::new()) };
}

/// Reads one head as [`RequestHead::parse`] does, into memory that the thread has to spare.
pub(super) fn parse(bytes: &[u8], limits: &HeadLimits) -> (Box<RequestHead>, Result<Parsed, Refusal>) {
    let mut head = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    // Of what the last request has left there, this forgets all.
    let parsed = head.parse(bytes, limits);
    (head, parsed)
}

/// Lets the thread lend the memory again, unless a request was large or many were under way.
pub(super) fn give_back(head: Box<RequestHead>) {
    let memory = head.authority.capacity() + head.target.capacity() + head.fields.memory();
    if memory > KEEP_MAX {
        return;
    }
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < SPARE_MAX {
            spare.push(head);
        }
    });
}

#[cfg(test)]
mod tests;
