//! CoinJoins with a thief among the people in them: Whirlpool, Wasabi 1, Wasabi 2, JoinMarket.
//!
//! Decides denominations, change and fees by each protocol's published rules. Everybody's wallet is P2WPKH, as theirs are.

use super::{
    Owner, Theft, What,
    scene::{Held, Pay, Scene, sum_sat},
};
use kuraban_chain::btc::Script;

/// Whirlpool's pools: denomination and coordinator's fee.
const POOLS: [(u64, u64); 3] = [(50_000_000, 1_750_000), (5_000_000, 175_000), (1_000_000, 50_000)];
/// A thief enters a pool if he can fill so many mixes.
const MIXES_MIN: u64 = 5;
const MIXES_MAX: u64 = 8;
/// What an entrant brings for mining fees.
const EXCESS_SAT: u64 = 18_000;
/// People in a mix of Whirlpool beside the thief.
const OTHERS: usize = 4;
/// Wasabi 1's denomination began here and drifted upwards.
const WASABI1_SAT: u64 = 10_000_000;
const WASABI1_DRIFT_SAT: u64 = 900_000;
/// Wasabi's least output.
const WASABI2_SAT_MIN: u64 = 5_000;
/// A rest that nobody leaves to the miner.
const WASABI2_REST_SAT: u64 = 20_000;
/// Outputs that a person has in a mix of Wasabi 2 at most.
const WASABI2_OUTPUTS: usize = 6;

impl Theft {
    /// The thief's tx0, those of three strangers, and coins of a fourth that has mixed before.
    pub(super) fn prepare_whirlpool(&mut self, scene: &mut Scene<'_>) -> bool {
        let Some(coin) = self.largest() else { return true };
        let pool =
            POOLS.into_iter().find(|(sat, fee)| coin.sat() > (sat + EXCESS_SAT) * (MIXES_MIN + 1) + fee);
        let Some((denomination, fee)) = pool else {
            self.purse.push(coin);
            return true;
        };
        let premix = denomination + EXCESS_SAT;
        let mixes = (coin.sat().saturating_sub(fee) / premix).saturating_sub(1).min(MIXES_MAX);
        // Of the first stranger's coins half are for the second round.
        let mut made = Vec::new();
        for times in [2, 1, 1] {
            let owner = self.stranger();
            let coins = scene.gather(premix * mixes * times + fee * 2, owner);
            if coins.is_empty() {
                self.purse.push(coin);
                scene.give(core::mem::take(&mut self.others));
                return self.give_up(scene);
            }
            made.extend(self.tx0(scene, &coins, premix, mixes * times, fee));
        }
        let owner = self.stranger();
        let mut pays: Vec<Pay> = (0..mixes).map(|_| scene.pay(owner, denomination)).collect();
        let coins = scene.gather(denomination * mixes + EXCESS_SAT * 2, Owner::Exchange);
        let paid = scene.fee(coins.len(), pays.len() + 1).min(EXCESS_SAT);
        let Some(rest) = sum_sat(&coins).checked_sub(denomination * mixes + paid) else {
            self.purse.push(coin);
            scene.give(made);
            return self.give_up(scene);
        };
        pays.push(scene.pay(Owner::Exchange, rest));
        let mut paid = scene.send(self.tag(What::Payout), &coins, &pays).unwrap_or_default();
        scene.give(paid.pop());
        made.extend(paid);
        self.others = made;
        let mine = self.tx0(scene, &[coin], premix, mixes, fee);
        self.others.extend(mine);
        self.limit_sat = denomination;
        true
    }

    /// Without strangers there is no mix: the thief goes on with what he has.
    fn give_up(&mut self, scene: &mut Scene<'_>) -> bool {
        scene.give(core::mem::take(&mut self.others));
        true
    }

