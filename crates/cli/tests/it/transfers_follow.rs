//! `kuraban transfers follow` on a list that grows, is taken back and grows again; its feed is read with `kuraban tags feed`.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{Ran, kuraban, run};

const THIEF: &str = "NC4C6PSUW5CLTDT5SXAGJDQJGZNESKFK5MCN77OG";
const SECOND: &str = "NCM6WE7SJFDVTLSPTMZGBUZUETDYINITILS3DCIZ";
const EXCHANGE: &str = "NDZZJBH6JZPYSWRPRYHALLWMITWHOYTQGXR53HAW";
const VICTIM: &str = "NC3BI3DNMR2PGEOOMP2NKXQGSAKMS7GYRKVA5CSZ";

/// A folder with a list, a case, a key and room for a feed.
struct Desk(TempDir);

fn hash(number: u64) -> String {
    format!("{number:064x}")
}

fn pay(height: u64, tx: u64, from: &str, to: &str, amount: u64) -> String {
    format!(
        r#"{{"height":{height},"position":{tx},"tx":"{}","index":0,"asset":"xem","from":"{from}","to":"{to}","amount":"{amount}","kind":"payment"}}"#,
        hash(tx)
    )
}

fn block(height: u64, fork: u64, before: u64) -> String {
    format!(
        r#"{{"block":{height},"hash":"{}","prev":"{}"}}"#,
        hash(1_000 * fork + height),
        hash(1_000 * before + height - 1)
    )
}

