//! `kuraban claims` as its user meets it: CSV in two encodings and Parquet, results that are whole or not there, errors that say where.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::run::{Ran, repository, run};

fn claims(args: &[&str]) -> Ran {
    run(["claims"].iter().chain(args))
}

fn scheme(name: &str) -> String {
    repository().join("examples/schemes").join(name).to_str().unwrap().to_owned()
}

fn compute(folder: &Path, holdings: &[u8], scheme: &str, more: &[&str]) -> Ran {
    let (file, out) = (folder.join("holdings.csv"), folder.join("out"));
    fs::write(&file, holdings).unwrap();
    let (file, out) = (file.to_str().unwrap(), out.to_str().unwrap());
    claims(&[&["compute", "--json", "--holdings", file, "--scheme", scheme, "--out", out], more].concat())
}

#[test]
fn coincheck_is_computed_to_the_yen_and_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "customer,asset,amount\nb,XEM,200000000.5\na,XEM,322999999.5\nc,XEM,0\n";
    let ran = compute(folder.path(), rows.as_bytes(), &scheme("coincheck-2018.toml"), &[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json();
    assert_eq!(found["customers"], 3);
    assert_eq!((&found["currency"], &found["total"]), (&json!("JPY"), &json!(46_311_127_000_u64)));
    let by_asset = json!([{
        "asset": "XEM", "units": 523_000_000_000_000_u64, "rate": "88.549", "amount": 46_311_127_000_u64, "in_kind_units": 0
    }]);
    assert_eq!(found["by_asset"], by_asset);
    let rounding =
        json!({ "rule": "half-up", "borne_by": "operator", "exact": "46311127000", "difference": "0" });
    assert_eq!(found["rounding"], rounding);
    let out = folder.path().join("out");
    let payments = fs::read_to_string(out.join("payments.csv")).unwrap();
    // 322,999,999.5 × 88.549 = 28,601,326,955.7255 and 200,000,000.5 × 88.549 = 17,709,800,044.2745.
    let want = "customer,claim,base,rest,capped,below_minimum,cash\n\
                a,28601326956,0,0,0,0,28601326956\nb,17709800044,0,0,0,0,17709800044\nc,0,0,0,0,0,0\n";
    assert_eq!(payments, want);
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary, found);
    // A second time the folder is in the way, and stays as it is.
    let again = compute(folder.path(), rows.as_bytes(), &scheme("coincheck-2018.toml"), &[]);
    assert_eq!(again.status, 2);
    assert!(again.err.contains("exists already"), "{}", again.err);
}

/// "口座番号,通貨,数量" and a name in Shift_JIS, bytes as Windows writes them.
#[test]
fn back_offices_write_shift_jis_and_other_headers() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = b"\x8c\xfb\x8d\xc0\x94\xd4\x8d\x86,\x92\xca\x89\xdd,\x90\x94\x97\xca\r\n".to_vec();
    file.extend(b"\x8eR\x93c,BTC,1.5\r\n");
    let columns = ["--column", "customer=口座番号", "--column", "asset=通貨", "--column", "amount=数量"];
    let shift_jis = [&columns[..], &["--encoding", "shift_jis"]].concat();
    let ran = compute(folder.path(), &file, &scheme("dmm-2024.toml"), &shift_jis);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let table = fs::read_to_string(folder.path().join("out/in-kind.csv")).unwrap();
    assert_eq!(table, "customer,asset,amount\n山田,BTC,1.5\n");
    let folder = tempfile::tempdir().unwrap();
    let ran = compute(folder.path(), &file, &scheme("dmm-2024.toml"), &columns);
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("line 1, field 1: byte 1 is not utf-8; if the whole file is shift_jis"),
        "{}",
        ran.err
    );
    // One row in UTF-8 among them: 山 is e5 b1 b1, of which b1 e5 begins a pair that ends nowhere.
    file.extend("田中太郎,BTC,1\r\n".as_bytes());
    let ran = compute(folder.path(), &file, &scheme("dmm-2024.toml"), &shift_jis);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("line 3, field 1"), "{}", ran.err);
    // 顧客 in UTF-8 is 鬘ｧ螳｢ in Shift_JIS: another customer, and no error of the encoding.
    let mut file = b"customer,asset,amount\r\n\x8eR\x93c,BTC,1.5\r\n".to_vec();
    file.extend("顧客,BTC,1\r\n".as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let shift_jis = ["--encoding", "shift_jis"];
    let ran = compute(folder.path(), &file, &scheme("dmm-2024.toml"), &shift_jis);
    assert_eq!(ran.status, 2, "{}", ran.out);
    assert!(ran.err.contains("line 3, field 1: is utf-8 for \"顧客\" in a file of shift_jis"), "{}", ran.err);
    // Kana of half a width, two of which are a letter in UTF-8 too, stay what they are.
    let file = b"customer,asset,amount\r\n\xc6\xb1,BTC,1.5\r\n";
    let ran = compute(folder.path(), file, &scheme("dmm-2024.toml"), &shift_jis);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let table = fs::read_to_string(folder.path().join("out/in-kind.csv")).unwrap();
    assert_eq!(table, "customer,asset,amount\nﾆｱ,BTC,1.5\n");
}

