//! What a hostile writer puts into its log.

use std::collections::BTreeSet;

use kuraban_base::{Amount, PayoutId, Txid};
use kuraban_chain::btc::{Branch as Chain, Mweb, OutPoint, Script, Tx, TxIn, TxOut};
use kuraban_vault::{
    Payout, PayoutKind,
    body::{Body, Evidence},
    coordinator::Ask,
    fold::unsigned_id,
    receipt::Receipt,
    statement::Signed,
};

use super::{Plot, Rogue};
use crate::world::{
    node::OwnCoin,
    people::Plan,
    random::Random,
    realm::{self, Machine, realm, stranger},
};

impl Rogue {
    /// A turn's worth of writing: one branch, a few entries, a head when the last one has its quorum.
    pub(super) fn write(&mut self, plans: &[Plan], coins: &[OwnCoin], random: &mut Random) {
        if self.forks && self.branches.len() < 2 && random.one_in(60) {
            let fork = self.branches.first().map(super::Branch::fork);
            self.branches.extend(fork);
        }
        for index in 0..self.branches.len() {
            if random.one_in(2) {
                self.log_wishes(index, random);
            }
            if random.one_in(2) {
                self.log_receipts(index, random);
            }
            if self.hoards || random.one_in(4) {
                self.plot(index, plans, coins, random);
            }
            if !self.hoards && random.one_in(25) {
                self.lie(index, plans, coins, random);
            }
            let now = self.now;
            if let Some(branch) = self.branches.get_mut(index)
                && (branch.met() || random.one_in(20))
            {
                branch.cut(&self.stolen, now);
            }
        }
    }

    /// What people asked for, as honest writers do it; now and then something is left out.
    fn log_wishes(&mut self, index: usize, random: &mut Random) {
        let Some(branch) = self.branches.get_mut(index) else { return };
        for ask in &self.heard {
            let body = match ask.clone() {
                Ask::Request { payout, request, key } => {
                    Body::PayoutRequested { payout, key, request: Some(request), evidence: None }
                }
                Ask::Approve { payout, approval } => {
                    let known = branch
                        .fold
                        .payout(&payout)
                        .is_some_and(|record| record.approvals.contains(&approval));
                    // A stranger's approval spoils the payout for ever, so it is rarely of use.
                    let useless = realm().charter.roster().holder(approval.key()).is_none();
                    if known || (useless && !random.one_in(30)) {
                        continue;
                    }
                    Body::PayoutApproved { payout, approval }
                }
                Ask::Reset { cells, epoch, approvals } => Body::BreakerReset { cells, epoch, approvals },
                Ask::Resume { signer, seq, approvals } => Body::SignerResumed { signer, seq, approvals },
                Ask::Publish { publication, approval } => Body::Published { publication, approval },
            };
            if !random.one_in(6) {
                branch.append(self.now, body, random);
            }
        }
    }

    fn log_receipts(&mut self, index: usize, random: &mut Random) {
        let claims = self.receipts.iter().map(Signed::claim_unverified);
        let held: BTreeSet<PayoutId> =
            claims.filter(|claim| self.holds_back(claim)).map(|claim| claim.payout.clone()).collect();
        let Some(branch) = self.branches.get_mut(index) else { return };
        for receipt in &self.receipts {
            let claim = receipt.claim_unverified();
            let known = branch
                .fold
                .payout(&claim.payout)
                .is_some_and(|record| record.receipts.iter().any(|logged| logged.receipt == *claim));
            let hold = held.contains(&claim.payout) && !random.one_in(40);
            if !known && !hold && !random.one_in(4) {
                branch.append(self.now, Body::PayoutReceipt(receipt.clone()), random);
            }
        }
    }

    /// A transaction for some payout: right, wrong, or a second one.
    fn plot(&mut self, index: usize, plans: &[Plan], coins: &[OwnCoin], random: &mut Random) {
        let Some(plan) = random.pick(plans) else { return };
        let Some(record) = self.branches.get(index).and_then(|branch| branch.fold.payout(&plan.payout.id))
        else {
            return;
        };
        let (drafts, approvals) = (record.drafts.len(), record.approvals.len());
        if drafts >= if self.hoards { 1 } else { 4 } || (approvals == 0 && !random.one_in(6)) {
            return;
        }
        let payout = plan.payout.clone();
        let altered = !self.hoards && random.one_in(3);
        self.assemble(index, &payout, coins, altered, random);
    }

