//! The tables of a computation. Written beside their place and moved there whole, so that nobody pays from half of them.

use core::{num::NonZero, ops::Range};
use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use anyhow::Context as _;
use indicatif::ProgressBar;
use kuraban_base::{Amount, TreeHash};
use kuraban_ledger::{
    Exact,
    claims::{Claims, Line, What},
    holdings::Holdings,
    scheme::Scheme,
};
use serde_json::Value;

use super::statement::{FORMAT, Levels, Line as Told, Seed, Statement};
use crate::{
    fail::{Failure, OrFail as _},
    file::Fresh,
    say::Say,
};

/// How often the bar moves, in rows.
const STEP: usize = 65_536;
/// The columns of claims.csv.
pub(super) const CLAIMS: [&str; 9] =
    ["customer", "for", "held", "rate", "in_kind", "cash", "in_kind_share", "cash_share", "rounding"];
/// The columns of payments.csv.
pub(super) const PAYMENTS: [&str; 7] =
    ["customer", "claim", "base", "rest", "capped", "below_minimum", "cash"];
/// From what the salts of statements are made; for its owner alone.
pub(super) const SEED: &str = "statements.seed";
/// The leaves of the tree, 32 bytes each, in the order of payments.csv.
pub(super) const LEAVES: &str = "statements.leaves";

/// Writes the folder of results.
pub(super) fn write(
    out: &Path,
    book: &Book<'_>,
    receipts: &Receipts,
    summary: &Value,
    say: &Say,
) -> Result<(), Failure> {
    let fresh = Fresh::begin(out, &[])?;
    let rows = book.claims.lines().len().saturating_add(book.claims.payments().len());
    let bar = say.progress(u64::try_from(rows).unwrap_or_default());
    let written = Pages { book, bar: &bar }.write(fresh.path(), receipts, summary);
    bar.finish_and_clear();
    written.or_undone(out.display())?;
    fresh.done()
}

/// What statements are hashed with, and to.
pub(super) struct Receipts {
    pub(super) seed: Seed,
    pub(super) levels: Levels,
}

/// A computation, as tables and statements tell it.
pub(super) struct Book<'a> {
    pub(super) scheme: &'a Scheme,
    pub(super) holdings: &'a Holdings,
    pub(super) claims: &'a Claims,
}

impl Book<'_> {
    /// Hashes every customer's statement.
    pub(super) fn receipts(&self, say: &Say) -> anyhow::Result<Receipts> {
        let seed = Seed::random()?;
        let customers = self.holdings.customers();
        let bar = say.progress(u64::try_from(customers).unwrap_or_default());
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let share = customers.div_ceil(threads).max(1);
        let (seed_ref, bar_ref) = (&seed, &bar);
        let parts = std::thread::scope(|scope| {
            let work = |first: usize| {
                let last = first.saturating_add(share).min(customers);
                scope.spawn(move || self.leaves(first..last, seed_ref, bar_ref))
            };
            let running: Vec<_> = (0..customers).step_by(share).map(work).collect();
            let ended = running.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("statements could not be hashed")))
            });
            ended.collect::<anyhow::Result<Vec<_>>>()
        })?;
        bar.finish_and_clear();
        Ok(Receipts { levels: Levels::new(parts.concat())?, seed })
    }

    fn leaves(
        &self,
        customers: Range<usize>,
        seed: &Seed,
        bar: &ProgressBar,
    ) -> anyhow::Result<Vec<TreeHash>> {
        let mut leaves = Vec::with_capacity(customers.len());
        for customer in customers {
            leaves.push(self.statement(customer, seed)?.leaf()?);
            step(bar, customer);
        }
        Ok(leaves)
    }

    fn statement(&self, customer: usize, seed: &Seed) -> anyhow::Result<Statement> {
        let payment = self.claims.payments().get(customer).copied().unwrap_or_default();
        let name = self.holdings.customer(customer);
        let lines = self.claims.of(customer).iter().map(|line| self.line(line));
        Ok(Statement {
            as_of: self.scheme.as_of.clone(),
            base: self.money(payment.base),
            below_minimum: self.money(payment.below_minimum),
            capped: self.money(payment.capped),
            cash: self.money(payment.cash),
            claim: self.money(payment.claim),
            currency: self.scheme.assets.code(self.scheme.currency).to_owned(),
            customer: name.to_owned(),
            decimals: self.scheme.assets.decimals(self.scheme.currency),
            format: FORMAT.to_owned(),
            lines: lines.collect::<anyhow::Result<_>>()?,
            plan: self.scheme.insolvency.is_some(),
            rest: self.money(payment.rest),
            salt: seed.salt(name)?,
            scheme: self.scheme.name.clone(),
        })
    }

    fn line(&self, line: &Line) -> anyhow::Result<Told> {
        let told = |what: &str, rounding: &str| Told {
            cash: self.money(line.cash),
            cash_share: String::new(),
            what: what.to_owned(),
            held: String::new(),
            in_kind: String::new(),
            in_kind_share: String::new(),
            rate: String::new(),
            rounding: rounding.to_owned(),
        };
        let (asset, pay) = match line.what {
            What::Holding { asset, pay } => (asset, pay),
            // The fills of a customer are rounded once, together.
            What::Fills => {
                let paid = Exact::of(line.cash, self.scheme.assets.decimals(self.scheme.currency));
                let (Some(exact), Some(paid)) = (self.claims.fills(line.customer), paid) else {
                    anyhow::bail!("a sum is too large")
                };
                return Ok(told("fills", &signed(paid, exact)));
            }
            What::Refunds => return Ok(told("refunds", "0")),
        };
        let assets = &self.scheme.assets;
        let pay = self.scheme.pays.get(pay).context("a claim by a rule that the scheme does not have")?;
        let coins = |units: Amount| units.to_coins(assets.decimals(asset));
        let worth = |rate| Exact::worth(line.held, assets.decimals(asset), rate, pay.cash);
        let exact = pay.rate.map_or(Some(Exact::ZERO), worth);
        let paid = Exact::of(line.cash, assets.decimals(self.scheme.currency));
        let (Some(exact), Some(paid)) = (exact, paid) else { anyhow::bail!("a sum is too large") };
        Ok(Told {
            cash_share: pay.cash.to_string(),
            held: coins(line.held),
            in_kind: coins(line.in_kind),
            in_kind_share: pay.in_kind.to_string(),
            rate: pay.rate.map(|rate| rate.to_string()).unwrap_or_default(),
            ..told(assets.code(asset), &signed(paid, exact))
        })
    }

    fn money(&self, amount: Amount) -> String {
        amount.to_coins(self.scheme.assets.decimals(self.scheme.currency))
    }
}

