//! Any bytes as a block to be indexed: what is taken is what the strict decoder takes, with the same name.
#![no_main]

use kuraban_chain::btc::{Block, Network};
use kuraban_trace::index::Prepared;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Work is easy there, so that the fuzzer finds some.
    let network = Network::BtcRegtest;
    let decoded = Block::decode(network, bytes);
    match Prepared::read(network, bytes.to_vec()) {
        Ok(prepared) => {
            let block = decoded.unwrap();
            assert_eq!(prepared.hash(), block.hash());
            assert_eq!(prepared.bytes(), bytes);
            // Witnesses are not the index's affair.
            let merkle = block.merkle();
            assert!(merkle.root == block.header.merkle_root && !merkle.duplicated);
        }
        Err(problem) => drop(problem.to_string()),
    }
});
