//! Proofs of funds and of reserves: the published ones hold, ours are read by the `bitcoin` crate, signed with its digests,
//! and none holds with anything changed, cut off or slipped in.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bitcoin::{
    hashes::Hash as _,
    key::{Keypair, TapTweak as _},
    secp256k1::{Message, Secp256k1, SecretKey},
    sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType},
};
use kuraban_base::Txid;
use kuraban_chain::btc::{
    Address, Funds, FundsError, Mweb, Network, OutPoint, ProofForm, Script, Tx, TxIn, TxOut,
    funds::{commitment, first_spent, unsigned},
    hash::hash160,
    message::to_spend,
    psbt::{Psbt, PsbtError},
};

const TEXT: &[u8] = b"the reserves of today";

/// BIP 322, `generated-test-vectors.json`, variant `pof`.
const TAPROOT: (&str, &str, &str) = (
    "FUYMQWKYGS7HJEN7YFEZU5SNR5",
    "bc1pk3vq3wpn4txexwq4dj0k2dugzp6kfwllvs89w49cvtk3j2cndcds3l9kw9",
    "cHNidP8BALgCAAAABDzMFysa2DX0k4ZymoVfzNzTIL3gsWlu03HcfI+NxhOxAAAAAADIAQAAVd4moQMhq/rd+2ecRsJ0Xeg6/SdhA+owjzyzg/Fqd/oAAAAAAAAAAABuZFRaqjWRO6kKy5hrEHAg+T12/Iuz+FZBwwMt/FQvkgAAAAAAAAAAAG5kVFqqNZE7qQrLmGsQcCD5PXb8i7P4VkHDAy38VC+SAQAAAAAAAAAAAQAAAAAAAAAAAWp7AAAAAAEBKwAAAAAAAAAAIlEgtFgIuDOqzZM4FWyfZTeIEHVku/9kDldUuGLtGSsTbhsBCEIBQKoTEBqEPkib1fLnELbmsbDVlmWGzOdiiN/XJefU3tF9AEi7PszYEPguomxXp7X2rL0dP0xkV6LbBcVz7oAEeKkAAQErTkYFAAAAAAAiUSB4i5DCtSPHOkI30E30ayMoWL47vA5l2NBJp/pZ1XGduAEIQgFAic0muhAJNc4ZlRWeJGRgkN+oE/ptV4Znyli19VAnSsHM/Pb9Mp02dd3zk3RmuT6VgjBxdJn2yURGKOka3l9cugABAStORgUAAAAAACJRIMoNyg9Pai/pn4PHTOMEsDHkuUAHt5riqU81NVVj+fXKAQhCAUCL3W2Jh3ImNRSpbp0bLe+rBE4GJw5AjwJEhakHsm83YfuQKeY1syBFrmNV2ZvLv8R8uTLcmkJ1s/lWUxZ9o4qJAAEBK05GBQAAAAAAIlEgXCutuyDOvc4hiADdov7VmOUfq4ww6HES7JZ6NAucMJkBCEIBQDqu/4oik+J+eAbvUhzzuBkoVoOgD5RySjpvJQqTKNieBda8dMTkH2avx6ghs7zd6puujlBCQw3r/NiG4VX7wAEAAA==",
);
const KEY_HASH: (&str, &str, &str) = (
    "2JNEDD7IJDSYLREMJ6Q7PTCQJD",
    "1PgwDB9w9vKjqhXMaqDiZyktC4x2eC7Wkw",
    "cHNidP8BAI8CAAAAA3UzG05Nmq3GQGeM4RuOvKR3OzsxeY3Iv7WeRpsFNQM0AAAAAADIAQAADCbiUkASpwj6kUReXXcYBQYbAO9L5G7WGpFwwoySY+UAAAAAAAAAAAA3p26yqXE6EPnIIn3fG72TA/ogmgx628m04thl4j0g/gAAAAAAAAAAAAEAAAAAAAAAAAFqewAAAAABAHcAAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/////yIAIB2Ij79goPLYV23iushdHloX5BnvTP3sLOG1x4L5uCYKAAAAAAEAAAAAAAAAABl2qRT44D3t4ciLKM9Jqw/cQWbMKcrdMYisAAAAAAEHa0gwRQIhAMQa+hYcQZ+v/rcrR4/cn7MthXgjlI9vdOyWaff0ytI1AiBzwJB5Sa7Gg5o5l1YRo2kvPGVjPEXlcDSRXkY/m5pEGAEhAg/lEKOLDqGSy/dJvtUFqV+b0Ibfnat6xQVm3TFbRMUHAAEAVQAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABTkYFAAAAAAAZdqkUXAydgFhnOc1o76l++wzhjwbeADKIrAAAAAABB2pHMEQCIEN2q/Y9n1JliYceYA/Lcb+lab84iq5FRGEw0QDZvCthAiBbgsbUfkt5y4PN7iBLpuW8zBARbHVBfsX/vIRcAewd8wEhAl+mkzpSHsor/2HKnlhZQjD88o2fj45Xj+PLeO0vHShBAAEBIE5GBQAAAAAAF6kUmkCp3fSiSKNrfA9wZKySQBbrBJeHAQcXFgAUYWYrEU/y0qj1P/GYS2Yc7nhhe8MBCGsCRzBEAiACr5bTFlzWGiXis1Y01AMVGVlPBEgO8G/g+6c4cNbx5wIgYqXaNnAPVNWVjfaJ8DhIuOiAUiTHeNdjdYH9IpXjK1oBIQMs7LIzDohxaDGLK3Jxlyxu/lnEh3YdmVbtOwi/9/IvuQAA",
);

