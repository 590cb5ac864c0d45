//! Loss statements: what was lost, at which rates, and what changed from one version to the next. Decides the sums; versions are
//! kept side by side, and a quantity that is still under investigation says so.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Amount;
use serde::Deserialize;

use crate::{AssetNum, Assets, Exact, Rate, Rounding, Share, units};

/// What one version says of one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The asset.
    pub asset: AssetNum,
    /// How much was lost, in base units; not known yet where it is under investigation.
    pub quantity: Option<Amount>,
    /// Of it, what belonged to customers; not stated where it is none.
    pub customers: Option<Amount>,
    /// What a whole coin is worth.
    pub rate: Option<Rate>,
    /// What the quantity is worth, in the currency's smallest unit.
    pub amount: Option<Amount>,
    /// What the customers' part is worth.
    pub customers_amount: Option<Amount>,
}

/// A version of a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// What it is called: `first`, `revised`.
    pub name: String,
    /// When it was given, as written.
    pub at: String,
    /// By which rule its rates were taken, as written.
    pub rates: Option<String>,
    /// What it says of each asset.
    pub parts: Vec<Part>,
    /// What was stated without a breakdown, in the currency's smallest unit.
    pub stated: Option<Amount>,
    /// The sum of all parts that are known, in the currency's smallest unit.
    pub total: Amount,
    /// The sum of the customers' parts that are known.
    pub customers_total: Amount,
    /// Assets of which the quantity is under investigation.
    pub open: Vec<AssetNum>,
}

/// What changed of one asset from one version to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The asset.
    pub asset: AssetNum,
    /// What it was said to be worth before; nothing if it was not known.
    pub before: Option<Amount>,
    /// What it is said to be worth now.
    pub after: Option<Amount>,
    /// The part of the change that comes from the quantity at the earlier rate, in the currency's smallest unit and with its sign; the
    /// rest comes from the rate. Nothing where one of the two is not known before.
    pub by_quantity: Option<i128>,
}

/// A loss statement with all its versions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// All assets that it names.
    pub assets: Assets,
    /// What money is counted in.
    pub currency: AssetNum,
    /// The versions, the first one first.
    pub versions: Vec<Version>,
    rounding: Rounding,
}

