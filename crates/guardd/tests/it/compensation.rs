//! Coins for many customers asked of a real writer by the real tool, both killed on the way: each payout is in the log once.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use kuraban_api as api;

use crate::{
    exchange::Writer,
    kit,
    process::{ended, free, kuraban, until},
};

const CUSTOMERS: u8 = 40;

fn tool(writer: &Writer, args: &[(&str, &str)]) -> Command {
    let mut command = Command::new(kuraban());
    command.args(["--json", "claims"]).env("LC_ALL", "C").stdin(Stdio::null());
    for (option, value) in args {
        let is_file = fs::exists(writer.place.path(value)).unwrap() || *option == "--out";
        let value = if is_file { writer.place.path(value) } else { PathBuf::from(value) };
        if option.is_empty() {
            command.arg(value)
        } else {
            command.arg(option).arg(value)
        };
    }
    command
}

/// Payouts in the log: satoshi by destination, and how many there are.
fn logged(writer: &Writer) -> (BTreeMap<String, u64>, usize) {
    let (mut by_destination, mut payouts, mut path) = (BTreeMap::new(), 0, "/v1/payouts".to_owned());
    loop {
        let page: api::PayoutList = writer.read(&path);
        for view in page.payouts {
            assert_eq!((view.payout.kind.as_str(), view.status.as_str()), ("compensation", "requested"));
            *by_destination.entry(view.payout.destination).or_default() += view.payout.amount;
            payouts += 1;
        }
        let Some(next) = page.next else { return (by_destination, payouts) };
        path = format!("/v1/payouts?after={next}");
    }
}

/// A writer whose policy pays compensation, and claims that wait for it.
fn prepared() -> (Writer, BTreeMap<String, u64>) {
    let writer = Writer::without_store(&free().to_string());
    let place = &writer.place;
    let policy =
        kit::policy_toml().replace("\"customer-withdrawal\"", "\"customer-withdrawal\", \"compensation\"");
    place.write("policy.toml", &policy);
    let (status, said) = ended(&["guard", "init"], &place.path("guard.toml"));
    assert_eq!(status, Some(0), "{said}");
    let key = kit::person(1).to_openssh(ssh_key::LineEnding::LF).unwrap();
    place.write_secret("key", &key);
    place.write(
        "scheme.toml",
        "name = \"loss\"\ncurrency = \"JPY\"\nrounding = \"half-up\"\nremainder = \"operator\"\n\
         [[pay]]\nasset = \"BTC\"\nin_kind = \"1\"\n",
    );
    let (mut holdings, mut addresses) =
        ("customer,asset,units\n".to_owned(), "customer,asset,address\n".to_owned());
    let mut want = BTreeMap::new();
    for number in 1..=CUSTOMERS {
        let (address, sat) = (kit::address(number).to_string(), 100_000 + u64::from(number));
        holdings += &format!("c{number},BTC,{sat}\n");
        addresses += &format!("c{number},BTC,{address}\n");
        want.insert(address, sat);
    }
    place.write("holdings.csv", &holdings);
    place.write("addresses.csv", &addresses);
    let compute =
        [("", "compute"), ("--holdings", "holdings.csv"), ("--scheme", "scheme.toml"), ("--out", "claims")];
    let ran = tool(&writer, &compute).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    (writer, want)
}

#[test]
fn each_payout_of_compensation_is_logged_once_though_tool_and_writer_are_killed() {
    let (writer, want) = prepared();
    let mut process = writer.start();
    let (url, expiry) = (format!("http://{}", writer.http), (now_ms() + 3_600_000).to_string());
    let pay = [
        ("", "pay"),
        ("--claims", "claims"),
        ("--addresses", "addresses.csv"),
        ("--from", "hot"),
        ("--fee-cap", "10000"),
        ("--expiry", expiry.as_str()),
        ("--writer", url.as_str()),
        ("--roster", "roster.toml"),
        ("--policy", "policy.toml"),
        ("--vault", "hot.toml"),
        ("--key", "key"),
    ];
    let asked = || {
        let journal = fs::read_to_string(writer.place.path("claims/payouts-BTC.jsonl")).unwrap_or_default();
        journal.matches("\"asked\"").count()
    };
    for (round, kill_writer) in [(1, false), (2, true), (3, false)] {
        let enough = round * usize::from(CUSTOMERS) / 5;
        let mut running = tool(&writer, &pay).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("some payouts are asked for", || asked() >= enough);
        if kill_writer {
            process.kill();
            let _status = running.wait().unwrap();
            process = writer.start();
        } else {
            // SIGKILL.
            running.kill().unwrap();
            let _status = running.wait().unwrap();
        }
        assert!(logged(&writer).1 < usize::from(CUSTOMERS), "killed too late to show anything");
    }
    for before in [false, true] {
        let ran = tool(&writer, &pay).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let done: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(done["taken_now"] == 0, before, "{done}");
        assert_eq!(logged(&writer), (want.clone(), usize::from(CUSTOMERS)));
    }
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
