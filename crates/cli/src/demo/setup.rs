//! The demo's exchange as files: fresh keys, roster, policy, vault and one configuration per daemon, as an operator would
//! write them, in a folder that is thrown away.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use kuraban_base::hex;
use kuraban_chain::btc::{Address, Branch, Descriptor, Network, XPriv};
use kuraban_proof::{Cosigner, NoteSigner};
use kuraban_vault::{Charter, Policy, Roster, Vault, statement::StatementSecret};
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use zeroize::Zeroizing;

use super::{node::Node, process::free_port};

/// Signers; two of them must sign.
pub(super) const SIGNERS: usize = 3;
/// Receive scripts of the hot vault, each of which gets one coin.
pub(super) const COINS: u32 = 8;
/// Who requests.
pub(super) const REQUESTER: &str = "ledger";
/// Who approves, in the order of their keys.
pub(super) const PEOPLE: [&str; 3] = ["aiko", "ben", "chie"];
/// Where below its seed a signer's key for the vault lies (BIP 48, script type 2).
const PATH: &str = "48'/1'/0'/2'";

/// Loopback ports, one per listener.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    pub(super) signers: Vec<u16>,
    pub(super) watcher: u16,
    pub(super) writer: u16,
    pub(super) gate: u16,
    pub(super) nginx: u16,
}

/// The exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) ports: Ports,
    pub(super) charter: Charter,
    pub(super) descriptor: Descriptor,
    /// The signers' keys to coins: what a thief wants.
    pub(super) coin_keys: Vec<XPriv>,
    /// The exchange's ledger, which requests.
    pub(super) requester: PrivateKey,
    /// Those who approve.
    pub(super) approvers: Vec<PrivateKey>,
    pub(super) cold: Address,
    pub(super) thief: Address,
    pub(super) customers: Vec<Address>,
    /// Configuration files by daemon.
    pub(super) configs: Configs,
}

/// One configuration file per daemon.
#[derive(Clone, Debug)]
pub(super) struct Configs {
    pub(super) signers: Vec<PathBuf>,
    pub(super) watcher: PathBuf,
    pub(super) writer: PathBuf,
    pub(super) gate: PathBuf,
}

fn random() -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::getrandom(bytes.as_mut_slice()).context("the operating system gives no random bytes")?;
    Ok(bytes)
}

