//! `kuraban books import`: a journal into books, as a whole or not at all. Decides which column means what.

use std::path::PathBuf;

use kuraban_base::Instant;
use kuraban_ledger::{
    Assets,
    books::{Books, Builder, Journal, Kind, RawPost, Side},
    holdings::Written,
};
use kuraban_vault::judge::CLOCKS_APART_MAX_MS;
use serde_json::json;

use super::{answer, store::Store};
use crate::{
    fail::{Failure, OrFail as _},
    holdings::{Form, Need},
    input::{self, instant, now, shown_utc},
    say::{Lang, Report, Say, tame},
};

pub(crate) const HELP: &str = "\
A row is one side of one account: columns entry, time (RFC 3339, or
milliseconds since 1970), account, asset, side (debit or credit) and amount
(whole coins) or units (base units); or instead of side and amount the columns
debit and credit of which one is filled in. May be there: kind (customer,
margin or own), memo, reverses. Credit is what a customer is owed. An entry
balances in every asset; customers are never below zero; an entry that is in
the books already with the same content is passed over. Nothing is taken
before all of it is accepted. A database's password is read from PGPASSWORD;
connections go to this machine.

Examples:
  kuraban books import --books books --journal 2024-05.csv --own hot-wallet
  kuraban books import --books books --journal 仕訳.csv \\
      --encoding shift_jis --column entry=伝票番号 --column account=口座番号
  kuraban books import --books books --own hot-wallet \\
      --postgres 'host=127.0.0.1 user=reader dbname=exchange' --query \\
      'select entry, time, account, asset, side, amount from journal'";

/// What to take.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file that the books are kept in; it is made if it is not there
    #[arg(long, value_name = "FILE")]
    books: PathBuf,
    #[command(flatten)]
    from: From,
    /// The question to the database: one SELECT that names the columns
    #[cfg(feature = "postgres")]
    #[arg(long, value_name = "SQL", requires = "postgres")]
    query: Option<String>,
    /// An account of the operator's own, where the journal has no column kind
    #[arg(long = "own", value_name = "ACCOUNT")]
    own: Vec<String>,
    /// An asset that is not well known, with its decimals
    #[arg(long = "asset", value_name = "CODE=DECIMALS", value_parser = input::asset)]
    assets: Vec<(String, u8)>,
    #[command(flatten)]
    form: Form,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct From {
    /// The journal: CSV or Parquet
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// A PostgreSQL database: parameters as libpq has them, with host, user and dbname
    #[cfg(feature = "postgres")]
    #[arg(long, value_name = "PARAMETERS", requires = "query")]
    postgres: Option<String>,
}

const COLUMNS: [Need; 12] = [
    Need::Must("entry"),
    Need::Must("time"),
    Need::Must("account"),
    Need::Must("asset"),
    Need::May("side"),
    Need::May("amount"),
    Need::May("units"),
    Need::May("debit"),
    Need::May("credit"),
    Need::May("kind"),
    Need::May("memo"),
    Need::May("reverses"),
];

/// Runs `kuraban books import`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let (journal, name) = args.read(say)?;
    if !args.books.exists() {
        // A journal that new books would not take leaves no file behind.
        Books::default().post(&journal).or_input(&name)?;
    }
    let mut store = Store::open(&args.books, say)?;
    let torn = store.torn;
    let posted = store.books.post(&journal).or_input(&name)?;
    if !posted.fresh.is_empty() {
        let written = store.append(&journal.to_bytes(&posted));
        written.or_undone(format_args!("{} could not be written", args.books.display()))?;
    }
    let (fresh, repeated) = (posted.fresh.len(), posted.repeated);
    let document = json!({
        "entries": fresh,
        "repeated": repeated,
        "rows": journal.rows(),
        "batches": store.batches,
        "checksum": kuraban_base::hex::encode(&store.checksum),
        "assets": answer::totals(&store.books),
        "unfinished_bytes_removed": if fresh > 0 { torn } else { 0 },
    });
    let text = match say.lang() {
        Lang::En => format!("{fresh} entries taken, {repeated} were in the books already"),
        Lang::Ja => format!("仕訳 {fresh} 件を取り込んだ。{repeated} 件は取込済み"),
    };
    Ok(Report::done(&document, text))
}

