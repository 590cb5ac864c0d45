//! Made-up holdings: the root and the totals are the oracle's, every customer has a file that verifies, nobody else has.

use std::collections::BTreeMap;

use kuraban_inclusion::{Root, verify};
use kuraban_liabilities::Audit;
use proptest::prelude::*;

use crate::kit::{book, scope, tree};
use crate::oracle;

const CODES: [&str; 3] = ["BTC", "ETH", "XEM"];

fn holdings() -> impl Strategy<Value = BTreeMap<String, [u128; 3]>> {
    let amount = || prop_oneof![Just(0), any::<u64>().prop_map(u128::from), 0..=u128::MAX >> 6];
    prop::collection::btree_map("[a-z]{1,4}|客[0-9]{1,20}", [amount(), amount(), amount()], 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_customer_is_counted_as_the_oracle_counts(holdings in holdings(), more in 0_u8..3) {
        let rows: Vec<_> = holdings.iter().map(|(name, amounts)| (name.as_str(), amounts.as_slice())).collect();
        let (book, least) = (book(&rows), rows.len().next_power_of_two().trailing_zeros().max(1));
        let scope = scope(u8::try_from(least).unwrap() + more, &CODES);
        let tree = tree(&scope, &book).unwrap();
        let (root, totals) = oracle::root(&scope, &book, [3; 32]);
        let root = Root::from_bytes(root);
        prop_assert_eq!(tree.crown.root(), root);
        prop_assert_eq!(tree.crown.totals(), &totals);
        let mut files = Vec::new();
        for (number, bough) in tree.boughs.iter().enumerate() {
            tree.crown.files(number, bough, |file| files.push(file.to_vec()));
        }
        prop_assert_eq!(files.len(), rows.len());
        for (name, amounts) in &rows {
            let file = tree.file(name).unwrap();
            prop_assert!(files.contains(&file));
            let shown = verify(&file, root).unwrap();
            prop_assert_eq!((shown.name.as_str(), shown.amounts.as_slice()), (*name, *amounts));
            prop_assert_eq!((&shown.totals, &shown.scope), (&totals, &scope));
        }
        prop_assert_eq!(tree.file("nobody"), None);
        prop_assert_eq!(tree.file(""), None);
        let mut audit = Audit::new(&scope, &book).unwrap();
        tree.boughs.iter().try_for_each(|bough| audit.bough(bough.openings())).unwrap();
        let audited = audit.end(root).unwrap();
        prop_assert_eq!((audited.customers, &audited.totals), (rows.len(), &totals));
        prop_assert_eq!(audited.padding, scope.leaves() - u64::try_from(rows.len()).unwrap());
    }

    #[test]
    fn no_bytes_from_outside_verify_or_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let root = Root::from_bytes([0; 32]);
        prop_assert!(verify(&bytes, root).is_err());
        prop_assert!(verify(&[b"KRBNINC1\x01".as_slice(), &bytes].concat(), root).is_err());
    }
}

/// Trees of more boughs than one, and of less than one.
#[test]
fn boughs_join_at_their_bounds() {
    let names: Vec<_> = (0..1_100).map(|number| format!("customer-{number}")).collect();
    let amounts: Vec<_> = (0..1_100_u128).map(|number| [number, 0, u128::MAX >> 12]).collect();
    let check = |depth, customers: usize, boughs| {
        let rows: Vec<_> =
            names.iter().zip(&amounts).map(|(name, amounts)| (name.as_str(), amounts.as_slice())).collect();
        let book = book(&rows[..customers]);
        let scope = scope(depth, &CODES);
        let tree = tree(&scope, &book).unwrap();
        assert_eq!(tree.boughs.len(), boughs, "{depth}");
        let (root, totals) = oracle::root(&scope, &book, [3; 32]);
        assert_eq!((tree.crown.root().as_bytes(), tree.crown.totals()), (&root, totals.as_slice()));
        for name in [&names[0], &names[customers - 1]] {
            assert_eq!(verify(&tree.file(name).unwrap(), tree.crown.root()).unwrap().name, *name);
        }
    };
    check(9, 512, 1);
    check(10, 1_024, 1);
    check(11, 1_025, 2);
    check(12, 1_100, 4);
}
