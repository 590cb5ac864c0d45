//! Assembly: which coins pay, what goes back as change, what the fee is. All in integers; signers judge the result
//! without knowing how it came about.

use std::collections::BTreeSet;

use kuraban_base::{Amount, Instant, PayoutId};
use kuraban_chain::btc::{Branch, Mweb, OutPoint, Script, Tx, TxIn, TxOut};

use super::{Coin, Coordinator, rounds::Work};
use crate::{
    attestation,
    body::Body,
    breaker::{Service, Stage},
    fold::{Record, Status},
    judge::{Views, dust_min, vsize_signed},
    payout::{Payout, PayoutKind},
};

/// Most payouts whose signatures are under way at once.
const IN_FLIGHT_MAX: usize = 256;
/// Most inputs of one transaction: far below the 100,000 virtual bytes that nodes relay.
const INPUTS_MAX: usize = 400;
/// Most bytes of previous transactions behind one transaction: they go to a signer in one message of 32 MiB at most, with
/// approvals and log entries beside them.
const PREVS_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Signals that a replacement is allowed (BIP 125), and sets no lock.
const SEQUENCE: u32 = 0xffff_fffd;
/// Least that nodes relay, in base units per 1,000 virtual bytes.
const RELAY_RATE_MIN: Amount = Amount::new(1000);

impl Coordinator {
    /// Makes a transaction for every approved payout that coins and fees allow.
    pub(super) fn assemble_approved(&mut self, now: Instant, fresh: &mut dyn FnMut() -> [u8; 32]) {
        while self.work.len() < IN_FLIGHT_MAX {
            // One for which there are no coins is not tried before something has changed: many may wait.
            let Some(id) = self.untried.pop_first() else { return };
            let Some((tx, spent)) = self.assembly(&id) else { continue };
            self.take(now, &id, tx, &spent, fresh);
        }
    }

    /// Something has changed that may help payouts that wait.
    pub(super) fn try_again(&mut self) {
        if self.untried.len() != self.approved.len() {
            self.untried.clone_from(&self.approved);
        }
    }

    /// Logs a transaction for a payout and sets the work on it going.
    pub(super) fn take(
        &mut self,
        now: Instant,
        id: &PayoutId,
        tx: Tx,
        spent: &[Coin],
        fresh: &mut dyn FnMut() -> [u8; 32],
    ) {
        let (index, txid) = (self.fold.size(), tx.txid());
        let assembled = Body::PayoutAssembled { payout: id.clone(), tx: tx.encode() };
        if self.append(now, assembled, fresh).is_err() {
            return;
        }
        self.approved.remove(id);
        self.untried.remove(id);
        let first = self.fold.payout(id).and_then(|record| attestation::first_output(&record.payout));
        if first.is_none() {
            for coin in spent {
                self.reserved.insert(coin.outpoint, id.clone());
            }
        }
        let prevs = spent.iter().map(|coin| coin.tx.as_ref().clone()).collect();
        let prevouts = first.into_iter().chain(spent.iter().map(|coin| coin.output.clone())).collect();
        self.work.insert(id.clone(), Work::new(txid, index, prevs, prevouts));
    }

    fn assembly(&self, id: &PayoutId) -> Option<(Tx, Vec<Coin>)> {
        let record = self.fold.payout(id)?;
        let withdrawals = (Service::Withdrawal, record.payout.asset());
        if self.fold.breaker().stage(withdrawals) != Stage::Open {
            return None;
        }
        if record.payout.kind == PayoutKind::Attestation {
            return self.attestation(record);
        }
        let views = self.fold.views(&record.payout.vault)?;
        let network = record.payout.network;
        let rate = self.fee_rates.get(&network).copied().unwrap_or(RELAY_RATE_MIN);
        let rate = rate.max(RELAY_RATE_MIN).min(views.policy.limit.fee_rate_max);
        let coins = self.coins.get(&record.payout.vault)?;
        let free: Vec<&Coin> =
            coins.values().filter(|coin| !self.reserved.contains_key(&coin.outpoint)).collect();
        let change = views.vault.descriptor.script_at(Branch::Change, views.scripts.change_next()).ok()?;
        assemble(views, &record.payout, &free, &change, rate)
    }

    /// The transaction by which a vault attests coins: the most valuable that no other attestation over the same challenge names,
    /// so that several of them show a vault of many coins.
    fn attestation(&self, record: &Record) -> Option<(Tx, Vec<Coin>)> {
        let payout = &record.payout;
        let stands = |other: &&Record| {
            let dropped = matches!(other.status, Status::Refused | Status::Cancelled | Status::Expired);
            let same = other.payout.memo == payout.memo && other.payout.vault == payout.vault;
            other.payout.kind == PayoutKind::Attestation && same && !dropped
        };
        let drafts = self.fold.payouts().filter(stands).flat_map(|other| &other.drafts);
        let named: BTreeSet<OutPoint> =
            drafts.flat_map(|draft| &draft.tx.inputs).map(|input| input.prev).collect();
        let coins = self.coins.get(&payout.vault)?;
        let mut left: Vec<&Coin> = coins.values().filter(|coin| !named.contains(&coin.outpoint)).collect();
        left.sort_by_key(|coin| (core::cmp::Reverse(coin.output.value_sat), coin.outpoint));
        let chosen: Vec<Coin> = fitting(left.into_iter()).cloned().collect();
        let outputs: Vec<(OutPoint, u64)> =
            chosen.iter().map(|coin| (coin.outpoint, coin.output.value_sat)).collect();
        let tx = attestation::transaction(payout, &outputs).filter(|_| !chosen.is_empty())?;
        Some((tx, chosen))
    }
}

