//! Who held what at an instant: the rows of a file, as a whole. Decides what is one customer and what is a double row; nothing is
//! taken before everything is accepted.

use core::cmp::Ordering;

use kuraban_base::Amount;

use crate::{AssetNum, Assets, DecimalError, units};

/// Longest name of a customer, group or vault, in bytes.
pub const NAME_MAX: usize = 64;
/// Most names of groups and vaults.
const LABELS_MAX: usize = 1_000;
/// Most rows.
const ROWS_MAX: usize = 1 << 32;

/// The amount in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written<'a> {
    /// Whole coins, as a decimal number.
    Coins(&'a str),
    /// Base units.
    Units(u128),
}

/// A row as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawRow<'a> {
    /// Its line, or its number where there are no lines, from 1.
    pub line: u64,
    /// Whose.
    pub customer: &'a str,
    /// Of what.
    pub asset: &'a str,
    /// How much.
    pub amount: Written<'a>,
    /// What kind of customer, such as one who has agreed to a transfer; empty where there are none.
    pub group: &'a str,
    /// Where the coins lay; empty where it does not matter.
    pub vault: &'a str,
}

/// Why holdings are not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HoldingsError {
    /// A name that cannot be one.
    #[error(
        "line {line}, {field}: has {found:?}, want 1 to {NAME_MAX} bytes without control characters and blanks at its ends"
    )]
    Name {
        /// Where.
        line: u64,
        /// Which field.
        field: &'static str,
        /// What stood there, shortened.
        found: String,
    },
    /// An asset that the books do not have.
    #[error("line {line}, asset: {found:?} is not known, only {known}; name it with its decimals")]
    Asset {
        /// Where.
        line: u64,
        /// What stood there, shortened.
        found: String,
        /// All that are known.
        known: String,
    },
    /// No amount.
    #[error("line {line}, amount of {asset}: {problem}")]
    Amount {
        /// Where.
        line: u64,
        /// Of what.
        asset: String,
        /// What is wrong.
        problem: DecimalError,
    },
    /// The same holding twice.
    #[error("line {line}: {customer} has {asset} in line {earlier} already; add the two up or remove one")]
    Double {
        /// The later line.
        line: u64,
        /// The earlier line.
        earlier: u64,
        /// Whose.
        customer: String,
        /// Of what.
        asset: String,
    },
    /// A customer of two kinds.
    #[error(
        "line {line}: {customer} is in group {found:?} and in group {other:?} in line {earlier}, want one group for a customer"
    )]
    Groups {
        /// The later line.
        line: u64,
        /// The earlier line.
        earlier: u64,
        /// Whose.
        customer: String,
        /// The group of the later line.
        found: String,
        /// The group of the earlier line.
        other: String,
    },
    /// More than is counted.
    #[error("line {line}: {what}")]
    Many {
        /// Where.
        line: u64,
        /// Of what, and how many there may be.
        what: String,
    },
    /// Nothing at all.
    #[error("has no rows, want a customer, an asset and an amount in each")]
    Empty,
}

/// A few names that many rows share.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Labels(Vec<String>);

impl Labels {
    fn place(&mut self, name: &str) -> Option<u16> {
        let place = self.0.iter().position(|known| known == name).or_else(|| {
            self.0.push(name.to_owned());
            self.0.len().checked_sub(1)
        })?;
        u16::try_from(place).ok().filter(|_| place < LABELS_MAX)
    }

