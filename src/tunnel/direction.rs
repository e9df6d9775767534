//! One direction of a tunnel: from its source to its sink, with what could not be written yet.
//!
//! What can be written now is written now, straight from the borrowed buffer. Only what the sink did not take is kept,
//! and nothing more is read until it is gone: at most one buffer of bytes for each direction, whoever is slow.

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    close::CloseReason,
    wire::{Counts, Farewell, HELD_BYTES_MAX, NotFrames, Observer, Sieve, close_frame},
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
    /// What is kept is a frame of our own.
    kept_is_ours: bool,
    /// The sink may hold written bytes back until it is flushed (TLS).
    unflushed: bool,
    /// The sink was, or is about to be, told to close in a frame of our own.
    told: bool,
    /// The sink's write side has been ended, or has failed.
    shut: bool,
    /// The sink has failed: the source is heard to its end for its own sake.
    deaf: bool,
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
            kept_is_ours: false,
            unflushed: false,
            told: false,
            shut: false,
            deaf: false,
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
        for _ in 0..ROUNDS {
            match self.round(cx, (source, sink), answered, sieve.as_mut(), buffer) {
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
        answered: bool,
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
        if self.is_fin_due(answered) {
            ready!(Pin::new(&mut *sink).poll_shutdown(cx)).map_err(Step::SinkFailed)?;
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
            return Poll::Ready(Ok(()));
        }
        self.moved.heard = true;
        Poll::Ready(self.take(cx, sink, sieve, buffer, HELD_BYTES_MAX..HELD_BYTES_MAX + length))
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
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(source).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Whether the sink's write side is to be ended as soon as it has taken everything.
    fn is_fin_due(&self, answered: bool) -> bool {
        !self.shut
            && match self.phase {
                // RFC 6455 §7.1.1: the connection is ended after both Close frames. Where there can be none, at once.
                Phase::Ended => answered || !self.told,
                Phase::Discarding => answered || self.observer.not_frames().is_some(),
                Phase::Passing | Phase::Closing | Phase::Finished => false,
            }
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

    /// Writes what the sink takes now and keeps the rest.
    fn write(&mut self, cx: &mut Context<'_>, sink: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let taken = match Pin::new(sink).poll_write(cx, bytes) {
            Poll::Ready(taken) => self.count(taken)?,
            Poll::Pending => 0,
        };
        if taken < bytes.len() {
            self.kept = boxed(Bytes::copy_from_slice(&bytes[taken..]));
            self.kept_is_ours = false;
        }
        Ok(())
    }

    fn write_kept(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Poll<Result<(), Step>> {
        let Some(kept) = &self.kept else { return Poll::Ready(Ok(())) };
        let taken = ready!(Pin::new(sink).poll_write(cx, kept));
        let taken = self.count(taken).map_err(Step::SinkFailed)?;
        if !self.kept_is_ours {
            self.moved.passed = true;
            self.moved.spoke = true;
        }
        self.kept = self.kept.take().and_then(|kept| boxed(kept.slice(taken..)));
        Poll::Ready(Ok(()))
    }

    fn count(&mut self, taken: io::Result<usize>) -> io::Result<usize> {
        let taken = taken?;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.counts.get_or_insert_default().tally.bytes += taken as u64;
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
    pub(super) fn begin_close(&mut self, farewell: &Farewell) {
        if self.phase == Phase::Passing {
            self.farewell = Some(Box::new(farewell.clone()));
            self.phase = Phase::Closing;
            self.close_at_boundary();
        }
    }

    fn close_at_boundary(&mut self) {
        if self.observer.not_frames().is_some() || self.observer.has_closed() {
            self.phase = Phase::Discarding;
        } else if self.observer.at_boundary() {
            if let Some(farewell) = self.farewell.take() {
                self.tell(&farewell);
            }
            self.phase = Phase::Discarding;
        }
    }

    /// The source has vanished without a word: the sink is told so, where that can be. Says whether it is.
    pub(super) fn tell_of_loss(&mut self, farewell: &Farewell) -> bool {
        let is_understood = self.observer.not_frames().is_none() && !self.observer.has_closed();
        if self.phase == Phase::Ended && is_understood && self.observer.at_boundary() && !self.shut && !self.told {
            self.tell(farewell);
        }
        self.told
    }

    fn tell(&mut self, farewell: &Farewell) {
        let frame = close_frame(farewell, self.key());
        let kept = self.kept.take().map_or_else(Bytes::new, |kept| *kept);
        self.kept = boxed(if kept.is_empty() { frame.into() } else { [&kept[..], &frame].concat().into() });
        self.told = true;
    }

    /// RFC 6455 §5.3 wants keys that a page can't foresee; here no page has chosen what is masked.
    pub(super) fn key(&self) -> Option<[u8; 4]> {
        self.observer.is_masked().then(|| fastrand::u32(..).to_ne_bytes())
    }

    /// Puts a frame of our own between two frames, if there is a place for it now.
    pub(super) fn insert(&mut self, frame: impl FnOnce() -> Vec<u8>) -> bool {
        let is_open = self.phase == Phase::Passing && !self.observer.has_closed();
        let has_place = is_open && self.kept.is_none() && self.first.is_none() && self.observer.at_boundary();
        if has_place {
            self.kept = boxed(frame().into());
            self.kept_is_ours = true;
        }
        has_place
    }

    /// The source's stream has ended. What is held back of a frame is passed on like everything else.
    fn end(&mut self) {
        if let Some(held) = self.observer.take_held() {
            let held = held.as_ref();
            if self.phase == Phase::Passing {
                self.kept = boxed(Bytes::copy_from_slice(held));
            }
            self.ignore(held);
        }
        self.phase = Phase::Ended;
    }

    /// The source can't be read any more. What it said in whole frames is still delivered.
    pub(super) fn source_failed(&mut self) {
        self.observer.take_held();
        if self.phase != Phase::Finished {
            self.phase = Phase::Ended;
        }
    }

    /// The sink can't be written any more, so there is nothing left to do.
    pub(super) fn sink_failed(&mut self) {
        self.phase = Phase::Finished;
        self.kept = None;
    }

    /// The sink can't be written any more; the source is heard until it has said its last word.
    pub(super) fn deafen(&mut self) {
        self.kept = None;
        self.shut = true;
        self.deaf = true;
        self.phase = if self.has_ended() { Phase::Finished } else { Phase::Discarding };
    }

    /// What has happened since this was last asked.
    #[inline]
    pub(super) fn take_moved(&mut self) -> Moved {
        std::mem::take(&mut self.moved)
    }

    /// What is to be told to the record and the metrics.
    pub(super) fn take_counts(&mut self) -> Option<Box<Counts>> {
        self.counts.take()
    }

    /// What the source's Close frame said, once it was seen.
    pub(super) fn close(&self) -> Option<Farewell> {
        self.observer.close()
    }

    /// Whether the source has sent its Close frame, and the sink has the last byte of it.
    pub(super) fn has_delivered_close(&self) -> bool {
        self.observer.has_closed() && self.observer.at_boundary() && self.is_delivered()
    }

    /// Whether the sink has heard from us that this is the end, or from the source.
    pub(super) fn has_told(&self) -> bool {
        (self.told || self.observer.has_closed() || self.deaf) && self.is_delivered()
    }

    /// Whether the sink is told to close in a Close frame of our own.
    pub(super) fn is_told(&self) -> bool {
        self.told
    }

    fn is_delivered(&self) -> bool {
        self.kept.is_none() && !self.unflushed
    }

    /// Whether nothing more is to be expected of the source: it has ended, or sent its Close frame.
    pub(super) fn has_said_all(&self) -> bool {
        self.has_ended() || self.observer.has_closed()
    }

    /// Whether the source has ended.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Finished)
    }

    /// Whether the source's stream may end where it is.
    pub(super) fn may_end(&self) -> bool {
        self.observer.may_end()
    }

    /// Why the source's bytes are not read as frames, if they are not.
    pub(super) fn not_frames(&self) -> Option<NotFrames> {
        self.observer.not_frames()
    }

    /// Whether the direction is waiting for the end of a frame before it can close.
    pub(super) fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether the sink has failed.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Whether nothing is left to do.
    pub(super) fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
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
