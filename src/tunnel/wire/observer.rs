//! One direction of WebSocket frames, followed whatever the slicing of its bytes (RFC 6455 §5).
//!
//! The observer reads frame headers and skips payloads by arithmetic, so its cost is per frame and per read, not per
//! byte, and it copies nothing but what it finds of a header at the end of a read. It can't break a tunnel: bytes that
//! are no frames make it lose its place for good, with a reason, and then it counts no more.

use super::{
    Counts, Farewell, Head, NotFrames, Opcode,
    head::{CONTROL_PAYLOAD_MAX, HELD_BYTES_MAX},
};

/// Follows the frames of one direction.
#[derive(Debug)]
pub struct Observer {
    place: Place,
    /// Bytes so far of the message under way; without one, zero. Once the place is lost, bytes since then.
    message: u64,
    /// The first Close frame, as far as it has come.
    close: Option<Box<CloseSeen>>,
    under_way: UnderWay,
    /// The frame at hand is the last of its message.
    ends_message: bool,
    /// What was taken last is of a message, or may be.
    speaks: bool,
    /// Whether frames of this direction must be masked (RFC 6455 §5.1: those of a client are, those of a server are not).
    masked: bool,
}

#[derive(Debug)]
enum Place {
    /// Between two frames.
    Boundary,
    /// Within a header, of which this has passed.
    Head(Stash),
    /// Behind a boundary, and this much of the next frame was held back.
    Held(Stash),
    /// So many bytes of payload are still to come; never zero.
    Payload(u64),
    /// So many bytes of the first Close frame's payload are still to come; never zero.
    Close(u8),
    /// The bytes are no frames.
    Lost(NotFrames),
}

/// The beginning of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stash {
    bytes: [u8; HELD_BYTES_MAX],
    length: u8,
}

/// The message of which some frames have come and others not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnderWay {
    Nothing,
    Text,
    Binary,
}

#[derive(Debug)]
struct CloseSeen {
    key: [u8; 4],
    payload: [u8; CONTROL_PAYLOAD_MAX as usize],
    length: u8,
}

impl Observer {
    /// For frames that a client sends: masked.
    pub fn from_client() -> Self {
        Self::new(true)
    }

    /// For frames that a backend sends: not masked.
    pub fn from_backend() -> Self {
        Self::new(false)
    }

    fn new(masked: bool) -> Self {
        let (place, under_way) = (Place::Boundary, UnderWay::Nothing);
        Self { place, message: 0, close: None, under_way, ends_message: false, speaks: false, masked }
    }

    /// Reads nothing from here on.
    pub fn close_eyes(&mut self) {
        self.lose(NotFrames::Unasked);
    }

    /// Takes the next bytes of the stream, all of them. Says whether any belonged to a message, or may have.
    #[inline]
    pub fn feed(&mut self, bytes: &[u8], counts: &mut Counts) -> bool {
        let (mut rest, mut spoke) = (bytes, false);
        while !rest.is_empty() {
            rest = &rest[self.step(rest, counts)..];
            spoke |= self.speaks;
        }
        spoke
    }

