//! What is asked of a trace, and what it answers.
//!
//! Decides which questions make sense, and whether an answer balances. Follows nothing itself.

use core::{fmt, str::FromStr};
use std::collections::BTreeSet;

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::OutPoint;

use super::part::{CaseNum, Parts};
use crate::{
    graph::{AddressNum, Graph, OutputNum, Tip},
    index::Corrupted,
};

/// How tainted units are told from clean ones where they meet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// Whatever touches taint is tainted wholly.
    Poison,
    /// In proportion.
    Haircut,
    /// First unit in, first unit out.
    Fifo,
    /// Last unit in, first unit out.
    Lifo,
    /// Taint in, highest output.
    Tiho,
    /// Tainted units leave first.
    DirtyFirst,
    /// Clean units leave first.
    CleanFirst,
}

impl Method {
    /// Every method, in the order in which tables show them.
    pub const ALL: [Self; 7] =
        [Self::Poison, Self::Haircut, Self::Fifo, Self::Lifo, Self::Tiho, Self::DirtyFirst, Self::CleanFirst];

    /// Its name, such as `dirty-first`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poison => "poison",
            Self::Haircut => "haircut",
            Self::Fifo => "fifo",
            Self::Lifo => "lifo",
            Self::Tiho => "tiho",
            Self::DirtyFirst => "dirty-first",
            Self::CleanFirst => "clean-first",
        }
    }

    /// Whether it conserves units, so that a trace by it balances: all but poison.
    #[must_use]
    pub const fn conserves(self) -> bool {
        match self {
            Self::Poison => false,
            Self::Haircut | Self::Fifo | Self::Lifo | Self::Tiho | Self::DirtyFirst | Self::CleanFirst => {
                true
            }
        }
    }

    /// Whether it knows which of an output's units are tainted, not only how many.
    #[must_use]
    pub const fn has_order(self) -> bool {
        match self {
            Self::Fifo | Self::Lifo => true,
            Self::Poison | Self::Haircut | Self::Tiho | Self::DirtyFirst | Self::CleanFirst => false,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no method has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("method {found:?} is not known, want one of {}", Method::ALL.map(Method::name).join(", "))]
pub struct MethodError {
    /// What stood in its place, at most 32 characters of it.
    pub found: String,
}

impl FromStr for Method {
    type Err = MethodError;

    fn from_str(text: &str) -> Result<Self, MethodError> {
        let known = Self::ALL.into_iter().find(|method| method.name() == text);
        known.ok_or_else(|| MethodError { found: text.chars().take(32).collect() })
    }
}

/// Where tainted units are held and not followed further.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stops {
    /// Every output of these addresses.
    pub addresses: BTreeSet<AddressNum>,
    /// These outputs.
    pub outputs: BTreeSet<OutputNum>,
}

/// Everything that a result depends on beside the chain and the seeds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The method.
    pub method: Method,
    /// The last block that counts; without it, the tip.
    pub until: Option<Height>,
    /// Whether tainted fees are followed into the coinbase of their block. Poison counts no fees and follows none.
    pub follow_fees: bool,
    /// What one theft has in an output is dropped when it is less than this.
    pub dust_sat: u64,
    /// Where units are held.
    pub stops: Stops,
}

impl Terms {
    /// The defaults: to the tip, fees counted and not followed, no dust threshold, no stops.
    #[must_use]
    pub fn new(method: Method) -> Self {
        Self { method, until: None, follow_fees: false, dust_sat: 0, stops: Stops::default() }
    }
}

/// One theft: the outputs that are stolen wholly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Its seeds, in any order.
    pub seeds: Vec<OutputNum>,
}

/// The number of the output that a seed names.
///
/// # Errors
/// A transaction that the graph does not have, an output that the transaction does not have.
pub fn seed<G: Graph>(graph: &G, outpoint: OutPoint) -> Result<OutputNum, TaintError> {
    let OutPoint { txid, vout } = outpoint;
    let tx = graph.reading(|| graph.find(&txid))?.ok_or(TaintError::UnknownTx { txid })?;
    let outputs = graph.reading(|| graph.outputs(tx))?;
    let number = outputs.start.checked_add(u64::from(vout)).filter(|number| *number < outputs.end);
    let count = outputs.end.saturating_sub(outputs.start);
    number.map(OutputNum::new).ok_or(TaintError::NoOutput { outpoint, count })
}

