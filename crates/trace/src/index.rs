//! The index of one chain of the BTC family: its transaction graph in columns that are mapped from files.
//!
//! Decides which files make an index and whether they are whole. [`Index`] reads, [`Writer`] appends blocks and takes
//! them off; both answer as a [`Graph`]. Never fetches a block: whoever has one hands it over. Layout and figures are
//! in `docs/index.md`.

pub mod branch;
pub mod build;
mod column;
mod head;
mod locator;
mod lock;
mod map;
mod pieces;
mod prepared;
mod rows;
mod scripts;
mod sequence;
pub mod source;
mod table;
mod writer;

use core::ops::Range;
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{Address, BlockHash, Header, Network, Script};

use self::{
    column::{Column, Hidden, Place, require, share_of_row, wide},
    head::{Head, Marks, State, TABLES},
    lock::{LOCK, Use, lock},
    pieces::{Sums, count, items_of, piece_of},
    rows::{Blob, Rows},
    scripts::Short,
    sequence::Sequence,
    table::Table,
};
pub use self::{
    column::{Corrupted, FileError, reading},
    head::{HeadError, Start},
    prepared::{BlockError, Prepared},
    writer::{AppendError, RollbackError, Writer},
};
use crate::graph::{AddressNum, Fate, Graph, OutputNum, Tip, TxNum};

/// Of so many outputs one has its transaction noted.
const ANCHOR_EVERY: u64 = 64;

/// Why an index cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its head is missing or cannot be used.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// One of its files cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its columns do not fit each other.
    #[error("{}: index is damaged: {what}; build it again", folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// Somebody else has it.
    #[error("{}: index is being {by} by another process; wait for its end", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// What the other does.
        by: &'static str,
    },
    /// A folder that is not empty and no index.
    #[error("{} holds {found:?}, which is no part of an index; name an empty folder", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// A file in it.
        found: String,
    },
    /// An index of another chain.
    #[error("{}: index of {found}, expected {want}", folder.display())]
    Network {
        /// The folder.
        folder: PathBuf,
        /// Its chain.
        found: Network,
        /// The chain asked for.
        want: Network,
    },
    /// An index that begins with another block.
    #[error(
        "{}: index begins at height {}, expected height {}",
        folder.display(), found.height.blocks(), want.height.blocks()
    )]
    Start {
        /// The folder.
        folder: PathBuf,
        /// Where it begins.
        found: Start,
        /// Where it was to begin.
        want: Start,
    },
}

/// An output, as [`Index::all_outputs`] gives them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Its value in base units.
    pub value_sat: u64,
    /// Whose it is; nothing for an unspendable one.
    pub address: Option<AddressNum>,
    /// The transaction that spends it; nothing while it is unspent at the tip.
    pub spender: Option<TxNum>,
}

/// How much there is of everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Blocks.
    pub blocks: u64,
    /// Transactions.
    pub transactions: u64,
    /// Inputs that spend an output; a coinbase has none.
    pub inputs: u64,
    /// Outputs.
    pub outputs: u64,
    /// Addresses: different scripts that can be spent.
    pub addresses: u64,
}

/// A file of an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileSize {
    /// Its name; without its size where it is a table.
    pub name: &'static str,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The struct of all columns, and what is done to each of them, from one list.
