//! Whether proof files show that the payout stands in a log that enough of the roster's witnesses co-signed. A proof of
//! presence says nothing of absence: what else the log holds is for the state file, as for a signer's fold.

use std::path::{Path, PathBuf};

use kuraban_base::{Instant, hex};
use kuraban_chain::btc::Tx;
use kuraban_proof::{
    Entry, Opening, ProofFile,
    proof_file::{NotShown, PROOF_FILE_LENGTH_MAX},
    tree::leaf_hash,
};
use kuraban_vault::{
    Payout, Roster,
    body::{BODY_MAX, Body},
    fold::unsigned_id,
    judge::LogStanding,
};
use serde::Deserialize;

use crate::{
    fail::{Failure, OrFail as _},
    input::json,
};

/// Longest log-proof file: the proof, and the body in hexadecimal.
const LOG_PROOF_MAX: usize = 2 * PROOF_FILE_LENGTH_MAX + 2 * BODY_MAX + 262_144;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogProofForm {
    /// The tlog-proof file's text.
    proof: String,
    /// The entry's bytes, in hexadecimal.
    entry: String,
    /// The commitment's salt, in hexadecimal.
    salt: String,
    /// The body's bytes, in hexadecimal.
    body: String,
}

pub(crate) struct LogProof {
    proof: ProofFile,
    entry: Vec<u8>,
    opening: Opening,
}

impl LogProof {
    /// From a file, within limits.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let form: LogProofForm = json(path, LOG_PROOF_MAX)?;
        let at = |field: &str| format!("{}: {field}", path.display());
        let opening = Opening {
            salt: hex::decode_array(&form.salt).or_input(at("salt"))?,
            body: hex::decode(&form.body).or_input(at("body"))?,
        };
        Ok(Self {
            proof: ProofFile::parse(form.proof.as_bytes()).or_input(at("proof"))?,
            entry: hex::decode(&form.entry).or_input(at("entry"))?,
            opening,
        })
    }

    /// The witnesses' time and what the entry says.
    pub(crate) fn open(&self, roster: &Roster) -> Result<(Instant, Body), LogStanding> {
        let quorum = roster.quorum();
        let logs = core::slice::from_ref(roster.log());
        let signed = self.proof.verify_by_quorum(leaf_hash(&self.entry), logs, quorum);
        let signed = signed.map_err(|problem| match problem {
            NotShown::Inclusion(_) => LogStanding::NotIncluded(problem.to_string()),
            NotShown::Checkpoint(_) | NotShown::Policy(_) | NotShown::Quorum(_) => {
                LogStanding::NotWitnessed(problem.to_string())
            }
        })?;
        let witnessed = quorum.met(&signed);
        let witnessed = witnessed.map_err(|problem| LogStanding::NotWitnessed(problem.to_string()))?;
        let body = self.body().map_err(LogStanding::NotIncluded)?;
        Ok((witnessed.median, body))
    }

    fn body(&self) -> Result<Body, String> {
        let index = self.proof.index;
        let entry = Entry::decode(&self.entry).map_err(|problem| format!("entry {index}: {problem}"))?;
        let body = entry.opened_by(&self.opening).map_err(|problem| format!("entry {index}: {problem}"))?;
        Body::decode(entry.kind.as_str(), body).map_err(|problem| format!("entry {index}: {problem}"))
    }
}

/// What the proof files show.
pub(super) struct Shown {
    /// Whether the payout stands in a witnessed log.
    pub(super) standing: LogStanding,
    /// The latest median of the witnesses' clocks.
    pub(super) median: Option<Instant>,
}

impl Shown {
    /// Reads and verifies proof files; nothing, if there is none.
    pub(super) fn read(
        paths: &[PathBuf],
        roster: &Roster,
        payout: &Payout,
        tx: &Tx,
    ) -> Result<Option<Self>, Failure> {
        let proofs: Vec<LogProof> =
            paths.iter().map(|path| LogProof::read(path)).collect::<Result<_, _>>()?;
        if proofs.is_empty() {
            return Ok(None);
        }
        let mut median = None;
        let standing = stands(&proofs, roster, payout, tx, &mut median);
        Ok(Some(Self { standing: standing.err().unwrap_or(LogStanding::Witnessed), median }))
    }
}

fn stands(
    proofs: &[LogProof],
    roster: &Roster,
    payout: &Payout,
    tx: &Tx,
    median: &mut Option<Instant>,
) -> Result<(), LogStanding> {
    let mut requested = false;
    for proof in proofs {
        let (at, body) = proof.open(roster)?;
        *median = Some(at).max(*median);
        let says = about(&body, payout, tx);
        let problem = |problem| LogStanding::NotIncluded(format!("entry {}: {problem}", proof.proof.index));
        requested |= says.map_err(problem)?;
    }
    // An assembled transaction's entry names the payout without saying what it is.
    let missing =
        || LogStanding::NotIncluded("no proof shows the entry that requested the payout".to_owned());
    requested.then_some(()).ok_or_else(missing)
}

/// Whether the entry is the payout's request; an error if it is about something else.
fn about(body: &Body, payout: &Payout, tx: &Tx) -> Result<bool, String> {
    match body {
        Body::PayoutRequested { payout: logged, .. } if logged == payout => Ok(true),
        Body::PayoutRequested { payout: logged, .. } => {
            Err(format!("requests payout {} with other fields than this one's", logged.id))
        }
        Body::PayoutAssembled { payout: id, tx: bytes } => {
            let logged = Tx::decode(payout.network, bytes).map_err(|problem| problem.to_string())?;
            let (found, want) = (unsigned_id(&logged), unsigned_id(tx));
            if *id != payout.id || found != want {
                return Err(format!("has transaction {found} of payout {id}, want {want} of {}", payout.id));
            }
            Ok(false)
        }
        Body::LogOpened { .. }
        | Body::PayoutApproved { .. }
        | Body::PayoutRefused { .. }
        | Body::PayoutReceipt(_)
        | Body::PayoutSigned { .. }
        | Body::PayoutBroadcast { .. }
        | Body::PayoutConfirmed { .. }
        | Body::PayoutCancelled { .. }
        | Body::PayoutExpired { .. }
        | Body::AlarmRaised(_)
        | Body::BreakerTripped(_)
        | Body::BreakerReset { .. }
        | Body::SignerResumed { .. }
        | Body::Published { .. } => {
            Err(format!("is {}, want payout.requested or payout.assembled", body.kind()))
        }
    }
}
