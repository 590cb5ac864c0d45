//! The report of a trace, as its readers open it: in a real browser without a network, and without scripts.

use std::{fs, path::PathBuf, process::Command};

use kuraban_trace::{
    graph::{Graph as _, OutputNum, TxNum},
    index::Index,
    taint::{Case, Method, Terms, outpoint, trace},
};
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    heist::{Heist, heist},
    run::{Ran, run, shared},
};

/// What an interaction may take until the page is laid out again, in milliseconds.
const INTERACTION_MS_MAX: f64 = 100.0;

fn run_report(heist: &Heist, more: &[&str]) -> Ran {
    let index = heist.at("index");
    let mut args = vec!["trace", "--index", &index, "--seed"];
    args.extend(heist.seeds.iter().map(String::as_str));
    args.extend(["--method", "fifo", "--stop", &heist.service, "--json"]);
    args.extend(more);
    run(args)
}

/// Writes a report; gives the answer and the page.
fn reported(heist: &Heist, more: &[&str]) -> (Ran, PathBuf) {
    let file = heist.at("theft.html");
    let ran = run_report(heist, &[&["--report", &file], more].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    (ran, PathBuf::from(file))
}

/// Runs a script that acts on the page, and gives the milliseconds until it is laid out: the best of three, so that other
/// work on the machine does not count.
fn timed(browser: &Browser, action: &str) -> f64 {
    let script = format!(
        "const t = performance.now(); {action}; document.body.getBoundingClientRect(); return performance.now() - t"
    );
    (0..3).map(|_| browser.run(&script).as_f64().unwrap()).fold(f64::INFINITY, f64::min)
}

/// Units of an amount as the page writes it.
fn units(text: &Value) -> u64 {
    let text = text.as_str().unwrap().trim_end_matches(" BTC").replace(',', "");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    whole.parse::<u64>().unwrap() * 100_000_000 + format!("{rest:0<8}").parse::<u64>().unwrap()
}

const TOTALS: [&str; 7] =
    ["stolen_sat", "unspent_sat", "fees_sat", "burned_sat", "stopped_sat", "dust_sat", "shielded_sat"];

fn check_totals(browser: &Browser, want: &Value) {
    let shown = browser
        .run("return [0,1,2,3,4,5,6].map((k) => document.querySelector(`[data-total='${k}']`).textContent)");
    for (place, name) in TOTALS.iter().enumerate() {
        if want[name].is_null() {
            assert_eq!(shown[place], "–", "{name}");
        } else {
            assert_eq!(units(&shown[place]), want[name].as_u64().unwrap(), "{name}");
        }
    }
}

#[test]
fn a_report_of_five_thousand_addresses_is_usable_in_a_real_browser_without_a_network() {
    let Some(browser) = Browser::start() else { return };
    let heist = heist(50, 100);
    let (ran, file) = reported(&heist, &["--all-methods"]);
    let found = ran.json();
    assert!(found["outputs"].as_array().unwrap().len() > 4_900);
    browser.open(&file);
    let boxes = "return document.querySelectorAll('#picture g[data-f]').length";
    assert_eq!(browser.run("return document.documentElement.dataset.ready"), "true");
    assert_eq!(
        browser.run("return document.documentElement.dataset.same"),
        "true",
        "page and script place alike"
    );
    assert_eq!(browser.run("return performance.getEntriesByType('resource').length"), 0);
    let first = browser.run(boxes).as_u64().unwrap();
    assert!((20..300).contains(&first), "{first}");
    check_totals(&browser, &found);
    // Whoever points at a box reads its id, its amount and where it stands.
    let hint =
        "return [...document.querySelectorAll('#picture g.node title')].map((title) => title.textContent)";
    let hints = browser.run(hint);
    assert!(
        hints[1].as_str().unwrap().starts_with("Transaction ") && hints[1].as_str().unwrap().contains(" BTC")
    );
    // A fold opens.
    let click = "document.querySelector('#picture g.folded').dispatchEvent(new MouseEvent('click', { bubbles: true }))";
    let unfolding_ms = timed(&browser, click);
    let unfolded = browser.run(boxes).as_u64().unwrap();
    assert!(unfolded > first, "{unfolded}");
    // Every method's totals are those of the command's own answer.
    let rows = found["comparison"]["methods"].as_array().unwrap();
    let mut switching_ms = 0.0_f64;
    for (place, row) in rows.iter().enumerate() {
        let action = format!(
            "const s = document.querySelector('#method'); s.value = '{place}'; s.dispatchEvent(new Event('change'))"
        );
        switching_ms = switching_ms.max(timed(&browser, &action));
        assert_eq!(browser.run("return document.querySelector('[data-method]').textContent"), row["method"]);
        check_totals(&browser, row);
    }
    // Back in time, fewer boxes are lit and less is paid.
    let later = "return document.querySelectorAll('#picture .box.later').length";
    assert_eq!(browser.run(later), 0);
    let slide =
        "const s = document.querySelector('#time'); s.value = '1'; s.dispatchEvent(new Event('input'))";
    let sliding_ms = timed(&browser, slide);
    assert!(browser.run(later).as_u64() > Some(3));
    // What is searched for is unfolded and shown.
    let deep = &found["outputs"][4_000];
    let search = format!(
        "const s = document.querySelector('#search'); s.value = '{}'; s.dispatchEvent(new Event('input')); \
         document.querySelector('#found button').click(); return document.querySelector('#chosen').textContent",
        deep["address"].as_str().unwrap()
    );
    let told = browser.run(&search);
    assert!(told.as_str().unwrap().contains(deep["address"].as_str().unwrap()), "{told}");
    assert!(browser.run("return document.querySelectorAll('#picture .box.lit').length").as_u64() > Some(2));
    println!("unfolding {unfolding_ms:.0} ms, switching {switching_ms:.0} ms, sliding {sliding_ms:.0} ms");
    for ms in [unfolding_ms, switching_ms, sliding_ms] {
        assert!(ms < INTERACTION_MS_MAX, "{ms} ms");
    }
    assert_eq!(browser.console(), json!([]));
}

#[test]
fn a_report_tells_all_without_scripts_and_is_the_same_every_time() {
    let heist = heist(4, 60);
    let (ran, file) = reported(&heist, &[]);
    let page = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::read_to_string(reported(&heist, &[]).1).unwrap(), page);
    let found = ran.json();
    for output in found["outputs"].as_array().unwrap().iter().chain(found["stopped"].as_array().unwrap()) {
        let Some(address) = output["address"].as_str() else { continue };
        assert!(page.contains(&format!("<bdi class=\"mono\">{address}</bdi>")), "{output}");
    }
    assert!(page.contains("<svg id=\"picture\"") && page.contains("class=\"box end stopped"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        let inside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!inside.contains(outside), "{outside}");
    }
    assert!(page.contains("Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-"));
}

