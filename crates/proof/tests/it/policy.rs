//! Trust policies: the specification's example, its rules one by one, and limits.

use kuraban_base::Instant;
use kuraban_proof::{Cosigner, NoteSigner, Policy, policy::POLICY_LENGTH_MAX};
use proptest::prelude::*;

use crate::oracle::{NOW, cosigned, head, leaves, log, name, witness};

fn key(number: u8) -> String {
    witness(number).verifier().to_string()
}

fn text(rest: &str) -> String {
    let mut text = format!("log {}\n", log().verifier());
    for number in 0..6 {
        text += &format!("witness w{number} {}\n", key(number));
    }
    text + rest
}

fn accepts(policy: &str, by: &[u8]) -> bool {
    let by: Vec<(u8, Instant)> = by.iter().map(|number| (*number, NOW)).collect();
    let checkpoint = cosigned(head(&leaves("policy", 3)), &by).to_string();
    Policy::parse(policy.as_bytes()).unwrap().open(checkpoint.as_bytes()).is_ok()
}

#[test]
fn the_specifications_two_level_example_asks_for_both_groups() {
    let policy = text("group X 2 w0 w1 w2\ngroup Y any w3 w4 w5\ngroup X-and-Y all X Y\nquorum X-and-Y\n");
    let check = |by: &[u8], want: bool| assert_eq!(accepts(&policy, by), want, "{by:?}");
    check(&[], false);
    check(&[0, 1], false);
    check(&[0, 3], false);
    check(&[3, 4, 5], false);
    check(&[0, 1, 2], false);
    check(&[0, 1, 3], true);
    check(&[1, 2, 5], true);
    check(&[0, 1, 2, 3, 4, 5], true);
}

#[test]
fn single_witnesses_and_none_are_quorums_too() {
    assert!(accepts(&text("quorum w2\n"), &[2]));
    assert!(!accepts(&text("quorum w2\n"), &[1, 3]));
    assert!(accepts(&text("quorum none\n"), &[]));
    assert!(!accepts(&text("quorum w2\n"), &[]));
}

#[test]
fn a_checkpoint_of_another_log_is_not_accepted() {
    let other = NoteSigner::from_seed(name("example.com/log"), &[1; 32]);
    let policy = format!("log {}\nquorum none\n", other.verifier());
    assert!(!accepts(&policy, &[]));
    assert!(!accepts("quorum none\n", &[]));
}

