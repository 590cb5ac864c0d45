//! Where a root comes from: from the command line, or from its entry in the log. Decides whether the log shows such an entry, signed by
//! somebody on the roster; never what is under the root.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_inclusion::Root;
use kuraban_vault::{LIABILITIES, Liabilities, Roster, body::Body, judge::LogStanding};

use crate::{
    fail::{Failure, OrFail as _},
    input,
    judge::LogProof,
};

/// The root, or what shows it.
#[derive(ClapArgs)]
pub(super) struct Source {
    /// The published root
    #[arg(long, value_name = "R", required_unless_present = "log_proof")]
    pub(super) root: Option<Root>,
    /// A file that shows the root's entry in the log: proof, entry, salt, body
    #[arg(long, value_name = "F", requires = "roster")]
    log_proof: Option<PathBuf>,
    /// The roster (TOML), which names the log and its witnesses
    #[arg(long, value_name = "R.toml", requires = "log_proof")]
    roster: Option<PathBuf>,
}

impl Source {
    /// What the log says, or why it does not.
    pub(super) fn logged(&self) -> Result<Option<Result<Liabilities, String>>, Failure> {
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