/// Writes a secret that only the owner can read.
fn secret(path: &Path) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let seed = random()?;
    let text = Zeroizing::new(hex::encode(seed.as_slice()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", text.as_str())?;
    Ok(seed)
}

/// A machine's folder with its secrets, and its table for the roster.
struct Made {
    folder: PathBuf,
    table: String,
}

fn machine(dir: &Path, id: &str, role: &str) -> anyhow::Result<Made> {
    let folder = dir.join(id);
    fs::create_dir_all(&folder)?;
    // Any Ed25519 key's public half is computed alike.
    let tls = *StatementSecret::from_seed(&*secret(&folder.join("tls"))?).public().as_bytes();
    let mut table =
        format!("[[machine]]\nid = \"{id}\"\nrole = \"{role}\"\ntls = \"{}\"\n", hex::encode(&tls));
    if matches!(role, "signer" | "watcher") {
        let witness = Cosigner::from_seed(id.parse()?, &*secret(&folder.join("witness"))?);
        let statement = StatementSecret::from_seed(&*secret(&folder.join("statement"))?).public();
        let statement = hex::encode(statement.as_bytes());
        table += &format!("witness = \"{}\"\nstatement = \"{statement}\"\n", witness.verifier());
    }
    Ok(Made { folder, table: table + "\n" })
}

fn person() -> anyhow::Result<PrivateKey> {
    Ok(PrivateKey::from(Ed25519Keypair::from_seed(&*random()?)))
}

fn person_table(id: &str, key: &PrivateKey) -> anyhow::Result<String> {
    Ok(format!(
        "[[person]]\nid = \"{id}\"\nkeys = [\"{}\"]\n\n",
        key.public_key().to_openssh().map_err(anyhow::Error::msg)?
    ))
}

fn own_address(network: Network) -> anyhow::Result<Address> {
    // Two of three keys that nothing in the demo ever uses: a cold vault, a customer's wallet or the thief's.
    let keys: Vec<String> = (0..3)
        .map(|_| Ok(format!("{}/<0;1>/*", XPriv::from_seed(network, random()?.as_slice())?.xpub())))
        .collect::<anyhow::Result<_>>()?;
    let descriptor = Descriptor::parse(network, &format!("wsh(sortedmulti(2,{}))", keys.join(",")))?;
    let script = descriptor.script_at(Branch::Receive, 0)?;
    Address::from_script(network, &script).context("the script has no address")
}

impl Exchange {
    /// Makes all keys and files in `dir`.
    pub(super) fn make(dir: &Path, node: &Node, evacuation: bool) -> anyhow::Result<Self> {
        let network = node.network;
        let signers: Vec<Made> = (1..=SIGNERS)
            .map(|number| machine(dir, &format!("signer-{number}"), "signer"))
            .collect::<anyhow::Result<_>>()?;
        let (watcher, writer, gate) = (
            machine(dir, "watcher-1", "watcher")?,
            machine(dir, "writer", "writer")?,
            machine(dir, "gate-1", "gate")?,
        );
        let log = NoteSigner::from_seed("kuraban.demo/log".parse()?, &*secret(&writer.folder.join("log"))?);
        let (requester, approvers) = (person()?, vec![person()?, person()?, person()?]);

        let mut roster =
            format!("[log]\nvkey = \"{}\"\nwitnesses_min = 3\nfaulty_max = 1\n\n", log.verifier());
        roster += &person_table(REQUESTER, &requester)?;
        for (id, key) in PEOPLE.iter().zip(&approvers) {
            roster += &person_table(id, key)?;
        }
        roster += "[[group]]\nid = \"treasury\"\nmembers = [\"aiko\", \"ben\", \"chie\"]\n\n";
        for made in signers.iter().chain([&watcher, &writer, &gate]) {
            roster += &made.table;
        }
        let coin_keys: Vec<XPriv> = signers
            .iter()
            .map(|made| {
                let seed = secret(&made.folder.join("coin"))?;
                Ok(XPriv::from_seed(network, seed.as_slice())?.derive(PATH)?)
            })
            .collect::<anyhow::Result<_>>()?;
        let keys: Vec<String> = coin_keys.iter().map(|key| format!("{}/<0;1>/*", key.xpub())).collect();
        let vault = format!(
            "id = \"hot\"\nnetwork = \"{network}\"\ntier = \"hot\"\nowner = \"customers\"\n\
             descriptor = \"wsh(sortedmulti(2,{}))\"\nreceive_count = {COINS}\ndepth_min = 1\n",
            keys.join(",")
        );
        let (cold, thief) = (own_address(network)?, own_address(network)?);
        let customers: Vec<Address> = (0..5).map(|_| own_address(network)).collect::<anyhow::Result<_>>()?;
        let policy = policy(&cold, evacuation);
        for (name, text) in [("roster.toml", &roster), ("policy.toml", &policy), ("hot.toml", &vault)] {
            fs::write(dir.join(name), text)?;
        }
        let vault = Vault::from_toml(&vault)?;
        let descriptor = vault.descriptor.clone();
        let charter = Charter::new(Roster::from_toml(&roster)?, Policy::from_toml(&policy)?, vec![vault])?;
        let ports = Ports {
            signers: (0..SIGNERS).map(|_| free_port()).collect::<anyhow::Result<_>>()?,
            watcher: free_port()?,
            writer: free_port()?,
            gate: free_port()?,
            nginx: free_port()?,
        };
        let configs = configs(node, &ports, &signers, [&watcher, &writer, &gate])?;
        Ok(Self {
            ports,
            charter,
            descriptor,
            coin_keys,
            requester,
            approvers,
            cold,
            thief,
            customers,
            configs,
        })
    }
}

fn policy(cold: &Address, evacuation: bool) -> String {
    let order = format!("[[evacuation]]\nvault = \"hot\"\ndestination = \"{cold}\"\nfee_max = 20000000\n\n");
    let order = if evacuation { order } else { String::new() };
    format!(
        "[[rule]]\nid = \"customers\"\nvaults = [\"hot\"]\nkinds = [\"customer-withdrawal\"]\n\
         amount_max = 500000000\ndestinations = \"any\"\n\
         approvals = [{{ group = \"treasury\", count = 2 }}]\n\n\
         [[rule]]\nid = \"rebalance\"\nvaults = [\"hot\"]\nkinds = [\"rebalance\"]\ndestinations = [\"{cold}\"]\n\
         approvals = [{{ group = \"treasury\", count = 3 }}]\n\n\
         [[limit]]\nvault = \"hot\"\nper_payout_max = 600000000\nrolling_24h_max = 20000000000\nfee_max = 1000000\n\
         fee_rate_max = 500000\n\n\
         {order}[[reset]]\ngroup = \"treasury\"\ncount = 2\n"
    )
}

/// What every daemon with a store and a charter of its own has.
const STORED: &str = "store = \"store.redb\"\nroster = \"../roster.toml\"\npolicy = \"../policy.toml\"\n\
                      vaults = [\"../hot.toml\"]\n";

fn configs(node: &Node, ports: &Ports, signers: &[Made], others: [&Made; 3]) -> anyhow::Result<Configs> {
    let [watcher, writer, gate] = others;
    let network = node.network;
    let head = |id: &str, port: u16| format!("machine = \"{id}\"\nlisten = \"127.0.0.1:{port}\"\n");
    let own = "[secrets]\ntls = \"tls\"\nwitness = \"witness\"\nstatement = \"statement\"\n\n";
    let peer = |role: &str, id: &str, port: u16| {
        format!("[[{role}]]\nmachine = \"{id}\"\naddress = \"127.0.0.1:{port}\"\n\n")
    };
    let mut paths = Vec::new();
    let mut peers = String::new();
    for (index, (made, port)) in signers.iter().zip(&ports.signers).enumerate() {
        let id = format!("signer-{}", index.saturating_add(1));
        peers += &peer("signer", &id, *port);
        let coin = format!(
            "[[coin]]\nvault = \"hot\"\nnetwork = \"{network}\"\npath = \"{PATH}\"\nsecret = \"coin\"\n"
        );
        paths.push(write(made, &format!("{}{STORED}{own}{coin}", head(&id, *port)))?);
    }
    let watchers = peer("watcher", "watcher-1", ports.watcher);
    let (watch_node, guard_node) = (node_table(node, false), node_table(node, true));
    let watch = format!("{}{STORED}{own}{watch_node}{peers}", head("watcher-1", ports.watcher));
    let guard = format!(
        "{}{STORED}retention_days = 3653\n[secrets]\ntls = \"tls\"\nlog = \"log\"\n\n{guard_node}{peers}{watchers}",
        head("writer", ports.writer)
    );
    let gates = format!(
        "{}roster = \"../roster.toml\"\n[secrets]\ntls = \"tls\"\n\n{watchers}",
        head("gate-1", ports.gate)
    );
    Ok(Configs {
        signers: paths,
        watcher: write(watcher, &watch)?,
        writer: write(writer, &guard)?,
        gate: write(gate, &gates)?,
    })
}

/// How a daemon reaches the node: over P2P, and the writer over RPC too, for estimates and to hand transactions over.
fn node_table(node: &Node, rpc: bool) -> String {
    let p2p = format!(
        "[[node]]\nnetwork = \"{}\"\np2p = \"127.0.0.1:{}\"\nbirthday_height = 0\nbirthday_hash = \"{}\"\n\
         poll_ms = 500\nstall_ms = 5000\nblock_ms_max = 600000\n",
        node.network,
        node.p2p_port,
        node.network.genesis_hash()
    );
    let rpc = if rpc {
        let cookie = node.cookie.display();
        format!("rpc = \"127.0.0.1:{}\"\nrpc_auth = \"{cookie}\"\nfee_rate = 10000\n", node.rpc_port)
    } else {
        String::new()
    };
    format!("{p2p}{rpc}\n")
}

fn write(made: &Made, text: &str) -> anyhow::Result<PathBuf> {
    let path = made.folder.join("config.toml");
    fs::write(&path, text)?;
    Ok(path)
}
