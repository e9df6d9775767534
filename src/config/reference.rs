//! The declaration as a reference for people, in Markdown.

use super::{
    kind::{Declaration, Kind},
    raw,
    written::Written,
};

/// Every table and key, with kind, default and meaning.
pub fn reference() -> String {
    let root = raw::File::declaration();
    let mut text = String::from(INTRODUCTION);
    text.push_str("\n## At the top of the file\n");
    keys(&mut text, &root);
    sections(&mut text, "", &root);
    text
}

fn sections(text: &mut String, path: &str, declaration: &Declaration) {
    for key in &declaration.keys {
        let dot = if path.is_empty() { "" } else { "." };
        for (more, table) in key.kind.tables() {
            let path = format!("{path}{dot}{}{more}", key.name);
            text.push_str(&format!("\n## `{}`\n\n{}\n", heading(&path, &key.kind), table.doc));
            keys(text, table);
            sections(text, &path, table);
        }
    }
}

/// As the table is written in a file: `[limits]`, `[[routes]]`, `[[listener.tls]]`, `routes.match`.
fn heading(path: &str, kind: &Kind) -> String {
    let is_nested = path.replace(".NAME", "").contains('.');
    match kind {
        Kind::List(kind) if matches!(**kind, Kind::Table(_)) => format!("[[{path}]]"),
        _ if is_nested => path.to_owned(),
        _ => format!("[{path}]"),
    }
}

fn keys(text: &mut String, declaration: &Declaration) {
    for key in declaration.keys.iter().filter(|key| !is_section(&key.kind)) {
        text.push_str(&format!("\n### `{}`\n\n{}\n\n- takes {}\n", key.name, key.doc, key.kind));
        match &key.default {
            Some(default) if !is_long(default) => text.push_str(&format!("- default `{}`\n", default.inline())),
            _ if key.required => text.push_str("- required\n"),
            _ => {}
        }
        meanings(text, &key.kind);
    }
}

/// What each word of a choice means.
fn meanings(text: &mut String, kind: &Kind) {
    match kind {
        Kind::Choice(words) => {
            for (word, meaning) in words.iter().filter(|(_, meaning)| !meaning.is_empty()) {
                text.push_str(&format!("- `\"{word}\"`: {meaning}\n"));
            }
        }
        Kind::Either(one, other) => {
            meanings(text, one);
            meanings(text, other);
        }
        _ => {}
    }
}

/// Whether a key is told of by its table's own section alone.
fn is_section(kind: &Kind) -> bool {
    match kind {
        Kind::Table(_) => true,
        Kind::List(kind) | Kind::Names { kind, .. } => is_section(kind),
        _ => false,
    }
}

fn is_long(default: &Written) -> bool {
    matches!(default, Written::Table(_))
}

const INTRODUCTION: &str = "\
# Configuration reference

One TOML file, and the `conf.d/*.toml` beside it in the order of their names. Tables at the top of the files are put
together key by key, `[[listener]]` and `[[routes]]` are appended, and whatever else is written twice is an error that
names both places. Paths are relative to the file that names them.

Durations are whole numbers with `ms`, `s`, `m`, `h`, `d`: `\"250ms\"`, `\"1h30m\"`. Sizes are whole numbers with `B`,
`KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB`, or plain numbers of bytes. In every text value `${NAME}` stands for an
environment variable, `${NAME:-default}` for one that may be missing or empty, `$${` for a plain `${`; a value that
begins with `file:` is the content of that file (`$file:` for a plain `file:`). Keys are never filled in.
";
