//! What a command puts into the operator's log, and what an entry of it shows to somebody who has no more than its proof. Signs and
//! hands in; who may publish what is decided by everybody who folds the log.

use std::path::{Path, PathBuf};

use kuraban_api::{DatingBlock, Finding, LiabilitiesSubmit, PublicationSubmit};
use kuraban_base::{Digest, hex};
use kuraban_vault::{
    Approval, DatedBy, Liabilities, Publication, Roster,
    body::Body,
    judge::LogStanding,
    publication::{self as published, Check, Claims, Export, Import},
};
use serde_json::{Map, Value, json};

use crate::{
    fail::{Failure, OrFail as _},
    input::{FILE_MAX, shown_utc, text},
    judge::LogProof,
    key::Key,
    say::{Answer, Lang, Report, Say},
    writer::Writer,
};

/// Into which log, and by whom.
#[derive(clap::Args)]
pub(crate) struct To {
    /// The writer
    #[arg(long, value_name = "URL")]
    writer: String,
    /// The roster (TOML), your own copy
    #[arg(long, value_name = "R.toml")]
    roster: PathBuf,
    /// Your SSH private key (Ed25519)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl To {
    /// The roster.
    pub(crate) fn roster(&self) -> Result<Roster, Failure> {
        roster(&self.roster)
    }

    /// Signs a publication for the roster's log and hands it in.
    pub(crate) fn publish(&self, publication: &Publication, say: &Say) -> Result<Report, Failure> {
        let roster = self.roster()?;
        let digest = publication.digest(roster.origin());
        let key = Key::read(&self.key, say)?;
        if roster.holder(key.public()).is_none() {
            return Err(Failure::input("the key belongs to nobody on your roster"));
        }
        let approval = key.sign(publication.namespace(), digest.as_bytes())?;
        let said = Body::Published { publication: publication.clone(), approval: approval.clone() };
        Body::decode(said.kind(), &said.encode()).or_input("what is published")?;
        let writer = Writer::new(&self.writer)?;
        let answer = match form(publication) {
            Form::Liabilities(liabilities) => {
                let submit = liabilities_form(liabilities, &approval);
                writer.publish_liabilities(&submit)?.map(|view| view.log_index)
            }
            Form::Other(publication) => {
                let submit = PublicationSubmit { publication, approval: approval.pem().to_owned() };
                writer.publish(&submit)?.map(|view| view.log_index)
            }
        };
        let mut said = as_json(publication)?;
        said.insert("published".to_owned(), answer.is_ok().into());
        said.insert("entry".to_owned(), publication.kind().into());
        said.insert("digest".to_owned(), digest.to_string().into());
        Ok(match answer {
            Ok(index) => {
                said.insert("log_index".to_owned(), index.into());
                let publication = told(publication);
                let text = match say.lang() {
                    Lang::En => format!("{publication} stands in the log as entry {index}"),
                    Lang::Ja => format!("{publication} をログの項目 {index} に記録しました"),
                };
                Report::done(&said, text)
            }
            Err(refused) => {
                let head = say.lang().pick("the writer refuses", "記録機が拒否しました");
                let text = format!("{head}: {} ({})", refused.detail, refused.code);
                said.insert("refused".to_owned(), json!(refused));
                Report::new(Answer::No, &said, text)
            }
        })
    }
}

/// What was published, for people, with their calendar.
pub(crate) fn told(publication: &Publication) -> String {
    match publication {
        Publication::Liabilities(owed) => format!("root {} as of {}", owed.root, shown_utc(owed.as_of)),
        Publication::Claims(_) | Publication::Export(_) | Publication::Import(_) | Publication::Check(_) => {
            publication.to_string()
        }
    }
}

/// A roster in a file.
pub(crate) fn roster(path: &Path) -> Result<Roster, Failure> {
    Roster::from_toml(&text(path, FILE_MAX)?).or_input(path.display())
}

/// How the writer takes a publication.
enum Form<'a> {
    Liabilities(&'a Liabilities),
    Other(kuraban_api::Publication),
}

fn form(publication: &Publication) -> Form<'_> {
    let text = |digest: &Option<Digest>| digest.as_ref().map(Digest::to_string);
    Form::Other(match publication {
        Publication::Liabilities(liabilities) => return Form::Liabilities(liabilities),
        Publication::Claims(Claims { root, statements, scheme, replaces }) => {
            kuraban_api::Publication::Claims {
                root: root.to_string(),
                statements: *statements,
                scheme: scheme.to_string(),
                replaces: text(replaces),
            }
        }
        Publication::Export(Export { export, manifest }) => kuraban_api::Publication::HandoverExport {
            export: hex::encode(export),
            manifest: manifest.to_string(),
        },
        Publication::Import(Import { manifest, receipt, replaces }) => {
            kuraban_api::Publication::HandoverImport {
                manifest: manifest.to_string(),
                receipt: receipt.to_string(),
                replaces: text(replaces),
            }
        }
        Publication::Check(Check { of, document, root, findings }) => kuraban_api::Publication::Check {
            of: of.to_string(),
            document: document.to_string(),
            root: text(root),
            findings: findings.iter().map(finding).collect(),
        },
    })
}

