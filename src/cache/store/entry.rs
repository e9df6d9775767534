//! What stands in the table under a key, and what it weighs there.

use std::{sync::Arc, time::Instant};

use crate::cache::{
    account::{Charge, ENTRY_OVERHEAD},
    stored::Resource,
};

/// What stands under a key. Equal to itself alone.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// Answers.
    Resource(Arc<Resource>),
    /// Nobody queues for this key: its last answer was not storable, or did not come in time.
    DontQueue(Arc<Mark>),
}

/// For how long a key is marked.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(super) key: Arc<[u8]>,
    pub(super) until: Instant,
    pub(super) _charge: Charge,
}

impl Entry {
    pub(crate) fn key(&self) -> &Arc<[u8]> {
        match self {
            Self::Resource(resource) => resource.key(),
            Self::DontQueue(mark) => &mark.key,
        }
    }

    pub(crate) fn resource(&self) -> Option<&Arc<Resource>> {
        match self {
            Self::Resource(resource) => Some(resource),
            Self::DontQueue(_) => None,
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Resource(one), Self::Resource(other)) => Arc::ptr_eq(one, other),
            (Self::DontQueue(one), Self::DontQueue(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// moka weighs in 32 bits; counted in units of 64 bytes, one key may hold 256 GiB.
pub(super) const WEIGHT_UNIT: u64 = 64;

pub(super) fn weight(key: &[u8], entry: &Entry) -> u32 {
    let bytes = match entry {
        Entry::Resource(resource) => resource.cost(),
        Entry::DontQueue(_) => mark_cost(key),
    };
    u32::try_from(bytes.div_ceil(WEIGHT_UNIT)).unwrap_or(u32::MAX)
}

pub(super) fn mark_cost(key: &[u8]) -> u64 {
    key.len() as u64 + ENTRY_OVERHEAD
}
