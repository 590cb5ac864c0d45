//! The sums and the root of a hand-over, row by row: the exporter says them, the importer finds them again. Decides whether rows are in
//! order and belong to somebody.

use std::collections::BTreeMap;

use kuraban_base::{Amount, TreeHash, cbor::Value};
use kuraban_proof::{Frontier, tree::leaf_hash};

use super::{Account, CASES_MAX, HandoverError, Kind, Row, Salt};
use crate::Assets;

/// An asset's decimals and its total, by code.
pub type Totals = BTreeMap<String, (u8, Amount)>;

/// What a hand-over comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sum {
    /// The root of the tree (RFC 6962 §2.1) of accounts.
    pub accounts_root: TreeHash,
    /// What all customers have.
    pub totals: Totals,
    /// How many rows there are of each kind, in the order of kinds.
    pub rows: [u64; 4],
}

impl Sum {
    /// Whether another is the same.
    ///
    /// # Errors
    /// What differs first.
    pub fn is(&self, want: &Self) -> Result<(), HandoverError> {
        for ((kind, found), want) in Kind::ALL.iter().zip(self.rows).zip(want.rows) {
            HandoverError::unless_equal(format!("the number of {}", kind.name()), &found, &want)?;
        }
        totals_are(&self.totals, &want.totals)?;
        HandoverError::unless_equal("the root of accounts", &self.accounts_root, &want.accounts_root)
    }
}

/// Whether totals are the same, asset by asset.
fn totals_are(found: &Totals, want: &Totals) -> Result<(), HandoverError> {
    for code in want.keys().chain(found.keys()) {
        let shown = |of: &Totals| {
            of.get(code).map_or("nothing".to_owned(), |(decimals, units)| {
                format!("{units} units of {decimals} decimals")
            })
        };
        HandoverError::unless_equal(format!("the total of {code}"), &shown(found), &shown(want))?;
    }
    Ok(())
}

/// Rows so far.
#[derive(Clone, Debug)]
pub struct Fold {
    salt: Salt,
    tree: Frontier,
    totals: Totals,
    rows: [u64; 4],
    customers: Vec<String>,
    last: Option<(Kind, [String; 3])>,
}

impl Fold {
    /// Nothing yet, in these assets.
    #[must_use]
    pub fn new(salt: Salt, totals: &Totals) -> Self {
        let totals =
            totals.iter().map(|(code, (decimals, _))| (code.clone(), (*decimals, Amount::ZERO))).collect();
        Self { salt, tree: Frontier::new(), totals, rows: [0; 4], customers: Vec::new(), last: None }
    }

    /// Takes one row.
    ///
    /// # Errors
    /// One that is out of order, stands twice, has no account, or names an asset that is not there.
    pub fn take(&mut self, row: &Row) -> Result<(), HandoverError> {
        let now = (row.kind(), row.key());
        if let Some(last) = self.last.as_ref().filter(|last| **last >= now) {
            let [found, after] = [&now, last].map(|(_, key)| key.join(" ").trim_end().to_owned());
            return Err(HandoverError::Order { kind: now.0.name(), found, after });
        }
        match row {
            Row::Account(account) => self.account(account)?,
            Row::Address(address) => self.known(Kind::Addresses, &address.customer)?,
            Row::Consent(consent) => self.known(Kind::Consents, &consent.customer)?,
            Row::Case(_) => {
                let [_, _, _, before] = self.rows;
                let found = usize::try_from(before.saturating_add(1)).unwrap_or(usize::MAX);
                if found > CASES_MAX {
                    return Err(HandoverError::Many { what: "cases", found, max: CASES_MAX });
                }
            }
        }
        for (kind, rows) in Kind::ALL.iter().zip(&mut self.rows) {
            *rows = rows.saturating_add(u64::from(*kind == now.0));
        }
        self.last = Some(now);
        Ok(())
    }

    /// What all rows come to.
    #[must_use]
    pub fn end(self) -> Sum {
        Sum { accounts_root: self.tree.root(), totals: self.totals, rows: self.rows }
    }

    fn account(&mut self, account: &Account) -> Result<(), HandoverError> {
        for (asset, units) in &account.balances {
            let unknown =
                || HandoverError::Asset { customer: account.customer.clone(), asset: asset.clone() };
            let (_, total) = self.totals.get_mut(asset).ok_or_else(unknown)?;
            *total = total.plus(*units).ok_or_else(|| HandoverError::Overflow { asset: asset.clone() })?;
        }
        self.tree.append(leaf(self.salt, account));
        self.customers.push(account.customer.clone());
        Ok(())
    }

    fn known(&self, kind: Kind, customer: &str) -> Result<(), HandoverError> {
        let found = self.customers.binary_search_by(|known| known.as_str().cmp(customer));
        let none = |_| HandoverError::NoAccount { kind: kind.name(), customer: customer.to_owned() };
        found.map(drop).map_err(none)
    }
}

/// An account's leaf: deterministic CBOR of `{salt, customer, group, balances}`, without balances of nothing, so that a row of zero and
/// no row are one.
fn leaf(salt: Salt, account: &Account) -> TreeHash {
    let held = account.balances.iter().filter(|(_, units)| *units > Amount::ZERO);
    let held = held.map(|(code, units)| (code.as_str(), Value::uint(units.units())));
    let value = Value::map([
        ("salt", Value::bytes(salt.0)),
        ("customer", Value::text(&account.customer)),
        ("group", Value::text(&account.group)),
        ("balances", Value::fields(held)),
    ]);
    leaf_hash(&value.encode())
}

/// No units of any of these assets.
#[must_use]
pub fn none_of(assets: &Assets) -> Totals {
    let of = |code: &str| assets.find(code).map_or(0, |num| assets.decimals(num));
    assets.codes().map(|code| (code.to_owned(), (of(code), Amount::ZERO))).collect()
}
