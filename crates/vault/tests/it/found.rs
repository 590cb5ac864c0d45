//! What the simulator found in the machines, each as small as it can be told.

use std::collections::BTreeSet;

use kuraban_base::{Asset, MachineId};
use kuraban_chain::btc::{Branch, Tx, TxOut};
use kuraban_proof::{Entry, Frontier, Opening, SignedCheckpoint};
use kuraban_vault::{
    APPROVE, Payout, REQUEST, Role,
    body::Body,
    fold::{Fold, FoldError},
    follow::Follower,
    receipt::{Lease, Receipt},
    signer::{Clock, Signer},
    statement::Signed,
    wire::{Answer, LogEntry, Refused, ReleaseItem, Request, Response, SignItem},
};

use crate::kit;

/// The request and two approvals of a payout.
fn wanted(payout: &Payout) -> Vec<Body> {
    let digest = payout.digest(&kit::charter().context());
    let sign = |person: u8, namespace| kit::sign(&kit::person(person), namespace, digest.as_bytes());
    let (id, key) = (payout.id.clone(), payout.id.to_string());
    let requested = Body::PayoutRequested {
        payout: payout.clone(),
        key,
        request: Some(sign(1, REQUEST)),
        evidence: None,
    };
    let approved = |person| Body::PayoutApproved { payout: id.clone(), approval: sign(person, APPROVE) };
    vec![opened(), requested, approved(2), approved(3)]
}

fn opened() -> Body {
    let charter = kit::charter();
    let vaults = charter.vaults().map(|(vault, _)| vault.to_value()).collect();
    let context = charter.context();
    Body::LogOpened { roster: context.roster, policy: context.policy, vaults, retention_days: 1 }
}

/// A transaction that pays it from `funding`, with the rest as change.
fn draft(payout: &Payout, funding: &Tx) -> Tx {
    let value_sat = payout.amount.to_u64().unwrap();
    let change = kit::descriptor().script_at(Branch::Change, 0).unwrap();
    let outputs = vec![
        TxOut { value_sat, script: payout.destination.clone() },
        TxOut { value_sat: funding.outputs[0].value_sat - value_sat - 1000, script: change },
    ];
    kit::tx(vec![kit::coin(funding).outpoint], outputs)
}

#[test]
fn a_payout_that_ends_while_a_receipt_is_lost_on_its_way_spoils_no_signer() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let tx = draft(&payout, &kit::funding(0, 300_000_000));
    let receipt = Receipt {
        by: kit::machine(1),
        payout: payout.id.clone(),
        digest: payout.digest(&kit::charter().context()),
        txid: tx.txid(),
        outflow: payout.amount,
        seq: 1,
        at: kit::NOW,
    };
    let fold = || {
        let mut fold = Fold::new(kit::charter());
        for body in wanted(&payout) {
            fold.apply(kit::NOW, body).unwrap();
        }
        fold.apply(kit::NOW, Body::PayoutAssembled { payout: payout.id.clone(), tx: tx.encode() }).unwrap();
        fold
    };
    for end in [
        Body::PayoutExpired { payout: payout.id.clone() },
        Body::PayoutRefused { payout: payout.id.clone(), codes: Vec::new() },
    ] {
        // The signer gave the receipt, and the writer, who never got it, ends the payout.
        let mut signer = fold();
        signer.count_own(receipt.clone()).unwrap();
        assert_eq!(signer.apply(kit::NOW, end.clone()), Ok(()));
        assert!(signer.payout(&payout.id).unwrap().status.ended().is_some());
        // With the receipt in the log a payout ends no more so.
        let mut signer = fold();
        let logged = Body::PayoutReceipt(Signed::sign(receipt.clone(), &kit::statement(1)));
        signer.apply(kit::NOW, logged).unwrap();
        assert!(matches!(signer.apply(kit::NOW, end), Err(FoldError::Step { .. })));
    }
}