macro_rules! columns {
    ($($field:ident: $kind:ty = $name:literal,)*) => {
        /// Names of the columns, in the order of [`Marks::columns`].
        const COLUMNS: [&str; 15] = [$($name,)* "scripts"];

        /// All columns. Numbers are stored as the layout in `docs/index.md` says: where zero means nothing, plus one.
        #[derive(Debug)]
        struct Columns {
            $($field: $kind,)*
            scripts: Blob,
            txid_table: Table,
            script_table: Table,
        }

        impl Columns {
            fn open(
                folder: &Path,
                network: Network,
                marks: &Marks,
                sums: &Sums,
                writes: bool,
            ) -> Result<Self, FileError> {
                let mut sums = sums.columns();
                let mut sums = || sums.next().unwrap_or_default();
                let place = |name| Place { folder, name, network };
                let [txid_table, script_table] = TABLES;
                let [txid_size, script_size] = marks.tables;
                let mut filled = marks.columns.into_iter();
                let mut next = || filled.next().unwrap_or_default();
                $(let $field = <$kind>::open(place($name), next(), sums(), writes)?;)*
                let (txs, addresses) = (marks.items("txids"), marks.items("script-starts"));
                let scripts = Blob::open(place("scripts"), next(), addresses, sums(), writes)?;
                let txid_table = Table::open(place(txid_table), txid_size, txs, sums(), writes)?;
                let script_table = Table::open(place(script_table), script_size, addresses, sums(), writes)?;
                Ok(Self { scripts, txid_table, script_table, $($field,)* })
            }

            /// The sums of all pieces.
            fn sums(&self) -> Sums {
                Sums::of([
                    $(self.$field.sums(),)*
                    self.scripts.sums(),
                    self.txid_table.sums(),
                    self.script_table.sums(),
                ])
            }

            const fn marks(&self) -> Marks {
                Marks {
                    columns: [$(self.$field.filled(),)* self.scripts.filled()],
                    tables: [self.txid_table.size(), self.script_table.size()],
                }
            }

            /// Compares every item with what was noted; tells the bytes of each file that was compared.
            fn check(&self, compared: &mut dyn FnMut(u64)) -> Result<(), Corrupted> {
                $(
                    self.$field.check()?;
                    compared(self.$field.bytes());
                )*
                self.check_scripts()?;
                compared(self.scripts.bytes());
                self.txid_table.check()?;
                compared(self.txid_table.bytes());
                self.script_table.check()?;
                compared(self.script_table.bytes());
                Ok(())
            }

            /// Cuts every file to its length.
            fn settle(&mut self) -> Result<(), FileError> {
                $(self.$field.settle()?;)*
                self.scripts.settle()?;
                self.txid_table.settle()?;
                self.script_table.settle()
            }

            /// Returns when everything is on the disk.
            fn flush(&self) -> Result<(), FileError> {
                $(self.$field.flush()?;)*
                self.scripts.flush()?;
                self.txid_table.flush()?;
                self.script_table.flush()
            }

            /// Takes the sums of what stands there now for the right ones.
            fn sum_again(&mut self) {
                $(self.$field.sum_again();)*
                let sums = (0..count(self.script_starts.len())).map(|piece| self.script_sum(piece)).collect();
                self.scripts.sums_are(sums);
                self.txid_table.sum_again();
                self.script_table.sum_again();
            }

            fn files(&self) -> Vec<FileSize> {
                let bytes = [
                    $(self.$field.bytes(),)*
                    self.scripts.bytes(),
                    self.txid_table.bytes(),
                    self.script_table.bytes(),
                ];
                let names = COLUMNS.into_iter().chain(TABLES);
                names.zip(bytes).map(|(name, bytes)| FileSize { name, bytes }).collect()
            }
        }
    };
}

columns! {
    headers: Rows<80> = "headers",
    block_txs: Column<5> = "block-txs",
    block_addresses: Column<5> = "block-addresses",
    txids: Rows<32> = "txids",
    tx_outputs: Column<5> = "tx-outputs",
    tx_inputs: Column<5> = "tx-inputs",
    lock_times: Column<4> = "lock-times",
    inputs: Column<5> = "inputs",
    values: Column<7> = "values",
    owners: Column<4> = "owners",
    spenders: Column<5> = "spenders",
    anchors: Column<5> = "anchors",
    script_starts: Column<6> = "script-starts",
    repeats: Rows<16> = "repeats",
}

