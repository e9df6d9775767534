//! The copy: one future that drives both directions of a tunnel until both have ended.
//!
//! It is woken when a socket has something and moves it through a buffer that belongs to the thread, so a message costs
//! one read and one write and a tunnel at rest costs no memory but its record. The timer is set once and looked at when
//! it fires; the clock is read once for each wake-up that moved something.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::AsyncWrite,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    close::{CloseReason, Ended, Party, Side},
    direction::{Direction, SERVICE_RESTART, Step},
    metrics::Open,
    stop::StopPhase,
    wire::FrameTracker,
};
use crate::{
    config::{RouteWebSocket, Timeouts},
    net::{self, Stream},
};

/// What a route asks of its tunnels; they share one.
#[derive(Clone, Debug)]
pub struct Terms {
    /// With no byte in either direction the tunnel ends.
    pub idle: Duration,
    /// The same, once one side has ended its stream or sent a Close frame.
    pub linger: Duration,
    /// At a drain: for the frames in flight to end, and again for both sides to answer our Close frame.
    pub close: Duration,
    /// How long a TCP peer may leave bytes unacknowledged, or take none, before it counts as gone.
    pub send: Duration,
}

impl Terms {
    /// Of a route's tunnels.
    pub fn new(route: &RouteWebSocket, timeouts: &Timeouts) -> Self {
        Self {
            idle: route.idle_timeout,
            linger: timeouts.tunnel_linger,
            close: timeouts.tunnel_close,
            send: UNACKNOWLEDGED_MAX,
        }
    }
}

/// Carries bytes both ways between `client` and `backend` until both have ended; `client_first` and `backend_first` came
/// glued to the heads and go first. Counts through `open`, and gives the same facts back for the log.
///
/// The end of one side's stream is passed on as the end of the other's write side, and the other direction goes on. A
/// drain closes both sides as RFC 6455 §7 says, with 1012 at a frame boundary; bytes that are no WebSocket frames are
/// cut off with a plain end of stream instead. Dropping the future drops both connections.
pub fn run(
    client: Stream,
    client_first: Bytes,
    backend: Stream,
    backend_first: Bytes,
    terms: Arc<Terms>,
    open: Open,
) -> impl Future<Output = Ended> + Send + use<> {
    for stream in [&client, &backend] {
        if let Err(error) = net::socket::prepare(stream, terms.send) {
            // A connection that is gone already says so at the first read.
            tracing::debug!(%error, "socket options of a tunnel");
        }
    }
    let now = Instant::now();
    let mut tunnel = Tunnel {
        client,
        backend,
        up: Direction::new(FrameTracker::from_client(), client_first),
        down: Direction::new(FrameTracker::from_backend(), backend_first),
        terms,
        open,
        since: now,
        last_activity: now,
        counted: now,
        closing: None,
        reason: None,
        close: None,
    };
    // The tunnel is used where it was captured, not moved into the future's own state, which would hold it twice.
    async move {
        let mut timer = pin!(sleep_until(tunnel.deadline()));
        poll_fn(|cx| tunnel.poll(cx, timer.as_mut())).await
    }
}

struct Tunnel {
    client: Stream,
    backend: Stream,
    up: Direction,
    down: Direction,
    terms: Arc<Terms>,
    open: Open,
    since: Instant,
    last_activity: Instant,
    /// When the metrics last learned how much has passed.
    counted: Instant,
    /// Set from the drain on.
    closing: Option<Closing>,
    /// Of the first thing that happened towards the end.
    reason: Option<CloseReason>,
    /// The first Close frame.
    close: Option<(u16, Party)>,
}

/// How long the gateway's own close may still take.
#[derive(Clone, Copy)]
struct Closing {
    until: Instant,
    /// Some direction has to wait for the end of a frame before it can be closed.
    waits_for_frame: bool,
}

impl Tunnel {
    fn poll(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) -> Poll<Ended> {
        match self.open.stop.poll_phase(cx) {
            StopPhase::Running => {}
            StopPhase::Drain => self.begin_close(),
            StopPhase::Cut => return Poll::Ready(self.cut(cx, CloseReason::ShutdownCut)),
        }
        with_buffer(|buffer| self.move_bytes(cx, buffer));
        self.note_close_sent();
        if self.up.is_finished() && self.down.is_finished() {
            return Poll::Ready(self.end());
        }
        if self.is_closed() {
            return Poll::Ready(self.shut_both(cx));
        }
        // Both are asked, whatever the first says.
        if self.up.take_moved() | self.down.take_moved() {
            self.note_activity();
        }
        self.poll_deadline(cx, timer)
    }

    /// Lets both directions move what they can.
    fn move_bytes(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) {
        loop {
            let before = (self.up.shape(), self.down.shape());
            let answered = self.down.has_said_all();
            let step = self.up.advance(cx, &mut self.client, &mut self.backend, answered, buffer);
            self.settle(Side::Client, step);
            let answered = self.up.has_said_all();
            let step = self.down.advance(cx, &mut self.backend, &mut self.client, answered, buffer);
            self.settle(Side::Backend, step);
            // What has changed in one direction may be what the other waited for. It changes a handful of times at most.
            if (self.up.shape(), self.down.shape()) == before {
                return;
            }
        }
    }

