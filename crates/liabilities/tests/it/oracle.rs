//! The root by another way: a recursion over the sorted salts, from the format's text alone. Shares no code with the tree.

use kuraban_inclusion::Scope;
use kuraban_liabilities::{Book, Seed};
use sha2::{Digest as _, Sha256};

fn hash(kind: u8, parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..22].copy_from_slice(b"kuraban-liabilities-v1");
    block[63] = kind;
    Sha256::digest([&block, parts.concat().as_slice()].concat()).into()
}

fn numbers(amounts: &[u128]) -> Vec<u8> {
    amounts.iter().flat_map(|amount| amount.to_be_bytes()).collect()
}

type Leaf = ([u8; 32], String, Vec<u128>);

fn top(leaves: &[Leaf]) -> ([u8; 32], Vec<u128>) {
    if let [(salt, name, amounts)] = leaves {
        let length = u64::try_from(name.len()).unwrap().to_be_bytes();
        return (hash(0, &[salt, &length, name.as_bytes(), &numbers(amounts)]), amounts.clone());
    }
    let (left, right) = leaves.split_at(leaves.len() / 2);
    let ((left, left_sums), (right, right_sums)) = (top(left), top(right));
    let node = hash(1, &[&left, &numbers(&left_sums), &right, &numbers(&right_sums)]);
    (node, left_sums.iter().zip(&right_sums).map(|(left, right)| left + right).collect())
}

/// Root and totals.
pub(crate) fn root(scope: &Scope, book: &Book, seed: [u8; 32]) -> ([u8; 32], Vec<u128>) {
    let round = Seed::new(seed).round(scope);
    let customer =
        |place| (round.customer(book.name(place)), book.name(place).to_owned(), book.amounts(place).to_vec());
    let mut leaves: Vec<Leaf> = (0..book.customers()).map(customer).collect();
    let padding = scope.leaves() - u64::try_from(book.customers()).unwrap();
    let nobody = |number| (round.padding(number), String::new(), vec![0; book.assets()]);
    leaves.extend((0..padding).map(nobody));
    leaves.sort();
    let (node, totals) = top(&leaves);
    (hash(3, &[&hash(2, &[&scope.encode()]), &node, &numbers(&totals)]), totals)
}
