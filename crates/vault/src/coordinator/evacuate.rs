//! Alarms and evacuation: an alarm with evidence of a theft makes the writer move what is left of the vault to where the
//! policy's standing order says. Signers verify the evidence themselves; nobody approves in the middle of a theft.

use std::collections::BTreeSet;

use kuraban_base::{Amount, Instant, PayoutId, Txid, VaultId};
use kuraban_chain::btc::{OutPoint, TxOut};

use super::{
    Coin, Coordinator,
    assemble::{fitting, unsigned},
};
use crate::{
    body::{Alarm, Body, Evidence},
    breaker::Trip,
    explain,
    fold::{Record, Status},
    judge::{CLOCKS_APART_MAX_MS, dust_min},
    payout::{Payout, PayoutKind},
    statement::Signed,
};

/// How long an evacuation may take before a new one is made, in milliseconds: the fee race is over by then.
const VALID_MS: u64 = 24 * 60 * 60 * 1000;

impl Coordinator {
    /// Logs a watcher's alarm and the trip that it caused, once, and evacuates what the alarm exposes.
    pub(super) fn alarm(
        &mut self,
        now: Instant,
        alarm: Signed<Alarm>,
        trip: Option<Signed<Trip>>,
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) {
        let claim = alarm.claim_unverified();
        let known = |other: &Alarm| {
            other.by == claim.by && other.rule == claim.rule && other.subject == claim.subject
        };
        let known = self.fold.alarms().iter().any(known);
        if !known && self.append(now, Body::AlarmRaised(alarm), fresh).is_err() {
            return;
        }
        let news = |trip: &Signed<Trip>| !self.fold.has_trip(trip.claim_unverified());
        if let Some(trip) = trip.filter(news) {
            // A trip that does not verify comes from outside and is dropped; the alarm stands without it.
            drop(self.append(now, Body::BreakerTripped(trip), fresh));
        }
        self.evacuate_all(now, fresh);
    }

    /// Evacuates every vault that an alarm's evidence exposes, as far as it holds coins that are free to move.
    pub(super) fn evacuate_all(&mut self, now: Instant, fresh: &mut dyn FnMut() -> [u8; 32]) {
        let mut exposed: Vec<(VaultId, Evidence, Txid)> = Vec::new();
        for alarm in self.fold.alarms() {
            let Some(evidence) = &alarm.evidence else { continue };
            let ordered = self.fold.charter().vaults().filter(|(_, policy)| policy.evacuation.is_some());
            for (vault, _) in ordered.filter(|(vault, _)| vault.network.asset() == alarm.asset) {
                let known = exposed.iter().any(|(id, _, _)| *id == vault.id);
                let cell = (crate::breaker::Service::Withdrawal, vault.network.asset());
                if known || self.fold.breaker().stage(cell) == crate::breaker::Stage::Open {
                    continue;
                }
                if explain::theft(&self.fold, &vault.id, evidence).is_ok()
                    && let Ok((tx, _)) = explain::decode(vault.network, evidence)
                {
                    exposed.push((vault.id.clone(), evidence.clone(), tx.txid()));
                }
            }
        }
        for (vault, evidence, txid) in exposed {
            // Apart: those that nobody bids for yet, then those that a theft spends already.
            for _ in 0..2 {
                self.evacuate(now, &vault, &evidence, txid, fresh);
            }
        }
    }

