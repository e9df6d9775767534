//! One line for each request, two for each tunnel.
//!
//! The line is formatted where the request ends and appended to a buffer of its worker thread, which a writer thread
//! empties about twenty times a second: a line costs its formatting and an uncontended lock. A full buffer drops the
//! line and counts it: a slow disk never holds a request up. Lines of one worker thread keep their order.
//!
//! Formats: `combined` (see `combined`) and `json` (see `json`). No byte that a client chose can end a line or a
//! field, or reach a terminal as a control (see `escape`).

mod combined;
mod escape;
mod json;
mod number;
mod queue;
mod time;
mod writer;

use std::{cell::RefCell, io, net::IpAddr, sync::Arc, thread, time::Duration};

use crate::{
    clock::Now,
    config::{self, LogFormat, LogTarget},
    metrics::{Counter, Registry},
};
use queue::Queue;
use writer::{Target, Writer};

/// The log of one gateway; cheap to clone. When the last clone is dropped the writer writes what is left and ends.
#[derive(Clone)]
pub struct AccessLog {
    /// `None` when the log is off.
    running: Option<Arc<Running>>,
}

/// What is told of one request or tunnel. Text that a client chose is escaped when it is written.
#[derive(Clone, Debug)]
pub struct Record<'r> {
    /// When the request ended (or the tunnel opened or closed).
    pub now: Now,
    /// What the line is about.
    pub kind: Kind<'r>,
    /// `None` on a Unix socket.
    pub client: Option<IpAddr>,
    /// As sent; empty where the request could not be read.
    pub method: &'r str,
    /// Path and query as sent.
    pub target: &'r str,
    /// `HTTP/1.1` and the like.
    pub version: &'static str,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port as sent.
    pub host: &'r str,
    /// Of the answer that the client got; 101 on both lines of a tunnel.
    pub status: u16,
    /// Body bytes sent to the client.
    pub sent: u64,
    /// Body bytes received from the client.
    pub received: u64,
    /// From the first byte of the request to the end of the answer; of a closed tunnel, its life.
    pub duration: Duration,
    /// The route's name; empty where none matched.
    pub route: &'r str,
    /// The backend that answered, as configured.
    pub upstream: Option<&'r str>,
    /// The cache's word: `hit`, `miss`, …; empty where it was not asked.
    pub cache: &'static str,
    /// Why the cache did not answer by itself, or keep the answer, or gave a stale one; empty otherwise.
    pub cache_reason: &'static str,
    /// Why the request failed or was refused; empty otherwise.
    pub failure: &'static str,
    /// The Referer field; empty where there was none.
    pub referer: &'r [u8],
    /// The User-Agent field; empty where there was none.
    pub user_agent: &'r [u8],
    /// Empty where there is none.
    pub request_id: &'r str,
}

/// What a line is about.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'r> {
    /// A request that was answered, refused or broken off.
    Request,
    /// A tunnel whose handshake succeeded: without this line a tunnel of three days would be invisible until its end.
    TunnelOpen,
    /// `reason` is a word of the closed list of close reasons; the code is the first Close frame's, where one was seen.
    TunnelClose {
        /// Why the tunnel ended.
        reason: &'static str,
        /// The code of the first Close frame (RFC 6455 §7.4).
        code: Option<u16>,
        /// Which side ended it: `client`, `backend`, `gateway`.
        by: &'r str,
        /// Bytes from the client to the backend.
        bytes_up: u64,
        /// Bytes from the backend to the client.
        bytes_down: u64,
        /// Whole messages from the client to the backend.
        messages_up: u64,
        /// Whole messages from the backend to the client.
        messages_down: u64,
        /// What the first Close frame said beside its code; a peer may have chosen it.
        text: &'r str,
    },
}

/// Most input bytes of one text that a client chose; what is longer is cut and ends in `...`.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;

struct Running {
    queue: Arc<Queue>,
    format: LogFormat,
    dropped: Counter,
}

/// What a thread keeps for formatting.
#[derive(Default)]
struct Scratch {
    line: Vec<u8>,
    clock: time::TextClock,
}

impl AccessLog {
    /// Opens the target and starts the writer thread. An error names the file.
    pub fn start(config: &config::AccessLog, registry: &Registry) -> io::Result<Self> {
        let dropped = registry.counter(
            "tidegate_access_log_dropped_total",
            "Access log lines that were not written, because the queue was full or a write failed. When this rises, the disk or the reader of the log is too slow, or the disk is full.",
        );
        let errors = registry.counter(
            "tidegate_access_log_write_errors_total",
            "Failures to write or reopen the access log. When this rises, look at the disk and the file's permissions; the gateway's own log tells the error.",
        );
        let target = match &config.target {
            LogTarget::Off => return Ok(Self { running: None }),
            LogTarget::Stdout => Target::stdout()?,
            LogTarget::File(path) => Target::open(path)?,
        };
        Self::start_on(target, config, dropped, errors)
    }

    fn start_on(target: Target, config: &config::AccessLog, dropped: Counter, errors: Counter) -> io::Result<Self> {
        let writer = Writer::new(target, dropped.clone(), errors);
        let queue = Arc::new(Queue::new(config.queue));
        let queue_of_writer = queue.clone();
        let thread =
            thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run(&queue_of_writer))?;
        queue.set_writer(thread.thread().clone());
        Ok(Self { running: Some(Arc::new(Running { queue, format: config.format, dropped })) })
    }

    /// Whether lines are written at all; a caller may spare itself making the record.
    pub fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Formats and queues one line; never waits.
    pub fn write(&self, record: &Record<'_>) {
        let Some(running) = &self.running else { return };
        // A thread that is being torn down has no scratch any more.
        let was_queued = SCRATCH.try_with(|scratch| running.format_and_push(&mut scratch.borrow_mut(), record));
        if !was_queued.unwrap_or(false) {
            running.dropped.add(1);
        }
    }

    /// Opens the file anew, for logrotate. Lines written after this call stand in the new file.
    /// A file that can't be opened is reported and counted, and the old one is kept.
    pub fn reopen(&self) {
        if let Some(running) = &self.running {
            running.queue.request_reopen();
        }
    }

    /// Waits until everything queued so far is written, at most two seconds; for stopping. Blocks the calling thread.
    /// Says whether all was written in time.
    pub fn flush(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.queue.flush(FLUSH_WAIT_MAX))
    }
}

impl Running {
    fn format_and_push(&self, Scratch { line, clock }: &mut Scratch, record: &Record<'_>) -> bool {
        line.clear();
        match self.format {
            LogFormat::Combined => combined::write(line, record, clock),
            LogFormat::Json => json::write(line, record, clock),
        }
        let was_queued = self.queue.push(line);
        line.shrink_to(SCRATCH_BYTES_KEPT);
        was_queued
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queue.close();
    }
}

const FLUSH_WAIT_MAX: Duration = Duration::from_secs(2);
const SCRATCH_BYTES_KEPT: usize = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[cfg(test)]
mod tests;
