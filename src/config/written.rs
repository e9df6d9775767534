//! Values on their way back to text: as TOML, and as JSON.

use serde_json::json;

use super::expand;

/// A value as it would be written in a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    Boolean(bool),
    Whole(u64),
    Text(String),
    List(Vec<Written>),
    /// In the order of the declaration.
    Table(Vec<(String, Written)>),
}

impl Written {
    /// The value on one line.
    pub(super) fn inline(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Text(text) => quoted(text),
            Self::List(list) => format!("[{}]", joined(list.iter().map(Self::inline))),
            Self::Table(table) => {
                format!("{{ {} }}", joined(table.iter().map(|(name, value)| assignment(name, value))))
            }
        }
    }

    /// The same for programs.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Boolean(value) => json!(value),
            Self::Whole(value) => json!(value),
            Self::Text(text) => json!(text),
            Self::List(list) => list.iter().map(Self::to_json).collect(),
            Self::Table(table) => table.iter().map(|(name, value)| (name.clone(), value.to_json())).collect(),
        }
    }

    /// A table that need not be written.
    pub(super) fn is_empty_table(&self) -> bool {
        matches!(self, Self::Table(table) if table.is_empty())
    }

    /// A list of which every element is a table, written as `[[name]]`.
    fn is_list_of_tables(&self) -> bool {
        matches!(self, Self::List(list) if !list.is_empty() && list.iter().all(|value| matches!(value, Self::Table(_))))
    }
}

/// A whole file: plain keys, then `[tables]`, then `[[lists of tables]]`, one blank line between them.
pub(super) fn document(root: &[(String, Written)]) -> String {
    let mut text = String::new();
    plain_keys(&mut text, root);
    for (name, value) in root {
        match value {
            Written::Table(table) => section(&mut text, &key(name), table),
            Written::List(list) if value.is_list_of_tables() => {
                for element in list {
                    if let Written::Table(table) = element {
                        text.push_str(&format!("\n[[{}]]\n", key(name)));
                        every_key(&mut text, table);
                    }
                }
            }
            _ => {}
        }
    }
    text.trim_start().to_owned()
}

/// `[path]` with its keys; a table that holds only tables (`upstreams`) becomes one section for each.
fn section(text: &mut String, path: &str, table: &[(String, Written)]) {
    let only_tables = table.iter().all(|(_, value)| matches!(value, Written::Table(_)));
    if only_tables {
        for (name, value) in table {
            if let Written::Table(inner) = value {
                text.push_str(&format!("\n[{path}.{}]\n", key(name)));
                every_key(text, inner);
            }
        }
        return;
    }
    text.push_str(&format!("\n[{path}]\n"));
    every_key(text, table);
}

fn plain_keys(text: &mut String, table: &[(String, Written)]) {
    for (name, value) in table {
        if !matches!(value, Written::Table(_)) && !value.is_list_of_tables() {
            text.push_str(&assignment(name, value));
            text.push('\n');
        }
    }
}

fn every_key(text: &mut String, table: &[(String, Written)]) {
    for (name, value) in table {
        text.push_str(&assignment(name, value));
        text.push('\n');
    }
}

fn assignment(name: &str, value: &Written) -> String {
    format!("{} = {}", key(name), value.inline())
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_bare { name.to_owned() } else { basic(name) }
}

/// A text that reads back as itself, also through [`super::expand`].
fn quoted(text: &str) -> String {
    basic(&expand::escaped(text))
}

/// A TOML basic string (TOML 1.0 "String").
fn basic(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
