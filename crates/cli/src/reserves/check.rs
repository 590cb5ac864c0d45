//! Checks of a file that shows reserves, one by one. Decides which hold; a check that could not be made is never one that
//! holds.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::Instant;
use kuraban_chain::btc::{OutPoint, funds::Holds};
use kuraban_proof::{SignedCheckpoint, VerifierKey};
use kuraban_vault::{
    attestation::{Challenge, Stated},
    judge::Now,
};
use serde::{Deserialize, Serialize};

use super::{
    chain::{Found, SPENT_SINCE},
    file::{FILE_OUTPUTS_MAX, File},
};

/// How much older than the challenge its block may be, in seconds, by the block's own word.
const BLOCK_AGE_S_MAX: u64 = 3 * 60 * 60;
/// Most failures that are listed; all are counted.
pub(super) const LISTED_MAX: usize = 100;

/// What came of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    Verified,
    Failed,
    NotMade,
}

/// A check by its name, and what speaks against it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) check: String,
    pub(super) result: Outcome,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) detail: Option<String>,
}

/// An output that does not count, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Bad {
    pub(super) outpoint: String,
    pub(super) problem: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct BlockJson {
    pub(super) height: u64,
    pub(super) hash: String,
}

/// What a file shows after all checks, as `kuraban reserves verify --json` prints it and `statement` reads it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Checked {
    pub(super) ok: bool,
    pub(super) asset: String,
    pub(super) network: String,
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) root: String,
    pub(super) block: BlockJson,
    pub(super) at_ms: u64,
    pub(super) proofs: usize,
    pub(super) outputs: usize,
    /// What the outputs that passed every check are worth together.
    pub(super) sum_sat: u64,
    /// Who signed the challenge, or whom a proof of reserves would pay.
    pub(super) owners: Vec<String>,
    pub(super) checks: Vec<Check>,
    /// The first outputs that do not count.
    pub(super) bad: Vec<Bad>,
    pub(super) bad_count: usize,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) error: Option<String>,
}

/// What proofs show by their signatures alone.
pub(super) struct Signed {
    holds: Vec<Holds>,
    problems: Vec<String>,
}

/// Checks every proof's signatures.
pub(super) fn signatures(file: &File, mut each: impl FnMut()) -> Signed {
    let mut signed = Signed { holds: Vec::new(), problems: Vec::new() };
    for (at, proof) in file.proofs.iter().enumerate() {
        each();
        match proof.funds.verify(proof.text.as_bytes()) {
            Ok(holds) if holds.form == proof.challenge.form && holds.lock_time == 0 => {
                signed.holds.push(holds)
            }
            Ok(_) => signed
                .problems
                .push(format!("proofs[{at}]: its form is not the challenge's, or it is locked")),
            Err(problem) => {
                let problem = anyhow::Error::from(problem);
                signed.problems.push(format!("proofs[{at}]: {problem:#}"));
            }
        }
    }
    signed
}