impl Columns {
    /// The sum of the scripts of a piece as they stand there now.
    fn script_sum(&self, piece: u64) -> u64 {
        let addresses = items_of(piece);
        let addresses = addresses.start..addresses.end.min(self.script_starts.len());
        let bytes = |address| read_script(&self.script_starts, &self.scripts, address);
        addresses.fold(0, |sum, address| sum.wrapping_add(share_of_row(address, bytes(address))))
    }

    fn check_scripts(&self) -> Result<(), Corrupted> {
        (0..count(self.script_starts.len())).try_for_each(|piece| self.prove_scripts(piece))
    }

    #[cold]
    fn prove_scripts(&self, piece: u64) -> Result<(), Corrupted> {
        self.scripts.compare(piece, self.script_sum(piece))
    }

    /// Compares what opening an index reads.
    fn prove_repeats(&self) -> Result<(), Corrupted> {
        self.repeats.check()?;
        let rows = (0..self.repeats.len()).map(|at| self.repeats.at(at));
        let earlier = rows.map(|row| row.first_chunk().map_or(0, |word| u64::from_le_bytes(*word)));
        let places = core::iter::once(0).chain(earlier).flat_map(|tx| [tx, tx.saturating_add(1)]);
        places.filter(|tx| *tx < self.tx_outputs.len()).try_for_each(|tx| self.tx_outputs.proven(tx))
    }

    /// Leaves out what a writer puts into what is read here from now on.
    const fn hide_later(&mut self) {
        self.spenders.hide(Hidden { mask: u64::MAX, most: self.txids.len() });
        self.txid_table.hide_later();
        self.script_table.hide_later();
    }

    /// An address's script in short form.
    #[inline]
    fn kept_script(&self, address: u64) -> &[u8] {
        if !self.scripts.is_known(address) {
            require(self.prove_scripts(piece_of(address)));
        }
        read_script(&self.script_starts, &self.scripts, address)
    }

    /// The first transaction with an id, not looking at repetitions.
    #[inline]
    fn find_tx(&self, txid: &[u8; 32]) -> Option<u64> {
        self.txid_table.find(hash_of_txid(txid), |number| self.txids.at(number) == *txid)
    }

    #[inline]
    fn find_script(&self, short: Short<'_>, hash: u64) -> Option<u64> {
        self.script_table.find(hash, |number| Short::read(self.kept_script(number)) == Some(short))
    }

    /// Where a transaction's outputs end.
    #[inline]
    fn outputs_end(&self, tx: u64) -> u64 {
        let next = tx + 1;
        if next < self.tx_outputs.len() { self.tx_outputs.at(next) } else { self.values.len() }
    }

    #[inline]
    fn inputs_end(&self, tx: u64) -> u64 {
        let next = tx + 1;
        if next < self.tx_inputs.len() { self.tx_inputs.at(next) } else { self.inputs.len() }
    }
}

#[inline]
fn read_script<'a>(starts: &Column<6>, scripts: &'a Blob, address: u64) -> &'a [u8] {
    let next = address + 1;
    let end = if next < starts.len() { starts.at(next) } else { scripts.len() };
    scripts.read(starts.at(address)..end)
}

/// Ids are hashes already.
#[inline]
fn hash_of_txid(txid: &[u8; 32]) -> u64 {
    txid.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word))
}

/// An index, to read: what was committed when it was opened, as long as it lives, whatever a writer appends meanwhile.
///
/// What is read is compared with its sum first, piece by piece. Where a piece is corrupted the answer would be wrong, and
/// so there is none: a read unwinds to the innermost [`reading`], which gives it as an error. What this crate offers to read
/// a graph is in one already; whoever asks an index itself puts his questions into one. [`Index::verify`] compares all of it.
#[derive(Debug)]
pub struct Index {
    folder: PathBuf,
    network: Network,
    start: Start,
    columns: Columns,
    /// From a transaction to the later one with the same id.
    repeats: BTreeMap<u64, u64>,
    /// Outputs that no rule lets anybody spend although their scripts would: the first block's, and those of
    /// coinbases that a later one replaced.
    voided: Vec<Range<u64>>,
    /// Where the last of those ends.
    voided_end: u64,
    _lock: File,
}

