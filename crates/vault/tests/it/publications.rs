//! What may be published, by whom, after what; and what an entry about it can say at all.

use kuraban_base::{Digest, Instant, cbor::Value};
use kuraban_vault::{
    Approval, LIABILITIES, Liabilities, PUBLISH, Publication, RESET,
    body::Body,
    publication::{
        CHECKS_MAX, Check, Checked, Claims, Export, FINDINGS_MAX, Finding, Import, NAME_MAX, Verdict,
    },
};

use crate::{folding::opened, kit};

fn digest(text: &str) -> Digest {
    Digest::sha256(&[text.as_bytes()])
}

fn liabilities(root: &str) -> Publication {
    let (root, totals) = (digest(root), digest("totals"));
    Publication::Liabilities(Liabilities { root, totals, as_of: kit::NOW, blocks: Vec::new(), veil: None })
}

fn claims(root: &str, scheme: &str, replaces: Option<&str>) -> Publication {
    let (root, scheme, replaces) = (digest(root), digest(scheme), replaces.map(digest));
    Publication::Claims(Claims { root, statements: 3, scheme, replaces })
}

fn export(export: u8, manifest: &str) -> Publication {
    Publication::Export(Export { export: [export; 16], manifest: digest(manifest) })
}

fn import(manifest: &str, receipt: &str, replaces: Option<&str>) -> Publication {
    let (manifest, receipt, replaces) = (digest(manifest), digest(receipt), replaces.map(digest));
    Publication::Import(Import { manifest, receipt, replaces })
}

fn finding(verdict: Verdict, failed: &[&str], not_made: &[&str]) -> Finding {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Finding { about: "BTC".to_owned(), verdict, failed: names(failed), not_made: names(not_made) }
}

fn checked(document: &str, findings: Vec<Finding>) -> Publication {
    let (of, document) = (Checked::ReservesStatement, digest(document));
    Publication::Check(Check { of, document, root: None, findings })
}

fn approval(publication: &Publication, person: u8, namespace: &str, origin: &str) -> Approval {
    kit::sign(&kit::person(person), namespace, publication.digest(origin).as_bytes())
}

fn body(publication: Publication) -> Body {
    let approval = approval(&publication, 1, publication.namespace(), kit::ORIGIN);
    Body::Published { publication, approval }
}

#[test]
fn somebody_on_the_roster_publishes_for_this_log_under_the_publications_namespace() {
    let of = checked("one", vec![finding(Verdict::Short, &[], &[])]);
    let check = |publication: &Publication, person, namespace, origin, want: Option<&str>| {
        let mut fold = opened();
        let approval = approval(publication, person, namespace, origin);
        let folded = fold.apply(kit::NOW, Body::Published { publication: publication.clone(), approval });
        let found = folded.err().map(|problem| problem.to_string());
        assert_eq!(found.is_some(), want.is_some(), "{found:?}, want {want:?}");
        let as_wanted = found.zip(want).is_none_or(|(found, want)| found.contains(want));
        assert!(as_wanted, "{publication:?}: {want:?}");
        let want = if want.is_some() { vec![] } else { vec![(1, publication.clone())] };
        assert_eq!(fold.publications(), want);
    };
    let all = [liabilities("r"), claims("r", "s", None), export(1, "m"), import("m", "r", None), of];
    for (publication, kind) in all.iter().zip(Publication::KINDS) {
        assert_eq!(publication.kind(), kind);
        let is_liabilities = kind == "liabilities.published";
        let (own, others) = if is_liabilities { (LIABILITIES, PUBLISH) } else { (PUBLISH, LIABILITIES) };
        check(publication, 1, own, kit::ORIGIN, None);
        check(publication, 9, own, kit::ORIGIN, Some("belongs to nobody"));
        check(publication, 1, others, kit::ORIGIN, Some("namespace"));
        check(
            publication,
            1,
            RESET,
            kit::ORIGIN,
            Some(&format!("{kind} cannot stand here: signed under namespace")),
        );
        check(publication, 1, own, "other.example", Some("not over this digest"));
        let code = if is_liabilities { "liabilities-not-published" } else { "not-published" };
        assert_eq!(publication.refused_code(), code);
    }
    // No two say alike to whoever signs.
    let digests: std::collections::BTreeSet<_> = all.iter().map(|one| one.digest(kit::ORIGIN)).collect();
    assert_eq!(digests.len(), all.len());
}

