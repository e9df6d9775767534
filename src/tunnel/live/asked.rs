//! What is asked of one tunnel, and how it comes to know of it.

use std::{sync::atomic::Ordering, task::Waker};

use super::{
    super::orders::{Order, Orders, Source},
    Live,
};

#[derive(Debug, Default)]
pub(super) struct Asked {
    waker: Option<Waker>,
    orders: Orders,
    cut: bool,
}

/// What a tunnel finds when it looks whether anything is asked of it.
#[derive(Debug)]
pub(in crate::tunnel) enum Request {
    End(Box<Order>),
    /// What was asked before is asked no longer.
    Stay,
    Cut,
}

impl Live {
    /// Asks it to end. Of several orders the one that comes first in time counts, and the first moment to cut it of all;
    /// once it has begun to end, that moment alone.
    pub fn end(&self, order: Order) {
        wake(self.note_order(order));
    }

    /// The same for one who holds a lock, and gives it back before whom this names is woken: waking may drop a tunnel.
    #[must_use]
    pub(in crate::tunnel) fn note_order(&self, order: Order) -> Option<Waker> {
        self.ask(|asked| asked.orders.add(order))
    }

    /// Takes back what this source has asked, unless it is being carried out.
    pub(in crate::tunnel) fn take_back(&self, source: Source) {
        wake(self.note_taken_back(source));
    }

    /// The same for one who holds a lock, as `note_order`.
    #[must_use]
    pub(in crate::tunnel) fn note_taken_back(&self, source: Source) -> Option<Waker> {
        self.ask(|asked| asked.orders.take_back(source))
    }

    /// Ends it at once.
    pub fn cut(&self) {
        wake(self.note_cut());
    }

    /// The same for one who holds a lock, as `note_order`.
    #[must_use]
    pub(in crate::tunnel) fn note_cut(&self) -> Option<Waker> {
        self.ask(|asked| asked.cut = true)
    }

    /// Changes what is asked; gives whom to wake where that makes a difference.
    fn ask(&self, change: impl FnOnce(&mut Asked)) -> Option<Waker> {
        let mut asked = self.asked.lock();
        let before = (asked.orders.in_force(), asked.cut);
        change(&mut asked);
        if (asked.orders.in_force(), asked.cut) == before {
            return None;
        }
        self.is_asked.store(true, Ordering::Relaxed);
        asked.waker.clone()
    }

    /// Whether anybody asks it to end, now or later.
    #[cfg(test)]
    pub(crate) fn is_asked_to_end(&self) -> bool {
        self.asked.lock().orders.in_force().is_some()
    }

    /// Whoever looks next sees what is asked, be it that another has seen it already.
    pub(in crate::tunnel) fn remind(&self) {
        let asked = self.asked.lock();
        if asked.orders.in_force().is_some() || asked.cut {
            self.is_asked.store(true, Ordering::Relaxed);
        }
    }

    /// From now on an order wakes this task.
    pub(in crate::tunnel) fn listen(&self, waker: &Waker) {
        let before = self.asked.lock().waker.replace(waker.clone());
        // Dropped outside the lock: it may be the last hold on a task.
        drop(before);
    }

    /// Nobody is left to be woken, and nothing to be asked.
    pub(in crate::tunnel) fn hang_up(&self) {
        let asked = std::mem::take(&mut *self.asked.lock());
        // Dropped outside the lock: it may be the last hold on a task.
        drop(asked);
    }

    /// What is asked and was not yet seen.
    #[inline]
    pub(in crate::tunnel) fn take_request(&self) -> Option<Request> {
        // Whoever asked has woken the task after it had asked, so that no more order is needed here.
        self.is_asked.load(Ordering::Relaxed).then(|| self.read_request()).flatten()
    }

    #[cold]
    fn read_request(&self) -> Option<Request> {
        let asked = self.asked.lock();
        self.is_asked.store(false, Ordering::Relaxed);
        // The orders stay, to be compared with later ones.
        Some(match asked.orders.in_force() {
            _ if asked.cut => Request::Cut,
            Some(order) => Request::End(Box::new(order)),
            None => Request::Stay,
        })
    }
}

/// Wakes one who was told something, if there is one.
pub(in crate::tunnel) fn wake(told: Option<Waker>) {
    if let Some(waker) = told {
        waker.wake();
    }
}
