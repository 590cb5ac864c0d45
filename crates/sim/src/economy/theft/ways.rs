//! How thieves move coins, step by step: theft, peels, dispersal, hub, dust, lots, deposits and their sweep.
//!
//! Decides amounts and addresses of each step. Mixes are in `mixes`.

use std::collections::VecDeque;

use super::{
    Owner, Theft, Way, What,
    fork::Draft,
    scene::{Held, Pay, Scene, Tag, outputs_of, sum_sat},
};
use crate::economy::random::Random;

/// What a theft takes, if the economy has it.
const STOLEN_SAT: u64 = 2_000_000_000;
/// What it is content with.
const STOLEN_SAT_MIN: u64 = 100_000_000;
/// Links of a peel chain in one block.
const PEELS_A_BLOCK: u64 = 5;
/// Lots in one block.
const LOTS_A_BLOCK: u64 = 3;
/// A thief's lots are about this part of what he has.
const LOTS: u64 = 14;
/// Deposits in one block.
const DEPOSITS_A_BLOCK: usize = 12;
/// Inputs of a sweep.
const SWEEP_INPUTS_MAX: usize = 100;
/// Coins that are too small to be moved.
const SMALL_SAT: u64 = 50_000;

/// What a theft does in one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Steal,
    Fork,
    Peel,
    Disperse,
    HubPay,
    HubSweep,
    HubPayout,
    Dust,
    Lot,
    Tx0,
    Whirlpool,
    /// Pays so many strangers amounts between two.
    Fund {
        strangers: u64,
        sat_min: u64,
        sat_max: u64,
    },
    Wasabi1,
    Wasabi2,
    JoinMarket,
    Deposit,
    Sweep,
}

/// What a thief of a way does.
pub(super) fn steps(way: Way, random: &mut Random) -> VecDeque<Step> {
    use Step::{
        Deposit, Disperse, Dust, Fork, Fund, HubPay, HubPayout, HubSweep, JoinMarket, Lot, Peel, Steal,
        Sweep, Tx0, Wasabi1, Wasabi2, Whirlpool,
    };
    let mut fund = |low: u64, high: u64, sat_min, sat_max| Fund {
        strangers: low + random.below(high - low + 1),
        sat_min,
        sat_max,
    };
    let middle = match way {
        Way::Peel => {
            let blocks = usize::try_from(4 + random.below(9)).unwrap_or(4);
            [&[Steal][..], &vec![Peel; blocks]].concat()
        }
        Way::Dispersal => vec![Steal, Disperse, Disperse],
        Way::Hub => vec![Steal, HubPay, HubSweep, HubPayout],
        Way::Dusting => vec![Steal, Dust, Peel, Dust],
        Way::Lots => vec![Steal, Lot, Lot, Lot, Lot],
        Way::Whirlpool => vec![Steal, Tx0, Whirlpool, Whirlpool],
        Way::Wasabi1 => {
            let (first, second) =
                (fund(16, 44, 12_500_000, 30_000_000), fund(16, 44, 12_500_000, 30_000_000));
            vec![Steal, first, Wasabi1, second, Wasabi1]
        }
        Way::Wasabi2 => vec![Steal, fund(60, 95, 300_000, 20_000_000), Wasabi2],
        Way::JoinMarket => {
            let (first, second) = (fund(4, 8, 30_000_000, 90_000_000), fund(4, 8, 30_000_000, 90_000_000));
            vec![Steal, first, JoinMarket, second, JoinMarket]
        }
        Way::Reorganisation => vec![Fork, Peel],
    };
    middle.into_iter().chain([Deposit, Sweep]).collect()
}

impl Theft {
    pub(super) const fn tag(&self, what: What) -> Tag {
        Tag { number: self.number, way: self.way, what, limit_sat: None }
    }

    /// Does a step; false if it is to be done again.
    pub(super) fn step(&mut self, step: Step, scene: &mut Scene<'_>) -> bool {
        match step {
            Step::Steal => self.steal(scene),
            Step::Fork => self.fork(scene),
            Step::Peel => self.peel(scene),
            Step::Disperse => self.disperse(scene),
            Step::HubPay => self.hub_pay(scene),
            Step::HubSweep => self.hub_sweep(scene),
            Step::HubPayout => self.hub_payout(scene),
            Step::Dust => self.dust(scene),
            Step::Lot => self.lots(scene),
            Step::Tx0 => self.prepare_whirlpool(scene),
            Step::Whirlpool => self.whirlpool(scene),
            Step::Fund { strangers, sat_min, sat_max } => self.fund(scene, strangers, sat_min, sat_max),
            Step::Wasabi1 => self.wasabi1(scene),
            Step::Wasabi2 => self.wasabi2(scene),
            Step::JoinMarket => self.joinmarket(scene),
            Step::Deposit => self.deposit(scene),
            Step::Sweep => self.sweep(scene),
        }
    }

