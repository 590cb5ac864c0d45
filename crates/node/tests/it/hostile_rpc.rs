//! The JSON-RPC client against servers that answer too much, too late, or something else.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, Instant},
};

use kuraban_chain::btc::Network;
use kuraban_node::rpc::{ANSWER_BYTES_MAX, Auth, FeeEstimate, Rpc, RpcError};

/// Calls with a client whose server acts so once the call has come.
fn call<T>(
    act: impl FnOnce(TcpStream) + Send + 'static,
    call: impl FnOnce(&Rpc) -> Result<T, RpcError>,
) -> Result<T, RpcError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "user:password\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(socket.try_clone().unwrap());
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            lines.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        lines.take(length).read_to_end(&mut Vec::new()).unwrap();
        act(socket);
    });
    let rpc = Rpc::new(Network::BtcRegtest, &address, Auth { file }, Duration::from_millis(900));
    let result = call(&rpc);
    server.join().unwrap();
    result
}

fn answering(status: &'static str, body: &'static str) -> impl FnOnce(TcpStream) + Send + 'static {
    move |mut socket| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    }
}

#[test]
fn answers_are_bounded_in_size() {
    let flood = |mut socket: TcpStream| {
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let some = vec![b' '; 1 << 20];
        for _ in 0..=ANSWER_BYTES_MAX >> 20 {
            // The client goes away once it has enough.
            if socket.write_all(&some).is_err() {
                return;
            }
        }
    };
    let error = call(flood, Rpc::best_height).unwrap_err();
    assert_eq!(error.to_string(), "getblockcount: answer has more than 33554432 bytes");
}

#[test]
fn answers_are_bounded_in_time() {
    let start = Instant::now();
    // Nothing, until the client goes away.
    let silent = |mut socket: TcpStream| drop(socket.read_to_end(&mut Vec::new()));
    let error = call(silent, Rpc::best_height).unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { method: "getblockcount", .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn answers_have_their_form() {
    let check = |status, body, want: &str| {
        let error = call(answering(status, body), Rpc::best_height).unwrap_err();
        assert_eq!(error.to_string(), want);
    };
    let form = "getblockcount: answer (HTTP 200) is not a JSON-RPC answer to this call";
    check("200 OK", "", form);
    check("200 OK", "<html></html>", form);
    check("200 OK", r#"{"result":1,"error":null,"id":"getblockhash"}"#, form);
    let form = "getblockcount: answer (HTTP 200) is not of the form that the method has";
    check("200 OK", r#"{"result":-1,"error":null,"id":"getblockcount"}"#, form);
    let form = "getblockcount: answer (HTTP 302) is not a JSON-RPC answer to this call";
    check("302 Found\r\nLocation: http://127.0.0.1:1/", "", form);
    let unauthorised = "getblockcount: node does not accept user and password (HTTP 401)";
    check("401 Unauthorized", "", unauthorised);
    check(
        "500 Internal Server Error",
        r#"{"result":null,"error":{"code":-28,"message":"Loading block index"},"id":"getblockcount"}"#,
        "getblockcount: node says \"Loading block index\" (code -28)",
    );
}

#[test]
fn fee_rates_are_read_from_their_digits() {
    let check = |body, want: Result<u64, ()>| {
        let got = call(answering("200 OK", body), |rpc| rpc.estimate_fee(2));
        let want = want.map(|sat_per_kvb| FeeEstimate::Rate { sat_per_kvb });
        assert_eq!(got.map_err(|error| assert!(matches!(error, RpcError::Form { .. }), "{error}")), want);
    };
    let found = r#"{"result":{"feerate":0.00013673,"blocks":2},"error":null,"id":"estimatesmartfee"}"#;
    check(found, Ok(13_673));
    // Not exact as a binary fraction.
    check(r#"{"result":{"feerate":0.00000029,"blocks":2},"error":null,"id":"estimatesmartfee"}"#, Ok(29));
    check(r#"{"result":{"feerate":-1,"blocks":2},"error":null,"id":"estimatesmartfee"}"#, Err(()));
    check(r#"{"result":{"feerate":1e9,"blocks":2},"error":null,"id":"estimatesmartfee"}"#, Err(()));
    check(r#"{"result":{"feerate":"0.1","blocks":2},"error":null,"id":"estimatesmartfee"}"#, Err(()));
}
