//! Headers of blocks: what a block's hash is the hash of.
//!
//! Decides which hash fields have. Never whether the block is in a chain.

use super::{keccak256, rlp};

/// A header. Fields that upgrades added stand in [`Later`], in the order in which they came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The block before.
    pub parent: [u8; 32],
    /// Of the uncles.
    pub ommers: [u8; 32],
    /// Who is paid for it.
    pub beneficiary: [u8; 20],
    /// The root of all accounts after it.
    pub state_root: [u8; 32],
    /// Of its transactions.
    pub transactions: [u8; 32],
    /// Of what came of them.
    pub receipts: [u8; 32],
    /// Its logs' filter: 256 bytes.
    pub bloom: Vec<u8>,
    /// Its difficulty; 0 since proof of stake.
    pub difficulty: u128,
    /// Its height.
    pub number: u64,
    /// Gas that its transactions may use.
    pub gas_limit: u64,
    /// Gas that they used.
    pub gas_used: u64,
    /// Its time in seconds since 1970.
    pub time_s: u64,
    /// Whatever its maker wrote.
    pub extra: Vec<u8>,
    /// The proof of work's, or randomness.
    pub mix: [u8; 32],
    /// The proof of work's.
    pub nonce: [u8; 8],
    /// What upgrades added.
    pub later: Vec<Later>,
}

/// A field that an upgrade added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Later {
    /// A number.
    Number(u128),
    /// A hash.
    Hash([u8; 32]),
}

impl Header {
    /// The block's hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut out = Vec::new();
        let strings: [&[u8]; 7] = [
            &self.parent,
            &self.ommers,
            &self.beneficiary,
            &self.state_root,
            &self.transactions,
            &self.receipts,
            &self.bloom,
        ];
        strings.into_iter().for_each(|bytes| rlp::put(&mut out, bytes));
        rlp::put_number(&mut out, self.difficulty);
        for number in [self.number, self.gas_limit, self.gas_used, self.time_s] {
            rlp::put_number(&mut out, number.into());
        }
        let strings: [&[u8]; 3] = [&self.extra, &self.mix, &self.nonce];
        strings.into_iter().for_each(|bytes| rlp::put(&mut out, bytes));
        for later in &self.later {
            match later {
                Later::Number(number) => rlp::put_number(&mut out, *number),
                Later::Hash(hash) => rlp::put(&mut out, hash),
            }
        }
        keccak256(&rlp::list_of(&out))
    }
}
