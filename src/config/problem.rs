//! What is wrong with a configuration: where, why, and what would be right.
//!
//! Problems are gathered, never thrown: a reader notes one and goes on, so that the operator sees all of them in one go.

use std::{fmt, path::PathBuf};

use super::render;

/// One configuration file as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// As shown to people: the path that was given.
    pub name: String,
    /// Where relative paths in it start.
    pub directory: PathBuf,
    /// The whole file.
    pub text: String,
}

/// A stretch of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of the source among those of the [`Problems`].
    pub source: usize,
    /// Byte offset of the first byte.
    pub start: usize,
    /// Byte offset behind the last byte.
    pub end: usize,
}

/// Whether the configuration can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It can't.
    Error,
    /// It can, but it may not do what its writer meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where; `None` where no line of a file is to blame.
    pub place: Option<Place>,
    /// What is said at the place: what would be right.
    pub label: String,
    /// A second place that belongs to the matter, and its part in it.
    pub related: Option<(Place, String)>,
    /// A way out, where the label has no room for it.
    pub hint: Option<String>,
}

impl Problem {
    /// Something that keeps the configuration from being run.
    pub fn error(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, place.into(), message.into())
    }

    /// Something to think about.
    pub fn warning(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, place.into(), message.into())
    }

    /// Says at the place what would be right.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// Shows a second place, where there is one.
    #[must_use]
    pub fn related(self, place: Option<Place>, label: impl Into<String>) -> Self {
        Self { related: place.map(|place| (place, label.into())), ..self }
    }

    /// Tells a way out.
    #[must_use]
    pub fn hint(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    fn new(severity: Severity, place: Option<Place>, message: String) -> Self {
        Self { severity, message, place, label: String::new(), related: None, hint: None }
    }
}

/// Everything that was found, with the sources to show it in.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    sources: Vec<Source>,
    list: Vec<Problem>,
}

impl Problems {
    /// Nothing found yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One problem that lies in no file, such as a file that can't be read.
    pub fn only(problem: Problem) -> Self {
        Self { sources: Vec::new(), list: vec![problem] }
    }

    /// Takes a file in; the answer is its index for [`Place::source`].
    pub fn add_source(&mut self, source: Source) -> usize {
        self.sources.push(source);
        self.sources.len() - 1
    }

    /// Notes one.
    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// How many keep the configuration from being run.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many don't.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// Whether nothing at all was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in the order of their places; those without a place come first.
    pub fn list(&self) -> Vec<&Problem> {
        let mut list: Vec<_> = self.list.iter().collect();
        list.sort_by_key(|problem| problem.place);
        list
    }

    /// The file of this index, as given by [`Self::add_source`].
    pub fn source(&self, index: usize) -> Option<&Source> {
        self.sources.get(index)
    }

    /// The files that were read, the main one first.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// For people: each problem with its source line and a caret. `colour` adds terminal escapes.
    pub fn render(&self, colour: bool) -> String {
        render::text(self, colour)
    }

    /// For programs: a list of objects with `severity`, `message`, `file`, `line`, `column` and more.
    pub fn to_json(&self) -> serde_json::Value {
        render::json(self)
    }

    /// Line and column of a place, both from 1; columns count characters.
    pub(super) fn position(&self, place: Place) -> (usize, usize) {
        let before = self.source(place.source).and_then(|source| source.text.get(..place.start)).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|problem| problem.severity == severity).count()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}
