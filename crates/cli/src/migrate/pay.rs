//! `kuraban migrate pay`: asks the writer for a payout of kind migration to the receiver's proven address, once for each part. Decides
//! what is asked for, never more of an asset than was handed over; how it is asked for is [`crate::asking`]'s.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use kuraban_base::Digest;
use kuraban_ledger::handover::Manifest;
use kuraban_vault::PayoutKind;
use serde::Serialize;
use serde_json::Value;

use super::{Stop, address, folder};
use crate::{
    asking::{Asked, Due, Payer},
    claims::units_json,
    fail::{Failure, OrFail as _},
    journal::locked,
    judge::Broken,
    say::{Answer, Lang, Report, Say},
    writer::{Refused, Writer},
};

pub(crate) const HELP: &str = "\
Pays what was handed over of the vault's asset, or a part of it, to an
address that the receiver proved to be its own (`kuraban migrate address`).
A part has a name and base units; all parts together are never more than the
manifest's total. The journal payouts-ASSET-PART.jsonl in the folder of the
hand-over has terms and what was asked for: a run that was killed is run again
with the same options, and nothing is asked for twice. The payout then needs
approvals as any other does.

Examples:
  kuraban migrate pay handover --sender sender.pub --receiver receiver.pub \\
      --address btc.json --from cold --fee-cap 20000 \\
      --expiry 2026-12-31T00:00:00Z --writer http://guard.example:8080 \\
      --roster roster.toml --policy policy.toml --vault cold.toml \\
      --key ~/.ssh/id_ed25519
  kuraban migrate pay handover --part first --amount 1000000 …

Exit status: 0 asked for, 1 refused, 2 bad usage or input,
3 could not be done.";

/// What keys are made for.
const KEY: &[u8] = b"kuraban-handover-pay-v1";
/// Hexadecimal digits of each digest in a payout's id, which holds 64 characters.
const ID_DIGITS: usize = 28;
/// Longest name of a part.
const PART_MAX: usize = 32;

/// What to pay to whom.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of the hand-over
    #[arg(value_name = "DIR")]
    export: PathBuf,
    /// Your SSH public key of the hand-over
    #[arg(long, value_name = "FILE")]
    sender: PathBuf,
    /// The receiver's SSH public key of the hand-over
    #[arg(long, value_name = "FILE")]
    receiver: PathBuf,
    /// What the receiver's `kuraban migrate address` wrote, with its signature beside it
    #[arg(long, value_name = "FILE")]
    address: PathBuf,
    /// The part's name, of a-z, 0-9 and hyphens
    #[arg(long, value_name = "NAME", default_value = "all", value_parser = part)]
    part: String,
    /// The part's base units; without it, the whole total
    #[arg(long, value_name = "UNITS", value_parser = clap::value_parser!(u64).range(1..))]
    amount: Option<u64>,
    #[command(flatten)]
    payer: Payer,
}

fn part(text: &str) -> Result<String, String> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=PART_MAX).contains(&text.len()) && text.bytes().all(known) {
        return Ok(text.to_owned());
    }
    Err(format!("want 1 to {PART_MAX} of a-z, 0-9 and hyphens"))
}

#[derive(Serialize)]
struct Done {
    ok: bool,
    asset: String,
    address: String,
    part: String,
    payout: String,
    units: Value,
    /// What other parts were asked for with.
    others_units: Value,
    total_units: Value,
    taken: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Broken>,
}

/// Runs `kuraban migrate pay`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Stop> {
    let (charter, network) = args.payer.charter()?;
    let manifest = folder::manifest(&args.export, &folder::public_key(&args.sender)?)?;
    let receiver = folder::public_key(&args.receiver)?;
    let address = address::read(&args.address, &manifest, network, &receiver)?.to_string();
    let asset = network.asset().to_string();
    let total = total(&manifest, &asset)?;
    let due = due(&manifest.digest(), &asset, &args.part, &address, args.amount.unwrap_or(total));
    let _lock = lock(&args.export.join(format!("payouts-{asset}.lock")))?;
    let journal = args.export.join(format!("payouts-{asset}-{}.jsonl", args.part));
    let what = (PayoutKind::Migration, manifest.digest().to_string());
    let mut asking = args.payer.asking(&charter, network, what, &journal, say)?;
    let others = others(asking.writer(), &family(&manifest.digest(), &asset), &due.id)?;
    if due.amount.checked_add(others).is_none_or(|all| all > total) {
        return Err(Stop::Refused(format!(
            "part {} of {} base units is too much: {total} of {asset} were handed over, other parts have {others}",
            args.part, due.amount
        )));
    }
    let units = |units: u64| units_json(&asset, units.into());
    let mut done = Done {
        ok: true,
        address,
        part: args.part.clone(),
        payout: due.id.clone(),
        units: units(due.amount),
        others_units: units(others),
        total_units: units(total),
        asset: asset.clone(),
        taken: "now",
        refused: None,
        reasons: Vec::new(),
    };
    let asked = asking.ask(&due, say.lang())?;
    Ok(report(asked, &due, &mut done, say.lang())?)
}

