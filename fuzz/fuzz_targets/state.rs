//! Any bytes as a proof of an account's balance: the address, then nodes, each with its length before it. The roots are those of
//! whatever is the first node, so that the fuzzer comes past it, and any.
#![no_main]

use kuraban_chain::evm::{Address, holding};
use sha3::{Digest as _, Keccak256};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((address, mut rest)) = bytes.split_first_chunk::<20>() else { return };
    let mut nodes = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (node, after) = after.split_at(length);
        nodes.push(node.to_vec());
        rest = after;
    }
    let root = nodes.first().map_or([0; 32], |node| Keccak256::digest(node).into());
    let address = Address::from_bytes(*address);
    match holding(&root, &address, &nodes) {
        // What shows something shows it of this root alone, and with all of its nodes.
        Ok(found) => {
            assert_eq!(holding(&root, &address, &nodes), Ok(found));
            assert!(nodes.pop().is_none() || holding(&root, &address, &nodes).is_err());
        }
        Err(problem) => drop(problem.to_string()),
    }
});
