use proptest::prelude::*;

use super::*;

fn servers(weights: &[u32]) -> Vec<Candidate> {
    weights.iter().map(|&weight| Candidate { weight, load: 0, suspect: false, barred: false }).collect()
}

#[test]
fn a_round_gives_each_server_its_share_and_spreads_it() {
    assert_eq!(schedule(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(schedule(&[100, 100]), [0, 1]);
    assert_eq!(schedule(&[7]), [0]);
}

#[test]
fn suspects_come_last_and_barred_ones_never() {
    let mut candidates = servers(&[1, 1, 1]);
    candidates[0].suspect = true;
    candidates[1].barred = true;
    let order = schedule(&[1, 1, 1]);
    assert_eq!(round_robin(&order, 0, &candidates), Some(2));
    assert_eq!(least_load(0, &candidates), Some(2));
    candidates[2].barred = true;
    assert_eq!(round_robin(&order, 0, &candidates), Some(0));
    assert_eq!(least_load(0, &candidates), Some(0));
    assert_eq!(rendezvous(7, &[1, 2, 3], &candidates), Some(0));
    candidates[0].barred = true;
    assert_eq!(round_robin(&order, 0, &candidates), None);
    assert_eq!(least_load(0, &candidates), None);
    assert_eq!(rendezvous(7, &[1, 2, 3], &candidates), None);
}

#[test]
fn equals_take_turns_under_least_load() {
    let candidates = servers(&[1, 1, 1]);
    assert_eq!((0..3).map(|cursor| least_load(cursor, &candidates)).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
}

#[test]
fn a_lost_server_moves_only_its_own_keys() {
    let names = [stable_hash(b"a"), stable_hash(b"b"), stable_hash(b"c")];
    let mut candidates = servers(&[1, 1, 1]);
    let before: Vec<_> = (0..1000).map(|key| rendezvous(mix(key), &names, &candidates)).collect();
    candidates[1].suspect = true;
    for (key, old) in before.iter().enumerate() {
        let new = rendezvous(mix(key as u64), &names, &candidates);
        assert!(*old == Some(1) || new == *old, "key {key} moved from {old:?} to {new:?}");
    }
}

proptest! {
    #[test]
    fn shares_are_exact(weights in prop::collection::vec(1_u32..50, 1..8)) {
        let order = schedule(&weights);
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        for (index, &weight) in weights.iter().enumerate() {
            let count = order.iter().filter(|&&turn| usize::from(turn) == index).count() as u64;
            prop_assert_eq!(count * total, u64::from(weight) * order.len() as u64);
        }
    }

    #[test]
    fn least_load_agrees_with_division(loads in prop::collection::vec((0_usize..100, 1_u32..20), 1..8), cursor in 0_usize..100) {
        let candidates: Vec<_> = loads.iter().map(|&(load, weight)| Candidate { weight, load, suspect: false, barred: false }).collect();
        let chosen = least_load(cursor, &candidates).map(|index| &candidates[index]);
        let cost = |candidate: &Candidate| (candidate.load as f64 + 1.0) / f64::from(candidate.weight);
        let least = candidates.iter().map(cost).fold(f64::MAX, f64::min);
        prop_assert!(chosen.is_some_and(|chosen| cost(chosen) - least < 1e-9));
    }
}
