//! What runs a signer in a simulated world, as its daemon does: one request at a time, disk before answer, and a crash
//! at any moment between.

use kuraban_vault::{
    Role,
    breaker::Trip,
    receipt::Receipt,
    signer::{Change, Signer, Step},
    statement::Signed,
    wire::{Answer, InputSignature, Refused, ReleaseItem, Request, Response, SignItem},
};

use super::{
    Flaw, Mode, Rule,
    engine::{What, World},
    realm::{self, Machine, realm},
};

/// A signer and its disk.
pub(super) struct SignerSide {
    number: u8,
    pub(super) traitor: bool,
    state: Option<Signer>,
    disk: Vec<Change>,
}

impl SignerSide {
    pub(super) fn new(number: u8, traitor: Option<u8>) -> Self {
        let state = Some(realm::signer(number));
        Self { number, traitor: traitor == Some(number), state, disk: Vec::new() }
    }

    pub(super) const fn runs(&self) -> bool {
        self.state.is_some()
    }

    pub(super) fn crash(&mut self) {
        self.state = None;
    }

    pub(super) const fn state(&self) -> Option<&Signer> {
        self.state.as_ref()
    }

    fn restart(&mut self, rots: bool) -> Result<(), String> {
        if rots && !self.disk.is_empty() {
            self.disk.remove(0);
        }
        let mut signer = realm::signer(self.number);
        for change in &self.disk {
            signer.restore(change.clone()).map_err(|problem| {
                let cause = core::error::Error::source(&problem).map(ToString::to_string).unwrap_or_default();
                format!("{problem} {cause}")
            })?;
        }
        self.state = Some(signer);
        Ok(())
    }

    /// Keeps the first `count` changes, or one more where they were written together; says the number of the last receipt.
    fn set_back(&mut self, count: usize) -> u64 {
        let count = match count.checked_sub(1).and_then(|last| self.disk.get(last)) {
            Some(Change::Entries { .. }) => count.saturating_add(1),
            Some(Change::Cosigned(_) | Change::Receipt(..) | Change::Trip(_)) | None => count,
        };
        self.disk.truncate(count);
        let seq = |change: &Change| if let Change::Receipt(receipt, _) = change { receipt.seq } else { 0 };
        self.disk.iter().map(seq).max().unwrap_or_default()
    }

    fn forget(&mut self) {
        self.disk.clear();
        self.state = Some(realm::signer(self.number));
    }
}

impl World {
    /// A request at a signer's socket; nothing where it is down or crashes over it.
    pub(super) fn signer_request(&mut self, number: u8, role: Role, request: Request) -> Option<Response> {
        let machine = Machine::Signer(number);
        if !self.runs(machine) {
            return None;
        }
        if self.crashes() {
            self.crash(machine);
            return None;
        }
        if self.has(Flaw::WitnessesForget) && self.random.one_in(12) {
            self.signers.get_mut(&number)?.forget();
        }
        let (clock, fresh) = (self.clock(machine), self.random.bytes());
        let side = self.signers.get_mut(&number)?;
        let mut step = match self.scenario.flaw {
            Some(Flaw::TripsIgnored) if matches!(request, Request::Trip(_)) => {
                Step { persist: Vec::new(), answer: Response::Tripped }
            }
            _ => side.state.as_mut()?.step(clock, role, fresh, request.clone()),
        };
        if self.crashes() {
            self.crash(machine);
            return None;
        }
        self.store(number, &mut step);
        if let (true, Request::Release { items, .. }) = (self.has(Flaw::SignersBlind), &request) {
            let signed = items.iter().map(|item| self.blindly(number, item).ok_or_else(Vec::new));
            step.answer = Response::Signatures(signed.collect());
        }
        if let (Request::Release { items, .. }, Response::Signatures(answers)) = (&request, &mut step.answer)
        {
            self.lapse(number, items, answers);
        }
        if let (Request::Sign { items, .. }, Response::Receipts(answers)) = (&request, &mut step.answer) {
            self.forget_to_freeze(number, items, answers);
        }
        self.answered(number, &request, &step.answer);
        if self.crashes() {
            self.crash(machine);
            return None;
        }
        // Under a hostile writer the traitor's keys are the writer's, and its machine does as others do.
        if self.scenario.mode == Mode::Traitor && self.signers.get(&number).is_some_and(|side| side.traitor) {
            return self.betray(number, &request, step.answer);
        }
        Some(step.answer)
    }

