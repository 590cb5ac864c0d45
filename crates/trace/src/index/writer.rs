//! Appends blocks to an index and takes them off again. Batch and live are this one path.
//!
//! Decides whether a block follows the one before and spends only what is there to be spent; else the index stays as
//! it was. Never chooses between branches: whoever hands over blocks has chosen.
//!
//! Columns are mapped and so written at any time. A head says how much of them counts, and is replaced at a commit,
//! after everything that it counts is on the disk. What a process that was ended left beyond the head is void: columns
//! are cut, and spenders and table entries whose numbers are not counted are cleared. To take blocks off, a head that
//! no longer counts them is written first.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{BlockHash, Network, OutPoint};

use super::{
    ANCHOR_EVERY, COLUMNS, Columns, Counts, Index, OpenError,
    column::{Corrupted, FileError, Place, reading, wide},
    hash_of_txid,
    head::{HEAD, Head, Marks, Start, State, TABLES},
    lock::{LOCK, READERS, Use, lock},
    pieces::{self, SUMS, Sums},
    prepared::{Part, Prepared, Spent},
    read_script,
    scripts::Short,
};

/// Why a block cannot be appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A block of another chain.
    #[error("block {block} is of {found}, index of {want}")]
    Network {
        /// The block.
        block: BlockHash,
        /// Its chain.
        found: Network,
        /// The index's.
        want: Network,
    },
    /// It does not follow the last one.
    #[error("block {block} follows {found}, the last block of the index is {want}")]
    Previous {
        /// The block.
        block: BlockHash,
        /// What it follows.
        found: BlockHash,
        /// What it should follow.
        want: BlockHash,
    },
    /// The first block of a whole index is another than its chain's.
    #[error("block {found} is not the first block of {network}, which is {want}")]
    Genesis {
        /// The block.
        found: BlockHash,
        /// The chain.
        network: Network,
        /// Its first block.
        want: BlockHash,
    },
    /// An input spends what does not exist.
    #[error("block {block}: transaction {txid} spends {outpoint}, which does not exist")]
    Missing {
        /// The block.
        block: BlockHash,
        /// The transaction.
        txid: Txid,
        /// What it spends.
        outpoint: OutPoint,
    },
    /// An input spends what was spent before.
    #[error("block {block}: transaction {txid} spends {outpoint}, which was spent before")]
    Spent {
        /// The block.
        block: BlockHash,
        /// The transaction.
        txid: Txid,
        /// What it spends.
        outpoint: OutPoint,
    },
    /// More goes out than comes in.
    #[error("block {block}: transaction {txid} pays {outputs_sat} and spends {inputs_sat}")]
    Negative {
        /// The block.
        block: BlockHash,
        /// The transaction.
        txid: Txid,
        /// Σ of its inputs.
        inputs_sat: u64,
        /// Σ of its outputs.
        outputs_sat: u64,
    },
    /// More blocks than heights.
    #[error("index has as many blocks as there are heights")]
    Full,
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why blocks cannot be taken off.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// No such block.
    #[error("index has no block at height {}", height.blocks())]
    Height {
        /// The height asked for.
        height: Height,
    },
    /// Somebody reads the index, and might read what is to be taken off.
    #[error("{}: index is being read by another process, and blocks are to be taken off; wait for its end", folder.display())]
    Read {
        /// The folder.
        folder: PathBuf,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An index, to read and write. Holds it against other writers as long as it lives. What was appended is kept by
/// [`commit`](Self::commit) or [`close`](Self::close); without them the next one to open the index finds it as it was
/// committed last.
#[derive(Debug)]
pub struct Writer {
    index: Index,
    /// Whether the head says that something may stand beyond it.
    open: bool,
    /// Whether a write failed, so that nobody knows what stands in the columns.
    abandoned: bool,
}

impl Writer {
    /// A new index in an empty folder, which is made where it is missing; or the one there is, if it is of this chain
    /// and begins there.
    ///
    /// # Errors
    /// The folder holds something else, or the index there is another one, damaged or in use.
    pub fn create(folder: &Path, network: Network, start: Start) -> Result<Self, OpenError> {
        fs::create_dir_all(folder).map_err(FileError::io(folder, "made"))?;
        if !folder.join(HEAD).exists() {
            let lock = lock_empty(folder)?;
            let sums = Sums::of(COLUMNS.iter().map(|_| &[][..]));
            let head =
                Head { network, start, state: State::Settled, marks: Marks::EMPTY, sums: sums.digest() };
            // The files of a process that was ended before it wrote its head.
            for path in parts_of_index(folder)? {
                if !path.ends_with(LOCK) {
                    fs::remove_file(&path).map_err(FileError::io(&path, "removed"))?;
                }
            }
            sums.write(folder)?;
            let path = folder.join(READERS);
            fs::File::create(&path).map_err(FileError::io(&path, "made"))?;
            let mut index = Index::of(folder, lock, &head, true)?;
            index.columns.settle()?;
            index.note(State::Settled)?;
            return Ok(Self { index, open: false, abandoned: false });
        }
        let writer = Self::open(folder)?;
        let (found, folder) = (writer.index.network, folder.to_owned());
        if found != network {
            return Err(OpenError::Network { folder, found, want: network });
        }
        if writer.index.start != start {
            return Err(OpenError::Start { folder, found: writer.index.start, want: start });
        }
        Ok(writer)
    }

    /// The index in a folder, after what a process left behind that was ended is taken off. As with [`Index::open`], pieces
    /// are compared when they are first read; what is appended to one that is corrupted does not make it whole.
    ///
    /// # Errors
    /// There is none, it is damaged, or somebody uses it.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Head::read(folder)?;
        let lock = lock(folder, Use::Write)?;
        // Again, now that nobody replaces it.
        let head = Head::read(folder)?;
        let mut index = Index::of(folder, lock, &head, true)?;
        reading(|| index.recover(head.state)).map_err(FileError::from)??;
        index.fits()?;
        if head.state != State::Settled {
            index.columns.settle()?;
            index.note(State::Settled)?;
        }
        Ok(Self { index, open: false, abandoned: false })
    }

    /// What there is, with what was appended and is not yet committed.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// Appends a block.
    ///
    /// # Errors
    /// It does not follow, spends what is not there, or a file cannot be written; the index is as it was.
    pub fn append(&mut self, block: &Prepared) -> Result<(), AppendError> {
        self.usable()?;
        if !self.open {
            self.index.note(State::Open)?;
            self.open = true;
        }
        let before = self.index.counts();
        let appended = reading(|| self.index.extend(block))
            .unwrap_or_else(|corrupted| Err(AppendError::File(corrupted.into())));
        match &appended {
            Ok(()) => {}
            // What the columns hold is not known, or rests on what is corrupted; the head still says what was committed.
            Err(AppendError::File(_)) => self.abandoned = true,
            Err(
                AppendError::Network { .. }
                | AppendError::Previous { .. }
                | AppendError::Genesis { .. }
                | AppendError::Missing { .. }
                | AppendError::Spent { .. }
                | AppendError::Negative { .. }
                | AppendError::Full,
            ) => self.index.cut(before),
        }
        appended
    }

    /// Whether a write failed: then nothing more is kept, and the next one to open the index finds it as it was
    /// committed last.
    #[must_use]
    pub const fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    fn usable(&self) -> Result<(), FileError> {
        if self.abandoned {
            return Err(FileError::Abandoned { folder: self.index.folder.clone() });
        }
        Ok(())
    }

    /// Keeps what was appended: returns when it is on the disk.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn commit(&mut self) -> Result<(), FileError> {
        self.usable()?;
        if self.open {
            self.index.columns.flush()?;
            self.index.note(State::Open)?;
            self.index.columns.txid_table.forget_stale()?;
            self.index.columns.script_table.forget_stale()?;
        }
        Ok(())
    }

    /// Takes off all blocks above a height, and commits.
    ///
    /// # Errors
    /// There is no block at that height, or a file cannot be written.
    pub fn rollback(&mut self, height: Height) -> Result<(), RollbackError> {
        let kept = self.index.block_at(height).ok_or(RollbackError::Height { height })? + 1;
        let counts = reading(|| self.index.counts_at(kept)).map_err(FileError::from)?;
        let Ok(_alone) = lock(&self.index.folder, Use::Cut) else {
            return Err(RollbackError::Read { folder: self.index.folder.clone() });
        };
        self.open = true;
        self.commit()?;
        // Sums are taken again of what a process leaves behind that is ended from here on: what is corrupted is met before.
        let undoing = reading(|| self.index.meet(counts).map(|()| self.index.head_at(counts)));
        let undoing = undoing.flatten().map_err(FileError::from)?;
        undoing.write(&self.index.folder)?;
        self.index.cut(counts);
        self.commit()?;
        Ok(())
    }

    /// Keeps what was appended, cuts every file to its length, and lets others use the index.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn close(mut self) -> Result<(), FileError> {
        self.commit()?;
        self.index.columns.settle()?;
        self.index.note(State::Settled)
    }
}

