//! Checks of a file of texts that accounts signed, one by one. Decides which hold; an account counts once, with what it held after
//! the stated block, and only if the key that signed could have moved it.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Instant;
use kuraban_chain::accounts::{Account, Signed, signed};
use kuraban_node::accounts::{Block, Found, Ledger};
use kuraban_proof::VerifierKey;
use serde::Serialize;

use super::{
    super::{
        check::{BlockJson, Check, LISTED_MAX, Outcome, first, fresh, log, verdict},
        verify::{head, line},
    },
    File,
};
use crate::{
    fail::{Failure, OrFail as _},
    input::shown_utc,
    say::{Lang, tame},
};

/// What a file shows after all checks.
#[derive(Serialize)]
pub(super) struct Checked {
    pub(super) ok: bool,
    asset: String,
    network: String,
    origin: String,
    size: u64,
    root: String,
    block: BlockJson,
    at_ms: u64,
    /// Accounts for which something was signed.
    accounts: usize,
    /// What those that passed every check held together, in base units.
    sum_units: String,
    /// Of a token, by the word of its contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    decimals: Option<u8>,
    /// Those that passed.
    held: Vec<Held>,
    checks: Vec<Check>,
    /// The first accounts that do not count.
    bad: Vec<Bad>,
    bad_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// An account that counts.
#[derive(Serialize)]
struct Held {
    account: String,
    units: String,
    /// Whether a proof against the block's hash shows it, or the node says it.
    by: &'static str,
}

/// An account that does not count, and why.
#[derive(Serialize)]
struct Bad {
    account: String,
    problem: String,
}

/// What the signatures alone show.
pub(super) struct Signatures {
    pub(super) held: Vec<Signed>,
    problems: Vec<String>,
}

/// What was found out beside them.
pub(super) struct Facts<'a> {
    /// The stated block, if it is in the chain.
    pub(super) block: Option<Block>,
    pub(super) standings: BTreeMap<Account, Found>,
    /// Of a token, if its contract says.
    pub(super) decimals: Option<u8>,
    /// The log's key and those of witnesses that must have cosigned, if the checker gave any.
    pub(super) vkey: Option<&'a VerifierKey>,
    pub(super) witnesses: &'a [VerifierKey],
    pub(super) now: Instant,
}

/// Checks every signature.
pub(super) fn signatures(file: &File) -> Signatures {
    let mut signatures = Signatures { held: Vec::new(), problems: Vec::new() };
    for (at, one) in file.accounts.iter().enumerate() {
        let key = one.public_key.as_deref();
        match signed(file.network, file.text.as_bytes(), &one.address, key, &one.signature) {
            Ok(held) => signatures.held.push(held),
            Err(problem) => {
                let problem = anyhow::Error::from(problem);
                signatures.problems.push(format!("accounts[{at}]: {problem:#}"));
            }
        }
    }
    signatures
}

/// How each account stood after the block; of a block that is not there nothing can be asked.
pub(super) fn standings(
    file: &File,
    signed: &Signatures,
    ledger: &Ledger,
    block: Option<&Block>,
    mut each: impl FnMut(),
) -> Result<BTreeMap<Account, Found>, Failure> {
    let mut all = BTreeMap::new();
    for one in &signed.held {
        each();
        let found = match block {
            Some(block) => {
                ledger.standing(block, file.challenge.asset, &one.account).or_undone(one.account)?
            }
            None => Err("the stated block is not in the chain".to_owned()),
        };
        all.insert(one.account, found);
    }
    Ok(all)
}

