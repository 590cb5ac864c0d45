//! What is asked of a trace, and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use super::{holding::Lowest, list::ListError, method::Rule, transfer::Header, units::Units};

/// A transfer whose arrival is stolen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seed {
    /// The transaction's id.
    pub tx: String,
    /// The transfer's place in it.
    pub index: u32,
    /// The theft that it belongs to.
    pub case: String,
}

/// What becomes of fees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fees {
    /// Tainted fees are counted and not followed; whoever takes them in gets clean units.
    Count,
    /// Fees are followed to whoever takes them in; destroyed ones are burned.
    Follow,
}

/// Everything that a result depends on beside the list and the seeds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The method.
    pub rule: Rule,
    /// The last block that counts; without it, the list's last.
    pub until: Option<u64>,
    /// What becomes of fees.
    pub fees: Fees,
    /// By asset: what one theft has in a transfer is dropped when it is less than this. Seeds are not.
    pub dust: BTreeMap<String, Units>,
    /// Accounts of services: units that arrive there are held, and their deposits handed over.
    pub stops: BTreeSet<String>,
    /// An account that was paid this often before, in the same asset, is a hub: units that arrive there are held too.
    pub hub_payments_min: Option<u32>,
}

impl Terms {
    /// The defaults: to the end, fees counted, no dust threshold, no stops, no hubs.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self {
            rule,
            until: None,
            fees: Fees::Count,
            dust: BTreeMap::new(),
            stops: BTreeSet::new(),
            hub_payments_min: None,
        }
    }
}

/// Where one theft's units of one asset are. Under every method but poison
/// `held + fees + burned + stopped + dust = stolen`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Σ (amount − taint that was there already) of the seeds.
    pub stolen: Units,
    /// Units of seeds that another theft had already.
    pub overlap: Units,
    /// On accounts.
    pub held: Units,
    /// Paid as fees.
    pub fees: Units,
    /// Destroyed.
    pub burned: Units,
    /// Arrived at services.
    pub stopped: Units,
    /// Dropped by the dust threshold.
    pub dust: Units,
}

impl Totals {
    /// All that became of stolen units.
    pub(super) fn found(&self) -> Option<Units> {
        Units::sum([self.held, self.fees, self.burned, self.stopped, self.dust])
    }
}

/// Where one theft's units are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaseTotals {
    /// The theft.
    pub case: String,
    /// By asset.
    pub by_asset: BTreeMap<String, Totals>,
}

/// A seed as the list has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stolen {
    /// The seed.
    pub seed: Seed,
    /// The asset.
    pub asset: String,
    /// Where it arrived.
    pub account: String,
    /// How much.
    pub amount: Units,
}

/// Units side by side in an account, the oldest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// The theft; `None` where they are clean.
    pub case: Option<String>,
    /// How many.
    pub amount: Units,
}

/// What an account holds of an asset, where some of it is tainted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The account.
    pub account: String,
    /// The asset.
    pub asset: String,
    /// All units that it is known to hold.
    pub balance: Units,
    /// Tainted units of all thefts.
    pub tainted: Units,
    /// By theft. Under poison each has all of them.
    pub by_case: BTreeMap<String, Units>,
    /// Which units, under fifo and lifo; else empty.
    pub segments: Vec<Segment>,
    /// Under libr, the lowest balance since the account has had tainted units.
    pub lowest: Option<Lowest>,
}

/// Why units are not followed further than to an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// It is one of the [`Terms::stops`].
    Named,
    /// It is a hub.
    Hub {
        /// How often it was paid before.
        payments: u32,
    },
    /// It is an exchange of assets within one transaction, and taint does not cross from one asset into another.
    Exchange,
}

