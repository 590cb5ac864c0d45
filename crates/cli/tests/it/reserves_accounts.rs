//! Reserves of chains of accounts from the challenge to the statement: Ethereum against a real node, the XRP Ledger and NEM
//! against servers that answer as theirs do, with ledgers and balances made up here.

use std::{fs, path::PathBuf};

use kuraban_base::{TreeHash, hex};
use kuraban_chain::{
    nem,
    xrp::{LedgerHeader, PublicKey},
};
use kuraban_proof::{NoteSigner, SignedCheckpoint, TreeHead};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::{
    anvil::Anvil,
    run::{Ran, run},
    server::Server,
};

/// A log, and the files that people keep.
struct Desk {
    folder: TempDir,
    network: &'static str,
}

fn log_key() -> NoteSigner {
    NoteSigner::from_seed("kuraban.example/log".parse().unwrap(), &[9; 32])
}

impl Desk {
    fn new(network: &'static str) -> Self {
        let folder = tempdir().unwrap();
        let log = folder.path().join("log");
        fs::create_dir(&log).unwrap();
        let head = TreeHead { size: 12, root: TreeHash::from_bytes([5; 32]) };
        let checkpoint = SignedCheckpoint::sign(&log_key(), head).unwrap();
        fs::write(log.join("checkpoint"), checkpoint.to_string()).unwrap();
        Self { folder, network }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn named(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn put(&self, name: &str, json: &Value) -> String {
        fs::write(self.path(name), json.to_string()).unwrap();
        self.named(name)
    }

    /// The text of a challenge over a block.
    fn challenge(&self, asset: &str, block: &str) -> String {
        let ran = self.challenge_with(&["--network", self.network, "--asset", asset], block);
        assert_eq!(ran.status, 0, "{}", ran.err);
        let text = fs::read_to_string(self.path("challenge.txt")).unwrap();
        assert_eq!(ran.json()["challenge"], *text);
        text
    }

    fn challenge_with(&self, args: &[&str], block: &str) -> Ran {
        let key = log_key().verifier().to_string();
        let (log, out) = (self.named("log"), self.named(""));
        let rest = ["--block", block, "--dir", &log, "--vkey", &key, "--out", &out];
        run(["--json", "reserves", "challenge"].iter().chain(args).chain(&rest))
    }

    /// Collects what was signed; the file's name.
    fn collect(&self, height: u64, signed: &Value) -> Ran {
        let (list, out) = (self.put("signed.json", signed), self.named("reserves.json"));
        let (challenge, checkpoint) = (self.named("challenge.txt"), self.named("checkpoint"));
        run([
            "--json",
            "reserves",
            "collect",
            "--network",
            self.network,
            "--height",
            &height.to_string(),
            "--challenge",
            &challenge,
            "--checkpoint",
            &checkpoint,
            "--signed",
            &list,
            "--out",
            &out,
        ])
    }

    fn collected(&self, height: u64, signed: &Value) -> Value {
        let ran = self.collect(height, signed);
        assert_eq!(ran.status, 0, "{}", ran.err);
        serde_json::from_slice(&fs::read(self.path("reserves.json")).unwrap()).unwrap()
    }

    /// Checks a file.
    fn verify(&self, file: &Value, args: &[&str]) -> Ran {
        let (name, key) = (self.put("checked.json", file), log_key().verifier().to_string());
        let all = ["--json", "reserves", "verify", &name, "--vkey", &key];
        run(all.iter().chain(args))
    }

    /// Checks a file and expects this check to fail, with these words.
    fn fails(&self, file: &Value, args: &[&str], check: &str, detail: &str) {
        let ran = self.verify(file, args);
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        let answer = ran.json();
        assert_eq!(result(&answer, check)["result"], "failed", "{answer}");
        assert!(result(&answer, check)["detail"].as_str().unwrap().contains(detail), "{answer}");
        assert_eq!(answer["ok"], false);
    }
}

fn result<'a>(answer: &'a Value, check: &str) -> &'a Value {
    answer["checks"].as_array().unwrap().iter().find(|one| one["check"] == check).unwrap()
}

fn all_hold(answer: &Value) {
    for check in answer["checks"].as_array().unwrap() {
        assert_eq!(check["result"], "verified", "{check}");
    }
    assert_eq!(answer["ok"], true);
}

