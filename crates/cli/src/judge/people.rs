//! The file of signatures: who asked, who approved. Reads them; whether they hold is the judge's to say.

use std::path::Path;

use kuraban_vault::{Approval, Reason};
use serde::Deserialize;

use crate::{
    fail::Failure,
    input::{FILE_MAX, json},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeopleForm {
    #[serde(deserialize_with = "Option::deserialize")]
    request: Option<String>,
    approvals: Vec<String>,
}

/// Signatures as given.
pub(super) struct People {
    /// The requester's.
    pub(super) request: Option<Approval>,
    /// The approvers'.
    pub(super) approvals: Vec<Approval>,
    /// What stood in the place of a signature and is none.
    pub(super) malformed: Vec<Reason>,
}

impl People {
    /// Reads `{"request": armoured SSH signature or null, "approvals": [armoured SSH signature, …]}`.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let form: PeopleForm = json(path, FILE_MAX)?;
        let mut people = Self { request: None, approvals: Vec::new(), malformed: Vec::new() };
        // What is no signature is no request, and the judge says so itself.
        people.request = form.request.as_deref().and_then(|pem| Approval::parse(pem).ok());
        for pem in &form.approvals {
            match Approval::parse(pem) {
                Ok(approval) => people.approvals.push(approval),
                Err(problem) => {
                    people.malformed.push(Reason::ApprovalInvalid { problem: problem.to_string() });
                }
            }
        }
        Ok(people)
    }
}
