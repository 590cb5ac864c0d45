//! Customers and balances in Parquet files. Decides which values of a column can stand for a name or an exact amount; a floating
//! point number never can. What the rows mean is the ledger's.

mod column;

use std::{
    borrow::Cow,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use kuraban_ledger::{
    Assets,
    holdings::{Builder, Holdings, HoldingsError, RawRow, Written},
};
use parquet::{
    errors::ParquetError,
    file::reader::{FileReader as _, SerializedFileReader},
    schema::types::SchemaDescPtr,
};

pub use column::ColumnError;
use column::{Column, Place};

/// Rows that are read at once. A few bytes of a file may stand for as many rows as somebody likes; what they come to is judged row by
/// row before more are read.
const ROWS_AT_ONCE: usize = 64 * 1024;

/// What the columns are called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Columns {
    /// Whose: text or whole numbers.
    pub customer: String,
    /// Of what: text.
    pub asset: String,
    /// How much in whole coins: text, decimals or whole numbers. This or the next.
    pub amount: String,
    /// How much in base units.
    pub units: String,
    /// What kind of customer, if there is such a column.
    pub group: String,
    /// Where the coins lay, if there is such a column.
    pub vault: String,
}

impl Default for Columns {
    fn default() -> Self {
        let [customer, asset, amount, units, group, vault] =
            ["customer", "asset", "amount", "units", "group", "vault"].map(str::to_owned);
        Self { customer, asset, amount, units, group, vault }
    }
}

