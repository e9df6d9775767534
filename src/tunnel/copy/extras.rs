//! What only those tunnels carry whose routes ask for it: a lifetime, the end of a session, a message rate, Pings.

use std::time::Duration;

use tokio::time::Instant;

use super::{Tunnel, after};
use crate::tunnel::{
    beats::{Beat, Pulse},
    close::{CloseReason, Side},
    direction::Moved,
    open::Open,
    terms::Terms,
    wire::{Allowance, Sieve, ping_frame},
};

/// The state of terms that few routes set.
pub(super) struct Extras {
    /// The end of its lifetime or of its session, whichever comes first.
    ends_at: Option<(Instant, CloseReason)>,
    allowance: Option<Allowance>,
    /// To the client, and to the backend.
    beats: [Option<Beat>; 2],
}

impl Extras {
    /// `None` where the terms need none.
    pub(super) fn new(terms: &Terms, now: Instant) -> Option<Box<Self>> {
        let is_needed = terms.lifetime.is_some()
            || terms.message_bytes.is_some()
            || terms.messages_per_second.is_some()
            || terms.pings.is_some()
            || terms.session_ends.is_some();
        let beat = || terms.pings.map(|pings| Beat::new(pings, now.into_std(), fastrand::f64()));
        let lifetime = terms.lifetime.map(|lifetime| after(now, shortened(lifetime, fastrand::f64())));
        let lifetime = lifetime.map(|at| (at, CloseReason::Lifetime));
        let session = terms.session_ends.map(|at| (at, CloseReason::AuthExpired));
        is_needed.then(|| {
            Box::new(Self {
                ends_at: session.into_iter().chain(lifetime).min_by_key(|(at, _)| *at),
                allowance: terms.messages_per_second.map(|rate| Allowance::new(rate, now.into_std())),
                beats: [beat(), beat()],
            })
        })
    }

    /// What is looked for in what a side sends: limits are for clients.
    pub(super) fn sieve(&mut self, source: Side, terms: &Terms) -> Option<Sieve<'_>> {
        let pong = self.beats[source as usize].as_ref().and_then(Beat::awaited);
        let (message_bytes, allowance) = match source {
            Side::Client => (terms.message_bytes, self.allowance.as_mut()),
            Side::Backend => (None, None),
        };
        let is_needed = pong.is_some() || message_bytes.is_some() || allowance.is_some();
        is_needed.then(|| Sieve { pong, message_bytes, allowance, now: Instant::now().into_std() })
    }

    /// What a side has sent is a sign of life, and may be an answer; `asked` says that its Ping has left.
    pub(super) fn note(&mut self, side: Side, moved: Moved, asked: bool, now: Instant, open: &Open) {
        let Some(beat) = &mut self.beats[side as usize] else { return };
        if asked {
            beat.sent(now.into_std());
        }
        if moved.answered
            && let Some(took) = beat.answered(now.into_std())
        {
            open.note_round_trip(side, took);
        }
        if moved.heard {
            beat.heard();
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let beats = self.beats.iter().flatten().filter_map(Beat::deadline).map(Instant::from_std);
        beats.chain(self.end()).min()
    }

    /// When its lifetime or its session is over.
    pub(super) fn end(&self) -> Option<Instant> {
        self.ends_at.map(|(at, _)| at)
    }

    /// Whether that has come, and which of them it was.
    pub(super) fn ended(&self, now: Instant) -> Option<CloseReason> {
        self.ends_at.filter(|(at, _)| now >= *at).map(|(_, reason)| reason)
    }

    /// Looks at the clock; gives a reason for the tunnel to end. `full` says which sides are not listened to, because their
    /// last words were not taken yet: that is no silence of theirs.
    pub(super) fn on_time(&mut self, now: Instant, full: [bool; 2]) -> Option<CloseReason> {
        if let Some(reason) = self.ended(now) {
            return Some(reason);
        }
        for (beat, full) in self.beats.iter_mut().zip(full) {
            let Some(beat) = beat else { continue };
            if full {
                beat.unheard(now.into_std());
            }
            if beat.pulse(now.into_std()) == Pulse::Gone {
                return Some(CloseReason::PongTimeout);
            }
        }
        None
    }
}

impl Tunnel {
    /// Puts the Pings in that wait for their place. Says whether there is one to be written.
    #[inline]
    pub(super) fn send_pings(&mut self) -> bool {
        match &self.extras {
            Some(extras) if extras.beats.iter().flatten().any(Beat::is_wanted) => self.send_wanted_pings(),
            _ => false,
        }
    }

    fn send_wanted_pings(&mut self) -> bool {
        let Some(extras) = &mut self.extras else { return false };
        let mut any = false;
        for side in [Side::Client, Side::Backend] {
            let (towards, back) = match side {
                Side::Client => (&mut self.down, &self.up),
                Side::Backend => (&mut self.up, &self.down),
            };
            let beat = &mut extras.beats[side as usize];
            let Some(waiting) = beat.as_mut().filter(|beat| beat.is_wanted()) else { continue };
            if towards.not_frames().is_some() || back.not_frames().is_some() {
                // Neither a Ping's place nor its Pong could be told from the other bytes.
                *beat = None;
                continue;
            }
            let token = fastrand::u64(..).to_ne_bytes();
            let key = towards.key();
            if towards.insert(|| ping_frame(token, key)) {
                waiting.placed(token);
                any = true;
            }
        }
        any
    }
}

/// Up to a tenth less.
fn shortened(lifetime: Duration, chance: f64) -> Duration {
    lifetime.mul_f64(1.0 - chance / 10.0)
}
