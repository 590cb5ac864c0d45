//! `kuraban migrate import`.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use age::x25519::Identity;
use anyhow::Context as _;
use kuraban_base::Digest;
use kuraban_ledger::{
    handover::{Account, Against, Chunk, Difference, Fold, Manifest, Receipt, Row, Salt},
    holdings::Holdings,
};
use serde_json::json;
use ssh_key::PublicKey;
use zeroize::Zeroizing;

use super::{Known, OrRefuse as _, Stop, folder, of_totals, totals_json, totals_text, verify};
use crate::{
    fail::{Failure, OrFail as _},
    file::Fresh,
    holdings::{Form, Held},
    input,
    key::{Key, guarded},
    say::{Lang, Report, Say},
};

pub(crate) const HELP: &str = "\
Verifies every signature, decrypts, compares with the manifest and writes
tables (accounts.csv, balances.csv, addresses.csv, consents.csv, the cases'
files, differences.csv) with a signed receipt. Nothing is there before
everything is accepted; a second import of the same changes nothing.

Example:
  kuraban migrate import handover --from sender.pub \\
      --identity age.key --key ~/.ssh/handover \\
      --against books.csv --out taken-over

Exit status: 0 taken in, 1 refused, 2 bad usage or input, 3 could not be done.";

/// The receiver's tables beside the cases.
pub(super) const TABLES: [&str; 6] =
    ["accounts.csv", "balances.csv", "addresses.csv", "consents.csv", BOOKED, "differences.csv"];
/// What the receiver's own books hold; there only if they were laid beside what arrived.
pub(super) const BOOKED: &str = "booked.csv";
/// Longest identity file: a key and a few comments.
const IDENTITY_MAX: usize = 64 * 1024;
/// The folder of cases.
pub(super) const CASES: &str = "cases";

/// What to take in.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of the hand-over
    #[arg(value_name = "DIR")]
    export: PathBuf,
    /// The sender's SSH public key
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Your age identity, in a file that nobody else can read
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Your SSH private key (Ed25519), which signs the receipt
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What your own books hold for these customers: CSV or Parquet, as `kuraban claims compute --holdings` reads it
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    known: Known,
    /// A folder that does not exist yet, for the tables
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs `kuraban migrate import`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Stop> {
    let from = folder::public_key(&args.from)?;
    let identity = identity(&args.identity)?;
    let key = Key::read(&args.key, say)?;
    let manifest = folder::manifest(&args.export, &from)?;
    let own = identity.to_public().to_string();
    if manifest.to != own {
        let to = &manifest.to;
        return Err(Stop::Refused(format!(
            "the hand-over is encrypted to {to}, the given identity is that of {own}"
        )));
    }
    if args.out.exists() {
        return again(args, &manifest, &key, say);
    }
    let books = match &args.against {
        Some(path) => {
            let assets = of_totals(&manifest.sum.totals, &args.known)?;
            Some(Held::of(path.clone(), args.form.clone()).read(&assets, say)?)
        }
        None => None,
    };
    let fresh = Fresh::begin(&args.out, &[CASES])?;
    let receipt = take(args, &manifest, (&from, &identity), books.as_ref(), fresh.path(), say)?;
    folder::write_signed(&fresh.path().join(folder::RECEIPT), &receipt.encode(), &key)?;
    fresh.done()?;
    Ok(report(&manifest, &receipt, false, args, say.lang()))
}

/// What is there already, if it is the same hand-over and whole.
fn again(args: &Args, manifest: &Manifest, key: &Key, say: &Say) -> Result<Report, Stop> {
    let own = PublicKey::from(ssh_key::public::Ed25519PublicKey(*key.public()));
    let receipt = verify::receipt(&args.out, &own)?;
    if receipt.manifest != manifest.digest() {
        return Err(Failure::input(format!(
            "{}: holds another hand-over already; name a new folder",
            args.out.display()
        ))
        .into());
    }
    Ok(report(manifest, &receipt, true, args, say.lang()))
}

