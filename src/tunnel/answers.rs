//! HTTP answers that stay open, as rows beside the tunnels: streams of events, long polls, large downloads.
//!
//! A row is made when an answer has been open for a while; most never are. A download comes to its end by itself, and what
//! has not begun may be a POST's: a drain leaves both alone. A stream of events goes on for ever, and EventSource comes
//! back by itself: a drain ends it in its turn. HTTP has no word for that, so its end is a cut, which must not look whole
//! (RFC 9112 §8, RFC 9113 §8.1).

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::{
    about::About,
    close::{CloseReason, Ended},
    live::{Live, State, wake},
    recent::Closed,
    row::{Due, Row},
    tunnels::Tunnels,
};
use crate::{clock::Now, metrics::GaugeFamilyGuard};

/// An HTTP answer on the list, held by the task that gives it. It leaves the list and the gauge with its drop.
pub struct OpenAnswer {
    row: Row,
    due: Due,
    _held: GaugeFamilyGuard<usize>,
}

/// How far an answer has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The server that was asked last.
    pub backend: Option<Arc<str>>,
    /// Body bytes from the client.
    pub up: u64,
    /// Body bytes for the client.
    pub down: u64,
    /// It is a stream of events, and has begun.
    pub is_endless: bool,
}

impl Tunnels {
    /// Puts an HTTP answer that has been open since then on the list.
    pub fn list_answer(&self, route: usize, upstream: usize, about: About, since: Instant) -> OpenAnswer {
        let shared = Arc::clone(&self.shared);
        let added = shared.list.lock().add(route as u32, upstream as u32, about, since);
        let _held = shared.metrics.answers.hold(route);
        OpenAnswer { row: Row::new(shared, added), due: None, _held }
    }
}

impl OpenAnswer {
    /// Ready when it is to end, with the reason; otherwise the task is woken then.
    pub fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let asked = self.row.poll_asked(&mut self.due, cx);
        self.live().note_state(if self.due.is_some() { State::Draining } else { State::Open });
        let reason = ready!(asked);
        self.live().note_state(State::Closing);
        Poll::Ready(reason)
    }

    /// Tells others how far it has come.
    pub fn note(&self, progress: &Progress) {
        let (live, was_endless) = (self.live(), self.live().is_endless());
        live.note_progress(progress);
        if progress.is_endless && !was_endless {
            // A drain may have passed it over until now.
            let told = self.row.shared.list.lock().tell(live);
            wake(told);
        }
    }

    /// Remembers how it ended.
    pub fn end(self, ended: Ended) {
        let at = Now::read().unix;
        self.row.shared.recent.push(Closed { live: Arc::clone(&self.row.live), ended, at });
    }

    /// The record that others see.
    pub fn live(&self) -> &Live {
        &self.row.live
    }
}
