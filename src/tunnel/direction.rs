//! One direction of a tunnel: from its source to its sink, with what could not be written yet.
//!
//! What can be written now is written now, straight from the borrowed buffer. Only what the sink did not take is kept,
//! and nothing more is read until it is gone: at most one buffer of bytes for each direction, whoever is slow.

mod ending;
mod sending;

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::has_budget_remaining,
};

use super::{
    close::CloseReason,
    wire::{Counts, Farewell, HELD_BYTES_MAX, Observer, Sieve},
};
use crate::net::Stream;

/// The state of one direction. At rest it holds no memory of its own.
pub(super) struct Direction {
    /// Came together with the source's head, and is taken before anything is read.
    first: Option<Box<Bytes>>,
    /// Read, and not yet taken by the sink.
    kept: Option<Box<Bytes>>,
    observer: Observer,
    /// What nobody was told yet.
    counts: Option<Box<Counts>>,
    /// What the sink is told once the frame in flight has ended.
    farewell: Option<Box<Farewell>>,
    phase: Phase,
    moved: Moved,
    /// The event loop knows that this task is to be woken when the source has something.
    waits: bool,
    /// What is kept is a frame of our own.
    kept_is_ours: bool,
    /// The sink may hold written bytes back until it is flushed (TLS).
    unflushed: bool,
    /// The sink was, or is about to be, told to close in a frame of our own.
    told: bool,
    /// The sink's own side has said its last word.
    answered: bool,
    /// The sink's write side has been ended or broken off, or has failed.
    shut: bool,
    /// The sink has failed: the source is heard to its end for its own sake.
    deaf: bool,
    /// The source's stream did not end, but broke.
    broken: bool,
}

/// How far a direction has come. It only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Every byte is passed on.
    Passing,
    /// The gateway wants to close: bytes pass up to the end of the frame in flight.
    Closing,
    /// The sink was told that this direction is over: what the source still says is read and dropped.
    Discarding,
    /// The source has ended or is broken: what is kept is written, then the sink's write side ends or is broken off.
    Ended,
    /// Nothing is left to do.
    Finished,
}

/// What moving bytes came to.
#[derive(Debug)]
pub(super) enum Step {
    /// No more for now; the task is woken when there is.
    Waits,
    /// The source can't be read any more.
    SourceFailed(io::Error),
    /// The sink can't be written any more.
    SinkFailed(io::Error),
    /// The source does not keep a limit; the sink is told already.
    Breach(CloseReason),
}

/// What has happened in a direction since that was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    /// The source has sent something.
    pub(super) heard: bool,
    /// Bytes of a peer were passed on.
    pub(super) passed: bool,
    /// Some of them belonged to a message, or may have.
    pub(super) spoke: bool,
    /// The sink has taken the last byte of a frame of our own.
    pub(super) asked: bool,
    /// The Pong that answers us has come.
    pub(super) answered: bool,
}

/// Everything about a direction that the other one may be waiting for.
pub(super) type Shape = (u8, bool);

impl Direction {
    /// With the bytes that came together with the head: they go first.
    pub(super) fn new(observer: Observer, first: Bytes) -> Self {
        Self {
            first: boxed(first),
            kept: None,
            observer,
            counts: None,
            farewell: None,
            phase: Phase::Passing,
            moved: Moved::default(),
            waits: false,
            kept_is_ours: false,
            unflushed: false,
            told: false,
            answered: false,
            shut: false,
            deaf: false,
            broken: false,
        }
    }

