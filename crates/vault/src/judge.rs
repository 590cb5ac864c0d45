//! May this transaction be signed for this payout? Every signer asks this for itself, from its own roster, policy,
//! vault and fold of the log; the offline command asks it from files. Reports every broken rule, not the first.
//!
//! Never trusts what it can recompute: amounts come from full previous transactions, change from the vault's own
//! descriptor, people from the roster's keys.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Amount, Asset, Instant, PayoutDigest, PayoutId, PersonId, Txid};
use kuraban_chain::btc::{
    Digests, EcdsaSighash, Mweb, Network, OutPoint, Script, Sighash, Tx, TxIn, TxOut, address::Address,
    descriptor::Branch,
};

use crate::{
    approval::{APPROVE, Approval, ApprovalError, REQUEST},
    attestation,
    breaker::{Breaker, Service, Stage},
    fold::unsigned_id,
    payout::{DigestContext, Payout, PayoutKind},
    policy::{Approvals, Rule, VaultPolicy},
    reason::{Reason, Verdict},
    roster::Roster,
    scripts::ScriptTable,
    vault::Vault,
};

/// What the judging machine holds for itself about one vault.
#[derive(Clone, Copy, Debug)]
pub struct Views<'a> {
    /// The vault.
    pub vault: &'a Vault,
    /// Its part of the policy.
    pub policy: &'a VaultPolicy,
    /// The roster.
    pub roster: &'a Roster,
    /// The vault's own scripts.
    pub scripts: &'a ScriptTable,
}

impl Views<'_> {
    /// What this machine binds payout digests to.
    #[must_use]
    pub fn context(&self) -> DigestContext {
        DigestContext {
            origin: self.roster.origin().to_owned(),
            roster: self.roster.hash(),
            policy: self.policy.hash,
        }
    }

    /// The digest that a signature over all of a transaction is made for, where it spends `prevout`, one of the vault's own.
    ///
    /// # Errors
    /// The output is not the vault's, or there is no such input.
    pub(crate) fn sighash(
        &self,
        digests: &Digests<'_>,
        index: usize,
        prevout: &TxOut,
    ) -> Result<Sighash, String> {
        let (branch, at) = self.scripts.place(&prevout.script).ok_or("an input is not the vault's")?;
        let descriptor = &self.vault.descriptor;
        let code = descriptor.script_code_at(branch, at).map_err(|problem| problem.to_string())?;
        let digest = if descriptor.is_witness() {
            digests.witness_v0(index, &code, EcdsaSighash::All)
        } else {
            digests.legacy(index, &code, EcdsaSighash::All)
        };
        digest.map_err(|problem| problem.to_string())
    }

    /// The payout's digest as this machine recomputes it.
    #[must_use]
    pub fn digest(&self, payout: &Payout) -> PayoutDigest {
        payout.digest(&self.context())
    }
}

/// What shall be signed, and on whose word.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The payout.
    pub payout: &'a Payout,
    /// The requester's signature.
    pub request: Option<&'a Approval>,
    /// The approvals, if they were given.
    pub approvals: Option<&'a [Approval]>,
    /// The transaction, signed or not.
    pub tx: &'a Tx,
    /// Full previous transactions, in any order.
    pub prevs: &'a [Tx],
}

/// How things stand in the judging machine's fold of the log, for one payout.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The breaker's stage for withdrawals of the asset.
    pub stage: Stage,
    /// What left the vault within 24 hours, without this payout; `None` if it is beyond any amount.
    pub before: Option<Amount>,
    /// How the payout ended, if it has.
    pub ended: Option<&'static str>,
    /// Transactions that got a receipt for this payout before.
    pub earlier: Vec<(Txid, Vec<OutPoint>)>,
    /// For an evacuation: whether its evidence verified.
    pub evidence: Result<(), String>,
    /// For an evacuation: what evacuations of this incident have paid as fees.
    pub evacuation_fees: Amount,
}

/// Whether the payout stands in a log that enough witnesses have co-signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogStanding {
    /// It does.
    Witnessed,
    /// The checkpoint lacks cosignatures.
    NotWitnessed(String),
    /// The payout is not in that log.
    NotIncluded(String),
}

/// The rest of what judging needs. What is absent is answered by `not-judged`, never assumed.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The fold's word.
    pub standing: Option<&'a Standing>,
    /// The log's word.
    pub log: Option<&'a LogStanding>,
    /// The clock: the earlier and the later of own and witnesses' time.
    pub now: Option<Now>,
}

