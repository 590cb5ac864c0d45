//! `kuraban reserves verify`: reads the file, asks the chain, prints what came of each check.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kuraban_base::Instant;
use kuraban_proof::VerifierKey;

use super::{
    accounts, chain,
    check::{Check, Checked, Facts, Outcome, checked, signatures},
    file,
};
use crate::{
    fail::Failure,
    input::{bytes, instant, now, shown_utc},
    log::{log_key, witness_key},
    say::{Answer, Lang, Report, Say, tame},
};

pub(super) const HELP: &str = "\
Every output is looked up as of the block that the challenge names; one that
was spent since still counts. Nobody can see from outside whether coins are
borrowed, or promised to somebody else.

Examples:
  kuraban reserves verify btc-reserves.json --node 127.0.0.1:8332 \\
      --cookie ~/.bitcoin/.cookie --vkey example.com/log+1a2b3c4d+AQ…
  bitcoin-cli scantxoutset start '[\"addr(bc1q…)\"]' > utxos.json
  kuraban reserves verify btc-reserves.json --utxos utxos.json --json
  kuraban reserves verify eth-reserves.json --node 127.0.0.1:8545 \\
      --vkey example.com/log+1a2b3c4d+AQ…
  kuraban reserves verify xrp-reserves.json --balances answers.json
  kuraban reserves verify old.json --utxos utxos.json \\
      --as-of 2026-10-01T00:00:00Z";

/// What to check.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: chain::Place,
    /// The log's verifier key; without it the log's part of the challenge is not checked
    #[arg(long, value_parser = log_key)]
    vkey: Option<VerifierKey>,
    /// Verifier keys of witnesses that must have cosigned
    #[arg(long, num_args = 1.., value_parser = witness_key, value_name = "VKEY", requires = "vkey")]
    witness: Vec<VerifierKey>,
    /// Check as at this time instead of now: a challenge older than a day is refused
    #[arg(long, value_parser = instant, value_name = "TIME")]
    as_of: Option<Instant>,
}

/// Runs `kuraban reserves verify`.
pub(super) fn run(args: &Args, say: &Say) -> Result<Report, Failure> {
    let now = match args.as_of {
        Some(at) => at,
        None => now()?,
    };
    let bytes = bytes(&args.file, file::FILE_BYTES_MAX)?;
    if let Some(network) = accounts::network(&bytes) {
        let key = (args.vkey.as_ref(), args.witness.as_slice());
        return accounts::verify(&args.file, &bytes, &args.place.accounts(network)?, key, now, say);
    }
    let file = file::read(&args.file, &bytes)?;
    let chain = args.place.open(file.network)?;
    let bar = say.progress(u64::try_from(file.proofs.len()).unwrap_or(u64::MAX));
    let signed = signatures(&file, || bar.inc(1));
    let asked = signed.outpoints();
    let stated = file.proofs.first().map(|proof| proof.challenge.block);
    let block = stated.map(|block| chain.block(block)).transpose()?.flatten();
    bar.set_length(u64::try_from(asked.len()).unwrap_or(u64::MAX));
    let coins = match block {
        Some((height, _)) => chain.coins(file.network, height, &asked, &bar)?,
        // Of a block that is not there nothing can be asked.
        None => {
            asked.iter().map(|at| (*at, Err("the stated block is not in the chain".to_owned()))).collect()
        }
    };
    bar.finish_and_clear();
    let facts = Facts { block, coins: &coins, vkey: args.vkey.as_ref(), witnesses: &args.witness, now };
    let checked = checked(&file, &signed, &facts)
        .ok_or_else(|| Failure::input(format!("{}: it has no proofs", args.file.display())))?;
    let answer = if checked.ok { Answer::Yes } else { Answer::No };
    let text = text(&checked, say.lang());
    Ok(Report::new(answer, &checked, text))
}

/// The verdict, in words.
pub(super) const fn head(ok: bool, lang: Lang) -> &'static str {
    match (ok, lang) {
        (true, Lang::En) => "verified",
        (true, Lang::Ja) => "検証しました",
        (false, Lang::En) => "not verified",
        (false, Lang::Ja) => "検証できません",
    }
}

fn text(checked: &Checked, lang: Lang) -> String {
    let head = head(checked.ok, lang);
    let at = shown_utc(Instant::from_ms(checked.at_ms));
    let mut lines = vec![
        format!("{head}: {} {} {}", checked.sum_sat, lang.pick("base units of", "基本単位"), checked.asset),
        match lang {
            Lang::En => format!(
                "{} outputs in {} proofs, as of block {} of {}, challenge of {at}",
                checked.outputs, checked.proofs, checked.block.height, checked.network
            ),
            Lang::Ja => format!(
                "証明 {} 件、出力 {} 件、{} のブロック {} 時点、チャレンジ {at}",
                checked.proofs, checked.outputs, checked.network, checked.block.height
            ),
        },
    ];
    lines.extend(checked.checks.iter().map(|check| line(check, lang)));
    lines.join("\n")
}

/// What came of a check, in a line.
pub(super) fn line(check: &Check, lang: Lang) -> String {
    let word = match check.result {
        Outcome::Verified => lang.pick("ok", "良"),
        Outcome::Failed => lang.pick("FAILED", "不可"),
        Outcome::NotMade => lang.pick("not made", "未実施"),
    };
    let detail = check.detail.as_ref().map(|detail| format!(": {}", tame(detail))).unwrap_or_default();
    format!("  {:<10}  {word}{detail}", check.check)
}
