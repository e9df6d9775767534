//! Keys: shaping a query changes nothing the second time, drops nothing that counts, and every key can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::{
    cache::key::{add_fields, build, build_shaped, readable},
    config::{KeyShape, QueryShape},
    wire::{Fields, Scheme, Url},
};

fuzz_target!(|input: (&str, Vec<String>, bool, bool, &[u8])| {
    let (text, names, is_kept, sort_query, value) = input;
    let Ok(url) = Url::parse(text) else { return };
    if names.iter().any(|name| name.is_empty() || name.contains(['&', '=', ';', '#'])) {
        return;
    }
    let query = if is_kept { QueryShape::Keep(names) } else { QueryShape::Ignore(names) };
    let shape = KeyShape { query, sort_query, fields: vec!["x-a".to_owned(), "x-b".to_owned()] };
    let (mut once, mut again) = (Vec::new(), Vec::new());
    build_shaped(&mut once, Scheme::Http, &url.authority, &url.target, &shape);
    let shaped = readable(&once).url;
    let target = shaped.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or("");
    build_shaped(&mut again, Scheme::Http, &url.authority, target, &shape);
    assert_eq!(once, again);
    assert!(target.len() <= url.target.len());
    assert!(target.split(['?', '&']).all(|part| url.target.contains(part)));

    let value: Vec<u8> = value.iter().copied().filter(|byte| !matches!(byte, 0 | b'\r' | b'\n')).collect();
    let one: Fields = [("X-A", value.as_slice())].into_iter().collect();
    let other: Fields = [("X-B", value.as_slice())].into_iter().collect();
    let mut other_key = once.clone();
    add_fields(&mut once, &one, &shape);
    add_fields(&mut other_key, &other, &shape);
    assert_ne!(once, other_key);
    assert_eq!(readable(&once).also.len(), 2);

    let mut plain = Vec::new();
    build(&mut plain, Scheme::Http, &url.authority, &url.target);
    build_shaped(&mut again, Scheme::Http, &url.authority, &url.target, &KeyShape::default());
    assert_eq!(plain, again);
});
