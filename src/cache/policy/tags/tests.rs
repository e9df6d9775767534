use super::*;
use crate::cache::policy::testing::{Lines, lines};

fn told(words: &Words) -> Vec<&str> {
    words.iter().map(|word| std::str::from_utf8(word).unwrap()).collect()
}

fn tags(fields: Lines<'_>) -> Tags {
    Tags::of(&lines(fields)).unwrap()
}

#[test]
fn tags_stand_between_commas_or_spaces_in_any_of_the_fields() {
    let found = tags(&[("Cache-Tag", "b, a ,,c"), ("Surrogate-Key", "a d\te"), ("XKEY", "A"), ("X-Tag", "no")]);
    assert_eq!(told(&found.tags), ["A", "a", "b", "c", "d", "e"]);
    assert_eq!(tags(&[("Cache-Tag", " , ")]), Tags::default());
}

#[test]
fn groups_are_a_list_of_strings_or_nothing() {
    // RFC 9875 §2
    let found = tags(&[("Cache-Groups", "\"b, x\";p=1"), ("Cache-Groups", "\"a\", \"a\"")]);
    assert_eq!(told(&found.groups), ["a", "b, x"]);
    for wrong in ["a", "\"a\", b", "\"a"] {
        assert_eq!(tags(&[("Cache-Groups", wrong)]), Tags::default(), "{wrong}");
    }
}

#[test]
fn as_many_groups_as_the_rfc_asks_for_are_taken() {
    // RFC 9875 §2: at least 32 of at least 32 characters.
    let groups = (0..32).map(|at| format!("\"{at:032}\"")).collect::<Vec<_>>().join(", ");
    assert_eq!(tags(&[("Cache-Groups", &groups)]).groups.len(), 32);
}

#[test]
fn past_the_bounds_there_is_no_answer_to_keep() {
    let many = |count: usize| (0..count).map(|at| at.to_string()).collect::<Vec<_>>();
    assert_eq!(tags(&[("xkey", &many(TAGS_MAX).join(" "))]).tags.len(), TAGS_MAX);
    assert_eq!(Tags::of(&lines(&[("xkey", &many(TAGS_MAX + 1).join(" "))])), Err(TooMany));
    assert_eq!(Tags::of(&lines(&[("Cache-Tag", &"x".repeat(TAG_BYTES_MAX + 1))])), Err(TooMany));
    let groups = format!("\"{}\"", many(TAGS_MAX + 1).join("\", \""));
    assert_eq!(Tags::of(&lines(&[("Cache-Groups", &groups)])), Err(TooMany));
}

#[test]
fn an_unsafe_answer_names_the_groups_that_it_invalidates() {
    // RFC 9875 §3
    let named = |value| invalidated_groups(&lines(&[("Cache-Group-Invalidation", value)]));
    assert_eq!(told(&named("\"b\", \"a\";x")), ["a", "b"]);
    assert!(named("a").is_empty() && named("").is_empty());
    let long = format!("\"{}\", \"short\"", "x".repeat(TAG_BYTES_MAX + 1));
    assert_eq!(told(&named(&long)), ["short"]);
}