/// The outpoint of an output.
#[must_use]
pub fn outpoint<G: Graph>(graph: &G, output: OutputNum) -> OutPoint {
    let tx = graph.creator(output);
    let vout = output.number().saturating_sub(graph.outputs(tx).start);
    // A transaction's outputs are counted in 32 bits.
    OutPoint { txid: graph.txid(tx), vout: u32::try_from(vout).unwrap_or(u32::MAX) }
}

/// An output with tainted units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tainted {
    /// The output.
    pub output: OutputNum,
    /// All its units.
    pub value_sat: u64,
    /// Those that are tainted.
    pub parts: Parts,
}

impl Tainted {
    /// How many units are tainted, by whichever theft. Under poison thefts can overlap, and no unit counts twice.
    #[must_use]
    pub fn tainted_sat(&self) -> u64 {
        let sum = self.parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.amount_sat));
        sum.min(self.value_sat)
    }

    /// How many units one theft has here.
    #[must_use]
    pub fn of(&self, case: CaseNum) -> u64 {
        let own = self.parts.iter().filter(|part| part.case == case);
        own.fold(0_u64, |sum, part| sum.saturating_add(part.amount_sat))
    }
}

/// Where one theft's units are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// What was stolen: each seed's value less what was tainted there already.
    pub stolen_sat: u128,
    /// In unspent outputs.
    pub unspent_sat: u128,
    /// Paid as fees and not followed; nothing under poison.
    pub fees_sat: Option<u128>,
    /// In outputs that nobody can spend, and unclaimed by a coinbase; nothing under poison.
    pub burned_sat: Option<u128>,
    /// Held at stops.
    pub stopped_sat: u128,
    /// Dropped as dust.
    pub dust_sat: u128,
    /// Gone into a shielded pool.
    pub shielded_sat: u128,
}

/// Totals that do not add up: a fault in the program or in the graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("stolen are {stolen_sat} base units, accounted for are {found_sat}")]
pub struct Unbalanced {
    /// What was stolen.
    pub stolen_sat: u128,
    /// Σ of everything else.
    pub found_sat: u128,
}

impl Totals {
    /// Whether everything stolen is somewhere, to the unit. Poison does not conserve units and has nothing to balance.
    ///
    /// # Errors
    /// Both sums, when they differ.
    pub fn balance(&self) -> Result<(), Unbalanced> {
        let (Some(fees_sat), Some(burned_sat)) = (self.fees_sat, self.burned_sat) else { return Ok(()) };
        let places =
            [self.unspent_sat, fees_sat, burned_sat, self.stopped_sat, self.dust_sat, self.shielded_sat];
        let found_sat = places.iter().fold(0_u128, |sum, place| sum.saturating_add(*place));
        let stolen_sat = self.stolen_sat;
        if found_sat == stolen_sat { Ok(()) } else { Err(Unbalanced { stolen_sat, found_sat }) }
    }
}

/// A theft's result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traced {
    /// Its place among the cases that were asked for.
    pub asked: usize,
    /// Its seeds in chain order, each once.
    pub seeds: Vec<OutputNum>,
    /// Where its units are.
    pub totals: Totals,
}

/// Units that two thefts lay claim to: they stay with the earlier (under poison both have them).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overlap {
    /// The later theft's seed.
    pub seed: OutputNum,
    /// The later theft.
    pub case: CaseNum,
    /// The theft that has the units.
    pub held_by: CaseNum,
    /// How many.
    pub amount_sat: u64,
}

/// What a trace found, with everything that it depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// What was asked.
    pub terms: Terms,
    /// The last block of the graph.
    pub tip: Tip,
    /// The thefts, in chain order of their earliest seeds.
    pub cases: Vec<Traced>,
    /// Tainted outputs that are unspent at the end, in chain order.
    pub unspent: Vec<Tainted>,
    /// Tainted outputs held at stops, in chain order: what a service is to be told.
    pub stopped: Vec<Tainted>,
    /// Units that several thefts lay claim to.
    pub overlaps: Vec<Overlap>,
    /// Transactions that tainted units came into.
    pub transactions_touched: u64,
}

