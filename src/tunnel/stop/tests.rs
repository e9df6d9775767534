//! Who is woken, and what is left behind.

use std::{
    sync::atomic::AtomicUsize,
    task::{Wake, Waker},
};

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

#[test]
fn each_change_of_phase_wakes_every_listener() {
    let stopper = Stopper::new();
    let (count, waker) = counted();
    let mut signals: Vec<StopSignal> = (0..3).map(|_| stopper.signal()).collect();
    for signal in &mut signals {
        assert_eq!(signal.poll_phase(&mut Context::from_waker(&waker)), StopPhase::Running);
    }
    stopper.drain();
    assert_eq!(count.0.load(Ordering::SeqCst), 3);
    assert_eq!(signals[1].phase(), StopPhase::Drain);
    stopper.cut();
    assert_eq!(count.0.load(Ordering::SeqCst), 6);
    assert_eq!(signals[2].phase(), StopPhase::Cut);
}

#[test]
fn the_phase_never_goes_back() {
    let stopper = Stopper::new();
    stopper.cut();
    stopper.drain();
    assert_eq!(stopper.signal().phase(), StopPhase::Cut);
}

#[test]
fn a_new_waker_takes_the_place_of_the_old() {
    let stopper = Stopper::new();
    let ((old, old_waker), (new, new_waker)) = (counted(), counted());
    let mut signal = stopper.signal();
    signal.poll_phase(&mut Context::from_waker(&old_waker));
    signal.poll_phase(&mut Context::from_waker(&new_waker));
    stopper.drain();
    assert_eq!((old.0.load(Ordering::SeqCst), new.0.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn dropped_signals_leave_no_waker_and_their_places_are_used_again() {
    let stopper = Stopper::new();
    let (count, waker) = counted();
    for _ in 0..100 {
        stopper.signal().poll_phase(&mut Context::from_waker(&waker));
    }
    assert_eq!(stopper.shared.waiting.lock().wakers.len(), 1);
    stopper.drain();
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    assert_eq!(Arc::strong_count(&count), 2);
}
