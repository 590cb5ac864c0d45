//! Where a root comes from: from the command line, or from its entry in the log. Decides whether that entry is one of liabilities; never
//! what is under the root.

use clap::Args as ClapArgs;
use kuraban_inclusion::Root;
use kuraban_vault::{Liabilities, Publication};

use crate::{
    fail::Failure,
    publish::{Logged, other},
};

/// The root, or what shows it.
#[derive(ClapArgs)]
pub(super) struct Source {
    /// The published root
    #[arg(long, value_name = "R", required_unless_present = "log_proof")]
    pub(super) root: Option<Root>,
    #[command(flatten)]
    logged: Logged,
}

impl Source {
    /// What the log says, or why it does not.
    pub(super) fn logged(&self) -> Result<Option<Result<Liabilities, String>>, Failure> {
        let liabilities = |found| match found {
            Publication::Liabilities(liabilities) => Ok(liabilities),
            Publication::Claims(_)
            | Publication::Export(_)
            | Publication::Import(_)
            | Publication::Check(_) => Err(other(&found, "liabilities.published")),
        };
        Ok(self.logged.read()?.map(|shown| shown.and_then(liabilities)))
    }
}
