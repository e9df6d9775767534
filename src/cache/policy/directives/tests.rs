use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::lines;

fn of(values: &[&str]) -> ResponseDirectives {
    ResponseDirectives::of(&lines(&values.iter().map(|value| ("Cache-Control", *value)).collect::<Vec<_>>()))
}

fn max_age(value: &str) -> Option<u64> {
    of(&[value]).max_age
}

#[test]
fn max_age_is_digits_and_nothing_else() {
    // RFC 9111 §1.2.2, §4.2.1
    assert_eq!(max_age("max-age=3600"), Some(3600));
    assert_eq!(max_age("max-age=003600"), Some(3600));
    assert_eq!(max_age("MaX-aGe=3600"), Some(3600));
    assert_eq!(max_age("max-age=\"3600\""), Some(3600));
    assert_eq!(max_age("foobar, max-age=3600"), Some(3600));
    assert_eq!(max_age("max-age=99999999999999999999999"), Some(u64::MAX));
    for invalid in ["'3600'", "3600.0", "-3600", "3600a", "a3600", " 3600", "", "\"3600\"x", "3600 1", "\"36\\00\""] {
        assert_eq!(max_age(&format!("max-age={invalid}")), Some(0), "{invalid}");
    }
    assert_eq!(max_age("max-age =3600"), Some(0));
    assert_eq!(max_age("max-age"), Some(0));
    assert_eq!(max_age("x-max-age=3600"), None);
}

#[test]
fn what_stands_in_a_quoted_string_is_no_directive() {
    // RFC 9111 §5.2
    assert_eq!(max_age("ext=\"max-age=3600\", max-age=1"), Some(1));
    assert_eq!(max_age("max-age=1, ext=\"max-age=3600\""), Some(1));
    assert_eq!(max_age("ext=\"a\\\", no-store, \\\"\", max-age=7"), Some(7));
    assert!(!of(&["ext=\"a, no-store\""]).no_store);
    assert!(of(&["ext=\"a\", no-store"]).no_store);
}

#[test]
fn a_quoted_string_without_end_forbids_storing() {
    assert!(of(&["ext=\"a, max-age=60"]).no_store);
    assert!(of(&["ext=\"a\\\", max-age=60"]).no_store);
}

#[test]
fn a_refusal_counts_whatever_separates_it() {
    for value in
        ["private; max-age=60", "max-age=60; private", "no-cache no-store", "public;\tNo-Cache", "a=b no-store"]
    {
        assert!(of(&[value]).no_store, "{value}");
    }
    for value in ["public; max-age=60", "x-private; max-age=60", "a=private", "a=\"no-store; private\"", "private"] {
        assert!(!of(&[value]).no_store, "{value}");
    }
}

#[test]
fn of_duplicates_the_smaller_counts() {
    assert_eq!(max_age("max-age=1800, max-age=1"), Some(1));
    assert_eq!(of(&["max-age=1", "max-age=1800"]).max_age, Some(1));
    assert_eq!(of(&["s-maxage=9", "max-age=1", "s-maxage=x"]).s_maxage, Some(0));
}

#[test]
fn qualified_no_cache_and_private_name_fields() {
    // RFC 9111 §5.2.2.4, §5.2.2.7
    let both = of(&["no-cache=\"A, b\", private=\"Set-Cookie\""]);
    assert!(!both.no_cache && !both.private);
    assert_eq!(both.withheld, [b"a".to_vec(), b"b".to_vec(), b"set-cookie".to_vec()]);
    assert!(of(&["no-cache=\"\""]).no_cache);
    assert!(of(&["private="]).private);
    let plain = of(&["no-cache=\"a\"", "no-cache"]);
    assert!(plain.no_cache);
}

#[test]
fn flags_are_known_in_any_case_and_with_an_argument() {
    let all = of(&["PUBLIC,No-Store=1,,must-revalidate ,proxy-revalidate\t, must-understand"]);
    assert!(all.public && all.no_store && all.must_revalidate && all.proxy_revalidate && all.must_understand);
}

#[test]
fn malformed_request_directives_are_ignored() {
    // RFC 9111 §5.2.1
    let of = |value| RequestDirectives::of(&lines(&[("cache-control", value)]));
    assert_eq!(of("max-age=x, min-fresh=, max-stale=\"q\", foo"), RequestDirectives::default());
    assert_eq!(of("max-stale").max_stale, Some(u64::MAX));
    assert_eq!(of("max-stale=5, max-stale").max_stale, Some(5));
    assert_eq!(of("min-fresh=5, min-fresh=9").min_fresh, Some(9));
    assert!(of("only-if-cached, no-cache, no-store").only_if_cached);
    assert!(of("no-cache, ext=\"").no_cache);
}

/// One byte at a time, with a state for each place it can be in.
fn slow_twin(line: &str) -> Option<Vec<(String, Option<String>)>> {
    let (mut directives, mut current, mut quoted, mut escaped, mut seen_equals) =
        (vec![], String::new(), false, false, false);
    let mut value_start = false;
    for byte in line.chars().chain([',']) {
        if quoted {
            quoted = escaped || byte != '"';
            escaped = byte == '\\' && !escaped;
            current.push(byte);
        } else if byte == ',' {
            directives.push(std::mem::take(&mut current));
            seen_equals = false;
        } else {
            quoted = byte == '"' && value_start;
            current.push(byte);
        }
        value_start = byte == '=' && !quoted && !seen_equals;
        seen_equals |= byte == '=';
    }
    let split = |text: String| match text.split_once('=') {
        Some((name, value)) => (name.trim_matches([' ', '\t']).to_owned(), Some(value.to_owned())),
        None => (text.trim_matches([' ', '\t']).to_owned(), None),
    };
    (!quoted && current.is_empty())
        .then(|| directives.into_iter().map(split).filter(|(name, _)| !name.is_empty()).collect())
}

proptest! {
    #[test]
    fn the_tokeniser_agrees_with_its_slow_twin(line in "[ab=\", \\\\\t]{0,24}") {
        let mut fast = Vec::new();
        let ended = each_directive(line.as_bytes(), |name, argument| {
            fast.push((String::from_utf8(name.to_vec()).unwrap(), argument));
        });
        match slow_twin(&line) {
            None => prop_assert_eq!(ended, Err(Unterminated)),
            Some(slow) => {
                prop_assert_eq!(ended, Ok(()));
                prop_assert_eq!(fast.len(), slow.len(), "{:?} {:?}", fast, slow);
                for ((name, argument), (slow_name, value)) in fast.iter().zip(&slow) {
                    prop_assert_eq!(name, slow_name);
                    match (argument, value) {
                        (Argument::None, None) | (Argument::Invalid, Some(_)) => {}
                        (Argument::Token(token), Some(value)) => {
                            prop_assert_eq!(*token, value.trim_matches([' ', '\t']).as_bytes());
                        }
                        (Argument::Quoted(inner), Some(value)) => {
                            let value = value.trim_matches([' ', '\t']);
                            prop_assert_eq!(*inner, &value.as_bytes()[1..value.len() - 1]);
                        }
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
            }
        }
    }

    #[test]
    fn no_line_panics_and_no_store_is_always_seen(before in any::<Vec<u8>>(), after in any::<Vec<u8>>()) {
        let line = [before, b",no-store,".to_vec(), after].concat();
        let mut fields = Fields::new();
        fields.push("cache-control", &line);
        let seen = ResponseDirectives::of(&fields).no_store;
        let quotes = line.contains(&b'"');
        prop_assert!(seen || quotes);
    }
}
