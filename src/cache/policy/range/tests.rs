use proptest::prelude::*;

use super::*;
use crate::cache::policy::testing::{Lines, get, response, rfc, weigh};

/// An answer of ten bytes.
fn ten(fields: Lines<'_>) -> Answer {
    let mut all = vec![("Cache-Control", "max-age=60"), ("Content-Length", "10")];
    all.extend(fields);
    weigh(&get(&[]), &response(200, &all), &rfc()).unwrap()
}

fn wanted(range: &str) -> Wanted {
    evaluate(&get(&[("Range", range)]), &ten(&[]))
}

#[test]
fn single_ranges_are_cut_to_the_length() {
    // RFC 9110 §14.1.2
    for (range, part) in [
        ("bytes=0-1", 0..2),
        ("bytes=4-", 4..10),
        ("bytes=-3", 7..10),
        ("bytes=-99", 0..10),
        ("bytes=0-", 0..10),
        ("bytes=9-99", 9..10),
        ("bytes=0-18446744073709551615", 0..10),
        ("Bytes= 2-3 ,", 2..4),
        ("bytes=10-,1-1", 1..2),
    ] {
        assert_eq!(wanted(range), Wanted::Parts(vec![part]), "{range}");
    }
}

#[test]
fn several_ranges_come_as_they_were_asked_for() {
    assert_eq!(wanted("bytes=7-8, 0-0,-1"), Wanted::Parts(vec![7..9, 0..1, 9..10]));
    assert_eq!(wanted("bytes=0-5,3-9"), Wanted::Whole, "no more than the whole");
}

#[test]
fn many_small_and_overlapping_ranges_get_the_whole_once() {
    // RFC 9110 §14.2, §17.15
    let many = |count| format!("bytes={}", vec!["0-0"; count].join(","));
    assert_eq!(wanted(&many(2)), Wanted::Parts(vec![0..1; 2]));
    assert_eq!(wanted(&many(3)), Wanted::Whole);
    assert_eq!(wanted("bytes=0-2,1-3,2-4"), Wanted::Whole);
    assert_eq!(wanted("bytes=0-1,1-2,2-3"), Wanted::Parts(vec![0..2, 1..3, 2..4]));
    let hundred =
        weigh(&get(&[]), &response(200, &[("Cache-Control", "max-age=60"), ("Content-Length", "100")]), &rfc());
    let hundred = hundred.unwrap();
    let apart = |count: usize| {
        let ranges: Vec<String> = (0..count).rev().map(|at| format!("{0}-{0}", at * 2)).collect();
        evaluate(&get(&[("Range", &format!("bytes={}", ranges.join(",")))]), &hundred)
    };
    assert!(matches!(apart(16), Wanted::Parts(parts) if parts.len() == 16 && parts[0] == (30..31)));
    assert_eq!(apart(17), Wanted::Whole);
}

#[test]
fn of_nothing_there_is_no_part() {
    let empty = weigh(&get(&[]), &response(200, &[("Cache-Control", "max-age=60"), ("Content-Length", "0")]), &rfc());
    let empty = empty.unwrap();
    for range in ["bytes=0-", "bytes=-5", "bytes=0-0", "bytes=7-"] {
        assert_eq!(evaluate(&get(&[("Range", range)]), &empty), Wanted::Whole, "{range}");
    }
}

#[test]
fn what_lies_behind_the_end_is_unsatisfiable() {
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99-,-0"] {
        assert_eq!(wanted(range), Wanted::Unsatisfiable(10), "{range}");
    }
}

#[test]
fn what_is_not_understood_is_ignored() {
    // RFC 9110 §14.2
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=a-b",
        "bytes=2-1",
        "bytes=1",
        "bytes=--1",
        "bytes=1-2-3",
        "lines=0-1",
        "bytes=+1-2",
        "bytes=0-1,x",
        "bytes 0-1",
    ] {
        assert_eq!(wanted(range), Wanted::Whole, "{range}");
    }
    let twice = get(&[("Range", "bytes=0-1"), ("Range", "bytes=0-1")]);
    assert_eq!(evaluate(&twice, &ten(&[])), Wanted::Whole);
    let not_ok = response(404, &[("Cache-Control", "max-age=60"), ("Content-Length", "10")]);
    let not_ok = weigh(&get(&[]), &not_ok, &rfc()).unwrap();
    assert_eq!(evaluate(&get(&[("Range", "bytes=0-1")]), &not_ok), Wanted::Whole);
}

#[test]
fn if_range_names_the_same_representation_strongly() {
    // RFC 9110 §13.1.5
    let asked = |if_range: &str, fields: Lines<'_>| {
        evaluate(&get(&[("Range", "bytes=0-1"), ("If-Range", if_range)]), &ten(fields)) != Wanted::Whole
    };
    assert!(asked("\"a\"", &[("ETag", "\"a\"")]));
    assert!(!asked("\"b\"", &[("ETag", "\"a\"")]));
    assert!(!asked("\"a\"", &[]));
    assert!(!asked("W/\"a\"", &[("ETag", "W/\"a\"")]));
    assert!(!asked("\"a\"", &[("ETag", "W/\"a\"")]));
    let (old, older) = ("Tue, 15 Nov 2016 08:12:31 GMT", "Tue, 15 Nov 2016 08:12:30 GMT");
    assert!(asked(old, &[("Last-Modified", old)]));
    assert!(!asked(older, &[("Last-Modified", old)]));
    assert!(!asked(old, &[]));
    assert!(!asked(old, &[("Last-Modified", old), ("Date", old)]), "another version may have come in that second");
}

proptest! {
    #[test]
    fn parts_lie_within_the_answer(range in "(bytes=)?([0-9]{0,2}-[0-9]{0,2},?){0,4}|[^@]{0,20}") {
        if let Wanted::Parts(parts) = wanted(&range) {
            prop_assert!(!parts.is_empty());
            prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= 10));
        }
    }
}

#[test]
fn what_is_wanted_is_so_many_bytes() {
    assert_eq!(Wanted::Whole.bytes(10), 10);
    assert_eq!(Wanted::Parts(vec![0..3, 8..10]).bytes(10), 5);
    assert_eq!(Wanted::Unsatisfiable(10).bytes(10), 0);
}
