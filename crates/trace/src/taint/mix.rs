//! What a mix of several people's coins in one transaction says about its outputs: over all its interpretations.
//!
//! An interpretation takes the transaction apart into payments that could each stand alone: its inputs and its outputs are
//! partitioned into blocks of at least one input and one output, and no block pays out more than comes in. Without fees and
//! with equal amounts there are as many as uniform block permutations (OEIS A023998): 1,496 for five of each, as LaurentMT's
//! Boltzmann tool counts for Whirlpool. Fees that the people of a mix pay each other are not known of here: where there are some
//! (JoinMarket) fewer interpretations are found than there are.
//!
//! Decides by values alone, and only where that is within its bounds.

/// Most inputs, and most outputs, whose subsets are looked through.
pub const BOUNDS_MAX: usize = 16;
/// Most inputs and outputs together whose interpretations are counted.
pub const COUNT_MAX: usize = 16;

/// An input: its value, and the fewest and the most tainted units in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Input {
    /// All units.
    pub value_sat: u64,
    /// The fewest tainted ones.
    pub least_sat: u64,
    /// The most tainted ones.
    pub most_sat: u64,
}

/// The fewest and the most tainted units in something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The fewest.
    pub least_sat: u64,
    /// The most.
    pub most_sat: u64,
}

/// A share of tainted units: `of` in `whole`.
#[derive(Clone, Copy)]
pub(super) struct Ratio {
    pub(super) of: u64,
    pub(super) whole: u64,
}

impl Ratio {
    fn is_below(self, other: Self) -> bool {
        let cross = |one: Self, two: Self| u128::from(one.of).saturating_mul(u128::from(two.whole));
        cross(self, other) < cross(other, self)
    }

