//! WebSocket as bytes (RFC 6455 §5): where frames begin and end, and the one frame that the gateway makes itself.
//!
//! Pure: slices in, positions out. Payload is neither copied nor looked at, but for the code of a Close frame.

pub mod frames;

pub use frames::{FrameTracker, close_frame};