/// The lock of a folder that holds nothing but parts of an index.
fn lock_empty(folder: &Path) -> Result<fs::File, OpenError> {
    parts_of_index(folder)?;
    lock(folder, Use::Write)
}

/// All files of a folder, if they have names of an index's files.
fn parts_of_index(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let entries = fs::read_dir(folder).map_err(FileError::io(folder, "read"))?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::io(folder, "read"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = name.split('.').next().unwrap_or_default();
        if !COLUMNS.iter().chain(&TABLES).chain(&[LOCK, READERS, HEAD, SUMS]).any(|known| *known == stem) {
            return Err(OpenError::Foreign { folder: folder.to_owned(), found: name });
        }
        paths.push(entry.path());
    }
    Ok(paths)
}

/// Where a block's items begin in the columns.
#[derive(Clone, Copy)]
struct Base {
    tx: u64,
    output: u64,
    input: u64,
}

impl Index {
    fn head(&self, state: State) -> Head {
        let (marks, sums) = (self.columns.marks(), self.columns.sums().digest());
        Head { network: self.network, start: self.start, state, marks, sums }
    }

    /// Writes head and sums of what there is, the sums first.
    fn note(&self, state: State) -> Result<(), FileError> {
        self.columns.sums().write(&self.folder)?;
        let head = self.head(state);
        head.write(&self.folder)?;
        pieces::forget_others(&self.folder, &head.sums)
    }

