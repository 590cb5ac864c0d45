//! What must never happen. The oracle knows what people really signed, because they are simulated too, and compares it
//! with every answer, disk and block. It verifies no signature and reads no policy: it uses nothing of what it checks.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Digest, PayoutId, Txid};
use kuraban_chain::btc::{Branch, Tx, TxOut};
use kuraban_vault::{Payout, receipt::Receipt, signer::LEASE_MS_MAX, wire::LogEntry};

use super::{
    Mode, Rule, Violation,
    node::Node,
    people::People,
    realm::{EVACUATION_FEE_SAT, FEE_MAX_SAT, Machine, QUORUM, ROLLING_SAT, SMALL_SAT, THRESHOLD, realm},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a receipt is good for, and how far the clocks that say so may be apart.
const RECEIPT_MS: u64 = 10 * 60 * 1000;
const CLOCKS_APART_MS: u64 = 30_000;

/// What a transaction takes out of the vault.
fn outflow_sat(tx: &Tx, node: &Node) -> u64 {
    let spent = tx.inputs.iter().filter_map(|input| node.own(&input.prev)).map(|coin| coin.output.value_sat);
    let back = tx.outputs.iter().filter(|output| realm().own.contains_key(&output.script));
    spent.sum::<u64>().saturating_sub(back.map(|output| output.value_sat).sum())
}

/// What people want of one payout.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) payout: Payout,
    requested: bool,
    /// Who approved exactly this payout, and did not request it.
    approved: BTreeSet<u8>,
}

impl Truth {
    /// Whether so many people want it that it may be paid.
    pub(super) fn wanted(&self) -> bool {
        let needed = if self.payout.amount.units() <= u128::from(SMALL_SAT) { 1 } else { 2 };
        self.requested && self.approved.len() >= needed
    }
}

/// A spend that people did not want.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theft {
    pub(super) seen_ms: u64,
    pub(super) alarmed: bool,
}

/// The oracle.
pub(super) struct Oracle {
    mode: Mode,
    traitor: Option<u8>,
    pub(super) truths: BTreeMap<PayoutId, Truth>,
    violations: Vec<Violation>,
    /// Per honest witness, a running digest of its copy of the log: one per size from 0.
    copies: BTreeMap<Machine, Vec<Digest>>,
    /// Who co-signed which log at which size.
    cosigned: BTreeMap<(u64, Digest), BTreeSet<Machine>>,
    /// The longest log that a quorum co-signed.
    trunk: Vec<Digest>,
    receipts: BTreeMap<u8, BTreeMap<u64, (PayoutId, Txid, u64)>>,
    released: BTreeMap<PayoutId, BTreeMap<Txid, (Tx, BTreeSet<u8>)>>,
    /// The highest number of a receipt on which a signer released.
    used: BTreeMap<u8, u64>,
    /// Signers whose disks were set back behind that.
    forgetful: BTreeSet<u8>,
    /// When enough signatures for a payout were out, and what they let leave.
    left: BTreeMap<PayoutId, (u64, u64)>,
    pub(super) thefts: BTreeMap<Txid, Theft>,
    /// Transactions known to be what people wanted.
    fine: BTreeSet<Txid>,
    pub(super) tripped_ms: Option<u64>,
    trips_taken: BTreeSet<u8>,
    reset: bool,
    evacuation_seen: bool,
}

impl Oracle {
    pub(super) fn new(mode: Mode, people: &People, traitor: Option<u8>) -> Self {
        let truth =
            |payout: &Payout| Truth { payout: payout.clone(), requested: false, approved: BTreeSet::new() };
        Self {
            mode,
            traitor,
            truths: people.plans.iter().map(|plan| (plan.payout.id.clone(), truth(&plan.payout))).collect(),
            violations: Vec::new(),
            copies: BTreeMap::new(),
            cosigned: BTreeMap::new(),
            trunk: vec![Digest::sha256(&[])],
            receipts: BTreeMap::new(),
            released: BTreeMap::new(),
            used: BTreeMap::new(),
            forgetful: BTreeSet::new(),
            left: BTreeMap::new(),
            thefts: BTreeMap::new(),
            fine: BTreeSet::new(),
            tripped_ms: None,
            trips_taken: BTreeSet::new(),
            reset: false,
            evacuation_seen: false,
        }
    }

