//! The demo's chain node: the embedded one, litecoind or bitcoind, all on regtest and loopback, all spoken to alike.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, bail};
use kuraban_chain::btc::{Block, Network, Tx};
use serde_json::{Value, json};

use super::process::{Process, free_port, wait_for};

/// Which node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum NodeChoice {
    /// A small chain of our own, in a process of its own, over the real P2P protocol.
    Embedded,
    /// Litecoin Core, from Debian.
    Litecoind,
    /// Bitcoin Core.
    Bitcoind,
}

impl NodeChoice {
    /// The word on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Litecoind => "litecoind",
            Self::Bitcoind => "bitcoind",
        }
    }

    /// The chain that it runs.
    pub(crate) const fn network(self) -> Network {
        match self {
            Self::Embedded | Self::Bitcoind => Network::BtcRegtest,
            Self::Litecoind => Network::LtcRegtest,
        }
    }
}

/// A running node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) network: Network,
    pub(super) p2p_port: u16,
    pub(super) rpc_port: u16,
    pub(super) cookie: PathBuf,
    pub(super) process: Process,
}

impl Node {
    /// Starts it in `dir` and waits until it answers.
    pub(super) fn start(dir: &Path, choice: NodeChoice, binary: &Path) -> anyhow::Result<Self> {
        let data = dir.join("node");
        fs::create_dir_all(&data)?;
        let (p2p_port, rpc_port) = (free_port()?, free_port()?);
        let mut command = Command::new(binary);
        let cookie = match choice {
            NodeChoice::Embedded => {
                command.args(["node", "embedded", "--network", "bitcoin-regtest"]);
                command.arg("--p2p").arg(format!("127.0.0.1:{p2p_port}"));
                command.arg("--rpc").arg(format!("127.0.0.1:{rpc_port}"));
                command.arg("--cookie").arg(data.join("cookie"));
                data.join("cookie")
            }
            NodeChoice::Litecoind => {
                common(&mut command, &data, p2p_port, rpc_port);
                // A third port of its own, or it takes 19444 whatever else is said; and no extension block, whose
                // activation needs a wallet.
                command.arg(format!("-bind=127.0.0.1:{}=onion", free_port()?));
                command.args(["-vbparams=mweb:-2:0", "-mempoolreplacement=1", "-disablewallet=1"]);
                data.join("regtest/.cookie")
            }
            NodeChoice::Bitcoind => {
                common(&mut command, &data, p2p_port, rpc_port);
                data.join("regtest/.cookie")
            }
        };
        let process = Process::start(dir, "node", &mut command)?;
        let mut node = Self { network: choice.network(), p2p_port, rpc_port, cookie, process };
        wait_for("the node to answer", Duration::from_secs(30), &mut [], || {
            // A node that has stopped will not answer, but its last words are worth more than the time-out.
            node.process.check().map(|()| false)?;
            node.call("getblockcount", &json!([])).map(|_| true)
        })?;
        Ok(node)
    }

    /// One RPC call.
    pub(super) fn call(&self, method: &str, params: &Value) -> anyhow::Result<Value> {
        let body = json!({ "jsonrpc": "1.0", "id": 1, "method": method, "params": params }).to_string();
        let cookie = fs::read_to_string(&self.cookie).context("the node has not written its cookie")?;
        let answer = minreq::post(format!("http://127.0.0.1:{}/", self.rpc_port))
            .with_header("Content-Type", "application/json")
            .with_header("Authorization", format!("Basic {}", base64(cookie.trim().as_bytes())))
            .with_body(body)
            .with_timeout(20)
            .send()
            .with_context(|| format!("{method}: no answer from the node"))?;
        let text = answer.as_str()?;
        let answer: Value =
            serde_json::from_str(text).with_context(|| format!("{method}: the node answered {text:.80}"))?;
        match answer.get("error") {
            Some(Value::Null) | None => Ok(answer.get("result").cloned().unwrap_or(Value::Null)),
            Some(error) => bail!("{method}: {error}"),
        }
    }

    /// Mines blocks whose reward goes to `address`.
    pub(super) fn mine(&self, blocks: u32, address: &str) -> anyhow::Result<Vec<String>> {
        let hashes = self.call("generatetoaddress", &json!([blocks, address]))?;
        Ok(serde_json::from_value(hashes)?)
    }

    /// Hands over a transaction.
    pub(super) fn send(&self, tx: &Tx) -> anyhow::Result<()> {
        let hex = kuraban_base::hex::encode(&tx.encode());
        self.call("sendrawtransaction", &json!([hex, 0])).map(|_| ())
    }

    /// The block of that hash.
    pub(super) fn block(&self, hash: &str) -> anyhow::Result<Block> {
        let hex = self.call("getblock", &json!([hash, 0]))?;
        let bytes = kuraban_base::hex::decode(hex.as_str().context("getblock: want hexadecimal")?)?;
        Ok(Block::decode(self.network, &bytes)?)
    }

    /// The ids in the node's mempool.
    pub(super) fn mempool(&self) -> anyhow::Result<Vec<String>> {
        Ok(serde_json::from_value(self.call("getrawmempool", &json!([]))?)?)
    }
}

fn common(command: &mut Command, data: &Path, p2p_port: u16, rpc_port: u16) {
    command.args(["-regtest", "-server=1", "-listen=1", "-connect=0", "-dnsseed=0", "-listenonion=0"]);
    command.args(["-discover=0", "-txindex=1", "-printtoconsole=0", "-fallbackfee=0.0001"]);
    command.args(["-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1/32"]);
    command.arg("-whitelist=noban,mempool,bloomfilter,relay,forcerelay,download,addr@127.0.0.1");
    command.arg(format!("-datadir={}", data.display()));
    command.arg(format!("-bind=127.0.0.1:{p2p_port}"));
    command.arg(format!("-port={p2p_port}")).arg(format!("-rpcport={rpc_port}"));
}

/// Base64 as HTTP's basic authentication wants it (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