    /// A head that counts fewer blocks, whose sums are not known yet.
    fn head_at(&self, counts: Counts) -> Head {
        let mut head = self.head(State::Undoing);
        let Counts { blocks, transactions, inputs, outputs, addresses } = counts;
        let scripts = if addresses < self.columns.script_starts.len() {
            self.columns.script_starts.at(addresses)
        } else {
            self.columns.scripts.len()
        };
        let repeats = self.repeats_before(transactions);
        let items = [
            blocks,
            blocks,
            blocks,
            transactions,
            transactions,
            transactions,
            transactions,
            inputs,
            outputs,
            outputs,
            outputs,
            outputs.div_ceil(ANCHOR_EVERY),
            addresses,
            repeats,
            scripts,
        ];
        for (filled, items) in head.marks.columns.iter_mut().zip(items) {
            filled.items = items;
        }
        head
    }

    /// How many of the repeated ids stand before a transaction.
    fn repeats_before(&self, tx: u64) -> u64 {
        wide(self.repeats.values().filter(|later| **later < tx).count())
    }

    /// What there was when so many blocks were there.
    fn counts_at(&self, blocks: u64) -> Counts {
        let columns = &self.columns;
        if blocks >= columns.headers.len() {
            return self.counts();
        }
        let transactions = columns.block_txs.at(blocks);
        let outputs = columns.tx_outputs.at(transactions);
        Counts {
            blocks,
            transactions,
            inputs: columns.tx_inputs.at(transactions),
            outputs,
            addresses: columns.block_addresses.at(blocks),
        }
    }
}

