//! What a transaction looks like: a mix of several people's coins, and which kind; a peel, a consolidation, a dispersal.
//!
//! Decides from values and scripts alone how sure one can be, by the rules of `docs/patterns.md`. A label is a likeness and
//! no proof: it never says who took part, and it never says that anybody did wrong.

mod deposit;
mod joinmarket;
mod lots;
mod memo;
mod shape;
mod view;
mod wasabi;
mod whirlpool;

pub mod esplora;

pub use deposit::{Deposit, deposit_address, peel_chain, tx0_confirmed};
pub use lots::{Limit, Lots, Payment, lots_under};
pub use memo::{Memo, MemoError, swap_memo};
pub use view::{Coin, Form, View, ViewError};

use core::fmt;

use joinmarket::Party;

/// From this confidence on a label counts as a finding; below, it says what else the shape may be.
pub const FIRM: u8 = 40;

/// What a transaction can look like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A mix of Samourai's or Ashigaru's Whirlpool.
    Whirlpool,
    /// The transaction that makes coins ready for Whirlpool. It mixes nothing.
    WhirlpoolTx0,
    /// A mix of Wasabi 1.
    Wasabi1,
    /// A mix of Wasabi 2 (WabiSabi).
    Wasabi2,
    /// A mix of JoinMarket.
    JoinMarket,
    /// Equal outputs of several owners, or what is made to look so, of no kind named here.
    EqualOutputMix,
    /// One coin in, a small one and a large one out.
    Peel,
    /// Many coins into one.
    Consolidation,
    /// Few coins into many.
    Dispersal,
    /// None of these.
    None,
}

impl Kind {
    /// Every kind, in the order of their names in the contract.
    pub const ALL: [Self; 10] = [
        Self::Whirlpool,
        Self::WhirlpoolTx0,
        Self::Wasabi1,
        Self::Wasabi2,
        Self::JoinMarket,
        Self::EqualOutputMix,
        Self::Peel,
        Self::Consolidation,
        Self::Dispersal,
        Self::None,
    ];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whirlpool => "whirlpool",
            Self::WhirlpoolTx0 => "whirlpool_tx0",
            Self::Wasabi1 => "wasabi1",
            Self::Wasabi2 => "wasabi2",
            Self::JoinMarket => "joinmarket",
            Self::EqualOutputMix => "equal_output_mix",
            Self::Peel => "peel",
            Self::Consolidation => "consolidation",
            Self::Dispersal => "dispersal",
            Self::None => "none",
        }
    }

    /// Whether coins of several owners go in and cannot be told apart when they come out.
    #[must_use]
    pub const fn is_mix(self) -> bool {
        match self {
            Self::Whirlpool | Self::Wasabi1 | Self::Wasabi2 | Self::JoinMarket | Self::EqualOutputMix => true,
            Self::WhirlpoolTx0 | Self::Peel | Self::Consolidation | Self::Dispersal | Self::None => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A likeness and how sure it is, from 0 to 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// Like what.
    pub kind: Kind,
    /// How sure.
    pub confidence: u8,
}

/// Which mixes there are on a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chain {
    /// Bitcoin has all of them.
    Bitcoin,
    /// Others of the family have JoinMarket's kind only.
    OfItsFamily,
}

/// What is known beside the transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// The chain.
    pub chain: Chain,
    /// An exchange owns one of the inputs: then it pays out and joins no JoinMarket or Wasabi 1 mix.
    pub exchange_spends: bool,
}

/// Every label that fits, mixes first; [`Kind::None`] alone if none does. A coinbase is like nothing.
#[must_use]
pub fn classify(view: &View, known: Known) -> Vec<Label> {
    let mut labels = Vec::new();
    let mut say = |kind, confidence: Option<u8>| {
        labels.extend(confidence.map(|confidence| Label { kind, confidence }));
    };
    if !view.is_coinbase() {
        let (kind, confidence) = mix(view, known);
        say(kind, confidence);
        if confidence.is_none_or(|confidence| confidence < FIRM) {
            let prepares = known.chain == Chain::Bitcoin && !joinmarket::is_stonewall(view);
            say(Kind::WhirlpoolTx0, if prepares { whirlpool::tx0(view) } else { None });
            say(Kind::Peel, shape::peel(view));
            say(Kind::Consolidation, shape::consolidation(view));
            say(Kind::Dispersal, shape::dispersal(view));
        }
    }
    if labels.is_empty() {
        labels.push(Label { kind: Kind::None, confidence: 100 });
    }
    labels
}

/// The most likely mix. Kinds that fix more of a transaction go first, because the looser ones fit them too.
fn mix(view: &View, known: Known) -> (Kind, Option<u8>) {
    let bitcoin = known.chain == Chain::Bitcoin;
    let stonewall = joinmarket::is_stonewall(view);
    if bitcoin && !stonewall {
        let firm = [
            (Kind::Whirlpool, whirlpool::mix(view)),
            (Kind::Wasabi1, wasabi::first(view).filter(|_| !known.exchange_spends)),
            (Kind::Wasabi2, wasabi::second(view)),
        ];
        if let Some(found) = firm.into_iter().find(|(_, confidence)| confidence.is_some()) {
            return found;
        }
    }
    let party = joinmarket::party(view);
    match party {
        Some(Party::Balanced | Party::MakerPaid | Party::NotDecided) if !known.exchange_spends => {
            (Kind::JoinMarket, party.map(Party::confidence))
        }
        // A payout of an exchange in two equal parts is no likeness worth a word.
        _ if known.exchange_spends => (Kind::EqualOutputMix, None),
        Some(Party::Even | Party::Loose | Party::Unbalanced) => {
            (Kind::EqualOutputMix, party.map(Party::confidence))
        }
        Some(Party::Balanced | Party::MakerPaid | Party::NotDecided) | None => {
            let other = if bitcoin {
                whirlpool::unknown_pool(view).or_else(|| wasabi::unknown_coordinator(view))
            } else {
                None
            };
            (Kind::EqualOutputMix, other)
        }
    }
}

#[cfg(test)]
mod tests;