    pub(crate) fn name(&self, place: u16) -> &str {
        self.0.get(usize::from(place)).map_or("", String::as_str)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Row {
    units: u128,
    /// The first bytes of the name, so that most comparisons need no more.
    prefix: u64,
    at: u64,
    line: u32,
    length: u8,
    asset: AssetNum,
    group: u16,
    vault: u16,
}

/// Holdings while they are read.
#[derive(Clone, Debug)]
pub struct Builder {
    assets: Assets,
    names: String,
    rows: Vec<Row>,
    groups: Labels,
    vaults: Labels,
}

/// What one customer has of one asset in one vault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holding<'a> {
    /// The customer's place among all, from 0, by name.
    pub customer: usize,
    /// Of what.
    pub asset: AssetNum,
    /// How much, in base units.
    pub units: Amount,
    /// What kind of customer.
    pub group: &'a str,
    /// Where the coins lay.
    pub vault: &'a str,
    /// Its line.
    pub line: u64,
}

/// All holdings, ordered by customer, asset and vault.
#[derive(Clone, Debug)]
pub struct Holdings {
    read: Builder,
    /// Where the rows of each customer begin; and the end.
    begins: Vec<u32>,
}

impl Builder {
    /// Nothing yet, in these assets.
    #[must_use]
    pub fn new(assets: Assets) -> Self {
        let (groups, vaults) = (Labels::default(), Labels::default());
        Self { assets, names: String::new(), rows: Vec::new(), groups, vaults }
    }

    /// Takes one row.
    ///
    /// # Errors
    /// Names, an asset or an amount that cannot be; each with its line.
    pub fn push(&mut self, raw: RawRow<'_>) -> Result<(), HoldingsError> {
        let line = raw.line;
        let many = |what: &str| HoldingsError::Many { line, what: what.to_owned() };
        name(line, "customer", raw.customer)?;
        for (field, label) in [("group", raw.group), ("vault", raw.vault)] {
            if !label.is_empty() {
                name(line, field, label)?;
            }
        }
        let asset = self.assets.find(raw.asset).ok_or_else(|| HoldingsError::Asset {
            line,
            found: raw.asset.chars().take(40).collect(),
            known: self.assets.codes().collect::<Vec<_>>().join(" "),
        })?;
        let units = match raw.amount {
            Written::Units(units) => Amount::new(units),
            Written::Coins(text) => units(text, self.assets.decimals(asset))
                .map_err(|problem| HoldingsError::Amount { line, asset: raw.asset.to_owned(), problem })?,
        };
        let labels = "more than 1,000 different names";
        let group = self.groups.place(raw.group).ok_or_else(|| many(labels))?;
        let vault = self.vaults.place(raw.vault).ok_or_else(|| many(labels))?;
        let rows = "more than 4,294,967,295 rows";
        let short = u32::try_from(line).ok().filter(|_| self.rows.len() < ROWS_MAX);
        let at = u64::try_from(self.names.len()).map_err(|_| many(rows))?;
        // One customer's rows mostly follow each other, and then share the name.
        let same = self.rows.last().copied().filter(|row| self.name(row) == raw.customer);
        if same.is_none() {
            self.names.push_str(raw.customer);
        }
        self.rows.push(Row {
            units: units.units(),
            prefix: prefix(raw.customer),
            at: same.map_or(at, |row| row.at),
            line: short.ok_or_else(|| many(rows))?,
            length: u8::try_from(raw.customer.len()).map_err(|_| many("a long name"))?,
            asset,
            group,
            vault,
        });
        Ok(())
    }

    /// Everything, if it is in order.
    ///
    /// # Errors
    /// A holding that stands twice, a customer in two groups, no rows.
    pub fn finish(mut self) -> Result<Holdings, HoldingsError> {
        if self.rows.is_empty() {
            return Err(HoldingsError::Empty);
        }
        let mut rows = core::mem::take(&mut self.rows);
        rows.sort_unstable_by(|a, b| self.order(a, b).then(a.line.cmp(&b.line)));
        let mut begins = vec![0];
        let mut pairs = (1_u32..).zip(rows.iter().zip(rows.iter().skip(1)));
        pairs.try_for_each(|(place, (earlier, later))| {
            let customer = || self.name(later).to_owned();
            let (line, before) = (u64::from(later.line), u64::from(earlier.line));
            if self.order(earlier, later).is_eq() {
                let asset = self.assets.code(later.asset).to_owned();
                return Err(HoldingsError::Double { line, earlier: before, customer: customer(), asset });
            }
            if self.by_customer(earlier, later).is_ne() {
                begins.push(place);
            } else if earlier.group != later.group {
                let (found, other) = (self.groups.name(later.group), self.groups.name(earlier.group));
                let (found, other) = (found.to_owned(), other.to_owned());
                return Err(HoldingsError::Groups {
                    line,
                    earlier: before,
                    customer: customer(),
                    found,
                    other,
                });
            }
            Ok(())
        })?;
        let end = u32::try_from(rows.len());
        let what = "more than 4,294,967,295 rows".to_owned();
        begins.push(end.map_err(|_| HoldingsError::Many { line: u64::from(u32::MAX), what })?);
        self.rows = rows;
        Ok(Holdings { read: self, begins })
    }

