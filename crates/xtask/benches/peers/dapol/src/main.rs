//! Times the crate `dapol` on so many customers: its tree, proofs and their verification. Prints one JSON object of whole
//! numbers.

use std::env;
use std::str::FromStr;
use std::time::Instant;

use dapol::{AccumulatorType, DapolTree, Entity, EntityId, Height, MaxLiability, MaxThreadCount, Salt, Secret};

/// Proofs that are made and verified.
const PROOFS: u64 = 20;

fn main() {
    let mut args = env::args().skip(1).map(|text| text.parse::<u64>().expect("want whole numbers"));
    let (count, depth) = (args.next().expect("want a count"), args.next().expect("want a depth"));
    let id = |number: u64| EntityId::from_str(&format!("customer-{number:08}")).expect("short enough");
    let entities = (0..count).map(|number| Entity { liability: amount(number), id: id(number) }).collect();
    let begun = Instant::now();
    let tree = DapolTree::new(
        AccumulatorType::NdmSmt,
        Secret::from(7),
        Salt::from(8),
        Salt::from(9),
        MaxLiability::default(),
        MaxThreadCount::default(),
        Height::try_from(u8::try_from(depth + 1).expect("a small depth")).expect("a height that it takes"),
        entities,
    )
    .expect("a tree");
    let tree_us = begun.elapsed().as_micros();
    let begun = Instant::now();
    let proofs: Vec<_> =
        (0..PROOFS).map(|number| tree.generate_inclusion_proof(&id(number * (count / PROOFS))).expect("a proof")).collect();
    let prove_us = begun.elapsed().as_micros() / u128::from(PROOFS);
    let begun = Instant::now();
    proofs.iter().for_each(|proof| proof.verify(*tree.root_hash()).expect("a proof that holds"));
    let verify_us = begun.elapsed().as_micros() / u128::from(PROOFS);
    let folder = env::temp_dir();
    let path = proofs[0]
        .serialize(&id(0), folder, dapol::InclusionProofFileType::Binary)
        .expect("a proof in a file");
    let bytes = std::fs::metadata(&path).expect("its length").len();
    std::fs::remove_file(path).expect("gone again");
    println!(
        "{{\"customers\":{count},\"tree_us\":{tree_us},\"prove_us\":{prove_us},\"verify_us\":{verify_us},\"file_bytes\":{bytes}}}"
    );
}

/// Up to 2^16 base units: sums stay within the 32 bits that its proofs are for by default.
fn amount(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48
}
