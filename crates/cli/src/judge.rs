//! `kuraban judge`: a signer's judgement, offline, from files. Asks `kuraban_vault::judge` and nothing else; what was
//! not given is answered by `not-judged` and so refused.

mod people;
mod proof;

pub(crate) use self::proof::LogProof;
mod state;

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use kuraban_base::VaultId;
use kuraban_chain::btc::Tx;
use kuraban_vault::{
    Charter, Reason, Verdict,
    judge::{Ask, Facts, Judged, Now, Views, judge},
};
use serde::Serialize;

use self::{people::People, proof::Shown, state::StateFile};
use crate::{
    charter,
    fail::{Failure, OrFail as _},
    input::{self, FILE_MAX},
    ja::japanese,
    payout,
    say::{Answer, Lang, Report, Side, table},
};

const HELP: &str = "\
Every broken rule is named by its code; docs/reasons.md says what to do about
each. What is not given is not assumed: without --approvals, --state,
--log-proof or --now the answer is refused with the reason not-judged.

Example:
  kuraban judge --vault vault.toml --policy policy.toml \\
      --roster roster.toml --payout payout.json \\
      --tx @tx.hex --prev @funding.hex --approvals approvals.json \\
      --state state.json --log-proof log-proof.json \\
      --now 2024-05-31T04:12:00Z";

/// What to judge, and from what.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The vault (TOML)
    #[arg(long, value_name = "V.toml")]
    vault: PathBuf,
    /// The policy (TOML)
    #[arg(long, value_name = "P.toml")]
    policy: PathBuf,
    /// The roster (TOML)
    #[arg(long, value_name = "R.toml")]
    roster: PathBuf,
    /// The payout (JSON)
    #[arg(long, value_name = "P.json")]
    payout: PathBuf,
    /// The transaction in hexadecimal, signed or not, or @FILE
    #[arg(long, value_name = "HEX")]
    tx: String,
    /// Full previous transactions, in hexadecimal or as @FILE
    #[arg(long, num_args = 1.., value_name = "HEX")]
    prev: Vec<String>,
    /// The request's signature and the approvals (JSON)
    #[arg(long, value_name = "F")]
    approvals: Option<PathBuf>,
    /// How the vault stands in the judge's fold of the log (JSON)
    #[arg(long, value_name = "F")]
    state: Option<PathBuf>,
    /// Proof that the payout stands in the log (JSON), with the entry and what opens it
    #[arg(long, num_args = 1.., value_name = "F")]
    log_proof: Vec<PathBuf>,
    /// When: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "T", value_parser = input::instant)]
    now: Option<kuraban_base::Instant>,
}

/// Runs `kuraban judge`.
pub(crate) fn run(args: &Args, lang: Lang) -> Result<Report, Failure> {
    let vault = charter::vault(&args.vault)?;
    let (id, network) = (vault.id.clone(), vault.network);
    let charter = charter::charter(&args.roster, &args.policy, vec![vault])?;
    let (_, payout) = payout::read(&args.payout)?;
    let tx = input::tx("--tx", network, &args.tx)?;
    let prevs = input::prevs(network, &args.prev)?;
    let people = args.approvals.as_deref().map(People::read).transpose()?;
    let state = args.state.as_deref().map(read_state).transpose()?.unwrap_or_default();
    let scripts = state.scripts(&charter, &id).or_input("--state")?;
    let views = views(&charter, &id, &scripts)?;
    let standing = state.standing(views).or_input("--state")?;
    let shown = Shown::read(&args.log_proof, charter.roster(), &payout, &tx)?;
    let now = args.now.map(|own| Now { own, witnesses: shown.as_ref().and_then(|shown| shown.median) });
    let facts = Facts { standing: standing.as_ref(), log: shown.as_ref().map(|shown| &shown.standing), now };
    let ask = Ask {
        payout: &payout,
        request: people.as_ref().and_then(|people| people.request.as_ref()),
        approvals: people.as_ref().map(|people| people.approvals.as_slice()),
        tx: &tx,
        prevs: &prevs,
    };
    let verdict = judge(views, facts, ask);
    Ok(report(reasons(verdict, people), &tx, lang))
}

fn read_state(path: &Path) -> Result<StateFile, Failure> {
    input::json(path, FILE_MAX)
}

fn views<'a>(
    charter: &'a Charter,
    id: &VaultId,
    scripts: &'a kuraban_vault::scripts::ScriptTable,
) -> Result<Views<'a>, Failure> {
    let (vault, policy) =
        charter.vault(id).ok_or_else(|| Failure::input(format!("vault {id} is not known")))?;
    Ok(Views { vault, policy, roster: charter.roster(), scripts })
}

/// The reasons, with those for signatures that are none at all; empty if it is allowed.
fn reasons(verdict: Verdict<Judged>, people: Option<People>) -> Vec<Reason> {
    let mut reasons = match verdict {
        Verdict::Allow(_) => Vec::new(),
        Verdict::Refuse(reasons) => reasons,
    };
    for reason in &mut reasons {
        if let Reason::NotJudged { what } = reason {
            *what = option(what);
        }
    }
    if let Some(people) = people {
        if let Some(problem) = people.request_problem {
            reasons.retain(|reason| reason.code() != "request-unsigned");
            reasons.push(Reason::RequestUnsigned { problem });
        }
        reasons.extend(people.malformed);
    }
    reasons.sort();
    reasons
}

/// The option that would have given what was not.
fn option(what: &'static str) -> &'static str {
    match what {
        "the approvals" => "--approvals",
        "the log's proof" => "--log-proof",
        "the time" => "--now",
        "the vault's state" => "--state",
        other => other,
    }
}

#[derive(Serialize)]
struct Judgement {
    verdict: &'static str,
    reasons: Vec<Broken>,
}

/// A broken rule.
#[derive(Serialize)]
pub(crate) struct Broken {
    code: &'static str,
    detail: String,
}

impl Broken {
    pub(crate) fn of(reason: &Reason) -> Self {
        Self { code: reason.code(), detail: reason.to_string() }
    }
}

/// The reasons as a table of code and words.
pub(crate) fn listed(reasons: &[Reason], lang: Lang) -> String {
    let words = |reason: &Reason| match lang {
        Lang::En => reason.to_string(),
        Lang::Ja => japanese(reason),
    };
    let rows: Vec<_> = reasons.iter().map(|reason| [reason.code().to_owned(), words(reason)]).collect();
    table([Side::Left, Side::Left], &rows)
}

fn report(reasons: Vec<Reason>, tx: &Tx, lang: Lang) -> Report {
    let (answer, verdict) = if reasons.is_empty() { (Answer::Yes, "allow") } else { (Answer::No, "refuse") };
    let text = match (answer, lang) {
        (Answer::Yes, Lang::En) => format!("allowed: {}", tx.txid()),
        (Answer::Yes, Lang::Ja) => format!("許可: {}", tx.txid()),
        (Answer::No, Lang::En) => format!("refused: {}, {} reasons", tx.txid(), reasons.len()),
        (Answer::No, Lang::Ja) => format!("拒否: {}、理由 {} 件", tx.txid(), reasons.len()),
    };
    let text = format!("{text}\n{}", listed(&reasons, lang));
    let json = Judgement { verdict, reasons: reasons.iter().map(Broken::of).collect() };
    Report::new(answer, &json, text)
}
