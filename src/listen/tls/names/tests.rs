use proptest::prelude::*;

use super::*;

fn names(entries: &[(&[&str], u8)]) -> Names<u8> {
    let entries: Vec<_> =
        entries.iter().map(|(names, value)| (names.iter().map(|name| (*name).to_owned()).collect(), *value)).collect();
    Names::new(&entries)
}

#[test]
fn exact_goes_before_wildcard_and_the_first_answers_for_the_rest() {
    let names = names(&[(&["first.test"], 1), (&["*.example.com"], 2), (&["app.example.com"], 3)]);
    assert_eq!(names.find(Some("app.example.com")), [3]);
    assert_eq!(names.find(Some("other.example.com")), [2]);
    assert_eq!(names.find(Some("unknown.test")), [1]);
    assert_eq!(names.find(None), [1]);
}

#[test]
fn a_wildcard_stands_for_one_label() {
    let names = names(&[(&["first.test"], 1), (&["*.example.com"], 2)]);
    for other in ["example.com", "a.b.example.com", ".example.com", "com"] {
        assert_eq!(names.find(Some(other)), [1], "{other}");
    }
}

#[test]
fn case_and_a_final_dot_do_not_matter() {
    let names = names(&[(&["first.test"], 1), (&["app.example.com"], 2)]);
    assert_eq!(names.find(Some("APP.Example.com.")), [2]);
}

#[test]
fn the_same_site_with_two_keys_offers_both_in_order() {
    let names = names(&[(&["app.test", "www.test"], 1), (&["other.test"], 2), (&["app.test"], 3)]);
    assert_eq!(names.find(Some("app.test")), [1, 3]);
    assert_eq!(names.find(Some("www.test")), [1]);
    assert_eq!(names.find(Some("unknown.test")), [1, 3]);
}

#[test]
fn no_values_answer_for_nothing() {
    assert!(names(&[]).find(Some("app.test")).is_empty());
}

/// Label by label.
fn covers(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), name.split('.').collect());
    pattern.len() == name.len()
        && pattern
            .iter()
            .zip(&name)
            .enumerate()
            .all(|(index, (pattern, label))| pattern == label || (index == 0 && *pattern == "*" && !label.is_empty()))
}

proptest! {
    #[test]
    fn the_table_agrees_with_looking_through_the_list(
        patterns in prop::collection::vec("(\\*|[ab])(\\.[ab]){1,2}", 1..6),
        name in "[ab](\\.[ab]){0,3}",
    ) {
        let entries: Vec<_> =
            patterns.iter().enumerate().map(|(index, pattern)| (vec![pattern.clone()], index)).collect();
        let matching = |wildcard: bool| -> Vec<usize> {
            let fits = |pattern: &str| pattern.starts_with("*.") == wildcard && covers(pattern, &name);
            (0..patterns.len()).filter(|index| fits(&patterns[*index])).collect()
        };
        let mut expected = matching(false);
        if expected.is_empty() { expected = matching(true); }
        if expected.is_empty() { expected = (0..patterns.len()).filter(|i| patterns[*i] == patterns[0]).collect(); }
        let names = Names::new(&entries);
        prop_assert_eq!(names.find(Some(&name)), expected);
    }
}
