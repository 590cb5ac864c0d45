//! The faults that other exchanges' trees had, each planted and each found.

use kuraban_inclusion::{Hasher, Inclusion, Node, Opening, Overflow, Refused, Root, Scope, verify};
use kuraban_liabilities::{Audit, Book, Found, LayoutError, Subtree};
use sha2::{Digest as _, Sha256};

use crate::kit::{Tree, book, layout, scope, tree};

const ROWS: &[(&str, &[u128])] =
    &[("alice", &[5, 0]), ("bob", &[7, 90]), ("carol", &[5, 0]), ("dave", &[0, 1])];

fn scope_of(depth: u8) -> Scope {
    scope(depth, &["BTC", "XEM"])
}

/// The leaves of a tree in one bough, as an operator might change them.
fn leaves(tree: &Tree) -> Vec<Opening> {
    Subtree::read(tree.crown.scope(), tree.boughs[0].openings()).unwrap().openings().to_vec()
}

/// What an auditor says of leaves under the root that they have.
fn audited(scope: &Scope, leaves: &[Opening], book: &Book) -> Result<usize, Found> {
    let mut bytes = Vec::new();
    leaves.iter().for_each(|leaf| leaf.put(&mut bytes));
    let mut audit = Audit::new(scope, book)?;
    audit.bough(&bytes)?;
    audit.end(root(scope, leaves)).map(|audited| audited.customers)
}

fn root(scope: &Scope, leaves: &[Opening]) -> Root {
    let mut hasher = Hasher::default();
    let mut level: Vec<Node> = leaves.iter().map(|leaf| leaf.node(&mut hasher)).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| hasher.parent(&pair[0], &pair[1]).unwrap()).collect();
    }
    Root::of(scope, &level[0])
}

#[test]
fn an_omitted_customer_has_no_file_and_the_auditor_names_it() {
    let (scope, whole) = (scope_of(3), book(ROWS));
    let without = tree(&scope, &book(&ROWS[1..])).unwrap();
    assert_eq!(without.file("alice"), None);
    // The file of a tree that counts her leads to another root than the published one.
    let shown = tree(&scope, &whole).unwrap().file("alice").unwrap();
    assert!(matches!(verify(&shown, without.crown.root()), Err(Refused::Root { .. })));
    let found = audited(&scope, &leaves(&without), &whole);
    assert_eq!(found, Err(Found::Omitted { name: "alice".to_owned(), others: 0 }));
}

#[test]
fn customers_with_equal_amounts_never_share_a_leaf() {
    let (scope, book) = (scope_of(3), book(ROWS));
    let tree = tree(&scope, &book).unwrap();
    let (alice, carol) = (tree.file("alice").unwrap(), tree.file("carol").unwrap());
    let root = tree.crown.root();
    assert_eq!(verify(&alice, root).unwrap().amounts, verify(&carol, root).unwrap().amounts);
    // Carol is shown Alice's leaf under her own name.
    let mut one = Inclusion::decode(&alice).unwrap();
    one.opening.name = "carol".to_owned();
    assert!(matches!(one.verify(root), Err(Refused::Root { .. })));
}

#[test]
fn a_duplicated_leaf_is_refused_and_found() {
    let scope = scope_of(3);
    let doubled = book(&[ROWS[0], ROWS[1], ROWS[0]]);
    let double = |name: &str| LayoutError::Double { name: name.to_owned() };
    assert_eq!(layout(&scope, &doubled).unwrap_err(), double("alice"));
    let whole = book(ROWS);
    let good = leaves(&tree(&scope, &whole).unwrap());
    assert_eq!(audited(&scope, &good, &whole), Ok(4));
    // The same leaf in the place of its neighbour.
    let mut twice = good.clone();
    twice[1] = twice[0].clone();
    assert_eq!(audited(&scope, &twice, &whole), Err(Found::Order { bough: 0, leaf: 1 }));
    // The same customer with another salt.
    let mut twice = good.clone();
    let nobody = twice.iter().position(|leaf| leaf.name.is_empty()).unwrap();
    twice[nobody].name = "bob".to_owned();
    twice[nobody].amounts = vec![7, 90];
    assert_eq!(audited(&scope, &twice, &whole), Err(Found::Twice { name: "bob".to_owned() }));
}