#[test]
fn a_report_tells_bounds_and_origins_where_they_were_asked_for() {
    let heist = heist(5, 20);
    let (plain, _) = reported(&heist, &[]);
    let (ran, file) = reported(&heist, &["--intervals", "--origins", "haircut", "--origins-hops", "2"]);
    let (found, page) = (ran.json(), fs::read_to_string(&file).unwrap());
    assert!(plain.json().get("origins").is_none());
    for key in ["outputs", "stopped", "stolen_sat"] {
        assert_eq!(found[key], plain.json()[key], "{key}");
    }
    let origins = found["origins"].as_array().unwrap();
    assert_eq!(origins.len(), heist.seeds.len());
    for (seed, origin) in heist.seeds.iter().zip(origins) {
        assert_eq!(format!("{}:{}", origin["txid"].as_str().unwrap(), origin["vout"]), *seed);
        let rows = origin["sources"].as_array().unwrap().iter().chain(origin["minted"].as_array().unwrap());
        let sum: u64 = rows.map(|row| row["amount_sat"].as_u64().unwrap()).sum();
        assert_eq!(Some(sum), origin["value_sat"].as_u64());
        for source in origin["sources"].as_array().unwrap() {
            let at = format!("{}:{}", source["txid"].as_str().unwrap(), source["vout"]);
            assert!(page.contains(&at), "{at}");
        }
    }
    let Some(browser) = Browser::start() else { return };
    browser.open(&file);
    assert_eq!(browser.run("return document.documentElement.dataset.ready"), "true");
    let rows = "return [...document.querySelectorAll('#intervals tbody tr')].map((row) => \
                [...row.querySelectorAll('td')].map((cell) => cell.textContent))";
    let rows = browser.run(rows);
    let held = |row: &Value| [units(&row[2]), units(&row[3])];
    let mut shown: Vec<[u64; 2]> = rows.as_array().unwrap().iter().map(held).collect();
    let all = |key: &str| found["intervals"][key].as_array().unwrap().clone();
    let mut want: Vec<[u64; 2]> = [all("outputs"), all("stopped")]
        .concat()
        .iter()
        .map(|row| ["least_sat", "most_sat"].map(|key| row[key].as_u64().unwrap()))
        .collect();
    shown.sort_unstable();
    want.sort_unstable();
    assert!(!want.is_empty());
    assert_eq!(shown, want);
    // What is not asked for leaves no trace.
    let (_, file) = reported(&heist, &[]);
    let page = fs::read_to_string(file).unwrap();
    assert!(!page.contains("id=\"intervals\"") && !page.contains("id=\"origins-0\""));
}

