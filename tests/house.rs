//! What stands around the sources: files that name other files, held to what is really there.

#![allow(clippy::unwrap_used, reason = "a test that can't read the repository has nothing to say")]

use std::{fs, path::PathBuf};

#[test]
fn the_container_image_copies_files_that_exist_and_reach_the_builder() {
    let ignored = read(".dockerignore");
    let reaches = |source: &str| ignored.lines().any(|line| line.strip_prefix('!') == Some(source));
    let sources: Vec<String> = copied_from_the_repository(&read("deploy/Dockerfile"));
    assert!(sources.len() >= 5, "COPY lines are not recognised: {sources:?}");
    for source in &sources {
        assert!(place(source).exists(), "deploy/Dockerfile copies `{source}`, which is not there");
        assert!(reaches(source), ".dockerignore holds `{source}` back from deploy/Dockerfile");
    }
}

#[test]
fn the_container_image_has_all_that_the_build_reads() {
    let manifest = read("Cargo.toml");
    let sources = copied_from_the_repository(&read("deploy/Dockerfile"));
    let paths = manifest.lines().filter_map(|line| line.split_once("path = \"")).map(|(_, rest)| rest);
    for path in paths.map(|rest| rest.split('"').next().unwrap()) {
        let top = path.split('/').next().unwrap();
        assert!(
            sources.iter().any(|source| source == top),
            "Cargo.toml needs `{path}`, deploy/Dockerfile lacks `{top}`"
        );
    }
}

#[test]
fn the_container_image_and_ci_build_with_the_toolchain_of_the_manifest() {
    let manifest = read("Cargo.toml");
    let line = manifest.lines().find(|line| line.starts_with("rust-version")).unwrap();
    let version = line.split('"').nth(1).unwrap();
    assert!(read("deploy/Dockerfile").contains(&format!("FROM rust:{version}-")), "deploy/Dockerfile: not {version}");
    assert!(
        read(".github/workflows/ci.yml").contains(&format!("toolchain install {version} ")),
        "ci.yml: not {version}"
    );
    assert!(read("README.md").contains(&format!("Rust {version}")), "README.md: not {version}");
}

#[test]
fn configurations_in_the_readme_are_accepted_without_a_warning() {
    let readme = read("README.md");
    let shown: Vec<&str> = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!shown.is_empty(), "README.md shows no configuration");
    for text in shown {
        assert_eq!(warnings_of("README.md", text), "", "{text}");
    }
}

#[test]
fn the_reference_of_the_configuration_is_up_to_date() {
    let text = tidegate::config::reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(place("docs/configuration.md"), &text).unwrap();
    }
    let is_same = read("docs/configuration.md").trim_end() == text.trim_end();
    assert!(is_same, "docs/configuration.md is out of date: tidegate reference > docs/configuration.md");
}

#[test]
fn the_configuration_of_the_container_image_is_accepted() {
    // In a container the neighbours look in over the network: the one warning is meant.
    let warnings = warnings_of("deploy/container.toml", &read("deploy/container.toml"));
    assert_eq!(warnings.matches("warning:").count(), 1, "{warnings}");
    assert!(warnings.contains("admin listener"), "{warnings}");
}

#[test]
fn links_to_files_lead_to_files() {
    for document in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        for target in read(document).split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            let outside = target.contains("://") || target.is_empty();
            assert!(outside || place(target).exists(), "{document} points to `{target}`, which is not there");
        }
    }
}

#[test]
fn no_file_holds_the_address_of_a_machine() {
    for name in ["check", ".ci/run", "README.md", "CONTRIBUTING.md", "deploy/Dockerfile", "deploy/compose.yaml"] {
        let text = read(name);
        for path in ["/home/", "/root/", "/tmp/", "/Users/"] {
            assert!(!text.contains(path), "{name} holds a path of one machine: {path}");
        }
    }
}

/// What is said about a configuration that must be right.
fn warnings_of(name: &str, text: &str) -> String {
    let variable = |name: &str| (name == "TIDEGATE_UPSTREAM").then(|| "app:3000".to_owned());
    match tidegate::config::from_text(name, text, variable) {
        Ok((_, warnings)) => warnings.to_string(),
        Err(problems) => panic!("{problems}"),
    }
}

/// The sources of `COPY` lines that take from the repository and not from another stage.
fn copied_from_the_repository(dockerfile: &str) -> Vec<String> {
    let copies =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|rest| !rest.contains("--from="));
    let mut sources = Vec::new();
    for rest in copies {
        let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        sources.extend(words[..words.len() - 1].iter().map(|&word| word.to_owned()));
    }
    sources
}

fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(place(name)).unwrap_or_else(|problem| panic!("{name}: {problem}"))
}
