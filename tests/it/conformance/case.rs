//! A case as it stands in the files of `tests/conformance`; their README tells the language.

use std::{fs, path::Path};

use serde_json::json;
use toml::{Table, Value};

use super::way::Way;

/// What is done and expected, step by step.
#[derive(Clone)]
pub struct Case {
    /// Where it stands, and what it holds: for people.
    pub title: String,
    /// Its path at the gateway, which is nobody else's; the first segment chooses the route.
    pub path: String,
    pub steps: Vec<Step>,
}

/// One line each of the story, without its mark; a step begins with `>` or `~`.
#[derive(Clone, Default)]
pub struct Step {
    /// `~`: how many milliseconds to wait, and nothing else.
    pub wait_ms: Option<u64>,
    /// `>`: what the client asks.
    pub ask: String,
    /// `<`: what the backend says from now on; interim answers first.
    pub backend: Vec<String>,
    /// `?`: fields of the last request that the backend got.
    pub seen: Vec<String>,
    /// `=`: what the client gets, and how.
    pub outcome: String,
}

impl Case {
    /// The same on a path of its own.
    pub fn on(&self, way: Way) -> Self {
        let (title, path) = (format!("{}, {way:?}", self.title), format!("{}-{way:?}", self.path));
        Self { title, path, steps: self.steps.clone() }
    }
}

/// All cases of all files.
pub fn all() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files.iter().flat_map(|file| of_file(file)).collect()
}

fn of_file(file: &Path) -> Vec<Case> {
    let theme = file.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let table: Table = text.parse().unwrap_or_else(|error| panic!("{theme}.toml: {error}"));
    let list = |key: &str| table.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let pairs = list("pairs").into_iter().map(|pair| {
        let [section, name, answer, again]: [String; 4] = pair.try_into().unwrap();
        (section, name, "plain".to_owned(), format!(">\n< {answer}\n= miss\n>\n= {again}"))
    });
    let cases = list("case").into_iter().map(|case| {
        let text = |key: &str| case.get(key).and_then(Value::as_str).map(str::to_owned);
        let told = |key: &str| text(key).unwrap_or_else(|| panic!("{theme}.toml: no {key} in {}", json!(case)));
        (told("section"), told("name"), text("route").unwrap_or("plain".into()), told("story"))
    });
    let of_row = |(index, (section, name, route, story)): (usize, (String, String, String, String))| {
        let title = format!("{theme}: {name} ({section})");
        Case { steps: steps(&title, &story), path: format!("/{route}/{theme}/{index}"), title }
    };
    pairs.chain(cases).enumerate().map(of_row).collect()
}

fn steps(title: &str, story: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (mark, rest) = line.split_at(1);
        let rest = rest.trim().to_owned();
        match mark {
            ">" => steps.push(Step { ask: rest, ..Step::default() }),
            "~" => steps.push(Step { wait_ms: Some(rest.parse().unwrap()), ..Step::default() }),
            _ => {
                let step = steps.last_mut().unwrap_or_else(|| panic!("{title}: {line:?} before any step"));
                match mark {
                    "<" => step.backend.push(rest),
                    "?" => step.seen.extend(words(&rest)),
                    "=" => step.outcome = rest,
                    _ => panic!("{title}: {line:?} begins with none of the marks"),
                }
            }
        }
    }
    steps
}

/// The parts of a line.
pub fn words(line: &str) -> Vec<String> {
    format!(" {line}").split(" |").map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}
