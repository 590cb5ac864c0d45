//! What the answers of nodes are read as, and what is refused of them.

use super::*;

fn read(bytes: &str) -> Result<String, RpcError> {
    Answer::new("getblockcount", 200, bytes.as_bytes()).map(|answer| answer.result.get().to_owned())
}

#[test]
fn answers_are_results_or_the_nodes_refusals() {
    let check = |bytes: &str, want: Result<&str, &str>| match (read(bytes), want) {
        (Ok(result), Ok(want)) => assert_eq!(result, want),
        (Err(error), Err(want)) => assert_eq!(error.to_string(), want),
        (result, want) => panic!("{result:?}, want {want:?}"),
    };
    let form = Err("getblockcount: answer (HTTP 200) is not a JSON-RPC answer to this call");
    check(r#"{"result":7,"error":null,"id":"getblockcount"}"#, Ok("7"));
    check(r#"{"jsonrpc":"2.0","result":0.10000000,"id":"getblockcount"}"#, Ok("0.10000000"));
    check(r#"{"result":null,"error":null,"id":"getblockcount"}"#, Ok("null"));
    check(r#"{"result":7,"error":null,"id":"getbestblockhash"}"#, form);
    check(r#"{"result":7,"error":null}"#, form);
    check(r#"{"result":7,"error":null,"id":"getblockcount"}}"#, form);
    check("<html>", form);
    check("", form);
    check(
        r#"{"result":null,"error":{"code":-28,"message":"Loading\nblock index…"},"id":"getblockcount"}"#,
        Err("getblockcount: node says \"Loading block index…\" (code -28)"),
    );
}

#[test]
fn what_is_read_into_is_held_to_its_form() {
    let answer = |result: &str| {
        let bytes = format!(r#"{{"result":{result},"error":null,"id":"getblockcount"}}"#);
        Answer::new("getblockcount", 200, bytes.as_bytes()).unwrap()
    };
    assert_eq!(answer("7").parse::<u32>("a number").unwrap(), 7);
    for result in ["-1", "4294967296", "7.5", "\"7\"", "null"] {
        let error = answer(result).parse::<u32>("a number").unwrap_err();
        assert_eq!(error.to_string(), "getblockcount: answer (HTTP 200) is not a number", "{result}");
    }
    let hash = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";
    assert_eq!(answer(&format!("\"{hash}\"")).hash().unwrap(), Network::BtcRegtest.genesis_hash());
    assert!(answer(&format!("\"{}\"", &hash[1..])).hash().is_err());
}

#[test]
fn only_the_very_same_transaction_counts_as_known() {
    assert!(in_mempool("txn-already-in-mempool"));
    assert!(in_mempool("txn-already-known"));
    assert!(!in_mempool("txn-same-nonwitness-data-in-mempool"));
    assert!(!in_mempool("txn-mempool-conflict"));
}

#[test]
fn a_nodes_words_are_cut() {
    assert_eq!(short(&"x".repeat(ERROR_CHARS_MAX + 1)).len(), ERROR_CHARS_MAX);
    assert_eq!(short("a\u{7}b"), "a b");
}
