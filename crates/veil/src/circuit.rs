//! What every row of the trace must be. Decides what is proved; all else in this crate only brings it about.
//!
//! Rows, in their order: the totals before this batch, one leaf a row, the carries, the totals after this batch.
//!
//! - Every amount is made of [`AMOUNT_BITS`](crate::AMOUNT_BITS) bits, each zero or one: none is negative, none wraps.
//! - A row's leaf is hashed in that row from those same bits, with name and salt.
//! - The sums of limbs go down the rows without carrying: at most 2^14 rows of less than 2^15 each stay below 2^29, and the
//!   field's order is near 2^31. On the row of the carries the sums, with the carries that stand in that row's bits, must be
//!   the limbs of the last row: both sides stay below 2^30 + 2^15, so what is equal in the field is equal.
//!   Nothing is carried into the lowest limb or out of the highest.
//! - The list's hash takes the first row's digest and each leaf's in order. It ends before the carries, so that row is nobody's.

use p3_air::{Air, AirBuilder, BaseAir, WindowAccess as _};
use p3_field::PrimeCharacteristicRing as _;
use p3_koala_bear::{
    GenericPoseidon2LinearLayersKoalaBear, KOALABEAR_POSEIDON2_RC_24_EXTERNAL_FINAL,
    KOALABEAR_POSEIDON2_RC_24_EXTERNAL_INITIAL, KOALABEAR_POSEIDON2_RC_24_INTERNAL, KOALABEAR_S_BOX_DEGREE,
    KoalaBear,
};
use p3_poseidon2_air::{Poseidon2Air, RoundConstants};
use p3_uni_stark::SubAirBuilder;

use crate::{
    columns::{Columns, HALF_FULL, PARTIAL, PERMUTATION, Row},
    digest::{ELEMENTS, LEAF_RATE, LIMB_BITS, LIMBS, TOTALS, WIDTH, leaf_start, list_start},
};

/// Registers of an S-box: x^3 needs none.
pub(crate) const REGISTERS: usize = 0;
/// Public values: totals before, totals after, the list, and what it is all for.
pub(crate) const PUBLIC_VALUES: usize = 4 * ELEMENTS;

pub(crate) type Permutation = Poseidon2Air<
    KoalaBear,
    GenericPoseidon2LinearLayersKoalaBear,
    WIDTH,
    KOALABEAR_S_BOX_DEGREE,
    REGISTERS,
    HALF_FULL,
    PARTIAL,
>;

/// The permutation's constants.
pub(crate) const fn constants() -> RoundConstants<KoalaBear, WIDTH, HALF_FULL, PARTIAL> {
    RoundConstants::new(
        KOALABEAR_POSEIDON2_RC_24_EXTERNAL_INITIAL,
        KOALABEAR_POSEIDON2_RC_24_INTERNAL,
        KOALABEAR_POSEIDON2_RC_24_EXTERNAL_FINAL,
    )
}

/// The constraints on a batch of some shape.
#[derive(Clone)]
pub(crate) struct Circuit {
    columns: Columns,
    log_rows: u8,
    permutation: Permutation,
}

impl Circuit {
    /// For so many assets and rows.
    pub(crate) const fn new(assets: usize, log_rows: u8) -> Self {
        Self { columns: Columns::new(assets), log_rows, permutation: Permutation::new(constants()) }
    }
}

impl BaseAir<KoalaBear> for Circuit {
    fn width(&self) -> usize {
        self.columns.width()
    }

    fn num_public_values(&self) -> usize {
        PUBLIC_VALUES
    }
}

impl<B: AirBuilder<F = KoalaBear>> Air<B> for Circuit {
    fn eval(&self, builder: &mut B) {
        let main = builder.main();
        let (local, next) = (main.current_slice(), main.next_slice());
        // The prover and the verifier refuse rows of any other width before they come here.
        let Some((row, next)) = self.columns.row(local).zip(self.columns.row(next)) else { return };
        let public: Vec<B::Expr> = builder.public_values().iter().map(|value| (*value).into()).collect();
        let (public, _) = public.as_chunks::<ELEMENTS>();
        // The fourth is bound by the transcript alone: it says what the batch is of, and no row depends on it.
        let [before, after, list, _] = public else { return };
        for bit in row.bits {
            builder.assert_bool(*bit);
        }
        let begin = self.columns.before_permutations();
        for place in 0..=self.columns.blocks() {
            let from = begin + place * PERMUTATION;
            let mut part = SubAirBuilder::<B, Permutation, B::Var>::new(builder, from..from + PERMUTATION);
            self.permutation.eval(&mut part);
        }
        let limbs: Vec<B::Expr> = row.limbs().map(composed::<B>).collect();
        self.hashed(builder, &row, &limbs);
        self.ends(builder, &row, before, after);
        self.steps(builder, &row, &next, &limbs, list);
    }
}