/// Two clocks' word: allowance is freed by the slowest, expiry judged by the fastest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// The machine's own.
    pub own: Instant,
    /// The median of the cosignatures' times, if there is a checkpoint.
    pub witnesses: Option<Instant>,
}

/// How far two clocks may be apart, in milliseconds.
pub const CLOCKS_APART_MAX_MS: u64 = 30_000;

impl Now {
    /// The slower clock.
    #[must_use]
    pub fn earliest(self) -> Instant {
        self.witnesses.map_or(self.own, |witnesses| witnesses.min(self.own))
    }

    /// The faster clock.
    #[must_use]
    pub fn latest(self) -> Instant {
        self.witnesses.map_or(self.own, |witnesses| witnesses.max(self.own))
    }
}

/// What a judgement leaves behind. Only [`judge`] makes one, and it is not `Clone`: who signs consumes it.
#[derive(PartialEq, Eq, Debug)]
pub struct Judged {
    payout: PayoutId,
    digest: PayoutDigest,
    txid: Txid,
    outflow: Amount,
}

impl Judged {
    /// The payout.
    #[must_use]
    pub const fn payout(&self) -> &PayoutId {
        &self.payout
    }

    /// Its digest as recomputed.
    #[must_use]
    pub const fn digest(&self) -> PayoutDigest {
        self.digest
    }

    /// The transaction that may be signed, by its [`unsigned_id`].
    #[must_use]
    pub const fn txid(&self) -> Txid {
        self.txid
    }

    /// Inputs less change, in base units.
    #[must_use]
    pub const fn outflow(&self) -> Amount {
        self.outflow
    }
}

/// Judges one transaction for one payout.
#[must_use]
pub fn judge(views: Views<'_>, facts: Facts<'_>, ask: Ask<'_>) -> Verdict<Judged> {
    let digest = views.digest(ask.payout);
    let mut reasons = Vec::new();
    identity(views, ask.payout, &mut reasons);
    time(facts, ask.payout, &mut reasons);
    log(facts, &mut reasons);
    let outflow = if ask.payout.kind == PayoutKind::Attestation {
        attestation::judge(views, facts.now, ask, &mut reasons);
        rule(views, ask, digest, &mut reasons);
        breaker(facts, &mut reasons);
        Some(Amount::ZERO)
    } else {
        let flow = flow(views, ask, &mut reasons);
        if ask.payout.kind == PayoutKind::Evacuation {
            evacuation(views, facts, ask.payout, flow.fee, &mut reasons);
        } else {
            rule(views, ask, digest, &mut reasons);
            limits(views, facts, ask.payout, flow.outflow, &mut reasons);
            fee(views, ask, flow, &mut reasons);
        }
        flow.outflow
    };
    once(facts, ask.tx, &mut reasons);
    match outflow {
        Some(outflow) if reasons.is_empty() => Verdict::Allow(Judged {
            payout: ask.payout.id.clone(),
            digest,
            txid: unsigned_id(ask.tx),
            outflow,
        }),
        Some(_) | None => {
            reasons.sort();
            reasons.dedup();
            Verdict::Refuse(reasons)
        }
    }
}

/// What speaks against taking up a request at all: what every signer would refuse whatever the transaction.
#[must_use]
pub fn admit(
    views: Views<'_>,
    breaker: &Breaker,
    payout: &Payout,
    request: &Approval,
    now: Instant,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    identity(views, payout, &mut reasons);
    if now >= payout.expiry {
        reasons.push(Reason::Expired { now, expiry: payout.expiry });
    }
    let stage = breaker.stage((Service::Withdrawal, payout.asset()));
    if stage != Stage::Open {
        reasons.push(Reason::BreakerClosed { stage });
    }
    listed(views, payout, &mut reasons);
    if payout.kind == PayoutKind::Attestation {
        attestation::admit(views, payout, &mut reasons);
    }
    let outflow = payout.amount;
    if outflow > views.policy.limit.per_payout_max {
        reasons.push(Reason::LimitPerPayout { outflow, max: views.policy.limit.per_payout_max });
    }
    people(views.roster, Some(request), Some(&[]), &[], views.digest(payout), &mut reasons);
    reasons.sort();
    reasons
}

/// Smallest output that the network's nodes relay, in base units (dust limit of a P2PKH output at the default rate).
#[must_use]
pub fn dust_min(network: Network) -> Amount {
    match network.asset() {
        Asset::Btc => Amount::new(546),
        Asset::Ltc => Amount::new(5460),
    }
}