/// Puts all checks together.
pub(super) fn checked(file: &File, signed: &Signatures, facts: &Facts<'_>) -> Checked {
    let challenge = &file.challenge;
    let tally = tally(signed, &facts.standings);
    let time_s = facts.block.map(|block| block.time_s);
    let balances = tally
        .bad
        .first()
        .map(|bad| format!("{} accounts, the first {}: {}", tally.bad.len(), bad.account, bad.problem));
    let checks = vec![
        // A file of another form, asset or more than one challenge is not read at all.
        verdict("challenge", None),
        verdict("fresh", fresh(challenge, facts.now, time_s)),
        log(challenge, &file.checkpoint, facts.vkey, facts.witnesses),
        verdict("signatures", first(&signed.problems)),
        verdict("distinct", tally.repeated.map(|account| format!("{account} is shown more than once"))),
        verdict("block", of_block(file, facts)),
        verdict("balances", balances),
    ];
    let failed = checks.iter().find(|check| check.result == Outcome::Failed);
    let error = failed.map(|check| format!("{}: {}", check.check, check.detail.clone().unwrap_or_default()));
    Checked {
        ok: error.is_none(),
        asset: challenge.asset.to_string(),
        network: file.network.to_string(),
        origin: challenge.origin.clone(),
        size: challenge.size,
        root: challenge.root.to_string(),
        block: BlockJson { height: file.height, hash: challenge.block.to_string() },
        at_ms: challenge.at.ms(),
        accounts: file.accounts.len(),
        sum_units: tally.sum.to_string(),
        decimals: facts.decimals,
        held: tally.held,
        checks,
        bad_count: tally.bad.len(),
        bad: tally.bad.into_iter().take(LISTED_MAX).collect(),
        error,
    }
}

fn of_block(file: &File, facts: &Facts<'_>) -> Option<String> {
    match facts.block {
        Some(block) if block.height == file.height => None,
        Some(block) => Some(format!("it is at height {}, the file says {}", block.height, file.height)),
        None => Some(format!("{} is not in the chain at height {}", file.challenge.block, file.height)),
    }
}

struct Tally {
    sum: u128,
    repeated: Option<Account>,
    held: Vec<Held>,
    bad: Vec<Bad>,
}

/// Adds up what counts: each account once.
fn tally(signed: &Signatures, standings: &BTreeMap<Account, Found>) -> Tally {
    let mut tally = Tally { sum: 0, repeated: None, held: Vec::new(), bad: Vec::new() };
    let mut seen = BTreeSet::new();
    for one in &signed.held {
        if !seen.insert(one.account) {
            tally.repeated = tally.repeated.or(Some(one.account));
            continue;
        }
        let account = one.account.to_string();
        let unasked = || Err("it was not looked for".to_owned());
        let standing = standings.get(&one.account).cloned().unwrap_or_else(unasked);
        let counted = standing.and_then(|standing| {
            standing.moved_by(one)?;
            let sum = tally.sum.checked_add(standing.units);
            sum.map(|sum| (standing, sum)).ok_or_else(|| "the sum is beyond any amount".to_owned())
        });
        match counted {
            Ok((standing, sum)) => {
                tally.sum = sum;
                let by = if standing.proven { "proof" } else { "node" };
                tally.held.push(Held { account, units: standing.units.to_string(), by });
            }
            Err(problem) => tally.bad.push(Bad { account, problem }),
        }
    }
    tally
}

/// The answer in words.
pub(super) fn text(checked: &Checked, lang: Lang) -> String {
    let at = shown_utc(Instant::from_ms(checked.at_ms));
    let of = lang.pick("base units of", "基本単位");
    let mut lines = vec![
        format!("{}: {} {of} {}", head(checked.ok, lang), checked.sum_units, checked.asset),
        match lang {
            Lang::En => format!(
                "{} accounts, as of block {} of {}, challenge of {at}",
                checked.accounts, checked.block.height, checked.network
            ),
            Lang::Ja => format!(
                "アカウント {} 件、{} のブロック {} 時点、チャレンジ {at}",
                checked.accounts, checked.network, checked.block.height
            ),
        },
    ];
    lines.extend(checked.checks.iter().map(|check| line(check, lang)));
    let told = checked.held.iter().filter(|held| held.by == "node").count();
    if told > 0 {
        lines.push(match lang {
            Lang::En => format!("  {told} of the balances are the node's word, without a proof"),
            Lang::Ja => {
                format!("  うち {told} 件の残高はノードの申告で、証明はありません")
            }
        });
    }
    let bad = checked.bad.iter().map(|bad| format!("  {}: {}", bad.account, tame(&bad.problem)));
    lines.extend(bad);
    lines.join("\n")
}
