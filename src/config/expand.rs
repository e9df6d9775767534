//! `${VAR}`, `${VAR:-default}` and `file:PATH` in text values.
//!
//! Keys are never touched, and what a variable or a file says is not looked into again. `$${` stands for `${`,
//! and `$file:` in front for `file:`.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::problem::{Place, Problem, Problems};

/// What a configuration may ask of the world: the environment, files, and what the machine has.
pub struct Outside<'o> {
    /// The value of an environment variable.
    pub variable: &'o dyn Fn(&str) -> Option<String>,
    /// The bytes of a file.
    pub file: &'o dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// Whether files can be made in a directory.
    pub directory: &'o dyn Fn(&Path) -> io::Result<()>,
    /// Bytes of memory that the process may use, where that is known.
    pub memory: &'o dyn Fn() -> Option<u64>,
    /// Files that the process may have open, where that is bounded.
    pub open_files: &'o dyn Fn() -> Option<u64>,
}

impl Outside<'static> {
    /// A world in which there is nothing, and nothing in the way.
    pub fn nothing() -> Self {
        Self {
            variable: &|_| None,
            file: &|_| Err(io::ErrorKind::NotFound.into()),
            directory: &|_| Ok(()),
            memory: &|| None,
            open_files: &|| None,
        }
    }
}

/// The value of a text as it was written; `None` after a problem was noted.
pub(super) fn fill_in(text: &str, place: Place, outside: &Outside<'_>, problems: &mut Problems) -> Option<String> {
    let (path, is_file) = match text.strip_prefix(FILE) {
        Some(path) => (path, true),
        None if is_escaped_file(text) => (&text[1..], false),
        None => (text, false),
    };
    let filled = match variables(path, outside.variable) {
        Ok(filled) => filled,
        Err(wrong) => {
            let place = narrow(place, &wrong.written, problems);
            problems.push(Problem::error(place, wrong.message).label(wrong.label));
            return None;
        }
    };
    if !is_file {
        return Some(filled);
    }
    let path = beside(place, Path::new(&filled), problems);
    match read_secret(&path, outside.file) {
        Ok(secret) => Some(secret),
        Err(error) => {
            problems.push(Problem::error(place, format!("could not read `{}`: {error}", path.display())));
            None
        }
    }
}

/// A text that is read as this one.
pub(super) fn escaped(text: &str) -> String {
    let is_like_file = text.starts_with(FILE) || is_escaped_file(text);
    format!("{}{}", if is_like_file { "$" } else { "" }, text.replace("${", "$${"))
}

/// A path as the file that names it means it.
pub(super) fn beside(place: Place, path: &Path, problems: &Problems) -> PathBuf {
    problems.source(place.source).map_or_else(|| path.to_owned(), |source| source.directory.join(path))
}

/// `file:` behind one `$` or more, of which one is taken off.
fn is_escaped_file(text: &str) -> bool {
    text.starts_with('$') && text.trim_start_matches('$').starts_with(FILE)
}

struct Wrong {
    written: String,
    message: String,
    label: String,
}

fn variables(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, opened) = rest.split_at(at);
        if let Some(literal) = before.strip_suffix('$') {
            filled.push_str(literal);
            filled.push_str("${");
            rest = &opened[2..];
            continue;
        }
        filled.push_str(before);
        let Some(end) = opened.find('}') else {
            return Err(Wrong {
                written: opened.to_owned(),
                message: "`${` is not closed".to_owned(),
                label: "expected `}`; a plain `${` is written `$${`".to_owned(),
            });
        };
        filled.push_str(&one(&opened[..=end], &opened[2..end], variable)?);
        rest = &opened[end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

fn one(written: &str, inside: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
    if !is_name {
        return Err(Wrong {
            written: written.to_owned(),
            message: format!("`{name}` is not the name of a variable"),
            label: "expected letters, digits and `_`".to_owned(),
        });
    }
    let value = match default {
        // As in a shell, `:-` also stands in for an empty value.
        Some(default) => Some(variable(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())),
        None => variable(name),
    };
    value.ok_or_else(|| Wrong {
        written: written.to_owned(),
        message: format!("the environment variable `{name}` is not set"),
        label: format!("set it, or write `${{{name}:-default}}`"),
    })
}

/// The place of a part of a text, if it stands in the source as it is.
fn narrow(place: Place, part: &str, problems: &Problems) -> Place {
    let text = problems.source(place.source).and_then(|source| source.text.get(place.start..place.end));
    match text.and_then(|text| text.find(part)) {
        Some(at) => Place { start: place.start + at, end: place.start + at + part.len(), ..place },
        None => place,
    }
}

/// A file's text without the line end that editors add.
fn read_secret(path: &Path, file: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<String, String> {
    let bytes = file(path).map_err(|error| error.to_string())?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(format!("larger than {SECRET_BYTES_MAX} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

const FILE: &str = "file:";

/// A value is a password or a token, not a document.
const SECRET_BYTES_MAX: usize = 64 * 1024;
