//! `kuraban reserves challenge`: makes a fresh challenge from the log's newest checkpoint and a block, and the request for an
//! attestation over it, or the text that accounts sign.

use core::{fmt::Display, str::FromStr};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use kuraban_base::Instant;
use kuraban_chain::{
    accounts,
    btc::{Address, BlockHash, Branch, ProofForm},
};
use kuraban_proof::{SignedCheckpoint, VerifierKey};
use kuraban_vault::attestation::{CHALLENGE_MS_MAX, Stated};
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
For a chain of accounts the text is written to challenge.txt, to be signed by
each account's wallet.

Examples:
  kuraban reserves challenge --vault hot.toml --id por-2026-11 \\
      --url http://guard.example:8080/log \\
      --vkey example.com/log+1a2b3c4d+AQ… \\
      --block $(bitcoin-cli getbestblockhash) --out .
  kuraban reserves challenge --network ethereum-main --asset ETH \\
      --url http://guard.example:8080/log \\
      --vkey example.com/log+1a2b3c4d+AQ… --block 0x… --out .";

/// What to attest.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The vault (TOML)
    #[arg(long, value_name = "V.toml", requires = "id", required_unless_present = "network")]
    vault: Option<PathBuf>,
    /// Names of the payouts, one request each
    #[arg(long, num_args = 1.., value_name = "ID", requires = "vault", conflicts_with = "network")]
    id: Vec<String>,
    /// A network of accounts instead of a vault: ethereum-main, xrpl-main, nem-main, …
    #[arg(long, conflicts_with = "vault")]
    network: Option<accounts::Network>,
    /// What the accounts hold: ETH, XRP, XEM or the address of a token's contract; the network's own unless given
    #[arg(long, requires = "network")]
    asset: Option<accounts::Asset>,
    /// A recent block of the chain, whose state is attested
    #[arg(long, value_name = "HASH")]
    block: String,
    #[command(flatten)]
    place: Place,
    /// The log's verifier key
    #[arg(long, value_parser = log_key)]
    vkey: VerifierKey,
    /// How it is signed; for a vault bip-322 unless given, for accounts as their network does
    #[arg(long, value_enum)]
    form: Option<Form>,
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
    /// Ethereum's personal_sign
    #[value(name = "eip-191")]
    Eip191,
    /// As the XRP Ledger's wallets sign messages
    Xrpl,
    /// As NEM's wallets sign messages
    Nem,
}

#[derive(Serialize)]
struct Made {
    challenge: String,
    /// The challenge's own file, for accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    requests: Vec<String>,
    checkpoint: String,
}

/// Runs `kuraban reserves challenge`.
pub(super) fn run(args: &Args, lang: Lang) -> Result<Report, Failure> {
    let bytes = checkpoint(&args.place.open()?)?;
    let signed =
        SignedCheckpoint::open(&bytes, core::slice::from_ref(&args.vkey), &[]).or_undone("checkpoint")?;
    let now = now()?;
    let mut made = match (&args.vault, args.network) {
        (Some(path), None) => of_vault(args, path, &signed, now)?,
        (None, Some(network)) => of_accounts(args, network, &signed, now)?,
        (Some(_) | None, _) => return Err(Failure::input("want --vault with --id, or --network")),
    };
    made.checkpoint = write(args, "checkpoint", signed.to_string().as_bytes())?;
    let files: Vec<&String> = made.text.iter().chain(&made.requests).chain([&made.checkpoint]).collect();
    let files: Vec<&str> = files.into_iter().map(String::as_str).collect();
    let said = format!("{}\n{}", lang.pick("written:", "書きました:"), files.join("\n"));
    Ok(Report::done(&made, said))
}

/// Requests for attestations by a vault.
fn of_vault(args: &Args, path: &Path, signed: &SignedCheckpoint, now: Instant) -> Result<Made, Failure> {
    let vault = vault(path)?;
    let form = match args.form {
        Some(Form::Bip322) | None => ProofForm::Bip322,
        Some(Form::Bip127) => ProofForm::Bip127,
        Some(Form::Eip191 | Form::Xrpl | Form::Nem) => {
            return Err(Failure::input("--form: a vault's coins are attested by bip-322 or bip-127"));
        }
    };
    let block: BlockHash = args.block.parse().or_input("--block")?;
    let text = stated(signed, now, form, block, vault.network.asset())?;
    let script = vault.descriptor.script_at(Branch::Receive, 0).or_input(path.display())?;
    let destination = Address::from_script(vault.network, &script)
        .ok_or_else(|| Failure::input(format!("{}: its scripts have no address", path.display())))?;
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
    let mut requests = Vec::new();
    for id in &args.id {
        let payout = payout(id);
        // A name goes into the name of a file.
        crate::payout::parse(&payout).or_input(format!("--id {id}"))?;
        let json = serde_json::to_vec_pretty(&payout).or_undone("the request")?;
        requests.push(write(args, &format!("{id}.json"), &json)?);
    }
    Ok(Made { challenge: text, text: None, requests, checkpoint: String::new() })
}

/// The text that accounts sign.
fn of_accounts(
    args: &Args,
    network: accounts::Network,
    signed: &SignedCheckpoint,
    now: Instant,
) -> Result<Made, Failure> {
    let (form, asset) = (network.form(), args.asset.unwrap_or(network.native()));
    let given = args.form.map(|given| match given {
        Form::Eip191 => Some(accounts::Form::Eip191),
        Form::Xrpl => Some(accounts::Form::Xrpl),
        Form::Nem => Some(accounts::Form::Nem),
        Form::Bip322 | Form::Bip127 => None,
    });
    if given.is_some_and(|given| given != Some(form)) {
        return Err(Failure::input(format!("--form: accounts of {network} sign as {form}")));
    }
    if asset.form() != form {
        return Err(Failure::input(format!("--asset: {asset} is not of {network}")));
    }
    let block: accounts::BlockId = args.block.parse().or_input("--block")?;
    let text = stated(signed, now, form, block, asset)?;
    let file = write(args, "challenge.txt", text.as_bytes())?;
    Ok(Made { challenge: text, text: Some(file), requests: Vec::new(), checkpoint: String::new() })
}

/// The text of a challenge over the log's checkpoint.
fn stated<F, B, A>(
    signed: &SignedCheckpoint,
    at: Instant,
    form: F,
    block: B,
    asset: A,
) -> Result<String, Failure>
where
    F: Display + FromStr,
    B: Display + FromStr,
    A: Display + FromStr,
{
    let (head, origin) = (signed.head(), signed.origin().to_owned());
    let challenge = Stated { form, origin, size: head.size, root: head.root, block, asset, at };
    challenge.text().or_undone("the challenge")
}

fn write(args: &Args, name: &str, bytes: &[u8]) -> Result<String, Failure> {
    let path = args.out.join(name);
    crate::file::write(&path, bytes)?;
    Ok(path.display().to_string())
}
