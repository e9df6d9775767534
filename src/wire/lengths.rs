//! Which names can't be there, going by their lengths.
//!
//! Most fields that are asked for are not there, and nearly always no name of that length is: one bit says so.

/// How long some names are; one bit for each length. Of a name that it does not know, no line is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameLengths(u64);

impl NameLengths {
    /// No length at all.
    pub const NONE: Self = Self(0);

    /// The lengths of these names.
    pub const fn of(names: &[&str]) -> Self {
        let (mut lengths, mut next) = (Self::NONE, 0);
        while next < names.len() {
            lengths = lengths.with(names[next].len());
            next += 1;
        }
        lengths
    }

    /// This length too. All that are long share the last bit.
    pub(super) const fn with(self, length: usize) -> Self {
        const LAST: usize = u64::BITS as usize - 1;
        Self(self.0 | 1 << if length < LAST { length } else { LAST })
    }

    /// Whether they have one in common.
    pub(super) const fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