    /// Draws the conclusions of one step of the direction that begins at `source`. The first reason stays.
    fn settle(&mut self, source: Side, step: Step) {
        let (from, towards) = match source {
            Side::Client => (&mut self.up, &mut self.down),
            Side::Backend => (&mut self.down, &mut self.up),
        };
        // A Close frame says more than how the connection ended after it.
        if let Some(code) = from.close_code() {
            self.close.get_or_insert((code, source.party()));
            self.reason.get_or_insert(source.closed());
        }
        match step {
            Step::Waits if from.has_ended() => {
                self.reason.get_or_insert(source.closed());
            }
            Step::Waits => {}
            // The connection is broken in both directions; what came out of it before is still delivered.
            Step::SourceFailed(error) => {
                from.source_failed();
                towards.sink_failed();
                self.reason.get_or_insert(source.failed(&error));
            }
            // Only writing is known to be over: what that side said last may still wait to be read.
            Step::SinkFailed(error) => {
                from.sink_failed();
                self.reason.get_or_insert(source.other().failed(&error));
            }
        }
    }

    /// Whether the closing handshake is over (RFC 6455 §7.1.1): both Close frames were passed on whole and one side has
    /// ended its stream. The other may be waiting for its peer to do so, as a client does, and has nothing left to say.
    fn is_closed(&self) -> bool {
        let directions = [&self.up, &self.down];
        directions.iter().all(|direction| direction.has_delivered_close())
            && directions.iter().any(|direction| direction.has_ended())
    }

    fn begin_close(&mut self) {
        if self.closing.is_some() {
            return;
        }
        self.up.begin_close();
        self.down.begin_close();
        self.reason.get_or_insert(CloseReason::Drain);
        self.closing = Some(Closing { until: after(Instant::now(), self.terms.close), waits_for_frame: true });
    }

    /// Once both sides have their Close frame, the time for their answers begins.
    fn note_close_sent(&mut self) {
        let Some(closing) = &mut self.closing else { return };
        if self.up.has_sent_close() || self.down.has_sent_close() {
            self.close.get_or_insert((SERVICE_RESTART, Party::Gateway));
        }
        if closing.waits_for_frame && !self.up.is_closing() && !self.down.is_closing() {
            *closing = Closing { until: after(Instant::now(), self.terms.close), waits_for_frame: false };
        }
    }

    fn note_activity(&mut self) {
        let now = Instant::now();
        self.last_activity = now;
        if now.duration_since(self.counted) >= COUNT_EVERY {
            self.counted = now;
            self.open.count(self.up.passed(), self.down.passed());
        }
    }

    fn deadline(&self) -> Instant {
        match self.closing {
            Some(closing) => closing.until,
            None if self.is_ending() => after(self.last_activity, self.terms.linger.min(self.terms.idle)),
            None => after(self.last_activity, self.terms.idle),
        }
    }

    /// Whether one side has no more to say.
    fn is_ending(&self) -> bool {
        self.up.has_said_all() || self.down.has_said_all()
    }

    /// The timer is only moved forward here; a deadline that has moved back is found when the timer fires.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Ended> {
        let deadline = self.deadline();
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                let reason = match self.closing {
                    Some(_) => self.reason.unwrap_or(CloseReason::Drain),
                    None if self.is_ending() => CloseReason::Linger,
                    None => CloseReason::Idle,
                };
                return Poll::Ready(self.cut(cx, reason));
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Ends both connections as they stand, without waiting.
    fn cut(&mut self, cx: &mut Context<'_>, reason: CloseReason) -> Ended {
        self.reason = Some(reason);
        self.shut_both(cx)
    }

    fn shut_both(&mut self, cx: &mut Context<'_>) -> Ended {
        for stream in [&mut self.client, &mut self.backend] {
            // Said as well as it can be; the connection is dropped next.
            let _ = Pin::new(stream).poll_shutdown(cx);
        }
        self.end()
    }

    fn end(&mut self) -> Ended {
        // Both directions end for a reason that was noted; a tunnel that had none would have ended by our own hand.
        let reason = self.reason.unwrap_or(CloseReason::ShutdownCut);
        let ended = Ended {
            reason,
            by: self.close.map_or(reason.by(), |(_, sender)| sender),
            code: self.close.map(|(code, _)| code),
            bytes_up: self.up.passed(),
            bytes_down: self.down.passed(),
            duration: self.since.elapsed(),
        };
        self.open.end(&ended);
        ended
    }
}

/// Lends the thread's buffer. It is taken out while it is lent, so that a stream which itself leads into a tunnel on this
/// thread finds none and makes another.
fn with_buffer<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.take();
    buffer.resize(BUFFER_BYTES, 0);
    let result = work(&mut buffer);
    BUFFER.set(buffer);
    result
}

/// A moment that far away; one that no clock reaches becomes one that nobody waits for.
fn after(moment: Instant, wait: Duration) -> Instant {
    moment + wait.min(LONGEST_WAIT)
}

/// Bytes of one read, and the most that a direction keeps.
const BUFFER_BYTES: usize = 64 * 1024;
/// How often a busy tunnel tells the metrics what has passed.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Bytes that a peer leaves unacknowledged for this long: it has gone.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(120);
/// Ten years.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[cfg(test)]
mod tests;