#[test]
fn a_bundle_that_is_verified_makes_a_report() {
    let heist = heist(5, 20);
    let (bundle, blocks, report) = (heist.at("theft.bundle"), heist.at("blocks"), heist.at("verified.html"));
    let (ran, file) = reported(&heist, &["--bundle", &bundle, "--blocks", &blocks]);
    let checked = run(["trace", "verify", &bundle, "--report", &report, "--json"]);
    assert_eq!((checked.status, &checked.json()["answer"]), (0, &ran.json()), "{}", checked.err);
    let digest = checked.json()["answer_sha256"].as_str().unwrap().to_owned();
    for file in [file, PathBuf::from(&report)] {
        let page = fs::read_to_string(&file).unwrap();
        assert!(page.contains(&digest), "{}", file.display());
    }
    let page = fs::read_to_string(&report).unwrap();
    assert!(page.contains("made from a proof bundle") && page.contains("\"methods\":[\"fifo\"]"));
    // What is not verified makes none.
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[2_000] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    fs::remove_file(&report).unwrap();
    assert_eq!(run(["trace", "verify", &bundle, "--report", &report]).status, 1);
    assert!(!PathBuf::from(&report).exists());
}

/// What a program of poppler's or qpdf says, if it is here.
fn told(program: &str, args: &[&str]) -> Option<String> {
    let Ok(ran) = Command::new(program).args(args).output() else {
        println!(
            "skipped: there is no {program}; Debian's poppler-utils and qpdf bring what reads PDF files"
        );
        return None;
    };
    assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    Some(String::from_utf8(ran.stdout).unwrap())
}

#[test]
fn the_pdf_file_is_sound_and_says_what_the_page_says() {
    let heist = heist(12, 60);
    let (english, japanese) = (heist.at("en.pdf"), heist.at("ja.pdf"));
    let (ran, _) = reported(&heist, &["--pdf", &english]);
    let found = ran.json();
    let whole = fs::read(&english).unwrap();
    assert!(whole.starts_with(b"%PDF-1.7"));
    reported(&heist, &["--pdf", &english]);
    assert_eq!(fs::read(&english).unwrap(), whole, "equal traces make equal files");
    // Every object and stream is well formed, by qpdf's reading.
    let Some(checked) = told("qpdf", &["--check", &english]) else { return };
    assert!(checked.contains("No syntax or stream encoding errors"), "{checked}");
    // Poppler's reading: the text, in order, with amounts, addresses, digest and page numbers.
    let Some(text) = told("pdftotext", &["-layout", &english, "-"]) else { return };
    let pages = text.matches('\u{c}').count();
    for page in 1..=pages {
        assert!(text.contains(&format!("{page} / {pages}")), "{page} of {pages}");
    }
    let largest = found["outputs"].as_array().unwrap().iter().max_by_key(|row| row["tainted_sat"].as_u64());
    let address = largest.unwrap()["address"].as_str().unwrap();
    for want in ["What was found", "By every method", "clean-first", "Transactions on the way", address] {
        assert!(text.contains(want), "{want}");
    }
    // The picture is lines and letters: no page holds an image.
    let Some(images) = told("pdfimages", &["-list", &english]) else { return };
    assert_eq!(images.lines().count(), 2, "{images}");
    let ran = run_report(&heist, &["--pdf", &japanese, "--lang", "ja"]);
    if ran.status == 2 && ran.err.contains("no font with Japanese glyphs") {
        println!("skipped: no Japanese font here; Debian's fonts-ipafont-gothic is one");
        return;
    }
    assert_eq!(ran.status, 0, "{}", ran.err);
    let Some(text) = told("pdftotext", &["-layout", &japanese, "-"]) else { return };
    for want in ["結論", "方式ごとの結果", "盗まれました", "経路上の取引", address] {
        assert!(text.contains(want), "{want}");
    }
    let Some(fonts) = told("pdffonts", &[&japanese]) else { return };
    assert!(
        fonts.lines().any(|line| line.contains("KURABN+Wide") && line.contains("yes yes yes")),
        "{fonts}"
    );
}