/// What anvil signs for its own accounts.
fn signed_by(anvil: &Anvil, accounts: &[String], text: &str) -> Value {
    let data = format!("0x{}", hex::encode(text.as_bytes()));
    let one = |account: &String| json!({"address": account, "signature": anvil.ask("personal_sign", json!([data, account]))});
    accounts.iter().map(one).collect()
}

fn height(block: &Value) -> u64 {
    u64::from_str_radix(&block["number"].as_str().unwrap()[2..], 16).unwrap()
}

fn units(text: &Value) -> u128 {
    u128::from_str_radix(&text.as_str().unwrap()[2..], 16).unwrap()
}

#[test]
fn ether_is_shown_by_proofs_of_a_real_node() {
    let Some(anvil) = Anvil::start() else { return };
    let desk = Desk::new("ethereum-dev");
    let accounts = anvil.accounts();
    anvil.transact(json!({"from": accounts[0], "to": accounts[1], "value": "0xde0b6b3a7640001"}));
    let block = anvil.newest();
    let hash = block["hash"].as_str().unwrap();
    let at = json!({"blockHash": hash});
    let have: u128 =
        accounts[..2].iter().map(|one| units(&anvil.ask("eth_getBalance", json!([one, at])))).sum();
    let text = desk.challenge("ETH", hash);
    assert!(text.starts_with("kuraban-reserves-v1 eip-191 kuraban.example/log 12 "), "{text}");
    // What came after the block does not matter.
    anvil.transact(json!({"from": accounts[0], "to": accounts[2], "value": "0xde0b6b3a7640000"}));
    let file = desk.collected(height(&block), &signed_by(&anvil, &accounts[..2], &text));
    let node = ["--node", &anvil.place];
    let ran = desk.verify(&file, &node);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let answer = ran.json();
    all_hold(&answer);
    assert_eq!(answer["sum_units"], have.to_string());
    assert_eq!((&answer["accounts"], &answer["asset"]), (&json!(2), &json!("ETH")));
    assert!(answer["held"].as_array().unwrap().iter().all(|held| held["by"] == "proof"), "{answer}");
    bent_files(&desk, &file, &node);
    printed_proofs(&desk, &anvil, &file, &accounts, &block);
    // The statement takes the answer, and the block in either spelling.
    for (network, owed, status, verdict) in [
        ("ethereum-main", have, 0, "covered"),
        ("ethereum-main", have + 1, 1, "short"),
        ("ethereum-dev", have, 1, "not-shown"),
    ] {
        // Only the name of the network is another than the node's: a test's coins are no reserves.
        let mut held = answer.clone();
        held["network"] = json!(network);
        let verified = desk.put("eth.json", &held);
        let mut owed = json!({"root": "00", "as_of": answer["at_ms"], "blocks": [{"hash": hash}],
            "totals": [{"asset": "ETH", "units": owed.to_string()}]});
        let liabilities = desk.put("root.json", &owed);
        let coins = kuraban_base::Amount::new(owed["totals"][0]["units"].as_str().unwrap().parse().unwrap());
        owed["totals"][0]["amount"] = json!(coins.to_coins(18));
        (owed["ok"], owed["as_of_ms"], owed["origin"]) =
            (json!(true), answer["at_ms"].clone(), answer["origin"].clone());
        let root = desk.put("verified.json", &owed);
        let all = ["--json", "reserves", "statement", "--liabilities", &liabilities];
        let ran = run(all.iter().chain(&["--liabilities-verified", &root, "--verified", &verified]));
        assert_eq!(ran.status, status, "{}{}", ran.out, ran.err);
        assert_eq!(ran.json()["assets"][0]["verdict"], verdict);
        assert_eq!(ran.json()["assets"][0]["reserves_units"], have.to_string());
    }
}