/// Why a file's holdings are not taken. Rows are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// No file, or not one that can be read.
    #[error("could not be opened")]
    Open(#[source] std::io::Error),
    /// Not Parquet, or damaged.
    #[error("is no readable Parquet file")]
    Parquet(#[from] ParquetError),
    /// A column that is missing, or that there are two of.
    #[error("there is no column {want:?}, only {has}; name it with --column")]
    Missing {
        /// What was looked for.
        want: String,
        /// What there is.
        has: String,
    },
    /// Both amounts, or none.
    #[error("has {found} of the columns {amount:?} and {units:?}, want one of them")]
    Amounts {
        /// None or both.
        found: &'static str,
        /// The column of whole coins.
        amount: String,
        /// The column of base units.
        units: String,
    },
    /// No number of rows.
    #[error("a row group has {found} rows: the file is damaged")]
    Group {
        /// How many.
        found: i64,
    },
    /// Other rows than the file says that it has.
    #[error("its groups have {found} rows together, its footer says {want}: the file is damaged")]
    Rows {
        /// How many.
        found: u64,
        /// What the footer says.
        want: i64,
    },
    /// A value that stands for nothing.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// Rows that are no holdings. Their lines are rows.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
}

/// The holdings of a Parquet file, in `assets`; tells `progress` how many rows of how many it has read.
///
/// # Errors
/// A file that is not Parquet or is damaged, columns that are missing or of a type without exact values, empty values, and rows
/// that are no holdings.
pub fn holdings(
    path: &Path,
    columns: &Columns,
    assets: &Assets,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Holdings, LakeError> {
    let table = Table::open(path)?;
    let (customer, asset) = (table.must(&columns.customer)?, table.must(&columns.asset)?);
    let amounts = |found| {
        let (amount, units) = (columns.amount.clone(), columns.units.clone());
        LakeError::Amounts { found, amount, units }
    };
    let (amount, in_coins) = match (table.place(&columns.amount)?, table.place(&columns.units)?) {
        (Some(coins), None) => (coins, true),
        (None, Some(units)) => (units, false),
        (Some(_), Some(_)) => return Err(amounts("both")),
        (None, None) => return Err(amounts("none")),
    };
    let places = [
        Some(amount),
        Some(customer),
        Some(asset),
        table.place(&columns.group)?,
        table.place(&columns.vault)?,
    ];
    let mut builder = Builder::new(assets.clone());
    table.each(&places, progress, |line, texts| {
        let [amount, customer, asset, group, vault] = texts.map(Option::unwrap_or_default);
        let amount = match in_coins {
            true => Written::Coins(amount),
            false => Written::Units(column::whole(amount, line, &columns.units)?),
        };
        builder.push(RawRow { line, customer, asset, amount, group, vault }).map_err(LakeError::from)
    })?;
    Ok(builder.finish()?)
}

/// Hands each row on, with its number from 1 and the values of `columns`, each a name and whether it must be there; a column that
/// the file does not have is none. Tells `progress` how many rows of how many it has read.
///
/// # Errors
/// As [`holdings`], and what `take` refuses.
pub fn rows<const N: usize, E: From<LakeError>>(
    path: &Path,
    columns: [(&str, bool); N],
    progress: &mut dyn FnMut(u64, u64),
    take: impl FnMut(u64, [Option<&str>; N]) -> Result<(), E>,
) -> Result<(), E> {
    let table = Table::open(path)?;
    let mut places = [const { None }; N];
    for (to, (name, must)) in places.iter_mut().zip(columns) {
        *to = if must { Some(table.must(name)?) } else { table.place(name)? };
    }
    table.each(&places, progress, take)
}

/// An open file.
struct Table {
    reader: SerializedFileReader<File>,
    schema: SchemaDescPtr,
}

impl Table {
    fn open(path: &Path) -> Result<Self, LakeError> {
        let file = File::open(path).map_err(LakeError::Open)?;
        let reader = unharmed(|| Ok(SerializedFileReader::new(file)?))?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        Ok(Self { reader, schema })
    }

    /// Where a column stands, if there is one of this name.
    fn place(&self, name: &str) -> Result<Option<Place>, LakeError> {
        Place::find(&self.schema, name)
    }

    /// Where a column stands that must be there.
    fn must(&self, name: &str) -> Result<Place, LakeError> {
        let missing = || LakeError::Missing { want: name.to_owned(), has: column::names(&self.schema) };
        self.place(name)?.ok_or_else(missing)
    }

    /// Hands each row on, with its number from 1 and its values in these columns.
    fn each<const N: usize, E: From<LakeError>>(
        &self,
        places: &[Option<Place>; N],
        progress: &mut dyn FnMut(u64, u64),
        mut take: impl FnMut(u64, [Option<&str>; N]) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = self.reader.metadata().file_metadata().num_rows();
        let all = u64::try_from(rows).unwrap_or_default();
        let mut row = 0_u64;
        for group in 0..self.reader.num_row_groups() {
            let group = unharmed(|| Ok(self.reader.get_row_group(group)?))?;
            let found = group.metadata().num_rows();
            let end = u64::try_from(found).ok().and_then(|count| row.checked_add(count));
            let end = end.ok_or(LakeError::Group { found })?;
            let mut readers = [const { None }; N];
            for (to, place) in readers.iter_mut().zip(places) {
                *to = place.as_ref().map(|place| unharmed(|| place.open(group.as_ref()))).transpose()?;
            }
            while row < end {
                let count = usize::try_from(end.saturating_sub(row)).unwrap_or(usize::MAX).min(ROWS_AT_ONCE);
                let mut read = [const { None }; N];
                for (to, reader) in read.iter_mut().zip(&mut readers) {
                    *to = reader.as_mut().map(|reader| unharmed(|| reader.read(count, row))).transpose()?;
                }
                for at in 0..count {
                    row = row.saturating_add(1);
                    let mut texts: [Option<Cow<'_, str>>; N] = [const { None }; N];
                    for (to, column) in texts.iter_mut().zip(&read) {
                        let text = column.as_ref().map(|column: &Column| column.text(at)).transpose();
                        *to = text.map_err(LakeError::from)?;
                    }
                    take(row, texts.each_ref().map(Option::as_deref))?;
                }
                progress(row, all);
            }
            for reader in readers.into_iter().flatten() {
                unharmed(|| reader.end())?;
            }
        }
        // A footer that contradicts itself may have lost whole groups.
        if i64::try_from(row) == Ok(rows) {
            Ok(())
        } else {
            Err(LakeError::Rows { found: row, want: rows }.into())
        }
    }
}

/// Runs what reads bytes from outside: the library panics on some that are damaged. Nothing outlives the call that could be left half
/// done.
fn unharmed<T>(read: impl FnOnce() -> Result<T, LakeError>) -> Result<T, LakeError> {
    let damaged = || ParquetError::General("it contradicts itself".to_owned()).into();
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged()))
}