#[test]
fn a_sum_beyond_128_bits_is_refused_by_operator_and_customer() {
    let scope = scope_of(1);
    let check = |a: u128, b: u128, want: Option<Overflow>| {
        let found = layout(&scope, &book(&[("a", &[0, a]), ("b", &[0, b])]));
        assert_eq!(found.map(drop).err(), want.map(LayoutError::Overflow), "{a} {b}");
    };
    check(u128::MAX - 1, 1, None);
    check(u128::MAX - 1, 2, Some(Overflow { asset: 1 }));
    // An operator that lets sums wrap makes liabilities small; the customer's own addition does not.
    let opening = Opening { name: "a".to_owned(), salt: [1; 32], amounts: vec![0, 2] };
    let sibling = Node { hash: [2; 32], sums: vec![0, u128::MAX] };
    let file = Inclusion { scope, opening, index: 0, path: vec![sibling] };
    let found = verify(&file.encode(), Root::from_bytes([0; 32]));
    assert_eq!(found, Err(Refused::Overflow(Overflow { asset: 1 })));
}

#[test]
fn padding_with_a_balance_is_found() {
    let (scope, book) = (scope_of(3), book(ROWS));
    let mut changed = leaves(&tree(&scope, &book).unwrap());
    let leaf = changed.iter().position(|leaf| leaf.name.is_empty()).unwrap();
    changed[leaf].amounts[1] = 1;
    let want = Found::Padding { bough: 0, leaf, asset: "XEM".to_owned(), units: 1 };
    assert_eq!(audited(&scope, &changed, &book), Err(want));
}

#[test]
fn a_made_up_customer_and_a_changed_amount_are_found() {
    let (scope, book) = (scope_of(3), book(ROWS));
    let good = leaves(&tree(&scope, &book).unwrap());
    let mut changed = good.clone();
    changed.iter_mut().find(|leaf| leaf.name.is_empty()).unwrap().name = "mallory".to_owned();
    assert_eq!(audited(&scope, &changed, &book), Err(Found::Unknown { name: "mallory".to_owned() }));
    let mut changed = good.clone();
    changed.iter_mut().find(|leaf| leaf.name == "bob").unwrap().amounts[1] = 89;
    let (name, asset) = ("bob".to_owned(), "XEM".to_owned());
    assert_eq!(audited(&scope, &changed, &book), Err(Found::Amount { name, asset, found: 89, want: 90 }));
    // Leaves put in an order of one's own.
    let mut changed = good.clone();
    changed.swap(0, 1);
    assert_eq!(audited(&scope, &changed, &book), Err(Found::Order { bough: 0, leaf: 1 }));
    // A published root that is another's.
    let mut audit = Audit::new(&scope, &book).unwrap();
    let mut bytes = Vec::new();
    good.iter().for_each(|leaf| leaf.put(&mut bytes));
    audit.bough(&bytes).unwrap();
    let want = Root::from_bytes([1; 32]);
    assert_eq!(audit.end(want), Err(Found::Root { found: root(&scope, &good), want }));
}

/// The first form of the sum tree hashes only the sum of the children. Then an operator shows Alice a small sibling beside
/// her leaf and Bob another, under one root whose total is less than what it owes to both.
#[test]
fn a_parent_that_hashes_only_the_sum_verifies_nowhere() {
    let scope = scope(1, &["BTC"]);
    let opening = |name: &str, units| Opening { name: name.to_owned(), salt: [9; 32], amounts: vec![units] };
    let (alice, bob) = (opening("alice", 5), opening("bob", 5));
    let hash = |opening: &Opening| opening.node(&mut Hasher::default()).hash;
    let sum = Sha256::digest(
        [hash(&alice), hash(&bob)].concat().into_iter().chain(5_u128.to_be_bytes()).collect::<Vec<_>>(),
    );
    let root = Root::of(&scope, &Node { hash: sum.into(), sums: vec![5] });
    // Each is told that the other has nothing.
    let file = |opening: &Opening, index, other: &Opening| {
        let path = vec![Node { hash: hash(other), sums: vec![0] }];
        Inclusion { scope: scope.clone(), opening: opening.clone(), index, path }.encode()
    };
    for file in [file(&alice, 0, &bob), file(&bob, 1, &alice)] {
        assert!(matches!(verify(&file, root), Err(Refused::Root { .. })));
    }
    // Nor is there one root of the corrected form for both halves of the lie.
    let root_of = |file: &[u8]| match verify(file, root) {
        Err(Refused::Root { found, .. }) => found,
        other => panic!("{other:?}"),
    };
    assert_ne!(root_of(&file(&alice, 0, &bob)), root_of(&file(&bob, 1, &alice)));
}

