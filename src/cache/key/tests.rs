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

proptest! {
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