impl Args {
    /// The journal, and what to call it.
    fn read(&self, say: &Say) -> Result<(Journal, String), Failure> {
        let mut assets = Assets::default();
        for (code, decimals) in &self.assets {
            assets.add(code, *decimals).or_input("--asset")?;
        }
        let mut builder = Builder::new(assets);
        let last = now()?.plus_ms(CLOCKS_APART_MAX_MS);
        let mut take = |line: u64, row: [Option<&str>; 12]| self.push(&mut builder, last, line, row);
        let name = match &self.from.journal {
            Some(path) if path.extension().is_some_and(|extension| extension == "parquet") => {
                self.form.parquet(path, COLUMNS, say, &mut take)?;
                path.display().to_string()
            }
            Some(path) => {
                self.form.each(path, COLUMNS, say, &mut take)?;
                path.display().to_string()
            }
            None => self.database(say, &mut take)?,
        };
        Ok((builder.finish().or_input(&name)?, name))
    }

    #[cfg(feature = "postgres")]
    fn database(
        &self,
        say: &Say,
        take: &mut impl FnMut(u64, [Option<&str>; 12]) -> anyhow::Result<()>,
    ) -> Result<String, Failure> {
        let (parameters, query) = (self.from.postgres.as_deref(), self.query.as_deref());
        let form = self.form.in_utf8();
        super::postgres::answer(parameters.unwrap_or_default(), query.unwrap_or_default(), say, |source| {
            form.rows(source, COLUMNS, take)
        })?;
        Ok("the database's answer".to_owned())
    }

    #[cfg(not(feature = "postgres"))]
    fn database(
        &self,
        _: &Say,
        _: &mut impl FnMut(u64, [Option<&str>; 12]) -> anyhow::Result<()>,
    ) -> Result<String, Failure> {
        Err(Failure::input("--journal: want a file"))
    }

    fn push(
        &self,
        builder: &mut Builder,
        last: Instant,
        line: u64,
        row: [Option<&str>; 12],
    ) -> anyhow::Result<()> {
        let [entry, time, account, asset, side, amount, units, debit, credit, kind, memo, reverses] = row;
        let account = account.unwrap_or_default();
        let time = time.unwrap_or_default();
        let at = instant(time).map_err(|problem| anyhow::anyhow!("time: {problem}"))?;
        // Time does not run back: after an entry of next year nothing of this year would be taken any more.
        anyhow::ensure!(at <= last, "time: {} has not come; want when the entry took effect", shown_utc(at));
        let (side, amount) = sided([side, amount, units, debit, credit])?;
        let kind = match kind {
            Some(kind) if self.own.is_empty() => {
                kind.parse().map_err(|problem| anyhow::anyhow!("kind: {:?}, {problem}", tame(kind)))?
            }
            Some(_) => anyhow::bail!("kind: the journal has this column; leave --own out"),
            None if self.own.iter().any(|own| own == account) => Kind::Own,
            None => Kind::Customer,
        };
        let [entry, asset, memo, reverses] = [entry, asset, memo, reverses].map(Option::unwrap_or_default);
        Ok(builder.push(RawPost { line, entry, at, account, kind, asset, side, amount, memo, reverses })?)
    }
}

/// Side and amount from the columns side, amount, units, debit, credit.
fn sided(columns: [Option<&str>; 5]) -> anyhow::Result<(Side, Written<'_>)> {
    let filled = |text: Option<&'_ str>| text.is_some_and(|text| !text.is_empty());
    match columns {
        [Some(side), amount, units, None, None] => {
            let side =
                side.parse().map_err(|problem| anyhow::anyhow!("side: {:?}, {problem}", tame(side)))?;
            match (amount, units) {
                (Some(coins), None) => Ok((side, Written::Coins(coins))),
                (None, Some(units)) => {
                    let units = kuraban_ledger::units(units, 0)
                        .map_err(|problem| anyhow::anyhow!("units: {problem}"))?;
                    Ok((side, Written::Units(units.units())))
                }
                (Some(_), Some(_)) => anyhow::bail!("has both amount and units, want one"),
                (None, None) => anyhow::bail!("has neither a column amount nor units, want one"),
            }
        }
        [None, None, None, Some(debit), Some(credit)] => match (filled(Some(debit)), filled(Some(credit))) {
            (true, false) => Ok((Side::Debit, Written::Coins(debit))),
            (false, true) => Ok((Side::Credit, Written::Coins(credit))),
            (true, true) => anyhow::bail!("debit and credit: both are filled in, want one"),
            (false, false) => anyhow::bail!("debit and credit: neither is filled in, want one"),
        },
        _ => anyhow::bail!("want the columns side and amount, side and units, or debit and credit"),
    }
}