    /// Takes the thief's most valuable coin out of his purse.
    pub(super) fn largest(&mut self) -> Option<Held> {
        let place = (0..self.purse.len()).max_by_key(|place| self.purse.get(*place).map(Held::sat))?;
        Some(self.purse.swap_remove(place))
    }

    fn booty(scene: &mut Scene<'_>) -> Vec<Held> {
        let coins = scene.gather(STOLEN_SAT, Owner::Victim);
        if coins.is_empty() { scene.gather(STOLEN_SAT_MIN, Owner::Victim) } else { coins }
    }

    fn steal(&mut self, scene: &mut Scene<'_>) -> bool {
        let coins = Self::booty(scene);
        let fee = scene.fee(coins.len(), 1);
        let Some(sat) = sum_sat(&coins).checked_sub(fee).filter(|sat| *sat > 0) else { return false };
        let pay = scene.pay(Owner::Thief, sat);
        self.purse.extend(scene.send(self.tag(What::Theft), &coins, &[pay]).unwrap_or_default());
        true
    }

    /// The theft on the chain, another one of the same coins on a branch, and what the thief did there.
    fn fork(&mut self, scene: &mut Scene<'_>) -> bool {
        if scene.branches() {
            return false;
        }
        let coins = Self::booty(scene);
        let fee = scene.fee(coins.len(), 1);
        let Some(sat) = sum_sat(&coins).checked_sub(fee).filter(|sat| *sat > SMALL_SAT) else { return false };
        let (there, here) = ([scene.pay(Owner::Thief, sat)], [scene.pay(Owner::Thief, sat)]);
        let instead = Scene::compose(&coins, &there);
        scene.label(self.tag(What::Theft), &instead, &coins, &there, true);
        let stolen_there = outputs_of(&instead, &there);
        let then_fee_sat = scene.fee(1, 1);
        let on = [scene.pay(Owner::Thief, sat.saturating_sub(then_fee_sat))];
        let then = Scene::compose(&stolen_there, &on);
        scene.label(self.tag(What::Peel), &then, &stolen_there, &on, true);
        let made = scene.send(self.tag(What::Theft), &coins, &here).unwrap_or_default();
        let replaced = made.first().map(|held| held.coin.outpoint.txid);
        self.purse.extend(made);
        if let Some(replaced) = replaced {
            scene.branch(Draft { instead, replaced, then, then_fee_sat });
        }
        true
    }

    fn peel(&mut self, scene: &mut Scene<'_>) -> bool {
        for _ in 0..PEELS_A_BLOCK {
            let Some(coin) = self.largest() else { return true };
            let fee = scene.fee(1, 2);
            let part = scene.between(2, 8);
            let peeled = coin.sat() * part / 100;
            let rest = coin.sat().saturating_sub(peeled + fee);
            if rest <= SMALL_SAT || peeled <= fee {
                self.purse.push(coin);
                return true;
            }
            let mut pays = [scene.pay(Owner::ThiefDeposit, peeled), scene.pay(Owner::Thief, rest)];
            if scene.between(0, 1) == 0 {
                pays.reverse();
            }
            let made = scene.send(self.tag(What::Peel), &[coin], &pays).unwrap_or_default();
            self.sort(made);
        }
        true
    }

    /// Puts coins where they belong.
    pub(super) fn sort(&mut self, coins: Vec<Held>) -> Vec<Held> {
        let mut rest = Vec::new();
        for coin in coins {
            match coin.owner {
                Owner::Thief => self.purse.push(coin),
                Owner::ThiefDeposit | Owner::OtherDeposit => self.deposits.push(coin),
                Owner::Victim
                | Owner::Hub
                | Owner::Exchange
                | Owner::Coordinator
                | Owner::Stranger(_)
                | Owner::Nobody => rest.push(coin),
            }
        }
        rest
    }

