//! The embedded node in a process of its own: the suite that real daemons pass, and what only it promises.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use kuraban_chain::btc::Network;
use kuraban_node::{
    p2p::{Client, Closed, Event, Settings},
    rpc::{Auth, Rpc, RpcError},
};
use tempfile::TempDir;

use crate::conformance::{self, Node, Vault};

/// The process; killed when dropped.
pub(crate) struct Embedded {
    child: Child,
    folder: TempDir,
    network: Network,
    p2p: String,
    rpc: String,
}

fn command(network: Network, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuraban"));
    command.args(["node", "embedded", "--network", network.name()]).args(more).stdin(Stdio::null());
    command
}

impl Embedded {
    pub(crate) fn start(network: Network, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cookie = folder.path().join("cookie");
        let mut child = command(network, more)
            .args(["--rpc", "127.0.0.1:0", "--cookie"])
            .arg(&cookie)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let text = |key: &str| said[key].as_str().unwrap().to_owned();
        assert_eq!(text("network"), network.name());
        assert_eq!(said["pid"], child.id());
        Self { p2p: text("p2p"), rpc: text("rpc"), child, folder, network }
    }

    pub(crate) fn node(&self) -> Node {
        let auth = Auth { file: self.cookie() };
        let rpc = Rpc::new(self.network, &self.rpc, auth, Duration::from_secs(30));
        Node { network: self.network, p2p: self.p2p.clone(), rpc }
    }

    fn cookie(&self) -> PathBuf {
        self.folder.path().join("cookie")
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn check(holds: fn(&Node)) {
    for network in [Network::BtcRegtest, Network::LtcRegtest] {
        holds(&Embedded::start(network, &[]).node());
    }
}

#[test]
fn the_embedded_node_is_followed_block_by_block() {
    check(conformance::blocks_are_followed);
}

#[test]
fn the_embedded_node_carries_transactions_from_peer_to_peer() {
    check(conformance::transactions_travel);
}

#[test]
fn the_embedded_node_reorganises() {
    check(conformance::reorganisations_are_told);
}

#[test]
fn the_embedded_node_answers_calls() {
    check(conformance::calls_are_answered);
}

#[test]
fn the_embedded_node_is_found_again() {
    check(conformance::connections_are_made_anew);
}

#[test]
fn blocks_come_by_themselves_when_told_to() {
    let network = Network::BtcRegtest;
    let vault = Vault::new(network);
    let address = kuraban_chain::btc::Address::from_script(network, &vault.script(0)).unwrap().to_string();
    let node = Embedded::start(network, &["--block-ms", "5", "--pay-to", &address]);
    let (_client, events) = Client::start(Settings::near(network, node.p2p.clone())).unwrap();
    let mut blocks = 0;
    // Nothing was asked for, so blocks are announced by name or header as they come.
    while blocks < 3 {
        match events.recv_timeout(Duration::from_secs(30)).unwrap().event {
            Event::InvBlock(hashes) => blocks += hashes.len(),
            Event::Headers(headers) => blocks += headers.len(),
            _ => {}
        }
    }
    let hash = node.node().rpc.best_hash().unwrap();
    vault.coin(&node.node(), hash, 0);
}

#[test]
fn a_node_that_is_gone_is_found_when_it_is_back() {
    let network = Network::BtcRegtest;
    let first = Embedded::start(network, &[]);
    let address = first.p2p.clone();
    let (_client, events) = Client::start(Settings::near(network, address.clone())).unwrap();
    let next = || events.recv_timeout(Duration::from_secs(30)).unwrap().event;
    let wait = |want: fn(&Event) -> bool| while !want(&next()) {};
    wait(|event| matches!(event, Event::Ready(_)));
    drop(first);
    wait(|event| matches!(event, Event::Closed(Closed::ByNode | Closed::Socket(_))));
    wait(|event| matches!(event, Event::Closed(Closed::Connect { .. })));
    let _second = Embedded::start(network, &["--p2p", &address]);
    wait(|event| matches!(event, Event::Ready(_)));
}

#[test]
fn another_network_is_noticed() {
    let node = Embedded::start(Network::BtcRegtest, &[]);
    let (_client, events) = Client::start(Settings::near(Network::BtcMain, node.p2p.clone())).unwrap();
    // The node hangs up on bytes of another network, and says nothing.
    let event = events.recv_timeout(Duration::from_secs(30)).unwrap().event;
    assert!(matches!(event, Event::Closed(Closed::ByNode | Closed::Socket(_))), "{event:?}");
}

#[test]
fn only_who_knows_the_cookie_may_call() {
    let node = Embedded::start(Network::BtcRegtest, &[]);
    let other = TempDir::new().unwrap();
    let file = other.path().join("cookie");
    std::fs::copy(node.cookie(), &file).unwrap();
    let rpc = Rpc::new(node.network, &node.rpc, Auth { file: file.clone() }, Duration::from_secs(5));
    assert!(rpc.best_height().is_ok());
    std::fs::write(&file, "__cookie__:wrong").unwrap();
    let error = rpc.best_height().unwrap_err();
    assert!(matches!(error, RpcError::Unauthorised { method: "getblockcount" }), "{error}");
}

#[test]
fn http_that_is_not_spoken_is_refused() {
    let node = Embedded::start(Network::BtcRegtest, &[]);
    let cookie = std::fs::read_to_string(node.cookie()).unwrap();
    let key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, cookie);
    let ask = |request: &str| {
        let mut socket = TcpStream::connect(&node.rpc).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    let check = |request: &str, want: &str| {
        let answer = ask(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {want}")), "{request:?}: {answer}");
    };
    let auth = format!("Authorization: Basic {key}\r\n");
    let post = |length: usize, body: &str| {
        format!("POST / HTTP/1.1\r\n{auth}Content-Length: {length}\r\n\r\n{body}")
    };
    check(&post(2, "{}"), "400");
    check(&post(2, "no"), "500");
    check(&post(3, "{}"), "400");
    check(&post(8_100_001, "{}"), "413");
    check("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "401");
    check(&format!("GET / HTTP/1.1\r\n{auth}\r\n"), "400");
    check(&format!("POST / HTTP/1.1\r\n{auth}\r\n"), "400");
    check("nonsense", "400");
    check(&format!("POST / HTTP/1.1\r\nX: {}", "x".repeat(20_000)), "400");
    let unknown = r#"{"method":"getwalletinfo","params":[],"id":1}"#;
    let answer = ask(&post(unknown.len(), unknown));
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("-32601"), "{answer}");
    let beyond = r#"{"method":"getblockhash","params":[1],"id":1}"#;
    let answer = ask(&post(beyond.len(), beyond));
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("Block height out of range"), "{answer}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let check = |output: Output, status: i32, want: &str| {
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{error}");
        assert!(error.contains(want), "{error}");
    };
    let run = |network, more: &[&str]| command(network, more).output().unwrap();
    check(run(Network::BtcMain, &[]), 3, "bitcoin-main cannot be embedded");
    check(run(Network::BtcRegtest, &["--p2p", "0.0.0.0:0"]), 3, "0.0.0.0:0 is not a loopback address");
    check(run(Network::BtcRegtest, &["--block-ms", "5", "--pay-to", "bc1"]), 3, "--pay-to");
    check(run(Network::BtcRegtest, &["--block-ms", "0"]), 2, "--block-ms");
    check(run(Network::BtcRegtest, &["--rpc", "127.0.0.1:0"]), 2, "--cookie");
    check(run(Network::BtcRegtest, &["--colour"]), 2, "--colour");
}
