//! Signatures made with the `bitcoin` crate's digests: each template's hold, and none does with anything
//! changed that it covers.

use bitcoin::{
    hashes::Hash as _,
    key::{Keypair, TapTweak as _, UntweakedPublicKey},
    secp256k1::{Message, Secp256k1, SecretKey},
    sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType},
};
use kuraban_base::Txid;
use kuraban_chain::btc::{
    EcdsaSighash, Mweb, OutPoint, PublicKey, Script, Tx, TxIn, TxOut, VerifyError,
    hash::hash160,
    verify::{Form, Lock, Signer, Spend},
    verify_input,
};

const VALUE_SAT: u64 = 5_000_000;

fn secret(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

fn key(byte: u8) -> Vec<u8> {
    bitcoin::secp256k1::PublicKey::from_secret_key(&Secp256k1::new(), &secret(byte)).serialize().to_vec()
}

fn keys(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.iter().map(|byte| key(*byte)).collect()
}

/// Two inputs, of which the second is signed; two outputs.
fn unsigned() -> Tx {
    let input = |byte| TxIn {
        prev: OutPoint { txid: Txid::from_bytes([byte; 32]), vout: 1 },
        script_sig: Script::default(),
        sequence: 0xffff_fffd,
        witness: vec![],
    };
    let output = |value_sat| TxOut { value_sat, script: Script::p2pkh(&[7; 20]) };
    Tx {
        version: 2,
        inputs: vec![input(1), input(2)],
        outputs: vec![output(1000), output(2000)],
        lock_time: 3,
        mweb: Mweb::None,
    }
}

fn prevouts(script: &Script) -> Vec<TxOut> {
    vec![
        TxOut { value_sat: 1, script: Script::p2pkh(&[8; 20]) },
        TxOut { value_sat: VALUE_SAT, script: script.clone() },
    ]
}

fn peer(tx: &Tx) -> bitcoin::Transaction {
    bitcoin::consensus::encode::deserialize(&tx.encode()).unwrap()
}

fn ecdsa(digest: [u8; 32], kind: EcdsaSighash, signer: u8) -> Vec<u8> {
    let signature = Secp256k1::new().sign_ecdsa(&Message::from_digest(digest), &secret(signer));
    [signature.serialize_der().to_vec(), vec![kind.to_byte()]].concat()
}

fn sign_legacy(code: &Script, kind: EcdsaSighash, signer: u8) -> Vec<u8> {
    let tx = peer(&unsigned());
    let code = bitcoin::Script::from_bytes(code.as_bytes());
    let digest = SighashCache::new(&tx).legacy_signature_hash(1, code, kind.to_byte().into()).unwrap();
    ecdsa(digest.to_byte_array(), kind, signer)
}

fn sign_v0(code: &Script, kind: EcdsaSighash, signer: u8) -> Vec<u8> {
    let tx = peer(&unsigned());
    let code = bitcoin::Script::from_bytes(code.as_bytes());
    let their_kind = EcdsaSighashType::from_standard(kind.to_byte().into()).unwrap();
    let value = bitcoin::Amount::from_sat(VALUE_SAT);
    let digest = SighashCache::new(&tx).p2wsh_signature_hash(1, code, value, their_kind).unwrap();
    ecdsa(digest.to_byte_array(), kind, signer)
}

fn push(items: &[Vec<u8>]) -> Script {
    let mut out = Vec::new();
    for item in items {
        match item.len() {
            length @ 0..=75 => out.push(u8::try_from(length).unwrap()),
            length => out.extend([0x4c, u8::try_from(length).unwrap()]),
        }
        out.extend(item);
    }
    Script::new(out)
}

/// A spend of one template: locking script, unlocking script, witness.
struct Case {
    name: &'static str,
    script: Script,
    script_sig: Script,
    witness: Vec<Vec<u8>>,
    form: Form,
    signers: Vec<u8>,
}

impl Case {
    fn verify(&self) -> Result<Spend, VerifyError> {
        let mut tx = unsigned();
        tx.inputs[1].script_sig = self.script_sig.clone();
        tx.inputs[1].witness = self.witness.clone();
        verify_input(&tx, 1, &prevouts(&self.script))
    }
}

#[expect(clippy::too_many_lines, reason = "one case per template")]
fn cases(kind: EcdsaSighash) -> Vec<Case> {
    let hash = hash160(&key(1));
    let code = Script::p2pkh(&hash);
    let program = Script::witness(0, &hash).unwrap();
    let multisig = Script::multisig(2, &keys(&[1, 2, 3]));
    let multi_bytes = multisig.as_bytes().to_vec();
    let p2wsh = Script::p2wsh_of(&multisig);
    let p2pk = Script::new([vec![33], key(1), vec![0xac]].concat());
    let none = || (Script::default(), vec![]);
    let legacy =
        |code: &Script, by: &[u8]| by.iter().map(|by| sign_legacy(code, kind, *by)).collect::<Vec<_>>();
    let v0 = |code: &Script, by: &[u8]| by.iter().map(|by| sign_v0(code, kind, *by)).collect::<Vec<_>>();
    let with = |first: Vec<Vec<u8>>, middle: Vec<Vec<u8>>, last: Vec<Vec<u8>>| [first, middle, last].concat();
    let case = |name, script: &Script, script_sig, witness, form, signers: &[u8]| Case {
        name,
        script: script.clone(),
        script_sig,
        witness,
        form,
        signers: signers.to_vec(),
    };
    let (empty, no_witness) = none();
    vec![
        case(
            "p2pkh",
            &code,
            push(&with(legacy(&code, &[1]), vec![key(1)], vec![])),
            no_witness.clone(),
            Form::Bare,
            &[1],
        ),
        case("p2pk", &p2pk, push(&legacy(&p2pk, &[1])), no_witness.clone(), Form::Bare, &[1]),
        case(
            "bare multisig",
            &multisig,
            push(&with(vec![vec![]], legacy(&multisig, &[1, 2]), vec![])),
            no_witness.clone(),
            Form::Bare,
            &[1, 2],
        ),
        case(
            "p2sh multisig",
            &Script::p2sh_of(&multisig),
            push(&with(vec![vec![]], legacy(&multisig, &[1, 3]), vec![multi_bytes.clone()])),
            no_witness.clone(),
            Form::P2sh,
            &[1, 3],
        ),
        case(
            "p2wpkh",
            &program,
            empty.clone(),
            with(v0(&code, &[1]), vec![key(1)], vec![]),
            Form::Witness,
            &[1],
        ),
        case(
            "p2sh-p2wpkh",
            &Script::p2sh_of(&program),
            push(&[program.as_bytes().to_vec()]),
            with(v0(&code, &[1]), vec![key(1)], vec![]),
            Form::P2shWitness,
            &[1],
        ),
        case(
            "p2wsh multisig",
            &p2wsh,
            empty.clone(),
            with(vec![vec![]], v0(&multisig, &[2, 3]), vec![multi_bytes.clone()]),
            Form::Witness,
            &[2, 3],
        ),
        case(
            "p2sh-p2wsh multisig",
            &Script::p2sh_of(&p2wsh),
            push(&[p2wsh.as_bytes().to_vec()]),
            with(vec![vec![]], v0(&multisig, &[1, 2]), vec![multi_bytes]),
            Form::P2shWitness,
            &[1, 2],
        ),
        case(
            "p2wsh p2pk",
            &Script::p2wsh_of(&p2pk),
            empty,
            with(v0(&p2pk, &[1]), vec![p2pk.as_bytes().to_vec()], vec![]),
            Form::Witness,
            &[1],
        ),
    ]
}

#[test]
fn every_template_holds_in_every_type_and_names_its_signers() {
    for kind in EcdsaSighash::ALL {
        for case in cases(kind) {
            let spend = case.verify().unwrap_or_else(|error| panic!("{} {kind:?}: {error}", case.name));
            let want: Vec<Signer> = case
                .signers
                .iter()
                .map(|signer| Signer::Ecdsa { key: PublicKey::parse(&key(*signer)).unwrap(), kind })
                .collect();
            assert_eq!(spend.signers(), want, "{}", case.name);
            assert_eq!(spend.form(), case.form, "{}", case.name);
            assert!(spend.signers().iter().all(|signer| signer.covers_all() == (kind == EcdsaSighash::All)));
            if case.signers.len() == 2 {
                assert!(
                    matches!(spend.lock(), Lock::Multisig { need: 2, keys } if keys.len() == 3),
                    "{}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn nothing_that_is_covered_can_be_changed() {
    type Change = fn(&mut Tx, &mut Vec<TxOut>);
    let changes: [(&str, Change); 7] = [
        ("version", |tx, _| tx.version = 1),
        ("lock time", |tx, _| tx.lock_time += 1),
        ("own sequence", |tx, _| tx.inputs[1].sequence += 1),
        ("other outpoint", |tx, _| tx.inputs[0].prev.vout += 1),
        ("own outpoint", |tx, _| tx.inputs[1].prev.vout += 1),
        ("output value", |tx, _| tx.outputs[0].value_sat += 1),
        ("output script", |tx, _| tx.outputs[1].script = Script::p2pkh(&[9; 20])),
    ];
    for case in cases(EcdsaSighash::All) {
        for (name, change) in &changes {
            let (mut tx, mut spent) = (unsigned(), prevouts(&case.script));
            tx.inputs[1].script_sig = case.script_sig.clone();
            tx.inputs[1].witness = case.witness.clone();
            change(&mut tx, &mut spent);
            let error = verify_input(&tx, 1, &spent).unwrap_err();
            assert_eq!(error, VerifyError::Forged { position: 0 }, "{} {name}", case.name);
        }
    }
}

#[test]
fn every_byte_of_the_unlocking_data_matters() {
    for case in cases(EcdsaSighash::All) {
        for at in 0..case.script_sig.len() {
            let mut bytes = case.script_sig.as_bytes().to_vec();
            bytes[at] ^= 1;
            let changed = Case {
                script_sig: Script::new(bytes),
                witness: case.witness.clone(),
                script: case.script.clone(),
                signers: vec![],
                ..case
            };
            assert!(changed.verify().is_err(), "{} unlocking script at {at}", case.name);
        }
        for (item, bytes) in case.witness.iter().enumerate() {
            for at in 0..bytes.len() {
                let mut witness = case.witness.clone();
                witness[item][at] ^= 1;
                let changed = Case {
                    witness,
                    script_sig: case.script_sig.clone(),
                    script: case.script.clone(),
                    signers: vec![],
                    ..case
                };
                assert!(changed.verify().is_err(), "{} witness {item} at {at}", case.name);
            }
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one row per line")]
fn wrong_shapes_are_refused_for_their_reason() {
    let all = cases(EcdsaSighash::All);
    let find = |name: &str| all.iter().find(|case| case.name == name).unwrap();
    let check = |name: &'static str, change: &dyn Fn(&mut Case), want: &str| {
        let from = find(name);
        let mut case = Case {
            script: from.script.clone(),
            script_sig: from.script_sig.clone(),
            witness: from.witness.clone(),
            signers: vec![],
            ..*from
        };
        change(&mut case);
        let got = case.verify().map_or_else(|error| error.to_string(), |_| "ok".into());
        assert_eq!(got, want, "{name}");
    };
    check(
        "p2wsh multisig",
        &|case| case.witness.swap(1, 2),
        "signature 1 is no remaining key's over this transaction",
    );
    check(
        "p2wsh multisig",
        &|case| case.witness[2] = case.witness[1].clone(),
        "signature 1 is no remaining key's over this transaction",
    );
    check("p2wsh multisig", &|case| case.witness[0] = vec![0], "item below the signatures is not empty");
    check("p2wsh multisig", &|case| drop(case.witness.remove(1)), "2 items were shown, want 3");
    check("p2wsh multisig", &|case| case.witness.insert(0, vec![]), "4 items were shown, want 3");
    check("p2wsh multisig", &|case| case.witness.clear(), "0 items were shown, want 1");
    check(
        "p2wsh multisig",
        &|case| drop(case.witness.pop()),
        "witness script does not have the hash that the output names",
    );
    check(
        "p2wsh multisig",
        &|case| case.script_sig = push(&[vec![1]]),
        "unlocking script of a witness program is not empty",
    );
    check("p2wsh multisig", &|case| case.witness[1] = vec![], "signature 0 is malformed");
    check(
        "p2wpkh",
        &|case| case.witness[1] = key(2),
        "public key does not have the hash that the output names",
    );
    check("p2wpkh", &|case| *case.witness[0].last_mut().unwrap() = 4, "signature 0 is malformed");
    check("p2wpkh", &|case| drop(case.witness.pop()), "1 items were shown, want 2");
    check("p2pkh", &|case| case.witness = vec![vec![]], "witness on an output that is no witness program");
    check(
        "p2sh multisig",
        &|case| case.witness = vec![vec![]],
        "witness on an output that is no witness program",
    );
    check(
        "p2pkh",
        &|case| case.script_sig = Script::new(vec![0x76]),
        "unlocking script with operations is not supported",
    );
    check("p2sh multisig", &|case| case.script_sig = Script::default(), "0 items were shown, want 1");
    check(
        "p2sh multisig",
        &|case| case.script_sig = push(&[vec![1]]),
        "redeem script does not have the hash that the output names",
    );
    check(
        "p2sh-p2wpkh",
        &|case| {
            case.script_sig = Script::new([vec![0x4c], case.script_sig.as_bytes().to_vec()].concat());
        },
        "unlocking script of a witness program is not one push of the program",
    );
    check("p2pkh", &|case| case.script = Script::new(vec![0x6a]), "spend of a data output is not supported");
    check(
        "p2pkh",
        &|case| case.script = Script::new(vec![0x51]),
        "locking script of no known template is not supported",
    );
    check(
        "p2pkh",
        &|case| case.script = Script::witness(2, &[1; 32]).unwrap(),
        "witness program of this version or length is not supported",
    );
    let odd = Script::new(vec![0x51]);
    check(
        "p2sh multisig",
        &|case| {
            case.script = Script::p2sh_of(&odd);
            case.script_sig = push(&[odd.as_bytes().to_vec()]);
        },
        "redeem script of no known template is not supported",
    );
    check(
        "p2wsh multisig",
        &|case| {
            case.script = Script::p2wsh_of(&odd);
            case.witness = vec![odd.as_bytes().to_vec()];
        },
        "script of no known template is not supported",
    );
    let tx = unsigned();
    let error = verify_input(&tx, 2, &prevouts(&odd)).unwrap_err();
    assert!(matches!(error, VerifyError::Digest(_)), "{error}");
    assert!(verify_input(&tx, 1, &prevouts(&odd)[..1]).is_err());
}

#[test]
fn a_high_s_counts_as_in_consensus_and_is_told() {
    use kuraban_chain::btc::EcdsaSignature;
    let mut all = cases(EcdsaSighash::All);
    let case = all.iter_mut().find(|case| case.name == "p2wpkh").unwrap();
    let low = EcdsaSignature::parse(&case.witness[0]).unwrap();
    assert!(low.is_low_s());
    let (der, kind) = case.witness[0].split_at(case.witness[0].len() - 1);
    let compact = bitcoin::secp256k1::ecdsa::Signature::from_der(der).unwrap().serialize_compact();
    let s = SecretKey::from_slice(&compact[32..]).unwrap().negate().secret_bytes();
    let high = bitcoin::secp256k1::ecdsa::Signature::from_compact(&[&compact[..32], &s].concat()).unwrap();
    case.witness[0] = [high.serialize_der().to_vec(), kind.to_vec()].concat();
    assert!(!EcdsaSignature::parse(&case.witness[0]).unwrap().is_low_s());
    assert!(case.verify().is_ok());
}

/// The output key's signature over what the peer crate says is to be signed.
fn taproot(kind: TapSighashType, annex: Option<&[u8]>) -> (Script, Vec<u8>) {
    let curve = Secp256k1::new();
    let pair = Keypair::from_secret_key(&curve, &secret(5));
    let tweaked = pair.tap_tweak(&curve, None).to_keypair();
    let internal = UntweakedPublicKey::from_keypair(&pair).0;
    let script = bitcoin::ScriptBuf::new_p2tr(&curve, internal, None);
    let script = Script::new(script.to_bytes());
    let spent: Vec<bitcoin::TxOut> = prevouts(&script)
        .iter()
        .map(|output| bitcoin::TxOut {
            value: bitcoin::Amount::from_sat(output.value_sat),
            script_pubkey: bitcoin::ScriptBuf::from_bytes(output.script.as_bytes().to_vec()),
        })
        .collect();
    let tx = peer(&unsigned());
    let annex = annex.map(|bytes| bitcoin::sighash::Annex::new(bytes).unwrap());
    let digest =
        SighashCache::new(&tx).taproot_signature_hash(1, &Prevouts::All(&spent), annex, None, kind).unwrap();
    let signature = curve.sign_schnorr_no_aux_rand(&Message::from_digest(digest.to_byte_array()), &tweaked);
    (script, signature.serialize().to_vec())
}

#[test]
fn the_taproot_key_path_holds_and_nothing_else_does() {
    let check = |script: &Script, witness: Vec<Vec<u8>>, want: &str| {
        let mut tx = unsigned();
        tx.inputs[1].witness = witness;
        let got = verify_input(&tx, 1, &prevouts(script));
        let got = got.map_or_else(
            |error| error.to_string(),
            |spend| format!("ok {}", spend.signers()[0].covers_all()),
        );
        assert_eq!(got, want);
    };
    let typed = |bytes: &[u8], kind: u8| [bytes, &[kind]].concat();
    let (script, signature) = taproot(TapSighashType::Default, None);
    check(&script, vec![signature.clone()], "ok true");
    check(&script, vec![typed(&signature, 0)], "signature 0 is malformed");
    check(&script, vec![typed(&signature, 1)], "signature 0 is no remaining key's over this transaction");
    check(&script, vec![typed(&signature, 4)], "signature 0 is malformed");
    check(&script, vec![signature[..63].to_vec()], "signature 0 is malformed");
    check(&script, vec![], "0 items were shown, want 1");
    check(&script, vec![vec![0x51], vec![0xc0; 33]], "taproot script path is not supported");
    check(
        &script,
        vec![signature.clone(), vec![0x50]],
        "signature 0 is no remaining key's over this transaction",
    );
    check(&Script::witness(1, &[0xff; 32]).unwrap(), vec![signature], "public key 0 is malformed");
    let (script, signature) = taproot(TapSighashType::All, None);
    check(&script, vec![typed(&signature, 1)], "ok true");
    let (script, signature) = taproot(TapSighashType::NonePlusAnyoneCanPay, None);
    check(&script, vec![typed(&signature, 0x82)], "ok false");
    let annex = [0x50, 1, 2, 3];
    let (script, signature) = taproot(TapSighashType::Default, Some(&annex));
    check(&script, vec![signature.clone(), annex.to_vec()], "ok true");
    check(&script, vec![signature], "signature 0 is no remaining key's over this transaction");
}