/// A script as people write it: its address, or its bytes in hexadecimal where it has none.
#[must_use]
pub fn shown(network: Network, script: &Script) -> String {
    match Address::from_script(network, script) {
        Some(address) => address.to_string(),
        None => format!("script {}", kuraban_base::hex::encode(script.as_bytes())),
    }
}

fn identity(views: Views<'_>, payout: &Payout, reasons: &mut Vec<Reason>) {
    let vault = views.vault;
    if payout.network != vault.network {
        let (found, want) = (payout.network.to_string(), vault.network.to_string());
        reasons.push(Reason::OtherNetwork { found, want });
    }
    if payout.vault != vault.id {
        let (found, want) = (payout.vault.to_string(), vault.id.to_string());
        reasons.push(Reason::OtherVault { found, want });
    }
    let min = dust_min(vault.network);
    if payout.amount < min && payout.kind != PayoutKind::Attestation {
        reasons.push(Reason::AmountTooSmall { amount: payout.amount, min });
    }
}

fn time(facts: Facts<'_>, payout: &Payout, reasons: &mut Vec<Reason>) {
    let Some(now) = facts.now else { return reasons.push(Reason::NotJudged { what: "the time" }) };
    reasons.extend(clocks(now));
    // Witnesses state whole seconds, so this bound is held to the second.
    if now.earliest().s() < payout.not_before.s() {
        reasons.push(Reason::NotYetValid { now: now.earliest(), not_before: payout.not_before });
    }
    if now.latest() >= payout.expiry {
        reasons.push(Reason::Expired { now: now.latest(), expiry: payout.expiry });
    }
}

/// Whether own clock and the witnesses' are too far apart to judge by either.
pub(crate) fn clocks(now: Now) -> Option<Reason> {
    let witnesses = now.witnesses?;
    let apart = now.latest().ms_since(now.earliest()) > CLOCKS_APART_MAX_MS;
    apart.then_some(Reason::ClockDisagrees { own: now.own, witnesses })
}

fn log(facts: Facts<'_>, reasons: &mut Vec<Reason>) {
    match facts.log {
        None => reasons.push(Reason::NotJudged { what: "the log's proof" }),
        Some(LogStanding::Witnessed) => {}
        Some(LogStanding::NotWitnessed(problem)) => {
            reasons.push(Reason::LogNotWitnessed { problem: problem.clone() });
        }
        Some(LogStanding::NotIncluded(problem)) => {
            reasons.push(Reason::LogNotIncluded { problem: problem.clone() })
        }
    }
}

/// What a transaction moves; `None` where it cannot be known.
#[derive(Clone, Copy)]
struct Flow {
    outflow: Option<Amount>,
    fee: Option<Amount>,
}

fn flow(views: Views<'_>, ask: Ask<'_>, reasons: &mut Vec<Reason>) -> Flow {
    let tx = ask.tx;
    if tx.inputs.is_empty() || tx.outputs.is_empty() {
        reasons.push(Reason::TransactionForm { problem: "the transaction has no inputs or no outputs" });
    }
    if tx.lock_time != 0 || tx.inputs.iter().any(|input| input.sequence < 0xffff_fffd) {
        reasons
            .push(Reason::TransactionForm { problem: "the transaction is locked to a later time or block" });
    }
    if tx.mweb != Mweb::None {
        reasons
            .push(Reason::TransactionForm { problem: "the transaction moves coins in the extension block" });
    }
    let inputs = inputs(views, ask, reasons);
    let change = outputs(views, ask.payout, tx, reasons);
    let paid = Amount::sum(tx.outputs.iter().map(|output| Amount::from(output.value_sat)));
    let fee = match (inputs, paid) {
        (Some(inputs), Some(outputs)) if inputs < outputs => {
            reasons.push(Reason::FeeNegative { inputs, outputs });
            None
        }
        (Some(inputs), Some(outputs)) => inputs.less(outputs),
        (None, _) | (_, None) => None,
    };
    Flow { outflow: inputs.and_then(|inputs| inputs.less(change)), fee }
}