/// A hostile writer with two signers and a watcher who do all that they should.
struct Rogue {
    signers: Vec<(MachineId, Signer)>,
    watcher: Follower,
    frontier: Frontier,
    checkpoint: Vec<u8>,
    lease: Option<Signed<Lease>>,
    /// The assets that leases name.
    seen: BTreeSet<Asset>,
}

impl Rogue {
    fn new() -> Self {
        let charter = kit::charter();
        Self {
            signers: [1, 2].map(|number| (kit::machine(number), kit::signer(number, &charter))).into(),
            watcher: Follower::new(charter, kit::cosigner(4)),
            frontier: Frontier::new(),
            checkpoint: Vec::new(),
            lease: None,
            seen: [Asset::Btc].into(),
        }
    }

    fn ask(&mut self, signer: usize, request: Request) -> Response {
        let clock = Clock { wall: kit::NOW, monotonic_ms: 1000 };
        let fresh =
            kit::seed(u8::try_from(self.frontier.size()).unwrap(), 0xd0 + u8::try_from(signer).unwrap());
        self.signers[signer].1.step(clock, Role::Writer, fresh, request).answer
    }

    /// Logs, and has the three co-sign and the watcher lease.
    fn log(&mut self, bodies: Vec<Body>) {
        let from = self.frontier.size();
        let mut entries = Vec::new();
        for body in bodies {
            let opening = Opening { salt: [7; 32], body: body.encode() };
            let (by, kind) = ("writer".parse().unwrap(), body.kind().parse().unwrap());
            let entry = Entry { at: kit::NOW, by, kind, commit: opening.commit() };
            self.frontier.append(entry.leaf());
            entries.push(LogEntry { entry: entry.encode(), salt: opening.salt, body: opening.body });
        }
        let mut signed = SignedCheckpoint::sign(&kit::log_key(), self.frontier.head()).unwrap();
        let checkpoint = signed.to_string().into_bytes();
        let followed = self.watcher.extend(from, &entries, &checkpoint, kit::NOW).unwrap();
        let (mut lines, mut challenges) = (vec![followed.line], Vec::new());
        for signer in 0..2 {
            let (entries, checkpoint) = (entries.clone(), checkpoint.clone());
            let answer = self.ask(signer, Request::Extend { from, entries, checkpoint, newest: 0 });
            let Response::Cosigned { line, challenge, .. } = answer else { panic!("{answer:?}") };
            lines.push(line);
            challenges.push(challenge);
        }
        let charter = kit::charter();
        for line in lines {
            signed.add_cosignatures(&line, charter.roster().quorum().witnesses()).unwrap();
        }
        let head = self.frontier.head();
        let (by, size, root) = (kit::machine(4), head.size, head.root);
        let lease = Lease { by, challenges, assets: self.seen.clone(), epoch: 0, size, root, at: kit::NOW };
        self.checkpoint = signed.to_string().into_bytes();
        self.lease = Some(Signed::sign(lease, &kit::statement(4)));
    }

    fn receipt(&mut self, signer: usize, payout: &Payout, tx: &Tx, prev: &Tx) -> Body {
        Body::PayoutReceipt(self.ask_receipt(signer, payout, tx, prev).unwrap())
    }

    fn ask_receipt(&mut self, signer: usize, payout: &Payout, tx: &Tx, prev: &Tx) -> Answer<Signed<Receipt>> {
        let item = SignItem { payout: payout.id.clone(), txid: tx.txid(), prevs: vec![prev.encode()] };
        let (checkpoint, lease) = (self.checkpoint.clone(), self.lease.clone().unwrap());
        let answer = self.ask(signer, Request::Sign { checkpoint, lease, items: vec![item] });
        let Response::Receipts(mut receipts) = answer else { panic!("{answer:?}") };
        receipts.remove(0)
    }