    fn store(&mut self, number: u8, step: &mut Step) {
        if self.has(Flaw::ReceiptsNotStored) {
            step.persist.retain(|change| !matches!(change, Change::Receipt(..)));
        }
        let Some(side) = self.signers.get_mut(&number) else { return };
        let honest = !side.traitor;
        for change in core::mem::take(&mut step.persist) {
            if let (Change::Entries { from, entries }, true) = (&change, honest) {
                self.oracle.folds(Machine::Signer(number), *from, entries);
            }
            side.disk.push(change);
        }
    }

    /// What the oracle makes of an honest signer's answer.
    fn answered(&mut self, number: u8, request: &Request, answer: &Response) {
        if self.signers.get(&number).is_some_and(|side| side.traitor) {
            return;
        }
        let machine = Machine::Signer(number);
        match (request, answer) {
            (_, Response::Cosigned { size, .. }) => self.oracle.cosigns(machine, *size, self.now_ms),
            (_, Response::Receipts(answers)) => {
                for receipt in answers {
                    match receipt {
                        Ok(receipt) => {
                            self.count("receipts");
                            self.oracle.receipt(number, receipt.claim_unverified(), self.now_ms);
                        }
                        Err(refused) => {
                            for one in refused {
                                self.count(format!("refused {}", one.code));
                            }
                        }
                    }
                }
            }
            (Request::Release { items, .. }, Response::Signatures(answers)) => {
                for (item, answer) in items.iter().zip(answers) {
                    match answer {
                        Ok(_) => self.released(number, item),
                        Err(refused) => {
                            for one in refused {
                                self.count(format!("withheld {}", one.code));
                            }
                        }
                    }
                }
            }
            (Request::Trip(_), Response::Tripped) => self.oracle.trip_taken(number),
            (_, Response::Refused(refused)) => {
                self.count(format!("rejected {}", refused.code));
                self.estranged(machine, refused);
            }
            _ => {}
        }
    }

    /// An honest writer's log is refused by nobody.
    pub(super) fn estranged(&mut self, machine: Machine, refused: &Refused) {
        if !self.scenario.mode.rogue() && refused.code == "log-not-followed" {
            self.violate(Rule::Estranged, format!("{}: {}", machine.id(), refused.detail));
        }
    }

    fn released(&mut self, number: u8, item: &ReleaseItem) {
        self.count("signatures released");
        self.say(|| format!("signer-{number} releases {} {}", item.payout, item.txid));
        let draft = self
            .signers
            .get(&number)
            .and_then(SignerSide::state)
            .and_then(|signer| signer.follower().fold().payout(&item.payout))
            .and_then(|record| record.drafts.iter().find(|draft| draft.tx.txid() == item.txid))
            .map(|draft| draft.tx.clone());
        match draft {
            Some(tx) => self.oracle.released(number, &item.payout, &tx, &self.node, self.now_ms),
            None => {
                self.violate(Rule::Unapproved, format!("{} is no transaction of {}", item.txid, item.payout))
            }
        }
    }

    /// A disk is set back after a while, again and again.
    pub(super) fn set_back_later(&mut self, number: u8) {
        let pause = self.random.within(8000, 30_000);
        self.after(pause, What::SetBack(number));
    }

