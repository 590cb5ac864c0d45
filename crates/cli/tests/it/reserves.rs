//! Reserves from the challenge to the statement, against real nodes: what holds, what no node ever takes, and everything by
//! which a company or its enemy would make the sum larger than it is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kuraban_api::{PayoutView, TransactionView};
use kuraban_base::{TreeHash, Txid, hex};
use kuraban_chain::btc::{
    Branch, Descriptor, Digests, EcdsaSighash, Funds, Network, OutPoint, ProofForm, Script, Tx, TxOut, XPriv,
    funds::{first_spent, unsigned},
};
use kuraban_node::rpc::{Acceptance, Sent};
use kuraban_proof::{NoteSigner, SignedCheckpoint, TreeHead};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tempfile::{TempDir, tempdir};

use crate::{
    conformance::{Node, Vault},
    daemon::{Daemon, Kind, free_ports},
    run::{Ran, run},
};

/// User and password of calls that the client has no words for, as the node wants to know them.
const AUTH: &str = "unspent:00112233445566778899aabbccddeeff$f8b944261408a92080ab8d4e80d6ce36b8acb256bba247763cdbd18151080e07";
/// `unspent:unspent`.
const BASIC: &str = "Basic dW5zcGVudDp1bnNwZW50";
const FORMS: [ProofForm; 2] = ProofForm::ALL;

/// The result of a call as the node writes it: amounts keep their digits.
fn written(port: u16, method: &str, params: &Value) -> String {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    let body = json!({ "id": 1, "method": method, "params": params }).to_string();
    let url = format!("http://127.0.0.1:{port}/");
    let answer = minreq::post(url).with_header("authorization", BASIC).with_body(body).send().unwrap();
    let answer: Answer<'_> = serde_json::from_str(answer.as_str().unwrap()).unwrap();
    answer.result.get().to_owned()
}

fn ask(port: u16, method: &str, params: &Value) -> Value {
    serde_json::from_str(&written(port, method, params)).unwrap()
}

/// A node with a vault of some coins, a log, and the files that people keep.
struct Stage {
    daemon: Daemon,
    node: Node,
    port: u16,
    folder: TempDir,
    vault: Vault,
    keys: Vec<XPriv>,
    descriptor: Descriptor,
    coins: Vec<(OutPoint, TxOut, u32)>,
}

fn log_key() -> NoteSigner {
    NoteSigner::from_seed("kuraban.example/log".parse().unwrap(), &[9; 32])
}

