//! Rows for [`descriptor`](super).

use std::collections::BTreeMap;

use bitcoin::{hashes::Hash as _, secp256k1};
use kuraban_base::hex;
use miniscript::Satisfier;

use super::super::{
    sighash::{EcdsaSighash, Sighash},
    sign::{ChildKey, XPriv},
};
use super::*;

const NETWORK: Network = Network::LtcRegtest;

fn signers() -> Vec<XPriv> {
    (1..=3).map(|seed| XPriv::from_seed(NETWORK, &[seed; 32]).unwrap()).collect()
}

fn keys(suffix: &str) -> Vec<String> {
    signers()
        .iter()
        .map(|key| format!("[{}]{}{suffix}", hex::encode(&key.fingerprint()), key.xpub()))
        .collect()
}

/// Every form, over as many keys as it takes.
fn forms(keys: &[String]) -> Vec<String> {
    let (first, all) = (&keys[0], keys.join(","));
    vec![
        format!("pkh({first})"),
        format!("wpkh({first})"),
        format!("sh(wpkh({first}))"),
        format!("sh(multi(2,{all}))"),
        format!("sh(sortedmulti(2,{all}))"),
        format!("wsh(multi(2,{all}))"),
        format!("wsh(sortedmulti(2,{all}))"),
        format!("sh(wsh(multi(3,{all})))"),
        format!("sh(wsh(sortedmulti(1,{all})))"),
    ]
}

fn peer(text: &str, branch: Branch, index: u32) -> Parsed<bitcoin::PublicKey> {
    let parsed: Parsed<DescriptorPublicKey> = text.parse().unwrap();
    let branches = parsed.into_single_descriptors().unwrap();
    let number = usize::try_from(branch.number()).unwrap().min(branches.len() - 1);
    branches[number].derived_descriptor(&CURVE, index).unwrap()
}

#[test]
fn scripts_are_those_of_the_peer_crate() {
    for text in forms(&keys("/<0;1>/*")) {
        let descriptor = Descriptor::parse(NETWORK, &text).unwrap();
        assert!(descriptor.is_ranged());
        for branch in Branch::BOTH {
            for index in [0, 1, 7, 0x7fff_ffff] {
                let theirs = peer(&text, branch, index);
                let ours = descriptor.script_at(branch, index).unwrap();
                assert_eq!(ours.as_bytes(), theirs.script_pubkey().as_bytes(), "{text} {branch:?} {index}");
                let code = descriptor.script_code_at(branch, index).unwrap();
                assert_eq!(code.as_bytes(), theirs.script_code().unwrap().as_bytes(), "{text}");
            }
        }
        assert_eq!(
            descriptor.script_at(Branch::Receive, 1 << 31),
            Err(DescriptorError::Index { index: 1 << 31 })
        );
    }
}

struct Signatures(BTreeMap<bitcoin::PublicKey, bitcoin::ecdsa::Signature>);

impl Satisfier<bitcoin::PublicKey> for Signatures {
    fn lookup_ecdsa_sig(&self, key: &bitcoin::PublicKey) -> Option<bitcoin::ecdsa::Signature> {
        self.0.get(key).copied()
    }

    fn lookup_raw_pkh_pk(&self, hash: &bitcoin::hashes::hash160::Hash) -> Option<bitcoin::PublicKey> {
        self.0.keys().copied().find(|key| bitcoin::hashes::hash160::Hash::hash(&key.to_bytes()) == *hash)
    }
}

#[test]
fn unlocking_data_is_that_of_the_peer_crate_and_no_heavier_than_said() {
    let digest = Sighash::from_bytes([9; 32]);
    for text in forms(&keys("/<0;1>/*")) {
        let descriptor = Descriptor::parse(NETWORK, &text).unwrap();
        let (branch, index) = (Branch::Change, 5);
        // Exactly as many as are needed, by the last keys, so that both sides choose the same.
        let (count, need) = (descriptor.key_count(), descriptor.threshold());
        let children: Vec<ChildKey> = signers()
            .iter()
            .take(count)
            .rev()
            .take(need)
            .map(|key| key.child(branch, index).unwrap())
            .collect();
        let sign = |key: &ChildKey| (key.public(), key.sign(&digest, EcdsaSighash::All).unwrap());
        let signatures: Vec<_> = children.iter().map(sign).collect();
        let ours = descriptor.satisfy(branch, index, &signatures).unwrap();
        let theirs = signatures.iter().map(|(key, signature)| {
            let key = bitcoin::PublicKey::from_slice(&key.to_bytes()).unwrap();
            (key, bitcoin::ecdsa::Signature::from_slice(&signature.to_bytes()).unwrap())
        });
        let derived = peer(&text, branch, index);
        let (witness, script_sig) = derived.get_satisfaction(Signatures(theirs.collect())).unwrap();
        assert_eq!(ours.witness, witness, "{text}");
        assert_eq!(ours.script_sig.as_bytes(), script_sig.as_bytes(), "{text}");

        let witness = write::compact_size_len(witness.len())
            + witness.iter().map(|item| write::bytes_len(item.len())).sum::<usize>();
        let weight = 4 * (40 + write::bytes_len(script_sig.len())) + witness;
        let bound = descriptor.input_weight_max();
        let slack = if descriptor.is_witness() { need * 2 } else { need * 8 };
        assert!((weight..=weight + slack).contains(&bound), "{text}: {weight} of at most {bound}");

        let stranger = ChildKey::from_bytes(zeroize::Zeroizing::new([3; 32])).unwrap();
        let fewer: Vec<_> = signatures.iter().skip(1).copied().chain([sign(&stranger)]).collect();
        assert_eq!(
            descriptor.satisfy(branch, index, &fewer),
            Err(SatisfyError::Missing { have: need - 1, need })
        );
    }
}

