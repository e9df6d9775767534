//! What keys there are and what each takes: the one declaration that checking, hints, the schema, the reference and
//! the effective configuration come from.

use std::fmt;

use super::{
    tree::{Data, Node},
    written::Written,
};

/// A table's keys.
#[derive(Clone, Debug)]
pub(super) struct Declaration {
    pub(super) doc: String,
    pub(super) keys: Vec<Key>,
}

/// One key of a table.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) doc: String,
    pub(super) kind: Kind,
    pub(super) default: Option<Written>,
    pub(super) required: bool,
}

/// What a key takes.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Boolean,
    Whole {
        minimum: u64,
        maximum: u64,
    },
    /// Bytes, as a number or a text with a unit.
    Size {
        minimum: u64,
        maximum: u64,
    },
    Duration {
        zero: bool,
    },
    /// A text with a syntax of its own: its name, with article, and an example.
    Text {
        what: &'static str,
        example: &'static str,
    },
    /// One of a few words, each with what it means.
    Choice(Vec<(&'static str, &'static str)>),
    List(Box<Kind>),
    /// One value, or a list of them.
    OneOrMany(Box<Kind>),
    /// A table whose keys are the operator's names; what they name.
    Names {
        of: &'static str,
        kind: Box<Kind>,
    },
    Table(Declaration),
    Either(Box<Kind>, Box<Kind>),
}

impl Kind {
    /// Whether a value has this shape; its content may still be wrong.
    pub(super) fn accepts(&self, node: &Node) -> bool {
        match (self, &node.data) {
            (Self::Either(one, other), _) => one.accepts(node) || other.accepts(node),
            (Self::OneOrMany(kind), data) => matches!(data, Data::List(_)) || kind.accepts(node),
            (Self::Boolean, Data::Boolean(_)) => true,
            (Self::Boolean | Self::Whole { .. }, Data::Text { filled_in, .. }) => *filled_in,
            (Self::Whole { .. } | Self::Size { .. }, Data::Whole(_)) => true,
            (Self::Text { .. } | Self::Choice(_) | Self::Duration { .. } | Self::Size { .. }, Data::Text { .. }) => {
                true
            }
            (Self::List(_), Data::List(_)) => true,
            (Self::Names { .. } | Self::Table(_), Data::Table(_)) => true,
            _ => false,
        }
    }

    /// The tables that a value of this kind may be or hold, with how their path goes on from this key's.
    pub(super) fn tables(&self) -> Vec<(String, &Declaration)> {
        match self {
            Self::Table(declaration) => vec![(String::new(), declaration)],
            Self::Either(one, other) => [one.tables(), other.tables()].concat(),
            Self::List(kind) | Self::OneOrMany(kind) => kind.tables(),
            Self::Names { kind, .. } => {
                kind.tables().into_iter().map(|(path, table)| (format!(".NAME{path}"), table)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The kind in words, with an article and an example: what goes on from "expected".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("`true` or `false`"),
            Self::Whole { minimum, maximum: u64::MAX } => write!(f, "a whole number, {minimum} or more"),
            Self::Whole { minimum, maximum } => write!(f, "a whole number from {minimum} to {maximum}"),
            Self::Size { .. } => f.write_str("a size such as `\"64MiB\"`"),
            Self::Duration { .. } => f.write_str("a duration such as `\"30s\"`"),
            Self::Text { what, example: "" } => f.write_str(what),
            Self::Text { what, example } => write!(f, "{what} such as `\"{example}\"`"),
            Self::Choice(words) => {
                for (index, (word, _)) in words.iter().enumerate() {
                    let comma = if index > 0 { if index + 1 == words.len() { " or " } else { ", " } } else { "" };
                    write!(f, "{comma}`\"{word}\"`")?;
                }
                Ok(())
            }
            Self::List(kind) if matches!(**kind, Self::Table(_)) => f.write_str("a list of tables"),
            Self::List(kind) => write!(f, "a list, each {kind}"),
            Self::OneOrMany(kind) => write!(f, "{kind}, or a list of such"),
            Self::Names { of, .. } => write!(f, "a table of {of}"),
            Self::Table(_) => f.write_str("a table"),
            Self::Either(one, other) => write!(f, "{one}, or {other}"),
        }
    }
}
