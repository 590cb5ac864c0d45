//! The file of signatures: who asked, who approved. Reads them; whether they hold is the judge's to say.

use std::path::Path;

use kuraban_vault::{Approval, Reason};
use serde::Deserialize;

use crate::{
    fail::Failure,
    input::{FILE_MAX, json},
};

/// What an armoured SSH signature begins with.
const ARMOUR: &str = "-----BEGIN SSH SIGNATURE-----";

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
    /// Why what stood in the place of the request's signature is none.
    pub(super) request_problem: Option<String>,
}

impl People {
    /// Reads `{"request": armoured SSH signature or null, "approvals": [armoured SSH signature, …]}`.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let form: PeopleForm = json(path, FILE_MAX)?;
        let mut people =
            Self { request: None, approvals: Vec::new(), malformed: Vec::new(), request_problem: None };
        match form.request.as_deref().map(signature).transpose() {
            Ok(request) => people.request = request,
            Err(problem) => people.request_problem = Some(problem),
        }
        for pem in &form.approvals {
            match signature(pem) {
                Ok(approval) => people.approvals.push(approval),
                Err(problem) => people.malformed.push(Reason::ApprovalInvalid { problem }),
            }
        }
        Ok(people)
    }
}

/// Reads a signature; text without its armour is called what it is instead of what it lacks first.
fn signature(pem: &str) -> Result<Approval, String> {
    Approval::parse(pem).map_err(|problem| {
        if pem.starts_with(ARMOUR) {
            problem.to_string()
        } else {
            format!("is no SSH signature, want {ARMOUR}")
        }
    })
}