impl Index {
    /// Appends a block; where it fails, a part of it may stand.
    fn extend(&mut self, block: &Prepared) -> Result<(), AppendError> {
        self.judge(block)?;
        self.make_room(block)?;
        self.warm(block);
        let base = Base {
            tx: self.columns.txids.len(),
            output: self.columns.values.len(),
            input: self.columns.inputs.len(),
        };
        self.columns.block_addresses.push(self.columns.script_starts.len())?;
        self.push_txs(block, base)?;
        self.push_outputs(block, base)?;
        self.push_inputs(block, base)?;
        let header = block.header().encode();
        if let Some(header) = header.first_chunk() {
            self.columns.headers.push(header)?;
        }
        self.columns.block_txs.push(base.tx)?;
        if base.tx == 0 || self.repeats_before(base.tx) < self.columns.repeats.len() {
            self.note_repeats();
        }
        Ok(())
    }

    fn judge(&self, block: &Prepared) -> Result<(), AppendError> {
        let (hash, network) = (block.hash(), self.network);
        if block.network() != network {
            return Err(AppendError::Network { block: hash, found: block.network(), want: network });
        }
        let (found, want) = (block.header().prev, self.last_hash());
        if self.columns.headers.len() == 0 && self.start == Start::GENESIS {
            let want = network.genesis_hash();
            if hash != want {
                return Err(AppendError::Genesis { found: hash, network, want });
            }
        } else if found != want {
            return Err(AppendError::Previous { block: hash, found, want });
        }
        let height = u64::from(self.start.height.blocks()) + self.columns.headers.len();
        if height >= u64::from(u32::MAX) {
            return Err(AppendError::Full);
        }
        Ok(())
    }

    /// Makes the tables large enough for a block, whatever is in it.
    fn make_room(&mut self, block: &Prepared) -> Result<(), FileError> {
        let (folder, network) = (&self.folder, self.network);
        let [txids, scripts] = TABLES.map(|name| Place { folder, name, network });
        let columns = &mut self.columns;
        let entries = columns.txids.len() + wide(block.parts().len());
        if columns.txid_table.is_full_with(entries) {
            let rows = &columns.txids;
            let hashes = (0..rows.len()).map(|tx| hash_of_txid(&rows.at(tx)));
            columns.txid_table.grow(txids, entries, hashes)?;
        }
        let entries = columns.script_starts.len() + wide(block.outputs().len());
        if columns.script_table.is_full_with(entries) {
            let (starts, kept) = (&columns.script_starts, &columns.scripts);
            let hashes = (0..starts.len())
                .map(|address| Short::read(read_script(starts, kept, address)).map_or(0, Short::hash));
            columns.script_table.grow(scripts, entries, hashes)?;
        }
        Ok(())
    }

    /// Brings into memory what a block is about to look up. These reads do not wait for each other, those of the
    /// look-ups would.
    fn warm(&self, block: &Prepared) {
        let columns = &self.columns;
        let ids = block.inputs().iter().map(|spent| &spent.txid);
        let ids = ids.chain(block.parts().iter().map(|part| &part.txid));
        let first = ids.fold(0, |seen, txid| seen ^ columns.txid_table.touch(hash_of_txid(txid)));
        let scripts = block.outputs().iter().filter_map(|paid| paid.script.as_ref());
        let second = scripts.fold(0, |seen, kept| seen ^ columns.script_table.touch(kept.hash));
        // What the homes name, and then what that names.
        let spent = |spent: &Spent| Some((columns.txid_table.guess(hash_of_txid(&spent.txid))?, spent.vout));
        let known: Vec<(u64, u32)> = block.inputs().iter().filter_map(spent).collect();
        let third = known
            .iter()
            .fold(0, |seen, (tx, _)| seen ^ columns.txids.touch(*tx) ^ columns.tx_outputs.touch(*tx));
        let fourth = known.iter().fold(0, |seen, (tx, vout)| {
            let output = columns.tx_outputs.at(*tx) + u64::from(*vout);
            seen ^ columns.values.touch(output) ^ columns.spenders.touch(output)
        });
        let paid = block.outputs().iter().filter_map(|paid| paid.script.as_ref());
        let paid = paid.filter_map(|kept| columns.script_table.guess(kept.hash));
        let fifth = paid.fold(0, |seen, address| seen ^ columns.script_starts.touch(address));
        core::hint::black_box((first, second, third, fourth, fifth));
    }

