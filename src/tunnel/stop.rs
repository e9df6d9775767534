//! Telling thousands of tunnels to stop, at no cost until it happens.
//!
//! Asking is one atomic load. The lock is taken when a tunnel opens, when it ends, and when the phase changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Waker},
};

use parking_lot::Mutex;

/// How far stopping has come. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopPhase {
    /// Nothing is asked.
    Running,
    /// Tunnels are asked to end well.
    Drain,
    /// Tunnels are to end now.
    Cut,
}

/// The hand that stops tunnels.
#[derive(Clone, Default)]
pub struct Stopper {
    shared: Arc<Shared>,
}

/// What a tunnel holds to be told. A clone is another listener.
pub struct StopSignal {
    shared: Arc<Shared>,
    /// Where our waker waits, and a copy of it, to see without the lock whether it is still the right one.
    place: Option<(usize, Waker)>,
}

#[derive(Default)]
struct Shared {
    phase: AtomicU8,
    waiting: Mutex<Waiting>,
}

/// Wakers of the tunnels by place; places are used again.
#[derive(Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Stopper {
    /// With nothing asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A listener for one tunnel.
    pub fn signal(&self) -> StopSignal {
        StopSignal { shared: Arc::clone(&self.shared), place: None }
    }

    /// Asks all tunnels to end well, within the time of their terms.
    pub fn drain(&self) {
        self.reach(StopPhase::Drain);
    }

    /// Ends all tunnels now.
    pub fn cut(&self) {
        self.reach(StopPhase::Cut);
    }

    fn reach(&self, phase: StopPhase) {
        // A tunnel that registers after this store sees the phase; one that registered before it is in the list.
        self.shared.phase.fetch_max(phase as u8, Ordering::SeqCst);
        // Woken outside the lock: waking may drop a tunnel, which takes it.
        let wakers: Vec<Waker> = self.shared.waiting.lock().wakers.iter().flatten().cloned().collect();
        for waker in wakers {
            waker.wake();
        }
    }
}

impl StopSignal {
    /// How far stopping has come.
    pub fn phase(&self) -> StopPhase {
        match self.shared.phase.load(Ordering::SeqCst) {
            0 => StopPhase::Running,
            1 => StopPhase::Drain,
            _ => StopPhase::Cut,
        }
    }

    /// How far stopping has come; the task is woken when that changes.
    pub fn poll_phase(&mut self, cx: &mut Context<'_>) -> StopPhase {
        if self.place.as_ref().is_none_or(|(_, waker)| !waker.will_wake(cx.waker())) {
            self.register(cx.waker());
        }
        self.phase()
    }

    fn register(&mut self, waker: &Waker) {
        let mut waiting = self.shared.waiting.lock();
        let place = match &self.place {
            Some((place, _)) => *place,
            None => waiting.free.pop().unwrap_or_else(|| {
                waiting.wakers.push(None);
                waiting.wakers.len() - 1
            }),
        };
        waiting.wakers[place] = Some(waker.clone());
        drop(waiting);
        self.place = Some((place, waker.clone()));
    }
}

impl Clone for StopSignal {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), place: None }
    }
}

impl Drop for StopSignal {
    fn drop(&mut self) {
        let Some((place, _)) = self.place.take() else { return };
        let mut waiting = self.shared.waiting.lock();
        let waker = waiting.wakers[place].take();
        waiting.free.push(place);
        drop(waiting);
        // Dropped last and outside the lock: it may be the last hold on a task.
        drop(waker);
    }
}

#[cfg(test)]
mod tests;