/// The coinbase of block 9, and what everybody knows of its units up to block 438.
#[test]
fn bitcoins_first_payments_are_drawn_as_docs_tell() {
    let Some(data) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let blocks = data.join("btc_blocks/bitcoinj_first-100k-blocks.dat").display().to_string();
    let built = run(["index", "build", "--chain", "btc", "--blocks", &blocks, "--out", &at("index")]);
    assert_eq!(built.status, 0, "{}", built.err);
    let seed = "0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9:0";
    let args = ["trace", "--index", &at("index"), "--seed", seed, "--method", "fifo", "--until", "438"];
    let ran = run([&args[..], &["--report", &at("first.html")]].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    let page = fs::read_to_string(at("first.html")).unwrap();
    assert_eq!(page.matches("class=\"box node\"").count(), 7);
    assert_eq!(page.matches("class=\"box end unspent\"").count(), 6);
    assert_eq!(page.matches("class=\"day\"").count(), 5);
    for block in ["block 170", "block 181", "block 182", "block 183", "blocks 187–248"] {
        assert!(page.contains(&format!(">{block}</text>")), "{block}");
    }
    let first =
        "Transaction f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16, block 170: 50 BTC";
    assert!(page.contains(first));
}

/// A seed in a real block that leads to an address within the block; nobody stole it.
fn followed(index: &Index) -> Option<(String, String)> {
    let candidates = (0..index.tx_count()).flat_map(|tx| index.outputs(TxNum::new(tx))).map(OutputNum::new);
    let mut inside = candidates
        .filter(|output| index.spender(*output).is_some_and(|spender| index.outside_inputs(spender) == 0));
    inside.find_map(|output| {
        let found = trace(index, &[Case { seeds: vec![output] }], &Terms::new(Method::Fifo)).ok()?;
        let holder =
            found.unspent.iter().find_map(|tainted| index.address_text(index.address(tainted.output)?))?;
        Some((outpoint(index, output).to_string(), holder.to_string()))
    })
}

#[test]
fn tags_of_a_store_name_addresses_of_a_real_block() {
    let Some(data) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let block = data.join("btc_blocks/bitcoinj_block363703.dat").display().to_string();
    let built =
        run(["index", "build", "--chain", "btc", "--partial", "--blocks", &block, "--out", &at("index")]);
    assert_eq!(built.status, 0, "{}", built.err);
    let index = Index::open(folder.path().join("index").as_path()).unwrap();
    let (seed, address) = followed(&index).unwrap();
    drop(index);
    let pack = format!(
        "title: t\ncreator: c\ncurrency: BTC\nsource: https://example.org\nconfidence: forensic\ntags:\n\
         - address: {address}\n  label: \"</script><b>Depot\"\n  category: exchange\n"
    );
    fs::write(at("pack.yaml"), pack).unwrap();
    let imported = run(["tags", "import", "--store", &at("tags"), &at("pack.yaml")]);
    assert_eq!(imported.status, 0, "{}{}", imported.out, imported.err);
    let args = ["trace", "--index", &at("index"), "--seed", &seed, "--method", "fifo"];
    let ran =
        run([&args[..], &["--report", &at("r.html"), "--pdf", &at("r.pdf"), "--tags", &at("tags")]].concat());
    assert_eq!(ran.status, 0, "{}", ran.err);
    let page = fs::read_to_string(at("r.html")).unwrap();
    assert!(page.contains("<bdi class=\"tag\">&lt;/script&gt;&lt;b&gt;Depot (exchange)</bdi>"));
    assert!(page.contains("class=\"box end unspent tagged\"") && !page.contains("<b>Depot"));
    let none = run([&args[..], &["--report", &at("r.html"), "--tags", &at("nothing")]].concat());
    assert_eq!(none.status, 2, "{}", none.err);
    assert!(none.err.contains("holds no store of tags, want a folder that"), "{}", none.err);
}

#[test]
fn what_cannot_be_reported_is_refused() {
    let heist = heist(5, 20);
    let check = |more: &[&str], want: &str| {
        let ran = run_report(&heist, more);
        assert_eq!(ran.status, 2, "{more:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(want), "{more:?}: {}", ran.err);
    };
    let pdf = heist.at("theft.pdf");
    check(&["--pdf", &pdf, "--pdf-font", &heist.at("nothing.ttf")], "nothing.ttf cannot be read");
    check(&["--pdf", &pdf, "--pdf-font", &heist.at("blocks/blk00000.dat")], "is no font that can be read");
    check(&["--pdf-font", &pdf], "--pdf <FILE.pdf>");
    let ran = run(["trace", "--report", &heist.at("theft.html")]);
    assert_eq!(ran.status, 2);
    let ran = run_report(&heist, &["--report", &heist.at("no/such/folder.html")]);
    assert_eq!(ran.status, 3, "{}", ran.err);
    assert!(ran.err.contains("cannot be written"), "{}", ran.err);
    let list = heist.at("list.jsonl");
    let more = ["--chain", "xem", "--seed", "a:0", "--method", "fifo", "--report", &pdf];
    let ran = run([&["trace", "--transfers", &list], &more[..]].concat());
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("list.jsonl: could not be opened"), "{}", ran.err);
}

/// A trace of two thefts with its report; the seeds are those of one theft, dealt out.
fn two_thefts(heist: &Heist, more: &[&str]) -> Ran {
    let index = heist.at("index");
    let seeds: Vec<String> =
        (0..).zip(&heist.seeds).map(|(n, seed)| format!("{}={seed}", ["first", "second"][n % 2])).collect();
    let mut args = vec!["trace", "--index", &index, "--seed"];
    args.extend(seeds.iter().map(String::as_str));
    args.extend(["--method", "fifo", "--stop", &heist.service, "--json"]);
    args.extend(more);
    run(args)
}

#[test]
fn several_thefts_are_told_apart_by_letters_colours_and_a_table() {
    let heist = heist(8, 60);
    assert!(heist.seeds.len() > 1);
    let (file, pdf) = (heist.at("two.html"), heist.at("two.pdf"));
    let ran = two_thefts(&heist, &["--report", &file, "--pdf", &pdf]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let page = fs::read_to_string(&file).unwrap();
    // Without scripts.
    for want in [
        "<b class=\"chip c0\">A</b> first",
        "<b class=\"chip c1\">B</b> second",
        "class=\"stripe c",
        "<tspan class=\"c1\">B</tspan>",
    ] {
        assert!(page.contains(want), "{want}");
    }
    if let Some(text) = told("pdftotext", &["-layout", &pdf, "-"]) {
        assert!(text.contains("By theft") && text.contains("A first") && text.contains("B second"), "{text}");
    }
    // One theft has none of this.
    let (_, plain) = reported(&heist, &[]);
    let plain = fs::read_to_string(plain).unwrap();
    assert!(
        !plain.contains("<b class=\"chip")
            && !plain.contains("class=\"stripe")
            && !plain.contains("id=\"thefts\"")
    );
}

#[test]
fn a_browser_tells_several_thefts_apart_as_the_page_does() {
    let Some(browser) = Browser::start() else { return };
    let heist = heist(8, 60);
    let file = heist.at("two.html");
    let found = two_thefts(&heist, &["--report", &file]).json();
    let stolen = |place: usize| found["cases"][place]["stolen_sat"].as_u64().unwrap();
    browser.open(&PathBuf::from(&file));
    assert_eq!(
        browser.run("return document.documentElement.dataset.ready + document.documentElement.dataset.same"),
        "truetrue"
    );
    let cells = browser.run(
        "return [...document.querySelectorAll('#thefts tbody tr')].map((row) => row.children[1].textContent)",
    );
    for place in 0..2 {
        assert_eq!(units(&cells[place]), stolen(place));
    }
    // What each has at the ends of the trace comes to its own totals, by every method, in the page's data.
    let sums = browser.run(
        "const data = JSON.parse(document.querySelector('#trace').textContent); \
         const at = (row, by) => BigInt(Array.isArray(row) ? row[by] : row); \
         return [0, 1].map((theft) => String(data.flows.reduce((sum, flow, place) => sum + (flow[2] < 0 && flow[3] === 1 \
         ? data.shares[place].filter(([of]) => of === theft).reduce((all, [, row]) => all + at(row, data.shown), 0n) : 0n), 0n)))",
    );
    for place in 0..2 {
        assert_eq!(sums[place].as_str().unwrap(), found["cases"][place]["unspent_sat"].to_string());
    }
    let drawn = browser.run(
        "return [document.querySelectorAll('path.stripe').length > 0, document.querySelectorAll('path.link.c0, path.link.c1').length > 0, \
         [...document.querySelectorAll('.whose')].some((text) => text.textContent === 'AB')]",
    );
    assert_eq!(drawn, json!([true, true, true]));
    // The panel names them.
    let panel = browser.run(
        "const box = [...document.querySelectorAll('g.box')].find((one) => one.querySelector('.whose')?.textContent === 'AB'); \
         box.dispatchEvent(new MouseEvent('click', { bubbles: true })); return document.querySelector('#chosen').textContent",
    );
    assert!(
        panel.as_str().unwrap().contains("A first ") && panel.as_str().unwrap().contains("B second "),
        "{panel}"
    );
    assert_eq!(browser.console(), json!([]));
}
