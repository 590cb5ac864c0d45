//! What a prover may try. Each forged trace is right in all but one thing, and is proved by a prover that does not look.

mod alone;

use core::any::type_name;

use p3_air::{DebugConstraintBuilder, check_all_constraints, symbolic::get_symbolic_constraints};
use p3_field::PrimeCharacteristicRing as _;
use p3_matrix::{
    dense::{RowMajorMatrix, RowMajorMatrixView},
    stack::ViewPair,
};
use p3_uni_stark::{AirLayout, prove as prove_stark};

use super::*;
use crate::{
    Batch, Digest, Leaf, Public, Refused, Salt, Shape, Totals,
    batch::values,
    digest::{limbs, list_digest, name},
    params::config,
    trace::{Given, given, trace},
    verify,
};

const LOG_ROWS: u8 = 8;
const ROWS: usize = 1 << LOG_ROWS;
const CARRIES: usize = ROWS - 2;
const LAST: usize = ROWS - 1;
const CONTEXT: [u8; 32] = [3; 32];

fn shape(assets: usize) -> Shape {
    Shape::new(assets, LOG_ROWS).unwrap()
}

fn salt(number: usize) -> Salt {
    Salt::new(&[u8::try_from(number % 251).unwrap(); 32])
}

fn wide(number: usize) -> u128 {
    number.try_into().unwrap()
}

/// Amounts of all sizes, some of padding, after a batch that came to something.
fn batch(assets: usize) -> Batch {
    let amount = |leaf, asset: usize| (wide(leaf) * 0x9e37_79b9_7f4a_7c15) << (asset * 7 % 40);
    let leaf = |place: usize| match place % 10 {
        9 => Leaf { name: String::new(), salt: salt(place), amounts: vec![0; assets] },
        _ => Leaf {
            name: format!("customer-{place}"),
            salt: salt(place),
            amounts: (0..assets).map(|asset| amount(place, asset)).collect(),
        },
    };
    let before =
        Totals { amounts: (0..assets).map(|asset| (1 << 119) + wide(asset)).collect(), salt: salt(200) };
    Batch { before, leaves: (0..shape(assets).leaves()).map(leaf).collect(), after: salt(201) }
}

fn rows(assets: usize) -> Vec<Given> {
    let batch = batch(assets);
    given(&batch, &batch.totals(shape(assets)).unwrap().amounts)
}

/// What such rows would be published as.
fn public(assets: usize, digests: &[Digest]) -> Public {
    let list = list_digest(LOG_ROWS, &digests[0], &digests[1..=shape(assets).leaves()]);
    Public { before: digests[0], after: digests[LAST], list, context: CONTEXT }
}

/// The circuit, but no looking at the trace before it is proved.
struct Unlooking(Circuit);

impl BaseAir<KoalaBear> for Unlooking {
    fn width(&self) -> usize {
        self.0.width()
    }

    fn num_public_values(&self) -> usize {
        PUBLIC_VALUES
    }
}

impl<B: AirBuilder<F = KoalaBear>> Air<B> for Unlooking {
    fn eval(&self, builder: &mut B) {
        if !type_name::<B>().contains("DebugConstraintBuilder") {
            self.0.eval(builder);
        }
    }
}

fn judged(assets: usize, trace: RowMajorMatrix<KoalaBear>, public: &Public) -> Result<(), Refused> {
    let circuit = Circuit::new(assets, LOG_ROWS);
    let kept = check_all_constraints(&circuit, &trace, &values(public), Some(1)).is_ok();
    let proof = prove_stark(&config([9; 32]), &Unlooking(circuit), trace, &values(public)).unwrap();
    let verdict = verify(shape(assets), public, &postcard::to_allocvec(&proof).unwrap());
    assert_eq!(kept, verdict.is_ok(), "constraints and proof do not say the same");
    verdict
}

/// Rows that somebody forged, the trace that follows from them and what somebody then forged in that.
fn forged(rows: impl Fn(&mut Vec<Given>), cells: impl Fn(&mut Forge<'_>)) -> Result<(), Refused> {
    let mut all = self::rows(1);
    rows(&mut all);
    let (mut trace, digests) = trace(shape(1).columns(), LOG_ROWS, &all);
    let mut public = public(1, &digests);
    cells(&mut Forge { trace: &mut trace, public: &mut public });
    judged(1, trace, &public)
}

struct Forge<'a> {
    trace: &'a mut RowMajorMatrix<KoalaBear>,
    public: &'a mut Public,
}

