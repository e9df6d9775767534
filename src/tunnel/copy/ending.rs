//! How a tunnel ends: what its sides do towards it, and what the gateway does.

use std::{io, task::Context};

use tokio::{io::AsyncWrite, time::Instant};

use super::*;

/// The gateway's own close under way.
pub(super) struct Closing {
    /// How long it may still take.
    pub(super) until: Instant,
    /// It may take no longer, whatever comes.
    cut_at: Option<Instant>,
    /// Some direction has to wait for the end of a frame before it can be closed.
    waits_for_frame: bool,
    farewell: Farewell,
}

impl Tunnel {
    /// Draws the conclusions of one step of the direction that begins at `source`. The first reason stays.
    #[inline]
    pub(super) fn conclude(&mut self, source: Side, step: Step) {
        let from = self.from(source);
        let has_news = from.has_said_all() || !matches!(step, Step::Waits);
        if has_news {
            self.conclude_news(source, step);
        }
    }

    fn conclude_news(&mut self, source: Side, step: Step) {
        // However long it was silent before: the time for the other side's last words begins here.
        self.is_active |= self.reason.is_none();
        // A Close frame says more than how the connection ended after it.
        let closed = self.from(source).close();
        if let Some(farewell) = closed {
            self.farewell.get_or_insert_with(|| Box::new((farewell, source.party())));
            self.reason.get_or_insert(source.closed());
        }
        match step {
            Step::Waits if self.from(source).has_ended() => {
                let in_order = self.from(source).may_end();
                self.reason.get_or_insert(source.ended(in_order));
            }
            Step::Waits => {}
            // The connection is broken in both directions; what came out of it before is still delivered.
            Step::SourceFailed(error) => {
                self.reason.get_or_insert(source.failed(&error));
                self.from(source).source_failed();
                self.from(source.other()).deafen_or_finish(source);
            }
            // Only writing is known to be over: what that side said last may still wait to be read.
            Step::SinkFailed(error) => {
                self.reason.get_or_insert(source.other().failed(&error));
                self.from(source).deafen_or_finish(source.other());
                // The system tells once why a connection broke, and of an end of its stream from then on. A peer that has
                // ended its stream and reads no more is no break.
                if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero) {
                    self.from(source.other()).source_broke();
                }
            }
            Step::Breach(reason) => self.begin_close(reason, Instant::now()),
        }
        if source == Side::Backend && self.down.has_ended() {
            self.tell_of_lost_backend();
        }
    }

    /// A client whose backend has vanished without a Close frame is told so (1014), and has the time to answer. A stream that
    /// ends between two messages is no loss: the client's may go on. One whose own bytes were no frames has failed the
    /// connection itself, and a backend may leave without a word (RFC 6455 §7.1.7).
    fn tell_of_lost_backend(&mut self) {
        let Some(reason @ (CloseReason::BackendGone | CloseReason::BackendError)) = self.reason else { return };
        let farewell = self.terms.farewell(reason);
        let is_to_blame = self.up.not_frames().is_some();
        if self.closing.is_none() && !is_to_blame && self.down.tell_of_loss(&farewell) {
            let cut_at = self.cut_at();
            let until = earlier(after(Instant::now(), self.terms.close), cut_at);
            self.closing = Some(Box::new(Closing { until, cut_at, waits_for_frame: false, farewell }));
            self.open.set_state(State::Closing);
        }
    }

    /// Somebody asks the tunnel to end.
    pub(super) fn obey(&mut self, order: Box<Order>) {
        match &mut self.closing {
            // It has begun to go, for whatever reason; but it may take no longer than is asked.
            Some(closing) => {
                closing.cut_at = order.cut_at.map(|at| earlier(at, closing.cut_at)).or(closing.cut_at);
                closing.until = earlier(closing.until, closing.cut_at);
            }
            None => {
                self.ordered = Some(order);
                self.open.set_state(State::Draining);
            }
        }
    }

    /// Nobody asks it to end any more.
    pub(super) fn stay(&mut self) {
        if self.closing.is_none() && self.ordered.take().is_some() {
            self.open.set_state(State::Open);
        }
    }

    /// Does what was asked, when it is time. Gives the reason to cut the tunnel if it was to have ended before.
    pub(super) fn follow_order(&mut self, now: Instant) -> Option<CloseReason> {
        let order = self.ordered.as_ref()?;
        if order.cut_at.is_some_and(|at| now >= at) {
            return Some(CloseReason::ShutdownCut);
        }
        if now >= order.at {
            let order = self.ordered.take()?;
            let farewell = order.farewell.unwrap_or_else(|| self.terms.farewell(order.reason));
            self.close_with(order.reason, farewell, order.cut_at, now);
        }
        None
    }

    pub(super) fn begin_close(&mut self, reason: CloseReason, now: Instant) {
        self.close_with(reason, self.terms.farewell(reason), self.cut_at(), now);
    }

    /// When what was ordered is to have come to its end, whatever has begun it.
    fn cut_at(&self) -> Option<Instant> {
        self.ordered.as_ref().and_then(|order| order.cut_at)
    }

    fn close_with(&mut self, reason: CloseReason, farewell: Farewell, cut_at: Option<Instant>, now: Instant) {
        if self.closing.is_some() {
            return;
        }
        self.up.begin_close(&farewell);
        self.down.begin_close(&farewell);
        self.reason.get_or_insert(reason);
        let until = earlier(after(now, self.terms.close), cut_at);
        self.closing = Some(Box::new(Closing { until, cut_at, waits_for_frame: true, farewell }));
        self.open.set_state(State::Closing);
    }

    /// Once both sides have their Close frame, the time for their answers begins.
    pub(super) fn note_close_sent(&mut self) {
        let Some(closing) = &mut self.closing else { return };
        if self.up.is_told() || self.down.is_told() {
            self.farewell.get_or_insert_with(|| Box::new((closing.farewell.clone(), Party::Gateway)));
        }
        if closing.waits_for_frame && !self.up.is_closing() && !self.down.is_closing() {
            closing.waits_for_frame = false;
            closing.until = earlier(after(Instant::now(), self.terms.close), closing.cut_at);
        }
    }

    /// Whether one side has no more to say.
    pub(super) fn is_ending(&self) -> bool {
        self.up.has_said_all() || self.down.has_said_all()
    }

    /// Whether there is nothing left to wait for: both streams have ended, or the closing handshake is over (RFC 6455
    /// §7.1.1).
    pub(super) fn is_over(&self) -> bool {
        if !self.is_ending() {
            return false;
        }
        let directions = [&self.up, &self.down];
        // A client that is told nothing any more answers nothing.
        let is_told_nothing = self.closing.is_none() || self.down.breaks_off();
        let is_done = |direction: &Direction| direction.is_finished() || direction.is_deaf() && is_told_nothing;
        // Whoever was closed by the gateway has answered.
        let have_answered = || {
            self.closing.is_some()
                && directions.iter().all(|direction| direction.has_told() && direction.has_said_all())
        };
        // Both Close frames were passed on whole and one side has ended its stream. The other may be waiting for its peer to
        // do so, as a client does, and has nothing left to say.
        let have_parted = || {
            directions.iter().all(|direction| direction.has_delivered_close())
                && directions.iter().any(|direction| direction.has_ended())
        };
        directions.into_iter().all(is_done) || have_answered() || have_parted()
    }

    /// Ends both connections as they stand, without waiting.
    pub(super) fn cut(&mut self, cx: &mut Context<'_>, reason: CloseReason) -> Ended {
        self.reason = Some(reason);
        self.shut_both(cx)
    }

    pub(super) fn shut_both(&mut self, cx: &mut Context<'_>) -> Ended {
        let ends = [(&mut self.client, &self.up, &self.down), (&mut self.backend, &self.down, &self.up)];
        for (stream, from, towards) in ends {
            // Where nothing can be left to be read, the drop that comes next says as much; where the source broke, it says no
            // more than it should.
            if !(towards.is_shut() || towards.breaks_off() || (stream.is_bare() && from.is_read_out())) {
                // Said as well as it can be.
                let _ = Pin::new(stream).poll_shutdown(cx);
            }
        }
        let now = Instant::now();
        self.note_activity(now);
        self.settle();
        // Both directions end for a reason that was noted; a tunnel that had none would have ended by our own hand.
        let reason = self.reason.unwrap_or(CloseReason::ShutdownCut);
        let (farewell, by) = match self.farewell.take() {
            Some(seen) => (Some(seen.0), seen.1),
            None => (None, reason.by()),
        };
        for direction in [&self.up, &self.down] {
            if let Some(reason) = direction.not_frames() {
                self.open.note_not_frames(reason);
            }
        }
        let duration = now.saturating_duration_since(self.open.live().since());
        let ended = Ended { reason, by, farewell, totals: self.open.totals(), duration };
        self.open.end(&ended);
        ended
    }

    /// The direction that begins at a side.
    fn from(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.up,
            Side::Backend => &mut self.down,
        }
    }
}

impl Direction {
    /// The connection that this direction leads to has failed. A client may still have to be told of its backend's end, and
    /// is heard until it has answered; a backend whose client has gone needs nothing more.
    fn deafen_or_finish(&mut self, failed: Side) {
        match failed {
            Side::Backend => self.deafen(),
            Side::Client => self.sink_failed(),
        }
    }
}

fn earlier(moment: Instant, other: Option<Instant>) -> Instant {
    other.map_or(moment, |other| moment.min(other))
}
