//! Request heads that the thread lends.

use crate::{
    net::Spare,
    wire::{HeadLimits, Parsed, Refusal, RequestHead},
};

thread_local! {
    static SPARE: Spare<Box<RequestHead>> = const { Spare::none() };
}

/// Reads one head as [`RequestHead::parse`] does, into memory that the thread has to spare.
pub(super) fn parse(bytes: &[u8], limits: &HeadLimits) -> (Box<RequestHead>, Result<Parsed, Refusal>) {
    let mut head = SPARE.with(Spare::take).unwrap_or_default();
    // Of what the last request has left there, this forgets all but the scheme, which every request is given anew.
    let parsed = head.parse(bytes, limits);
    (head, parsed)
}

/// Lets the thread lend the memory again.
pub(super) fn give_back(head: Box<RequestHead>) {
    SPARE.with(|spare| {
        spare.keep(head, |head| head.authority.capacity() + head.target.capacity() + head.fields.memory())
    });
}

#[cfg(test)]
mod tests;
