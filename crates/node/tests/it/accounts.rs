//! Nodes of chains of accounts that answer too much, too late, something else, or about something else.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use kuraban_chain::accounts::{BlockId, Network};
use kuraban_node::accounts::{ANSWER_BYTES_MAX, AnswerError, Ledger, Printed};

/// A server that acts so for each call, by the call's number from 0; its place.
fn serving(act: impl Fn(usize, &str, TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    // The thread ends with the test's process; nothing waits for it.
    thread::spawn(move || {
        for (call, socket) in listener.incoming().enumerate() {
            let socket = socket.unwrap();
            let mut lines = BufReader::new(socket.try_clone().unwrap());
            let (mut line, mut length, mut body) = (String::new(), 0, String::new());
            while line != "\r\n" {
                line.clear();
                lines.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            lines.take(length).read_to_string(&mut body).unwrap();
            act(call, &body, socket);
        }
    });
    place
}

/// A server that gives these answers in turn, the last one for ever.
fn answering(bodies: &'static [&'static str]) -> String {
    serving(move |call, _, mut socket| {
        let body = bodies.get(call).or(bodies.last()).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        // Whoever has read enough may be gone.
        drop(socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()));
    })
}

fn open(network: Network, place: &str) -> Result<Ledger, AnswerError> {
    Ledger::node(network, place, Duration::from_millis(900))
}

fn id() -> BlockId {
    BlockId::from_bytes([7; 32])
}

const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#;
const SERVER: &str = r#"{"result":{"info":{"network_id":0},"status":"success"}}"#;

