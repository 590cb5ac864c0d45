//! The files of a small guarded exchange with one watcher and one gate, and the chain that its vault stands on.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use kuraban_base::hex;
use kuraban_chain::btc::{Address, Block, BlockHash, Branch, OutPoint, Script, Tx, TxOut};
use kuraban_link::{Connection, Identity, connect};
use kuraban_node::rpc::{Auth, Rpc, Sent};
use kuraban_vault::{Charter, Policy, Roster, Vault, statement::StatementSecret};
use tempfile::TempDir;

use crate::{
    conformance, kit,
    process::{LONG, Process, ask, free, kuraban},
};

/// The gate's number; those of the others are the kit's.
pub(crate) const GATE: u8 = 9;
pub(crate) const WATCHER: u8 = 4;
pub(crate) const WRITER: u8 = 0;
/// After so long without progress the node has stalled.
pub(crate) const STALL: Duration = Duration::from_millis(1_000);

pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_seed(&kit::seed(number, 0xb4))
}

/// The kit's roster with a gate.
pub(crate) fn roster_toml() -> String {
    roster_toml_of(0)
}

fn roster_toml_of(first: u8) -> String {
    let tls = hex::encode(&identity(first + GATE).public());
    kit::roster_toml_of(first) + &format!("[[machine]]\nid = \"gate-1\"\nrole = \"gate\"\ntls = \"{tls}\"\n")
}

pub(crate) fn charter() -> Arc<Charter> {
    let roster = Roster::from_toml(&roster_toml()).unwrap();
    let policy = Policy::from_toml(&kit::policy_toml()).unwrap();
    Arc::new(Charter::new(roster, policy, vec![Vault::from_toml(&kit::hot_toml()).unwrap()]).unwrap())
}

/// Folders and addresses.
pub(crate) struct Place {
    folder: TempDir,
    /// From where on its people and machines are numbered.
    pub(crate) first: u8,
    /// Where the watcher listens for machines.
    pub(crate) watch: SocketAddr,
    /// Where the watcher answers operators.
    pub(crate) page: SocketAddr,
    /// Where the gate answers.
    pub(crate) gate: SocketAddr,
    /// Where the first signer would listen; nobody does at the others'.
    pub(crate) signer: SocketAddr,
}

impl Place {
    /// The files, with a node at this address.
    pub(crate) fn new(node: &str) -> Self {
        Self::of(0, node)
    }

    /// The files of an exchange whose people and machines are numbered from `first` on.
    pub(crate) fn of(first: u8, node: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder, first, watch: free(), page: free(), gate: free(), signer: free() };
        for (name, text) in [
            ("roster.toml", roster_toml_of(first)),
            ("policy.toml", kit::policy_toml()),
            ("hot.toml", kit::hot_toml_of(first)),
            ("watch.toml", place.watch_toml(node)),
            ("gate.toml", place.gate_toml()),
        ] {
            place.write(name, &text);
        }
        for (name, number, purpose) in [
            ("watch.tls", WATCHER, 0xb4),
            ("watch.witness", WATCHER, 0xb1),
            ("watch.statement", WATCHER, 0xb2),
            ("gate.tls", GATE, 0xb4),
        ] {
            place.write_secret(name, &hex::encode(&kit::seed(first + number, purpose)));
        }
        place
    }

    pub(crate) fn watch_toml(&self, node: &str) -> String {
        let nobody = free();
        let Self { watch, page, signer, .. } = self;
        let genesis = kit::NETWORK.genesis_hash();
        let stall_ms = STALL.as_millis();
        format!(
            "machine = \"watcher-1\"\nlisten = \"{watch}\"\nhttp = \"{page}\"\nstore = \"watch.redb\"\n\
             roster = \"roster.toml\"\npolicy = \"policy.toml\"\nvaults = [\"hot.toml\"]\n\
             [secrets]\ntls = \"watch.tls\"\nwitness = \"watch.witness\"\nstatement = \"watch.statement\"\n\
             [[node]]\nnetwork = \"{}\"\np2p = \"{node}\"\nbirthday_height = 0\nbirthday_hash = \"{genesis}\"\n\
             poll_ms = 100\nstall_ms = {stall_ms}\nblock_ms_max = 3600000\n\
             [[signer]]\nmachine = \"signer-1\"\naddress = \"{signer}\"\n\
             [[signer]]\nmachine = \"signer-2\"\naddress = \"{nobody}\"\n\
             [[signer]]\nmachine = \"signer-3\"\naddress = \"{nobody}\"\n",
            kit::NETWORK
        )
    }

    pub(crate) fn gate_toml(&self) -> String {
        let Self { watch, gate, .. } = self;
        format!(
            "machine = \"gate-1\"\nlisten = \"{gate}\"\nroster = \"roster.toml\"\n[secrets]\ntls = \"gate.tls\"\n\
             [[watcher]]\nmachine = \"watcher-1\"\naddress = \"{watch}\"\n"
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn write_secret(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).unwrap();
    }

    /// Creates the watcher's store.
    pub(crate) fn init_watch(&self) {
        let (status, said) = crate::process::ended(&["watch", "init"], &self.path("watch.toml"));
        assert_eq!(status, Some(0), "{said}");
    }

    pub(crate) fn start_watch(&self) -> Process {
        Process::role("watch", &self.path("watch.toml"))
    }

    pub(crate) fn start_gate(&self) -> Process {
        let gate = Process::role("gate", &self.path("gate.toml"));
        gate.event("started");
        gate
    }

    /// A link to the watcher as that machine.
    pub(crate) fn link(&self, number: u8) -> Connection {
        connect(self.watch, &identity(number), &identity(WATCHER).public(), LONG).unwrap()
    }

    /// What the gate answers about withdrawals; 0 where it does not.
    pub(crate) fn withdrawals(&self) -> u16 {
        ask(self.gate, "GET", "/v1/permits/withdrawal/BTC").map_or(0, |answer| answer.status)
    }
}

