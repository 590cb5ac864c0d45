//! Any bytes as what an account signed: an address, a public key and a signature in lines, then the text. What is read as an
//! address has one spelling, and nothing that anybody writes makes a panic.
#![no_main]

use kuraban_chain::accounts::{Asset, Network, signed};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(all) = core::str::from_utf8(bytes) else { return };
    if let Ok(asset) = all.parse::<Asset>() {
        assert_eq!(asset.to_string().parse(), Ok(asset));
    }
    let mut lines = all.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let [address, key, signature, text] = core::array::from_fn(|_| next());
    let key = Some(key).filter(|key| !key.is_empty());
    for network in Network::ALL {
        if let Ok(account) = network.account(address) {
            assert_eq!(network.account(&account.to_string()), Ok(account));
        }
        match signed(network, text.as_bytes(), address, key, signature) {
            Ok(held) => assert_eq!(network.account(address), Ok(held.account)),
            Err(problem) => drop(problem.to_string()),
        }
    }
});
