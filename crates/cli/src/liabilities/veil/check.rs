//! `kuraban liabilities veil check`. Decides whether a customer's file is counted in its batch, and that batch holds; asks nobody.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_veil::{OPENING_LENGTH_MAX, Opening, Statement};
use serde::Serialize;

use super::{Published, batch, known, published};
use crate::{
    fail::Failure,
    input,
    liabilities::{Line, lines, shown, source::Source},
    say::{Answer, Lang, Report, Say},
};

const HELP: &str = "\
Needs veil.kvs and the file of the customer's batch out of what the exchange
published. That the totals count this batch with all others, `veil verify`
says. The exit status is 1 if the file is not counted.

Example:
  kuraban liabilities veil check 1029.kvo --veil public --customer 1029 \\
      --root 975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7";

/// What to check.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The file that the exchange gave you
    file: PathBuf,
    /// The folder that the exchange published
    #[arg(long, value_name = "DIR")]
    veil: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Whose it must be
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
}

#[derive(Serialize)]
struct Said {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balances: Option<Vec<Line>>,
    #[serde(flatten)]
    published: Option<Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban liabilities veil check`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let bytes = input::bytes(&args.file, OPENING_LENGTH_MAX)?;
    let judged = match known(&args.veil, &args.source)? {
        Ok((statement, from_log)) => {
            counted(args, &bytes, &statement)?.map(|opening| (statement, opening, from_log))
        }
        Err(problem) => Err(problem),
    };
    Ok(match judged {
        Ok((statement, opening, from_log)) => yes(&statement, &opening, from_log, say.lang()),
        Err(problem) => {
            let text = format!("{}: {problem}", say.lang().pick("not verified", "検証できません"));
            Report::new(Answer::No, &Said { error: Some(problem), ..NO }, text)
        }
    })
}

const NO: Said = Said {
    ok: false,
    customer: None,
    batch: None,
    balances: None,
    published: None,
    logged: None,
    error: None,
};

fn counted(args: &Args, bytes: &[u8], statement: &Statement) -> Result<Result<Opening, String>, Failure> {
    let opening = match Opening::decode(bytes, statement.plan().shape().assets()) {
        Ok(opening) => opening,
        Err(problem) => return Ok(Err(problem.to_string())),
    };
    if let Some(want) = args.customer.as_ref().filter(|want| **want != opening.leaf.name) {
        return Ok(Err(format!("is the file of {}, want that of {want}", opening.leaf.name)));
    }
    let number = usize::try_from(opening.batch).unwrap_or(usize::MAX);
    let batches = statement.plan().batches();
    if number >= batches {
        return Ok(Err(format!("batch {number}: the statement has {batches}")));
    }
    let file = match batch(&args.veil, statement, number)? {
        Ok(file) => file,
        Err(problem) => return Ok(Err(problem)),
    };
    Ok(statement.counts(&opening, &file).map(|()| opening).map_err(|problem| problem.to_string()))
}

fn yes(statement: &Statement, opening: &Opening, logged: bool, lang: Lang) -> Report {
    let published = published(statement);
    let balances = lines(statement.plan().scope(), &opening.leaf.amounts);
    let (name, as_of, origin) = (&opening.leaf.name, &published.as_of, &published.origin);
    let (own, batch) = (shown(&balances), opening.batch);
    let text = match lang {
        Lang::En => format!(
            "verified: {origin} counts for {name} as of {as_of}, in batch {batch}\n{own}Compare this with what you have. That the totals count this batch, `veil verify` says; that it has as much, nothing here does."
        ),
        Lang::Ja => format!(
            "検証しました: {origin} は {as_of} 現在、{name} の残高を次のとおり第 {batch} 束に数えています\n{own}ご自身の残高と比べてください。合計がこの束を含むことは veil verify で確かめられます。同額の資産があることを示すものではありません"
        ),
    };
    let said = Said {
        ok: true,
        customer: Some(name.clone()),
        batch: Some(batch),
        balances: Some(balances),
        published: Some(published),
        logged: logged.then_some(true),
        error: None,
    };
    Report::done(&said, text)
}
