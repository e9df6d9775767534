use proptest::prelude::*;

use super::*;
use crate::cache::{
    account::Account,
    testing::{Lines, answer},
};

const LENGTH: u64 = 48;
const RUNS: usize = 32;

fn up_to(bytes: u64) -> PartBounds {
    PartBounds { bytes, runs: RUNS }
}

fn an_answer(fields: Lines<'_>) -> Arc<Answer> {
    let mut all = vec![("Cache-Control", "max-age=60"), ("Content-Length", "48")];
    all.extend(fields);
    Arc::new(answer(&all))
}

/// The byte at this position.
fn at(position: u64) -> u8 {
    (position * 7 + 3) as u8
}

/// These bytes, in chunks of so many.
fn piece(bytes: Range<u64>, chunk: usize) -> Piece {
    let content: Vec<u8> = bytes.clone().map(at).collect();
    let chunks = content.chunks(chunk).map(Bytes::copy_from_slice).collect();
    Piece { place: Place { bytes, sure: true }, chunks }
}

fn store(account: &Arc<Account>, answer: &Arc<Answer>, combined: Combined) -> Arc<Stored> {
    let charge = account.charge(combined.cost() + 100).unwrap();
    combined.stored(answer.clone(), charge)
}

fn slice(stored: &Stored, wanted: Range<u64>) -> Vec<u8> {
    stored.slice(&wanted).flatten().collect()
}

#[test]
fn parts_of_one_representation_become_the_whole() {
    let (account, answer) = (Account::new(1 << 20), an_answer(&[("ETag", "\"a\"")]));
    let head = store(&account, &answer, Combined::of(&answer, None, piece(0..10, 4), up_to(1000)));
    assert!(!head.is_whole() && head.holds(&(3..10)) && !head.holds(&(3..11)));
    let both = store(&account, &answer, Combined::of(&answer, Some(&head), piece(30..48, 5), up_to(1000)));
    assert!(both.holds(&(0..10)) && both.holds(&(30..48)) && !both.holds(&(9..31)));
    assert_eq!(slice(&both, 33..37), (33..37).map(at).collect::<Vec<_>>());
    let whole = store(&account, &answer, Combined::of(&answer, Some(&both), piece(5..40, 64), up_to(1000)));
    assert!(whole.is_whole());
    assert_eq!(whole.body.chunks().concat(), (0..48).map(at).collect::<Vec<_>>());
    drop((head, both, whole));
    assert_eq!(account.held(), 0);
}

#[test]
fn without_the_same_strong_validator_nothing_is_combined() {
    // RFC 9111 §3.4
    let account = Account::new(1 << 20);
    let (date, later) = ("Tue, 15 Nov 2016 08:12:31 GMT", "Tue, 15 Nov 2016 08:20:31 GMT");
    let cases: [(Lines<'_>, Lines<'_>, bool); 8] = [
        (&[("ETag", "\"a\"")], &[("ETag", "\"a\"")], true),
        (&[("ETag", "\"a\"")], &[("ETag", "\"b\"")], false),
        (&[("ETag", "W/\"a\"")], &[("ETag", "W/\"a\"")], false),
        (&[], &[], false),
        (&[("ETag", "\"a\"")], &[], false),
        (&[("Last-Modified", date), ("Date", later)], &[("Last-Modified", date), ("Date", later)], true),
        (&[("Last-Modified", date), ("Date", date)], &[("Last-Modified", date), ("Date", date)], false),
        (&[("ETag", "\"a\""), ("Content-Length", "47")], &[("ETag", "\"a\"")], true),
    ];
    for (first, second, combines) in cases {
        let (old, new) = (an_answer(first), an_answer(second));
        let stored = store(&account, &old, Combined::of(&old, None, piece(0..10, 10), up_to(1000)));
        let combined = store(&account, &new, Combined::of(&new, Some(&stored), piece(10..20, 10), up_to(1000)));
        assert_eq!(combined.holds(&(0..20)), combines, "{first:?} and {second:?}");
        assert!(combined.holds(&(10..20)));
    }
}

#[test]
fn what_is_not_sure_stands_alone() {
    let (account, answer) = (Account::new(1 << 20), an_answer(&[("ETag", "\"a\"")]));
    let odd = |bytes: Range<u64>| {
        let sure = piece(bytes, 8);
        Piece { place: Place { sure: false, ..sure.place }, ..sure }
    };
    let stored = store(&account, &answer, Combined::of(&answer, None, odd(0..48), up_to(1000)));
    assert!(!stored.is_whole(), "nor is it the whole");
    let next = store(&account, &answer, Combined::of(&answer, Some(&stored), piece(0..10, 10), up_to(1000)));
    assert!(!next.holds(&(10..20)));
    let odd = store(&account, &answer, Combined::of(&answer, Some(&next), odd(10..20), up_to(1000)));
    assert!(!odd.holds(&(0..10)));
}

