//! Coins of a hand-over: an address is the receiver's if its keys and the receiver say so, and no more is asked for than was handed over.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kuraban_api::{PayoutAccepted, PayoutList, PayoutView, Submit};
use kuraban_base::{Asset, Instant, TreeHash};
use kuraban_chain::btc::{
    Address, Branch, Digests, EcdsaSighash, Funds, OutPoint, ProofForm, Script, Tx, TxOut,
    funds::{first_spent, unsigned},
    message::to_spend,
};
use kuraban_vault::attestation::Challenge;
use serde_json::{Value, json};
use ssh_key::{LineEnding, PrivateKey, private::Ed25519Keypair};

use crate::{
    approve::{Home, current, view},
    case::{self, NETWORK, coin_key, descriptor, funding, output, own, spending, stranger},
    run::{Ran, kuraban, run},
    server::Server,
    world::context,
};

/// What was handed over, in satoshi.
const TOTAL: u64 = 250_000_000;

/// A hand-over with its sender's guard, and the receiver's keys.
struct World {
    home: Home,
    expiry: String,
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

impl World {
    fn new() -> Self {
        let home = Home::of(&current(|_| {}));
        let policy = fs::read_to_string(home.path("policy.toml")).unwrap();
        let with = policy.replace("\"customer-withdrawal\"", "\"customer-withdrawal\", \"migration\"");
        assert_ne!(policy, with);
        fs::write(home.path("policy.toml"), with).unwrap();
        for (seed, who) in [(1, "sender"), (2, "receiver"), (3, "stranger")] {
            let key = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
            fs::write(home.path(who), key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
            fs::set_permissions(home.path(who), fs::Permissions::from_mode(0o600)).unwrap();
            fs::write(home.path(&format!("{who}.pub")), key.public_key().to_openssh().unwrap()).unwrap();
        }
        fs::write(home.path("holdings.csv"), "customer,asset,amount\na,BTC,0.5\nb,BTC,2\nc,XEM,7\n").unwrap();
        let world = Self { home, expiry: (now_ms() + 3_600_000).to_string() };
        world.exported("out");
        world
    }

    fn exported(&self, out: &str) {
        let to = age::x25519::Identity::generate().to_public().to_string();
        let (holdings, key, out) =
            (self.home.path("holdings.csv"), self.home.path("sender"), self.home.path(out));
        let args = ["migrate", "export", "--holdings", &holdings, "--to", &to, "--key", &key, "--out", &out];
        let ran = run(args);
        assert_eq!(ran.status, 0, "{}", ran.err);
    }

    /// Runs `migrate address`; with a proof it writes a file of this name.
    fn address(&self, address: &Address, proof: Option<(&str, &str)>, name: &str, by: &str) -> Ran {
        let (from, address) = (self.home.path("sender.pub"), address.to_string());
        let (export, key, out) = (self.home.path("out"), self.home.path(by), self.home.path(name));
        let mut args = vec!["migrate", "address", "--json", &export, "--from", &from];
        args.extend(["--network", "bitcoin-main", "--address", &address]);
        if let Some((option, proof)) = proof {
            args.extend([option, proof, "--key", &key, "--out", &out]);
        }
        run(args)
    }

    /// The receiver's file about its own address, by a wallet's signature.
    fn proven(&self) -> Address {
        let address = receivers();
        let text = self.address(&address, None, "", "").json()["text"].as_str().unwrap().to_owned();
        let ran = self.address(&address, Some(("--signature", &bip322(&text))), "address.json", "receiver");
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        address
    }

    fn pay(&self, url: &str, more: &[&str]) -> Vec<String> {
        let mut args = self.home.args(&["migrate", "pay", "--json", &self.home.path("out")], url);
        for (option, value) in [
            ("--sender", self.home.path("sender.pub")),
            ("--receiver", self.home.path("receiver.pub")),
            ("--address", self.home.path("address.json")),
            ("--from", "hot".to_owned()),
            ("--fee-cap", "10000".to_owned()),
            ("--expiry", self.expiry.clone()),
            ("--key", self.home.key(1)),
        ] {
            args.extend([option.to_owned(), value]);
        }
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    }

    /// A writer that keeps what it is asked for, kills a process at its first request if one is named, and gives up a part at will.
    fn writer(&self, victim: &Arc<Mutex<Option<u32>>>, status: &Arc<Mutex<&'static str>>) -> Server {
        let read = |name: &str| fs::read_to_string(self.home.path(name)).unwrap();
        let context = context(&read("roster.toml"), &read("policy.toml"));
        let (victim, status) = (Arc::clone(victim), Arc::clone(status));
        let taken: Mutex<BTreeMap<String, Submit>> = Mutex::default();
        let shape = view(&current(|_| {}));
        Server::start(move |asked| {
            if asked.method == "GET" {
                let status = (*status.lock().unwrap()).to_owned();
                let shown = |submit: &Submit| PayoutView {
                    payout: submit.payout.clone(),
                    status: status.clone(),
                    ..shape.clone()
                };
                let (_, after) = asked.path.split_once("?after=").unwrap();
                let taken = taken.lock().unwrap();
                let mut payouts: Vec<PayoutView> =
                    taken.values().map(shown).filter(|view| view.payout.id.as_str() > after).collect();
                // A page at a time; behind the last of ours stand others', which nobody reads to the end.
                let next = payouts.get(1).map(|_| payouts[0].payout.id.clone());
                payouts.truncate(1);
                if next.is_none() {
                    let mut other = shape.clone();
                    other.payout.id = "zz-1".to_owned();
                    other.payout.amount = TOTAL;
                    payouts.push(other);
                    return (
                        200,
                        json!(PayoutList { payouts, next: Some("zz-1".to_owned()) }).to_string().into_bytes(),
                    );
                }
                return (200, json!(PayoutList { payouts, next }).to_string().into_bytes());
            }
            let submit: Submit = serde_json::from_str(&asked.body).unwrap();
            let form = &submit.payout;
            let payout = kuraban_vault::Payout {
                id: form.id.parse().unwrap(),
                kind: form.kind.parse().unwrap(),
                network: NETWORK,
                vault: form.vault.parse().unwrap(),
                destination: case::script(&form.destination),
                memo: form.memo.clone(),
                amount: form.amount.into(),
                fee_cap: form.fee_cap.into(),
                not_before: Instant::from_ms(form.not_before_ms),
                expiry: Instant::from_ms(form.expiry_ms),
            };
            let accepted =
                PayoutAccepted { id: form.id.clone(), digest: payout.digest(&context).to_string() };
            taken.lock().unwrap().insert(form.id.clone(), submit);
            if let Some(pid) = victim.lock().unwrap().take() {
                // The writer has it, and nobody is left to hear so.
                assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
            }
            (201, json!(accepted).to_string().into_bytes())
        })
    }
}

/// An address of the receiver: two of three keys sign for it.
fn receivers() -> Address {
    Address::from_script(NETWORK, &own(Branch::Receive, 0)).unwrap()
}

/// A wallet's signature over a text for that address (BIP 322, full).
fn bip322(text: &str) -> String {
    let spent = to_spend(&own(Branch::Receive, 0), text.as_bytes());
    let mut tx = spending(&[&spent], vec![output(Script::from(vec![0x6a]), 0)]);
    tx.version = 0;
    tx.inputs[0].sequence = 0;
    STANDARD.encode(case::signed(tx, &spent).encode())
}

fn challenge(form: ProofForm, at: Instant) -> Challenge {
    let block = kuraban_chain::btc::BlockHash::from_bytes([3; 32]);
    let (origin, root) = ("kuraban.example/log".to_owned(), TreeHash::from_bytes([5; 32]));
    Challenge { form, origin, size: 12, root, block, asset: Asset::Btc, at }
}

/// A file of reserves over a challenge, with one coin, as the vault's signers make it.
fn reserves(challenge: &Challenge, network: &str) -> String {
    let (form, text, owner) = (challenge.form, challenge.to_string(), own(Branch::Receive, 0));
    let coin = funding(owner.clone(), 70_000);
    let outputs = [(OutPoint { txid: coin.txid(), vout: 0 }, 70_000)];
    let mut tx: Tx = unsigned(form, &owner, text.as_bytes(), &outputs).unwrap();
    let spent: Vec<TxOut> = vec![first_spent(form, &owner), coin.outputs[0].clone()];
    let bare = tx.clone();
    let digests = Digests::new(&bare, &spent).unwrap();
    let code = descriptor().script_code_at(Branch::Receive, 0).unwrap();
    for at in usize::from(form == ProofForm::Bip127)..2 {
        let digest = digests.witness_v0(at, &code, EcdsaSighash::All).unwrap();
        let sign = |number| {
            let key = coin_key(number).child(Branch::Receive, 0).unwrap();
            (key.public(), key.sign(&digest, EcdsaSighash::All).unwrap())
        };
        tx.inputs[at].witness =
            descriptor().satisfy(Branch::Receive, 0, &[sign(1), sign(2)]).unwrap().witness;
    }
    let funds = Funds::assemble(form, text.as_bytes(), &tx, &spent, &BTreeMap::new()).unwrap();
    let proof = format!("pof{}", STANDARD.encode(funds.encode()));
    json!({ "kuraban_reserves": 1, "network": network, "height": 7, "checkpoint": "",
        "proofs": [{ "challenge": text, "proof": proof }] })
    .to_string()
}

#[test]
fn an_address_is_proven_by_its_own_keys_over_this_hand_over() {
    let world = World::new();
    let address = receivers();
    let said = world.address(&address, None, "", "");
    let text = said.json()["text"].as_str().unwrap().to_owned();
    let manifest = said.json()["manifest"].as_str().unwrap().to_owned();
    assert_eq!(text, format!("kuraban-handover-v1 {manifest} BTC {address}"));
    let fresh = Instant::from_ms(now_ms() + 1000);
    let file = |name: &str, text: String| {
        fs::write(world.home.path(name), text).unwrap();
        world.home.path(name)
    };
    let good = file("good", reserves(&challenge(ProofForm::Bip322, fresh), "bitcoin-main"));
    let old = file("old", reserves(&challenge(ProofForm::Bip322, Instant::from_ms(1_000)), "bitcoin-main"));
    let unsigned = file("unsigned", reserves(&challenge(ProofForm::Bip127, fresh), "bitcoin-main"));
    let elsewhere = file("elsewhere", reserves(&challenge(ProofForm::Bip322, fresh), "bitcoin-regtest"));
    let twice = {
        let mut form: Value = serde_json::from_slice(&fs::read(&good).unwrap()).unwrap();
        let proof = form["proofs"][0].clone();
        form["proofs"] = json!([proof, proof]);
        file("twice", form.to_string())
    };
    let other = Address::from_script(NETWORK, &stranger(9)).unwrap();
    let check = |number: u8, address: &Address, proof: (&str, &str), want: Option<&str>| {
        let name = format!("{number}.json");
        let ran = world.address(address, Some(proof), &name, "receiver");
        let said = ran.json();
        assert_eq!((ran.status, &said["ok"]), (i32::from(want.is_some()), &json!(want.is_none())), "{said}");
        assert_eq!(fs::exists(world.home.path(&name)).unwrap(), want.is_none());
        let error = said["error"].as_str().unwrap_or_default();
        assert!(want.is_none_or(|want| error.contains(want)), "{number}: {error}");
    };
    let signature = bip322(&text);
    check(1, &address, ("--signature", &signature), None);
    check(2, &address, ("--reserves", &good), None);
    check(3, &other, ("--signature", &signature), Some("the proof"));
    check(4, &address, ("--signature", &bip322("another text")), Some("spends another text"));
    check(5, &address, ("--signature", "%"), Some("is not Base64"));
    check(6, &other, ("--reserves", &good), Some("signed by another address"));
    check(7, &address, ("--reserves", &old), Some("before the hand-over was made"));
    check(8, &address, ("--reserves", &unsigned), Some("want bip-322"));
    check(9, &address, ("--reserves", &elsewhere), Some("want bitcoin-main"));
    check(10, &address, ("--reserves", &twice), Some("want one attestation"));
    // A file that is there stays.
    assert_eq!(world.address(&address, Some(("--signature", &signature)), "1.json", "receiver").status, 2);
}

#[test]
fn coins_go_to_no_address_without_the_receivers_word_and_proof() {
    let world = World::new();
    let address = world.proven();
    let server = world.writer(&Arc::default(), &Arc::new(Mutex::new("requested")));
    let check = |args: Vec<String>, want: &str| {
        let ran = run(args);
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        assert!(ran.json()["error"].as_str().unwrap().contains(want), "{}", ran.out);
        assert!(server.asked().is_empty());
    };
    let bent = |from: &str, to: &str| {
        let file = world.home.path("address.json");
        let before = fs::read_to_string(&file).unwrap();
        let after = before.replace(from, to);
        assert_ne!(before, after);
        fs::write(&file, after).unwrap();
        check(world.pay(&server.url, &[]), "is no signature over it by the given key");
        fs::write(&file, before).unwrap();
    };
    bent(&address.to_string(), &Address::from_script(NETWORK, &stranger(9)).unwrap().to_string());
    bent("bitcoin-main", "bitcoin-regtest");
    // Somebody else's word, though the keys of the address signed.
    let text = world.address(&address, None, "", "").json()["text"].as_str().unwrap().to_owned();
    fs::remove_file(world.home.path("address.json")).unwrap();
    fs::remove_file(world.home.path("address.json.sig")).unwrap();
    let own = world.address(&address, Some(("--signature", &bip322(&text))), "address.json", "stranger");
    assert_eq!(own.status, 0, "{}", own.err);
    check(world.pay(&server.url, &[]), "is no signature over it by the given key");
    // The receiver's word about another hand-over of the same customers.
    fs::rename(world.home.path("out"), world.home.path("before")).unwrap();
    world.exported("out");
    fs::remove_file(world.home.path("address.json")).unwrap();
    fs::remove_file(world.home.path("address.json.sig")).unwrap();
    world.proven();
    fs::remove_dir_all(world.home.path("out")).unwrap();
    fs::rename(world.home.path("before"), world.home.path("out")).unwrap();
    check(world.pay(&server.url, &[]), "is for another hand-over");
}

#[test]
fn parts_are_asked_for_once_and_never_more_than_was_handed_over() {
    let world = World::new();
    let address = world.proven();
    let status = Arc::new(Mutex::new("requested"));
    let victim: Arc<Mutex<Option<u32>>> = Arc::default();
    let server = world.writer(&victim, &status);
    let posted = || server.asked().into_iter().filter(|asked| asked.method == "POST").collect::<Vec<_>>();
    let first = ["--part", "first", "--amount", "100000000"];
    // Killed after the writer took it and before it answered.
    let mut held = victim.lock().unwrap();
    let args = world.pay(&server.url, &first);
    let mut killed = kuraban().args(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    *held = Some(killed.id());
    drop(held);
    assert_eq!(killed.wait().unwrap().code(), None);
    for want in ["now", "before"] {
        let ran = run(&args);
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        let said = ran.json();
        assert_eq!(
            (&said["taken"], &said["units"], &said["total_units"]),
            (&json!(want), &json!(100_000_000), &json!(TOTAL))
        );
    }
    let asked = posted();
    assert_eq!(asked.len(), 2, "what was not answered is asked for again, and what was is not");
    assert_eq!((&asked[0].body, &asked[0].headers), (&asked[1].body, &asked[1].headers));
    let submit: Submit = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(
        (submit.payout.kind.as_str(), submit.payout.amount, submit.payout.destination),
        ("migration", 100_000_000, address.to_string())
    );
    assert!(submit.payout.memo.unwrap().starts_with("hand-over "));
    let refused = |more: &[&str]| {
        let ran = run(world.pay(&server.url, more));
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        let error = ran.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains("250000000 of BTC were handed over, other parts have 100000000"), "{error}");
    };
    // The whole, and one unit more than is left; then just that.
    refused(&[]);
    refused(&["--part", "second", "--amount", "150000001"]);
    assert_eq!(posted().len(), 2);
    // The same part in other words.
    let other = run(world.pay(&server.url, &["--part", "first", "--amount", "100000001"]));
    assert!(other.status == 3 && other.err.contains("amount"), "{}{}", other.out, other.err);
    let second = run(world.pay(&server.url, &["--part", "second", "--amount", "150000000"]));
    assert_eq!((second.status, &second.json()["others_units"]), (0, &json!(100_000_000)), "{}", second.err);
    let nothing = run(world.pay(&server.url, &["--part", "third", "--amount", "1000"]));
    assert_eq!(nothing.status, 1);
    // What has ended without a payment frees its share.
    for ended in ["expired", "refused", "cancelled"] {
        *status.lock().unwrap() = ended;
        let part = ["--part", ended, "--amount", "1000"];
        assert_eq!(run(world.pay(&server.url, &part)).status, 0, "{ended}");
    }
    for (more, want) in
        [(["--part", "Big"], "hyphens"), (["--part", ""], "hyphens"), (["--amount", "0"], "0 is not in")]
    {
        let ran = run(world.pay(&server.url, &more));
        assert!(ran.status == 2 && ran.err.contains(want), "{}", ran.err);
    }
}

#[test]
fn a_payout_that_every_signer_would_refuse_is_not_asked_for() {
    let world = World::new();
    world.proven();
    let server = world.writer(&Arc::default(), &Arc::new(Mutex::new("requested")));
    fs::write(world.home.path("policy.toml"), case::policy_toml()).unwrap();
    let ran = run(world.pay(&server.url, &[]));
    assert_eq!((ran.status, &ran.json()["ok"]), (1, &json!(false)), "{}{}", ran.out, ran.err);
    assert_eq!(ran.json()["reasons"][0]["code"], "no-rule");
    assert!(server.asked().iter().all(|asked| asked.method == "GET"));
}