#[test]
fn published_proofs_of_funds_hold_for_their_text_and_address_alone() {
    let check = |(text, address, base64): (&str, &str, &str), want: &[u64]| {
        let bytes = STANDARD.decode(base64).unwrap();
        let funds = Funds::decode(Network::BtcMain, &bytes).unwrap();
        let holds = funds.verify(text.as_bytes()).unwrap();
        assert_eq!(holds.form, ProofForm::Bip322);
        assert_eq!(holds.owner, Address::parse(Network::BtcMain, address).unwrap().script());
        let values: Vec<u64> = holds.outputs.iter().map(|one| one.output.value_sat).collect();
        assert_eq!(values, want);
        assert_eq!((holds.sum_sat, holds.lock_time), (want.iter().sum(), 123));
        assert_eq!(funds.encode(), bytes, "{address}");
        assert_eq!(funds.verify(b"FUYMQWKYGS7HJEN7YFEZU5SNR4"), Err(FundsError::OtherText));
        for length in 0..bytes.len() {
            assert!(Funds::decode(Network::BtcMain, &bytes[..length]).is_err(), "{length}");
        }
    };
    check(TAPROOT, &[345_678; 3]);
    check(KEY_HASH, &[345_678; 2]);
}

#[test]
fn a_published_proof_does_not_hold_with_any_bit_of_a_byte_changed() {
    for (text, _, base64) in [TAPROOT, KEY_HASH] {
        let bytes = STANDARD.decode(base64).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            let holds =
                Funds::decode(Network::BtcMain, &changed).and_then(|funds| funds.verify(text.as_bytes()));
            assert!(holds.is_err(), "{text}: {place}");
        }
    }
}

/// An owner of one locking script, who signs with the `bitcoin` crate.
#[derive(Clone, Copy, Debug)]
enum Owner {
    P2wpkh,
    P2wshMultisig,
    P2shP2wshMultisig,
    P2tr,
    P2pkh,
}

const OWNERS: [Owner; 5] =
    [Owner::P2wpkh, Owner::P2wshMultisig, Owner::P2shP2wshMultisig, Owner::P2tr, Owner::P2pkh];