#[test]
fn bad_tables_are_refused_with_line_and_field_and_leave_nothing() {
    let long = format!("customer,asset,amount\n\"{}", "x".repeat(100_000));
    for (rows, want) in [
        ("", "is empty, want a first line with the names of the columns"),
        ("customer,asset\na,BTC\n", "has neither a column amount nor units"),
        ("customer,asset,amount,units\na,BTC,1,1\n", "has both amount and units"),
        (
            "kunde,asset,amount\na,BTC,1\n",
            "line 1: there is no column \"customer\", only kunde, asset, amount",
        ),
        ("customer,asset,amount\n", "has no rows"),
        ("customer,asset,amount\na,BTC,1,9\n", "line 2: has 4 fields, want 3 as in line 1"),
        ("customer,asset,amount\na,BTC,1\nb,BTC\n", "line 3: has 2 fields, want 3 as in line 1"),
        ("customer,asset,amount\na,BTC,1\nb,BTC,-1\n", "line 3, amount of BTC: -1 is negative"),
        ("customer,asset,amount\na,BTC,1\na,BTC,2\n", "line 3: a has BTC in line 2 already"),
        ("customer,asset,amount\na,XYZ,1\n", "line 2, asset: \"XYZ\" is not known"),
        ("customer,asset,amount\na,BTC,0.123456789\n", "has 9 decimals, want at most 8"),
        ("customer,asset,units\na,BTC,1.5\n", "line 2: units: 1.5 has 1 decimals, want at most 0"),
        ("customer,asset,amount\na,XRP,1\n", "line 2: the scheme does not say what is paid for XRP"),
        ("customer,asset,amount\na,BTC,1\n\u{0}\u{0},,\n", "line 3, customer"),
        (long.as_str(), "a record is longer than 65536 bytes; is a quote not closed?"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ran = compute(folder.path(), rows.as_bytes(), &scheme("dmm-2024.toml"), &[]);
        assert_eq!(ran.status, 2, "{rows:.80}: {}", ran.err);
        assert!(ran.err.contains(want), "{rows:.80}: {}", ran.err);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn fills_and_refunds_are_read_beside_the_holdings() {
    let folder = tempfile::tempdir().unwrap();
    let (fills, refunds) = (folder.path().join("fills.csv"), folder.path().join("refunds.csv"));
    fs::write(&fills, "customer,asset,side,amount,price\na,BTC,buy,0.5,1200001\na,ETH,sell,2,24400.25\n")
        .unwrap();
    fs::write(&refunds, "customer,kind,amount\na,swap-point,3\n").unwrap();
    let more = ["--fills", fills.to_str().unwrap(), "--refunds", refunds.to_str().unwrap()];
    let ran =
        compute(folder.path(), b"customer,asset,amount\na,XRP,5\n", &scheme("bitpoint-2019.toml"), &more);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json();
    assert_eq!(
        (&found["fills"], &found["refunds"], &found["total"]),
        (&json!(25_200), &json!(3), &json!(25_203))
    );
    fs::write(&fills, "customer,asset,side,amount,price\na,BTC,bought,0.5,1200001\n").unwrap();
    let ran = compute(
        &tempfile::tempdir().unwrap().keep(),
        b"customer,asset,amount\na,XRP,5\n",
        &scheme("bitpoint-2019.toml"),
        &more,
    );
    assert!(ran.err.contains("line 2: side: \"bought\", want buy or sell"), "{}", ran.err);
    // Each problem is said to be in the table where it is.
    for (fill, refund, want) in [
        ("b,BTC,buy,1,1200001", "a,swap-point,3", "fills.csv: line 2: \"b\" is not among the holdings"),
        ("a,LTC,buy,1,9000", "a,swap-point,3", "fills.csv: line 2: the scheme has no fair price of LTC"),
        ("a,BTC,buy,1,1200001", "b,swap-point,3", "refunds.csv: line 2: \"b\" is not among the holdings"),
        ("a,BTC,buy,1,1200001", "a,lunch,3", "refunds.csv: line 2: the scheme does not refund \"lunch\""),
    ] {
        fs::write(&fills, format!("customer,asset,side,amount,price\n{fill}\n")).unwrap();
        fs::write(&refunds, format!("customer,kind,amount\n{refund}\n")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let rows = b"customer,asset,amount\na,XRP,5\n";
        let ran = compute(folder.path(), rows, &scheme("bitpoint-2019.toml"), &more);
        assert_eq!(ran.status, 2, "{want}: {}", ran.out);
        assert!(ran.err.contains(want), "{want}: {}", ran.err);
    }
}

/// 60 % of 10.00000001 is 6.000000006, of 1.00000001 is 0.600000006.
#[test]
fn coins_are_rounded_one_customer_at_a_time_and_the_difference_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let rows =
        b"customer,asset,amount,group\na,MONA,10.00000001,agrees\nb,MONA,1.00000001,agrees\nc,BTC,1,agrees\n";
    let ran = compute(folder.path(), rows, &scheme("zaif-2018.toml"), &[]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json()["by_asset"].clone();
    let of = |asset: &str| {
        let found = found.as_array().unwrap().iter().find(|total| total["asset"] == asset).unwrap();
        found["in_kind_rounding"].as_str().unwrap().to_owned()
    };
    assert_eq!([of("MONA"), of("BTC")], ["0.000000008", "0"]);
}

#[test]
fn schemes_are_laid_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (holdings, other) = (folder.path().join("holdings.csv"), folder.path().join("other.toml"));
    fs::write(&holdings, "customer,asset,amount\na,XEM,1000\nb,XEM,0.001\n").unwrap();
    let text = fs::read_to_string(scheme("coincheck-2018.toml")).unwrap();
    fs::write(&other, text.replace("88.549", "110.2")).unwrap();
    let (holdings, other) = (holdings.to_str().unwrap(), other.to_str().unwrap());
    let ran = claims(&[
        "compare",
        "--json",
        "--holdings",
        holdings,
        "--scheme",
        &scheme("coincheck-2018.toml"),
        "--scheme",
        other,
    ]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let found = ran.json();
    let totals: Vec<&Value> =
        found["schemes"].as_array().unwrap().iter().map(|scheme| &scheme["total"]).collect();
    assert_eq!(totals, [88_549, 110_200]);
    let second = &found["schemes"][1];
    assert_eq!(
        (&second["customers_with_more_cash"], &second["customers_with_less_cash"]),
        (&json!(1), &json!(0))
    );
    // Both have one name; what tells them apart is the file, and what is paid in coins is told.
    let two = [scheme("zaif-2018.toml"), scheme("zaif-2018.toml")];
    let held = folder.path().join("zaif.csv");
    fs::write(&held, "customer,asset,amount,group\na,MONA,1000.55,agrees\n").unwrap();
    let held = held.to_str().unwrap();
    let ran = claims(&["compare", "--holdings", held, "--scheme", &two[0], "--scheme", &two[1]]);
    assert_eq!(ran.out.matches("zaif-2018.toml").count(), 2, "{}", ran.out);
    assert_eq!(ran.out.matches("600.33 MONA").count(), 2, "{}", ran.out);
}

/// At another instant others hold something, and everybody stands in another place.
#[test]
fn customers_of_two_instants_are_compared_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let journal = "entry,time,account,asset,side,amount\n\
        1,10000,hot,XEM,debit,30\n1,10000,b,XEM,credit,10\n1,10000,c,XEM,credit,20\n\
        2,20000,c,XEM,debit,20\n2,20000,a,XEM,credit,15\n2,20000,b,XEM,credit,5\n";
    fs::write(path("journal.csv"), journal).unwrap();
    let (kept, rows) = (path("books"), path("journal.csv"));
    let ran = run(["books", "import", "--own", "hot", "--books", &kept, "--journal", &rows]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let text = fs::read_to_string(scheme("coincheck-2018.toml")).unwrap();
    for (name, second) in [("early.toml", 10), ("late.toml", 20)] {
        fs::write(path(name), format!("as_of = \"1970-01-01T00:00:{second}Z\"\n{text}")).unwrap();
    }
    let (early, late) = (path("early.toml"), path("late.toml"));
    let ran = claims(&["compare", "--json", "--books", &kept, "--scheme", &early, "--scheme", &late]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let second = &ran.json()["schemes"][1];
    // a and b have more, c has nothing left.
    assert_eq!(
        (&second["customers_with_more_cash"], &second["customers_with_less_cash"]),
        (&json!(2), &json!(1))
    );
}
