//! `kuraban approve`: shows a payout on the approver's own machine, as the approver's own files see it, and signs the
//! digest that was recomputed here. Never signs what it did not show, and never a digest that somebody handed over.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_api::ApprovalSubmit;
use kuraban_base::{PayoutId, PersonId};
use kuraban_vault::{APPROVE, Approval, Charter, Reason};
use serde::Serialize;

use crate::{
    charter::Files,
    fail::{Failure, OrFail as _},
    input::now,
    judge::{Broken, listed},
    key::Key,
    look::{Look, LookJson, Need},
    say::{Answer, Lang, Report, Say, tame},
    writer::{Refused, Writer},
};

/// Characters of the destination that are asked for.
const ASKED: usize = 6;
/// Words for payouts that have ended.
const ENDED: [&str; 5] = ["confirmed", "refused", "cancelled", "expired", "attested"];

const HELP: &str = "\
Without PAYOUT it lists the payouts that are open. With PAYOUT it shows that
payout, recomputed from your own roster, policy and vault files, asks for the
last 6 characters of the destination, and signs (SSHSIG, namespace
kuraban-payout). Compare the destination with what you know from elsewhere,
not with what the writer's pages show.

Examples:
  kuraban approve --writer http://guard.example:8080 \\
      --roster roster.toml --policy policy.toml --vault hot.toml
  kuraban approve w-17 --writer http://guard.example:8080 \\
      --roster roster.toml --policy policy.toml --vault hot.toml \\
      --key ~/.ssh/id_ed25519";

/// What to approve, and how.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The payout's id; without it, open payouts are listed
    #[arg(requires = "key", value_parser = |text: &str| text.parse::<PayoutId>())]
    payout: Option<PayoutId>,
    /// The writer
    #[arg(long, value_name = "URL")]
    writer: String,
    #[command(flatten)]
    files: Files,
    /// Your SSH private key (Ed25519)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Do not ask, where there is no terminal to ask at; with a terminal you are asked all the same
    #[arg(long)]
    yes: bool,
}

/// Runs `kuraban approve`.
pub(crate) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let charter = args.files.read()?;
    let writer = Writer::new(&args.writer)?;
    match (&args.payout, &args.key) {
        (Some(id), Some(key)) => approve(args.yes, &charter, &writer, id, &Key::read(key, say)?, say),
        (Some(_), None) => Err(Failure::input("want --key")),
        (None, _) => list(&charter, &writer, say.lang()),
    }
}

#[derive(Serialize)]
struct Listed {
    payouts: Vec<LookJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<Unreadable>,
}

#[derive(Serialize)]
struct Unreadable {
    id: String,
    error: String,
}

fn list(charter: &Charter, writer: &Writer, lang: Lang) -> Result<Report, Failure> {
    let now = now()?;
    let mut listed = Listed { payouts: Vec::new(), unreadable: Vec::new() };
    let mut text = String::new();
    for view in writer.payouts()? {
        if ENDED.contains(&view.status.as_str()) || view.payout.kind == "evacuation" {
            continue;
        }
        match Look::at(charter, &view, now) {
            Ok(look) => {
                text += &format!("{}\n", look.to_text(lang));
                listed.payouts.push(look.to_json());
            }
            Err(error) => {
                let unreadable = Unreadable { id: tame(&view.payout.id), error: tame(&format!("{error:#}")) };
                text += &format!("{}: {}\n\n", unreadable.id, unreadable.error);
                listed.unreadable.push(unreadable);
            }
        }
    }
    if text.is_empty() {
        text = lang.pick("no payout is open", "承認待ちの送金はありません").to_owned();
    }
    Ok(Report::done(&listed, text))
}