    fn assemble(
        &mut self,
        index: usize,
        payout: &Payout,
        coins: &[OwnCoin],
        altered: bool,
        random: &mut Random,
    ) -> Option<()> {
        let fee_sat = random.within(1500, 5000);
        let value_sat = payout.amount.to_u64()?;
        let need = value_sat.checked_add(fee_sat)?.checked_add(1000)?;
        let fits: Vec<&OwnCoin> = coins.iter().filter(|coin| coin.output.value_sat >= need).collect();
        let coin = *random.pick(&fits)?;
        let branch = self.branches.get(index)?;
        let next = branch.fold.scripts(&realm().vault)?.change_next();
        let script = realm().descriptor.script_at(Chain::Change, next).ok()?;
        let change =
            TxOut { value_sat: coin.output.value_sat.checked_sub(value_sat)?.checked_sub(fee_sat)?, script };
        let payment = TxOut { value_sat, script: payout.destination.clone() };
        let mut tx = unsigned(&[coin.outpoint], vec![payment, change]);
        let mut spent = vec![coin];
        if altered {
            alter(&mut tx, &mut spent, coins, random);
        }
        let (txid, now) = (unsigned_id(&tx), self.now);
        let assembled = Body::PayoutAssembled { payout: payout.id.clone(), tx: tx.encode() };
        if self.branches.get_mut(index)?.append(now, assembled.clone(), random) {
            // The other branch may have it too.
            for (other, branch) in self.branches.iter_mut().enumerate() {
                if other != index && random.one_in(2) {
                    branch.append(now, assembled.clone(), random);
                }
            }
            let prevs = spent.iter().map(|coin| coin.tx.to_vec()).collect();
            let spent = spent.iter().map(|coin| coin.output.clone()).collect();
            let plot = Plot { payout: payout.id.clone(), tx, spent, prevs, right: !altered };
            self.plots.insert(txid, plot);
            self.forge_receipt(payout, txid, random);
            self.shares.entry(txid).or_default();
            self.combine(txid, random);
        }
        Some(())
    }

    /// A receipt with the stolen key, for whatever it is.
    fn forge_receipt(&mut self, payout: &Payout, txid: Txid, random: &mut Random) {
        let Some(stolen) = random.pick(&self.stolen).map(|n| Machine::Signer(*n)) else { return };
        if !random.one_in(3) {
            return;
        }
        let seq = u64::try_from(self.receipts.len()).unwrap_or_default();
        let receipt = Receipt {
            by: stolen.id(),
            payout: payout.id.clone(),
            digest: payout.digest(&realm().charter.context()),
            txid,
            outflow: payout.amount,
            seq,
            at: self.now,
        };
        self.receipts.push(Signed::sign(receipt, &realm::statement(stolen)));
    }

    /// An entry that says what is not so.
    fn lie(&mut self, index: usize, plans: &[Plan], coins: &[OwnCoin], random: &mut Random) {
        let Some(plan) = random.pick(plans) else { return };
        let id = plan.payout.id.clone();
        let now = self.now;
        match random.below(7) {
            0 => self.invent(index, plan, coins, random),
            1 => self.cry_theft(index, coins, random),
            2 => {
                // Approvals of one payout under another.
                let other = random.pick(plans).map(|other| other.payout.id.clone());
                let given = self.heard.iter().find_map(|ask| match ask {
                    Ask::Approve { payout, approval } if *payout == id => Some(approval.clone()),
                    Ask::Approve { .. }
                    | Ask::Request { .. }
                    | Ask::Reset { .. }
                    | Ask::Resume { .. }
                    | Ask::Publish { .. } => None,
                });
                if let Some((payout, approval)) = other.zip(given).filter(|(other, _)| *other != id) {
                    self.say_in(index, Body::PayoutApproved { payout, approval }, random);
                }
            }
            3 => self.say_in(index, Body::PayoutExpired { payout: id }, random),
            4 => {
                let txid = Txid::from_bytes(random.bytes());
                self.say_in(index, Body::PayoutCancelled { payout: id, txid }, random);
            }
            5 => {
                let drafted = self.plots.iter().find(|(_, plot)| plot.payout == id).map(|(txid, _)| *txid);
                if let Some(txid) = drafted {
                    let height = kuraban_base::Height::new(110);
                    self.say_in(index, Body::PayoutConfirmed { payout: id, txid, height }, random);
                }
            }
            _ => {
                // What does not follow at all spoils every witness that folds it, so it is kept for the second branch.
                if let Some(branch) = self.branches.get_mut(index).filter(|_| index > 0 && random.one_in(4)) {
                    branch.push(now, &Body::PayoutExpired { payout: realm::sure("nobody".parse()) }, random);
                }
            }
        }
    }

    /// Rare, because each of these ends a payout and so the chance to abuse it.
    fn say_in(&mut self, index: usize, body: Body, random: &mut Random) {
        let now = self.now;
        if let Some(branch) = self.branches.get_mut(index).filter(|_| random.one_in(4)) {
            branch.append(now, body, random);
        }
    }

