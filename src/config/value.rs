//! Reading a tree's values into typed ones, and writing them back.

use std::{path::Path, time::Duration};

use super::{
    expand,
    kind::{Declaration, Kind},
    problem::{Place, Problem, Problems},
    suggest,
    tree::{Data, Entry, Node},
    written::Written,
};
use crate::units;

/// A type that a key can take.
pub(super) trait Value: Sized {
    /// Its shape, for messages and the schema.
    fn kind() -> Kind;
    /// `None` after a problem was noted.
    fn read(node: &Node, problems: &mut Problems) -> Option<Self>;
    /// What `read` would read as the same value.
    fn write(&self) -> Written;
}

/// A type that is written as a text with a syntax of its own.
pub(super) trait Text: Sized {
    /// Its name and an example.
    fn kind() -> Kind;
    /// Relative paths start at `directory`.
    fn parse(text: &str, directory: &Path) -> Result<Self, Wrong>;
    /// What `parse` would read as the same value.
    fn text(&self) -> String;
}

/// Why a text is not what it should be.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    pub(super) message: String,
    /// What would be right; empty means the kind's own words.
    pub(super) label: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), label: label.into() }
    }
}

/// A value and where it was written; `place` is `None` for a default.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Option<Place>,
}

impl<T> Placed<T> {
    /// A value that no file wrote.
    pub(super) fn built_in(value: T) -> Self {
        Self { value, place: None }
    }
}

/// Reads a table's keys one by one.
pub(super) struct Keys<'k> {
    entries: &'k [Entry],
    place: Place,
    unreadable: Vec<&'static str>,
}

/// What a table was, beside its values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mark {
    pub(super) place: Option<Place>,
    /// Keys that are written but could not be read.
    unreadable: Vec<&'static str>,
}

impl Mark {
    /// Whether every key of the table could be read.
    pub(super) fn is_whole(&self) -> bool {
        self.unreadable.is_empty()
    }

    /// Whether the key is there, but wrong, so that its absence is no further problem.
    pub(super) fn is_unreadable(&self, key: &str) -> bool {
        self.unreadable.contains(&key)
    }
}

impl<'k> Keys<'k> {
    /// `None` if there is no table; keys that the declaration doesn't have are noted.
    pub(super) fn of(node: &'k Node, declaration: &Declaration, problems: &mut Problems) -> Option<Self> {
        let Data::Table(entries) = &node.data else {
            wrong_kind(node, &Kind::Table(declaration.clone()), problems);
            return None;
        };
        let mut unreadable = Vec::new();
        for entry in entries {
            let is_known = declaration.keys.iter().any(|key| key.name == entry.key);
            if !is_known && !matches!(entry.value.data, Data::Broken) {
                problems.push(suggest::unknown_key(entry, declaration));
                // A slip in the name must not make the key look missing as well.
                unreadable.extend(suggest::key_meant(&entry.key, declaration));
            }
        }
        Some(Self { entries, place: node.place, unreadable })
    }

    /// The value of a key, if it is there and readable.
    pub(super) fn take<T: Value>(&mut self, key: &'static str, problems: &mut Problems) -> Option<Placed<T>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let value = T::read(&entry.value, problems);
        if value.is_none() {
            self.unreadable.push(key);
        }
        Some(Placed { value: value?, place: Some(entry.value.place) })
    }

    /// Notes a required key that is not there at all.
    pub(super) fn require<T>(
        &self,
        value: Option<Placed<T>>,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<Placed<T>> {
        if value.is_none() && !self.unreadable.contains(&key) {
            problems.push(Problem::error(self.place, format!("`{key}` is missing")).label("required here"));
        }
        value
    }

    /// What remains to be known of the table.
    pub(super) fn mark(self) -> Mark {
        Mark { place: Some(self.place), unreadable: self.unreadable }
    }
}

/// Notes that a value is of another kind than its key takes.
pub(super) fn wrong_kind(node: &Node, expected: &Kind, problems: &mut Problems) {
    let found = match &node.data {
        Data::Broken => return,
        Data::Whole(None) => "a number that is not from 0 to 9223372036854775807",
        _ => node.kind_word(),
    };
    let mut problem = Problem::error(node.place, format!("expected {expected}, found {found}"));
    if let (Data::Whole(Some(number)), Kind::Duration { .. }) = (&node.data, expected) {
        problem = problem.hint(format!("a duration needs its unit: `\"{number}s\"`"));
    }
    if let (Data::Table(_), Kind::List(kind)) = (&node.data, expected)
        && !kind.tables().is_empty()
    {
        problem = problem.label("a list of one stands in brackets: `[{ … }]`");
    }
    if let Kind::Table(declaration) = expected {
        let keys: Vec<String> = declaration.keys.iter().map(|key| format!("`{}`", key.name)).collect();
        problem = problem.label(format!("its keys are {}", keys.join(", ")));
    }
    problems.push(problem);
}

impl<T: Text> Value for T {
    fn kind() -> Kind {
        T::kind()
    }

    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Data::Text { text, .. } = &node.data else {
            wrong_kind(node, &T::kind(), problems);
            return None;
        };
        match T::parse(text, &expand::beside(node.place, Path::new(""), problems)) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let label = if wrong.label.is_empty() { format!("expected {}", T::kind()) } else { wrong.label };
                problems.push(Problem::error(node.place, wrong.message).label(label));
                None
            }
        }
    }

    fn write(&self) -> Written {
        Written::Text(self.text())
    }
}

