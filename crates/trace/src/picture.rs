//! A trace as a picture: transactions in layers by time, joined by the outputs that carry stolen units, with the amount
//! by every method on each. On chains of accounts: accounts, joined by transfers.
//!
//! Decides layout alone, in whole numbers, so that the same trace gives the same picture everywhere. Draws nothing, and
//! judges nothing about whose an output is.
//!
//! The first node stands for the theft itself: seeds flow from it. Every other node is a transaction that stolen units
//! came into, in chain order. Of the nodes that feed a transaction the one that gives it most is its parent, so that all
//! nodes form a tree beneath the theft, and a part of the tree can be folded into one "+N".

mod account;
mod gather;
mod order;
mod place;
mod tree;

pub use account::{AccountPicture, PictureError, Stand, Way, account_picture};
pub use gather::trace_picture;
pub use place::{Column, Face, Link, Placed, Scene};
pub use tree::{Item, Size, Tree, View};

use crate::{
    accounts::Rule,
    graph::{OutputNum, TxNum},
    taint::{CaseNum, End, Method},
};

/// Most outputs that one picture holds. Of more the largest are kept, and the others are counted in [`LeftOut`].
pub const FLOWS_MAX: usize = 20_000;

/// Most methods of one picture.
const METHODS: usize = Method::ALL.len();

/// An amount by each of a picture's methods, in base units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Amounts([u128; METHODS]);

impl Amounts {
    /// The amount by the method at this place of [`Picture::methods`]; 0 where there is none.
    #[must_use]
    pub fn of(&self, place: usize) -> u128 {
        self.0.get(place).copied().unwrap_or(0)
    }

    fn add(&mut self, place: usize, amount_sat: u128) {
        if let Some(sum) = self.0.get_mut(place) {
            *sum = sum.saturating_add(amount_sat);
        }
    }
}

/// The theft, or a transaction or an account that stolen units came into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The transaction; nothing for the theft, and for accounts.
    pub tx: Option<TxNum>,
    /// Its layer: transactions of one layer take nothing from each other, and those of a later one are later.
    pub layer: usize,
    /// Where it stands in its layer, from the top, in millionths.
    pub rank: u64,
    /// The node that gives it most; the theft for itself, and where what feeds it is left out.
    pub parent: usize,
    /// What it pays as fee that nobody follows.
    pub fees: Amounts,
    /// What a coinbase leaves unclaimed.
    pub unclaimed: Amounts,
}

/// An output with stolen units, or a fee that is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The output; nothing for a fee.
    pub output: Option<OutputNum>,
    /// The node that it leaves, by its place.
    pub from: usize,
    /// The node that it feeds.
    pub to: Option<usize>,
    /// What becomes of it. Under methods in `dust` it is dropped instead.
    pub end: End,
    /// Whether all of it was stolen there.
    pub seed: bool,
    /// All its units.
    pub value_sat: u128,
    /// Those that are stolen.
    pub amounts: Amounts,
    /// Methods under which it is dropped as dust, one bit each, the first method's lowest.
    pub dust: u8,
}

/// What one of several cases has of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// The case, by its place in the traces.
    pub case: CaseNum,
    /// Its units.
    pub amounts: Amounts,
}

/// What a picture has no room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeftOut {
    /// Outputs.
    pub flows: u64,
    /// Of these, outputs that nothing spends.
    pub ends: u64,
    /// What the latter hold.
    pub amounts: Amounts,
    /// Fees of transactions that are not there either.
    pub fees: Amounts,
}

/// A trace by several methods, laid out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    /// The methods, in the order of all amounts.
    pub methods: Vec<Rule>,
    /// The theft, then transactions in chain order.
    pub nodes: Vec<Node>,
    /// Outputs in chain order of what made them.
    pub flows: Vec<Flow>,
    /// By flow, what each case has of it, the earliest first; nothing where there is one case, and on accounts.
    pub shares: Vec<Vec<Share>>,
    /// What there was no room for.
    pub left_out: LeftOut,
}

impl Picture {
    /// What each of several cases has of a flow.
    #[must_use]
    pub fn shares(&self, flow: usize) -> &[Share] {
        self.shares.get(flow).map(Vec::as_slice).unwrap_or_default()
    }

    /// How much a flow weighs in the layout: the most by any method that conserves units, and after it by any. It does not
    /// depend on the method that is looked at, so that the picture stands still when that changes.
    #[must_use]
    pub fn weight(&self, flow: &Flow) -> (u128, u128) {
        weight(&self.methods, &flow.amounts)
    }
}

fn weight(methods: &[Rule], amounts: &Amounts) -> (u128, u128) {
    let amounts = || methods.iter().zip(amounts.0);
    let conserved = amounts().filter(|(method, _)| method.conserves()).map(|(_, amount)| amount).max();
    (conserved.unwrap_or(0), amounts().map(|(_, amount)| amount).max().unwrap_or(0))
}