#[derive(Serialize)]
struct Approved {
    approved: bool,
    payout: String,
    digest: String,
    person: Option<String>,
    needs: Vec<Need>,
    reasons: Vec<Broken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Approved {
    fn not(look: &Look<'_>, person: Option<&PersonId>) -> Self {
        Self {
            approved: false,
            payout: look.payout.id.to_string(),
            digest: look.digest.to_string(),
            person: person.map(ToString::to_string),
            needs: look.needs(),
            reasons: Vec::new(),
            refused: None,
            error: None,
        }
    }
}

fn approve(
    yes: bool,
    charter: &Charter,
    writer: &Writer,
    id: &PayoutId,
    key: &Key,
    say: &Say,
) -> Result<Report, Failure> {
    let lang = say.lang();
    let view = writer.payout(id)?;
    let mut look = Look::at(charter, &view, now()?).or_undone(format!("payout {id}"))?;
    if look.payout.id != *id {
        return Err(Failure::undone(format!(
            "payout {id}: the writer shows {} in its place",
            look.payout.id
        )));
    }
    say.show(&look.to_text(lang))?;
    if ENDED.contains(&look.status.as_str()) {
        let error = format!("payout {id} has ended, the writer says: {}", look.status);
        let text = format!("{}: {error}", lang.pick("not approved", "承認していません"));
        let json = Approved { error: Some(error), ..Approved::not(&look, None) };
        return Ok(Report::new(Answer::No, &json, text));
    }
    let person = charter.roster().holder(key.public()).cloned();
    let reasons = against(&look, person.as_ref(), key);
    if !reasons.is_empty() {
        let head = lang
            .pick("not approved: your signature would not help", "承認していません。署名しても通りません");
        let text = format!("{head}\n{}", listed(&reasons, lang));
        let json = Approved {
            reasons: reasons.iter().map(Broken::of).collect(),
            ..Approved::not(&look, person.as_ref())
        };
        return Ok(Report::new(Answer::No, &json, text));
    }
    let Some(person) = person.filter(|person| look.counts(person)) else {
        let error = "you are in no group that the rule asks for approvals".to_owned();
        let text = format!("not approved: {error}");
        let json = Approved { error: Some(error), ..Approved::not(&look, None) };
        return Ok(Report::new(Answer::No, &json, text));
    };
    if let Some(error) = unconfirmed(&look, yes, say)? {
        let text = format!("{}: {error}", lang.pick("not approved", "承認していません"));
        let json = Approved { error: Some(error), ..Approved::not(&look, Some(&person)) };
        return Ok(Report::new(Answer::No, &json, text));
    }
    let approval = signed(&look, charter, key)?;
    let answer = writer.approve(id, &ApprovalSubmit { signature: approval.pem().to_owned() })?;
    if let Err(refused) = answer {
        let text = format!(
            "{}: {} ({})",
            lang.pick("the writer refuses", "記録機が拒否しました"),
            refused.detail,
            refused.code
        );
        let json = Approved { refused: Some(refused), ..Approved::not(&look, Some(&person)) };
        return Ok(Report::new(Answer::No, &json, text));
    }
    look.approvers.insert(person.clone());
    let text = format!("{} {id} ({person})", lang.pick("approved:", "承認しました:"));
    Ok(Report::done(&Approved { approved: true, ..Approved::not(&look, Some(&person)) }, text))
}

/// What makes an approval by this key useless.
fn against(look: &Look<'_>, person: Option<&PersonId>, key: &Key) -> Vec<Reason> {
    let mut reasons = look.reasons.clone();
    match person {
        None => reasons.push(Reason::ApprovalUnknownKey { key: kuraban_base::hex::encode(key.public()) }),
        Some(person) if look.requester.as_ref() == Some(person) => {
            reasons.push(Reason::RequesterApproves { person: person.clone() });
        }
        Some(person) if look.approvers.contains(person) => {
            reasons.push(Reason::ApprovalRepeated { person: person.clone() });
        }
        Some(_) => {}
    }
    reasons.sort();
    reasons
}

/// Why the person did not confirm; nothing if the person did.
fn unconfirmed(look: &Look<'_>, yes: bool, say: &Say) -> Result<Option<String>, Failure> {
    if !Say::can_ask() {
        if yes {
            return Ok(None);
        }
        return Err(Failure::input("there is no terminal to ask at, and --yes was not given"));
    }
    let destination = look.destination();
    let question = say.lang().pick(
        "Type the last 6 characters of the destination to approve:",
        "承認するには宛先の最後の6文字を入力してください:",
    );
    let typed = say.ask(question)?;
    let skip = destination.chars().count().saturating_sub(ASKED);
    let want: String = destination.chars().skip(skip).collect();
    Ok((typed != want).then(|| "what was typed is not the end of the destination".to_owned()))
}

/// The approval, verified as a signer will verify it.
fn signed(look: &Look<'_>, charter: &Charter, key: &Key) -> Result<Approval, Failure> {
    let approval = key.sign(APPROVE, look.digest.as_bytes())?;
    approval.verify(charter.roster(), APPROVE, look.digest.as_bytes()).or_undone("the own signature")?;
    Ok(approval)
}