#[test]
fn scripts_are_found_up_to_the_index_asked_for() {
    let text = &forms(&keys("/<0;1>/*"))[6];
    let descriptor = Descriptor::parse(NETWORK, text).unwrap();
    let script = descriptor.script_at(Branch::Change, 3).unwrap();
    assert_eq!(descriptor.find(&script, 3), Some((Branch::Change, 3)));
    assert_eq!(descriptor.find(&script, 2), None);
}

#[test]
fn fixed_keys_have_one_script_for_all() {
    let secret =
        |byte| ChildKey::from_bytes(zeroize::Zeroizing::new([byte; 32])).unwrap().public().to_string();
    let keys: Vec<String> = (1..=3).map(secret).collect();
    for text in forms(&keys) {
        let descriptor = Descriptor::parse(NETWORK, &text).unwrap();
        assert!(!descriptor.is_ranged());
        let script = descriptor.script_at(Branch::Receive, 0).unwrap();
        assert_eq!(script.as_bytes(), peer(&text, Branch::Receive, 0).script_pubkey().as_bytes());
        assert_eq!(descriptor.script_at(Branch::Change, 9), Ok(script.clone()));
        assert_eq!(descriptor.find(&script, u32::MAX), Some((Branch::Receive, 0)));
        assert_eq!(Descriptor::parse(NETWORK, &descriptor.to_string()), Ok(descriptor));
    }
}

#[test]
fn what_cannot_be_a_vault_is_refused() {
    let (ranged, fixed) = (keys("/<0;1>/*"), keys("/7"));
    let (a, b) = (&ranged[0], &ranged[1]);
    let check = |text: &str, want: &str| {
        let error = Descriptor::parse(NETWORK, text).unwrap_err().to_string();
        assert!(error.starts_with(want), "{text}: {error}");
    };
    check("", "descriptor is malformed: ");
    check(&"(".repeat(TEXT_BYTES_MAX + 1), "descriptor has 4097 bytes, want at most 4096");
    check(&format!("wsh(sortedmulti(2,{a},{b}))#qqqqqqqq"), "descriptor is malformed: ");
    check(&format!("wsh(sortedmulti(3,{a},{b}))"), "descriptor is malformed: ");
    check(&format!("wsh(sortedmulti(0,{a},{b}))"), "descriptor is malformed: ");
    check(&format!("tr({a})"), "descriptor is tr, want pkh, wpkh or multi");
    check(&format!("pk({a})"), "descriptor is bare, want ");
    check(&format!("wsh(and_v(v:pk({a}),pk({b})))"), "descriptor is wsh of another script");
    check(&format!("sh(pk({a}))"), "descriptor is sh of another script");
    check(&format!("wpkh({})", keys("/0/*")[0]), "descriptor has 1 paths and its keys are ranged");
    check(&format!("wpkh({})", keys("/<0;1>")[0]), "descriptor has 2 paths and its keys are fixed");
    check(&format!("wpkh({})", keys("/<0;1;2>/*")[0]), "descriptor has 3 paths and its keys are ranged");
    check(&format!("wpkh({})", keys("/<0;1>/*'")[0]), "key 0 derives by a hardened step");
    check(&format!("wsh(sortedmulti(2,{a},{a}))"), "descriptor is malformed: ");
    // The same key behind two origins is not one to the parser.
    let bare = a.split(']').next_back().unwrap();
    check(&format!("wsh(sortedmulti(2,{a},{bare}))"), "key 0");
    check(&format!("wsh(multi(1,{},{}))", fixed[0], fixed[0]), "descriptor is malformed: ");
    let main = XPriv::from_seed(Network::LtcMain, &[9; 32]).unwrap().xpub();
    check(
        &format!("wpkh({main}/<0;1>/*)"),
        "extended keys are not all of the kind that litecoin-regtest uses",
    );
    check(&format!("wsh(sortedmulti(1,{main}/<0;1>/*,{a}))"), "extended keys are not all of the kind");
    let secret = signers()[0].to_text().to_string();
    check(&format!("wpkh({secret}/<0;1>/*)"), "descriptor is malformed: ");
    let error = Descriptor::parse(NETWORK, &format!("wpkh({secret}/<0;1>/*)")).unwrap_err();
    assert!(!error.to_string().contains(&secret), "a secret key must not be shown");
}

#[test]
fn the_largest_redeem_script_fits_and_the_next_does_not() {
    let key = |byte: u8| {
        let secret = secp256k1::SecretKey::from_slice(&[byte; 32]).unwrap();
        secp256k1::PublicKey::from_secret_key(&CURVE, &secret).to_string()
    };
    let text = |count: u8| format!("sh(multi(1,{}))", (1..=count).map(key).collect::<Vec<_>>().join(","));
    assert!(Descriptor::parse(NETWORK, &text(15)).is_ok());
    assert!(Descriptor::parse(NETWORK, &text(16)).is_err());
}
