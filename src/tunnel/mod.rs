//! Upgraded connections: the handshake checked on both sides, then bytes both ways until both have ended.
//!
//! A tunnel is given two streams and its terms; it knows no route and no backend. Not one byte is changed, reordered or
//! held back, and a tunnel at rest holds two sockets and one small record: buffers are borrowed while bytes move.
//! `handshake`, `origin` and `wire` are pure; `direction` and `copy` are the only files that touch a stream.

pub mod close;
pub mod copy;
mod direction;
pub mod handshake;
pub mod metrics;
pub mod origin;
pub mod stop;
pub mod wire;

pub use close::{CloseReason, Ended, Party};
pub use copy::{Terms, run};
pub use handshake::{BadSwitch, Handshake, HandshakeRefusal, accept_for, check, complete, verify_switch};
pub use metrics::{HandshakeResult, Open, Tunnels};
pub use origin::{ForeignOrigin, check_origin};
pub use stop::{StopPhase, StopSignal, Stopper};