    fn push_txs(&mut self, block: &Prepared, base: Base) -> Result<(), FileError> {
        let columns = &mut self.columns;
        let (mut output, mut input) = (base.output, base.input);
        for (part, tx) in block.parts().iter().zip(base.tx..) {
            if let Some(mut earlier) = columns.find_tx(&part.txid) {
                while let Some(later) = self.repeats.get(&earlier) {
                    earlier = *later;
                }
                let mut row = [0; 16];
                for (to, from) in row.iter_mut().zip(earlier.to_le_bytes().iter().chain(&tx.to_le_bytes())) {
                    *to = *from;
                }
                columns.repeats.push(&row)?;
            }
            columns.txids.push(&part.txid)?;
            columns.txid_table.insert(hash_of_txid(&part.txid), tx);
            columns.tx_outputs.push(output)?;
            columns.tx_inputs.push(input)?;
            columns.lock_times.push(part.lock_time.into())?;
            output = base.output + wide(part.outputs_end);
            input = base.input + wide(part.inputs_end);
        }
        Ok(())
    }

    fn push_outputs(&mut self, block: &Prepared, base: Base) -> Result<(), FileError> {
        let columns = &mut self.columns;
        let mut parts = block.parts().iter().zip(base.tx..);
        let mut part = parts.next();
        for ((paid, place), output) in block.outputs().iter().zip(0..).zip(base.output..) {
            while part.is_some_and(|(part, _)| part.outputs_end <= place) {
                part = parts.next();
            }
            if output % ANCHOR_EVERY == 0 {
                columns.anchors.push(part.map_or(base.tx, |(_, tx)| tx))?;
            }
            let owner = match &paid.script {
                None => 0,
                Some(kept) => columns.number_script(block.short(kept), kept.hash)? + 1,
            };
            columns.values.push(paid.value)?;
            columns.owners.push(owner)?;
            columns.spenders.push(0)?;
        }
        Ok(())
    }

    fn push_inputs(&mut self, block: &Prepared, base: Base) -> Result<(), AppendError> {
        let whole = self.start == Start::GENESIS;
        let (mut first_input, mut first_output) = (0, 0);
        for (part, tx) in block.parts().iter().zip(base.tx..) {
            let inputs = block.inputs().get(first_input..part.inputs_end).unwrap_or_default();
            let outputs = block.outputs().get(first_output..part.outputs_end).unwrap_or_default();
            (first_input, first_output) = (part.inputs_end, part.outputs_end);
            if tx == base.tx {
                // The coinbase.
                continue;
            }
            let mut known = 0_u64;
            let mut outside = false;
            for spent in inputs {
                match self.resolve(spent, tx) {
                    Found::Output(output) => {
                        known = known.saturating_add(self.columns.values.at(output));
                        self.columns.inputs.push(output + 1)?;
                        self.columns.spenders.set(output, tx + 1);
                    }
                    Found::Nothing if !whole => {
                        outside = true;
                        self.columns.inputs.push(0)?;
                    }
                    Found::Nothing | Found::NoOutput => return Err(missing(block, part, spent)),
                    Found::Spent => {
                        let (block, txid) = (block.hash(), Txid::from_bytes(part.txid));
                        return Err(AppendError::Spent { block, txid, outpoint: outpoint(spent) });
                    }
                }
            }
            let paid = outputs.iter().fold(0_u64, |sum, paid| sum.saturating_add(paid.value));
            if paid > known && !outside {
                let (block, txid) = (block.hash(), Txid::from_bytes(part.txid));
                return Err(AppendError::Negative { block, txid, inputs_sat: known, outputs_sat: paid });
            }
        }
        Ok(())
    }

