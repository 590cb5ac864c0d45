//! Thefts in an economy, with the truth about them: which transaction is what, and whose its outputs are.
//!
//! Decides how thieves launder: by peel chain, dispersal, hub, dust, lots under a limit, four kinds of CoinJoin, and a
//! reorganisation in which the theft itself is replaced. All end at an exchange that sweeps its deposit addresses. The
//! shapes are those of `docs/patterns.md`. The same plan makes the same bytes, block after block: what was made is not
//! kept, and memory is that of the coins nobody has spent yet. Never says what a detector should find: that is measured.

mod fork;
mod mixes;
mod scene;
mod ways;

use std::collections::VecDeque;

use kuraban_base::Txid;
use kuraban_chain::btc::{Block, pow::PowError};

use self::{
    scene::{Held, Scene},
    ways::Step,
};
use super::{
    Economy, Shape,
    random::{Random, mix},
};

/// How a thief launders.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Way {
    /// A chain of transactions that each pay a little away and hand on the rest.
    Peel,
    /// Into many addresses, and again.
    Dispersal,
    /// Through a payment processor that pays many customers from one purse.
    Hub,
    /// Tiny amounts to people who have nothing to do with it, before the rest is moved.
    Dusting,
    /// Into an exchange in lots just under a limit.
    Lots,
    /// Whirlpool, as Samourai ran it.
    Whirlpool,
    /// Wasabi 1.
    Wasabi1,
    /// Wasabi 2.
    Wasabi2,
    /// JoinMarket.
    JoinMarket,
    /// The theft stands on a branch that is given up, and another one of the same coins on the chain.
    Reorganisation,
}

impl Way {
    /// All of them, in the order in which a plan uses them.
    pub const ALL: [Self; 10] = [
        Self::Peel,
        Self::Dispersal,
        Self::Hub,
        Self::Dusting,
        Self::Lots,
        Self::Whirlpool,
        Self::Wasabi1,
        Self::Wasabi2,
        Self::JoinMarket,
        Self::Reorganisation,
    ];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peel => "peel",
            Self::Dispersal => "dispersal",
            Self::Hub => "hub",
            Self::Dusting => "dusting",
            Self::Lots => "lots",
            Self::Whirlpool => "whirlpool",
            Self::Wasabi1 => "wasabi1",
            Self::Wasabi2 => "wasabi2",
            Self::JoinMarket => "joinmarket",
            Self::Reorganisation => "reorganisation",
        }
    }
}

/// What a transaction is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum What {
    /// The theft: the victim's coins to the thief.
    Theft,
    /// A link of a peel chain.
    Peel,
    /// One coin to many addresses of the thief.
    Dispersal,
    /// A payment to the payment processor.
    HubPayment,
    /// The processor gathers what it was paid.
    HubSweep,
    /// The processor pays its customers out.
    HubPayout,
    /// Tiny amounts to bystanders.
    Dust,
    /// A lot under the limit, to a deposit address.
    Lot,
    /// Makes coins ready for Whirlpool.
    Tx0,
    /// A mix of Whirlpool.
    Whirlpool,
    /// A mix of Wasabi 1.
    Wasabi1,
    /// A mix of Wasabi 2.
    Wasabi2,
    /// A mix of JoinMarket.
    JoinMarket,
    /// A payment to a customer's deposit address.
    Deposit,
    /// An exchange gathers its deposit addresses.
    Sweep,
    /// A service pays several people out.
    Payout,
}

impl What {
    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Theft => "theft",
            Self::Peel => "peel",
            Self::Dispersal => "dispersal",
            Self::HubPayment => "hub_payment",
            Self::HubSweep => "hub_sweep",
            Self::HubPayout => "hub_payout",
            Self::Dust => "dust",
            Self::Lot => "lot",
            Self::Tx0 => "whirlpool_tx0",
            Self::Whirlpool => "whirlpool",
            Self::Wasabi1 => "wasabi1",
            Self::Wasabi2 => "wasabi2",
            Self::JoinMarket => "joinmarket",
            Self::Deposit => "deposit",
            Self::Sweep => "sweep",
            Self::Payout => "payout",
        }
    }
}

