//! One direction of a tunnel: from its source to its sink, with what could not be written yet.
//!
//! What can be written now is written now, straight from the borrowed buffer. Only what the sink did not take is kept,
//! and nothing more is read until it is gone: at most one buffer of bytes for each direction, whoever is slow.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::{FrameTracker, close_frame};
use crate::net::Stream;

/// The state of one direction. At rest it holds no memory of its own.
pub(super) struct Direction {
    /// Read, and not yet taken by the sink.
    kept: Bytes,
    tracker: FrameTracker,
    phase: Phase,
    /// Bytes that the sink took.
    passed: u64,
    /// Bytes were read or written since this was last asked.
    moved: bool,
    /// The sink may hold written bytes back until it is flushed (TLS).
    unflushed: bool,
    /// The sink was, or is about to be, told to close in a frame of our own.
    sent_close: bool,
    /// The sink's write side has been ended.
    shut: bool,
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
    /// The source has ended: what is kept is written, then the sink's write side ends.
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
}

/// Everything about a direction that the other one may be waiting for.
pub(super) type Shape = (u8, bool);

impl Direction {
    /// With the bytes that came together with the head: they go first.
    pub(super) fn new(mut tracker: FrameTracker, first: Bytes) -> Self {
        tracker.feed(&first);
        Self {
            // An empty piece may still hold the whole buffer that the head was read into.
            kept: if first.is_empty() { Bytes::new() } else { first },
            tracker,
            phase: Phase::Passing,
            passed: 0,
            moved: false,
            unflushed: false,
            sent_close: false,
            shut: false,
        }
    }