impl Index {
    /// The index in a folder. Its head, the sums of its pieces, and the header and length of every file are judged; pieces
    /// are compared when they are first read. What a process left behind that was ended is taken off first.
    ///
    /// # Errors
    /// There is none, it is damaged, or blocks are being taken off it.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        if !folder.join(LOCK).exists() {
            return Err(HeadError::Missing { folder: folder.to_owned() }.into());
        }
        let mut head = Head::read(folder)?;
        loop {
            if head.state != State::Settled {
                // Whoever left it so is gone, or is appending: then what was committed can be read.
                match Writer::open(folder) {
                    Ok(writer) => writer.close()?,
                    Err(OpenError::Busy { .. }) if head.state == State::Open => {}
                    Err(error) => return Err(error),
                }
            }
            let lock = lock(folder, Use::Read)?;
            head = Head::read(folder)?;
            if head.state == State::Undoing {
                continue;
            }
            let opened = Self::snapshot(folder, lock, &head);
            let newer = Head::read(folder)?;
            // A commit replaces files that a head names; what the newer one names is there.
            if opened.is_ok() || newer == head {
                return opened;
            }
            head = newer;
        }
    }

    /// The index as a head describes it, whatever is appended from now on.
    fn snapshot(folder: &Path, lock: File, head: &Head) -> Result<Self, OpenError> {
        let mut index = Self::of(folder, lock, head, false)?;
        index.columns.hide_later();
        index.fits()?;
        Ok(index)
    }

    /// Compares every item of every column with what was noted when it was written. Where nobody is appending, that is all
    /// that stands there now, and nobody can append before it is done; else it is what was committed when this was opened.
    ///
    /// # Errors
    /// The first file that is corrupted.
    pub fn verify(&self) -> Result<(), OpenError> {
        self.verify_told(|_| {})
    }

    /// As [`Self::verify`], and tells `compared` of the bytes of each file, one after the other.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_told(&self, mut compared: impl FnMut(u64)) -> Result<(), OpenError> {
        if let Ok(alone) = lock(&self.folder, Use::Write) {
            let head = Head::read(&self.folder)?;
            if head.state == State::Settled {
                return checked(&Self::of(&self.folder, alone, &head, false)?.columns, &mut compared);
            }
        }
        checked(&self.columns, &mut compared)
    }

    fn of(folder: &Path, lock: File, head: &Head, writes: bool) -> Result<Self, OpenError> {
        let Head { network, start, marks, .. } = head;
        let sums = Sums::read(folder, &head.sums)?;
        let mut columns = Columns::open(folder, *network, marks, &sums, writes)?;
        if head.state == State::Undoing {
            // Nobody noted them while blocks were taken off.
            columns.sum_again();
        }
        let mut index = Self {
            folder: folder.to_owned(),
            network: *network,
            start: *start,
            columns,
            repeats: BTreeMap::new(),
            voided: Vec::new(),
            voided_end: 0,
            _lock: lock,
        };
        reading(|| {
            index.columns.prove_repeats()?;
            index.note_repeats();
            Ok(())
        })
        .flatten()
        .map_err(FileError::from)?;
        Ok(index)
    }

    /// Reads again which ids stand twice.
    fn note_repeats(&mut self) {
        let columns = &self.columns;
        let pairs = (0..columns.repeats.len()).map(|at| {
            let row = columns.repeats.at(at);
            let (words, _) = row.as_chunks::<8>();
            let word = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
            (word(0), word(1))
        });
        self.repeats = pairs.collect();
        let outputs = |tx: u64| columns.tx_outputs.at(tx)..columns.outputs_end(tx);
        let first = (self.start == Start::GENESIS && columns.txids.len() > 0).then(|| outputs(0));
        self.voided = first.into_iter().chain(self.repeats.keys().map(|tx| outputs(*tx))).collect();
        self.voided_end = self.voided.iter().map(|range| range.end).max().unwrap_or(0);
    }

    /// Whether the columns fit each other: what [`Graph`] promises not to fail on.
    fn fits(&self) -> Result<(), OpenError> {
        let columns = &self.columns;
        let Counts { blocks, transactions, outputs, addresses, .. } = self.counts();
        let equal = [
            (columns.block_txs.len(), blocks, "blocks and headers differ in number"),
            (columns.block_addresses.len(), blocks, "blocks and their addresses differ in number"),
            (columns.tx_outputs.len(), transactions, "transactions and their outputs differ in number"),
            (columns.tx_inputs.len(), transactions, "transactions and their inputs differ in number"),
            (columns.lock_times.len(), transactions, "transactions and their lock times differ in number"),
            (columns.owners.len(), outputs, "values and addresses differ in number"),
            (columns.spenders.len(), outputs, "values and spenders differ in number"),
            (columns.anchors.len(), outputs.div_ceil(ANCHOR_EVERY), "outputs and anchors differ in number"),
            (columns.script_table.entries(), addresses, "addresses and their table differ in number"),
        ];
        match equal.into_iter().find(|(found, want, _)| found != want) {
            Some((_, _, what)) => Err(OpenError::Damaged { folder: self.folder.clone(), what }),
            None => Ok(()),
        }
    }

    /// How much there is of everything.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        Counts {
            blocks: self.columns.headers.len(),
            transactions: self.columns.txids.len(),
            inputs: self.columns.inputs.len(),
            outputs: self.columns.values.len(),
            addresses: self.columns.script_starts.len(),
        }
    }

    /// Its files and their lengths.
    #[must_use]
    pub fn files(&self) -> Vec<FileSize> {
        self.columns.files()
    }

    /// Where it begins.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// The folder that it is in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A block's header; nothing where there is no such block.
    #[must_use]
    pub fn header(&self, height: Height) -> Option<Header> {
        let block = self.block_at(height)?;
        Header::decode(&self.columns.headers.at(block)).ok()
    }

    /// Its last ten blocks, newest first, and then twice as far apart each time, down to its first: by these a node is told what
    /// it has. Looks at no other header.
    #[must_use]
    pub fn locator(&self) -> Vec<BlockHash> {
        let start = self.start.height.blocks();
        let blocks = usize::try_from(self.counts().blocks).unwrap_or(usize::MAX);
        locator::locator(blocks, |place| {
            let height = u32::try_from(place).ok().and_then(|place| start.checked_add(place))?;
            self.header(Height::new(height)).map(|header| header.hash())
        })
    }

    /// All headers with their heights, in chain order.
    pub fn headers(&self) -> impl Iterator<Item = (Height, Header)> + '_ {
        let header = |block| Header::decode(&self.columns.headers.at(block)).ok();
        (0..self.columns.headers.len()).filter_map(move |block| Some((self.height_of(block), header(block)?)))
    }

    /// The height at which the next block will stand.
    #[must_use]
    pub fn next_height(&self) -> Height {
        self.height_of(self.columns.headers.len())
    }

    /// A block's place in the index.
    fn block_at(&self, height: Height) -> Option<u64> {
        let block = u64::from(height.blocks()).checked_sub(u64::from(self.start.height.blocks()))?;
        (block < self.columns.headers.len()).then_some(block)
    }

    fn height_of(&self, block: u64) -> Height {
        // No chain has 2³² blocks; `append` sees to it.
        let blocks = u32::try_from(block).unwrap_or(u32::MAX);
        Height::new(self.start.height.blocks().saturating_add(blocks))
    }

    fn hash_of(&self, block: u64) -> BlockHash {
        // Eighty bytes are a header.
        Header::decode(&self.columns.headers.at(block)).map_or(BlockHash::ZERO, |header| header.hash())
    }

    /// The block that the next one must follow.
    #[must_use]
    pub fn last_hash(&self) -> BlockHash {
        self.columns.headers.len().checked_sub(1).map_or(self.start.before, |last| self.hash_of(last))
    }

    /// A transaction's lock time as it stands there: 0 for none, a height below 500,000,000, else seconds since 1970.
    #[must_use]
    #[inline]
    pub fn lock_time(&self, tx: TxNum) -> u32 {
        // The column has four bytes.
        u32::try_from(self.columns.lock_times.at(tx.number())).unwrap_or(u32::MAX)
    }

    /// All outputs in chain order: the same as [`Graph`] says of each, several times as fast.
    pub fn all_outputs(&self) -> impl Iterator<Item = Coin> + '_ {
        let columns = &self.columns;
        let all = Sequence::of(&columns.values).zip(Sequence::of(&columns.owners));
        let all = (0..).zip(all.zip(Sequence::of(&columns.spenders)));
        all.map(|(output, ((value_sat, owner), spender))| Coin {
            value_sat,
            address: self.owner(output, owner),
            spender: spender.checked_sub(1).map(TxNum::new),
        })
    }

    /// The outputs that all inputs spend, in chain order; none for inputs that spend what is older than the index.
    pub fn all_inputs(&self) -> impl Iterator<Item = OutputNum> + '_ {
        Sequence::of(&self.columns.inputs).filter_map(|output| output.checked_sub(1).map(OutputNum::new))
    }

    /// Whose an output is, if the column of owners has this number there.
    #[inline]
    fn owner(&self, output: u64, owner: u64) -> Option<AddressNum> {
        // Few outputs are void, and all of them are among a chain's first.
        let voided = output < self.voided_end && self.voided.iter().any(|range| range.contains(&output));
        owner.checked_sub(1).filter(|_| !voided).map(AddressNum::new)
    }

    /// An address's script.
    #[must_use]
    pub fn script(&self, address: AddressNum) -> Script {
        Short::read(self.columns.kept_script(address.number())).map(Short::script).unwrap_or_default()
    }

    /// An address as people write it, if its script has one.
    #[must_use]
    pub fn address_text(&self, address: AddressNum) -> Option<Address> {
        Address::from_script(self.network, &self.script(address))
    }

    /// The number of a script, if an output pays to it.
    #[must_use]
    pub fn find_script(&self, script: &Script) -> Option<AddressNum> {
        let short = Short::of(script.as_bytes())?;
        self.columns.find_script(short, short.hash()).map(AddressNum::new)
    }
}

