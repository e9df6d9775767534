//! What one answer or tunnel has given its connection, and that has not written it yet.
//!
//! `h2` takes what flow control allows, and a client may allow as much as it likes and then not read. So each piece tells
//! when it is gone: it counts with all that waits for clients until then, and bounds what may still be given.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::gateway::unsent::Unsent;

/// The count of one stream.
pub(super) struct Given(Arc<Count>);

struct Count {
    unsent: Arc<Unsent>,
    bytes: AtomicUsize,
    waiting: Mutex<Option<Waker>>,
}

/// A piece in the hands of `h2`, which drops it when it is written or never will be.
struct Piece {
    bytes: Bytes,
    count: Arc<Count>,
}

/// What a frame costs beside its bytes: its place in a queue, and this count.
const FRAME_COST: usize = 256;

impl Given {
    pub(super) fn new(unsent: Arc<Unsent>) -> Self {
        Self(Arc::new(Count { unsent, bytes: AtomicUsize::new(0), waiting: Mutex::new(None) }))
    }

    /// Ready when less than `most` bytes are with the connection, or less than there may be when too much waits in all.
    pub(super) fn poll_room(&self, most: usize, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_room(most) {
            return Poll::Ready(());
        }
        *self.0.waiting.lock() = Some(cx.waker().clone());
        // Some of it may have gone before the place was taken.
        if self.has_room(most) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// One that may give no more begins to wait.
    pub(super) fn count_wait(&self) {
        self.0.unsent.count_wait();
    }

    fn has_room(&self, most: usize) -> bool {
        self.0.bytes.load(Ordering::Acquire) < self.0.unsent.lead(most)
    }

    /// The same bytes, counted until they are dropped.
    pub(super) fn count(&self, bytes: Bytes) -> Bytes {
        let cost = bytes.len() + FRAME_COST;
        self.0.bytes.fetch_add(cost, Ordering::Relaxed);
        self.0.unsent.add(cost);
        Bytes::from_owner(Piece { bytes, count: self.0.clone() })
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let cost = self.bytes.len() + FRAME_COST;
        self.count.unsent.subtract(cost);
        self.count.bytes.fetch_sub(cost, Ordering::Release);
        if let Some(waker) = self.count.waiting.lock().take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;
    use crate::gateway::unsent::tests::unsent;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_has_given_much_waits_until_a_piece_is_gone() {
        let (unsent, _) = unsent(1 << 20);
        let (given, woken) = (Given::new(unsent.clone()), Arc::<Woken>::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let one = given.count(Bytes::from_static(&[0; 1000]));
        let other = given.count(Bytes::from_static(&[1; 1000]));
        assert_eq!((one[0], other[999], unsent.bytes()), (0, 1, 2 * (1000 + FRAME_COST)));
        assert!(given.poll_room(2600, &mut context).is_ready());
        assert!(given.poll_room(2000, &mut context).is_pending());
        drop(one);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(given.poll_room(2000, &mut context).is_ready());
        drop(other);
        assert_eq!((woken.0.load(Ordering::Relaxed), unsent.bytes()), (1, 0));
    }

    #[test]
    fn where_too_much_waits_in_all_less_may_be_given() {
        let (unsent, _) = unsent(100_000);
        let (stuck, given) = (Given::new(unsent.clone()), Given::new(unsent));
        let mut context = Context::from_waker(Waker::noop());
        let _mine = given.count(Bytes::from_static(&[0; 20_000]));
        assert!(given.poll_room(1 << 20, &mut context).is_ready());
        let theirs = stuck.count(Bytes::from_static(&[0; 90_000]));
        assert!(given.poll_room(1 << 20, &mut context).is_pending());
        drop(theirs);
        assert!(given.poll_room(1 << 20, &mut context).is_ready());
    }
}