/// Everything by which somebody would make more of a file than it shows.
fn bent_files(desk: &Desk, file: &Value, node: &[&str]) {
    let bent = |change: &dyn Fn(&mut Value)| {
        let mut bent = file.clone();
        change(&mut bent);
        bent
    };
    let twice = bent(&|file| {
        let first = file["accounts"][0].clone();
        file["accounts"].as_array_mut().unwrap().push(first);
    });
    desk.fails(&twice, node, "distinct", "is shown more than once");
    let stranger = "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1";
    let other = bent(&|file| file["accounts"][0]["address"] = json!(stranger));
    desk.fails(&other, node, "signatures", "accounts[0]: the signature is by 0x");
    let high = bent(&|file| file["height"] = json!(file["height"].as_u64().unwrap() + 1));
    desk.fails(&high, node, "block", "the file says");
    let text = file["challenge"].as_str().unwrap();
    let digit = if text.ends_with('0') { '1' } else { '0' };
    let later = bent(&|file| file["challenge"] = json!(format!("{}{digit}", &text[..text.len() - 1])));
    desk.fails(&later, node, "signatures", "or over another text; and 1 more");
    let unknown = bent(&|file| {
        let words: Vec<&str> = text.split(' ').collect();
        let none = "ab".repeat(32);
        file["challenge"] = json!(text.replace(words[5], &none));
    });
    desk.fails(&unknown, node, "block", "is not in the chain");
    let log = bent(&|file| {
        let text = file["checkpoint"].as_str().unwrap().replace("\n12\n", "\n13\n");
        file["checkpoint"] = json!(text);
    });
    desk.fails(&log, node, "log", "");
    desk.fails(file, &[node, &["--as-of", "2036-01-01T00:00:00Z"]].concat(), "fresh", "ms old");
    let ran = desk.verify(&bent(&|file| file["network"] = json!("ethereum-main")), node);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("node is of network 31337, want 1 (ethereum-main)"), "{}", ran.err);
    let ran = desk.verify(&bent(&|file| file["network"] = json!("nem-main")), node);
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("it is for ETH signed as eip-191, the file for nem-main"), "{}", ran.err);
    let ran = desk.verify(&bent(&|file| file["accounts"] = json!([])), node);
    assert_eq!(ran.status, 2, "{}", ran.err);
    assert!(ran.err.contains("it has 0 accounts, want 1 to 10000"), "{}", ran.err);
}

/// The same from a file of the node's answers, in which nothing can be made larger.
fn printed_proofs(desk: &Desk, anvil: &Anvil, file: &Value, accounts: &[String], block: &Value) {
    let at = json!({"blockHash": block["hash"]});
    let proofs: Vec<Value> =
        accounts[..2].iter().map(|one| anvil.ask("eth_getProof", json!([one, [], at]))).collect();
    let printed = json!({"block": block, "accounts": proofs});
    let check = |printed: &Value, want: Result<(), (&str, &str)>| {
        let name = desk.put("printed.json", printed);
        match want {
            Ok(()) => {
                let ran = desk.verify(file, &["--balances", &name]);
                assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
                all_hold(&ran.json());
            }
            Err((check, detail)) => desk.fails(file, &["--balances", &name], check, detail),
        }
    };
    check(&printed, Ok(()));
    let bent = |change: &dyn Fn(&mut Value)| {
        let mut bent = printed.clone();
        change(&mut bent);
        bent
    };
    let more = bent(&|printed| printed["accounts"][0]["balance"] = json!("0xffffffffffffffffffffffff"));
    check(&more, Err(("balances", "beside it stands another balance")));
    let swapped = bent(&|printed| {
        printed["accounts"][0]["accountProof"] = printed["accounts"][1]["accountProof"].clone();
    });
    check(&swapped, Err(("balances", "of the proof has another hash")));
    let missing = bent(&|printed| {
        printed["accounts"].as_array_mut().unwrap().remove(0);
    });
    check(&missing, Err(("balances", "the file says nothing of it")));
    let name = desk.put("printed.json", &bent(&|printed| printed["block"]["stateRoot"] = json!("0x00")));
    let ran = desk.verify(file, &["--balances", &name]);
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("block: it is not a block with all fields"), "{}", ran.err);
    let root = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
    let name = desk.put("printed.json", &bent(&|printed| printed["block"]["stateRoot"] = json!(root)));
    let ran = desk.verify(file, &["--balances", &name]);
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("it is not a block whose fields have its hash"), "{}", ran.err);
}

