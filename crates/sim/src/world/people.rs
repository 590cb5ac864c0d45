//! People in a simulated world: who requests what, who approves it, and the mistakes they make. What they really signed
//! is what the oracle holds everything against.

use kuraban_base::{Amount, PayoutDigest};
use kuraban_vault::{
    APPROVE, Payout, PayoutKind, REQUEST,
    coordinator::{Ask, Reply},
};

use super::{
    Mode,
    random::Random,
    realm::{NETWORK, SMALL_SAT, START, STRANGER, realm, stranger},
};

/// How long before a person repeats what was not answered.
pub(super) const AGAIN_MS: u64 = 3000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How many payouts people want where a writer hoards: more than a day's allowance.
const MANY: u64 = 13;

/// What a wish really is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gist {
    /// The request of a payout.
    Request { payout: usize },
    /// A person's approval of exactly this payout.
    Approval { payout: usize, person: u8 },
    /// The same id with another body, which must not be taken.
    Variant { payout: usize },
    /// An approval that must not be taken.
    Wrong { payout: usize },
}

/// Something a person asks of the writer, until it is answered.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) gist: Gist,
    pub(super) ask: Ask,
    pub(super) at_ms: u64,
    pub(super) told: bool,
    /// Whether the writer said that it is logged; nothing before the first answer.
    pub(super) logged: Option<bool>,
}

/// A payout that people have in mind.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) payout: Payout,
    pub(super) digest: PayoutDigest,
    pub(super) requester: u8,
    /// It expires before it can be expected to be paid.
    pub(super) short: bool,
}

/// Everybody.
pub(super) struct People {
    pub(super) plans: Vec<Plan>,
    pub(super) wishes: Vec<Wish>,
}

impl People {
    pub(super) fn new(mode: Mode, random: &mut Random) -> Self {
        let mut people = Self { plans: Vec::new(), wishes: Vec::new() };
        let many = mode == Mode::Hoarder;
        let count = if many { MANY } else { random.within(3, 6) };
        for number in 0..count {
            people.plans.push(if many { large(number, random) } else { plan(number, random) });
        }
        for payout in 0..people.plans.len() {
            if many {
                people.wish_plainly(payout, random);
            } else {
                people.wish_for(payout, random);
            }
        }
        people
    }

    fn wish_for(&mut self, index: usize, random: &mut Random) {
        let Some(plan) = self.plans.get(index).cloned() else { return };
        let start = random.within(200, 40_000);
        let key = format!("key-{}", plan.payout.id);
        let (payout, requester) = (plan.payout.clone(), plan.requester);
        self.request(Gist::Request { payout: index }, start, &payout, requester, &key);
        if random.one_in(3) {
            let mut other = payout.clone();
            other.amount = Amount::new(other.amount.units().saturating_add(1));
            let key = if random.one_in(2) { key } else { format!("{key}-other") };
            self.request(
                Gist::Variant { payout: index },
                start.saturating_add(9000),
                &other,
                requester,
                &key,
            );
        }
        let officers: Vec<u8> = [2, 3, 4, 5].into_iter().filter(|person| *person != requester).collect();
        let first = usize::try_from(random.below(3)).unwrap_or_default();
        // Now and then one approval is missing, so that the payout must never be paid.
        let short = u64::from(random.one_in(7));
        let count = usize::try_from(random.within(2, 3).saturating_sub(short)).unwrap_or(2);
        for person in officers.iter().cycle().skip(first).take(count.max(1)) {
            let at_ms = start.saturating_add(random.within(100, 20_000));
            let gist = Gist::Approval { payout: index, person: *person };
            self.approve(gist, at_ms, &plan, *person, APPROVE, plan.digest);
        }
        if random.one_in(2) {
            let at_ms = start.saturating_add(random.within(100, 20_000));
            self.err(index, &plan, at_ms, random);
        }
    }

    /// A request with the approvals that it needs, and no mistake.
    fn wish_plainly(&mut self, index: usize, random: &mut Random) {
        let Some(plan) = self.plans.get(index).cloned() else { return };
        let key = format!("key-{}", plan.payout.id);
        let start = random.within(200, 5000);
        self.request(Gist::Request { payout: index }, start, &plan.payout, plan.requester, &key);
        for person in [3, 4] {
            let gist = Gist::Approval { payout: index, person };
            let at_ms = start.saturating_add(random.within(100, 5000));
            self.approve(gist, at_ms, &plan, person, APPROVE, plan.digest);
        }
    }

