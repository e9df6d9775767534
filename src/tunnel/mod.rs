//! Upgraded connections: the handshake checked on both sides, then bytes both ways until both have ended.
//!
//! A tunnel is given two streams and its terms; it knows no backend and of its route only the name. Not one byte is
//! changed or reordered, and a tunnel at rest holds two sockets and two small records: its own, and the one that others
//! see. `handshake`, `origin`, `session`, `wire`, `beats`, `pace` and `reload` are pure; `direction` and `copy` are the only
//! files that touch a stream.
//!
//! What it costs, beside what the kernel holds:
//!
//! - *A tunnel at rest*: the event loop's two records of its sockets, its task, one box for the tunnel itself with its
//!   timer, one for the record that others see. No buffer. `copy::tests` holds the size of what is ours.
//! - *A byte*: one read into the thread's buffer and one write out of it; the gateway copies it only when the receiver
//!   does not take it at once (then nothing more is read until it does), and looks at it only if it is of a header.
//! - *A message*: one read, one write, and its share of the event loop's wait; no lock, no allocation. A busy tunnel
//!   allocates its counters once a second, and takes the locks of its record and of the metrics when it tells them.
//! - *A wake-up*: one relaxed load to see whether anything is asked; no reading of the clock while the timer that tells
//!   numbers runs.

pub mod about;
mod answers;
mod beats;
pub mod close;
pub mod copy;
mod direction;
pub mod handshake;
pub mod kick;
pub mod list;
pub mod live;
pub mod metrics;
pub mod open;
pub mod orders;
pub mod origin;
pub mod pace;
pub mod permits;
mod rate;
mod recent;
pub mod reload;
mod row;
pub mod session;
pub mod stop;
pub mod terms;
pub mod tunnels;
pub mod wire;

pub use about::{About, Kind};
pub use answers::{OpenAnswer, Progress};
pub use close::{CloseReason, Ended, Party};
pub use copy::run;
pub use handshake::{BadSwitch, Handshake, HandshakeRefusal, accept_for, check, complete, verify_switch};
pub use kick::{BadFarewell, kick};
pub use list::{Drain, Part};
pub use live::{Live, State, Totals};
pub use metrics::HandshakeResult;
pub use open::{Connecting, Open};
pub use orders::{Order, Source};
pub use origin::{ForeignOrigin, check_origin};
pub use pace::Pace;
pub use permits::{NoPermit, Permit, PermitLimit, Permits};
pub use recent::{Closed, RECENT_MAX};
pub use reload::{Fate, fates};
pub use session::session_left;
pub use stop::{StopPhase, StopSignal, Stopper};
pub use terms::{Pings, Terms};
pub use tunnels::{Drained, Tunnels};
