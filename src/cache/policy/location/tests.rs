use super::*;
use crate::cache::policy::testing::get;

#[test]
fn references_to_the_same_origin_name_their_target() {
    let request = RequestHead { authority: "Example.com".into(), ..get(&[]) };
    let cases = [
        ("/a?b#c", Some("/a?b")),
        ("http://example.com/a", Some("/a")),
        ("HTTP://EXAMPLE.com:80/a", Some("/a")),
        ("//example.com/a", Some("/a")),
        ("http://example.com", Some("/")),
        ("http://example.com?b", None),
        ("https://example.com/a", None),
        ("http://example.com:81/a", None),
        ("http://example.com.evil/a", None),
        ("//other/a", None),
        ("http:///a", None),
        ("mailto:a", None),
        ("http:a", None),
        ("", None),
        ("#a", None),
    ];
    for (reference, expected) in cases {
        assert_eq!(same_origin_target(&request, reference).as_deref(), expected, "{reference}");
    }
}

#[test]
fn relative_references_are_taken_from_the_request() {
    // The examples of RFC 3986 §5.4 whose result is a path of the same origin.
    let request = RequestHead { target: "/b/c/d?q".into(), ..get(&[]) };
    let cases = [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d?y"),
        ("g?y", "/b/c/g?y"),
        ("g?y/../x", "/b/c/g?y/../x"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../g", "/g"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"),
        ("./g/.", "/b/c/g/"),
        ("g/../h", "/b/c/h"),
        ("a/b:c", "/b/c/a/b:c"),
    ];
    for (reference, expected) in cases {
        assert_eq!(same_origin_target(&request, reference).as_deref(), Some(expected), "{reference}");
    }
    let asterisk = RequestHead { target: "*".into(), ..get(&[]) };
    assert_eq!(same_origin_target(&asterisk, "g"), None);
}
