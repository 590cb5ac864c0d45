//! A cut-over by plan: each step is done when both sides' folders show it, and both batches together are what was frozen.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use serde_json::{Value, json};
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

use crate::run::{Ran, run};

const HOLDINGS: &str =
    "customer,asset,units,group\na,BTC,50,staff\nb,BTC,200,\nc,XEM,7,\nd,BTC,1,staff\nd,XEM,3,staff\n";

/// Both operators in one folder.
struct Two {
    dir: tempfile::TempDir,
    to: String,
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn public(seed: u8) -> String {
    key(seed).public_key().to_openssh().unwrap()
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

impl Two {
    fn new() -> Self {
        let identity = age::x25519::Identity::generate();
        let two = Self { dir: tempfile::tempdir().unwrap(), to: identity.to_public().to_string() };
        for (seed, who) in [(1, "sender"), (2, "receiver")] {
            two.private(who, &key(seed).to_openssh(LineEnding::LF).unwrap());
            two.write(&format!("{who}.pub"), &public(seed));
        }
        let secret = identity.to_string();
        two.private("age.key", age::secrecy::ExposeSecret::expose_secret(&secret));
        two.write("holdings.csv", HOLDINGS);
        two.plan(
            ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"],
            "groups = [\"staff\"]",
        );
        two
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn private(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn plan(&self, [freeze, test, last]: [&str; 3], first: &str) {
        let (sender, receiver, officer, auditor) = (public(1), public(2), public(3), public(4));
        self.write(
            "plan.toml",
            &format!(
                "name = \"autumn\"\nsender = \"{sender}\"\nreceiver = \"{receiver}\"\nassets = [\"BTC\", \"XEM\"]\n\
                 [[signs_off]]\nname = \"officer\"\nkey = \"{officer}\"\n\
                 [[signs_off]]\nname = \"auditor\"\nkey = \"{auditor}\"\n\
                 [freeze]\nat = \"{freeze}\"\n[test]\nat = \"{test}\"\n{first}\n[final]\nat = \"{last}\"\n"
            ),
        );
    }

    fn run(&self, args: &[&str]) -> Ran {
        let named = |arg: &&str| match arg.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => (*arg).to_owned(),
        };
        run(["migrate".to_owned()].into_iter().chain(args.iter().map(named)).chain(["--json".to_owned()]))
    }

    fn good(&self, args: &[&str]) -> Value {
        let ran = self.run(args);
        assert_eq!(ran.status, 0, "{args:?}: {}{}", ran.out, ran.err);
        ran.json()
    }

    fn bad(&self, args: &[&str], want: &str) {
        let ran = self.run(args);
        assert_eq!(ran.status, 1, "{args:?}: {}{}", ran.out, ran.err);
        let error = ran.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(want), "{error}, want {want}");
    }

    fn export(&self, holdings: &str, out: &str, more: &[&str]) {
        let args = ["export", "--holdings", holdings, "--to", &self.to, "--key", "@sender", "--out", out];
        self.good(&[&args[..], more].concat());
    }

    /// The batch, handed over, and taken in beside these books.
    fn batch(&self, batch: &str, books: &str) {
        let (out, taken) = (format!("@{batch}"), format!("@{batch}-taken"));
        self.export("@holdings.csv", &out, &["--plan", "@plan.toml", "--batch", batch]);
        self.write("books.csv", books);
        self.import(&out, &taken, &["--against", "@books.csv"]);
    }

    fn import(&self, export: &str, out: &str, more: &[&str]) {
        let args = [
            "import",
            export,
            "--from",
            "@sender.pub",
            "--identity",
            "@age.key",
            "--key",
            "@receiver",
            "--out",
            out,
        ];
        self.good(&[&args[..], more].concat());
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.path("plan.toml.journal")).unwrap_or_default()
    }
}

const TEST: &str = "customer,asset,units\na,BTC,50\nd,BTC,1\nd,XEM,3\n";
const FINAL: &str = "customer,asset,units\nb,BTC,200\nc,XEM,7\n";

fn done<'a>(step: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["plan", "done", step, "@plan.toml", "--holdings", "@holdings.csv"], more].concat()
}

const FIRST: [&str; 4] = ["--export", "@test", "--import", "@test-taken"];
const LAST: [&str; 4] = ["--export", "@final", "--import", "@final-taken"];

