//! WebSocket frames as bytes (RFC 6455 §5): pure, and the same however the bytes are sliced.
//!
//! `head` reads one frame's header, `observer` follows a whole direction, `sieve` also holds it to limits, `frame` makes
//! the frames of our own.

mod counts;
mod frame;
mod head;
mod observer;
mod sieve;

pub use counts::{Counts, Tally, size_bucket};
pub use frame::{Farewell, close_frame, ping_frame};
pub use head::{HELD_BYTES_MAX, Head, NotFrames, Opcode};
pub use observer::Observer;
pub use sieve::{Allowance, Breach, Sieve, Sifted};
