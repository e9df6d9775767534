//! Numbers that the hot paths count and Prometheus scrapes.
//!
//! A part declares its own handles against the `Registry` and counts through them; nothing here knows what is counted.
//! Every cell is sharded by worker thread, so that counting never touches a line of memory that another thread writes;
//! the shards are added up at the scrape. No lock that counting takes is held while label values or text are made.

pub mod buckets;
mod cell;
mod family;
mod lint;
mod metric;
mod registry;
pub(crate) mod shard;

pub use cell::{Counter, Gauge, GaugeGuard};
pub use family::{Describe, Family, GaugeFamily, GaugeFamilyGuard, HistogramFamily, LABEL_SETS_MAX};
pub use metric::Kind;
pub use registry::{Description, Registry, TEXT_CONTENT_TYPE};

#[cfg(test)]
mod tests;