#[test]
fn past_the_bounds_the_shortest_goes_and_then_all_the_others() {
    let answer = Arc::new(super::super::testing::answer(&[
        ("Cache-Control", "max-age=60"),
        ("Content-Length", "1000"),
        ("ETag", "\"a\""),
    ]));
    let account = Account::new(1 << 20);
    let mut stored = store(&account, &answer, Combined::of(&answer, None, piece(0..1, 1), up_to(1000)));
    for at in 1..RUNS as u64 {
        let combined = Combined::of(&answer, Some(&stored), piece(at * 20..at * 20 + 2, 9), up_to(1000));
        assert_eq!(combined.dropped, 0);
        stored = store(&account, &answer, combined);
    }
    let combined = Combined::of(&answer, Some(&stored), piece(999..1000, 1), up_to(1000));
    assert_eq!(combined.dropped, 1);
    let bounded = store(&account, &answer, combined);
    assert!(!bounded.holds(&(0..1)) && bounded.holds(&(20..22)) && bounded.holds(&(999..1000)));
    let tight = Combined::of(&answer, Some(&stored), piece(700..720, 9), up_to(30));
    assert_eq!((tight.dropped, tight.parts.map(|parts| parts.runs)), (RUNS, Some(Runs::of(std::iter::once(700..720)))));
}

fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
    prop::collection::vec((0..LENGTH, 1..LENGTH).prop_map(|(start, length)| start..(start + length).min(LENGTH)), 0..12)
}

/// Which of the bytes are held, one by one.
fn twin(ranges: &[Range<u64>]) -> Vec<bool> {
    (0..LENGTH).map(|position| ranges.iter().any(|range| range.contains(&position))).collect()
}

proptest! {
    #[test]
    fn runs_are_what_a_row_of_bytes_says(ranges in ranges(), asked in (0..LENGTH, 1..LENGTH)) {
        let runs = Runs::of(ranges.clone());
        let held = twin(&ranges);
        prop_assert_eq!(twin(&runs.iter().cloned().collect::<Vec<_>>()), held.clone());
        prop_assert!(runs.iter().zip(runs.iter().skip(1)).all(|(one, next)| one.end < next.start));
        prop_assert_eq!(runs.bytes(), held.iter().filter(|held| **held).count() as u64);
        let asked = asked.0..(asked.0 + asked.1).min(LENGTH);
        let missing: Vec<u64> = asked.clone().filter(|&position| !held[position as usize]).collect();
        prop_assert_eq!(runs.gaps(&asked).flatten().collect::<Vec<_>>(), missing.clone());
        prop_assert_eq!(runs.cover(&asked), missing.is_empty());
        let hull = missing.first().map(|&first| first..missing[missing.len() - 1] + 1);
        prop_assert_eq!(runs.missing(&asked), hull);
        let row: Vec<u64> = (0..LENGTH).filter(|&position| held[position as usize]).collect();
        match runs.place(&asked) {
            Some(place) => prop_assert_eq!(row[place.start as usize..place.end as usize].to_vec(), asked.collect::<Vec<_>>()),
            None => prop_assert!(!missing.is_empty()),
        }
    }

    #[test]
    fn combined_parts_hold_what_each_of_them_held(ranges in ranges(), chunk in 1usize..9, asked in (0..LENGTH, 1..LENGTH)) {
        let (account, answer) = (Account::new(1 << 20), an_answer(&[("ETag", "\"a\"")]));
        let mut stored: Option<Arc<Stored>> = None;
        let mut held = vec![None; LENGTH as usize];
        for range in ranges {
            for position in range.clone() {
                held[position as usize] = Some(at(position));
            }
            let combined = Combined::of(&answer, stored.as_deref(), piece(range, chunk), up_to(LENGTH));
            prop_assert_eq!(combined.dropped, 0);
            stored = Some(store(&account, &answer, combined));
        }
        let Some(stored) = stored else { return Ok(()) };
        let row: Vec<u8> = held.iter().flatten().copied().collect();
        prop_assert_eq!(stored.body.chunks().concat(), row);
        prop_assert!(stored.body.chunks().iter().all(|chunk| !chunk.is_empty()));
        prop_assert_eq!(stored.is_whole(), held.iter().all(Option::is_some));
        let asked = asked.0..(asked.0 + asked.1).min(LENGTH);
        let there = &held[asked.start as usize..asked.end as usize];
        prop_assert_eq!(stored.holds(&asked), there.iter().all(Option::is_some));
        if stored.holds(&asked) {
            prop_assert_eq!(slice(&stored, asked.clone()), there.iter().flatten().copied().collect::<Vec<_>>());
        }
        drop(stored);
        prop_assert_eq!(account.held(), 0);
    }
}
