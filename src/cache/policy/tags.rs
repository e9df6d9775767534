//! What an answer may be purged by beside its URL: the tags that its backend gave it, and its groups (RFC 9875).

use super::structured;
use crate::wire::Fields;

/// The words of an answer, each once, in ascending order.
pub type Words = Box<[Box<[u8]>]>;

/// Tags and groups of one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Of `Cache-Tag`, `Surrogate-Key` and `xkey`: lists whose members stand between commas or spaces, compared as they
    /// are written.
    pub tags: Words,
    /// Of `Cache-Groups`: names that mean something within one origin only (RFC 9875 §2).
    pub groups: Words,
}

/// More than [`TAGS_MAX`] words of a kind, or one longer than [`TAG_BYTES_MAX`]: an answer that could not be purged by all
/// of them is better not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Tags {
    /// The words of an answer with these fields. `Cache-Groups` that is no list of strings says nothing.
    pub fn of(fields: &Fields) -> Result<Self, TooMany> {
        let listed = FIELDS.into_iter().flat_map(|name| fields.all(name).flat_map(members)).map(<[u8]>::to_vec);
        Ok(Self { tags: words(listed)?, groups: groups(fields, "cache-groups")? })
    }
}

/// The groups that the answer to an unsafe request invalidates (RFC 9875 §3). Words past the bounds are none that an
/// answer could be kept with, so there is nothing to invalidate by them.
pub fn invalidated_groups(fields: &Fields) -> Words {
    let named = structured::strings(fields, "cache-group-invalidation").unwrap_or_default();
    let kept = named.into_iter().map(String::into_bytes).filter(|word| word.len() <= TAG_BYTES_MAX).take(TAGS_MAX);
    words(kept).unwrap_or_default()
}

/// Bytes of memory held by the words of an answer, and in how many allocations.
pub(crate) fn memory(tags: &Words, groups: &Words) -> (usize, usize) {
    let all = || tags.iter().chain(groups);
    (all().map(|word| word.len() + size_of::<Box<[u8]>>()).sum(), all().count())
}

fn groups(fields: &Fields, name: &str) -> Result<Words, TooMany> {
    words(structured::strings(fields, name).unwrap_or_default().into_iter().map(String::into_bytes))
}

/// The members of a list between commas, spaces and tabs.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b',' | b' ' | b'\t')).filter(|member| !member.is_empty())
}

/// In order, each once, within the bounds.
fn words(listed: impl Iterator<Item = Vec<u8>>) -> Result<Words, TooMany> {
    let mut words: Vec<Box<[u8]>> = Vec::new();
    for word in listed {
        if word.len() > TAG_BYTES_MAX || words.len() == TAGS_MAX {
            return Err(TooMany);
        }
        words.push(word.into());
    }
    words.sort_unstable();
    words.dedup();
    Ok(words.into())
}

/// The fields of tags, by the products that brought them up.
const FIELDS: [&str; 3] = ["cache-tag", "surrogate-key", "xkey"];
/// Tags of one answer, and groups of one answer (RFC 9875 §2 asks for 32 at least).
pub const TAGS_MAX: usize = 512;
/// Bytes of one tag or group (RFC 9875 §2 asks for 32 at least).
pub const TAG_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests;
