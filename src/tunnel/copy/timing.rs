//! What a tunnel does by the clock: telling others what has passed, and keeping its terms. One timer serves it all.

use std::task::ready;

use tokio::task::coop::has_budget_remaining;

use super::*;
use crate::net::socket::{Origin, prepare};

impl Tunnel {
    /// Remembers that something has moved; the timer tells it to others, within a second. So a message of a busy tunnel
    /// reads no clock, and a tunnel may count as silent for up to a second less than it was.
    pub(super) fn note_moved(&mut self) {
        // Both are asked, whatever the first says.
        let (up, down) = (self.up.take_moved(), self.down.take_moved());
        if !(up.heard | up.passed | up.asked | down.heard | down.passed | down.asked) {
            return;
        }
        self.is_active |= up.spoke | down.spoke | (self.terms.count_pings & (up.passed | down.passed));
        if self.settle_at.is_some() && self.extras.is_none() && !self.is_ending() {
            return;
        }
        let now = Instant::now();
        self.note_activity(now);
        if let Some(extras) = &mut self.extras {
            extras.note(Side::Client, up, down.asked, now, &self.open);
            extras.note(Side::Backend, down, up.asked, now, &self.open);
        }
        self.settle_at.get_or_insert(now + SETTLE_AFTER);
    }

    /// What has moved since this was told last has moved by now.
    pub(super) fn note_activity(&mut self, now: Instant) -> bool {
        let is_active = std::mem::take(&mut self.is_active);
        if is_active {
            self.open.live().note_activity(now);
        }
        is_active
    }

    /// Tells the record and the metrics what has passed.
    pub(super) fn settle(&mut self) {
        self.settle_at = None;
        let (up, down) = (self.up.take_counts(), self.down.take_counts());
        self.open.settle(up.as_deref(), down.as_deref());
    }

    /// A tunnel that has lived for a second may live for long. Most options are for that, and cost a short one as much as
    /// its messages.
    fn grow_up(&mut self) {
        if !std::mem::take(&mut self.is_young) {
            return;
        }
        for (stream, from) in [(&self.client, Origin::Accepted), (&self.backend, Origin::Dialled)] {
            if let Err(error) = prepare(stream, from, self.terms.send) {
                // A connection that is gone already says so at the first read.
                tracing::debug!(%error, "socket options of a tunnel");
            }
        }
    }

    /// The next moment that something is due.
    pub(super) fn deadline(&self) -> Instant {
        let term = match (&self.closing, &self.ordered) {
            (Some(closing), _) => closing.until,
            (None, Some(order)) => order.next().min(self.term()),
            (None, None) => self.term(),
        };
        self.settle_at.map_or(term, |at| term.min(at))
    }

    /// The next moment that the terms have something to say about.
    fn term(&self) -> Instant {
        let last = self.open.live().last_activity();
        let is_ending = self.is_ending();
        let silence = after(last, if is_ending { self.terms.linger.min(self.terms.idle) } else { self.terms.idle });
        // Of what is ending no answer to a Ping is to be expected.
        let asked = |extras: &Extras| if is_ending { extras.end() } else { extras.deadline() };
        self.extras.as_deref().and_then(asked).map_or(silence, |at| silence.min(at))
    }

    /// Waits for the next moment. The timer is only moved forward here; a deadline that has moved back is found when the
    /// timer fires.
    pub(super) fn poll_time(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        mut is_unheard: bool,
    ) -> Poll<Due> {
        if !is_unheard && !timer.is_elapsed() && self.is_soon_enough(&timer) {
            return Poll::Pending;
        }
        let deadline = self.deadline();
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
            is_unheard = true;
        }
        // A timer that runs and knows whom to wake need not be asked again.
        if !is_unheard && !timer.is_elapsed() {
            return Poll::Pending;
        }
        loop {
            if !has_budget_remaining() {
                // The timer would not remember whom to wake; the next turn, which is at once, counts as the first.
                self.waker = None;
            }
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if now >= deadline {
                return Poll::Ready(self.on_time(now));
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Whether the timer is surely not too late, without the reckoning: while numbers wait to be told it is near, and what
    /// else is due moves away with every byte, but for ends, orders and extras.
    fn is_soon_enough(&self, timer: &Sleep) -> bool {
        let is_plain = self.closing.is_none() && self.ordered.is_none() && self.extras.is_none() && !self.is_ending();
        is_plain && self.settle_at.is_some_and(|at| timer.deadline() <= at)
    }

    /// Does what is due.
    fn on_time(&mut self, now: Instant) -> Due {
        let is_active = self.note_activity(now);
        if self.settle_at.is_some_and(|at| now >= at) {
            self.grow_up();
            self.settle();
            // A busy tunnel goes on with the timer, which nobody then has to set.
            self.settle_at = is_active.then(|| now + SETTLE_AFTER);
        }
        if let Some(closing) = &self.closing {
            let reason = self.reason.unwrap_or(CloseReason::ShutdownCut);
            return if now >= closing.until { Due::Cut(reason) } else { Due::Again };
        }
        if let Some(cut) = self.follow_order(now) {
            return Due::Cut(cut);
        }
        let silent = now.saturating_duration_since(self.open.live().last_activity());
        if self.is_ending() {
            if let Some(reason) = self.extras.as_deref().and_then(|extras| extras.ended(now)) {
                self.begin_close(reason, now);
                return Due::Again;
            }
            let is_enough = silent >= self.terms.linger.min(self.terms.idle);
            return if is_enough { Due::Cut(self.reason.unwrap_or(CloseReason::ShutdownCut)) } else { Due::Again };
        }
        if silent >= self.terms.idle {
            self.begin_close(CloseReason::Idle, now);
        } else if let Some(extras) = &mut self.extras {
            let full = [self.up.is_full(), self.down.is_full()];
            if let Some(reason) = extras.on_time(now, full) {
                self.begin_close(reason, now);
            }
        }
        Due::Again
    }
}
