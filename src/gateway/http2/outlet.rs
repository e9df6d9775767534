//! How much the streams of one connection may give it before it has sent that.
//!
//! `h2` takes from each stream what flow control allows, and a client may allow as much as it likes and then not read.
//! So the streams share a bound: past it they wait until the connection has written everything.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

#[derive(Default)]
pub(super) struct Outlet {
    /// Given since everything was written.
    given: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

/// Past it a stream waits; the last one to give may go beyond by a piece.
const GIVEN_MAX: usize = 256 * 1024;

impl Outlet {
    /// Ready when a stream may give something.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        // It may have been emptied before the place was taken.
        if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn has_room(&self) -> bool {
        self.given.load(Ordering::Acquire) < GIVEN_MAX
    }

    /// A stream has given so much.
    pub(super) fn take(&self, bytes: usize) {
        self.given.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Everything was written, or never will be.
    pub(super) fn emptied(&self) {
        if self.given.swap(0, Ordering::AcqRel) >= GIVEN_MAX {
            std::mem::take(&mut *self.waiting.lock()).into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_comes_to_a_full_outlet_is_woken_once_when_it_is_empty() {
        let (outlet, woken) = (Outlet::default(), Arc::<Woken>::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        outlet.take(GIVEN_MAX - 1);
        assert!(outlet.poll_room(&mut context).is_ready());
        outlet.take(1);
        assert!(outlet.poll_room(&mut context).is_pending());
        assert!(outlet.poll_room(&mut context).is_pending());
        outlet.emptied();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(outlet.poll_room(&mut context).is_ready());
    }
}
