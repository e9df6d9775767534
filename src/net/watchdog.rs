//! A deadline that may move on every message without touching the timer.
//!
//! The timer is armed once and looks, when it fires, whether the deadline has moved on meanwhile. Moving it later is a
//! store to a field; only moving it earlier costs a timer operation. Asked again and again by one task, it costs no more
//! than a look whether the timer has fired.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Instant,
};

use pin_project_lite::pin_project;
use tokio::{task::coop, time::Sleep};

/// One movable deadline.
#[derive(Default)]
pub struct Watchdog {
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Timer>>>,
}

pin_project! {
    /// What wakes the task.
    struct Timer {
        #[pin]
        sleep: Sleep,
        // Who is woken; `None` while it is not armed.
        waker: Option<Waker>,
    }
}

impl Watchdog {
    /// Moves the deadline; `None` never expires.
    pub fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Whether there is a deadline.
    pub fn is_set(&self) -> bool {
        self.deadline.is_some()
    }

    /// Ready once the deadline has passed; otherwise the task is woken when it may have.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline.map(tokio::time::Instant::from_std) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(Timer::new(deadline)));
        if timer.sleep.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll_fired(cx).is_ready() {
            if tokio::time::Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Timer {
    fn new(deadline: tokio::time::Instant) -> Self {
        Self { sleep: tokio::time::sleep_until(deadline), waker: None }
    }

    fn reset(self: Pin<&mut Self>, deadline: tokio::time::Instant) {
        let this = self.project();
        this.sleep.reset(deadline);
        *this.waker = None;
    }

    fn poll_fired(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let is_armed = this.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_armed && !this.sleep.is_elapsed() {
            return Poll::Pending;
        }
        // A task that has used up its turn is told to come again, and the timer is not armed then.
        let is_heard = coop::has_budget_remaining();
        let fired = this.sleep.poll(cx);
        *this.waker = (is_heard && fired.is_pending()).then(|| cx.waker().clone());
        fired
    }
}

#[cfg(test)]
mod tests;