    fn evacuate(
        &mut self,
        now: Instant,
        vault: &VaultId,
        evidence: &Evidence,
        theft: Txid,
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) -> Option<()> {
        let stem = theft.to_string().chars().take(16).collect::<String>();
        let of_vault =
            |record: &&Record| record.payout.kind == PayoutKind::Evacuation && record.payout.vault == *vault;
        let earlier: Vec<&Record> = self.fold.payouts().filter(of_vault).collect();
        let id: PayoutId = format!("evacuation-{stem}-{}", earlier.len()).parse().ok()?;
        let (own, policy) = self.fold.charter().vault(vault)?;
        let order = policy.evacuation.clone()?;
        let fees = earlier.iter().filter(|record| record.status != Status::Expired);
        let committed = Amount::sum(fees.map(|record| record.payout.fee_cap))?;
        // Half of what is left goes into each race: a thief with the same keys bids against us until a block decides, and
        // coins that are still to come, such as his change, must be raced for too.
        let budget = Amount::new(order.fee_max.less(committed)?.units() / 2);
        let coins = self.next_coins(vault);
        let sum = Amount::sum(coins.iter().map(|coin| Amount::from(coin.output.value_sat)))?;
        let amount = sum.less(budget).filter(|amount| *amount >= dust_min(own.network))?;
        if budget == Amount::ZERO {
            return None;
        }
        let payout = Payout {
            id: id.clone(),
            kind: PayoutKind::Evacuation,
            network: own.network,
            vault: vault.clone(),
            destination: order.destination.clone(),
            memo: None,
            amount,
            fee_cap: budget,
            // A signer whose clock is behind must not wait for it while the thief does not.
            not_before: Instant::from_ms(now.ms().saturating_sub(CLOCKS_APART_MAX_MS)),
            expiry: now.plus_ms(VALID_MS),
        };
        let output = TxOut { value_sat: amount.to_u64()?, script: order.destination };
        let inputs: Vec<OutPoint> = coins.iter().map(|coin| coin.outpoint).collect();
        let tx = unsigned(&inputs, vec![output]);
        let key = id.to_string();
        let body = Body::PayoutRequested { payout, key, request: None, evidence: Some(evidence.clone()) };
        self.append(now, body, fresh).ok()?;
        self.active.insert(id.clone());
        self.take(now, &id, tx, &coins, fresh);
        Some(())
    }

    /// What moves next. Coins that no theft spends go first and alone: one coin that is lost, or that the thief bids high
    /// for, would take the others' transaction with it.
    fn next_coins(&self, vault: &VaultId) -> Vec<Coin> {
        let network = self.fold.charter().vault(vault).map(|(own, _)| own.network);
        let thefts = self.fold.alarms().iter().filter_map(|alarm| alarm.evidence.as_ref());
        let thefts = thefts.filter_map(|evidence| explain::decode(network?, evidence).ok());
        let contested: BTreeSet<OutPoint> =
            thefts.flat_map(|(tx, _)| tx.inputs.into_iter().map(|input| input.prev)).collect();
        let (contested, calm): (Vec<Coin>, Vec<Coin>) =
            self.movable(vault).into_iter().partition(|coin| contested.contains(&coin.outpoint));
        if calm.is_empty() { contested } else { calm }
    }

    /// Whether a block holds another transaction with an input of the payout's, so that its own can't be mined.
    fn is_beaten(&self, record: &Record) -> bool {
        let Some(draft) = record.drafts.last() else { return false };
        let beats = |(txid, (_, spends)): (&Txid, &(_, Vec<OutPoint>))| {
            record.draft(txid).is_none() && draft.tx.inputs.iter().any(|input| spends.contains(&input.prev))
        };
        self.mined.iter().any(beats)
    }

    /// The vault's coins that no transaction on its way to a block spends. Coins of payouts that lack signatures are
    /// taken: with the breaker closed those signatures will not come.
    fn movable(&self, vault: &VaultId) -> Vec<Coin> {
        let on_its_way = |coin: &&Coin| {
            let holder = self.reserved.get(&coin.outpoint).and_then(|id| self.fold.payout(id));
            holder.is_some_and(|record| {
                let goes = record.status >= Status::Signed || record.payout.kind == PayoutKind::Evacuation;
                goes && !self.is_beaten(record)
            })
        };
        let coins = self.coins.get(vault).into_iter().flat_map(|coins| coins.values());
        let mut free: Vec<&Coin> = coins.filter(|coin| !on_its_way(coin)).collect();
        free.sort_by_key(|coin| core::cmp::Reverse((coin.output.value_sat, coin.outpoint)));
        fitting(free.into_iter()).cloned().collect()
    }
}
