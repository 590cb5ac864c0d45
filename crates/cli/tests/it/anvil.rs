//! A real Ethereum node for tests, started on loopback and killed by its process id: Foundry's anvil.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::daemon::free_ports;

const START_WITHIN: Duration = Duration::from_secs(60);

/// The node; killed when dropped. Its accounts are its own: it signs for them when asked to.
pub(crate) struct Anvil {
    child: Child,
    pub(crate) place: String,
}

impl Anvil {
    /// Starts it and waits until it answers; `None` where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let named = std::env::var_os("KURABAN_ANVIL").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|folder| folder.join("anvil"));
        let Some(binary) = named.into_iter().chain(on_path).find(|file| file.is_file()) else {
            println!("skipped: anvil is not installed");
            return None;
        };
        let [port, ..] = free_ports();
        let mut command = Command::new(binary);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--accounts", "3", "--silent"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut anvil = Self { child, place: format!("127.0.0.1:{port}") };
        let start = Instant::now();
        while anvil.send("eth_chainId", &json!([])).is_none() {
            assert!(anvil.child.try_wait().unwrap().is_none(), "anvil ends as soon as it starts");
            assert!(start.elapsed() < START_WITHIN, "anvil does not start");
            // It tells nobody when it is ready.
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Some(anvil)
    }

    fn send(&self, method: &str, params: &Value) -> Option<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = minreq::post(format!("http://{}/", self.place)).with_timeout(30);
        let answer = request.with_header("content-type", "application/json").with_body(body).send().ok()?;
        serde_json::from_slice(answer.as_bytes()).ok()
    }

    /// The result of a call.
    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.send(method, &params).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Its accounts.
    pub(crate) fn accounts(&self) -> Vec<String> {
        serde_json::from_value(self.ask("eth_accounts", json!([]))).unwrap()
    }

    /// Sends a transaction and waits until it is in a block.
    pub(crate) fn transact(&self, transaction: Value) -> Value {
        let hash = self.ask("eth_sendTransaction", json!([transaction]));
        let start = Instant::now();
        let mut receipt = Value::Null;
        while receipt.is_null() {
            assert!(start.elapsed() < START_WITHIN, "{hash} is in no block");
            receipt = self.ask("eth_getTransactionReceipt", json!([hash]));
        }
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    /// The newest block.
    pub(crate) fn newest(&self) -> Value {
        self.ask("eth_getBlockByNumber", json!(["latest", false]))
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
