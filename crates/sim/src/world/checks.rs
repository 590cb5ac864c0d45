//! When the oracle looks, and what it asks at the end: what was acknowledged is there, what could happen has happened.

use std::collections::BTreeSet;

use kuraban_base::PayoutId;
use kuraban_chain::btc::OutPoint;
use kuraban_vault::{
    coordinator::{Ask, Coordinator, Event, Token},
    fold::{Fold, Status},
};

use super::{
    Mode, Rule,
    engine::{What, World},
    people::{AGAIN_MS, Gist},
    realm::EVACUATION_FEE_SAT,
    writer::Writing,
};

/// How long the watcher may take from a theft's arrival at the node to alarm and trip.
const ALARM_MS_MAX: u64 = 3000;
/// How long after the trip the rest of the vault must be on its way.
const EVACUATION_MS_MAX: u64 = 15_000;
/// How long a world goes on after a theft.
const AFTERMATH_MS: u64 = 90_000;

impl World {
    /// A person's wish, first or again.
    pub(super) fn ask(&mut self, index: usize) {
        let Some(wish) = self.people.wishes.get(index).cloned() else { return };
        if wish.told {
            return;
        }
        let payout = match wish.gist {
            Gist::Request { payout } => payout,
            Gist::Approval { payout, .. } | Gist::Variant { payout } | Gist::Wrong { payout } => {
                if !self.writer_is_rogue() {
                    match self.people.requested(payout) {
                        Some(true) => {}
                        Some(false) => return self.people.told(index),
                        None => return self.after(1000, What::Ask(index)),
                    }
                }
                payout
            }
        };
        let id = self.people.plans.get(payout).map(|plan| plan.payout.id.clone());
        match (wish.gist, id) {
            (Gist::Request { .. }, Some(id)) => self.oracle.requests(&id),
            (Gist::Approval { person, .. }, Some(id)) => self.oracle.approves(&id, person),
            (Gist::Variant { .. } | Gist::Wrong { .. }, _) | (_, None) => {}
        }
        if let Writing::Rogue(rogue) = &mut self.writer.state {
            rogue.hear(wish.ask);
            return self.people.told(index);
        }
        self.say(|| format!("wish {index} is sent: {:?}", wish.gist));
        self.after(AGAIN_MS, What::Ask(index));
        if self.lost() {
            return;
        }
        let token = Token(u64::try_from(index).unwrap_or(u64::MAX));
        self.writer_event(Event::Ask(token, wish.ask));
    }

    fn writer_is_rogue(&self) -> bool {
        matches!(self.writer.state, Writing::Rogue(_))
    }

    /// The writer says that a wish is logged: it must be on disk now.
    pub(super) fn acknowledged(&mut self, index: usize) {
        let Some(wish) = self.people.wishes.get(index) else { return };
        if matches!(wish.gist, Gist::Variant { .. } | Gist::Wrong { .. }) {
            let detail = format!("wish {index}, {:?}, was taken", wish.gist);
            return self.violate(Rule::Unapproved, detail);
        }
        let signature = match &wish.ask {
            Ask::Request { request, .. } => request.pem(),
            Ask::Approve { approval, .. } => approval.pem(),
            Ask::Reset { .. } | Ask::Resume { .. } | Ask::Publish { .. } => return,
        };
        let has = |body: &[u8]| body.windows(signature.len()).any(|part| part == signature.as_bytes());
        if !self.writer.disk.iter().any(|entry| has(&entry.body)) {
            self.violate(Rule::Forgotten, format!("wish {index} is answered and not on disk"));
        }
    }

    /// Everything that was acknowledged is in the log that the writer restored.
    pub(super) fn check_acknowledged(&mut self) {
        let Some(fold) = self.writer.honest().map(Coordinator::fold) else { return };
        let logged = self.people.wishes.iter().enumerate().filter(|(_, wish)| wish.logged == Some(true));
        let gone = logged.filter(|(_, wish)| !holds(fold, &wish.ask)).map(|(index, _)| index).next();
        if let Some(index) = gone {
            self.violate(Rule::Forgotten, format!("wish {index} was acknowledged and is gone"));
        }
    }

    /// Holds mempool and chain against what people want.
    pub(super) fn look_at_chain(&mut self) {
        let in_pool = self.node.chain.mempool().map(|(_, entry)| entry.tx.as_ref().clone());
        let mut spends: Vec<_> = in_pool.filter(|tx| self.node.spends_vault(tx)).collect();
        let in_blocks = self.node.blocks().flat_map(|(_, block)| &block.txs);
        spends.extend(in_blocks.filter(|tx| self.node.spends_vault(tx)).cloned());
        for tx in spends {
            let stolen = self.thief.took.contains(&tx.txid());
            self.oracle.spends(&tx, &self.node, stolen, self.now_ms);
        }
        self.oracle.confirmed(&self.node, self.now_ms);
    }

    /// After every step.
    pub(super) fn check(&mut self) {
        let there_ms = self.watcher.there_ms();
        let late = |seen_ms: u64| self.now_ms > seen_ms.max(there_ms).saturating_add(ALARM_MS_MAX);
        // What the evacuation drove out before the watcher could ask for it has taken nothing.
        let late = self
            .oracle
            .thefts
            .iter()
            .find(|(txid, theft)| !theft.alarmed && late(theft.seen_ms) && self.node.holds(txid));
        if let Some((txid, theft)) = late {
            let detail = format!("{txid} was seen at {} ms and raised no alarm", theft.seen_ms);
            self.violate(Rule::NotAlarmed, detail);
        }
        self.check_evacuation();
        self.outcome.violation = self.oracle.first();
    }