#[test]
fn spacing_comments_and_urls_are_read_as_specified() {
    let policy = format!(
        "# who\n\t # and why: \u{8535}\n\n \t\n\tlog\t {} \thttps://log.example \nwitness \u{8535} {} https://w.example/\nquorum \u{8535}",
        log().verifier(),
        key(1)
    );
    let parsed = Policy::parse(policy.as_bytes()).unwrap();
    assert_eq!(parsed.logs()[0].url.as_deref(), Some("https://log.example"));
    assert_eq!(parsed.witnesses()[0].url.as_deref(), Some("https://w.example/"));
    assert!(accepts(&policy, &[1]));
    let opaque = [b"witness \xff\xfe ".as_slice(), key(1).as_bytes(), b"\nquorum \xff\xfe\n"].concat();
    assert!(Policy::parse(&opaque).is_ok());
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_line() {
    let (k0, k1, log_key) = (key(0), key(1), log().verifier().to_string());
    let renamed = Cosigner::from_seed(name("renamed"), &[100; 32]).verifier().to_string();
    let check = |policy: String, want: &str| {
        let found = Policy::parse(policy.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert!(found.starts_with(want), "{found}");
    };
    check(String::new(), "policy has no quorum line");
    check("quorum none\nquorum none\n".into(), "policy line 2: second quorum line");
    check("quorum w\n".into(), "policy line 1: name \"w\" is not defined above");
    check(format!("quorum w\nwitness w {k0}\n"), "policy line 1: name \"w\" is not defined above");
    check("quorum\n".into(), "policy line 1: want log");
    check("quorum none none\n".into(), "policy line 1: want log");
    check("logs x\n".into(), "policy line 1: want log");
    check("log\n".into(), "policy line 1: want log");
    check(format!("log {log_key} url more\n"), "policy line 1: want log");
    check(format!("witness w {} url more\n", key(1)), "policy line 1: want log");
    check(format!("witness {k0}\n"), "policy line 1: want log");
    check("log x\n".into(), "policy line 1: verifier key is not");
    check(format!("log {k0}\n"), "policy line 1: key has the wrong type");
    check(format!("witness w {log_key}\n"), "policy line 1: key has the wrong type");
    check(format!("log {log_key}\nlog {log_key}\n"), "policy line 2: public key stands in an earlier line");
    check(format!("witness a {k0}\nwitness b {k0}\n"), "policy line 2: public key stands in an earlier line");
    check(
        format!("witness a {k0}\nwitness b {renamed}\n"),
        "policy line 2: public key stands in an earlier line",
    );
    check(format!("witness a {k0}\nwitness a {k1}\n"), "policy line 2: name \"a\" is already defined");
    check(format!("witness none {k0}\n"), "policy line 1: name \"none\" is already defined or reserved");
    check(format!("witness a {k0}\ngroup a any a\n"), "policy line 2: name \"a\" is already defined");
    check(format!("witness a {k0}\ngroup g any none\n"), "policy line 2: name \"none\" is not defined above");
    check(format!("witness a {k0}\ngroup g any g\n"), "policy line 2: name \"g\" is not defined above");
    check(format!("witness a {k0}\ngroup g any a a\n"), "policy line 2: name \"a\" is a member already");
    check(
        format!("witness a {k0}\ngroup g any a\ngroup h any a\n"),
        "policy line 3: name \"a\" is a member already",
    );
    check(format!("witness a {k0}\ngroup g any\n"), "policy line 2: want log");
    for threshold in ["0", "2", "01", "-1", "most", "18446744073709551617"] {
        let policy = format!("witness a {k0}\ngroup g {threshold} a\n");
        check(policy, &format!("policy line 2: threshold \"{threshold}\" is not all, any"));
    }
    for bad in ["quorum none\r\n", "quorum\u{b}none\n", "# \u{7f}\n", "# \0\n"] {
        check(bad.into(), "policy line 1: want no control characters");
    }
    check(format!("#{}", " ".repeat(POLICY_LENGTH_MAX)), "policy has 1000001 bytes");
    check(format!("#{}", " ".repeat(POLICY_LENGTH_MAX - 1)), "policy has no quorum line");
}

#[test]
fn a_hundred_logs_witnesses_and_groups_are_read() {
    let mut policy = String::new();
    for number in 0..100_u8 {
        let seed = [number; 32];
        policy +=
            &format!("log {}\n", NoteSigner::from_seed(name(&format!("log{number}")), &seed).verifier());
        policy += &format!("witness w{number} {}\n", Cosigner::from_seed(name("w"), &seed).verifier());
        let nested = if number > 0 { format!(" g{}", number - 1) } else { String::new() };
        policy += &format!("group g{number} any w{number}{nested}\n");
    }
    policy += "quorum g99\n";
    assert_eq!(Policy::parse(policy.as_bytes()).unwrap().witnesses().len(), 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_threshold_group_counts(needed in 1_usize..=6, by in proptest::collection::btree_set(0_u8..6, 0..=6)) {
        let policy = text(&format!("group g {needed} w0 w1 w2 w3 w4 w5\nquorum g\n"));
        let by: Vec<u8> = by.into_iter().collect();
        prop_assert_eq!(accepts(&policy, &by), by.len() >= needed);
    }

    #[test]
    fn no_bytes_upset_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Policy::parse(&bytes).is_err());
    }
}
