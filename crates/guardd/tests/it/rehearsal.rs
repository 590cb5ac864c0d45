//! A hand-over rehearsed between two exchanges that run: each with a writer, three signers and a watcher of its own, on one chain. What is
//! asked of them is asked by the tool, which is killed on the way.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use age::secrecy::ExposeSecret as _;
use kuraban_api as api;
use kuraban_chain::btc::{Address, Branch, Script, Tx, TxOut};
use kuraban_vault::{APPROVE, Vault};
use serde_json::Value;

use crate::{
    exchange::{Staff, Writer, now},
    kit,
    place::Node,
    process::{ended, kuraban, until},
};

/// From where on the receiver's people and machines are numbered.
const RECEIVER: u8 = 0x40;
const CUSTOMERS: u64 = 30_000;

/// A house's own files as commands take them.
const CHARTER: &str = "--roster @roster.toml --policy @policy.toml --vault @hot.toml";

/// A command line; nothing in it has a blank.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// One exchange that runs, with what its people keep beside it.
struct House {
    writer: Writer,
    staff: Staff,
}

impl House {
    fn open(first: u8, node: &Node) -> Self {
        let writer = Writer::of(first, &node.p2p);
        let policy =
            kit::policy_toml().replace("\"customer-withdrawal\"", "\"customer-withdrawal\", \"migration\"");
        writer.place.write("policy.toml", &policy);
        let (status, said) = ended(&["guard", "init"], &writer.place.path("guard.toml"));
        assert_eq!(status, Some(0), "{said}");
        let staff = writer.staffed(&node.p2p);
        let house = Self { writer, staff };
        let person = kit::person(first + 1);
        house.writer.place.write_secret("key", &person.to_openssh(ssh_key::LineEnding::LF).unwrap());
        house.writer.place.write("key.pub", &person.public_key().to_openssh().unwrap());
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.writer.place.path(name)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.writer.http)
    }

    /// The tool; what begins with `@` is a file of this house.
    fn tool(&self, args: &[&str]) -> Command {
        let mut command = Command::new(kuraban());
        command.arg("--json").env("LC_ALL", "C").stdin(Stdio::null());
        for arg in args {
            match arg.strip_prefix('@') {
                Some(name) => command.arg(self.path(name)),
                None => command.arg(arg),
            };
        }
        command
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> Value {
        let ran = self.tool(args).output().unwrap();
        assert!(ran.status.success(), "{args:?}: {ran:?}");
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    /// Puts something into this house's log; where it stands.
    fn publish(&self, args: &[&str]) -> String {
        let url = self.url("");
        let to = ["--writer", &url, "--roster", "@roster.toml", "--key", "@key"];
        self.done(&[args, &to].concat())["log_index"].to_string()
    }

    /// The proof of an entry, as soon as enough witnesses co-signed it.
    fn proof(&self, index: &str, name: &str) {
        let (url, vkey) = (self.url("/log"), kit::log_key_of(self.writer.place.first).verifier().to_string());
        let out = format!("@{name}");
        let args =
            ["log", "prove", "--url", &url, "--vkey", &vkey, "--index", index, "--opened", "--out", &out];
        until("the entry is witnessed", || self.tool(&args).output().unwrap().status.success());
    }

    /// Two people approve a payout.
    fn approve(&self, id: &str) {
        let view: api::PayoutView = self.writer.read(&format!("/v1/payouts/{id}"));
        let digest = kuraban_base::hex::decode_array(&view.digest).unwrap();
        for number in [2, 3] {
            let person = kit::person(self.writer.place.first + number);
            let signature = kit::sign(&person, APPROVE, &digest).pem().to_owned();
            let body = serde_json::to_string(&api::ApprovalSubmit { signature }).unwrap();
            let answer = self.writer.post(&format!("/v1/payouts/{id}/approvals"), "", &body).unwrap();
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
    }

    fn payouts(&self) -> Vec<api::PayoutView> {
        self.writer.read::<api::PayoutList>("/v1/payouts").payouts
    }

    fn script(&self) -> Script {
        let vault = Vault::from_toml(&fs::read_to_string(self.path("hot.toml")).unwrap()).unwrap();
        vault.descriptor.script_at(Branch::Receive, 0).unwrap()
    }
}

/// A chain, and two exchanges on it.
struct Stage {
    node: Node,
    sender: House,
    receiver: House,
    /// The transaction whose first output is the receiver's vault's.
    coin: Tx,
    /// The receiver's age recipient.
    to: String,
}

impl Stage {
    fn new() -> Self {
        let node = Node::start();
        let vault = Vault::from_toml(&kit::hot_toml_of(RECEIVER)).unwrap();
        let coin = node.mine(1, &vault.descriptor.script_at(Branch::Receive, 0).unwrap())[0];
        let coin = node.block(coin).txs[0].clone();
        node.mine(100, &kit::address(0xee).script());
        let (sender, receiver) = (House::open(0, &node), House::open(RECEIVER, &node));
        let identity = age::x25519::Identity::generate();
        receiver.writer.place.write_secret("age.key", identity.to_string().expose_secret());
        // Each trusts the other's keys by a way of its own.
        fs::copy(receiver.path("key.pub"), sender.path("receiver.pub")).unwrap();
        fs::copy(receiver.path("roster.toml"), sender.path("receiver.toml")).unwrap();
        fs::copy(sender.path("key.pub"), receiver.path("sender.pub")).unwrap();
        fs::copy(sender.path("roster.toml"), receiver.path("sender.toml")).unwrap();
        Self { node, sender, receiver, coin, to: identity.to_public().to_string() }
    }

    /// What the sender hands over, though the tool is killed at it once; what it comes to, in satoshi.
    fn export(&self) -> u64 {
        let (mut holdings, mut total) = ("customer,asset,units\n".to_owned(), 0);
        for number in 0..CUSTOMERS {
            let units = 1_000 + number % 7;
            holdings += &format!("c{number:06},BTC,{units}\n");
            total += units;
        }
        let house = &self.sender;
        house.writer.place.write("holdings.csv", &holdings);
        self.receiver.writer.place.write("books.csv", &holdings.replacen(",1000\n", ",999\n", 1));
        let line = format!("migrate export --holdings @holdings.csv --to {} --key @key --out @out", self.to);
        let args = words(&line);
        let mut running = house.tool(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("chunks are written", || house.path("out.part/chunks/000000.age").exists());
        // SIGKILL.
        running.kill().unwrap();
        let _status = running.wait().unwrap();
        assert!(!house.path("out").exists(), "killed too late to show anything");
        assert_eq!(house.done(&args)["accounts"], CUSTOMERS);
        total
    }

    /// What the receiver took in, beside its own books; its place in the receiver's log.
    fn import(&self) -> String {
        let house = &self.receiver;
        let handed_over = self.sender.path("out").display().to_string();
        let taken = house.done(&words(&format!(
            "migrate import {handed_over} --from @sender.pub --identity @age.key --key @key --against @books.csv --out @in"
        )));
        assert_eq!((&taken["accounts"], &taken["differences"]), (&Value::from(CUSTOMERS), &Value::from(1)));
        house.publish(&words(&format!(
            "migrate publish {handed_over} --from @sender.pub --import @in --to @key.pub"
        )))
    }

    /// The receiver's vault signs for its first address by an attestation of its own signers.
    fn attest(&self) {
        let house = &self.receiver;
        let (log, url) = (house.url("/log"), house.url(""));
        let vkey = kit::log_key_of(RECEIVER).verifier().to_string();
        let block = self.node.rpc.best_hash().unwrap().to_string();
        house.done(&words(&format!(
            "reserves challenge --vault @hot.toml --id por-1 --url {log} --vkey {vkey} --block {block} --out @"
        )));
        house.done(&words(&format!("request @por-1.json --writer {url} {CHARTER} --key @key")));
        house.approve("por-1");
        until("the attestation is signed", || house.payouts().iter().any(|one| one.status == "attested"));
        let output = &self.coin.outputs[0];
        let script = kuraban_base::hex::encode(output.script.as_bytes());
        let (whole, rest) = (output.value_sat / 100_000_000, output.value_sat % 100_000_000);
        // As a node prints it (scantxoutset).
        let list = format!(
            "{{\"height\":204,\"bestblock\":\"{block}\",\"unspents\":[{{\"txid\":\"{}\",\"vout\":0,\"scriptPubKey\":\"{script}\",\
             \"amount\":{whole}.{rest:08},\"height\":104}}]}}",
            self.coin.txid()
        );
        house.writer.place.write("utxos.json", &list);
        house.done(&words(&format!(
            "reserves prove por-1 --writer {url} --checkpoint @checkpoint --utxos @utxos.json --out @reserves.json"
        )));
    }

    /// The receiver gives the sender its word and proof on where it wants its coins.
    fn tell_address(&self) -> Address {
        let house = &self.receiver;
        let address = Address::from_script(kit::NETWORK, &house.script()).unwrap();
        let (handed_over, network) = (self.sender.path("out").display().to_string(), kit::NETWORK.name());
        house.done(&words(&format!(
            "migrate address {handed_over} --from @sender.pub --network {network} --address {address} \
             --reserves @reserves.json --key @key --out @address.json"
        )));
        for name in ["address.json", "address.json.sig"] {
            fs::copy(house.path(name), self.sender.path(name)).unwrap();
        }
        address
    }

    /// The sender pays, though the tool is killed at it once.
    fn pay(&self, total: u64) {
        let (house, url) = (&self.sender, self.sender.url(""));
        let expiry = now().plus_ms(3_600_000).ms();
        let args = format!(
            "migrate pay @out --sender @key.pub --receiver @receiver.pub --address @address.json --from hot \
             --fee-cap 10000 --expiry {expiry} --writer {url} {CHARTER} --key @key"
        );
        let args = words(&args);
        let mut running = house.tool(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let journal = house.path("out/payouts-BTC-all.jsonl");
        until("the payout is asked for", || {
            fs::read_to_string(&journal).is_ok_and(|journal| journal.contains("\"asked\""))
        });
        // SIGKILL.
        running.kill().unwrap();
        let _status = running.wait().unwrap();
        for _ in 0..2 {
            let paid = house.done(&args);
            assert_eq!((&paid["units"], &paid["ok"]), (&Value::from(total), &Value::from(true)));
        }
        let asked = house.payouts();
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!((asked[0].payout.kind.as_str(), asked[0].payout.amount), ("migration", total));
        // A second time, as another part, there is nothing left.
        let more = [&args[..], &["--part", "more", "--amount", "1000"]].concat();
        assert_eq!(house.tool(&more).output().unwrap().status.code(), Some(1));
        house.approve(&asked[0].payout.id);
        until("the payout is confirmed", || {
            self.node.mine(1, &kit::address(0xee).script());
            house.payouts().iter().all(|one| one.status == "confirmed")
        });
    }

    /// What stands in the chain for a script since the exchanges opened.
    fn paid(&self, script: &Script) -> Vec<TxOut> {
        let at = |height| {
            let hash = self.node.rpc.block_hash(kuraban_base::Height::new(height)).unwrap().unwrap();
            self.node.block(hash).txs
        };
        let heights = 205..=self.node.rpc.best_height().unwrap().blocks();
        let outputs = heights.flat_map(at).flat_map(|tx| tx.outputs);
        outputs.filter(|output| output.script == *script).collect()
    }
}

#[test]
fn a_hand_over_is_rehearsed_between_two_exchanges_that_run() {
    let stage = Stage::new();
    let total = stage.export();
    let sent = stage.sender.publish(&["migrate", "publish", "@out", "--from", "@key.pub"]);
    let taken = stage.import();
    stage.attest();
    let address = stage.tell_address();
    stage.pay(total);
    let paid: Vec<u64> = stage.paid(&address.script()).iter().map(|output| output.value_sat).collect();
    assert_eq!(paid, [total]);

    // Each verifies everything by both logs: nobody is told a root by hand.
    stage.sender.proof(&sent, "sent.json");
    stage.receiver.proof(&taken, "taken.json");
    fs::copy(stage.receiver.path("taken.json"), stage.sender.path("taken.json")).unwrap();
    fs::copy(stage.sender.path("sent.json"), stage.receiver.path("sent.json")).unwrap();
    let (handed_over, taken_over) = (stage.sender.path("out"), stage.receiver.path("in"));
    let (handed_over, taken_over) = (handed_over.display().to_string(), taken_over.display().to_string());
    for (house, from, to, rosters) in [
        (&stage.sender, "@key.pub", "@receiver.pub", ["@roster.toml", "@receiver.toml"]),
        (&stage.receiver, "@sender.pub", "@key.pub", ["@sender.toml", "@roster.toml"]),
    ] {
        let [sent_by, taken_by] = rosters;
        let verified = house.done(&words(&format!(
            "migrate verify {handed_over} --from {from} --import {taken_over} --to {to} --log-proof @sent.json \
             --roster {sent_by} --import-log-proof @taken.json --import-roster {taken_by}"
        )));
        for field in ["ok", "logged", "import_logged"] {
            assert_eq!(verified[field], true, "{field}: {verified}");
        }
        assert_eq!(verified["conservation"][0]["more_units"], 1, "{verified}");
        assert_eq!(house.writer.read::<api::AlarmList>("/v1/alarms").alarms, []);
        assert_eq!(house.staff.watcher.count("alarm"), 0);
    }
}
