//! Whether each constraint is needed: for every one there is a trace, right in all else, that it alone refuses. What followed from what
//! was bent is laid anew, sums, hashes and public values with it, so that no other constraint notices.

use std::collections::BTreeSet;

use p3_field::Field as _;

use super::*;
use crate::{
    digest::{absorb, blocks, permute, squeeze},
    trace::{permuted, put},
};

/// What somebody bends while a trace is laid; each value is one more than it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bend {
    Nothing,
    /// An input of a row's permutation.
    Input {
        row: usize,
        permutation: usize,
        element: usize,
    },
    /// The state of the list's hash before a row.
    State {
        row: usize,
        element: usize,
    },
    /// The sum of a limb before a row.
    Sum {
        row: usize,
        limb: usize,
    },
    /// The flag of a row that is not the last.
    Last {
        row: usize,
    },
    /// No flag on the last row, and sums and list go on.
    Open,
}

/// A trace, and what is public of it.
struct Laid {
    assets: usize,
    trace: RowMajorMatrix<KoalaBear>,
    public: Vec<KoalaBear>,
}

fn laid(assets: usize, rows: &[Given], bend: Bend) -> Laid {
    let columns = shape(assets).columns();
    let mut trace = RowMajorMatrix::new(KoalaBear::zero_vec(ROWS * columns.width()), columns.width());
    let bent = |found: Bend| if bend == found { KoalaBear::ONE } else { KoalaBear::ZERO };
    let mut at = columns.before_permutations();
    let mut states = vec![leaf_start(assets); ROWS];
    let absorbed: Vec<_> = rows.iter().map(|row| blocks(&row.name, &row.salt, &limbs_of(row))).collect();
    for permutation in 0..columns.blocks() {
        for (row, (state, blocks)) in states.iter_mut().zip(&absorbed).enumerate() {
            absorb(state, &blocks[permutation]);
            for (element, value) in state.iter_mut().enumerate() {
                *value += bent(Bend::Input { row, permutation, element });
            }
        }
        put(&mut trace, at, &permuted(states.clone()));
        states.iter_mut().for_each(permute);
        at += PERMUTATION;
    }
    let digests: Vec<Digest> = states.iter().map(squeeze).collect();
    let (mut state, mut sums) = (list_start(LOG_ROWS), KoalaBear::zero_vec(assets * LIMBS));
    let (mut inputs, mut list) = (Vec::new(), [KoalaBear::ZERO; ELEMENTS]);
    for (row, given) in rows.iter().enumerate() {
        if row == LAST && bend != Bend::Open {
            state.fill(KoalaBear::ZERO);
            sums.fill(KoalaBear::ZERO);
        }
        for (element, value) in state.iter_mut().enumerate() {
            *value += bent(Bend::State { row, element });
        }
        for (limb, sum) in sums.iter_mut().enumerate() {
            *sum += bent(Bend::Sum { row, limb });
        }
        let last = KoalaBear::from_bool(row == LAST && bend != Bend::Open) + bent(Bend::Last { row });
        let head = [last].into_iter().chain(state).chain(sums.iter().copied()).chain(given.bits.clone());
        for (place, value) in trace.row_mut(row).iter_mut().zip(head) {
            *place = value;
        }
        if row == CARRIES {
            list.copy_from_slice(&state[..ELEMENTS]);
        }
        absorb(&mut state, digests[row].elements());
        for (element, value) in state.iter_mut().enumerate() {
            *value += bent(Bend::Input { row, permutation: columns.blocks(), element });
        }
        inputs.push(state);
        permute(&mut state);
        sums.iter_mut().zip(limbs_of(given)).for_each(|(sum, limb)| *sum += limb);
    }
    put(&mut trace, at, &permuted(inputs));
    let context = Digest::of_hash(&CONTEXT);
    let [before, after] = [0, LAST].map(|row| *digests[row].elements());
    Laid { assets, trace, public: [before, after, list, *context.elements()].concat() }
}