/// Whose an output is, within one theft.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Owner {
    /// Who was robbed.
    Victim,
    /// Who robbed.
    Thief,
    /// The payment processor.
    Hub,
    /// An exchange's own purse.
    Exchange,
    /// The exchange, at the thief's deposit address.
    ThiefDeposit,
    /// The exchange, at another customer's deposit address.
    OtherDeposit,
    /// Who runs a mix, for its fee.
    Coordinator,
    /// Somebody who has nothing to do with the theft; each has a number.
    Stranger(u32),
    /// Nobody: data.
    Nobody,
}

impl Owner {
    /// Its name in files; strangers have their number after a colon.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Victim => "victim".to_owned(),
            Self::Thief => "thief".to_owned(),
            Self::Hub => "hub".to_owned(),
            Self::Exchange => "exchange".to_owned(),
            Self::ThiefDeposit => "deposit_of_thief".to_owned(),
            Self::OtherDeposit => "deposit_of_other".to_owned(),
            Self::Coordinator => "coordinator".to_owned(),
            Self::Stranger(number) => format!("stranger:{number}"),
            Self::Nobody => "nobody".to_owned(),
        }
    }
}

/// The truth about one transaction. One that no label speaks of is an ordinary payment of the economy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Labelled {
    /// The theft that it belongs to, from 0 on.
    pub theft: u32,
    /// How its thief launders.
    pub way: Way,
    /// Which transaction.
    pub txid: Txid,
    /// What it is.
    pub what: What,
    /// Whether it stands on a branch that is given up, and not on the chain.
    pub stale: bool,
    /// Whose the outputs are that it spends, in order.
    pub inputs: Vec<Owner>,
    /// Whose its outputs are, in order.
    pub outputs: Vec<Owner>,
    /// Of lots, the limit that they stay under, in base units.
    pub limit_sat: Option<u64>,
}

/// What is to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Of what the economy is made.
    pub shape: Shape,
    /// From which everything follows.
    pub seed: u64,
    /// Transactions of the chain, coinbases counted: it ends with the block that reaches so many.
    pub transactions: u64,
    /// Thefts, evenly over the chain, their ways in the order of [`Way::ALL`] and again.
    pub thefts: u32,
}

impl Plan {
    /// A chain of so many transactions whose blocks are as full as its length allows: some hundred blocks at least.
    #[must_use]
    pub fn new(regtest: crate::chain::Regtest, seed: u64, transactions: u64, thefts: u32) -> Self {
        let block_txs = u32::try_from(transactions / BLOCKS_MIN).unwrap_or(u32::MAX);
        let block_txs = block_txs.clamp(BLOCK_TXS_MIN, Shape::BTC.block_txs);
        Self { shape: Shape { regtest, block_txs, ..Shape::BTC }, seed, transactions, thefts }
    }
}

/// A chain has about so many blocks with payments at least, as long as they hold [`BLOCK_TXS_MIN`].
const BLOCKS_MIN: u64 = 100;
const BLOCK_TXS_MIN: u32 = 10;
/// Of a chain's transactions, so many of ten have passed when the last theft begins.
const LAST_BEGINS_AT_TENTHS: u64 = 8;

/// What one step made: blocks in the order in which a node would get them, the last on the chain and others before it on
/// branches that are given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// The chain's next block.
    pub block: Block,
    /// Its height.
    pub height: u32,
    /// Blocks that came before it and are given up, from the fork on.
    pub stale: Vec<Block>,
    /// The truth about the thefts' transactions, in the order of blocks and of transactions in them.
    pub labels: Vec<Labelled>,
}

/// How much was made so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Blocks of the chain.
    pub blocks: u64,
    /// Its transactions.
    pub transactions: u64,
    /// Blocks on branches that were given up.
    pub stale_blocks: u64,
    /// Thefts begun.
    pub thefts: u64,
    /// Thefts whose thief has brought everything to an exchange.
    pub finished: u64,
    /// Transactions with a label, on branches too.
    pub labelled: u64,
}