    /// A payout that nobody wants, on the strength of signatures for another.
    fn invent(&mut self, index: usize, plan: &Plan, coins: &[OwnCoin], random: &mut Random) {
        let asks = self.heard.iter().filter_map(|ask| match ask {
            Ask::Request { payout, request, .. } if payout.id == plan.payout.id => {
                Some((request.clone(), None))
            }
            Ask::Approve { payout, approval } if *payout == plan.payout.id => {
                Some((approval.clone(), Some(())))
            }
            Ask::Approve { .. }
            | Ask::Request { .. }
            | Ask::Reset { .. }
            | Ask::Resume { .. }
            | Ask::Publish { .. } => None,
        });
        let (approvals, requests): (Vec<_>, Vec<_>) = asks.partition(|(_, approval)| approval.is_some());
        let Some((request, _)) = requests.into_iter().next() else { return };
        let number = random.below(1000);
        let mut payout = plan.payout.clone();
        payout.id = realm::sure(format!("x{number}").parse::<PayoutId>());
        payout.destination = stranger("rogue");
        let (id, now, key) = (payout.id.clone(), self.now, payout.id.to_string());
        let Some(branch) = self.branches.get_mut(index) else { return };
        let body =
            Body::PayoutRequested { payout: payout.clone(), key, request: Some(request), evidence: None };
        if branch.append(now, body, random) {
            for (approval, _) in approvals {
                branch.append(now, Body::PayoutApproved { payout: id.clone(), approval }, random);
            }
            self.assemble(index, &payout, coins, false, random);
        }
    }

    /// An evacuation without a theft: the evidence is a payment that everybody wanted, or one that nobody signed.
    fn cry_theft(&mut self, index: usize, coins: &[OwnCoin], random: &mut Random) {
        let plots: Vec<_> = self.plots.values().collect();
        let Some(plot) = random.pick(&plots) else { return };
        let shares = self
            .shares
            .get(&unsigned_id(&plot.tx))
            .map(|shares| shares.values().cloned().collect::<Vec<_>>());
        let tx = shares
            .and_then(|shares| realm().combine(&plot.tx, &plot.spent, &shares))
            .unwrap_or_else(|| plot.tx.clone());
        let evidence = Evidence { tx: tx.encode(), prevs: plot.prevs.clone() };
        let Some(coin) = random.pick(coins) else { return };
        let fee_sat = random.within(1000, 50_000);
        let Some(value_sat) = coin.output.value_sat.checked_sub(fee_sat) else { return };
        let id: PayoutId = realm::sure(format!("evacuation-{}", random.below(1000)).parse());
        let script = if random.one_in(2) { realm().cold.clone() } else { stranger("rogue") };
        let payout = Payout {
            id: id.clone(),
            kind: PayoutKind::Evacuation,
            network: realm::NETWORK,
            vault: realm().vault.clone(),
            destination: script.clone(),
            memo: None,
            amount: Amount::from(value_sat),
            fee_cap: Amount::from(fee_sat),
            not_before: realm::START,
            expiry: realm::START.plus_ms(86_400_000),
        };
        let tx = unsigned(&[coin.outpoint], vec![TxOut { value_sat, script }]);
        let (now, key) = (self.now, id.to_string());
        let Some(branch) = self.branches.get_mut(index) else { return };
        let body = Body::PayoutRequested { payout, key, request: None, evidence: Some(evidence) };
        let assembled = Body::PayoutAssembled { payout: id.clone(), tx: tx.encode() };
        if branch.append(now, body, random) && branch.append(now, assembled, random) {
            let (spent, prevs) = (vec![coin.output.clone()], vec![coin.tx.to_vec()]);
            self.plots.insert(unsigned_id(&tx), Plot { payout: id, tx, spent, prevs, right: false });
        }
    }
}

/// Makes a right transaction a wrong one.
fn alter<'a>(tx: &mut Tx, spent: &mut Vec<&'a OwnCoin>, coins: &'a [OwnCoin], random: &mut Random) {
    let own = || realm().own.keys().next().cloned().unwrap_or_default();
    let choice = random.below(10);
    let [payment, change] = tx.outputs.as_mut_slice() else { return };
    match choice {
        0 => payment.script = stranger("rogue"),
        1 => payment.value_sat = payment.value_sat.saturating_sub(1),
        2 => {
            payment.value_sat = payment.value_sat.saturating_add(500);
            change.value_sat = change.value_sat.saturating_sub(500);
        }
        3 => change.script = stranger("rogue"),
        4 => {
            let value_sat = change.value_sat / 2;
            change.value_sat = change.value_sat.saturating_sub(value_sat);
            let script = stranger("rogue");
            tx.outputs.push(TxOut { value_sat, script });
        }
        5 => change.script = own(),
        6 => {
            tx.outputs.truncate(1);
        }
        7 => tx.lock_time = 500,
        8 => {
            if let Some(input) = tx.inputs.first().cloned() {
                tx.inputs.push(input);
                spent.extend(spent.first().copied());
            }
        }
        _ => {
            // One coin more, all of which goes to the fee.
            if let Some(coin) =
                random.pick(coins).filter(|coin| spent.iter().all(|own| own.outpoint != coin.outpoint))
            {
                tx.inputs.extend(unsigned(&[coin.outpoint], Vec::new()).inputs);
                spent.push(coin);
            }
        }
    }
}

fn unsigned(inputs: &[OutPoint], outputs: Vec<TxOut>) -> Tx {
    let input = |prev: &OutPoint| TxIn {
        prev: *prev,
        script_sig: Script::default(),
        sequence: 0xffff_fffd,
        witness: Vec::new(),
    };
    Tx { version: 2, inputs: inputs.iter().map(input).collect(), outputs, lock_time: 0, mweb: Mweb::None }
}