    fn name(&self, row: &Row) -> &str {
        let begin = usize::try_from(row.at).unwrap_or(usize::MAX);
        let end = begin.saturating_add(usize::from(row.length));
        self.names.get(begin..end).unwrap_or_default()
    }

    fn by_customer(&self, a: &Row, b: &Row) -> Ordering {
        a.prefix.cmp(&b.prefix).then_with(|| self.name(a).cmp(self.name(b)))
    }

    fn order(&self, a: &Row, b: &Row) -> Ordering {
        self.by_customer(a, b).then_with(|| (a.asset, a.vault).cmp(&(b.asset, b.vault)))
    }
}

impl Holdings {
    /// The assets that they are in.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.read.assets
    }

    /// How many customers there are.
    #[must_use]
    pub fn customers(&self) -> usize {
        self.begins.len().saturating_sub(1)
    }

    /// The name of the customer in a place; empty where there is none.
    #[must_use]
    pub fn customer(&self, place: usize) -> &str {
        let first = self.range(place).and_then(|range| self.read.rows.get(range)?.first());
        first.map_or("", |row| self.read.name(row))
    }

    /// The place of a customer.
    #[must_use]
    pub fn find(&self, customer: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.customers());
        while low < high {
            let middle = low.midpoint(high);
            match self.customer(middle).cmp(customer) {
                Ordering::Less => low = middle.saturating_add(1),
                Ordering::Equal => return Some(middle),
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.read.rows.len()
    }

    /// All of them, by customer, asset and vault.
    pub fn iter(&self) -> impl Iterator<Item = Holding<'_>> {
        (0..self.customers()).flat_map(|customer| self.of(customer))
    }

    /// What a customer has.
    pub fn of(&self, customer: usize) -> impl Iterator<Item = Holding<'_>> {
        let rows = self.range(customer).and_then(|range| self.read.rows.get(range)).unwrap_or_default();
        rows.iter().map(move |row| Holding {
            customer,
            asset: row.asset,
            units: Amount::new(row.units),
            group: self.read.groups.name(row.group),
            vault: self.read.vaults.name(row.vault),
            line: u64::from(row.line),
        })
    }

    fn range(&self, customer: usize) -> Option<core::ops::Range<usize>> {
        let begin = usize::try_from(*self.begins.get(customer)?).ok()?;
        let end = usize::try_from(*self.begins.get(customer.checked_add(1)?)?).ok()?;
        Some(begin..end)
    }
}

/// The first eight bytes as a number that orders as they do.
fn prefix(name: &str) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    u64::from_be_bytes(bytes)
}

