//! Fills the rows that the circuit asks for. Decides nothing: what is filled in wrongly does not verify.

use p3_field::PrimeCharacteristicRing as _;
use p3_koala_bear::{GenericPoseidon2LinearLayersKoalaBear, KOALABEAR_S_BOX_DEGREE, KoalaBear};
use p3_matrix::dense::RowMajorMatrix;
use p3_poseidon2_air::generate_trace_rows;

use crate::{
    Batch, Digest, Salt,
    circuit::{REGISTERS, constants},
    columns::{Columns, HALF_FULL, PARTIAL, PERMUTATION},
    digest::{
        ELEMENTS, LEAF_RATE, LIMB_BITS, LIMBS, TOTALS, WIDTH, absorb, blocks, leaf_start, limbs, list_start,
        name, permute, squeeze,
    },
};

/// What a prover puts into one row; all else follows from it.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) name: [KoalaBear; ELEMENTS],
    pub(crate) salt: Salt,
    /// The limbs of all amounts, each as its bits, the lowest first.
    pub(crate) bits: Vec<KoalaBear>,
}

impl Given {
    pub(crate) fn new(name: [KoalaBear; ELEMENTS], salt: Salt, amounts: &[u128]) -> Self {
        let limbs = amounts.iter().flat_map(|amount| limbs(*amount));
        let bits = limbs.flat_map(|limb| (0..LIMB_BITS).map(move |bit| limb >> bit & 1 == 1));
        Self { name, salt, bits: bits.map(KoalaBear::from_bool).collect() }
    }

    fn limbs(&self) -> Vec<KoalaBear> {
        let limb =
            |bits: &[KoalaBear]| bits.iter().rev().fold(KoalaBear::ZERO, |limb, bit| limb.double() + *bit);
        self.bits.chunks_exact(LIMB_BITS).map(limb).collect()
    }
}

/// The rows in their order: totals, leaves, carries, totals.
pub(crate) fn given(batch: &Batch, after: &[u128]) -> Vec<Given> {
    let leaves = batch.leaves.iter().map(|leaf| Given::new(name(&leaf.name), leaf.salt, &leaf.amounts));
    let all = || core::iter::once(&batch.before.amounts).chain(batch.leaves.iter().map(|leaf| &leaf.amounts));
    let carries: Vec<_> =
        (0..after.len()).map(|asset| carries(all().filter_map(|amounts| amounts.get(asset)))).collect();
    core::iter::once(Given::new(TOTALS, batch.before.salt, &batch.before.amounts))
        .chain(leaves)
        .chain([Given::new(name(""), Salt::none(), &carries), Given::new(TOTALS, batch.after, after)])
        .collect()
}

/// What is carried into each limb when these amounts are summed, as the amount that has it as limbs.
fn carries<'a>(amounts: impl Iterator<Item = &'a u128>) -> u128 {
    let mut sums = [0_u64; LIMBS];
    for amount in amounts {
        for (sum, limb) in sums.iter_mut().zip(limbs(*amount)) {
            *sum = sum.saturating_add(u64::from(limb));
        }
    }
    let (mut into, mut all) = (0_u64, 0_u128);
    for (place, sum) in sums.iter().enumerate() {
        all |= u128::from(into) << (place * LIMB_BITS);
        into = sum.saturating_add(into) >> LIMB_BITS;
    }
    all
}

/// The permutations of all rows at once; their number is a power of two.
pub(crate) fn permuted(inputs: Vec<[KoalaBear; WIDTH]>) -> RowMajorMatrix<KoalaBear> {
    generate_trace_rows::<
        KoalaBear,
        GenericPoseidon2LinearLayersKoalaBear,
        WIDTH,
        KOALABEAR_S_BOX_DEGREE,
        REGISTERS,
        HALF_FULL,
        PARTIAL,
    >(inputs, &constants(), 0)
}

/// The trace of rows, as many as a power of two, and the digests of all of them.
pub(crate) fn trace(
    columns: Columns,
    log_rows: u8,
    given: &[Given],
) -> (RowMajorMatrix<KoalaBear>, Vec<Digest>) {
    let mut trace = RowMajorMatrix::new(KoalaBear::zero_vec(given.len() * columns.width()), columns.width());
    let mut at = columns.before_permutations();
    let mut states = vec![leaf_start(columns.assets()); given.len()];
    let blocks: Vec<_> = given.iter().map(|row| blocks(&row.name, &row.salt, &row.limbs())).collect();
    for block in 0..columns.blocks() {
        for (state, blocks) in states.iter_mut().zip(&blocks) {
            absorb(state, blocks.get(block).unwrap_or(&[KoalaBear::ZERO; LEAF_RATE]));
        }
        put(&mut trace, at, &permuted(states.clone()));
        states.iter_mut().for_each(permute);
        at += PERMUTATION;
    }
    let digests: Vec<Digest> = states.iter().map(squeeze).collect();
    let (inputs, befores) = list(log_rows, &digests);
    put(&mut trace, at, &permuted(inputs));
    head(&mut trace, columns, given, &befores);
    (trace, digests)
}

/// What goes into the list's hash on each row, and its state before.
fn list(log_rows: u8, digests: &[Digest]) -> (Vec<[KoalaBear; WIDTH]>, Vec<[KoalaBear; WIDTH]>) {
    let (mut inputs, mut befores) = (Vec::new(), Vec::new());
    let mut state = list_start(log_rows);
    for (row, digest) in digests.iter().enumerate() {
        // The list is closed on the row before the last.
        if row + 1 == digests.len() {
            state = [KoalaBear::ZERO; WIDTH];
        }
        befores.push(state);
        absorb(&mut state, digest.elements());
        inputs.push(state);
        permute(&mut state);
    }
    (inputs, befores)
}

/// Puts columns into the trace from some place on.
pub(crate) fn put(trace: &mut RowMajorMatrix<KoalaBear>, at: usize, columns: &RowMajorMatrix<KoalaBear>) {
    for (row, values) in trace.rows_mut().zip(columns.row_slices()) {
        for (place, value) in row.iter_mut().skip(at).zip(values) {
            *place = *value;
        }
    }
}

/// The columns before the permutations.
fn head(
    trace: &mut RowMajorMatrix<KoalaBear>,
    columns: Columns,
    given: &[Given],
    befores: &[[KoalaBear; WIDTH]],
) {
    let mut sums = KoalaBear::zero_vec(columns.assets() * LIMBS);
    for (number, ((row, own), before)) in trace.rows_mut().zip(given).zip(befores).enumerate() {
        let last = number + 1 == given.len();
        if last {
            sums.fill(KoalaBear::ZERO);
        }
        let values = core::iter::once(KoalaBear::from_bool(last))
            .chain(before.iter().copied())
            .chain(sums.iter().copied())
            .chain(own.bits.iter().copied());
        for (place, value) in row.iter_mut().zip(values) {
            *place = value;
        }
        for (sum, limb) in sums.iter_mut().zip(own.limbs()) {
            *sum += limb;
        }
    }
}