    fn disperse(&mut self, scene: &mut Scene<'_>) -> bool {
        let coins: Vec<Held> = (0..8).filter_map(|_| self.largest()).collect();
        for coin in coins {
            let count = scene.between(10, 40);
            let wide = usize::try_from(count).unwrap_or(10);
            let free = coin.sat().saturating_sub(scene.fee(1, wide));
            if free / count < SMALL_SAT {
                self.purse.push(coin);
                continue;
            }
            let pays: Vec<Pay> =
                split(scene, free, count).into_iter().map(|sat| scene.pay(Owner::Thief, sat)).collect();
            let made = scene.send(self.tag(What::Dispersal), &[coin], &pays).unwrap_or_default();
            self.purse.extend(made);
        }
        true
    }

    fn hub_pay(&mut self, scene: &mut Scene<'_>) -> bool {
        for _ in 0..scene.between(3, 6) {
            let Some(coin) = self.largest() else { break };
            let fee = scene.fee(1, 2);
            let part = coin.sat() / 3;
            let rest = coin.sat().saturating_sub(part + fee);
            let pays = [scene.pay(Owner::Hub, part), scene.pay(Owner::Thief, rest)];
            self.claim_sat += part;
            let made = scene.send(self.tag(What::HubPayment), &[coin], &pays).unwrap_or_default();
            let hub = self.sort(made);
            self.others.extend(hub);
        }
        for _ in 0..scene.between(3, 8) {
            let owner = self.stranger();
            let Some(coin) = scene.take(SMALL_SAT, owner) else { continue };
            let sat = coin.sat().saturating_sub(scene.fee(1, 1));
            let pay = scene.pay(Owner::Hub, sat);
            let made = scene.send(self.tag(What::HubPayment), &[coin], &[pay]).unwrap_or_default();
            self.others.extend(made);
        }
        true
    }

    fn hub_sweep(&mut self, scene: &mut Scene<'_>) -> bool {
        let coins = core::mem::take(&mut self.others);
        let sat = sum_sat(&coins).saturating_sub(scene.fee(coins.len(), 1));
        let pay = scene.pay(Owner::Hub, sat);
        self.others = scene.send(self.tag(What::HubSweep), &coins, &[pay]).unwrap_or_default();
        true
    }

    fn hub_payout(&mut self, scene: &mut Scene<'_>) -> bool {
        let coins = core::mem::take(&mut self.others);
        let strangers = scene.between(5, 12);
        let all = sum_sat(&coins);
        let fee = scene.fee(1, 20);
        // The processor keeps a hundredth, and pays out in three.
        let due = (self.claim_sat - self.claim_sat / 100).min(all.saturating_sub(fee)) / 3;
        let left = all.saturating_sub(due * 3 + fee);
        let mut pays: Vec<Pay> = (0..3).map(|_| scene.pay(Owner::ThiefDeposit, due)).collect();
        for _ in 0..strangers {
            let owner = self.stranger();
            pays.push(scene.pay(owner, left / (strangers + 1)));
        }
        pays.push(scene.pay(Owner::Hub, left / (strangers + 1)));
        scene.random().shuffle(&mut pays);
        let made = scene.send(self.tag(What::HubPayout), &coins, &pays).unwrap_or_default();
        let rest = self.sort(made);
        scene.give(rest);
        true
    }

    fn dust(&mut self, scene: &mut Scene<'_>) -> bool {
        let Some(coin) = self.largest() else { return true };
        let mut pays = Vec::new();
        for _ in 0..scene.between(20, 50) {
            let (sat, owner) = (scene.between(546, 1_500), self.stranger());
            pays.extend(scene.somebody().map(|script| Pay { owner, script, sat }));
        }
        let paid: u64 = pays.iter().map(|pay| pay.sat).sum();
        let rest = coin.sat().saturating_sub(paid + scene.fee(1, pays.len() + 1));
        pays.push(scene.pay(Owner::Thief, rest));
        let made = scene.send(self.tag(What::Dust), &[coin], &pays).unwrap_or_default();
        let dust = self.sort(made);
        scene.give(dust);
        true
    }