impl Circuit {
    /// The leaf's hash takes name, salt and amounts; the list's takes the leaf's digest.
    fn hashed<B: AirBuilder<F = KoalaBear>>(
        &self,
        builder: &mut B,
        row: &Row<'_, B::Var>,
        limbs: &[B::Expr],
    ) {
        let (pairs, _) = limbs.as_chunks::<2>();
        let shift = KoalaBear::from_u32(1 << LIMB_BITS);
        let packed = pairs.iter().map(|[low, high]| low.clone() + high.clone() * shift);
        let mut packed = packed.chain(core::iter::repeat(B::Expr::ZERO));
        let mut capacity: Vec<B::Expr> =
            leaf_start(self.columns.assets()).into_iter().skip(LEAF_RATE).map(B::Expr::from).collect();
        let mut permutations = row.permutations();
        let mut digest: Vec<B::Expr> = Vec::new();
        for (block, (input, output)) in permutations.by_ref().take(self.columns.blocks()).enumerate() {
            let (rate, kept) = input.split_at(LEAF_RATE);
            // Name and salt are the prover's to choose; the amounts are the row's bits, and nothing follows the last.
            if block > 0 {
                for (element, amount) in rate.iter().zip(packed.by_ref()) {
                    builder.assert_eq(*element, amount);
                }
            }
            for (element, before) in kept.iter().zip(capacity) {
                builder.assert_eq(*element, before);
            }
            capacity = output.iter().skip(LEAF_RATE).map(|element| (*element).into()).collect();
            digest = output.iter().take(ELEMENTS).map(|element| (*element).into()).collect();
        }
        let kept = row.state.iter().skip(ELEMENTS).map(|element| (*element).into());
        let (list, _) = permutations.next().unwrap_or_default();
        for (element, want) in list.iter().zip(digest.into_iter().chain(kept)) {
            builder.assert_eq(*element, want);
        }
    }

    /// The first and the last row are totals that the public values commit to; sums and list begin at nothing.
    fn ends<B: AirBuilder<F = KoalaBear>>(
        &self,
        builder: &mut B,
        row: &Row<'_, B::Var>,
        before: &[B::Expr; ELEMENTS],
        after: &[B::Expr; ELEMENTS],
    ) {
        let (name, _) = row.permutations().next().unwrap_or_default();
        let (_, digest) = row.permutations().nth(self.columns.blocks() - 1).unwrap_or_default();
        let mut first = builder.when_first_row();
        for sum in row.sums {
            first.assert_zero(*sum);
        }
        for (element, start) in row.state.iter().zip(list_start(self.log_rows)) {
            first.assert_eq(*element, B::Expr::from(start));
        }
        for (element, want) in name.iter().zip(TOTALS) {
            first.assert_eq(*element, B::Expr::from(want));
        }
        for (element, want) in digest.iter().zip(before) {
            first.assert_eq(*element, want.clone());
        }
        let mut last = builder.when_last_row();
        last.assert_one(row.last);
        for (element, want) in name.iter().zip(TOTALS) {
            last.assert_eq(*element, B::Expr::from(want));
        }
        for (element, want) in digest.iter().zip(after) {
            last.assert_eq(*element, want.clone());
        }
    }

    /// From each row to the next: sums and list go on, and before the last row they are closed.
    fn steps<B: AirBuilder<F = KoalaBear>>(
        &self,
        builder: &mut B,
        row: &Row<'_, B::Var>,
        next: &Row<'_, B::Var>,
        limbs: &[B::Expr],
        list: &[B::Expr; ELEMENTS],
    ) {
        let closing: B::Expr = next.last.into();
        let going = B::Expr::ONE - closing.clone();
        let shift = KoalaBear::from_u32(1 << LIMB_BITS);
        let (name_and_salt, _) = row.permutations().next().unwrap_or_default();
        let (_, state) = row.permutations().last().unwrap_or_default();
        let mut step = builder.when_transition();
        step.assert_zero(row.last);
        for ((sum, then), limb) in row.sums.iter().zip(next.sums).zip(limbs) {
            step.assert_eq(*then, going.clone() * (limb.clone() + *sum));
        }
        for (then, element) in next.state.iter().zip(state) {
            step.assert_eq(*then, going.clone() * *element);
        }
        let totals: Vec<B::Expr> = next.limbs().map(composed::<B>).collect();
        let mut close = step.when(closing);
        for ((sums, carries), totals) in
            row.sums.chunks_exact(LIMBS).zip(limbs.chunks_exact(LIMBS)).zip(totals.chunks_exact(LIMBS))
        {
            // The lowest limb's place in the row of carries is what is carried into it: nothing.
            if let Some(into) = carries.first() {
                close.assert_zero(into.clone());
            }
            let out = carries.iter().skip(1).cloned().chain(core::iter::once(B::Expr::ZERO));
            for (((sum, carried), total), out) in sums.iter().zip(carries).zip(totals).zip(out) {
                close.assert_eq(carried.clone() + *sum, total.clone() + out * shift);
            }
        }
        for (element, want) in row.state.iter().zip(list) {
            close.assert_eq(*element, want.clone());
        }
        // Nobody's row has no name and no salt, so that nothing is left to be chosen.
        for element in name_and_salt.iter().take(LEAF_RATE) {
            close.assert_zero(*element);
        }
    }
}

/// The number that bits are, the lowest first.
fn composed<B: AirBuilder<F = KoalaBear>>(bits: &[B::Var]) -> B::Expr {
    bits.iter().rev().fold(B::Expr::ZERO, |number, bit| number.double() + *bit)
}

#[cfg(test)]
mod tests;