/// Tainted units that arrived at a service: what its owner must look for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deposit {
    /// The transaction.
    pub tx: String,
    /// The transfer's place in it.
    pub index: u32,
    /// The block.
    pub height: u64,
    /// The asset.
    pub asset: String,
    /// Who paid it in.
    pub from: Option<String>,
    /// The service's account.
    pub service: String,
    /// Why it is one.
    pub stop: Stop,
    /// All units of the transfer.
    pub amount: Units,
    /// The theft.
    pub case: String,
    /// That theft's units among them.
    pub tainted: Units,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The list's first line.
    pub header: Header,
    /// The last block with a transfer that counted.
    pub height: Option<u64>,
    /// The seeds in the order of the list.
    pub seeds: Vec<Stolen>,
    /// By theft, the earliest first, and asset.
    pub totals: Vec<CaseTotals>,
    /// Accounts with tainted units, by account and asset.
    pub held: Vec<Held>,
    /// What arrived at services, in the order of the list.
    pub deposits: Vec<Deposit>,
    /// Under poison, every marked account with the thefts that marked it, also where it holds nothing any more.
    pub marked: BTreeMap<String, Vec<String>>,
    /// By asset, units that accounts paid and were not known to have: only where opening balances are unknown.
    pub surfaced: BTreeMap<String, Units>,
    /// Transactions that moved tainted units.
    pub transactions_touched: u64,
}

/// An account that pays more than it has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{account} pays {amount} of {asset} in {tx} transfer {index} and has {balance}; state what it held before by a \
     transfer of the kind opening, or say in the first line that opening balances are unknown"
)]
pub struct Overdrawn {
    /// Who pays.
    pub account: String,
    /// What.
    pub asset: String,
    /// How much.
    pub amount: Units,
    /// What it has.
    pub balance: Units,
    /// The transaction.
    pub tx: String,
    /// The transfer.
    pub index: u32,
}

/// Units that do not add up.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("case {case}, {asset}: {found} units found of {stolen} stolen; this is a fault in the tracer")]
pub struct Unbalanced {
    /// The theft.
    pub case: String,
    /// The asset.
    pub asset: String,
    /// Stolen units.
    pub stolen: Units,
    /// Units found.
    pub found: Units,
}

/// A transfer that the accounts' state does not allow.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BookError {
    /// More than the account has.
    #[error(transparent)]
    Overdrawn(Box<Overdrawn>),
    /// An opening balance after the account's first transfer.
    #[error("the opening balance of {account} in {asset} comes after a transfer of the same")]
    LateOpening {
        /// The account.
        account: String,
        /// The asset.
        asset: String,
    },
    /// More than 2²⁵⁶ − 1 units.
    #[error("{account} would hold more than 2^256 - 1 of {asset}")]
    Overflow {
        /// The account.
        account: String,
        /// The asset.
        asset: String,
    },
    /// A seed that is no theft.
    #[error("seed {tx}:{index} {why}")]
    Seed {
        /// The transaction.
        tx: String,
        /// The transfer.
        index: u32,
        /// Why not.
        why: &'static str,
    },
    /// More names than 32 bits can number.
    #[error("more than 2^32 - 1 different accounts, assets or cases")]
    Names,
}

/// A trace without an answer.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The list cannot be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// A transfer does not fit the ones before.
    #[error("line {line}")]
    Book {
        /// The line, from 1.
        line: u64,
        /// What does not fit.
        #[source]
        problem: BookError,
    },
    /// Nothing is said to be stolen.
    #[error("no seed, want at least one")]
    NoSeed,
    /// Two seeds are the same transfer.
    #[error("seed {tx}:{index} is given twice")]
    SeedTwice {
        /// The transaction.
        tx: String,
        /// The transfer.
        index: u32,
    },
    /// A seed that is not in the list, or after the last block that counts.
    #[error("seed {tx}:{index}: {why}")]
    NoSuchSeed {
        /// The transaction.
        tx: String,
        /// The transfer.
        index: u32,
        /// What there is instead.
        why: &'static str,
    },
    /// The units do not add up. A fault in this program: nothing of the result can be relied on.
    #[error(transparent)]
    Unbalanced(Box<Unbalanced>),
}
