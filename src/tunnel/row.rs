//! A place on the list, held by whoever it tells of. It leaves the list with its drop, whatever the way out.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::{Sleep, sleep_until};

use super::{
    close::CloseReason,
    live::{Live, Request},
    tunnels::Shared,
};

/// One place on the list.
pub(super) struct Row {
    pub(super) shared: Arc<Shared>,
    pub(super) live: Arc<Live>,
    place: u32,
}

/// What was asked of a row that has no timer of its own, and when it is due.
pub(super) type Due = Option<(CloseReason, Pin<Box<Sleep>>)>;

impl Row {
    pub(super) fn new(shared: Arc<Shared>, (place, live): (u32, Arc<Live>)) -> Self {
        Self { shared, live, place }
    }

    /// Ready when somebody wants its end and the moment for it has come, with the reason; otherwise the task is woken then.
    pub(super) fn poll_asked(&self, due: &mut Due, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.live.listen(cx.waker());
        match self.live.take_request() {
            None => {}
            Some(Request::Cut) => return Poll::Ready(CloseReason::ShutdownCut),
            Some(Request::Stay) => *due = None,
            Some(Request::End(order)) => {
                let is_told = order.cut_at.is_none_or(|cut_at| order.at <= cut_at);
                let reason = if is_told { order.reason } else { CloseReason::ShutdownCut };
                *due = Some((reason, Box::pin(sleep_until(order.next()))));
            }
        }
        let Some((reason, timer)) = due else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(*reason)
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.shared.list.lock().remove(self.place);
        self.live.hang_up();
    }
}