    /// What an input of a transaction spends.
    fn resolve(&self, spent: &Spent, spender: u64) -> Found {
        let columns = &self.columns;
        let Some(mut tx) = columns.find_tx(&spent.txid) else { return Found::Nothing };
        while let Some(later) = self.repeats.get(&tx) {
            tx = *later;
        }
        // A transaction that stands later in the block is not there yet.
        if tx >= spender {
            return Found::NoOutput;
        }
        let output = columns.tx_outputs.at(tx) + u64::from(spent.vout);
        if output >= columns.outputs_end(tx) {
            return Found::NoOutput;
        }
        if columns.spenders.at(output) == 0 { Found::Output(output) } else { Found::Spent }
    }

    /// Takes off everything beyond some counts, from the end.
    fn cut(&mut self, counts: Counts) {
        let columns = &mut self.columns;
        let Counts { blocks, transactions, inputs, outputs, addresses } = counts;
        for address in (addresses..columns.script_starts.len()).rev() {
            let hash = columns.script_hash(address);
            columns.script_table.remove(hash, address);
            columns.scripts.pop(address, columns.script_starts.at(address));
            columns.script_starts.truncate(address);
        }
        for input in (inputs..columns.inputs.len()).rev() {
            // Of an output that is cut itself nothing needs clearing.
            match columns.inputs.at(input).checked_sub(1) {
                Some(output) if output < outputs => columns.spenders.set(output, 0),
                Some(_) | None => {}
            }
        }
        for tx in (transactions..columns.txids.len()).rev() {
            let txid = columns.txids.at(tx);
            columns.txid_table.remove(hash_of_txid(&txid), tx);
        }
        let repeats = self.repeats.values().filter(|later| **later < transactions).count();
        columns.repeats.truncate(wide(repeats));
        columns.headers.truncate(blocks);
        columns.block_txs.truncate(blocks);
        columns.block_addresses.truncate(blocks);
        columns.txids.truncate(transactions);
        columns.tx_outputs.truncate(transactions);
        columns.tx_inputs.truncate(transactions);
        columns.lock_times.truncate(transactions);
        columns.inputs.truncate(inputs);
        columns.values.truncate(outputs);
        columns.owners.truncate(outputs);
        columns.spenders.truncate(outputs);
        columns.anchors.truncate(outputs.div_ceil(ANCHOR_EVERY));
        self.note_repeats();
    }

    /// Reads all that [`cut`](Self::cut) will read.
    fn meet(&self, counts: Counts) -> Result<(), Corrupted> {
        let columns = &self.columns;
        let Counts { blocks, transactions, inputs, outputs, addresses } = counts;
        for address in addresses..columns.script_starts.len() {
            columns.script_table.find(columns.script_hash(address), |found| found == address);
        }
        for input in inputs..columns.inputs.len() {
            let output = columns.inputs.at(input).checked_sub(1).filter(|output| *output < outputs);
            output.map_or(Ok(()), |output| columns.spenders.proven(output))?;
        }
        for tx in transactions..columns.txids.len() {
            columns.txid_table.find(hash_of_txid(&columns.txids.at(tx)), |found| found == tx);
        }
        columns.repeats.proven_from(self.repeats_before(transactions))?;
        columns.headers.proven_from(blocks)?;
        columns.block_txs.proven_from(blocks)?;
        columns.block_addresses.proven_from(blocks)?;
        columns.txids.proven_from(transactions)?;
        columns.tx_outputs.proven_from(transactions)?;
        columns.tx_inputs.proven_from(transactions)?;
        columns.lock_times.proven_from(transactions)?;
        columns.values.proven_from(outputs)?;
        columns.owners.proven_from(outputs)?;
        columns.spenders.proven_from(outputs)?;
        columns.anchors.proven_from(outputs.div_ceil(ANCHOR_EVERY))?;
        columns.script_starts.proven_from(addresses)
    }

    /// Clears what a process left behind that was ended.
    fn recover(&mut self, state: State) -> Result<(), FileError> {
        let (folder, network) = (&self.folder, self.network);
        let [txids, scripts] = TABLES.map(|name| Place { folder, name, network });
        let columns = &mut self.columns;
        let (txs, addresses) = (columns.txids.len(), columns.script_starts.len());
        match state {
            State::Settled => {}
            State::Open | State::Undoing => {
                columns.spenders.clear_where(|spender| spender > txs);
                columns.txid_table.clear_from(txs);
                columns.script_table.clear_from(addresses);
                columns.txid_table.forget_others(txids)?;
                columns.script_table.forget_others(scripts)?;
            }
        }
        if state == State::Undoing {
            columns.sum_again();
        }
        self.note_repeats();
        Ok(())
    }
}

