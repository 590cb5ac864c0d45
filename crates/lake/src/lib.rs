//! Customers and balances in Parquet files. Decides which values of a column can stand for a name or an exact amount; a floating
//! point number never can. What the rows mean is the ledger's.

mod column;

use std::{borrow::Cow, fs::File, path::Path};

use kuraban_ledger::{
    Assets,
    holdings::{Builder, Holdings, HoldingsError, RawRow, Written},
};
use parquet::{
    errors::ParquetError,
    file::reader::{FileReader as _, RowGroupReader, SerializedFileReader},
};

pub use column::ColumnError;
use column::{Column, Place};

/// Most rows that one group of a file may have: a group is read as a whole.
const GROUP_ROWS_MAX: i64 = 64 * 1024 * 1024;

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
    /// Rows that are too many to be read together.
    #[error(
        "a row group has {found} rows, want at most {GROUP_ROWS_MAX}; write the file with smaller groups"
    )]
    Group {
        /// How many.
        found: i64,
    },
    /// A value that stands for nothing.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// Rows that are no holdings. Their lines are rows.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
}

/// Where the columns stand in this file.
struct Places {
    customer: Place,
    asset: Place,
    amount: Amounts,
    group: Option<Place>,
    vault: Option<Place>,
}

enum Amounts {
    Coins(Place),
    Units(Place),
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
    let reader = SerializedFileReader::new(File::open(path).map_err(LakeError::Open)?)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let places = Places::find(&schema, columns)?;
    let all = reader.metadata().file_metadata().num_rows();
    let mut builder = Builder::new(assets.clone());
    let mut row = 0_u64;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        places.rows(group.as_ref(), &mut row, &mut builder)?;
        progress(row, u64::try_from(all).unwrap_or_default());
    }
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
    mut take: impl FnMut(u64, [Option<&str>; N]) -> Result<(), E>,
) -> Result<(), E> {
    let reader = File::open(path).map_err(LakeError::Open)?;
    let reader = SerializedFileReader::new(reader).map_err(LakeError::from)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let mut places = [const { None }; N];
    for (to, (name, must)) in places.iter_mut().zip(columns) {
        *to = Place::find(&schema, name)?;
        if to.is_none() && must {
            let want = name.to_owned();
            return Err(LakeError::Missing { want, has: column::names(&schema) }.into());
        }
    }
    let all = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or_default();
    let mut row = 0_u64;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(LakeError::from)?;
        let count = group.metadata().num_rows();
        if count > GROUP_ROWS_MAX {
            return Err(LakeError::Group { found: count }.into());
        }
        let count = usize::try_from(count).unwrap_or_default();
        let mut read = [const { None }; N];
        for (to, place) in read.iter_mut().zip(&places) {
            *to = place.as_ref().map(|place| place.read(group.as_ref(), count, row)).transpose()?;
        }
        for at in 0..count {
            row = row.saturating_add(1);
            let mut texts: [Option<Cow<'_, str>>; N] = [const { None }; N];
            for (to, column) in texts.iter_mut().zip(&read) {
                *to = column.as_ref().map(|column| column.text(at)).transpose().map_err(LakeError::from)?;
            }
            take(row, texts.each_ref().map(Option::as_deref))?;
        }
        progress(row, all);
    }
    Ok(())
}

impl Places {
    fn find(schema: &parquet::schema::types::SchemaDescriptor, columns: &Columns) -> Result<Self, LakeError> {
        let place = |name: &str| Place::find(schema, name);
        let must = |name: &str| {
            place(name)?
                .ok_or_else(|| LakeError::Missing { want: name.to_owned(), has: column::names(schema) })
        };
        let amounts = |found| {
            let (amount, units) = (columns.amount.clone(), columns.units.clone());
            LakeError::Amounts { found, amount, units }
        };
        Ok(Self {
            customer: must(&columns.customer)?,
            asset: must(&columns.asset)?,
            amount: match (place(&columns.amount)?, place(&columns.units)?) {
                (Some(coins), None) => Amounts::Coins(coins),
                (None, Some(units)) => Amounts::Units(units),
                (Some(_), Some(_)) => return Err(amounts("both")),
                (None, None) => return Err(amounts("none")),
            },
            group: place(&columns.group)?,
            vault: place(&columns.vault)?,
        })
    }

    /// Hands the rows of one group to the ledger.
    fn rows(
        &self,
        group: &dyn RowGroupReader,
        row: &mut u64,
        builder: &mut Builder,
    ) -> Result<(), LakeError> {
        let count = group.metadata().num_rows();
        if count > GROUP_ROWS_MAX {
            return Err(LakeError::Group { found: count });
        }
        let rows = usize::try_from(count).unwrap_or_default();
        let read = |place: &Place| place.read(group, rows, *row);
        let (customers, assets) = (read(&self.customer)?, read(&self.asset)?);
        let (amounts, in_coins) = match &self.amount {
            Amounts::Coins(place) => (read(place)?, true),
            Amounts::Units(place) => (read(place)?, false),
        };
        let groups = self.group.as_ref().map(read).transpose()?;
        let vaults = self.vault.as_ref().map(read).transpose()?;
        for at in 0..rows {
            *row = row.saturating_add(1);
            let amount = amounts.text(at)?;
            let amount = match in_coins {
                true => Written::Coins(&amount),
                false => Written::Units(column::whole(&amount, *row)?),
            };
            builder.push(RawRow {
                line: *row,
                customer: &customers.text(at)?,
                asset: &assets.text(at)?,
                amount,
                group: &optional(groups.as_ref(), at)?,
                vault: &optional(vaults.as_ref(), at)?,
            })?;
        }
        Ok(())
    }
}

/// The value of a column that a file need not have.
fn optional(column: Option<&Column>, at: usize) -> Result<Cow<'_, str>, ColumnError> {
    column.map_or(Ok(Cow::Borrowed("")), |column| column.text(at))
}