    pub(super) fn floor(self, value_sat: u64) -> u64 {
        let product = u128::from(value_sat).saturating_mul(u128::from(self.of));
        let share = product.checked_div(u128::from(self.whole)).unwrap_or(0);
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    pub(super) fn ceil(self, value_sat: u64) -> u64 {
        let product = u128::from(value_sat).saturating_mul(u128::from(self.of));
        let whole = u128::from(self.whole);
        let share = if whole == 0 { 0 } else { product.div_ceil(whole) };
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// Of each output the fewest and the most tainted units over all interpretations, where every block hands on its taint in
/// proportion (haircut within the block); rounded outwards. Nothing where inputs or outputs are more than
/// [`BOUNDS_MAX`], there are none, or the outputs are worth more than the inputs.
///
/// A block and all the rest make an interpretation whenever the block's surplus is between nothing and the fee. So for each set of
/// inputs the outputs are found that some block with exactly these inputs pays: those of all sets of outputs whose sum lies
/// in a range, which stand side by side once they are sorted.
#[must_use]
pub fn bounds(inputs: &[Input], outputs_sat: &[u64]) -> Option<Vec<Bounds>> {
    let within = |count: usize| (1..=BOUNDS_MAX).contains(&count);
    if !within(inputs.len()) || !within(outputs_sat.len()) {
        return None;
    }
    let values = |of: fn(&Input) -> u64| subset_sums(&inputs.iter().map(of).collect::<Vec<_>>());
    let sums = values(|input| input.value_sat)?;
    let least = values(|input| input.least_sat)?;
    let most = values(|input| input.most_sat)?;
    let paid = subset_sums(outputs_sat)?;
    let (all_in, all_out) = (sums.len().checked_sub(1)?, paid.len().checked_sub(1)?);
    let fee_sat = sums.get(all_in)?.checked_sub(*paid.get(all_out)?)?;
    let payable = Payable::new(&paid, all_out);
    let ratio = |of: &[u64], set: usize| Some(Ratio { of: *of.get(set)?, whole: *sums.get(set)? });
    // All in one block.
    let mut low = vec![ratio(&least, all_in)?; outputs_sat.len()];
    let mut high = vec![ratio(&most, all_in)?; outputs_sat.len()];
    for set in 1..all_in {
        let sum = *sums.get(set)?;
        let covered = payable.covered(sum.saturating_sub(fee_sat), sum);
        if covered == 0 || sum == 0 {
            continue;
        }
        let (below, above) = (ratio(&least, set)?, ratio(&most, set)?);
        for (place, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
            if covered >> place & 1 == 1 {
                *low = if below.is_below(*low) { below } else { *low };
                *high = if high.is_below(above) { above } else { *high };
            }
        }
    }
    let rooms = outputs_sat.iter().zip(low.into_iter().zip(high));
    let bounds = rooms.map(|(value_sat, (low, high))| Bounds {
        least_sat: low.floor(*value_sat),
        most_sat: high.ceil(*value_sat).min(*value_sat),
    });
    Some(bounds.collect())
}

/// What holds for every transaction, however its units go: clean units may fill an output first, or tainted ones.
#[must_use]
pub fn flow_bounds(inputs: &[Input], outputs_sat: &[u64]) -> Vec<Bounds> {
    let total = |of: fn(&Input) -> u64| inputs.iter().map(|input| u128::from(of(input))).sum::<u128>();
    let whole = total(|input| input.value_sat);
    let (least, most) = (total(|input| input.least_sat), total(|input| input.most_sat));
    let bounds = |value_sat: &u64| {
        let value = u128::from(*value_sat);
        let elsewhere = whole.saturating_sub(value);
        // Both are at most the value.
        let fit = |amount: u128| u64::try_from(amount.min(value)).unwrap_or(*value_sat);
        Bounds { least_sat: fit(least.saturating_sub(elsewhere)), most_sat: fit(most) }
    };
    outputs_sat.iter().map(bounds).collect()
}

/// The sum of every subset, by its bits; nothing where one does not fit.
fn subset_sums(values: &[u64]) -> Option<Vec<u64>> {
    let mut sums = vec![0_u64];
    for value in values {
        let more: Option<Vec<u64>> = sums.iter().map(|sum| sum.checked_add(*value)).collect();
        sums.extend(more?);
    }
    Some(sums)
}

/// The sets of outputs that leave something for a second block, by their sums.
struct Payable {
    sums: Vec<u64>,
    /// By power of two: the union of so many sets from each place on.
    unions: Vec<Vec<u32>>,
}

impl Payable {
    fn new(paid: &[u64], all: usize) -> Self {
        let mut sets: Vec<(u64, u32)> = paid.iter().copied().zip(0..).collect();
        sets.retain(|(_, set)| *set != 0 && usize::try_from(*set) != Ok(all));
        sets.sort_unstable();
        let (sums, first): (Vec<u64>, Vec<u32>) = sets.into_iter().unzip();
        let mut unions = vec![first];
        let mut width = 1;
        while let Some(last) = unions.last().filter(|last| last.len() > width) {
            let next = last.iter().zip(last.iter().skip(width)).map(|(one, two)| one | two).collect();
            unions.push(next);
            width *= 2;
        }
        Self { sums, unions }
    }

    /// The outputs in all sets with a sum from `least` to `most`.
    fn covered(&self, least: u64, most: u64) -> u32 {
        let start = self.sums.partition_point(|sum| *sum < least);
        let end = self.sums.partition_point(|sum| *sum <= most);
        let Some(level) = end.checked_sub(start).and_then(usize::checked_ilog2) else { return 0 };
        let Some(unions) = usize::try_from(level).ok().and_then(|level| self.unions.get(level)) else {
            return 0;
        };
        let last = end.saturating_sub(1 << level);
        let union = |at: usize| unions.get(at).copied().unwrap_or(0);
        union(start) | union(last)
    }
}

/// All interpretations of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interpretations {
    /// How many there are; at least one.
    pub count: u128,
    /// By input and then output: in how many both are in one block. Divided by `count` this is the link's probability, if every
    /// interpretation is taken for as likely as any other.
    pub links: Vec<Vec<u128>>,
}

/// Counts the interpretations. Nothing where inputs and outputs together are more than [`COUNT_MAX`], one of them is missing,
/// or the outputs are worth more than the inputs.
#[must_use]
pub fn interpretations(inputs_sat: &[u64], outputs_sat: &[u64]) -> Option<Interpretations> {
    if inputs_sat.is_empty() || outputs_sat.is_empty() || inputs_sat.len() + outputs_sat.len() > COUNT_MAX {
        return None;
    }
    let (sums, paid) = (subset_sums(inputs_sat)?, subset_sums(outputs_sat)?);
    let (all_in, all_out) = (sums.len().checked_sub(1)?, paid.len().checked_sub(1)?);
    if sums.get(all_in)? < paid.get(all_out)? {
        return None;
    }
    let holds = |ins: usize, outs: usize| sums.get(ins) >= paid.get(outs);
    // By set of inputs and set of outputs: in how many ways they can be taken apart.
    let mut ways = vec![vec![0_u128; paid.len()]; sums.len()];
    *ways.first_mut()?.first_mut()? = 1;
    for ins in 1..sums.len() {
        let lowest = ins & ins.wrapping_neg();
        for outs in 1..paid.len() {
            let mut count = 0_u128;
            // The block with the lowest input: that one, and any of the others.
            for block in subsets(ins ^ lowest).map(|others| others | lowest) {
                for pays in subsets(outs).filter(|pays| *pays != 0 && holds(block, *pays)) {
                    count = count.saturating_add(*ways.get(ins ^ block)?.get(outs ^ pays)?);
                }
            }
            *ways.get_mut(ins)?.get_mut(outs)? = count;
        }
    }
    let mut links = vec![vec![0_u128; outputs_sat.len()]; inputs_sat.len()];
    for block in 1..sums.len() {
        for pays in (1..paid.len()).filter(|pays| holds(block, *pays)) {
            let rest = *ways.get(all_in ^ block)?.get(all_out ^ pays)?;
            for (_, row) in links.iter_mut().enumerate().filter(|(input, _)| block >> input & 1 == 1) {
                for (_, link) in row.iter_mut().enumerate().filter(|(output, _)| pays >> output & 1 == 1) {
                    *link = link.saturating_add(rest);
                }
            }
        }
    }
    Some(Interpretations { count: *ways.get(all_in)?.get(all_out)?, links })
}

/// All subsets of a set of bits, itself and the empty one among them.
fn subsets(set: usize) -> impl Iterator<Item = usize> {
    let mut next = Some(set);
    core::iter::from_fn(move || {
        let subset = next?;
        next = subset.checked_sub(1).map(|below| below & set);
        Some(subset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(value_sat: u64, least_sat: u64, most_sat: u64) -> Input {
        Input { value_sat, least_sat, most_sat }
    }

    #[test]
    fn equal_amounts_have_as_many_interpretations_as_uniform_block_permutations() {
        // OEIS A023998; 1,496 is also what LaurentMT states for Whirlpool.
        for (people, want) in [(1, 1), (2, 3), (3, 16), (4, 131), (5, 1_496), (6, 22_482), (7, 426_833)] {
            let found = interpretations(&vec![100; people], &vec![100; people]).unwrap();
            assert_eq!(found.count, want, "{people}");
            // Nobody is told apart.
            let first = found.links[0][0];
            assert!(
                found.links.iter().flatten().all(|link| *link == first && *link < found.count || people == 1)
            );
        }
    }

    #[test]
    fn counting_stops_at_its_bound() {
        assert!(interpretations(&[1; 15], &[15]).is_some());
        assert!(interpretations(&[1; 16], &[16]).is_none());
        assert!(interpretations(&[], &[1]).is_none());
        assert!(interpretations(&[1], &[]).is_none());
        assert!(interpretations(&[1], &[2]).is_none());
        let units = |count: usize| vec![input(1, 1, 1); count];
        assert!(bounds(&units(16), &[1; 16]).is_some());
        assert!(bounds(&units(17), &[1; 16]).is_none());
        assert!(bounds(&units(16), &[0; 17]).is_none());
        assert!(bounds(&units(1), &[2]).is_none());
        assert!(bounds(&[input(u64::MAX, 0, 0), input(1, 0, 0)], &[1]).is_none());
    }

    #[test]
    fn a_stolen_coin_in_a_mix_may_be_in_any_equal_output_and_in_no_change_of_others() {
        // Two people, a denomination of 100: the thief brings 150, the other 120.
        let inputs = [input(150, 150, 150), input(120, 0, 0)];
        let found = bounds(&inputs, &[100, 100, 50, 20]).unwrap();
        let got: Vec<_> = found.iter().map(|bounds| (bounds.least_sat, bounds.most_sat)).collect();
        // Together all get 150 of 270 parts; apart, the change is its owner's.
        assert_eq!(got, [(0, 100), (0, 100), (27, 50), (0, 12)]);
    }

    #[test]
    fn flow_bounds_hold_for_whatever_order() {
        let inputs = [input(6, 6, 6), input(2, 0, 0)];
        let found = flow_bounds(&inputs, &[7, 1]);
        assert_eq!(found, [Bounds { least_sat: 5, most_sat: 6 }, Bounds { least_sat: 0, most_sat: 1 }]);
    }
}
