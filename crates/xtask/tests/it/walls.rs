//! The walls between crates, each with its reason. A crate that is not there yet is not judged; a crate that is
//! there and in no table breaks the rule, so that nothing grows outside of the architecture.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::repository::{none, rust, stdout};
use crate::source::{Source, names, paths};

/// Which of our own crates a crate may depend on, and why no other. Development dependencies are free.
const OWN: &[(&str, &[&str], &str)] = &[
    ("base", &[], "the words everyone speaks stand on nothing"),
    ("chain", &["base"], "bytes mean the same whoever reads them"),
    ("proof", &["base"], "outsiders verify with this alone"),
    ("inclusion", &[], "a customer verifies with this alone, in a browser too"),
    ("liabilities", &["inclusion"], "trees of holdings are no business of what can spend"),
    (
        "veil",
        &["inclusion"],
        "a proof over holdings is no business of what can spend, nor of the customer's smallest verifier",
    ),
    ("vault", &["base", "chain", "proof"], "the signer judges with this, so it holds nothing else"),
    ("threshold", &["base"], "signing is apart from judging"),
    ("ledger", &["base", "proof"], "books know customers, not keys"),
    ("link", &["base"], "what carries messages knows nothing of them"),
    ("node", &["base", "chain"], "what a node says is judged elsewhere"),
    ("watch", &["base", "chain", "proof", "ledger", "vault"], "the watcher needs no daemon to be replayed"),
    (
        "trace",
        &["base", "chain", "proof"],
        "evidence is reproducible from files, and tags are shared in a log of our kind",
    ),
    ("lake", &["base", "chain", "trace", "ledger"], "the same answers at another scale"),
    (
        "sim",
        &["base", "chain", "proof", "vault", "threshold", "ledger", "watch", "trace"],
        "the simulator runs the decisions, not the daemons",
    ),
    ("api", &["base", "proof"], "the contract has no server and no client"),
    (
        "signerd",
        &["base", "chain", "proof", "vault", "threshold", "link"],
        "what can spend stays readable in a day",
    ),
    (
        "guardd",
        &[
            "base",
            "chain",
            "proof",
            "vault",
            "threshold",
            "link",
            "node",
            "ledger",
            "watch",
            "trace",
            "lake",
            "sim",
            "api",
        ],
        "nothing reaches a daemon",
    ),
    (
        "cli",
        &[
            "base",
            "chain",
            "proof",
            "inclusion",
            "liabilities",
            "veil",
            "vault",
            "threshold",
            "node",
            "ledger",
            "watch",
            "trace",
            "lake",
            "sim",
            "api",
        ],
        "the tool speaks the contract and reaches no daemon",
    ),
];

/// (crates, packages that must be nowhere beneath them, why).
const BANNED: &[(&[&str], &[&str], &str)] = &[
    (
        &["signerd"],
        &[
            "kuraban-ledger",
            "kuraban-watch",
            "kuraban-trace",
            "kuraban-lake",
            "kuraban-api",
            "kuraban-guardd",
            "kuraban-veil",
            "p3-uni-stark",
            "tokio",
            "hyper",
        ],
        "what can spend stays readable in a day",
    ),
    (&["veil"], NETWORK, "a proof is made and verified from bytes alone"),
    (DECISIONS, NETWORK, "decisions do no I/O and read no clock and no randomness"),
    (DECISIONS, MACHINE, "decisions do no I/O and read no clock and no randomness"),
    (&["trace", "sim"], NETWORK, "evidence is reproducible from files"),
];

/// Programs that hold keys or sockets.
const DAEMONS: &[&str] = &["kuraban-signerd", "kuraban-guardd"];

/// The crates that decide. What they need from outside comes as an argument.
const DECISIONS: &[&str] =
    &["base", "chain", "proof", "inclusion", "liabilities", "vault", "threshold", "ledger", "watch"];

/// Crates that reach the network.
const NETWORK: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "mio",
    "socket2",
    "hyper",
    "axum",
    "reqwest",
    "ureq",
    "rustls",
    "tungstenite",
];

/// Crates that reach a machine's disk or randomness. `rand_core` alone is only the words for randomness.
const MACHINE: &[&str] = &["redb", "rusqlite", "memmap2", "tempfile", "rand", "fastrand", "getrandom"];

/// All that `proof` may stand on: hashes, signatures, their arithmetic, an encoding, error texts.
const PROOF_STANDS_ON: &[&str] = &[
    "kuraban-proof",
    "kuraban-base",
    "base64",
    "block-buffer",
    "cfg-if",
    "cpufeatures",
    "crypto-common",
    "curve25519-dalek",
    "digest",
    "ed25519",
    "ed25519-dalek",
    "generic-array",
    "libc",
    "sha2",
    "signature",
    "subtle",
    "thiserror",
    "typenum",
    "zeroize",
];

