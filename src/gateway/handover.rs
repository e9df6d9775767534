//! What one process's cache hands on to the next: `cache.snapshot`.

use super::Gateway;
use crate::{cache, clock::Now};

impl Gateway {
    /// Takes over what an older process has left in the snapshot's file, if one is configured. Before anything is served.
    pub fn take_over(&self) {
        if let Some(snapshot) = &self.config.cache.snapshot {
            self.cache.read_snapshot(snapshot, self.fingerprint(), Now::read());
        }
    }

    /// Writes it for the next one, within the snapshot's time. When nothing is served any more.
    pub fn hand_on(&self) {
        if let Some(snapshot) = &self.config.cache.snapshot {
            self.cache.write_snapshot(snapshot, self.fingerprint(), Now::read());
        }
    }

    /// Of everything that decides under which key an answer lies and what has been done to its head.
    fn fingerprint(&self) -> u32 {
        let config = &self.config;
        let upstreams: Vec<_> = config.upstreams.iter().map(|upstream| &upstream.name).collect();
        cache::fingerprint(&(&config.routes, upstreams, &config.trusted_proxies, &config.forward))
    }
}
