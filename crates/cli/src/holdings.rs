//! Tables of customers that people give: CSV files in the encodings that back offices write, and Parquet. Decides whether a file can
//! be read, within limits, and which column means what; nothing of it is used before all of it is accepted.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use csv::{ByteRecord, ReaderBuilder, Terminator};
use encoding_rs::{DecoderResult, SHIFT_JIS, UTF_8};
use kuraban_base::Instant;
use kuraban_ledger::{
    Assets,
    holdings::{Builder, Holdings, RawRow, Written},
};

use crate::{
    books,
    fail::{Failure, OrFail as _},
    say::{Say, tame},
};

/// Most bytes of a record: far more than names and numbers need, so that a quote that is never closed ends somewhere.
const RECORD_BYTES_MAX: u64 = 64 * 1024;
/// Lines end here, and what stands before it of CR LF is taken off: the reader would count lines that end in both one too low.
const LINE_END: Terminator = Terminator::Any(b'\n');

/// How a CSV file writes its characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Encoding {
    /// UTF-8, with or without a byte order mark
    #[value(name = "utf-8")]
    Utf8,
    /// Shift_JIS as Windows writes it (code page 932)
    #[value(name = "shift_jis", alias = "sjis", alias = "cp932")]
    ShiftJis,
}

/// How to read a file of holdings.
#[derive(clap::Args)]
pub(crate) struct Held {
    /// Who held what: CSV or Parquet with the columns customer, asset, amount (whole coins) or units (base units), and
    /// where the scheme needs them group and vault
    #[arg(long, value_name = "FILE")]
    holdings: PathBuf,
    #[command(flatten)]
    form: Form,
}

/// Who held what at an instant: a file of holdings, or books.
#[derive(clap::Args)]
pub(crate) struct Whose {
    /// Who held what: CSV or Parquet with the columns customer, asset, amount (whole coins) or units (base units), and
    /// where the scheme needs them group and vault
    #[arg(long, value_name = "FILE", required_unless_present = "books")]
    holdings: Option<PathBuf>,
    /// Books, of which what customers held at the stated instant counts
    #[arg(long, value_name = "FILE", conflicts_with = "holdings")]
    books: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

impl Whose {
    /// How this and other tables are written.
    pub(crate) const fn form(&self) -> &Form {
        &self.form
    }

    /// Reads the holdings, in these assets. `at` is asked where there are books, and says itself where the instant is missing.
    pub(crate) fn read(
        &self,
        assets: &Assets,
        at: impl FnOnce() -> Result<Instant, Failure>,
        say: &Say,
    ) -> Result<Holdings, Failure> {
        match (&self.holdings, &self.books) {
            (_, Some(books)) => books::held(books, assets, at()?, say),
            (Some(path), None) => Held::of(path.clone(), self.form.clone()).read(assets, say),
            // Clap lets neither be absent.
            (None, None) => Err(Failure::input("--holdings or --books is missing")),
        }
    }
}

/// How tables are written.
#[derive(Clone, clap::Args)]
pub(crate) struct Form {
    /// The encoding of CSV files
    #[arg(long, value_enum, default_value = "utf-8")]
    encoding: Encoding,
    /// What a column is called in the file
    #[arg(long = "column", value_name = "NAME=HEADER", value_parser = named)]
    columns: Vec<(String, String)>,
}

fn named(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, header)| (name.to_owned(), header.to_owned()));
    pair.filter(|(name, header)| !name.is_empty() && !header.is_empty()).ok_or_else(|| {
        "want the name and what it is called in the file, such as customer=口座番号".to_owned()
    })
}

impl Held {
    /// A file of holdings, written in this form.
    pub(crate) const fn of(holdings: PathBuf, form: Form) -> Self {
        Self { holdings, form }
    }

    /// How this and other tables are written.
    pub(crate) const fn form(&self) -> &Form {
        &self.form
    }

