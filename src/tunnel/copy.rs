//! The copy: one future that drives both directions of a tunnel until both have ended.
//!
//! It is woken when a socket has something and moves it through a buffer that belongs to the thread, so a message costs
//! one read and one write and a tunnel at rest costs no memory but its record. One timer serves everything that a tunnel
//! waits for; it is only moved forward, and looked at when it fires.

mod ending;
mod extras;
mod timing;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use self::{ending::Closing, extras::Extras};
use super::{
    close::{CloseReason, Ended, Party, Side},
    direction::{Direction, Step},
    live::{Request, State},
    open::Open,
    orders::Order,
    terms::Terms,
    wire::{Farewell, HELD_BYTES_MAX, Observer},
};
use crate::net::Stream;

/// Carries bytes both ways between `client` and `backend` until both have ended; `client_first` and `backend_first` came
/// glued to the heads and go first. Counts through `open`, and hands the same facts to `at_end`, whose result it gives.
///
/// The end of one side's stream is passed on as the end of the other's write side, and the other direction goes on. A
/// stream that broke is broken off on the other side, behind what it had said, unless a Close frame can tell it. When
/// the gateway ends the tunnel, by its terms or because it is asked to, both sides are closed as RFC 6455 §7 says, at a
/// frame boundary; bytes that are no WebSocket frames are cut off with a plain end of stream instead. Dropping the
/// future drops both connections.
pub fn run<T>(
    client: Stream,
    client_first: Bytes,
    backend: Stream,
    backend_first: Bytes,
    terms: Arc<Terms>,
    open: Open,
    at_end: impl FnOnce(Ended) -> T + Send,
) -> impl Future<Output = T> + Send {
    let (mut from_client, mut from_backend) = (Observer::from_client(), Observer::from_backend());
    if !terms.observe {
        from_client.close_eyes();
        from_backend.close_eyes();
    }
    let mut tunnel = Tunnel {
        client,
        backend,
        up: Direction::new(from_client, client_first),
        down: Direction::new(from_backend, backend_first),
        extras: Extras::new(&terms, open.live().since()),
        settle_at: Some(open.live().since() + SETTLE_AFTER),
        terms,
        open,
        waker: None,
        is_young: true,
        is_active: false,
        ordered: None,
        closing: None,
        farewell: None,
        reason: None,
    };
    // The tunnel is used where it was captured, not moved into the future's own state, which would hold it twice.
    async move {
        let mut timer = pin!(sleep_until(tunnel.deadline()));
        // Awaited by itself: in the call, what is to be called would be held twice.
        let ended = poll_fn(|cx| tunnel.poll(cx, timer.as_mut())).await;
        at_end(ended)
    }
}

struct Tunnel {
    client: Stream,
    backend: Stream,
    up: Direction,
    down: Direction,
    terms: Arc<Terms>,
    open: Open,
    /// Of terms that few routes set.
    extras: Option<Box<Extras>>,
    /// Whom orders and the timer wake.
    waker: Option<Waker>,
    /// When what has passed is to be told; `None` when there is nothing to tell.
    settle_at: Option<Instant>,
    /// Its sockets are not prepared for a long life yet.
    is_young: bool,
    /// Something that keeps it from being idle has passed since activity was told last; only while `settle_at` is set.
    is_active: bool,
    /// How it is to end, and when.
    ordered: Option<Box<Order>>,
    /// Set once the gateway has begun to close.
    closing: Option<Box<Closing>>,
    /// The first Close frame, and whose it is.
    farewell: Option<Box<(Farewell, Party)>>,
    /// Of the first thing that happened towards the end.
    reason: Option<CloseReason>,
}

/// What a moment brings.
enum Due {
    /// Bytes may have to be moved on account of it.
    Again,
    /// The tunnel is waited for no longer.
    Cut(CloseReason),
}

impl Tunnel {
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Ended> {
        let is_new = self.listen(cx);
        match self.open.live().take_request() {
            None => {}
            Some(Request::End(order)) => self.obey(order),
            Some(Request::Stay) => self.stay(),
            Some(Request::Cut) => return Poll::Ready(self.cut(cx, CloseReason::ShutdownCut)),
        }
        loop {
            with_buffer(|buffer| self.move_bytes(cx, buffer));
            if self.closing.is_some() {
                self.note_close_sent();
            }
            if self.is_over() {
                return Poll::Ready(self.shut_both(cx));
            }
            self.note_moved();
            if self.send_pings() {
                continue;
            }
            match ready!(self.poll_time(cx, timer.as_mut(), is_new)) {
                Due::Again => {}
                Due::Cut(reason) => return Poll::Ready(self.cut(cx, reason)),
            }
        }
    }

    /// Makes sure that orders wake this task. Says whether it is another than before.
    #[inline]
    fn listen(&mut self, cx: &Context<'_>) -> bool {
        let is_new = self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker()));
        if is_new {
            self.waker = Some(cx.waker().clone());
            self.up.new_task();
            self.down.new_task();
            self.open.live().listen(cx.waker());
        }
        is_new
    }

    /// Lets both directions move what they can.
    fn move_bytes(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) {
        loop {
            let before = (self.up.shape(), self.down.shape());
            let sieve = self.extras.as_mut().and_then(|extras| extras.sieve(Side::Client, &self.terms));
            let answered = self.down.has_said_all();
            let step = self.up.advance(cx, (&mut self.client, &mut self.backend), answered, sieve, buffer);
            self.conclude(Side::Client, step);
            let sieve = self.extras.as_mut().and_then(|extras| extras.sieve(Side::Backend, &self.terms));
            let answered = self.up.has_said_all();
            let step = self.down.advance(cx, (&mut self.backend, &mut self.client), answered, sieve, buffer);
            self.conclude(Side::Backend, step);
            // What has changed in one direction may be what the other waited for. It changes a handful of times at most.
            if (self.up.shape(), self.down.shape()) == before || self.is_over() {
                return;
            }
        }
    }
}

/// Lends the thread's buffer. It is taken out while it is lent, so that a stream which itself leads into a tunnel on this
/// thread finds none and makes another.
fn with_buffer<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.take();
    buffer.resize(HELD_BYTES_MAX + READ_BYTES, 0);
    let result = work(&mut buffer);
    BUFFER.set(buffer);
    result
}

/// A moment that far away; one that no clock reaches becomes one that nobody waits for.
fn after(moment: Instant, wait: Duration) -> Instant {
    moment + wait.min(LONGEST_WAIT)
}

/// Bytes of one read, and the most that a direction keeps, but for a few of frames that were held back or are our own.
const READ_BYTES: usize = 64 * 1024;
/// How long after something passed the record and the metrics are told.
const SETTLE_AFTER: Duration = Duration::from_secs(1);
/// Ten years.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[cfg(test)]
mod tests;