    /// Moves bytes until one end has no more for now, at most `ROUNDS` times, so that a fast pair starves nobody.
    /// `answered` says that the sink's own side has said its last word.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        (source, sink): (&mut Stream, &mut Stream),
        answered: bool,
        mut sieve: Option<Sieve<'_>>,
        buffer: &mut [u8],
    ) -> Step {
        self.answered = answered;
        for _ in 0..ROUNDS {
            match self.round(cx, (source, sink), sieve.as_mut(), buffer) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(step)) => return step,
                Poll::Pending => return self.flush(cx, sink),
            }
        }
        cx.waker().wake_by_ref();
        Step::Waits
    }

    /// One read with its write, or whatever comes before it.
    fn round(
        &mut self,
        cx: &mut Context<'_>,
        (source, sink): (&mut Stream, &mut Stream),
        sieve: Option<&mut Sieve<'_>>,
        buffer: &mut [u8],
    ) -> Poll<Result<(), Step>> {
        if self.deaf && self.observer.has_closed() {
            self.phase = Phase::Finished;
        }
        if self.phase == Phase::Finished {
            return Poll::Pending;
        }
        if self.kept.is_some() {
            return self.write_kept(cx, sink);
        }
        if self.is_fin_due() {
            let shut = match self.breaks_off() {
                true => sink.poll_break_off(cx),
                false => Pin::new(&mut *sink).poll_shutdown(cx),
            };
            ready!(shut).map_err(Step::SinkFailed)?;
            self.shut = true;
        }
        if self.phase == Phase::Ended {
            if self.shut {
                self.phase = Phase::Finished;
            }
            return Poll::Pending;
        }
        let length = ready!(self.read(cx, source, &mut buffer[HELD_BYTES_MAX..])).map_err(Step::SourceFailed)?;
        if length == 0 {
            self.end();
            // Perhaps that was all: then both connections are closed, and the sink's write side need not be ended before.
            return Poll::Pending;
        }
        self.moved.heard = true;
        Poll::Ready(self.take(cx, sink, sieve, buffer, HELD_BYTES_MAX..HELD_BYTES_MAX + length))
    }

    /// The task is another one than before: the source does not know it yet.
    pub(super) fn new_task(&mut self) {
        self.waits = false;
    }

    /// The next bytes: those that came first, then those of the source.
    fn read(&mut self, cx: &mut Context<'_>, source: &mut Stream, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Some(first) = &mut self.first {
            let length = first.len().min(buffer.len());
            first.copy_to_slice(&mut buffer[..length]);
            if first.is_empty() {
                self.first = None;
            }
            return Poll::Ready(Ok(length));
        }
        // Most wake-ups are for the other direction.
        if self.waits && !source.is_readable() {
            return Poll::Pending;
        }
        let mut read = ReadBuf::new(buffer);
        let result = Pin::new(source).poll_read(cx, &mut read);
        // A task that has used up its turn waits for nothing but its next.
        self.waits = result.is_pending() && has_budget_remaining();
        ready!(result)?;
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Does with the bytes that were read to this part of the buffer what the phase says.
    fn take(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Stream,
        sieve: Option<&mut Sieve<'_>>,
        buffer: &mut [u8],
        Range { start, end }: Range<usize>,
    ) -> Result<(), Step> {
        match self.phase {
            Phase::Closing => {
                let bytes = &buffer[start..end];
                let frame_end = self.observer.advance(bytes, self.counts.get_or_insert_default());
                self.write(cx, sink, &bytes[..frame_end]).map_err(Step::SinkFailed)?;
                self.close_at_boundary();
                self.ignore(&bytes[frame_end..]);
                Ok(())
            }
            Phase::Discarding => {
                self.ignore(&buffer[start..end]);
                Ok(())
            }
            Phase::Passing | Phase::Ended | Phase::Finished => {
                let start = self.put_held_before(buffer, start);
                self.pass(cx, sink, sieve, &mut buffer[start..end])
            }
        }
    }

    /// What was held back of a frame goes in front of its next bytes, whose place is `start`. Gives their common place.
    #[inline]
    fn put_held_before(&mut self, buffer: &mut [u8], start: usize) -> usize {
        let Some(held) = self.observer.take_held() else { return start };
        let held = held.as_ref();
        buffer[start - held.len()..start].copy_from_slice(held);
        start - held.len()
    }

    /// Passes on what may pass.
    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Stream,
        sieve: Option<&mut Sieve<'_>>,
        bytes: &mut [u8],
    ) -> Result<(), Step> {
        let counts = self.counts.get_or_insert_default();
        let Some(sieve) = sieve else {
            self.moved.spoke |= self.observer.feed(bytes, counts);
            self.moved.passed = true;
            return self.write(cx, sink, bytes).map_err(Step::SinkFailed);
        };
        let sifted = sieve.sift(&mut self.observer, bytes, counts);
        self.moved.spoke |= sifted.spoke;
        self.moved.passed |= sifted.pass > 0;
        self.moved.answered |= sifted.answered;
        self.write(cx, sink, &bytes[..sifted.pass]).map_err(Step::SinkFailed)?;
        match sifted.breach {
            None => Ok(()),
            Some(breach) => {
                // The sink is between two frames, and the source is not any more once its bytes are followed further.
                let reason = CloseReason::from(breach);
                self.begin_close(&reason.farewell());
                self.ignore(&bytes[sifted.used..]);
                Err(Step::Breach(reason))
            }
        }
    }

    /// Follows bytes that go nowhere, for the Close frame that may be among them.
    fn ignore(&mut self, bytes: &[u8]) {
        self.observer.feed(bytes, &mut Counts::default());
    }

    /// What has happened since this was last asked.
    #[inline]
    pub(super) fn take_moved(&mut self) -> Moved {
        std::mem::take(&mut self.moved)
    }

    /// What is to be told to the record and the metrics.
    pub(super) fn take_counts(&mut self) -> Option<Box<Counts>> {
        let mut counts = self.counts.take()?;
        counts.tally.not_frames = self.observer.not_frames();
        Some(counts)
    }

    /// To see whether the direction changed in a way that the other one may be waiting for.
    #[inline]
    pub(super) fn shape(&self) -> Shape {
        (self.phase as u8, self.observer.has_closed())
    }
}

/// Nothing needs no box, and no memory that it is a part of.
fn boxed(bytes: Bytes) -> Option<Box<Bytes>> {
    (!bytes.is_empty()).then(|| Box::new(bytes))
}

/// Reads of one direction before other tasks get their turn.
const ROUNDS: usize = 16;