fn secret(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

fn key(byte: u8) -> Vec<u8> {
    bitcoin::secp256k1::PublicKey::from_secret_key(&Secp256k1::new(), &secret(byte)).serialize().to_vec()
}

fn tweaked() -> bitcoin::key::TweakedKeypair {
    let secp = Secp256k1::new();
    Keypair::from_secret_key(&secp, &secret(9)).tap_tweak(&secp, None)
}

impl Owner {
    fn inner(self) -> Script {
        match self {
            Self::P2wpkh | Self::P2pkh => Script::p2pkh(&hash160(&key(1))),
            Self::P2wshMultisig | Self::P2shP2wshMultisig => Script::multisig(2, &[key(1), key(2), key(3)]),
            Self::P2tr => Script::default(),
        }
    }

    fn script(self) -> Script {
        match self {
            Self::P2wpkh => Script::witness(0, &hash160(&key(1))).unwrap(),
            Self::P2wshMultisig => Script::p2wsh_of(&self.inner()),
            Self::P2shP2wshMultisig => Script::p2sh_of(&Script::p2wsh_of(&self.inner())),
            Self::P2tr => {
                Script::witness(1, &tweaked().to_keypair().x_only_public_key().0.serialize()).unwrap()
            }
            Self::P2pkh => self.inner(),
        }
    }

    fn sign(self, tx: &mut Tx, index: usize, spent: &[TxOut], kind: EcdsaSighashType) {
        let peer: bitcoin::Transaction =
            bitcoin::consensus::encode::deserialize(&tx.encode_stripped()).unwrap();
        let mut cache = SighashCache::new(&peer);
        let secp = Secp256k1::new();
        let inner = self.inner();
        let code = bitcoin::Script::from_bytes(inner.as_bytes());
        let value = bitcoin::Amount::from_sat(spent[index].value_sat);
        let kind_byte = u8::try_from(kind.to_u32()).unwrap();
        let ecdsa = |digest: [u8; 32], by: u8| {
            let der = secp.sign_ecdsa(&Message::from_digest(digest), &secret(by)).serialize_der().to_vec();
            [der, vec![kind_byte]].concat()
        };
        let input = &mut tx.inputs[index];
        match self {
            Self::P2wpkh => {
                let digest = cache.p2wsh_signature_hash(index, code, value, kind).unwrap();
                input.witness = vec![ecdsa(digest.to_byte_array(), 1), key(1)];
            }
            Self::P2wshMultisig | Self::P2shP2wshMultisig => {
                let digest = cache.p2wsh_signature_hash(index, code, value, kind).unwrap().to_byte_array();
                input.witness = vec![vec![], ecdsa(digest, 1), ecdsa(digest, 3), inner.as_bytes().to_vec()];
                if matches!(self, Self::P2shP2wshMultisig) {
                    let program = Script::p2wsh_of(&inner).into_bytes();
                    input.script_sig = Script::from([vec![34], program].concat());
                }
            }
            Self::P2tr => {
                let prevouts: Vec<bitcoin::TxOut> = spent
                    .iter()
                    .map(|one| bitcoin::TxOut {
                        value: bitcoin::Amount::from_sat(one.value_sat),
                        script_pubkey: one.script.as_bytes().to_vec().into(),
                    })
                    .collect();
                let kind = TapSighashType::Default;
                let digest =
                    cache.taproot_key_spend_signature_hash(index, &Prevouts::All(&prevouts), kind).unwrap();
                let message = Message::from_digest(digest.to_byte_array());
                let signature = secp.sign_schnorr_no_aux_rand(&message, &tweaked().to_keypair());
                input.witness = vec![signature.serialize().to_vec()];
            }
            Self::P2pkh => {
                let digest = cache.legacy_signature_hash(index, code, kind.to_u32()).unwrap();
                let parts = [ecdsa(digest.to_byte_array(), 1), key(1)];
                let length = |part: &Vec<u8>| u8::try_from(part.len()).unwrap();
                let pushes = parts.iter().flat_map(|part| [vec![length(part)], part.clone()].concat());
                input.script_sig = Script::from(pushes.collect::<Vec<u8>>());
            }
        }
    }
}

/// A transaction with one output for each owner.
fn deposit() -> Tx {
    let input = TxIn {
        prev: OutPoint { txid: Txid::from_bytes([5; 32]), vout: 0 },
        script_sig: Script::default(),
        sequence: 0,
        witness: vec![],
    };
    let output = |(at, owner): (u64, Owner)| TxOut { value_sat: 1000 * (at + 1), script: owner.script() };
    Tx {
        version: 2,
        inputs: vec![input],
        outputs: (0..).zip(OWNERS).map(output).collect(),
        lock_time: 0,
        mweb: Mweb::None,
    }
}

struct Case {
    form: ProofForm,
    owner: Owner,
    kind: EcdsaSighashType,
    text: Vec<u8>,
    prevs: BTreeMap<Txid, Tx>,
    change: fn(&mut Tx),
}

fn case(form: ProofForm, owner: Owner) -> Case {
    let prev = deposit();
    let prevs = BTreeMap::from([(prev.txid(), prev)]);
    Case { form, owner, kind: EcdsaSighashType::All, text: TEXT.to_vec(), prevs, change: |_| {} }
}

impl Case {
    /// Every owner's output, proven by `owner`, signed last.
    fn funds(&self) -> Funds {
        let deposit = deposit();
        let outputs: Vec<(OutPoint, u64)> =
            deposit.outpoints().map(|(outpoint, output)| (outpoint, output.value_sat)).collect();
        let owner = self.owner.script();
        let mut tx = unsigned(self.form, &owner, &self.text, &outputs).unwrap();
        (self.change)(&mut tx);
        let spent: Vec<TxOut> =
            core::iter::once(first_spent(self.form, &owner)).chain(deposit.outputs).collect();
        if self.form == ProofForm::Bip322 {
            self.owner.sign(&mut tx, 0, &spent, EcdsaSighashType::All);
        }
        for (at, owner) in (1..).zip(OWNERS) {
            owner.sign(&mut tx, at, &spent, self.kind);
        }
        Funds::assemble(self.form, TEXT, &tx, &spent, &self.prevs).unwrap()
    }
}

#[test]
fn proofs_of_every_kind_of_output_hold_in_both_forms() {
    for form in ProofForm::ALL {
        for owner in OWNERS {
            let funds = case(form, owner).funds();
            let again = Funds::decode(Network::BtcMain, &funds.encode()).unwrap();
            assert_eq!(again, funds);
            let holds = again.verify(TEXT).unwrap();
            assert_eq!((holds.form, &holds.owner, holds.lock_time), (form, &owner.script(), 0));
            let got: Vec<_> = holds.outputs.iter().map(|one| (one.outpoint, one.output.clone())).collect();
            let deposit = deposit();
            let want: Vec<_> = deposit.outpoints().map(|(at, output)| (at, output.clone())).collect();
            assert_eq!((got, holds.sum_sat), (want, 15_000));
            assert!(holds.outputs.iter().all(|one| one.shown));
        }
    }
}

#[test]
fn the_bitcoin_crate_reads_our_proofs_as_we_do() {
    for form in ProofForm::ALL {
        let funds = case(form, Owner::P2wshMultisig).funds();
        let peer = bitcoin::Psbt::deserialize(&funds.encode()).unwrap();
        assert_eq!(
            bitcoin::consensus::serialize(&peer.clone().extract_tx_unchecked_fee_rate()),
            funds.tx().encode()
        );
        assert_eq!(Psbt::decode(Network::BtcMain, &peer.serialize()).unwrap().signed(), funds.tx());
    }
}

#[test]
fn the_first_input_commits_to_the_text_as_the_specifications_say() {
    // BIP 127: SHA-256 of `Proof-of-Reserves: Some Message`, by Python's hashlib.
    let want = "30896246cd560f641d84e2ddcd9ee0f8fd74e4547be75aa7d6464f75dd372dff";
    let found = kuraban_base::hex::encode(commitment(b"Some Message").txid.as_bytes());
    assert_eq!(found, want);
    let owner = Owner::P2wpkh.script();
    let tx = unsigned(ProofForm::Bip322, &owner, TEXT, &[]).unwrap();
    assert_eq!(tx.inputs[0].prev, OutPoint { txid: to_spend(&owner, TEXT).txid(), vout: 0 });
}

#[test]
fn a_proof_with_anything_changed_does_not_hold() {
    let check = |form, change: fn(&mut Case), want: &str| {
        let mut case = case(form, Owner::P2wshMultisig);
        change(&mut case);
        let error = case.funds().verify(TEXT).unwrap_err().to_string();
        assert!(error.contains(want), "{form}: {error}, want {want}");
    };
    for form in ProofForm::ALL {
        check(form, |case| case.text = b"the reserves of yesterday".to_vec(), "commits to another text");
        check(form, |case| case.change = |tx| tx.inputs[0].prev.vout = 1, "commits to another text");
        check(
            form,
            |case| case.change = |tx| tx.inputs[0].prev.txid = Txid::from_bytes([8; 32]),
            "commits to another text",
        );
        check(form, |case| case.change = |tx| tx.version = 3, "version is 3");
        check(form, |case| case.change = |tx| tx.outputs[0].value_sat += 1, "its output is not");
        check(form, |case| case.change = |tx| tx.outputs.push(tx.outputs[0].clone()), "its output is not");
        check(form, |case| case.kind = EcdsaSighashType::AllPlusAnyoneCanPay, "does not cover everything");
        check(form, |case| case.kind = EcdsaSighashType::None, "does not cover everything");
        check(form, |case| case.kind = EcdsaSighashType::Single, "does not cover everything");
        // Without the transaction that made it, an output of an old form has no proven amount.
        check(form, |case| case.prevs.clear(), "want the whole transaction");
    }
    let burns: fn(&mut Case) =
        |case| case.change = |tx| tx.outputs[0].script = Script::from(vec![0x6a, 0x00]);
    check(ProofForm::Bip322, burns, "locked by OP_RETURN");
}

#[test]
fn a_signed_commitment_and_a_changed_signature_do_not_hold() {
    let bytes = case(ProofForm::Bip127, Owner::P2wpkh).funds().encode();
    let mut psbt = Psbt::decode(Network::BtcMain, &bytes).unwrap();
    psbt.inputs[0].witness = Some(vec![vec![1]]);
    let check = |psbt: &Psbt, want: &str| {
        let funds = Funds::decode(Network::BtcMain, &psbt.encode());
        let error = funds.and_then(|funds| funds.verify(TEXT)).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    check(&psbt, "first input has a signature");
    psbt.inputs[0].witness = None;
    for at in 1..psbt.inputs.len() {
        let mut changed = psbt.clone();
        changed.inputs[at].witness = None;
        changed.inputs[at].script_sig = None;
        check(&changed, &format!("input {at} is not signed for"));
    }
    psbt.inputs[0].commitment = Some(b"another".to_vec());
    check(&psbt, "the text shown beside it");
    psbt.inputs[0].commitment = None;
    psbt.inputs[1].utxo = Some(TxOut { value_sat: 999, script: Owner::P2wpkh.script() });
    check(&psbt, "input 1 shows an output and a transaction that differ");
    psbt.inputs[1].prev = Some(Tx { version: 7, ..deposit() });
    check(&psbt, "another id");
    // A made-up amount is covered by the signature, where nothing else proves it.
    for input in &mut psbt.inputs {
        input.prev = None;
    }
    check(&psbt, "input 1 is not signed for");
    psbt.inputs[1].utxo = None;
    check(&psbt, "input 1 does not show the output");
}

#[test]
fn cut_and_bent_bytes_are_refused_with_their_place() {
    let bytes = case(ProofForm::Bip127, Owner::P2tr).funds().encode();
    for length in 0..bytes.len() {
        assert!(Psbt::decode(Network::BtcMain, &bytes[..length]).is_err(), "{length}");
    }
    let check = |bytes: &[u8], want: &str| {
        let error = Psbt::decode(Network::BtcMain, bytes).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    check(&[bytes.clone(), vec![0]].concat(), "1 bytes follow the end");
    check(b"psbu\xff", "it starts with");
    check(b"psbt\xff\x00", "no unsigned transaction");
    check(b"psbt\xff\x02\x00\x01\x00", "at offset 5 has 2 bytes, want 1");
    check(b"psbt\xff\x01\x09\x00\x01\x09\x00", "the key at offset 8 stands twice");
    check(b"psbt\xff\x01\xfb\x04\x02\x00\x00\x00", "version 2, want 0");
    check(b"psbt\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "key at offset");
    check(b"psbt\xff\x01\x00\x04\x02\x00\x00\x00", "unsigned transaction at offset 8 is malformed");
    let many: Vec<u8> =
        (0..=1000_u32).flat_map(|at| [&[5, 0xfc][..], &at.to_le_bytes(), &[0]].concat()).collect();
    check(&[&b"psbt\xff"[..], &many].concat(), "the map at offset 5 has more than 1000 keys");
    let huge = vec![0; kuraban_chain::btc::psbt::PSBT_BYTES_MAX + 1];
    assert!(matches!(Psbt::decode(Network::BtcMain, &huge), Err(PsbtError::Length { .. })));
}
