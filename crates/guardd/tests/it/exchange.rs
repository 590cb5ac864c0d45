//! A whole exchange as processes: writer, three signers, watcher, node; and people who ask and approve over HTTP.

use std::{
    net::SocketAddr,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use kuraban_api as api;
use kuraban_base::{Amount, Instant, hex};
use kuraban_chain::btc::{Block, Script, TxOut};
use kuraban_vault::{APPROVE, Payout, REQUEST};
use serde_json::Value;

use crate::{
    conformance, kit,
    place::{Node, Place, WRITER, charter},
    process::{Answer, Process, beside, ended, free, request, until},
};

pub(crate) fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Instant::from_ms(u64::try_from(since.as_millis()).unwrap())
}

/// The writer with its files, and where the others are or would be.
pub(crate) struct Writer {
    pub(crate) place: Place,
    pub(crate) http: SocketAddr,
    signers: [SocketAddr; 3],
    begun: Instant,
}

impl Writer {
    /// The files of a writer whose node is at this address, its store, and nobody else yet.
    pub(crate) fn new(node: &str) -> Self {
        let writer = Self::without_store(node);
        let (status, said) = ended(&["guard", "init"], &writer.place.path("guard.toml"));
        assert_eq!(status, Some(0), "{said}");
        writer
    }

    pub(crate) fn without_store(node: &str) -> Self {
        Self::of(0, node)
    }

    /// The files of a writer whose exchange is numbered from `first` on, without a store.
    pub(crate) fn of(first: u8, node: &str) -> Self {
        let (place, signers) = (Place::of(first, node), [free(), free(), free()]);
        let writer = Self { place, http: free(), signers, begun: now() };
        writer.place.write("guard.toml", &writer.toml(node));
        writer.place.write_secret("guard.tls", &hex::encode(&kit::seed(first + WRITER, 0xb4)));
        writer.place.write_secret("guard.log", &hex::encode(&kit::seed(first + WRITER, 0xb0)));
        writer
    }

    pub(crate) fn toml(&self, node: &str) -> String {
        let Self { place, http, .. } = self;
        let genesis = kit::NETWORK.genesis_hash();
        format!(
            "machine = \"writer\"\nlisten = \"{http}\"\nstore = \"guard.redb\"\nretention_days = 3650\n\
             roster = \"roster.toml\"\npolicy = \"policy.toml\"\nvaults = [\"hot.toml\"]\n\
             [secrets]\ntls = \"guard.tls\"\nlog = \"guard.log\"\n\
             [[node]]\nnetwork = \"{}\"\np2p = \"{node}\"\nbirthday_height = 0\nbirthday_hash = \"{genesis}\"\n\
             poll_ms = 100\nstall_ms = 1000\nblock_ms_max = 3600000\nfee_rate = 2000\n{}\
             [[watcher]]\nmachine = \"watcher-1\"\naddress = \"{}\"\n",
            kit::NETWORK,
            self.signers_toml(),
            place.watch
        )
    }

    fn signers_toml(&self) -> String {
        let one = |(number, address): (u8, &SocketAddr)| {
            format!("[[signer]]\nmachine = \"signer-{number}\"\naddress = \"{address}\"\n")
        };
        (1..).zip(&self.signers).map(one).collect()
    }

    /// Starts the writer and waits until it answers.
    pub(crate) fn start(&self) -> Process {
        let process = Process::role("guard", &self.place.path("guard.toml"));
        until("the writer answers", || self.get("/healthz").is_some_and(|answer| answer.status == 200));
        process
    }

    /// Makes and starts a signer.
    pub(crate) fn signer(&self, number: u8) -> Process {
        let at = usize::from(number) - 1;
        for (name, purpose) in [("tls", 0xb4), ("witness", 0xb1), ("statement", 0xb2), ("coin", 0xb3)] {
            let seed = hex::encode(&kit::seed(self.place.first + number, purpose));
            self.place.write_secret(&format!("signer-{number}.{name}"), &seed);
        }
        let own = |name: &str| format!("signer-{number}.{name}");
        let toml = format!(
            "machine = \"signer-{number}\"\nlisten = \"{}\"\nstore = \"{}\"\nroster = \"roster.toml\"\n\
             policy = \"policy.toml\"\nvaults = [\"hot.toml\"]\n[secrets]\ntls = \"{}\"\nwitness = \"{}\"\n\
             statement = \"{}\"\n[[coin]]\nvault = \"hot\"\nnetwork = \"{}\"\npath = \"\"\nsecret = \"{}\"\n",
            self.signers[at],
            own("redb"),
            own("tls"),
            own("witness"),
            own("statement"),
            kit::NETWORK,
            own("coin"),
        );
        self.place.write(&own("toml"), &toml);
        let command = |word: &str| {
            let mut command = Command::new(beside("kuraban-signerd", "kuraban-signerd"));
            command.args([word, "--config"]).arg(self.place.path(&own("toml")));
            command
        };
        let made = command("init").output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let process = Process::start(&own("process"), &mut command("run"));
        process.event("listening");
        process
    }

