//! Answers that stay open for long are known to operators, and can be ended by them, as can handshakes.
//!
//! What most answers pay for it is a look whether they are there at once, and a few relaxed stores; one that is not moves
//! the connection's timer.

use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::Pin,
    task::{Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Gateway, Visit,
    client::{Client, ClientFault},
    failure::Fault,
    observed::Track,
};
use crate::{
    clock::Now,
    net::Watchdog,
    tunnel::{About, CloseReason, Connecting, Ended, Kind, OpenAnswer, Totals},
    wire::RequestHead,
};

/// Whose answer it is.
#[derive(Clone, Copy)]
pub(super) struct Asker<'r> {
    pub(super) request: &'r RequestHead,
    /// `None` on a Unix socket.
    pub(super) client: Option<IpAddr>,
    pub(super) route: usize,
    pub(super) upstream: usize,
}

impl Gateway {
    /// Does the work of an answer that began `now` and leaves a track; after a while it is a row, and then it may be ended.
    /// Gives the row to be closed. The watchdog is the connection's, which has no use for it meanwhile.
    pub(super) async fn watched(
        &self,
        asker: Asker<'_>,
        track: &Track,
        watchdog: &mut Watchdog,
        now: Now,
        mut work: Pin<&mut impl Future<Output = Result<(), Fault>>>,
    ) -> (Result<(), Fault>, Option<OpenAnswer>) {
        let mut row = None;
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = work.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            if row.is_none() {
                watchdog.set(Some(now.instant + ROW_AFTER));
                ready!(watchdog.poll_expired(cx));
            }
            let row = row.get_or_insert_with(|| self.row(asker, now));
            row.note(&track.progress());
            row.poll_asked(cx).map(|reason| Err(Fault::Ended(reason)))
        })
        .await;
        (outcome, row)
    }

    fn row(&self, asker: Asker<'_>, began: Now) -> OpenAnswer {
        let about = asker.about(Kind::Http);
        self.tunnels.list_answer(asker.route, asker.upstream, about, Instant::from_std(began.instant))
    }

    /// Takes the row out, if there is one, with how its answer ended.
    pub(super) fn close_row<C: Client>(&self, row: Option<OpenAnswer>, outcome: &Result<(), Fault>, client: &C) {
        let Some(row) = row else { return };
        let reason = match outcome {
            Ok(()) => CloseReason::BackendClose,
            Err(Fault::Ended(reason)) => *reason,
            Err(Fault::Client(ClientFault::Gone | ClientFault::SendTimeout)) => CloseReason::ClientGone,
            Err(Fault::Client(_)) => CloseReason::ClientError,
            Err(_) => CloseReason::BackendError,
        };
        let mut totals = Totals::default();
        (totals.up.bytes, totals.down.bytes) = (client.received(), client.sent());
        let duration = row.live().since().elapsed();
        row.end(Ended { reason, by: reason.by(), farewell: None, totals, duration });
    }
}

/// Does the work of a handshake, unless somebody does not want it to go on.
pub(super) async fn unless_asked<T>(
    row: &mut Connecting,
    track: &Track,
    mut work: Pin<&mut impl Future<Output = Result<T, Fault>>>,
) -> Result<T, Fault> {
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = work.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        if let Some(backend) = track.progress().backend {
            row.note_backend(&backend);
        }
        row.poll_asked(cx).map(|reason| Err(Fault::Ended(reason)))
    })
    .await
}

impl<'r> Visit<'r> {
    /// Whose answer this is.
    pub(super) fn asker<C: Client>(&self, client: &C) -> Asker<'r> {
        let client = client.info().client.map(|_| self.way.client);
        Asker { request: self.request, client, route: self.route, upstream: self.upstream }
    }
}

impl Asker<'_> {
    /// For the row of what it has asked for.
    pub(super) fn about(&self, kind: Kind) -> About {
        About { kind, client: self.client, user_agent: About::text(self.request.fields.get("user-agent")) }
    }
}

/// How long an answer is open before it is a row.
const ROW_AFTER: Duration = Duration::from_secs(5);