fn identity(path: &Path) -> Result<Identity, Failure> {
    guarded(path).or_input(path.display())?;
    let bytes = Zeroizing::new(input::bytes(path, IDENTITY_MAX)?);
    let text = core::str::from_utf8(&bytes).or_input(path.display())?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let wrong = || {
        Failure::input(format!(
            "{}: want one line AGE-SECRET-KEY-1…, as age-keygen writes it",
            path.display()
        ))
    };
    match (lines.next(), lines.next()) {
        // What stood there is no part of the text: it may be a key.
        (Some(line), None) => line.parse().map_err(|_| wrong()),
        (_, _) => Err(wrong()),
    }
}

type Table = csv::Writer<BufWriter<File>>;

fn table(folder: &Path, name: &str, columns: &[&str]) -> Result<Table, Failure> {
    let file = File::create_new(folder.join(name)).or_undone(name)?;
    let mut table = csv::Writer::from_writer(BufWriter::with_capacity(1 << 18, file));
    table.write_record(columns).or_undone(name)?;
    Ok(table)
}

fn close(table: Table) -> anyhow::Result<()> {
    let file = table.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(file.into_inner().map_err(|error| error.into_error())?.sync_all()?)
}

/// The receiver's tables while they are written.
struct Tables<'a> {
    folder: &'a Path,
    accounts: Table,
    balances: Table,
    addresses: Table,
    consents: Table,
    differences: Table,
    count: u64,
    cases: Vec<String>,
}

impl<'a> Tables<'a> {
    fn begin(folder: &'a Path) -> Result<Self, Failure> {
        Ok(Self {
            folder,
            accounts: table(folder, "accounts.csv", &["customer", "group"])?,
            balances: table(folder, "balances.csv", &["customer", "asset", "units"])?,
            addresses: table(folder, "addresses.csv", &["customer", "chain", "address"])?,
            consents: table(folder, "consents.csv", &["customer", "what", "when"])?,
            differences: table(
                folder,
                "differences.csv",
                &["customer", "asset", "received", "booked", "difference"],
            )?,
            count: 0,
            cases: Vec::new(),
        })
    }

    fn row(&mut self, row: &Row) -> anyhow::Result<()> {
        match row {
            Row::Account(row) => {
                self.accounts.write_record([&row.customer, &row.group])?;
                balances(&mut self.balances, row)?;
            }
            Row::Address(row) => self.addresses.write_record([&row.customer, &row.chain, &row.address])?,
            Row::Consent(row) => {
                self.consents.write_record([&row.customer, &row.what, &input::shown_utc(row.when)])?;
            }
            Row::Case(row) => {
                let name = format!("{CASES}/{}", row.name);
                folder::write(&self.folder.join(&name), &row.bytes)?;
                self.cases.push(name);
            }
        }
        Ok(())
    }

    fn differ(&mut self, found: &[Difference]) -> anyhow::Result<()> {
        for one in found {
            let (received, booked) = (one.received.to_string(), one.booked.to_string());
            self.differences.write_record([&one.customer, &one.asset, &received, &booked, &one.signed()])?;
            self.count = self.count.saturating_add(1);
        }
        Ok(())
    }

    /// How many differences there were, and the names of all files.
    fn end(self, books: Option<&Holdings>) -> anyhow::Result<(u64, Vec<String>)> {
        for table in [self.accounts, self.balances, self.addresses, self.consents, self.differences] {
            close(table)?;
        }
        if let Some(books) = books {
            let mut booked = table(self.folder, BOOKED, &["customer", "asset", "units"])
                .map_err(|failure| anyhow::anyhow!(failure.problem()))?;
            for place in 0..books.customers() {
                balances(&mut booked, &Account::of(books, place)?)?;
            }
            close(booked)?;
        }
        let tables = TABLES.iter().filter(|name| books.is_some() || **name != BOOKED);
        Ok((self.count, tables.map(|name| (*name).to_owned()).chain(self.cases).collect()))
    }
}

fn balances(table: &mut Table, account: &Account) -> anyhow::Result<()> {
    for (asset, units) in &account.balances {
        table.write_record([&account.customer, asset, &units.to_string()])?;
    }
    Ok(())
}