    /// Moves bytes until one end has no more for now, at most `ROUNDS` times, so that a fast pair starves nobody.
    /// `answered` says that the sink's own side has said its last word.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
        answered: bool,
        buffer: &mut [u8],
    ) -> Step {
        for _ in 0..ROUNDS {
            match self.round(cx, source, sink, answered, buffer) {
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
        source: &mut Stream,
        sink: &mut Stream,
        answered: bool,
        buffer: &mut [u8],
    ) -> Poll<Result<(), Step>> {
        if self.phase == Phase::Finished {
            return Poll::Pending;
        }
        if !self.kept.is_empty() {
            return self.write_kept(cx, sink);
        }
        if self.is_fin_due(answered) {
            ready!(Pin::new(&mut *sink).poll_shutdown(cx)).map_err(Step::SinkFailed)?;
            self.shut = true;
        }
        if self.phase == Phase::Ended {
            self.phase = Phase::Finished;
            return Poll::Pending;
        }
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(source).poll_read(cx, &mut read)).map_err(Step::SourceFailed)?;
        let bytes = read.filled();
        if bytes.is_empty() {
            self.phase = Phase::Ended;
            return Poll::Ready(Ok(()));
        }
        self.moved = true;
        Poll::Ready(self.take(cx, sink, bytes).map_err(Step::SinkFailed))
    }

    /// Whether the sink's write side is to be ended as soon as it has taken everything.
    fn is_fin_due(&self, answered: bool) -> bool {
        !self.shut
            && match self.phase {
                Phase::Ended => true,
                // RFC 6455 §7.1.1: the connection is ended after both Close frames. Where there can be none, at once.
                Phase::Discarding => answered || self.tracker.is_lost(),
                Phase::Passing | Phase::Closing | Phase::Finished => false,
            }
    }

    /// Does with freshly read bytes what the phase says.
    fn take(&mut self, cx: &mut Context<'_>, sink: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        match self.phase {
            Phase::Closing => {
                let frame_end = self.tracker.advance(bytes);
                self.write(cx, sink, &bytes[..frame_end])?;
                self.begin_close();
                self.tracker.feed(&bytes[frame_end..]);
                Ok(())
            }
            Phase::Discarding => {
                self.tracker.feed(bytes);
                Ok(())
            }
            Phase::Passing | Phase::Ended | Phase::Finished => {
                self.tracker.feed(bytes);
                self.write(cx, sink, bytes)
            }
        }
    }

    /// Writes what the sink takes now and keeps the rest.
    fn write(&mut self, cx: &mut Context<'_>, sink: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        let taken = match Pin::new(sink).poll_write(cx, bytes) {
            Poll::Ready(taken) => self.count(taken)?,
            Poll::Pending => 0,
        };
        if taken < bytes.len() {
            self.kept = Bytes::copy_from_slice(&bytes[taken..]);
        }
        Ok(())
    }

    fn write_kept(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Poll<Result<(), Step>> {
        let taken = ready!(Pin::new(sink).poll_write(cx, &self.kept));
        let taken = self.count(taken).map_err(Step::SinkFailed)?;
        if taken == self.kept.len() {
            // An emptied `Bytes` would still hold its memory.
            self.kept = Bytes::new();
        } else {
            self.kept = self.kept.slice(taken..);
        }
        Poll::Ready(Ok(()))
    }

    fn count(&mut self, taken: io::Result<usize>) -> io::Result<usize> {
        let taken = taken?;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.passed += taken as u64;
        self.moved = true;
        self.unflushed = true;
        Ok(taken)
    }

    fn flush(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Step {
        if self.unflushed {
            match Pin::new(sink).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Step::SinkFailed(error),
                Poll::Pending => {}
            }
        }
        Step::Waits
    }

    /// The gateway wants this direction closed. At a frame boundary the sink is told so in a Close frame, in the middle of
    /// a frame this waits for its end; bytes that are no frames are simply cut off, and after a Close frame of the source
    /// there is nothing left to say.
    pub(super) fn begin_close(&mut self) {
        if !matches!(self.phase, Phase::Passing | Phase::Closing) {
            return;
        }
        if self.tracker.is_lost() || self.has_said_close() {
            self.phase = Phase::Discarding;
        } else if self.tracker.at_boundary() {
            // RFC 6455 §5.3 wants keys that a page can't foresee; here no page has chosen what is masked.
            let key = self.tracker.is_masked().then(|| fastrand::u32(..).to_ne_bytes());
            let frame = close_frame(SERVICE_RESTART, key);
            self.kept = [&self.kept[..], &frame[..]].concat().into();
            self.sent_close = true;
            self.phase = Phase::Discarding;
        } else {
            self.phase = Phase::Closing;
        }
    }

    /// The source can't be read any more. What it said is still delivered.
    pub(super) fn source_failed(&mut self) {
        if self.phase != Phase::Finished {
            self.phase = Phase::Ended;
        }
    }

    /// The sink can't be written any more, so there is nothing left to do.
    pub(super) fn sink_failed(&mut self) {
        self.phase = Phase::Finished;
        self.kept = Bytes::new();
    }

    /// Whether anything was read or written since this was last asked.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Bytes that the sink took.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// The code of the source's Close frame, once it was seen.
    pub(super) fn close_code(&self) -> Option<u16> {
        self.tracker.close_code()
    }

    fn has_said_close(&self) -> bool {
        self.tracker.close_code().is_some()
    }

    /// Whether the source has sent its Close frame, and the sink has the last byte of it.
    pub(super) fn has_delivered_close(&self) -> bool {
        self.has_said_close() && self.tracker.at_boundary() && self.kept.is_empty() && !self.unflushed
    }

    /// Whether nothing more is to be expected of the source: it has ended, or sent its Close frame.
    pub(super) fn has_said_all(&self) -> bool {
        self.has_ended() || self.has_said_close()
    }

    /// Whether the source has ended.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Finished)
    }

    /// Whether the direction is waiting for the end of a frame before it can close.
    pub(super) fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether the sink is told to close in a Close frame of our own.
    pub(super) fn has_sent_close(&self) -> bool {
        self.sent_close
    }

    /// Whether nothing is left to do.
    pub(super) fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// To see whether the direction changed in a way that the other one may be waiting for.
    pub(super) fn shape(&self) -> Shape {
        (self.phase as u8, self.has_said_close())
    }
}

/// RFC 6455's registry of close codes, "Service Restart". Never 1001: to it some clients do not come back.
pub(super) const SERVICE_RESTART: u16 = 1012;
/// Reads of one direction before other tasks get their turn.
const ROUNDS: usize = 16;
