//! One column of a row group, as text. Decides which types have exact values.

use std::borrow::Cow;

use kuraban_base::Amount;
use parquet::{
    basic::{ConvertedType, LogicalType, Type},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{
        ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
    },
    errors::ParquetError,
    file::reader::RowGroupReader,
    schema::types::{ColumnDescriptor, SchemaDescriptor},
};

use crate::LakeError;

/// A value, or a whole column, that stands for nothing exact.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ColumnError {
    /// A type without exact values, or without one value for each row.
    #[error("column {column}: is of type {found}, want {want}")]
    Type {
        /// Which column.
        column: String,
        /// What it is.
        found: String,
        /// What it should be.
        want: &'static str,
    },
    /// Nothing where something must stand.
    #[error("row {row}, column {column}: is empty")]
    Empty {
        /// Which row, from 1.
        row: u64,
        /// Which column.
        column: String,
    },
    /// Bytes that are no text.
    #[error("row {row}, column {column}: is not UTF-8")]
    Text {
        /// Which row, from 1.
        row: u64,
        /// Which column.
        column: String,
    },
    /// More digits than are counted.
    #[error("row {row}, column {column}: {found} is no whole number of base units from 0 to 2^128 - 1")]
    Units {
        /// Which row, from 1.
        row: u64,
        /// Which column.
        column: String,
        /// What stood there.
        found: String,
    },
}

/// A column of a file.
pub(crate) struct Place {
    place: usize,
    name: String,
    form: Form,
    def_max: i16,
}

/// What the values of a column are.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Signed,
    Unsigned,
    Decimal(u8),
}

/// One column of a row group while it is read.
pub(crate) struct Reader<'a> {
    place: &'a Place,
    source: Source,
}

enum Source {
    Int32(ColumnReaderImpl<Int32Type>),
    Int64(ColumnReaderImpl<Int64Type>),
    Bytes(ColumnReaderImpl<ByteArrayType>),
    Fixed(ColumnReaderImpl<FixedLenByteArrayType>),
}

/// The values of one column in some rows.
pub(crate) struct Column {
    name: String,
    form: Form,
    values: Values,
    before: u64,
}

enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

/// The names of all columns.
pub(crate) fn names(schema: &SchemaDescriptor) -> String {
    schema.columns().iter().map(|column| column.path().string()).collect::<Vec<_>>().join(", ")
}

/// A whole number of base units.
pub(crate) fn whole(text: &str, row: u64, column: &str) -> Result<u128, ColumnError> {
    let found = || text.chars().take(60).collect();
    let wrong = |_| ColumnError::Units { row, column: column.to_owned(), found: found() };
    kuraban_ledger::units(text, 0).map(Amount::units).map_err(wrong)
}

/// Whether a column says that it holds dates or times. Nanoseconds have a mark of the newer kind alone: by the older kind they are
/// plain numbers.
fn is_clock(column: &ColumnDescriptor) -> bool {
    let newer = matches!(
        column.logical_type_ref(),
        Some(LogicalType::Timestamp(_) | LogicalType::Time(_) | LogicalType::Date)
    );
    let older = [
        ConvertedType::TIMESTAMP_MILLIS,
        ConvertedType::TIMESTAMP_MICROS,
        ConvertedType::TIME_MILLIS,
        ConvertedType::TIME_MICROS,
        ConvertedType::DATE,
    ];
    newer || older.contains(&column.converted_type())
}

