//! 26 to 30 January 2018 as the record of the incident has it: who was robbed, who received, and the nine strangers to whom
//! the thief sent 100 XEM each so that they would be tagged. The record names no stranger; theirs are made up.

use std::{collections::BTreeMap, fs, path::PathBuf};

use kuraban_base::{Digest, Instant};
use kuraban_trace::{
    accounts::{Chain, Header, Kind, Mark, Opening, Transfer, live::Live},
    feed::{Feed, Rules, Seed, Subject},
    taint::Method,
};
use toml::{Table, Value};

use super::{opened, rules};

const XEM: u64 = 1_000_000;

fn record() -> Option<Table> {
    let shared = std::env::var_os("KURABAN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let text = fs::read_to_string(shared.join("incidents/coincheck_2018.toml")).ok()?;
    Some(text.parse().expect("the record is TOML"))
}

fn rows<'a>(record: &'a Table, list: &str, field: &'a str, want: &'a str) -> impl Iterator<Item = &'a Table> {
    let rows = record[list].as_array().unwrap().iter().map(|row| row.as_table().unwrap());
    rows.filter(move |row| row.get(field).and_then(Value::as_str) == Some(want))
}

fn one<'a>(record: &'a Table, role: &'a str) -> String {
    rows(record, "address", "role", role).next().unwrap()["address"].as_str().unwrap().to_owned()
}

fn amount(row: &Table) -> u64 {
    row["amount"].as_str().unwrap().parse::<u64>().unwrap() * XEM
}

struct Incident {
    thief: String,
    receivers: Vec<String>,
    strangers: Vec<String>,
    thefts: Vec<Transfer>,
    later: Vec<Vec<Transfer>>,
}

fn pay(number: usize, from: &str, to: &str, amount: u64) -> Transfer {
    Transfer {
        height: 0,
        position: u32::try_from(number).unwrap(),
        tx: Digest::sha256(&[&number.to_le_bytes()]).to_string(),
        index: 0,
        asset: "xem".to_owned(),
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        amount: amount.into(),
        kind: Kind::Payment,
    }
}

