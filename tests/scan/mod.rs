//! Reading the sources for the architecture test: code without its comments and strings, and what it mentions.

use std::{fs, path::Path};

/// One file of `src`.
pub(crate) struct Source {
    /// From the top of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// `text` with comments and literals blanked; same length, same lines.
    code: String,
}

/// All Rust files under `src`, sorted by path.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no source was found");
    let read = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let relative = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        Source::new(&relative, &text)
    };
    paths.iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: code_of(text) }
    }

    /// The top-level module that the file belongs to: `cache` for `src/cache/store.rs`.
    pub(crate) fn part(&self) -> &str {
        let below = self.path.trim_start_matches("src/");
        below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
    }

    /// Whether the file holds tests or their helpers; its name and folder say already what lives in it.
    pub(crate) fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.ends_with("/testing.rs") || self.path.contains("/tests/")
    }

    /// Line and name of every top-level module that the code names through `crate::`, `tidegate::` or enough `super::`.
    pub(crate) fn uses(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for root in ["crate::", "tidegate::"] {
            for place in self.words(root) {
                self.items_after(place + root.len(), &mut found);
            }
        }
        for place in self.words("super::") {
            if self.code[..place].ends_with("super::") {
                continue;
            }
            let ups = self.code[place..].split("super::").take_while(|between| between.is_empty()).count();
            // `split` gives one empty piece in front of each `super::` of the chain.
            if ups == self.depth() {
                self.items_after(place + ups * "super::".len(), &mut found);
            }
        }
        found.sort_by_key(|&(place, _)| place);
        found.into_iter().map(|(place, name)| (self.line(place), name)).collect()
    }

    /// Lines on which the code names a path into the outside crate `name`.
    pub(crate) fn mentions_crate(&self, name: &str) -> Vec<usize> {
        let leads_in = |place: usize| {
            let before = self.code[..place].trim_end();
            // `a::moka::` is somebody's module, `::moka::` is the crate; `.moka` is a field.
            !before.ends_with('.') && (!before.ends_with("::") || !before[..before.len() - 2].ends_with(is_name))
        };
        let leads_on = |place: usize| {
            let after = self.code[place + name.len()..].trim_start();
            let imported = self.code[..place].trim_end().ends_with("use");
            after.starts_with("::") || (imported && (after.starts_with(';') || after.starts_with("as ")))
        };
        let mut lines: Vec<usize> = self
            .words(name)
            .filter(|&place| {
                !self.code[place + name.len()..].starts_with(is_name) && leads_in(place) && leads_on(place)
            })
            .map(|place| self.line(place))
            .collect();
        lines.dedup();
        lines
    }

    /// Lines on which the code holds `word`, as the beginning of a name.
    pub(crate) fn mentions(&self, word: &str) -> Vec<usize> {
        self.words(word).map(|place| self.line(place)).collect()
    }

    /// Modules between this file and the crate's root.
    fn depth(&self) -> usize {
        let below = self.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        below.split('/').count()
    }

    /// Places where `word` begins a name.
    fn words<'s>(&'s self, word: &'s str) -> impl Iterator<Item = usize> + 's {
        self.code.match_indices(word).map(|(place, _)| place).filter(|&place| !self.code[..place].ends_with(is_name))
    }

    /// The names that a path goes on with: one, or those at the top level of `{…}`.
    fn items_after(&self, place: usize, found: &mut Vec<(usize, String)>) {
        let rest = &self.code[place..];
        if !rest.trim_start().starts_with('{') {
            found.extend(name_at(rest).map(|name| (place, name)));
            return;
        }
        let (mut depth, mut expected) = (0, false);
        for (offset, character) in rest.char_indices() {
            match character {
                '{' => {
                    depth += 1;
                    expected = depth == 1;
                }
                '}' if depth == 1 => return,
                '}' => depth -= 1,
                ',' => expected = depth == 1,
                _ if expected && is_name(character) => {
                    found.extend(name_at(&rest[offset..]).map(|name| (place + offset, name)));
                    expected = false;
                }
                _ => {}
            }
        }
    }

    fn line(&self, place: usize) -> usize {
        self.code[..place].matches('\n').count() + 1
    }
}

/// The module name at the front of `rest`; a type, a macro, `self` and `super` are none.
fn name_at(rest: &str) -> Option<String> {
    let name: String = rest.trim_start().chars().take_while(|&character| is_name(character)).collect();
    let module = name.starts_with(|first: char| first.is_ascii_lowercase()) && name != "self" && name != "super";
    module.then_some(name)
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Blanks comments, strings and character literals; line ends stay.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let blank = blank_length(rest, code.chars().next_back());
        if blank == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..blank].chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
            rest = &rest[blank..];
        }
    }
    code
}

/// Bytes of the comment or literal that stands at the front of `rest`; 0 if there is none.
fn blank_length(rest: &str, before: Option<char>) -> usize {
    let name_before = before.is_some_and(is_name);
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if let Some(hashes) = raw_string_hashes(rest).filter(|_| !name_before) {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = rest.find('"').map_or(rest.len(), |quote| quote + 1);
        return rest[start..].find(&end).map_or(rest.len(), |offset| start + offset + end.len());
    }
    if rest.starts_with('"') {
        return quoted_length(rest, '"');
    }
    if rest.starts_with('\'') {
        // 'a' or '\n' is a character; 'a without a second quote is a lifetime.
        let mut characters = rest.chars().skip(1);
        let is_escape = characters.next() == Some('\\');
        return if is_escape || characters.next() == Some('\'') { quoted_length(rest, '\'') } else { 0 };
    }
    0
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0;
    for (offset, _) in rest.char_indices() {
        if rest[offset..].starts_with("/*") {
            depth += 1;
        } else if rest[offset..].starts_with("*/") {
            depth -= 1;
            if depth == 0 {
                return offset + 2;
            }
        }
    }
    rest.len()
}

/// How many `#` stand in front of the quote, if a raw string begins here.
fn raw_string_hashes(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.chars().take_while(|&character| character == '#').count();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return offset + 1,
            _ => {}
        }
    }
    rest.len()
}
