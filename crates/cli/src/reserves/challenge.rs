//! `kuraban reserves challenge`: makes a fresh challenge from the log's newest checkpoint and a block, and the request for an
//! attestation over it.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use kuraban_base::Instant;
use kuraban_chain::btc::{Address, BlockHash, Branch, ProofForm};
use kuraban_proof::{SignedCheckpoint, VerifierKey};
use kuraban_vault::attestation::{CHALLENGE_MS_MAX, Challenge};
use serde::Serialize;

use crate::{
    charter::vault,
    fail::{Failure, OrFail as _},
    input::now,
    log::{Place, checkpoint, log_key},
    say::{Lang, Report},
};

pub(super) const HELP: &str = "\
The request goes the way of every payout: `kuraban request`, approvals, the
signers. Nothing moves, and no limit is used up. A vault of more than 400
coins needs several requests over the same challenge: give several names.

Example:
  kuraban reserves challenge --vault hot.toml --id por-2026-11 \\
      --url http://guard.example:8080/log \\
      --vkey example.com/log+1a2b3c4d+AQ… \\
      --block $(bitcoin-cli getbestblockhash) --out .";

/// What to attest.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The vault (TOML)
    #[arg(long, value_name = "V.toml")]
    vault: PathBuf,
    /// Names of the payouts, one request each
    #[arg(long, required = true, num_args = 1.., value_name = "ID")]
    id: Vec<String>,
    /// A recent block of the vault's chain, whose state is attested
    #[arg(long, value_name = "HASH")]
    block: BlockHash,
    #[command(flatten)]
    place: Place,
    /// The log's verifier key
    #[arg(long, value_parser = log_key)]
    vkey: VerifierKey,
    /// How it is signed
    #[arg(long, value_enum, default_value = "bip-322")]
    form: Form,
    /// Where the requests and the checkpoint are written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// Proof of funds: signed by the vault's first address too
    #[value(name = "bip-322")]
    Bip322,
    /// Proof of reserves
    #[value(name = "bip-127")]
    Bip127,
}

#[derive(Serialize)]
struct Made {
    challenge: String,
    requests: Vec<String>,
    checkpoint: String,
}

/// Runs `kuraban reserves challenge`.
pub(super) fn run(args: &Args, lang: Lang) -> Result<Report, Failure> {
    let vault = vault(&args.vault)?;
    let bytes = checkpoint(&args.place.open()?)?;
    let signed =
        SignedCheckpoint::open(&bytes, core::slice::from_ref(&args.vkey), &[]).or_undone("checkpoint")?;
    let (head, now) = (signed.head(), now()?);
    let challenge = Challenge {
        form: match args.form {
            Form::Bip322 => ProofForm::Bip322,
            Form::Bip127 => ProofForm::Bip127,
        },
        origin: signed.origin().to_owned(),
        size: head.size,
        root: head.root,
        block: args.block,
        asset: vault.network.asset(),
        at: now,
    };
    let text = challenge.text().or_undone("the challenge")?;
    let script = vault.descriptor.script_at(Branch::Receive, 0).or_input(args.vault.display())?;
    let destination = Address::from_script(vault.network, &script)
        .ok_or_else(|| Failure::input(format!("{}: its scripts have no address", args.vault.display())))?;
    let payout = |id: &String| kuraban_api::Payout {
        id: id.clone(),
        kind: "attestation".to_owned(),
        network: vault.network.to_string(),
        vault: vault.id.to_string(),
        destination: destination.to_string(),
        memo: Some(text.clone()),
        amount: 0,
        fee_cap: 0,
        not_before_ms: now.ms(),
        expiry_ms: Instant::from_ms(now.ms()).plus_ms(CHALLENGE_MS_MAX).ms(),
    };
    let write = |name: String, bytes: &[u8]| {
        let path = args.out.join(&name);
        std::fs::write(&path, bytes).or_undone(path.display())?;
        Ok::<_, Failure>(path.display().to_string())
    };
    let mut requests = Vec::new();
    for id in &args.id {
        let payout = payout(id);
        // A name goes into the name of a file.
        crate::payout::parse(&payout).or_input(format!("--id {id}"))?;
        let json = serde_json::to_vec_pretty(&payout).or_undone("the request")?;
        requests.push(write(format!("{id}.json"), &json)?);
    }
    let checkpoint = write("checkpoint".to_owned(), signed.to_string().as_bytes())?;
    let said = format!("{}\n{}\n{checkpoint}", lang.pick("written:", "書きました:"), requests.join("\n"));
    Ok(Report::done(&Made { challenge: text, requests, checkpoint }, said))
}
