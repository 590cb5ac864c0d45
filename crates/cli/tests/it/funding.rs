//! `kuraban funding` as its user meets it: the plan of 2024 adds up, and a plan that does not is said to be short.

use std::fs;

use serde_json::json;

use crate::run::{repository, run};

#[test]
fn the_plan_of_2024_bears_ten_per_cent_and_not_fifteen() {
    let plan = repository().join("examples/funding/dmm-2024.toml");
    let plan = plan.to_str().unwrap();
    let ran = run(["funding", "--json", plan]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json();
    // 4,502.9 × 10,704,213 = 48,200,000,717.7, rounded up; sources are 5 + 48 + 2 thousand million.
    let cases: Vec<_> = found["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| {
            ["rates", "sources", "needs", "left", "short"]
                .map(|field| case[field].as_str().unwrap().to_owned())
        })
        .collect();
    let all = "55000000000";
    let want = [
        ["0", all, "48200000718", "6799999282", "0"],
        ["-0.05", all, "45790000682", "9209999318", "0"],
        ["-0.1", all, "43380000646", "11619999354", "0"],
        ["-0.15", all, "40970000611", "14029999389", "0"],
        ["+0.05", all, "50610000754", "4389999246", "0"],
        ["+0.1", all, "53020000790", "1979999210", "0"],
        ["+0.15", all, "55430000826", "0", "430000826"],
    ];
    assert_eq!(cases, want);
    // 55,000,000,000 / 4,502.9.
    assert_eq!(found["bearable_rate"], "12214350.751737768993");
    let days: Vec<_> =
        found["cases"][0]["days"].as_array().unwrap().iter().map(|day| day["left"].clone()).collect();
    assert_eq!(days, [json!("5000000000"), json!("53000000000"), json!("55000000000"), json!("6799999282")]);
    let text = run(["funding", plan]).out;
    assert!(text.contains("The sources pay for coins at up to 12,214,350.751737768993 each."), "{text}");
    assert!(run(["--lang", "ja", "funding", plan]).out.contains("最大不足"));
}

#[test]
fn a_plan_that_is_short_is_an_answer_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.toml");
    let head = "name = \"a\"\ncurrency = \"JPY\"\nrounding = \"up\"\n";
    let check = |text: &str, status| {
        fs::write(&file, format!("{head}{text}")).unwrap();
        let ran = run(["funding", "--json", file.to_str().unwrap()]);
        assert_eq!(ran.status, status, "{}", ran.err);
        ran
    };
    let need = "[[need]]\ndate = \"2024-06-03\"\nwhat = \"x\"\namount = \"5\"\n";
    let late = "[[source]]\ndate = \"2024-06-04\"\nwhat = \"x\"\namount = \"5\"\n";
    let found = check(&format!("{need}{late}"), 1).json();
    let worst = json!({ "date": "2024-06-03", "sources": "0", "needs": "5", "left": "0", "short": "5" });
    assert_eq!((&found["cases"][0]["worst"], &found["cases"][0]["short"]), (&worst, &json!("0")));
    let ran = check("[[need]]\ndate = \"3 June\"\nwhat = \"x\"\namount = \"5\"\n", 2);
    assert!(ran.err.contains("need 1, date: \"3 June\", want a day such as 2024-06-03"), "{}", ran.err);
}