/// Writes everything that is accepted, chunk by chunk.
fn take(
    args: &Args,
    manifest: &Manifest,
    (from, identity): (&PublicKey, &Identity),
    books: Option<&Holdings>,
    out: &Path,
    say: &Say,
) -> Result<Receipt, Stop> {
    let mut tables = Tables::begin(out)?;
    let mut against = books.map(Against::new);
    let mut fold: Option<(Salt, Fold)> = None;
    let bar = say.progress(u64::try_from(manifest.chunks.len()).unwrap_or_default());
    for (number, line) in (0_u64..).zip(&manifest.chunks) {
        let place = format!("chunk {number}, {}", folder::chunk_name(number));
        let bytes = folder::chunk(&args.export, number, line, from)?;
        let plain = Zeroizing::new(age::decrypt(identity, &bytes).or_refuse(&place)?);
        let chunk = Chunk::decode(&plain).or_refuse(&place)?;
        manifest.holds(number, &chunk).or_refuse(&place)?;
        let (salt, fold) =
            fold.get_or_insert_with(|| (chunk.salt, Fold::new(chunk.salt, &manifest.sum.totals)));
        if *salt != chunk.salt {
            return Err(Stop::Refused(format!("{place}: has another salt than the chunks before it")));
        }
        for row in &chunk.rows {
            fold.take(row).or_refuse(&place)?;
            tables.row(row).or_undone(out.display())?;
            if let (Row::Account(account), Some(against)) = (row, &mut against) {
                let found = against.take(account).or_input("--against")?;
                tables.differ(&found).or_undone(out.display())?;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(against) = against {
        tables.differ(&against.end().or_input("--against")?).or_undone(out.display())?;
    }
    let (salt, fold) = fold.ok_or_else(|| Stop::Refused("the manifest names no chunks".to_owned()))?;
    let sum = fold.end();
    sum.is(&manifest.sum).or_refuse("what arrived is not what the manifest says")?;
    let (differences, names) = tables.end(books).or_undone(out.display())?;
    let files =
        names.iter().map(|name| folder::file_line(out, name)).collect::<Result<_, _>>().context("tables");
    Ok(Receipt {
        manifest: manifest.digest(),
        salt,
        at: input::now()?,
        accounts_root: sum.accounts_root,
        compared: books.is_some(),
        differences,
        files: files.or_undone(out.display())?,
    })
}

fn report(manifest: &Manifest, receipt: &Receipt, already: bool, args: &Args, lang: Lang) -> Report {
    let [accounts, addresses, consents, cases] = manifest.sum.rows;
    let document = json!({
        "ok": true,
        "already": already,
        "export": manifest.export.to_string(),
        "manifest": manifest.digest().to_string(),
        "accounts_root": receipt.accounts_root.to_string(),
        "receipt": Digest::sha256(&[&receipt.encode()]).to_string(),
        "accounts": accounts,
        "addresses": addresses,
        "consents": consents,
        "cases": cases,
        "assets": totals_json(&manifest.sum.totals),
        "compared": receipt.compared,
        "differences": receipt.differences,
    });
    let head = match (lang, already) {
        (Lang::En, false) => format!(
            "taken in: {accounts} accounts, {addresses} addresses, {consents} consents, {cases} cases"
        ),
        (Lang::En, true) => "taken in already; nothing was changed".to_owned(),
        (Lang::Ja, false) => {
            format!("受入れ：口座 {accounts}、アドレス {addresses}、同意 {consents}、事案 {cases}")
        }
        (Lang::Ja, true) => "受入れ済み。変更はありません".to_owned(),
    };
    let differ = match (receipt.compared, lang) {
        (false, _) => lang.pick("not compared with books", "帳簿との照合なし").to_owned(),
        (true, Lang::En) => {
            format!("{} balances differ from the books: differences.csv", receipt.differences)
        }
        (true, Lang::Ja) => format!("帳簿との相違 {} 件：differences.csv", receipt.differences),
    };
    let (totals, out) = (totals_text(&manifest.sum.totals), args.out.display());
    Report::done(&document, format!("{head}\n{totals}{differ}\n{}: {out}", lang.pick("written to", "出力先")))
}
