//! Appeals as owners of addresses make them, signed by a library of others, and as the operator reads them.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
};

use bitcoin::{Address, CompressedPublicKey, KnownHrp, NetworkKind, PrivateKey, secp256k1::Secp256k1};
use kuraban_api::AppealSubmit;
use kuraban_trace::tags::{
    Confidence, SubjectKind, Tag, TagType, Taint,
    store::{Builder, Store},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, ask, ended, free, request};

/// A key and the addresses that it owns.
struct Owner {
    wif: String,
    segwit: String,
    taproot: String,
    nested: String,
    legacy: String,
}

impl Owner {
    fn new(number: u8) -> Self {
        let curve = Secp256k1::new();
        let key = PrivateKey::from_slice(&[number; 32], NetworkKind::Main).unwrap();
        let public = CompressedPublicKey::from_private_key(&curve, &key).unwrap();
        let (inner, _) = key.inner.x_only_public_key(&curve);
        Self {
            wif: key.to_wif(),
            segwit: Address::p2wpkh(&public, KnownHrp::Mainnet).to_string(),
            taproot: Address::p2tr(&curve, inner, None, KnownHrp::Mainnet).to_string(),
            nested: Address::p2shwpkh(&public, NetworkKind::Main).to_string(),
            legacy: Address::p2pkh(public, NetworkKind::Main).to_string(),
        }
    }

    fn addresses(&self) -> [&String; 4] {
        [&self.segwit, &self.taproot, &self.nested, &self.legacy]
    }

    /// The form that a wallet would use for the address.
    fn sign(&self, address: &str, message: &str) -> String {
        let keys = [self.wif.as_str()];
        if address == self.segwit || address == self.taproot {
            return bip322::sign_simple_encoded(address, message, &keys, None).unwrap();
        }
        bip322::sign_full_encoded(address, message, &keys, None, bip322::LockParams::default()).unwrap()
    }
}

fn tag(address: &str) -> Tag {
    let taint = Taint {
        case: "case-1".to_owned(),
        method: "fifo".to_owned(),
        amount: 5,
        most: None,
        unit: "sat".to_owned(),
        outpoint: None,
        expires_ms: None,
        revoked: None,
        sequence: None,
        signature: None,
    };
    Tag {
        kind: SubjectKind::Address,
        subject: address.to_owned(),
        normal: address.to_owned(),
        verified: true,
        currency: "BTC".to_owned(),
        network: "BTC".to_owned(),
        label: "Stolen".to_owned(),
        source: "https://example.org".to_owned(),
        confidence: Confidence::UNKNOWN,
        concepts: vec!["hacking"],
        actor: None,
        tag_type: TagType::Event,
        cluster_definer: false,
        lastmod: None,
        context: Some(taint.to_context().to_string()),
        taint: Some(taint),
    }
}

struct Place {
    folder: TempDir,
    address: SocketAddr,
    operator: SocketAddr,
    origin: String,
}

impl Place {
    fn new(owners: &[&Owner]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = Builder::new();
        for address in owners.iter().flat_map(|owner| owner.addresses()) {
            builder.add(&tag(address), "Pack", "Maker").unwrap();
        }
        let store = folder.path().join("tags");
        builder.save(&store).unwrap();
        let origin = kuraban_base::hex::encode(&Store::open(&store).unwrap().digest());
        let place = Self { folder, address: free(), operator: free(), origin };
        let text = format!(
            "listen = \"{}\"\nthreads = 1\n[[store]]\nname = \"s\"\nfolder = \"tags\"\n\
             [appeals]\nfolder = \"appeals\"\noperator = \"{}\"\n",
            place.address, place.operator
        );
        fs::write(place.config(), text).unwrap();
        let (status, said) = ended(&["screen", "init"], &place.config());
        assert_eq!(status, Some(0), "{said}");
        place
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("screen.toml")
    }

    fn start(&self) -> Process {
        let process = Process::role("screen", &self.config());
        process.event("started");
        process
    }

    fn appeal(&self, owner: &Owner, address: &str, text: &str) -> AppealSubmit {
        let mut appeal = AppealSubmit {
            chain: "btc".to_owned(),
            address: address.to_owned(),
            from: "s".to_owned(),
            case: "case-1".to_owned(),
            feed_number: None,
            text: text.to_owned(),
            signature: String::new(),
        };
        appeal.signature = owner.sign(address, &appeal.message(&self.origin));
        appeal
    }

    fn post(&self, appeal: &AppealSubmit) -> (u16, Value) {
        let body = serde_json::to_vec(appeal).unwrap();
        let (head, body) = request(self.address, "POST /v1/appeals", "", &body).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_slice(&body).unwrap())
    }

    fn list(&self, after: u64) -> Value {
        ask(self.operator, "GET", &format!("/v1/appeals?after={after}")).unwrap().json()
    }
}

