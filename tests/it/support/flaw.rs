//! Why a message could not be read.

use super::show;

/// What came instead of a whole message.
#[derive(Debug)]
pub enum Flaw {
    /// The connection ended (cleanly or by a reset) before the message did.
    Cut { read: Vec<u8>, how: String },
    /// Bytes that are no HTTP/1 message, and why.
    Malformed { why: String, read: Vec<u8> },
}

impl Flaw {
    pub fn malformed(why: impl Into<String>, read: &[u8]) -> Self {
        Self::Malformed { why: why.into(), read: read.to_vec() }
    }
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cut { read, how } => write!(f, "cut short ({how}) after\n{}", show(read)),
            Self::Malformed { why, read } => write!(f, "malformed ({why})\n{}", show(read)),
        }
    }
}