#[test]
fn a_cut_over_is_carried_out_step_by_step() {
    let two = Two::new();
    let checked = two.good(&["plan", "check", "@plan.toml", "--holdings", "@holdings.csv"]);
    assert_eq!((&checked["test"], &checked["final"]), (&json!(2), &json!(2)));
    assert_eq!(two.good(&["plan", "status", "@plan.toml"])["next"], "freeze");
    assert!(two.journal().is_empty());
    two.bad(&done("test", &FIRST), "freeze comes before test");
    let frozen = two.good(&done("freeze", &[]));
    assert_eq!(
        (&frozen["steps"][0]["accounts"], &frozen["steps"][0]["assets"]),
        (&json!(4), &json!([{ "asset": "BTC", "units": 251 }, { "asset": "XEM", "units": 10 }]))
    );
    two.batch("test", TEST);
    two.bad(&done("final", &FIRST), "test comes before final");
    let first = two.good(&done("test", &FIRST));
    assert_eq!(
        (&first["steps"][1]["accounts"], &first["steps"][1]["differences"], &first["next"]),
        (&json!(2), &json!(0), &json!("final"))
    );
    two.batch("final", FINAL);
    let all = two.good(&done("final", &LAST));
    assert_eq!((&all["complete"], &all["steps"][2]["accounts"]), (&json!(true), &json!(2)));
    // What is done is verified again, and stays as it was.
    let journal = two.journal();
    assert_eq!(journal.lines().count(), 3);
    for args in [done("freeze", &[]), done("test", &FIRST), done("final", &LAST)] {
        assert_eq!(two.good(&args), all);
    }
    assert_eq!(two.good(&["plan", "status", "@plan.toml"]), all);
    assert_eq!(two.journal(), journal);
    // A line that was being written when the machine went down.
    let last = journal.lines().last().unwrap();
    let torn = journal.replace(last, &last[..last.len() / 2]).trim_end().to_owned();
    two.write("plan.toml.journal", &torn);
    assert_eq!(two.good(&["plan", "status", "@plan.toml"])["next"], "final");
    assert_eq!(two.good(&done("final", &LAST))["complete"], true);
}

#[test]
fn differences_are_signed_off_by_everybody_whom_the_plan_names() {
    let two = Two::new();
    two.good(&done("freeze", &[]));
    two.batch("test", &TEST.replace("a,BTC,50", "a,BTC,49"));
    let receipt = fs::read(two.path("test-taken/receipt.cbor")).unwrap();
    let sign = |name: &str, seed: u8, namespace: &str, bytes: &[u8]| {
        let signature = key(seed).sign(namespace, HashAlg::Sha512, bytes).unwrap();
        two.write(name, &signature.to_pem(LineEnding::LF).unwrap());
    };
    sign("officer.sig", 3, "kuraban-sign-off", &receipt);
    sign("auditor.sig", 4, "kuraban-sign-off", &receipt);
    sign("namespace.sig", 4, "kuraban-handover", &receipt);
    sign("stranger.sig", 5, "kuraban-sign-off", &receipt);
    sign("other.sig", 4, "kuraban-sign-off", b"another receipt");
    let check = |files: &[&str], want: Option<&str>| {
        let mut args = done("test", &FIRST);
        if !files.is_empty() {
            args.push("--sign-off");
            args.extend(files);
        }
        match want {
            Some(want) => two.bad(&args, &format!("{want:?} has not signed them off")),
            None => {
                let said = two.good(&args);
                let step = &said["steps"][1];
                assert_eq!(
                    (&step["differences"], &step["signed_off"]),
                    (&json!(1), &json!(["officer", "auditor"]))
                );
            }
        }
    };
    check(&[], Some("auditor"));
    check(&["@officer.sig"], Some("auditor"));
    check(&["@auditor.sig"], Some("officer"));
    for other in ["@namespace.sig", "@stranger.sig", "@other.sig"] {
        check(&["@officer.sig", other], Some("auditor"));
    }
    check(&["@auditor.sig", "@officer.sig"], None);
}

