//! Rows for [`tx`](super).

use kuraban_base::hex;
use proptest::prelude::*;

use super::*;

/// One input, one output, no witness; the parts are spelled out in `cut`.
const PLAIN: &str = "02000000 01 1111111111111111111111111111111111111111111111111111111111111111 00000000 00 \
                     ffffffff 01 e803000000000000 01 51 00000000";

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(&text.replace(' ', "")).unwrap()
}

fn check(network: Network, text: &str, want: &str) {
    let got = Tx::decode(network, &bytes(text));
    let got = got.map_or_else(|error| error.to_string(), |tx| format!("ok {}", tx.txid()));
    assert!(got.starts_with(want), "{text}\n got {got}\nwant {want}");
}

#[test]
#[rustfmt::skip]
fn malformed_transactions_are_refused_with_their_place() {
    const IN: &str = "1111111111111111111111111111111111111111111111111111111111111111 00000000 00 ffffffff";
    const OUT: &str = "e803000000000000 01 51";
    const NULL: &str = "0000000000000000000000000000000000000000000000000000000000000000 ffffffff";
    let btc = |text: &str, want| check(Network::BtcMain, text, want);
    let ltc = |text: &str, want| check(Network::LtcMain, text, want);
    btc(PLAIN, "ok ");
    btc("", "transaction version at offset 0 needs 4 bytes, only 0 are left");
    btc(&format!("{PLAIN} 00"), "1 bytes follow the end of transaction at offset 61");
    btc(&format!("02000000 fd0100 {IN} 01 {OUT} 00000000"), "number of inputs at offset 4 spells 1 in 3 bytes");
    btc(&format!("02000000 02 {IN} 01 {OUT} 00000000"), "number of inputs at offset 4 is 2, which needs at least 82 bytes, only");
    btc("02000000 ffffffffffffffffff 00", "number of inputs at offset 4 is 18446744073709551615, limit ");
    btc(&format!("02000000 01 {IN} 02 {OUT} 00000000"), "number of outputs at offset 46 is 2, which needs at least 18 bytes, only");
    btc(&format!("02000000 01 {IN} 01 e803000000000000 fe00000001 51 00000000"), "locking script at offset 60 needs 16777216 bytes, only 5");
    btc(&format!("02000000 01 {IN} 00 00000000"), "transaction has no outputs, seen at offset 46");
    btc("02000000 00 00 00000000", "transaction has no inputs, seen at offset 4");
    btc(&format!("02000000 00 01 00 01 {OUT} 00000000"), "witness record at offset 18 is empty for every input");
    btc(&format!("02000000 00 01 01 {IN} 01 {OUT} 00 00000000"), "witness record at offset 59 is empty for every input");
    btc(&format!("02000000 00 01 01 {IN} 01 {OUT} 01 00 00000000"), "ok ");
    btc(&format!("02000000 00 02 01 {IN} 01 {OUT} 01 00 00000000"), "transaction flag 0x02 at offset 5 is not known");
    btc(&format!("02000000 00 08 01 {IN} 01 {OUT} 00 00000000"), "transaction flag 0x08 at offset 5 is not known");
    ltc(&format!("02000000 00 08 01 {IN} 01 {OUT} 00 00000000"), "ok ");
    ltc(&format!("02000000 00 0a 01 {IN} 01 {OUT} 00 00000000"), "transaction flag 0x0a");
    ltc(&format!("02000000 00 08 01 {IN} 01 {OUT} 02 00000000"), "extension data at offset 59 starts with 0x02");
    ltc(&format!("02000000 00 08 01 {IN} 01 {OUT} 01 00000000"), "lock time at offset 61 needs 4 bytes, only 3 are left");
    ltc(&format!("02000000 00 08 01 {IN} 01 {OUT} 01 ab 00000000"), "ok ");
    ltc("02000000 00 08 00 00 01 ab 00000000", "transaction at offset 0 is wholly inside the extension block");
    ltc("02000000 00 08 00 00 00 00000000", "transaction has no inputs");
    btc(&format!("02000000 02 {IN} {IN} 01 {OUT} 00000000"), "outpoint 1111111111111111111111111111111111111111111111111111111111111111:0 is spent twice");
    btc(&format!("02000000 02 {IN} {NULL} 00 ffffffff 01 {OUT} 00000000"), "input 1 spends the null outpoint");
    btc(&format!("02000000 01 {NULL} 01 51 ffffffff 01 {OUT} 00000000"), "coinbase script has 1 bytes, want 2 to 100");
    btc(&format!("02000000 01 {NULL} 02 5151 ffffffff 01 {OUT} 00000000"), "ok ");
    btc(&format!("02000000 01 {NULL} 64 {} ffffffff 01 {OUT} 00000000", "51".repeat(100)), "ok ");
    btc(&format!("02000000 01 {NULL} 65 {} ffffffff 01 {OUT} 00000000", "51".repeat(101)), "coinbase script has 101 bytes");
}

