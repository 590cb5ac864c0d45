//! Every digest, for generated transactions, against the `bitcoin` crate.

use bitcoin::{
    hashes::Hash as _,
    sighash::{Annex, EcdsaSighashType, Prevouts, SighashCache, TapSighashType},
    taproot::TapLeafHash,
};
use kuraban_base::Txid;
use kuraban_chain::btc::{
    Digests, EcdsaSighash, Mweb, OutPoint, Script, SighashError, TaprootSighash, Tx, TxIn, TxOut,
    sighash::TaprootPath,
};
use proptest::prelude::*;

prop_compose! {
    fn any_output()(value_sat in 0..1_000_000_000_u64, script in prop::collection::vec(any::<u8>(), 0..60)) -> TxOut {
        TxOut { value_sat, script: Script::new(script) }
    }
}

prop_compose! {
    fn any_spend()(version: i32, lock_time: u32,
                   inputs in prop::collection::vec((any::<[u8; 32]>(), any::<u32>(), any::<u32>(), any_output()), 1..5),
                   outputs in prop::collection::vec(any_output(), 1..5)) -> (Tx, Vec<TxOut>) {
        let (inputs, prevouts) = inputs.into_iter().map(|(txid, vout, sequence, prevout)| {
            let prev = OutPoint { txid: Txid::from_bytes(txid), vout };
            (TxIn { prev, script_sig: Script::default(), sequence, witness: vec![] }, prevout)
        }).unzip();
        (Tx { version, inputs, outputs, lock_time, mweb: Mweb::None }, prevouts)
    }
}

/// Pushes only: no opcode that a digest treats specially.
fn any_code() -> impl Strategy<Value = Script> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..70), 0..4).prop_map(|pushes| {
        let push = |bytes: Vec<u8>| [vec![u8::try_from(bytes.len()).unwrap()], bytes].concat();
        Script::new(pushes.into_iter().flat_map(push).chain([0xac]).collect())
    })
}

fn theirs(tx: &Tx) -> bitcoin::Transaction {
    bitcoin::consensus::encode::deserialize(&tx.encode()).unwrap()
}

fn their_output(output: &TxOut) -> bitcoin::TxOut {
    bitcoin::TxOut {
        value: bitcoin::Amount::from_sat(output.value_sat),
        script_pubkey: bitcoin::ScriptBuf::from_bytes(output.script.as_bytes().to_vec()),
    }
}

fn code(script: &Script) -> &bitcoin::Script {
    bitcoin::Script::from_bytes(script.as_bytes())
}

proptest! {
    #[test]
    fn legacy_and_version_0_digests_are_those_of_the_peer_crate((tx, prevouts) in any_spend(), script in any_code()) {
        let digests = Digests::new(&tx, &prevouts).unwrap();
        let peer = theirs(&tx);
        let mut cache = SighashCache::new(&peer);
        for (index, prevout) in prevouts.iter().enumerate() {
            for kind in EcdsaSighash::ALL {
                let byte = u32::from(kind.to_byte());
                let single = matches!(kind, EcdsaSighash::Single | EcdsaSighash::SingleAnyoneCanPay);
                let ours = digests.legacy(index, &script, kind);
                if single && index >= tx.outputs.len() {
                    prop_assert_eq!(ours, Err(SighashError::Single { index }));
                } else {
                    let want = cache.legacy_signature_hash(index, code(&script), byte).unwrap();
                    prop_assert_eq!(*ours.unwrap().as_bytes(), want.to_byte_array());
                }
                let ours = digests.witness_v0(index, &script, kind).unwrap();
                let value = bitcoin::Amount::from_sat(prevout.value_sat);
                let their_kind = EcdsaSighashType::from_standard(byte).unwrap();
                let want = cache.p2wsh_signature_hash(index, code(&script), value, their_kind).unwrap();
                prop_assert_eq!(ours.as_bytes(), want.as_byte_array());
            }
        }
    }

    #[test]
    fn taproot_digests_are_those_of_the_peer_crate(
        (tx, prevouts) in any_spend(), leaf: [u8; 32], code_separator: u32,
        annex in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
    ) {
        let digests = Digests::new(&tx, &prevouts).unwrap();
        let peer = theirs(&tx);
        let mut cache = SighashCache::new(&peer);
        let spent: Vec<bitcoin::TxOut> = prevouts.iter().map(their_output).collect();
        let spent = Prevouts::All(&spent);
        let annex = annex.map(|bytes| [vec![0x50], bytes].concat());
        let kinds = EcdsaSighash::ALL.map(TaprootSighash::Typed);
        for index in 0..tx.inputs.len() {
            for kind in kinds.into_iter().chain([TaprootSighash::Default]) {
                let their_kind = TapSighashType::from_consensus_u8(kind.to_byte()).unwrap();
                for script_path in [false, true] {
                    let path = if script_path {
                        TaprootPath::Script { leaf_hash: leaf, code_separator }
                    } else {
                        TaprootPath::Key
                    };
                    let leaf = script_path.then(|| (TapLeafHash::from_byte_array(leaf), code_separator));
                    let ours = digests.taproot(index, kind, annex.as_deref(), path);
                    let their_annex = annex.as_ref().map(|bytes| Annex::new(bytes).unwrap());
                    let want = cache.taproot_signature_hash(index, &spent, their_annex, leaf, their_kind);
                    match want {
                        Ok(want) => prop_assert_eq!(*ours.unwrap().as_bytes(), want.to_byte_array()),
                        Err(_) => prop_assert_eq!(ours, Err(SighashError::Single { index })),
                    }
                }
            }
        }
    }
}

#[test]
fn what_has_no_digest_is_refused() {
    let input = TxIn { prev: OutPoint::NULL, script_sig: Script::default(), sequence: 0, witness: vec![] };
    let output = TxOut { value_sat: 1, script: Script::default() };
    let tx = Tx {
        version: 1,
        inputs: vec![input.clone(), input],
        outputs: vec![output.clone()],
        lock_time: 0,
        mweb: Mweb::None,
    };
    let prevouts = [output.clone(), output.clone()];
    let error = Digests::new(&tx, &prevouts[..1]).unwrap_err();
    assert_eq!(error, SighashError::Prevouts { got: 1, want: 2 });
    let digests = Digests::new(&tx, &prevouts).unwrap();
    let all = EcdsaSighash::All;
    let check = |got: Result<_, SighashError>, want| assert_eq!(got, Err(want));
    check(digests.legacy(2, &output.script, all), SighashError::Input { index: 2, inputs: 2 });
    check(digests.witness_v0(2, &output.script, all), SighashError::Input { index: 2, inputs: 2 });
    check(digests.legacy(1, &output.script, EcdsaSighash::Single), SighashError::Single { index: 1 });
    let separated = Script::new(vec![0x51, 0xab]);
    check(digests.legacy(0, &separated, all), SighashError::CodeSeparator);
    check(digests.witness_v0(0, &separated, all), SighashError::CodeSeparator);
    // Inside a push it is no opcode; a push that runs past the end cannot be read.
    assert!(digests.legacy(0, &Script::new(vec![1, 0xab]), all).is_ok());
    check(digests.legacy(0, &Script::new(vec![2, 0xab]), all), SighashError::CodeSeparator);
    let path = TaprootPath::Key;
    check(
        digests.taproot(0, TaprootSighash::Default, Some(&[0x51]), path),
        SighashError::Annex { found: Some(0x51) },
    );
    check(digests.taproot(0, TaprootSighash::Default, Some(&[]), path), SighashError::Annex { found: None });
}
