//! JoinMarket's mixes, and transactions of two parts that look like one (Stonewall).
//!
//! Decides by shape and then by arithmetic: in a real mix the inputs can be dealt out so that everybody gets back what he
//! put in, but for what the taker pays the makers. Shape alone takes payouts of exchanges and trades of tokens for mixes.

use super::view::View;

/// What the arithmetic says of equal outputs with change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Party {
    /// Three or more: everybody gets back what he put in.
    Balanced,
    /// Three or more: too many ways to deal the inputs out to say.
    NotDecided,
    /// Three or more: no way to deal the inputs out was found.
    Unbalanced,
    /// Two: one gains a little, which the other pays.
    MakerPaid,
    /// Two: both pay the same part of the fee, which is how Stonewall divides it.
    Even,
    /// Two: both pay something.
    Loose,
}

impl Party {
    /// How sure the likeness is.
    pub(super) const fn confidence(self) -> u8 {
        match self {
            Self::Balanced => 80,
            Self::NotDecided | Self::MakerPaid => 49,
            Self::Even => 30,
            Self::Loose | Self::Unbalanced => 20,
        }
    }
}

/// Equal outputs up to this value are marks of tokens, not mixes.
const MARK_MAX: u64 = 2_730;
/// Least value of the two equal outputs of a Stonewall.
const STONEWALL_MIN: u64 = 5_000;
/// Most that a maker gains: units, or this part of the amount.
const GAIN_MAX: u64 = 5_000;
const GAIN_PART: u64 = 200;
/// Most that a maker gives to the fee.
const GIVEN_MAX: u64 = 1_000;

/// A transaction of three or four outputs, two of them equal and none of data: two people's mix, or one person's imitation.
pub(super) fn is_stonewall(view: &View) -> bool {
    let (repeated, values) = view.repeated();
    view.inputs().len() >= 2
        && view.unspendable() == 0
        && (3..=4).contains(&view.outputs().len())
        && view.pays_each_once()
        && (repeated, values) == (2, 1)
        && view.mode().is_some_and(|(value, _)| value >= STONEWALL_MIN)
}

/// The verdict on equal outputs of which each but at most one has its change; nothing if the shape is another.
pub(super) fn party(view: &View) -> Option<Party> {
    if is_stonewall(view) {
        return two(view);
    }
    let (amount, count) = view.mode()?;
    let outputs = view.outputs().len();
    let shape = count >= 3
        && view.unspendable() == 0
        && amount > MARK_MAX
        && (outputs == count.saturating_mul(2) || outputs.saturating_add(1) == count.saturating_mul(2))
        && count <= view.input_owners()
        && view.pays_each_once();
    // Makers seldom bring more than a few coins each.
    let crowded = view.inputs().len() >= 50 && view.inputs().len() > count.saturating_mul(20);
    (shape && !crowded).then(|| many(view, amount, count))
}

fn many(view: &View, amount: u64, count: usize) -> Party {
    let mut changes: Vec<u64> =
        view.outputs().iter().map(|coin| coin.value).filter(|value| *value != amount).collect();
    changes.resize(count, 0);
    changes.sort_unstable_by(|a, b| b.cmp(a));
    let gain = gain_max(amount);
    let others = u64::try_from(count).unwrap_or(u64::MAX).saturating_sub(1);
    let mut deal = Deal {
        purses: purses(view).into_iter().map(|value| Purse { value, taken: false }).collect(),
        wants: changes.into_iter().map(|change| change.saturating_add(amount)).collect(),
        gain,
        fees: view.fee().saturating_add(gain.saturating_mul(others)),
        steps: Deal::STEPS_MAX,
    };
    match deal.serve(0, false) {
        Some(true) => Party::Balanced,
        Some(false) => Party::Unbalanced,
        None => Party::NotDecided,
    }
}

fn gain_max(amount: u64) -> u64 {
    GAIN_MAX.max(amount / GAIN_PART)
}

/// What each owner puts in, largest first: coins of one script are one person's.
fn purses(view: &View) -> Vec<u64> {
    let mut by_owner = std::collections::HashMap::new();
    for coin in view.inputs() {
        let sum = by_owner.entry(coin.owner).or_insert(0_u64);
        *sum = sum.saturating_add(coin.value);
    }
    let mut purses: Vec<u64> = by_owner.into_values().collect();
    purses.sort_unstable_by(|a, b| b.cmp(a));
    purses
}

struct Purse {
    value: u64,
    taken: bool,
}