impl Forge<'_> {
    fn cell(&mut self, row: usize, column: usize) -> &mut KoalaBear {
        &mut self.trace.values[row * shape(1).columns().width() + column]
    }

    /// The sums of one asset on a row.
    fn sum(&mut self, row: usize, limb: usize) -> &mut KoalaBear {
        self.cell(row, 1 + WIDTH + limb)
    }
}

fn amounts(row: &Given) -> u128 {
    let bits = row.bits.iter().enumerate();
    bits.filter(|(_, bit)| **bit == KoalaBear::ONE).fold(0, |sum, (place, _)| sum + (1 << place))
}

fn set(row: &mut Given, amount: u128) {
    *row = Given::new(row.name, row.salt, &[amount]);
}

fn refuses(what: &str, verdict: Result<(), Refused>) {
    assert!(matches!(verdict, Err(Refused::Proof { .. })), "{what}: {verdict:?}");
}

#[test]
fn an_honest_trace_verifies() {
    for assets in [1, 4, 5] {
        let (trace, digests) = trace(shape(assets).columns(), LOG_ROWS, &rows(assets));
        let honest = batch(assets);
        assert_eq!(digests[0], honest.before.digest());
        assert_eq!(digests[LAST], honest.totals(shape(assets)).unwrap().digest());
        let leaves: Vec<_> = honest.leaves.iter().map(Leaf::digest).collect();
        assert_eq!(digests[1..CARRIES], leaves);
        assert_eq!(judged(assets, trace, &public(assets, &digests)), Ok(()));
    }
}

#[test]
fn a_negative_amount_does_not_verify() {
    // Five less than nothing, as the one "bit" that the field has for it: it lowers the sum, and is hashed as it stands.
    let negative = -KoalaBear::from_u32(5);
    let verdict = forged(
        |rows| {
            let (had, total) = (amounts(&rows[7]), amounts(&rows[LAST]));
            set(&mut rows[7], 0);
            rows[7].bits[0] = negative;
            set(&mut rows[LAST], total - had - 5);
            let all: Vec<u128> = rows[..CARRIES].iter().map(amounts).collect();
            // The carries of a sum that has its lowest limb lowered.
            let mut sums = [0_i64; LIMBS];
            all.iter().for_each(|amount| {
                sums.iter_mut().zip(limbs(*amount)).for_each(|(sum, limb)| *sum += i64::from(limb));
            });
            sums[0] -= 5;
            let (mut into, mut carried) = (0_i64, 0_u128);
            for (place, sum) in sums.iter().enumerate() {
                carried |= u128::try_from(into).unwrap() << (place * LIMB_BITS);
                into = (sum + into) >> LIMB_BITS;
            }
            set(&mut rows[CARRIES], carried);
        },
        |_| {},
    );
    refuses("a bit of -5", verdict);
}

#[test]
fn totals_do_not_wrap() {
    // The totals before are beyond 2^119: as much again is 2^120, of which the lower bits would be all that is left.
    let verdict = forged(
        |rows| {
            let (had, total) = (amounts(&rows[7]), amounts(&rows[LAST]));
            set(&mut rows[7], 1 << 119);
            set(&mut rows[LAST], total - had + (1 << 119) - (1 << 120));
        },
        |_| {},
    );
    refuses("a total that wrapped", verdict);
    // With the limbs so that nothing else changes: the highest limb's sum alone is one too high.
    let verdict = forged(
        |rows| {
            let (had, total) = (amounts(&rows[7]), amounts(&rows[LAST]));
            set(&mut rows[7], had + (1 << 119));
            set(&mut rows[LAST], total + (1 << 119) - (1 << 120));
        },
        |_| {},
    );
    refuses("a total that wrapped in its highest limb", verdict);
}

