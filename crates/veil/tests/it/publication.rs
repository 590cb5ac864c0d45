//! What verifies, and what an exchange may try with batches and statements.

use kuraban_veil::{
    BatchFile, Digest, Leaf, Opening, Part, Plan, ProveError, Public, Refused, Shape, Statement,
    StatementError, Totals, prove, security, verify,
};

use crate::kit::{CUSTOMERS, LOG_ROWS, leaf, plan, publication, publish, salt};

fn opening(number: usize) -> (usize, Opening) {
    let made = publication();
    let leaves = made.statement.plan().shape().leaves();
    let (batch, place) = (number / leaves, number % leaves);
    let narrow = |number: usize| u32::try_from(number).unwrap();
    let leaf = made.leaves[number].clone();
    (batch, Opening { root: made.statement.root(), batch: narrow(batch), place: narrow(place), leaf })
}

fn public(batch: usize) -> Public {
    publication().statement.public(batch).unwrap()
}

fn shape() -> Shape {
    Shape::new(2, LOG_ROWS).unwrap()
}

/// The statement with other parts or totals, if there is one.
fn statement(change: impl FnOnce(&mut Vec<Part>, &mut Totals)) -> Result<Statement, StatementError> {
    let made = publication();
    let part = |batch| Part { list: public(batch).list, after: public(batch).after };
    let mut parts: Vec<_> = (0..2).map(part).collect();
    let mut totals = Totals { amounts: made.statement.totals().to_vec(), salt: salt(60_001) };
    change(&mut parts, &mut totals);
    Statement::new(made.statement.plan().clone(), parts, totals)
}

#[test]
fn all_batches_verify_and_count_every_customer() {
    let made = publication();
    let sum = |asset: usize| made.leaves.iter().map(|leaf| leaf.amounts[asset]).sum::<u128>();
    assert_eq!(made.statement.totals(), [sum(0), sum(1)]);
    for (number, file) in made.files.iter().enumerate() {
        let read = BatchFile::decode(shape(), &file.encode()).unwrap();
        assert_eq!(read, *file);
        assert_eq!(made.statement.verify(number, &read), Ok(()));
    }
    let read = Statement::decode(&made.statement.encode()).unwrap();
    assert_eq!((read.root(), &read), (made.statement.root(), &made.statement));
    for number in [0, 1, 252, 253, CUSTOMERS - 1] {
        let (batch, opening) = opening(number);
        let read = Opening::decode(&opening.encode(), 2).unwrap();
        assert_eq!(read, opening);
        assert_eq!(made.statement.counts(&read, &made.files[batch]), Ok(()), "{number}");
    }
}

#[test]
fn a_customer_is_counted_with_all_that_is_owed() {
    let made = publication();
    let check = |what: &str, change: &dyn Fn(&mut Opening)| {
        let (batch, mut changed) = opening(7);
        change(&mut changed);
        let verdict = made.statement.counts(&changed, &made.files[batch]);
        assert!(matches!(verdict, Err(Refused::Leaf { .. } | Refused::Root { .. })), "{what}: {verdict:?}");
    };
    check("one unit more", &|opening| opening.leaf.amounts[1] += 1);
    check("somebody else", &|opening| opening.leaf.name.push('x'));
    check("another salt", &|opening| opening.leaf.salt = salt(8));
    check("another place", &|opening| opening.place += 1);
    check("a place beyond the last", &|opening| opening.place = u32::MAX);
    check("an asset fewer", &|opening| opening.leaf.amounts.truncate(1));
    check("another statement", &|opening| {
        opening.root = publish(&plan(9), &made.leaves, 1).statement.root();
    });
    let (_, other) = opening(7);
    assert!(made.statement.counts(&other, &made.files[1]).is_err(), "another batch's file");
    let (_, mut other) = opening(7);
    other.batch = 1;
    assert!(made.statement.counts(&other, &made.files[0]).is_err(), "another batch's number");
}