fn limbs_of(row: &Given) -> Vec<KoalaBear> {
    let limb = |bits: &[KoalaBear]| bits.iter().rev().fold(KoalaBear::ZERO, |limb, bit| limb.double() + *bit);
    row.bits.chunks_exact(LIMB_BITS).map(limb).collect()
}

impl Laid {
    /// The constraints that do not hold anywhere, by their place in the circuit.
    fn broken(&self) -> BTreeSet<usize> {
        let circuit = Circuit::new(self.assets, LOG_ROWS);
        let report = check_all_constraints(&circuit, &self.trace, &self.public, None);
        report.failures.iter().map(|failure| failure.constraint).collect()
    }
}

/// The amounts of a row, asset by asset.
fn all(row: &Given) -> Vec<u128> {
    let amount = |bits: &[KoalaBear]| {
        bits.iter().enumerate().fold(0, |sum, (place, bit)| sum | u128::from(*bit == KoalaBear::ONE) << place)
    };
    row.bits.chunks_exact(crate::AMOUNT_BITS).map(amount).collect()
}

/// Adds to one limb of a row, which must stay one.
fn raise(row: &mut Given, limb: usize) {
    let mut amounts = all(row);
    let shift = limb % LIMBS * LIMB_BITS;
    let amount = &mut amounts[limb / LIMBS];
    // Where no more fits, one less is as wrong.
    let full = *amount >> shift & 0x7fff == 0x7fff;
    *amount = if full { *amount - (1 << shift) } else { *amount + (1 << shift) };
    *row = Given::new(row.name, row.salt, &amounts);
}

/// Carries and totals that close when the sum of one limb is one more than that of all rows.
fn closing(rows: &mut [Given], limb: usize) {
    let asset = limb / LIMBS;
    let mut sums = [0_u64; LIMBS];
    for row in &rows[..CARRIES] {
        sums.iter_mut().zip(limbs(all(row)[asset])).for_each(|(sum, limb)| *sum += u64::from(limb));
    }
    sums[limb % LIMBS] += 1;
    let (mut into, mut carries, mut total) = (0_u64, 0_u128, 0_u128);
    for (place, sum) in sums.iter().enumerate() {
        carries |= u128::from(into) << (place * LIMB_BITS);
        total |= u128::from((sum + into) & 0x7fff) << (place * LIMB_BITS);
        into = (sum + into) >> LIMB_BITS;
    }
    assert_eq!(into, 0);
    for (row, amount) in [(CARRIES, carries), (LAST, total)] {
        let mut amounts = all(&rows[row]);
        amounts[asset] = amount;
        rows[row] = Given::new(rows[row].name, rows[row].salt, &amounts);
    }
}

/// Which constraints each forged trace breaks.
struct Forger {
    assets: usize,
    honest: Vec<Given>,
    alone: BTreeSet<usize>,
}

impl Forger {
    fn new(assets: usize) -> Self {
        let honest = rows(assets);
        assert_eq!(laid(assets, &honest, Bend::Nothing).broken(), BTreeSet::new());
        Self { assets, honest, alone: BTreeSet::new() }
    }

    fn takes(&mut self, what: &str, laid: &Laid) {
        let broken: Vec<usize> = laid.broken().into_iter().collect();
        let [one] = broken.as_slice() else { panic!("{what}: broke {broken:?}, want one constraint") };
        self.alone.insert(*one);
    }

    fn bend(&mut self, bend: Bend) {
        self.rows(&format!("{bend:?}"), bend, |_| {});
    }

    fn rows(&mut self, what: &str, bend: Bend, change: impl Fn(&mut [Given])) {
        let mut rows = self.honest.clone();
        change(&mut rows);
        self.takes(what, &laid(self.assets, &rows, bend));
    }

    fn public(&mut self, place: usize) {
        let mut laid = laid(self.assets, &self.honest, Bend::Nothing);
        laid.public[place] += KoalaBear::ONE;
        self.takes(&format!("public value {place}"), &laid);
    }