    pub(super) fn violate(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    pub(super) fn first(&self) -> Option<Violation> {
        self.violations.first().cloned()
    }

    fn broken(&mut self, rule: Rule, now_ms: u64, detail: String) {
        self.violate(Violation { rule, detail, at_ms: now_ms });
    }

    // What people do.

    pub(super) fn requests(&mut self, payout: &PayoutId) {
        if let Some(truth) = self.truths.get_mut(payout) {
            truth.requested = true;
        }
    }

    pub(super) fn approves(&mut self, payout: &PayoutId, person: u8) {
        if let Some(truth) = self.truths.get_mut(payout) {
            truth.approved.insert(person);
        }
    }

    pub(super) fn resets(&mut self) {
        self.reset = true;
    }

    /// Whether an evacuation must be under way by now; true once, and never after people opened the breaker.
    pub(super) fn evacuation_due(&mut self, now_ms: u64, within_ms: u64) -> bool {
        let over = self.tripped_ms.is_some_and(|at_ms| now_ms > at_ms.saturating_add(within_ms));
        over && !core::mem::replace(&mut self.evacuation_seen, true) && !self.reset
    }

    // Witnesses.

    /// An honest witness has these entries on its disk.
    pub(super) fn folds(&mut self, witness: Machine, from: u64, entries: &[LogEntry]) {
        let copy = self.copies.entry(witness).or_insert_with(|| vec![Digest::sha256(&[])]);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        copy.truncate(from.saturating_add(1));
        for entry in entries {
            let before = copy.last().copied().unwrap_or(Digest::sha256(&[]));
            copy.push(Digest::sha256(&[before.as_bytes(), &entry.entry]));
        }
    }

    /// An honest witness lets a cosignature out.
    pub(super) fn cosigns(&mut self, witness: Machine, size: u64, now_ms: u64) {
        let at = usize::try_from(size).unwrap_or(usize::MAX);
        let copy = self.copies.get(&witness).cloned().unwrap_or_default();
        let Some(digest) = copy.get(at).copied() else {
            return self.broken(
                Rule::Fork,
                now_ms,
                format!("{} co-signs {size} entries it has not", witness.id()),
            );
        };
        let by = self.cosigned.entry((size, digest)).or_default();
        by.insert(witness);
        // The traitor co-signs everything.
        let count = by.len().saturating_add(usize::from(self.traitor.is_some()));
        if count < QUORUM {
            return;
        }
        let common = at.min(self.trunk.len().saturating_sub(1));
        if copy.get(common) != self.trunk.get(common) {
            let size = self.trunk.len().saturating_sub(1);
            let detail = format!("a log of {at} entries and another of {size} have a quorum each");
            return self.broken(Rule::Fork, now_ms, detail);
        }
        if at >= self.trunk.len() {
            self.trunk = copy.into_iter().take(at.saturating_add(1)).collect();
        }
    }

    // Signers.

    /// An honest signer's disk is set back to its receipt of this number. What it gave after that and released nothing on is
    /// forgotten by all.
    pub(super) fn set_back(&mut self, signer: u8, seq: u64) {
        self.receipts.entry(signer).or_default().retain(|number, _| *number <= seq);
        if self.used.get(&signer).is_some_and(|used| *used > seq) {
            self.forgetful.insert(signer);
        }
    }

    fn remembers(&mut self, signer: u8, does: &str, now_ms: u64) {
        if self.forgetful.contains(&signer) {
            self.broken(Rule::ForgetfulSigner, now_ms, format!("signer-{signer} {does}"));
        }
    }

    /// An honest signer gives a receipt.
    pub(super) fn receipt(&mut self, signer: u8, receipt: &Receipt, now_ms: u64) {
        self.remembers(signer, "gives a receipt", now_ms);
        let given = self.receipts.entry(signer).or_default();
        let what = (receipt.payout.clone(), receipt.txid, now_ms);
        let same = |earlier: &(PayoutId, Txid, u64)| (&earlier.0, earlier.1) == (&what.0, what.1);
        let young = |earlier: &(PayoutId, Txid, u64)| {
            now_ms.saturating_sub(earlier.2) < RECEIPT_MS.saturating_sub(CLOCKS_APART_MS)
        };
        let highest = given.keys().next_back().copied().unwrap_or_default();
        let problem = match given.get(&receipt.seq) {
            Some(earlier) if same(earlier) => None,
            Some(earlier) => Some(format!("number {} is for {} and for {}", receipt.seq, earlier.0, what.0)),
            None if receipt.seq != highest.saturating_add(1) => {
                Some(format!("number {} follows {highest}", receipt.seq))
            }
            None if given.values().any(|earlier| same(earlier) && young(earlier)) => {
                Some(format!("{} has a second number, {}, too soon", what.0, receipt.seq))
            }
            None => None,
        };
        given.entry(receipt.seq).or_insert(what);
        if let Some(problem) = problem {
            self.broken(Rule::ReceiptNumber, now_ms, format!("signer-{signer}: {problem}"));
        }
    }

    /// An honest signer says that it has taken a trip.
    pub(super) fn trip_taken(&mut self, signer: u8) {
        self.trips_taken.insert(signer);
    }

    /// An honest signer lets signatures out.
    pub(super) fn released(&mut self, signer: u8, id: &PayoutId, tx: &Tx, node: &Node, now_ms: u64) {
        self.remembers(signer, "signs", now_ms);
        let of_tx = |given: &(PayoutId, Txid, u64)| (&given.0, given.1) == (id, tx.txid());
        let given = self.receipts.get(&signer).into_iter().flatten().filter(|(_, given)| of_tx(given));
        if let Some(seq) = given.map(|(seq, _)| *seq).max() {
            let used = self.used.entry(signer).or_default();
            *used = seq.max(*used);
        }
        if let Err(problem) = self.wanted(id, tx, node) {
            return self.broken(
                Rule::Unapproved,
                now_ms,
                format!("signer-{signer} signs for {id}: {problem}"),
            );
        }
        let evacuation = !self.truths.contains_key(id);
        if let (Some(at_ms), false, false) = (self.tripped_ms, evacuation, self.reset) {
            // A lease from just before the trip may still be good where the trip has not arrived.
            let late = now_ms > at_ms.saturating_add(LEASE_MS_MAX);
            if late || self.trips_taken.contains(&signer) {
                let detail = format!("signer-{signer} signs for {id}, tripped at {at_ms} ms");
                return self.broken(Rule::SignedAfterTrip, now_ms, detail);
            }
        }
        let of_payout = self.released.entry(id.clone()).or_default();
        of_payout.entry(tx.txid()).or_insert_with(|| (tx.clone(), BTreeSet::new())).1.insert(signer);
        let stolen = usize::from(self.traitor.is_some());
        let payable = of_payout.values().filter(|(_, by)| by.len().saturating_add(stolen) >= THRESHOLD);
        let payable: Vec<&Tx> = payable.map(|(tx, _)| tx).collect();
        let exclude = |a: &Tx, b: &Tx| {
            a.inputs.iter().any(|input| b.inputs.iter().any(|other| other.prev == input.prev))
        };
        let pair = payable.iter().enumerate().find_map(|(at, a)| {
            let other = payable.iter().skip(at.saturating_add(1)).find(|b| !exclude(a, b))?;
            Some((a.txid(), other.txid()))
        });
        let outflow_sat = payable.iter().map(|tx| outflow_sat(tx, node)).max();
        if let Some((a, b)) = pair {
            self.broken(Rule::PayableTwice, now_ms, format!("{id} can be paid by {a} and by {b}"));
        }
        if let (Some(outflow_sat), false) = (outflow_sat, evacuation) {
            self.leaves(id, outflow_sat, now_ms);
        }
    }

    /// Enough signatures for a payout are out.
    fn leaves(&mut self, id: &PayoutId, outflow_sat: u64, now_ms: u64) {
        self.left.entry(id.clone()).or_insert((now_ms, outflow_sat));
        let recent = self.left.values().filter(|(at_ms, _)| now_ms.saturating_sub(*at_ms) < DAY_MS);
        let sum_sat = recent.fold(0_u64, |sum, (_, outflow_sat)| sum.saturating_add(*outflow_sat));
        if sum_sat > ROLLING_SAT {
            let detail = format!("{sum_sat} can leave within 24 hours, at most {ROLLING_SAT} may");
            self.broken(Rule::LimitExceeded, now_ms, detail);
        }
    }

    // Coins.

    /// Whether people want exactly this transaction for this payout.
    fn wanted(&self, id: &PayoutId, tx: &Tx, node: &Node) -> Result<(), String> {
        let mut spent = 0_u64;
        for input in &tx.inputs {
            let coin =
                node.own(&input.prev).ok_or_else(|| format!("input {} is not the vault's", input.prev))?;
            spent = spent.saturating_add(coin.output.value_sat);
        }
        let fee = spent.checked_sub(tx.output_sum_sat()).ok_or("it makes coins")?;
        let Some(truth) = self.truths.get(id) else {
            return self.evacuates(tx, fee);
        };
        if !truth.wanted() {
            return Err("too few people want it".to_owned());
        }
        let pays = |output: &&TxOut| {
            output.script == truth.payout.destination
                && Some(output.value_sat) == truth.payout.amount.to_u64()
        };
        let (paid, rest): (Vec<&TxOut>, Vec<&TxOut>) = tx.outputs.iter().partition(pays);
        let change = |output: &&TxOut| matches!(realm().own.get(&output.script), Some((Branch::Change, _)));
        match () {
            () if paid.len() != 1 => Err(format!("{} outputs pay what was asked for", paid.len())),
            () if rest.len() > 1 || !rest.iter().all(change) => {
                Err("an output is neither payment nor change".to_owned())
            }
            () if u128::from(fee) > truth.payout.fee_cap.units() || fee > FEE_MAX_SAT => {
                Err(format!("the fee is {fee}"))
            }
            () => Ok(()),
        }
    }

    fn evacuates(&self, tx: &Tx, fee: u64) -> Result<(), String> {
        match () {
            () if self.thefts.is_empty() => Err("nobody asked for it and nothing was stolen".to_owned()),
            () if tx.outputs.iter().any(|output| output.script != realm().cold) => {
                Err("it evacuates to a stranger".to_owned())
            }
            () if fee > EVACUATION_FEE_SAT => Err(format!("the evacuation's fee is {fee}")),
            () => Ok(()),
        }
    }

    /// A transaction that spends the vault's coins is in the mempool or in a block.
    pub(super) fn spends(&mut self, tx: &Tx, node: &Node, stolen: bool, now_ms: u64) {
        let txid = tx.txid();
        if self.fine.contains(&txid) || self.thefts.contains_key(&txid) {
            return;
        }
        let evacuation = self.evacuates(tx, 0).is_ok();
        if evacuation || self.truths.keys().any(|id| self.wanted(id, tx, node).is_ok()) {
            self.fine.insert(txid);
            return;
        }
        self.thefts.insert(txid, Theft { seen_ms: now_ms, alarmed: false });
        if !stolen {
            self.broken(Rule::Unapproved, now_ms, format!("{txid} spends the vault's coins as nobody wants"));
        }
    }

    /// The watcher raised an alarm over a transaction and tripped.
    pub(super) fn alarmed(&mut self, txid: Txid, now_ms: u64) {
        match self.thefts.get_mut(&txid) {
            Some(theft) => theft.alarmed = true,
            // Under a hostile writer or signer a wanted payment may still lack receipts: stopping is right then.
            None if self.mode.rogue() => {}
            None => self.broken(Rule::StoppedInVain, now_ms, format!("{txid} is what people wanted")),
        }
        self.tripped_ms = self.tripped_ms.or(Some(now_ms));
    }

    /// Whether the chain pays some payout twice.
    pub(super) fn confirmed(&mut self, node: &Node, now_ms: u64) {
        let mut paid: BTreeMap<&PayoutId, Vec<Txid>> = BTreeMap::new();
        for tx in node.blocks().flat_map(|(_, block)| &block.txs).filter(|tx| node.spends_vault(tx)) {
            for (id, truth) in &self.truths {
                let pays = |output: &TxOut| output.script == truth.payout.destination;
                let count = tx.outputs.iter().filter(|output| pays(output)).count();
                paid.entry(id).or_default().extend(core::iter::repeat_n(tx.txid(), count));
            }
        }
        let twice = paid.into_iter().find(|(_, txids)| txids.len() > 1);
        if let Some((id, txids)) = twice {
            let detail = format!("{id} is paid by {txids:?}");
            self.broken(Rule::PaidTwice, now_ms, detail);
        }
    }
}
