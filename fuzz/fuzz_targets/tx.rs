//! Any bytes as a transaction: what decodes encodes to itself.
#![no_main]

use kuraban_chain::btc::{Network, Tx};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for network in Network::ALL {
        if let Ok(tx) = Tx::decode(network, bytes) {
            assert_eq!(tx.encode(), bytes);
            assert_eq!(tx.size(), bytes.len());
        }
    }
});
