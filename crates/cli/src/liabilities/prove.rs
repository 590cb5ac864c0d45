//! `kuraban liabilities prove`. Cuts a customer's file out of the tree, or everybody's, and verifies it before anybody else
//! does.

use std::{fs, path::PathBuf};

use clap::Args as ClapArgs;
use kuraban_inclusion::{Verified, verify};
use kuraban_liabilities::Subtree;
use serde::Serialize;

use super::{Line, everybody, lines, shown, store::Reader};
use crate::{
    fail::{Failure, OrFail as _},
    say::{Answer, Lang, Report, Say},
};

const HELP: &str = "\
Give the file to that customer alone: it says what the customer has, and the
sums beside its path. The exit status is 1 if the tree has no such customer.

With --all, OUT is a new folder: files.csv names each customer's file, which
lie by 1,024 in folders. A million files of 20 assets take 4 GB.

Examples:
  kuraban liabilities prove --dir 2026-11-21 --customer 1029 --out 1029.kli
  kuraban liabilities prove --dir 2026-11-21 --all --out files";

/// Whose file.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The customer, as in the holdings
    #[arg(long, value_name = "ID", required_unless_present = "all")]
    customer: Option<String>,
    /// Every customer's file
    #[arg(long, requires = "out", conflicts_with = "customer")]
    all: bool,
    /// The folder that `liabilities build` made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Where to write; without it, one file in DIR, named after the leaf's place
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Proved {
    ok: bool,
    customer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balances: Option<Vec<Line>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban liabilities prove`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    match (&args.customer, &args.out) {
        (Some(customer), _) => one(customer, args, say),
        (None, Some(out)) => everybody::run(&args.dir, out, say),
        // Clap lets neither be absent.
        (None, None) => Err(Failure::input("--customer or --all is missing")),
    }
}

fn one(customer: &str, args: &Args, say: &Say) -> Result<Report, Failure> {
    let mut reader = Reader::open(&args.dir)?;
    let bar = say.progress(u64::try_from(reader.left()).unwrap_or(u64::MAX));
    let (mut number, mut found) = (0_usize, None);
    let mut name = customer.as_bytes().to_vec();
    name.insert(0, u8::try_from(name.len()).unwrap_or(u8::MAX));
    while let Some(bytes) = reader.bough()? {
        // Most boughs do not have the name, and are not hashed.
        if found.is_none() && has(&bytes, &name) {
            let subtree = Subtree::read(reader.scope(), &bytes).or_input(args.dir.display())?;
            found = subtree.find(customer).map(|place| (number, subtree, place));
        }
        number = number.saturating_add(1);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let crown = reader.crown()?;
    let inclusion = found.and_then(|(bough, subtree, place)| crown.inclusion(bough, &subtree, place));
    let Some(inclusion) = inclusion else { return Ok(none(customer, say.lang())) };
    let (file, root) = (inclusion.encode(), crown.root());
    let verified: Verified = verify(&file, root).or_input(args.dir.display())?;
    let path = args.out.clone().unwrap_or_else(|| args.dir.join(format!("{}.kli", inclusion.index)));
    fs::write(&path, &file).or_undone(path.display())?;
    let (path, balances) = (path.display().to_string(), lines(&verified.scope, &verified.amounts));
    let text = match say.lang() {
        Lang::En => format!("{path} shows under root {root} that {customer} has\n{}", shown(&balances)),
        Lang::Ja => {
            format!("{path} はルート {root} の下で {customer} の残高を示します\n{}", shown(&balances))
        }
    };
    let proved = Proved {
        ok: true,
        root: Some(root.to_string()),
        file: Some(path),
        bytes: Some(file.len()),
        balances: Some(balances),
        ..blank(customer)
    };
    Ok(Report::done(&proved, text))
}

fn has(bytes: &[u8], name: &[u8]) -> bool {
    bytes.windows(name.len()).any(|window| window == name)
}

fn blank(customer: &str) -> Proved {
    let customer = customer.to_owned();
    Proved { ok: false, customer, root: None, file: None, bytes: None, balances: None, error: None }
}

fn none(customer: &str, lang: Lang) -> Report {
    let problem = format!("the tree has no customer {customer}");
    let text = match lang {
        Lang::En => problem.clone(),
        Lang::Ja => format!("この木に顧客 {customer} はいません"),
    };
    Report::new(Answer::No, &Proved { error: Some(problem), ..blank(customer) }, text)
}
