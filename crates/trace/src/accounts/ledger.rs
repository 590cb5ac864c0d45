//! What accounts hold, transfer by transfer, whoever follows what through them.
//!
//! Decides whether a payer has what it pays. Never which units are stolen: that is a track's to say.

use std::collections::{BTreeMap, HashMap};

use super::{
    outcome::{BookError, Overdrawn},
    transfer::{Kind, Opening, Transfer},
    units::Units,
};

/// A name by its place in the order of first appearances.
pub(super) type Num = u32;

/// What an account holds of an asset.
pub(super) type Place = (Num, Num);

/// Names and their numbers, in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Names {
    nums: HashMap<Box<str>, Num>,
    names: Vec<Box<str>>,
}

impl Names {
    pub(super) fn number(&mut self, name: &str) -> Result<Num, BookError> {
        if let Some(known) = self.nums.get(name) {
            return Ok(*known);
        }
        let num = Num::try_from(self.names.len()).map_err(|_| BookError::Names)?;
        self.nums.insert(name.into(), num);
        self.names.push(name.into());
        Ok(num)
    }

    /// The name of a number that it gave itself.
    pub(super) fn name(&self, num: Num) -> String {
        let place = usize::try_from(num).unwrap_or(usize::MAX);
        self.names.get(place).map_or_else(String::new, |name| name.as_ref().to_owned())
    }
}

/// What an account holds of an asset, and how often it was paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Purse {
    pub(super) balance: Units,
    /// Transfers of more than nothing that came from others.
    pub(super) payments: u32,
}

/// How the ledger was before a block.
#[derive(Debug, Default)]
pub(super) struct Before {
    purses: HashMap<Place, Option<Purse>>,
    surfaced: BTreeMap<Num, Units>,
    height: Option<u64>,
}

impl Before {
    /// Where something changed since.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.purses.keys().copied()
    }
}

/// Everybody's balances.
#[derive(Debug)]
pub(super) struct Ledger {
    opening: Opening,
    pub(super) accounts: Names,
    pub(super) assets: Names,
    purses: HashMap<Place, Purse>,
    surfaced: BTreeMap<Num, Units>,
    height: Option<u64>,
    before: Option<Before>,
}

/// A transfer with its names as numbers, and what its two ends held when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) transfer: &'a Transfer,
    pub(super) asset: Num,
    pub(super) from: Option<Num>,
    pub(super) to: Option<Num>,
    /// Units of the payer that nobody knew of: its oldest.
    pub(super) surfaced: Units,
    /// What the payer had, those included.
    pub(super) had: Units,
    /// What the payee had.
    pub(super) met: Purse,
}

impl Step<'_> {
    /// Whether it leads from an account to itself.
    pub(super) fn stays(&self) -> bool {
        self.from.is_some() && self.from == self.to
    }
}

impl Ledger {
    pub(super) fn new(opening: Opening) -> Self {
        Self {
            opening,
            accounts: Names::default(),
            assets: Names::default(),
            purses: HashMap::new(),
            surfaced: BTreeMap::new(),
            height: None,
            before: None,
        }
    }

    /// The last block with a transfer.
    pub(super) const fn height(&self) -> Option<u64> {
        self.height
    }

    pub(super) fn purse(&self, place: Place) -> Purse {
        self.purses.get(&place).copied().unwrap_or_default()
    }

    /// Everything that somebody holds or held.
    pub(super) fn purses(&self) -> impl Iterator<Item = (Place, Purse)> {
        self.purses.iter().map(|(place, purse)| (*place, *purse))
    }

    /// By asset, units that accounts paid and were not known to have.
    pub(super) fn surfaced(&self) -> BTreeMap<String, Units> {
        self.surfaced.iter().map(|(asset, sum)| (self.assets.name(*asset), *sum)).collect()
    }

    /// Keeps from now on what it takes to be as now again.
    pub(super) fn begin(&mut self) {
        let (surfaced, height) = (self.surfaced.clone(), self.height);
        self.before = Some(Before { purses: HashMap::new(), surfaced, height });
    }

    /// What was kept since [`begin`](Self::begin).
    pub(super) fn end(&mut self) -> Before {
        self.before.take().unwrap_or_default()
    }

    /// Is as it was before. Names keep their numbers.
    pub(super) fn undo(&mut self, before: Before) {
        for (place, purse) in before.purses {
            match purse {
                Some(purse) => drop(self.purses.insert(place, purse)),
                None => drop(self.purses.remove(&place)),
            }
        }
        (self.surfaced, self.height) = (before.surfaced, before.height);
    }

    fn put(&mut self, place: Place, purse: Purse) {
        let old = self.purses.insert(place, purse);
        if let Some(before) = &mut self.before {
            before.purses.entry(place).or_insert(old);
        }
    }

    /// Sees that the payer has what it pays, and moves it.
    ///
    /// # Errors
    /// It has not, and opening balances are stated; an opening that comes late; more than an account can hold.
    pub(super) fn step<'a>(&mut self, transfer: &'a Transfer) -> Result<Step<'a>, BookError> {
        let mut step = Step {
            transfer,
            asset: self.assets.number(&transfer.asset)?,
            from: transfer.from.as_deref().map(|name| self.accounts.number(name)).transpose()?,
            to: transfer.to.as_deref().map(|name| self.accounts.number(name)).transpose()?,
            surfaced: Units::ZERO,
            had: Units::ZERO,
            met: Purse::default(),
        };
        self.height = Some(transfer.height);
        if let Some(from) = step.from {
            let place = (from, step.asset);
            self.cover(&mut step, place)?;
        }
        let Some(to) = step.to.map(|to| (to, step.asset)).filter(|_| !step.stays()) else {
            return Ok(step);
        };
        if transfer.kind == Kind::Opening && self.purses.contains_key(&to) {
            let account = transfer.to.clone().unwrap_or_default();
            return Err(BookError::LateOpening { account, asset: transfer.asset.clone() });
        }
        step.met = self.purse(to);
        let overflow = || BookError::Overflow {
            account: transfer.to.clone().unwrap_or_default(),
            asset: transfer.asset.clone(),
        };
        let balance = step.met.balance.plus(transfer.amount).ok_or_else(overflow)?;
        let paid = !transfer.amount.is_zero() && transfer.kind != Kind::Opening;
        self.put(to, Purse { balance, payments: step.met.payments.saturating_add(u32::from(paid)) });
        Ok(step)
    }

    /// Takes what is paid out of the payer's purse; what is missing there surfaces, where it may.
    fn cover(&mut self, step: &mut Step<'_>, place: Place) -> Result<(), BookError> {
        let Transfer { amount, asset, tx, index, .. } = step.transfer;
        let purse = self.purse(place);
        let missing = amount.beyond(purse.balance);
        if !missing.is_zero() {
            let account = self.accounts.name(place.0);
            match self.opening {
                Opening::Stated => {
                    return Err(BookError::Overdrawn(Box::new(Overdrawn {
                        account,
                        asset: asset.clone(),
                        amount: *amount,
                        balance: purse.balance,
                        tx: tx.clone(),
                        index: *index,
                    })));
                }
                Opening::Unknown => {
                    let known = self.surfaced.entry(step.asset).or_default();
                    *known = known.plus(missing).unwrap_or(Units::MAX);
                }
            }
        }
        step.surfaced = missing;
        // The greater of the balance and the amount, which both fit.
        step.had = purse.balance.max(*amount);
        let left = if step.stays() { step.had } else { step.had.beyond(*amount) };
        self.put(place, Purse { balance: left, ..purse });
        Ok(())
    }
}