/// The transaction that pays `payout` from some of `coins`, with the coins that it spends; nothing if they do not
/// suffice or the fee would be above a cap.
///
/// The smallest single coin that suffices is taken; without one, the largest first until they do. Few inputs keep the
/// fee low and leave the other coins free for payouts at the same time.
fn assemble(
    views: Views<'_>,
    payout: &Payout,
    coins: &[&Coin],
    change: &Script,
    rate: Amount,
) -> Option<(Tx, Vec<Coin>)> {
    let mut by_value: Vec<&Coin> = coins.to_vec();
    by_value.sort_by_key(|coin| (coin.output.value_sat, coin.outpoint));
    let single = by_value.iter().find_map(|coin| spend(views, payout, &[coin], change, rate));
    single.or_else(|| {
        let mut chosen: Vec<&Coin> = Vec::new();
        fitting(by_value.iter().rev().copied()).find_map(|coin| {
            chosen.push(coin);
            spend(views, payout, &chosen, change, rate)
        })
    })
}

/// Those of the coins, from the first on, that one transaction can spend together.
pub(super) fn fitting<'a>(coins: impl Iterator<Item = &'a Coin>) -> impl Iterator<Item = &'a Coin> {
    let mut room = PREVS_BYTES_MAX;
    let fits = move |coin: &&Coin| {
        let rest = room.checked_sub(coin.tx.len());
        room = rest.unwrap_or(room);
        rest.is_some()
    };
    coins.filter(fits).take(INPUTS_MAX)
}

fn sum(coins: &[&Coin]) -> Option<Amount> {
    Amount::sum(coins.iter().map(|coin| Amount::from(coin.output.value_sat)))
}

/// The transaction from exactly these coins, with change if it is worth having.
fn spend(
    views: Views<'_>,
    payout: &Payout,
    coins: &[&Coin],
    change: &Script,
    rate: Amount,
) -> Option<(Tx, Vec<Coin>)> {
    let sum = sum(coins)?;
    let rest = sum.less(payout.amount)?;
    let inputs: Vec<OutPoint> = coins.iter().map(|coin| coin.outpoint).collect();
    let payment = TxOut { value_sat: payout.amount.to_u64()?, script: payout.destination.clone() };
    let with_change = |value_sat| {
        let back = TxOut { value_sat, script: change.clone() };
        // Which comes first says nothing about which is change: the digest decides.
        let first = payout.destination.as_bytes().last().is_some_and(|byte| byte & 1 == 1);
        let outputs = if first { vec![payment.clone(), back] } else { vec![back, payment.clone()] };
        unsigned(&inputs, outputs)
    };
    let fee = fee_for(views, &with_change(0), rate)?;
    let back = rest.less(fee).filter(|back| *back >= dust_min(payout.network));
    let (tx, fee) = match back {
        Some(back) => (with_change(back.to_u64()?), fee),
        None => {
            let tx = unsigned(&inputs, vec![payment]);
            let fee = fee_for(views, &tx, rate)?;
            (tx, rest.less(fee).map(|_| rest)?)
        }
    };
    let max = views.policy.limit.fee_max.min(payout.fee_cap);
    (fee <= max).then(|| (tx, coins.iter().map(|coin| (*coin).clone()).collect()))
}

/// The fee at `rate` for the transaction with all signatures, rounded up to a whole base unit.
fn fee_for(views: Views<'_>, tx: &Tx, rate: Amount) -> Option<Amount> {
    let vsize = u128::try_from(vsize_signed(views, tx)).ok()?;
    Some(Amount::new(rate.units().checked_mul(vsize)?.div_ceil(1000)))
}

/// A transaction without signatures.
pub(super) fn unsigned(inputs: &[OutPoint], outputs: Vec<TxOut>) -> Tx {
    let input = |prev: &OutPoint| TxIn {
        prev: *prev,
        script_sig: Script::default(),
        sequence: SEQUENCE,
        witness: Vec::new(),
    };
    Tx { version: 2, inputs: inputs.iter().map(input).collect(), outputs, lock_time: 0, mweb: Mweb::None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kuraban_base::Txid;

    use super::*;

    fn coin(vout: u32, tx_bytes: usize) -> Coin {
        let outpoint = OutPoint { txid: Txid::from_bytes([7; 32]), vout };
        let output = TxOut { value_sat: 1, script: Script::default() };
        Coin { outpoint, output, tx: Arc::new(vec![0; tx_bytes]) }
    }

    #[track_caller]
    fn check(tx_bytes: &[usize], want: &[u32]) {
        let coins: Vec<Coin> = (0..).zip(tx_bytes).map(|(vout, bytes)| coin(vout, *bytes)).collect();
        let kept: Vec<u32> = fitting(coins.iter()).map(|coin| coin.outpoint.vout).collect();
        assert_eq!(kept, want);
    }

    #[test]
    fn a_transaction_spends_what_a_signer_can_be_sent() {
        // 24 MiB.
        let most = 25_165_824;
        check(&[most], &[0]);
        check(&[most + 1, 10], &[1]);
        check(&[most - 10, 11, 10, 1], &[0, 2]);
        let many: Vec<u32> = (0..400).collect();
        check(&[1; 401], &many);
    }
}
