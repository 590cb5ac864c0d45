//! `kuraban liabilities verify`. Decides whether a customer's file stands under a root; asks nobody.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_inclusion::{INCLUSION_LENGTH_MAX, Root, Verified};
use serde::Serialize;

use super::{Line, Published, lines, published, shown};
use crate::{
    fail::Failure,
    input,
    say::{Answer, Lang, Report, Say},
};

const HELP: &str = "\
Take the root from the exchange's log, not from the exchange's answer to you:
there it is the same for everybody. Then compare what is counted for you with
what you have. The exit status is 1 if the file does not stand under the root.

Example:
  kuraban liabilities verify 1029.kli --customer 1029 \\
      --root 975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7";

/// What to verify.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The file that the exchange gave you
    file: PathBuf,
    /// The published root
    #[arg(long, value_name = "R")]
    root: Root,
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
    balances: Option<Vec<Line>>,
    #[serde(flatten)]
    published: Option<Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban liabilities verify`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let bytes = input::bytes(&args.file, INCLUSION_LENGTH_MAX)?;
    match kuraban_inclusion::verify(&bytes, args.root) {
        Err(problem) => Ok(refused(&problem.to_string(), say.lang())),
        Ok(verified) => {
            let other = args.customer.as_ref().filter(|customer| **customer != verified.name);
            Ok(match other {
                Some(want) => {
                    refused(&format!("is the file of {}, want that of {want}", verified.name), say.lang())
                }
                None => counted(&verified, args.root, say.lang()),
            })
        }
    }
}

fn refused(problem: &str, lang: Lang) -> Report {
    let text = format!("{}: {problem}", lang.pick("not verified", "検証できません"));
    let error = Some(problem.to_owned());
    Report::new(Answer::No, &Said { ok: false, customer: None, balances: None, published: None, error }, text)
}

fn counted(verified: &Verified, root: Root, lang: Lang) -> Report {
    let published = published(&verified.scope, root, &verified.totals);
    let balances = lines(&verified.scope, &verified.amounts);
    let (name, as_of, origin) = (&verified.name, &published.as_of, &published.origin);
    let (own, all) = (shown(&balances), shown(&published.totals));
    let text = match lang {
        Lang::En => format!(
            "verified: {origin} counts for {name} as of {as_of}\n{own}of what it owes to all:\n{all}Compare the first with what you have. Nothing here says that it has as much."
        ),
        Lang::Ja => format!(
            "検証しました: {origin} は {as_of} 現在、{name} の残高を次のとおり負債に数えています\n{own}負債の合計:\n{all}最初の表をご自身の残高と比べてください。同額の資産があることを示すものではありません"
        ),
    };
    let (customer, balances) = (Some(name.clone()), Some(balances));
    let said = Said { ok: true, customer, balances, published: Some(published), error: None };
    Report::done(&said, text)
}