/// The sum of all inputs, each proven by its full previous transaction and found on the vault's descriptor.
fn inputs(views: Views<'_>, ask: Ask<'_>, reasons: &mut Vec<Reason>) -> Option<Amount> {
    let mut sum = Some(Amount::ZERO);
    let mut seen = BTreeSet::new();
    for (input, output) in ask.tx.inputs.iter().zip(spent(ask.tx, ask.prevs)) {
        let Some(output) = output else {
            reasons.push(Reason::InputUnproven { input: input.prev });
            sum = None;
            continue;
        };
        if !seen.insert(input.prev) {
            reasons.push(Reason::TransactionForm { problem: "the transaction spends one output twice" });
        }
        if views.scripts.place(&output.script).is_none() {
            reasons.push(Reason::InputNotOwn { input: input.prev });
        }
        sum = sum.and_then(|sum| sum.plus(output.value_sat.into()));
    }
    sum
}

fn output_of(tx: &Tx, vout: u32) -> Option<&TxOut> {
    usize::try_from(vout).ok().and_then(|vout| tx.outputs.get(vout))
}

/// The output that each input of `tx` spends, in order; nothing where its transaction is not among `prevs`.
pub(crate) fn spent(tx: &Tx, prevs: &[Tx]) -> Vec<Option<TxOut>> {
    let by_id: BTreeMap<Txid, &Tx> = prevs.iter().map(|prev| (prev.txid(), prev)).collect();
    let find = |input: &TxIn| output_of(by_id.get(&input.prev.txid)?, input.prev.vout).cloned();
    tx.inputs.iter().map(find).collect()
}

/// Compares the outputs with the payout; returns what comes back as change.
pub(crate) fn outputs(views: Views<'_>, payout: &Payout, tx: &Tx, reasons: &mut Vec<Reason>) -> Amount {
    let mut change: Option<Amount> = None;
    let mut others = Vec::new();
    for (vout, output) in tx.outputs.iter().enumerate() {
        let value = Amount::from(output.value_sat);
        match views.scripts.place(&output.script) {
            Some(place) if output.script != payout.destination => match (change, place) {
                (Some(_), _) => reasons.push(Reason::ChangeRepeated { vout }),
                (None, (branch, index)) => {
                    if branch == Branch::Receive {
                        reasons.push(Reason::ChangeIndex { vout, index, max: views.scripts.change_next() });
                    }
                    let min = dust_min(views.vault.network);
                    if value < min {
                        reasons.push(Reason::ChangeDust { vout, value, min });
                    }
                    change = Some(value);
                }
            },
            Some(_) | None => others.push((vout, value, &output.script)),
        }
    }
    payment(views, payout, &others, reasons);
    change.unwrap_or(Amount::ZERO)
}

/// Finds the one output that pays; names every other.
fn payment(
    views: Views<'_>,
    payout: &Payout,
    others: &[(usize, Amount, &Script)],
    reasons: &mut Vec<Reason>,
) {
    let network = views.vault.network;
    let want = shown(network, &payout.destination);
    let exact = |(_, value, script): &&(usize, Amount, &Script)| {
        **script == payout.destination && *value == payout.amount
    };
    let destination = |(_, _, script): &&(usize, Amount, &Script)| **script == payout.destination;
    let chosen = others
        .iter()
        .find(exact)
        .or_else(|| others.iter().find(destination))
        .or_else(|| others.iter().max_by_key(|(_, value, _)| *value));
    let Some((chosen, value, script)) = chosen.copied() else {
        return reasons.push(Reason::PaymentMissing { destination: want, amount: payout.amount });
    };
    if *script != payout.destination {
        let found = shown(network, script);
        if let Some((prefix, suffix)) = imitation(network, &found, &want) {
            let (found, want) = (found.clone(), want.clone());
            reasons.push(Reason::DestinationImitates { found, want, prefix, suffix });
        }
        reasons.push(Reason::DestinationNotApproved { found, want });
    }
    if value != payout.amount {
        reasons.push(Reason::AmountNotApproved { found: value, want: payout.amount });
    }
    for (vout, value, script) in others.iter().filter(|(vout, _, _)| *vout != chosen) {
        let destination = shown(network, script);
        reasons.push(Reason::OutputUnknown { vout: *vout, value: *value, destination });
    }
}

/// How many characters at each end two addresses share, if it is more than chance gives: at least four beyond what
/// every address of the form starts with (one in a million for bech32, one in eleven million for base58).
#[must_use]
pub fn imitation(network: Network, found: &str, want: &str) -> Option<(usize, usize)> {
    if found == want {
        return None;
    }
    let same = |pair: &(char, char)| pair.0 == pair.1;
    let prefix = found.chars().zip(want.chars()).take_while(same).count();
    let suffix = found.chars().rev().zip(want.chars().rev()).take_while(same).count();
    // Human-readable part, separator and witness version; or the one character that base58 gives to the version. A base58
    // address may have a `1` anywhere, so the separator alone tells nothing.
    let hrp = network.hrp();
    let segwit = want.strip_prefix(hrp).is_some_and(|rest| rest.starts_with('1'));
    let form = if segwit { hrp.len().saturating_add(2) } else { 1 };
    let telling = prefix.saturating_sub(form).saturating_add(suffix);
    (telling >= 4).then_some((prefix, suffix))
}

