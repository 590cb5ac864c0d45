//! What people see at a terminal: their language, and that long work goes on.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{
    heist::{Heist, heist},
    run::{kuraban, run},
};

const LIST: &str = r#"{"transfers":1,"chain":"xem","opening":"stated"}
{"height":1,"position":0,"tx":"o","index":0,"asset":"xem","from":null,"to":"victim","amount":"100","kind":"opening"}
{"height":2,"position":0,"tx":"t","index":0,"asset":"xem","from":"victim","to":"thief","amount":"60","kind":"payment"}
{"height":2,"position":1,"tx":"u","index":0,"asset":"xem","from":"victim","to":"thief","amount":"40","kind":"payment"}
{"height":3,"position":0,"tx":"a","index":0,"asset":"xem","from":"thief","to":"exchange","amount":"70","kind":"payment"}
"#;

const PACK: &str = "title: T\ncreator: C\ntags:\n\
    - {address: 1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9w, label: thief, source: s, currency: BTC, confidence: forensic}\n\
    - {address: 1FmwHh6pgkf4meCMoqo8fHH3GNRF571f9x, label: thief, source: s, currency: BTC, confidence: forensic}\n";

/// Every command of the chase that speaks to people, with words of its Japanese.
fn commands(heist: &Heist) -> Vec<(Vec<String>, Vec<&'static str>)> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (index, blocks, bundle) = (heist.at("index"), heist.at("blocks"), heist.at("theft.bundle"));
    let (list, pack, store) = (heist.at("list.jsonl"), heist.at("pack.yaml"), heist.at("tags"));
    fs::write(&list, LIST).unwrap();
    fs::write(&pack, PACK).unwrap();
    let [one, two] = &*heist.seeds else { panic!("{:?}", heist.seeds) };
    let service = &heist.service;
    let trace = format!("trace --index {index}");
    vec![
        (
            words(format!(
                "{trace} --seed {one} --method haircut --intervals --all-methods --stop {service}"
            )),
            vec![
                "盗難総額",
                "停止先で保留",
                "方式ごと",
                "通過したミキシング",
                "の所在は確実です",
                "最小単位まで",
            ],
        ),
        (
            words(format!("{trace} --seed a={one} b={two} --method fifo --overlap each")),
            vec!["事件 a、起点 1 件", "事件 b", "それぞれの事件に数える"],
        ),
        (words(format!("{trace} --seed {one} --method poison")), vec!["数量を保存しない", "集計せず"]),
        (
            words(format!("{trace} --seed {one} --method fifo --bundle {bundle} --blocks {blocks}")),
            vec!["未使用の出力"],
        ),
        (words(format!("trace verify {bundle}")), vec!["検証しました", "証明束"]),
        (
            words(format!("trace origins {two} --index {index} --method fifo --hops 3")),
            vec!["の出所（fifo）", "件の取引を調べました"],
        ),
        (words(format!("cluster --index {index}")), vec!["クラスター", "大きい順"]),
        (words(format!("cluster --index {index} --of {service}")), vec!["と同じ保有者のもの 1 件"]),
        (words(format!("index stats --index {index}")), vec!["出力を使う入力"]),
        (
            words(format!(
                "trace --transfers {list} --chain xem --seed a=t:0 b=u:0 --method fifo --all-methods"
            )),
            vec!["xem の総額", "事件 a、xem", "盗難分を持つ口座", "口座が保有", "開始残高は明示"],
        ),
        (words(format!("tags verify {pack}")), vec!["タグ 1 件、不採用 1 件", "4 行目"]),
        (words(format!("tags import --store {store} {pack}")), vec!["のタグは 1 件です"]),
        (
            words(format!("tags screen --store {store} --chain btc 1BoatSLRHtKNngkdXEeobR76b53LETtpyT")),
            vec!["タグ 1 件の中に該当なし"],
        ),
    ]
}

#[test]
fn the_chase_speaks_japanese_where_it_is_asked_to_and_json_is_the_same() {
    let heist = heist(7, 5);
    for (args, wants) in commands(&heist) {
        let with = |more: &[&str]| run(args.iter().map(String::as_str).chain(more.iter().copied()));
        let japanese = with(&["--lang", "ja"]);
        assert!(japanese.status <= 1, "{args:?}: {}", japanese.err);
        for want in wants {
            assert!(japanese.out.contains(want), "{args:?}: {} lacks {want}", japanese.out);
        }
        let english = with(&[]);
        assert_eq!(english.status, japanese.status);
        // Marks of writing that English texts of this program have too.
        let foreign = english.out.chars().find(|c| ('\u{3000}'..'\u{ff00}').contains(c));
        assert_eq!(foreign, None, "{args:?}: {}", english.out);
        assert_eq!(with(&["--json", "--lang", "ja"]).out, with(&["--json"]).out, "{args:?}");
    }
}

/// What a terminal gets when a command runs on one; nothing where there is no program that makes terminals.
fn on_a_terminal(args: &[String]) -> Option<String> {
    let program = kuraban().get_program().to_str()?.to_owned();
    let line = core::iter::once(program.as_str()).chain(args.iter().map(String::as_str));
    let line = line.map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let ran = Command::new("script")
        .args(["-q", "-e", "-c", &format!("stty cols 100; {line} > /dev/null"), "/dev/null"])
        .stdin(Stdio::null())
        .output();
    match ran {
        Ok(ran) => Some(String::from_utf8_lossy(&ran.stdout).into_owned()),
        Err(problem) => {
            println!("skipped: script does not run: {problem}");
            None
        }
    }
}

#[test]
fn long_work_shows_on_a_terminal_that_it_goes_on_and_nowhere_else() {
    let heist = heist(7, 5);
    let mut shown = 0;
    for (args, _) in commands(&heist) {
        let Some(seen) = on_a_terminal(&args) else { return };
        shown += usize::from(seen.contains(['░', '█', '⠁']));
        let quiet = run(args.iter().map(String::as_str));
        assert_eq!(quiet.err, "", "{args:?}");
    }
    // All but those that are done at once: index stats, one screening, a pack's check.
    assert!(shown >= 8, "{shown}");
}