    fn err(&mut self, index: usize, plan: &Plan, at_ms: u64, random: &mut Random) {
        let gist = Gist::Wrong { payout: index };
        let other =
            self.plans.iter().find(|other| other.payout.id != plan.payout.id).map(|other| other.digest);
        match random.below(4) {
            0 => self.approve(gist, at_ms, plan, plan.requester, APPROVE, plan.digest),
            1 => self.approve(gist, at_ms, plan, STRANGER, APPROVE, plan.digest),
            2 => self.approve(gist, at_ms, plan, 3, REQUEST, plan.digest),
            _ => self.approve(
                gist,
                at_ms,
                plan,
                4,
                APPROVE,
                other.unwrap_or(plan.payout.digest(&wrong_context())),
            ),
        }
    }

    fn request(&mut self, gist: Gist, at_ms: u64, payout: &Payout, person: u8, key: &str) {
        let digest = payout.digest(&realm().charter.context());
        if let Some(request) = realm().sign(person, REQUEST, digest.as_bytes()) {
            let ask = Ask::Request { payout: payout.clone(), request, key: key.to_owned() };
            self.wishes.push(Wish { gist, ask, at_ms, told: false, logged: None });
        }
    }

    fn approve(
        &mut self,
        gist: Gist,
        at_ms: u64,
        plan: &Plan,
        person: u8,
        namespace: &str,
        digest: PayoutDigest,
    ) {
        if let Some(approval) = realm().sign(person, namespace, digest.as_bytes()) {
            let ask = Ask::Approve { payout: plan.payout.id.clone(), approval };
            self.wishes.push(Wish { gist, ask, at_ms, told: false, logged: None });
        }
    }

    pub(super) fn times(&self) -> Vec<(usize, u64)> {
        self.wishes.iter().map(|wish| wish.at_ms).enumerate().collect()
    }

    /// Whether the payout's request was logged or refused: people approve what they see.
    pub(super) fn requested(&self, payout: usize) -> Option<bool> {
        self.wishes.iter().find(|wish| wish.gist == Gist::Request { payout })?.logged
    }

    /// Takes note of an answer on its way; true if it is the first.
    pub(super) fn answered(&mut self, index: usize, reply: &Reply) -> bool {
        let Some(wish) = self.wishes.get_mut(index) else { return false };
        wish.logged = wish.logged.or(Some(matches!(reply, Reply::Logged { .. })));
        !wish.told
    }

    pub(super) fn told(&mut self, index: usize) {
        if let Some(wish) = self.wishes.get_mut(index) {
            wish.told = true;
        }
    }
}

fn wrong_context() -> kuraban_vault::DigestContext {
    let mut context = realm().charter.context();
    context.origin.push('x');
    context
}

/// A payout of which eight are a day's allowance, with days to be paid.
fn large(number: u64, random: &mut Random) -> Plan {
    let amount = random.within(45_000_000, 48_000_000);
    planned(number, amount, 5 * DAY_MS, false, random)
}

fn plan(number: u64, random: &mut Random) -> Plan {
    let amount = match random.below(4) {
        0 | 1 => random.within(20_000, SMALL_SAT),
        2 => random.within(SMALL_SAT.saturating_add(1), 6_000_000),
        _ => random.within(6_000_000, 30_000_000),
    };
    let short = random.one_in(8);
    let life = if short { random.within(15_000, 60_000) } else { DAY_MS };
    planned(number, amount, life, short, random)
}

fn planned(number: u64, amount: u64, life: u64, short: bool, random: &mut Random) -> Plan {
    let id = format!("w{number}");
    let payout = Payout {
        id: super::realm::sure(id.parse()),
        kind: PayoutKind::CustomerWithdrawal,
        network: NETWORK,
        vault: realm().vault.clone(),
        destination: stranger(&id),
        memo: None,
        amount: Amount::from(amount),
        fee_cap: Amount::from(random.within(30_000, 90_000)),
        not_before: START,
        expiry: START.plus_ms(life),
    };
    let digest = payout.digest(&realm().charter.context());
    let requester = u8::try_from(random.within(1, 2)).unwrap_or(1);
    Plan { payout, digest, requester, short }
}
