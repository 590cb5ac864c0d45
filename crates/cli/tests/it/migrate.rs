//! `kuraban migrate` between two installations in two folders: what one hands over the other takes in, and whatever is changed on the
//! way is refused with its place.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use age::secrecy::ExposeSecret as _;
use serde_json::json;
use ssh_key::{LineEnding, PrivateKey, private::Ed25519Keypair};

use crate::run::{Ran, kuraban, run};

/// Two operators, each with an SSH key and an age identity.
struct Two {
    dir: tempfile::TempDir,
}

impl Two {
    fn new() -> Self {
        let two = Self { dir: tempfile::tempdir().unwrap() };
        for (seed, who) in [(1, "sender"), (2, "receiver")] {
            let key = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
            two.private(who, &key.to_openssh(LineEnding::LF).unwrap());
            fs::write(two.path(&format!("{who}.pub")), key.public_key().to_openssh().unwrap()).unwrap();
            two.identity(&format!("{who}.age"));
        }
        two
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn private(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn identity(&self, name: &str) {
        let identity = age::x25519::Identity::generate();
        self.private(name, &format!("# made for a test\n{}\n", identity.to_string().expose_secret()));
        fs::write(self.path(&format!("{name}.to")), identity.to_public().to_string()).unwrap();
    }

    fn run(&self, args: &[&str]) -> Ran {
        let files = ["holdings.csv", "addresses.csv", "consents.csv", "cases", "books.csv"];
        let named = |arg: &&str| {
            let ours = arg.starts_with('@') || files.contains(arg);
            if ours {
                self.path(arg.trim_start_matches('@')).display().to_string()
            } else {
                (*arg).to_owned()
            }
        };
        run(["migrate".to_owned()].into_iter().chain(args.iter().map(named)).chain(["--json".to_owned()]))
    }

    fn export(&self, holdings: &str, out: &str, more: &[&str]) -> Ran {
        fs::write(self.path("holdings.csv"), holdings).unwrap();
        let to = fs::read_to_string(self.path("receiver.age.to")).unwrap();
        let args = ["export", "--holdings", "holdings.csv", "--to", &to, "--key", "@sender", "--out", out];
        self.run(&[&args[..], more].concat())
    }

    fn import(&self, export: &str, out: &str, more: &[&str]) -> Ran {
        let args = [
            "import",
            export,
            "--from",
            "@sender.pub",
            "--identity",
            "@receiver.age",
            "--key",
            "@receiver",
            "--out",
            out,
        ];
        self.run(&[&args[..], more].concat())
    }

    fn verify(&self, export: &str, import: &str) -> Ran {
        self.run(&["verify", export, "--from", "@sender.pub", "--import", import, "--to", "@receiver.pub"])
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

const HOLDINGS: &str = "customer,asset,amount,group,vault\nb,XEM,1.5,agreed,hot\na,BTC,0.25,agreed,cold\na,BTC,0.5,agreed,hot\n\
                        a,ETH,2,agreed,cold\nc,JPY,0,,hot\n";

/// A hand-over with something of every kind.
fn handed_over(two: &Two) -> Ran {
    fs::write(two.path("addresses.csv"), "customer,chain,address\nb,xem,NBAAAA\na,btc,bc1qexample\n")
        .unwrap();
    fs::write(
        two.path("consents.csv"),
        "customer,what,when\na,transfer of the account,2024-12-01T09:00:00+09:00\n",
    )
    .unwrap();
    fs::create_dir(two.path("cases")).unwrap();
    fs::write(two.path("cases/case-1.json"), "{\"open\": true}\n").unwrap();
    let more = ["--addresses", "addresses.csv", "--consents", "consents.csv", "--cases", "cases"];
    let ran = two.export(HOLDINGS, "@out", &more);
    assert_eq!(ran.status, 0, "{}", ran.err);
    ran
}

#[test]
fn two_installations_hand_over_and_prove_that_nothing_was_lost() {
    let two = Two::new();
    let exported = handed_over(&two).json();
    let counts = ["accounts", "addresses", "consents", "cases", "chunks"].map(|name| exported[name].clone());
    assert_eq!(counts, [3, 2, 1, 1, 4].map(|count| json!(count)));
    let assets = json!([
        { "asset": "BTC", "units": 75_000_000 },
        { "asset": "ETH", "units": "2000000000000000000" },
        { "asset": "XEM", "units": 1_500_000 },
    ]);
    assert_eq!(exported["assets"], assets);
    // The receiver has booked a little too much BTC for a, nothing of b, and somebody who was not handed over.
    fs::write(
        two.path("books.csv"),
        "customer,asset,units\na,BTC,75000007\na,ETH,2000000000000000000\nz,XEM,5\n",
    )
    .unwrap();
    let ran = two.import("@out", "@in", &["--against", "books.csv"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let imported = ran.json();
    for same in ["export", "manifest", "accounts_root", "accounts", "assets"] {
        assert_eq!(imported[same], exported[same], "{same}");
    }
    assert_eq!((&imported["already"], &imported["differences"]), (&json!(false), &json!(3)));
    for (file, want) in [
        ("accounts.csv", "customer,group\na,agreed\nb,agreed\nc,\n"),
        (
            "balances.csv",
            "customer,asset,units\na,BTC,75000000\na,ETH,2000000000000000000\nb,XEM,1500000\nc,JPY,0\n",
        ),
        ("addresses.csv", "customer,chain,address\na,btc,bc1qexample\nb,xem,NBAAAA\n"),
        ("consents.csv", "customer,what,when\na,transfer of the account,2024-12-01T00:00:00Z\n"),
        ("cases/case-1.json", "{\"open\": true}\n"),
        ("booked.csv", "customer,asset,units\na,BTC,75000007\na,ETH,2000000000000000000\nz,XEM,5\n"),
        (
            "differences.csv",
            "customer,asset,received,booked,difference\na,BTC,75000000,75000007,-7\nb,XEM,1500000,0,+1500000\nz,XEM,0,5,-5\n",
        ),
    ] {
        assert_eq!(two.read(&format!("in/{file}")), want, "{file}");
    }
    let ran = two.verify("@out", "@in");
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let proof = ran.json();
    assert_eq!((&proof["ok"], &proof["accounts_root"]), (&json!(true), &exported["accounts_root"]));
    let conservation = json!([
        { "asset": "BTC", "exported_units": 75_000_000, "booked_units": 75_000_007, "more_units": 0, "less_units": 7 },
        {
            "asset": "ETH", "exported_units": "2000000000000000000", "booked_units": "2000000000000000000",
            "more_units": "0", "less_units": "0"
        },
        { "asset": "XEM", "exported_units": 1_500_000, "booked_units": 5, "more_units": 1_500_000, "less_units": 5 },
    ]);
    assert_eq!(proof["conservation"], conservation);
    // The sender alone can verify its own side.
    let own = two.run(&["verify", "@out", "--from", "@sender.pub"]);
    assert_eq!((own.status, &own.json()["root"]), (0, &exported["root"]));
}

#[test]
fn a_second_import_changes_nothing() {
    let two = Two::new();
    handed_over(&two);
    assert_eq!(two.import("@out", "@in", &[]).status, 0);
    // A second import says so and changes nothing; another hand-over does not go into the same folder.
    let before = two.read("in/receipt.cbor.sig");
    let again = two.import("@out", "@in", &[]);
    assert_eq!((again.status, &again.json()["already"]), (0, &json!(true)));
    assert_eq!(two.read("in/receipt.cbor.sig"), before);
    assert_eq!(two.export(HOLDINGS, "@other", &[]).status, 0);
    let other = two.import("@other", "@in", &[]);
    assert_eq!(other.status, 2);
    assert!(other.err.contains("holds another hand-over already"), "{}", other.err);
}

/// Every file under a folder, by its path within it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[track_caller]
fn refused(ran: &Ran, file: &Path) {
    assert_eq!(ran.status, 1, "{}: {}{}", file.display(), ran.out, ran.err);
    assert_eq!(ran.json()["ok"], json!(false));
    let stem = file.file_name().unwrap().to_str().unwrap().trim_end_matches(".sig");
    assert!(ran.json()["error"].as_str().unwrap().contains(stem), "{}: {}", file.display(), ran.out);
}

#[test]
fn a_flipped_byte_and_a_cut_end_are_refused_in_every_file() {
    let two = Two::new();
    handed_over(&two);
    assert_eq!(two.import("@out", "@in", &[]).status, 0);
    let sent = files(&two.path("out"));
    assert_eq!(sent.len(), 10);
    for file in sent.iter().chain(&files(&two.path("in"))) {
        let good = fs::read(file).unwrap();
        let middle = good.len() / 2;
        let changed = [middle, 0, good.len() - 1].map(|place| {
            let mut bad = good.clone();
            bad[place] ^= 1;
            bad
        });
        for bad in changed.into_iter().chain([good[..good.len() - 1].to_vec(), Vec::new()]) {
            fs::write(file, &bad).unwrap();
            refused(&two.verify("@out", "@in"), file);
        }
        if sent.contains(file) {
            refused(&two.import("@out", "@new", &[]), file);
            assert!(!two.path("new").exists(), "{}", file.display());
        }
        fs::remove_file(file).unwrap();
        refused(&two.verify("@out", "@in"), file);
        fs::write(file, &good).unwrap();
    }
    // What is refused leaves nothing of customers behind, and what was left half is no obstacle.
    assert!(!two.path("new.part").exists());
    fs::create_dir_all(two.path("new.part/cases")).unwrap();
    assert_eq!(two.import("@out", "@new", &[]).status, 0);
    assert!(!two.path("new.part").exists());
    assert_eq!(two.verify("@out", "@new").status, 0);
}

#[test]
fn swapped_repeated_added_and_foreign_pieces_are_refused() {
    let two = Two::new();
    handed_over(&two);
    assert_eq!(two.export(HOLDINGS, "@other", &[]).status, 0);
    let check = |change: &dyn Fn(&Path), want: &str| {
        let copy = two.path("copy");
        fs::create_dir_all(copy.join("chunks")).unwrap();
        for file in files(&two.path("out")) {
            fs::copy(&file, copy.join(file.strip_prefix(two.path("out")).unwrap())).unwrap();
        }
        change(&copy);
        let ran = two.import("@copy", "@in", &[]);
        assert_eq!(ran.status, 1, "{}{}", ran.out, ran.err);
        let error = ran.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(want), "{error}, want {want}");
        assert!(!two.path("in").exists());
        fs::remove_dir_all(copy).unwrap();
    };
    let copy = |from: &Path, to: &Path| {
        for end in ["", ".sig"] {
            fs::copy(format!("{}{end}", from.display()), format!("{}{end}", to.display())).unwrap();
        }
    };
    let swap = |folder: &Path| {
        let [a, b, c] = ["000001.age", "000002.age", "x"].map(|name| folder.join("chunks").join(name));
        copy(&a, &c);
        copy(&b, &a);
        copy(&c, &b);
        for end in ["", ".sig"] {
            fs::remove_file(format!("{}{end}", c.display())).unwrap();
        }
    };
    check(&swap, "chunk 1, ");
    let chunk = |folder: &Path, name: &str| folder.join("chunks").join(name);
    check(&|folder| copy(&chunk(folder, "000000.age"), &chunk(folder, "000001.age")), "chunk 1, ");
    check(
        &|folder| copy(&chunk(folder, "000000.age"), &chunk(folder, "000004.age")),
        "000004.age: is not in the manifest",
    );
    check(
        &|folder| copy(&chunk(&two.path("other"), "000000.age"), &chunk(folder, "000000.age")),
        "chunk 0, ",
    );
    check(
        &|folder| copy(&two.path("other/manifest.cbor"), &folder.join("manifest.cbor")),
        "is not in the manifest",
    );
    // Another hand-over's manifest beside this import.
    assert_eq!(two.import("@out", "@in", &[]).status, 0);
    let ran = two.verify("@other", "@in");
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("answers the manifest"), "{}", ran.out);
}

#[test]
fn an_import_that_is_killed_leaves_nothing_half_and_the_next_is_whole() {
    let two = Two::new();
    let row = |customer: u32| format!("customer-{customer:06},XEM,{customer}\n");
    let rows = (0..40_000).map(row).collect::<String>();
    let exported = two.export(&format!("customer,asset,amount\n{rows}"), "@out", &[]);
    assert_eq!(exported.status, 0, "{}", exported.err);
    assert_eq!(exported.json()["assets"][0]["units"], json!(799_980_000_000_000_u64));
    let mut command = kuraban();
    command.args(["migrate", "import"]).stdout(Stdio::null()).stderr(Stdio::null()).arg(two.path("out"));
    for (option, file) in
        [("from", "sender.pub"), ("identity", "receiver.age"), ("key", "receiver"), ("out", "in")]
    {
        command.arg(format!("--{option}")).arg(two.path(file));
    }
    let mut child = command.spawn().unwrap();
    while !two.path("in.part/balances.csv").exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(two.path("in.part").exists() && !two.path("in").exists());
    assert_eq!(two.import("@out", "@in", &[]).json()["already"], json!(false));
    assert!(!two.path("in.part").exists());
    assert_eq!(two.verify("@out", "@in").status, 0);
}

#[test]
fn keys_of_others_are_refused_and_never_printed() {
    let two = Two::new();
    handed_over(&two);
    let import = |from: &str, identity: &str| {
        two.run(&[
            "import",
            "@out",
            "--from",
            from,
            "--identity",
            identity,
            "--key",
            "@receiver",
            "--out",
            "@in",
        ])
    };
    let ran = import("@sender.pub", "@sender.age");
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("the hand-over is encrypted to age1"), "{}", ran.out);
    let ran = import("@receiver.pub", "@receiver.age");
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("is no signature over it by the given key"), "{}", ran.out);
    fs::set_permissions(two.path("receiver.age"), fs::Permissions::from_mode(0o640)).unwrap();
    let ran = import("@sender.pub", "@receiver.age");
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("others can read it (mode 640)"), "{}", ran.err);
    two.private("broken.age", "AGE-SECRET-KEY-1QQQQ\n");
    let ran = import("@sender.pub", "@broken.age");
    assert_eq!(ran.status, 2);
    assert!(!ran.err.contains("QQQQ") && !ran.out.contains("QQQQ"), "{}", ran.err);
    assert!(!two.path("in").exists());
}

#[test]
fn bad_tables_are_named_with_line_and_nothing_is_written() {
    let two = Two::new();
    let check = |option: &str, name: &str, text: &str, want: &str| {
        fs::write(two.path(name), text).unwrap();
        let ran = two.export(HOLDINGS, "@out", &[option, name]);
        assert_eq!(ran.status, 2, "{}", ran.out);
        assert!(ran.err.contains(want), "{}", ran.err);
        assert!(!two.path("out").exists() && !two.path("out.part").exists());
    };
    let addresses = |text: &str, want| check("--addresses", "addresses.csv", text, want);
    addresses("customer,chain,address\nx,btc,bc1\n", "line 2: customer: \"x\" is not among the holdings");
    addresses("customer,chain,address\na,btc,bc1\na,btc,bc1\n", "line 3: stands in line 2 already");
    addresses("customer,chain,address\na,btc, bc1\n", "line 2: address: has \" bc1\"");
    let consents = |text: &str, want| check("--consents", "consents.csv", text, want);
    consents("customer,what,when\na,all,yesterday\n", "line 2: when: ");
    consents("customer,what,when\na,all\n", "line 2: has 2 fields, want 3");
}

/// OpenSSH verifies the same files, where it is installed.
#[test]
fn openssh_verifies_what_was_signed() {
    let two = Two::new();
    handed_over(&two);
    let allowed = format!("sender {}", two.read("sender.pub"));
    fs::write(two.path("allowed"), allowed).unwrap();
    for file in ["out/manifest.cbor", "out/chunks/000000.age"] {
        let mut command = Command::new("ssh-keygen");
        command
            .args(["-Y", "verify", "-I", "sender", "-n", "kuraban-handover", "-f"])
            .arg(two.path("allowed"));
        command.arg("-s").arg(two.path(&format!("{file}.sig")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            println!("skipped: there is no ssh-keygen");
            return;
        };
        child.stdin.take().unwrap().write_all(&fs::read(two.path(file)).unwrap()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{file}: {output:?}");
    }
}
