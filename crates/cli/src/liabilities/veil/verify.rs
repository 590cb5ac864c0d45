//! `kuraban liabilities veil verify`. Decides whether every batch holds and together they come to the published totals; asks nobody.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_veil::Statement;
use serde::Serialize;

use super::{Published, batch, known, published};
use crate::{
    fail::Failure,
    liabilities::{
        parallel::{parallel_on, threads},
        shown,
        source::Source,
    },
    say::{Answer, Lang, Report, Say},
};

const HELP: &str = "\
Anybody can do this, once for all customers: every leaf in the batches is an
amount that is not negative, and all of them sum to the totals. Take the root
from the exchange's log. The exit status is 1 if anything does not hold.

Examples:
  kuraban liabilities veil verify public \\
      --root 975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7
  kuraban liabilities veil verify public --log-proof published.json \\
      --roster roster.toml";

/// What to verify.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The folder that the exchange published
    folder: PathBuf,
    #[command(flatten)]
    source: Source,
}

#[derive(Serialize)]
struct Said {
    ok: bool,
    #[serde(flatten)]
    published: Option<Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban liabilities veil verify`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let judged = match known(&args.folder, &args.source)? {
        Ok((statement, from_log)) => all(args, &statement, say)?.map(|()| (statement, from_log)),
        Err(problem) => Err(problem),
    };
    Ok(match judged {
        Ok((statement, from_log)) => {
            let published = published(&statement);
            let (origin, as_of, totals) = (&published.origin, &published.as_of, shown(&published.totals));
            let batches = published.batches;
            let text = match say.lang() {
                Lang::En => format!(
                    "verified: all {batches} batches hold; {origin} owes to all as of {as_of}\n{totals}Whether a customer is among them, the customer's own file says (veil check)."
                ),
                Lang::Ja => format!(
                    "検証しました: {batches} 束すべてが正しく、{as_of} 現在の {origin} の負債の合計は\n{totals}各顧客が含まれるかどうかは本人のファイルで確かめられます (veil check)"
                ),
            };
            let said =
                Said { ok: true, published: Some(published), logged: from_log.then_some(true), error: None };
            Report::done(&said, text)
        }
        Err(problem) => {
            let text = format!("{}: {problem}", say.lang().pick("not verified", "検証できません"));
            Report::new(
                Answer::No,
                &Said { ok: false, published: None, logged: None, error: Some(problem) },
                text,
            )
        }
    })
}

/// Every batch, and why the first that does not hold does not.
fn all(args: &Args, statement: &Statement, say: &Say) -> Result<Result<(), String>, Failure> {
    enum Stop {
        Failed(Failure),
        Found(String),
    }
    let batches = statement.plan().batches();
    let bar = say.progress(u64::try_from(batches).unwrap_or(u64::MAX));
    let judged = parallel_on(
        threads(),
        batches,
        |number| {
            let file = batch(&args.folder, statement, number).map_err(Stop::Failed)?.map_err(Stop::Found)?;
            let judged = statement.verify(number, &file);
            judged.map_err(|problem| Stop::Found(format!("batch {number}: {problem}")))
        },
        |_, judged| {
            bar.inc(1);
            judged
        },
    );
    bar.finish_and_clear();
    match judged {
        Ok(()) => Ok(Ok(())),
        Err(Stop::Found(problem)) => Ok(Err(problem)),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}
