//! Real daemons, started on loopback in a folder of their own and killed by their process id.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kuraban_chain::btc::Network;
use kuraban_node::rpc::{Auth, Rpc, RpcError};
use tempfile::TempDir;

use crate::conformance::Node;

/// `RPC_IN_WARMUP`.
const CODE_WARMING_UP: i64 = -28;
const START_WITHIN: Duration = Duration::from_secs(60);

/// Which daemon.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Litecoind,
    Bitcoind,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Litecoind => "litecoind",
            Self::Bitcoind => "bitcoind",
        }
    }

    pub(crate) fn network(self) -> Network {
        match self {
            Self::Litecoind => Network::LtcRegtest,
            Self::Bitcoind => Network::BtcRegtest,
        }
    }

    /// Named by the environment, or on the path.
    fn binary(self) -> Option<PathBuf> {
        let variable = match self {
            Self::Litecoind => "KURABAN_LITECOIND",
            Self::Bitcoind => "KURABAN_BITCOIND",
        };
        let named = std::env::var_os(variable).map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|folder| folder.join(self.name()));
        named.into_iter().chain(on_path).find(|file| file.is_file())
    }
}

/// A daemon; killed when dropped.
pub(crate) struct Daemon {
    kind: Kind,
    child: Child,
    folder: TempDir,
    p2p: u16,
    rpc: u16,
}

impl Daemon {
    /// Starts it and waits until it answers; `None` where it is not installed.
    pub(crate) fn start(kind: Kind, more: &[String]) -> Option<Self> {
        let binary = kind.binary()?;
        // A port that was free may be taken by the time the daemon wants it.
        let started = (0..5).find_map(|_| Self::spawn(kind, &binary, more).wait());
        Some(started.unwrap_or_else(|| panic!("{} ends as soon as it starts", kind.name())))
    }

    fn spawn(kind: Kind, binary: &Path, more: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [p2p, rpc, onion] = free_ports();
        let mut command = Command::new(binary);
        command
            .args(["-regtest", "-server=1", "-listen=1", "-dnsseed=0", "-listenonion=0", "-discover=0"])
            .args(["-txindex=1", "-printtoconsole=0", "-fallbackfee=0.0001"])
            .args(["-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1/32"])
            // Without it, transactions would be announced only after seconds.
            .arg("-whitelist=noban,mempool,bloomfilter,relay,forcerelay,download,addr@127.0.0.1")
            .arg(format!("-datadir={}", folder.path().display()))
            .args([format!("-bind=127.0.0.1:{p2p}"), format!("-port={p2p}"), format!("-rpcport={rpc}")]);
        match kind {
            // It opens a port for onions whatever it is told, and cannot mine over the start of MWEB.
            Kind::Litecoind => command.arg(format!("-bind=127.0.0.1:{onion}=onion")).args([
                "-vbparams=mweb:-2:0",
                "-mempoolreplacement=1",
                "-disablewallet=1",
            ]),
            Kind::Bitcoind => &mut command,
        };
        if !more.iter().any(|option| option.starts_with("-connect=")) {
            command.arg("-connect=0");
        }
        let child = command.args(more).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { kind, child, folder, p2p, rpc }
    }

    /// Where it writes its user and password.
    pub(crate) fn cookie(&self) -> PathBuf {
        self.folder.path().join("regtest").join(".cookie")
    }

    pub(crate) fn node(&self) -> Node {
        let auth = Auth { file: self.cookie() };
        let address = format!("127.0.0.1:{}", self.rpc);
        let network = self.kind.network();
        let rpc = Rpc::new(network, &address, auth, Duration::from_secs(30));
        Node { network, p2p: format!("127.0.0.1:{}", self.p2p), rpc }
    }

    /// Itself once it answers; `None` if it ends instead.
    fn wait(mut self) -> Option<Self> {
        let rpc = self.node().rpc;
        let start = Instant::now();
        loop {
            match rpc.best_height() {
                Ok(_) => return Some(self),
                Err(RpcError::Auth { .. } | RpcError::Unreachable { .. }) => {}
                Err(RpcError::Node { code: CODE_WARMING_UP, .. }) => {}
                Err(error) => panic!("{} does not start: {error}", self.kind.name()),
            }
            if self.child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(start.elapsed() < START_WITHIN, "{} does not start", self.kind.name());
            // It tells nobody when it is ready.
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ports that were free a moment ago, below those that systems give to outgoing connections.
pub(crate) fn free_ports() -> [u16; 3] {
    let mut listeners: Vec<TcpListener> = Vec::new();
    while listeners.len() < 3 {
        let number = RandomState::new().build_hasher().finish();
        let port = 10_000 + u16::try_from(number % 20_000).unwrap();
        listeners.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    ports.try_into().unwrap()
}
