//! Whether the gateway is running, draining or cutting, and how everything that waits is told.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::watch;

/// What the gateway is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    #[default]
    Running,
    /// No new work: what is under way is finished, what rests is closed.
    Draining,
    /// What is left is dropped.
    Cutting,
}

/// The gateway's phase; it only moves forward.
#[derive(Debug)]
pub struct PhaseSwitch(watch::Sender<Phase>);

/// One waiter's view of it. Costs nothing until it is polled.
pub struct PhaseWatch {
    receiver: watch::Receiver<Phase>,
    draining: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl PhaseSwitch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(Phase::Running)))
    }

    /// Moves on to `phase`; never back.
    pub(super) fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let forward = phase > *current;
            *current = (*current).max(phase);
            forward
        });
    }

    pub(super) fn watch(&self) -> PhaseWatch {
        PhaseWatch { receiver: self.0.subscribe(), draining: None }
    }

    pub(super) fn current(&self) -> Phase {
        *self.0.borrow()
    }
}

impl PhaseWatch {
    /// Whether the gateway is past running.
    pub(super) fn is_draining(&self) -> bool {
        *self.receiver.borrow() > Phase::Running
    }

    /// Ready once the gateway is past running.
    pub(super) fn poll_draining(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let receiver = &self.receiver;
        let waiting = self.draining.get_or_insert_with(|| {
            let mut receiver = receiver.clone();
            Box::pin(async move {
                // An error means that the gateway itself has gone: the same to a waiter.
                let _phase = receiver.wait_for(|phase| *phase > Phase::Running).await;
            })
        });
        waiting.as_mut().poll(cx)
    }
}
