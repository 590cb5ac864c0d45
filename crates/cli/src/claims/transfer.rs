//! `kuraban claims transfers`: cash as transfer files for a bank. Decides whether every payment can be transferred as it stands; whoever
//! cannot be paid is listed, and what is transferred and what is listed is all that is owed.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use kuraban_base::TreeHash;
use serde::{Deserialize, Serialize};

use super::{
    folder::Folder,
    statement::Statement,
    zengin::{
        self, Account, FILE_YEN_MAX, Payer, RawAccount, TRANSFER_YEN_MAX, TRANSFERS_MAX, ZenginError, digits,
        kana,
    },
};
use crate::{
    fail::{Failure, OrFail as _},
    file::Fresh,
    holdings::{Form, Need},
    input,
    say::{Lang, Report, Say, tame, thousands},
};

pub(super) const HELP: &str = "\
Writes files in the form of the Japanese Bankers Association (zengin, 総合振込)
that banks take, from payments.csv and a CSV of accounts with the columns
customer, bank, branch, type, number, holder, and where banks want them
bank_name and branch_name. Who has no account stands in without-account.csv.
The payer is a TOML file with code, name, bank, branch, type, number and where
wanted bank_name and branch_name.

Example:
  kuraban claims transfers --claims claims --accounts accounts.csv \\
      --payer payer.toml --date 2018-03-12 --out transfers";

/// What to pay from where.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that `kuraban claims compute` wrote
    #[arg(long, value_name = "DIR")]
    claims: PathBuf,
    /// The root that was published: no other is paid by
    #[arg(long, value_name = "HEX")]
    root: Option<TreeHash>,
    /// Customers' accounts
    #[arg(long, value_name = "FILE")]
    accounts: PathBuf,
    #[command(flatten)]
    form: Form,
    /// Who pays from which account
    #[arg(long, value_name = "FILE")]
    payer: PathBuf,
    /// When the bank shall transfer
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: jiff::civil::Date,
    /// Most transfers that the bank takes in one file
    #[arg(long, value_name = "N", default_value_t = TRANSFERS_MAX, value_parser = clap::value_parser!(u64).range(1..=TRANSFERS_MAX))]
    transfers_max: u64,
    /// A folder that does not exist yet, for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPayer {
    code: String,
    name: String,
    bank: String,
    #[serde(default)]
    bank_name: String,
    branch: String,
    #[serde(default)]
    branch_name: String,
    #[serde(rename = "type")]
    kind: String,
    number: String,
}

/// Where a customer is paid.
struct Payee {
    account: Account,
    holder: Vec<u8>,
}

#[derive(Serialize)]
struct Written {
    file: String,
    transfers: u64,
    yen: u64,
}

#[derive(Serialize)]
struct Done {
    files: Vec<Written>,
    transfers: u64,
    yen: u64,
    without_account: u64,
    without_account_yen: u64,
    accounts_not_used: usize,
}

/// Runs `kuraban claims transfers`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    if args.out.exists() {
        return Err(Failure::input(format!("{}: exists already; name a new folder", args.out.display())));
    }
    let folder = Folder::under(&args.claims, args.root)?;
    if folder.currency() != ("JPY", 0) {
        return Err(Failure::input(format!(
            "the claims are in {}; these files pay yen",
            folder.currency().0
        )));
    }
    let payer = payer(args)?;
    let payees = payees(args, say)?;
    let fresh = Fresh::begin(&args.out, &[])?;
    let done = write(args, &folder, &payer, payees, fresh.path(), say)?;
    fresh.done()?;
    let (files, transfers, without) = (done.files.len(), done.transfers, done.without_account);
    let [yen, without_yen] = [done.yen, done.without_account_yen].map(|yen| thousands(&yen.to_string()));
    let out = args.out.display();
    let text = match say.lang() {
        Lang::En => format!(
            "{transfers} transfers of {yen} JPY in {files} file(s) in {out}; {without} customers with {without_yen} JPY have no account"
        ),
        Lang::Ja => format!(
            "振込 {transfers} 件、{yen} 円、{files} ファイル：{out}。口座未登録 {without} 人、{without_yen} 円"
        ),
    };
    Ok(Report::done(&done, text))
}

fn payer(args: &Args) -> Result<Payer, Failure> {
    let shown = args.payer.display();
    let raw: RawPayer = toml::from_str(&input::text(&args.payer, input::FILE_MAX)?).or_input(&shown)?;
    let account = RawAccount {
        bank: &raw.bank,
        bank_name: &raw.bank_name,
        branch: &raw.branch,
        branch_name: &raw.branch_name,
        kind: &raw.kind,
        number: &raw.number,
    };
    Ok(Payer {
        code: digits("code", &raw.code, 1, 10).or_input(&shown)?,
        name: full("name", &raw.name, 40).or_input(&shown)?,
        account: Account::new(&account).or_input(&shown)?,
        day: args.date.strftime("%m%d").to_string(),
    })
}

/// Text that may not be empty.
fn full(field: &'static str, text: &str, max: usize) -> Result<Vec<u8>, ZenginError> {
    if text.trim().is_empty() {
        return Err(ZenginError::Empty { field });
    }
    kana(field, text, max)
}

