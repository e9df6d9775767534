//! What comes from the declaration alone: schema and reference; and the examples, held against them.

use std::{fs, path::Path};

use serde_json::Value;

use super::*;

/// The files under `config/`, with what they mean.
pub(super) fn examples() -> Vec<(String, Config)> {
    example_texts()
        .into_iter()
        .map(|(path, text)| match from_texts(&[(path.clone(), text)], &with_certificates()) {
            Ok((config, warnings)) => {
                assert!(warnings.is_empty(), "{warnings}");
                (path, config)
            }
            Err(problems) => panic!("{problems}"),
        })
        .collect()
}

#[test]
fn the_examples_are_sound_and_without_warnings() {
    assert!(examples().len() >= 5);
}

#[test]
fn the_schema_takes_the_examples_and_what_is_printed() {
    let schema = schema();
    for (path, text) in example_texts() {
        let value: Value = toml::from_str(&text).unwrap();
        assert_eq!(faults(&schema, &value, ""), Vec::<String>::new(), "{path}");
    }
    for (path, config) in examples() {
        let value: Value = toml::from_str(&effective(&config)).unwrap();
        assert_eq!(faults(&schema, &value, ""), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let value: Value = toml::from_str(include_str!("ten_mistakes.toml")).unwrap();
    let faults = faults(&schema(), &value, "");
    for place in [".upstrem", ".threads", ".cache.heuristic", ".access_log.format", ".timeouts.head"] {
        assert!(faults.iter().any(|fault| fault == place), "{place} in {faults:?}");
    }
}

#[test]
fn every_default_is_of_its_keys_kind() {
    check_defaults(&raw::File::declaration(), "");
}

#[test]
fn the_reference_tells_of_every_key() {
    let reference = reference();
    for key in ["### `listen`", "## `[limits]`", "## `[[routes]]`", "## `[upstreams.NAME]`", "## `routes.cache`"] {
        assert!(reference.contains(key), "{key} in\n{reference}");
    }
    insta::assert_snapshot!(reference);
}

fn example_texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut files = vec![root.join("tidegate.toml")];
    files.extend(fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path()));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.into_iter().map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap())).collect()
}

/// A world in which every certificate and key that an example names is there.
pub(super) fn with_certificates() -> Outside<'static> {
    Outside {
        file: &|path| {
            let certified = rcgen::generate_simple_self_signed(["app.example.com".to_owned()]).unwrap();
            let is_key = path.extension().is_some_and(|extension| extension == "key");
            Ok(if is_key { certified.signing_key.serialize_pem() } else { certified.cert.pem() }.into_bytes())
        },
        ..Outside::nothing()
    }
}

fn check_defaults(declaration: &kind::Declaration, path: &str) {
    assert!(!declaration.doc.is_empty(), "{path}");
    for key in &declaration.keys {
        let path = format!("{path}.{}", key.name);
        assert!(key.doc.ends_with('.'), "{path}: {}", key.doc);
        if let Some(default) = &key.default {
            let text = format!("key = {}", default.inline());
            let mut problems = Problems::new();
            let source = Source { name: path.clone(), directory: Path::new("/").to_owned(), text };
            let source = problems.add_source(source);
            let outside = Outside::nothing();
            let (entries, _) = tree::parse(source, &outside, &mut problems);
            assert!(problems.is_empty() && key.kind.accepts(&entries[0].value), "{path}");
        }
        for (_, table) in key.kind.tables() {
            check_defaults(table, &path);
        }
    }
}

/// Places where a value breaks a schema: as much of JSON Schema as ours uses, in the plainest way.
fn faults(schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let mut faults_found = Vec::new();
    if let Some(options) = schema["anyOf"].as_array() {
        let all: Vec<Vec<String>> = options.iter().map(|option| faults(option, value, place)).collect();
        if all.iter().all(|found| !found.is_empty()) {
            faults_found.push(place.to_owned());
        }
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => {
            value.is_u64()
                && schema["minimum"].as_u64() <= value.as_u64()
                && value.as_u64() <= schema["maximum"].as_u64()
        }
        _ => true,
    };
    let is_listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    if !fits || !is_listed {
        return vec![place.to_owned()];
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let pattern = regex_lite(pattern, value.as_str().unwrap_or_default());
        faults_found.extend((!pattern).then(|| place.to_owned()));
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => faults_found.push(place),
            (Value::Null, Value::Null) => {}
            (Value::Null, additional) => faults_found.extend(faults(additional, inner, &place)),
            (property, _) => faults_found.extend(faults(property, inner, &place)),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
            faults_found.push(format!("{place}.{}", name.as_str().unwrap()));
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        faults_found.extend(faults(&schema["items"], inner, place));
    }
    faults_found
}

/// Our three patterns, told apart by what they name.
fn regex_lite(pattern: &str, text: &str) -> bool {
    let is_filled_in = text.contains("${") || text.starts_with("file:");
    let is_own = if pattern.contains("MGT") {
        crate::units::parse_size(text).is_ok()
    } else if pattern.contains("ms") {
        crate::units::parse_duration(text).is_ok()
    } else {
        false
    };
    is_own || is_filled_in
}