#[test]
fn what_is_published_follows_from_what_was_published_before() {
    let check = |before: &[Publication], own: Publication, want: Option<&str>| {
        let mut fold = opened();
        for one in before {
            fold.apply(kit::NOW, body(one.clone())).unwrap();
        }
        let folded = fold.apply(kit::NOW, body(own.clone())).map_err(|problem| problem.to_string());
        match (&folded, want) {
            (Ok(()), None) => assert_eq!(fold.publications().last(), Some(&(fold.size() - 1, own))),
            (Err(found), Some(want)) => {
                assert!(found.contains(want), "{found}, want {want}");
                assert_eq!(fold.publications().len(), before.len());
            }
            (Ok(()), Some(_)) | (Err(_), None) => panic!("{own:?}: {folded:?}, want {want:?}"),
        }
    };
    let covered = || vec![finding(Verdict::Covered, &[], &[])];
    let all = [
        liabilities("a"),
        claims("a", "s", None),
        export(1, "a"),
        import("a", "b", None),
        checked("a", covered()),
    ];
    // Another of a kind never stands in the way of one, and the same one always does.
    for own in &all {
        let others: Vec<_> = all.iter().filter(|one| *one != own).cloned().collect();
        check(&others, own.clone(), None);
        check(&all, own.clone(), Some("stands in the log already"));
    }
    check(&all, liabilities("b"), None);
    check(&all, export(2, "a"), None);
    check(&all, export(1, "b"), Some("this hand-over stands in the log already"));
    check(&all, checked("b", covered()), None);
    // Another root for a scheme says which it replaces: the last one.
    check(&all, claims("b", "other", None), None);
    check(
        &all,
        claims("b", "other", Some("a")),
        Some("and the last root of this scheme in the log is nothing"),
    );
    check(&all, claims("b", "s", None), Some("it replaces nothing, and the last root of this scheme"));
    check(&all, claims("b", "s", Some("a")), None);
    let twice = [claims("a", "s", None), claims("b", "s", Some("a"))];
    check(&twice, claims("c", "s", Some("a")), Some("it replaces"));
    check(&twice, claims("c", "s", Some("b")), None);
    check(&twice, claims("a", "s", Some("b")), Some("stands in the log already"));
    // So does another receipt for a manifest.
    check(&all, import("other", "c", None), None);
    check(&all, import("a", "c", None), Some("the last receipt for this manifest"));
    check(&all, import("a", "c", Some("b")), None);
    check(&all, import("a", "c", Some("a")), Some("it replaces"));
}

#[test]
fn liabilities_stand_in_the_log_in_the_bytes_that_they_always_had() {
    let publication = liabilities("root");
    let Publication::Liabilities(own) = &publication else { panic!("they are liabilities") };
    let (own, body) = (own.clone(), body(publication.clone()));
    let Body::Published { approval, .. } = &body else { panic!("it is published") };
    let bytes =
        Value::map([("liabilities", own.to_value()), ("approval", Value::text(approval.pem()))]).encode();
    assert_eq!((body.kind(), body.encode()), ("liabilities.published", bytes));
    assert_eq!(
        (publication.digest(kit::ORIGIN), publication.namespace()),
        (own.digest(kit::ORIGIN), LIABILITIES)
    );
    let mut fold = opened();
    fold.apply(kit::NOW, self::body(export(1, "m"))).unwrap();
    fold.apply(kit::NOW, body).unwrap();
    assert_eq!(fold.liabilities().collect::<Vec<_>>(), [(2, &own)]);
    // Of the future by more than clocks may be apart.
    let late = Liabilities { as_of: Instant::from_ms(kit::NOW.ms() + 30_001), root: digest("late"), ..own };
    let late = fold.apply(kit::NOW, self::body(Publication::Liabilities(late))).unwrap_err();
    assert!(late.to_string().contains("as of"), "{late}");
}

