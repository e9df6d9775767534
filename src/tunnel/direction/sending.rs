//! The sink's part: what it takes now is written now, the rest is kept.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::{Direction, Phase, Step, boxed};
use crate::net::Stream;

impl Direction {
    /// Writes what the sink takes now and keeps the rest.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, sink: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let written = match self.is_before_end() {
            true => sink.poll_write_last(cx, bytes),
            false => Pin::new(&mut *sink).poll_write(cx, bytes),
        };
        let taken = match written {
            Poll::Ready(taken) => self.count(taken)?,
            Poll::Pending => 0,
        };
        if taken < bytes.len() {
            self.kept = boxed(Bytes::copy_from_slice(&bytes[taken..]));
            self.kept_is_ours = false;
        }
        Ok(())
    }

    pub(super) fn write_kept(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Poll<Result<(), Step>> {
        let Some(kept) = &self.kept else { return Poll::Ready(Ok(())) };
        let taken = ready!(Pin::new(sink).poll_write(cx, kept));
        let taken = self.count(taken).map_err(Step::SinkFailed)?;
        if !self.kept_is_ours {
            self.moved.passed = true;
            self.moved.spoke = true;
        }
        self.kept = self.kept.take().and_then(|kept| boxed(kept.slice(taken..)));
        self.moved.asked |= self.kept_is_ours && self.kept.is_none();
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

    pub(super) fn flush(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Step {
        if self.unflushed {
            if self.is_before_end() && self.phase != Phase::Ended {
                // The end that the last word was to leave with is not there yet.
                sink.let_go();
            }
            match Pin::new(sink).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Step::SinkFailed(error),
                Poll::Pending => {}
            }
        }
        Step::Waits
    }

    /// Whether the source is not listened to, because the sink has to take something first.
    pub(in crate::tunnel) fn is_full(&self) -> bool {
        self.kept.is_some()
    }

    /// Puts a frame of our own between two frames, if there is a place for it now.
    pub(in crate::tunnel) fn insert(&mut self, frame: impl FnOnce() -> Vec<u8>) -> bool {
        let is_open = self.phase == Phase::Passing && !self.observer.has_closed();
        let has_place = is_open && self.kept.is_none() && self.first.is_none() && self.observer.at_boundary();
        if has_place {
            self.kept = boxed(frame().into());
            self.kept_is_ours = true;
        }
        has_place
    }

    /// RFC 6455 §5.3 wants keys that a page can't foresee; here no page has chosen what is masked.
    pub(in crate::tunnel) fn key(&self) -> Option<[u8; 4]> {
        self.observer.is_masked().then(|| fastrand::u32(..).to_ne_bytes())
    }
}