/// The embedded node as a process, with coins of the vault that can be spent.
pub(crate) struct Node {
    pub(crate) process: Process,
    pub(crate) p2p: String,
    pub(crate) rpc: Rpc,
    _folder: TempDir,
    coins: Vec<Tx>,
}

impl Node {
    /// A node whose first three blocks pay to the vault's first three scripts.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cookie = folder.path().join("cookie");
        let mut command = Command::new(kuraban());
        command.args(["node", "embedded", "--network", kit::NETWORK.name(), "--rpc", "127.0.0.1:0"]);
        let mut process = Process::start("node", command.arg("--cookie").arg(&cookie));
        let said: serde_json::Value = serde_json::from_str(&process.first_line()).unwrap();
        let address = |name: &str| said[name].as_str().unwrap().to_owned();
        let rpc = Rpc::new(kit::NETWORK, &address("rpc"), Auth { file: cookie }, LONG);
        let mut node = Self { process, p2p: address("p2p"), rpc, _folder: folder, coins: Vec::new() };
        for index in 0..3 {
            let script = kit::descriptor().script_at(Branch::Receive, index).unwrap();
            let hash = node.mine(1, &script).remove(0);
            node.coins.push(node.coinbase(hash));
        }
        node.mine(100, &kit::address(0xee).script());
        node
    }

    pub(crate) fn mine(&self, blocks: u32, script: &Script) -> Vec<BlockHash> {
        let address = Address::from_script(kit::NETWORK, script).unwrap();
        self.rpc.generate(blocks, &address.to_string()).unwrap()
    }

    /// A block's first transaction.
    fn coinbase(&self, hash: BlockHash) -> Tx {
        self.block(hash).txs[0].clone()
    }

    /// A block.
    pub(crate) fn block(&self, hash: BlockHash) -> Block {
        let node = conformance::Node { network: kit::NETWORK, p2p: self.p2p.clone(), rpc: self.rpc.clone() };
        node.connect().block(hash)
    }

    /// A theft of the vault's coin at `index` by whoever holds the keys of signers 1 and 2.
    pub(crate) fn theft(&self, index: u32) -> Tx {
        let coin = &self.coins[usize::try_from(index).unwrap()];
        let spent = vec![coin.outputs[0].clone()];
        let outpoint = OutPoint { txid: coin.txid(), vout: 0 };
        let value_sat = spent[0].value_sat - 10_000;
        let loot = TxOut { value_sat, script: kit::address(0x66).script() };
        kit::steal(kit::tx(vec![outpoint], vec![loot]), &spent, (Branch::Receive, index), &[1, 2])
    }

    /// Hands a transaction to the node.
    pub(crate) fn send(&self, tx: &Tx) {
        assert!(matches!(self.rpc.send(tx).unwrap(), Sent::Pooled));
    }
}

/// The watcher's secret for statements, as a double of it would hold it.
pub(crate) fn statement() -> StatementSecret {
    kit::statement(WATCHER)
}
