//! The report of a trace on accounts, in a real browser.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{browser::Browser, run::run};

/// Five ether go from hand to hand: a fee, a circle, twelve leaves, and a service.
fn transfers() -> String {
    let account = |number: u32| format!("0x{number:040x}");
    let mut lines = vec![r#"{"transfers":1,"chain":"eth","opening":"stated"}"#.to_owned()];
    let mut line = |height: u32, tx: &str, index: u32, from: Option<u32>, to: u32, wei: &str, kind: &str| {
        let from = from.map_or_else(|| "null".to_owned(), |from| format!("\"{}\"", account(from)));
        let position = u32::from(tx == "0b");
        lines.push(format!(
            r#"{{"height":{height},"position":{position},"tx":"0x{tx}","index":{index},"asset":"eth","from":{from},"to":"{}","amount":"{wei}","kind":"{kind}"}}"#,
            account(to)
        ));
    };
    line(1, "0a", 0, None, 1, "40000000000000000001", "opening");
    line(1, "0b", 0, None, 3, "1000000000000000000", "opening");
    line(2, "0c", 0, Some(1), 2, "30000000000000000001", "payment");
    line(3, "0d", 0, Some(2), 3, "20000000000000000000", "payment");
    line(3, "0d", 1, Some(2), 9, "21000000000000", "fee");
    line(4, "0e", 0, Some(3), 2, "5000000000000000000", "payment");
    line(5, "0f", 0, Some(2), 7, "8000000000000000000", "payment");
    for leaf in 0..12 {
        line(6 + leaf, &format!("1{leaf:x}"), 0, Some(3), 20 + leaf, "1000000000000000000", "payment");
    }
    lines.join("\n")
}

/// Wei beyond 64 bits are told to the unit, by every method that is drawn.
fn check_methods(browser: &Browser, found: &Value) {
    let methods = found["comparison"]["methods"].as_array().unwrap();
    let methods: Vec<&Value> = methods.iter().filter(|row| row["method"] != "poison").collect();
    assert_eq!(methods.len(), 7);
    let wei = |text: &Value| {
        let text = text.as_str().unwrap().trim_end_matches(" ETH").replace(',', "");
        let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
        format!("{whole}{rest:0<18}").trim_start_matches('0').to_owned()
    };
    for (place, row) in methods.iter().enumerate() {
        browser.run(&format!(
            "const s = document.querySelector('#method'); s.value = '{place}'; s.dispatchEvent(new Event('change'))"
        ));
        assert_eq!(browser.run("return document.querySelector('[data-method]').textContent"), row["method"]);
        for (total, key) in [(0, "stolen_wei"), (1, "held_wei"), (2, "fees_wei"), (4, "stopped_wei")] {
            let shown = browser
                .run(&format!("return document.querySelector('[data-total=\"{total}\"]').textContent"));
            assert_eq!(
                wei(&shown),
                row[key].as_str().unwrap().trim_start_matches('0'),
                "{key} {}",
                row["method"]
            );
        }
    }
}

#[test]
fn accounts_are_drawn_in_a_real_browser_with_every_unit_of_every_method() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (list, page, paper) = (at("eth.jsonl"), at("theft.html"), at("theft.pdf"));
    fs::write(&list, transfers()).unwrap();
    let service = format!("0x{:040x}", 7);
    let traced = |more: &[&str]| {
        let args = [
            "trace",
            "--transfers",
            &list,
            "--chain",
            "eth",
            "--seed",
            "0x0c:0",
            "--stop",
            &service,
            "--json",
        ];
        run(args.iter().chain(more).copied())
    };
    let ran = traced(&["--method", "fifo", "--all-methods", "--report", &page, "--pdf", &paper]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json();
    assert_eq!(found, traced(&["--method", "fifo", "--all-methods"]).json());
    assert!(fs::read(&paper).unwrap().starts_with(b"%PDF-"));
    let refused = traced(&["--method", "poison", "--report", &page]);
    assert_eq!(refused.status, 2);
    assert!(refused.err.contains("marks accounts and moves no units"), "{}", refused.err);
    let Some(browser) = Browser::start() else { return };
    browser.open(&PathBuf::from(&page));
    for ready in ["ready", "same"] {
        assert_eq!(
            browser.run(&format!("return document.documentElement.dataset.{ready}")),
            "true",
            "{ready}"
        );
    }
    assert_eq!(browser.run("return performance.getEntriesByType('resource').length"), 0);
    check_methods(&browser, &found);
    // The thief stands again after the circle; leaves fold into one, which opens.
    let hints = browser.run(
        "return [...document.querySelectorAll('#picture g.node title')].map((title) => title.textContent)",
    );
    let thief = format!("Account 0x{:040x}", 2);
    assert_eq!(hints.to_string().matches(&thief).count(), 2, "{hints}");
    let boxes = "return document.querySelectorAll('#picture g[data-f]').length";
    let first = browser.run(boxes).as_u64().unwrap();
    browser.run("document.querySelector('#picture g.folded').dispatchEvent(new MouseEvent('click', { bubbles: true }))");
    assert!(browser.run(boxes).as_u64().unwrap() > first);
    browser
        .run("const s = document.querySelector('#time'); s.value = '1'; s.dispatchEvent(new Event('input'))");
    let moment = browser.run("return document.querySelector('#moment').textContent");
    assert!(moment.as_str().unwrap().contains("30.000000000000000001 ETH stolen so far"), "{moment}");
    assert!(browser.run("return document.querySelectorAll('#picture .box.later').length").as_u64() > Some(1));
    assert_eq!(browser.console(), json!([]));
}
