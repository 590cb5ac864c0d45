//! Coins for customers by the normal way of payouts: each is asked for once, whenever the program is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use kuraban_api::{PayoutAccepted, PayoutList, PayoutView, Submit};
use serde_json::json;

use crate::{
    approve::{Home, current, view},
    case::{NETWORK, stranger},
    run::{Ran, kuraban, repository, run},
    server::{Asked, Server},
    world::context,
};

const CUSTOMERS: u8 = 6;

/// Claims of some customers in BTC, all but the last of whom said where they want them.
struct World {
    home: Home,
}

impl World {
    fn new() -> Self {
        Self::with("", "")
    }

    /// With something else among the holdings.
    fn with(from: &str, to: &str) -> Self {
        let home = Home::of(&current(|_| {}));
        let policy = fs::read_to_string(home.path("policy.toml")).unwrap();
        let with = policy.replace("\"customer-withdrawal\"", "\"customer-withdrawal\", \"compensation\"");
        assert_ne!(policy, with);
        fs::write(home.path("policy.toml"), with).unwrap();
        let (mut holdings, mut addresses) =
            ("customer,asset,amount\n".to_owned(), "customer,asset,address\n".to_owned());
        for number in 0..CUSTOMERS {
            holdings += &format!("c{number},BTC,0.001{number}\n");
            if number + 1 < CUSTOMERS {
                let script = stranger(number);
                let address = kuraban_chain::btc::Address::from_script(NETWORK, &script).unwrap();
                addresses += &format!("c{number},BTC,{address}\nc{number},XEM,elsewhere\n");
            }
        }
        fs::write(home.path("holdings.csv"), holdings.replacen(from, to, 1)).unwrap();
        fs::write(home.path("addresses.csv"), addresses).unwrap();
        Self { home }.computed()
    }