/// All that `inclusion` may stand on: one hash and error texts.
const INCLUSION_STANDS_ON: &[&str] = &[
    "kuraban-inclusion",
    "block-buffer",
    "cfg-if",
    "cpufeatures",
    "crypto-common",
    "digest",
    "generic-array",
    "libc",
    "sha2",
    "thiserror",
    "typenum",
];

/// Most packages of other people in a program, by name and version. What can spend is read in full before a release, so
/// each one more is a decision: take it with a reason in DEPENDENCIES.md and raise the number in the same commit.
const BUDGET: &[(&str, usize, &str)] = &[("kuraban-signerd", 54, "what can spend stays readable in a day")];

/// Big families that only `lake` may name.
const LAKE_ONLY: &[&str] = &["arrow", "parquet", "datafusion", "ballista"];

/// Paths of the standard library that leave the program. A bare `std` or `std::time` could hide one behind a name.
const OUTSIDE_PATHS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "std::os",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
    "std::time::*",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::*",
];
const HIDING_PATHS: &[&str] = &["std", "std::time", "std::io"];
const OUTSIDE_NAMES: &[&str] = &["rand", "getrandom", "fastrand", "OsRng", "thread_rng", "RandomState"];

/// A package, its direct dependencies (development apart), and all that is beneath it.
struct Member {
    name: String,
    direct: BTreeSet<String>,
    tree: BTreeSet<String>,
}

fn members() -> Vec<Member> {
    let said = stdout(Command::new(env!("CARGO")).args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]));
    let said: Value = serde_json::from_str(&said).unwrap();
    let packages = said["packages"].as_array().unwrap().iter();
    let members = packages.map(|package| {
        let name = package["name"].as_str().unwrap().to_owned();
        let all = package["dependencies"].as_array().unwrap().iter();
        let direct =
            all.filter(|dependency| dependency["kind"] != "dev").map(|dependency| &dependency["name"]);
        let direct = direct.map(|name| name.as_str().unwrap().to_owned()).collect();
        Member { direct, tree: tree(&name), name }
    });
    members.collect()
}

