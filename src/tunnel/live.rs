//! One open tunnel as others see it: what it is, what has passed, and the way to tell it to go.
//!
//! The tunnel itself is the only writer of its numbers: its last activity with one relaxed store for each wake-up that
//! moved something, everything else about once a second under a lock that only a reader of this one tunnel contends for.
//! To see whether anything is asked of it costs the tunnel one relaxed load.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    task::Waker,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    about::About,
    close::{CloseReason, Side},
    wire::{Farewell, Tally},
};

/// One open tunnel.
#[derive(Debug)]
pub struct Live {
    /// Never used again in this process.
    pub id: u64,
    /// Index of the route.
    pub route: u32,
    /// Index of the upstream.
    pub upstream: u32,
    /// Who is at its ends.
    pub about: About,
    /// When it opened.
    pub since: Instant,
    /// Milliseconds from then to the last activity.
    active: AtomicU64,
    state: AtomicU8,
    /// Something in `asked` has not been seen by the tunnel yet.
    is_asked: AtomicBool,
    /// Microseconds, of the client and of the backend; zero while there is none.
    round_trips: [AtomicU32; 2],
    totals: Mutex<Totals>,
    asked: Mutex<Asked>,
}

/// What has passed through a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// From the client to the backend.
    pub up: Tally,
    /// From the backend to the client.
    pub down: Tally,
}

/// Where a tunnel stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Bytes pass.
    Open,
    /// It will be told to go when its turn comes.
    Draining,
    /// The gateway is closing it.
    Closing,
}

/// How a tunnel is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// For log and metrics.
    pub reason: CloseReason,
    /// For the Close frames; `None` leaves it to the route's code and the reason's own word.
    pub farewell: Option<Farewell>,
    /// Not before this moment.
    pub at: Instant,
    /// What has not ended by then is cut.
    pub cut_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Asked {
    waker: Option<Waker>,
    order: Option<Box<Order>>,
    cut: bool,
}

/// What a tunnel finds when it looks whether anything is asked of it.
#[derive(Debug)]
pub(super) enum Request {
    End(Box<Order>),
    Cut,
}

impl Live {
    pub(super) fn new(id: u64, route: u32, upstream: u32, about: About, since: Instant) -> Self {
        Self {
            id,
            route,
            upstream,
            about,
            since,
            active: AtomicU64::new(0),
            state: AtomicU8::new(State::Open as u8),
            is_asked: AtomicBool::new(false),
            round_trips: Default::default(),
            totals: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Open,
            1 => State::Draining,
            _ => State::Closing,
        }
    }

    /// When something last passed that keeps it from being idle; never before `since`.
    pub fn last_activity(&self) -> Instant {
        self.since + Duration::from_millis(self.active.load(Ordering::Relaxed))
    }

    /// What has passed, up to about a second ago.
    pub fn totals(&self) -> Totals {
        *self.totals.lock()
    }

    /// The last round trip of a Ping of ours to the client.
    pub fn client_round_trip(&self) -> Option<Duration> {
        self.round_trip(Side::Client)
    }

    /// The last round trip of a Ping of ours to the backend.
    pub fn backend_round_trip(&self) -> Option<Duration> {
        self.round_trip(Side::Backend)
    }

    /// Asks it to end. Of several orders the one that comes first in time counts, and the first moment to cut it of all;
    /// once it has begun to end, that moment alone.
    pub fn end(&self, order: Order) {
        let mut asked = self.asked.lock();
        let order = match asked.order.as_deref() {
            None => order,
            Some(before) => match before.and(order) {
                both if both == *before => return,
                both => both,
            },
        };
        asked.order = Some(Box::new(order));
        self.wake(asked);
    }

    /// Ends it at once.
    pub fn cut(&self) {
        let mut asked = self.asked.lock();
        asked.cut = true;
        self.wake(asked);
    }

    fn wake(&self, asked: parking_lot::MutexGuard<'_, Asked>) {
        self.is_asked.store(true, Ordering::Relaxed);
        let waker = asked.waker.clone();
        drop(asked);
        // Woken outside the lock: waking may drop a tunnel.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// From now on an order wakes this task.
    pub(super) fn listen(&self, waker: &Waker) {
        self.asked.lock().waker = Some(waker.clone());
    }

    /// Nobody is left to be woken, and nothing to be asked.
    pub(super) fn hang_up(&self) {
        let asked = std::mem::take(&mut *self.asked.lock());
        // Dropped outside the lock: it may be the last hold on a task.
        drop(asked);
    }

    /// What is asked and was not yet seen.
    #[inline]
    pub(super) fn take_request(&self) -> Option<Request> {
        // Whoever asked has woken the task after it had asked, so that no more order is needed here.
        self.is_asked.load(Ordering::Relaxed).then(|| self.read_request()).flatten()
    }

    #[cold]
    fn read_request(&self) -> Option<Request> {
        let asked = self.asked.lock();
        self.is_asked.store(false, Ordering::Relaxed);
        // The order stays, to be compared with later ones.
        if asked.cut { Some(Request::Cut) } else { asked.order.clone().map(Request::End) }
    }

    #[inline]
    pub(super) fn note_activity(&self, now: Instant) {
        self.active.store(now.duration_since(self.since).as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn note_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(super) fn note_round_trip(&self, side: Side, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        self.round_trips[side as usize].store(micros, Ordering::Relaxed);
    }

    pub(super) fn note_traffic(&self, up: &Tally, down: &Tally) {
        let mut totals = self.totals.lock();
        totals.up.add(up);
        totals.down.add(down);
    }

    fn round_trip(&self, side: Side) -> Option<Duration> {
        match self.round_trips[side as usize].load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros.into())),
        }
    }
}

impl Order {
    /// What it comes to together with a later one.
    fn and(&self, later: Self) -> Self {
        let cut_at = self.cut_at.into_iter().chain(later.cut_at).min();
        if self.at <= later.at { Self { cut_at, ..self.clone() } } else { Self { cut_at, ..later } }
    }

    /// The next moment that something is to happen.
    pub(super) fn next(&self) -> Instant {
        self.cut_at.map_or(self.at, |cut_at| self.at.min(cut_at))
    }
}

impl State {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Open, Self::Draining, Self::Closing];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Draining => "draining",
            Self::Closing => "closing",
        }
    }
}

#[cfg(test)]
mod tests;