impl Stage {
    fn new(kind: Kind) -> Option<Self> {
        let folder = tempdir().unwrap();
        let [port, _, _] = free_ports();
        let more = [format!("-rpcbind=127.0.0.1:{port}"), format!("-rpcauth={AUTH}")];
        let Some(daemon) = Daemon::start(kind, &more) else {
            println!("skipped: {} is not installed", kind.name());
            return None;
        };
        let node = daemon.node();
        let vault = Vault::new(node.network);
        let keys: Vec<XPriv> =
            (1..=3).map(|seed| XPriv::from_seed(node.network, &[seed; 32]).unwrap()).collect();
        let xpubs: Vec<String> = keys.iter().map(|key| format!("{}/<0;1>/*", key.xpub())).collect();
        let text = format!("wsh(sortedmulti(2,{}))", xpubs.join(","));
        let descriptor = Descriptor::parse(node.network, &text).unwrap();
        let coins = (0..3_u32)
            .map(|index| {
                let block = node.mine(1, &vault.script(index))[0];
                vault.coin(&node, block, index)
            })
            .collect();
        node.mine(100, &Script::witness(0, &[7; 20]).unwrap());
        let log = folder.path().join("log");
        fs::create_dir(&log).unwrap();
        let head = TreeHead { size: 12, root: TreeHash::from_bytes([5; 32]) };
        let checkpoint = SignedCheckpoint::sign(&log_key(), head).unwrap();
        fs::write(log.join("checkpoint"), checkpoint.to_string()).unwrap();
        let toml = format!(
            "id = \"hot\"\nnetwork = \"{}\"\ntier = \"hot\"\nowner = \"customers\"\n\
             descriptor = \"{text}\"\nreceive_count = 10\ndepth_min = 1\n",
            node.network
        );
        fs::write(folder.path().join("hot.toml"), toml).unwrap();
        Some(Self { daemon, node, port, folder, vault, keys, descriptor, coins })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn named(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(["--json", "reserves"].iter().chain(args))
    }

    /// Asks for an attestation as of the newest block; the request as it stands in its file.
    fn challenge(&self, id: &str, form: ProofForm) -> Value {
        let block = self.node.rpc.best_hash().unwrap().to_string();
        let key = log_key().verifier().to_string();
        let (vault, log, out) = (self.named("hot.toml"), self.named("log"), self.named(""));
        let ran = self.run(&[
            "challenge",
            "--vault",
            &vault,
            "--id",
            id,
            "--block",
            &block,
            "--dir",
            &log,
            "--vkey",
            &key,
            "--form",
            form.word(),
            "--out",
            &out,
        ]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        serde_json::from_slice(&fs::read(self.path(&format!("{id}.json"))).unwrap()).unwrap()
    }

    /// The attestation of a request, as signers would sign it.
    fn signed(&self, request: &Value, coins: &[(OutPoint, TxOut, u32)]) -> Tx {
        let text = request["memo"].as_str().unwrap();
        let form = if text.contains("bip-127") { ProofForm::Bip127 } else { ProofForm::Bip322 };
        let owner = self.vault.script(0);
        let outputs: Vec<_> = coins.iter().map(|(at, output, _)| (*at, output.value_sat)).collect();
        let mut tx = unsigned(form, &owner, text.as_bytes(), &outputs).unwrap();
        let mut spent = vec![first_spent(form, &owner)];
        spent.extend(coins.iter().map(|(_, output, _)| output.clone()));
        let bare = tx.clone();
        let digests = Digests::new(&bare, &spent).unwrap();
        let places = std::iter::once(0).chain(coins.iter().map(|(_, _, index)| *index));
        for (at, index) in places.enumerate() {
            if at == 0 && form == ProofForm::Bip127 {
                continue;
            }
            let code = self.descriptor.script_code_at(Branch::Receive, index).unwrap();
            let digest = digests.witness_v0(at, &code, EcdsaSighash::All).unwrap();
            let sign = |key: &XPriv| {
                let key = key.child(Branch::Receive, index).unwrap();
                (key.public(), key.sign(&digest, EcdsaSighash::All).unwrap())
            };
            let signatures: Vec<_> = self.keys[..2].iter().map(sign).collect();
            tx.inputs[at].witness =
                self.descriptor.satisfy(Branch::Receive, index, &signatures).unwrap().witness;
        }
        tx
    }

    /// The attestation as the writer shows it, in a file.
    fn attested(&self, request: &Value, tx: &Tx) -> String {
        let payout: kuraban_api::Payout = serde_json::from_value(request.clone()).unwrap();
        let id = payout.id.clone();
        let transaction = TransactionView {
            txid: tx.txid().to_string(),
            log_index: 3,
            unsigned: hex::encode(&tx.encode_stripped()),
            receipts: Vec::new(),
            signed: Some(hex::encode(&tx.encode())),
        };
        let view = PayoutView {
            payout,
            destination_script: String::new(),
            asset: self.node.network.asset().to_string(),
            origin: String::new(),
            roster_hash: String::new(),
            policy_hash: String::new(),
            digest: String::new(),
            status: "attested".to_owned(),
            requested_at_ms: 0,
            request: None,
            approvals: Vec::new(),
            transactions: vec![transaction],
            refusals: Vec::new(),
        };
        let name = format!("{id}-view.json");
        fs::write(self.path(&name), serde_json::to_vec(&view).unwrap()).unwrap();
        self.named(&name)
    }

    fn node_args(&self) -> [String; 4] {
        let address = format!("127.0.0.1:{}", self.port);
        ["--node".to_owned(), address, "--cookie".to_owned(), self.daemon.cookie().display().to_string()]
    }

    /// A file that shows these coins.
    fn file(&self, name: &str, form: ProofForm, coins: &[(OutPoint, TxOut, u32)]) -> String {
        let request = self.challenge(name, form);
        let tx = self.signed(&request, coins);
        let view = self.attested(&request, &tx);
        let out = self.named(&format!("{name}-reserves.json"));
        let checkpoint = self.named("checkpoint");
        let node = self.node_args();
        let mut args = vec!["prove", "--from", &view, "--checkpoint", &checkpoint, "--out", &out];
        args.extend(node.iter().map(String::as_str));
        let ran = self.run(&args);
        assert_eq!(ran.status, 0, "{}", ran.err);
        out
    }

    fn verify(&self, file: &str, more: &[&str]) -> Ran {
        let node = self.node_args();
        let mut args = vec!["verify", file];
        args.extend(node.iter().map(String::as_str));
        args.extend(more);
        self.run(&args)
    }

    /// The file with something changed, in another file.
    fn bent(&self, file: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut form: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        change(&mut form);
        let out = self.named("bent.json");
        fs::write(&out, form.to_string()).unwrap();
        out
    }
}

/// The checks that did not hold.
fn failed(answer: &Value) -> Vec<String> {
    let checks = answer["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|check| check["result"] == "failed");
    failed.map(|check| check["check"].as_str().unwrap().to_owned()).collect()
}

fn proof(form: &Value) -> Funds {
    let text = form["proofs"][0]["proof"].as_str().unwrap();
    let network: Network = form["network"].as_str().unwrap().parse().unwrap();
    let bytes = STANDARD.decode(text.strip_prefix("pof").unwrap_or(text)).unwrap();
    Funds::decode(network, &bytes).unwrap()
}

fn reserves_are_shown(kind: Kind) {
    let Some(stage) = Stage::new(kind) else { return };
    let sum: u64 = stage.coins.iter().map(|(_, output, _)| output.value_sat).sum();
    let key = log_key().verifier().to_string();
    let other =
        NoteSigner::from_seed("kuraban.example/log".parse().unwrap(), &[8; 32]).verifier().to_string();
    for form in FORMS {
        let file = stage.file(&format!("por-{}", form.word()), form, &stage.coins);
        let ran = stage.verify(&file, &["--vkey", &key]);
        let answer = ran.json();
        assert_eq!((ran.status, &answer["ok"]), (0, &json!(true)), "{answer}");
        assert_eq!((&answer["sum_sat"], &answer["outputs"]), (&json!(sum), &json!(3)));
        assert!(failed(&answer).is_empty(), "{answer}");
        assert_eq!(failed(&stage.verify(&file, &["--vkey", &other]).json()), ["log"]);
        // Without the log's key it holds, and says that this was not looked at.
        let bare = stage.verify(&file, &[]).json();
        assert_eq!(bare["checks"][2]["result"], "not-made");

        let parsed: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let tx = proof(&parsed).tx();
        no_node_takes_it(&stage, &tx, form);
        by_a_list(&stage, &file, sum);
        other_words_do_not_hold(&stage, &file, sum);
    }
    several_make_one_file(&stage);
    what_is_spent_counts_if_it_was_there(&stage);
}

/// The node's own interpreter finds every signature good, and the node never takes the transaction.
fn no_node_takes_it(stage: &Stage, tx: &Tx, form: ProofForm) {
    let refused = stage.node.rpc.would_take(tx).unwrap();
    assert!(matches!(refused, Acceptance::Refused { .. }), "{refused:?}");
    assert!(stage.node.rpc.send(tx).is_err());
    let first = first_spent(form, &stage.vault.script(0));
    let outputs = std::iter::once(first).chain(stage.coins.iter().map(|(_, output, _)| output.clone()));
    let prevtxs: Vec<Value> = tx
        .inputs
        .iter()
        .zip(outputs)
        .map(|(input, output)| {
            let amount = format!("{}.{:08}", output.value_sat / 100_000_000, output.value_sat % 100_000_000);
            let mut prev = json!({
                "txid": input.prev.txid.to_string(), "vout": input.prev.vout,
                "scriptPubKey": hex::encode(output.script.as_bytes()), "amount": amount,
            });
            if let Some(script) = input.witness.last() {
                prev["witnessScript"] = json!(hex::encode(script));
            }
            prev
        })
        .collect();
    let judged = |tx: &Tx| {
        ask(stage.port, "signrawtransactionwithkey", &json!([hex::encode(&tx.encode()), [], prevtxs]))
    };
    let answer = judged(tx);
    assert_eq!(answer["complete"], true, "{form}: {answer}");
    // It does look: one bit of the lock time is enough.
    let answer = judged(&Tx { lock_time: 1, ..tx.clone() });
    assert_eq!(answer["complete"], false, "{form}");
}

/// Without a node, from what a node printed.
fn by_a_list(stage: &Stage, file: &str, sum: u64) {
    let scripts: Vec<String> =
        (0..3).map(|index| format!("raw({})", hex::encode(stage.vault.script(index).as_bytes()))).collect();
    let text = written(stage.port, "scantxoutset", &json!(["start", scripts]));
    let scan: Value = serde_json::from_str(&text).unwrap();
    let list = stage.named("utxos.json");
    fs::write(&list, &text).unwrap();
    let ran = stage.run(&["verify", file, "--utxos", &list]);
    assert_eq!((ran.status, &ran.json()["sum_sat"]), (0, &json!(sum)), "{}{}", ran.out, ran.err);
    let mut fewer: Value = serde_json::from_str(&text).unwrap();
    fewer["unspents"].as_array_mut().unwrap().pop();
    fs::write(&list, fewer.to_string()).unwrap();
    let answer = stage.run(&["verify", file, "--utxos", &list]).json();
    assert_eq!((failed(&answer), &answer["bad_count"]), (vec!["unspent".to_owned()], &json!(1)));
    fs::write(&list, text.replace(scan["bestblock"].as_str().unwrap(), &"0".repeat(64))).unwrap();
    let answer = stage.run(&["verify", file, "--utxos", &list]).json();
    assert_eq!(failed(&answer), ["block", "unspent"]);
}

fn other_words_do_not_hold(stage: &Stage, file: &str, sum: u64) {
    let check = |change: fn(&mut Value), want: &[&str]| {
        let ran = stage.verify(&stage.bent(file, change), &[]);
        let answer = ran.json();
        assert_eq!(
            (ran.status, failed(&answer)),
            (1, want.iter().map(|&one| one.to_owned()).collect()),
            "{answer}"
        );
        assert!(answer["error"].as_str().unwrap().starts_with(want[0]));
        answer
    };
    // The same proof twice counts once.
    let twice = check(|form| form["proofs"] = json!([form["proofs"][0], form["proofs"][0]]), &["distinct"]);
    assert_eq!(twice["sum_sat"], sum);
    let other_day = |form: &mut Value| {
        let text = form["proofs"][0]["challenge"].as_str().unwrap().to_owned();
        let (words, at) = text.rsplit_once(' ').unwrap();
        let at: u64 = at.parse().unwrap();
        form["proofs"][0]["challenge"] = json!(format!("{words} {}", at - 3_600_000));
    };
    // A signature over another day's challenge, and over another asset's.
    assert_eq!(check(other_day, &["signatures"])["sum_sat"], 0);
    check(|form| form["height"] = json!(form["height"].as_u64().unwrap() - 1), &["block"]);
    check(
        |form| {
            let first = form["proofs"][0].clone();
            let mut second = first.clone();
            let text = first["challenge"].as_str().unwrap().replace(" 12 ", " 13 ");
            second["challenge"] = json!(text);
            form["proofs"] = json!([first, second]);
        },
        &["challenge", "signatures"],
    );
    for (as_of, want) in [("1700000000000", "fresh"), ("4000000000000", "fresh")] {
        let ran = stage.verify(file, &["--as-of", as_of]);
        assert_eq!((ran.status, failed(&ran.json())), (1, vec![want.to_owned()]));
    }
    // What cannot be read is named: another network's node, cut files, huge counts.
    let unread = |change: fn(&mut Value), want: &str| {
        let ran = stage.verify(&stage.bent(file, change), &[]);
        assert_eq!(ran.status, 2, "{}", ran.out);
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    };
    unread(|form| form["network"] = json!("bitcoin-main"), "is no node of bitcoin-main");
    unread(|form| form["kuraban_reserves"] = json!(2), "kuraban_reserves is 2, want 1");
    unread(|form| form["extra"] = json!(2), "unknown field");
    unread(|form| form["proofs"] = json!([]), "it has 0 proofs, want 1 to 1000");
    unread(
        |form| form["proofs"] = json!(vec![form["proofs"][0].clone(); 1001]),
        "it has 1001 proofs, want 1 to 1000",
    );
    unread(|form| form["proofs"][0]["proof"] = json!("pofcHNidP8B"), "proofs[0]: proof");
    unread(|form| form["proofs"][0]["proof"] = json!("!"), "is not Base64");
    let whole = fs::read(file).unwrap();
    for length in (0..whole.len()).step_by(whole.len() / 8) {
        let cut = stage.named("cut.json");
        fs::write(&cut, &whole[..length]).unwrap();
        assert_eq!(stage.verify(&cut, &[]).status, 2, "{length}");
    }
}

/// A vault of many coins is shown by several attestations over one challenge, and by those alone.
fn several_make_one_file(stage: &Stage) {
    let (vault, log, out) = (stage.named("hot.toml"), stage.named("log"), stage.named(""));
    let (key, block) = (log_key().verifier().to_string(), stage.node.rpc.best_hash().unwrap().to_string());
    let ran = stage.run(&[
        "challenge",
        "--vault",
        &vault,
        "--id",
        "one",
        "two",
        "--block",
        &block,
        "--dir",
        &log,
        "--vkey",
        &key,
        "--out",
        &out,
    ]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let request = |id: &str| -> Value {
        serde_json::from_slice(&fs::read(stage.path(&format!("{id}.json"))).unwrap()).unwrap()
    };
    let view = |request: &Value, coins: &[_]| stage.attested(request, &stage.signed(request, coins));
    let first = view(&request("one"), &stage.coins[..1]);
    let second = view(&request("two"), &stage.coins[1..]);
    let other = view(&stage.challenge("other", ProofForm::Bip322), &stage.coins[1..]);
    let (checkpoint, file, node) = (stage.named("checkpoint"), stage.named("both.json"), stage.node_args());
    let prove = |views: [&str; 2]| {
        let mut args =
            vec!["prove", "--from", views[0], views[1], "--checkpoint", &checkpoint, "--out", &file];
        args.extend(node.iter().map(String::as_str));
        stage.run(&args)
    };
    let ran = prove([&first, &other]);
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("over another challenge"), "{}", ran.err);
    let ran = prove([&first, &second]);
    assert_eq!(
        (ran.status, &ran.json()["proofs"], &ran.json()["outputs"]),
        (0, &json!(2), &json!(3)),
        "{}",
        ran.err
    );
    let sum: u64 = stage.coins.iter().map(|(_, output, _)| output.value_sat).sum();
    let answer = stage.verify(&file, &[]).json();
    assert_eq!((&answer["ok"], &answer["sum_sat"]), (&json!(true), &json!(sum)), "{answer}");
}

/// An output spent after the stated block counts; one that was spent before does not, nor does one that never was.
fn what_is_spent_counts_if_it_was_there(stage: &Stage) {
    let before = stage.file("before", ProofForm::Bip322, &stage.coins);
    let coin = stage.coins[0].clone();
    let value_sat = coin.1.value_sat;
    let tx = stage.vault.spend(&[coin], vec![stage.vault.pays(value_sat - 10_000)], 0);
    assert_eq!(stage.node.rpc.send(&tx).unwrap(), Sent::Pooled);
    // In the mempool it is not spent yet.
    assert_eq!(stage.verify(&before, &[]).status, 0);
    stage.node.mine(1, &stage.vault.script(5));
    let ran = stage.verify(&before, &[]);
    assert_eq!((ran.status, &ran.json()["outputs"]), (0, &json!(3)), "{}", ran.out);
    // Afterwards: signatures over today's challenge, for a coin that is gone and one that never was.
    let mut made_up = stage.coins[1].clone();
    made_up.0.txid = Txid::from_bytes([1; 32]);
    for (coins, sum) in [
        (stage.coins.clone(), stage.coins[1].1.value_sat + stage.coins[2].1.value_sat),
        (vec![stage.coins[1].clone(), made_up], stage.coins[1].1.value_sat),
    ] {
        let request = stage.challenge("after", ProofForm::Bip127);
        let tx = stage.signed(&request, &coins);
        let text = request["memo"].as_str().unwrap();
        let mut spent = vec![first_spent(ProofForm::Bip127, &Script::default())];
        spent.extend(coins.iter().map(|(_, output, _)| output.clone()));
        let funds =
            Funds::assemble(ProofForm::Bip127, text.as_bytes(), &tx, &spent, &BTreeMap::new()).unwrap();
        let file = stage.bent(&before, |form| {
            form["height"] = json!(stage.node.rpc.best_height().unwrap().blocks());
            form["proofs"] = json!([{ "challenge": text, "proof": STANDARD.encode(funds.encode()) }]);
        });
        let answer = stage.verify(&file, &[]).json();
        assert_eq!(
            (failed(&answer), &answer["bad_count"]),
            (vec!["unspent".to_owned()], &json!(1)),
            "{answer}"
        );
        assert_eq!(answer["sum_sat"], sum);
        // Whoever collects it notices too.
        let view = stage.attested(&request, &tx);
        let (checkpoint, out, node) = (stage.named("checkpoint"), stage.named("out.json"), stage.node_args());
        let mut args = vec!["prove", "--from", &view, "--checkpoint", &checkpoint, "--out", &out];
        args.extend(node.iter().map(String::as_str));
        let ran = stage.run(&args);
        assert_eq!(ran.status, 3, "{}", ran.out);
        assert!(!Path::new(&out).exists());
    }
}

#[test]
fn reserves_are_shown_to_litecoind() {
    reserves_are_shown(Kind::Litecoind);
}

#[test]
fn reserves_are_shown_to_bitcoind() {
    reserves_are_shown(Kind::Bitcoind);
}

/// What `verify` answers about 1,000 base units of BTC, all checks made.
fn verified() -> Value {
    let names = ["challenge", "fresh", "log", "signatures", "distinct", "block", "unspent"];
    let checks: Vec<Value> =
        names.iter().map(|name| json!({ "check": name, "result": "verified" })).collect();
    json!({
        "ok": true, "asset": "BTC", "network": "bitcoin-main", "origin": "kuraban.example/log", "size": 12,
        "root": "r", "block": { "height": 7, "hash": "aa" }, "at_ms": 1_800_000_000_000_u64, "proofs": 1,
        "outputs": 2, "sum_sat": 1000, "owners": [], "checks": checks, "bad": [], "bad_count": 0,
    })
}

fn liabilities() -> Value {
    json!({
        "root": "00ff", "totals": [{ "asset": "BTC", "units": 900 }], "as_of": "2027-01-15T08:00:00Z",
        "blocks": [{ "chain": "btc", "height": 7, "hash": "aa" }],
    })
}

/// What `liabilities verify` answers about these.
fn counted(liabilities: &Value) -> Value {
    let mut answer = liabilities.clone();
    answer["ok"] = json!(true);
    answer["origin"] = json!("kuraban.example/log");
    answer["as_of_ms"] = json!(1_800_000_000_000_u64);
    for total in answer["totals"].as_array_mut().unwrap() {
        let text = total["units"].to_string();
        let units = kuraban_base::Amount::new(text.trim_matches('"').parse().unwrap());
        let decimals = if total["asset"] == "BTC" { 8 } else { 18 };
        total["amount"] = json!(units.to_coins(decimals));
    }
    answer
}

fn statement(liabilities: &Value, verified: &[Value], answered: Option<&Value>) -> Ran {
    statement_of(liabilities, verified, answered, &[])
}

fn statement_of(liabilities: &Value, verified: &[Value], answered: Option<&Value>, more: &[&str]) -> Ran {
    let folder = tempdir().unwrap();
    let write = |name: &str, value: &Value| {
        let path = folder.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        path.display().to_string()
    };
    let mut args = vec!["--json".to_owned(), "reserves".to_owned(), "statement".to_owned()];
    args.extend(["--liabilities".to_owned(), write("liabilities.json", liabilities)]);
    args.extend(
        answered.iter().flat_map(|it| ["--liabilities-verified".to_owned(), write("answer.json", it)]),
    );
    for (at, one) in verified.iter().enumerate() {
        args.extend(["--verified".to_owned(), write(&format!("{at}.json"), one)]);
    }
    args.extend(more.iter().map(|&text| text.to_owned()));
    run(args)
}

/// How a statement of 900 owed and 1,000 held ends where something was not verified.
const NOT_SHOWN: [&str; 4] = ["not-shown", "100", "1.111111", "stated"];

/// Verdict, margin, ratio, and whether the company states or something was shown.
fn said(owed: &Value, held: Value, answered: Option<&Value>, want: [&str; 4]) {
    let ran = statement(owed, &[held], answered);
    let answer = ran.json();
    let line = &answer["assets"][0];
    let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
    let stated = line["words"].to_string().contains("the company states");
    let stated = if stated { "stated" } else { "shown" };
    assert_eq!([&text("verdict"), &text("margin_units"), &text("ratio"), stated], want, "{answer}");
    let covered = want[0] == "covered";
    assert_eq!((ran.status == 0, answer["ok"] == true), (covered, covered));
}

#[test]
fn a_statement_takes_from_liabilities_only_what_was_verified_under_their_root() {
    let check = |change: &dyn Fn(&mut Value), want: [&str; 4]| {
        let owed = liabilities();
        let mut answer = counted(&owed);
        change(&mut answer);
        said(&owed, verified(), Some(&answer), want);
    };
    check(&|_| {}, ["covered", "100", "1.111111", "shown"]);
    // Under a veil as well: one document says what is owed, and that it was verified.
    let mut veil = counted(&liabilities());
    veil["veil"] = veil["root"].take();
    veil.as_object_mut().unwrap().remove("root");
    said(&veil, verified(), Some(&veil), ["covered", "100", "1.111111", "shown"]);
    said(&liabilities(), verified(), None, NOT_SHOWN);
    check(&|answer| *answer = json!({ "ok": false, "error": "a leaf is missing" }), NOT_SHOWN);
    check(&|answer| *answer = json!({ "ok": false }), NOT_SHOWN);
    check(&|answer| answer["ok"] = json!(false), NOT_SHOWN);
    check(&|answer| answer["root"] = json!("00fe"), NOT_SHOWN);
    check(&|answer| answer["root"] = Value::Null, NOT_SHOWN);
    // The right root beside totals that are a little lower than those that it binds, or fewer.
    check(&|answer| answer["totals"][0]["units"] = json!(901), NOT_SHOWN);
    check(&|answer| answer["totals"] = json!([]), NOT_SHOWN);
    // A tree in whole coins: 900 units that are 900 bitcoins, and are less than 1,000 base units.
    check(&|answer| answer["totals"][0]["amount"] = json!("900"), NOT_SHOWN);
    check(&|answer| answer["totals"][0]["amount"] = Value::Null, NOT_SHOWN);
    let more = json!({ "asset": "ETH", "units": "1" });
    check(&|answer| answer["totals"].as_array_mut().unwrap().push(more.clone()), NOT_SHOWN);
    check(&|answer| answer["as_of_ms"] = json!(1_800_000_000_001_u64), NOT_SHOWN);
    check(&|answer| answer["as_of_ms"] = Value::Null, NOT_SHOWN);
    check(&|answer| answer["blocks"][0]["hash"] = json!("bb"), NOT_SHOWN);
    check(&|answer| answer["blocks"] = json!([]), NOT_SHOWN);
    check(&|answer| answer["origin"] = Value::Null, NOT_SHOWN);
    check(&|answer| *answer = json!({ "ok": true, "root": "00ff" }), NOT_SHOWN);
}

#[test]
fn a_statement_says_what_was_verified_and_what_is_only_stated() {
    let check = |change: &dyn Fn(&mut Value, &mut Value), want: [&str; 4]| {
        let (mut owed, mut held) = (liabilities(), verified());
        change(&mut owed, &mut held);
        said(&owed, held, Some(&counted(&owed)), want);
    };
    check(&|_, _| {}, ["covered", "100", "1.111111", "shown"]);
    check(&|owed, _| owed["totals"][0]["units"] = json!("1000"), ["covered", "0", "1.000000", "shown"]);
    check(&|owed, _| owed["totals"][0]["units"] = json!(1001), ["short", "-1", "0.999000", "shown"]);
    check(&|owed, _| owed["totals"][0]["units"] = json!(0), ["covered", "1000", "-", "shown"]);
    check(&|_, held| held["checks"][2]["result"] = json!("not-made"), NOT_SHOWN);
    check(
        &|_, held| {
            held["checks"][6]["result"] = json!("failed");
            held["ok"] = json!(false);
        },
        NOT_SHOWN,
    );
    // An answer whose end was edited.
    check(&|_, held| held["checks"][6]["result"] = json!("failed"), NOT_SHOWN);
    check(&|_, held| held["block"]["hash"] = json!("bb"), NOT_SHOWN);
    check(&|owed, _| owed["blocks"] = json!([]), NOT_SHOWN);
    check(&|_, held| held["at_ms"] = json!(1_800_086_400_000_u64), ["covered", "100", "1.111111", "shown"]);
    check(&|_, held| held["at_ms"] = json!(1_800_086_400_001_u64), NOT_SHOWN);
    // Coins of a test, those of a chain that nobody knows, and coins that somebody else showed to a log of its own.
    for network in
        ["bitcoin-test", "bitcoin-signet", "bitcoin-regtest", "ethereum-dev", "bitcoin", "other-main"]
    {
        check(&|_, held| held["network"] = json!(network), NOT_SHOWN);
    }
    check(&|_, held| held["origin"] = json!("other.example/log"), NOT_SHOWN);

    // An asset that nothing shows, in units beyond 64 bits.
    let mut owed = liabilities();
    let ether = json!({ "asset": "ETH", "units": "340282366920938463463374607431768211455" });
    owed["totals"].as_array_mut().unwrap().push(ether);
    let answer = statement(&owed, &[verified()], Some(&counted(&owed))).json();
    assert_eq!(
        (&answer["assets"][1]["verdict"], &answer["assets"][1]["ratio"]),
        (&json!("not-shown"), &Value::Null)
    );
    assert_eq!(answer["error"], "ETH is not shown");
}

#[test]
fn a_token_stands_under_its_code_where_the_statement_is_told_so() {
    let contract = "0xdac17f958d2ee523a2206206994597c13d831ec7";
    let (mut owed, mut held) = (liabilities(), verified());
    owed["totals"][0]["asset"] = json!("USDT");
    (held["asset"], held["network"]) = (json!(contract), json!("ethereum-main"));
    let root = counted(&owed);
    let told = |token: &str| statement_of(&owed, &[held.clone()], Some(&root), &["--token", token]);
    let line = told(&format!("USDT={contract}")).json()["assets"][0].clone();
    assert_eq!((&line["contract"], &line["margin_units"]), (&json!(contract), &json!("100")), "{line}");
    // How many decimals the contract has nobody asked: of all checks that one alone is not made.
    let open: Vec<&Value> =
        line["checks"].as_array().unwrap().iter().filter(|check| check["result"] != "verified").collect();
    assert_eq!((&line["verdict"], open.len(), &open[0]["check"]), (&json!("not-shown"), 1, &json!("units")));
    // No token takes the place of a coin.
    let coin = format!("BTC={contract}");
    for other in [&coin, "USDC=0xdac17f958d2ee523a2206206994597c13d831ec7", "USDT=ETH", "USDT=0xdac1", "USDT"]
    {
        assert_eq!(told(other).status, 2, "{other}");
    }
}

#[test]
fn a_statement_of_files_that_cannot_be_is_refused() {
    let check = |change: &dyn Fn(&mut Value), more: &[Value], want: &str| {
        let mut owed = liabilities();
        change(&mut owed);
        let ran = statement(&owed, more, None);
        assert_eq!(ran.status, 2, "{}", ran.out);
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    };
    check(
        &|owed| owed["totals"] = json!([owed["totals"][0], owed["totals"][0]]),
        &[],
        "BTC stands in the totals twice",
    );
    check(&|owed| owed["totals"][0]["units"] = json!(-1), &[], "liabilities.json");
    check(&|owed| owed["totals"][0]["units"] = json!(1.5), &[], "liabilities.json");
    check(&|owed| owed["totals"][0]["units"] = json!("+1"), &[], "whole number");
    check(
        &|owed| owed["totals"][0]["units"] = json!("340282366920938463463374607431768211456"),
        &[],
        "whole number",
    );
    check(&|owed| owed["as_of"] = json!("today"), &[], "point in time");
    check(&|_| {}, &[verified(), verified()], "BTC was given before");
    check(&|owed| owed["totals"][0]["asset"] = json!("LTC"), &[verified()], "no total for BTC");
    let folder = tempdir().unwrap();
    let path = folder.path().join("l.json");
    let whole = liabilities().to_string();
    for length in (0..whole.len()).step_by(16) {
        fs::write(&path, &whole[..length]).unwrap();
        let ran = run(["reserves", "statement", "--liabilities", path.to_str().unwrap()]);
        assert_eq!(ran.status, 2, "{length}");
    }
}
