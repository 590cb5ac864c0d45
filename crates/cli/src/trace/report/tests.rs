//! Labels that want out of their place, and amounts that no double holds.

#[path = "../../../tests/it/browser.rs"]
mod browser;

use std::fs;

use kuraban_trace::{
    graph::{AddressNum, Memory, OutputNum, Payment},
    picture::{FLOWS_MAX, trace_picture},
    taint::{Case, Method, Terms},
};
use serde_json::json;

use self::browser::Browser;
use super::{Around, Beside, Sheet};
use crate::{ink, say::Lang, trace::answer::Answer};

/// Closes what it can, opens what it can, turns the writing round, ends lines where JavaScript once did.
const HOSTILE: &str = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>\"'`--><!--&lt;\u{202e}gnp\u{2028}\u{2029}]]>蔵";

/// A report on a few payments, with an address and a tag that are not nice; its page and its PDF file.
fn reported(payments: &[Payment<'_>]) -> (String, Vec<u8>) {
    let graph = Memory::of_payments(payments).unwrap();
    let case = [Case { seeds: vec![OutputNum::new(0)] }];
    let terms = Terms::new(Method::Haircut);
    let (traces, picture) = trace_picture(&graph, &case, &terms, &Method::ALL, FLOWS_MAX, |_, _| {}).unwrap();
    let name = |number: AddressNum| Some(format!("{HOSTILE}{}", number.number()));
    let answer = Answer::of(&graph, &name, &[HOSTILE.to_owned()], &traces[1]);
    let around = Around {
        name: &name,
        time: &|_| Some(1_717_128_900),
        tags: &|_| vec![HOSTILE.to_owned()],
        lang: Lang::En,
        proven: false,
        beside: Beside::default(),
    };
    let sheet = Sheet::of(&graph, &around, &answer, &traces, &picture).unwrap();
    (super::page::page(&sheet).unwrap(), super::paper::paper(&sheet, None).unwrap().bytes)
}

const PAYMENTS: &[Payment<'_>] = &[(&[], &[6]), (&[], &[2]), (&[(0, 0), (1, 0)], &[7, 1])];

#[test]
fn hostile_labels_stay_text_in_page_and_paper() {
    let (page, paper) = reported(PAYMENTS);
    assert!(!page.contains("<script>window.pwned") && !page.contains("<img"), "markup got through");
    assert!(
        !page.contains(['\u{2028}', '\u{2029}', '\u{202e}']),
        "line ends or a turn of writing got through"
    );
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!String::from_utf8_lossy(&paper).contains('\u{202e}'));
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hostile.html");
    fs::write(&file, page).unwrap();
    browser.open(&file);
    assert_eq!(browser.run("return document.documentElement.dataset.ready"), "true");
    // Every place that shows a label is looked at: boxes, what is chosen, what is found, tables.
    let look = "document.querySelectorAll('#picture g[data-f]').forEach((box) => box.dispatchEvent(new MouseEvent('click', { bubbles: true }))); \
                const s = document.querySelector('#search'); s.value = 'pwned'; s.dispatchEvent(new Event('input')); \
                [...document.querySelectorAll('#found button')].pop().click(); \
                document.querySelector('#addresses thead button').click(); \
                return [document.querySelector('#chosen').textContent.includes('<img src=x onerror='), \
                        document.querySelector('#addresses tbody').textContent.includes('</script><script>'), \
                        document.querySelectorAll('img').length, document.querySelectorAll('script').length, typeof window.pwned]";
    assert_eq!(browser.run(look), json!([true, true, 0, 2, "undefined"]));
    assert_eq!(browser.console(), json!([]));
}

#[test]
fn amounts_beyond_what_a_double_holds_are_exact_in_the_browser() {
    // 2^53 and its neighbours, and sums far beyond.
    let large = (1_u64 << 53) + 1;
    let (page, _) = reported(&[(&[], &[large * 3]), (&[(0, 0)], &[large, large + 1, large - 1])]);
    let coins =
        |units: u64| super::words::whole(super::words::Coin { ticker: "BTC", decimals: 8 }, units.into());
    assert!(page.contains(&coins(large)) && page.contains(&format!("\"{large}\"")));
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.html");
    fs::write(&file, page).unwrap();
    browser.open(&file);
    let shown = browser.run(
        "document.querySelector('#lang-ja').click(); \
         return [document.querySelector('[data-total=\"1\"]').textContent, document.querySelector('#moment').textContent, document.documentElement.lang]",
    );
    assert_eq!(shown[0], coins(large * 3));
    assert!(shown[1].as_str().unwrap().contains(&coins(large * 3)), "{shown}");
    assert_eq!(shown[2], "ja");
}

#[test]
fn without_a_font_the_paper_says_what_it_lacks() {
    let (_, paper) = reported(PAYMENTS);
    let text = String::from_utf8_lossy(&paper);
    assert!(text.contains("in none of the fonts here"), "nothing is said");
    assert!(ink::wide_font(Some(std::path::Path::new("no/such/font"))).is_err());
}
