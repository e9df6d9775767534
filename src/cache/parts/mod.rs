//! Answers of which only parts are held (RFC 9111 §3.3), and putting parts together (§3.4).
//!
//! Such an answer is kept as the 200 that it is a part of: its head has the status and the length of the whole, and its
//! body has the runs that are held, one behind the other. It answers a request for a range that lies within one run, and
//! nothing else. Parts are only put together where the same strong validator says that they are of one representation;
//! when nothing is missing any more, the answer is an ordinary stored one.

mod asking;
mod runs;
mod storing;

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

pub use asking::{Gap, RangeAsk};
pub(crate) use asking::{is_near, look};
pub(crate) use runs::Runs;
pub use storing::PartPlan;

use super::{
    Answer, Body, Stored,
    account::Charge,
    blocks,
    given::Given,
    policy::content_range::{Place, is_same},
};

/// Which bytes a stored answer has that is not held whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    pub(crate) runs: Runs,
    /// Whether more may be added; see [`Place::sure`].
    pub(crate) sure: bool,
}

/// Bytes that have come, at their place.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) place: Place,
    /// None of them empty; together as long as the place.
    pub(crate) chunks: Vec<Bytes>,
}

/// What is to lie in the store: an answer's pieces in order, and which bytes they are.
#[derive(Debug)]
pub(crate) struct Combined {
    pub(crate) chunks: Vec<Bytes>,
    /// `None`: all of them.
    pub(crate) parts: Option<Parts>,
    /// Runs given up for the bounds.
    pub(crate) dropped: usize,
    /// How often what is continued here was given.
    given: Given,
}

/// What may be held of one answer in parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartBounds {
    pub(crate) bytes: u64,
    /// Stretches apart from each other.
    pub(crate) runs: usize,
}

impl Parts {
    /// Bytes of memory held beside the struct's own.
    pub(crate) fn memory(&self) -> u64 {
        (self.runs.len() * size_of::<Range<u64>>()) as u64
    }
}

impl Combined {
    /// The new piece with what is held of the same representation (RFC 9111 §3.4). Past the bound on runs the
    /// shortest of the others goes, past that on bytes all of them. What is held already is not copied, but for small
    /// neighbours.
    pub(crate) fn of(answer: &Answer, before: Option<&Stored>, piece: Piece, most: PartBounds) -> Self {
        let Piece { place, chunks } = piece;
        let before = before.filter(|before| place.sure && may_combine(before, answer));
        let given = before.map_or(Given::default(), Stored::given_so_far);
        let mut pieces: Vec<(u64, Bytes)> = before.map(Stored::placed).into_iter().flatten().collect();
        let mut held = Runs::of(pieces.iter().map(extent));
        let mut dropped = 0;
        if held.bytes() + held.gaps(&place.bytes).map(|gap| gap.end - gap.start).sum::<u64>() > most.bytes {
            dropped = held.len();
            (held, pieces) = (Runs::default(), Vec::new());
        }
        for (start, chunk) in placed(place.bytes.start, chunks) {
            let bytes = start..start + chunk.len() as u64;
            let missing = held.gaps(&bytes).map(|gap| {
                let part = &chunk[(gap.start - start) as usize..(gap.end - start) as usize];
                // A slice would keep the whole chunk alive, which nobody has paid for.
                let part = if part.len() == chunk.len() { chunk.clone() } else { Bytes::copy_from_slice(part) };
                (gap.start, part)
            });
            pieces.extend(missing);
        }
        pieces.sort_unstable_by_key(|(start, _)| *start);
        let mut runs = Runs::of(pieces.iter().map(extent));
        while runs.len() > most.runs {
            let others = runs.iter().filter(|run| !overlap(run, &place.bytes));
            let Some(shortest) = others.min_by_key(|run| run.end - run.start).cloned() else { break };
            pieces.retain(|piece| !overlap(&extent(piece), &shortest));
            runs = runs.without(&shortest);
            dropped += 1;
        }
        let is_whole = place.sure && answer.length == Some(runs.bytes());
        let parts = (!is_whole).then_some(Parts { runs, sure: place.sure });
        Self { chunks: joined(pieces), parts, dropped, given }
    }

    /// What the body costs.
    pub(crate) fn cost(&self) -> u64 {
        let bytes = self.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Body::cost_of(bytes, self.chunks.len() as u64) + self.parts.as_ref().map_or(0, Parts::memory)
    }

    /// The stored form; `charge` is for the body and the head.
    pub(crate) fn stored(self, answer: Arc<Answer>, mut charge: Charge) -> Arc<Stored> {
        let for_body = charge.split(self.cost());
        Stored::given(answer, Body::new(self.chunks, for_body), self.parts.map(Arc::new), charge, self.given)
    }
}

impl Stored {
    /// The pieces held, each with the position of its first byte.
    fn placed(&self) -> impl Iterator<Item = (u64, Bytes)> {
        let whole = self.parts.is_none().then_some(0..self.body.length());
        let held = self.parts.iter().flat_map(|parts| parts.runs.iter().cloned());
        let mut runs = held.chain(whole);
        let mut run = 0..0;
        self.body.chunks().iter().map(move |chunk| {
            // No chunk lies in two runs.
            if run.is_empty() {
                run = runs.next().unwrap_or(0..0);
            }
            let start = run.start;
            run.start += chunk.len() as u64;
            (start, chunk.clone())
        })
    }
}

/// Whether parts of `answer` belong to what is stored.
pub(crate) fn may_combine(stored: &Stored, answer: &Answer) -> bool {
    stored.parts.as_ref().is_none_or(|parts| parts.sure) && is_same(&stored.answer, answer)
}

fn placed(start: u64, chunks: Vec<Bytes>) -> impl Iterator<Item = (u64, Bytes)> {
    chunks.into_iter().scan(start, |at, chunk| {
        let start = *at;
        *at += chunk.len() as u64;
        Some((start, chunk))
    })
}

fn extent((start, chunk): &(u64, Bytes)) -> Range<u64> {
    *start..*start + chunk.len() as u64
}

/// The pieces, in order, with neighbours that fit into one block as one. Else a client that asks for byte after byte would
/// leave a piece for each, and all of them would have to be gone through for the next one.
fn joined(pieces: Vec<(u64, Bytes)>) -> Vec<Bytes> {
    let mut joined: Vec<(u64, Bytes)> = Vec::with_capacity(pieces.len());
    for (start, chunk) in pieces {
        match joined.last_mut() {
            Some(before) if extent(before).end == start && (before.1.len() + chunk.len()) as u64 <= blocks::LARGEST => {
                before.1 = [before.1.as_ref(), chunk.as_ref()].concat().into();
            }
            _ => joined.push((start, chunk)),
        }
    }
    joined.into_iter().map(|(_, chunk)| chunk).collect()
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

#[cfg(test)]
mod tests;