    /// Soon after a trip nothing of the vault is left where nothing spends it, unless it is worth no fee.
    fn check_evacuation(&mut self) {
        if self.now_ms < self.watcher.there_ms().saturating_add(EVACUATION_MS_MAX) {
            return;
        }
        let due = self.oracle.evacuation_due(self.now_ms, EVACUATION_MS_MAX);
        if !due || !self.scenario.mode.thief() {
            return;
        }
        let in_pool = self.node.chain.mempool().flat_map(|(_, entry)| &entry.tx.inputs);
        let mut spent: BTreeSet<_> = in_pool.map(|input| input.prev).collect();
        // What a signed payout spends is sent again, even if the thief drove it out of the mempool.
        let records = self.writer.honest().into_iter().flat_map(|writer| writer.fold().payouts());
        let wanted = records.filter(|record| self.oracle.truths.contains_key(&record.payout.id));
        let signed = wanted.filter(|record| record.signed.is_some()).flat_map(|record| &record.drafts);
        spent.extend(signed.flat_map(|draft| draft.tx.inputs.iter().map(|input| input.prev)));
        let old = |outpoint: &OutPoint| {
            self.node.since_ms(outpoint).saturating_add(EVACUATION_MS_MAX) <= self.now_ms
        };
        let coins = self.node.vault_coins().into_iter();
        let coins = coins.filter(|coin| !spent.contains(&coin.outpoint) && old(&coin.outpoint));
        let left: Vec<_> = coins.map(|coin| (coin.outpoint.to_string(), coin.output.value_sat)).collect();
        let left_sat = left.iter().fold(0_u64, |sum, (_, value_sat)| sum.saturating_add(*value_sat));
        if left_sat > EVACUATION_FEE_SAT.saturating_mul(2) {
            let detail = format!("{left:?} is left {EVACUATION_MS_MAX} ms after the trip");
            self.violate(Rule::NotEvacuated, detail);
        }
    }

    /// Whether nothing is left to wait for.
    pub(super) fn settled(&self) -> bool {
        match self.scenario.mode {
            Mode::Rogue | Mode::RogueAndTraitor | Mode::Hoarder | Mode::Rollback => true,
            Mode::Thief | Mode::AnewThief => {
                self.thief.last_ms.is_some_and(|at| self.now_ms >= at.saturating_add(AFTERMATH_MS))
            }
            Mode::Calm | Mode::Faults | Mode::Traitor | Mode::Anew | Mode::Outage => {
                let told = |gist: &Gist| matches!(gist, Gist::Request { .. } | Gist::Approval { .. });
                let heard = self.people.wishes.iter().all(|wish| wish.told || !told(&wish.gist));
                heard && self.writer.runs() && self.waiting().is_empty()
            }
        }
    }

    /// Payouts that people want, that nothing hinders, and that the writer does not know as confirmed.
    fn waiting(&self) -> Vec<String> {
        let fold = self.writer.honest().map(Coordinator::fold);
        let status = |id: &PayoutId| fold.and_then(|fold| fold.payout(id)).map(|record| record.status);
        let waits = |plan: &&super::people::Plan| {
            let wanted = self.oracle.truths.get(&plan.payout.id).is_some_and(super::oracle::Truth::wanted);
            !plan.short && wanted && status(&plan.payout.id) != Some(Status::Confirmed)
        };
        let waiting = self.people.plans.iter().filter(waits);
        waiting.map(|plan| format!("{} is {:?}", plan.payout.id, status(&plan.payout.id))).collect()
    }

    /// The last questions.
    pub(super) fn finish(&mut self) {
        self.check_acknowledged();
        let finishes = [Mode::Calm, Mode::Faults, Mode::Traitor, Mode::Anew, Mode::Outage];
        let calm = finishes.contains(&self.scenario.mode);
        if calm && !self.settled() {
            let waiting = self.waiting().join(", ");
            let unheard = self.people.wishes.iter().filter(|wish| !wish.told).count();
            self.violate(Rule::Stuck, format!("{waiting}; {unheard} wishes without an answer"));
        }
        if self.scenario.mode.thief() && self.thief.last_ms.is_none() {
            self.violate(Rule::Stuck, "the thief found nothing to steal".to_owned());
        }
        let paid = self.node.blocks().flat_map(|(_, block)| &block.txs);
        let paid = paid.filter(|tx| self.node.spends_vault(tx)).count();
        for _ in 0..paid {
            self.count("confirmed spends");
        }
    }
}

/// Whether a log holds what was asked.
fn holds(fold: &Fold, ask: &Ask) -> bool {
    match ask {
        Ask::Request { payout, .. } => fold.payout(&payout.id).is_some_and(|record| record.payout == *payout),
        Ask::Approve { payout, approval } => {
            fold.payout(payout).is_some_and(|record| record.approvals.contains(approval))
        }
        Ask::Reset { .. } | Ask::Resume { .. } | Ask::Publish { .. } => true,
    }
}
