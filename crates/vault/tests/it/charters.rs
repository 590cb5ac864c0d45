//! Roster, policy and vault files: what holds together, what does not, and what their hashes stand for.

use core::error::Error;
use std::{collections::BTreeSet, fmt::Write as _};

use kuraban_base::{Amount, hex};
use kuraban_vault::{Charter, Owner, PayoutKind, Policy, Role, Roster, Tier, Vault};

use crate::kit;

/// An edit of a file that holds together: what stands there, what shall stand there instead. Nothing is the file's end.
type Edit = (&'static str, &'static str);

fn edited(text: &str, (from, to): (&str, &str)) -> String {
    if from.is_empty() {
        return format!("{text}{to}");
    }
    assert!(text.contains(from), "{from} is not in the file");
    text.replacen(from, to, 1)
}

/// The error's text with those behind it; empty where there is none.
fn told<T, E: Error>(result: Result<T, E>) -> String {
    let Err(error) = result else { return String::new() };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        write!(text, ": {deeper}").unwrap();
        source = deeper.source();
    }
    text
}

/// Whether what is told is what is wanted: all of it where nothing is wrong, else how it begins.
fn check(what: &str, found: &str, want: &str) {
    let same = if want.is_empty() { found.is_empty() } else { found.starts_with(want) };
    assert!(same, "{what}: {found:?}, want {want:?}");
}

/// A public key of a machine or person that nobody else has, in hexadecimal.
fn key(number: u8) -> String {
    hex::encode(kit::statement(number).public().as_bytes())
}

fn ssh(number: u8) -> String {
    kit::person(number).public_key().to_openssh().unwrap()
}