#[test]
fn a_proof_is_of_one_batch_of_one_statement() {
    let made = publication();
    let check = |what: &str, shape: Shape, public: Public| {
        let verdict = verify(shape, &public, &made.files[0].proof);
        assert!(matches!(verdict, Err(Refused::Proof { .. } | Refused::Rows { .. })), "{what}: {verdict:?}");
    };
    let (own, other) = (public(0), public(1));
    assert_eq!(verify(shape(), &own, &made.files[0].proof), Ok(()));
    check("another list", shape(), Public { list: other.list, ..own });
    check("other totals before", shape(), Public { before: other.before, ..own });
    check("other totals after", shape(), Public { after: other.after, ..own });
    check("totals the other way round", shape(), Public { before: own.after, after: own.before, ..own });
    check("another place", shape(), Public { context: other.context, ..own });
    check("another day", shape(), Public { context: plan(9).context(0), ..own });
    check("another batch", shape(), other);
    check("an asset fewer", Shape::new(1, LOG_ROWS).unwrap(), own);
    check("an asset more", Shape::new(3, LOG_ROWS).unwrap(), own);
    check("more rows", Shape::new(2, LOG_ROWS + 1).unwrap(), own);
}

#[test]
fn batches_cannot_be_swapped_dropped_or_repeated() {
    let made = publication();
    let [first, second] = [&made.files[0], &made.files[1]];
    for (number, file) in [(0, second), (1, first)] {
        assert!(matches!(made.statement.verify(number, file), Err(Refused::List { .. })));
    }
    assert_eq!(made.statement.verify(2, first), Err(Refused::Batch { batch: 2, batches: 2 }));
    let swapped = statement(|parts, _| parts.swap(0, 1));
    assert_eq!(swapped, Err(StatementError::Totals), "the totals are those of the batch that is now first");
    // One batch alone, with its own totals: its proof begins with what the other came to.
    let lone = Plan::new(made.statement.plan().scope().clone(), LOG_ROWS, 1).unwrap();
    let part = Part { list: public(1).list, after: public(1).after };
    let totals = Totals { amounts: made.statement.totals().to_vec(), salt: salt(60_001) };
    let lone = Statement::new(lone, vec![part], totals).unwrap();
    assert!(lone.verify(0, second).is_err());
    let twice = statement(|parts, _| parts[0] = parts[1]).unwrap();
    assert!(twice.verify(0, second).is_err());
    assert!(twice.verify(1, second).is_err());
}

#[test]
fn totals_are_those_of_the_last_batch() {
    assert_eq!(statement(|_, _| {}).as_ref(), Ok(&publication().statement));
    assert_eq!(statement(|_, totals| totals.amounts[0] -= 1), Err(StatementError::Totals));
    assert_eq!(statement(|_, totals| totals.amounts[1] += 1), Err(StatementError::Totals));
    assert_eq!(statement(|_, totals| totals.salt = salt(1)), Err(StatementError::Totals));
    let wide = statement(|_, totals| totals.amounts[1] = 1 << 120);
    assert_eq!(wide, Err(StatementError::Wide { asset: 1 }));
    // An exchange that commits to lower totals in its last batch has no proof of them.
    let lower = |parts: &mut Vec<Part>, totals: &mut Totals| {
        totals.amounts[0] -= 1;
        parts[1].after = totals.digest();
    };
    let lower = statement(lower).unwrap();
    assert_eq!(lower.verify(0, &publication().files[0]), Ok(()));
    let verdict = lower.verify(1, &publication().files[1]);
    assert!(matches!(verdict, Err(Refused::Proof { .. })), "{verdict:?}");
}