/// The last number from `low` up to before `high` for which the items do not exceed `item`, as items rise.
fn last_not_above(at: impl Fn(u64) -> u64, item: u64, mut low: u64, mut high: u64) -> u64 {
    while high > low + 1 {
        let middle = low.midpoint(high);
        if at(middle) <= item { low = middle } else { high = middle }
    }
    low
}

/// Compares every item of every column.
fn checked(columns: &Columns, compared: &mut dyn FnMut(u64)) -> Result<(), OpenError> {
    // Scripts are found by the column of their starts, which may be what is corrupted.
    Ok(reading(|| columns.check(compared)).flatten().map_err(FileError::from)?)
}

impl Graph for Index {
    fn reading<T>(&self, read: impl FnOnce() -> T) -> Result<T, Corrupted> {
        reading(read)
    }

    fn network(&self) -> Network {
        self.network
    }

    fn tip(&self) -> Option<Tip> {
        let last = self.columns.headers.len().checked_sub(1)?;
        Some(Tip { height: self.height_of(last), hash: self.hash_of(last) })
    }

    #[inline]
    fn tx_count(&self) -> u64 {
        self.columns.txids.len()
    }

    #[inline]
    fn address_count(&self) -> u64 {
        self.counts().addresses
    }

    fn txid(&self, tx: TxNum) -> Txid {
        Txid::from_bytes(self.columns.txids.at(tx.number()))
    }