#[test]
fn a_roster_that_does_not_hold_together_is_refused_by_name() {
    let text = kit::roster_toml();
    let not_both =
        "watchers and signers have a witness key and a statement key, others have neither".to_owned();
    let twice = "a key of it stands elsewhere too; each key has one owner and one purpose";
    let tls = |machine: u8| {
        let table = text.split(&format!("id = \"{}\"\n", kit::machine(machine))).nth(1).unwrap();
        table.split("tls = \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let line = |name: &str, value: &str| format!("{name} = \"{value}\"\n");
    let own = |machine: u8| {
        let (witness, statement) = (kit::cosigner(machine).verifier().to_string(), key(machine));
        (line("witness", &witness), line("statement", &statement))
    };
    let (witness, statement) = own(1);
    let table = |id: &str, role: &str, tls: &str| {
        format!("[[machine]]\nid = \"{id}\"\nrole = \"{role}\"\ntls = \"{tls}\"\n")
    };
    // A key on a security token: an Ed25519 key, and what it is for beside it (OpenSSH PROTOCOL.u2f).
    let stick = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAAAABHNzaDo=";
    let person = |id: &str, key: &str| format!("[[person]]\nid = \"{id}\"\nkeys = [\"{key}\"]\n");
    let weak = format!("01{}", "00".repeat(31));
    let witness_of_log = format!("vkey = \"{}\"", kit::log_key().verifier());
    #[rustfmt::skip]
    let rows: Vec<(&str, (String, String), String)> = vec![
        ("nothing", (String::new(), String::new()), String::new()),
        ("a gate", (String::new(), table("gate-1", "gate", &key(77))), String::new()),
        ("a watcher's key for the log", (witness_of_log, format!("vkey = \"{}\"", kit::cosigner(1).verifier())), "log.vkey: is a witness's key, want the log's own (type 0x01)".into()),
        ("a quorum that two forks reach", ("witnesses_min = 3".into(), "witnesses_min = 2".into()), "log.witnesses_min: 2 of 4 witnesses with 1 faulty lets two forks pass".into()),
        ("more than there are", ("witnesses_min = 3".into(), "witnesses_min = 5".into()), "log.witnesses_min: 5 cosignatures of 4 witnesses can never be had".into()),
        ("an unknown field", (String::new(), "[more]\n".into()), "the roster is not as docs/configuration.md describes: ".into()),
        ("a person twice", (String::new(), person("p1", &ssh(9))), "person p1: stands there twice".into()),
        ("a person's key of another type", (String::new(), person("p9", stick)), "person p9: it is sk-ssh-ed25519@openssh.com, want ssh-ed25519".into()),
        ("a person's key that is none", (String::new(), person("p9", "ssh-ed25519 AAAA")), "person p9: ".into()),
        ("two people with one key", (String::new(), person("p9", &ssh(1))), format!("p9: {twice}")),
        ("a group twice", (String::new(), "[[group]]\nid = \"approvers\"\nmembers = []\n".into()), "group approvers: stands there twice".into()),
        ("a stranger in a group", ("\"p4\"]\n[[m".into(), "\"p5\"]\n[[m".into()), "group approvers: p5 is not a person of this roster".into()),
        ("a member twice", ("\"p4\"]\n[[m".into(), "\"p3\"]\n[[m".into()), "group approvers: p3 stands there twice".into()),
        ("a machine twice", (String::new(), table("writer", "gate", &key(77))), "machine writer: stands there twice".into()),
        ("an unknown role", ("role = \"signer\"".into(), "role = \"boss\"".into()), "machine signer-1: role \"boss\" is not known, want one of writer, watcher, signer, gate".into()),
        ("a signer without a witness key", (witness.clone(), String::new()), format!("machine signer-1: {not_both}")),
        ("a signer without a statement key", (statement.clone(), String::new()), format!("machine signer-1: {not_both}")),
        ("a signer without either", (format!("{witness}{statement}"), String::new()), format!("machine signer-1: {not_both}")),
        ("a watcher without a witness key", (own(4).0, String::new()), format!("machine watcher-1: {not_both}")),
        ("a gate with a witness key", (String::new(), table("gate-1", "gate", &key(77)) + &own(78).0), format!("machine gate-1: {not_both}")),
        ("a gate with a statement key", (String::new(), table("gate-1", "gate", &key(77)) + &own(78).1), format!("machine gate-1: {not_both}")),
        ("a gate with both", (String::new(), table("gate-1", "gate", &key(77)) + &own(78).0 + &own(78).1), format!("machine gate-1: {not_both}")),
        ("two machines with one TLS key", (tls(2), tls(1)), format!("signer-2: {twice}")),
        ("a TLS key that is a statement key", (tls(2), key(1)), format!("signer-2: {twice}")),
        ("a TLS key that is a person's", (tls(2), hex::encode(&kit::person(1).public_key().key_data().ed25519().unwrap().0)), format!("signer-2: {twice}")),
        ("a TLS key that is a witness's", (tls(2), hex::encode(kit::cosigner(1).verifier().public())), format!("signer-2: {twice}")),
        ("a TLS key cut short", (tls(2), tls(2)[2..].to_owned()), "machine signer-2: ".into()),
        ("a statement key of small order", (key(1), weak), "machine signer-1: not a valid Ed25519 public key".into()),
        ("a statement key that is no hexadecimal", (key(1), "x".into()), "machine signer-1: ".into()),
    ];
    for (what, (from, to), want) in &rows {
        check(what, &told(Roster::from_toml(&edited(&text, (from, to)))), want);
    }
}

#[test]
fn a_roster_tells_who_is_who() {
    let roster = Roster::from_toml(&kit::roster_toml()).unwrap();
    assert_eq!((roster.origin(), roster.log()), (kit::ORIGIN, kit::log_key().verifier()));
    for number in 1..=4 {
        let id = format!("p{number}").parse().unwrap();
        let own = kit::person(number).public_key().key_data().ed25519().unwrap().0;
        let keys: Vec<_> = roster.keys_of(&id).unwrap().iter().map(|key| *key.as_bytes()).collect();
        assert_eq!((keys, roster.holder(&own)), (vec![own], Some(&id)));
    }
    let stranger = kit::person(9).public_key().key_data().ed25519().unwrap().0;
    assert_eq!(roster.holder(&stranger), None);
    assert_eq!(roster.keys_of(&"p9".parse().unwrap()), None);
    let members = roster.members(&"approvers".parse().unwrap()).unwrap();
    assert_eq!(members.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["p1", "p2", "p3", "p4"]);
    assert_eq!(roster.members(&"others".parse().unwrap()), None);
    let of = |role: Role| roster.machines(role).map(|(id, _)| id.as_str()).collect::<Vec<_>>();
    assert_eq!(of(Role::Writer), ["writer"]);
    assert_eq!(of(Role::Signer), ["signer-1", "signer-2", "signer-3"]);
    assert_eq!(of(Role::Watcher), ["watcher-1"]);
    assert_eq!(of(Role::Gate), [""; 0]);
    let witnesses: Vec<_> = roster.witnesses().map(|(id, _)| id.as_str()).collect();
    assert_eq!(witnesses, ["signer-1", "signer-2", "signer-3", "watcher-1"]);
    assert_eq!(roster.quorum().witnesses().len(), 4);
    assert_eq!(roster.machine(&kit::machine(4)).map(|machine| machine.role), Some(Role::Watcher));
    assert_eq!(roster.machine(&"nobody".parse().unwrap()), None);
    // A machine speaks in its own role alone.
    for number in 0..=4 {
        let own = (number > 0).then(|| kit::statement(number).public());
        for role in Role::ALL {
            let machine = roster.machine(&kit::machine(number)).unwrap();
            let want = own.filter(|_| machine.role == *role);
            assert_eq!(roster.statement_key(&kit::machine(number), *role).copied(), want, "{number} {role}");
        }
    }
}

/// The hashes of these edits of a file, each of which means something else, and of the file itself: all different. Edits that
/// change how it is written and not what it says leave the hash as it is.
fn hashes<T: Ord + Copy + core::fmt::Debug>(
    text: &str,
    changes: &[Edit],
    spellings: &[Edit],
    hash: impl Fn(&str) -> T,
) {
    let own = hash(text);
    let mut all = BTreeSet::from([own]);
    for change in changes {
        assert!(all.insert(hash(&edited(text, *change))), "{change:?} has the hash of something else");
    }
    for spelling in spellings {
        assert_eq!(hash(&edited(text, *spelling)), own, "{spelling:?}");
    }
}

#[test]
fn a_rosters_hash_stands_for_everything_in_it() {
    let changes: &[Edit] = &[
        ("witnesses_min = 3", "witnesses_min = 4"),
        ("faulty_max = 1", "faulty_max = 0"),
        ("\"p4\"]\n[[m", "]\n[[m"),
        ("\"approvers\"", "\"others\""),
        ("\"signer-1\"", "\"signer-9\""),
        ("role = \"writer\"", "role = \"gate\""),
        ("", "[[person]]\nid = \"p9\"\nkeys = []\n"),
        ("", "[[group]]\nid = \"none\"\nmembers = []\n"),
    ];
    let spellings: &[Edit] = &[
        ("", "# A remark.\n"),
        ("\"p1\", \"p2\"", "\"p2\", \"p1\""),
        ("faulty_max = 1", "faulty_max   =   1"),
    ];
    let hash = |text: &str| *Roster::from_toml(text).unwrap().hash().as_bytes();
    hashes(&kit::roster_toml(), changes, spellings, hash);
    // Other keys are another roster.
    let text = kit::roster_toml();
    let all: BTreeSet<_> = [
        text.clone(),
        text.replace(&key(1), &key(77)),
        text.replace(&ssh(1), &ssh(9)),
        text.replace(&kit::cosigner(1).verifier().to_string(), &kit::cosigner(77).verifier().to_string()),
        text.replace("signer-1", "signer-9"),
    ]
    .iter()
    .map(|text| hash(text))
    .collect();
    assert_eq!(all.len(), 5);
}

#[test]
fn a_policy_that_does_not_hold_together_is_refused_by_name() {
    let text = kit::policy_toml();
    #[rustfmt::skip]
    let rows: &[(&str, Edit, &str)] = &[
        ("nothing", ("", ""), ""),
        ("an unknown field", ("", "more = 1\n"), "the policy is not as docs/configuration.md describes: "),
        ("a field that is missing", ("fee_max = 100000\n", ""), "the policy is not as docs/configuration.md describes: "),
        ("a rule twice", ("\"rebalance\"\nvaults", "\"customers\"\nvaults"), "rule customers: stands there twice"),
        ("a rule for no vault", ("vaults = [\"hot\"]", "vaults = []"), "rule customers: names no vault or no kind, so it can never match"),
        ("a rule for no kind", ("kinds = [\"customer-withdrawal\"]", "kinds = []"), "rule customers: names no vault or no kind, so it can never match"),
        ("a rule for neither", ("vaults = [\"hot\"]\nkinds = [\"customer-withdrawal\"]", "vaults = []\nkinds = []"), "rule customers: names no vault or no kind, so it can never match"),
        ("an unknown kind", ("\"customer-withdrawal\"", "\"gift\""), "rule customers: payout kind \"gift\" is not known, want one of customer-withdrawal, "),
        ("a vault's name that is none", ("vaults = [\"hot\"]", "vaults = [\"h t\"]"), "rule customers: "),
        ("a rule for evacuations", ("[\"customer-withdrawal\"]", "[\"customer-withdrawal\", \"evacuation\"]"), "rule customers: evacuations are governed by [[evacuation]], not by rules"),
        ("destinations in another word", ("\"any\"", "\"all\""), "rule customers: destinations is \"all\", want \"any\" or a list of addresses"),
        ("no approvals", ("approvals = [{ group = \"approvers\", count = 2 }]", "approvals = []"), "rule customers: asks for no approvals, want at least one group"),
        ("an approval by nobody", ("count = 2 }", "count = 0 }"), "rule customers: asks for 0 approvals of approvers, want at least 1"),
        ("as many as the group has", ("count = 2 }", "count = 4 }"), ""),
        ("one more than the group has", ("count = 2 }", "count = 5 }"), "approvals of group approvers: 5 asked of 4 members"),
        ("a group that is not there", ("group = \"approvers\"", "group = \"others\""), "approvals of group others: the roster has no such group"),
        ("a reset by as many as there are", ("[[reset]]\ngroup = \"approvers\"\ncount = 2", "[[reset]]\ngroup = \"approvers\"\ncount = 4"), ""),
        ("a reset by more than there are", ("[[reset]]\ngroup = \"approvers\"\ncount = 2", "[[reset]]\ngroup = \"approvers\"\ncount = 5"), "approvals of group approvers: 5 asked of 4 members"),
        ("a reset by nobody", ("[[reset]]\ngroup = \"approvers\"\ncount = 2", "[[reset]]\ngroup = \"approvers\"\ncount = 0"), "reset: asks for 0 approvals of approvers, want at least 1"),
        ("a limit for another vault alone", ("[[limit]]\nvault = \"hot\"", "[[limit]]\nvault = \"warm\""), "limit of hot: is missing; a vault without limits cannot pay"),
        ("a limit twice", ("[[reset]]", "[[limit]]\nvault = \"hot\"\nper_payout_max = 1\nrolling_24h_max = 1\nfee_max = 1\nfee_rate_max = 1\n[[reset]]"), "limit of hot: stands there twice"),
        ("an evacuation twice", ("[[reset]]", "[[evacuation]]\nvault = \"hot\"\ndestination = \"x\"\nfee_max = 1\n[[reset]]"), "evacuation of hot: stands there twice"),
        ("an evacuation of another vault too", ("[[reset]]", "[[evacuation]]\nvault = \"warm\"\ndestination = \"x\"\nfee_max = 1\n[[reset]]"), ""),
    ];
    let charter = |text: &str| {
        let roster = Roster::from_toml(&kit::roster_toml()).unwrap();
        let vault = Vault::from_toml(&kit::hot_toml()).unwrap();
        Policy::from_toml(text).and_then(|policy| Charter::new(roster, policy, vec![vault]))
    };
    for (what, edit, want) in rows {
        check(what, &told(charter(&edited(&text, *edit))), want);
    }
    // Addresses are read on the vault's own chain.
    let main = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    let listed = text.replacen(&format!("[\"{}\"]", kit::cold()), &format!("[\"{main}\"]"), 1);
    check("another chain's address", &told(charter(&listed)), "rule rebalance: destinations: ");
    let order =
        text.replacen(&format!("destination = \"{}\"", kit::cold()), &format!("destination = \"{main}\""), 1);
    check("another chain's evacuation", &told(charter(&order)), "evacuation of hot: ");
    let no_reset = text.split("[[reset]]").next().unwrap();
    check("no table for resets", &told(Policy::from_toml(no_reset)), "the policy is not as");
    let none = format!("reset = []\n{no_reset}");
    check(
        "nobody resets",
        &told(Policy::from_toml(&none)),
        "reset: asks for no approvals, want at least one group",
    );
}

#[test]
fn a_policys_hash_stands_for_everything_in_it() {
    let changes: &[Edit] = &[
        ("\"rebalance\"\nvaults", "\"other\"\nvaults"),
        ("vaults = [\"hot\"]", "vaults = [\"hot\", \"warm\"]"),
        ("[\"customer-withdrawal\"]", "[\"customer-withdrawal\", \"fee\"]"),
        ("amount_max = 500000000\n", ""),
        ("amount_max = 500000000", "amount_max = 500000001"),
        ("\"any\"", "[]"),
        ("count = 2 }]\n[[rule]]", "count = 3 }]\n[[rule]]"),
        ("per_payout_max = 500000000", "per_payout_max = 500000001"),
        ("rolling_24h_max = 900000000", "rolling_24h_max = 900000001"),
        ("fee_max = 100000\n", "fee_max = 100001\n"),
        ("fee_rate_max = 100000", "fee_rate_max = 100001"),
        ("[[evacuation]]\nvault = \"hot\"", "[[evacuation]]\nvault = \"warm\""),
        ("fee_max = 500000", "fee_max = 500001"),
        ("[[reset]]\ngroup = \"approvers\"\ncount = 2", "[[reset]]\ngroup = \"approvers\"\ncount = 3"),
    ];
    let hash = |text: &str| *Policy::from_toml(text).unwrap().hash().as_bytes();
    hashes(&kit::policy_toml(), changes, &[("", "# A remark.\n")], hash);
}

#[test]
fn the_first_rule_that_matches_governs() {
    let big = "[[rule]]\nid = \"big\"\nvaults = [\"hot\"]\nkinds = [\"customer-withdrawal\", \"fee\"]\n\
               destinations = \"any\"\napprovals = [{ group = \"approvers\", count = 3 }]\n\
               [[rule]]\nid = \"elsewhere\"\nvaults = [\"warm\"]\nkinds = [\"sweep\"]\n\
               destinations = \"any\"\napprovals = [{ group = \"approvers\", count = 3 }]\n[[limit]]";
    let policy = Policy::from_toml(&kit::policy_toml().replacen("[[limit]]", big, 1)).unwrap();
    let vault = Vault::from_toml(&kit::hot_toml()).unwrap();
    let charter = Charter::new(Roster::from_toml(&kit::roster_toml()).unwrap(), policy, vec![vault]).unwrap();
    let (vault, policy) = charter.vault(&kit::hot()).unwrap();
    assert_eq!((vault.id.as_str(), charter.vaults().count()), ("hot", 1));
    assert!(charter.vault(&"warm".parse().unwrap()).is_none());
    for (kind, amount, want) in [
        (PayoutKind::CustomerWithdrawal, 500_000_000, Some("customers")),
        (PayoutKind::CustomerWithdrawal, 500_000_001, Some("big")),
        (PayoutKind::Fee, 1, Some("big")),
        (PayoutKind::Rebalance, u64::MAX, Some("rebalance")),
        (PayoutKind::Sweep, 1, None),
        (PayoutKind::Evacuation, 1, None),
    ] {
        let rule = policy.rule(kind, Amount::from(amount)).map(|rule| rule.id.as_str());
        assert_eq!(rule, want, "{kind} of {amount}");
    }
    let asked: Vec<_> = charter.policy().reset().iter().map(|one| (one.group.as_str(), one.count)).collect();
    assert_eq!(asked, [("approvers", 2)]);
    let order = policy.evacuation.as_ref().unwrap();
    assert_eq!((&order.destination, order.fee_max), (&kit::cold().script(), Amount::from(500_000)));
}

#[test]
fn a_vault_is_read_within_its_bounds() {
    let text = kit::hot_toml();
    #[rustfmt::skip]
    let rows: &[(&str, Edit, &str)] = &[
        ("nothing", ("", ""), ""),
        ("an unknown field", ("", "more = 1\n"), "the vault is not as docs/configuration.md describes: "),
        ("no confirmations", ("depth_min = 1", "depth_min = 0"), "depth_min: 0 confirmations, want 1 to 1000"),
        ("most confirmations", ("depth_min = 1", "depth_min = 1000"), ""),
        ("one confirmation more", ("depth_min = 1", "depth_min = 1001"), "depth_min: 1001 confirmations, want 1 to 1000"),
        ("no scripts", ("receive_count = 10", "receive_count = 0"), "receive_count: 0 scripts, want 1 to 100000"),
        ("one script", ("receive_count = 10", "receive_count = 1"), ""),
        ("most scripts", ("receive_count = 10", "receive_count = 100000"), ""),
        ("one script more", ("receive_count = 10", "receive_count = 100001"), "receive_count: 100001 scripts, want 1 to 100000"),
        ("an unknown network", ("bitcoin-regtest", "mint"), "network: "),
        ("an unknown tier", ("tier = \"hot\"", "tier = \"lukewarm\""), "tier: tier \"lukewarm\" is not known, want one of hot, warm, cold"),
        ("an unknown owner", ("\"customers\"", "\"nobody\""), "owner: owner \"nobody\" is not known, want one of customers, company, guarantee"),
        ("a name that is none", ("id = \"hot\"", "id = \"\""), "id: "),
        ("a descriptor that is none", ("wsh(", "wish("), "descriptor: "),
    ];
    for (what, edit, want) in rows {
        check(what, &told(Vault::from_toml(&edited(&text, *edit))), want);
    }
    let vault = Vault::from_toml(&text).unwrap();
    assert_eq!(
        (vault.id, vault.network, vault.tier, vault.owner),
        (kit::hot(), kit::NETWORK, Tier::Hot, Owner::Customers)
    );
    assert_eq!((vault.receive_count, vault.depth_min), (10, 1));
    // The same vault does not stand in a charter twice.
    let vaults = vec![Vault::from_toml(&text).unwrap(), Vault::from_toml(&text).unwrap()];
    let (roster, policy) = (kit::roster_toml(), kit::policy_toml());
    let charter =
        Charter::new(Roster::from_toml(&roster).unwrap(), Policy::from_toml(&policy).unwrap(), vaults);
    assert_eq!(told(charter), "vault hot: stands there twice");
}
