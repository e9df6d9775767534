//! One line for each request, two for each tunnel.
//!
//! The line is formatted where the request ends and handed to a writer thread through a bounded queue. A full queue
//! drops the line and counts it: a slow disk never holds a request up.

use std::{io, net::IpAddr, time::Duration};

use crate::{clock::Now, config, metrics::Registry};

/// The log of one gateway; cheap to clone.
#[derive(Clone)]
pub struct AccessLog {}

/// What is told of one request or tunnel. Text that a client chose is escaped when it is written.
#[derive(Clone, Debug)]
pub struct Record<'r> {
    pub now: Now,
    pub kind: Kind<'r>,
    /// `None` on a Unix socket.
    pub client: Option<IpAddr>,
    pub method: &'r str,
    /// Path and query as sent.
    pub target: &'r str,
    /// `HTTP/1.1` and the like.
    pub version: &'static str,
    pub scheme: &'static str,
    pub host: &'r str,
    pub status: u16,
    /// Body bytes sent to the client.
    pub sent: u64,
    /// Body bytes received from the client.
    pub received: u64,
    pub duration: Duration,
    pub route: &'r str,
    /// The backend that answered, as configured.
    pub upstream: Option<&'r str>,
    /// The cache's word: `hit`, `miss`, …; empty where it was not asked.
    pub cache: &'static str,
    /// Why the request failed or was refused; empty otherwise.
    pub failure: &'static str,
    pub referer: &'r [u8],
    pub user_agent: &'r [u8],
    pub request_id: &'r str,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind<'r> {
    Request,
    TunnelOpen,
    /// `reason` is a word of the closed list of close reasons; the code is the first Close frame's, where one was seen.
    TunnelClose {
        reason: &'static str,
        code: Option<u16>,
        by: &'r str,
        bytes_up: u64,
        bytes_down: u64,
    },
}

impl AccessLog {
    /// Opens the target and starts the writer thread. An error names the file.
    pub fn start(config: &config::AccessLog, registry: &Registry) -> io::Result<Self> {
        let _ = (config, registry);
        Ok(Self {})
    }

    /// Whether lines are written at all; a caller may spare itself making the record.
    pub fn is_on(&self) -> bool {
        false
    }

    /// Formats and queues one line; never waits.
    pub fn write(&self, record: &Record<'_>) {
        let _ = record;
    }

    /// Opens the file anew, for logrotate.
    pub fn reopen(&self) {}

    /// Waits until everything queued so far is written; for stopping.
    pub fn flush(&self) {}
}
