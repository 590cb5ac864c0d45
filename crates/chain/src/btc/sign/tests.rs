//! Rows for [`sign`](super).

use kuraban_base::{Digest, hex};

use super::*;

const NETWORK: Network = Network::BtcMain;

#[test]
#[rustfmt::skip]
fn published_chains_of_keys_are_derived() {
    // BIP 32, "Test vectors" 1 to 4: seed, path, xpub, xprv.
    let check = |seed: &str, path: &str, xpub: &str, xprv: &str| {
        let master = XPriv::from_seed(NETWORK, &hex::decode(seed).unwrap()).unwrap();
        let key = master.derive(path).unwrap();
        assert_eq!(key.xpub(), xpub, "{path}");
        assert_eq!(key.to_text().as_str(), xprv, "{path}");
        let again = XPriv::parse(NETWORK, xprv).unwrap();
        assert_eq!(again.to_text().as_str(), xprv, "{path}");
    };
    let first = "000102030405060708090a0b0c0d0e0f";
    check(first, "", "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi");
    check(first, "0'/1/2'/2/1000000000", "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
        "xprvA41z7zogVVwxVSgdKUHDy1SKmdb533PjDz7J6N6mV6uS3ze1ai8FHa8kmHScGpWmj4WggLyQjgPie1rFSruoUihUZREPSL39UNdE3BBDu76");
    let second = "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542";
    check(second, "0/2147483647'/1/2147483646'/2", "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
        "xprvA2nrNbFZABcdryreWet9Ea4LvTJcGsqrMzxHx98MMrotbir7yrKCEXw7nadnHM8Dq38EGfSh6dqA9QWTyefMLEcBYJUuekgW4BYPJcr9E7j");
}

