use proptest::prelude::*;

use super::*;

fn lengths(blocks: &[Bytes]) -> Vec<usize> {
    blocks.iter().map(Bytes::len).collect()
}

#[test]
fn a_body_lies_in_blocks_of_few_sizes() {
    let of = |length: usize| lengths(&joined(&[Bytes::from(vec![1; length])], length as u64));
    assert_eq!(of(0), [0; 0]);
    assert_eq!(of(100), [100]);
    assert_eq!(of(16 << 10), [16 << 10]);
    assert_eq!(of((60 << 10) + 5), [32 << 10, 16 << 10, 8 << 10, 4101]);
    assert_eq!(of((128 << 10) + 8192), [64 << 10, 64 << 10, 8192]);
}

proptest! {
    #[test]
    fn what_is_copied_in_comes_out_whole_and_held_as_foretold(
        pieces in prop::collection::vec(0usize..90_000, 0..12),
        announces in any::<bool>(),
    ) {
        let whole: Vec<u8> = (0..pieces.iter().sum::<usize>()).map(|at| (at / 7) as u8).collect();
        let mut blocks = Blocks::new(announces.then_some(whole.len() as u64));
        let (mut shown, mut at) = (Vec::new(), 0);
        for piece in pieces {
            let held = blocks.held_with(piece as u64);
            blocks.copy(&whole[at..at + piece], |view| shown.push(view));
            prop_assert_eq!(blocks.held, held);
            at += piece;
        }
        prop_assert_eq!(shown.concat(), whole.clone());
        prop_assert!(shown.iter().all(|view| !view.is_empty()));
        if announces {
            prop_assert_eq!(blocks.held, whole.len() as u64);
        } else {
            prop_assert!(blocks.held <= (2 * whole.len() as u64 + SMALLEST).min(whole.len() as u64 + LARGEST));
        }
        let again = joined(&shown, whole.len() as u64);
        prop_assert_eq!(again.concat(), whole);
        prop_assert_eq!(again.len() as u64, count(at as u64));
        prop_assert!(again.iter().all(|block| block.len() < 8192 || block.len().is_power_of_two()));
    }
}
