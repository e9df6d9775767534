use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn key(scheme: Scheme, authority: &str, target: &str) -> Vec<u8> {
    let mut out = b"left over".to_vec();
    build(&mut out, scheme, authority, target);
    out
}

#[test]
fn host_case_and_default_port_do_not_count() {
    // RFC 9110 §4.2.3
    let plain = key(Scheme::Http, "example.com", "/A?b=C");
    assert_eq!(key(Scheme::Http, "EXAMPLE.com:80", "/A?b=C"), plain);
    assert_eq!(key(Scheme::Http, "example.com:", "/A?b=C"), plain);
    assert_eq!(key(Scheme::Https, "[::1]:443", "/"), key(Scheme::Https, "[::1]", "/"));
}

#[test]
fn everything_else_counts() {
    let keys = [
        key(Scheme::Http, "example.com", "/a"),
        key(Scheme::Https, "example.com", "/a"),
        key(Scheme::Http, "example.com:443", "/a"),
        key(Scheme::Https, "example.com:80", "/a"),
        key(Scheme::Http, "example.com:8080", "/a"),
        key(Scheme::Http, "example.com", "/A"),
        key(Scheme::Http, "example.com", "/a?"),
        key(Scheme::Http, "example.com", "/%61"),
        key(Scheme::Http, "example.com", "//a"),
        key(Scheme::Http, "[::80]", "/a"),
        key(Scheme::Http, "", "/a"),
    ];
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn a_shaped_key_stands_under_its_own_base() {
    let shape = KeyShape { sort_query: true, fields: vec!["x-country".to_owned()], ..KeyShape::default() };
    let mut out = Vec::new();
    build_shaped(&mut out, Scheme::Https, "Example.com:443", "/a?c&b", &shape);
    assert_eq!(out, key(Scheme::Https, "example.com", "/a?b&c"));
    let base = out.clone();
    add_fields(&mut out, &[("X-Country", "DE")].into_iter().collect(), &shape);
    add_route(&mut out, 0x0102);
    assert_eq!(base_of(&out), base);
    assert!(is_under(&out, &base));
}

#[test]
fn a_key_can_be_read_by_people() {
    let mut out = key(Scheme::Https, "example.com:8443", "/a?b");
    assert_eq!(readable(&out), Readable { url: "https://example.com:8443/a?b".to_owned(), also: Vec::new() });
    let shape = KeyShape { fields: vec!["x-a".to_owned(), "x-b".to_owned()], ..KeyShape::default() };
    add_fields(&mut out, &[("X-B", "a:b")].into_iter().collect(), &shape);
    out.extend_from_slice(b"\0proto:https\0;host=x");
    add_route(&mut out, 513);
    add_fields(&mut out, &Fields::new(), &shape);
    assert_eq!(
        readable(&out).also,
        [
            "x-a is absent",
            "x-b: a:b",
            "x-forwarded-proto: https",
            "forwarded: host=x",
            "route 513",
            "x-a is absent",
            "x-b is absent"
        ]
    );
}

proptest! {
    #[test]
    fn no_key_makes_the_reader_panic(key in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..40)) {
        let _ = readable(&key);
    }

    #[test]
    fn different_triples_have_different_keys(triples in prop::collection::vec(("[a/:]{0,3}", "[a/:?]{0,4}"), 0..50)) {
        let mut seen = HashMap::new();
        for (authority, target) in triples {
            let host = authority.strip_suffix(":80").or(authority.strip_suffix(':')).unwrap_or(&authority).to_owned();
            let before = seen.insert(key(Scheme::Http, &authority, &target), (host.clone(), target.clone()));
            prop_assert!(before.is_none_or(|before| before == (host, target)));
        }
    }
}