    fn find(&self, txid: &Txid) -> Option<TxNum> {
        let mut tx = self.columns.find_tx(txid.as_bytes())?;
        while let Some(later) = self.repeats.get(&tx) {
            tx = *later;
        }
        Some(TxNum::new(tx))
    }

    fn height(&self, tx: TxNum) -> Height {
        let blocks = &self.columns.block_txs;
        self.height_of(last_not_above(|block| blocks.at(block), tx.number(), 0, blocks.len()))
    }

    fn block(&self, height: Height) -> Option<Range<u64>> {
        let block = self.block_at(height)?;
        let next = block + 1;
        let blocks = &self.columns.block_txs;
        let end = if next < blocks.len() { blocks.at(next) } else { self.tx_count() };
        Some(blocks.at(block)..end)
    }

    #[inline]
    fn inputs(&self, tx: TxNum) -> impl Iterator<Item = OutputNum> + '_ {
        let columns = &self.columns;
        let range = columns.tx_inputs.at(tx.number())..columns.inputs_end(tx.number());
        range.filter_map(|input| columns.inputs.at(input).checked_sub(1).map(OutputNum::new))
    }

    fn inputs_of(&self, txs: Range<u64>, spent: &mut Vec<OutputNum>, ends: &mut Vec<usize>) {
        if txs.is_empty() {
            return;
        }
        let Columns { tx_inputs, inputs, .. } = &self.columns;
        let mut begin = tx_inputs.at(txs.start);
        let mut outputs = Sequence::starting(inputs, begin);
        let nexts = Sequence::starting(tx_inputs, txs.start + 1).chain(core::iter::once(inputs.len()));
        for (_, end) in txs.zip(nexts) {
            let own = (begin..end).zip(&mut outputs);
            spent.extend(own.filter_map(|(_, output)| output.checked_sub(1).map(OutputNum::new)));
            ends.push(spent.len());
            begin = end;
        }
    }

    fn outside_inputs(&self, tx: TxNum) -> u64 {
        if self.start == Start::GENESIS {
            return 0;
        }
        let columns = &self.columns;
        let range = columns.tx_inputs.at(tx.number())..columns.inputs_end(tx.number());
        wide(range.filter(|input| columns.inputs.at(*input) == 0).count())
    }

    #[inline]
    fn outputs(&self, tx: TxNum) -> Range<u64> {
        self.columns.tx_outputs.at(tx.number())..self.columns.outputs_end(tx.number())
    }

    #[inline]
    fn creator(&self, output: OutputNum) -> TxNum {
        let output = output.number();
        let Columns { anchors, tx_outputs, .. } = &self.columns;
        let anchor = output / ANCHOR_EVERY;
        let low = anchors.at(anchor);
        let high = if anchor + 1 < anchors.len() { anchors.at(anchor + 1) + 1 } else { tx_outputs.len() };
        TxNum::new(last_not_above(|tx| tx_outputs.at(tx), output, low, high))
    }

    #[inline]
    fn spender(&self, output: OutputNum) -> Option<TxNum> {
        self.columns.spenders.at(output.number()).checked_sub(1).map(TxNum::new)
    }

    #[inline]
    fn value(&self, output: OutputNum) -> u64 {
        self.columns.values.at(output.number())
    }

    #[inline]
    fn fate(&self, output: OutputNum) -> Fate {
        match self.address(output) {
            None => Fate::Unspendable,
            Some(address) if self.network.has_mweb() => {
                let short = Short::read(self.columns.kept_script(address.number()));
                let shielded = short.is_some_and(|short| scripts::is_shielded(short.tag));
                if shielded { Fate::Shielded } else { Fate::Spendable }
            }
            Some(_) => Fate::Spendable,
        }
    }

    #[inline]
    fn address(&self, output: OutputNum) -> Option<AddressNum> {
        self.owner(output.number(), self.columns.owners.at(output.number()))
    }
}