fn rule(views: Views<'_>, ask: Ask<'_>, digest: PayoutDigest, reasons: &mut Vec<Reason>) {
    if let Some(rule) = listed(views, ask.payout, reasons) {
        people(views.roster, ask.request, ask.approvals, &rule.approvals, digest, reasons);
    }
}

/// The rule that governs the payout; says so if there is none, or if it does not list the destination.
pub(crate) fn listed<'a>(views: Views<'a>, payout: &Payout, reasons: &mut Vec<Reason>) -> Option<&'a Rule> {
    let Some(rule) = views.policy.rule(payout.kind, payout.amount) else {
        reasons.push(Reason::NoRule { kind: payout.kind.word(), amount: payout.amount });
        return None;
    };
    if rule.destinations.as_ref().is_some_and(|listed| !listed.contains(&payout.destination)) {
        let destination = shown(views.vault.network, &payout.destination);
        reasons.push(Reason::DestinationNotListed { rule: rule.id.clone(), destination });
    }
    Some(rule)
}

/// Who asked and who approved; every signature is verified against this machine's own roster and digest.
pub(crate) fn people(
    roster: &Roster,
    request: Option<&Approval>,
    approvals: Option<&[Approval]>,
    asked: &[Approvals],
    digest: PayoutDigest,
    reasons: &mut Vec<Reason>,
) {
    if request.is_none() && approvals.is_none() {
        return reasons.push(Reason::NotJudged { what: "the approvals" });
    }
    let requester = match request.map(|request| request.verify(roster, REQUEST, digest.as_bytes())) {
        Some(Ok(requester)) => Some(requester),
        Some(Err(problem)) => {
            reasons.push(Reason::RequestUnsigned { problem: problem.to_string() });
            None
        }
        None => {
            reasons.push(Reason::RequestUnsigned { problem: "there is no signature".to_owned() });
            None
        }
    };
    let Some(approvals) = approvals else { return reasons.push(Reason::NotJudged { what: "the approvals" }) };
    let mut approvers: BTreeSet<PersonId> = BTreeSet::new();
    for approval in approvals {
        match approval.verify(roster, APPROVE, digest.as_bytes()) {
            Ok(person) if requester.as_ref() == Some(&person) => {
                reasons.push(Reason::RequesterApproves { person })
            }
            Ok(person) => {
                if let Some(person) = approvers.replace(person) {
                    reasons.push(Reason::ApprovalRepeated { person });
                }
            }
            Err(ApprovalError::UnknownKey { key }) => reasons.push(Reason::ApprovalUnknownKey { key }),
            Err(problem @ (ApprovalError::OtherDigest { .. } | ApprovalError::Namespace { .. })) => {
                reasons.push(Reason::ApprovalOther { problem: problem.to_string() });
            }
            Err(problem @ ApprovalError::Malformed { .. }) => {
                reasons.push(Reason::ApprovalInvalid { problem: problem.to_string() });
            }
        }
    }
    for Approvals { group, count } in asked {
        let have = roster.members(group).map_or(0, |members| members.intersection(&approvers).count());
        if have < usize::from(*count) {
            reasons.push(Reason::ApprovalsMissing { group: group.clone(), have, want: *count });
        }
    }
}

fn limits(
    views: Views<'_>,
    facts: Facts<'_>,
    payout: &Payout,
    outflow: Option<Amount>,
    reasons: &mut Vec<Reason>,
) {
    let limit = &views.policy.limit;
    // Where inputs are not proven the payout's own numbers are the least that can leave.
    let least = payout.amount.plus(payout.fee_cap).unwrap_or(Amount::new(u128::MAX));
    let outflow = outflow.unwrap_or(least).max(payout.amount);
    if outflow > limit.per_payout_max {
        reasons.push(Reason::LimitPerPayout { outflow, max: limit.per_payout_max });
    }
    let Some(standing) = facts.standing else {
        return reasons.push(Reason::NotJudged { what: "the vault's state" });
    };
    let max = limit.rolling_24h_max;
    let within_limit = standing.before.and_then(|before| before.plus(outflow)).is_some_and(|sum| sum <= max);
    if !within_limit {
        let before = standing.before.unwrap_or(Amount::new(u128::MAX));
        reasons.push(Reason::LimitRolling { before, outflow, max });
    }
    breaker(facts, reasons);
}

