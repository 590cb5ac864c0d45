//! Appeals as owners of addresses make them, signed by a library of others, and as the operator reads them.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
};

use bitcoin::{Address, CompressedPublicKey, KnownHrp, NetworkKind, PrivateKey, secp256k1::Secp256k1};
use kuraban_api::AppealSubmit;
use kuraban_trace::tags::{
    Confidence, SubjectKind, Tag, TagType, Taint,
    store::{Builder, Store},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, ask, ended, free, kuraban, request};

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

fn tag(address: &str, case: &str) -> Tag {
    let taint = Taint {
        case: case.to_owned(),
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
        label: format!("Stolen, {case}"),
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
        let addresses = owners.iter().flat_map(|owner| owner.addresses());
        Self::of(addresses.map(|address| tag(address, "case-1")))
    }

    fn of(tags: impl Iterator<Item = Tag>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = Builder::new();
        for tag in tags {
            builder.add(&tag, "Pack", "Maker").unwrap();
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

/// `kuraban tags appeal …`: the exit status, the JSON document and what is said beside it.
fn tool(args: &[&str]) -> (Option<i32>, Value, String) {
    let ran =
        Command::new(kuraban()).args(["--json", "tags", "appeal"]).args(args).env("LC_ALL", "C").output();
    let ran = ran.unwrap();
    let json = serde_json::from_slice(&ran.stdout).unwrap_or(Value::Null);
    (ran.status.code(), json, String::from_utf8(ran.stderr).unwrap())
}

/// An owner at a terminal, with files.
struct Desk<'a> {
    place: &'a Place,
    url: String,
}

impl<'a> Desk<'a> {
    fn new(place: &'a Place) -> Self {
        let desk = Self { place, url: format!("http://{}", place.address) };
        fs::write(desk.at("why.txt"), "I bought these coins\r\nfrom a shop.\n\n").unwrap();
        desk
    }

    fn at(&self, name: &str) -> String {
        self.place.folder.path().join(name).display().to_string()
    }

    fn write(&self, address: &str, more: &[&str]) -> (Option<i32>, Value, String) {
        let (text, out, message) = (self.at("why.txt"), self.at("appeal.json"), self.at("message.txt"));
        let args = ["write", address, "--text", &text, "--out", &out, "--message-file", &message];
        let usual = ["--chain", "btc", "--service", &self.url];
        let usual = if more.contains(&"--chain") { &[][..] } else { &usual };
        tool(&[&args[..], usual, more].concat())
    }
}

#[test]
fn a_person_appeals_with_the_tool_and_a_wallet() {
    let (owner, other) = (Owner::new(1), Owner::new(2));
    let place = Place::new(&[&owner]);
    let _process = place.start();
    let desk = Desk::new(&place);
    for (number, address) in (1..).zip(owner.addresses()) {
        let (status, draft, said) = desk.write(address, &[]);
        assert_eq!(status, Some(0), "{draft}{said}");
        let message = fs::read_to_string(desk.at("message.txt")).unwrap();
        let want = place.appeal(&owner, address, "I bought these coins\nfrom a shop.").message(&place.origin);
        assert_eq!((&message, &draft["message"]), (&want, &json!(want)));
        // What was asked for is what an owner without a network writes.
        let offline = ["--chain", "btc", "--origin", &place.origin, "--from", "s", "--case", "case-1"];
        assert_eq!(desk.write(address, &offline).1, draft);
        let (file, signed) = (desk.at("appeal.json"), owner.sign(address, &message));
        let (status, checked, _) = tool(&["check", &file, "--signature", &signed]);
        let form = if number <= 2 { "simple" } else { "full" };
        assert_eq!((status, &checked["signed_as"]), (Some(0), &json!(form)), "{checked}");
        let by_other = other.sign(&other.segwit, &message);
        let (status, refused, _) = tool(&["check", &file, "--signature", &by_other]);
        assert_eq!((status, &refused["ok"], &refused["message"]), (Some(1), &json!(false), &json!(want)));
        let (status, refused, _) = tool(&["send", &file, "--signature", &by_other, "--service", &desk.url]);
        assert_eq!((status, &refused["ok"]), (Some(1), &json!(false)));
        let lines = desk.at("signature.txt");
        let (one, two) = signed.split_at(40);
        fs::write(&lines, format!("{one}\n{two}\n")).unwrap();
        let (status, taken, said) =
            tool(&["send", &file, "--signature-file", &lines, "--service", &desk.url]);
        assert_eq!((status, &taken["number"]), (Some(0), &json!(number)), "{taken}{said}");
    }
    assert_eq!(place.list(0)["appeals"].as_array().unwrap().len(), 4);
}

#[test]
fn the_tool_says_what_keeps_an_appeal_from_being_written_or_taken() {
    let owner = Owner::new(1);
    let (mine, clean) = (&owner.segwit, Owner::new(3).segwit);
    let place = Place::of(["case-1", "case-2"].iter().map(|case| tag(&owner.segwit, case)));
    let desk = Desk::new(&place);
    let (status, _, said) = desk.write(mine, &[]);
    assert_eq!((status, said.contains("v1/screen/btc/")), (Some(3), true), "nobody listens yet: {said}");
    let _process = place.start();
    let check = |address: &str, more: &[&str], want: i32, words: &str| {
        let (status, answer, said) = desk.write(address, more);
        assert_eq!(status, Some(want), "{answer}{said}");
        assert!(format!("{answer}{said}").contains(words), "{answer}{said} lacks {words}");
    };
    check(mine, &[], 1, "--from s  --case case-2");
    check(mine, &["--case", "case-3"], 1, "no tag of a case that fits stands on");
    check(&clean, &[], 1, "0 tags were found there");
    check(mine, &["--case", "case-2"], 0, "case: case-2");
    check(&mine.replace("bc1q", "bc1p"), &[], 2, "bc1p");
    check(mine, &["--chain", "eth", "--service", &desk.url], 2, "want btc, ltc or a network");
    check(mine, &["--chain", "btc", "--origin", "o", "--from", "s"], 2, "--case");
    check(
        mine,
        &["--chain", "btc", "--origin", "o\np", "--from", "s", "--case", "c"],
        2,
        "want one line of text",
    );
    fs::write(desk.at("why.txt"), "x".repeat(4_001)).unwrap();
    check(mine, &["--case", "case-2"], 2, "the text has 4001 bytes, want 1 to 4000");
    fs::write(desk.at("why.txt"), " \n").unwrap();
    check(mine, &["--case", "case-2"], 2, "the text has 0 bytes");
    fs::write(desk.at("why.txt"), "x".repeat(4_000)).unwrap();
    check(mine, &["--case", "case-2"], 0, "xxxx");

    let file = desk.at("appeal.json");
    let check = |signature: &str, words: &str| {
        let (status, answer, _) = tool(&["check", &file, "--signature", signature]);
        assert_eq!(status, Some(1), "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{answer} lacks {words}");
    };
    check("*", "no base64");
    check("", "neither a witness");
    // 66 bytes, and 65: what wallets call a signed message.
    check(&"A".repeat(88), "neither a witness");
    check(&format!("{}=", "A".repeat(87)), "the older form, which is not read");
    assert_eq!(tool(&["check", &file]).0, Some(2));
    // Of another origin the signature holds, and the service has no such tag.
    let offline = ["--chain", "btc", "--origin", "elsewhere", "--from", "t", "--case", "case-1"];
    assert_eq!(desk.write(mine, &offline).0, Some(0));
    let signed = owner.sign(mine, &fs::read_to_string(desk.at("message.txt")).unwrap());
    let (status, answer, _) = tool(&["send", &file, "--signature", &signed, "--service", &desk.url]);
    assert_eq!((status, &answer["code"]), (Some(1), &json!("nothing-to-appeal")), "{answer}");
    fs::write(&file, "{}").unwrap();
    let (status, _, said) = tool(&["check", &file, "--signature", &signed]);
    assert_eq!((status, said.contains("missing field `chain`")), (Some(2), true), "{said}");
}
