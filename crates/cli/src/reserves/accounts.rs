//! Reserves of chains of accounts: a file of texts that accounts signed. Collects it and reads it; what it shows is
//! [`check`]'s to say.

mod check;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args as ClapArgs;
use kuraban_base::Instant;
use kuraban_chain::accounts::{Asset, BlockId, Form as SignedAs, Network, signed};
use kuraban_node::accounts::Ledger;
use kuraban_proof::VerifierKey;
use kuraban_vault::attestation::Stated;
use serde::{Deserialize, Serialize};

use super::file::{FILE_BYTES_MAX, VERSION};
use crate::{
    fail::{Failure, OrFail as _},
    input::{FILE_MAX, json, text},
    say::{Answer, Lang, Report, Say},
};

pub(super) const HELP: &str = "\
Each account signs the text of challenge.txt with the wallet that has its key:
Ethereum by personal_sign (EIP-191), the XRP Ledger and NEM as their wallets
sign messages. What they signed stands in a list (JSON):

  [{\"address\":\"0x…\",\"signature\":\"0x…\"},
   {\"address\":\"r…\",\"public_key\":\"ED…\",\"signature\":\"…\"}]

Example:
  kuraban reserves collect --network ethereum-main --height 24000000 \\
      --challenge challenge.txt --checkpoint checkpoint \\
      --signed signed.json --out eth-reserves.json";

/// Most accounts in a file.
const ACCOUNTS_MAX: usize = kuraban_node::accounts::ACCOUNTS_MAX;
/// Longest file of a challenge.
const TEXT_MAX: usize = 1024;

/// A challenge that accounts sign.
type Challenge = Stated<SignedAs, BlockId, Asset>;

/// What to collect.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The chain: ethereum-main, xrpl-main, nem-main, …
    #[arg(long)]
    network: Network,
    /// The height of the challenge's block, or the ledger's index
    #[arg(long, value_name = "N")]
    height: u64,
    /// The text that was signed, as `kuraban reserves challenge` wrote it
    #[arg(long, value_name = "FILE")]
    challenge: PathBuf,
    /// The checkpoint that `kuraban reserves challenge` wrote
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// Lists of addresses, public keys and signatures (JSON)
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    signed: Vec<PathBuf>,
    /// Where the file is written
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    kuraban_reserves: u32,
    network: String,
    height: u64,
    checkpoint: String,
    challenge: String,
    accounts: Vec<AccountForm>,
}

/// What was signed for one account.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountForm {
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    signature: String,
}

/// What the file shows, not yet checked.
struct File {
    network: Network,
    height: u64,
    checkpoint: String,
    text: String,
    challenge: Challenge,
    accounts: Vec<AccountForm>,
}

#[derive(Serialize)]
struct Collected {
    file: String,
    asset: String,
    accounts: usize,
}

/// The network that a file is about, if it is one of accounts.
pub(super) fn network(bytes: &[u8]) -> Option<Network> {
    #[derive(Deserialize)]
    struct About {
        network: String,
    }
    serde_json::from_slice::<About>(bytes).ok()?.network.parse().ok()
}

/// The challenge of a text, if accounts of the network sign it so.
fn challenge(network: Network, text: &str) -> Result<Challenge, String> {
    let challenge = Challenge::parse(text).map_err(|problem| problem.to_string())?;
    let want = network.form();
    if challenge.form != want || challenge.asset.form() != want {
        return Err(format!(
            "it is for {} signed as {}, the file for {network}",
            challenge.asset, challenge.form
        ));
    }
    Ok(challenge)
}

/// Runs `kuraban reserves collect`.
pub(super) fn collect(args: &Args, lang: Lang) -> Result<Report, Failure> {
    let checkpoint = text(&args.checkpoint, FILE_MAX)?;
    let text = text(&args.challenge, TEXT_MAX)?;
    let stated = challenge(args.network, &text)
        .map_err(|problem| Failure::input(format!("{}: {problem}", args.challenge.display())))?;
    let mut accounts: Vec<AccountForm> = Vec::new();
    let mut seen = BTreeSet::new();
    for path in &args.signed {
        let list: Vec<AccountForm> = json(path, FILE_BYTES_MAX)?;
        for (at, one) in list.into_iter().enumerate() {
            let place = format!("{}: [{at}]", path.display());
            let (address, key) = (one.address.as_str(), one.public_key.as_deref());
            let held =
                signed(args.network, text.as_bytes(), address, key, &one.signature).or_input(&place)?;
            if !seen.insert(held.account) {
                return Err(Failure::input(format!("{place}: {} was given before", held.account)));
            }
            accounts.push(one);
        }
    }
    if !(1..=ACCOUNTS_MAX).contains(&accounts.len()) {
        let found = accounts.len();
        return Err(Failure::input(format!("want 1 to {ACCOUNTS_MAX} accounts, found {found}")));
    }
    let count = accounts.len();
    let form = Form {
        kuraban_reserves: VERSION,
        network: args.network.to_string(),
        height: args.height,
        checkpoint,
        challenge: text,
        accounts,
    };
    crate::file::write(&args.out, &serde_json::to_vec(&form).or_undone("the file")?)?;
    let (file, asset) = (args.out.display().to_string(), stated.asset.to_string());
    let words = match lang {
        Lang::En => format!("written: {file}: {count} accounts of {asset}"),
        Lang::Ja => format!("書きました: {file}: {asset} のアカウント {count} 件"),
    };
    Ok(Report::done(&Collected { file, asset, accounts: count }, words))
}

/// Reads a file. What is malformed is named.
fn read(path: &Path, bytes: &[u8]) -> Result<File, Failure> {
    let form: Form = serde_json::from_slice(bytes).or_input(path.display())?;
    let wrong = |problem: String| Failure::input(format!("{}: {problem}", path.display()));
    if form.kuraban_reserves != VERSION {
        let found = form.kuraban_reserves;
        return Err(wrong(format!("kuraban_reserves is {found}, want {VERSION}: a newer program reads it")));
    }
    if !(1..=ACCOUNTS_MAX).contains(&form.accounts.len()) {
        return Err(wrong(format!("it has {} accounts, want 1 to {ACCOUNTS_MAX}", form.accounts.len())));
    }
    let network: Network = form.network.parse().or_input(format!("{}: network", path.display()))?;
    let challenge =
        challenge(network, &form.challenge).map_err(|problem| wrong(format!("challenge: {problem}")))?;
    let Form { height, checkpoint, challenge: text, accounts, .. } = form;
    Ok(File { network, height, checkpoint, text, challenge, accounts })
}

/// Checks a file of signed texts, as `kuraban reserves verify` does.
pub(super) fn verify(
    path: &Path,
    bytes: &[u8],
    ledger: &Ledger,
    (vkey, witnesses): (Option<&VerifierKey>, &[VerifierKey]),
    now: Instant,
    say: &Say,
) -> Result<Report, Failure> {
    let file = read(path, bytes)?;
    let signed = check::signatures(&file);
    let block = ledger.block(file.challenge.block, file.height).or_undone("the node")?;
    let bar = say.progress(u64::try_from(signed.held.len()).unwrap_or(u64::MAX));
    let standings = check::standings(&file, &signed, ledger, block.as_ref(), || bar.inc(1))?;
    bar.finish_and_clear();
    let decimals = block.map(|block| ledger.decimals(&block, file.challenge.asset)).transpose();
    let decimals = decimals.or_undone("the node")?.flatten();
    let facts = check::Facts { block, standings, decimals, vkey, witnesses, now };
    let checked = check::checked(&file, &signed, &facts);
    let answer = if checked.ok { Answer::Yes } else { Answer::No };
    let text = check::text(&checked, say.lang());
    Ok(Report::new(answer, &checked, text))
}
