//! The role that follows thefts, on a real node: tags within moments of a transaction, through blocks, a reorganisation and
//! `kill -9`, in a feed that a reader verifies for itself.

use std::{
    collections::BTreeSet, fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, time::Duration,
};

use kuraban_base::{Height, hex};
use kuraban_chain::btc::{OutPoint, TxOut};
use kuraban_node::rpc::Sent;
use kuraban_proof::VerifierKey;
use kuraban_trace::feed::{Chain, Reach, Replica, Since, Tag};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    conformance::{Node, Vault},
    daemon::{Daemon, Kind},
    process::{LONG, Process, ask, free, guardd, request, until},
};

/// A chase beside a node.
struct Place {
    folder: TempDir,
    listen: SocketAddr,
    key: VerifierKey,
}

impl Place {
    fn new(node: &Node, more: &str) -> Self {
        Self::with(node, "", more)
    }

    fn with(node: &Node, first: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = free();
        let secret = folder.path().join("feed.seed");
        fs::write(&secret, hex::encode(&[7; 32])).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(folder.path().join("cases")).unwrap();
        let config = format!(
            "{first}listen = \"{listen}\"\nnetwork = \"{}\"\nnode = \"{}\"\nindex = \"index\"\ncases = \"cases\"\n\
             [feed]\nfolder = \"feed\"\nname = \"exchange.example/tags\"\nsecret = \"feed.seed\"\n{more}",
            node.network, node.p2p
        );
        fs::write(folder.path().join("chase.toml"), config).unwrap();
        let made = guardd()
            .args(["chase", "init", "--config"])
            .arg(folder.path().join("chase.toml"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let said = String::from_utf8(made.stdout).unwrap();
        let key = said.lines().last().unwrap().parse().unwrap();
        Self { folder, listen, key }
    }

    fn start(&self) -> Process {
        Process::role("chase", &self.folder.path().join("chase.toml"))
    }

    fn is_up(&self) {
        let well = || ask(self.listen, "GET", "/healthz").is_some_and(|answer| answer.status == 200);
        until("it follows", well);
    }

    fn case(&self, id: &str, seeds: &[(OutPoint, u64)], more: &str) {
        let seed =
            |(output, units): &(OutPoint, u64)| format!("{{ output = \"{output}\", units = {units} }}");
        let seeds: Vec<String> = seeds.iter().map(seed).collect();
        let text = format!(
            "id = \"{id}\"\nlabel = \"a theft\"\nconcept = \"service_hack\"\nsource = \"https://exchange.example/theft\"\n\
             seeds = [{}]\n{more}",
            seeds.join(", ")
        );
        // Whole or not at all: it is looked at every second.
        let next = self.folder.path().join("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.folder.path().join("cases").join(format!("{id}.toml"))).unwrap();
    }

    fn status(&self) -> Value {
        let answer = ask(self.listen, "GET", "/v1/cases").unwrap();
        serde_json::from_str(&answer.body).unwrap()
    }

    fn row(&self, id: &str) -> Value {
        let status = self.status();
        let mut rows = status["cases"].as_array().unwrap().iter();
        rows.find(|row| row["id"] == id).cloned().unwrap_or_default()
    }
}

/// A reader of the feed.
struct Reader {
    replica: Replica,
    at: SocketAddr,
}

impl Reader {
    fn of(place: &Place) -> Self {
        Self { replica: Replica::new(place.key.clone()), at: place.listen }
    }

    fn get(at: SocketAddr, path: &str) -> Result<Vec<u8>, String> {
        let (head, body) = request(at, &format!("GET /v1/tags/feed/{path}"), "", b"").ok_or("no answer")?;
        if head.starts_with("HTTP/1.1 200") { Ok(body) } else { Err(head) }
    }

    /// Reads on, verifying all of it.
    fn read(&mut self) -> Vec<Tag> {
        let at = self.at;
        let checkpoint = Self::get(at, "checkpoint").unwrap();
        let read = |resource: kuraban_proof::Resource| Self::get(at, &resource.to_string());
        self.replica.update(&checkpoint, read, |_, _| {}).unwrap();
        self.replica.standing().tags().map(|(_, tag)| tag.clone()).collect()
    }

    /// Waits until exactly these outputs are tagged.
    #[track_caller]
    fn until(&mut self, what: &str, want: &[(OutPoint, bool)]) -> Vec<Tag> {
        let start = std::time::Instant::now();
        let mut want: Vec<_> = want.iter().map(|(outpoint, mined)| (outpoint.to_string(), *mined)).collect();
        want.sort();
        loop {
            let tags = self.read();
            let shown = |tag: &Tag| (tag.subject.outpoint().unwrap(), matches!(tag.since, Since::Block(_)));
            let mut found: Vec<_> = tags.iter().map(shown).collect();
            found.sort();
            if found == want {
                return tags;
            }
            assert!(start.elapsed() < LONG, "{what}: {found:?}, want {want:?}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits until each of these cases has tags on exactly these outputs in blocks.
    #[track_caller]
    fn until_in_blocks(&mut self, what: &str, want: &[(&str, &[OutPoint])]) -> Vec<Tag> {
        let start = std::time::Instant::now();
        loop {
            let tags = self.read();
            let of = |id: &str| -> BTreeSet<String> {
                let own = tags.iter().filter(|tag| tag.case.as_str() == id && tag.since != Since::Mempool);
                own.map(|tag| tag.subject.outpoint().unwrap()).collect()
            };
            if want.iter().all(|(id, outputs)| of(id) == outputs.iter().map(ToString::to_string).collect()) {
                return tags;
            }
            let counts: Vec<_> = want.iter().map(|(id, _)| (id, of(id).len())).collect();
            assert!(start.elapsed() < LONG, "{what}: {counts:?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

fn outpoint(tx: &kuraban_chain::btc::Tx, vout: u32) -> OutPoint {
    OutPoint { txid: tx.txid(), vout }
}

fn a_theft_is_followed(kind: Kind) {
    let Some(daemon) = Daemon::start(kind, &[]) else {
        println!("skipped: {} is not installed", kind.name());
        return;
    };
    let node = daemon.node();
    let vault = Vault::new(node.network);
    let (stolen, clean) = (vault.funded(&node), vault.funded(&node));
    let service = TxOut { value_sat: 1_000_000, script: kuraban_chain::btc::Script::p2pkh(&[9; 20]) };
    let address = kuraban_chain::btc::Address::from_script(node.network, &service.script).unwrap();
    let place = Place::new(&node, &format!("[[stop]]\naddress = \"{address}\"\nplace = \"an exchange\"\n"));
    let seeds = [(stolen.0, stolen.1.value_sat)];
    place.case("theft-1", &seeds, "methods = [\"haircut\"]\n");
    let mut chase = place.start();
    place.is_up();
    let mut reader = Reader::of(&place);
    // It lies where it was stolen.
    reader.until("the seed", &[(stolen.0, true)]);

    // Together with a clean coin: half of the coins that leave are stolen, and those at the exchange stay there.
    let value = stolen.1.value_sat + clean.1.value_sat - 1_000_000 - 200_000;
    let tx = vault.spend(&[stolen.clone(), clean], vec![vault.pays(value), service.clone()], 0);
    assert_eq!(node.rpc.send(&tx).unwrap(), Sent::Pooled);
    // Until a block has it, the coin is not spent for good.
    let waits = [(stolen.0, true), (outpoint(&tx, 0), false), (outpoint(&tx, 1), false)];
    let tags = reader.until("what waits", &waits)[1..].to_vec();
    assert!(
        tags[0].taint.most() > u128::from(value / 2) - 2 && tags[0].taint.most() < u128::from(value / 2) + 2
    );
    assert!(matches!(&tags[1].reach, Reach::HandedOver { to } if to.as_str() == "an exchange"), "{tags:?}");
    let block = node.mine(1, &vault.script(3))[0];
    reader.until("a block", &[(outpoint(&tx, 0), true), (outpoint(&tx, 1), true)]);

    // The block leaves the chain; the transaction waits again, and is in another.
    node.rpc.invalidate(block).unwrap();
    let other = node.mine(2, &vault.script(4));
    let tags = reader.until("another block", &[(outpoint(&tx, 0), true), (outpoint(&tx, 1), true)]);
    let height = node.rpc.best_height().unwrap().blocks();
    let tagged = |tag: &Tag| matches!(tag.since, Since::Block(at) if at.height == Height::new(height - 1));
    assert!(tags.iter().all(tagged), "{tags:?}, blocks {other:?}");
    until("it is shown", || place.status()["undone"] == json!(1));

    // Killed; what happens meanwhile is told when it is back. The feed goes on: its reader sees no fork.
    chase.kill();
    let coin = (outpoint(&tx, 0), tx.outputs[0].clone(), 9);
    let next = vault.spend(&[coin], vec![vault.pays(value - 100_000)], 0);
    assert_eq!(node.rpc.send(&next).unwrap(), Sent::Pooled);
    node.mine(1, &vault.script(5));
    let chase = place.start();
    place.is_up();
    reader.until("after a restart", &[(outpoint(&next, 0), true), (outpoint(&tx, 1), true)]);
    let row = place.row("theft-1");
    let [totals] = row["totals"].as_array().unwrap().as_slice() else { panic!("{row}") };
    assert_eq!((&row["state"], &totals["stolen_sat"]), (&json!("followed"), &json!(stolen.1.value_sat)));
    let chain = Chain::Family(node.network);
    let tip = reader.replica.standing().freshness(chain).unwrap().tip;
    assert_eq!(tip.height, node.rpc.best_height().unwrap());

    place.case("theft-1", &seeds, "methods = [\"haircut\"]\nclosed = \"returned\"\n");
    reader.until("closed", &[]);
    drop(chase);
}

#[test]
fn a_theft_is_followed_on_litecoind() {
    a_theft_is_followed(Kind::Litecoind);
}

#[test]
fn a_theft_is_followed_on_bitcoind() {
    a_theft_is_followed(Kind::Bitcoind);
}

/// Three hundred payments.
fn people(value_sat: u64) -> Vec<TxOut> {
    let pays = |person: u32| {
        let mut hash = [1; 20];
        hash[..4].copy_from_slice(&person.to_le_bytes());
        TxOut { value_sat: value_sat / 300, script: kuraban_chain::btc::Script::p2pkh(&hash) }
    };
    (0..300).map(pays).collect()
}

/// A payment hub that had 200 outputs before the theft takes stolen coins in and pays 300 people from them.
fn a_hub_is_told_and_the_people_it_pays_are_not_tagged(kind: Kind) {
    let Some(daemon) = Daemon::start(kind, &[]) else {
        println!("skipped: {} is not installed", kind.name());
        return;
    };
    let node = daemon.node();
    let vault = Vault::new(node.network);
    let (stolen, clean) = (vault.funded(&node), vault.funded(&node));
    let place = Place::with(&node, "hub_outputs = 200\n", "");
    let mined = |tx: &kuraban_chain::btc::Tx| {
        assert_eq!(node.rpc.send(tx).unwrap(), Sent::Pooled);
        node.mine(1, &vault.script(3))[0]
    };
    let hub = |value_sat| TxOut { value_sat, script: vault.script(7) };
    let customers = vault.spend(std::slice::from_ref(&clean), vec![hub(clean.1.value_sat / 201); 200], 0);
    let before = mined(&customers);
    let value = stolen.1.value_sat - 100_000;
    let theft = TxOut { value_sat: value, script: vault.script(8) };
    let theft = vault.spend(std::slice::from_ref(&stolen), vec![theft], 0);
    mined(&theft);
    let seeds = [(outpoint(&theft, 0), value)];
    place.case("at-hubs", &seeds, "methods = [\"haircut\"]\n");
    place.case("through-hubs", &seeds, "methods = [\"haircut\"]\nhub_outputs = 0\n");
    place.case("greater-hubs", &seeds, "methods = [\"haircut\"]\nhub_outputs = 201\n");
    let mut chase = place.start();
    place.is_up();
    let mut reader = Reader::of(&place);

    let deposit =
        vault.spend(&[(outpoint(&theft, 0), theft.outputs[0].clone(), 8)], vec![hub(value - 100_000)], 0);
    mined(&deposit);
    let paid =
        vault.spend(&[(outpoint(&deposit, 0), deposit.outputs[0].clone(), 7)], people(value - 300_000), 0);
    mined(&paid);

    let all: Vec<OutPoint> = (0..300).map(|vout| outpoint(&paid, vout)).collect();
    let told = [outpoint(&deposit, 0)];
    let want: [(&str, &[OutPoint]); 3] = [("at-hubs", &told), ("through-hubs", &all), ("greater-hubs", &all)];
    let tags = reader.until_in_blocks("live", &want);
    let tag = tags.iter().find(|tag| tag.case.as_str() == "at-hubs").unwrap();
    assert_eq!(tag.taint.most(), u128::from(value - 100_000));
    assert!(
        matches!(&tag.reach, Reach::HandedOver { to } if to.as_str() == "a hub of 200 outputs"),
        "{tag:?}"
    );

    // A batch trace finds the same: nothing is told again after a restart, also when a new case follows it.
    let numbers = |reader: &Reader| -> Vec<u64> {
        reader.replica.standing().tags().map(|(number, _)| number).collect()
    };
    let before_restart = numbers(&reader);
    chase.kill();
    place.case("after-restart", &seeds, "methods = [\"fifo\"]\n");
    let chase = place.start();
    place.is_up();
    let four = [want[0], want[1], want[2], ("after-restart", &told)];
    reader.until_in_blocks("after a restart", &four);
    assert_eq!(numbers(&reader)[..before_restart.len()], before_restart);

    // The hub's customers come into the block of the theft: then it was none before.
    node.rpc.invalidate(before).unwrap();
    node.mine(6, &vault.script(5));
    let want: [(&str, &[OutPoint]); 3] = [("at-hubs", &all), ("through-hubs", &all), ("greater-hubs", &all)];
    reader.until_in_blocks("after a reorganisation", &want);
    drop(chase);
}

#[test]
fn a_hub_is_told_and_the_people_it_pays_are_not_tagged_on_litecoind() {
    a_hub_is_told_and_the_people_it_pays_are_not_tagged(Kind::Litecoind);
}

#[test]
fn bad_cases_are_named_and_the_others_followed() {
    let Some(daemon) = Daemon::start(Kind::Litecoind, &[]) else {
        println!("skipped: litecoind is not installed");
        return;
    };
    let node = daemon.node();
    let vault = Vault::new(node.network);
    let coin = vault.funded(&node);
    let place = Place::new(&node, "");
    let value = coin.1.value_sat;
    place.case("good", &[(coin.0, value)], "");
    place.case("other-value", &[(coin.0, value + 1)], "");
    let future = OutPoint { txid: kuraban_base::Txid::from_bytes([1; 32]), vout: 0 };
    place.case("mixed", &[(coin.0, value), (future, 5)], "");
    place.case("later", &[(future, 5)], "");
    place.case("unknown-key", &[(coin.0, value)], "hub = 3\n");
    place.case("no-method", &[(coin.0, value)], "methods = [\"guess\"]\n");
    place.case("twice", &[(coin.0, value), (coin.0, value)], "");
    let chase = place.start();
    place.is_up();
    let mut reader = Reader::of(&place);
    chase.event("case-followed");
    let tags = reader.until("the good one", &[(coin.0, true)]);
    assert_eq!(tags[0].case.as_str(), "good");
    for (id, want) in [("other-value", "units, the output has"), ("mixed", "it waits until all are")] {
        let told = |line: &Value| {
            line["case"] == id && line["problem"].as_str().is_some_and(|problem| problem.contains(want))
        };
        // Cases are told one by one, and the good one's tags may come between.
        until(&format!("{id} is told"), || chase.lines().iter().any(told));
    }
    for want in ["unknown field `hub`", "guess", "stands there twice"] {
        let told = |line: &Value| {
            line["event"] == "case-not-taken"
                && line["problem"].as_str().is_some_and(|text| text.contains(want))
        };
        until(&format!("{want} is told"), || chase.lines().iter().any(told));
    }
    until("it is shown", || !place.row("later").is_null());
    let states: Vec<Value> =
        ["good", "other-value", "mixed", "later"].iter().map(|id| place.row(id)["state"].clone()).collect();
    assert_eq!(states, [json!("followed"), json!("waiting"), json!("waiting"), json!("followed")]);
}

#[test]
fn a_corrupted_index_ends_the_chase_and_is_named() {
    let Some(daemon) = Daemon::start(Kind::Litecoind, &[]) else {
        println!("skipped: litecoind is not installed");
        return;
    };
    let node = daemon.node();
    let vault = Vault::new(node.network);
    let coin = vault.funded(&node);
    let place = Place::new(&node, "");
    place.case("theft", &[(coin.0, coin.1.value_sat)], "");
    let mut chase = place.start();
    place.is_up();
    chase.event("case-followed");
    chase.kill();
    let config = place.folder.path().join("chase.toml");
    for file in ["values", "headers", "txids"] {
        let path = place.folder.path().join("index").join(file);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[70] ^= 1;
        fs::write(&path, flipped).unwrap();
        let (status, said) = crate::process::ended(&["chase", "run"], &config);
        assert_eq!(status, Some(2), "{file}: {said}");
        assert!(said.contains(&format!("{file}: is corrupted: piece 0 sums to")), "{file}: {said}");
        assert!(said.contains("build the index again") && !said.contains("panicked"), "{file}: {said}");
        fs::write(&path, whole).unwrap();
    }
    drop(place.start());
}

#[test]
fn a_chase_without_init_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("chase.toml");
    fs::write(&config, "listen = \"127.0.0.1:0\"\n").unwrap();
    let check = |config: &Path, want: &str| {
        let ran = guardd().args(["chase", "run", "--config"]).arg(config).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.code() == Some(2) && said.contains(want), "{ran:?}");
    };
    check(&config, "missing field");
    check(&folder.path().join("none.toml"), "cannot be read");
}