#[test]
#[rustfmt::skip]
fn malformed_keys_are_refused_without_showing_them() {
    // BIP 32, "Test vector 5": invalid extended keys.
    let check = |text: &str, want: &str| {
        let error = XPriv::parse(NETWORK, text).unwrap_err();
        let whole = std::error::Error::source(&error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        assert_eq!(whole, want, "{text}");
    };
    let key = "extended private key holds no valid key";
    let text = "extended private key is not well-formed Base58";
    check("xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGTQQD3dC4H2D5GBj7vWvSQaaBv5cxi9gafk7NF3pnBju6dwKvH", key);
    check("xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFGpWnsj83BHtEy5Zt8CcDr1UiRXuWCmTQLxEK9vbz5gPstX92JQ", key);
    check("xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFAzHGBP2UuGCqWLTAPLcMtD9y5gkZ6Eq3Rjuahrv17fEQ3Qen6J", key);
    check("xprv9s2SPatNQ9Vc6GTbVMFPFo7jsaZySyzk7L8n2uqKXJen3KUmvQNTuLh3fhZMBoG3G4ZW1N2kZuHEPY53qmbZzCHshoQnNf4GvELZfqTUrcv", key);
    check("xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzF93Y5wvzdUayhgkkFoicQZcP3y52uPPxFnfoLZB21Teqt1VvEHx", key);
    check("xprv9s21ZrQH143K24Mfq5zL5MhWK9hUhhGbd45hLXo2Pq2oqzMMo63oStZzFAzHGBP2UuGCqWLTAPLcMtD5SDKr24z3aiUvKr9bJpdrcLg1y3G", key);
    check("xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHL", &format!("{text}: checksum does not match"));
    check("xprv9s21ZrQH0", &format!("{text}: character 13 is not one of Base58"));
    check("", &format!("{text}: length is wrong"));
    check("xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
        "version is [04, 88, b2, 1e], want [04, 88, ad, e4] for bitcoin-main");
    check("1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P", "extended private key has 21 bytes, want 78");
    let test = XPriv::from_seed(Network::LtcRegtest, &[7; 32]).unwrap().to_text();
    assert!(test.starts_with("tprv"));
    check(&test, "version is [04, 35, 83, 94], want [04, 88, ad, e4] for bitcoin-main");
}

#[test]
fn seeds_and_paths_have_bounds() {
    let seed = |length| XPriv::from_seed(NETWORK, &vec![1; length]).is_ok();
    assert_eq!([15, 16, 64, 65].map(seed), [false, true, true, false]);
    let master = XPriv::from_seed(NETWORK, &[1; 16]).unwrap();
    let path = |path: &str| master.derive(path).is_ok();
    for good in ["", "0", "2147483647", "48'/0'/0'/2'", "48h/1"] {
        assert!(path(good), "{good}");
    }
    for bad in ["m", "/", "0/", "2147483648", "-1", "+1", "1''", "0x1", " 1"] {
        assert!(!path(bad), "{bad}");
    }
    assert!(master.child(Branch::Change, 0x7fff_ffff).is_ok());
    let beyond = master.child(Branch::Change, 0x8000_0000).unwrap_err();
    assert_eq!(beyond, XPrivError::Child { index: 0x8000_0000, depth: 0 });
    let deepest = (0..255).try_fold(master.duplicate(), |key, _| key.step(0)).unwrap();
    assert!(deepest.step(0).is_err());
}

#[test]
fn children_are_those_of_the_peer_crate() {
    use bitcoin::bip32::{DerivationPath, Xpriv};
    let ours = XPriv::from_seed(NETWORK, b"sixteen or more bytes").unwrap();
    let theirs: Xpriv = ours.to_text().parse().unwrap();
    for (branch, index) in [(Branch::Receive, 0), (Branch::Change, 7), (Branch::Receive, 0x7fff_ffff)] {
        let path: DerivationPath = format!("m/{}/{index}", branch.number()).parse().unwrap();
        let child = theirs.derive_priv(&CURVE, &path).unwrap().private_key;
        let want = secp256k1::PublicKey::from_secret_key(&CURVE, &child).to_string();
        assert_eq!(ours.child(branch, index).unwrap().public().to_string(), want);
    }
    assert_eq!(hex::encode(&ours.fingerprint()), theirs.fingerprint(&CURVE).to_string());
}

#[test]
fn nonces_are_those_of_rfc_6979() {
    // Widely published vectors for secp256k1 and SHA-256: private key, message, r and s.
    let check = |secret: &str, message: &str, r: &str, s: &str| {
        let key = ChildKey::from_bytes(Zeroizing::new(hex::decode_array(secret).unwrap())).unwrap();
        let digest = Sighash::from_bytes(*Digest::sha256(&[message.as_bytes()]).as_bytes());
        let signature = key.sign(&digest, EcdsaSighash::All).unwrap();
        assert_eq!(hex::encode(&signature.signature.serialize_compact()), [r, s].concat(), "{message}");
        assert!(signature.is_low_s());
        assert!(key.public().verifies(&digest, &signature));
    };
    let one = "0000000000000000000000000000000000000000000000000000000000000001";
    check(
        one,
        "Satoshi Nakamoto",
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8",
        "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
    );
    check(
        one,
        "All those moments will be lost in time, like tears in rain. Time to die...",
        "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b",
        "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
    );
    check(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
        "Satoshi Nakamoto",
        "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0",
        "6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5",
    );
    check(
        "f8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181",
        "Alan Turing",
        "7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c",
        "58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea",
    );
}

#[test]
fn secrets_do_not_print() {
    let master = XPriv::from_seed(NETWORK, &[1; 16]).unwrap();
    assert_eq!(format!("{master:?}"), "XPriv(<redacted>)");
    let child = master.child(Branch::Receive, 0).unwrap();
    assert_eq!(format!("{child:?}"), format!("ChildKey(<redacted>, {})", child.public()));
    let zero = ChildKey::from_bytes(Zeroizing::new([0; 32]));
    assert_eq!(zero.unwrap_err(), XPrivError::Key);
}
