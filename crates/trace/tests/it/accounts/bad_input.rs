//! Files that are cut, garbled, absurd or of other types than they must be: importers and the reader of lists say what is
//! wrong and with which file, panic never, and whatever list an importer does make can be read.

use std::error::Error;

use kuraban_trace::accounts::{
    Kind, Lines, TransferList,
    import::{ImportError, Source, etl, evm, nis, rippled},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

type Importer = fn(&[Source<'_>]) -> Result<TransferList, ImportError>;

const IMPORTERS: [(&str, Importer); 4] = [("evm", evm), ("etl", etl), ("rippled", rippled), ("nis", nis)];

fn shared(path: &str) -> Option<Vec<u8>> {
    let root = std::env::var("KURABAN_SHARED").unwrap_or_else(|_| "../../../shared".to_owned());
    std::fs::read(format!("{root}/data/{path}")).ok()
}

/// Numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// A message with its causes.
fn said(error: &ImportError) -> String {
    let mut shown = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        shown += &format!(": {cause}");
        next = cause.source();
    }
    shown
}

/// Imports; what is refused is named, and what is made can be read.
fn hold(name: &str, how: Importer, bytes: &[u8], what: &str) -> bool {
    match how(&[Source { name: "file", bytes }]) {
        Ok(list) => {
            let mut lines = Lines::new(&list.header.to_line()).unwrap();
            for line in list.lines() {
                let read = lines.read(&line);
                assert!(read.is_ok(), "{name}: {what} made the line {line}: {:?}", read.err());
            }
            let over =
                list.transfers.iter().filter(|t| t.kind != Kind::Fee && t.from.is_none() && t.to.is_none());
            assert_eq!(over.count(), 0);
            true
        }
        Err(error) => {
            let said = said(&error);
            assert!(said.len() > 8 && said.len() < 2_000, "{name}: {what}: {said}");
            let place = ["file", "block ", "the tables"].iter().any(|place| said.starts_with(place));
            assert!(place, "{name}: {what}: {said} names no place");
            false
        }
    }
}

/// What may stand where something else should.
fn absurd() -> Vec<Value> {
    let huge = format!("1{}", "0".repeat(90));
    let mut all = vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!("\"\\ \u{0}\u{7f}"),
        json!("é".repeat(40)),
        json!("0x"),
        json!("0xzz"),
        json!("-5"),
        json!("1e400"),
        json!("9999999999999999e80"),
        json!("A".repeat(3_000)),
        json!([]),
        json!({}),
        json!([[[]]]),
        json!({ "a": { "b": 1 } }),
    ];
    all.extend([json!(huge), json!(format!("0x{}", "f".repeat(64))), json!(format!("0x{}", "f".repeat(65)))]);
    all
}

/// How many values there are in all.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Replaces the value of this number, or takes it out where there is nothing to put.
fn change(value: &mut Value, place: &mut usize, put: Option<&Value>) {
    let here = |place: &mut usize| {
        let found = *place == 0;
        *place = place.wrapping_sub(1);
        found
    };
    match value {
        Value::Array(all) => {
            let mut kept = Vec::new();
            for mut one in core::mem::take(all) {
                if here(place) {
                    kept.extend(put.cloned());
                } else {
                    change(&mut one, place, put);
                    kept.push(one);
                }
            }
            *all = kept;
        }
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (name, mut one) in core::mem::take(fields) {
                if here(place) {
                    kept.extend(put.map(|put| (name, put.clone())));
                } else {
                    change(&mut one, place, put);
                    kept.insert(name, one);
                }
            }
            *fields = kept;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A ledger with an order that exchanges, an escrow, a channel, and what trust lines say.
fn ledger() -> Value {
    let issued = |issuer: &str, value: &str| json!({ "currency": "USD", "issuer": issuer, "value": value });
    let node = |kind: &str, index: &str, now: Value, was: Value| {
        json!({ "ModifiedNode": {
            "LedgerEntryType": kind, "LedgerIndex": index, "FinalFields": now, "PreviousFields": was
        }})
    };
    let root = |account: &str, was: &str, now: &str| {
        node("AccountRoot", account, json!({ "Account": account, "Balance": now }), json!({ "Balance": was }))
    };
    let line = |holder: &str, was: &str, now: &str| {
        let end = json!({
            "Balance": issued("rrrrrrrrrrrrrrrrrrrrBZbvji", now),
            "LowLimit": issued(holder, "0"), "HighLimit": issued("rI", "0")
        });
        node("RippleState", holder, end, json!({ "Balance": issued("rrrrrrrrrrrrrrrrrrrrBZbvji", was) }))
    };
    let made = |kind: &str, fields: Value| json!({ "CreatedNode": { "LedgerEntryType": kind, "LedgerIndex": "E1", "NewFields": fields }});
    let tx = |index: u32, kind: &str, nodes: Value| {
        json!({
            "hash": format!("T{index}"), "TransactionType": kind, "Account": "rA", "Fee": "10", "Destination": "rB",
            "metaData": { "TransactionIndex": index, "TransactionResult": "tesSUCCESS", "AffectedNodes": nodes }
        })
    };
    let txs = [
        tx(
            0,
            "OfferCreate",
            json!([
                root("rA", "1000", "890"),
                root("rM", "0", "100"),
                line("rA", "0", "5"),
                line("rM", "9", "3")
            ]),
        ),
        tx(1, "EscrowCreate", json!([root("rA", "890", "830"), made("Escrow", json!({ "Amount": "50" }))])),
        tx(
            2,
            "PaymentChannelCreate",
            json!([root("rA", "830", "790"), made("PayChannel", json!({ "Amount": "30", "Balance": "0" }))]),
        ),
        tx(3, "Payment", json!([root("rA", "790", "773"), root("rB", "1", "8")])),
    ];
    json!({ "result": { "ledger": {
        "ledger_index": "7", "ledger_hash": "AB".repeat(32), "parent_hash": "CD".repeat(32), "transactions": txs
    }}})
}

/// A block of NEM with a transaction of every kind.
fn block() -> Value {
    let key = "8d07f90fb4bbe7715fa327c926770166a11be2e494a970605f2e12557f66c9b9";
    let to = "NBT3WHA2YXG2IR4PWKFFMO772JWOITTD2V4PECSB";
    let id = json!({ "namespaceId": "a", "name": "b" });
    let tx = |kind: u32, more: Value| {
        let mut tx = json!({ "type": kind, "version": 1_744_830_466, "signer": key, "fee": 50_000 });
        tx.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tx
    };
    let property = |name: &str, value: &str| json!({ "name": name, "value": value });
    let properties = [property("divisibility", "2"), property("initialSupply", "30")];
    let levy = json!({ "type": 2, "recipient": to, "mosaicId": id, "fee": 100 });
    let definition = json!({ "id": id, "properties": properties, "levy": levy });
    let send =
        json!({ "recipient": to, "amount": 1_000_000, "mosaics": [{ "mosaicId": id, "quantity": 50 }] });
    let txs = [
        tx(0x4001, json!({ "creationFeeSink": to, "creationFee": 10, "mosaicDefinition": definition })),
        tx(0x0101, send.clone()),
        tx(0x4002, json!({ "mosaicId": id, "supplyType": 1, "delta": 3 })),
        tx(0x2001, json!({ "rentalFeeSink": to, "rentalFee": 10 })),
        tx(0x0801, json!({})),
        tx(0x1004, json!({ "otherTrans": tx(0x0101, send), "signatures": [{ "fee": 1 }] })),
    ];
    let txes: Vec<Value> =
        (0..).zip(txs).map(|(n, tx): (u32, _)| json!({ "tx": tx, "hash": format!("{n:064x}") })).collect();
    let block = json!({
        "height": 100, "version": 1_744_830_465, "signer": key, "type": 1, "prevBlockHash": { "data": "cd".repeat(32) }
    });
    json!({ "data": [{ "block": block, "txes": txes, "hash": "ab".repeat(32) }] })
}

/// Answers of a node of an EVM chain: a block, its receipt, its trace.
fn answers() -> Value {
    let (word, account) = (|n: u64| format!("0x{n:064x}"), |n: u64| format!("0x{n:040x}"));
    let log = json!({
        "address": account(50), "topics": ["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef", word(1), word(3)],
        "data": word(11), "logIndex": "0x1"
    });
    json!([
        { "jsonrpc": "2.0", "id": 1, "result": {
            "number": "0x9", "hash": word(9), "parentHash": word(8), "miner": account(99), "gasUsed": "0x5208", "baseFeePerGas": "0x2",
            "transactions": [{
                "hash": word(77), "transactionIndex": "0x0", "from": account(1), "to": account(2),
                "value": "0x7", "gas": "0x5208", "gasPrice": "0x5"
            }],
            "withdrawals": [{ "address": account(8), "amount": "0x3" }]
        } },
        { "jsonrpc": "2.0", "id": 2, "result": [{
            "transactionHash": word(77), "gasUsed": "0x5208", "effectiveGasPrice": "0x5", "status": "0x1",
            "contractAddress": null, "blobGasUsed": "0x2", "blobGasPrice": "0x3", "logs": [log]
        }] },
        { "jsonrpc": "2.0", "id": 3, "result": [
            { "action": { "from": account(1), "to": account(2), "value": "0x7", "callType": "call" }, "blockNumber": 9,
              "result": {}, "traceAddress": [], "transactionHash": word(77), "transactionPosition": 0, "type": "call" },
            { "action": { "address": account(2), "refundAddress": account(7), "balance": "0x2" }, "blockNumber": 9,
              "result": null, "traceAddress": [0], "transactionPosition": 0, "type": "suicide" },
            { "action": { "author": account(99), "value": "0x64" }, "blockNumber": 9, "result": null, "traceAddress": [],
              "transactionPosition": null, "type": "reward" }
        ] }
    ])
}

/// Tables of ethereum-etl, a row a value.
fn tables() -> Vec<Value> {
    let (word, account) = (|n: u64| format!("0x{n:064x}"), |n: u64| format!("0x{n:040x}"));
    vec![
        json!({ "type": "block", "number": 9, "hash": word(9), "parent_hash": word(8), "miner": account(99),
                "gas_used": 21_000, "transaction_count": 1, "base_fee_per_gas": 2,
                "withdrawals": [{ "address": account(8), "amount": 3 }] }),
        json!({ "type": "transaction", "hash": word(77), "transaction_index": 0, "from_address": account(1),
                "to_address": account(2), "value": "7", "gas": 21_000, "gas_price": 5, "block_number": 9,
                "receipt_gas_used": 21_000, "receipt_contract_address": null, "receipt_status": 1,
                "receipt_effective_gas_price": 5, "receipt_blob_gas_used": 2, "receipt_blob_gas_price": 3 }),
        json!({ "type": "token_transfer", "token_address": account(50), "from_address": account(1), "to_address": account(3),
                "value": "11", "transaction_hash": word(77), "log_index": 1, "block_number": 9 }),
        json!({ "type": "trace", "block_number": 9, "transaction_index": 0, "from_address": account(1),
                "to_address": account(2), "value": "7", "trace_type": "call", "call_type": "call", "trace_address": [],
                "error": null, "status": 1 }),
    ]
}

fn short(put: Option<&Value>) -> String {
    put.map_or_else(|| "nothing".to_owned(), |put| put.to_string().chars().take(40).collect())
}

/// Values changed one by one by every absurd thing and by nothing, where there is time in pairs too.
fn garble(name: &str, how: Importer, whole: &Value, write: fn(&Value) -> Vec<u8>) {
    assert!(hold(name, how, &write(whole), "nothing"), "{name}: the whole is imported");
    let absurd = absurd();
    let puts: Vec<Option<&Value>> = absurd.iter().map(Some).chain([None]).collect();
    let (places, mut refused) = (count(whole) - 1, 0);
    for place in 0..places {
        for put in &puts {
            let mut changed = whole.clone();
            change(&mut changed, &mut place.clone(), *put);
            refused +=
                usize::from(!hold(name, how, &write(&changed), &format!("value {place} as {}", short(*put))));
        }
    }
    assert!(refused * 4 > places * puts.len(), "{name}: {refused} of {} were refused", places * puts.len());
    let mut random = Random(7);
    for _ in 0..1_500 {
        let mut changed = whole.clone();
        for _ in 0..2 + random.below(3) {
            let (mut place, put) = (random.below(places), puts[random.below(puts.len())]);
            change(&mut changed, &mut place, put);
        }
        hold(name, how, &write(&changed), "several values");
    }
}

/// Bytes cut and turned.
fn cut(name: &str, how: Importer, bytes: &[u8], rounds: usize) {
    let step = (bytes.len() / 400).max(1);
    for end in (0..bytes.len()).step_by(step) {
        hold(name, how, &bytes[..end], &format!("the first {end} bytes"));
    }
    let mut random = Random(11);
    for _ in 0..rounds {
        let mut turned = bytes.to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(turned.len());
            turned[at] ^= 1 << random.below(8);
        }
        hold(name, how, &turned, "bits that were turned");
    }
}

fn one(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn rows(value: &Value) -> Vec<u8> {
    let rows = value.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(Value::to_string);
    rows.collect::<Vec<_>>().join("\n").into_bytes()
}

#[test]
fn ledgers_with_absurd_values_are_refused_or_make_a_list_that_can_be_read() {
    garble("rippled", rippled, &ledger(), one);
}

#[test]
fn blocks_of_nem_with_absurd_values_are_refused_or_make_a_list_that_can_be_read() {
    garble("nis", nis, &block(), one);
}

#[test]
fn answers_of_a_node_with_absurd_values_are_refused_or_make_a_list_that_can_be_read() {
    garble("evm", evm, &answers(), one);
}

#[test]
fn tables_with_absurd_values_are_refused_or_make_a_list_that_can_be_read() {
    garble("etl", etl, &Value::Array(tables()), rows);
}

#[test]
fn files_that_are_cut_or_garbled_are_refused_or_make_a_list_that_can_be_read() {
    cut("rippled", rippled, &one(&ledger()), 600);
    cut("nis", nis, &one(&block()), 600);
    cut("evm", evm, &one(&answers()), 600);
    cut("etl", etl, &rows(&Value::Array(tables())), 600);
}

#[test]
fn real_files_that_are_cut_or_garbled_are_refused_or_make_a_list_that_can_be_read() {
    let files: [(&str, Importer, &str); 3] = [
        ("nis", nis, "nem/nemproject_nemesis-testnet.bin"),
        ("rippled", rippled, "xrp/xrpljs_ledger-full-38129.json"),
        ("etl", etl, "eth/ethetl_blocks_1755634_1755635__expected_transactions.json"),
    ];
    for (name, how, path) in files {
        match shared(path) {
            Some(bytes) => cut(name, how, &bytes, 60),
            None => println!("skipped: the shared data is not here"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (name, how) in IMPORTERS {
            hold(name, how, &bytes, "any bytes");
        }
    }

    #[test]
    fn any_lines_are_read_or_refused_with_their_number(lines in proptest::collection::vec("[\\x20-\\x7e]{0,40}", 0..5)) {
        let mut read = Lines::new(r#"{"transfers":1,"chain":"xem","opening":"stated"}"#).unwrap();
        for (number, line) in (2_u64..).zip(&lines) {
            let Err(error) = read.read(line) else { panic!("{line} is no line") };
            prop_assert_eq!(error.line, number);
        }
    }
}
