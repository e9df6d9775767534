//! The files as one tree of values, each with its place.
//!
//! Syntax errors are gathered by the TOML parser's recovery; text values come out with variables and `file:` filled in.
//! Nothing is known here of the keys.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{
    expand::{self, Outside},
    problem::{Place, Problem, Problems},
};

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) data: Data,
}

/// What TOML knows, as far as the configuration uses it.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// `filled_in` says that the text came, at least in part, from a variable or a file.
    Text {
        text: String,
        filled_in: bool,
    },
    /// `None` where it is outside of 64 bits or below zero.
    Whole(Option<u64>),
    Boolean(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A kind that no key takes, by its name.
    Foreign(&'static str),
    /// Its problem has been noted.
    Broken,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: Node,
}

impl Node {
    /// What stands there, for a problem's sentence.
    pub(super) fn kind_word(&self) -> &'static str {
        match &self.data {
            Data::Text { .. } => "text",
            Data::Whole(_) => "a number",
            Data::Boolean(_) => "`true` or `false`",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
            Data::Foreign(word) => word,
            Data::Broken => "an unreadable value",
        }
    }
}

/// Reads source number `source` of `problems`; the answer says whether its syntax was sound.
pub(super) fn parse(source: usize, outside: &Outside<'_>, problems: &mut Problems) -> (Vec<Entry>, bool) {
    let Some(text) = problems.source(source).map(|source| source.text.clone()) else {
        return (Vec::new(), true);
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    let wrong_lines: Vec<Range<usize>> =
        errors.iter().filter_map(|error| error.span()).map(|span| line_of(&text, &span)).collect();
    let sound = errors.is_empty();
    let mut last = None;
    for error in errors {
        let place = error.span().map(|span| Place { source, start: span.start, end: span.end });
        // The parser's recovery meets some errors twice.
        if last.replace((place, error.message().to_owned())) == Some((place, error.message().to_owned())) {
            continue;
        }
        // `upstream` is one text, and the tables of named ones are a letter away from it.
        let name = error.span().and_then(|span| text.get(span.start..)?.strip_prefix("upstream.")?.split(']').next());
        let hint = name.map(|name| format!("did you mean `[upstreams.{name}]`?"));
        problems.push(Problem::error(place, error.message().to_owned()).hint(hint));
    }
    let mut reading = Reading { source, wrong_lines, outside, problems };
    (reading.entries(table.get_ref()), sound)
}

struct Reading<'r, 'o> {
    source: usize,
    /// Lines with a syntax error; what was recovered of them is not believed.
    wrong_lines: Vec<Range<usize>>,
    outside: &'r Outside<'o>,
    problems: &'r mut Problems,
}

impl Reading<'_, '_> {
    /// In file order.
    fn entries(&mut self, table: &DeTable<'_>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| {
                let key_place = self.place(key.span());
                let value = if self.is_wrong(&key.span()) {
                    Node { place: key_place, data: Data::Broken }
                } else {
                    self.node(value.get_ref(), value.span())
                };
                Entry { key: key.get_ref().to_string(), key_place, value }
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_place);
        entries
    }

    fn node(&mut self, value: &DeValue<'_>, span: Range<usize>) -> Node {
        let place = self.place(span);
        let data = match value {
            DeValue::String(text) => match expand::fill_in(text, place, self.outside, self.problems) {
                Some(filled) => Data::Text { filled_in: filled != text.as_ref(), text: filled },
                None => Data::Broken,
            },
            DeValue::Integer(number) => Data::Whole(u64::from_str_radix(number.as_str(), number.radix()).ok()),
            DeValue::Boolean(value) => Data::Boolean(*value),
            DeValue::Array(list) => {
                Data::List(list.iter().map(|value| self.node(value.get_ref(), value.span())).collect())
            }
            DeValue::Table(table) => Data::Table(self.entries(table)),
            DeValue::Float(_) => Data::Foreign("a fraction"),
            DeValue::Datetime(_) => Data::Foreign("a date"),
        };
        Node { place, data }
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place { source: self.source, start: span.start, end: span.end }
    }

    fn is_wrong(&self, span: &Range<usize>) -> bool {
        self.wrong_lines.iter().any(|line| line.contains(&span.start))
    }
}

/// The lines that a span touches.
fn line_of(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let end = text.get(span.end..).and_then(|after| after.find('\n')).map_or(text.len(), |at| span.end + at);
    start..end
}