#[test]
fn answers_are_bounded_in_size_and_time() {
    let place = serving(|_, _, mut socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let some = vec![b' '; 1 << 20];
        for _ in 0..=ANSWER_BYTES_MAX >> 20 {
            // The client goes away once it has enough.
            if socket.write_all(&some).is_err() {
                return;
            }
        }
    });
    let error = open(Network::EthereumMain, &place).unwrap_err();
    assert_eq!(error.to_string(), "eth_chainId: answer has more than 4194304 bytes");
    let start = Instant::now();
    let place = serving(|_, _, mut socket| while socket.write_all(b"H").is_ok() {});
    assert!(matches!(open(Network::EthereumMain, &place), Err(AnswerError::Unreachable { .. })));
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn the_node_of_another_network_is_not_asked() {
    let check = |network: Network, body: &'static [&'static str], want: Result<(), &str>| {
        let found = open(network, &answering(body)).map(drop).map_err(|error| error.to_string());
        assert_eq!(found, want.map_err(str::to_owned), "{network}");
    };
    check(Network::EthereumMain, &[CHAIN_ID], Ok(()));
    let other = Err("node is of network 1, want 11155111 (ethereum-sepolia)");
    check(Network::EthereumSepolia, &[CHAIN_ID], other);
    let leading = &[r#"{"id":1,"result":"0x01"}"#];
    check(Network::EthereumMain, leading, Err("eth_chainId: answer is not a number"));
    let stranger = &[r#"{"id":2,"result":"0x1"}"#];
    check(Network::EthereumMain, stranger, Err("eth_chainId: answer is not a JSON-RPC answer to this call"));
    let refusal = &[r#"{"id":1,"error":{"code":-32601,"message":"no\nsuch method"}}"#];
    check(Network::EthereumMain, refusal, Err("eth_chainId: node says \"no such method\""));
    check(Network::XrplMain, &[SERVER], Ok(()));
    // An older server says nothing of it.
    check(Network::XrplMain, &[r#"{"result":{"info":{}}}"#], Ok(()));
    check(Network::XrplTest, &[SERVER], Err("node is of network 0, want 1 (xrpl-test)"));
    check(Network::XrplMain, &["<html>"], Err("server_info: answer is not what a server says of itself"));
}

#[test]
fn blocks_are_those_asked_for_and_have_their_hashes() {
    let check = |network: Network, bodies: &'static [&'static str], want: Result<bool, &str>| {
        let ledger = open(network, &answering(bodies)).unwrap();
        let found = ledger.block(id(), 4).map(|block| block.is_some()).map_err(|error| error.to_string());
        assert_eq!(found, want.map_err(str::to_owned), "{network} {bodies:?}");
    };
    use Network::{EthereumMain, NemMain, XrplMain};
    check(EthereumMain, &[CHAIN_ID, r#"{"id":1,"result":null}"#], Ok(false));
    let fields = Err("eth_getBlockByHash: answer is not a block with all fields");
    check(EthereumMain, &[CHAIN_ID, r#"{"id":1,"result":{"hash":"0x07"}}"#], fields);
    check(XrplMain, &[SERVER, r#"{"result":{"error":"lgrNotFound"}}"#], Ok(false));
    check(XrplMain, &[SERVER, r#"{"result":{"error":"slowDown"}}"#], Err("ledger: node says \"slowDown\""));
    const LEDGER: &str = r#"{"result":{"validated":true,"ledger":{"ledger_hash":
        "E6DB7365949BF9814D76BCC730B01818EB9136A89DB224F3F9F5AAE4569D758E","ledger_index":"38129",
        "parent_hash":"3401E5B2E5D3A53EB0891088A5F2D9364BBB6CE5B37A337D2C0660DAF9C4175E",
        "transaction_hash":"DB83BF807416C5B3499A73130F843CF615AB8E797D79FE7D330ADF1BFA93951A",
        "account_hash":"2C23D15B6B549123FB351E4B5CDE81C564318EB845449CD43C3EA7953C4DB452",
        "total_coins":"99999999999996310","parent_close_time":410424200,"close_time":410424200,
        "close_time_resolution":10,"close_flags":0}}}"#;
    check(XrplMain, &[SERVER, LEDGER], Err("ledger: answer is not the ledger asked for"));
    let network = Err("block/at/public: answer is not a block of the network");
    const TEST: &str = r#"{"timeStamp":1,"prevBlockHash":{"data":"00"},"version":-1744830463,"height":4}"#;
    check(NemMain, &[TEST], network);
    const MAIN: &str = r#"{"timeStamp":1,"prevBlockHash":{"data":"00"},"version":1744830465,"height":4}"#;
    check(NemMain, &[MAIN], Err("block/at/public: answer is not two blocks that follow each other"));
    const NEXT: &str = r#"{"timeStamp":1,"prevBlockHash":{"data":"00"},"version":1744830465,"height":5}"#;
    check(NemMain, &[MAIN, NEXT], Err("block/at/public: answer is not a block with its hash"));
    const GOOD: &str = r#"{"timeStamp":1,"prevBlockHash":{"data":
        "0707070707070707070707070707070707070707070707070707070707070707"},"version":1744830465,"height":5}"#;
    check(NemMain, &[MAIN, GOOD], Ok(true));
    const OTHER: &str = r#"{"timeStamp":1,"prevBlockHash":{"data":
        "0807070707070707070707070707070707070707070707070707070707070707"},"version":1744830465,"height":5}"#;
    check(NemMain, &[MAIN, OTHER], Ok(false));
}

#[test]
fn a_real_ledger_is_read_and_truncated_printouts_are_not() {
    // Ledger 38,129 and its root account's balance, as rippled shows them.
    let printed = r#"{"block":{"validated":true,"ledger":{"ledger_hash":
        "E6DB7365949BF9814D76BCC730B01818EB9136A89DB224F3F9F5AAE4569D758E","ledger_index":38129,
        "parent_hash":"3401E5B2E5D3A53EB0891088A5F2D9364BBB6CE5B37A337D2C0660DAF9C4175E",
        "transaction_hash":"DB83BF807416C5B3499A73130F843CF615AB8E797D79FE7D330ADF1BFA93951A",
        "account_hash":"2C23D15B6B549123FB351E4B5CDE81C564318EB845449CD43C3EA7953C4DB452",
        "total_coins":"99999999999996310","parent_close_time":410424200,"close_time":410424200,
        "close_time_resolution":10,"close_flags":0}},"accounts":[{"validated":true,"ledger_hash":
        "E6DB7365949BF9814D76BCC730B01818EB9136A89DB224F3F9F5AAE4569D758E","account_data":
        {"Account":"rBKPS4oLSaV2KVVuHH8EpQqMGgGefGFQs7","Balance":"370000000","Flags":0}}]}"#;
    let network = Network::XrplMain;
    let ledger = Ledger::Printed(Printed::read(network, printed.as_bytes()).unwrap());
    let hash = "E6DB7365949BF9814D76BCC730B01818EB9136A89DB224F3F9F5AAE4569D758E".parse().unwrap();
    let block = ledger.block(hash, 0).unwrap().unwrap();
    // 2013-01-02T06:43:20Z.
    assert_eq!((block.height, block.time_s), (38_129, 1_357_109_000));
    assert_eq!(ledger.block(id(), 38_129).unwrap(), None);
    let account = network.account("rBKPS4oLSaV2KVVuHH8EpQqMGgGefGFQs7").unwrap();
    let standing = ledger.standing(&block, network.native(), &account).unwrap().unwrap();
    assert_eq!((standing.units, standing.proven), (370_000_000, false));
    for length in 0..printed.len() {
        assert!(Printed::read(network, &printed.as_bytes()[..length]).is_err(), "{length}");
    }
    let check = |from: &str, to: &str, want: &str| {
        let error = Printed::read(network, printed.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    check("\"validated\":true,\"ledger\"", "\"ledger\"", "block: it is not a validated ledger");
    check("410424200,\n", "410424201,\n", "block: it is not a ledger whose fields have its hash");
    check("rBKPS4", "rBKPS5", "accounts[0]: address is none of the network");
    let from = printed.find("[{").unwrap() + 1;
    let entry = &printed[from..printed.len() - 2];
    check(entry, &format!("{entry},{entry}"), "accounts[1]: the account stands in the list twice");
}
