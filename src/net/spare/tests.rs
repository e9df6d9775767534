use super::*;

#[test]
fn a_buffer_comes_back_empty() {
    give_back(b"of the message before".to_vec());
    let lent = lend();
    assert!(lent.is_empty() && lent.capacity() > 0);
}

#[test]
fn as_many_are_kept_as_are_warm_and_no_large_one() {
    give_back(Vec::with_capacity(KEEP_MAX + 1));
    assert_eq!(lend().capacity(), 0);
    for _ in 0..2 * SPARE_MAX {
        give_back(Vec::with_capacity(16));
    }
    assert_eq!(SPARE.with_borrow(Vec::len), SPARE_MAX);
}
