//! A request body on its way in: counted, held to its limit and to a floor of bytes per second.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::client::ClientFault;
use crate::{config::Limits, net::Watchdog};

/// One request's body, whatever the version of HTTP.
pub(super) struct BodyMeter {
    /// Bytes per second that a client may not fall below once the grace is over; 0 for no floor.
    rate: u64,
    grace: Duration,
    limit: u64,
    received: u64,
    /// Since when the client is waited for, and how long it was before. Only this counts against it.
    waiting_since: Option<Instant>,
    waited: Duration,
    watchdog: Watchdog,
}

impl BodyMeter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            rate: limits.body_rate,
            grace: limits.body_rate_grace,
            limit: u64::MAX,
            received: 0,
            waiting_since: None,
            waited: Duration::ZERO,
            watchdog: Watchdog::default(),
        }
    }

    /// A new request begins.
    pub(super) fn begin(&mut self) {
        self.limit = u64::MAX;
        self.received = 0;
        self.came();
        self.waited = Duration::ZERO;
    }

    /// Past `bytes`, the body is too large.
    pub(super) fn limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// Body bytes so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Something came from the client: it is not waited for any more.
    pub(super) fn came(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        self.watchdog.set(None);
    }

    /// Counts a piece of the body.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), ClientFault> {
        self.received += bytes as u64;
        self.announce(0)
    }

    /// `bytes` more are surely to come: too many are refused before they do.
    pub(super) fn announce(&self, bytes: u64) -> Result<(), ClientFault> {
        if self.received.saturating_add(bytes) > self.limit { Err(ClientFault::BodyTooLarge) } else { Ok(()) }
    }

    /// Nothing is there: ready once the client has been waited for too long in all.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.rate == 0 {
            return Poll::Pending;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let earned = Duration::from_millis(self.received.saturating_mul(1000) / self.rate);
        let allowed = self.grace.saturating_add(earned).saturating_sub(self.waited);
        self.watchdog.set(since.checked_add(allowed));
        self.watchdog.poll_expired(cx)
    }
}

#[cfg(test)]
mod tests;