    /// A tx0: data, the coordinator's fee, coins of one value, change. Gives the coins; change goes to its owner.
    fn tx0(&mut self, scene: &mut Scene<'_>, coins: &[Held], premix: u64, count: u64, fee: u64) -> Vec<Held> {
        let owner = coins.first().map_or(Owner::Nobody, |held| held.owner);
        let wide = usize::try_from(count).unwrap_or(usize::MAX);
        let mined = scene.fee(coins.len(), wide + 3).min(fee);
        let change = sum_sat(coins).saturating_sub(premix * count + fee + mined);
        let said = Script::new([&[0x6a, 64][..], &[0x77; 64]].concat());
        let mut pays = vec![Pay { owner: Owner::Nobody, script: said, sat: 0 }];
        pays.push(scene.pay(Owner::Coordinator, fee));
        pays.push(scene.pay(owner, change));
        pays.extend((0..count).map(|_| scene.pay(owner, premix)));
        let made = scene.send(self.tag(What::Tx0), coins, &pays).unwrap_or_default();
        let (ready, rest) = made.into_iter().partition(|held| held.sat() == premix && held.owner == owner);
        let rest = self.sort(rest);
        scene.give(rest);
        ready
    }

    /// A round: each of the thief's coins in a mix of its own, with four of others, of which one enters at least and one
    /// has mixed before at least.
    pub(super) fn whirlpool(&mut self, scene: &mut Scene<'_>) -> bool {
        let denomination = self.limit_sat;
        let (mine, mut others): (Vec<Held>, Vec<Held>) =
            core::mem::take(&mut self.others).into_iter().partition(|held| held.owner == Owner::Thief);
        let (mut fresh, mut old) = (Vec::new(), Vec::new());
        for held in others.drain(..) {
            if held.sat() > denomination { fresh.push(held) } else { old.push(held) }
        }
        let mut mixed = Vec::new();
        for coin in mine {
            let mut coins = vec![coin];
            take_of_others(&mut coins, &mut fresh, 1);
            take_of_others(&mut coins, &mut old, 1);
            while coins.len() <= OTHERS {
                let before = coins.len();
                let source = if old.len() > fresh.len() { &mut old } else { &mut fresh };
                take_of_others(&mut coins, source, 1);
                if coins.len() == before {
                    let source = if old.len() > fresh.len() { &mut fresh } else { &mut old };
                    take_of_others(&mut coins, source, 1);
                }
                if coins.len() == before {
                    break;
                }
            }
            let enters = coins.iter().filter(|held| held.sat() > denomination).count();
            if coins.len() != OTHERS + 1 || enters == 0 || enters > OTHERS {
                mixed.extend(coins);
                continue;
            }
            scene.random().shuffle(&mut coins);
            let mut pays: Vec<Pay> = coins.iter().map(|held| scene.pay(held.owner, denomination)).collect();
            scene.random().shuffle(&mut pays);
            mixed.extend(scene.send(self.tag(What::Whirlpool), &coins, &pays).unwrap_or_default());
        }
        self.others = mixed;
        self.others.extend(fresh);
        self.others.extend(old);
        // After the last round everybody goes his way.
        if self.steps.iter().filter(|step| **step == super::Step::Whirlpool).count() == 1 {
            let all = core::mem::take(&mut self.others);
            let rest = self.sort(all);
            scene.give(rest);
        }
        true
    }

    /// Everybody who was paid for it with all his coins, and the thief with one.
    fn people(&mut self) -> Vec<(Owner, Vec<Held>)> {
        let mut people: Vec<(Owner, Vec<Held>)> = Vec::new();
        for coin in core::mem::take(&mut self.others) {
            match people.last_mut().filter(|(owner, _)| *owner == coin.owner) {
                Some((_, coins)) => coins.push(coin),
                None => people.push((coin.owner, vec![coin])),
            }
        }
        people.extend(self.largest().map(|coin| (Owner::Thief, vec![coin])));
        people
    }

    /// Everybody goes his way.
    fn leave(&mut self, scene: &mut Scene<'_>, coins: Vec<Held>) {
        let rest = self.sort(coins);
        scene.give(rest);
    }

    pub(super) fn wasabi1(&mut self, scene: &mut Scene<'_>) -> bool {
        let people = self.people();
        let base = WASABI1_SAT + scene.between(0, WASABI1_DRIFT_SAT);
        let mut coins: Vec<Held> = people.iter().flat_map(|(_, coins)| coins.clone()).collect();
        let heads = u64::try_from(people.len()).unwrap_or(u64::MAX).max(1);
        let each = scene.fee(coins.len(), people.len() * 2 + 1) / heads + 1;
        // Three in a thousand, as Wasabi 1's coordinator took.
        let fee = base * 3 / 1_000;
        let mut pays = Vec::new();
        for (owner, held) in &people {
            pays.push(scene.pay(*owner, base));
            let change = sum_sat(held).saturating_sub(base + fee + each);
            pays.push(scene.pay(*owner, change));
        }
        pays.push(scene.pay(Owner::Coordinator, fee * heads));
        scene.random().shuffle(&mut coins);
        scene.random().shuffle(&mut pays);
        let made = scene.send(self.tag(What::Wasabi1), &coins, &pays);
        let made = made.unwrap_or(coins);
        self.leave(scene, made);
        true
    }