fn incident(record: &Table) -> Incident {
    let (victim, thief) = (one(record, "victim_hot_wallet"), one(record, "thief"));
    let hops = rows(record, "address", "role", "second_hop").next().unwrap();
    let receivers: Vec<String> =
        hops["addresses"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    let mut amounts = Vec::new();
    for row in rows(record, "transfer", "phase", "test").chain(rows(record, "transfer", "phase", "theft")) {
        let count = row.get("count").map_or(1, |count| count.as_integer().unwrap());
        amounts.extend((0..count).map(|_| amount(row)));
    }
    let total: u64 = amounts.iter().sum();
    assert_eq!((amounts.len(), total), (11, 526_300_010 * XEM), "the eleven transfers");
    let thefts: Vec<Transfer> =
        (0..).zip(&amounts).map(|(number, amount)| pay(number, &victim, &thief, *amount)).collect();
    // How much each of the next accounts got is not in the record: equal parts, and a tenth stays with the thief.
    let part = total / 10 * 9 / u64::try_from(receivers.len()).unwrap();
    let split = (100..).zip(&receivers).map(|(number, to)| pay(number, &thief, to, part)).collect();
    let strangers: Vec<String> =
        (0..9).map(|number| format!("N{}", "STRANGER".repeat(4) + &format!("BY{number}AAAA"))).collect();
    let dusting = rows(record, "transfer", "phase", "dusting").next().unwrap();
    assert_eq!(dusting["count"].as_integer(), Some(14));
    assert_eq!(dusting["total"].as_str(), Some("1100"), "eleven of 100 XEM and three of nothing");
    let dust: Vec<Transfer> = (0..14)
        .map(|number| {
            let amount = if number < 11 { 100 * XEM } else { 0 };
            pay(200 + number, &thief, &strangers[number % strangers.len()], amount)
        })
        .collect();
    let own = (300..).zip(&strangers).map(|(number, to)| pay(number, "NEXCHANGE", to, 5_000 * XEM)).collect();
    let after = vec![pay(400, &strangers[0], &strangers[1], 2_000 * XEM)];
    Incident { thief, receivers, strangers, thefts, later: vec![split, own, dust, after] }
}

/// The accounts with a tag, and the most that is said to be tainted there.
fn tagged(incident: &Incident, rules: Rules) -> BTreeMap<String, u128> {
    let seed = |theft: &Transfer| Seed {
        tx: Chain::Xem.tx_id(&theft.tx).unwrap(),
        index: 0,
        units: u128::try_from(theft.amount).unwrap(),
    };
    let mut seeds: Vec<Seed> = incident.thefts.iter().map(seed).collect();
    seeds.sort();
    let mut live = Live::new(Header { chain: Chain::Xem, opening: Opening::Unknown }, BTreeMap::new());
    live.open(opened("coincheck-2018", seeds, rules)).unwrap();
    let (mut feed, mut prev) = (Feed::new(), Digest::from_bytes([0; 32]));
    for (height, block) in (1_500_000_u64..).zip(core::iter::once(&incident.thefts).chain(&incident.later)) {
        let hash = Digest::sha256(&[&height.to_le_bytes()]);
        let transfers: Vec<Transfer> = block.iter().map(|one| Transfer { height, ..one.clone() }).collect();
        let stirred = live.block(Mark { height, hash, prev }, &transfers).unwrap();
        assert_eq!(stirred.misfits, []);
        while live.publish(&mut feed, Instant::from_ms(height)).unwrap().is_some() {}
        prev = hash;
    }
    let tags = feed.standing().tags().map(|(_, tag)| match &tag.subject {
        Subject::Account(account) => (account.clone(), tag.taint.most()),
        Subject::Output { .. } => panic!("nothing was handed over"),
    });
    tags.collect()
}

#[test]
fn of_30_january_2018_the_receivers_are_tagged_and_the_nine_bystanders_are_not() {
    let Some(record) = record() else {
        println!("skipped: no record of the incident");
        return;
    };
    let incident = incident(&record);
    let mut want: Vec<&String> = incident.receivers.iter().chain([&incident.thief]).collect();
    want.sort();
    let all = rules(&Method::ALL);
    let dropped = Rules { dust_units: u128::from(101 * XEM), ..all.clone() };
    // One of them has its own 200 and another's 200, by the rule that lets tainted units go first.
    let untold = Rules { tag_units_min: u128::from(401 * XEM), ..all };
    for rules in [dropped, untold] {
        assert_eq!(tagged(&incident, rules).keys().collect::<Vec<_>>(), want);
    }
    // Poison alone marks whoever got more than dust: with the threshold it marks nobody else either.
    let poison = Rules { dust_units: u128::from(101 * XEM), ..rules(&[Method::Poison]) };
    assert_eq!(tagged(&incident, poison).keys().collect::<Vec<_>>(), want);
}

#[test]
fn without_a_threshold_a_bystanders_tag_is_bounded_by_what_came() {
    let Some(record) = record() else {
        println!("skipped: no record of the incident");
        return;
    };
    let incident = incident(&record);
    let conserving: Vec<Method> = Method::ALL.into_iter().filter(|method| method.conserves()).collect();
    let tags = tagged(&incident, rules(&conserving));
    let most = incident.strangers.iter().filter_map(|stranger| tags.get(stranger)).max().copied();
    assert!(most.is_some_and(|most| most <= u128::from(400 * XEM)), "{most:?}");
    let poison = tagged(&incident, rules(&[Method::Poison]));
    let taken = incident.strangers.iter().filter_map(|stranger| poison.get(stranger)).max().copied();
    assert!(taken.is_some_and(|taken| taken > u128::from(7_000 * XEM)), "all that they own: {taken:?}");
}