/// A theft under way.
#[derive(Clone, Debug)]
struct Theft {
    number: u32,
    way: Way,
    steps: VecDeque<Step>,
    /// The thief's coins.
    purse: Vec<Held>,
    /// Coins of others that the next steps need.
    others: Vec<Held>,
    /// Coins on deposit addresses.
    deposits: Vec<Held>,
    strangers: u32,
    /// What the payment processor owes the thief.
    claim_sat: u64,
    /// The limit that lots stay under, or the denomination of a pool; 0 before it is chosen.
    limit_sat: u64,
}

/// A chain with thefts, block after block.
#[derive(Clone, Debug)]
pub struct Story {
    plan: Plan,
    economy: Economy,
    random: Random,
    thefts: Vec<Theft>,
    tally: Tally,
}

impl Story {
    /// Before its first block.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            economy: Economy::new(plan.shape, plan.seed),
            random: Random::new(mix(plan.seed ^ 0x7e_f7)),
            thefts: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// How much was made so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The next block; nothing once there are as many transactions as were planned.
    ///
    /// # Errors
    /// No nonce gives a block its work.
    pub fn next_block(&mut self) -> Result<Option<Made>, PowError> {
        if self.tally.transactions >= self.plan.transactions {
            return Ok(None);
        }
        self.begin_due();
        let mut scene = Scene::new(&mut self.economy, &mut self.random);
        for theft in &mut self.thefts {
            theft.go(&mut scene);
        }
        self.tally.finished +=
            self.thefts.extract_if(.., |theft| theft.steps.is_empty()).fold(0, |n, _| n + 1);
        let done = scene.done();
        let fork = done.fork.map(|draft| draft.at(&self.economy));
        let height = self.economy.blocks();
        let block = self.economy.next_block(done.txs, done.fees_sat)?;
        for coin in done.given {
            self.economy.give(coin);
        }
        let stale = match fork {
            Some(fork) => fork.blocks(&mut self.economy, &block)?,
            None => Vec::new(),
        };
        self.tally.blocks += 1;
        self.tally.transactions += u64::try_from(block.txs.len()).unwrap_or(u64::MAX);
        self.tally.stale_blocks += u64::try_from(stale.len()).unwrap_or(u64::MAX);
        self.tally.labelled += u64::try_from(done.labels.len()).unwrap_or(u64::MAX);
        Ok(Some(Made { block, height, stale, labels: done.labels }))
    }

    /// Begins the thefts whose time has come.
    fn begin_due(&mut self) {
        let Plan { transactions, thefts, .. } = self.plan;
        while self.tally.thefts < u64::from(thefts) {
            let due =
                u128::from(transactions) * u128::from(self.tally.thefts) * u128::from(LAST_BEGINS_AT_TENTHS)
                    / u128::from(thefts).max(1)
                    / 10;
            if u128::from(self.tally.transactions) < due {
                return;
            }
            let number = u32::try_from(self.tally.thefts).unwrap_or(u32::MAX);
            let way = Way::ALL.into_iter().cycle().nth(usize::try_from(number % 10).unwrap_or(0));
            self.thefts.push(Theft::new(number, way.unwrap_or(Way::Peel), &mut self.random));
            self.tally.thefts += 1;
        }
    }
}

impl Theft {
    fn new(number: u32, way: Way, random: &mut Random) -> Self {
        Self {
            number,
            way,
            steps: ways::steps(way, random),
            purse: Vec::new(),
            others: Vec::new(),
            deposits: Vec::new(),
            strangers: 0,
            claim_sat: 0,
            limit_sat: 0,
        }
    }

    /// Somebody who has not occurred yet.
    const fn stranger(&mut self) -> Owner {
        self.strangers += 1;
        Owner::Stranger(self.strangers - 1)
    }

    /// Does what comes next; what cannot be done yet, because nobody has coins enough, stays for the next block.
    fn go(&mut self, scene: &mut Scene<'_>) {
        let Some(step) = self.steps.front().copied() else { return };
        if self.step(step, scene) {
            self.steps.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