#[test]
fn a_root_of_another_day_refuses_the_file() {
    let (first, book) = (scope_of(3), book(ROWS));
    let (assets, blocks) = (first.assets().to_vec(), first.blocks().to_vec());
    let file = tree(&first, &book).unwrap().file("bob").unwrap();
    let check = |scope: Scope| {
        let later = tree(&scope, &book).unwrap();
        assert!(matches!(verify(&file, later.crown.root()), Err(Refused::Root { .. })), "{scope:?}");
        // The old leaf and path under the new instant.
        let mut forged = Inclusion::decode(&file).unwrap();
        forged.scope = scope.clone();
        assert!(matches!(forged.verify(later.crown.root()), Err(Refused::Root { .. })), "{scope:?}");
    };
    let scope = |origin: &str, as_of_ms, assets: &[_], blocks: &[_]| {
        Scope::new(origin.to_owned(), as_of_ms, 3, assets.to_vec(), blocks.to_vec()).unwrap()
    };
    let as_of_ms = first.as_of_ms();
    check(scope("log.example", as_of_ms + 1, &assets, &blocks));
    check(scope("other.example", as_of_ms, &assets, &blocks));
    check(scope("log.example", as_of_ms, &assets, &[]));
    let mut other = blocks.clone();
    other[0].hash[31] ^= 1;
    check(scope("log.example", as_of_ms, &assets, &other));
    let mut other = assets.clone();
    other[0].decimals = 9;
    check(scope("log.example", as_of_ms, &other, &blocks));
}

#[test]
fn a_changed_or_shortened_file_is_refused() {
    let (scope, book) = (scope_of(4), book(ROWS));
    let tree = tree(&scope, &book).unwrap();
    let (file, root) = (tree.file("bob").unwrap(), tree.crown.root());
    assert!(verify(&file, root).is_ok());
    for at in 0..file.len() {
        assert!(verify(&file[..at], root).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            assert!(verify(&changed, root).is_err(), "byte {at}, bit {bit}");
        }
    }
    assert!(verify(&[file.as_slice(), &[0]].concat(), root).is_err());
    assert!(verify(&vec![0; kuraban_inclusion::INCLUSION_LENGTH_MAX + 1], root).is_err());
}

#[test]
fn a_tree_has_room_for_all_its_customers() {
    let check = |depth, rows: &[(&str, &[u128])], want: Option<LayoutError>| {
        assert_eq!(layout(&scope_of(depth), &book(rows)).map(drop).err(), want);
    };
    check(2, ROWS, None);
    check(1, ROWS, Some(LayoutError::Full { customers: 4, depth: 1, leaves: 2 }));
    assert_eq!(layout(&scope_of(1), &Book::new(2)).unwrap_err(), LayoutError::Empty);
    assert_eq!(
        layout(&scope_of(1), &book(&[("a", &[1])])).unwrap_err(),
        LayoutError::Assets { found: 1, want: 2 }
    );
}

/// A salt that depends on nothing but customer and publication orders the leaves: the order of the rows says nothing.
#[test]
fn the_order_of_the_holdings_does_not_show() {
    let scope = scope_of(5);
    let reversed: Vec<_> = ROWS.iter().rev().copied().collect();
    let (one, other) = (tree(&scope, &book(ROWS)).unwrap(), tree(&scope, &book(&reversed)).unwrap());
    assert_eq!(one.crown.root(), other.crown.root());
    assert_eq!(one.file("carol"), other.file("carol"));
}