fn payees(args: &Args, say: &Say) -> Result<HashMap<String, Payee>, Failure> {
    let mut payees = HashMap::new();
    let columns = [
        Need::Must("customer"),
        Need::Must("bank"),
        Need::May("bank_name"),
        Need::Must("branch"),
        Need::May("branch_name"),
        Need::Must("type"),
        Need::Must("number"),
        Need::Must("holder"),
    ];
    args.form.each(&args.accounts, columns, say, |_, row| {
        let [customer, bank, bank_name, branch, branch_name, kind, number, holder] =
            row.map(Option::unwrap_or_default);
        let account = Account::new(&RawAccount { bank, bank_name, branch, branch_name, kind, number })?;
        let payee = Payee { account, holder: full("holder", holder, 30)? };
        let before = payees.insert(customer.to_owned(), payee);
        anyhow::ensure!(before.is_none(), "customer: {:?} has an account already, want one", tame(customer));
        Ok(())
    })?;
    Ok(payees)
}

fn write(
    args: &Args,
    folder: &Folder,
    payer: &Payer,
    mut payees: HashMap<String, Payee>,
    part: &Path,
    say: &Say,
) -> Result<Done, Failure> {
    let bar = say.progress(folder.head().size);
    let mut files = Files { part, payer, max: args.transfers_max, open: None, written: Vec::new() };
    let path = part.join("without-account.csv");
    let mut without = csv::Writer::from_path(&path).or_undone(path.display())?;
    without.write_record(["customer", "cash"]).or_undone(path.display())?;
    let (mut unpaid, mut unpaid_yen, mut owed) = (0_u64, 0_u64, 0_u64);
    let large = || Failure::input("the payments come to more than is counted");
    folder.whole(|index, paid| {
        bar.inc(1);
        let payee = payees.remove(&paid.customer);
        let line = index.saturating_add(2);
        let yen = yen(line, &paid)?;
        if yen == 0 {
            return Ok(());
        }
        owed = owed.checked_add(yen).ok_or_else(large)?;
        if let Some(payee) = payee {
            files.put(&payee, line, yen)?;
        } else {
            without.write_record([&paid.customer, &paid.cash]).or_undone(path.display())?;
            unpaid = unpaid.saturating_add(1);
            unpaid_yen = unpaid_yen.checked_add(yen).ok_or_else(large)?;
        }
        Ok(())
    })?;
    bar.finish_and_clear();
    without.flush().or_undone(path.display())?;
    files.end()?;
    let sum = |of: fn(&Written) -> u64| files.written.iter().map(of).try_fold(0_u64, u64::checked_add);
    let (transfers, yen) = (sum(|file| file.transfers), sum(|file| file.yen));
    let (Some(transfers), Some(yen)) = (transfers, yen) else { return Err(large()) };
    if yen.checked_add(unpaid_yen) != Some(owed) {
        return Err(Failure::undone(
            "transfers and what is left do not balance with the payments; nothing is written",
        ));
    }
    Ok(Done {
        files: files.written,
        transfers,
        yen,
        without_account: unpaid,
        without_account_yen: unpaid_yen,
        accounts_not_used: payees.len(),
    })
}

fn yen(line: u64, paid: &Statement) -> Result<u64, Failure> {
    paid.cash.parse().or_input(format!("payments.csv: line {line}, cash"))
}

/// The files, one after the other.
struct Files<'a> {
    part: &'a Path,
    payer: &'a Payer,
    max: u64,
    open: Option<Open>,
    written: Vec<Written>,
}

/// A file that is written.
struct Open {
    out: BufWriter<File>,
    about: Written,
}

impl Files<'_> {
    fn put(&mut self, payee: &Payee, line: u64, yen: u64) -> Result<(), Failure> {
        if yen > TRANSFER_YEN_MAX {
            return Err(Failure::input(format!(
                "payments.csv: line {line}, cash: {yen} yen, a transfer file takes at most {TRANSFER_YEN_MAX}; pay it otherwise"
            )));
        }
        let fits = |open: &Open| {
            open.about.transfers < self.max
                && open.about.yen.checked_add(yen).is_some_and(|sum| sum <= FILE_YEN_MAX)
        };
        if !self.open.as_ref().is_some_and(fits) {
            self.end()?;
            self.begin()?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.out
            .write_all(&zengin::transfer(&payee.account, &payee.holder, yen))
            .or_undone(&open.about.file)?;
        open.about.transfers = open.about.transfers.saturating_add(1);
        open.about.yen = open.about.yen.saturating_add(yen);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let file = format!("transfers-{:04}.txt", self.written.len().saturating_add(1));
        let out = File::create_new(self.part.join(&file)).context("cannot be made").or_undone(&file)?;
        let mut out = BufWriter::with_capacity(1 << 20, out);
        out.write_all(&zengin::header(self.payer)).or_undone(&file)?;
        self.open = Some(Open { out, about: Written { file, transfers: 0, yen: 0 } });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let file = &open.about.file;
        open.out.write_all(&zengin::trailer(open.about.transfers, open.about.yen)).or_undone(file)?;
        let out = open.out.into_inner().map_err(|error| error.into_error()).or_undone(file)?;
        out.sync_all().or_undone(file)?;
        self.written.push(open.about);
        Ok(())
    }
}
