//! Where a gateway is between its start and its end.

use tokio::sync::watch;

/// A gateway's phase, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Bound, but not yet accepting.
    Starting,
    /// Accepting connections.
    Ready,
    /// No new connections; those that are open come to their ends.
    Draining,
    /// Nothing is open any more, or what was has been cut.
    Stopped,
}

/// Tells the phase, for readiness checks and whoever waits for one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lifecycle(watch::Receiver<Phase>);

impl Lifecycle {
    /// A lifecycle at its start, and the hand that moves it on.
    pub(super) fn new() -> (watch::Sender<Phase>, Self) {
        let (sender, receiver) = watch::channel(Phase::Starting);
        (sender, Self(receiver))
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Whether new connections should come here.
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Ready
    }

    /// Returns once this phase, or one after it, has come.
    pub async fn reached(&self, phase: Phase) {
        // An error: the gateway is gone, which is past every phase.
        let _ = self.0.clone().wait_for(|now| *now >= phase).await;
    }
}