#[test]
fn totals_are_the_sum_of_all_rows() {
    refuses(
        "one less",
        forged(
            |rows| {
                let total = amounts(&rows[LAST]);
                set(&mut rows[LAST], total - 1)
            },
            |_| {},
        ),
    );
    refuses(
        "one more",
        forged(
            |rows| {
                let total = amounts(&rows[LAST]);
                set(&mut rows[LAST], total + 1)
            },
            |_| {},
        ),
    );
    let dropped = |rows: &mut Vec<Given>| {
        let (had, total) = (amounts(&rows[7]), amounts(&rows[LAST]));
        assert!(had > 0);
        set(&mut rows[LAST], total - had);
        let all: Vec<u128> = [&rows[..7], &rows[8..CARRIES]].concat().iter().map(amounts).collect();
        set(&mut rows[CARRIES], carried(&all));
    };
    refuses("a customer dropped from the totals alone", forged(dropped, |_| {}));
    let unsummed = |forge: &mut Forge<'_>| {
        for limb in 0..LIMBS {
            let own = *forge.sum(8, limb) - *forge.sum(7, limb);
            (8..=CARRIES).for_each(|row| *forge.sum(row, limb) -= own);
        }
    };
    refuses("a customer whose row is not summed", forged(dropped, unsummed));
}

#[test]
fn sums_begin_with_what_was_owed_before() {
    refuses(
        "sums that begin below nothing",
        forged(
            |rows| {
                let total = amounts(&rows[LAST]);
                set(&mut rows[LAST], total - 1)
            },
            |forge| (0..=CARRIES).for_each(|row| *forge.sum(row, 0) -= KoalaBear::ONE),
        ),
    );
    refuses(
        "a batch without what was owed before",
        forged(
            |rows| {
                let total = amounts(&rows[LAST]) - amounts(&rows[0]);
                set(&mut rows[LAST], total);
                let all: Vec<u128> = rows[1..CARRIES].iter().map(amounts).collect();
                set(&mut rows[CARRIES], carried(&all));
            },
            |forge| {
                for limb in 0..LIMBS {
                    let own = *forge.sum(1, limb);
                    (1..=CARRIES).for_each(|row| *forge.sum(row, limb) -= own);
                }
            },
        ),
    );
}

fn carried(all: &[u128]) -> u128 {
    let mut sums = [0_u64; LIMBS];
    for amount in all {
        sums.iter_mut().zip(limbs(*amount)).for_each(|(sum, limb)| *sum += u64::from(limb));
    }
    let (mut into, mut carried) = (0_u64, 0_u128);
    for (place, sum) in sums.iter().enumerate() {
        carried |= u128::from(into) << (place * LIMB_BITS);
        into = (sum + into) >> LIMB_BITS;
    }
    carried
}

#[test]
fn carries_are_what_the_sums_ask_for() {
    // What is carried into the lowest limb would raise the total by one for nothing.
    refuses(
        "a carry into the lowest limb",
        forged(
            |rows| {
                let (carry, total) = (amounts(&rows[CARRIES]), amounts(&rows[LAST]));
                set(&mut rows[CARRIES], carry + 1);
                set(&mut rows[LAST], total + 1);
            },
            |_| {},
        ),
    );
    refuses(
        "a carry too few",
        forged(
            |rows| {
                let (carry, total) = (amounts(&rows[CARRIES]), amounts(&rows[LAST]));
                set(&mut rows[CARRIES], carry - (1 << LIMB_BITS));
                set(&mut rows[LAST], total - (1 << LIMB_BITS));
            },
            |_| {},
        ),
    );
    refuses("carries with a name", forged(|rows| rows[CARRIES].name = name("customer-1"), |_| {}));
    refuses("carries with a salt", forged(|rows| rows[CARRIES].salt = salt(1), |_| {}));
}

#[test]
fn every_leaf_is_in_the_list() {
    let other = Leaf { name: "customer-1".to_owned(), salt: salt(1), amounts: vec![77] };
    refuses(
        "another leaf in the list",
        forged(
            |_| {},
            |forge| {
                let mut digests: Vec<_> = batch(1).leaves.iter().map(Leaf::digest).collect();
                digests[1] = other.digest();
                forge.public.list = list_digest(LOG_ROWS, &forge.public.before, &digests);
            },
        ),
    );
    refuses(
        "a leaf fewer in the list",
        forged(
            |_| {},
            |forge| {
                let mut digests: Vec<_> = batch(1).leaves.iter().map(Leaf::digest).collect();
                digests.pop();
                forge.public.list = list_digest(LOG_ROWS, &forge.public.before, &digests);
            },
        ),
    );
    refuses(
        "the row of the carries in the list",
        forged(
            |rows| rows[CARRIES].salt = salt(5),
            |forge| {
                let mut digests: Vec<_> = batch(1).leaves.iter().map(Leaf::digest).collect();
                let carried =
                    Leaf { name: String::new(), salt: salt(5), amounts: vec![amounts(&rows(1)[CARRIES])] };
                digests.push(carried.digest());
                forge.public.list = list_digest(LOG_ROWS, &forge.public.before, &digests);
            },
        ),
    );
    refuses(
        "a list that ends early",
        forged(
            |_| {},
            |forge| {
                // The last flag already on the row of the carries: the list and the sums close a row before.
                *forge.cell(CARRIES, 0) = KoalaBear::ONE;
            },
        ),
    );
    refuses("no row that is the last", forged(|_| {}, |forge| *forge.cell(LAST, 0) = KoalaBear::ZERO));
}