/// The names of all packages beneath one, itself included.
fn tree(package: &str) -> BTreeSet<String> {
    let versions = versions(package);
    versions.iter().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// All packages beneath one, itself included, as `name version`. Macros run in the compiler, not in the program.
fn versions(package: &str) -> BTreeSet<String> {
    let args =
        ["tree", "--offline", "-p", package, "-e", "normal,no-proc-macro", "--prefix", "none", "-f", "{p}"];
    let lines = stdout(Command::new(env!("CARGO")).args(args));
    let named = lines.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    named.filter(|name| !name.is_empty()).collect()
}

/// What breaks the table of our own crates.
fn own_edges(member: &Member) -> Vec<String> {
    let Some(short) = member.name.strip_prefix("kuraban-") else { return Vec::new() };
    let Some((_, may, why)) = OWN.iter().find(|(name, ..)| *name == short) else {
        return vec![format!("{} is not in the architecture's table of crates", member.name)];
    };
    let own = member.direct.iter().filter_map(|name| name.strip_prefix("kuraban-"));
    let wrong = own.filter(|name| !may.contains(name));
    wrong.map(|name| format!("{short} must not depend on {name}: {why}")).collect()
}

/// What breaks the table of banned packages.
fn banned(member: &Member) -> Vec<String> {
    let short = member.name.strip_prefix("kuraban-").unwrap_or(&member.name);
    let walls = BANNED.iter().filter(|(crates, ..)| crates.contains(&short));
    let hits = walls.flat_map(|(_, packages, why)| {
        let beneath =
            packages.iter().filter(|package| **package != member.name && member.tree.contains(**package));
        beneath.map(move |package| format!("{short} must not reach {package}: {why}"))
    });
    hits.collect()
}

/// Who reaches a daemon. All do well without: the tool speaks the HTTP contract, tests start processes.
fn daemons(member: &Member) -> Vec<String> {
    let reached = DAEMONS.iter().filter(|daemon| **daemon != member.name && member.tree.contains(**daemon));
    reached
        .map(|daemon| format!("{} must not reach {daemon}: nothing reaches a daemon", member.name))
        .collect()
}

/// What `proof` stands on beyond what it may.
fn proof_weight(member: &Member) -> Vec<String> {
    if member.name != "kuraban-proof" {
        return Vec::new();
    }
    let beyond = member.tree.iter().filter(|package| !PROOF_STANDS_ON.contains(&package.as_str()));
    beyond
        .map(|package| format!("proof must not reach {package}: customers and auditors compile it alone"))
        .collect()
}

/// What other people's packages a program stands on beyond its budget.
fn over_budget(program: &str, versions: &BTreeSet<String>) -> Option<String> {
    let (_, most, why) = BUDGET.iter().find(|(name, ..)| *name == program)?;
    let external: Vec<_> = versions.iter().filter(|name| !name.starts_with("kuraban-")).cloned().collect();
    (external.len() > *most).then(|| {
        let (count, all) = (external.len(), external.join(", "));
        format!("{program} stands on {count} packages of other people, want at most {most}: {why}; {all}")
    })
}

/// Who names a package that only `lake` may name.
fn lake_only(member: &Member) -> Vec<String> {
    if member.name == "kuraban-lake" {
        return Vec::new();
    }
    let family = |package: &str| {
        LAKE_ONLY.iter().any(|head| package == *head || package.starts_with(&format!("{head}-")))
    };
    let named = member.direct.iter().filter(|package| family(package));
    named
        .map(|package| {
            format!("{} must not name {package}: only lake does, others reach it by one feature", member.name)
        })
        .collect()
}

/// What `inclusion` stands on beyond what it may.
fn inclusion_weight(member: &Member) -> Vec<String> {
    if member.name != "kuraban-inclusion" {
        return Vec::new();
    }
    let beyond = member.tree.iter().filter(|package| !INCLUSION_STANDS_ON.contains(&package.as_str()));
    beyond
        .map(|package| format!("inclusion must not reach {package}: customers run it in a browser"))
        .collect()
}

/// What in a decision crate's source reaches outside.
fn outside(path: &str, text: &str) -> Vec<String> {
    let production = Source::read(text).production();
    let under = |path: &str, banned: &str| path == banned || path.starts_with(&format!("{banned}::"));
    let paths = paths(&production).into_iter();
    let mut found: Vec<String> = paths
        .filter(|path| {
            OUTSIDE_PATHS.iter().any(|banned| under(path, banned)) || HIDING_PATHS.contains(&path.as_str())
        })
        .collect();
    found.extend(names(&production).filter(|name| OUTSIDE_NAMES.contains(name)).map(str::to_owned));
    found
        .iter()
        .map(|what| format!("{path} names {what}: decisions do no I/O and read no clock and no randomness"))
        .collect()
}

#[test]
fn walls_hold_between_crates() {
    let members = members();
    assert!(members.iter().any(|member| member.name == "kuraban-base" && member.tree.contains("sha2")));
    let rules = [own_edges, banned, daemons, proof_weight, inclusion_weight, lake_only];
    none(members.iter().flat_map(|member| rules.iter().flat_map(|rule| rule(member))).collect());
}

#[test]
fn programs_that_can_spend_keep_to_their_budget() {
    let trees = BUDGET.iter().map(|(program, ..)| (*program, versions(program)));
    let found = trees.filter_map(|(program, versions)| {
        assert!(versions.iter().any(|name| name.starts_with("rustls ")), "{versions:?}");
        over_budget(program, &versions)
    });
    none(found.collect());
}

#[test]
fn decisions_name_nothing_outside() {
    let decides =
        |path: &str| DECISIONS.iter().any(|short| path.starts_with(&format!("crates/{short}/src/")));
    let files: Vec<_> = rust().into_iter().filter(|file| decides(&file.path) && !file.is_test()).collect();
    assert!(!files.is_empty());
    none(files.iter().flat_map(|file| outside(&file.path, &file.text)).collect());
}

#[test]
fn the_tables_name_only_known_crates() {
    let known: BTreeSet<&str> = OWN.iter().map(|(name, ..)| *name).collect();
    let named = OWN.iter().flat_map(|(_, may, _)| may.iter());
    let judged = BANNED.iter().flat_map(|(crates, ..)| crates.iter());
    let unknown = named.chain(judged).filter(|name| !known.contains(**name));
    none(unknown.map(|name| format!("{name} has no row")).collect());
}

#[test]
fn a_planted_edge_is_seen() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let check =
        |rule: fn(&Member) -> Vec<String>, name: &str, direct: &[&str], tree: &[&str], want: &[&str]| {
            assert_eq!(
                rule(&Member { name: name.to_owned(), direct: set(direct), tree: set(tree) }),
                want,
                "{name}"
            );
        };
    let why = "what can spend stays readable in a day";
    check(own_edges, "kuraban-signerd", &["kuraban-vault", "rustls"], &[], &[]);
    check(
        own_edges,
        "kuraban-signerd",
        &["kuraban-api"],
        &[],
        &[&format!("signerd must not depend on api: {why}")],
    );
    check(
        own_edges,
        "kuraban-common",
        &[],
        &[],
        &["kuraban-common is not in the architecture's table of crates"],
    );
    check(own_edges, "xtask", &["clap"], &[], &[]);
    check(banned, "kuraban-signerd", &[], &["kuraban-signerd", "rustls"], &[]);
    check(banned, "kuraban-signerd", &[], &["tokio"], &[&format!("signerd must not reach tokio: {why}")]);
    check(
        banned,
        "kuraban-trace",
        &[],
        &["mio"],
        &["trace must not reach mio: evidence is reproducible from files"],
    );
    let why = "nothing reaches a daemon";
    let want = format!("kuraban-cli must not reach kuraban-signerd: {why}");
    check(daemons, "kuraban-cli", &[], &["kuraban-cli", "kuraban-signerd"], &[&want]);
    check(daemons, "kuraban-signerd", &[], &["kuraban-signerd"], &[]);
    let why = "decisions do no I/O and read no clock and no randomness";
    check(banned, "kuraban-vault", &[], &["rand_core"], &[]);
    check(banned, "kuraban-vault", &[], &["getrandom"], &[&format!("vault must not reach getrandom: {why}")]);
    check(banned, "kuraban-vault", &[], &["rustls"], &[&format!("vault must not reach rustls: {why}")]);
    check(proof_weight, "kuraban-proof", &[], &["kuraban-base", "sha2"], &[]);
    check(
        proof_weight,
        "kuraban-proof",
        &[],
        &["serde"],
        &["proof must not reach serde: customers and auditors compile it alone"],
    );
    check(proof_weight, "kuraban-vault", &[], &["serde"], &[]);
    check(lake_only, "kuraban-lake", &["arrow"], &[], &[]);
    check(lake_only, "kuraban-cli", &["kuraban-lake", "arrowhead"], &[], &[]);
    let want = "kuraban-trace must not name arrow-array: only lake does, others reach it by one feature";
    check(lake_only, "kuraban-trace", &["arrow-array"], &[], &[want]);
}

