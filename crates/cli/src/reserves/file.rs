//! The file that shows reserves: one asset, one challenge, any number of proofs. Decides whether it can be read as one; never
//! whether what it shows is so.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kuraban_chain::btc::{Funds, Network, funds::OUTPUTS_MAX, psbt::PSBT_BYTES_MAX};
use kuraban_vault::attestation::Challenge;
use serde::{Deserialize, Serialize};

use crate::{
    fail::{Failure, OrFail as _},
    input::json,
};

/// Longest file that is read.
pub(super) const FILE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most proofs in a file.
pub(crate) const PROOFS_MAX: usize = 1000;
/// Most outputs that all proofs of a file name.
pub(crate) const FILE_OUTPUTS_MAX: usize = 20 * OUTPUTS_MAX;
/// The version of the form.
pub(super) const VERSION: u32 = 1;
/// What stands before a proof of funds in Base64 (BIP 322).
const FUNDS_PREFIX: &str = "pof";

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    pub(crate) kuraban_reserves: u32,
    pub(crate) network: String,
    pub(crate) height: u32,
    pub(crate) checkpoint: String,
    pub(crate) proofs: Vec<ProofForm>,
}

/// One proof in it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofForm {
    pub(crate) challenge: String,
    pub(crate) proof: String,
}

/// What the file shows.
pub(crate) struct File {
    pub(crate) network: Network,
    pub(crate) height: u32,
    pub(crate) checkpoint: String,
    pub(crate) proofs: Vec<Proof>,
}

/// A challenge and what was signed over it, not yet checked.
pub(crate) struct Proof {
    pub(crate) text: String,
    pub(crate) challenge: Challenge,
    pub(crate) funds: Funds,
}

/// Reads a file. What is malformed is named with its place among the proofs.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<File, Failure> {
    let form: Form = serde_json::from_slice(bytes).or_input(path.display())?;
    parse(form, &path.display().to_string())
}

/// A file's form, of which nothing is checked.
pub(crate) fn form_of(path: &Path) -> Result<Form, Failure> {
    json(path, FILE_BYTES_MAX)
}

/// What a form says.
pub(crate) fn parse(form: Form, place: &str) -> Result<File, Failure> {
    let wrong = |problem: String| Failure::input(format!("{place}: {problem}"));
    if form.kuraban_reserves != VERSION {
        let found = form.kuraban_reserves;
        return Err(wrong(format!("kuraban_reserves is {found}, want {VERSION}: a newer program reads it")));
    }
    if !(1..=PROOFS_MAX).contains(&form.proofs.len()) {
        return Err(wrong(format!("it has {} proofs, want 1 to {PROOFS_MAX}", form.proofs.len())));
    }
    let network: Network = form.network.parse().or_input(format!("{place}: network"))?;
    let mut proofs = Vec::with_capacity(form.proofs.len());
    for (at, proof) in form.proofs.into_iter().enumerate() {
        proofs.push(one(network, proof).or_input(format!("{place}: proofs[{at}]"))?);
    }
    Ok(File { network, height: form.height, checkpoint: form.checkpoint, proofs })
}

fn one(network: Network, form: ProofForm) -> anyhow::Result<Proof> {
    use anyhow::Context as _;
    let challenge = Challenge::parse(&form.challenge).context("challenge")?;
    let text = form.proof.strip_prefix(FUNDS_PREFIX).unwrap_or(&form.proof);
    anyhow::ensure!(text.len() <= PSBT_BYTES_MAX.saturating_mul(2), "proof: it is too long");
    let bytes = STANDARD.decode(text).map_err(|problem| anyhow::anyhow!("proof is not Base64: {problem}"))?;
    let funds = Funds::decode(network, &bytes).context("proof")?;
    Ok(Proof { text: form.challenge, challenge, funds })
}

/// The form of a proof: BIP 322 names its own before the Base64, BIP 127 has none.
pub(crate) fn form(text: String, challenge: &Challenge, funds: &Funds) -> ProofForm {
    let prefix = match challenge.form {
        kuraban_chain::btc::ProofForm::Bip322 => FUNDS_PREFIX,
        kuraban_chain::btc::ProofForm::Bip127 => "",
    };
    ProofForm { challenge: text, proof: format!("{prefix}{}", STANDARD.encode(funds.encode())) }
}

/// The file of these proofs.
pub(crate) fn whole(network: Network, height: u32, checkpoint: String, proofs: Vec<ProofForm>) -> Form {
    Form { kuraban_reserves: VERSION, network: network.to_string(), height, checkpoint, proofs }
}
