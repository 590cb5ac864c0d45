//! One incident's evacuations: what they have committed to fees, and to whom that counts.

use std::sync::Arc;

use kuraban_base::{Amount, Asset, VaultId};
use kuraban_chain::btc::TxOut;
use kuraban_vault::{
    Charter, Payout, PayoutKind, Policy, RESET, Roster, Vault,
    body::{Body, reset_digest},
    breaker::Service,
    fold::Fold,
    receipt::Receipt,
    statement::Signed,
};

use crate::kit;

const AMOUNT: u64 = 100_000_000;

/// The usual charter with a second vault of the same coins that has the same limits.
fn charter() -> Arc<Charter> {
    let warm = kit::hot_toml().replacen("id = \"hot\"", "id = \"warm\"", 1);
    let limit = "[[limit]]\nvault = \"warm\"\nper_payout_max = 1\nrolling_24h_max = 1\nfee_max = 1\nfee_rate_max = 1\n";
    let policy = Policy::from_toml(&(kit::policy_toml() + limit)).unwrap();
    let vaults = [kit::hot_toml(), warm].map(|text| Vault::from_toml(&text).unwrap()).to_vec();
    Arc::new(Charter::new(Roster::from_toml(&kit::roster_toml()).unwrap(), policy, vaults).unwrap())
}

struct Incident {
    fold: Fold,
    charter: Arc<Charter>,
    count: u32,
}

impl Incident {
    fn new() -> Self {
        let charter = charter();
        let (context, mut fold) = (charter.context(), Fold::new(Arc::clone(&charter)));
        let vaults = charter.vaults().map(|(vault, _)| vault.to_value()).collect();
        let (roster, policy) = (context.roster, context.policy);
        fold.apply(kit::NOW, Body::LogOpened { roster, policy, vaults, retention_days: 1 }).unwrap();
        Self { fold, charter, count: 0 }
    }

    fn apply(&mut self, body: Body) {
        self.fold.apply(kit::NOW, body).unwrap();
    }

    /// A payout of this kind with its transaction.
    fn assembled(&mut self, id: &str, kind: PayoutKind, vault: &str) -> Payout {
        let vault: VaultId = vault.parse().unwrap();
        let payout = Payout { kind, vault, ..kit::payout(id, 9, AMOUNT) };
        let (asked, key) = (payout.clone(), id.to_owned());
        self.apply(Body::PayoutRequested { payout: asked, key, request: None, evidence: None });
        let output = TxOut { value_sat: AMOUNT, script: payout.destination.clone() };
        let tx = kit::tx(vec![kit::coin(&kit::funding(self.count, AMOUNT + 1000)).outpoint], vec![output]);
        self.count += 1;
        self.apply(Body::PayoutAssembled { payout: payout.id.clone(), tx: tx.encode() });
        payout
    }

    /// A signer's receipt over this fee; the index at which it stands.
    fn receipt(&mut self, payout: &Payout, signer: u8, fee: u64) -> u64 {
        let receipt = self.claim(payout, signer, fee);
        self.apply(Body::PayoutReceipt(Signed::sign(receipt, &kit::statement(signer))));
        self.fold.size() - 1
    }

    fn claim(&self, payout: &Payout, signer: u8, fee: u64) -> Receipt {
        let txid = self.fold.payout(&payout.id).unwrap().drafts[0].txid;
        let digest = payout.digest(&self.charter.context());
        let (by, outflow) = (kit::machine(signer), Amount::from(AMOUNT + fee));
        Receipt { by, payout: payout.id.clone(), digest, txid, outflow, seq: 1, at: kit::NOW }
    }

    /// What evacuations beside this one have committed to fees.
    fn beside(&self, payout: &Payout) -> u64 {
        let standing = self.fold.standing(&payout.id, kit::NOW).unwrap();
        standing.evacuation_fees.to_u64().unwrap()
    }

    fn before(&self, payout: &Payout, index: u64) -> u64 {
        let record = self.fold.payout(&payout.id).unwrap();
        self.fold.evacuation_fees_before(record, index).to_u64().unwrap()
    }

    fn reset(&mut self) {
        let (cells, epoch) = (vec![(Service::Withdrawal, Asset::Btc)], self.fold.breaker().epoch());
        let digest = reset_digest(kit::ORIGIN, epoch, &cells);
        let approvals = [2, 3].map(|n| kit::sign(&kit::person(n), RESET, digest.as_bytes())).to_vec();
        self.apply(Body::BreakerReset { cells, epoch, approvals });
    }
}

#[test]
fn an_evacuation_counts_the_fees_of_the_others_of_its_vault_and_incident() {
    let mut incident = Incident::new();
    let old = incident.assembled("e-0", PayoutKind::Evacuation, "hot");
    incident.receipt(&old, 1, 1);
    incident.reset();
    let first = incident.assembled("e-1", PayoutKind::Evacuation, "hot");
    let second = incident.assembled("e-2", PayoutKind::Evacuation, "hot");
    let elsewhere = incident.assembled("e-3", PayoutKind::Evacuation, "warm");
    let payout = incident.assembled("w-1", PayoutKind::CustomerWithdrawal, "hot");
    assert_eq!([&first, &second, &elsewhere, &payout].map(|one| incident.beside(one)), [0, 0, 0, 0]);
    // Of two signers' words the larger counts.
    incident.receipt(&first, 1, 10);
    incident.receipt(&first, 2, 30);
    incident.receipt(&elsewhere, 1, 100);
    incident.receipt(&payout, 1, 1000);
    assert_eq!([&first, &second, &elsewhere, &payout].map(|one| incident.beside(one)), [0, 30, 0, 0]);
    incident.receipt(&second, 1, 300);
    let third = incident.assembled("e-4", PayoutKind::Evacuation, "hot");
    assert_eq!([&first, &second, &third, &elsewhere].map(|one| incident.beside(one)), [300, 30, 330, 0]);
    incident.reset();
    let next = incident.assembled("e-5", PayoutKind::Evacuation, "hot");
    assert_eq!(incident.beside(&next), 0);
}

/// The log has one order for all, so what stands later does not count against what stands before it.
#[test]
fn what_stands_in_the_log_before_an_evacuations_receipt_counts_against_it() {
    let mut incident = Incident::new();
    let first = incident.assembled("e-1", PayoutKind::Evacuation, "hot");
    let second = incident.assembled("e-2", PayoutKind::Evacuation, "hot");
    let third = incident.assembled("e-3", PayoutKind::Evacuation, "hot");
    let at = incident.receipt(&second, 1, 20);
    let own = incident.receipt(&first, 1, 10);
    for (index, want) in [(at, 0), (at + 1, 20), (own, 20), (own + 1, 20)] {
        assert_eq!(incident.before(&first, index), want, "{index}");
    }
    // What a signer counts for itself has no place in the log.
    let claim = incident.claim(&third, 1, 300);
    incident.fold.count_own(claim).unwrap();
    assert_eq!((incident.beside(&first), incident.before(&first, u64::MAX)), (320, 20));
}
