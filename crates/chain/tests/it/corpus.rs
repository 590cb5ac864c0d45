//! The fuzz targets' corpora and seeds, replayed: no input makes a decoder panic, and what decodes is what
//! stands there.

use std::{fs, path::PathBuf};

use kuraban_chain::btc::{
    Address, Block, Funds, Network, Script, Tx,
    p2p::{Frame, Message},
    psbt::Psbt,
};

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has inputs", folder.display());
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Each input, and everything it is cut to.
fn replay(target: &str, try_out: impl Fn(Network, &[u8]) -> bool) {
    let mut taken = 0;
    for (path, bytes) in inputs(target) {
        for network in Network::ALL {
            for length in 0..=bytes.len() {
                taken += usize::from(try_out(network, &bytes[..length]));
            }
        }
        assert!(bytes.len() < 4096, "{} is small", path.display());
    }
    assert!(taken > 0, "some input of {target} decodes");
}

#[test]
fn transactions() {
    replay("tx", |network, bytes| {
        Tx::decode(network, bytes).is_ok_and(|tx| {
            assert_eq!(tx.encode(), bytes);
            true
        })
    });
}

#[test]
fn blocks() {
    replay("block", |network, bytes| {
        Block::decode(network, bytes).is_ok_and(|block| {
            assert_eq!(block.encode(), bytes);
            true
        })
    });
}

#[test]
fn addresses() {
    replay("address", |network, bytes| {
        let Ok(text) = core::str::from_utf8(bytes) else { return false };
        let script = Script::new(bytes.to_vec());
        if let Some(address) = Address::from_script(network, &script) {
            assert_eq!(address.script(), script);
        }
        Address::parse(network, text).is_ok_and(|address| {
            assert_eq!(Address::parse(network, &address.to_string()), Ok(address));
            true
        })
    });
}

#[test]
fn messages() {
    replay("p2p", |network, bytes| {
        let Ok(Some(frame)) = Frame::split(network, bytes) else { return false };
        frame.message(network).is_ok_and(|message| {
            if !matches!(message, Message::Unknown { .. }) {
                assert_eq!(Message::decode(network, frame.command, &message.payload()), Ok(message));
            }
            true
        })
    });
}

#[test]
fn attestations() {
    replay("attestation", |network, bytes| {
        let Ok(psbt) = Psbt::decode(network, bytes) else { return false };
        assert_eq!(Psbt::decode(network, &psbt.encode()), Ok(psbt));
        Funds::decode(network, bytes).is_ok_and(|funds| {
            assert_eq!(Funds::decode(network, &funds.encode()), Ok(funds.clone()));
            // One of them holds; of the others it is enough that this is said without a panic.
            drop(funds.verify(b"the reserves of today"));
            true
        })
    });
}
