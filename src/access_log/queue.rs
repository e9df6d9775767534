//! The lines between the worker threads and the writer: a bounded buffer for each thread, and the writer's wake-ups.
//!
//! The writer sleeps without a timer while every buffer is empty. The first line into an empty buffer wakes it; it then
//! lets lines gather for a moment, or until a buffer is well filled.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::metrics::shard::Sharded;

/// Shared by all who write lines and the one who writes them out.
pub(super) struct Queue {
    buffers: Sharded<Mutex<Vec<u8>>>,
    /// Bytes that one thread's buffer may hold; a single line is always taken.
    buffer_bytes_max: usize,
    writer: OnceLock<Thread>,
    /// A buffer is not empty, or something was asked for.
    has_work: AtomicBool,
    /// Don't wait for more.
    is_urgent: AtomicBool,
    reopen: AtomicBool,
    closed: AtomicBool,
    flushes: Mutex<Flushes>,
    flushed: Condvar,
}

/// Flushes are numbered: one that is asked for before a drain begins is done when it ends.
#[derive(Default)]
struct Flushes {
    asked: u64,
    done: u64,
}

/// What the writer is to do before it drains.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders {
    pub(super) reopen: bool,
    pub(super) close: bool,
    flush: u64,
}

impl Queue {
    /// `records` of `RECORD_BYTES` may wait in the buffer of each thread.
    pub(super) fn new(records: usize) -> Self {
        Self {
            buffers: Sharded::default(),
            buffer_bytes_max: records.saturating_mul(RECORD_BYTES),
            writer: OnceLock::new(),
            has_work: AtomicBool::new(false),
            is_urgent: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            flushes: Mutex::default(),
            flushed: Condvar::new(),
        }
    }

    /// Names the thread that is woken.
    pub(super) fn set_writer(&self, writer: Thread) {
        // Invariant: called once, by the starter, before anybody can push.
        let _ = self.writer.set(writer);
    }

    /// Appends a line to the calling thread's buffer; `false` when the buffer is full.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let (before, after) = {
            let mut buffer = self.buffers.mine().lock();
            let before = buffer.len();
            if before > 0 && before + line.len() > self.buffer_bytes_max {
                return false;
            }
            buffer.extend_from_slice(line);
            (before, buffer.len())
        };
        let is_urgent = before < URGENT_BYTES && after >= URGENT_BYTES;
        if before == 0 || is_urgent {
            self.wake(is_urgent);
        }
        true
    }

    /// Asks for the file to be opened anew before anything else is written.
    pub(super) fn request_reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.wake(true);
    }

    /// Lets the writer end once it has written what is there.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake(true);
    }

    /// Waits until everything pushed before this call is written; `false` when that took longer than `wait_max`.
    pub(super) fn flush(&self, wait_max: Duration) -> bool {
        let deadline = Instant::now() + wait_max;
        let mut flushes = self.flushes.lock();
        flushes.asked += 1;
        let mine = flushes.asked;
        self.wake(true);
        while flushes.done < mine {
            if self.flushed.wait_until(&mut flushes, deadline).timed_out() {
                return flushes.done >= mine;
            }
        }
        true
    }

    /// Waits until there is something to do and more has had time to gather. Called by the writer alone.
    pub(super) fn wait(&self) -> Orders {
        while !self.has_work.load(Ordering::Acquire) {
            thread::park();
        }
        let deadline = Instant::now() + GATHER;
        while !self.is_urgent.load(Ordering::Acquire) {
            match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => break,
            }
        }
        // Cleared before the buffers are looked at: what comes later sets them again.
        self.is_urgent.store(false, Ordering::SeqCst);
        self.has_work.store(false, Ordering::SeqCst);
        Orders {
            reopen: self.reopen.swap(false, Ordering::AcqRel),
            close: self.closed.load(Ordering::Acquire),
            flush: self.flushes.lock().asked,
        }
    }

    /// Hands every buffer that is not empty to `write`, which leaves it empty for reuse.
    pub(super) fn drain(&self, spare: &mut Vec<u8>, mut write: impl FnMut(&[u8])) {
        for buffer in self.buffers.iter() {
            debug_assert!(spare.is_empty());
            {
                let mut buffer = buffer.lock();
                if buffer.is_empty() {
                    continue;
                }
                std::mem::swap(&mut *buffer, spare);
            }
            write(spare);
            spare.clear();
            spare.shrink_to(SPARE_BYTES_KEPT);
        }
    }

    /// Tells those who wait that all up to these orders is written.
    pub(super) fn done(&self, orders: Orders) {
        self.flushes.lock().done = orders.flush;
        self.flushed.notify_all();
    }

    fn wake(&self, is_urgent: bool) {
        if is_urgent {
            self.is_urgent.store(true, Ordering::SeqCst);
        }
        self.has_work.store(true, Ordering::SeqCst);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

/// What one record is reckoned at when the bound of a buffer is made of the configured number of records.
pub(super) const RECORD_BYTES: usize = 256;

/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(50);

/// A buffer that holds as much is written at once.
const URGENT_BYTES: usize = 32 * 1024;

/// Memory that an emptied buffer keeps.
const SPARE_BYTES_KEPT: usize = 128 * 1024;
