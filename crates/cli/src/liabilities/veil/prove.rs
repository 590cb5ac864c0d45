//! `kuraban liabilities veil prove`. Writes a customer's file, after it has been judged as the customer will judge it.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_veil::Opening;
use serde::Serialize;

use super::{FOLDER, batch, leaves, seed, statement};
use crate::{
    fail::{Failure, OrFail as _},
    file,
    liabilities::{Line, lines, shown},
    say::{Answer, Lang, Report, Say},
};

const HELP: &str = "\
Give the file to that customer alone: it says what the customer has, and
nothing of anybody else. The exit status is 1 if there is no such customer.

Example:
  kuraban liabilities veil prove --dir 2026-11-21 --customer 1029 \\
      --out 1029.kvo";

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
    /// The folder that `veil build` made; without it, `veil` in DIR
    #[arg(long, value_name = "DIR")]
    veil: Option<PathBuf>,
    /// Where to write the file
    #[arg(long, value_name = "F")]
    out: PathBuf,
    /// The seed of the tree, where it is not in DIR
    #[arg(long, value_name = "F")]
    seed: Option<PathBuf>,
}

#[derive(Serialize)]
struct Proved {
    ok: bool,
    customer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    veil: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balances: Option<Vec<Line>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban liabilities veil prove`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let folder = args.veil.clone().unwrap_or_else(|| args.dir.join(FOLDER));
    let statement = statement(&folder)?.map_err(Failure::input)?;
    let (scope, customers) = leaves::customers(&args.dir, say)?;
    let plan = statement.plan();
    if scope != *plan.scope() {
        return Err(Failure::input("the veil is over another scope than the tree"));
    }
    let round = seed(&args.dir, args.seed.as_ref())?.veil(&scope);
    let all = leaves::arranged(plan, &round, &customers);
    let place = all.iter().position(|leaf| leaf.name == args.customer && !leaf.name.is_empty());
    let Some((place, leaf)) = place.and_then(|place| Some((place, all.get(place)?))) else {
        return Ok(args.none(say.lang()));
    };
    let leaves = plan.shape().leaves();
    let (number, place) = (place / leaves, place % leaves);
    let opening = Opening {
        root: statement.root(),
        batch: u32::try_from(number).or_undone("the batch")?,
        place: u32::try_from(place).or_undone("the place")?,
        leaf: leaf.clone(),
    };
    let public = batch(&folder, &statement, number)?.map_err(Failure::input)?;
    statement.counts(&opening, &public).or_input(folder.display())?;
    file::write(&args.out, &opening.encode())?;
    let (path, balances) = (args.out.display().to_string(), lines(&scope, &opening.leaf.amounts));
    let (customer, root, own) = (&args.customer, statement.root(), shown(&balances));
    let text = match say.lang() {
        Lang::En => format!("{path} shows under veil {root} that {customer} has\n{own}"),
        Lang::Ja => format!("{path} はベール {root} の下で {customer} の残高を示します\n{own}"),
    };
    let proved = Proved {
        ok: true,
        veil: Some(root.to_string()),
        batch: Some(number),
        file: Some(path),
        balances: Some(balances),
        ..args.blank()
    };
    Ok(Report::done(&proved, text))
}

impl Args {
    fn blank(&self) -> Proved {
        let customer = self.customer.clone();
        Proved { ok: false, customer, veil: None, batch: None, file: None, balances: None, error: None }
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