    /// Starts everybody, once the writer's store is there.
    pub(crate) fn staffed(&self, node: &str) -> Staff {
        let signers: Vec<Process> = (1..=3).map(|number| self.signer(number)).collect();
        let place = &self.place;
        let watch = place.watch_toml(node);
        let (before, _) = watch.split_once("[[signer]]").unwrap();
        place.write("watch.toml", &format!("{before}{}", self.signers_toml()));
        place.init_watch();
        let watcher = place.start_watch();
        watcher.event("started");
        let process = self.start();
        process.event("caught-up");
        // It follows no block before the writer has shown it the log.
        watcher.event("caught-up");
        Staff { process, signers, watcher }
    }

    pub(crate) fn get(&self, path: &str) -> Option<Answer> {
        crate::process::ask(self.http, "GET", path)
    }

    /// A document that must be there.
    #[track_caller]
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    pub(crate) fn post(&self, path: &str, lines: &str, body: &str) -> Option<Answer> {
        let (head, body) = request(self.http, &format!("POST {path}"), lines, body.as_bytes())?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head, body: String::from_utf8(body).ok()? })
    }

    /// A payout that is good for an hour, and has been for a minute.
    pub(crate) fn payout(&self, id: &str, to: u8, amount: u64) -> Payout {
        let not_before = Instant::from_ms(self.begun.ms() - 60_000);
        Payout { not_before, expiry: self.begun.plus_ms(3_600_000), ..kit::payout(id, to, amount) }
    }

    /// Asks for a payout as person 1.
    pub(crate) fn request(&self, payout: &Payout) -> Option<Answer> {
        self.submit(&submission(payout), payout.id.as_str())
    }

    pub(crate) fn submit(&self, submission: &Value, key: &str) -> Option<Answer> {
        let lines = format!("Idempotency-Key: {key}\r\n");
        self.post("/v1/payouts", &lines, &submission.to_string())
    }

    /// Approves a payout as that person.
    pub(crate) fn approve(&self, payout: &Payout, person: u8) -> Option<Answer> {
        let body = serde_json::to_string(&approval(payout, person)).unwrap();
        self.post(&format!("/v1/payouts/{}/approvals", payout.id), "", &body)
    }

    pub(crate) fn status(&self, payout: &Payout) -> Option<String> {
        let answer = self.get(&format!("/v1/payouts/{}", payout.id))?;
        Some(answer.json()["status"].as_str()?.to_owned())
    }
}

/// The payout as the contract has it.
pub(crate) fn raw(payout: &Payout) -> api::Payout {
    let address = kuraban_chain::btc::Address::from_script(payout.network, &payout.destination).unwrap();
    let units = |amount: Amount| amount.to_u64().unwrap();
    api::Payout {
        id: payout.id.to_string(),
        kind: payout.kind.to_string(),
        network: payout.network.to_string(),
        vault: payout.vault.to_string(),
        destination: address.to_string(),
        memo: payout.memo.clone(),
        amount: units(payout.amount),
        fee_cap: units(payout.fee_cap),
        not_before_ms: payout.not_before.ms(),
        expiry_ms: payout.expiry.ms(),
    }
}

/// A signed request of person 1.
pub(crate) fn submission(payout: &Payout) -> Value {
    let digest = payout.digest(&charter().context());
    let request_signature = kit::sign(&kit::person(1), REQUEST, digest.as_bytes()).pem().to_owned();
    serde_json::to_value(api::Submit { payout: raw(payout), request_signature }).unwrap()
}

/// That person's approval.
pub(crate) fn approval(payout: &Payout, person: u8) -> api::ApprovalSubmit {
    let digest = payout.digest(&charter().context());
    let signature = kit::sign(&kit::person(person), APPROVE, digest.as_bytes()).pem().to_owned();
    api::ApprovalSubmit { signature }
}

/// An exchange's processes.
pub(crate) struct Staff {
    /// The writer's.
    pub(crate) process: Process,
    pub(crate) signers: Vec<Process>,
    pub(crate) watcher: Process,
}

/// Everything that it takes for a payout to be confirmed.
pub(crate) struct Exchange {
    pub(crate) node: Node,
    pub(crate) writer: Writer,
    /// The writer's process.
    pub(crate) process: Process,
    _signers: Vec<Process>,
    _watcher: Process,
}

impl Exchange {
    pub(crate) fn start() -> Self {
        let node = Node::start();
        let writer = Writer::new(&node.p2p);
        let Staff { process, signers, watcher } = writer.staffed(&node.p2p);
        Self { node, writer, process, _signers: signers, _watcher: watcher }
    }

    /// Makes a block with what waits.
    pub(crate) fn mine(&self) {
        self.node.mine(1, &kit::address(0xee).script());
    }

    /// How often each output stands in the chain.
    pub(crate) fn paid(&self, script: &Script) -> Vec<TxOut> {
        let rpc = &self.node.rpc;
        let (network, p2p, rpc_of) = (kit::NETWORK, self.node.p2p.clone(), rpc.clone());
        let mut peer = conformance::Node { network, p2p, rpc: rpc_of }.connect();
        let mut found = Vec::new();
        for height in 104..=rpc.best_height().unwrap().blocks() {
            let hash = rpc.block_hash(kuraban_base::Height::new(height)).unwrap().unwrap();
            let block: Block = peer.block(hash);
            let outputs = block.txs.iter().flat_map(|tx| tx.outputs.clone());
            found.extend(outputs.filter(|output| output.script == *script));
        }
        found
    }
}
