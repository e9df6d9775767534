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
        ("a", None),
        ("", None),
        ("#a", None),
    ];
    for (reference, expected) in cases {
        assert_eq!(same_origin_target(&request, reference), expected, "{reference}");
    }
}
