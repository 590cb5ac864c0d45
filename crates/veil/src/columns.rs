//! Where each value stands in a row of the trace. Decides the layout alone; what the values must be, [`crate::circuit`] says.
//!
//! A row is a leaf: its bits, the sums of the rows before it, and every permutation that hashes it.

use crate::digest::{AMOUNT_BITS, LIMB_BITS, LIMBS, WIDTH};

/// Assets whose amounts one block of the leaf's hash takes.
pub(crate) const ASSETS_PER_BLOCK: usize = 4;
/// Rounds of Poseidon2 at this width: half of the full ones, and the partial ones.
pub(crate) const HALF_FULL: usize = 4;
pub(crate) const PARTIAL: usize = 23;
/// Columns of one permutation: its input, the state after each full round, one element for each partial round.
pub(crate) const PERMUTATION: usize = WIDTH + 2 * HALF_FULL * WIDTH + PARTIAL;

/// The columns for so many assets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Columns {
    assets: usize,
}

/// A row, by the names of its parts.
pub(crate) struct Row<'a, T> {
    /// One on the last row, else zero.
    pub(crate) last: T,
    /// The state of the list's hash before this row.
    pub(crate) state: &'a [T],
    /// The sum of all rows before this one, limb by limb and not carried, for each asset.
    pub(crate) sums: &'a [T],
    /// The amounts, the lowest bit of each first.
    pub(crate) bits: &'a [T],
    /// The leaf's permutations, and last the list's.
    permutations: &'a [T],
}

impl Columns {
    /// For so many assets.
    pub(crate) const fn new(assets: usize) -> Self {
        Self { assets }
    }

    /// How many assets there are.
    pub(crate) const fn assets(self) -> usize {
        self.assets
    }

    /// Blocks of the leaf's hash: one for name and salt, the others for the amounts.
    pub(crate) const fn blocks(self) -> usize {
        1 + self.assets.div_ceil(ASSETS_PER_BLOCK)
    }

    /// Columns before the permutations.
    pub(crate) const fn before_permutations(self) -> usize {
        1 + WIDTH + self.assets * (LIMBS + AMOUNT_BITS)
    }

    /// All columns.
    pub(crate) const fn width(self) -> usize {
        self.before_permutations() + (self.blocks() + 1) * PERMUTATION
    }

    /// The row that these values are; none if there are not as many as columns.
    pub(crate) fn row<T: Copy>(self, values: &[T]) -> Option<Row<'_, T>> {
        if values.len() != self.width() {
            return None;
        }
        let (last, rest) = values.split_first()?;
        let (state, rest) = rest.split_at_checked(WIDTH)?;
        let (sums, rest) = rest.split_at_checked(self.assets * LIMBS)?;
        let (bits, permutations) = rest.split_at_checked(self.assets * AMOUNT_BITS)?;
        Some(Row { last: *last, state, sums, bits, permutations })
    }
}

impl<'a, T: Copy> Row<'a, T> {
    /// The amounts' limbs, the lowest of each asset first, each as its bits.
    pub(crate) fn limbs(&self) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        self.bits.chunks_exact(LIMB_BITS)
    }

    /// What goes into the permutations, and what comes out of them.
    pub(crate) fn permutations(&self) -> impl Iterator<Item = (&'a [T], &'a [T])> + use<'a, T> {
        self.permutations.chunks_exact(PERMUTATION).filter_map(|columns| {
            let (input, _) = columns.split_at_checked(WIDTH)?;
            let (_, output) = columns.split_at_checked(PERMUTATION - WIDTH)?;
            Some((input, output))
        })
    }
}
