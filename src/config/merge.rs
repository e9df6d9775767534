//! Several files as one.
//!
//! The rule: the tables at the top of the files are put together key by key, lists of tables (`[[listener]]`,
//! `[[routes]]`) are appended in the order of the files, and whatever else is written twice is an error that names
//! both places. So a file in `conf.d` can add an upstream and its routes, but never silently change another file's.

use super::{
    problem::{Problem, Problems},
    tree::{Data, Entry, Node},
};

/// Puts the later file's keys into the earlier ones'.
pub(super) fn merge(into: &mut Vec<Entry>, later: Vec<Entry>, problems: &mut Problems) {
    for entry in later {
        let Some(existing) = into.iter_mut().find(|existing| existing.key == entry.key) else {
            into.push(entry);
            continue;
        };
        match (&mut existing.value.data, entry.value.data) {
            (Data::Table(existing), Data::Table(more)) => merge_table(existing, more, &entry.key, problems),
            (Data::List(existing), Data::List(more)) if is_tables(existing) && is_tables(&more) => {
                existing.extend(more)
            }
            (_, data) => {
                let value = Node { data, ..entry.value };
                problems.push(twice(existing, &Entry { value, ..entry }, ""));
            }
        }
    }
}

fn merge_table(into: &mut Vec<Entry>, later: Vec<Entry>, path: &str, problems: &mut Problems) {
    for entry in later {
        match into.iter().find(|existing| existing.key == entry.key) {
            Some(existing) => problems.push(twice(existing, &entry, path)),
            None => into.push(entry),
        }
    }
}

fn twice(first: &Entry, second: &Entry, path: &str) -> Problem {
    let dot = if path.is_empty() { "" } else { "." };
    Problem::error(second.key_place, format!("`{path}{dot}{}` is set in two files", second.key))
        .label("set again here")
        .related(Some(first.key_place), "set here first")
}

fn is_tables(list: &[Node]) -> bool {
    !list.is_empty() && list.iter().all(|node| matches!(node.data, Data::Table(_)))
}