#[test]
fn both_ends_are_the_published_totals() {
    // A customer in the place of the totals would see a holding that nobody is owed beside the sum.
    refuses(
        "the totals before under a customer's name",
        forged(|rows| rows[0].name = name("customer-1"), |_| {}),
    );
    refuses(
        "the totals after under a customer's name",
        forged(|rows| rows[LAST].name = name("customer-1"), |_| {}),
    );
    refuses("other totals before", forged(|_| {}, |forge| forge.public.before = Totals::zero(1).digest()));
    refuses("other totals after", forged(|_| {}, |forge| forge.public.after = Totals::zero(1).digest()));
}

/// What is wrong with two neighbouring rows.
fn broken(circuit: &Circuit, trace: &RowMajorMatrix<KoalaBear>, public: &[KoalaBear], row: usize) -> bool {
    let width = circuit.columns.width();
    let at = |row: usize| RowMajorMatrixView::new_row(&trace.values[row % ROWS * width..][..width]);
    let nothing = || ViewPair::new(RowMajorMatrixView::new(&[], 0), RowMajorMatrixView::new(&[], 0));
    let mut builder = DebugConstraintBuilder::new(
        row,
        ViewPair::new(at(row), at(row + 1)),
        nothing(),
        public,
        KoalaBear::from_bool(row == 0),
        KoalaBear::from_bool(row == LAST),
        KoalaBear::from_bool(row != LAST),
        &[],
    );
    circuit.eval(&mut builder);
    builder.has_failures()
}

#[test]
fn no_cell_is_left_to_the_prover() {
    for assets in [1, 5] {
        let (mut trace, digests) = trace(shape(assets).columns(), LOG_ROWS, &rows(assets));
        let (circuit, public) = (Circuit::new(assets, LOG_ROWS), values(&public(assets, &digests)));
        let width = circuit.columns.width();
        for row in [0, 1, 2, 100, CARRIES - 1, CARRIES, LAST] {
            assert!(!broken(&circuit, &trace, &public, row));
            for column in 0..width {
                let cell = row * width + column;
                let kept = trace.values[cell];
                for other in [kept + KoalaBear::ONE, -kept - KoalaBear::ONE] {
                    trace.values[cell] = other;
                    let seen = broken(&circuit, &trace, &public, row)
                        || row > 0 && broken(&circuit, &trace, &public, row - 1);
                    assert!(seen, "{assets} assets: row {row}, column {column} can be anything");
                }
                trace.values[cell] = kept;
            }
        }
    }
}

#[test]
fn no_constraint_is_lost() {
    // Were a part of a row missing, pairs of slices would run short and constraints with them.
    for assets in [1, 3, 4, 5, 20, 64] {
        let circuit = Circuit::new(assets, LOG_ROWS);
        let blocks = assets.div_ceil(4);
        let permutation = 2 * HALF_FULL * WIDTH + PARTIAL;
        let each_row = 120 * assets + (blocks + 2) * permutation + 16 * blocks + 8 * (blocks + 1) + 24;
        let ends = 8 * assets + 24 + 8 + 8 + 1 + 8 + 8;
        let steps = 1 + 8 * assets + 24 + (1 + 8) * assets + 8 + 16;
        let all = get_symbolic_constraints(&circuit, AirLayout::from_air(&circuit));
        assert_eq!(all.len(), each_row + ends + steps, "{assets}");
        assert_eq!(all.iter().map(|one| one.degree_multiple()).max(), Some(3), "{assets}");
    }
}
