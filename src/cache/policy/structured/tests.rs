use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::lines;

fn members(values: &[&str]) -> Option<Vec<(String, Member)>> {
    let fields: Vec<_> = values.iter().map(|value| ("CDN-Cache-Control", *value)).collect();
    dictionary(&lines(&fields), "cdn-cache-control")
}

#[test]
fn a_dictionary_has_its_types() {
    let told = members(&["a, b=?0, c=5;x=1, d=\"t,t\", e=tok, f=1.5, g=(1 2)"]).unwrap();
    let value = |key: &str| told.iter().find(|(name, _)| name == key).map(|(_, member)| member.clone()).unwrap();
    assert_eq!(value("a"), Member::Boolean(true));
    assert_eq!(value("b"), Member::Boolean(false));
    assert_eq!(value("c"), Member::Integer(5));
    assert_eq!(value("d"), Member::Text("t,t".into()));
    assert_eq!(value("e"), Member::Text("tok".into()));
    assert_eq!((value("f"), value("g")), (Member::Other, Member::Other));
}

#[test]
fn several_lines_are_one_value_and_the_last_of_a_key_counts() {
    // RFC 8941 §4.2, §4.2.2
    let expected = vec![("a".into(), Member::Integer(2)), ("b".into(), Member::Boolean(true))];
    assert_eq!(members(&["a=1", "", "b,a=2"]), Some(expected));
}

#[test]
fn an_error_anywhere_is_no_value_at_all() {
    for wrong in ["", " ", "a=", "a,,b", "a,", "A=1", "a=1 b=2", "a=\"x", "a=1;", "&", "a=é", "a=1234567890123456"] {
        assert_eq!(members(&[wrong]), None, "{wrong}");
    }
    assert_eq!(members(&["a=1", "&"]), None);
}

#[test]
fn a_list_of_strings_holds_nothing_else() {
    let list = |value| strings(&lines(&[("Cache-Groups", value)]), "cache-groups");
    assert_eq!(list("\"a\", \"b\";x, \"a b\""), Some(vec!["a".into(), "b".into(), "a b".into()]));
    for wrong in ["", "a", "\"a\", b", "\"a\" \"b\"", "(\"a\")", "\"a\", 1"] {
        assert_eq!(list(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(value: Vec<u8>) {
        let fields = [("x", value)].into_iter().collect();
        let _ = (dictionary(&fields, "x"), strings(&fields, "x"));
    }
}
