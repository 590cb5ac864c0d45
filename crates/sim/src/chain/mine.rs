//! Blocks: what the next one holds, and the work in it.
//!
//! Decides a block's transactions, its coinbase and its header. The same chain, time and script make the
//! same block; no two blocks of one chain are equal, because each counts those made before it.

use kuraban_base::Height;
use kuraban_chain::btc::{
    Block, Header, MerkleRoot, Mweb, OutPoint, Script, Tx, TxIn, TxOut,
    block::merkle,
    hash::{BlockHash, sha256d_pair},
    pow::{self, PowError},
};

use super::{REGTEST_BITS, Regtest, SUBSIDY_SAT};

/// Heaviest block that is made. Below the rules' 4,000,000: the costliest output that is relayed has four
/// signature operations in 136 weight units, so a block of this weight stays below 80,000 whatever it holds.
pub const BLOCK_WEIGHT_MAX: usize = 2_000_000;

/// Room for header and coinbase.
const RESERVED_WEIGHT: usize = 4_000;
/// Blocks from one halving of the subsidy to the next (both networks, regression test).
const HALVING_BLOCKS: u32 = 150;
/// Version bits of BIP 9, none of them set.
const VERSION: i32 = 0x2000_0000;
const OP_RETURN: u8 = 0x6a;
const OP_1: u8 = 0x51;

/// What the next block is made of.
pub(crate) struct Template {
    pub(crate) regtest: Regtest,
    pub(crate) prev: BlockHash,
    pub(crate) height: Height,
    pub(crate) time_s: u32,
    /// Blocks made before, which makes the coinbase unlike any other.
    pub(crate) made: u64,
    /// Who gets subsidy and fees.
    pub(crate) pays: Script,
    pub(crate) fees_sat: u64,
    /// Without the coinbase, parents before children.
    pub(crate) txs: Vec<Tx>,
}

impl Template {
    /// The block, with work in it.
    pub(crate) fn solve(self) -> Result<Block, PowError> {
        let network = self.regtest.network();
        let coinbase = self.coinbase();
        let txs: Vec<Tx> = core::iter::once(coinbase).chain(self.txs).collect();
        let header = Header {
            version: VERSION,
            prev: self.prev,
            merkle_root: MerkleRoot::from_bytes([0; 32]),
            time_s: self.time_s,
            bits: REGTEST_BITS,
            nonce: 0,
        };
        let mut block = Block { header, txs, extension: None };
        block.header.merkle_root = block.merkle().root;
        // Every second hash is good enough on these networks.
        while let Err(error) = pow::judge(network, &block.header) {
            block.header.nonce = block.header.nonce.checked_add(1).ok_or(error)?;
        }
        Ok(block)
    }

    fn coinbase(&self) -> Tx {
        let reserved = [0; 32];
        let leaves = core::iter::once([0; 32]).chain(self.txs.iter().map(|tx| *tx.wtxid().as_bytes()));
        let commitment = sha256d_pair(merkle(leaves.collect()).root.as_bytes(), &reserved);
        let mut said = vec![OP_RETURN, 0x24, 0xaa, 0x21, 0xa9, 0xed];
        said.extend_from_slice(&commitment);
        let mut script_sig = height_push(self.height);
        script_sig.push(8);
        script_sig.extend_from_slice(&self.made.to_le_bytes());
        let value_sat = subsidy_sat(self.height).saturating_add(self.fees_sat);
        Tx {
            version: 1,
            inputs: vec![TxIn {
                prev: OutPoint::NULL,
                script_sig: Script::new(script_sig),
                sequence: u32::MAX,
                witness: vec![reserved.to_vec()],
            }],
            outputs: vec![
                TxOut { value_sat, script: self.pays.clone() },
                TxOut { value_sat: 0, script: Script::new(said) },
            ],
            lock_time: 0,
            mweb: Mweb::None,
        }
    }
}

/// Weight units that transactions may take in a block.
pub(super) const fn room() -> usize {
    BLOCK_WEIGHT_MAX.saturating_sub(RESERVED_WEIGHT)
}

/// New coins of the block at `height`.
#[must_use]
pub fn subsidy_sat(height: Height) -> u64 {
    SUBSIDY_SAT.checked_shr(height.blocks() / HALVING_BLOCKS).unwrap_or(0)
}

/// The push of the height that opens a coinbase's script (BIP 34): the shortest that says the number.
fn height_push(height: Height) -> Vec<u8> {
    let blocks = height.blocks();
    match u8::try_from(blocks) {
        Ok(0) => vec![0],
        Ok(small @ 1..=16) => vec![OP_1.saturating_add(small).saturating_sub(1)],
        Ok(_) | Err(_) => {
            let mut number = blocks.to_le_bytes().to_vec();
            while number.last() == Some(&0) {
                number.pop();
            }
            // The highest bit is the sign.
            if number.last().is_some_and(|last| last & 0x80 != 0) {
                number.push(0);
            }
            let length = u8::try_from(number.len()).unwrap_or(u8::MAX);
            core::iter::once(length).chain(number).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_pushed_as_the_peer_crate_pushes_them() {
        for blocks in [0, 1, 16, 17, 127, 128, 255, 256, 32_767, 32_768, 8_388_607, 8_388_608, u32::MAX] {
            let theirs = bitcoin::script::Builder::new().push_int(blocks.into()).into_script();
            assert_eq!(height_push(Height::new(blocks)), theirs.as_bytes(), "{blocks}");
        }
    }

    #[test]
    fn the_subsidy_halves_every_150_blocks() {
        let check = |blocks, want| assert_eq!(subsidy_sat(Height::new(blocks)), want, "{blocks}");
        check(0, 5_000_000_000);
        check(149, 5_000_000_000);
        check(150, 2_500_000_000);
        check(150 * 33 - 1, 1);
        check(150 * 33, 0);
        check(u32::MAX, 0);
    }
}