#[test]
fn a_weight_on_the_customers_verifier_is_seen() {
    let check = |name: &str, beneath: &str, want: &[&str]| {
        let tree = [name, beneath].map(str::to_owned).into();
        let member = Member { name: name.to_owned(), direct: BTreeSet::new(), tree };
        assert_eq!(inclusion_weight(&member), want, "{beneath}");
    };
    check("kuraban-inclusion", "sha2", &[]);
    check("kuraban-inclusion", "serde", &["inclusion must not reach serde: customers run it in a browser"]);
    check("kuraban-liabilities", "serde", &[]);
}

#[test]
fn a_package_beyond_the_budget_is_seen() {
    let tree = |count: usize| {
        let external = (1..=count).map(|number| format!("planted v{number}.0.0"));
        external.chain(["kuraban-signerd v0.1.0".to_owned()]).collect::<BTreeSet<_>>()
    };
    assert_eq!(over_budget("kuraban-signerd", &tree(54)), None);
    let told = over_budget("kuraban-signerd", &tree(55)).unwrap();
    let want = "kuraban-signerd stands on 55 packages of other people, want at most 54: \
                what can spend stays readable in a day; planted v1.0.0, ";
    assert!(told.starts_with(want), "{told}");
    assert_eq!(over_budget("kuraban-guardd", &tree(55)), None);
}

#[test]
fn a_planted_reach_outside_is_seen() {
    let check = |text: &str, want: &[&str]| {
        let want: Vec<String> = want
            .iter()
            .map(|what| format!("x.rs names {what}: decisions do no I/O and read no clock and no randomness"))
            .collect();
        assert_eq!(outside("x.rs", text), want, "{text}");
    };
    check("use std::time::Duration; use kuraban_base::Instant; use std::io::Read;", &[]);
    check("// std::fs is not for us\nlet s = \"std::net\";", &[]);
    check("#[cfg(test)]\nmod tests { use std::fs; }", &[]);
    check("let operand = strand(1);", &[]);
    check("use std::fs;", &["std::fs"]);
    check("let now = std::time::Instant::now();", &["std::time::Instant::now"]);
    check("use std::{collections::BTreeMap, net::TcpStream};", &["std::net::TcpStream"]);
    check("use std::time::{self, Duration};", &["std::time"]);
    check("use std as quiet;", &["std"]);
    check("std::thread::sleep(x);", &["std::thread::sleep"]);
    check("let key = Key::generate(&mut OsRng);", &["OsRng"]);
}
