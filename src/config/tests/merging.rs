//! `conf.d`: several files as one.

use std::fs;

use super::*;

fn merged(texts: &[(&str, &str)]) -> Result<(Config, Problems), Problems> {
    let texts: Vec<_> = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let outside = Outside::nothing();
    from_texts(&texts, &outside)
}

#[test]
fn tables_upstreams_and_routes_are_put_together() {
    let (config, _) = merged(&[
        ("tidegate.toml", "upstream = \"main:1\"\n[limits]\nfields = 50\n[[routes]]\nmatch = { path = \"/a\" }"),
        ("conf.d/10.toml", "[limits]\nhead = \"16KiB\"\n[upstreams.app]\nservers = \"app:1\""),
        ("conf.d/20.toml", "[[routes]]\nmatch = { path = \"/b\" }\nupstream = \"app\""),
    ])
    .unwrap();
    assert_eq!((config.limits.fields, config.limits.head_bytes), (50, 16 << 10));
    let paths: Vec<&str> = config.routes.iter().map(|route| route.matches.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/b", "/"]);
}

#[test]
fn what_two_files_set_is_an_error_that_names_both() {
    let problems = merged(&[
        ("tidegate.toml", "upstream = \"main:1\"\n[limits]\nfields = 50\n[upstreams.app]\nservers = \"a:1\""),
        ("conf.d/10.toml", "upstream = \"other:1\"\n[limits]\nfields = 60\n[upstreams.app]\nservers = \"b:1\""),
    ])
    .unwrap_err();
    insta::assert_snapshot!(problems, @r#"
    error: `upstream` is set in two files
     --> conf.d/10.toml:1:1
      |
    1 | upstream = "other:1"
      | ^^^^^^^^ set again here
      |
     ::: tidegate.toml:1:1
      |
    1 | upstream = "main:1"
      | -------- set here first

    error: `limits.fields` is set in two files
     --> conf.d/10.toml:3:1
      |
    3 | fields = 60
      | ^^^^^^ set again here
      |
     ::: tidegate.toml:3:1
      |
    3 | fields = 50
      | ------ set here first

    error: `upstreams.app` is set in two files
     --> conf.d/10.toml:4:12
      |
    4 | [upstreams.app]
      |            ^^^ set again here
      |
     ::: tidegate.toml:4:12
      |
    4 | [upstreams.app]
      |            --- set here first
    "#);
}

#[test]
fn only_toml_files_are_taken_in_the_order_of_their_names() {
    let directory = tempfile::tempdir().unwrap();
    let conf_d = directory.path().join("conf.d");
    fs::create_dir(&conf_d).unwrap();
    fs::write(directory.path().join("tidegate.toml"), "upstream = \"main:1\"").unwrap();
    for (name, path) in [("20-b.toml", "/b"), ("10-a.toml", "/a"), ("30-c.toml.off", "/c")] {
        fs::write(conf_d.join(name), format!("[[routes]]\nmatch = {{ path = \"{path}\" }}")).unwrap();
    }
    let loaded = load(&directory.path().join("tidegate.toml")).unwrap();
    let paths: Vec<&str> = loaded.config.routes.iter().map(|route| route.matches.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/b", "/"]);
    assert_eq!(loaded.files.len(), 3);
}
