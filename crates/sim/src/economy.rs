//! A chain of payments between many people, made up from a seed: well-formed blocks with valid Merkle roots, witness
//! commitments and work, without signatures. For tests and measurements of what reads chains.
//!
//! Decides who pays whom; the same seed and shape make the same bytes. Witnesses have the true size and no meaning, so
//! that no node accepts these blocks; those of an [open](Shape::open) economy are accepted by every node. Never claims to
//! be like a real chain beyond the figures in [`Shape`] and the tables below.
//!
//! Where the figures are from: inputs, outputs and lock times per transaction and kinds of script are those of Bitcoin's block
//! `000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae` (2,500 transactions in 1,381,836 bytes), counted
//! in thousandths; kinds that it lacks take a thousandth each from the most frequent. How often an output pays to an
//! address that was paid before is set so that there are 2.4 outputs for each address, as there are in all of Bitcoin
//! by the published counts of both (about 3.4 and 1.4 billion). Fees are 1 to 9 base units per byte, so that their mean is
//! that of the block, 4.95. That a tenth of the reuse goes to sixty-four services is assumed. A test counts the block again.

mod random;
pub mod records;
pub mod theft;

use std::collections::VecDeque;

use kuraban_base::Height;
use kuraban_chain::btc::{Block, BlockHash, Mweb, OutPoint, Script, Tx, TxIn, TxOut, pow::PowError};

use self::random::{Random, mix};
use crate::chain::{COINBASE_MATURITY, Regtest, genesis, mine::Template};

/// Seconds between blocks.
const SPACING_S: u32 = 600;
/// Least that an output is worth.
const OUTPUT_SAT_MIN: u64 = 1_000;
/// Most base units that are paid for a byte.
const FEE_RATE_MAX: u64 = 9;
/// Of a thousand transactions, how many may not stand below the height they were made at.
const LOCKED_PER_MILLE: u64 = 197;
/// Services that are paid again and again.
const SERVICES: u64 = 64;
/// Coins that count as fresh, which half of all inputs spend.
const FRESH_COINS: u64 = 2_000;
/// The number of the first address that the economy does not pay: more than it ever has.
const OWN_ADDRESSES: u64 = 1 << 48;
/// Coins that are looked at when a sum is gathered.
const GATHER_COINS: usize = 200_000;
/// A sum is gathered from at most so many coins.
const GATHER_INPUTS: u64 = 20;

/// The witness version of open outputs.
const OPEN_VERSION: u8 = 16;

/// How many of a thousand have how many: (thousandths, from, to).
type Table = [(u64, u64, u64)];

const INPUTS: &Table = &[
    (758, 1, 1),
    (141, 2, 2),
    (40, 3, 3),
    (18, 4, 4),
    (14, 5, 5),
    (15, 6, 10),
    (12, 11, 100),
    (2, 101, 400),
];
const OUTPUTS: &Table =
    &[(162, 1, 1), (792, 2, 2), (14, 3, 3), (9, 4, 4), (6, 5, 5), (16, 6, 100), (1, 101, 272)];

/// Kinds of script, with their thousandths.
const KINDS: &[(u64, Kind)] = &[
    (395, Kind::P2wpkh),
    (301, Kind::P2sh),
    (276, Kind::P2pkh),
    (21, Kind::P2wsh),
    (3, Kind::OpReturn),
    (2, Kind::P2tr),
    (1, Kind::P2pk),
    (1, Kind::Multisig),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    P2wpkh,
    P2sh,
    P2pkh,
    P2wsh,
    OpReturn,
    P2tr,
    P2pk,
    Multisig,
}

/// The figures of an economy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Which chain.
    pub regtest: Regtest,
    /// Transactions in a block, its coinbase not counted, once there are coins enough.
    pub block_txs: u32,
    /// Of a thousand outputs, how many pay to an address that was paid before.
    pub reuse_per_mille: u32,
    /// Whether every output is one of witness version 16, which by the rules of today needs no witness (BIP 141). A
    /// node then accepts the blocks; kinds and sizes of scripts are not those of a real chain.
    pub open: bool,
}

