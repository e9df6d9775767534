//! What is asked of fields by name, beside the plain way to find it out.

use proptest::prelude::*;

use crate::wire::{Fields, NameMarks};

/// What may be done to fields.
#[derive(Clone, Debug)]
enum Change {
    Push(String),
    Set(String),
    Remove(String),
    Retain(u8),
    Shrink,
    Clone,
    Clear,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-cA-C-]{1,3}", "[ab]{61,66}", Just("Host".to_owned())]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => name().prop_map(Change::Push),
        3 => name().prop_map(Change::Set),
        2 => name().prop_map(Change::Remove),
        1 => any::<u8>().prop_map(Change::Retain),
        1 => Just(Change::Shrink),
        1 => Just(Change::Clone),
        1 => Just(Change::Clear),
    ]
}

fn apply(fields: &mut Fields, change: &Change) {
    match change {
        Change::Push(name) => fields.push(name, "pushed"),
        Change::Set(name) => fields.set(name, "set"),
        Change::Remove(name) => drop(fields.remove(name)),
        Change::Retain(first) => fields.retain(|name, _| name.first() < Some(first)),
        Change::Shrink => fields.shrink(),
        Change::Clone => *fields = fields.clone_with_room(1, 10),
        Change::Clear => fields.clear(),
    }
}

proptest! {
    #[test]
    fn a_name_is_found_as_by_a_walk_over_all_lines(
        changes in prop::collection::vec(change(), 0..20),
        asked in prop::collection::vec(name(), 1..6),
    ) {
        let mut fields = Fields::new();
        changes.iter().for_each(|change| apply(&mut fields, change));
        for name in &asked {
            let plain = || fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value);
            prop_assert_eq!(fields.get(name), plain().next());
            prop_assert_eq!(fields.contains(name), plain().next().is_some());
            prop_assert!(fields.all(name).eq(plain()));
            let had = plain().next().is_some();
            prop_assert_eq!(fields.clone().remove(name), had);
        }
        let names: Vec<&str> = asked.iter().map(String::as_str).collect();
        let is_one_there = names.iter().any(|name| fields.contains(name));
        prop_assert!(!is_one_there || fields.may_have(NameMarks::of(&names)));
        let is_asked = |(name, _): &(&[u8], &[u8])| asked.iter().any(|asked| asked.as_bytes().eq_ignore_ascii_case(name));
        prop_assert!(fields.like(NameMarks::of(&names)).filter(is_asked).eq(fields.iter().filter(is_asked)));
    }
}

#[test]
fn what_is_not_there_is_mostly_told_by_its_beginning_and_its_length() {
    let mut fields = Fields::new();
    assert!(!fields.may_have(NameMarks::of(&["host"])));
    fields.push("Host", "a");
    assert!(fields.may_have(NameMarks::of(&["range", "home"])));
    assert!(!fields.may_have(NameMarks::of(&["etag", "if-match"])));
    fields.clear();
    assert!(!fields.may_have(NameMarks::of(&["host"])));
}
