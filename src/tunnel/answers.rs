//! HTTP answers that stay open, as rows beside the tunnels: streams of events, long polls, large downloads.
//!
//! A row is made when an answer has been open for a while; most never are. A drain leaves them alone, for what a client
//! has half of can't be moved elsewhere; an operator may cut them.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;

use super::{
    about::About,
    close::{CloseReason, Ended},
    live::{Live, Request},
    recent::Closed,
    tunnels::{Shared, Tunnels},
};
use crate::{clock::Now, metrics::GaugeFamilyGuard};

/// An HTTP answer on the list, held by the task that gives it. It leaves the list and the gauge with its drop.
pub struct OpenAnswer {
    shared: Arc<Shared>,
    live: Arc<Live>,
    place: u32,
    _held: GaugeFamilyGuard<usize>,
}

impl Tunnels {
    /// Puts an HTTP answer that has been open since then on the list.
    pub fn list_answer(&self, route: usize, upstream: usize, about: About, since: Instant) -> OpenAnswer {
        let shared = Arc::clone(&self.shared);
        let (place, live) = shared.list.lock().add(route as u32, upstream as u32, about, since);
        let _held = shared.metrics.answers.hold(route);
        OpenAnswer { shared, live, place, _held }
    }
}

impl OpenAnswer {
    /// Ready when somebody wants its end, with the reason; otherwise the task is woken then.
    pub fn poll_asked(&self, cx: &Context<'_>) -> Poll<CloseReason> {
        self.live.listen(cx.waker());
        match self.live.take_request() {
            None => Poll::Pending,
            Some(Request::End(order)) => Poll::Ready(order.reason),
            Some(Request::Cut) => Poll::Ready(CloseReason::ShutdownCut),
        }
    }

    /// Remembers how it ended.
    pub fn end(self, ended: Ended) {
        let at = Now::read().unix;
        self.shared.recent.push(Closed { live: Arc::clone(&self.live), ended, at });
    }

    /// The record that others see.
    pub fn live(&self) -> &Live {
        &self.live
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        self.shared.list.lock().remove(self.place);
        self.live.hang_up();
    }
}
