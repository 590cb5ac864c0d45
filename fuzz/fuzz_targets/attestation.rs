//! Any bytes as a proof of funds: what is read can be written and read again, and is checked without a panic.
#![no_main]

use kuraban_chain::btc::{Funds, Network, psbt::Psbt};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for network in [Network::BtcMain, Network::LtcMain] {
        let Ok(psbt) = Psbt::decode(network, bytes) else { continue };
        assert_eq!(Psbt::decode(network, &psbt.encode()), Ok(psbt));
        let Ok(funds) = Funds::decode(network, bytes) else { continue };
        assert_eq!(Funds::decode(network, &funds.encode()), Ok(funds.clone()));
        drop(funds.verify(b"the reserves of today"));
    }
});
