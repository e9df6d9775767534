//! The thread that writes the lines out.
//!
//! Nobody waits for it: whatever goes wrong here is counted, reported at most once a minute, and costs lines, never requests.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::queue::Queue;
use crate::metrics::Counter;

/// Where lines go.
pub(super) struct Target {
    output: Box<dyn Write + Send>,
    /// To open it anew; none for standard output.
    path: Option<PathBuf>,
}

/// The state of the writer thread.
pub(super) struct Writer {
    target: Target,
    dropped: Counter,
    errors: Counter,
    /// The last write ended inside a line; the next one begins with a line feed.
    is_torn: bool,
    last_report: Option<Instant>,
}

impl Target {
    /// The process's standard output, without the buffer and the lock of the standard library.
    pub(super) fn stdout() -> io::Result<Self> {
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { output: Box::new(output), path: None })
    }

    /// A file that is appended to, and made if it is not there. The error names it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let output = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(FILE_MODE)
            .open(path)
            .map_err(|error| io::Error::new(error.kind(), format!("access log `{}`: {error}", path.display())))?;
        Ok(Self { output: Box::new(output), path: Some(path.to_owned()) })
    }

    #[cfg(test)]
    pub(super) fn of(output: Box<dyn Write + Send>) -> Self {
        Self { output, path: None }
    }
}

impl Writer {
    pub(super) fn new(target: Target, dropped: Counter, errors: Counter) -> Self {
        Self { target, dropped, errors, is_torn: false, last_report: None }
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self, queue: &Queue) {
        let mut spare = Vec::new();
        loop {
            let orders = queue.wait();
            if orders.reopen {
                self.reopen();
            }
            queue.drain(&mut spare, |lines| self.write(lines));
            queue.done(orders);
            if orders.close {
                return;
            }
        }
    }

    fn reopen(&mut self) {
        let Some(path) = &self.target.path else { return };
        match Target::open(path) {
            Ok(target) => {
                self.target = target;
                self.is_torn = false;
            }
            Err(error) => self.report(&error),
        }
    }

    fn write(&mut self, lines: &[u8]) {
        if self.is_torn {
            self.is_torn = self.write_all(b"\n") == 0;
        }
        let written = if self.is_torn { 0 } else { self.write_all(lines) };
        if written < lines.len() {
            self.is_torn |= written > 0 && lines[written - 1] != b'\n';
            self.dropped.add(memchr::memchr_iter(b'\n', &lines[written..]).count() as u64);
        }
    }

    /// Writes all it can and says how many bytes that were; an error has then been counted.
    fn write_all(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        let mut blocked_since = None;
        while written < bytes.len() {
            let error = match self.target.output.write(&bytes[written..]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    written += count;
                    blocked_since = None;
                    continue;
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => continue,
                // Whoever shares our standard output may have made it non-blocking.
                io::ErrorKind::WouldBlock
                    if blocked_since.get_or_insert_with(Instant::now).elapsed() < BLOCKED_WAIT_MAX =>
                {
                    thread::sleep(BLOCKED_PAUSE);
                }
                _ => {
                    self.report(&error);
                    break;
                }
            }
        }
        written
    }

    fn report(&mut self, error: &io::Error) {
        self.errors.add(1);
        if self.last_report.is_some_and(|last| last.elapsed() < REPORT_EVERY) {
            return;
        }
        self.last_report = Some(Instant::now());
        let path = self.target.path.as_deref().unwrap_or(Path::new("standard output"));
        tracing::error!(%error, path = %path.display(), errors = self.errors.value(), "the access log can't be written");
    }
}

/// The owner writes, the group may read: lines hold addresses and URLs of clients.
const FILE_MODE: u32 = 0o640;

const REPORT_EVERY: Duration = Duration::from_secs(60);
const BLOCKED_WAIT_MAX: Duration = Duration::from_secs(1);
const BLOCKED_PAUSE: Duration = Duration::from_millis(5);
