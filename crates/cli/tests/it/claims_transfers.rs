//! Transfer files for banks: every yen is in a file or listed, and what no bank takes is named before anything is written.

use std::{fs, path::PathBuf};

use serde_json::json;

use crate::run::{Ran, repository, run};

const PAYER: &str = "code = \"42\"\nname = \"カ)クラバン\"\nbank = \"0001\"\nbranch = \"123\"\ntype = \"2\"\nnumber = \"7654321\"\n";
const HOLDINGS: &str = "customer,asset,amount\na,XEM,1000\nb,XEM,200.5\nc,XEM,10\nd,XEM,0\n";
const ACCOUNTS: &str = "customer,bank,branch,type,number,holder\n\
                        c,0005,001,当座,7,ギンコウ\na,0009,002,普通,1234567,ヤマダ　タロウ\nd,0009,002,1,1,ゼロ\nx,0009,002,1,2,ホカ\n";

struct World(tempfile::TempDir);

impl World {
    fn new(holdings: &str) -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        fs::write(world.path("holdings.csv"), holdings).unwrap();
        let scheme = repository().join("examples/schemes/coincheck-2018.toml");
        let ran = run([
            "claims".into(),
            "compute".into(),
            "--holdings".into(),
            world.path("holdings.csv"),
            "--scheme".into(),
            scheme,
            "--out".into(),
            world.path("claims"),
        ]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn transfers(&self, accounts: &[u8], payer: &str, more: &[&str]) -> Ran {
        fs::write(self.path("accounts.csv"), accounts).unwrap();
        fs::write(self.path("payer.toml"), payer).unwrap();
        let mut args: Vec<PathBuf> =
            ["claims", "transfers", "--json", "--date", "2018-03-12"].map(PathBuf::from).to_vec();
        for (option, file) in [
            ("--claims", "claims"),
            ("--accounts", "accounts.csv"),
            ("--payer", "payer.toml"),
            ("--out", "out"),
        ] {
            args.extend([option.into(), self.path(file)]);
        }
        args.extend(more.iter().map(PathBuf::from));
        run(args)
    }

    /// Records of a file as text.
    fn records(&self, name: &str) -> Vec<String> {
        let bytes = fs::read(self.path("out").join(name)).unwrap();
        assert_eq!(bytes.len() % 122, 0);
        let (text, _, broken) = encoding_rs::SHIFT_JIS.decode(&bytes);
        assert!(!broken);
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }
}

#[test]
fn every_yen_is_in_a_file_or_listed() {
    let world = World::new(HOLDINGS);
    let ran = world.transfers(ACCOUNTS.as_bytes(), PAYER, &[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    // 1000 × 88.549 = 88,549; 10 × 88.549 = 885.49; 200.5 × 88.549 = 17,754.0745.
    let want = json!({
        "files": [{ "file": "transfers-0001.txt", "transfers": 2, "yen": 89_434 }],
        "transfers": 2, "yen": 89_434, "without_account": 1, "without_account_yen": 17_754, "accounts_not_used": 1
    });
    assert_eq!(ran.json(), want);
    let records = world.records("transfers-0001.txt");
    let starts = ["12100000000042ｶ)ｸﾗﾊﾞﾝ", "20009", "20005", "8000002000000089434", "9"];
    assert_eq!(records.len(), starts.len());
    for (record, start) in records.iter().zip(starts) {
        assert!(record.starts_with(start), "{record}");
    }
    assert!(records[1].contains("11234567ﾔﾏﾀﾞ ﾀﾛｳ"), "{}", records[1]);
    assert!(records[1].contains("00000885490"), "{}", records[1]);
    let without = fs::read_to_string(world.path("out/without-account.csv")).unwrap();
    assert_eq!(without, "customer,cash\nb,17754\n");
}

#[test]
fn files_hold_no_more_transfers_than_the_bank_takes() {
    let world = World::new(HOLDINGS);
    let ran = world.transfers(ACCOUNTS.as_bytes(), PAYER, &["--transfers-max", "1"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(ran.json()["files"].as_array().unwrap().len(), 2);
    assert!(world.records("transfers-0001.txt")[2].starts_with("8000001000000088549"));
    assert!(world.records("transfers-0002.txt")[2].starts_with("8000001000000000885"));
}

#[test]
fn what_no_bank_takes_is_named_and_nothing_is_written() {
    let world = World::new(HOLDINGS);
    let head = "customer,bank,branch,type,number,holder\n";
    let check = |accounts: String, payer: &str, want: &str| {
        let ran = world.transfers(accounts.as_bytes(), payer, &[]);
        assert_eq!(ran.status, 2, "{want}: {}", ran.err);
        assert!(ran.err.contains(want), "{want}: {}", ran.err);
        assert!(!world.path("out").exists() && !world.path("out.part").exists());
    };
    check(format!("{head}a,0009,002,1,1,山田\n"), PAYER, "line 2: holder: '山' may not stand");
    check(format!("{head}a,9,002,1,1,ア\n"), PAYER, "line 2: bank: \"9\", want 4 digits");
    check(format!("{head}a,0009,002,3,1,ア\n"), PAYER, "line 2: type: \"3\"");
    check(format!("{head}a,0009,002,1,1,\n"), PAYER, "line 2: holder: is empty");
    let long = "ア".repeat(31);
    check(format!("{head}a,0009,002,1,1,{long}\n"), PAYER, "line 2: holder: takes 31 characters");
    let twice = "a,0009,002,1,1,ア\n";
    check(format!("{head}{twice}{twice}"), PAYER, "line 3: customer: \"a\" has an account already");
    check("customer\na\n".to_owned(), PAYER, "there is no column \"bank\"");
    check(ACCOUNTS.to_owned(), &PAYER.replace("\"42\"", "\"x\""), "code: \"x\", want 1 to 10 digits");
    check(ACCOUNTS.to_owned(), &format!("{PAYER}fee = 1\n"), "unknown field `fee`");
    // 112,931,823 × 88.549 = 9,999,999,994.8 is the last that ten digits hold.
    let rich = World::new("customer,asset,amount\na,XEM,112931823\n");
    assert_eq!(rich.transfers(ACCOUNTS.as_bytes(), PAYER, &[]).json()["yen"], 9_999_999_995_u64);
    let richer = World::new("customer,asset,amount\na,XEM,112931824\n");
    let ran = richer.transfers(ACCOUNTS.as_bytes(), PAYER, &[]);
    assert!(ran.err.contains("line 2, cash: 10000000083 yen"), "{}", ran.err);
    assert!(!richer.path("out").exists() && !richer.path("out.part").exists());
}

#[test]
fn nobody_is_paid_by_tables_that_were_changed_after_they_were_hashed() {
    let world = World::new(HOLDINGS);
    let spoilt = |table: &str, from: &str, to: &str, want: &str| {
        let path = world.path("claims").join(table);
        let kept = fs::read_to_string(&path).unwrap();
        assert_ne!(kept.replacen(from, to, 1), kept, "{table}");
        fs::write(&path, kept.replacen(from, to, 1)).unwrap();
        let ran = world.transfers(ACCOUNTS.as_bytes(), PAYER, &[]);
        fs::write(&path, kept).unwrap();
        assert_eq!(ran.status, 2, "{from}: {}", ran.out);
        assert!(ran.err.contains(want), "{from}: {}", ran.err);
        assert!(!world.path("out").exists() && !world.path("out.part").exists());
    };
    let changed = "what the tables say of \"c\" is not what was hashed";
    spoilt("payments.csv", "c,885,0,0,0,0,885", "c,885,0,0,0,0,9885", changed);
    spoilt("payments.csv", "c,885,0,0,0,0,885", "c,9885,0,0,0,0,9885", changed);
    spoilt("claims.csv", "c,XEM,10,", "c,XEM,100,", changed);
    spoilt("payments.csv", "c,885,0,0,0,0,885\n", "", "say of \"d\" is not");
    spoilt("payments.csv", "d,0,0,0,0,0,0\n", "d,0,0,0,0,0,0\nd,9,0,0,0,0,9\n", "say of \"d\" is not");
    spoilt("summary.json", "\"size\":4", "\"size\":3", "want 32 for each of 3");
    let root = fs::read_to_string(world.path("claims/summary.json")).unwrap();
    let root = serde_json::from_str::<serde_json::Value>(&root).unwrap()["statements"]["root"].clone();
    let root = root.as_str().unwrap();
    let ran = world.transfers(ACCOUNTS.as_bytes(), PAYER, &["--root", &"00".repeat(32)]);
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains(&format!("the statements have root {root}, want 0000")), "{}", ran.err);
    assert_eq!(world.transfers(ACCOUNTS.as_bytes(), PAYER, &["--root", root]).status, 0);
}
