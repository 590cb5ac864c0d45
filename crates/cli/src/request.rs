//! `kuraban request`: signs a request for a payout and hands it to the writer. Recomputes the digest from the
//! requester's own files; refuses here what every signer would refuse.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_api::Submit;
use kuraban_vault::{Approval, Charter, REQUEST};
use serde::Serialize;

use crate::{
    charter::Files,
    fail::{Failure, OrFail as _},
    input::now,
    judge::{Broken, listed},
    key::Key,
    look::Look,
    payout,
    say::{Answer, Lang, Report, Say},
    writer::{Refused, Writer},
};

const HELP: &str = "\
The same request may be sent again under the same idempotency key: it is
taken once.

P.json names the payout, amounts in base units, and the time in which it may
be signed (RFC 3339 or milliseconds since 1970):
  {\"id\": \"w-17\", \"kind\": \"customer-withdrawal\", \"network\": \"bitcoin-main\",
   \"vault\": \"hot\", \"destination\": \"bc1q…\", \"amount\": 100000000,
   \"fee_cap\": 50000, \"not_before\": \"2027-01-15T09:00:00+09:00\",
   \"expiry\": \"2027-01-15T10:00:00+09:00\"}

Example:
  kuraban request payout.json --writer http://guard.example:8080 \\
      --roster roster.toml --policy policy.toml --vault hot.toml \\
      --key ~/.ssh/id_ed25519";

/// What to ask for.
#[derive(ClapArgs)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The payout (JSON)
    #[arg(value_name = "P.json")]
    payout: PathBuf,
    /// The writer
    #[arg(long, value_name = "URL")]
    writer: String,
    #[command(flatten)]
    files: Files,
    /// Your SSH private key (Ed25519)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Names this attempt; without it, the payout's digest
    #[arg(long, value_name = "K")]
    idempotency_key: Option<String>,
}

#[derive(Serialize)]
struct Requested {
    requested: bool,
    payout: String,
    digest: String,
    reasons: Vec<Broken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
    /// Who asked for the same payout before, if that was somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_before_by: Option<String>,
}

/// Runs `kuraban request`.
pub(crate) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let lang = say.lang();
    let charter = args.files.read()?;
    let writer = Writer::new(&args.writer)?;
    let (form, payout) = payout::read(&args.payout)?;
    let key = Key::read(&args.key, say)?;
    let digest = payout.digest(&charter.context());
    let request = key.sign(REQUEST, digest.as_bytes())?;
    let look = Look::of(&charter, payout, Some(&request), now()?).or_input(args.payout.display())?;
    let (id, digest) = (look.payout.id.to_string(), digest.to_string());
    let not = Requested {
        requested: false,
        payout: id.clone(),
        digest: digest.clone(),
        reasons: look.reasons.iter().map(Broken::of).collect(),
        refused: None,
        requested_before_by: None,
    };
    if !look.reasons.is_empty() {
        let head = lang
            .pick("not requested: every signer would refuse it", "依頼していません。どの署名機も拒否します");
        return Ok(Report::new(Answer::No, &not, format!("{head}\n{}", listed(&look.reasons, lang))));
    }
    say.show(&look.to_text(lang))?;
    let attempt = args.idempotency_key.as_deref().unwrap_or(&digest);
    let submit = Submit { payout: form, request_signature: request.pem().to_owned() };
    match writer.request(&submit, attempt)? {
        Ok(accepted) if accepted.digest == digest => {
            // Without a key of its own for the attempt, the same payout is the same attempt, whoever makes it.
            if let Some(other) = asked_by_another(&writer, &charter, &look, key.public())? {
                let text = match lang {
                    Lang::En => format!("{id} was requested before, by {other}; nothing changed"),
                    Lang::Ja => format!("{id} は {other} が依頼済みです。何も変わっていません"),
                };
                return Ok(Report::new(
                    Answer::No,
                    &Requested { requested_before_by: Some(other), ..not },
                    text,
                ));
            }
            let text = format!("{} {id}", lang.pick("requested:", "依頼しました:"));
            Ok(Report::done(&Requested { requested: true, ..not }, text))
        }
        Ok(accepted) => Err(Failure::undone(format!(
            "the writer logged digest {}, want {digest}: it has another roster or policy",
            crate::say::tame(&accepted.digest)
        ))),
        Err(refused) => {
            let head = lang.pick("the writer refuses", "記録機が拒否しました");
            let reasons =
                refused.reasons.iter().map(|reason| format!("\n  {}  {}", reason.code, reason.detail));
            let text =
                format!("{head}: {} ({}){}", refused.detail, refused.code, reasons.collect::<String>());
            Ok(Report::new(Answer::No, &Requested { refused: Some(refused), ..not }, text))
        }
    }
}

/// Who asked for the payout that the writer has, if it was another than the key's holder. Only a signature over the digest
/// that was recomputed here counts.
fn asked_by_another(
    writer: &Writer,
    charter: &Charter,
    look: &Look<'_>,
    own: &[u8; 32],
) -> Result<Option<String>, Failure> {
    let view = writer.payout(&look.payout.id)?;
    let Some(request) = view.request.and_then(|request| Approval::parse(&request.signature).ok()) else {
        return Err(Failure::undone(format!(
            "payout {}: the writer shows no request for it",
            look.payout.id
        )));
    };
    let roster = charter.roster();
    let person = request.verify(roster, REQUEST, look.digest.as_bytes());
    let person = person.or_undone(format!("payout {}: the request that the writer shows", look.payout.id))?;
    Ok((roster.holder(own) != Some(&person)).then(|| person.to_string()))
}