    /// Takes bytes up to the end of the frame that they belong to, and says how many that were: all of them when the
    /// frame does not end within them, or when the place is lost.
    pub fn advance(&mut self, bytes: &[u8], counts: &mut Counts) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            used += self.step(&bytes[used..], counts);
            if matches!(self.place, Place::Boundary) {
                break;
            }
        }
        used
    }

    /// Whether everything that was passed on is whole frames, so that another frame may be put in here.
    pub fn at_boundary(&self) -> bool {
        matches!(self.place, Place::Boundary | Place::Held(_))
    }

    /// Whether the stream may end here: between two messages, or where nobody knows.
    pub fn may_end(&self) -> bool {
        self.not_frames().is_some() || self.at_boundary() && self.under_way == UnderWay::Nothing
    }

    /// Why the bytes are not read as frames; this does not change any more.
    pub fn not_frames(&self) -> Option<NotFrames> {
        match self.place {
            Place::Lost(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether the first Close frame has passed whole.
    pub fn has_closed(&self) -> bool {
        self.close.is_some() && !matches!(self.place, Place::Close(_))
    }

    /// What the first Close frame said, once it has passed whole.
    pub fn close(&self) -> Option<Farewell> {
        let seen = self.close.as_ref().filter(|_| self.has_closed())?;
        Some(Farewell::read(&seen.payload[..usize::from(seen.length)]))
    }

    /// Whether frames of this direction are masked.
    pub fn is_masked(&self) -> bool {
        self.masked
    }

    /// Bytes so far of the message under way.
    pub(super) fn message(&self) -> u64 {
        self.message
    }

    /// Bytes since the place was lost; zero while it is known, or where nobody asks.
    pub(super) fn unread(&self) -> u64 {
        match self.place {
            Place::Lost(reason) if reason != NotFrames::Unasked => self.message,
            _ => 0,
        }
    }

    /// Whether what was taken last is of a message, or may be.
    pub(super) fn is_speaking(&self) -> bool {
        self.speaks
    }

    /// Keeps the beginning of a frame that is not to be passed on yet; at most a header's longest length.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.place = Place::Held(Stash::of(bytes));
    }

    /// Gives back what was held, to be put in front of the next bytes.
    pub fn take_held(&mut self) -> Option<impl AsRef<[u8]> + use<>> {
        let Place::Held(stash) = self.place else { return None };
        self.place = Place::Boundary;
        Some(stash)
    }

    /// Takes some bytes, at least one. What was held back counts as taken.
    #[inline]
    fn step(&mut self, bytes: &[u8], counts: &mut Counts) -> usize {
        match &mut self.place {
            Place::Boundary => match Head::read(bytes, self.masked) {
                Ok(Some(head)) => {
                    self.enter(&head, counts);
                    head.length
                }
                Ok(None) => {
                    self.place = Place::Head(Stash::of(bytes));
                    self.speaks = false;
                    bytes.len()
                }
                Err(reason) => {
                    self.lose(reason);
                    self.take_unread(bytes)
                }
            },
            Place::Payload(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                if *left == 0 {
                    self.end_frame(counts);
                }
                taken
            }
            Place::Head(stash) | Place::Held(stash) => {
                let mut stash = *stash;
                self.fill(&mut stash, bytes, counts)
            }
            Place::Close(_) => self.read_close(bytes[0]),
            Place::Lost(_) => self.take_unread(bytes),
        }
    }

    /// Goes on with a header that began in an earlier read.
    fn fill(&mut self, stash: &mut Stash, bytes: &[u8], counts: &mut Counts) -> usize {
        let before = usize::from(stash.length);
        let more = stash.extend(bytes);
        match Head::read(stash.as_ref(), self.masked) {
            Ok(Some(head)) => {
                self.enter(&head, counts);
                if head.length < before {
                    // The beginning of a Pong's payload was held back with its header.
                    self.advance(&stash.bytes[head.length..before], counts);
                }
                head.length.saturating_sub(before)
            }
            Ok(None) => {
                self.place = Place::Head(*stash);
                more
            }
            Err(reason) => {
                self.lose(reason);
                self.take_unread(bytes)
            }
        }
    }

    /// A header has come.
    #[inline]
    fn enter(&mut self, head: &Head, counts: &mut Counts) {
        counts.tally.frames += 1;
        self.ends_message = false;
        self.speaks = !head.opcode.is_control();
        match (head.opcode, self.under_way) {
            (Opcode::Text, UnderWay::Nothing) => self.under_way = UnderWay::Text,
            (Opcode::Binary, UnderWay::Nothing) => self.under_way = UnderWay::Binary,
            (Opcode::Continuation, UnderWay::Text | UnderWay::Binary) => {}
            (Opcode::Ping, _) => counts.tally.pings += 1,
            (Opcode::Pong, _) => counts.tally.pongs += 1,
            (Opcode::Close, _) => return self.enter_close(head),
            // RFC 6455 §5.4: messages follow each other, their pieces only control frames may part.
            (Opcode::Text | Opcode::Binary | Opcode::Continuation, _) => {
                self.lose(NotFrames::Fragments);
                return;
            }
        }
        if self.speaks {
            self.message = self.message.saturating_add(head.payload);
            self.ends_message = head.fin;
        }
        self.place = Place::Payload(head.payload);
        if head.payload == 0 {
            self.end_frame(counts);
        }
    }

    fn enter_close(&mut self, head: &Head) {
        self.place = match head.payload {
            0 => Place::Boundary,
            left if self.close.is_some() => Place::Payload(left),
            left => Place::Close(left as u8),
        };
        self.close.get_or_insert_with(|| {
            Box::new(CloseSeen { key: head.key, payload: [0; CONTROL_PAYLOAD_MAX as usize], length: 0 })
        });
    }

    fn read_close(&mut self, byte: u8) -> usize {
        if let (Place::Close(left), Some(seen)) = (&mut self.place, &mut self.close) {
            let at = usize::from(seen.length);
            seen.payload[at] = byte ^ seen.key[at % 4];
            seen.length += 1;
            *left -= 1;
            if *left == 0 {
                self.place = Place::Boundary;
            }
        }
        1
    }

    #[inline]
    fn end_frame(&mut self, counts: &mut Counts) {
        self.place = Place::Boundary;
        if self.ends_message {
            counts.message(self.under_way == UnderWay::Text, self.message);
            self.under_way = UnderWay::Nothing;
            self.ends_message = false;
            self.message = 0;
        }
    }

    /// From here on all bytes are taken as they come.
    fn lose(&mut self, reason: NotFrames) {
        self.place = Place::Lost(reason);
        self.speaks = true;
        self.message = 0;
    }

    fn take_unread(&mut self, bytes: &[u8]) -> usize {
        self.message = self.message.saturating_add(bytes.len() as u64);
        bytes.len()
    }
}

impl Stash {
    /// The first bytes of these, as many as a header may have.
    fn of(bytes: &[u8]) -> Self {
        let mut stash = Self { bytes: [0; HELD_BYTES_MAX], length: 0 };
        stash.extend(bytes);
        stash
    }

    /// Takes as many bytes as there is room for.
    fn extend(&mut self, bytes: &[u8]) -> usize {
        let have = usize::from(self.length);
        let more = bytes.len().min(HELD_BYTES_MAX - have);
        self.bytes[have..have + more].copy_from_slice(&bytes[..more]);
        self.length += more as u8;
        more
    }
}

impl AsRef<[u8]> for Stash {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

#[cfg(test)]
pub(super) mod tests;
