//! Lists that cannot be read or contradict themselves: every message names the line and the field.

use std::error::Error;

use kuraban_trace::accounts::{Lines, Rule, Seed, Terms, trace};
use kuraban_trace::taint::Method;

const HEAD: &str = r#"{"transfers":1,"chain":"xem","opening":"stated"}"#;
const MINT: &str = r#"{"height":1,"position":0,"tx":"a","index":0,"asset":"xem","from":null,"to":"A","amount":"5","kind":"mint"}"#;

/// A payment with fields replaced.
fn line(changes: &[(&str, &str)]) -> String {
    let fields = [
        ("height", "2"),
        ("position", "0"),
        ("tx", r#""b""#),
        ("index", "0"),
        ("asset", r#""xem""#),
        ("from", r#""A""#),
        ("to", r#""B""#),
        ("amount", r#""5""#),
        ("kind", r#""payment""#),
    ];
    let changed = |name: &str| changes.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
    let shown = fields.map(|(name, value)| format!(r#""{name}":{}"#, changed(name).unwrap_or(value)));
    format!("{{{}}}", shown.join(","))
}

fn problem(text: &str, seed: (&str, u32)) -> String {
    let seed = Seed { tx: seed.0.to_owned(), index: seed.1, case: "theft".to_owned() };
    let mut error: Option<Box<dyn Error>> =
        match trace(text.as_bytes(), &Terms::new(Rule::Of(Method::Fifo)), &[seed]) {
            Ok(_) => None,
            Err(error) => Some(Box::new(error)),
        };
    let mut shown = Vec::new();
    let mut next: Option<&dyn Error> = error.as_deref();
    while let Some(cause) = next {
        shown.push(cause.to_string());
        next = cause.source();
    }
    drop(error.take());
    shown.join(": ")
}

fn check(second: &str, want: &str) {
    let text = format!("{HEAD}\n{MINT}\n{second}\n");
    assert_eq!(problem(&text, ("b", 0)), want, "{second}");
}

#[test]
fn a_list_as_it_should_be_is_read() {
    check(&line(&[]), "");
}

#[test]
fn every_wrong_field_is_named_with_its_line() {
    let name = "want text of 1 to 128 printable ASCII characters without blanks";
    check(&line(&[("height", "-1")]), "line 3: field height: found -1, want a whole number below 2^64");
    check(&line(&[("height", "2.0")]), "line 3: field height: found 2.0, want a whole number below 2^64");
    check(
        &line(&[("position", "4294967296")]),
        "line 3: field position: found 4294967296, want a whole number below 2^32",
    );
    check(&line(&[("tx", "7")]), &format!("line 3: field tx: found 7, {name}"));
    check(&line(&[("asset", r#""""#)]), &format!("line 3: field asset: found \"\", {name}"));
    check(&line(&[("from", r#""A B""#)]), &format!("line 3: field from: found \"A B\", {name}"));
    check(
        &line(&[("from", "null")]),
        "line 3: field from: found null, want an account, for the kind payment",
    );
    check(&line(&[("kind", r#""burn""#)]), "line 3: field to: found \"B\", want null, for the kind burn");
    let amount = "want text of a decimal number from 0 to 2^256 - 1 without sign or leading zeros";
    check(&line(&[("amount", "5")]), &format!("line 3: field amount: found 5, {amount}"));
    check(&line(&[("amount", r#""05""#)]), &format!("line 3: field amount: found \"05\", {amount}"));
    check(
        &line(&[("kind", r#""gift""#)]),
        "line 3: field kind: found \"gift\", want one of payment, internal, token, fee, burn, mint, opening",
    );
}

#[test]
fn unknown_missing_and_doubled_fields_are_named() {
    let object = "line 3: is not the object that it must be: ";
    let said = |second: &str| problem(&format!("{HEAD}\n{MINT}\n{second}\n"), ("b", 0));
    let more = line(&[]).replace("\"kind\"", "\"memo\":1,\"kind\"");
    assert!(said(&more).starts_with(&format!("{object}unknown field `memo`")), "{}", said(&more));
    let less = line(&[]).replace(r#""to":"B","#, "");
    assert!(said(&less).starts_with(&format!("{object}missing field `to`")), "{}", said(&less));
    let twice = line(&[]).replace("\"kind\"", "\"index\":0,\"kind\"");
    assert!(said(&twice).starts_with(&format!("{object}duplicate field `index`")), "{}", said(&twice));
    assert!(said("").starts_with(object));
    assert!(said("[]").starts_with(object));
}

#[test]
fn order_is_strict() {
    let before = "want more than (1, 0, 0) of the line before";
    check(
        &line(&[("height", "0")]),
        &format!("line 3: field height: (height, position, index) is (0, 0, 0), {before}"),
    );
    check(
        &line(&[("height", "1"), ("tx", r#""a""#)]),
        &format!("line 3: field index: (height, position, index) is (1, 0, 0), {before}"),
    );
    check(
        &line(&[("height", "1"), ("index", "1")]),
        "line 3: field tx: found b, want a as on the line before, which has the same height and position",
    );
    check(&line(&[("tx", r#""a""#)]), "line 3: field tx: a stood at an earlier place already");
}

#[test]
fn the_first_line_is_a_header() {
    let check = |text: &str, want: &str| assert_eq!(problem(text, ("b", 0)), want, "{text}");
    check(
        "",
        "line 1: the list is empty, want a first line such as {\"transfers\":1,\"chain\":\"xrp\",\"opening\":\"stated\"}",
    );
    check(
        r#"{"transfers":2,"chain":"xem","opening":"stated"}"#,
        "line 1: field transfers: found 2, want version 1",
    );
    check(
        r#"{"transfers":1,"chain":"btc","opening":"stated"}"#,
        "line 1: field chain: found \"btc\", want one of eth, xrp, xem",
    );
}

#[test]
fn a_line_of_2048_bytes_is_read_and_one_more_is_not() {
    let padded = |to: usize| line(&[]) + &" ".repeat(to - line(&[]).len());
    check(&padded(2048), "");
    check(&padded(2049), "line 3: is longer than 2048 bytes");
}

#[test]
fn what_an_account_has_not_it_does_not_pay() {
    let overdrawn = "line 3: A pays 6 of xem in b transfer 0 and has 5; state what it held before by a transfer of the \
                     kind opening, or say in the first line that opening balances are unknown";
    check(&line(&[("amount", r#""6""#)]), overdrawn);
    let unknown = HEAD.replace("stated", "unknown");
    assert_eq!(problem(&format!("{unknown}\n{MINT}\n{}", line(&[("amount", r#""6""#)])), ("b", 0)), "");
    check(
        &line(&[("kind", r#""opening""#), ("from", "null"), ("to", r#""A""#)]),
        "line 3: the opening balance of A in xem comes after a transfer of the same",
    );
    let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    check(
        &line(&[
            ("kind", r#""mint""#),
            ("from", "null"),
            ("to", r#""A""#),
            ("amount", &format!("\"{most}\"")),
        ]),
        "line 3: A would hold more than 2^256 - 1 of xem",
    );
}

#[test]
fn a_seed_must_be_a_theft_that_the_list_has() {
    let check = |second: &str, seed, want: &str| {
        assert_eq!(problem(&format!("{HEAD}\n{MINT}\n{second}\n"), seed), want);
    };
    check(&line(&[]), ("c", 0), "seed c:0: there is no such transaction up to the last block that counts");
    check(&line(&[]), ("b", 1), "seed b:1: the transaction has no such transfer");
    let burn = line(&[("kind", r#""burn""#), ("to", "null")]);
    check(&burn, ("b", 0), "line 3: seed b:0 arrives nowhere: it is destroyed");
    check(&line(&[("to", r#""A""#)]), ("b", 0), "line 3: seed b:0 goes from an account to itself");
    check(&line(&[("amount", r#""0""#)]), ("b", 0), "line 3: seed b:0 carries nothing");
}

#[test]
fn a_list_cut_anywhere_is_read_up_to_the_cut_or_refused_never_more() {
    let text = format!("{HEAD}\n{MINT}\n{}\n", line(&[]));
    for end in 0..text.len() - 1 {
        // Only the last newline may be missing.
        assert_ne!(problem(&text[..end], ("b", 0)), "", "{end}");
    }
    assert_eq!(problem(text.trim_end(), ("b", 0)), "");
}

/// The lines of a list after its first, read one by one: what is said of the first that is refused.
fn grow(lines: &[String]) -> String {
    let mut list = Lines::new(HEAD).unwrap();
    let refused = lines.iter().find_map(|line| list.read(line).err());
    refused.map_or_else(String::new, |error| format!("{error}: {}", error.problem))
}

fn mint(height: u64, tx: &str) -> String {
    MINT.replace("\"height\":1", &format!("\"height\":{height}"))
        .replace("\"tx\":\"a\"", &format!("\"tx\":\"{tx}\""))
}

fn block(height: u64, hash: u64, prev: u64) -> String {
    format!(r#"{{"block":{height},"hash":"{hash:064x}","prev":"{prev:064x}"}}"#)
}

fn undo(height: u64, hash: u64) -> String {
    format!(r#"{{"undo":{height},"hash":"{hash:064x}"}}"#)
}

#[test]
fn blocks_are_whole_in_their_order_and_taken_back_from_the_last_one_on() {
    let check = |lines: &[String], want: &str| assert_eq!(grow(lines), want);
    let each = ", for each block has its line after its transfers";
    let begun = [mint(7, "a"), block(7, 7, 6)];
    let with = |more: &[String]| [&begun[..], more].concat();
    check(&with(&[block(8, 8, 7), mint(9, "b"), block(9, 9, 8)]), "");
    check(&with(&[mint(8, "b"), block(8, 8, 7), undo(8, 8), mint(8, "b"), block(8, 18, 7)]), "");
    check(
        &[block(7, 7, 6), undo(7, 7)],
        "line 3: block 7 cannot be taken back: want the last one, the first excepted, at most 288 in a row and no transfer between",
    );
    let no_undo = |height: u64, line: u64| {
        format!(
            "line {line}: block {height} cannot be taken back: want the last one, the first excepted, at most 288 in a row and no transfer between"
        )
    };
    check(&with(&[block(8, 8, 7), undo(7, 7)]), &no_undo(7, 5));
    check(&with(&[block(8, 8, 7), undo(8, 9)]), &no_undo(8, 5));
    check(&with(&[block(8, 8, 7), mint(9, "b"), undo(8, 8)]), &no_undo(8, 6));
    check(&with(&[undo(7, 7)]), &no_undo(7, 4));
    check(&with(&[mint(9, "b")]), &format!("line 4: field height: found 9, want 8{each}"));
    check(&with(&[mint(7, "b")]), &format!("line 4: field height: found 7, want 8{each}"));
    check(&with(&[block(9, 8, 7)]), &format!("line 4: field block: found 9, want 8{each}"));
    check(
        &[mint(6, "a"), mint(7, "b"), block(7, 7, 6)],
        &format!("line 4: field block: found 7, want 6{each}"),
    );
    check(&[mint(6, "a"), block(7, 7, 6)], &format!("line 3: field block: found 7, want 6{each}"));
    check(&with(&[mint(8, "a")]), "line 4: field tx: a stood at an earlier place already");
    let (found, want) = (format!("{:064x}", 5), format!("{:064x}", 7));
    check(&with(&[block(8, 8, 5)]), &format!("line 4: field prev: found {found}, want {want}{each}"));
    let short = block(7, 7, 6).replace("000000007", "7");
    assert!(grow(&[short]).contains("field hash: found"), "a hash has 32 bytes");
    let more = block(7, 7, 6).replace('}', ",\"time\":1}");
    assert!(grow(&[more]).starts_with("line 2: is not the object that it must be"));
}

#[test]
fn a_batch_trace_passes_blocks_over_and_refuses_one_that_is_taken_back() {
    let lines =
        |more: &[String]| [&[HEAD.to_owned(), mint(7, "b"), block(7, 7, 6)][..], more].concat().join("\n");
    assert_eq!(problem(&lines(&[block(8, 8, 7)]), ("b", 0)), "");
    assert_eq!(
        problem(&lines(&[block(8, 8, 7), undo(8, 8)]), ("b", 0)),
        "line 5: block 8 is taken back here; a list that has grown like this is followed, or written again without such blocks"
    );
}
