//! A body that grows at one end and is read by many, each at its own pace.
//!
//! While it is being kept, every piece stays and a reader may still join at the start. Once it is only passed on, what
//! all readers have had is let go. Every change wakes everybody who waits for one; a waiter takes its place in the queue
//! before it looks, so no change is missed. Works across runtimes: nothing here belongs to one.

use std::{collections::VecDeque, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    cache::{
        Answer,
        account::Charge,
        given::{Given, Shared},
        parts::is_near,
        stored::Body,
    },
    wire::RequestHead,
};

/// The body broke off: the client must not take what it got for the whole (cut the connection, reset the stream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillFailed {
    /// The backend broke off, or the fetch was given up.
    Incomplete,
    /// This reader was too slow for a body that is not stored and that others read.
    TooSlow,
}

/// The shared state of one body under way.
#[derive(Debug)]
pub(super) struct Pipe {
    answer: Arc<Answer>,
    flow: Mutex<Flow>,
    /// Told when there is something new to read.
    grown: Notify,
    /// Told when a reader has read or gone.
    drained: Notify,
}

#[derive(Debug)]
struct Flow {
    chunks: VecDeque<Bytes>,
    /// Pieces let go in front of `chunks`.
    gone: usize,
    /// Bytes in `chunks`.
    retained: u64,
    seats: Vec<Seat>,
    end: End,
    /// Whether every piece stays, so that readers may join.
    keeping: bool,
    /// What those take who share it with its first reader.
    shared: Shared,
    /// Holds the memory's charge for as long as somebody reads.
    ballast: Option<Ballast>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Complete,
    Failed,
}

/// One reader's place: the number of pieces it has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    Free,
    At(usize),
    Cut,
}

/// What keeps the pieces paid for while they are read.
#[derive(Debug)]
pub(super) enum Ballast {
    /// They are in the store's body too.
    Body { _body: Arc<Body> },
    /// They are held by the readers alone.
    Charge { _charge: Charge },
}

/// Reads a body that is still arriving, from its first byte and at its own pace.
#[derive(Debug)]
pub struct Reader {
    pipe: Arc<Pipe>,
    seat: usize,
}

/// Bytes that a body which is only passed on may be ahead of its slowest reader.
pub(super) const PASS_WINDOW: u64 = 256 * 1024;
/// How long readers of such a body wait for one that has stopped reading, before it is cut off.
pub(super) const LAGGARD_PATIENCE: Duration = Duration::from_secs(10);

impl Pipe {
    pub(super) fn new(answer: Arc<Answer>) -> Arc<Self> {
        let flow = Flow {
            chunks: VecDeque::new(),
            gone: 0,
            retained: 0,
            seats: Vec::new(),
            end: End::Open,
            keeping: true,
            shared: Shared::default(),
            ballast: None,
        };
        Arc::new(Self { answer, flow: Mutex::new(flow), grown: Notify::new(), drained: Notify::new() })
    }

    pub(super) fn answer(&self) -> &Arc<Answer> {
        &self.answer
    }

    /// A reader at the first byte; `None` once the first byte may be gone, or the body has failed.
    pub(super) fn join(self: &Arc<Self>) -> Option<Reader> {
        let mut flow = self.flow.lock();
        if !flow.keeping || flow.end == End::Failed {
            return None;
        }
        let seat = flow.seats.iter().position(|seat| *seat == Seat::Free).unwrap_or(flow.seats.len());
        if seat == flow.seats.len() {
            flow.seats.push(Seat::At(0));
        } else {
            flow.seats[seat] = Seat::At(0);
        }
        drop(flow);
        Some(Reader { pipe: self.clone(), seat })
    }

    /// Whether readers may still join.
    pub(super) fn is_keeping(&self) -> bool {
        let flow = self.flow.lock();
        flow.keeping && flow.end != End::Failed
    }

    /// Whether a reader is left.
    pub(super) fn has_readers(&self) -> bool {
        self.flow.lock().seats.iter().any(|seat| matches!(seat, Seat::At(_)))
    }

    /// Adds a piece; says how many bytes are held now.
    pub(super) fn push(&self, chunk: Bytes) -> u64 {
        let mut flow = self.flow.lock();
        flow.retained += chunk.len() as u64;
        flow.chunks.push_back(chunk);
        flow.release();
        let retained = flow.retained;
        drop(flow);
        self.grown.notify_waiters();
        retained
    }

    /// From now on the body is only passed on: nobody joins, and what all have read is let go.
    pub(super) fn stop_keeping(&self) {
        let mut flow = self.flow.lock();
        flow.keeping = false;
        flow.release();
    }

    /// The pieces so far; all of them, while they are being kept.
    pub(super) fn chunks(&self) -> Vec<Bytes> {
        self.flow.lock().chunks.iter().cloned().collect()
    }

    /// What has been shared, as the body turns out to be of this length.
    pub(super) fn shared(&self, length: u64) -> Given {
        self.flow.lock().shared.of_length(length)
    }

    /// The body is whole.
    pub(super) fn complete(&self, ballast: Ballast) {
        let mut flow = self.flow.lock();
        flow.end = End::Complete;
        flow.ballast = Some(ballast);
        drop(flow);
        self.grown.notify_waiters();
    }