#[test]
fn values_stop_at_what_can_exist() {
    let with = |network, values: &[u64], want: &str| {
        let outputs: Vec<String> =
            values.iter().map(|value| format!("{} 00", hex::encode(&value.to_le_bytes()))).collect();
        let head = &PLAIN[..PLAIN.find(" 01 e803").unwrap()];
        check(network, &format!("{head} {:02x} {} 00000000", values.len(), outputs.join(" ")), want);
    };
    let (btc, ltc) = (21_000_000 * 100_000_000_u64, 84_000_000 * 100_000_000_u64);
    with(Network::BtcMain, &[btc], "ok ");
    with(Network::BtcMain, &[btc + 1], "output 0 at offset 47 is worth 2100000000000001");
    with(Network::LtcMain, &[btc + 1], "ok ");
    with(Network::LtcMain, &[ltc], "ok ");
    with(Network::LtcMain, &[ltc + 1], "output 0 at offset 47");
    with(Network::BtcMain, &[btc - 1, 1], "ok ");
    with(Network::BtcMain, &[btc, 1], "outputs 0 to 1 are worth 2100000000000001 together");
    with(Network::BtcMain, &[u64::MAX, 1], "output 0 at offset 47");
}

#[test]
fn weight_stops_at_a_blocks() {
    let heavy = |script: usize| {
        let mut tx = Tx::decode(Network::BtcMain, &bytes(PLAIN)).unwrap();
        tx.outputs[0].script = Script::new(vec![0x51; script]);
        (tx.weight(), Tx::decode(Network::BtcMain, &tx.encode()).map(|_| ()))
    };
    // Version, counts, input, value, length of the script and lock time take 64 bytes.
    assert_eq!(heavy(999_936), (WEIGHT_MAX, Ok(())));
    let (weight, refused) = heavy(999_937);
    assert_eq!(weight, WEIGHT_MAX + 4);
    assert_eq!(refused.unwrap_err().to_string(), "transaction weight at offset 0 is 4000004, limit 4000000");
}

#[test]
fn outpoints_round_trip_as_text() {
    let text = "975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7:12";
    let outpoint: OutPoint = text.parse().unwrap();
    assert_eq!((outpoint.vout, outpoint.to_string().as_str()), (12, text));
    let bad = |suffix: &str| format!("{}{suffix}", &text[..65]).parse::<OutPoint>().is_err();
    for suffix in ["", "-1", "+1", "01", "4294967296", "1:2", "１"] {
        assert!(bad(suffix), "{suffix}");
    }
    assert!(!bad("4294967295"));
    assert!("12".parse::<OutPoint>().is_err());
}

