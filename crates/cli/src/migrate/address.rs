//! `kuraban migrate address`: the receiver's word, with a proof, on where it wants its coins. Decides whether an address is proven to be
//! the receiver's: its keys signed, and the receiver signed for that with the key of the hand-over.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kuraban_base::Digest;
use kuraban_chain::btc::{Address, Network, ProofForm, message::verify_message};
use kuraban_ledger::handover::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::json;
use ssh_key::PublicKey;

use super::{OrRefuse as _, Stop, folder};
use crate::{
    fail::{Failure, OrFail as _},
    input::FILE_MAX,
    key::Key,
    reserves::file as reserves,
    say::{Report, Say},
};

pub(crate) const HELP: &str = "\
Without a proof: says what the address's wallet has to sign (BIP 322). With
one: verifies it and writes the file for the sender, signed with your key of
the hand-over. A vault behind a guard signs by an attestation: give what
`kuraban reserves prove` wrote, in the form bip-322, made after the hand-over
and with this address as its destination.

Examples:
  kuraban migrate address handover --from sender.pub \\
      --network bitcoin-main --address bc1q…
  kuraban migrate address handover --from sender.pub \\
      --network bitcoin-main --address bc1q… --signature AkcwRAIg… \\
      --key ~/.ssh/handover --out btc.json
  kuraban migrate address handover --from sender.pub \\
      --network bitcoin-main --address bc1q… --reserves reserves.json \\
      --key ~/.ssh/handover --out btc.json

Exit status: 0 done, 1 not proven, 2 bad usage or input, 3 could not be done.";

/// The version of the form.
const VERSION: u32 = 1;
/// First word of what a wallet signs.
const WORD: &str = "kuraban-handover-v1";

/// Which address of whose.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of the hand-over
    #[arg(value_name = "DIR")]
    export: PathBuf,
    /// The sender's SSH public key
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The address's network, such as bitcoin-main
    #[arg(long, value_name = "NETWORK")]
    network: Network,
    /// Where you want the coins
    #[arg(long, value_name = "ADDRESS")]
    address: String,
    /// The wallet's signature, in Base64 (BIP 322, simple or full)
    #[arg(long, value_name = "BASE64", requires_all = ["key", "out"])]
    signature: Option<String>,
    /// Instead of it, an attestation of the address's vault
    #[arg(long, value_name = "FILE", requires_all = ["key", "out"], conflicts_with = "signature")]
    reserves: Option<PathBuf>,
    /// Your SSH private key (Ed25519), which signs the receipt of the hand-over too
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the file is written, with its signature beside it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    kuraban_address: u32,
    manifest: String,
    network: String,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bip322: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserves: Option<reserves::Form>,
}

/// What a wallet signs: which hand-over, which asset, which address.
fn text(manifest: &Digest, network: Network, address: &str) -> String {
    format!("{WORD} {manifest} {} {address}", network.asset())
}

/// Runs `kuraban migrate address`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Stop> {
    let from = folder::public_key(&args.from)?;
    let manifest = folder::manifest(&args.export, &from)?;
    let address = Address::parse(args.network, &args.address).or_input("--address")?.to_string();
    let lang = say.lang();
    let digest = manifest.digest();
    let (Some(key), Some(out)) = (&args.key, &args.out) else {
        let text = text(&digest, args.network, &address);
        let document =
            json!({ "ok": true, "manifest": digest.to_string(), "address": address, "text": text });
        return Ok(Report::done(&document, text));
    };
    let reserves = args.reserves.as_deref().map(reserves::form_of).transpose()?;
    if args.signature.is_none() && reserves.is_none() {
        return Err(Failure::input("want --signature or --reserves, or neither --key nor --out").into());
    }
    let form = Form {
        kuraban_address: VERSION,
        manifest: digest.to_string(),
        network: args.network.to_string(),
        address,
        bip322: args.signature.clone(),
        reserves,
    };
    let bytes = serde_json::to_vec(&form).or_undone("the file")?;
    let proven = form.proven(&manifest).or_refuse("the proof")?;
    let key = Key::read(key, say)?;
    if out.exists() {
        return Err(Failure::input(format!("{}: exists already; name a new file", out.display())).into());
    }
    folder::write_signed(out, &bytes, &key)?;
    let shown = out.display();
    let words = lang.pick("proven, and written to", "証明を確認、出力先");
    let document = json!({
        "ok": true,
        "manifest": digest.to_string(),
        "asset": args.network.asset().to_string(),
        "address": proven.to_string(),
        "file": shown.to_string(),
    });
    Ok(Report::done(&document, format!("{proven}: {words}: {shown}")))
}

/// Reads the receiver's word on where it wants its coins, and verifies it.
pub(super) fn read(
    path: &Path,
    manifest: &Manifest,
    network: Network,
    receiver: &PublicKey,
) -> Result<Address, Stop> {
    let place = path.display();
    let bytes = folder::read(path, FILE_MAX)?;
    folder::signed(path, &bytes, receiver)?;
    let form: Form = serde_json::from_slice(&bytes).or_refuse(&place)?;
    if form.network != network.to_string() {
        let found = crate::say::tame(&form.network);
        return Err(Stop::Refused(format!("{place}: is for {found}, the vault is on {network}")));
    }
    form.proven(manifest).or_refuse(place)
}

impl Form {
    /// The address, once its keys signed for this hand-over.
    fn proven(self, manifest: &Manifest) -> anyhow::Result<Address> {
        let found = self.kuraban_address;
        anyhow::ensure!(
            found == VERSION,
            "kuraban_address is {found}, want {VERSION}: a newer program reads it"
        );
        let want = manifest.digest();
        anyhow::ensure!(self.manifest == want.to_string(), "is for another hand-over than {want}");
        let network: Network = self.network.parse().context("network")?;
        let address = Address::parse(network, &self.address).context("address")?;
        let script = address.script();
        match (self.bip322, self.reserves) {
            (Some(signature), None) => {
                let bytes = STANDARD.decode(&signature);
                let bytes = bytes.map_err(|problem| anyhow::anyhow!("bip322 is not Base64: {problem}"))?;
                let text = text(&want, network, &address.to_string());
                verify_message(network, &script, text.as_bytes(), &bytes)?;
            }
            (None, Some(form)) => {
                let file = reserves::parse(form, "reserves")
                    .map_err(|failure| anyhow::anyhow!("{}", failure.problem()))?;
                let [proof] = file.proofs.as_slice() else { anyhow::bail!("reserves: want one attestation") };
                let holds = proof.funds.verify(proof.text.as_bytes()).context("reserves")?;
                anyhow::ensure!(
                    holds.form == ProofForm::Bip322 && proof.challenge.form == ProofForm::Bip322,
                    "reserves: an attestation of the form bip-127 is not signed by its destination; want bip-322"
                );
                anyhow::ensure!(
                    file.network == network && proof.challenge.asset == network.asset(),
                    "reserves: is on {}, want {network}",
                    file.network
                );
                anyhow::ensure!(holds.owner == script, "reserves: is signed by another address");
                anyhow::ensure!(holds.lock_time == 0, "reserves: holds only from a lock time on");
                anyhow::ensure!(
                    proof.challenge.at >= manifest.at,
                    "reserves: was asked for at {}, before the hand-over was made, at {}",
                    proof.challenge.at,
                    manifest.at
                );
            }
            (None, None) | (Some(_), Some(_)) => anyhow::bail!("want one proof, bip322 or reserves"),
        }
        Ok(address)
    }
}
