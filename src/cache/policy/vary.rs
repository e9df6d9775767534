//! Vary.

/// x
#[derive(Clone, Debug, Default)]
pub struct Vary {}
