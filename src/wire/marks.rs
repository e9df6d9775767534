//! Which names can't be there, going by how they begin and how long they are.
//!
//! Most fields that are asked for are not there, and nearly always no name like theirs is: one bit says so.

use super::case::CASE;

/// What some names are like; one bit for those of the same length and first letter, and for a few others. Of a name whose
/// bit is not set, no line is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameMarks(u64);

impl NameMarks {
    /// No name at all.
    pub const NONE: Self = Self(0);

    /// Those of these names.
    pub const fn of(names: &[&str]) -> Self {
        let (mut marks, mut next) = (Self::NONE, 0);
        while next < names.len() {
            marks = marks.with(names[next].as_bytes());
            next += 1;
        }
        marks
    }

    /// This name's too, in whatever case it is.
    pub(super) const fn with(self, name: &[u8]) -> Self {
        // The names of usual messages and those that are looked for fall together least with this factor.
        let first = match name {
            [first, ..] => *first | CASE,
            [] => 0,
        };
        Self(self.0 | 1 << (name.len().wrapping_add(first as usize * 37) % u64::BITS as usize))
    }

    /// Whether they have one in common.
    pub(super) const fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