    /// Reads the holdings, in these assets.
    pub(crate) fn read(&self, assets: &Assets, say: &Say) -> Result<Holdings, Failure> {
        let path = &self.holdings;
        if path.extension().is_some_and(|extension| extension == "parquet") {
            return self.parquet(assets, say);
        }
        let mut builder = Builder::new(assets.clone());
        let columns = [
            Need::Must("customer"),
            Need::Must("asset"),
            Need::May("amount"),
            Need::May("units"),
            Need::May("group"),
            Need::May("vault"),
        ];
        self.form.each(path, columns, say, |line, [customer, asset, amount, units, group, vault]| {
            let amount = match (amount, units) {
                (Some(coins), None) => Written::Coins(coins),
                (None, Some(units)) => Written::Units(whole(units)?),
                (Some(_), Some(_)) => anyhow::bail!("has both amount and units, want one"),
                (None, None) => anyhow::bail!("has neither a column amount nor units, want one"),
            };
            let (customer, asset) = (customer.unwrap_or_default(), asset.unwrap_or_default());
            let (group, vault) = (group.unwrap_or_default(), vault.unwrap_or_default());
            Ok(builder.push(RawRow { line, customer, asset, amount, group, vault })?)
        })?;
        builder.finish().or_input(path.display())
    }

    #[cfg(feature = "lake")]
    fn parquet(&self, assets: &Assets, say: &Say) -> Result<Holdings, Failure> {
        let bar = say.progress(0);
        let name = |column: &str| self.form.header(column).to_owned();
        let columns = kuraban_lake::Columns {
            customer: name("customer"),
            asset: name("asset"),
            amount: name("amount"),
            units: name("units"),
            group: name("group"),
            vault: name("vault"),
        };
        let holdings = kuraban_lake::holdings(&self.holdings, &columns, assets, &mut |read, all| {
            bar.set_length(all);
            bar.set_position(read);
        });
        bar.finish_and_clear();
        holdings.or_input(self.holdings.display())
    }

    #[cfg(not(feature = "lake"))]
    fn parquet(&self, _: &Assets, _: &Say) -> Result<Holdings, Failure> {
        let path = self.holdings.display();
        Err(Failure::input(format!(
            "{path}: this build reads no Parquet; build it with the feature lake, or give CSV"
        )))
    }
}

/// A column that a table must have, or may have.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    Must(&'static str),
    May(&'static str),
}

impl Need {
    const fn name(self) -> &'static str {
        match self {
            Self::Must(name) | Self::May(name) => name,
        }
    }
}

impl Form {
    /// The same names, in UTF-8.
    #[cfg(feature = "postgres")]
    pub(crate) fn in_utf8(&self) -> Self {
        Self { encoding: Encoding::Utf8, columns: self.columns.clone() }
    }