#[test]
fn tokens_are_shown_by_a_real_node() {
    let Some(anvil) = Anvil::start() else { return };
    let desk = Desk::new("ethereum-dev");
    let accounts = anvil.accounts();
    // A contract that answers every call with what its storage has at the number in the call's first argument:
    // PUSH1 4, CALLDATALOAD, SLOAD, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN; before it what puts it into place.
    let code = "0x6b60043554600052602060 00f3600052600c6014f3".replace(' ', "");
    let receipt = anvil.transact(json!({"from": accounts[0], "data": code}));
    let token = receipt["contractAddress"].as_str().unwrap();
    let slot = |account: &str| format!("0x{}{}", "0".repeat(24), &account[2..]);
    let word = |units: u128| format!("0x{units:064x}");
    let hold =
        |account: &str, value: &str| anvil.ask("anvil_setStorageAt", json!([token, slot(account), value]));
    hold(&accounts[0], &word(5_000_000));
    hold(&accounts[1], &word(1_000_000_000_000_000_000_000_000_000));
    hold(&accounts[2], &format!("0x{}", "ff".repeat(32)));
    anvil.ask("evm_mine", json!([]));
    let block = anvil.newest();
    let text = desk.challenge(token, block["hash"].as_str().unwrap());
    let file = desk.collected(height(&block), &signed_by(&anvil, &accounts[..2], &text));
    let node = ["--node", &anvil.place];
    let ran = desk.verify(&file, &node);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let answer = ran.json();
    all_hold(&answer);
    assert_eq!(answer["sum_units"], "1000000000000000000005000000");
    assert_eq!(answer["asset"], token.to_ascii_lowercase());
    assert!(answer["held"].as_array().unwrap().iter().all(|held| held["by"] == "node"), "{answer}");
    // From a file of the same answers, which says nothing of ether.
    let data = |account: &str| format!("0x70a08231{}", &slot(account)[2..]);
    let at = json!({"blockHash": block["hash"]});
    let answered = |account: &String| json!({"address": account, "result": anvil.ask("eth_call", json!([{"to": token, "data": data(account)}, at]))});
    let list: Vec<Value> = accounts[..2].iter().map(answered).collect();
    let name = desk.put("printed.json", &json!({"block": block, "accounts": list}));
    let ran = desk.verify(&file, &["--balances", &name]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(ran.json()["sum_units"], answer["sum_units"]);
    let text_of_ether = desk.challenge("ETH", block["hash"].as_str().unwrap());
    let ether = desk.collected(height(&block), &signed_by(&anvil, &accounts[..1], &text_of_ether));
    desk.fails(&ether, &["--balances", &name], "balances", "the file has no balance of this asset");
    let text = desk.challenge(token, block["hash"].as_str().unwrap());
    let file = desk.collected(height(&block), &signed_by(&anvil, &accounts, &text));
    desk.fails(&file, &node, "balances", "it holds 2^128 base units or more");
    // Where there is no contract there is no token.
    let text = desk.challenge(&accounts[2], block["hash"].as_str().unwrap());
    let file = desk.collected(height(&block), &signed_by(&anvil, &accounts[..1], &text));
    desk.fails(&file, &node, "balances", "there is no contract");
}

#[test]
fn what_cannot_be_asked_or_signed_is_named() {
    let desk = Desk::new("ethereum-main");
    let block = "ab".repeat(32);
    let check = |args: &[&str], block: &str, want: &str| {
        let ran = desk.challenge_with(args, block);
        assert_eq!(ran.status, 2, "{args:?}");
        assert!(ran.err.contains(want), "{args:?}: {}", ran.err);
    };
    check(&["--network", "ethereum-main", "--asset", "XRP"], &block, "XRP is not of ethereum-main");
    check(
        &["--network", "ethereum-main", "--form", "xrpl"],
        &block,
        "accounts of ethereum-main sign as eip-191",
    );
    check(
        &["--network", "ethereum-main", "--form", "bip-322"],
        &block,
        "accounts of ethereum-main sign as eip-191",
    );
    check(&["--network", "ethereum-main"], "ab", "--block");
    check(&["--network", "ethereum"], &block, "is no network of accounts");
    check(&[], &block, "--vault");
    check(&["--network", "nem-main", "--id", "por-1"], &block, "cannot be used with");
    desk.challenge("ETH", &format!("0x{}", block.to_ascii_uppercase()));
    // What ethers.js 6.17.0 signed, over another text than this.
    let other = "0x008f5fb3ee6d29e767bfb729dc8764c5178f4e8a872450f6a33f62442f9ecd883c3d1dc059a5a809bde6ed6299b99b3d5c4f0ed46d79ba01658ad7b7ef8f61151c";
    let signed = |address: &str, signature: &str| json!([{"address": address, "signature": signature}]);
    let address = "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1";
    let refused = |signed: &Value, want: &str| {
        let ran = desk.collect(1, signed);
        assert_eq!(ran.status, 2, "{signed}");
        assert!(ran.err.contains(want), "{signed}: {}", ran.err);
        assert!(!desk.path("reserves.json").exists());
    };
    refused(&signed(address, other), "[0]: the signature is by 0x");
    refused(&signed(&address.replace('F', "f"), other), "character 'f'");
    refused(&signed(address, "0x00"), "signature is not 0x and 65 bytes");
    refused(&json!([]), "want 1 to 10000 accounts, found 0");
    refused(&json!([{"address": address, "signature": other, "balance": 1}]), "unknown field");
}

/// A server that answers as rippled does about one ledger and these accounts.
struct Rippled {
    server: Server,
    hash: String,
    index: u32,
}

fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

impl Rippled {
    /// With a ledger that closed so long ago.
    fn start(age_s: u64, accounts: Value) -> Self {
        let close_time = u32::try_from(now_s() - age_s - 946_684_800).unwrap();
        let ledger = LedgerHeader {
            index: 99_000_000,
            drops: 99_985_000_000_000_000,
            parent: [1; 32],
            transactions: [2; 32],
            accounts: [3; 32],
            parent_close_time: close_time - 4,
            close_time,
            close_resolution: 10,
            close_flags: 0,
        };
        let text = |bytes: &[u8; 32]| hex::encode(bytes).to_ascii_uppercase();
        let (hash, index) = (text(&ledger.hash()), ledger.index);
        let shown = json!({
            "ledger_hash": hash, "ledger_index": ledger.index.to_string(), "total_coins": ledger.drops.to_string(),
            "parent_hash": text(&ledger.parent), "transaction_hash": text(&ledger.transactions),
            "account_hash": text(&ledger.accounts), "parent_close_time": ledger.parent_close_time,
            "close_time": close_time, "close_time_resolution": 10, "close_flags": 0, "closed": true,
        });
        let of = hash.clone();
        let server = Server::start(move |asked| {
            let ask: Value = serde_json::from_str(&asked.body).unwrap();
            let param = &ask["params"][0];
            let known = param["ledger_hash"] == of;
            let result = match ask["method"].as_str().unwrap() {
                "server_info" => json!({"info": {"network_id": 0}, "status": "success"}),
                "ledger" if known => json!({"ledger": shown, "validated": true, "status": "success"}),
                "account_info" if known => match accounts.get(param["account"].as_str().unwrap()) {
                    Some(data) => json!({"account_data": data, "ledger_hash": of, "validated": true}),
                    None => json!({"error": "actNotFound", "status": "error"}),
                },
                _ => json!({"error": "lgrNotFound", "status": "error"}),
            };
            (200, json!({"result": result}).to_string().into_bytes())
        });
        Self { server, hash, index }
    }
}

/// A key of the XRP Ledger made of a seed, and what it signs.
fn ripple_key(seed: u8) -> (PublicKey, impl Fn(&str) -> String) {
    use ed25519_dalek::{Signer as _, SigningKey};
    let key = SigningKey::from_bytes(&[seed; 32]);
    let public = [&[0xed][..], key.verifying_key().as_bytes()].concat();
    let sign = move |text: &str| hex::encode(&key.sign(text.as_bytes()).to_bytes());
    (PublicKey::from_bytes(public.try_into().unwrap()).unwrap(), sign)
}

#[test]
fn xrp_is_shown_with_the_keys_that_an_account_has() {
    let keys: Vec<_> = (1..=5).map(ripple_key).collect();
    let address = |at: usize| keys[at].0.address().to_string();
    let data = |at: usize, drops: &str, flags: u32, regular: Option<usize>| {
        let mut data = json!({"Account": address(at), "Balance": drops, "Flags": flags});
        if let Some(regular) = regular {
            data["RegularKey"] = json!(address(regular));
        }
        data
    };
    const OFF: u32 = 0x0010_0000;
    let accounts = json!({
        address(0): data(0, "25000000", 0, None),
        address(1): data(1, "1000000", OFF, Some(4)),
        address(2): data(2, "7000000", OFF, None),
        address(3): data(3, "100000000000000000", 0, Some(4)),
    });
    let rippled = Rippled::start(0, accounts);
    let desk = Desk::new("xrpl-main");
    let text = desk.challenge("XRP", &rippled.hash);
    // Whose, and signed by whose key.
    let signed = |rows: &[(usize, usize)]| -> Value {
        let row = |(account, by): &(usize, usize)| {
            let (key, sign) = &keys[*by];
            json!({"address": address(*account), "public_key": key.to_string(), "signature": sign(&text)})
        };
        rows.iter().map(row).collect()
    };
    let node = ["--node", rippled.server.url.as_str()];
    let index = u64::from(rippled.index);
    let good = desk.collected(index, &signed(&[(0, 0), (1, 4), (3, 3)]));
    let ran = desk.verify(&good, &node);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let answer = ran.json();
    all_hold(&answer);
    assert_eq!(answer["sum_units"], "100000000026000000");
    let check = |rows: &[(usize, usize)], detail: &str| {
        desk.fails(&desk.collected(index, &signed(rows)), &node, "balances", detail);
    };
    check(&[(1, 1)], "has turned its own key off");
    check(&[(2, 2)], "has turned its own key off");
    check(&[(0, 4)], "which is not the account's");
    check(&[(3, 0)], "which is not the account's");
    check(&[(4, 4)], "there is no such account");
    let mut low = good.clone();
    low["height"] = json!(index - 1);
    desk.fails(&low, &node, "block", "the file says 98999999");
    printed_ledger(&desk, &rippled, &good, &[address(0), address(1), address(3)]);
}

#[test]
fn a_ledger_that_was_old_when_the_challenge_was_made_is_refused() {
    let (key, sign) = ripple_key(1);
    let address = key.address().to_string();
    let check = |age_s: u64, want: Option<&str>| {
        let accounts = json!({&address: {"Account": address, "Balance": "1", "Flags": 0}});
        let rippled = Rippled::start(age_s, accounts);
        let desk = Desk::new("xrpl-main");
        let text = desk.challenge("XRP", &rippled.hash);
        let signed = json!([{"address": address, "public_key": key.to_string(), "signature": sign(&text)}]);
        let file = desk.collected(rippled.index.into(), &signed);
        let node = ["--node", rippled.server.url.as_str()];
        match want {
            Some(detail) => desk.fails(&file, &node, "fresh", detail),
            None => all_hold(&desk.verify(&file, &node).json()),
        }
    };
    // Three hours, less the time that this test may take, and one second more.
    check(3 * 60 * 60 - 60, None);
    check(3 * 60 * 60 + 1, Some("older than it, at most 10800"));
}

/// The same from a file of the server's answers.
fn printed_ledger(desk: &Desk, rippled: &Rippled, good: &Value, accounts: &[String]) {
    let post = |body: Value| -> Value {
        let answer = minreq::post(&rippled.server.url).with_body(body.to_string()).send().unwrap();
        serde_json::from_slice::<Value>(answer.as_bytes()).unwrap()["result"].clone()
    };
    let of = |account: &String| {
        post(json!({"method": "account_info", "params": [{"account": account, "ledger_hash": rippled.hash}]}))
    };
    let answers: Vec<Value> = accounts.iter().map(of).collect();
    let ledger = post(json!({"method": "ledger", "params": [{"ledger_hash": rippled.hash}]}));
    let mut printed = json!({"block": ledger, "accounts": answers});
    let name = desk.put("printed.json", &printed);
    let ran = desk.verify(good, &["--balances", &name]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    assert_eq!(ran.json()["sum_units"], "100000000026000000");
    printed["accounts"][0]["validated"] = json!(false);
    let name = desk.put("printed.json", &printed);
    desk.fails(good, &["--balances", &name], "balances", "not about the stated ledger, validated");
    printed["block"]["ledger"]["close_time"] = json!(1);
    let name = desk.put("printed.json", &printed);
    let ran = desk.verify(good, &["--balances", &name]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("it is not a ledger whose fields have its hash"), "{}", ran.err);
}

/// A server that answers as NIS does about one block and the one after it.
fn nis(height: u64, hash: &str, accounts: Value) -> Server {
    let time = now_s() - 1_427_587_585;
    let hash = hash.to_owned();
    let block = move |at: u64| {
        let data = if at == height + 1 { hash.clone() } else { "00".repeat(32) };
        json!({"timeStamp": time, "prevBlockHash": {"data": data}, "version": 0x6800_0001, "height": at})
    };
    Server::start(move |asked| {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let account = query.strip_prefix("address=").and_then(|rest| accounts.get(rest.split('&').next()?));
        let answer = match path {
            "/block/at/public" => {
                let at = serde_json::from_str::<Value>(&asked.body).unwrap()["height"].as_u64().unwrap();
                if at > height + 1 {
                    return (404, b"{}".to_vec());
                }
                block(at)
            }
            "/account/historical/get" => {
                let asked_at = format!("&startHeight={height}&endHeight={height}&increment=1");
                assert!(query.ends_with(&asked_at), "{query}");
                json!({"data": [account.unwrap()["past"]]})
            }
            "/account/get" => account.unwrap()["now"].clone(),
            _ => return (404, b"{}".to_vec()),
        };
        (200, answer.to_string().into_bytes())
    })
}

#[test]
fn xem_is_shown_by_accounts_that_sign_alone() {
    use ed25519_dalek::{
        VerifyingKey,
        hazmat::{ExpandedSecretKey, raw_sign},
    };
    let keys: Vec<_> = (1..=3).map(|seed| ExpandedSecretKey::from_bytes(&[seed; 64])).collect();
    let public = |at: usize| VerifyingKey::from(&keys[at]);
    let address = |at: usize| nem::Address::of_key(0x68, public(at).as_bytes()).to_string();
    let height = 4_800_000;
    let account = |at: usize, balance: u64, cosignatories: Value| {
        json!({
            "past": {"address": address(at), "balance": balance, "height": height},
            "now": {"account": {"address": address(at)}, "meta": {"cosignatories": cosignatories}},
        })
    };
    let hash = "cd".repeat(32);
    let others = json!([{"address": address(0)}]);
    let accounts = json!({
        address(0): account(0, 523_000_000_000_000, json!([])),
        address(1): account(1, 88_549, json!([])),
        address(2): account(2, 1, others),
    });
    let server = nis(height, &hash, accounts.clone());
    let node = ["--node", server.url.as_str()];
    let desk = Desk::new("nem-main");
    let text = desk.challenge("XEM", &hash);
    let signed = |who: &[usize]| -> Value {
        let row = |at: &usize| {
            let signature = raw_sign::<sha3::Keccak512>(&keys[*at], text.as_bytes(), &public(*at));
            json!({"address": address(*at), "public_key": hex::encode(public(*at).as_bytes()),
                "signature": hex::encode(&signature.to_bytes())})
        };
        who.iter().map(row).collect()
    };
    let good = desk.collected(height, &signed(&[0, 1]));
    let ran = desk.verify(&good, &node);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    all_hold(&ran.json());
    assert_eq!(ran.json()["sum_units"], "523000000088549");
    desk.fails(&desk.collected(height, &signed(&[2])), &node, "balances", "multisignature account");
    let file = desk.collected(height + 1, &signed(&[0]));
    desk.fails(&file, &node, "block", "is not in the chain at height 4800001");
    let past = |at: usize| accounts[address(at)]["past"].clone();
    let keys_of = |at: usize| accounts[address(at)]["now"].clone();
    let block = |height: u64, prev: &str| {
        json!({"timeStamp": now_s() - 1_427_587_585, "prevBlockHash": {"data": prev}, "version": 0x6800_0001,
            "height": height})
    };
    let (first, next) = (block(height, &"00".repeat(32)), block(height + 1, &hash));
    let mut printed = json!({"block": first, "next": next, "accounts": [past(0), past(1)], "keys": [keys_of(0), keys_of(1)]});
    let name = desk.put("printed.json", &printed);
    let ran = desk.verify(&good, &["--balances", &name]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    printed["keys"] = json!([keys_of(0)]);
    let name = desk.put("printed.json", &printed);
    desk.fails(&good, &["--balances", &name], "balances", "does not say who signs for it");
    printed["next"]["height"] = json!(height + 2);
    let name = desk.put("printed.json", &printed);
    let ran = desk.verify(&good, &["--balances", &name]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("it is not two blocks that follow each other"), "{}", ran.err);
}
