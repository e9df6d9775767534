//! What waits for clients that do not take it, counted over all of them: memory stays flat however many do that.
//!
//! A backend is read ahead of its client, by much, as that spares system calls. What a client does not take then waits in
//! memory. Once too much waits in all, each backend is read ahead by little. Nothing is counted for a client that takes
//! what it is given.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    cache::Body,
    metrics::{Family, Registry},
};

/// The bytes that wait for the clients of one gateway, and how many may.
pub(super) struct Unsent {
    bytes: AtomicUsize,
    most: usize,
    limit_hits: Arc<Family<&'static str>>,
}

/// What waits for one client; nothing once it is dropped.
pub(super) struct Waiting {
    unsent: Arc<Unsent>,
    bytes: usize,
    /// The stored body that is being sent.
    held: Option<Arc<Body>>,
}

/// A stored body that is not worth being held: it is copied, or little memory.
const SMALL_BODY: u64 = 4 * 1024;

/// How far a backend is read ahead of a client when too much waits already.
const LEAD_LEAST: usize = 16 * 1024;

impl Unsent {
    /// Past `most` bytes the leads are short, and each new one that waits is counted.
    pub(super) fn new(most: usize, limit_hits: Arc<Family<&'static str>>, registry: &Registry) -> Arc<Self> {
        let unsent = Arc::new(Self { bytes: AtomicUsize::new(0), most, limit_hits });
        let shown = unsent.clone();
        registry.gauge_from(
            "tidegate_http_unsent_bytes",
            "Bytes of answers, and of tunnels over HTTP/2, that wait for clients to take them, beyond what the system's sockets hold.",
            move || shown.bytes.load(Ordering::Relaxed) as f64,
        );
        unsent
    }

    /// How far a backend may be read ahead of its client, in bytes, where `most` is asked for.
    pub(super) fn lead(&self, most: usize) -> usize {
        if self.is_full() { most.min(LEAD_LEAST) } else { most }
    }

    /// So many bytes more wait.
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many of those that were added are gone.
    pub(super) fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// One more begins to wait, and if too much does already, for that.
    pub(super) fn count_wait(&self) {
        if self.is_full() {
            self.limit_hits.add("unsent", 1);
        }
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.most
    }
}

impl Waiting {
    pub(super) fn new(unsent: Arc<Unsent>) -> Self {
        Self { unsent, bytes: 0, held: None }
    }

    /// What it is counted with.
    pub(super) fn unsent(&self) -> &Arc<Unsent> {
        &self.unsent
    }

    /// How far a backend may be read ahead of this client.
    pub(super) fn lead(&self, most: usize) -> usize {
        self.unsent.lead(most)
    }

    /// So many bytes wait now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes == self.bytes {
            return;
        }
        if self.bytes == 0 {
            self.unsent.count_wait();
        }
        if bytes > self.bytes {
            self.unsent.add(bytes - self.bytes);
        } else {
            self.unsent.subtract(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Pieces of this body are sent next: it counts in the cache until nothing waits any more.
    pub(super) fn hold(&mut self, body: &Arc<Body>) {
        if body.length() > SMALL_BODY {
            self.held = Some(body.clone());
        }
    }

    /// Nothing waits any more.
    pub(super) fn over(&mut self) {
        self.set(0);
        self.held = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl Unsent {
        pub(in crate::gateway) fn bytes(&self) -> usize {
            self.bytes.load(Ordering::Relaxed)
        }
    }

    pub(in crate::gateway) fn unsent(most: usize) -> (Arc<Unsent>, Arc<Registry>) {
        let registry = Arc::new(Registry::new());
        let limit_hits = registry
            .family("tidegate_limit_hits_total", "Limits.", &["limit"], |word: &&'static str| vec![(*word).to_owned()]);
        (Unsent::new(most, limit_hits, &registry), registry)
    }

    #[test]
    fn what_waits_is_counted_over_all_and_given_back() {
        let (unsent, registry) = unsent(100);
        let (mut one, mut other) = (Waiting::new(unsent.clone()), Waiting::new(unsent.clone()));
        one.set(60);
        other.set(30);
        one.set(20);
        assert!(registry.render().contains("tidegate_http_unsent_bytes 50\n"), "{}", registry.render());
        one.set(0);
        drop(other);
        assert_eq!(unsent.bytes(), 0);
    }

    #[test]
    fn past_the_bound_the_lead_is_short_and_who_comes_to_wait_is_counted() {
        let (unsent, _) = unsent(100);
        let (mut one, mut other) = (Waiting::new(unsent.clone()), Waiting::new(unsent.clone()));
        one.set(100);
        assert_eq!(unsent.lead(1 << 20), 1 << 20);
        one.set(101);
        assert_eq!((unsent.lead(1 << 20), unsent.lead(10)), (LEAD_LEAST, 10));
        assert_eq!(unsent.limit_hits.value("unsent"), 0);
        other.set(1);
        assert_eq!(unsent.limit_hits.value("unsent"), 1);
        drop(one);
        assert_eq!(unsent.lead(1 << 20), 1 << 20);
    }
}