impl Trace {
    /// The totals of all cases together.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let zero = if self.terms.method.conserves() { Some(0) } else { None };
        let start = Totals { fees_sat: zero, burned_sat: zero, ..Totals::default() };
        let add = |one: Option<u128>, other: Option<u128>| Some(one?.saturating_add(other?));
        self.cases.iter().fold(start, |sum, case| Totals {
            stolen_sat: sum.stolen_sat.saturating_add(case.totals.stolen_sat),
            unspent_sat: sum.unspent_sat.saturating_add(case.totals.unspent_sat),
            fees_sat: add(sum.fees_sat, case.totals.fees_sat),
            burned_sat: add(sum.burned_sat, case.totals.burned_sat),
            stopped_sat: sum.stopped_sat.saturating_add(case.totals.stopped_sat),
            dust_sat: sum.dust_sat.saturating_add(case.totals.dust_sat),
            shielded_sat: sum.shielded_sat.saturating_add(case.totals.shielded_sat),
        })
    }
}

/// Why there is no trace.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TaintError {
    /// A graph without blocks.
    #[error("the index holds no block")]
    Empty,
    /// A seed's transaction.
    #[error("transaction {txid} is not in the index")]
    UnknownTx {
        /// Its id.
        txid: Txid,
    },
    /// A seed's output.
    #[error("{outpoint} never existed, that transaction has {count} outputs")]
    NoOutput {
        /// What was named.
        outpoint: OutPoint,
        /// Outputs there are.
        count: u64,
    },
    /// A case without seeds, or no case.
    #[error("there is no seed to start from")]
    NoSeed,
    /// More cases than can be numbered.
    #[error("{found} cases were given, at most 4294967295 can be numbered")]
    Cases {
        /// How many.
        found: usize,
    },
    /// An end that is not there yet.
    #[error("asked until height {until}, the index ends at {tip}")]
    Until {
        /// The height asked for.
        until: Height,
        /// The last height.
        tip: Height,
    },
    /// A seed after the end.
    #[error("seed {outpoint} stands at height {height}, after the last block that counts, {until}")]
    SeedAfter {
        /// The seed.
        outpoint: OutPoint,
        /// Its height.
        height: Height,
        /// The last height that counts.
        until: Height,
    },
    /// Values beyond 64 bits: no chain of the family has so many units.
    #[error("the inputs of {txid} together do not fit 64 bits")]
    Sum {
        /// The transaction.
        txid: Txid,
    },
    /// Inputs whose values nobody here knows.
    #[error(
        "{txid} spends {count} outputs that are older than the index; it must begin with an earlier block"
    )]
    Outside {
        /// The transaction.
        txid: Txid,
        /// How many.
        count: u64,
    },
    /// More goes out than comes in.
    #[error("{txid} takes in {inputs_sat} base units and gives out more")]
    Overspent {
        /// The transaction.
        txid: Txid,
        /// What it takes in.
        inputs_sat: u64,
    },
    /// The graph says that a transaction spends an output, and the transaction does not list it.
    #[error("the index contradicts itself at {txid}: an output's spender does not list it")]
    Contradiction {
        /// The transaction.
        txid: Txid,
    },
    /// A file of the graph is corrupted.
    #[error(transparent)]
    Corrupted(#[from] Corrupted),
    /// Totals that do not add up.
    #[error("case {case} does not balance")]
    Unbalanced {
        /// Its place among the cases that were asked for.
        case: usize,
        /// The sums.
        #[source]
        source: Unbalanced,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_balance_to_the_unit_and_poison_has_nothing_to_balance() {
        let balanced = Totals {
            stolen_sat: 63,
            unspent_sat: 1,
            fees_sat: Some(2),
            burned_sat: Some(4),
            stopped_sat: 8,
            dust_sat: 16,
            shielded_sat: 32,
        };
        assert_eq!(balanced.balance(), Ok(()));
        for stolen_sat in [62, 64] {
            let want = Unbalanced { stolen_sat, found_sat: 63 };
            assert_eq!(Totals { stolen_sat, ..balanced }.balance(), Err(want));
        }
        assert_eq!(Totals { stolen_sat: 0, fees_sat: None, burned_sat: None, ..balanced }.balance(), Ok(()));
    }

    #[test]
    fn methods_are_known_by_name_and_others_are_shown() {
        for method in Method::ALL {
            assert_eq!(method.name().parse(), Ok(method));
        }
        let error = "first-in".parse::<Method>().unwrap_err().to_string();
        assert!(
            error.starts_with("method \"first-in\" is not known, want one of poison, haircut, fifo"),
            "{error}"
        );
    }
}