    fn lots(&mut self, scene: &mut Scene<'_>) -> bool {
        if self.limit_sat == 0 {
            self.limit_sat = first_digit(sum_sat(&self.purse) / LOTS);
        }
        let limit_sat = self.limit_sat;
        for _ in 0..LOTS_A_BLOCK {
            let Some(coin) = self.largest() else { return true };
            let lot = limit_sat * scene.between(9_950, 9_999) / 10_000;
            let fee = scene.fee(1, 2);
            let Some(rest) = coin.sat().checked_sub(lot + fee).filter(|rest| *rest > SMALL_SAT) else {
                self.purse.push(coin);
                return true;
            };
            let pays = [scene.pay(Owner::ThiefDeposit, lot), scene.pay(Owner::Thief, rest)];
            let tag = Tag { limit_sat: Some(limit_sat), ..self.tag(What::Lot) };
            let made = scene.send(tag, &[coin], &pays).unwrap_or_default();
            self.sort(made);
        }
        true
    }

    /// A service pays strangers, whose coins then mix.
    fn fund(&mut self, scene: &mut Scene<'_>, strangers: u64, sat_min: u64, sat_max: u64) -> bool {
        let mut sats: Vec<u64> = (0..strangers).map(|_| scene.between(sat_min, sat_max)).collect();
        let fee = scene.fee(20, sats.len() + 1);
        let coins = scene.gather(sats.iter().sum::<u64>() + fee, Owner::Exchange);
        let Some(rest) = sum_sat(&coins).checked_sub(sats.iter().sum::<u64>() + fee) else { return false };
        let mut pays = Vec::new();
        let mut owner = self.stranger();
        for sat in sats.drain(..) {
            pays.push(scene.pay(owner, sat));
            // One in four is paid twice or more often.
            if scene.between(0, 3) > 0 {
                owner = self.stranger();
            }
        }
        pays.push(scene.pay(Owner::Exchange, rest));
        let mut made = scene.send(self.tag(What::Payout), &coins, &pays).unwrap_or_default();
        // The last is the service's own.
        scene.give(made.pop());
        self.others.extend(made);
        true
    }

    fn deposit(&mut self, scene: &mut Scene<'_>) -> bool {
        self.purse.sort_by_key(|coin| core::cmp::Reverse(coin.sat()));
        for _ in 0..DEPOSITS_A_BLOCK {
            let count = usize::try_from(scene.between(1, 8)).unwrap_or(1).min(self.purse.len());
            let coins: Vec<Held> = self.purse.drain(..count).collect();
            let fee = scene.fee(coins.len(), 1);
            let Some(sat) = sum_sat(&coins).checked_sub(fee).filter(|sat| *sat > 0) else { continue };
            let pay = scene.pay(Owner::ThiefDeposit, sat);
            let made = scene.send(self.tag(What::Deposit), &coins, &[pay]).unwrap_or_default();
            self.sort(made);
        }
        for _ in 0..3 {
            let owner = self.stranger();
            let Some(coin) = scene.take(SMALL_SAT, owner) else { continue };
            let sat = coin.sat().saturating_sub(scene.fee(1, 1));
            let pay = scene.pay(Owner::OtherDeposit, sat);
            let made = scene.send(self.tag(What::Deposit), &[coin], &[pay]).unwrap_or_default();
            self.sort(made);
        }
        self.purse.is_empty()
    }

    fn sweep(&mut self, scene: &mut Scene<'_>) -> bool {
        let deposits = core::mem::take(&mut self.deposits);
        for coins in deposits.chunks(SWEEP_INPUTS_MAX) {
            let sat = sum_sat(coins).saturating_sub(scene.fee(coins.len(), 1));
            let pay = scene.pay(Owner::Exchange, sat);
            let made = scene.send(self.tag(What::Sweep), coins, &[pay]).unwrap_or_default();
            scene.give(made);
        }
        true
    }
}

/// Splits an amount into so many parts, none of them less than half of the mean.
fn split(scene: &mut Scene<'_>, sat: u64, count: u64) -> Vec<u64> {
    let mean = sat / count.max(1);
    let mut left = sat;
    let mut parts = Vec::new();
    for later in (0..count).rev() {
        let part = if later == 0 { left } else { scene.between(mean / 2, mean) };
        left -= part;
        parts.push(part);
    }
    parts
}

/// A number with its first digit alone: limits are round.
const fn first_digit(number: u64) -> u64 {
    match number.checked_ilog10() {
        Some(digits) => {
            let unit = 10_u64.pow(digits);
            number / unit * unit
        }
        None => 0,
    }
}