/// Deals purses out to participants, depth first, within a bound.
struct Deal {
    purses: Vec<Purse>,
    /// The amount and the change of each participant, largest first.
    wants: Vec<u64>,
    gain: u64,
    /// Most that the taker pays.
    fees: u64,
    steps: u32,
}

impl Deal {
    /// Bound of the search: about a millisecond.
    const STEPS_MAX: u32 = 20_000;
    /// Most purses of one participant.
    const PURSES_MAX: u32 = 10;

    /// Whether all participants from `at` on can be served; nothing when the bound is reached.
    fn serve(&mut self, at: usize, taker: bool) -> Option<bool> {
        let Some(want) = self.wants.get(at).copied() else { return Some(true) };
        let maker = (want.saturating_sub(self.gain), want.saturating_add(GIVEN_MAX));
        if self.gather(Hand { at, taker, range: maker, from: 0, sum: 0, purses: 0 })? {
            return Some(true);
        }
        let pays = (want, want.saturating_add(self.fees));
        Some(!taker && self.gather(Hand { at, taker: true, range: pays, from: 0, sum: 0, purses: 0 })?)
    }

    fn gather(&mut self, hand: Hand) -> Option<bool> {
        self.steps = self.steps.checked_sub(1)?;
        let (low, high) = hand.range;
        if hand.purses > 0
            && (low..=high).contains(&hand.sum)
            && self.serve(hand.at.saturating_add(1), hand.taker)?
        {
            return Some(true);
        }
        if hand.purses == Self::PURSES_MAX {
            return Some(false);
        }
        for place in hand.from..self.purses.len() {
            let Some(purse) = self.purses.get_mut(place) else { break };
            let sum = hand.sum.saturating_add(purse.value);
            if purse.taken || sum > high {
                continue;
            }
            purse.taken = true;
            let served = self.gather(Hand {
                from: place.saturating_add(1),
                sum,
                purses: hand.purses.saturating_add(1),
                ..hand
            })?;
            if served {
                return Some(true);
            }
            if let Some(purse) = self.purses.get_mut(place) {
                purse.taken = false;
            }
        }
        Some(false)
    }
}

/// What one participant has so far.
#[derive(Clone, Copy)]
struct Hand {
    at: usize,
    /// Whether the taker is among those served.
    taker: bool,
    /// Least and most that the participant may have put in.
    range: (u64, u64),
    from: usize,
    sum: u64,
    purses: u32,
}

/// Two equal outputs: the division of the inputs in which the worse off of the two is best off.
fn two(view: &View) -> Option<Party> {
    /// With more purses, some division fits by chance.
    const PURSES_MAX: usize = 12;
    const PURSES_MAX_FOR_MAKER: usize = 4;
    let (amount, _) = view.mode()?;
    let purses = purses(view);
    if purses.len() < 2 {
        return None;
    }
    if purses.len() > PURSES_MAX {
        return Some(Party::Loose);
    }
    let mut changes = view.outputs().iter().map(|coin| coin.value).filter(|value| *value != amount);
    let wants = [changes.next().unwrap_or(0), changes.next().unwrap_or(0)]
        .map(|change| i128::from(change.saturating_add(amount)));
    let total: i128 = purses.iter().copied().map(i128::from).sum();
    let (worse, better) = divisions(&purses)
        .flat_map(|part| {
            let [first, second] = wants;
            [(part - first, total - part - second), (part - second, total - part - first)]
        })
        .map(|(a, b)| (a.min(b), a.max(b)))
        .max()?;
    let gain = i128::from(gain_max(amount));
    if worse >= 0 {
        Some(if better - worse <= 2 { Party::Even } else { Party::Loose })
    } else if -worse <= gain && purses.len() <= PURSES_MAX_FOR_MAKER {
        Some(Party::MakerPaid)
    } else {
        None
    }
}

/// The sum of every set of purses that has the first one and is not all of them.
fn divisions(purses: &[u64]) -> impl Iterator<Item = i128> {
    let (first, rest) = purses.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
    let sets =
        1_u32.checked_shl(u32::try_from(rest.len()).unwrap_or(u32::MAX)).unwrap_or(0).saturating_sub(1);
    (0..sets).map(move |set| {
        let chosen = rest.iter().enumerate().filter(move |(place, _)| set >> place & 1 == 1);
        chosen.map(|(_, value)| i128::from(*value)).sum::<i128>() + i128::from(first)
    })
}
