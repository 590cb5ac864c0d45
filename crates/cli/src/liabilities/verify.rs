//! `kuraban liabilities verify`. Decides whether a customer's file stands under a root; asks nobody.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_inclusion::{INCLUSION_LENGTH_MAX, Root, Verified};
use kuraban_vault::Liabilities;
use serde::Serialize;

use super::{Line, Published, entry, lines, published, shown, source::Source};
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
      --root 975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7
  kuraban liabilities verify 1029.kli --customer 1029 \\
      --log-proof published.json --roster roster.toml";

/// What to verify.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The file that the exchange gave you
    file: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Whose it must be
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
}

#[derive(Serialize)]
struct Said {
    ok: bool,
    /// The root that the file does not stand under.
    #[serde(rename = "root", skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balances: Option<Vec<Line>>,
    #[serde(flatten)]
    published: Option<Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban liabilities verify`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let bytes = input::bytes(&args.file, INCLUSION_LENGTH_MAX)?;
    let logged = args.source.logged()?;
    Ok(match judged(args, &bytes, logged.as_ref()) {
        Ok((verified, root)) => counted(&verified, root, logged.is_some(), say.lang()),
        Err(problem) => refused(&problem, args.source.root, say.lang()),
    })
}

/// What the file shows, and under which root.
fn judged(
    args: &Args,
    bytes: &[u8],
    logged: Option<&Result<Liabilities, String>>,
) -> Result<(Verified, Root), String> {
    let logged = logged.map(Result::as_ref).transpose().map_err(Clone::clone)?;
    let of_log = logged.map(|said| Root::from_bytes(*said.root.as_bytes()));
    let root = of_log.or(args.source.root).ok_or("there is no root")?;
    if let Some(want) = args.source.root.filter(|want| *want != root) {
        return Err(format!("the log has root {root}, want {want}"));
    }
    let verified = kuraban_inclusion::verify(bytes, root).map_err(|problem| problem.to_string())?;
    if let Some(want) = args.customer.as_ref().filter(|want| **want != verified.name) {
        return Err(format!("is the file of {}, want that of {want}", verified.name));
    }
    // Whether a veil stands in the same entry is nothing to this file.
    let own = |veil| Liabilities { veil, ..entry(&verified.scope, root, &verified.totals) };
    if logged.is_some_and(|said| *said != own(said.veil)) {
        return Err(
            "the log's entry has other totals, another instant or other blocks than the tree".to_owned()
        );
    }
    Ok((verified, root))
}

fn refused(problem: &str, wanted: Option<Root>, lang: Lang) -> Report {
    let text = format!("{}: {problem}", lang.pick("not verified", "検証できません"));
    let error = Some(problem.to_owned());
    let wanted = wanted.map(|root| root.to_string());
    let said =
        Said { ok: false, wanted, customer: None, balances: None, published: None, logged: None, error };
    Report::new(Answer::No, &said, text)
}

fn counted(verified: &Verified, root: Root, logged: bool, lang: Lang) -> Report {
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
    let logged = logged.then_some(true);
    let published = Some(published);
    let said = Said { ok: true, wanted: None, customer, balances, published, logged, error: None };
    Report::done(&said, text)
}