impl Signed {
    /// The outputs that were signed for, each once.
    pub(super) fn outpoints(&self) -> Vec<OutPoint> {
        let all = self.holds.iter().flat_map(|holds| &holds.outputs).map(|one| one.outpoint);
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// What was found out beside the signatures.
pub(super) struct Facts<'a> {
    /// The stated block's height and time, if it is in the best chain.
    pub(super) block: Option<(u32, Option<u32>)>,
    pub(super) coins: &'a BTreeMap<OutPoint, Found>,
    /// The log's key and those of witnesses that must have cosigned, if the checker gave any.
    pub(super) vkey: Option<&'a VerifierKey>,
    pub(super) witnesses: &'a [VerifierKey],
    pub(super) now: Instant,
}

/// Puts all checks together.
pub(super) fn checked(file: &File, signed: &Signed, facts: &Facts<'_>) -> Option<Checked> {
    let challenge = &file.proofs.first()?.challenge;
    let tally = tally(signed, facts.coins);
    let outputs = signed.holds.iter().map(|holds| holds.outputs.len()).sum::<usize>();
    let many = (outputs > FILE_OUTPUTS_MAX).then(|| format!("it names more than {FILE_OUTPUTS_MAX} outputs"));
    let time_s = facts.block.and_then(|(_, time)| time).map(u64::from);
    let checks = vec![
        verdict("challenge", same(file, challenge)),
        verdict("fresh", fresh(challenge, facts.now, time_s)),
        log(challenge, &file.checkpoint, facts.vkey, facts.witnesses),
        verdict("signatures", first(&signed.problems).or(many)),
        verdict("distinct", tally.repeated.map(|outpoint| format!("{outpoint} is shown more than once"))),
        verdict("block", block(file, challenge, facts)),
        verdict(
            "unspent",
            tally.bad.first().map(|bad| {
                format!("{} outputs, the first {}: {}", tally.bad.len(), bad.outpoint, bad.problem)
            }),
        ),
    ];
    let failed = checks.iter().find(|check| check.result == Outcome::Failed);
    let error = failed.map(|check| format!("{}: {}", check.check, check.detail.clone().unwrap_or_default()));
    let shown = |holds: &Holds| kuraban_vault::judge::shown(file.network, &holds.owner);
    let owners: BTreeSet<String> = signed.holds.iter().map(shown).collect();
    Some(Checked {
        ok: error.is_none(),
        asset: challenge.asset.to_string(),
        network: file.network.to_string(),
        origin: challenge.origin.clone(),
        size: challenge.size,
        root: challenge.root.to_string(),
        block: BlockJson { height: file.height.into(), hash: challenge.block.to_string() },
        at_ms: challenge.at.ms(),
        proofs: file.proofs.len(),
        outputs,
        sum_sat: tally.sum_sat,
        owners: owners.into_iter().collect(),
        checks,
        bad_count: tally.bad.len(),
        bad: tally.bad.into_iter().take(LISTED_MAX).collect(),
        error,
    })
}

/// A check that holds unless something speaks against it.
pub(super) fn verdict(check: &str, problem: Option<String>) -> Check {
    let result = if problem.is_some() { Outcome::Failed } else { Outcome::Verified };
    Check { check: check.to_owned(), result, detail: problem }
}

/// The first problem, and how many more there are.
pub(super) fn first(problems: &[String]) -> Option<String> {
    match problems {
        [] => None,
        [one] => Some(one.clone()),
        [one, more @ ..] => Some(format!("{one}; and {} more", more.len())),
    }
}

/// One challenge for all, but for the form, and of the file's asset.
fn same(file: &File, challenge: &Challenge) -> Option<String> {
    if challenge.asset != file.network.asset() {
        return Some(format!("it is for {}, the file for {}", challenge.asset, file.network));
    }
    let other = |other: &Challenge| Challenge { form: challenge.form, ..other.clone() } != *challenge;
    let at = file.proofs.iter().position(|proof| other(&proof.challenge))?;
    Some(format!("proofs[{at}] is over another challenge than proofs[0]"))
}

/// What speaks against a challenge by the time alone, its own and, where that is known, its block's.
pub(super) fn fresh<F, B, A>(
    challenge: &Stated<F, B, A>,
    now: Instant,
    block_s: Option<u64>,
) -> Option<String> {
    if let Err(problem) = challenge.fresh(Now { own: now, witnesses: None }) {
        return Some(problem);
    }
    let age_s = challenge.at.s().saturating_sub(block_s?);
    (age_s > BLOCK_AGE_S_MAX)
        .then(|| format!("its block is {age_s} s older than it, at most {BLOCK_AGE_S_MAX}"))
}

/// Checks the challenge's part of the log.
pub(super) fn log<F, B, A>(
    challenge: &Stated<F, B, A>,
    checkpoint: &str,
    vkey: Option<&VerifierKey>,
    witnesses: &[VerifierKey],
) -> Check {
    let Some(vkey) = vkey else {
        let detail = "no key of the log was given (--vkey)".to_owned();
        return Check { check: "log".to_owned(), result: Outcome::NotMade, detail: Some(detail) };
    };
    verdict("log", of_log(challenge, checkpoint, vkey, witnesses))
}

fn of_log<F, B, A>(
    challenge: &Stated<F, B, A>,
    checkpoint: &str,
    vkey: &VerifierKey,
    witnesses: &[VerifierKey],
) -> Option<String> {
    let signed = match SignedCheckpoint::open(checkpoint.as_bytes(), core::slice::from_ref(vkey), witnesses) {
        Ok(signed) => signed,
        Err(problem) => return Some(problem.to_string()),
    };
    let head = signed.head();
    if (signed.origin(), head.size, head.root) != (&challenge.origin, challenge.size, challenge.root) {
        return Some("the challenge names another checkpoint than the one in the file".to_owned());
    }
    let by: Vec<_> = signed.cosignatures().iter().map(|cosignature| &cosignature.key).collect();
    let missing = witnesses.iter().find(|witness| !by.contains(witness))?;
    Some(format!("{} has not cosigned the checkpoint", missing.name()))
}

fn block(file: &File, challenge: &Challenge, facts: &Facts<'_>) -> Option<String> {
    match facts.block {
        Some((height, _)) if height == file.height => None,
        Some((height, _)) => Some(format!("it is at height {height}, the file says {}", file.height)),
        None => Some(format!("{} is not in the chain", challenge.block)),
    }
}

struct Tally {
    sum_sat: u64,
    repeated: Option<OutPoint>,
    bad: Vec<Bad>,
}

/// Adds up what counts: each output once, and only as the chain knows it.
fn tally(signed: &Signed, coins: &BTreeMap<OutPoint, Found>) -> Tally {
    let mut tally = Tally { sum_sat: 0, repeated: None, bad: Vec::new() };
    let mut seen = BTreeSet::new();
    for one in signed.holds.iter().flat_map(|holds| &holds.outputs) {
        if !seen.insert(one.outpoint) {
            tally.repeated = tally.repeated.or(Some(one.outpoint));
            continue;
        }
        let problem = match coins.get(&one.outpoint) {
            Some(Ok(coin)) if coin.output == one.output => None,
            Some(Ok(coin)) => Some(format!(
                "it is worth {} and the proof says {}, or it is locked otherwise",
                coin.output.value_sat, one.output.value_sat
            )),
            // The transaction that the proof shows says what it was.
            Some(Err(problem)) if problem == SPENT_SINCE && one.shown => None,
            Some(Err(problem)) => Some(problem.clone()),
            None => Some("it was not looked for".to_owned()),
        };
        let sum = tally.sum_sat.checked_add(one.output.value_sat);
        match (problem, sum) {
            (None, Some(sum_sat)) => tally.sum_sat = sum_sat,
            (problem, _) => {
                let problem = problem.unwrap_or_else(|| "the sum is beyond any amount".to_owned());
                tally.bad.push(Bad { outpoint: one.outpoint.to_string(), problem });
            }
        }
    }
    tally
}
