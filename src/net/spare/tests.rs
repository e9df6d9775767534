use super::*;

#[test]
fn the_one_used_last_is_taken_first() {
    let spare = Spare::none();
    spare.keep("first", |_| 1);
    spare.keep("last", |_| 1);
    assert_eq!((spare.take(), spare.take(), spare.take()), (Some("last"), Some("first"), None));
}

#[test]
fn few_are_kept_and_no_large_one() {
    let spare = Spare::none();
    spare.keep(0, |_| BYTES_MAX + 1);
    assert_eq!(spare.take(), None);
    for piece in 0..2 * PIECES_MAX {
        spare.keep(piece, |_| BYTES_MAX);
    }
    assert_eq!(std::iter::from_fn(|| spare.take()).count(), PIECES_MAX);
}
