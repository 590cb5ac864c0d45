//! `kuraban liabilities verify`. Decides whether a customer's file stands under a root; asks nobody.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_inclusion::{INCLUSION_LENGTH_MAX, Root, Verified};
use kuraban_vault::{LIABILITIES, Liabilities, Roster, body::Body, judge::LogStanding};
use serde::Serialize;

use super::{Line, Published, entry, lines, published, shown};
use crate::{
    fail::{Failure, OrFail as _},
    input,
    judge::LogProof,
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
    /// The published root
    #[arg(long, value_name = "R", required_unless_present = "log_proof")]
    root: Option<Root>,
    /// A file that shows the root's entry in the log: proof, entry, salt, body
    #[arg(long, value_name = "F", requires = "roster")]
    log_proof: Option<PathBuf>,
    /// The roster (TOML), which names the log and its witnesses
    #[arg(long, value_name = "R.toml", requires = "log_proof")]
    roster: Option<PathBuf>,
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
    logged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Runs `kuraban liabilities verify`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let bytes = input::bytes(&args.file, INCLUSION_LENGTH_MAX)?;
    let logged = args.logged()?;
    Ok(match judged(args, &bytes, logged.as_ref()) {
        Ok((verified, root)) => counted(&verified, root, logged.is_some(), say.lang()),
        Err(problem) => refused(&problem, say.lang()),
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
    let root = of_log.or(args.root).ok_or("there is no root")?;
    if let Some(want) = args.root.filter(|want| *want != root) {
        return Err(format!("the log has root {root}, want {want}"));
    }
    let verified = kuraban_inclusion::verify(bytes, root).map_err(|problem| problem.to_string())?;
    if let Some(want) = args.customer.as_ref().filter(|want| **want != verified.name) {
        return Err(format!("is the file of {}, want that of {want}", verified.name));
    }
    if logged.is_some_and(|said| *said != entry(&verified.scope, root, &verified.totals)) {
        return Err(
            "the log's entry has other totals, another instant or other blocks than the tree".to_owned()
        );
    }
    Ok((verified, root))
}

impl Args {
    /// What the log says, or why it does not.
    fn logged(&self) -> Result<Option<Result<Liabilities, String>>, Failure> {
        let (Some(proof), Some(roster)) = (&self.log_proof, &self.roster) else { return Ok(None) };
        let roster = Roster::from_toml(&input::text(roster, input::FILE_MAX)?).or_input(roster.display())?;
        let (_, body) = match LogProof::read(proof)?.open(&roster) {
            Ok(opened) => opened,
            Err(LogStanding::NotIncluded(problem) | LogStanding::NotWitnessed(problem)) => {
                return Ok(Some(Err(format!("the log: {problem}"))));
            }
            Err(LogStanding::Witnessed) => return Ok(Some(Err("the log shows nothing".to_owned()))),
        };
        let kind = body.kind();
        let Body::LiabilitiesPublished { liabilities, approval } = body else {
            return Ok(Some(Err(format!("the log's entry is {kind}, want liabilities.published"))));
        };
        let digest = liabilities.digest(roster.origin());
        let signed = approval.verify(&roster, LIABILITIES, digest.as_bytes());
        Ok(Some(signed.map(|_| liabilities).map_err(|problem| format!("the log's entry: {problem}"))))
    }
}

fn refused(problem: &str, lang: Lang) -> Report {
    let text = format!("{}: {problem}", lang.pick("not verified", "検証できません"));
    let error = Some(problem.to_owned());
    let said = Said { ok: false, customer: None, balances: None, published: None, logged: None, error };
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
    let said = Said { ok: true, customer, balances, published: Some(published), logged, error: None };
    Report::done(&said, text)
}
