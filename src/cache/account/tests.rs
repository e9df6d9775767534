use super::*;

#[test]
fn the_bound_is_never_passed_and_all_comes_back() {
    let account = Account::new(100);
    let mut first = account.charge(60).unwrap();
    assert!(account.charge(41).is_none());
    assert!(account.charge(u64::MAX).is_none());
    let second = account.charge(40).unwrap();
    assert!(!first.grow_to(61));
    drop(second);
    assert!(first.grow_to(100) && first.grow_to(10));
    first.shrink_to(70);
    assert_eq!((first.bytes(), account.held()), (70, 70));
    let part = first.split(u64::MAX);
    assert_eq!((first.bytes(), part.bytes(), account.held()), (0, 70, 70));
    drop(first);
    assert_eq!(account.held(), 70);
    drop(part);
    assert_eq!(account.held(), 0);
}

#[test]
fn charges_from_many_threads_stay_within_the_bound() {
    let account = Account::new(1000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for bytes in 0..2000 {
                    let charge = account.charge(bytes % 400);
                    assert!(account.held() <= 1000);
                    drop(charge);
                }
            });
        }
    });
    assert_eq!(account.held(), 0);
}

#[test]
fn threads_have_their_part_of_the_capacity_and_never_more_than_half_of_it() {
    const MIB: u64 = 1 << 20;
    for (capacity, threads, left) in [
        (256 * MIB, 2, 248 * MIB),
        (64 * MIB, 8, 44 * MIB),
        (64 * MIB, 1024, 32 * MIB),
        (8 * MIB, 1, 7 * MIB),
        (8 * MIB, 2, 6 * MIB),
        (8 * MIB, 64, 4 * MIB),
        (0, 8, 0),
        (7, 8, 7),
    ] {
        assert_eq!(usable(capacity, threads), left, "{capacity} {threads}");
    }
}
