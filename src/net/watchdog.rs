//! A deadline that may move on every message without touching the timer.
//!
//! The timer is armed once and looks, when it fires, whether the deadline has moved on meanwhile. Moving it later is a
//! store to a field; only moving it earlier costs a timer operation.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::Sleep;

/// One movable deadline.
#[derive(Default)]
pub struct Watchdog {
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
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
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if tokio::time::Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