/// `one` less `other`, with its sign.
pub(super) fn signed(one: Exact, other: Exact) -> String {
    match (one.less(other), other.less(one)) {
        (Some(more), _) => more.to_string(),
        (None, Some(less)) => format!("-{less}"),
        (None, None) => "0".to_owned(),
    }
}

fn step(bar: &ProgressBar, number: usize) {
    if number.is_multiple_of(STEP) {
        bar.inc(u64::try_from(STEP).unwrap_or_default());
    }
}

struct Pages<'a> {
    book: &'a Book<'a>,
    bar: &'a ProgressBar,
}

impl Pages<'_> {
    fn write(&self, folder: &Path, receipts: &Receipts, summary: &Value) -> anyhow::Result<()> {
        self.table(&folder.join("claims.csv"), &CLAIMS, |table| self.lines(table))?;
        self.table(&folder.join("in-kind.csv"), &["customer", "asset", "amount"], |table| {
            self.in_kind(table)
        })?;
        self.table(&folder.join("payments.csv"), &PAYMENTS, |table| self.payments(table))?;
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(folder.join(SEED))?;
        writeln!(file, "{}", receipts.seed.text().as_str())?;
        file.sync_all()?;
        let mut file = BufWriter::with_capacity(1 << 20, File::create_new(folder.join(LEAVES))?);
        for leaf in receipts.levels.leaves() {
            file.write_all(leaf.as_bytes())?;
        }
        file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        let mut file = File::create_new(folder.join("summary.json"))?;
        writeln!(file, "{summary}")?;
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
        Ok(())
    }

    fn table(
        &self,
        path: &Path,
        columns: &[&str],
        fill: impl FnOnce(&mut Table) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let file = File::create_new(path).with_context(|| path.display().to_string())?;
        let mut table = csv::Writer::from_writer(BufWriter::with_capacity(1 << 20, file));
        table.write_record(columns)?;
        fill(&mut table)?;
        let file = table.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        Ok(())
    }

    fn lines(&self, table: &mut Table) -> anyhow::Result<()> {
        for (number, line) in self.book.claims.lines().iter().enumerate() {
            let told = self.book.line(line)?;
            let customer = self.book.holdings.customer(line.customer);
            let Told { cash, cash_share, what, held, in_kind, in_kind_share, rate, rounding } = &told;
            table.write_record([
                customer,
                what,
                held,
                rate,
                in_kind,
                cash,
                in_kind_share,
                cash_share,
                rounding,
            ])?;
            step(self.bar, number);
        }
        Ok(())
    }

    fn in_kind(&self, table: &mut Table) -> anyhow::Result<()> {
        let mut lines = self.book.claims.lines().iter().filter(|line| line.in_kind > Amount::ZERO).peekable();
        while let Some(line) = lines.next() {
            let What::Holding { asset, .. } = line.what else { continue };
            // Coins of one asset that lay in several vaults are one payment.
            let mut units = line.in_kind;
            let same = |other: &&Line| {
                let same_asset = matches!(other.what, What::Holding { asset: of, .. } if of == asset);
                other.customer == line.customer && same_asset
            };
            while let Some(more) = lines.next_if(same) {
                units = units.plus(more.in_kind).context("a sum is too large")?;
            }
            let coins = units.to_coins(self.book.scheme.assets.decimals(asset));
            table.write_record([
                self.book.holdings.customer(line.customer),
                self.book.scheme.assets.code(asset),
                &coins,
            ])?;
        }
        Ok(())
    }

    fn payments(&self, table: &mut Table) -> anyhow::Result<()> {
        for (customer, payment) in self.book.claims.payments().iter().enumerate() {
            let sums = [
                payment.claim,
                payment.base,
                payment.rest,
                payment.capped,
                payment.below_minimum,
                payment.cash,
            ];
            let sums = sums.map(|amount| self.book.money(amount));
            table.write_record(
                core::iter::once(self.book.holdings.customer(customer))
                    .chain(sums.iter().map(String::as_str)),
            )?;
            step(self.bar, customer);
        }
        Ok(())
    }
}

type Table = csv::Writer<BufWriter<File>>;
