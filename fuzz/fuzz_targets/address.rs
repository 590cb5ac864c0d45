//! Any bytes as the text of an address and as a script: both ways lead back.
#![no_main]

use kuraban_chain::btc::{Address, Network, Script};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for network in Network::ALL {
        let script = Script::new(bytes.to_vec());
        if let Some(address) = Address::from_script(network, &script) {
            assert_eq!(address.script(), script);
        }
        let Ok(text) = core::str::from_utf8(bytes) else { continue };
        if let Ok(address) = Address::parse(network, text) {
            assert_eq!(Address::parse(network, &address.to_string()), Ok(address));
        }
    }
});
