//! A transaction as the detectors see it: values, who owns what (as numbers), and forms of scripts.
//!
//! Decides only whether amounts can be those of a transaction. Knows no chain, no index and no text.

use std::collections::{BTreeMap, HashMap};

use crate::graph::{Fate, Graph, TxNum};

/// What a script looks like, as far as mixes differ in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Pay to a witness public key hash (BIP 141).
    KeyHash,
    /// Taproot (BIP 341).
    Taproot,
    /// Anything else that can be spent.
    Other,
    /// Not known: whoever made the view had no script.
    Unknown,
}

impl Form {
    /// The form of a locking script.
    #[must_use]
    pub const fn of(script: &[u8]) -> Self {
        match script {
            [0x00, 0x14, ..] if script.len() == 22 => Self::KeyHash,
            [0x51, 0x20, ..] if script.len() == 34 => Self::Taproot,
            _ => Self::Other,
        }
    }

    /// Whether it is a witness public key hash, or may be.
    pub(super) const fn may_be_key_hash(self) -> bool {
        match self {
            Self::KeyHash | Self::Unknown => true,
            Self::Taproot | Self::Other => false,
        }
    }

    /// Whether it is a witness public key hash or Taproot, or may be.
    pub(super) const fn may_be_native(self) -> bool {
        match self {
            Self::KeyHash | Self::Taproot | Self::Unknown => true,
            Self::Other => false,
        }
    }
}

/// An output, spent or made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Its value in base units.
    pub value: u64,
    /// Whose it is: two coins have the same number if and only if they have the same script.
    pub owner: u64,
    /// What its script looks like.
    pub form: Form,
}

/// Why amounts cannot be those of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ViewError {
    /// More than a transaction can move.
    #[error("{side} add up to more than the {max} base units that can exist")]
    Sum {
        /// Inputs or outputs.
        side: &'static str,
        /// The limit.
        max: u64,
    },
    /// Outputs worth more than the inputs.
    #[error("outputs are worth {outputs} base units, want at most the {inputs} of the inputs")]
    Overspent {
        /// Of all inputs.
        inputs: u64,
        /// Of all outputs.
        outputs: u64,
    },
}

/// Most base units that any chain of the family has (Litecoin: 84 million coins).
const VALUE_MAX: u64 = 8_400_000_000_000_000;

/// A transaction: what it spends and what it makes. Outputs that nobody can spend are only counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    inputs: Vec<Coin>,
    outputs: Vec<Coin>,
    unspendable: usize,
    fee: u64,
    /// Values of outputs with their counts, in the order of values.
    values: Vec<(u64, usize)>,
    input_owners: usize,
    output_owners: usize,
    /// Most inputs of one owner.
    top_owner: usize,
}

impl View {
    /// A transaction of these coins. No inputs: a coinbase.
    ///
    /// # Errors
    /// Amounts that no transaction has.
    pub fn new(
        inputs: Vec<Coin>,
        outputs: Vec<Coin>,
        unspendable: usize,
        burned: u64,
    ) -> Result<Self, ViewError> {
        let spent = sum("inputs", &inputs, 0)?;
        let made = sum("outputs", &outputs, burned)?;
        let fee = match spent.checked_sub(made) {
            Some(fee) => fee,
            None if inputs.is_empty() => 0,
            None => return Err(ViewError::Overspent { inputs: spent, outputs: made }),
        };
        let mut values = BTreeMap::new();
        for output in &outputs {
            *values.entry(output.value).or_insert(0_usize) += 1;
        }
        let (input_owners, top_owner) = owners(&inputs);
        let (output_owners, _) = owners(&outputs);
        Ok(Self {
            inputs,
            outputs,
            unspendable,
            fee,
            values: values.into_iter().collect(),
            input_owners,
            output_owners,
            top_owner,
        })
    }