fn breaker(facts: Facts<'_>, reasons: &mut Vec<Reason>) {
    match facts.standing {
        Some(standing) if standing.stage == Stage::Open => {}
        Some(standing) => reasons.push(Reason::BreakerClosed { stage: standing.stage }),
        None => reasons.push(Reason::NotJudged { what: "the vault's state" }),
    }
}

fn fee(views: Views<'_>, ask: Ask<'_>, flow: Flow, reasons: &mut Vec<Reason>) {
    let limit = &views.policy.limit;
    let Some(fee) = flow.fee else { return };
    let max = limit.fee_max.min(ask.payout.fee_cap);
    if fee > max {
        reasons.push(Reason::FeeAboveCap { fee, max });
    }
    let vsize = u128::try_from(vsize_signed(views, ask.tx)).unwrap_or(u128::MAX);
    // Compared as products, so that no rounding decides; the shown rate is rounded up.
    let paid = fee.units().checked_mul(1000);
    let allowed = limit.fee_rate_max.units().checked_mul(vsize);
    if paid.zip(allowed).is_none_or(|(paid, allowed)| paid > allowed) {
        let rate = Amount::new(paid.unwrap_or(u128::MAX).div_ceil(vsize.max(1)));
        reasons.push(Reason::FeeRateAboveCap { rate, max: limit.fee_rate_max });
    }
}

/// Outpoint, empty script and sequence: 41 bytes at four weight units each.
const INPUT_WEIGHT_BARE: usize = 164;

/// The virtual size with all signatures: as it is if every input has one, else with the largest that the descriptor
/// can need.
#[must_use]
pub fn vsize_signed(views: Views<'_>, tx: &Tx) -> usize {
    let bare = |input: &&TxIn| input.script_sig.is_empty() && input.witness.is_empty();
    let missing = tx.inputs.iter().filter(bare).count();
    if missing == 0 {
        return tx.vsize();
    }
    let each = views.vault.descriptor.input_weight_max().saturating_sub(INPUT_WEIGHT_BARE);
    // Marker and flag weigh two where no input has a witness yet.
    tx.weight().saturating_add(2).saturating_add(each.saturating_mul(missing)).div_ceil(4)
}

fn evacuation(
    views: Views<'_>,
    facts: Facts<'_>,
    payout: &Payout,
    fee: Option<Amount>,
    reasons: &mut Vec<Reason>,
) {
    let Some(order) = &views.policy.evacuation else {
        return reasons.push(Reason::EvacuationNotOrdered {
            problem: "the policy has no order to evacuate this vault",
        });
    };
    if payout.destination != order.destination {
        reasons.push(Reason::EvacuationNotOrdered {
            problem: "the destination is not the one of the standing order",
        });
    }
    let Some(standing) = facts.standing else {
        return reasons.push(Reason::NotJudged { what: "the vault's state" });
    };
    if standing.stage == Stage::Open {
        let problem = "nothing was tripped, withdrawals are open".to_owned();
        reasons.push(Reason::EvacuationNoEvidence { problem });
    }
    if let Err(problem) = &standing.evidence {
        reasons.push(Reason::EvacuationNoEvidence { problem: problem.clone() });
    }
    let max = order.fee_max.less(standing.evacuation_fees).unwrap_or(Amount::ZERO).min(payout.fee_cap);
    if let Some(fee) = fee.filter(|fee| *fee > max) {
        reasons.push(Reason::FeeAboveCap { fee, max });
    }
}

/// Exactly once: a payout that has ended is over, and a new transaction must conflict with every earlier one.
fn once(facts: Facts<'_>, tx: &Tx, reasons: &mut Vec<Reason>) {
    let Some(standing) = facts.standing else { return };
    if let Some(status) = standing.ended {
        reasons.push(Reason::PayoutEnded { status });
    }
    let spent: BTreeSet<OutPoint> = tx.inputs.iter().map(|input| input.prev).collect();
    let txid = unsigned_id(tx);
    for (earlier, inputs) in &standing.earlier {
        if *earlier != txid && !inputs.iter().any(|input| spent.contains(input)) {
            reasons.push(Reason::TransactionOther { earlier: earlier.to_string() });
        }
    }
}
