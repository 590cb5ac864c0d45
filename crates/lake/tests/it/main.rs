//! Holdings from Parquet files of all types that have exact values, and refusals of those that have not.
#![cfg(test)]

use std::{fs, fs::File, path::Path, sync::Arc};

use kuraban_lake::{Columns, holdings};
use kuraban_ledger::{Assets, holdings::Holdings};
use parquet::{
    basic::{Compression, Encoding},
    column::writer::ColumnWriter,
    data_type::{ByteArray, FixedLenByteArray},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

enum Cells<'a> {
    Text(&'a [&'a str]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Fixed(&'a [&'a [u8]]),
    Double(&'a [f64]),
    /// Optional text.
    Maybe(&'a [Option<&'a str>]),
}

fn write(path: &Path, schema: &str, columns: &[Cells<'_>], compression: Compression) {
    let schema = Arc::new(parse_message_type(&format!("message m {{ {schema} }}")).unwrap());
    let properties = WriterProperties::builder().set_compression(compression).set_encoding(Encoding::PLAIN);
    let mut writer =
        SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties.build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for cells in columns {
        let mut column = group.next_column().unwrap().unwrap();
        let bytes = |text: &&str| ByteArray::from(text.as_bytes().to_vec());
        match (column.untyped(), cells) {
            (ColumnWriter::ByteArrayColumnWriter(to), Cells::Text(values)) => {
                to.write_batch(&values.iter().map(bytes).collect::<Vec<_>>(), None, None).unwrap()
            }
            (ColumnWriter::ByteArrayColumnWriter(to), Cells::Maybe(values)) => {
                let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                to.write_batch(&values.iter().flatten().map(bytes).collect::<Vec<_>>(), Some(&levels), None)
                    .unwrap()
            }
            (ColumnWriter::Int32ColumnWriter(to), Cells::Int32(values)) => {
                to.write_batch(values, None, None).unwrap()
            }
            (ColumnWriter::Int64ColumnWriter(to), Cells::Int64(values)) => {
                to.write_batch(values, None, None).unwrap()
            }
            (ColumnWriter::DoubleColumnWriter(to), Cells::Double(values)) => {
                to.write_batch(values, None, None).unwrap()
            }
            (ColumnWriter::FixedLenByteArrayColumnWriter(to), Cells::Fixed(values)) => {
                let fixed = |bytes: &&[u8]| FixedLenByteArray::from(ByteArray::from(bytes.to_vec()));
                to.write_batch(&values.iter().map(fixed).collect::<Vec<_>>(), None, None).unwrap()
            }
            (_, _) => panic!("a column of another type than its cells"),
        };
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

fn read(schema: &str, columns: &[Cells<'_>]) -> Result<Holdings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holdings.parquet");
    write(&path, schema, columns, Compression::SNAPPY);
    open(&path)
}

fn open(path: &Path) -> Result<Holdings, String> {
    holdings(path, &Columns::default(), &Assets::default(), &mut |_, _| ()).map_err(|error| error.to_string())
}

fn shown(holdings: &Holdings) -> Vec<(String, &str, u128)> {
    let row = |row: kuraban_ledger::holdings::Holding<'_>| {
        (holdings.customer(row.customer).to_owned(), holdings.assets().code(row.asset), row.units.units())
    };
    holdings.iter().map(row).collect()
}

const NAMES: &str = "required binary customer (UTF8); required binary asset (UTF8);";
const CUSTOMERS: Cells<'_> = Cells::Text(&["b", "a"]);
const ASSETS: Cells<'_> = Cells::Text(&["XEM", "BTC"]);

#[test]
fn every_type_with_exact_values_is_read() {
    let want = vec![("a".to_owned(), "BTC", 150_000_000), ("b".to_owned(), "XEM", 7_000_000)];
    let check = |amount: &str, cells: Cells<'_>| {
        let holdings = read(&format!("{NAMES} {amount}"), &[CUSTOMERS, ASSETS, cells]).unwrap();
        assert_eq!(shown(&holdings), want, "{amount}");
    };
    check("required binary amount (UTF8);", Cells::Text(&["7", "1.5"]));
    check("optional binary amount (UTF8);", Cells::Maybe(&[Some("7.000000"), Some("1.5")]));
    check("required int32 amount (DECIMAL(9,1));", Cells::Int32(&[70, 15]));
    check("required int64 amount (DECIMAL(18,2));", Cells::Int64(&[700, 150]));
    check(
        "required fixed_len_byte_array(3) amount (DECIMAL(5,1));",
        Cells::Fixed(&[&[0, 0, 70], &[0, 0, 15]]),
    );
    check("required int64 units;", Cells::Int64(&[7_000_000, 150_000_000]));
    check("required int64 units (UINT_64);", Cells::Int64(&[7_000_000, 150_000_000]));
    check("required binary units (UTF8);", Cells::Text(&["7000000", "150000000"]));
}

#[test]
fn whole_numbers_are_customers_too_and_large_ones_have_no_sign() {
    let schema = "required int64 customer; required binary asset (UTF8); required int64 units (UINT_64);";
    let holdings = read(schema, &[Cells::Int64(&[10, 9]), ASSETS, Cells::Int64(&[-1, 1])]).unwrap();
    let want = vec![("10".to_owned(), "XEM", u128::from(u64::MAX)), ("9".to_owned(), "BTC", 1)];
    assert_eq!(shown(&holdings), want);
}

#[test]
fn what_is_not_exact_or_not_there_is_refused_by_row_and_column() {
    let check = |schema: &str, columns: &[Cells<'_>], want: &str| {
        let problem = read(schema, columns).unwrap_err();
        assert!(problem.contains(want), "{problem}");
    };
    let amount = |amount: &str| format!("{NAMES} {amount}");
    check(
        &amount("required double amount;"),
        &[CUSTOMERS, ASSETS, Cells::Double(&[7.0, 1.5])],
        "column amount: is of type DOUBLE NONE, want text, a whole number or a decimal",
    );
    check(
        &amount("optional binary amount (UTF8);"),
        &[CUSTOMERS, ASSETS, Cells::Maybe(&[Some("7"), None])],
        "row 2, column amount: is empty",
    );
    check(
        &amount("required int64 units;"),
        &[CUSTOMERS, ASSETS, Cells::Int64(&[7, -1])],
        "row 2, column units: -1 is no whole number",
    );
    check(
        &amount("required binary amount (UTF8);"),
        &[CUSTOMERS, ASSETS, Cells::Text(&["7", "-1"])],
        "line 2, amount of BTC: -1 is negative",
    );
    check(NAMES, &[CUSTOMERS, ASSETS], "has none of the columns \"amount\" and \"units\"");
    check(
        "required binary kunde (UTF8); required binary asset (UTF8); required int64 units;",
        &[CUSTOMERS, ASSETS, Cells::Int64(&[1, 1])],
        "there is no column \"customer\", only kunde, asset, units",
    );
}

#[test]
fn damaged_files_are_errors_at_every_truncation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holdings.parquet");
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())]
    {
        write(
            &path,
            &format!("{NAMES} required int64 units;"),
            &[CUSTOMERS, ASSETS, Cells::Int64(&[7, 1])],
            compression,
        );
        assert_eq!(open(&path).unwrap().rows(), 2);
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(open(&path).is_err(), "{end} bytes");
        }
    }
    assert!(open(&folder.path().join("none.parquet")).unwrap_err().contains("could not be opened"));
}