fn name(line: u64, field: &'static str, found: &str) -> Result<(), HoldingsError> {
    let fits = (1..=NAME_MAX).contains(&found.len());
    let clean = found.trim() == found && !found.chars().any(char::is_control);
    if fits && clean {
        return Ok(());
    }
    Err(HoldingsError::Name { line, field, found: found.chars().take(NAME_MAX).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw<'a>(line: u64, customer: &'a str, asset: &'a str, coins: &'a str) -> RawRow<'a> {
        RawRow { line, customer, asset, amount: Written::Coins(coins), group: "", vault: "" }
    }

    fn read(rows: &[RawRow<'_>]) -> Result<Holdings, HoldingsError> {
        let mut builder = Builder::new(Assets::default());
        rows.iter().try_for_each(|row| builder.push(*row))?;
        builder.finish()
    }

    #[test]
    fn holdings_are_ordered_whatever_order_they_came_in() {
        let rows = [
            raw(2, "customer-b", "XEM", "1.5"),
            raw(3, "customer-a", "XEM", "2"),
            raw(4, "customer-b", "BTC", "0.1"),
            raw(5, "customer", "JPY", "7"),
        ];
        let want = [
            ("customer", "JPY", 7, 5),
            ("customer-a", "XEM", 2_000_000, 3),
            ("customer-b", "BTC", 10_000_000, 4),
            ("customer-b", "XEM", 1_500_000, 2),
        ];
        for turn in 0..rows.len() {
            let mut rows = rows;
            rows.rotate_left(turn);
            let holdings = read(&rows).unwrap();
            let found: Vec<_> = holdings
                .iter()
                .map(|row| {
                    let code = holdings.assets().code(row.asset);
                    (holdings.customer(row.customer), code, row.units.units(), row.line)
                })
                .collect();
            assert_eq!(found, want);
            assert_eq!((holdings.customers(), holdings.rows()), (3, 4));
            assert_eq!(holdings.find("customer-b"), Some(2));
            assert_eq!(holdings.find("customer-c"), None);
            assert_eq!(holdings.customer(3), "");
        }
    }

    #[track_caller]
    fn refused(rows: &[RawRow<'_>], want: &str) {
        assert_eq!(read(rows).unwrap_err().to_string(), want);
    }

    #[test]
    fn bad_rows_are_named_with_line_and_field() {
        let good = raw(2, "a", "BTC", "1");
        refused(&[], "has no rows, want a customer, an asset and an amount in each");
        refused(
            &[good, raw(3, "a", "BTC", "2")],
            "line 3: a has BTC in line 2 already; add the two up or remove one",
        );
        refused(
            &[raw(9, "a", "BTC", "2"), raw(10, "b", "BTC", "2"), good],
            "line 9: a has BTC in line 2 already; add the two up or remove one",
        );
        refused(
            &[good, raw(3, "b", "BTC", "-1")],
            "line 3, amount of BTC: -1 is negative, want zero or more",
        );
        refused(
            &[good, raw(3, "b", "BTC", "0.123456789")],
            "line 3, amount of BTC: 0.123456789 has 9 decimals, want at most 8",
        );
        refused(
            &[good, raw(3, "b", "LSK", "1")],
            "line 3, asset: \"LSK\" is not known, only BTC BCH LTC MONA ETH XRP XEM JPY USD; name it with its decimals",
        );
        let long = "x".repeat(65);
        for (name, shown) in [("", ""), (" a", " a"), ("a\t", "a\\t"), (long.as_str(), &long[..64])] {
            let want = format!(
                "line 3, customer: has \"{shown}\", want 1 to 64 bytes without control characters and blanks at its ends"
            );
            refused(&[good, raw(3, name, "BTC", "1")], &want);
        }
        let grouped = RawRow { group: "consents", ..raw(3, "a", "XEM", "1") };
        refused(
            &[good, grouped],
            "line 3: a is in group \"consents\" and in group \"\" in line 2, want one group for a customer",
        );
    }

    #[test]
    fn one_asset_may_lie_in_two_vaults() {
        let vault = |line, vault| RawRow { vault, ..raw(line, "a", "BTC", "1") };
        let holdings = read(&[vault(2, "hot"), vault(3, "cold")]).unwrap();
        assert_eq!(holdings.iter().map(|row| row.vault).collect::<Vec<_>>(), ["hot", "cold"]);
        assert!(read(&[vault(2, "hot"), vault(3, "hot")]).is_err());
    }

    #[test]
    fn names_order_as_text_does() {
        let names = ["a", "a0", "aaaaaaaa", "aaaaaaaa0", "aaaaaaaab", "b", "山田", "\u{7f}x"];
        for one in names.iter().filter(|name| !name.contains('\u{7f}')) {
            for other in names.iter().filter(|name| !name.contains('\u{7f}')) {
                let rows = [raw(2, one, "BTC", "1"), raw(3, other, "XEM", "1")];
                let holdings = read(&rows).unwrap();
                assert_eq!(holdings.customer(0), *one.min(other));
            }
        }
    }
}