impl Value for bool {
    fn kind() -> Kind {
        Kind::Boolean
    }

    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.data {
            Data::Boolean(value) => Some(*value),
            Data::Text { text, filled_in: true } if text == "true" => Some(true),
            Data::Text { text, filled_in: true } if text == "false" => Some(false),
            _ => {
                wrong_kind(node, &Self::kind(), problems);
                None
            }
        }
    }

    fn write(&self) -> Written {
        Written::Boolean(*self)
    }
}

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Whole<const MINIMUM: u64, const MAXIMUM: u64>(pub(super) u64);

impl<const MINIMUM: u64, const MAXIMUM: u64> Whole<MINIMUM, MAXIMUM> {
    /// For a count of things in memory.
    pub(super) fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MINIMUM: u64, const MAXIMUM: u64> Value for Whole<MINIMUM, MAXIMUM> {
    fn kind() -> Kind {
        Kind::Whole { minimum: MINIMUM, maximum: MAXIMUM }
    }

    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let number = match &node.data {
            Data::Whole(number) => *number,
            Data::Text { text, filled_in: true } => text.parse().ok(),
            _ => {
                wrong_kind(node, &Self::kind(), problems);
                return None;
            }
        };
        match number {
            Some(number) if (MINIMUM..=MAXIMUM).contains(&number) => Some(Self(number)),
            _ => {
                let found = number.map_or_else(|| "the value".to_owned(), |number| format!("`{number}`"));
                problems.push(out_of_bounds(node, &found, &Self::kind().to_string()));
                None
            }
        }
    }

    fn write(&self) -> Written {
        Written::Whole(self.0)
    }
}

/// Bytes within bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size<const MINIMUM: u64, const MAXIMUM: u64>(pub(super) u64);

impl<const MINIMUM: u64, const MAXIMUM: u64> Value for Size<MINIMUM, MAXIMUM> {
    fn kind() -> Kind {
        Kind::Size { minimum: MINIMUM, maximum: MAXIMUM }
    }

    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let bytes = match &node.data {
            Data::Whole(bytes) => *bytes,
            Data::Text { text, .. } => match units::parse_size(text) {
                Ok(bytes) => Some(bytes),
                Err(error) => {
                    problems.push(
                        Problem::error(node.place, format!("`{text}` is not a size: it is {error}"))
                            .label("expected a whole number and `B`, `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`"),
                    );
                    return None;
                }
            },
            _ => {
                wrong_kind(node, &Self::kind(), problems);
                return None;
            }
        };
        match bytes {
            Some(bytes) if (MINIMUM..=MAXIMUM).contains(&bytes) => Some(Self(bytes)),
            _ => {
                let (least, most) = (units::format_size(MINIMUM), units::format_size(MAXIMUM));
                let found =
                    bytes.map_or_else(|| "the value".to_owned(), |bytes| format!("`{}`", units::format_size(bytes)));
                problems.push(out_of_bounds(node, &found, &format!("a size from {least} to {most}")));
                None
            }
        }
    }

    fn write(&self) -> Written {
        Written::Text(units::format_size(self.0))
    }
}

fn out_of_bounds(node: &Node, found: &str, expected: &str) -> Problem {
    Problem::error(node.place, format!("{found} is out of bounds")).label(format!("expected {expected}"))
}

/// A time span; zero only where `ZERO` allows it, a hundred years at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Period<const ZERO: bool>(pub(super) Duration);

impl<const ZERO: bool> Text for Period<ZERO> {
    fn kind() -> Kind {
        Kind::Duration { zero: ZERO }
    }

    fn parse(text: &str, _: &Path) -> Result<Self, Wrong> {
        let duration = units::parse_duration(text).map_err(|error| {
            Wrong::new(
                format!("`{text}` is not a duration: it is {error}"),
                "expected whole numbers with `ms`, `s`, `m`, `h` or `d`, such as `\"30s\"` or `\"1h30m\"`",
            )
        })?;
        if duration.is_zero() && !ZERO {
            return Err(Wrong::new("the duration is zero", "expected a duration above zero"));
        }
        if duration > PERIOD_MAX {
            return Err(Wrong::new("the duration is too long", "expected a hundred years at most"));
        }
        Ok(Self(duration))
    }

    fn text(&self) -> String {
        units::format_duration(self.0)
    }
}

/// Keeps every sum of a clock's time and a period within what the clock can hold.
const PERIOD_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