enum Found {
    Output(u64),
    Spent,
    NoOutput,
    Nothing,
}

fn outpoint(spent: &Spent) -> OutPoint {
    OutPoint { txid: Txid::from_bytes(spent.txid), vout: spent.vout }
}

fn missing(block: &Prepared, part: &Part, spent: &Spent) -> AppendError {
    let (block, txid) = (block.hash(), Txid::from_bytes(part.txid));
    AppendError::Missing { block, txid, outpoint: outpoint(spent) }
}

impl Columns {
    fn script_hash(&self, address: u64) -> u64 {
        Short::read(self.kept_script(address)).map_or(0, Short::hash)
    }

    /// The number of a script, a new one where it is new.
    fn number_script(&mut self, short: Short<'_>, hash: u64) -> Result<u64, FileError> {
        if let Some(address) = self.find_script(short, hash) {
            return Ok(address);
        }
        let address = self.script_starts.len();
        self.script_starts.push(self.scripts.len())?;
        self.scripts.push(address, &[&[short.tag], short.rest])?;
        self.script_table.insert(hash, address);
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kuraban_sim::economy::{Economy, Shape};

    use super::*;

    const NETWORK: Network = Network::BtcRegtest;

    fn chain(blocks: usize) -> Vec<Prepared> {
        let mut economy = Economy::new(Shape { block_txs: 25, ..Shape::BTC }, 31);
        let made = (0..blocks).map(|_| economy.next_block(Vec::new(), 0).unwrap().encode());
        made.map(|bytes| Prepared::read(NETWORK, bytes).unwrap()).collect()
    }

    fn written(folder: &Path, blocks: &[Prepared]) {
        let mut writer = Writer::create(folder, NETWORK, Start::GENESIS).unwrap();
        for block in blocks {
            writer.append(block).unwrap();
        }
        writer.close().unwrap();
    }

    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths.map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect()
    }

    #[test]
    fn a_rollback_that_ended_at_any_step_is_finished_by_the_next_to_open() {
        let blocks = chain(112);
        let folder = tempfile::tempdir().unwrap();
        let short = folder.path().join("short");
        written(&short, &blocks[..108]);
        for steps in 0..4 {
            let long = folder.path().join(format!("long-{steps}"));
            written(&long, &blocks);
            let mut writer = Writer::open(&long).unwrap();
            let counts = writer.index.counts_at(108);
            writer.index.head_at(counts).write(&long).unwrap();
            // How far it came: nothing was cleared, some, all; all and the files written.
            match steps {
                0 => {}
                1 => {
                    let some = writer.index.counts_at(110);
                    writer.index.cut(some);
                }
                2 => writer.index.cut(counts),
                _ => {
                    writer.index.cut(counts);
                    writer.index.columns.flush().unwrap();
                }
            }
            drop(writer);
            assert_eq!(Index::open(&long).unwrap().counts(), counts, "step {steps}");
            assert!(files(&long) == files(&short), "step {steps}");
        }
    }

    #[test]
    fn after_a_failed_write_nothing_is_kept() {
        let blocks = chain(105);
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), &blocks[..100]);
        let before = files(folder.path());
        let mut writer = Writer::open(folder.path()).unwrap();
        writer.append(&blocks[100]).unwrap();
        writer.abandoned = true;
        let text = writer.append(&blocks[101]).unwrap_err().to_string();
        assert!(
            text.ends_with("an earlier write failed; what was appended since the last commit is dropped")
        );
        assert!(writer.commit().is_err() && writer.is_abandoned());
        assert!(writer.close().is_err());
        assert_eq!(Index::open(folder.path()).unwrap().counts().blocks, 100);
        assert!(files(folder.path()) == before);
    }
}
