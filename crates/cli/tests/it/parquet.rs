//! Tables in Parquet through the program: the same books, the same root, the same claims as from CSV; and nothing at all from a file
//! that is not in order.

use std::{fs, fs::File, path::Path, sync::Arc};

use parquet::{
    column::writer::ColumnWriter,
    data_type::ByteArray,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use serde_json::{Value, json};

use crate::run::{Ran, repository, run};

/// A column by its name.
enum Cells {
    Text(&'static [&'static str]),
    Maybe(&'static [Option<&'static str>]),
    Whole(&'static [i64]),
    /// Numbers with a mark that says what they are.
    Marked(&'static str, &'static [i64]),
    Float(&'static [f64]),
}

use Cells::{Float, Marked, Maybe, Text, Whole};

fn write(path: &Path, columns: &[(&str, Cells)]) {
    let fields: String = columns
        .iter()
        .map(|(name, cells)| match cells {
            Text(_) => format!("required binary {name} (UTF8); "),
            Maybe(_) => format!("optional binary {name} (UTF8); "),
            Whole(_) => format!("required int64 {name}; "),
            Marked(mark, _) => format!("required int64 {name} ({mark}); "),
            Float(_) => format!("required double {name}; "),
        })
        .collect();
    let schema = Arc::new(parse_message_type(&format!("message m {{ {fields} }}")).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let bytes = |text: &&str| ByteArray::from(text.as_bytes().to_vec());
    for (name, cells) in columns {
        let mut column = group.next_column().unwrap().unwrap();
        match (column.untyped(), cells) {
            (ColumnWriter::ByteArrayColumnWriter(to), Text(values)) => {
                to.write_batch(&values.iter().map(bytes).collect::<Vec<_>>(), None, None).unwrap()
            }
            (ColumnWriter::ByteArrayColumnWriter(to), Maybe(values)) => {
                let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                let values: Vec<ByteArray> = values.iter().flatten().map(bytes).collect();
                to.write_batch(&values, Some(&levels), None).unwrap()
            }
            (ColumnWriter::Int64ColumnWriter(to), Whole(values) | Marked(_, values)) => {
                to.write_batch(values, None, None).unwrap()
            }
            (ColumnWriter::DoubleColumnWriter(to), Float(values)) => {
                to.write_batch(values, None, None).unwrap()
            }
            (_, _) => panic!("{name} has another type than its cells"),
        };
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

/// A folder with the same holdings and the same journal twice.
struct Place(tempfile::TempDir);

const ENTRIES: &[&str] = &["d1", "d1", "d2", "d2", "t1", "t1"];
const TIMES: &[i64] = &[10_000, 10_000, 20_000, 20_000, 30_000, 30_000];
const ACCOUNTS: &[&str] = &["hot", "山田", "hot", "ann", "山田", "ann"];
const ASSETS: &[&str] = &["XEM", "XEM", "BTC", "BTC", "XEM", "XEM"];
const SIDES: &[&str] = &["debit", "credit", "debit", "credit", "debit", "credit"];
const AMOUNTS: &[&str] = &["600", "600", "0.5", "0.5", "100.5", "100.5"];

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let csv = "customer,asset,amount\n山田,XEM,499.5\nann,XEM,100.5\nann,BTC,0.5\n";
        fs::write(place.path("holdings.csv"), csv).unwrap();
        let customers = Text(&["山田", "ann", "ann"]);
        let (assets, amounts) = (Text(&["XEM", "XEM", "BTC"]), Text(&["499.5", "100.5", "0.5"]));
        let columns = [("customer", customers), ("asset", assets), ("amount", amounts)];
        write(Path::new(&place.path("holdings.parquet")), &columns);
        let rows = ENTRIES.iter().zip(TIMES).zip(ACCOUNTS).zip(ASSETS).zip(SIDES).zip(AMOUNTS);
        let rows: String = rows
            .map(|(((((entry, time), account), asset), side), amount)| {
                format!("{entry},{time},{account},{asset},{side},{amount}\n")
            })
            .collect();
        fs::write(place.path("journal.csv"), format!("entry,time,account,asset,side,amount\n{rows}"))
            .unwrap();
        place.journal("journal.parquet", Whole(TIMES), Text(ENTRIES));
        fs::write(place.path("seed"), "07".repeat(32)).unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn journal(&self, name: &str, times: Cells, entries: Cells) {
        let (accounts, assets) = (("account", Text(ACCOUNTS)), ("asset", Text(ASSETS)));
        let (sides, amounts) = (("side", Text(SIDES)), ("amount", Text(AMOUNTS)));
        let columns = [("entry", entries), ("time", times), accounts, assets, sides, amounts];
        write(Path::new(&self.path(name)), &columns);
    }

    fn import(&self, journal: &str, books: &str) -> Ran {
        let (journal, books) = (self.path(journal), self.path(books));
        run(["--json", "books", "import", "--own", "hot", "--journal", &journal, "--books", &books])
    }

    /// The root over holdings, or over books at their end.
    fn build(&self, from: [&str; 2], out: &str) -> Ran {
        let [option, file] = from;
        let (file, out, seed) = (self.path(file), self.path(out), self.path("seed"));
        let at = "1970-01-01T00:01:00Z";
        run([
            "--json",
            "liabilities",
            "build",
            option,
            &file,
            "--out",
            &out,
            "--seed",
            &seed,
            "--as-of",
            at,
            "--depth",
            "4",
        ])
    }
}

fn done(ran: &Ran) -> Value {
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    ran.json()
}

#[test]
fn parquet_and_csv_make_the_same_books_and_the_same_root() {
    let place = Place::new();
    let [csv, parquet] = ["csv", "parquet"].map(|form| {
        let books = format!("{form}.books");
        let imported = done(&place.import(&format!("journal.{form}"), &books));
        assert_eq!((&imported["entries"], &imported["rows"]), (&json!(3), &json!(6)));
        let again = done(&place.import(&format!("journal.{form}"), &books));
        assert_eq!((&again["entries"], &again["repeated"]), (&json!(0), &json!(3)));
        let (held, kept) = (place.path(&format!("{form}.held.csv")), place.path(&books));
        let at = ["--at", "1970-01-01T00:01:00Z", "--out", &held];
        done(&run(["--json", "books", "holdings", "--books", &kept].iter().chain(&at)));
        let of_file =
            done(&place.build(["--holdings", &format!("holdings.{form}")], &format!("{form}.tree")));
        let of_books = done(&place.build(["--books", &books], &format!("{form}.books.tree")));
        assert_eq!((&of_file["root"], &of_file["totals"]), (&of_books["root"], &of_books["totals"]));
        (imported["assets"].clone(), fs::read_to_string(held).unwrap(), of_file["root"].clone())
    });
    assert_eq!(csv, parquet);
    // What was taken in one form stands there in the other.
    let crossed = done(&place.import("journal.parquet", "csv.books"));
    assert_eq!((&crossed["entries"], &crossed["repeated"]), (&json!(0), &json!(3)));
    let root = csv.2.as_str().unwrap();
    let audit = |holdings: &str| {
        let (dir, holdings) = (place.path("csv.tree"), place.path(holdings));
        run(["--json", "liabilities", "audit", "--dir", &dir, "--holdings", &holdings, "--root", root])
    };
    assert_eq!(audit("holdings.parquet").status, 0);
    let (customers, assets) = (Text(&["山田", "ann", "ann"]), Text(&["XEM", "XEM", "BTC"]));
    let more = [
        ("customer", customers),
        ("asset", assets),
        ("units", Whole(&[499_500_000, 100_500_001, 50_000_000])),
    ];
    write(Path::new(&place.path("more.parquet")), &more);
    let ran = audit("more.parquet");
    assert_eq!((ran.status, &ran.json()["ok"]), (1, &json!(false)));
    let scheme = repository().join("examples/schemes/mtgox-2021.toml");
    let [csv, parquet] = ["csv", "parquet"].map(|form| {
        let (holdings, out) =
            (place.path(&format!("{form}.btc.{form}")), place.path(&format!("{form}.claims")));
        match form {
            "csv" => fs::write(&holdings, "customer,asset,amount\nann,BTC,0.5\n").unwrap(),
            _ => write(
                Path::new(&holdings),
                &[("customer", Text(&["ann"])), ("asset", Text(&["BTC"])), ("units", Whole(&[50_000_000]))],
            ),
        }
        let scheme = scheme.to_str().unwrap();
        let args =
            ["--json", "claims", "compute", "--holdings", &holdings, "--scheme", scheme, "--out", &out];
        done(&run(args));
        fs::read_to_string(format!("{out}/payments.csv")).unwrap()
    });
    assert_eq!(csv, parquet);
}

#[test]
fn parquet_that_is_not_in_order_makes_nothing() {
    let place = Place::new();
    let amounts = || ("amount", Text(&["1", "2"]));
    let two = || (("customer", Text(&["a", "b"])), ("asset", Text(&["XEM", "XEM"])));
    for (columns, want) in [
        ([two().0, two().1, ("amount", Float(&[1.0, 2.0]))], "column amount: is of type DOUBLE"),
        ([two().0, two().1, ("amount", Maybe(&[Some("1"), None]))], "row 2, column amount: is empty"),
        ([("customer", Maybe(&[None, Some("b")])), two().1, amounts()], "row 1, column customer: is empty"),
        ([two().0, two().1, ("units", Whole(&[1, -2]))], "row 2, column units: -2 is no whole number"),
        ([two().0, two().1, ("amount", Text(&["1", "-2"]))], "line 2, amount of XEM: -2 is negative"),
        ([two().0, two().1, ("amount", Text(&["1", "0.1234567"]))], "line 2, amount of XEM: 0.1234567 has 7"),
        ([two().0, ("asset", Text(&["XEM", "FOO"])), amounts()], "line 2, asset: \"FOO\" is not known"),
        ([("customer", Text(&["a", "a"])), two().1, amounts()], "line 2: a has XEM in line 1 already"),
        ([("kunde", Text(&["a", "b"])), two().1, amounts()], "there is no column \"customer\", only kunde"),
    ] {
        write(Path::new(&place.path("bad.parquet")), &columns);
        let ran = place.build(["--holdings", "bad.parquet"], "none");
        assert_eq!(ran.status, 2, "{want}: {}", ran.out);
        assert!(ran.err.contains(want), "{want}: {}", ran.err);
        assert!(!Path::new(&place.path("none")).exists(), "{want}");
    }
    let no_clock = "want text or a whole number; write times as RFC 3339 or as milliseconds since 1970";
    let empty = Maybe(&[Some("d1"), Some("d1"), Some("d2"), None, Some("t1"), Some("t1")]);
    for (times, entries, want) in [
        (Marked("TIMESTAMP_MILLIS", TIMES), Text(ENTRIES), no_clock),
        (Marked("TIMESTAMP(MICROS,true)", TIMES), Text(ENTRIES), no_clock),
        (Marked("TIMESTAMP(MILLIS,false)", TIMES), Text(ENTRIES), no_clock),
        // As many programs write instants unless they are told otherwise.
        (Marked("TIMESTAMP(NANOS,true)", TIMES), Text(ENTRIES), no_clock),
        (Whole(TIMES), empty, "row 4, column entry: is empty"),
        (Whole(&[10_000, 10_000, 20_000, 20_000, -1, -1]), Text(ENTRIES), "line 5: time: \"-1\""),
    ] {
        place.journal("bad.parquet", times, entries);
        let ran = place.import("bad.parquet", "none");
        assert_eq!(ran.status, 2, "{want}: {}", ran.out);
        assert!(ran.err.contains(want), "{want}: {}", ran.err);
        assert!(!Path::new(&place.path("none")).exists(), "{want}");
    }
    // Cut anywhere it is no Parquet file.
    let whole = fs::read(place.path("holdings.parquet")).unwrap();
    for length in (0..whole.len()).step_by(37) {
        fs::write(place.path("cut.parquet"), &whole[..length]).unwrap();
        let ran = place.build(["--holdings", "cut.parquet"], "none");
        assert_eq!(ran.status, 2, "{length}: {}", ran.out);
        assert!(!Path::new(&place.path("none")).exists(), "{length}");
    }
}