    /// The codes of what a signer says against releasing its signature; none if it does.
    fn release(&mut self, signer: usize, payout: &Payout, tx: &Tx) -> Vec<String> {
        let item = ReleaseItem { payout: payout.id.clone(), txid: tx.txid() };
        let (checkpoint, lease) = (self.checkpoint.clone(), self.lease.clone().unwrap());
        let answer = self.ask(signer, Request::Release { checkpoint, lease, items: vec![item] });
        let Response::Signatures(answers) = answer else { panic!("{answer:?}") };
        match &answers[0] {
            Ok(_) => Vec::new(),
            Err(refused) => refused.iter().map(|one| one.code.clone()).collect(),
        }
    }
}

/// The watcher's word on one chain says nothing about another.
#[test]
fn a_lease_that_does_not_name_the_asset_is_none() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let coin = kit::funding(0, 300_000_000);
    let tx = draft(&payout, &coin);
    let mut rogue = Rogue::new();
    let mut bodies = wanted(&payout);
    bodies.push(Body::PayoutAssembled { payout: payout.id.clone(), tx: tx.encode() });
    for assets in [vec![], vec![Asset::Ltc]] {
        rogue.seen = assets.into_iter().collect();
        rogue.log(std::mem::take(&mut bodies));
        let refused = rogue.ask_receipt(0, &payout, &tx, &coin).unwrap_err();
        let [Refused { code, detail }] = refused.as_slice() else { panic!("{refused:?}") };
        assert_eq!(code, "lease-invalid");
        assert!(detail.ends_with("the watcher does not see the chain of BTC"), "{detail}");
    }
    rogue.seen = Asset::ALL.into();
    rogue.log(Vec::new());
    let receipts = [0, 1].map(|at| rogue.receipt(at, &payout, &tx, &coin));
    rogue.seen = [Asset::Ltc].into();
    rogue.log(receipts.into());
    assert_eq!(rogue.release(0, &payout, &tx), ["lease-invalid"]);
    rogue.seen = [Asset::Btc].into();
    rogue.log(Vec::new());
    assert_eq!(rogue.release(0, &payout, &tx), Vec::<String>::new());
}

/// With the share of a third signer, one honest signature for each of two transactions would pay twice.
#[test]
fn two_signers_who_gave_receipts_for_different_transactions_do_not_both_sign() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let coins = [kit::funding(0, 300_000_000), kit::funding(1, 200_000_000)];
    let txs = coins.each_ref().map(|coin| draft(&payout, coin));
    let mut rogue = Rogue::new();
    let mut bodies = wanted(&payout);
    for tx in &txs {
        bodies.push(Body::PayoutAssembled { payout: payout.id.clone(), tx: tx.encode() });
    }
    rogue.log(bodies);
    let receipts = [0, 1].map(|at| rogue.receipt(at, &payout, &txs[at], &coins[at]));
    let [first, second] = receipts;
    rogue.log(vec![second, first]);
    assert_eq!(rogue.release(1, &payout, &txs[1]), Vec::<String>::new());
    assert_eq!(rogue.release(0, &payout, &txs[0]), ["transaction-other"]);
}

/// A replacement shares an input with what it replaces, so that only one of them can be paid.
#[test]
fn two_signers_who_gave_receipts_for_a_transaction_and_its_replacement_both_sign() {
    let payout = kit::payout("w-1", 9, 100_000_000);
    let coin = kit::funding(0, 300_000_000);
    let tx = draft(&payout, &coin);
    let mut replacement = tx.clone();
    replacement.outputs[1].value_sat -= 1000;
    let txs = [tx, replacement];
    let mut rogue = Rogue::new();
    let mut bodies = wanted(&payout);
    for tx in &txs {
        bodies.push(Body::PayoutAssembled { payout: payout.id.clone(), tx: tx.encode() });
    }
    rogue.log(bodies);
    let receipts = [0, 1].map(|at| rogue.receipt(at, &payout, &txs[at], &coin));
    rogue.log(receipts.into());
    assert_eq!(rogue.release(0, &payout, &txs[0]), Vec::<String>::new());
    assert_eq!(rogue.release(1, &payout, &txs[1]), Vec::<String>::new());
}