#[test]
fn a_check_says_no_more_than_its_checks_allow_and_stays_within_its_limits() {
    let check = |findings: Vec<Finding>, want: Option<&str>| {
        let shown = format!("{findings:?}");
        let body = body(checked("one", findings));
        let read = Body::decode("check.published", &body.encode()).map(|read| assert_eq!(read, body));
        match want {
            None => read.unwrap(),
            Some(want) => {
                let found = read.unwrap_err().to_string();
                assert!(found.contains(want), "{found}, want {want}: {}", shown.get(..200).unwrap_or(&shown));
            }
        }
    };
    let contradicts = Some("contradicts the checks of BTC");
    for (verdict, nothing, failed, not_made, both) in [
        (Verdict::Covered, true, false, false, false),
        (Verdict::Short, true, false, false, false),
        (Verdict::Verified, true, false, false, false),
        (Verdict::NotShown, false, true, true, true),
        (Verdict::Failed, false, true, false, true),
    ] {
        let one = |sound, a: &[&str], b: &[&str]| {
            check(vec![finding(verdict, a, b)], if sound { None } else { contradicts });
        };
        one(nothing, &[], &[]);
        one(failed, &["unspent"], &[]);
        one(not_made, &[], &["log"]);
        one(both, &["unspent"], &["log"]);
    }
    let one = || finding(Verdict::Covered, &[], &[]);
    check(Vec::new(), Some("0 of them, want 1 to 1024"));
    check(vec![one(); FINDINGS_MAX], None);
    check(vec![one(); FINDINGS_MAX + 1], Some("1025 of them"));
    let open = |failed: usize, not_made: usize| {
        vec![finding(Verdict::NotShown, &vec!["a"; failed], &vec!["b"; not_made])]
    };
    check(open(CHECKS_MAX, CHECKS_MAX), None);
    check(open(CHECKS_MAX + 1, 0), Some("failed: 65 of them, want at most 64"));
    check(open(0, CHECKS_MAX + 1), Some("not_made: 65 of them"));
    let long = "x".repeat(NAME_MAX);
    check(vec![finding(Verdict::Failed, &[&long], &[])], None);
    check(vec![finding(Verdict::Failed, &[&format!("{long}x")], &[])], Some("65 bytes, want 1 to 64"));
    check(vec![finding(Verdict::Failed, &[""], &[])], Some("0 bytes"));
    check(vec![Finding { about: long.clone(), ..one() }], None);
    check(vec![Finding { about: format!("{long}x"), ..one() }], Some("about: 65 bytes"));
    check(vec![Finding { about: String::new(), ..one() }], Some("about: 0 bytes"));
}

#[test]
fn a_publication_is_told_in_a_line() {
    let (a, b) = (digest("a"), digest("b"));
    let findings = vec![finding(Verdict::Short, &[], &[]), finding(Verdict::NotShown, &["unspent"], &[])];
    for (publication, want) in [
        (liabilities("a"), format!("root {a} as of {}", kit::NOW)),
        (claims("a", "b", None), format!("root {a} of 3 statements by scheme {b}")),
        (export(1, "a"), format!("hand-over {} with manifest {a}", "01".repeat(16))),
        (import("a", "b", None), format!("receipt {b} for manifest {a}")),
        (checked("a", findings), format!("reserves-statement {a}: BTC short BTC not-shown")),
    ] {
        assert_eq!(publication.to_string(), want);
    }
}

#[test]
fn words_of_checks_and_verdicts_are_fixed() {
    let words: Vec<_> = Checked::ALL.iter().map(|one| one.word()).collect();
    assert_eq!(words, ["reserves-statement", "liabilities-audit", "liabilities-inclusion"]);
    let words: Vec<_> = Verdict::ALL.iter().map(|one| one.word()).collect();
    assert_eq!(words, ["covered", "short", "not-shown", "verified", "failed"]);
}