impl Shape {
    /// Bitcoin's regression test chain, 2,000 transactions in a block.
    pub const BTC: Self = Self { regtest: Regtest::Btc, block_txs: 2_000, reuse_per_mille: 583, open: false };
}

/// An output that nobody has spent yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unspent {
    /// Which one.
    pub outpoint: OutPoint,
    /// What it is worth, and to whom it was paid.
    pub output: TxOut,
    /// Whether a caller gave it: then it has an owner already, and [`Economy::take`] passes it by.
    given: bool,
}

impl Unspent {
    /// An output that a transaction made.
    #[must_use]
    pub fn new(outpoint: OutPoint, output: &TxOut) -> Self {
        Self { outpoint, output: output.clone(), given: false }
    }
}

/// An economy at some height. Its blocks begin with the chain's first.
#[derive(Clone, Debug)]
pub struct Economy {
    shape: Shape,
    random: Random,
    prev: BlockHash,
    /// Blocks made.
    blocks: u32,
    /// Addresses paid so far.
    addresses: u64,
    /// Addresses handed out that the economy does not pay.
    own_addresses: u64,
    coins: Vec<Unspent>,
    /// Coinbases' outputs by the height of their block, the oldest first.
    immature: VecDeque<(u32, Unspent)>,
    time_s: u32,
}

impl Economy {
    /// Before its first block.
    #[must_use]
    pub fn new(shape: Shape, seed: u64) -> Self {
        Self {
            shape,
            random: Random::new(seed),
            prev: BlockHash::ZERO,
            blocks: 0,
            addresses: SERVICES,
            own_addresses: 0,
            coins: Vec::new(),
            immature: VecDeque::new(),
            time_s: 0,
        }
    }

    /// How many blocks were made.
    #[must_use]
    pub const fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Takes a coin out of circulation, worth so much at least, so that a transaction of the caller's can spend it.
    pub fn take(&mut self, sat_min: u64) -> Option<Unspent> {
        let place = self.coins.iter().rposition(|coin| !coin.given && coin.output.value_sat >= sat_min)?;
        Some(self.coins.swap_remove(place))
    }

    /// Puts a coin into circulation.
    pub fn give(&mut self, coin: Unspent) {
        self.coins.push(Unspent { given: true, ..coin });
    }

    /// An address that nobody was paid at before.
    pub fn address(&mut self) -> Script {
        loop {
            let number = self.addresses;
            self.addresses += 1;
            let (kind, script) = script(number, self.shape.open);
            if kind != Kind::OpReturn {
                return script;
            }
        }
    }

    /// A P2WPKH address, as wallets that mix coins have them, that nobody was paid at before and that the economy never
    /// pays by itself.
    fn own_address(&mut self) -> Script {
        loop {
            let number = OWN_ADDRESSES + self.own_addresses;
            self.own_addresses += 1;
            let (kind, script) = script(number, self.shape.open);
            if kind == Kind::P2wpkh {
                return script;
            }
        }
    }

    /// Takes coins out of circulation, fresh ones first, that are worth so much together; none if there are not enough.
    fn gather(&mut self, sat: u64) -> Vec<Unspent> {
        let (mut places, mut sum) = (Vec::new(), 0_u64);
        for (place, coin) in self.coins.iter().enumerate().rev().take(GATHER_COINS) {
            if !coin.given && coin.output.value_sat >= sat / GATHER_INPUTS {
                places.push(place);
                sum = sum.saturating_add(coin.output.value_sat);
            }
            if sum >= sat {
                return places.into_iter().map(|place| self.coins.swap_remove(place)).collect();
            }
        }
        Vec::new()
    }

    /// The script of some coin in circulation.
    fn somebody(&mut self) -> Option<Script> {
        let count = u64::try_from(self.coins.len()).ok().filter(|count| *count > 0)?;
        let place = usize::try_from(self.random.below(count)).ok()?;
        self.coins.get(place).map(|coin| coin.output.script.clone())
    }

    /// An input that spends a coin, with a witness of the true size.
    #[must_use]
    pub fn spend(coin: &Unspent) -> TxIn {
        let (unlocking, items) = unlocking(&coin.output.script);
        TxIn {
            prev: coin.outpoint,
            script_sig: Script::new(vec![0x51; unlocking]),
            sequence: u32::MAX - 2,
            witness: items.iter().map(|bytes| vec![0x30; *bytes]).collect(),
        }
    }