    /// As [`Self::each`], from a Parquet file. Its lines are its rows, from 1.
    #[cfg(feature = "lake")]
    pub(crate) fn parquet<const N: usize>(
        &self,
        path: &Path,
        columns: [Need; N],
        say: &Say,
        mut take: impl FnMut(u64, [Option<&str>; N]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        let bar = say.progress(0);
        let named = columns.map(|need| (self.header(need.name()), matches!(need, Need::Must(_))));
        let mut told = |read, all| {
            bar.set_length(all);
            bar.set_position(read);
        };
        let read = kuraban_lake::rows(path, named, &mut told, |row, values| {
            take(row, values).map_err(|problem| at_line(row, problem))
        });
        bar.finish_and_clear();
        read.or_input(path.display())
    }

    /// Tables in Parquet are not read.
    #[cfg(not(feature = "lake"))]
    pub(crate) fn parquet<const N: usize>(
        &self,
        path: &Path,
        _: [Need; N],
        _: &Say,
        _: impl FnMut(u64, [Option<&str>; N]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        let path = path.display();
        Err(Failure::input(format!(
            "{path}: this build reads no Parquet; build it with the feature lake, or give CSV"
        )))
    }

    /// As this program writes tables: UTF-8 and the names of columns as they are.
    pub(crate) const fn own() -> Self {
        Self { encoding: Encoding::Utf8, columns: Vec::new() }
    }

    /// For a table that has fewer columns: what others are called is nothing to it.
    pub(crate) fn only(&self, names: &[&str]) -> Self {
        let columns = self.columns.iter().filter(|(name, _)| names.contains(&name.as_str()));
        Self { encoding: self.encoding, columns: columns.cloned().collect() }
    }

    fn header<'a>(&'a self, column: &'a str) -> &'a str {
        self.columns.iter().find(|(name, _)| name == column).map_or(column, |(_, header)| header.as_str())
    }

    /// Hands each row of a CSV file on, with its line and its columns in the wanted order; a column that the file does not have is none.
    pub(crate) fn each<const N: usize>(
        &self,
        path: &Path,
        columns: [Need; N],
        say: &Say,
        mut take: impl FnMut(u64, [Option<&str>; N]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        let shown = path.display();
        let file = File::open(path).context("could not be opened").or_input(&shown)?;
        let bar = say.progress_bytes();
        bar.set_length(file.metadata().map(|metadata| metadata.len()).unwrap_or_default());
        let source = bar.wrap_read(BufReader::with_capacity(1 << 20, file));
        let read = self.rows(source, columns, &mut take).or_input(&shown);
        bar.finish_and_clear();
        read
    }

    /// As [`Self::each`], from any source.
    pub(crate) fn rows<const N: usize>(
        &self,
        source: impl Read,
        columns: [Need; N],
        take: &mut impl FnMut(u64, [Option<&str>; N]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut reader =
            ReaderBuilder::new().terminator(LINE_END).from_reader(Bounded { source, left: RECORD_BYTES_MAX });
        let headers = reader.byte_headers().map_err(plain)?.clone();
        anyhow::ensure!(!headers.is_empty(), "is empty, want a first line with the names of the columns");
        let mut text = Text::new(self.encoding);
        let places = self.places(text.fields(&headers, 1)?, columns)?;
        let mut record = ByteRecord::new();
        loop {
            // Each record may take so many bytes; what the reader has buffered ahead counts for the next.
            reader.get_mut().left = RECORD_BYTES_MAX;
            if !reader.read_byte_record(&mut record).map_err(plain)? {
                return Ok(());
            }
            let line = record.position().map_or(0, csv::Position::line);
            let fields = text.fields(&record, line)?;
            let row = places.map(|place| place.and_then(|place| fields.get(place)).map(String::as_str));
            take(line, row).map_err(|problem| at_line(line, problem))?;
        }
    }

    /// Where the columns stand.
    fn places<const N: usize>(
        &self,
        headers: &[String],
        columns: [Need; N],
    ) -> anyhow::Result<[Option<usize>; N]> {
        let mut places = [None; N];
        for (place, need) in places.iter_mut().zip(columns) {
            let want = self.header(need.name());
            let mut found = headers.iter().enumerate().filter(|(_, header)| header.trim() == want);
            *place = found.next().map(|(place, _)| place);
            let has = || headers.iter().map(|header| tame(header)).collect::<Vec<_>>().join(", ");
            anyhow::ensure!(found.next().is_none(), "line 1: there are two columns {want:?}, want one");
            let must = matches!(need, Need::Must(_));
            anyhow::ensure!(
                place.is_some() || !must,
                "line 1: there is no column {want:?}, only {}; name it with --column {}=HEADER",
                has(),
                need.name()
            );
        }
        let known = |name: &String| columns.iter().any(|need| need.name() == name);
        if let Some((name, _)) = self.columns.iter().find(|(name, _)| !known(name)) {
            anyhow::bail!("--column {name}: want one of {}", columns.map(Need::name).join(", "));
        }
        Ok(places)
    }
}

/// The problem with its line, unless it names one itself.
fn at_line(line: u64, problem: anyhow::Error) -> anyhow::Error {
    let text = format!("{problem:#}");
    if text.starts_with("line ") { problem } else { problem.context(format!("line {line}")) }
}

/// A problem of a file in words of its own.
fn plain(problem: csv::Error) -> anyhow::Error {
    let line = problem.position().map_or(0, csv::Position::line);
    if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = problem.kind() {
        return anyhow::anyhow!("line {line}: has {len} fields, want {expected_len} as in line 1");
    }
    anyhow::Error::new(problem)
}

fn whole(text: &str) -> anyhow::Result<u128> {
    kuraban_ledger::units(text, 0).map(kuraban_base::Amount::units).context("units")
}

/// A source that ends with an error where one record takes too much.
struct Bounded<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let text = format!("a record is longer than {RECORD_BYTES_MAX} bytes; is a quote not closed?");
            return Err(std::io::Error::other(text));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.source.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

/// Fields as text. Every field of every record is checked, whether it is used or not: a file in two encodings is a damaged file.
struct Text {
    encoding: Encoding,
    fields: Vec<String>,
}

impl Text {
    const fn new(encoding: Encoding) -> Self {
        Self { encoding, fields: Vec::new() }
    }

    fn fields(&mut self, record: &ByteRecord, line: u64) -> anyhow::Result<&[String]> {
        self.fields.resize(record.len(), String::new());
        let last = record.len();
        for ((number, bytes), field) in (1_usize..).zip(record).zip(&mut self.fields) {
            field.clear();
            let ended = (number == last).then(|| bytes.strip_suffix(b"\r")).flatten();
            let bytes = ended.unwrap_or(bytes);
            if let Some(read) = self.encoding.other_than(bytes) {
                anyhow::bail!(
                    "line {line}, field {number}: is utf-8 for {:?} in a file of shift_jis; write the whole file in one, and say which by \
                     --encoding",
                    tame(read)
                );
            }
            self.encoding.decode(bytes, field).map_err(|at| {
                let (name, other) = self.encoding.names();
                anyhow::anyhow!(
                    "line {line}, field {number}: byte {at} is not {name}; if the whole file is {other}, say --encoding {other}"
                )
            })?;
        }
        Ok(&self.fields)
    }
}

impl Encoding {
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Utf8 => ("utf-8", "shift_jis"),
            Self::ShiftJis => ("shift_jis", "utf-8"),
        }
    }

    /// What the bytes say in UTF-8, where they are to be Shift_JIS and are Japanese in UTF-8. As Shift_JIS they would be other people's
    /// names: what is Japanese in both is refused.
    fn other_than(self, bytes: &[u8]) -> Option<&str> {
        let japanese = |c: char| matches!(c, '\u{3000}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}');
        match self {
            Self::Utf8 => None,
            Self::ShiftJis if bytes.is_ascii() => None,
            Self::ShiftJis => core::str::from_utf8(bytes).ok().filter(|text| text.contains(japanese)),
        }
    }

    /// Appends what the bytes say; where they say nothing, the place of the first such byte, from 1.
    fn decode(self, bytes: &[u8], to: &mut String) -> Result<(), usize> {
        if bytes.is_ascii() {
            to.extend(bytes.iter().map(|byte| char::from(*byte)));
            return Ok(());
        }
        let encoding = match self {
            Self::Utf8 => UTF_8,
            Self::ShiftJis => SHIFT_JIS,
        };
        let mut decoder = encoding.new_decoder_without_bom_handling();
        to.reserve(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(bytes.len()));
        match decoder.decode_to_string_without_replacement(bytes, to, true) {
            (DecoderResult::InputEmpty, _) => Ok(()),
            (DecoderResult::Malformed(_, _) | DecoderResult::OutputFull, read) => Err(read.max(1)),
        }
    }
}