fn undo(height: u64, fork: u64) -> String {
    format!(r#"{{"undo":{height},"hash":"{}"}}"#, hash(1_000 * fork + height))
}

/// The theft of 100 in block 7; 30 of it to the second hop and 20 to an exchange in block 8.
fn begun() -> Vec<String> {
    vec![
        r#"{"transfers":1,"chain":"xem","opening":"unknown"}"#.to_owned(),
        pay(7, 1, VICTIM, THIEF, 100),
        block(7, 1, 1),
        pay(8, 2, THIEF, SECOND, 30),
        pay(8, 3, THIEF, EXCHANGE, 20),
        block(8, 1, 1),
    ]
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let key = crate::case::WORLD.person(3).to_openssh(ssh_key::LineEnding::LF).unwrap();
        fs::write(desk.path("key"), key.as_bytes()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(desk.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
        }
        desk.case("");
        desk.list(&begun());
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn case(&self, more: &str) {
        let seed = format!(r#"seeds = [{{ transfer = "{}:0", units = "100" }}]"#, hash(1));
        let text = format!(
            "id = \"theft\"\nlabel = \"stolen funds\"\nconcept = \"service_hack\"\nsource = \"https://example.org/notice\"\n{seed}\n{more}"
        );
        fs::write(self.path("case.toml"), text).unwrap();
    }

    fn list(&self, lines: &[String]) {
        fs::write(self.path("list.jsonl"), lines.join("\n") + "\n").unwrap();
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let fixed = [
            ["--case", &path("case.toml")],
            ["--feed", &path("feed")],
            ["--key", &path("key")],
            ["--name", "tags.example/feed"],
            ["--now", "2018-01-26T03:00:00Z"],
        ];
        let own = fixed.as_flattened().iter().chain(more).map(|one| (*one).to_owned());
        ["transfers", "follow"].map(str::to_owned).into_iter().chain(own).collect()
    }

    fn follow(&self, more: &[&str]) -> Ran {
        let list = self.path("list.jsonl").display().to_string();
        run(self.args(&[&["--list", &list][..], more].concat()))
    }

    /// The tags that stand, as `kuraban tags feed show` tells them, with their state.
    fn tags(&self, vkey: &str) -> Vec<Value> {
        let feed = self.path("feed").display().to_string();
        let verified = run(["tags", "feed", "verify", "--dir", &feed, "--vkey", vkey]);
        assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
        let shown = run(["tags", "feed", "show", "--dir", &feed, "--vkey", vkey, "--json"]);
        let tags = shown.json()["tags"].as_array().unwrap().clone();
        let row = |tag: Value| {
            json!([tag["address"], tag["tainted_microxem"], tag["handed_over_to"], tag["since"]["height"]])
        };
        tags.into_iter().map(row).collect()
    }
}

fn vkey(answer: &Value) -> String {
    answer["feed"]["vkey"].as_str().unwrap().to_owned()
}

#[test]
fn a_list_that_grows_and_is_taken_back_is_told_to_a_signed_feed() {
    let desk = Desk::new();
    let stop = format!("{EXCHANGE}=Example Exchange");
    let ran = desk.follow(&["--create", "--stop", &stop, "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let answer = ran.json();
    assert_eq!((&answer["height"], &answer["blocks"], &answer["undone"]), (&json!(8), &json!(2), &json!(0)));
    let fifo = answer["cases"][0]["methods"].as_array().unwrap().iter().find(|row| row["method"] == "fifo");
    assert_eq!(fifo.unwrap()["held"], "80");
    let vkey = vkey(&answer);
    let want = [
        json!([THIEF, 50, null, 8]),
        json!([SECOND, 30, null, 8]),
        json!([EXCHANGE, 20, "Example Exchange", 8]),
    ];
    assert_eq!(desk.tags(&vkey), want);
    // Nothing new, nothing told.
    let again = desk.follow(&["--stop", &stop, "--json"]).json();
    assert_eq!((&again["told"], &again["feed"]), (&json!(0), &answer["feed"]));
    // Block 8 leaves the chain, and another comes in its place.
    let mut lines = begun();
    lines.extend([undo(8, 1), pay(8, 4, THIEF, SECOND, 100), block(8, 2, 1)]);
    desk.list(&lines);
    let answer = desk.follow(&["--stop", &stop, "--json"]).json();
    assert_eq!((&answer["undone"], &answer["blocks"]), (&json!(1), &json!(3)));
    assert_eq!(desk.tags(&vkey), [json!([SECOND, 100, null, 8])]);
    // Closed: its tags end.
    desk.case("closed = \"returned\"");
    let text = desk.follow(&["--stop", &stop]).out;
    assert!(text.contains("xem to block 8: 3 blocks, 1 taken back"), "{text}");
    assert!(desk.tags(&vkey).is_empty());
}

#[test]
fn a_pipe_is_followed_while_it_is_open() {
    let desk = Desk::new();
    let list = ["--list", "-", "--wait", "--create", "--json"];
    let mut child = kuraban()
        .args(desk.args(&list))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all((begun().join("\n") + "\n").as_bytes()).unwrap();
    pipe.flush().unwrap();
    // Told at the pause, while the pipe is open.
    let entries = desk.path("feed/tile/entries");
    let end = Instant::now() + Duration::from_secs(60);
    while !entries.exists() && Instant::now() < end {
        std::thread::yield_now();
    }
    assert!(entries.exists(), "nothing was told within a minute");
    pipe.write_all((pay(9, 5, THIEF, SECOND, 1) + "\n").as_bytes()).unwrap();
    drop(pipe);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!(ran.status, 0, "{}", ran.err);
    let answer = ran.json();
    // Half a block waits for its line.
    assert_eq!((&answer["height"], &answer["transfers_waiting"]), (&json!(8), &json!(1)));
    assert_eq!(desk.tags(&vkey(&answer)).len(), 3);
}

#[test]
fn what_cannot_be_followed_is_said_with_status_2() {
    let desk = Desk::new();
    let check = |more: &[&str], want: &str| {
        let ran = desk.follow(more);
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(ran.err.contains(want), "{} lacks {want}", ran.err);
    };
    check(&[], "there is no feed; --create makes one");
    desk.list(&begun()[..2]);
    check(&["--create"], "has no line of a block");
    let mut lines = begun();
    lines.push(pay(10, 9, THIEF, SECOND, 1));
    desk.list(&lines);
    check(&[], "line 7: field height: found 10, want 9");
    lines.pop();
    lines.push(undo(7, 1));
    desk.list(&lines);
    check(&[], "line 7: block 7 cannot be taken back");
    lines.pop();
    lines.push(pay(9, 2, THIEF, SECOND, 1));
    desk.list(&lines);
    check(&[], "stood at an earlier place already");
    desk.list(&begun());
    assert_eq!(desk.follow(&[]).status, 0);
    desk.case("dust = \"5\"");
    check(&[], "the feed has case theft since 2018-01-26T03:00:00Z with other seeds or rules");
    desk.case("dust = 5");
    check(&[], "case.toml");
    fs::write(desk.path("feed/checkpoint"), "x").unwrap();
    desk.case("");
    check(&[], "is not the feed that this key signed");
}

#[test]
fn a_seed_that_is_otherwise_in_the_chain_is_a_warning() {
    let desk = Desk::new();
    let mut lines = begun();
    lines[1] = pay(7, 1, VICTIM, THIEF, 99);
    desk.list(&lines);
    let ran = desk.follow(&["--create", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let want = format!("case theft: seed {}:0 states 100 units, the transfer carries 99", hash(1));
    assert!(ran.err.contains(&format!("warning: {want}; it is passed over")), "{}", ran.err);
    assert_eq!(ran.json()["misfits"], json!([want]));
}