#[test]
fn a_batch_has_exactly_the_plans_accounts_as_they_were_at_the_freeze() {
    let two = Two::new();
    two.good(&done("freeze", &[]));
    two.batch("test", TEST);
    two.batch("final", FINAL);
    two.bad(&done("test", &LAST), "are not those of the batch at the freeze");
    // A customer fewer, and a unit less: whole hand-overs, but of something else.
    for (name, holdings) in [
        ("fewer", "customer,asset,units,group\na,BTC,50,staff\n"),
        ("less", "customer,asset,units,group\na,BTC,50,staff\nd,BTC,1,staff\nd,XEM,2,staff\n"),
    ] {
        two.write("some.csv", holdings);
        let (out, taken) = (format!("@{name}"), format!("@{name}-taken"));
        two.export("@some.csv", &out, &[]);
        two.import(&out, &taken, &["--against", "@some.csv"]);
        two.bad(
            &done("test", &["--export", &out, "--import", &taken]),
            "are not those of the batch at the freeze",
        );
    }
    // Taken in without a look at the receiver's books.
    two.import("@test", "@blind", &[]);
    two.bad(
        &done("test", &["--export", "@test", "--import", "@blind"]),
        "was not compared with the receiver's books",
    );
    // Other holdings than at the freeze.
    two.write("holdings.csv", &HOLDINGS.replace("c,XEM,7", "c,XEM,8"));
    two.bad(&done("test", &FIRST), "these are other holdings than at the freeze");
    two.write("holdings.csv", HOLDINGS);
    assert_eq!(two.run(&done("test", &[])).status, 2);
    two.good(&done("test", &FIRST));
    // The step was done with another hand-over of the same accounts.
    two.export("@holdings.csv", "@again", &["--plan", "@plan.toml", "--batch", "test"]);
    two.write("books.csv", TEST);
    two.import("@again", "@again-equal", &["--against", "@books.csv"]);
    two.bad(
        &done("test", &["--export", "@again", "--import", "@again-equal"]),
        "was done with another hand-over",
    );
    // A plan that was changed has no steps done.
    let plan = fs::read_to_string(two.path("plan.toml")).unwrap();
    two.write("plan.toml", &plan.replace("autumn", "winter"));
    two.bad(&done("final", &LAST), "put the plan back");
    two.bad(&["plan", "status", "@plan.toml"], "put the plan back");
}

#[test]
fn no_step_is_done_before_its_time() {
    let two = Two::new();
    two.plan(
        ["2024-01-01T00:00:00Z", "2124-01-02T00:00:00Z", "2124-01-03T00:00:00Z"],
        "customers = [\"a\", \"d\"]",
    );
    two.good(&done("freeze", &[]));
    two.batch("test", TEST);
    two.bad(&done("test", &FIRST), "test is planned for 2124-01-02T00:00:00Z, which has not come");
    // A hand-over from before the freeze.
    fs::remove_file(two.path("plan.toml.journal")).unwrap();
    let freeze = now_ms();
    let [at, test, last] = [freeze, freeze + 1, freeze + 2].map(|at| at.to_string());
    two.plan([&at, &test, &last], "customers = [\"a\", \"d\"]");
    two.good(&done("freeze", &[]));
    two.bad(&done("test", &FIRST), "before the freeze at");
}

#[test]
fn a_plan_that_does_not_fit_the_holdings_is_refused() {
    let two = Two::new();
    let check = |first: &str, holdings: &str, want: &str| {
        two.plan(["1", "2", "3"], first);
        two.write("holdings.csv", holdings);
        two.bad(&["plan", "check", "@plan.toml", "--holdings", "@holdings.csv"], want);
        two.bad(&done("freeze", &[]), want);
        assert!(two.journal().is_empty());
    };
    check(
        "groups = [\"staff\"]",
        &HOLDINGS.replace("c,XEM", "c,ETH"),
        "ETH is held, and not among the plan's assets",
    );
    check("customers = [\"z\"]", HOLDINGS, "\"z\" of the test batch is not among the holdings");
    check("groups = [\"vip\"]", HOLDINGS, "nobody is of the test batch's group \"vip\"");
    check("customers = [\"a\", \"b\", \"c\", \"d\"]", HOLDINGS, "nobody is left for the final one");
}

#[test]
fn a_batch_takes_along_what_belongs_to_its_customers_alone() {
    let two = Two::new();
    two.write("addresses.csv", "customer,chain,address\na,btc,bc1qa\nb,btc,bc1qb\n");
    two.write(
        "consents.csv",
        "customer,what,when\nb,all,2024-12-01T09:00:00+09:00\nd,all,2024-12-01T09:00:00+09:00\n",
    );
    let more = ["--addresses", "@addresses.csv", "--consents", "@consents.csv"];
    two.export("@holdings.csv", "@test", &[&more[..], &["--plan", "@plan.toml", "--batch", "test"]].concat());
    two.import("@test", "@test-taken", &[]);
    let read = |name: &str| fs::read_to_string(two.path(&format!("test-taken/{name}"))).unwrap();
    assert_eq!(read("addresses.csv"), "customer,chain,address\na,btc,bc1qa\n");
    assert!(read("consents.csv").contains("d,all") && !read("consents.csv").contains("b,all"));
    assert_eq!(read("accounts.csv"), "customer,group\na,staff\nd,staff\n");
    // Somebody who is nobody's customer is still an error.
    two.write("addresses.csv", "customer,chain,address\nz,btc,bc1qa\n");
    let args =
        ["export", "--holdings", "@holdings.csv", "--to", &two.to, "--key", "@sender", "--out", "@other"];
    let ran = two.run(&[&args[..], &more, &["--plan", "@plan.toml", "--batch", "test"]].concat());
    assert!(ran.status == 2 && ran.err.contains("\"z\" is not among the holdings"), "{}", ran.err);
}