#[test]
fn rows_of_any_columns_are_handed_on_with_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.parquet");
    let schema = "required binary entry (UTF8); required int64 time; required int32 amount (DECIMAL(9,2));";
    let cells = [Cells::Text(&["e1", "e2"]), Cells::Int64(&[0, 1_717_128_720_000]), Cells::Int32(&[150, 1])];
    write(&path, schema, &cells, Compression::UNCOMPRESSED);
    let mut found = Vec::new();
    let columns = [("entry", true), ("time", true), ("amount", false), ("memo", false)];
    kuraban_lake::rows::<4, kuraban_lake::LakeError>(&path, columns, &mut |_, _| (), |row, values| {
        found.push((row, values.map(|value| value.map(str::to_owned))));
        Ok(())
    })
    .unwrap();
    let want = |row, texts: [&str; 3]| {
        (row, [Some(texts[0].to_owned()), Some(texts[1].to_owned()), Some(texts[2].to_owned()), None])
    };
    assert_eq!(found, [want(1, ["e1", "0", "1.5"]), want(2, ["e2", "1717128720000", "0.01"])]);
    let missing =
        kuraban_lake::rows::<1, kuraban_lake::LakeError>(&path, [("side", true)], &mut |_, _| (), |_, _| {
            Ok(())
        });
    assert!(missing.unwrap_err().to_string().starts_with("there is no column \"side\""));
}

#[test]
fn a_group_of_any_length_is_read_to_its_end_and_rows_keep_their_numbers() {
    // One more than twice what is read at once.
    const ROWS: usize = 2 * 65_536 + 1;
    let names: Vec<String> = (0..ROWS).map(|number| format!("{number:06}")).collect();
    let units: Vec<i64> = (0..).take(ROWS).collect();
    let schema = "optional binary customer (UTF8); required binary asset (UTF8); required int64 units;";
    let assets = vec!["BTC"; ROWS];
    let found = |empty: Option<usize>| {
        let mut customers: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        empty.into_iter().for_each(|row| customers[row - 1] = None);
        read(schema, &[Cells::Maybe(&customers), Cells::Text(&assets), Cells::Int64(&units)])
    };
    let whole = found(None).unwrap();
    assert_eq!(whole.customers(), ROWS);
    let sum: u128 = whole.iter().map(|row| row.units.units()).sum();
    assert_eq!(sum, (0..ROWS).map(|units| u128::try_from(units).unwrap()).sum());
    for row in [1, 65_536, 65_537, ROWS] {
        let want = format!("row {row}, column customer: is empty");
        assert_eq!(found(Some(row)).err(), Some(want));
    }
}

/// A damaged or forged footer may make a file unreadable; it never makes customers disappear.
#[test]
fn no_change_of_a_files_footer_drops_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holdings.parquet");
    let columns =
        [Cells::Text(&["a", "b", "c"]), Cells::Text(&["BTC", "BTC", "BTC"]), Cells::Int64(&[1, 2, 3])];
    let schema = "required binary customer (UTF8); required binary asset (UTF8); required int64 units;";
    write(&path, schema, &columns, Compression::UNCOMPRESSED);
    let whole = fs::read(&path).unwrap();
    assert_eq!(open(&path).unwrap().customers(), 3);
    // The footer's length stands in four bytes before the last four.
    let length: [u8; 4] = whole[whole.len() - 8..whole.len() - 4].try_into().unwrap();
    let begin = whole.len() - 8 - usize::try_from(u32::from_le_bytes(length)).unwrap();
    let mut read = 0;
    for at in begin..whole.len() {
        for other in [0, 1, 2, 3, 4, 5, 6, 8, 0x7f, 0xff] {
            let mut changed = whole.clone();
            changed[at] = other;
            fs::write(&path, &changed).unwrap();
            if let Ok(found) = open(&path) {
                assert_eq!(found.customers(), 3, "byte {} of the footer is {other}", at - begin);
                read += 1;
            }
        }
    }
    assert!(read > 0);
}
