//! `kuraban liabilities prove`. Cuts a customer's file out of the tree, and verifies it before anybody else does.

use std::{fs, path::PathBuf};

use clap::Args as ClapArgs;
use kuraban_inclusion::{Verified, verify};
use kuraban_liabilities::Subtree;
use serde::Serialize;

use super::{Line, lines, shown, store::Reader};
use crate::{
    fail::{Failure, OrFail as _},
    say::{Answer, Lang, Report, Say},
};

const HELP: &str = "\
Give the file to that customer alone: it says what the customer has, and the
sums beside its path. The exit status is 1 if the tree has no such customer.

Example:
  kuraban liabilities prove --dir 2026-11-21 --customer 1029 --out 1029.kli";

/// Whose file.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The customer, as in the holdings
    #[arg(long, value_name = "ID")]
    customer: String,
    /// The folder that `liabilities build` made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Where to write the file; without it, in DIR, named after the leaf's place
    #[arg(long, value_name = "F")]
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
    let mut reader = Reader::open(&args.dir)?;
    let bar = say.progress(u64::try_from(reader.left()).unwrap_or(u64::MAX));
    let (mut number, mut found) = (0_usize, None);
    while let Some(bytes) = reader.bough()? {
        let mut name = args.customer.as_bytes().to_vec();
        name.insert(0, u8::try_from(name.len()).unwrap_or(u8::MAX));
        // Most boughs do not have the name, and are not hashed.
        if found.is_none() && has(&bytes, &name) {
            let subtree = Subtree::read(reader.scope(), &bytes).or_input(args.dir.display())?;
            found = subtree.find(&args.customer).map(|place| (number, subtree, place));
        }
        number = number.saturating_add(1);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let crown = reader.crown()?;
    let inclusion = found.and_then(|(bough, subtree, place)| crown.inclusion(bough, &subtree, place));
    let Some(inclusion) = inclusion else { return Ok(args.none(say.lang())) };
    let (file, root) = (inclusion.encode(), crown.root());
    let verified: Verified = verify(&file, root).or_input(args.dir.display())?;
    let path = args.out.clone().unwrap_or_else(|| args.dir.join(format!("{}.kli", inclusion.index)));
    fs::write(&path, &file).or_undone(path.display())?;
    let (path, balances) = (path.display().to_string(), lines(&verified.scope, &verified.amounts));
    let text = match say.lang() {
        Lang::En => {
            format!("{path} shows under root {root} that {} has\n{}", args.customer, shown(&balances))
        }
        Lang::Ja => {
            format!("{path} はルート {root} の下で {} の残高を示します\n{}", args.customer, shown(&balances))
        }
    };
    let proved = Proved {
        ok: true,
        root: Some(root.to_string()),
        file: Some(path),
        bytes: Some(file.len()),
        balances: Some(balances),
        ..args.blank()
    };
    Ok(Report::done(&proved, text))
}

fn has(bytes: &[u8], name: &[u8]) -> bool {
    bytes.windows(name.len()).any(|window| window == name)
}

impl Args {
    fn blank(&self) -> Proved {
        let customer = self.customer.clone();
        Proved { ok: false, customer, root: None, file: None, bytes: None, balances: None, error: None }
    }

    fn none(&self, lang: Lang) -> Report {
        let problem = format!("the tree has no customer {}", self.customer);
        let text = match lang {
            Lang::En => problem.clone(),
            Lang::Ja => format!("この木に顧客 {} はいません", self.customer),
        };
        Report::new(Answer::No, &Proved { error: Some(problem), ..self.blank() }, text)
    }
}