fn report(asked: Asked, due: &Due, done: &mut Done, lang: Lang) -> Result<Report, Failure> {
    let text = match asked {
        Asked::Now => match lang {
            Lang::En => {
                format!("payout {} of {} base units of {} is asked for", due.id, due.amount, done.asset)
            }
            Lang::Ja => format!("出金 {}（{} {} 基本単位）を依頼しました", due.id, done.asset, due.amount),
        },
        Asked::Before { same: false } => {
            return Err(Failure::undone(format!(
                "{} was asked for with another address or amount, or under another roster or policy; give this part another name",
                due.whose
            )));
        }
        Asked::Before { same: true } => {
            done.taken = "before";
            format!("{} {}", due.id, lang.pick("was asked for before", "依頼済みです"))
        }
        Asked::Refused(refused) => {
            (done.ok, done.taken) = (false, "not");
            let head = lang.pick("the writer refuses", "記録機が拒否しました");
            let text = format!("{head}: {} ({})", refused.detail, refused.code);
            done.refused = Some(refused);
            return Ok(Report::new(Answer::No, done, text));
        }
        Asked::Hopeless(mut hopeless) => {
            (done.ok, done.taken) = (false, "not");
            done.reasons = core::mem::take(&mut hopeless.reasons);
            return Ok(hopeless.report(done));
        }
    };
    Ok(Report::done(done, text))
}

/// What was handed over of an asset, in base units.
fn total(manifest: &Manifest, asset: &str) -> Result<u64, Stop> {
    let total = manifest.sum.totals.get(asset).map(|(_, units)| *units).unwrap_or_default();
    match total.to_u64() {
        Some(0) => Err(Stop::Refused(format!("nothing of {asset} was handed over"))),
        Some(total) => Ok(total),
        None => Err(Failure::input(format!("{total} of {asset} is more than any payout")).into()),
    }
}

fn due(manifest: &Digest, asset: &str, part: &str, address: &str, amount: u64) -> Due {
    let length = u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
    let attempt = Digest::sha256(&[KEY, manifest.as_bytes(), &length, part.as_bytes(), asset.as_bytes()]);
    let own = attempt.to_string();
    Due {
        id: format!("{}{}", family(manifest, asset), own.get(..ID_DIGITS).unwrap_or_default()),
        attempt,
        whose: format!("part {part}"),
        address: address.to_owned(),
        amount,
        memo: Some(format!("hand-over {manifest}")),
    }
}

/// How the ids of all payouts of one hand-over and asset begin.
fn family(manifest: &Digest, asset: &str) -> String {
    let all = Digest::sha256(&[KEY, manifest.as_bytes(), asset.as_bytes()]).to_string();
    format!("move-{}-", all.get(..ID_DIGITS).unwrap_or_default())
}

/// What the writer's log has asked for by other parts, and has not given up.
fn others(writer: &Writer, family: &str, own: &str) -> Result<u64, Failure> {
    let begins = family.parse().or_undone("the payouts of this hand-over")?;
    let mut sum = 0_u64;
    for view in writer.family(&begins)? {
        let ended = ["refused", "cancelled", "expired"].contains(&view.status.as_str());
        if view.payout.id != own && !ended {
            sum = sum.saturating_add(view.payout.amount);
        }
    }
    Ok(sum)
}

/// Keeps other parts of the same asset waiting until this one stands in the writer's log.
fn lock(path: &Path) -> Result<File, Failure> {
    let file = File::options().append(true).create(true).open(path).or_undone(path.display())?;
    locked(&file).or_input(path.display())?;
    Ok(file)
}