#[test]
fn fees_and_prevouts_are_taken_from_whole_transactions() {
    let previous = Tx::decode(Network::BtcMain, &bytes(PLAIN)).unwrap();
    let mut tx = previous.clone();
    tx.inputs[0].prev = OutPoint { txid: previous.txid(), vout: 0 };
    tx.outputs[0].value_sat = 990;
    let spent = tx.prevouts(core::slice::from_ref(&previous)).unwrap();
    assert_eq!(spent, previous.outputs);
    assert_eq!(tx.fee(&spent), Ok(10));
    assert_eq!(tx.fee(&[]), Err(FeeError::Count { got: 0, want: 1 }));
    tx.outputs[0].value_sat = 1001;
    assert_eq!(tx.fee(&spent), Err(FeeError::Negative { inputs_sat: 1000, outputs_sat: 1001 }));
    tx.outputs[0].value_sat = u64::MAX;
    tx.outputs.push(tx.outputs[0].clone());
    assert_eq!(tx.fee(&spent), Err(FeeError::Sum));
    tx.inputs[0].prev.vout = 1;
    let outpoint = tx.inputs[0].prev;
    assert_eq!(tx.prevouts(core::slice::from_ref(&previous)), Err(FeeError::Vout { outpoint, outputs: 1 }));
    assert_eq!(tx.prevouts(&[]), Err(FeeError::Missing { outpoint }));
}

#[test]
fn replacement_is_signalled_up_to_the_bound() {
    let with = |sequence| {
        let mut tx = Tx::decode(Network::BtcMain, &bytes(PLAIN)).unwrap();
        tx.inputs[0].sequence = sequence;
        tx.signals_rbf()
    };
    assert!(with(0));
    assert!(with(0xffff_fffd));
    assert!(!with(0xffff_fffe));
}

prop_compose! {
    fn any_input()(txid: [u8; 32], vout: u32, script in prop::collection::vec(any::<u8>(), 0..300),
                   sequence: u32, witness in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4))
        -> TxIn {
        TxIn { prev: OutPoint { txid: Txid::from_bytes(txid), vout }, script_sig: Script::new(script), sequence, witness }
    }
}

prop_compose! {
    fn any_tx()(version: i32, inputs in prop::collection::vec(any_input(), 1..5),
                outputs in prop::collection::vec((0..1_000_000_000_u64, prop::collection::vec(any::<u8>(), 0..300)), 1..5),
                lock_time: u32) -> Tx {
        let outputs = outputs.into_iter().map(|(value_sat, script)| TxOut { value_sat, script: Script::new(script) });
        Tx { version, inputs, outputs: outputs.collect(), lock_time, mweb: Mweb::None }
    }
}

proptest! {
    #[test]
    fn any_transaction_agrees_with_the_peer_crate(tx in any_tx()) {
        let encoded = tx.encode();
        prop_assert_eq!(encoded.len(), tx.size());
        prop_assert_eq!(tx.encode_stripped().len(), tx.size_stripped());
        prop_assert_eq!(Tx::decode(Network::BtcMain, &encoded), Ok(tx.clone()));
        let theirs: bitcoin::Transaction = bitcoin::consensus::encode::deserialize(&encoded).unwrap();
        prop_assert_eq!(bitcoin::consensus::encode::serialize(&theirs), encoded);
        prop_assert_eq!(theirs.compute_txid().to_string(), tx.txid().to_string());
        prop_assert_eq!(theirs.compute_wtxid().to_string(), tx.wtxid().to_string());
        prop_assert_eq!(theirs.weight().to_wu(), u64::try_from(tx.weight()).unwrap());
        prop_assert_eq!(theirs.vsize(), tx.vsize());
        prop_assert_eq!(theirs.is_explicitly_rbf(), tx.signals_rbf());
    }

    #[test]
    fn any_transaction_cut_short_or_longer_is_refused(tx in any_tx()) {
        let encoded = tx.encode();
        for length in 0..encoded.len() {
            prop_assert!(Tx::decode(Network::BtcMain, &encoded[..length]).is_err(), "at {length}");
        }
        prop_assert!(Tx::decode(Network::BtcMain, &[encoded.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn any_bytes_decode_to_what_they_spell_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(tx) = Tx::decode(Network::LtcMain, &bytes) {
            prop_assert_eq!(tx.encode(), bytes);
        }
    }

    #[test]
    fn one_flipped_byte_decodes_to_what_it_spells_or_not_at_all(tx in any_tx(), at: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = tx.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(tx) = Tx::decode(Network::LtcMain, &bytes) {
            prop_assert_eq!(tx.encode(), bytes);
        }
    }
}