fn finding(finding: &published::Finding) -> Finding {
    Finding {
        about: finding.about.clone(),
        verdict: finding.verdict.to_string(),
        failed: finding.failed.clone(),
        not_made: finding.not_made.clone(),
    }
}

fn liabilities_form(liabilities: &Liabilities, approval: &Approval) -> LiabilitiesSubmit {
    let block = |block: &DatedBy| DatingBlock {
        chain: block.chain.clone(),
        height: block.height,
        hash: hex::encode(&block.hash),
    };
    LiabilitiesSubmit {
        root: liabilities.root.to_string(),
        totals: liabilities.totals.to_string(),
        as_of_ms: liabilities.as_of.ms(),
        blocks: liabilities.blocks.iter().map(block).collect(),
        veil: liabilities.veil.map(|veil| veil.to_string()),
        approval: approval.pem().to_owned(),
    }
}

/// What is published, as the writer's interface has it.
pub(crate) fn as_json(publication: &Publication) -> Result<Map<String, Value>, Failure> {
    let value = match form(publication) {
        Form::Liabilities(liabilities) => {
            let (root, totals) = (liabilities.root.to_string(), liabilities.totals.to_string());
            let mut value = json!({ "kind": "liabilities", "root": root, "totals": totals, "as_of_ms": liabilities.as_of.ms() });
            if let (Value::Object(fields), Some(veil)) = (&mut value, liabilities.veil) {
                fields.insert("veil".to_owned(), veil.to_string().into());
            }
            value
        }
        Form::Other(publication) => serde_json::to_value(&publication).or_undone("the publication")?,
    };
    Ok(if let Value::Object(fields) = value { fields } else { Map::new() })
}

/// An entry's proof, in place of a root that somebody tells.
#[derive(clap::Args)]
pub(crate) struct Logged {
    /// A file that shows the entry in the log, as `kuraban log prove --opened` writes it: proof, entry, salt, body
    #[arg(long, value_name = "F", requires = "roster")]
    log_proof: Option<PathBuf>,
    /// The roster (TOML), which names the log and its witnesses
    #[arg(long, value_name = "R.toml", requires = "log_proof")]
    roster: Option<PathBuf>,
}

impl Logged {
    /// What the log says, or why it does not; nothing where no proof was given.
    pub(crate) fn read(&self) -> Result<Option<Result<Publication, String>>, Failure> {
        let (Some(proof), Some(of)) = (&self.log_proof, &self.roster) else { return Ok(None) };
        shown(proof, &roster(of)?).map(Some)
    }
}

/// What the log's entry says, once enough witnesses and somebody on the roster signed it.
pub(crate) fn shown(proof: &Path, roster: &Roster) -> Result<Result<Publication, String>, Failure> {
    let (_, body) = match LogProof::read(proof)?.open(roster) {
        Ok(opened) => opened,
        Err(LogStanding::NotIncluded(problem) | LogStanding::NotWitnessed(problem)) => {
            return Ok(Err(format!("the log: {problem}")));
        }
        Err(LogStanding::Witnessed) => return Ok(Err("the log shows nothing".to_owned())),
    };
    let kind = body.kind();
    let Body::Published { publication, approval } = body else {
        return Ok(Err(format!("the log's entry is {kind}, want one of {}", Publication::KINDS.join(", "))));
    };
    let digest = publication.digest(roster.origin());
    let signed = approval.verify(roster, publication.namespace(), digest.as_bytes());
    Ok(signed.map(|_| publication).map_err(|problem| format!("the log's entry: {problem}")))
}

/// What is said when the log's entry is of another kind than the one asked for.
pub(crate) fn other(found: &Publication, want: &str) -> String {
    format!("the log's entry is {}, want {want}", found.kind())
}

#[cfg(test)]
mod tests {
    use kuraban_base::Instant;
    use kuraban_vault::Liabilities;

    use super::*;

    #[test]
    fn people_are_told_an_instant_and_no_milliseconds() {
        let (root, totals) = (Digest::sha256(&[b"root"]), Digest::sha256(&[b"totals"]));
        let as_of = Instant::from_ms(1_795_186_800_000);
        let liabilities = Liabilities { root, totals, as_of, blocks: Vec::new(), veil: None };
        let text = told(&Publication::Liabilities(liabilities));
        assert_eq!(text, format!("root {root} as of 2026-11-20T15:00:00Z"));
    }
}