    /// The next block: its own transactions, then the caller's, which pay the fees given.
    ///
    /// # Errors
    /// No nonce gives the block its work.
    pub fn next_block(&mut self, others: Vec<Tx>, others_fees_sat: u64) -> Result<Block, PowError> {
        if self.blocks == 0 {
            let block = genesis::block(self.shape.regtest);
            self.time_s = block.header.time_s;
            self.follow(&block);
            return Ok(block);
        }
        let due = self.blocks.saturating_sub(COINBASE_MATURITY);
        while let Some((_, coin)) = self.immature.pop_front_if(|(height, _)| *height <= due) {
            self.coins.push(coin);
        }
        let mut txs = Vec::new();
        let mut fees_sat = others_fees_sat;
        for _ in 0..self.shape.block_txs {
            let Some((tx, fee_sat)) = self.payment() else { break };
            fees_sat += fee_sat;
            self.circulate(&tx);
            txs.push(tx);
        }
        txs.extend(others);
        let template = Template {
            regtest: self.shape.regtest,
            prev: self.prev,
            height: Height::new(self.blocks),
            time_s: self.time_s + SPACING_S,
            made: u64::from(self.blocks),
            pays: self.address(),
            fees_sat,
            txs,
        };
        let block = template.solve()?;
        self.time_s = block.header.time_s;
        self.follow(&block);
        Ok(block)
    }

    /// Notes a block that was made.
    fn follow(&mut self, block: &Block) {
        self.prev = block.hash();
        if self.blocks > 0
            && let Some(coinbase) = block.txs.first()
            && let Some((outpoint, output)) = coinbase.outpoints().next()
            && output.value_sat >= OUTPUT_SAT_MIN
        {
            self.immature.push_back((self.blocks, Unspent::new(outpoint, output)));
        }
        self.blocks += 1;
    }

    /// Puts a transaction's outputs into circulation.
    pub fn circulate(&mut self, tx: &Tx) {
        let kept = tx.outpoints().filter(|(_, output)| !output.script.is_unspendable());
        self.coins.extend(kept.map(|(outpoint, output)| Unspent::new(outpoint, output)));
    }

    /// A payment and its fee; nothing if there are no coins.
    fn payment(&mut self) -> Option<(Tx, u64)> {
        // While coins are few, payments split them.
        let few = self.coins.len() < usize::try_from(self.shape.block_txs).unwrap_or(usize::MAX) * 4;
        let want = if few { 1 } else { self.random.from(INPUTS) };
        let mut coins = Vec::new();
        for _ in 0..want {
            coins.extend(self.any_coin());
        }
        let sum_sat = coins.iter().fold(0, |sum, coin: &Unspent| sum + coin.output.value_sat);
        let mut outputs = self.random.from(OUTPUTS);
        if few {
            outputs = outputs.max(2) * 4;
        }
        let rate = 1 + self.random.below(FEE_RATE_MAX);
        let fee_sat = |outputs: u64| fee_sat(rate, want, outputs);
        let affordable = |outputs: u64| outputs * OUTPUT_SAT_MIN + fee_sat(outputs) <= sum_sat;
        while outputs > 1 && !affordable(outputs) {
            outputs /= 2;
        }
        let inputs: Vec<TxIn> = coins.iter().map(Self::spend).collect();
        if inputs.is_empty() {
            return None;
        }
        let fee_sat = if affordable(outputs) { fee_sat(outputs) } else { 0 };
        let mut left_sat = sum_sat - fee_sat;
        let mut paid = Vec::new();
        for later in (0..outputs).rev() {
            let reserved_sat = later * OUTPUT_SAT_MIN;
            let value_sat = if later == 0 { left_sat } else { self.share(left_sat, reserved_sat) };
            left_sat -= value_sat;
            let (kind, script) = self.payee();
            // What is written into the chain is not paid away.
            let burns = kind == Kind::OpReturn && later > 0;
            if burns {
                left_sat += value_sat;
            }
            let script = if kind == Kind::OpReturn && !burns { self.address() } else { script };
            paid.push(TxOut { value_sat: if burns { 0 } else { value_sat }, script });
        }
        let locked = self.random.below(1_000) < LOCKED_PER_MILLE;
        let lock_time = if locked { self.blocks.saturating_sub(1) } else { 0 };
        Some((Tx { version: 2, inputs, outputs: paid, lock_time, mweb: Mweb::None }, fee_sat))
    }

