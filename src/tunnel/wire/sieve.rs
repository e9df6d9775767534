//! A direction held to its limits, frame by frame: what may not pass is stopped at the boundary before it.
//!
//! While something is looked for, the beginning of a frame is held back until it can be judged: a header at most, or a
//! Pong that may be the answer to a Ping of ours. So nobody ever gets half a frame that is then taken back.

use std::time::Instant;

use super::{Counts, Head, Observer, Opcode, frame::PING_BYTES};

/// What is looked for in one direction at this moment.
#[derive(Debug)]
pub struct Sieve<'s> {
    /// The payload of our Ping that is not answered yet: its Pong goes no further.
    pub pong: Option<[u8; PING_BYTES]>,
    /// Bytes of the largest message that may pass.
    pub message_bytes: Option<u64>,
    /// How many messages may pass.
    pub allowance: Option<&'s mut Allowance>,
    /// When the bytes came.
    pub now: Instant,
}

/// What came of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// So many bytes of the front of the buffer are to be passed on; they were moved together.
    pub pass: usize,
    /// So many bytes were looked at; less than all of them only after a breach.
    pub used: usize,
    /// What the next frame would have broken.
    pub breach: Option<Breach>,
    /// The Pong that was looked for was among them.
    pub answered: bool,
    /// Some of what passes belongs to a message, or may.
    pub spoke: bool,
}

/// A limit of the route that a peer does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// A message is larger than the route takes.
    MessageTooBig,
    /// Messages come faster than the route takes them.
    MessageRate,
    /// Bytes that are no frames can't be held to a limit, and there are more of them than pass all the same.
    NotFrames,
}

/// A token bucket: so many messages a second, and a second's worth at once.
#[derive(Clone, Debug)]
pub struct Allowance {
    per_second: u32,
    left: f64,
    at: Instant,
}

impl Sieve<'_> {
    /// How many bytes that are no frames may pass, give or take a read. A sound backend fails the connection at the first of
    /// them, with a code and a reason of its own (RFC 6455 §7.1.7): the verdict is left to it.
    fn unread_bytes(&self) -> u64 {
        match (self.message_bytes, &self.allowance) {
            (None, None) => u64::MAX,
            (most, _) => most.unwrap_or(UNREAD_BYTES_MAX).min(UNREAD_BYTES_MAX),
        }
    }

    /// Follows the bytes with `observer` and says which of them may pass.
    pub fn sift(&mut self, observer: &mut Observer, input: &mut [u8], counts: &mut Counts) -> Sifted {
        let mut sifted = Sifted::default();
        while sifted.used < input.len() {
            let rest = &input[sifted.used..];
            if observer.unread() > self.unread_bytes() {
                sifted.breach = Some(Breach::NotFrames);
                break;
            }
            if observer.at_boundary() {
                match self.judge(observer, rest) {
                    Judged::Pass => {}
                    Judged::Swallow(length) => {
                        sifted.used += length;
                        sifted.answered = true;
                        self.pong = None;
                        continue;
                    }
                    Judged::Hold => {
                        observer.hold(rest);
                        sifted.used = input.len();
                        break;
                    }
                    Judged::Breach(breach) => {
                        sifted.breach = Some(breach);
                        break;
                    }
                }
            }
            let taken = observer.advance(rest, counts);
            sifted.spoke |= observer.is_speaking();
            if sifted.pass != sifted.used {
                input.copy_within(sifted.used..sifted.used + taken, sifted.pass);
            }
            sifted.pass += taken;
            sifted.used += taken;
        }
        sifted
    }

    /// What is to be done with the frame that `bytes` begin with.
    fn judge(&mut self, observer: &Observer, bytes: &[u8]) -> Judged {
        let head = match Head::read(bytes, observer.is_masked()) {
            Ok(Some(head)) => head,
            Ok(None) => return Judged::Hold,
            Err(_) => return Judged::Pass,
        };
        match (head.opcode, self.pong) {
            (Opcode::Pong, Some(pong)) if head.payload == PING_BYTES as u64 => judge_pong(&head, bytes, pong),
            (Opcode::Text | Opcode::Binary | Opcode::Continuation, _) => self.judge_message(observer, &head),
            _ => Judged::Pass,
        }
    }

    fn judge_message(&mut self, observer: &Observer, head: &Head) -> Judged {
        let size = observer.message().saturating_add(head.payload);
        if self.message_bytes.is_some_and(|most| size > most) {
            return Judged::Breach(Breach::MessageTooBig);
        }
        let begins = head.opcode != Opcode::Continuation;
        let now = self.now;
        if begins && self.allowance.as_mut().is_some_and(|allowance| !allowance.take(now)) {
            return Judged::Breach(Breach::MessageRate);
        }
        Judged::Pass
    }
}

enum Judged {
    Pass,
    /// Ours: so many bytes go no further.
    Swallow(usize),
    /// Too little of the frame is there.
    Hold,
    Breach(Breach),
}

fn judge_pong(head: &Head, bytes: &[u8], pong: [u8; PING_BYTES]) -> Judged {
    let Some(payload) = bytes.get(head.length..head.length + PING_BYTES) else { return Judged::Hold };
    let is_ours = payload.iter().zip(head.key.iter().cycle()).map(|(byte, mask)| byte ^ mask).eq(pong);
    if is_ours { Judged::Swallow(head.length + PING_BYTES) } else { Judged::Pass }
}

impl Allowance {
    /// With a second's worth in it.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, left: f64::from(per_second), at: now }
    }

    /// Whether one more message may pass.
    fn take(&mut self, now: Instant) -> bool {
        let most = f64::from(self.per_second);
        let come = now.saturating_duration_since(self.at).as_secs_f64() * most;
        self.left = (self.left + come).min(most);
        self.at = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

/// Of bytes that are no frames, where messages are limited.
const UNREAD_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
