//! Structured Fields (RFC 8941); the only file that knows sfv. All lines of a field are one value (RFC 8941 §4.2), and a
//! value with an error anywhere is no value at all: whoever reads it does as if the field were not there.

use sfv::{BareItem, ListEntry, Parser};

use crate::wire::Fields;

/// The value of a dictionary's member, as far as a cache tells them apart. Parameters are ignored (RFC 9213 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Boolean(bool),
    Integer(i64),
    /// A string or a token.
    Text(String),
    /// A decimal, a byte sequence or an inner list.
    Other,
}

/// The members of a dictionary, each key once; `None` if the field is not there, empty, or no dictionary.
pub(super) fn dictionary(fields: &Fields, name: &str) -> Option<Vec<(String, Member)>> {
    let members = Parser::parse_dictionary(&joined(fields, name)?).ok()?;
    Some(members.into_iter().map(|(key, entry)| (key, Member::of(entry))).collect())
}

/// The members of a list of strings; `None` if the field is not there, empty, or anything else.
pub(super) fn strings(fields: &Fields, name: &str) -> Option<Vec<String>> {
    let members = Parser::parse_list(&joined(fields, name)?).ok()?;
    let string = |entry| match entry {
        ListEntry::Item(sfv::Item { bare_item: BareItem::String(text), .. }) => Some(text),
        _ => None,
    };
    members.into_iter().map(string).collect()
}

impl Member {
    fn of(entry: ListEntry) -> Self {
        match entry {
            ListEntry::Item(item) => match item.bare_item {
                BareItem::Boolean(value) => Self::Boolean(value),
                BareItem::Integer(value) => Self::Integer(value),
                BareItem::String(text) | BareItem::Token(text) => Self::Text(text),
                BareItem::Decimal(_) | BareItem::ByteSeq(_) => Self::Other,
            },
            ListEntry::InnerList(_) => Self::Other,
        }
    }
}

/// All lines as one value (RFC 9110 §5.3), if anything is in them.
fn joined(fields: &Fields, name: &str) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = fields.all(name).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| lines.join(&b", "[..]))
}

#[cfg(test)]
mod tests;
