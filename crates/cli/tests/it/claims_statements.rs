//! Statements of compensation as their customers meet them: under the published root or refused, told in two languages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::run::{Ran, repository, run};

/// A computation in a folder of its own.
struct World {
    folder: tempfile::TempDir,
    root: String,
}

const COINCHECK: &str = "customer,asset,amount\nb,XEM,200.5\na,XEM,322999999.5\n山田 <b>,XEM,0.01\n";

impl World {
    fn new(scheme: &str, holdings: &str, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("holdings.csv"), holdings).unwrap();
        let scheme = repository().join("examples/schemes").join(scheme);
        let mut args: Vec<PathBuf> = ["claims", "compute", "--json", "--scheme"].map(PathBuf::from).to_vec();
        args.extend([scheme, "--holdings".into(), folder.path().join("holdings.csv")]);
        args.extend(["--out".into(), folder.path().join("claims")]);
        for (option, table) in more {
            let path = folder.path().join(format!("{option}.csv"));
            fs::write(&path, table).unwrap();
            args.extend([PathBuf::from(option), path]);
        }
        let ran = run(&args);
        assert_eq!(ran.status, 0, "{}", ran.err);
        let root = ran.json()["statements"]["root"].as_str().unwrap().to_owned();
        Self { folder, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn statement(&self, args: &[&str]) -> Ran {
        let claims = self.path("claims");
        run(["claims", "statement", "--json", "--claims", claims.to_str().unwrap()].iter().chain(args))
    }

    /// Everybody's statements.
    fn all(&self) -> Vec<Value> {
        let path = self.path("statements.jsonl");
        let ran = self.statement(&["--all", path.to_str().unwrap()]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn verify(&self, statement: &Value, root: &str) -> Ran {
        let path = self.path("one.json");
        fs::write(&path, statement.to_string()).unwrap();
        run(["claims", "verify", "--json", path.to_str().unwrap(), "--root", root])
    }
}

#[test]
fn every_statement_of_every_kind_of_scheme_is_under_the_root() {
    let fills = "customer,asset,side,amount,price\na,BTC,buy,0.5,1200001\na,ETH,sell,2,24400.25\n";
    let refunds = "customer,kind,amount\na,swap-point,3\n";
    for (scheme, holdings, more) in [
        ("coincheck-2018.toml", COINCHECK, &[][..]),
        ("dmm-2024.toml", "customer,asset,amount\na,BTC,1.5\nb,BTC,0\n", &[]),
        ("liquid-2021.toml", "customer,asset,amount\na,TRX,1.5\na,BTC,2\n", &[]),
        ("zaif-2018.toml", "customer,asset,amount,group\na,MONA,10.1,agrees\nb,MONA,10.1,objects\n", &[]),
        (
            "mtgox-2021.toml",
            "customer,asset,amount,group\na,BTC,10.1,early\nb,BCH,1,late\nc,JPY,7,early\n",
            &[],
        ),
        (
            "bitpoint-2019.toml",
            "customer,asset,amount\na,XRP,5\n",
            &[("--fills", fills), ("--refunds", refunds)],
        ),
    ] {
        let world = World::new(scheme, holdings, more);
        let all = world.all();
        assert_eq!(
            all.len(),
            fs::read_to_string(world.path("claims/payments.csv")).unwrap().lines().count() - 1
        );
        for proven in &all {
            let ran = world.verify(proven, &world.root);
            assert_eq!(ran.status, 0, "{scheme}: {}", ran.out);
            assert_eq!(ran.json()["ok"], true);
            let customer = proven["statement"]["customer"].as_str().unwrap();
            let alone = world.statement(&["--customer", customer]);
            assert_eq!((alone.status, &alone.json()), (0, proven), "{scheme}: {}", alone.err);
        }
    }
}

#[test]
fn a_statement_says_what_was_held_at_which_rate_and_what_rounding_did() {
    let world = World::new("coincheck-2018.toml", COINCHECK, &[]);
    let statement = world.statement(&["--customer", "b"]).json()["statement"].clone();
    // 200.5 × 88.549 = 17,754.0745.
    let line = json!({
        "for": "XEM", "held": "200.5", "rate": "88.549", "in_kind": "0", "in_kind_share": "0", "cash": "17754",
        "cash_share": "1", "rounding": "-0.0745"
    });
    assert_eq!(statement["lines"], json!([line]));
    let of = |field: &str| statement[field].as_str().unwrap().to_owned();
    assert_eq!([of("customer"), of("cash"), of("scheme")], ["b", "17754", "coincheck-2018"]);
}

/// 0.5 × (1,200,001 − 1,150,000) = 25,000.5 and 0.1 × (24,500 − 24,400.25) = 9.975: 25,010.475 together.
#[test]
fn fills_say_what_rounding_did_and_the_statement_who_bears_it() {
    let fills = "customer,asset,side,amount,price\na,BTC,buy,0.5,1200001\na,ETH,sell,0.1,24400.25\nb,BTC,buy,0.5,1200001\n";
    let holdings = "customer,asset,amount\na,XRP,5\nb,XRP,5\n";
    let world = World::new("bitpoint-2019.toml", holdings, &[("--fills", fills)]);
    for (customer, cash, rounding) in [("a", "25010", "-0.475"), ("b", "25001", "0.5")] {
        let statement = world.statement(&["--customer", customer]).json()["statement"].clone();
        let lines = statement["lines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["for"] == "fills").unwrap();
        assert_eq!((&line["cash"], &line["rounding"]), (&json!(cash), &json!(rounding)), "{statement}");
    }
    let told = |lang: &str| {
        let claims = world.path("claims");
        let claims = claims.to_str().unwrap();
        run(["--lang", lang, "claims", "statement", "--claims", claims, "--customer", "a"]).out
    };
    let english = told("en");
    assert!(
        english.contains("25,010 JPY") && english.contains("the operator bears the difference"),
        "{english}"
    );
    assert!(english.contains("fills made good") && !english.contains("  fills  "), "{english}");
    let japanese = told("ja");
    assert!(japanese.contains("差は会社が負担します") && japanese.contains("約定の差額補填"), "{japanese}");
}

/// 10.1 × 749,318.83 = 7,568,120.183; 200,000 of it at once, 21 % of the rest, and what is given up for that.
#[test]
fn by_a_plan_the_statement_says_what_is_left_unpaid() {
    let holdings = "customer,asset,amount,group\na,BTC,10.1,early\n";
    let world = World::new("mtgox-2021.toml", holdings, &[]);
    let claims = world.path("claims");
    let ran = run(["claims", "statement", "--claims", claims.to_str().unwrap(), "--customer", "a"]);
    for want in [
        "Claim: 7,568,120 JPY",
        "Base payment: 200,000 JPY",
        "Early or final payment: 1,547,305 JPY",
        "Left unpaid by the plan: 5,820,815 JPY",
        "Paid in cash: 1,747,305 JPY",
    ] {
        assert!(ran.out.contains(want), "{want}: {}", ran.out);
    }
}

#[test]
fn what_is_changed_is_refused_with_its_reason() {
    let world = World::new("coincheck-2018.toml", COINCHECK, &[]);
    let genuine = world.statement(&["--customer", "b"]).json();
    let check = |pointer: &str, value: Value, status: i32, want: &str| {
        let mut changed = genuine.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        let ran = world.verify(&changed, &world.root);
        assert_eq!(ran.status, status, "{pointer}: {}{}", ran.out, ran.err);
        assert!(format!("{}{}", ran.out, ran.err).contains(want), "{pointer}: {}{}", ran.out, ran.err);
    };
    check("/statement/cash", json!("17755"), 1, "not under this root");
    check("/statement/customer", json!("c"), 1, "not under this root");
    check("/statement/salt", json!(""), 1, "not under this root");
    check("/statement/lines", json!([]), 1, "not under this root");
    check("/statement/format", json!("kuraban-statement-v2"), 1, "want \\\"kuraban-statement-v1\\\"");
    check("/inclusion/index", json!(0), 1, "not under this root");
    check("/inclusion/index", json!(3), 1, "3 lies beyond a tree of size 3");
    check("/inclusion/path", json!([]), 1, "proof has 0 hashes");
    check("/inclusion/path/0", json!("00"), 1, "1 bytes of hexadecimal, want 32");
    check("/inclusion/size", json!(-1), 2, "invalid value");
    check("/statement/lines", json!(0), 2, "invalid type");
    // The root in the file is the file's word, and not asked.
    check("/inclusion/root", json!("00"), 0, "\"ok\":true");
    let other = world.verify(&genuine, &"00".repeat(32));
    assert_eq!((other.status, &other.json()["ok"]), (1, &json!(false)));
    assert_eq!(world.verify(&genuine, "00").status, 2);
}

/// Python's own JSON and SHA-256, and the tree as RFC 6962 §2.1 defines it.
const ORACLE: &str = r#"
import hashlib, json, sys
h = lambda b: hashlib.sha256(b).digest()
def mth(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return h(b'\x01' + mth(leaves[:k]) + mth(leaves[k:]))
rows = [json.loads(line)['statement'] for line in open(sys.argv[1], encoding='utf-8')]
text = lambda row: json.dumps(row, sort_keys=True, separators=(',', ':'), ensure_ascii=False)
print(mth([h(b'\x00' + text(row).encode()) for row in rows]).hex())
"#;

#[test]
fn the_root_is_what_another_program_makes_of_the_statements() {
    let holdings: String =
        (0..21).map(|number| format!("\"c\"\"{number:02}\u{e9}\",XEM,{number}.25\n")).collect();
    let world = World::new("coincheck-2018.toml", &format!("customer,asset,amount\n{holdings}"), &[]);
    assert_eq!(world.all().len(), 21);
    let jsonl = world.path("statements.jsonl");
    let Ok(ran) = Command::new("python3").args([Path::new("-c"), Path::new(ORACLE), &jsonl]).output() else {
        println!("skipped: there is no python3");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), world.root, "{ran:?}");
}

#[test]
fn tables_that_were_changed_give_no_statement() {
    let check = |file: &str, from: &str, to: &str, want: &str| {
        let world = World::new("coincheck-2018.toml", COINCHECK, &[]);
        let path = world.path("claims").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        for args in [["--customer", "b"], ["--all", world.path("all.jsonl").to_str().unwrap()]] {
            let ran = world.statement(&args);
            assert_eq!(ran.status, 2, "{file}: {}", ran.err);
            assert!(ran.err.contains(want), "{file}: {}", ran.err);
        }
        assert!(!world.path("all.jsonl").exists());
        assert!(!world.path("all.jsonl.part").exists());
    };
    check("claims.csv", "17754", "17755", "the tables are not those that were hashed");
    check("payments.csv", "b,17754,0,0,0,0,17754", "b,17755,0,0,0,0,17755", "the tables are not those");
    check("summary.json", "\"size\":3", "\"size\":2", "want 32 for each of 2");
    check("summary.json", "coincheck-2018", "other", "the tables are not those");
    check("claims.csv", "customer,for", "customer,what", "want the columns");
    let world = World::new("coincheck-2018.toml", COINCHECK, &[]);
    let ran = world.statement(&["--customer", "nobody"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("is not among the payments"), "{}", ran.err);
}

#[cfg(unix)]
#[test]
fn the_seed_of_all_salts_is_for_its_owner_alone_and_never_the_same() {
    use std::os::unix::fs::PermissionsExt as _;
    let one = World::new("coincheck-2018.toml", COINCHECK, &[]);
    let seed = one.path("claims/statements.seed");
    assert_eq!(fs::metadata(&seed).unwrap().permissions().mode() & 0o777, 0o600);
    let other = World::new("coincheck-2018.toml", COINCHECK, &[]);
    assert_ne!(one.root, other.root);
    assert_ne!(fs::read(seed).unwrap(), fs::read(other.path("claims/statements.seed")).unwrap());
}

#[test]
fn pages_and_paper_tell_the_statement_in_two_languages() {
    let world = World::new("coincheck-2018.toml", COINCHECK, &[]);
    let (html, pdf) = (world.path("one.html"), world.path("one.pdf"));
    let (html, pdf) = (html.to_str().unwrap(), pdf.to_str().unwrap());
    for (lang, want) in [("en", "Statement of compensation"), ("ja", "補償金通知書")] {
        let ran = world.statement(&["--customer", "山田 <b>", "--lang", lang, "--html", html]);
        assert_eq!(ran.status, 0, "{}", ran.err);
        let page = fs::read_to_string(html).unwrap();
        assert!(page.contains(want), "{page}");
        assert!(page.contains("山田 &lt;b&gt;") && !page.contains("<b>"), "{page}");
        assert!(page.contains(&world.root), "{page}");
        for outside in ["http:", "https:", "<script", "src="] {
            assert!(!page.contains(outside), "{outside}: {page}");
        }
    }
    let ran = world.statement(&["--customer", "b", "--lang", "en", "--pdf", pdf]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let paper = fs::read(pdf).unwrap();
    let text = String::from_utf8_lossy(&paper);
    assert!(text.starts_with("%PDF-") && text.contains("(17,754)") && text.contains(&world.root), "{text}");
}
