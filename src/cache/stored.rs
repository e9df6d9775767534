//! What lies in the store: whole answers, several of them under one key.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Answer,
    account::{ALLOCATION_OVERHEAD, CHUNK_OVERHEAD, Charge, ENTRY_OVERHEAD},
};
use crate::wire::Fields;

/// One stored answer, whole and immutable.
#[derive(Debug)]
pub struct Stored {
    /// The head and what was worked out of it.
    pub answer: Arc<Answer>,
    /// The whole body, shared with every reader.
    pub body: Arc<Body>,
    charge: Charge,
}

/// The body of a stored answer. It counts against the byte bound until its last reader lets go of it.
#[derive(Debug)]
pub struct Body {
    chunks: Box<[Bytes]>,
    length: u64,
    charge: Charge,
}

/// The answers under one key, newest first. Never changed: a new one takes its place.
#[derive(Debug)]
pub(crate) struct Resource {
    variants: Box<[Arc<Stored>]>,
}

impl Stored {
    pub(crate) fn new(answer: Arc<Answer>, body: Arc<Body>, charge: Charge) -> Arc<Self> {
        Arc::new(Self { answer, body, charge })
    }

    /// What an answer costs beside its body.
    pub(crate) fn head_cost(answer: &Answer, key: &[u8]) -> u64 {
        answer.memory() + size_of::<Self>() as u64 + key.len() as u64 + ENTRY_OVERHEAD + LENGTH_LINE
    }

    /// Bytes charged for it, the body included.
    pub(crate) fn cost(&self) -> u64 {
        self.charge.bytes() + self.body.charge.bytes()
    }
}

impl Body {
    pub(crate) fn new(chunks: Vec<Bytes>, charge: Charge) -> Arc<Self> {
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Arc::new(Self { chunks: chunks.into_boxed_slice(), length, charge })
    }

    /// What a body of so many bytes in so many pieces costs.
    pub(crate) fn cost_of(length: u64, chunks: u64) -> u64 {
        length + chunks * CHUNK_OVERHEAD + size_of::<Self>() as u64 + ALLOCATION_OVERHEAD
    }

    /// The pieces, none of them empty.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Resource {
    /// The newest answer that this request may be given, whatever its age (RFC 9111 §4.1).
    pub(crate) fn select(&self, request: &Fields) -> Option<&Arc<Stored>> {
        self.variants.iter().find(|stored| stored.answer.vary.matches(request))
    }

    /// The newest of all.
    pub(crate) fn newest(&self) -> Option<&Arc<Stored>> {
        self.variants.first()
    }

    /// With a new answer in front, and without those that it stands for; also says how many had to go for the bound.
    pub(crate) fn with(before: Option<&Self>, stored: Arc<Stored>, request: &Fields) -> (Self, usize) {
        let mut variants = vec![stored];
        if let Some(before) = before.filter(|_| !variants[0].answer.vary.is_empty()) {
            let others = before.variants.iter().filter(|other| !other.answer.vary.matches(request));
            variants.extend(others.cloned());
        }
        let dropped = variants.len().saturating_sub(VARIANTS);
        variants.truncate(VARIANTS);
        (Self { variants: variants.into() }, dropped)
    }

    /// With `new` (or nothing) in the place of `old`; `None` if `old` is not here.
    pub(crate) fn replacing(&self, old: &Arc<Stored>, new: Option<Arc<Stored>>) -> Option<Self> {
        let at = self.variants.iter().position(|stored| Arc::ptr_eq(stored, old))?;
        let others = self.variants.iter().enumerate().filter(|&(index, _)| index != at).map(|(_, other)| other.clone());
        Some(Self { variants: new.into_iter().chain(others).collect() })
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.variants.is_empty()
    }

    /// Bytes charged for all variants.
    pub(crate) fn cost(&self) -> u64 {
        self.variants.iter().map(|stored| stored.cost()).sum()
    }
}

/// Variants of one key; past it the oldest goes.
pub(crate) const VARIANTS: usize = 64;

/// Content-Length, which an answer of unknown length gets when its body has ended: in the fields and in the written head.
const LENGTH_LINE: u64 = 128;

#[cfg(test)]
mod tests;