    /// A part of what is left: as often a small one as a large one.
    fn share(&mut self, left_sat: u64, reserved_sat: u64) -> u64 {
        let free_sat = left_sat.saturating_sub(reserved_sat).saturating_sub(OUTPUT_SAT_MIN);
        let halvings = self.random.below(12);
        OUTPUT_SAT_MIN + self.random.below((free_sat >> halvings) + 1)
    }

    fn any_coin(&mut self) -> Option<Unspent> {
        let count = u64::try_from(self.coins.len()).ok().filter(|count| *count > 0)?;
        let place = if self.random.below(2) == 0 {
            count - 1 - self.random.below(count.min(FRESH_COINS))
        } else {
            self.random.below(count)
        };
        Some(self.coins.swap_remove(usize::try_from(place).ok()?))
    }

    fn payee(&mut self) -> (Kind, Script) {
        if self.random.below(1_000) >= u64::from(self.shape.reuse_per_mille) {
            self.addresses += 1;
            return script(self.addresses - 1, self.shape.open);
        }
        let known = if self.random.below(10) == 0 { SERVICES } else { self.addresses };
        script(self.random.below(known), self.shape.open)
    }
}

/// What a transaction pays at a rate per byte, by about how long it is.
const fn fee_sat(rate: u64, inputs: u64, outputs: u64) -> u64 {
    rate * (110 * inputs + 34 * outputs + 11)
}

/// The script with a number, and its kind; where everything is open, of data or of a witness version that is not used yet.
fn script(number: u64, open: bool) -> (Kind, Script) {
    let mut place = mix(number ^ 0x5ca1_ab1e) % 1_000;
    let mut kind = Kind::P2wpkh;
    for (share, known) in KINDS {
        kind = *known;
        match place.checked_sub(*share) {
            Some(rest) => place = rest,
            None => break,
        }
    }
    let words = (1..=4).map(|word| mix(number.wrapping_mul(4).wrapping_add(word)).to_le_bytes());
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(words.flatten()) {
        *to = from;
    }
    let hash = bytes.first_chunk().copied().unwrap_or_default();
    let key = |first: u8| [&[first][..], &bytes].concat();
    if open && kind != Kind::OpReturn {
        return (kind, Script::witness(OPEN_VERSION, &bytes).unwrap_or_default());
    }
    let made = match kind {
        Kind::P2wpkh => Script::witness(0, &hash).unwrap_or_default(),
        Kind::P2sh => Script::p2sh(&hash),
        Kind::P2pkh => Script::p2pkh(&hash),
        Kind::P2wsh => Script::witness(0, &bytes).unwrap_or_default(),
        Kind::P2tr => Script::witness(1, &bytes).unwrap_or_default(),
        Kind::OpReturn => Script::new([&[0x6a, 32][..], &bytes].concat()),
        Kind::P2pk => Script::new([&[33][..], &key(2), &[0xac]].concat()),
        Kind::Multisig => Script::multisig(1, &[key(2), key(3)]),
    };
    (kind, made)
}

/// Bytes of the unlocking script and of each item of the witness that spend a script.
fn unlocking(script: &Script) -> (usize, &'static [usize]) {
    match script.as_bytes() {
        [0, 20, ..] => (0, &[72, 33]),
        [0, 32, ..] => (0, &[0, 72, 72, 105]),
        [0x51, 32, ..] => (0, &[64]),
        // Open to everybody.
        [0x60, 32, ..] => (0, &[]),
        [0xa9, ..] => (23, &[72, 33]),
        [0x76, ..] => (107, &[]),
        _ => (73, &[]),
    }
}

#[cfg(test)]
mod tests;
