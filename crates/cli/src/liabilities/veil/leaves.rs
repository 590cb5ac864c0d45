//! The leaves of all batches: the customers of a tree and padding, in the order of salts that have nothing to do with the tree's.
//! Decides nothing of the proof.

use std::path::Path;

use kuraban_inclusion::{Cursor, Opening, Scope};
use kuraban_liabilities::{Book, Round, bough_depth};
use kuraban_veil::{Leaf, Plan, Salt};

use crate::{
    fail::{Failure, OrFail as _},
    liabilities::store::Reader,
    say::Say,
};

/// The customers of a tree, without its padding, and what it covers.
pub(super) fn customers(dir: &Path, say: &Say) -> Result<(Scope, Book), Failure> {
    let mut reader = Reader::open(dir)?;
    let scope = reader.scope().clone();
    let mut customers = Book::new(scope.assets().len());
    let bar = say.progress(u64::try_from(reader.left()).unwrap_or(u64::MAX));
    while let Some(bytes) = reader.bough()? {
        let mut cursor = Cursor::new(&bytes);
        for _ in 0..1_usize << bough_depth(&scope) {
            let opening = Opening::read(&mut cursor, scope.assets().len()).or_input(dir.display())?;
            if !opening.name.is_empty() {
                customers.push(&opening.name, &opening.amounts).or_input(dir.display())?;
            }
        }
        cursor.end().or_input(dir.display())?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((scope, customers))
}

/// The leaves of all batches, in their order.
pub(super) fn arranged(plan: &Plan, round: &Round, customers: &Book) -> Vec<Leaf> {
    let count = plan.batches().saturating_mul(plan.shape().leaves());
    let padding = u64::try_from(count.saturating_sub(customers.customers())).unwrap_or(u64::MAX);
    let own = (0..customers.customers()).map(|place| {
        let name = customers.name(place).to_owned();
        Leaf { salt: Salt::new(&round.customer(&name)), name, amounts: customers.amounts(place).to_vec() }
    });
    let empty = (0..padding).map(|number| Leaf {
        name: String::new(),
        salt: Salt::new(&round.padding(number)),
        amounts: vec![0; plan.shape().assets()],
    });
    let mut leaves: Vec<_> = own.chain(empty).collect();
    leaves.sort_by_cached_key(|leaf| leaf.salt.to_bytes());
    leaves
}
