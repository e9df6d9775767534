//! The caps on open connections: in all, and of one address.
//!
//! Every connection that is let in holds a `Permit`; its drop gives the place back, whatever the way out. An IPv6 client
//! owns at least a /64, so that is one address here; an IPv4 address is itself, also when it comes mapped into IPv6.
//! A proxy that is trusted speaks for many clients and is only counted in all, as is a Unix socket, which has no address.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config;

/// The count of open connections of one gateway, and its bounds. Cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

/// Which bound refused a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `limits.connections`
    Connections,
    /// `limits.connections_per_address`
    ConnectionsPerAddress,
    /// A listener that also speaks HTTP/2 by prior knowledge waited `timeouts.head` in vain for the first bytes.
    FirstBytes,
}

/// One open connection's place; given back when dropped.
pub struct Permit {
    connections: Connections,
    address: Option<Address>,
}

struct Inner {
    total_max: usize,
    address_max: usize,
    exempt: Vec<IpNet>,
    total: AtomicUsize,
    /// Addresses with at least one connection.
    shards: Vec<Mutex<HashMap<Address, usize, foldhash::fast::RandomState>>>,
    hasher: foldhash::fast::RandomState,
    /// Rung when the total comes down to zero.
    none_left: Notify,
}

/// What counts as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address {
    V4(u32),
    /// The upper 64 bits.
    V6(u64),
}

impl Connections {
    /// `exempt` holds the trusted proxies' networks, which are not bound by the cap of one address.
    pub fn new(limits: &config::Limits, exempt: Vec<IpNet>) -> Self {
        Self(Arc::new(Inner {
            total_max: limits.connections,
            address_max: limits.connections_per_address,
            exempt,
            total: AtomicUsize::new(0),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            none_left: Notify::new(),
        }))
    }

    /// A place for one more connection of this client, or the bound that refuses it.
    pub fn admit(&self, client: Option<IpAddr>) -> Result<Permit, Limit> {
        let inner = &self.0;
        // Made first: from here on its drop puts the total right.
        let mut permit = Permit { connections: self.clone(), address: None };
        if inner.total.fetch_add(1, Ordering::AcqRel) >= inner.total_max {
            return Err(Limit::Connections);
        }
        let Some(address) = client.and_then(|client| self.counted_address(client)) else { return Ok(permit) };
        let mut shard = self.shard(address).lock();
        let count = shard.get(&address).copied().unwrap_or(0);
        if count >= inner.address_max {
            // The permit's drop must not find the shard locked.
            drop(shard);
            return Err(Limit::ConnectionsPerAddress);
        }
        shard.insert(address, count + 1);
        drop(shard);
        permit.address = Some(address);
        Ok(permit)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.0.total.load(Ordering::Acquire)
    }

    /// Returns once no connection is open; at once if that is so already.
    pub async fn all_closed(&self) {
        loop {
            let mut rung = std::pin::pin!(self.0.none_left.notified());
            // Enrolled before the look at the total, so that a bell between the two is heard.
            rung.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            rung.await;
        }
    }

    fn counted_address(&self, client: IpAddr) -> Option<Address> {
        let client = client.to_canonical();
        if self.0.exempt.iter().any(|network| network.contains(&client)) {
            return None;
        }
        Some(match client {
            IpAddr::V4(address) => Address::V4(address.to_bits()),
            IpAddr::V6(address) => Address::V6((address.to_bits() >> 64) as u64),
        })
    }

    fn shard(&self, address: Address) -> &Mutex<HashMap<Address, usize, foldhash::fast::RandomState>> {
        let hash = self.0.hasher.hash_one(address);
        &self.0.shards[(hash % SHARDS as u64) as usize]
    }

    /// Addresses that are remembered; zero when nobody is connected.
    #[cfg(test)]
    fn addresses(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let mut shard = self.connections.shard(address).lock();
            match shard.get_mut(&address) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    shard.remove(&address);
                }
            }
        }
        if self.connections.0.total.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.connections.0.none_left.notify_waiters();
        }
    }
}

impl Limit {
    /// The word for metrics and logs, and the key of `[limits]` where it has one.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::FirstBytes => "first_bytes",
        }
    }
}

/// Locks over which the addresses are spread; more than workers by far, so that two rarely meet.
const SHARDS: usize = 64;

#[cfg(test)]
mod tests;
