//! The tables of a computation. Written beside their place and moved there whole, so that nobody pays from half of them.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use indicatif::ProgressBar;
use kuraban_base::Amount;
use kuraban_ledger::{
    claims::{Claims, Line, What},
    holdings::Holdings,
    scheme::Scheme,
};
use serde_json::Value;

use crate::{
    fail::{Failure, OrFail as _},
    say::Say,
};

/// How often the bar moves, in rows.
const STEP: usize = 65_536;

/// Writes the folder of results.
pub(super) fn write(
    out: &Path,
    scheme: &Scheme,
    holdings: &Holdings,
    claims: &Claims,
    summary: &Value,
    say: &Say,
) -> Result<(), Failure> {
    let part = beside(out);
    let rows = claims.lines().len().saturating_add(claims.payments().len());
    let bar = say.progress(u64::try_from(rows).unwrap_or_default());
    let book = Book { scheme, holdings, claims, bar: &bar };
    let written =
        book.write(&part, summary).and_then(|()| fs::rename(&part, out).context("could not be put in place"));
    bar.finish_and_clear();
    if written.is_err() {
        // What could not be written whole is of no use; where it cannot be removed either, its name says what it is.
        drop(fs::remove_dir_all(&part));
    }
    written.or_undone(out.display())
}

fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    out.with_file_name(name)
}

struct Book<'a> {
    scheme: &'a Scheme,
    holdings: &'a Holdings,
    claims: &'a Claims,
    bar: &'a ProgressBar,
}

impl Book<'_> {
    fn write(&self, folder: &Path, summary: &Value) -> anyhow::Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder)
                .with_context(|| format!("{} is left over and cannot be removed", folder.display()))?;
        }
        fs::create_dir_all(folder)?;
        self.table(
            &folder.join("claims.csv"),
            &["customer", "for", "held", "rate", "in_kind", "cash"],
            |table| self.lines(table),
        )?;
        self.table(&folder.join("in-kind.csv"), &["customer", "asset", "amount"], |table| {
            self.in_kind(table)
        })?;
        let columns = ["customer", "claim", "base", "rest", "capped", "below_minimum", "cash"];
        self.table(&folder.join("payments.csv"), &columns, |table| self.payments(table))?;
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
        for (number, line) in self.claims.lines().iter().enumerate() {
            let (what, rate) = match line.what {
                What::Holding { asset, pay } => {
                    let rate =
                        self.scheme.pays.get(pay).and_then(|pay| pay.rate).map(|rate| rate.to_string());
                    (self.scheme.assets.code(asset), rate.unwrap_or_default())
                }
                What::Fills => ("fills", String::new()),
                What::Refunds => ("refunds", String::new()),
            };
            let coins = |units: Amount| self.coins(line, units);
            table.write_record([
                self.holdings.customer(line.customer),
                what,
                &coins(line.held),
                &rate,
                &coins(line.in_kind),
                &self.money(line.cash),
            ])?;
            self.step(number);
        }
        Ok(())
    }

    fn in_kind(&self, table: &mut Table) -> anyhow::Result<()> {
        let mut lines = self.claims.lines().iter().filter(|line| line.in_kind > Amount::ZERO).peekable();
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
            let coins = units.to_coins(self.scheme.assets.decimals(asset));
            table.write_record([
                self.holdings.customer(line.customer),
                self.scheme.assets.code(asset),
                &coins,
            ])?;
        }
        Ok(())
    }

    fn payments(&self, table: &mut Table) -> anyhow::Result<()> {
        for (customer, payment) in self.claims.payments().iter().enumerate() {
            let sums = [
                payment.claim,
                payment.base,
                payment.rest,
                payment.capped,
                payment.below_minimum,
                payment.cash,
            ];
            let sums = sums.map(|amount| self.money(amount));
            table.write_record(
                core::iter::once(self.holdings.customer(customer)).chain(sums.iter().map(String::as_str)),
            )?;
            self.step(customer);
        }
        Ok(())
    }

    fn coins(&self, line: &Line, units: Amount) -> String {
        match line.what {
            What::Holding { asset, .. } => units.to_coins(self.scheme.assets.decimals(asset)),
            What::Fills | What::Refunds => String::new(),
        }
    }

    fn money(&self, amount: Amount) -> String {
        amount.to_coins(self.scheme.assets.decimals(self.scheme.currency))
    }

    fn step(&self, number: usize) {
        if number.is_multiple_of(STEP) {
            self.bar.inc(u64::try_from(STEP).unwrap_or_default());
        }
    }
}

type Table = csv::Writer<BufWriter<File>>;