impl Place {
    /// Where the column of this name stands, if there is one.
    pub(crate) fn find(schema: &SchemaDescriptor, name: &str) -> Result<Option<Self>, LakeError> {
        let mut found =
            schema.columns().iter().enumerate().filter(|(_, column)| column.path().string() == name);
        let Some((place, column)) = found.next() else { return Ok(None) };
        let wrong = |found: String, want| ColumnError::Type { column: name.to_owned(), found, want };
        if column.max_rep_level() > 0 {
            return Err(wrong("list".to_owned(), "one value in each row").into());
        }
        if is_clock(column) {
            let want = "text or a whole number; write times as RFC 3339 or as milliseconds since 1970";
            return Err(wrong(format!("{} marked as a date or time", column.physical_type()), want).into());
        }
        let form = match (column.physical_type(), column.converted_type()) {
            (
                Type::INT32 | Type::INT64 | Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY,
                ConvertedType::DECIMAL,
            ) => {
                let scale = u8::try_from(column.type_scale()).ok().filter(|scale| *scale <= 38);
                let want = "a decimal with 0 to 38 decimals";
                Form::Decimal(scale.ok_or_else(|| wrong(format!("decimal({})", column.type_scale()), want))?)
            }
            (
                Type::INT32 | Type::INT64,
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
            ) => Form::Unsigned,
            (
                Type::INT32 | Type::INT64,
                ConvertedType::NONE
                | ConvertedType::INT_8
                | ConvertedType::INT_16
                | ConvertedType::INT_32
                | ConvertedType::INT_64,
            ) => Form::Signed,
            (Type::BYTE_ARRAY, ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM) => Form::Text,
            (physical, converted) => {
                let want = "text, a whole number or a decimal, for floating point numbers are not exact";
                return Err(wrong(format!("{physical} {converted}"), want).into());
            }
        };
        Ok(Some(Self { place, name: name.to_owned(), form, def_max: column.max_def_level() }))
    }

    /// The values of a group of rows, from its first.
    pub(crate) fn open(&self, group: &dyn RowGroupReader) -> Result<Reader<'_>, LakeError> {
        let source = match group.get_column_reader(self.place)? {
            ColumnReader::Int32ColumnReader(reader) => Source::Int32(reader),
            ColumnReader::Int64ColumnReader(reader) => Source::Int64(reader),
            ColumnReader::ByteArrayColumnReader(reader) => Source::Bytes(reader),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => Source::Fixed(reader),
            ColumnReader::BoolColumnReader(_)
            | ColumnReader::Int96ColumnReader(_)
            | ColumnReader::FloatColumnReader(_)
            | ColumnReader::DoubleColumnReader(_) => {
                return Err(ParquetError::General(format!("column {} changes its type", self.name)).into());
            }
        };
        Ok(Reader { place: self, source })
    }

    /// As many values as there are rows to read.
    fn all<T: DataType>(
        &self,
        reader: &mut ColumnReaderImpl<T>,
        rows: usize,
        before: u64,
    ) -> Result<Vec<T::T>, LakeError> {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let mut read = 0_usize;
        while read < rows {
            let defs = (self.def_max > 0).then_some(&mut levels);
            let (records, _, _) = reader.read_records(rows.saturating_sub(read), defs, None, &mut values)?;
            if records == 0 {
                let at = before.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                let text = format!("column {} ends after row {at}, before its group", self.name);
                return Err(ParquetError::EOF(text).into());
            }
            read = read.saturating_add(records);
        }
        if let Some(at) = levels.iter().position(|level| *level < self.def_max) {
            let row = u64::try_from(at).unwrap_or_default().saturating_add(before).saturating_add(1);
            return Err(ColumnError::Empty { row, column: self.name.clone() }.into());
        }
        Ok(values)
    }

    /// Rows that the footer does not count would be customers whom nobody counts.
    fn none<T: DataType>(&self, reader: &mut ColumnReaderImpl<T>) -> Result<(), LakeError> {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let defs = (self.def_max > 0).then_some(&mut levels);
        if reader.read_records(1, defs, None, &mut values)?.0 == 0 {
            return Ok(());
        }
        Err(ParquetError::General(format!("column {} has more rows than its group", self.name)).into())
    }
}