    /// A "bit" that is none, beside another that makes up for it.
    fn bit(&mut self, place: usize) {
        let (limb, own) = (place / LIMB_BITS * LIMB_BITS, place % LIMB_BITS);
        let other = if own == 0 { 1 } else { 0 };
        self.rows(&format!("bit {place}"), Bend::Nothing, |rows| {
            let bits = &mut rows[7].bits;
            let flipped = KoalaBear::ONE - bits[limb + other];
            let lost = (bits[limb + other] - flipped) * KoalaBear::from_u32(1 << other);
            bits[limb + other] = flipped;
            bits[limb + own] += lost * KoalaBear::from_u32(1 << own).inverse();
        });
    }

    fn hashes(&mut self) {
        let blocks = shape(self.assets).columns().blocks();
        for permutation in 0..=blocks {
            // Name and salt alone are anybody's to choose.
            let first = if permutation == 0 { LEAF_RATE } else { 0 };
            for element in first..WIDTH {
                self.bend(Bend::Input { row: 7, permutation, element });
            }
        }
    }

    fn ends_and_steps(&mut self) {
        for element in 0..WIDTH {
            self.bend(Bend::State { row: 0, element });
            self.bend(Bend::State { row: 8, element });
            self.bend(Bend::State { row: LAST, element });
        }
        for limb in 0..self.assets * LIMBS {
            for row in [0, 8] {
                let bend = Bend::Sum { row, limb };
                self.rows(&format!("{bend:?}"), bend, |rows| closing(rows, limb));
            }
            self.bend(Bend::Sum { row: LAST, limb });
            self.rows(&format!("limb {limb} of the totals"), Bend::Nothing, |rows| {
                raise(&mut rows[LAST], limb)
            });
        }
        self.bend(Bend::Last { row: 0 });
        self.bend(Bend::Open);
        for asset in 0..self.assets {
            self.rows(&format!("a carry into asset {asset}"), Bend::Nothing, |rows| {
                closing(rows, asset * LIMBS);
                raise(&mut rows[CARRIES], asset * LIMBS);
            });
        }
        for element in 0..ELEMENTS {
            for row in [0, CARRIES, LAST] {
                self.rows(&format!("name {element} of row {row}"), Bend::Nothing, |rows| {
                    rows[row].name[element] += KoalaBear::ONE;
                });
            }
            self.rows(&format!("salt {element} of the carries"), Bend::Nothing, |rows| {
                let mut bytes = [0; 32];
                bytes[4 * element + 3] = 1;
                rows[CARRIES].salt = Salt::new(&bytes);
            });
        }
        (0..3 * ELEMENTS).for_each(|place| self.public(place));
    }
}

#[test]
fn every_constraint_alone_refuses_something() {
    for assets in [1, 5] {
        let mut forger = Forger::new(assets);
        (0..assets * crate::AMOUNT_BITS)
            .step_by(if assets == 1 { 1 } else { 37 })
            .for_each(|bit| forger.bit(bit));
        forger.hashes();
        forger.ends_and_steps();
        let circuit = Circuit::new(assets, LOG_ROWS);
        let count = get_symbolic_constraints(&circuit, AirLayout::from_air(&circuit)).len();
        let bits = assets * crate::AMOUNT_BITS;
        let permutations = (assets.div_ceil(4) + 2) * (2 * HALF_FULL * WIDTH + PARTIAL);
        // The permutations' own are Plonky3's, and every cell of theirs is looked at beside this.
        let own = (0..count).filter(|one| !(bits..bits + permutations).contains(one));
        let own = own.filter(|one| assets == 1 || *one >= bits);
        let missing: Vec<usize> = own.filter(|one| !forger.alone.contains(one)).collect();
        assert_eq!(missing, Vec::<usize>::new(), "{assets} assets: nothing needs these constraints");
    }
}
