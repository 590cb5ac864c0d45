//! Locators: by which a node is told what an index has (Bitcoin Core, `CChain::GetLocator`). Decides which blocks name it.

use kuraban_chain::btc::BlockHash;

/// A locator: the last ten of a chain's `blocks`, and then twice as far apart each time, down to the first.
pub(super) fn locator(blocks: usize, hash_at: impl Fn(usize) -> Option<BlockHash>) -> Vec<BlockHash> {
    let mut have = Vec::new();
    let (mut place, mut step) = (blocks.checked_sub(1), 1_usize);
    while let Some(at) = place {
        have.extend(hash_at(at));
        if have.len() >= 10 {
            step = step.saturating_mul(2);
        }
        place = if at == 0 { None } else { Some(at.saturating_sub(step)) };
    }
    have
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_is_dense_at_the_tip_and_ends_with_the_first_block() {
        let check = |blocks: usize, want: &[usize]| {
            let hash = |place: usize| {
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&u64::try_from(place).unwrap().to_le_bytes());
                Some(BlockHash::from_bytes(bytes))
            };
            let found = locator(blocks, hash);
            let want: Vec<_> = want.iter().filter_map(|place| hash(*place)).collect();
            assert_eq!(found, want, "{blocks}");
        };
        check(0, &[]);
        check(1, &[0]);
        check(3, &[2, 1, 0]);
        check(30, &[29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 18, 14, 6, 0]);
    }

    #[test]
    fn a_locator_of_a_long_chain_is_one_that_nodes_take() {
        let found = locator(10_000_000, |_| Some(BlockHash::from_bytes([0; 32])));
        assert!(found.len() <= kuraban_chain::btc::p2p::LOCATOR_MAX, "{}", found.len());
    }
}