impl Reader<'_> {
    /// The next values, of so many rows; `before` rows of the file stand before them.
    pub(crate) fn read(&mut self, rows: usize, before: u64) -> Result<Column, LakeError> {
        let place = self.place;
        let values = match &mut self.source {
            Source::Int32(reader) => Values::Int32(place.all(reader, rows, before)?),
            Source::Int64(reader) => Values::Int64(place.all(reader, rows, before)?),
            Source::Bytes(reader) => Values::Bytes(place.all(reader, rows, before)?),
            Source::Fixed(reader) => Values::Fixed(place.all(reader, rows, before)?),
        };
        Ok(Column { name: place.name.clone(), form: place.form, values, before })
    }

    /// Whether nothing is left.
    pub(crate) fn end(mut self) -> Result<(), LakeError> {
        match &mut self.source {
            Source::Int32(reader) => self.place.none(reader),
            Source::Int64(reader) => self.place.none(reader),
            Source::Bytes(reader) => self.place.none(reader),
            Source::Fixed(reader) => self.place.none(reader),
        }
    }
}

impl Column {
    /// The value of one of the rows, from 0.
    pub(crate) fn text(&self, at: usize) -> Result<Cow<'_, str>, ColumnError> {
        let row = || u64::try_from(at).unwrap_or_default().saturating_add(self.before).saturating_add(1);
        let none = || ColumnError::Empty { row: row(), column: self.name.clone() };
        let number = match &self.values {
            Values::Int32(values) => i128::from(*values.get(at).ok_or_else(none)?),
            Values::Int64(values) => i128::from(*values.get(at).ok_or_else(none)?),
            Values::Bytes(values) => {
                let bytes = values.get(at).ok_or_else(none)?.data();
                if matches!(self.form, Form::Text) {
                    let text = core::str::from_utf8(bytes);
                    return text
                        .map(Cow::Borrowed)
                        .map_err(|_| ColumnError::Text { row: row(), column: self.name.clone() });
                }
                signed(bytes).ok_or_else(none)?
            }
            Values::Fixed(values) => signed(values.get(at).ok_or_else(none)?.data()).ok_or_else(none)?,
        };
        let (number, scale) = match (self.form, &self.values) {
            (Form::Unsigned, Values::Int32(_)) => (number & i128::from(u32::MAX), 0),
            (Form::Unsigned, Values::Int64(_) | Values::Bytes(_) | Values::Fixed(_)) => {
                (number & i128::from(u64::MAX), 0)
            }
            (Form::Decimal(scale), _) => (number, scale),
            (Form::Signed | Form::Text, _) => (number, 0),
        };
        let coins = Amount::new(number.unsigned_abs()).to_coins(scale);
        Ok(Cow::Owned(if number < 0 { format!("-{coins}") } else { coins }))
    }
}

/// A signed number in two's complement, the most significant byte first (Parquet's logical type DECIMAL).
fn signed(bytes: &[u8]) -> Option<i128> {
    let (first, rest) = bytes.split_first()?;
    let begin = i128::from(i8::from_be_bytes([*first]));
    if bytes.len() > 16 {
        let filler = if begin < 0 { 0xff } else { 0 };
        let (sign, low) = bytes.split_at(bytes.len().saturating_sub(16));
        let number = i128::from_be_bytes(low.try_into().ok()?);
        return (sign.iter().all(|byte| *byte == filler) && (number < 0) == (begin < 0)).then_some(number);
    }
    Some(rest.iter().fold(begin, |sum, byte| (sum << 8) | i128::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_from_any_number_of_bytes() {
        let check = |bytes: &[u8], want| assert_eq!(signed(bytes), want, "{bytes:?}");
        check(&[], None);
        check(&[0x7f], Some(127));
        check(&[0xff], Some(-1));
        check(&[0x01, 0x00], Some(256));
        check(&[0xff, 0x00], Some(-256));
        check(&[[0x7f].as_slice(), &[0xff; 15]].concat(), Some(i128::MAX));
        check(&[[0x80].as_slice(), &[0; 15]].concat(), Some(i128::MIN));
        check(&[[0].as_slice(), &[0x7f], &[0xff; 15]].concat(), Some(i128::MAX));
        check(&[[0].as_slice(), &[0x80], &[0; 15]].concat(), None);
        check(&[[0xff; 17].as_slice()].concat(), Some(-1));
        check(&[[1].as_slice(), &[0; 16]].concat(), None);
    }
}