    pub(super) fn wasabi2(&mut self, scene: &mut Scene<'_>) -> bool {
        let people = self.people();
        let standard = standard();
        let mut coins: Vec<Held> = people.iter().flat_map(|(_, coins)| coins.clone()).collect();
        let mut pays = Vec::new();
        for (owner, held) in &people {
            // Each pays for its own inputs and outputs.
            let mut left = sum_sat(held).saturating_sub(scene.fee(held.len(), WASABI2_OUTPUTS));
            for _ in 1..WASABI2_OUTPUTS {
                let fits = standard.iter().rev().find(|sat| **sat <= left).copied();
                let Some(sat) = fits else { break };
                pays.push(scene.pay(*owner, sat));
                left -= sat;
            }
            // Little rests mostly go to the miner.
            if left >= WASABI2_REST_SAT || left >= WASABI2_SAT_MIN && scene.between(0, 9) == 0 {
                pays.push(scene.pay(*owner, left));
            }
        }
        coins.sort_by_key(|held| core::cmp::Reverse(held.sat()));
        pays.sort_by_key(|pay| core::cmp::Reverse(pay.sat));
        let made = scene.send(self.tag(What::Wasabi2), &coins, &pays);
        let made = made.unwrap_or(coins);
        self.leave(scene, made);
        true
    }

    /// The thief takes: makers get a thousandth of what they help to mix, and he pays them and the miner.
    pub(super) fn joinmarket(&mut self, scene: &mut Scene<'_>) -> bool {
        let people = self.people();
        let least = people.iter().map(|(_, coins)| sum_sat(coins)).min().unwrap_or(0);
        let part = scene.between(400, 900);
        let denomination = least * part / 1_000;
        let earned = denomination / 1_000;
        let mut coins: Vec<Held> = people.iter().flat_map(|(_, coins)| coins.clone()).collect();
        let makers = u64::try_from(people.len()).unwrap_or(1) - 1;
        let mined = scene.fee(coins.len(), people.len() * 2);
        let mut pays = Vec::new();
        for (owner, held) in &people {
            let rest = sum_sat(held).saturating_sub(denomination);
            let change = if *owner == Owner::Thief {
                rest.saturating_sub(earned * makers + mined)
            } else {
                rest + earned
            };
            pays.push(scene.pay(*owner, denomination));
            pays.push(scene.pay(*owner, change));
        }
        scene.random().shuffle(&mut coins);
        scene.random().shuffle(&mut pays);
        let made = scene.send(self.tag(What::JoinMarket), &coins, &pays);
        let made = made.unwrap_or(coins);
        self.leave(scene, made);
        true
    }
}

/// Moves coins of owners who are not there yet, at most so many.
fn take_of_others(coins: &mut Vec<Held>, source: &mut Vec<Held>, count: usize) {
    for _ in 0..count {
        let new = |held: &Held| coins.iter().all(|other| other.owner != held.owner);
        let Some(place) = source.iter().position(new) else { return };
        coins.push(source.swap_remove(place));
    }
}

/// Wasabi 2's denominations in rising order: 2^i, 3^i, 2·3^i, 10^i, 2·10^i, 5·10^i within its limits (WalletWasabi).
fn standard() -> Vec<u64> {
    const SAT_MAX: u64 = 134_375_000_000;
    let series = [(2_u64, 1_u64), (3, 1), (3, 2), (10, 1), (10, 2), (10, 5)];
    let powers = series.into_iter().flat_map(|(base, times)| {
        core::iter::successors(Some(times), move |sat| sat.checked_mul(base))
            .take_while(|sat| *sat <= SAT_MAX)
    });
    let mut all: Vec<u64> = powers.filter(|sat| *sat >= WASABI2_SAT_MIN).collect();
    all.sort_unstable();
    all.dedup();
    all
}