    /// The transaction that spends and makes these values at these scripts. No inputs: a coinbase.
    ///
    /// # Errors
    /// Amounts that no transaction has.
    pub fn of_scripts<'a>(
        inputs: impl IntoIterator<Item = (u64, &'a [u8])>,
        outputs: impl IntoIterator<Item = (u64, &'a [u8])>,
    ) -> Result<Self, ViewError> {
        let mut numbers: HashMap<&[u8], u64> = HashMap::new();
        let mut coin = |(value, script): (u64, &'a [u8])| {
            let next = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
            Coin { value, owner: *numbers.entry(script).or_insert(next), form: Form::of(script) }
        };
        let inputs = inputs.into_iter().map(&mut coin).collect();
        let (mut made, mut unspendable, mut burned) = (Vec::new(), 0, 0_u64);
        for (value, script) in outputs {
            if is_unspendable(script) {
                unspendable += 1;
                burned = burned.saturating_add(value);
            } else {
                made.push(coin((value, script)));
            }
        }
        Self::new(inputs, made, unspendable, burned)
    }

    /// A transaction of a graph. Forms of scripts are unknown there.
    ///
    /// # Errors
    /// Amounts that no transaction has; a graph of real blocks has none.
    pub fn of_graph(graph: &impl Graph, tx: TxNum) -> Result<Self, ViewError> {
        let (mut unspendable, mut burned) = (0, 0_u64);
        let coin = |output| {
            let owner = graph.address(output)?.number();
            Some(Coin { value: graph.value(output), owner, form: Form::Unknown })
        };
        let inputs = graph.inputs(tx).filter_map(coin).collect();
        let mut made = Vec::new();
        for output in graph.outputs(tx).map(crate::graph::OutputNum::new) {
            match (graph.fate(output), coin(output)) {
                (Fate::Spendable | Fate::Shielded, Some(coin)) => made.push(coin),
                (Fate::Spendable | Fate::Shielded | Fate::Unspendable, _) => {
                    unspendable += 1;
                    burned = burned.saturating_add(graph.value(output));
                }
            }
        }
        Self::new(inputs, made, unspendable, burned)
    }

    /// What it spends.
    #[must_use]
    pub fn inputs(&self) -> &[Coin] {
        &self.inputs
    }

    /// What it makes that can be spent.
    #[must_use]
    pub fn outputs(&self) -> &[Coin] {
        &self.outputs
    }

    /// How many outputs nobody can spend.
    #[must_use]
    pub const fn unspendable(&self) -> usize {
        self.unspendable
    }

    /// What it pays for being mined.
    #[must_use]
    pub const fn fee(&self) -> u64 {
        self.fee
    }

    /// Whether it spends nothing.
    #[must_use]
    pub const fn is_coinbase(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Values of outputs with how often each occurs, in the order of values.
    #[must_use]
    pub fn values(&self) -> &[(u64, usize)] {
        &self.values
    }

    /// The value that occurs most often, the larger one of several, with its count.
    #[must_use]
    pub fn mode(&self) -> Option<(u64, usize)> {
        self.values.iter().copied().max_by_key(|(value, count)| (*count, *value))
    }

    /// How many different scripts it spends from.
    #[must_use]
    pub const fn input_owners(&self) -> usize {
        self.input_owners
    }

    /// Whether no script is paid twice.
    #[must_use]
    pub const fn pays_each_once(&self) -> bool {
        self.output_owners == self.outputs.len()
    }

    /// Whether no script has more than a tenth of the inputs.
    pub(super) const fn spends_widely(&self) -> bool {
        self.top_owner.saturating_mul(10) <= self.inputs.len()
    }

    /// Outputs whose value occurs at least twice, and how many such values there are.
    pub(super) fn repeated(&self) -> (usize, usize) {
        let repeated = self.values.iter().filter(|(_, count)| *count >= 2);
        repeated.fold((0, 0), |(outputs, values), (_, count)| (outputs + count, values + 1))
    }
}

fn sum(side: &'static str, coins: &[Coin], more: u64) -> Result<u64, ViewError> {
    let add = |sum: u64, coin: &Coin| sum.checked_add(coin.value);
    let total = coins.iter().try_fold(more, add);
    total.filter(|total| *total <= VALUE_MAX).ok_or(ViewError::Sum { side, max: VALUE_MAX })
}

/// How many owners there are, and the most coins that one has.
fn owners(coins: &[Coin]) -> (usize, usize) {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for coin in coins {
        *counts.entry(coin.owner).or_insert(0) += 1;
    }
    (counts.len(), counts.values().copied().max().unwrap_or(0))
}

/// As consensus has it: `OP_RETURN` first, or longer than a script may be.
fn is_unspendable(script: &[u8]) -> bool {
    const EXECUTED_BYTES_MAX: usize = 10_000;
    script.first() == Some(&0x6a) || script.len() > EXECUTED_BYTES_MAX
}