#[test]
fn an_owner_of_any_common_address_is_heard_and_nobody_else() {
    let (owner, other) = (Owner::new(1), Owner::new(2));
    let place = Place::new(&[&owner, &other]);
    let _process = place.start();
    for (number, address) in (1..).zip(owner.addresses()) {
        let appeal = place.appeal(&owner, address, "I bought these coins from a shop that is registered.");
        let (status, answer) = place.post(&appeal);
        assert_eq!((status, &answer["number"]), (201, &json!(number)), "{address}: {answer}");
        assert_eq!(answer["origin"], place.origin);
        // The same one again is the same appeal.
        assert_eq!(place.post(&appeal).1["number"], number);
    }
    let good = place.appeal(&owner, &owner.segwit, "Another reason.");
    let check = |change: &dyn Fn(&mut AppealSubmit), status: u16, code: &str| {
        let mut appeal = good.clone();
        change(&mut appeal);
        let (got, answer) = place.post(&appeal);
        assert_eq!((got, answer["code"].as_str().unwrap_or("")), (status, code), "{answer}");
    };
    let by_other = other.sign(&other.segwit, &good.message(&place.origin));
    let of_another_feed = owner.sign(&owner.segwit, &good.message("another feed"));
    check(&|appeal| appeal.text.push('.'), 422, "appeal-signature");
    check(&|appeal| appeal.address.clone_from(&other.segwit), 422, "appeal-signature");
    check(&|appeal| appeal.signature.clone_from(&by_other), 422, "appeal-signature");
    check(&|appeal| appeal.signature.clone_from(&of_another_feed), 422, "appeal-signature");
    check(&|appeal| appeal.signature.push('*'), 422, "appeal-signature");
    check(&|appeal| appeal.case = "case-2".to_owned(), 422, "nothing-to-appeal");
    check(&|appeal| appeal.from = "t".to_owned(), 422, "nothing-to-appeal");
    check(&|appeal| appeal.feed_number = Some(1), 422, "nothing-to-appeal");
    check(&|appeal| appeal.address = Owner::new(3).segwit, 422, "nothing-to-appeal");
    check(&|appeal| appeal.chain = "eth".to_owned(), 422, "appeal-chain");
    check(&|appeal| appeal.text.clear(), 422, "appeal-text");
    check(&|appeal| appeal.text = "x".repeat(4_001), 422, "appeal-text");
    check(&|appeal| appeal.text = "x".repeat(70_000), 413, "body-too-long");
    check(&|_| (), 201, "");
    // The tag stands as before: a person takes it away.
    let screened = ask(place.address, "GET", &format!("/v1/screen/btc/{}", owner.segwit)).unwrap().json();
    assert_eq!(screened["hits"].as_array().unwrap().len(), 1);
}

#[test]
fn appeals_are_kept_through_kills_and_bounded_for_each_address() {
    let owner = Owner::new(1);
    let place = Place::new(&[&owner]);
    let mut process = place.start();
    for number in 1..=3 {
        let appeal = place.appeal(&owner, &owner.segwit, &format!("Reason {number}."));
        assert_eq!(place.post(&appeal).0, 201);
        process.kill();
        // What a machine that goes down leaves of a write that nobody was told of.
        let file = place.folder.path().join("appeals/appeals.ndjson");
        OpenOptions::new().append(true).open(file).unwrap().write_all(b"{\"number\":").unwrap();
        process = place.start();
        assert_eq!(place.list(0)["appeals"].as_array().unwrap().len(), number);
    }
    let (status, answer) = place.post(&place.appeal(&owner, &owner.segwit, "Reason 4."));
    assert_eq!((status, &answer["code"]), (429, &json!("too-many-appeals")));
    // Written in capitals it is the same address.
    let mut appeal = place.appeal(&owner, &owner.segwit, "Reason 5.");
    appeal.address.make_ascii_uppercase();
    appeal.signature = owner.sign(&owner.segwit, &appeal.message(&place.origin));
    assert_eq!(place.post(&appeal).0, 429);
    assert_eq!(place.post(&place.appeal(&owner, &owner.taproot, "Reason 1.")).0, 201);
    let list = place.list(2);
    let views = list["appeals"].as_array().unwrap().iter();
    let texts: Vec<&str> = views.map(|view| view["appeal"]["text"].as_str().unwrap()).collect();
    assert_eq!((texts, &list["next"]), (vec!["Reason 3.", "Reason 1."], &Value::Null));
    // Callers cannot read them.
    assert_eq!(ask(place.address, "GET", "/v1/appeals").unwrap().status, 405);
}

#[test]
fn a_file_of_appeals_that_was_changed_is_not_used() {
    let place = Place::new(&[]);
    fs::write(place.folder.path().join("appeals/appeals.ndjson"), "{}\n").unwrap();
    let (status, said) = ended(&["screen", "run"], &place.config());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("line 1 is no appeal"), "{said}");
}