/// Why a text is no statement.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LossError {
    /// Not the shape of a statement.
    #[error("is no loss statement: {0}")]
    Toml(String),
    /// A number or an asset that is none.
    #[error("{place}: {problem}")]
    Field {
        /// Which version, asset and field.
        place: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatement {
    currency: String,
    rounding: Rounding,
    #[serde(default)]
    assets: BTreeMap<String, u8>,
    version: Vec<RawVersion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVersion {
    name: String,
    at: String,
    rates: Option<String>,
    stated: Option<String>,
    #[serde(default)]
    asset: Vec<RawPart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    code: String,
    quantity: Option<String>,
    customers: Option<String>,
    rate: Option<String>,
    #[serde(default)]
    under_investigation: bool,
}

impl Statement {
    /// The statement that a TOML text says.
    ///
    /// # Errors
    /// Unknown keys, numbers that are none, quantities that are neither stated nor under investigation, customers with more than all.
    pub fn parse(text: &str) -> Result<Self, LossError> {
        let raw: RawStatement =
            toml::from_str(text).map_err(|error| LossError::Toml(error.to_string().trim_end().to_owned()))?;
        let field = |place: &str, problem: String| LossError::Field { place: place.to_owned(), problem };
        let mut assets = Assets::default();
        for (code, decimals) in &raw.assets {
            assets.add(code, *decimals).map_err(|problem| field("assets", problem.to_string()))?;
        }
        let unknown = || field("currency", format!("{:?} is not known; add it under [assets]", raw.currency));
        let currency = assets.find(&raw.currency).ok_or_else(unknown)?;
        let books = Books { assets: &assets, currency, rounding: raw.rounding };
        let versions =
            raw.version.iter().map(|version| books.version(version)).collect::<Result<Vec<_>, _>>()?;
        if versions.is_empty() {
            return Err(field("version", "there is none, want the first one under [[version]]".to_owned()));
        }
        Ok(Self { versions, currency, rounding: raw.rounding, assets })
    }

    /// What changed from the version in a place, from 0, to the next; in the order of the table of assets.
    #[must_use]
    pub fn changes(&self, place: usize) -> Vec<Change> {
        let next = place.saturating_add(1);
        let (Some(before), Some(after)) = (self.versions.get(place), self.versions.get(next)) else {
            return Vec::new();
        };
        let part = |version: &Version, asset| version.parts.iter().find(|part| part.asset == asset).copied();
        let named: BTreeSet<AssetNum> =
            before.parts.iter().chain(&after.parts).map(|part| part.asset).collect();
        let change = |asset| {
            let (old, new) = (part(before, asset), part(after, asset));
            let amount = |part: Option<Part>| part.and_then(|part| part.amount);
            let by_quantity = old.zip(new).and_then(|(old, new)| self.by_quantity(old, new));
            Change { asset, before: amount(old), after: amount(new), by_quantity }
        };
        named.into_iter().map(change).filter(|change| change.before != change.after).collect()
    }

    fn by_quantity(&self, old: Part, new: Part) -> Option<i128> {
        let books = Books { assets: &self.assets, currency: self.currency, rounding: self.rounding };
        let at_old_rate = books.worth(old.asset, new.quantity?, old.rate?)?;
        let [after, before] = [at_old_rate, old.amount?].map(|amount| i128::try_from(amount.units()).ok());
        after?.checked_sub(before?)
    }
}

struct Books<'a> {
    assets: &'a Assets,
    currency: AssetNum,
    rounding: Rounding,
}

impl Books<'_> {
    fn worth(&self, asset: AssetNum, quantity: Amount, rate: Rate) -> Option<Amount> {
        let exact = Exact::worth(quantity, self.assets.decimals(asset), rate, Share::ONE)?;
        exact.round(self.assets.decimals(self.currency), self.rounding).map(|(amount, _)| amount)
    }

    fn version(&self, raw: &RawVersion) -> Result<Version, LossError> {
        let parts = raw.asset.iter().map(|part| self.part(&raw.name, part)).collect::<Result<Vec<_>, _>>()?;
        let field = |place: &str, problem: String| LossError::Field {
            place: format!("{} {place}", raw.name),
            problem,
        };
        let mut seen = BTreeSet::new();
        if let Some(part) = parts.iter().find(|part| !seen.insert(part.asset)) {
            return Err(field(self.assets.code(part.asset), "stands twice, want it once".to_owned()));
        }
        let stated = raw.stated.as_ref().map(|text| units(text, self.assets.decimals(self.currency)));
        let stated = stated.transpose().map_err(|problem| field("stated", problem.to_string()))?;
        let sum = |of: fn(&Part) -> Option<Amount>| {
            let large = || field("total", "is larger than is counted".to_owned());
            Amount::sum(parts.iter().filter_map(of)).ok_or_else(large)
        };
        Ok(Version {
            name: raw.name.clone(),
            at: raw.at.clone(),
            rates: raw.rates.clone(),
            stated,
            total: sum(|part| part.amount)?,
            customers_total: sum(|part| part.customers_amount)?,
            open: parts.iter().filter(|part| part.quantity.is_none()).map(|part| part.asset).collect(),
            parts,
        })
    }

    fn part(&self, version: &str, raw: &RawPart) -> Result<Part, LossError> {
        let field = |name: &str, problem: String| LossError::Field {
            place: format!("{version} {} {name}", raw.code),
            problem,
        };
        let unknown = || field("code", "is not known; add it under [assets] with its decimals".to_owned());
        let asset = self.assets.find(&raw.code).ok_or_else(unknown)?;
        let number = |name: &str, text: &Option<String>| {
            let units = text.as_ref().map(|text| units(text, self.assets.decimals(asset)));
            units.transpose().map_err(|problem| field(name, problem.to_string()))
        };
        let (quantity, customers) =
            (number("quantity", &raw.quantity)?, number("customers", &raw.customers)?);
        if quantity.is_some() == raw.under_investigation {
            let problem = "want a quantity, or under_investigation = true, and not both";
            return Err(field("quantity", problem.to_owned()));
        }
        if customers.is_some_and(|customers| quantity.is_none_or(|quantity| customers > quantity)) {
            return Err(field("customers", "is more than the quantity".to_owned()));
        }
        let rate: Option<Rate> = raw
            .rate
            .as_ref()
            .map(|text| text.parse())
            .transpose()
            .map_err(|problem| field("rate", format!("{problem}")))?;
        let worth = |units: Option<Amount>| match units.zip(rate) {
            Some((units, rate)) => {
                let large = || field("rate", "times the quantity is larger than is counted".to_owned());
                self.worth(asset, units, rate).map(Some).ok_or_else(large)
            }
            None => Ok(None),
        };
        Ok(Part {
            asset,
            quantity,
            customers,
            rate,
            amount: worth(quantity)?,
            customers_amount: worth(customers)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZAIF: &str = include_str!("../../../examples/losses/zaif-2018.toml");

    /// Tech Bureau's second release of 2018-09-21: each product, and 7,030,616,440 yen in all.
    #[test]
    fn zaifs_table_recomputes_to_the_yen() {
        let statement = Statement::parse(ZAIF).unwrap();
        let revised = &statement.versions[1];
        let amounts: Vec<u128> = revised.parts.iter().map(|part| part.amount.unwrap().units()).collect();
        assert_eq!(amounts, [4_251_234_047, 671_704_448, 2_107_677_945]);
        assert_eq!((revised.total.units(), revised.open.as_slice()), (7_030_616_440, &[][..]));
        // The release has 62,760, 10 and 3,489 yen more: its quantities of customers are cut to one decimal.
        assert_eq!(revised.customers_total.units(), 4_587_099_227 - 62_760 - 10 - 3_489);
    }

    #[test]
    fn a_first_version_keeps_what_is_still_under_investigation() {
        let statement = Statement::parse(ZAIF).unwrap();
        let first = &statement.versions[0];
        let open: Vec<&str> = first.open.iter().map(|asset| statement.assets.code(*asset)).collect();
        assert_eq!((first.stated.unwrap().units(), open), (6_700_000_000, vec!["MONA", "BCH"]));
        let changes: Vec<(&str, Option<u128>, Option<u128>)> = statement
            .changes(0)
            .iter()
            .map(|change| {
                let [before, after] = [change.before, change.after].map(|amount| amount.map(Amount::units));
                (statement.assets.code(change.asset), before, after)
            })
            .collect();
        let want = [("BCH", None, Some(2_107_677_945)), ("MONA", None, Some(671_704_448))];
        assert_eq!(changes, want);
        assert_eq!(statement.changes(1), []);
    }

    #[test]
    fn a_change_is_split_into_quantity_and_rate() {
        let text = "currency = \"JPY\"\nrounding = \"half-up\"\n\
            [[version]]\nname = \"first\"\nat = \"a\"\n[[version.asset]]\ncode = \"XRP\"\nquantity = \"10\"\nrate = \"35\"\n\
            [[version]]\nname = \"second\"\nat = \"b\"\n[[version.asset]]\ncode = \"XRP\"\nquantity = \"8\"\nrate = \"30\"\n";
        let changes = Statement::parse(text).unwrap().changes(0);
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        let units = |amount: Option<Amount>| amount.unwrap().units();
        assert_eq!((units(change.before), units(change.after), change.by_quantity), (350, 240, Some(-70)));
    }

    #[track_caller]
    fn refused(part: &str, want: &str) {
        let text = format!(
            "currency = \"JPY\"\nrounding = \"half-up\"\n[[version]]\nname = \"first\"\nat = \"a\"\n{part}"
        );
        let problem = Statement::parse(&text).unwrap_err().to_string();
        assert!(problem.contains(want), "{problem}");
    }

    #[test]
    fn bad_statements_are_refused_by_version_asset_and_field() {
        let part = |rest: &str| format!("[[version.asset]]\ncode = \"BTC\"\n{rest}\n");
        refused(&part(""), "first BTC quantity: want a quantity, or under_investigation = true");
        refused(&part("quantity = \"1\"\nunder_investigation = true"), "and not both");
        refused(
            &part("quantity = \"1\"\ncustomers = \"1.00000001\""),
            "first BTC customers: is more than the quantity",
        );
        refused(&part("quantity = \"x\""), "first BTC quantity: \"x\" has 'x'");
        refused(&part("quantity = \"1\"\nrate = \"-3\""), "first BTC rate: -3 is negative");
        refused(&[part("quantity = \"1\""), part("quantity = \"1\"")].concat(), "first BTC: stands twice");
        refused("[[version.asset]]\ncode = \"LSK\"\nquantity = \"1\"", "first LSK code: is not known");
        refused("stated = \"6.7\"", "first stated: 6.7 has 1 decimals");
    }
}
