use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::{Lines, lines};

fn repeats(vary: Lines<'_>, first: Lines<'_>, second: Lines<'_>) -> bool {
    Vary::of(&lines(vary), &lines(first)).unwrap().matches(&lines(second))
}

#[test]
fn a_star_anywhere_is_never_repeated() {
    // RFC 9111 §4.1
    for vary in [&[("Vary", "*")][..], &[("Vary", ", *")], &[("Vary", "Foo, *")], &[("Vary", ""), ("vary", "*, a")]] {
        assert!(Vary::of(&lines(vary), &lines(&[])).is_err());
    }
    assert!(Vary::of(&lines(&[("Vary", "caf\u{e9}")]), &lines(&[])).is_ok());
}

#[test]
fn nominated_fields_must_be_equal_or_absent_in_both() {
    let vary: Lines<'_> = &[("Vary", "Foo, BAR"), ("Vary", "foo")];
    assert!(repeats(vary, &[], &[]));
    assert!(repeats(vary, &[("Foo", "1"), ("Other", "1")], &[("fOO", "1")]));
    assert!(!repeats(vary, &[("Foo", "1")], &[]));
    assert!(!repeats(vary, &[], &[("Foo", "1")]));
    assert!(!repeats(vary, &[], &[("Foo", "")]));
    assert!(!repeats(vary, &[("Foo", "1")], &[("Foo", "2")]));
    assert!(!repeats(vary, &[("Foo", "1")], &[("Foo", "1"), ("Bar", "2")]));
    assert!(!repeats(vary, &[("Foo", "a")], &[("Foo", "A")]));
}

#[test]
fn lines_are_joined_and_space_round_commas_does_not_count() {
    let vary: Lines<'_> = &[("Vary", "foo")];
    assert!(repeats(vary, &[("Foo", "1, 2")], &[("Foo", "1"), ("Foo", "2")]));
    assert!(repeats(vary, &[("Foo", "1,2")], &[("Foo", " 1 ,  2 ")]));
    assert!(!repeats(vary, &[("Foo", "1, 2")], &[("Foo", "2, 1")]));
    assert!(!repeats(vary, &[("Foo", "\"1, 2\"")], &[("Foo", "\"1,2\"")]));
    assert!(!repeats(vary, &[("Foo", "1,,2")], &[("Foo", "1,2")]));
}

#[test]
fn the_accept_family_has_no_order_and_no_case() {
    let vary: Lines<'_> = &[("Vary", "Accept-Language")];
    let pair = |one, other| repeats(vary, &[("Accept-Language", one)], &[("Accept-Language", other)]);
    assert!(pair("en, de", "de, en"));
    assert!(pair("en, de", "EN,DE"));
    assert!(pair("en;q=0.50, de;q=1.000", "de, en; q=0.5"));
    assert!(!pair("en;q=0.5, de", "en, de;q=0.5"));
    assert!(!pair("en", "de"));
    let vary: Lines<'_> = &[("Vary", "accept-encoding")];
    assert!(repeats(vary, &[("Accept-Encoding", "gzip, br")], &[("Accept-Encoding", "br,GZIP")]));
    assert!(!repeats(vary, &[("Accept-Encoding", "gzip;q=0")], &[("Accept-Encoding", "gzip")]));
}

#[test]
fn a_stored_language_answers_who_wants_it_most() {
    let vary: Lines<'_> = &[("Vary", "Accept-Language"), ("Content-Language", "de")];
    let wants = |second| repeats(vary, &[("Accept-Language", "en, de")], &[("Accept-Language", second)]);
    assert!(wants("fr;q=0.5, de;q=1.0"));
    assert!(wants("DE"));
    assert!(!wants("fr, de"));
    assert!(!wants("fr, de;q=0.5"));
    assert!(!wants("de;q=0"));
    let two: Lines<'_> = &[("Vary", "Accept-Language"), ("Content-Language", "de, fr")];
    assert!(!repeats(two, &[("Accept-Language", "en, de")], &[("Accept-Language", "de")]));
}

#[test]
fn two_requests_agree_by_the_nominated_fields_alone() {
    let vary = Vary::of(&lines(&[("Vary", "a")]), &lines(&[])).unwrap();
    assert!(vary.agree(&lines(&[("A", "1"), ("b", "2")]), &lines(&[("a", "1")])));
    assert!(!vary.agree(&lines(&[("A", "1")]), &lines(&[])));
}

proptest! {
    #[test]
    fn the_quick_look_agrees_with_the_normal_form(one in "[ab, \"]{0,6}", other in "[ab, \"]{0,6}", name in "foo|accept") {
        let first = lines(&[(&name, &one)]);
        let second = lines(&[(&name, &other)]);
        let vary = Vary::of(&lines(&[("Vary", &name)]), &first).unwrap();
        prop_assert!(vary.matches(&first));
        prop_assert_eq!(vary.matches(&second), canonical(&first, &name) == canonical(&second, &name));
        prop_assert_eq!(vary.matches(&second), vary.agree(&first, &second));
    }

    #[test]
    fn no_bytes_panic(value in any::<Vec<u8>>()) {
        let mut fields = Fields::new();
        fields.push("accept", &value);
        fields.push("vary", &value);
        fields.push("content-language", &value);
        let _ = Vary::of(&fields, &fields).map(|vary| vary.matches(&fields));
        let _ = Vary::of(&lines(&[("Vary", "accept, accept-language")]), &fields).unwrap().matches(&fields);
    }
}
