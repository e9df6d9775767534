//! How a direction ends: by its source, by its sink, or by the gateway; and what others ask about that.

use bytes::Bytes;

use super::{Direction, Phase, boxed};
use crate::tunnel::wire::{Farewell, NotFrames, close_frame};

impl Direction {
    /// Whether the sink's write side is to be ended as soon as it has taken everything.
    pub(super) fn is_fin_due(&self) -> bool {
        !self.shut
            && match self.phase {
                // RFC 6455 §7.1.1: the connection is ended after both Close frames. Where there can be none, at once.
                Phase::Ended => self.answered || !self.told,
                Phase::Discarding => self.answered || self.observer.not_frames().is_some(),
                Phase::Passing | Phase::Closing | Phase::Finished => false,
            }
    }

    /// Whether the source has said its last word in answer to the sink's. A backend ends the connection behind it, as it is
    /// the server's part to do (RFC 6455 §7.1.1).
    pub(super) fn is_before_end(&self) -> bool {
        self.answered && self.observer.has_closed() && !self.observer.is_masked()
    }

    /// The gateway wants this direction closed. At a frame boundary the sink is told so in a Close frame, in the middle of
    /// a frame this waits for its end; bytes that are no frames are simply cut off, and after a Close frame of the source
    /// there is nothing left to say.
    pub(in crate::tunnel) fn begin_close(&mut self, farewell: &Farewell) {
        if self.phase == Phase::Passing {
            self.farewell = Some(Box::new(farewell.clone()));
            self.phase = Phase::Closing;
            self.close_at_boundary();
        }
    }

    pub(super) fn close_at_boundary(&mut self) {
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
    pub(in crate::tunnel) fn tell_of_loss(&mut self, farewell: &Farewell) -> bool {
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

    /// The source's stream has ended. What is held back of a frame is passed on like everything else.
    pub(super) fn end(&mut self) {
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
    pub(in crate::tunnel) fn source_failed(&mut self) {
        self.source_broke();
        self.observer.take_held();
        if self.phase != Phase::Finished {
            self.phase = Phase::Ended;
        }
    }

    /// The source's stream is broken, if it has not ended before, and whatever end of it is read from here.
    pub(in crate::tunnel) fn source_broke(&mut self) {
        self.broken |= !self.has_ended();
    }

    /// The sink can't be written any more, so there is nothing left to do.
    pub(in crate::tunnel) fn sink_failed(&mut self) {
        self.phase = Phase::Finished;
        self.kept = None;
    }

    /// The sink can't be written any more; the source is heard until it has said its last word.
    pub(in crate::tunnel) fn deafen(&mut self) {
        self.kept = None;
        self.shut = true;
        self.deaf = true;
        self.phase = if self.has_ended() { Phase::Finished } else { Phase::Discarding };
    }

    /// Whether the sink's stream is broken off, as an end of it would look like the source's own: the source broke, and no
    /// Close frame tells the sink anything.
    pub(in crate::tunnel) fn breaks_off(&self) -> bool {
        self.broken && !self.told && !self.observer.has_closed()
    }

    /// What the source's Close frame said, once it was seen.
    pub(in crate::tunnel) fn close(&self) -> Option<Farewell> {
        self.observer.close()
    }

    /// Whether the source has sent its Close frame, and the sink has the last byte of it.
    pub(in crate::tunnel) fn has_delivered_close(&self) -> bool {
        self.observer.has_closed() && self.observer.at_boundary() && self.is_delivered()
    }

    /// Whether the sink has heard from us that this is the end, or from the source.
    pub(in crate::tunnel) fn has_told(&self) -> bool {
        (self.told || self.observer.has_closed() || self.deaf) && self.is_delivered()
    }

    /// Whether the sink is told to close in a Close frame of our own.
    pub(in crate::tunnel) fn is_told(&self) -> bool {
        self.told
    }

    fn is_delivered(&self) -> bool {
        self.kept.is_none() && !self.unflushed
    }

    /// Whether nothing more is to be expected of the source: it has ended, or sent its Close frame.
    pub(in crate::tunnel) fn has_said_all(&self) -> bool {
        self.has_ended() || self.observer.has_closed()
    }

    /// Whether the source has ended.
    pub(in crate::tunnel) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Finished)
    }

    /// Whether the source's stream was read to its end, or to where it broke.
    pub(in crate::tunnel) fn is_read_out(&self) -> bool {
        self.phase == Phase::Ended || self.phase == Phase::Finished && self.shut && !self.deaf
    }

    /// Whether the sink's write side has ended.
    pub(in crate::tunnel) fn is_shut(&self) -> bool {
        self.shut
    }

    /// Whether the source's stream may end where it is.
    pub(in crate::tunnel) fn may_end(&self) -> bool {
        self.observer.may_end()
    }

    /// Why the source's bytes are not read as frames, if they are not.
    pub(in crate::tunnel) fn not_frames(&self) -> Option<NotFrames> {
        self.observer.not_frames()
    }

    /// Whether the direction is waiting for the end of a frame before it can close.
    pub(in crate::tunnel) fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether the sink has failed.
    pub(in crate::tunnel) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// Whether nothing is left to do.
    pub(in crate::tunnel) fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }
}