#[test]
fn a_leaf_cannot_be_put_into_a_list_or_taken_out() {
    let made = publication();
    let check = |what: &str, change: &dyn Fn(&mut Vec<Digest>)| {
        let mut file = made.files[0].clone();
        change(&mut file.leaves);
        assert!(matches!(made.statement.verify(0, &file), Err(Refused::List { .. })), "{what}");
        // And with the statement changed as well: no proof leads there.
        let list = kuraban_veil::list_digest(LOG_ROWS, &public(0).before, &file.leaves);
        let changed = statement(|parts, _| parts[0].list = list).unwrap();
        assert!(changed.verify(0, &file).is_err(), "{what}");
    };
    let new = Leaf { name: "new".to_owned(), ..leaf(3) };
    check("replaced", &|leaves| leaves[3] = new.digest());
    check("dropped", &|leaves| leaves.truncate(252));
    check("more", &|leaves| leaves.push(new.digest()));
    check("twice", &|leaves| leaves[4] = leaves[3]);
    check("exchanged", &|leaves| leaves.swap(3, 4));
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_proved() {
    let made = publication();
    let batch = |change: &dyn Fn(&mut kuraban_veil::Batch)| {
        let leaves = made.leaves[..shape().leaves()].to_vec();
        let mut batch = kuraban_veil::Batch { before: Totals::zero(2), leaves, after: salt(1) };
        change(&mut batch);
        batch.totals(shape())
    };
    let most = (1 << 120) - 1;
    let amount = ProveError::Wide { asset: 1, what: "an amount" };
    let total = ProveError::Wide { asset: 1, what: "a total" };
    let rest: u128 = made.leaves[1..shape().leaves()].iter().map(|leaf| leaf.amounts[1]).sum();
    let full = batch(&|batch| batch.leaves[0].amounts[1] = most - rest);
    assert_eq!(full.map(|totals| totals.amounts[1]), Ok(most));
    assert_eq!(batch(&|batch| batch.leaves[0].amounts[1] = most - rest + 1), Err(total.clone()));
    assert_eq!(batch(&|batch| batch.leaves[0].amounts[1] = most + 1), Err(amount.clone()));
    assert_eq!(batch(&|batch| batch.leaves[0].amounts[1] = u128::MAX), Err(amount));
    assert_eq!(batch(&|batch| batch.before.amounts[1] = most), Err(total));
    let fewer = batch(&|batch| batch.leaves.truncate(252));
    assert_eq!(fewer, Err(ProveError::Leaves { found: 252, want: 253 }));
    let assets = batch(&|batch| batch.leaves[9].amounts.push(0));
    assert_eq!(assets, Err(ProveError::Amounts { leaf: 9, found: 3, want: 2 }));
    let leaves = made.leaves[..shape().leaves()].to_vec();
    let mut over = kuraban_veil::Batch { before: Totals::zero(2), leaves, after: salt(1) };
    over.leaves[0].amounts[0] = most + 1;
    assert!(prove(shape(), &over, [0; 32], &[0; 32]).is_err());
}

#[test]
fn proofs_of_one_batch_do_not_repeat_what_they_open() {
    let made = publication();
    let again = publish(made.statement.plan(), &made.leaves, 2);
    assert_eq!(again.statement, made.statement);
    assert_eq!(again.statement.verify(0, &again.files[0]), Ok(()));
    // Long enough that lengths and tags between the values do not count.
    let known: std::collections::HashSet<_> = made.files[0].proof.windows(24).collect();
    let same = again.files[0].proof.windows(24).filter(|window| known.contains(window));
    assert_eq!(same.count(), 0);
    assert_eq!(publish(made.statement.plan(), &made.leaves, 1).files, made.files);
}

#[test]
fn a_false_proof_is_as_hard_as_documented() {
    // `docs/liabilities.md` names both figures.
    for (assets, log_rows) in [(1, 8), (20, 12), (64, 14)] {
        let found = security(Shape::new(assets, log_rows).unwrap());
        assert!(found.proven_bits >= 100, "{assets}, 2^{log_rows}: {found:?}");
        assert!(found.conjectured_bits >= 128, "{assets}, 2^{log_rows}: {found:?}");
    }
}

#[test]
fn shapes_have_bounds() {
    let check = |assets, log_rows, want| {
        assert_eq!(Shape::new(assets, log_rows).is_ok(), want, "{assets} {log_rows}")
    };
    check(1, 8, true);
    check(64, 14, true);
    check(0, 8, false);
    check(65, 8, false);
    check(1, 7, false);
    check(1, 15, false);
    let scope = || publication().statement.plan().scope().clone();
    assert!(Plan::new(scope(), 8, 1 << 16).is_ok());
    assert!(Plan::new(scope(), 8, (1 << 16) + 1).is_err());
    assert!(Plan::new(scope(), 8, 0).is_err());
}
