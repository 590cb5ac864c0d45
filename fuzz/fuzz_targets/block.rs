//! Any bytes as a block: what decodes encodes to itself.
#![no_main]

use kuraban_chain::btc::{Block, Network};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for network in Network::ALL {
        if let Ok(block) = Block::decode(network, bytes) {
            assert_eq!(block.encode(), bytes);
            std::hint::black_box((block.merkle(), block.witness_commitment(), block.stated_height()));
        }
    }
});