    /// A signer is killed, and what it wrote last is gone: a little, or much.
    pub(super) fn set_back(&mut self, number: u8) {
        let machine = Machine::Signer(number);
        if self.runs(machine) {
            let count = self.signers.get(&number).map_or(0, |side| side.disk.len());
            let count = u64::try_from(count).unwrap_or_default();
            let lost = if self.random.one_in(2) { count.min(12) } else { count };
            let keep = count.saturating_sub(self.random.below(lost.saturating_add(1)));
            self.crash(machine);
            self.count("disks set back");
            let side = self.signers.get_mut(&number);
            let seq = side.map(|side| side.set_back(usize::try_from(keep).unwrap_or_default()));
            if let Some(seq) = seq {
                self.say(|| {
                    format!("signer-{number} has forgotten all but {keep} of {count} changes, receipt {seq}")
                });
                self.oracle.set_back(number, seq);
            }
        }
        self.set_back_later(number);
    }

    /// What flawed signers make of a refusal.
    fn lapse(&self, number: u8, items: &[ReleaseItem], answers: &mut [Answer<Vec<InputSignature>>]) {
        const LAPSED: &str = "receipt-lapsed";
        for (item, answer) in items.iter().zip(answers) {
            let Err(refused) = answer else { continue };
            if self.has(Flaw::LapsesUntold) {
                for one in refused.iter_mut().filter(|one| one.code == LAPSED) {
                    one.code = "log-not-included".to_owned();
                }
            }
            if self.has(Flaw::ReceiptsNeverLapse) && refused.iter().all(|one| one.code == LAPSED) {
                *answer = self.blindly(number, item).ok_or_else(Vec::new);
            }
        }
    }

    /// What flawed signers make of being frozen.
    fn forget_to_freeze(&self, number: u8, items: &[SignItem], answers: &mut [Answer<Signed<Receipt>>]) {
        let frozen = |one: &Refused| ["signer-frozen", "signer-restored"].contains(&one.code.as_str());
        for (item, answer) in items.iter().zip(answers).filter(|_| self.has(Flaw::NeverFrozen)) {
            if answer.as_ref().is_err_and(|refused| refused.iter().all(frozen)) {
                *answer = self.receipt_blindly(number, item).ok_or_else(Vec::new);
            }
        }
    }

    /// A receipt numbered by the disk alone.
    fn receipt_blindly(&self, number: u8, item: &SignItem) -> Option<Signed<Receipt>> {
        let machine = Machine::Signer(number);
        let signer = self.signers.get(&number)?.state()?;
        let record = signer.follower().fold().payout(&item.payout)?;
        let receipt = Receipt {
            by: machine.id(),
            payout: item.payout.clone(),
            digest: record.digest,
            txid: item.txid,
            outflow: record.payout.amount,
            seq: signer.seq().saturating_add(1),
            at: self.wall(machine),
        };
        Some(Signed::sign(receipt, &realm::statement(machine)))
    }

    /// Signatures without a judgement: what a signer must never give.
    fn blindly(&self, number: u8, item: &ReleaseItem) -> Option<Vec<InputSignature>> {
        let fold = self.signers.get(&number)?.state()?.follower().fold();
        let draft = fold.payout(&item.payout)?.draft(&item.txid)?;
        let spent: Option<Vec<_>> =
            draft.tx.inputs.iter().map(|input| Some(self.node.own(&input.prev)?.output.clone())).collect();
        realm().share(number, &draft.tx, &spent?)
    }

    pub(super) fn restart_signer(&mut self, number: u8) {
        let rots = self.has(Flaw::DisksRot);
        let restored = self.signers.get_mut(&number).map(|side| side.restart(rots));
        if let Some(Err(problem)) = restored {
            self.violate(Rule::NotRestored, format!("signer-{number}: {problem}"));
        }
        self.greet_later(number);
    }

    /// A watcher's trip on a signer's own socket; where it is not taken, the watcher tries again.
    pub(super) fn trip_arrives(&mut self, number: u8, trip: Signed<Trip>) {
        if self.signer_request(number, Role::Watcher, Request::Trip(trip)).is_none() {
            self.greet_later(number);
        }
    }
}