    /// The body broke off.
    pub(super) fn fail(&self) {
        let mut flow = self.flow.lock();
        if flow.end == End::Open {
            flow.end = End::Failed;
            flow.chunks.clear();
            flow.retained = 0;
        }
        drop(flow);
        self.grown.notify_waiters();
    }

    /// Waits until a body that is only passed on is at most [`PASS_WINDOW`] ahead of its slowest reader, and returns the
    /// bytes held. Who keeps others waiting for longer than `patience` is cut off; `cut` is told how many.
    pub(super) async fn drained(&self, patience: Duration, cut: impl Fn(u64)) -> u64 {
        loop {
            let mut changed = pin!(self.drained.notified());
            changed.as_mut().enable();
            let (retained, is_full) = {
                let flow = self.flow.lock();
                (flow.retained, flow.retained > PASS_WINDOW && !flow.keeping)
            };
            if !is_full {
                return retained;
            }
            if tokio::time::timeout(patience, changed).await.is_err() {
                let laggards = self.flow.lock().cut_laggards();
                if laggards > 0 {
                    cut(laggards);
                    self.grown.notify_waiters();
                }
            }
        }
    }
}

impl Flow {
    /// The number of the piece behind the last.
    fn tail(&self) -> usize {
        self.gone + self.chunks.len()
    }

    /// Bytes that have come, as long as all of them are kept.
    fn arrived(&self) -> u64 {
        self.retained
    }

    fn positions(&self) -> impl Iterator<Item = usize> {
        self.seats.iter().filter_map(|seat| match seat {
            Seat::At(position) => Some(*position),
            Seat::Free | Seat::Cut => None,
        })
    }

    /// Lets go of what every reader has had.
    fn release(&mut self) {
        if self.keeping {
            return;
        }
        let needed = self.positions().min().unwrap_or(usize::MAX);
        while self.gone < needed {
            let Some(chunk) = self.chunks.pop_front() else { break };
            self.gone += 1;
            self.retained -= chunk.len() as u64;
        }
    }

    /// Cuts off who has not had the first piece held, if another reader has had them all; says how many.
    fn cut_laggards(&mut self) -> u64 {
        let (front, tail) = (self.gone, self.tail());
        if !self.positions().any(|position| position == tail) {
            return 0;
        }
        let mut laggards = 0;
        for seat in &mut self.seats {
            if *seat == Seat::At(front) {
                *seat = Seat::Cut;
                laggards += 1;
            }
        }
        self.release();
        laggards
    }

    /// The next pieces for this seat, at most `limit`, moved to `out`; `Ok(true)` when it has had the whole body.
    fn take(&mut self, seat: usize, limit: usize, out: &mut Vec<Bytes>) -> Result<bool, FillFailed> {
        let position = match self.seats[seat] {
            Seat::At(position) => position,
            Seat::Free | Seat::Cut => return Err(FillFailed::TooSlow),
        };
        if self.end == End::Failed {
            return Err(FillFailed::Incomplete);
        }
        let until = self.tail().min(position.saturating_add(limit));
        out.extend(self.chunks.range(position - self.gone..until - self.gone).cloned());
        self.seats[seat] = Seat::At(until);
        if position == self.gone && until > position {
            self.release();
        }
        Ok(self.end == End::Complete && until == self.tail())
    }
}

impl Reader {
    /// The head that goes with this body.
    pub fn answer(&self) -> &Arc<Answer> {
        &self.pipe.answer
    }

    /// Counts that this request shares the body of a fetch that another began, or what it wants of it.
    pub fn count_shared(&self, request: &RequestHead) {
        self.pipe.flow.lock().shared.add(request, self.answer());
    }

    /// Whether the one range that this request wants begins within what has come, or little behind it: then waiting for it
    /// is quicker than asking for it.
    pub fn is_near(&self, request: &RequestHead) -> bool {
        is_near(request, self.answer(), self.pipe.flow.lock().arrived())
    }

    /// The next piece, never empty; `None` at the end of a complete body. May be dropped while it waits; nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Bytes, FillFailed>> {
        let mut pieces = Vec::with_capacity(1);
        match self.wait(&mut pieces, 1).await {
            Ok(_) => pieces.pop().map(Ok),
            Err(failed) => Some(Err(failed)),
        }
    }

    /// Waits until there is something, and moves the pieces that are there (at most `limit`) to `out`; `Ok(true)` says that
    /// the body is complete with them. May be dropped while it waits; nothing is lost.
    pub async fn wait(&mut self, out: &mut Vec<Bytes>, limit: usize) -> Result<bool, FillFailed> {
        let before = out.len();
        loop {
            let pipe = self.pipe.clone();
            let mut changed = pin!(pipe.grown.notified());
            changed.as_mut().enable();
            let complete = self.take_ready(out, limit)?;
            if complete || out.len() > before {
                return Ok(complete);
            }
            changed.await;
        }
    }

    /// Like [`Reader::wait`], with what is there already, if anything.
    pub fn take_ready(&mut self, out: &mut Vec<Bytes>, limit: usize) -> Result<bool, FillFailed> {
        let taken = self.pipe.flow.lock().take(self.seat, limit, out);
        self.pipe.drained.notify_waiters();
        taken
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut flow = self.pipe.flow.lock();
        flow.seats[self.seat] = Seat::Free;
        flow.release();
        drop(flow);
        self.pipe.drained.notify_waiters();
    }
}