    /// The claims, computed once more.
    fn computed(self) -> Self {
        drop(fs::remove_dir_all(self.home.path("claims")));
        let scheme = repository().join("examples/schemes/dmm-2024.toml");
        let ran = run([
            "claims",
            "compute",
            "--holdings",
            &self.home.path("holdings.csv"),
            "--scheme",
            scheme.to_str().unwrap(),
            "--out",
            &self.home.path("claims"),
        ]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        self
    }

    fn root(&self) -> String {
        let summary = fs::read_to_string(self.home.path("claims/summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        summary["statements"]["root"].as_str().unwrap().to_owned()
    }

    fn args(&self, url: &str, fee_cap: &str) -> Vec<String> {
        let mut args = self.home.args(&["claims", "pay", "--json"], url);
        let soon = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
        // The same for every run of a test, as its user would write it down.
        let path = self.home.path("expiry");
        let expiry = fs::read_to_string(&path).unwrap_or_else(|_| {
            let expiry = (soon.as_millis() + 3_600_000).to_string();
            fs::write(&path, &expiry).unwrap();
            expiry
        });
        for (option, value) in [
            ("--claims", self.home.path("claims")),
            ("--addresses", self.home.path("addresses.csv")),
            ("--from", "hot".to_owned()),
            ("--fee-cap", fee_cap.to_owned()),
            ("--expiry", expiry),
            ("--key", self.home.key(1)),
        ] {
            args.extend([option.to_owned(), value]);
        }
        args
    }

    /// The digest that a writer with the same roster and policy logs.
    fn accept(&self) -> impl Fn(&Asked) -> (u16, Vec<u8>) + Send + 'static {
        let read = |name: &str| fs::read_to_string(self.home.path(name)).unwrap();
        let context = context(&read("roster.toml"), &read("policy.toml"));
        move |asked| {
            if asked.method == "GET" {
                return (200, b"{\"payouts\":[]}".to_vec());
            }
            let submit: Submit = serde_json::from_str(&asked.body).unwrap();
            let form = &submit.payout;
            let network = form.network.parse().unwrap();
            let payout = kuraban_vault::Payout {
                id: form.id.parse().unwrap(),
                kind: form.kind.parse().unwrap(),
                network,
                vault: form.vault.parse().unwrap(),
                destination: kuraban_chain::btc::Address::parse(network, &form.destination).unwrap().script(),
                memo: form.memo.clone(),
                amount: form.amount.into(),
                fee_cap: form.fee_cap.into(),
                not_before: kuraban_base::Instant::from_ms(form.not_before_ms),
                expiry: kuraban_base::Instant::from_ms(form.expiry_ms),
            };
            let accepted =
                PayoutAccepted { id: form.id.clone(), digest: payout.digest(&context).to_string() };
            (201, json!(accepted).to_string().into_bytes())
        }
    }
}

/// What was asked for.
fn posts(server: &Server) -> Vec<Asked> {
    server.asked().into_iter().filter(|asked| asked.method == "POST").collect()
}

/// What was asked for, by idempotency key: how often, and in which words.
fn by_key(server: &Server) -> BTreeMap<String, Vec<String>> {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for asked in posts(server) {
        let (_, key) = asked.headers.iter().find(|(name, _)| name == "idempotency-key").unwrap().clone();
        by_key.entry(key).or_default().push(asked.body);
    }
    by_key
}

#[test]
fn killed_at_any_payout_and_run_again_it_asks_for_each_once() {
    for killed_at in 1..CUSTOMERS {
        let world = World::new();
        let child: Arc<Mutex<Option<u32>>> = Arc::default();
        let (accept, victim) = (world.accept(), Arc::clone(&child));
        let count = Mutex::new(0_u8);
        let server = Server::start(move |asked| {
            let mut count = count.lock().unwrap();
            *count += u8::from(asked.method == "POST");
            if asked.method == "POST" && *count == killed_at {
                // The writer has it, and nobody is left to hear so.
                let pid = victim.lock().unwrap().unwrap().to_string();
                assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            }
            accept(asked)
        });
        let args = world.args(&server.url, "10000");
        let mut held = child.lock().unwrap();
        let mut killed = kuraban().args(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        *held = Some(killed.id());
        drop(held);
        assert_eq!(killed.wait().unwrap().code(), None);
        let journal = world.home.path("claims/payouts-BTC.jsonl");
        // The line that was being written when the machine went down.
        let torn = fs::read_to_string(&journal).unwrap() + "{\"asked\":{\"id\":";
        fs::write(&journal, torn).unwrap();
        let again = run(&args);
        assert_eq!(again.status, 0, "{}{}", again.out, again.err);
        let (json, want) = (again.json(), u64::from(CUSTOMERS) - 1);
        assert_eq!((&json["payouts"], &json["without_address"]), (&json!(want), &json!(1)));
        let before = u64::from(killed_at) - 1;
        assert_eq!((&json["taken_before"], &json["taken_now"]), (&json!(before), &json!(want - before)));
        let asked = by_key(&server);
        assert_eq!(asked.len(), usize::from(CUSTOMERS) - 1);
        let twice: Vec<_> = asked.values().filter(|bodies| bodies.len() > 1).collect();
        assert_eq!(twice.len(), 1, "only what was not answered is asked for again");
        assert!(twice[0].iter().all(|body| *body == twice[0][0]), "and in the same words");
        let submits: Vec<Submit> =
            asked.values().map(|bodies| serde_json::from_str(&bodies[0]).unwrap()).collect();
        assert!(submits.iter().all(|submit| submit.payout.kind == "compensation"));
        let ids: BTreeSet<&str> = submits.iter().map(|submit| submit.payout.id.as_str()).collect();
        assert_eq!(ids.len(), submits.len());
        let sats: BTreeSet<u64> = submits.iter().map(|submit| submit.payout.amount).collect();
        assert_eq!(sats, (0..u64::from(CUSTOMERS) - 1).map(|number| 100_000 + number * 10_000).collect());
        let sent = posts(&server).len();
        assert_eq!(run(&args).json()["taken_before"], want);
        assert_eq!(posts(&server).len(), sent, "what is done is not asked for");
        let list = fs::read_to_string(world.home.path("claims/without-address-BTC.csv")).unwrap();
        let owed = format!("0.00{}", 10 + CUSTOMERS - 1);
        let owed = owed.trim_end_matches('0');
        assert_eq!(list, format!("customer,amount\n\"c{}\",{owed}\n", CUSTOMERS - 1));
    }
}

#[test]
fn what_was_asked_for_is_not_asked_for_in_other_terms() {
    let world = World::new();
    let refuse = Server::start(|asked| match asked.method.as_str() {
        "GET" => (200, b"{\"payouts\":[]}".to_vec()),
        _ => (503, Vec::new()),
    });
    let check = |ran: Ran, status: i32, want: &str| {
        assert_eq!(ran.status, status, "{}", ran.err);
        assert!(ran.err.contains(want), "{}", ran.err);
    };
    check(run(world.args(&refuse.url, "10000")), 3, "HTTP status 503");
    let server = Server::start(world.accept());
    check(run(world.args(&server.url, "10001")), 2, "was begun with other terms");
    let addresses = fs::read_to_string(world.home.path("addresses.csv")).unwrap();
    let of = |number: u8| {
        let start = format!("c{number},BTC,");
        addresses.lines().find_map(|line| line.strip_prefix(&start)).unwrap().to_owned()
    };
    fs::write(world.home.path("addresses.csv"), addresses.replace(&of(0), &of(1))).unwrap();
    check(run(world.args(&server.url, "10000")), 3, "address, amount, roster or policy has changed");
    assert!(posts(&server).is_empty());
    fs::write(world.home.path("addresses.csv"), &addresses).unwrap();
    assert_eq!(run(world.args(&server.url, "10000")).status, 0);
    fs::write(world.home.path("addresses.csv"), format!("{addresses}c0,BTC,x\n")).unwrap();
    check(run(world.args(&server.url, "10000")), 2, "\"c0\" has an address already");
}

#[test]
fn what_signers_would_refuse_is_not_asked_for() {
    let world = World::new();
    fs::write(world.home.path("policy.toml"), crate::case::policy_toml()).unwrap();
    let server = Server::start(world.accept());
    let ran = run(world.args(&server.url, "10000"));
    assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
    let not = ran.json()["not_asked"].as_array().unwrap().clone();
    assert_eq!(not.len(), usize::from(CUSTOMERS) - 1);
    assert!(not.iter().all(|one| !one["reasons"].as_array().unwrap().is_empty()), "{not:?}");
    assert!(posts(&server).is_empty());
}

#[test]
fn one_customer_with_dust_leaves_nobody_else_unpaid() {
    // c0 is owed what no node relays, and comes first.
    let world = World::with("c0,BTC,0.001", "c0,BTC,0.000001");
    let server = Server::start(world.accept());
    let ran = run(world.args(&server.url, "10000"));
    assert_eq!(ran.status, 1, "{}", ran.err);
    let found = ran.json();
    assert_eq!(found["taken_now"], u64::from(CUSTOMERS) - 2);
    assert_eq!(found["not_asked"][0]["customer"], "c0");
    assert_eq!(found["not_asked"].as_array().unwrap().len(), 1);
    assert_eq!(posts(&server).len(), usize::from(CUSTOMERS) - 2);
}

#[test]
fn nobody_is_paid_by_tables_that_were_changed_after_they_were_hashed() {
    let world = World::new();
    let server = Server::start(world.accept());
    let spoilt = |table: &str, from: &str, to: &str| {
        let path = world.home.path(&format!("claims/{table}"));
        let kept = fs::read_to_string(&path).unwrap();
        assert_ne!(kept.replacen(from, to, 1), kept, "{table}");
        fs::write(&path, kept.replacen(from, to, 1)).unwrap();
        let ran = run(world.args(&server.url, "10000"));
        fs::write(&path, kept).unwrap();
        ran
    };
    for (from, to) in [("c1,BTC,0.0011,", "c1,BTC,9.0011,"), (",0.0011,", ",9.0011,")] {
        let ran = spoilt("claims.csv", from, to);
        assert_eq!(ran.status, 2, "{}", ran.out);
        assert!(ran.err.contains("what the tables say of \"c1\" is not what was hashed"), "{}", ran.err);
    }
    assert!(posts(&server).is_empty());
    let mut other = world.args(&server.url, "10000");
    other.extend(["--root".to_owned(), "00".repeat(32)]);
    assert!(run(&other).err.contains("want 0000"), "another root than was published");
    assert!(posts(&server).is_empty());
    // What somebody wrote into the table for people is nobody's due.
    let ran = spoilt("in-kind.csv", "c1,BTC,0.0011", "c1,BTC,9.0011");
    assert_eq!(ran.status, 0, "{}", ran.err);
    let asked: Vec<Submit> =
        posts(&server).iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect();
    let sats: BTreeSet<u64> = asked.iter().map(|submit| submit.payout.amount).collect();
    assert_eq!(sats, (0..u64::from(CUSTOMERS) - 1).map(|number| 100_000 + number * 10_000).collect());
}

#[test]
fn a_second_computation_pays_nobody_again_unless_the_first_is_named() {
    let world = World::new();
    let (taken, shape) = (Mutex::new(BTreeMap::<String, Submit>::new()), view(&current(|_| {})));
    let accept = world.accept();
    let server = Server::start(move |asked| {
        let mut taken = taken.lock().unwrap();
        if asked.method == "POST" {
            let submit: Submit = serde_json::from_str(&asked.body).unwrap();
            taken.insert(submit.payout.id.clone(), submit);
            return accept(asked);
        }
        let after = asked.path.strip_prefix("/v1/payouts?after=").unwrap().strip_suffix("&limit=1").unwrap();
        let shown = |submit: &Submit| PayoutView { payout: submit.payout.clone(), ..shape.clone() };
        // What somebody else called so is passed over.
        let mut stranger = shape.clone();
        stranger.payout.id = "comp-0".to_owned();
        let mut all: Vec<PayoutView> = taken.values().map(shown).chain([stranger]).collect();
        all.sort_by(|one, other| one.payout.id.cmp(&other.payout.id));
        all.retain(|view| view.payout.id.as_str() > after);
        all.truncate(1);
        (200, json!(PayoutList { payouts: all, next: None }).to_string().into_bytes())
    });
    let posted = || server.asked().iter().filter(|asked| asked.method == "POST").count();
    let many = usize::from(CUSTOMERS) - 1;
    assert_eq!(run(world.args(&server.url, "10000")).status, 0);
    assert_eq!(run(world.args(&server.url, "10000")).status, 0, "the own root is in nobody's way");
    assert_eq!(posted(), many);
    let first = world.root();
    let world = world.computed();
    assert_ne!(world.root(), first);
    let ran = run(world.args(&server.url, "10000"));
    assert_eq!(ran.status, 2, "{}", ran.out);
    let want = format!("by another computation: comp-{}-", &first[..12]);
    assert!(ran.err.contains(&want) && ran.err.contains(&format!("compensation {first}")), "{}", ran.err);
    assert_eq!(posted(), many);
    let mut args = world.args(&server.url, "10000");
    args.extend(["--beside".to_owned(), first]);
    let ran = run(&args);
    assert_eq!((ran.status, &ran.json()["taken_now"]), (0, &json!(many)), "{}", ran.err);
    assert_eq!(posted(), 2 * many);
}
