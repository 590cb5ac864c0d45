//! What the writer keeps on disk: the log with its openings, checkpoints and tiles, and the blocks that it has followed.
//!
//! One group of entries is one durable transaction. Refuses a store of another log, charter or format. Decides nothing
//! about what entries mean.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use kuraban_proof::{
    EntryBundle, Resource, Tiler,
    tile::{NodeError, TileError, encode_bundle},
    tiler::TileBytes,
    tree::{TreeHead, leaf_hash},
};
use kuraban_vault::{Charter, wire::LogEntry};
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    WriteTransaction, backends::FileBackend,
};

/// Of what stands below; another number is another layout.
const FORMAT: &str = "kuraban-writer-1";

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
/// Salt and then body: apart from the entries, so that it can be erased after its retention.
const OPENINGS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("openings");
/// By tree size.
const CHECKPOINTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("checkpoints");
/// By level and index; the widest so far.
const TILES: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("tiles");
/// What each followed block changed, in order.
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");

/// The latest co-signed checkpoint.
const WITNESSED: &str = "witnessed";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be made or opened.
    #[error("store {} cannot be opened; if there is none yet, run `kuraban-guardd guard init` first", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: redb::Error,
    },
    /// The file is there already.
    #[error("store {} cannot be created", file.display())]
    Create {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk failed.
    #[error("the store failed")]
    Disk(#[source] redb::Error),
    /// The store was made for something else.
    #[error("the store's {what} is {found:?}, this writer's is {want:?}")]
    Other {
        /// Of what.
        what: &'static str,
        /// What the store has.
        found: String,
        /// What this writer has.
        want: String,
    },
    /// Something that must be there is not.
    #[error("the store has no {what} {index}")]
    Missing {
        /// What.
        what: &'static str,
        /// Which.
        index: u64,
    },
    /// A stored tile is not one.
    #[error("a stored tile is damaged")]
    Tile(#[from] TileError),
    /// Entries that do not start where the store ends.
    #[error("entries start at {from}, the store is at {size}")]
    Gap {
        /// Where they start.
        from: u64,
        /// Where the store is.
        size: u64,
    },
}

impl StoreError {
    /// The exit status: 2 for what the operator gave, 3 for what the system did.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Create { .. } | Self::Other { .. } => 2,
            Self::File { .. } | Self::Disk(_) | Self::Missing { .. } | Self::Tile(_) | Self::Gap { .. } => 3,
        }
    }
}

/// Any failure of the database is a failure of the disk.
fn disk(source: impl Into<redb::Error>) -> StoreError {
    StoreError::Disk(source.into())
}

/// One group, as the disk takes it: all or nothing.
#[derive(Debug)]
pub struct Group<'a> {
    /// The index of the first entry.
    pub from: u64,
    /// The entries.
    pub entries: &'a [LogEntry],
    /// The log's checkpoint after them.
    pub checkpoint: &'a [u8],
}

/// The store, for reading from any thread.
#[derive(Clone, Debug)]
pub struct Store {
    db: Arc<Database>,
}

/// The store, for its one writer.
#[derive(Debug)]
pub struct StoreWriter {
    store: Store,
    tiler: Tiler,
    blocks: u64,
    /// Rows kept since the last durable transaction.
    loose: usize,
}

/// Rows that may be kept before they are made durable by themselves: until then their pages cannot be used again.
const LOOSE_MAX: usize = 1000;

/// What names a store, as it stands in its meta table.
fn identity(charter: &Charter) -> [(&'static str, String); 4] {
    let roster = charter.roster();
    [
        ("format", FORMAT.to_owned()),
        ("origin", roster.origin().to_owned()),
        ("roster", roster.hash().to_string()),
        ("policy", charter.policy().hash().to_string()),
    ]
}

impl StoreWriter {
    /// Makes a new store with the log's first group in it.
    ///
    /// # Errors
    /// The file is there already, or the disk fails.
    pub fn create(file: &Path, charter: &Charter, first: &Group<'_>) -> Result<Self, StoreError> {
        let fresh = OpenOptions::new().read(true).write(true).create_new(true).open(file);
        let fresh = fresh.map_err(|source| StoreError::Create { file: file.to_owned(), source })?;
        let backend = FileBackend::new(fresh).map_err(|source| opened(file, source))?;
        let db = Database::builder().create_with_backend(backend).map_err(|source| opened(file, source))?;
        let mut writer = Self { store: Store { db: Arc::new(db) }, tiler: Tiler::new(), blocks: 0, loose: 0 };
        let transaction = writer.store.db.begin_write().map_err(disk)?;
        {
            let mut meta = transaction.open_table(META).map_err(disk)?;
            for (what, value) in identity(charter) {
                meta.insert(what, value.as_bytes()).map_err(disk)?;
            }
            transaction.open_table(BLOCKS).map_err(disk)?;
        }
        writer.put(&transaction, first)?;
        transaction.commit().map_err(disk)?;
        Ok(writer)
    }

    /// Opens the store that [`create`](Self::create) made.
    ///
    /// # Errors
    /// There is none, it belongs to another log, roster, policy or format, or it is damaged.
    pub fn open(file: &Path, charter: &Charter) -> Result<Self, StoreError> {
        let db = Database::builder().open(file).map_err(|source| opened(file, source))?;
        let store = Store { db: Arc::new(db) };
        let transaction = store.db.begin_read().map_err(disk)?;
        {
            let meta = transaction.open_table(META).map_err(disk)?;
            for (what, want) in identity(charter) {
                let found = meta.get(what).map_err(disk)?;
                let found =
                    found.map_or_else(String::new, |row| String::from_utf8_lossy(row.value()).into_owned());
                if found != want {
                    return Err(StoreError::Other { what, found, want });
                }
            }
        }
        let size = size(&transaction)?;
        let tiler = Tiler::resume(size, |tile| {
            let bytes = tile_bytes(&transaction, tile.level(), tile.index())?;
            Ok(Resource::Tile(tile).cut(bytes)?)
        });
        let tiler = tiler.map_err(|problem: NodeError<StoreError>| match problem {
            NodeError::Read { cause, .. } => cause,
            NodeError::Tile(problem) => StoreError::Tile(problem),
            NodeError::Absent { index, .. } => StoreError::Missing { what: "tile", index },
        })?;
        let blocks = next(&transaction.open_table(BLOCKS).map_err(disk)?)?;
        drop(transaction);
        Ok(Self { store, tiler, blocks, loose: 0 })
    }

    /// The same store, for reading.
    #[must_use]
    pub fn reader(&self) -> Store {
        self.store.clone()
    }

    /// How many entries are stored.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tiler.size()
    }

    /// The head of the stored log, by its tiles.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.tiler.head()
    }

    /// Puts a group on disk. When this returns, it is there.
    ///
    /// # Errors
    /// The group does not follow, or the disk fails; then the process must end.
    pub fn append(&mut self, group: &Group<'_>) -> Result<(), StoreError> {
        let transaction = self.store.db.begin_write().map_err(disk)?;
        self.put(&transaction, group)?;
        transaction.commit().map_err(disk)?;
        self.loose = 0;
        Ok(())
    }

    /// Forgets all followed blocks; they can be had again from the node.
    ///
    /// # Errors
    /// The disk fails.
    pub fn forget_blocks(&mut self) -> Result<(), StoreError> {
        let transaction = self.store.db.begin_write().map_err(disk)?;
        transaction.delete_table(BLOCKS).map_err(disk)?;
        transaction.open_table(BLOCKS).map_err(disk)?;
        transaction.commit().map_err(disk)?;
        self.blocks = 0;
        Ok(())
    }

    /// Keeps what can be had again: the latest co-signed checkpoint and followed blocks. It is on disk with the next
    /// group at the latest.
    ///
    /// # Errors
    /// The disk fails; then the process must end.
    pub fn keep(&mut self, witnessed: Option<&[u8]>, blocks: &[Vec<u8>]) -> Result<(), StoreError> {
        let mut transaction = self.store.db.begin_write().map_err(disk)?;
        self.loose = self.loose.saturating_add(blocks.len());
        if self.loose < LOOSE_MAX {
            transaction.set_durability(Durability::None).map_err(disk)?;
        } else {
            self.loose = 0;
        }
        if let Some(checkpoint) = witnessed {
            transaction.open_table(META).map_err(disk)?.insert(WITNESSED, checkpoint).map_err(disk)?;
        }
        {
            let mut table = transaction.open_table(BLOCKS).map_err(disk)?;
            for block in blocks {
                table.insert(self.blocks, block.as_slice()).map_err(disk)?;
                self.blocks = self.blocks.saturating_add(1);
            }
        }
        transaction.commit().map_err(disk)
    }

    fn put(&mut self, transaction: &WriteTransaction, group: &Group<'_>) -> Result<(), StoreError> {
        let size = self.tiler.size();
        if group.from != size {
            return Err(StoreError::Gap { from: group.from, size });
        }
        let mut entries = transaction.open_table(ENTRIES).map_err(disk)?;
        let mut openings = transaction.open_table(OPENINGS).map_err(disk)?;
        for (index, logged) in (size..).zip(group.entries) {
            entries.insert(index, logged.entry.as_slice()).map_err(disk)?;
            let opening = [logged.salt.as_slice(), &logged.body].concat();
            openings.insert(index, opening.as_slice()).map_err(disk)?;
        }
        let mut tiles = transaction.open_table(TILES).map_err(disk)?;
        let grown = self.tiler.extend(group.entries.iter().map(|logged| leaf_hash(&logged.entry)));
        for TileBytes { tile, bytes } in grown {
            tiles.insert((tile.level(), tile.index()), bytes.as_slice()).map_err(disk)?;
        }
        let mut checkpoints = transaction.open_table(CHECKPOINTS).map_err(disk)?;
        checkpoints.insert(self.tiler.size(), group.checkpoint).map_err(disk)?;
        Ok(())
    }
}

impl Store {
    /// How many entries are stored.
    ///
    /// # Errors
    /// The disk fails.
    pub fn size(&self) -> Result<u64, StoreError> {
        size(&self.db.begin_read().map_err(disk)?)
    }

    /// Entries with their openings from `from` on: at most `count_max`, and no more once they have `bytes_max`, but at
    /// least one if there is one.
    ///
    /// # Errors
    /// An opening was erased, or the disk fails.
    pub fn entries(
        &self,
        from: u64,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        entries(&self.db.begin_read().map_err(disk)?, from, count_max, bytes_max)
    }

    /// What a witness at `from` is sent so as to come as near to `until` as limits allow: entries up to a stored
    /// checkpoint, and that checkpoint.
    ///
    /// # Errors
    /// No checkpoint lies between, or the disk fails.
    pub fn extension(
        &self,
        from: u64,
        until: u64,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<(Vec<LogEntry>, Vec<u8>), StoreError> {
        let transaction = self.db.begin_read().map_err(disk)?;
        let checkpoints = transaction.open_table(CHECKPOINTS).map_err(disk)?;
        let distance = |to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut logged = entries(&transaction, from, distance(until).min(count_max), bytes_max)?;
        let reach = from.saturating_add(u64::try_from(logged.len()).unwrap_or(u64::MAX));
        let mut size = None;
        if let Some(last) = checkpoints.range(from..=reach).map_err(disk)?.next_back() {
            size = Some(last.map_err(disk)?.0.value()).filter(|size| *size > from || from == until);
        }
        // A group that is beyond the limits by itself goes whole: there is no checkpoint inside it.
        let size = match size {
            Some(size) => size,
            None => {
                let next = checkpoints.range(from.saturating_add(1)..=until).map_err(disk)?.next();
                let missing = StoreError::Missing { what: "checkpoint after entry", index: from };
                let size = next.ok_or(missing)?.map_err(disk)?.0.value();
                logged = entries(&transaction, from, distance(size), usize::MAX)?;
                size
            }
        };
        let missing = StoreError::Missing { what: "checkpoint of size", index: size };
        let checkpoint = checkpoints.get(size).map_err(disk)?.ok_or(missing)?;
        logged.truncate(distance(size));
        Ok((logged, checkpoint.value().to_vec()))
    }

    /// The bytes of a tile or bundle; nothing where the log has no such one yet. Checkpoints are asked for by
    /// [`witnessed`](Self::witnessed).
    ///
    /// # Errors
    /// The disk fails.
    pub fn resource(&self, resource: Resource) -> Result<Option<Vec<u8>>, StoreError> {
        let transaction = self.db.begin_read().map_err(disk)?;
        match resource {
            Resource::Checkpoint => Ok(None),
            Resource::Tile(tile) => match tile_bytes(&transaction, tile.level(), tile.index()) {
                // A tile that is not as wide yet is not there yet.
                Ok(bytes) => Ok(resource.cut(bytes).ok()),
                Err(StoreError::Missing { .. }) => Ok(None),
                Err(problem) => Err(problem),
            },
            Resource::Entries(bundle) => bundle_bytes(&transaction, bundle),
        }
    }

    /// The latest co-signed checkpoint; nothing before the first.
    ///
    /// # Errors
    /// The disk fails.
    pub fn witnessed(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let transaction = self.db.begin_read().map_err(disk)?;
        let meta = transaction.open_table(META).map_err(disk)?;
        Ok(meta.get(WITNESSED).map_err(disk)?.map(|row| row.value().to_vec()))
    }

    /// What followed blocks changed, oldest first, handed out one by one.
    ///
    /// # Errors
    /// `take` fails, or the disk does.
    pub fn blocks<E: From<StoreError>>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let transaction = self.db.begin_read().map_err(disk)?;
        let table = transaction.open_table(BLOCKS).map_err(disk)?;
        for row in table.iter().map_err(disk)? {
            take(row.map_err(disk)?.1.value())?;
        }
        Ok(())
    }
}

fn opened(file: &Path, source: impl Into<redb::Error>) -> StoreError {
    StoreError::File { file: file.to_owned(), source: source.into() }
}

/// The key after the last.
fn next(table: &redb::ReadOnlyTable<u64, &'static [u8]>) -> Result<u64, StoreError> {
    let last = table.last().map_err(disk)?;
    Ok(last.map_or(0, |(key, _)| key.value().saturating_add(1)))
}

fn size(transaction: &ReadTransaction) -> Result<u64, StoreError> {
    next(&transaction.open_table(ENTRIES).map_err(disk)?)
}

fn tile_bytes(transaction: &ReadTransaction, level: u8, index: u64) -> Result<Vec<u8>, StoreError> {
    let tiles = transaction.open_table(TILES).map_err(disk)?;
    let row = tiles.get((level, index)).map_err(disk)?;
    row.map(|row| row.value().to_vec()).ok_or(StoreError::Missing { what: "tile", index })
}

fn bundle_bytes(transaction: &ReadTransaction, bundle: EntryBundle) -> Result<Option<Vec<u8>>, StoreError> {
    let table = transaction.open_table(ENTRIES).map_err(disk)?;
    let end = bundle.start().saturating_add(u64::from(bundle.width()));
    let mut rows = Vec::new();
    for row in table.range(bundle.start()..end).map_err(disk)? {
        rows.push(row.map_err(disk)?.1.value().to_vec());
    }
    if rows.len() < usize::from(bundle.width()) {
        return Ok(None);
    }
    // Entries that are too long for a bundle are never stored: the log's own encoding is bounded.
    Ok(encode_bundle(rows).ok())
}

fn entries(
    transaction: &ReadTransaction,
    from: u64,
    count_max: usize,
    bytes_max: usize,
) -> Result<Vec<LogEntry>, StoreError> {
    let entries = transaction.open_table(ENTRIES).map_err(disk)?;
    let openings = transaction.open_table(OPENINGS).map_err(disk)?;
    let mut logged = Vec::new();
    let mut bytes = 0_usize;
    for row in entries.range(from..).map_err(disk)?.take(count_max) {
        let (index, entry) = row.map_err(disk)?;
        let missing = StoreError::Missing { what: "opening of entry", index: index.value() };
        let opening = openings.get(index.value()).map_err(disk)?.ok_or(missing)?;
        let missing = StoreError::Missing { what: "salt of entry", index: index.value() };
        let (salt, body) = opening.value().split_first_chunk::<32>().ok_or(missing)?;
        let one = LogEntry { entry: entry.value().to_vec(), salt: *salt, body: body.to_vec() };
        bytes = bytes.saturating_add(one.entry.len()).saturating_add(one.body.len());
        if bytes > bytes_max && !logged.is_empty() {
            break;
        }
        logged.push(one);
    }
    Ok(logged)
}

#[cfg(test)]
mod tests {
    use kuraban_proof::{NoteSigner, SignedCheckpoint, verify_log};
    use kuraban_vault::{Policy, Roster};

    use super::*;

    fn log() -> NoteSigner {
        NoteSigner::from_seed("kuraban.example/log".parse().unwrap(), &[7; 32])
    }

    fn charter(fee_rate_max: u32) -> Charter {
        let witness = kuraban_proof::Cosigner::from_seed("kuraban.example/w".parse().unwrap(), &[8; 32]);
        let roster = format!(
            "[log]\nvkey = \"{}\"\nwitnesses_min = 1\nfaulty_max = 0\n[[machine]]\nid = \"w\"\nrole = \"watcher\"\n\
             tls = \"{}\"\nwitness = \"{}\"\nstatement = \"{}\"\n[[person]]\nid = \"p\"\nkeys = []\n\
             [[group]]\nid = \"g\"\nmembers = [\"p\"]\n",
            log().verifier(),
            "11".repeat(32),
            witness.verifier(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        );
        let policy = format!(
            "rule = []\nreset = [{{ group = \"g\", count = 1 }}]\n[[limit]]\nvault = \"v\"\nper_payout_max = 1\n\
             rolling_24h_max = 1\nfee_max = 1\nfee_rate_max = {fee_rate_max}\n"
        );
        let (roster, policy) = (Roster::from_toml(&roster).unwrap(), Policy::from_toml(&policy).unwrap());
        Charter::new(roster, policy, Vec::new()).unwrap()
    }

    fn entry(index: u64, bytes: usize) -> LogEntry {
        let body = vec![u8::try_from(index % 251).unwrap(); bytes];
        LogEntry { entry: index.to_be_bytes().to_vec(), salt: [9; 32], body }
    }

    /// The head after so many entries, found without the store.
    fn head(size: u64) -> TreeHead {
        let mut frontier = kuraban_proof::Frontier::new();
        (0..size).for_each(|index| frontier.append(leaf_hash(&entry(index, 1).entry)));
        frontier.head()
    }

    fn append(store: &mut StoreWriter, count: u64, bytes: usize) {
        let from = store.size();
        let entries: Vec<LogEntry> = (from..from + count).map(|index| entry(index, bytes)).collect();
        let checkpoint = SignedCheckpoint::sign(&log(), head(from + count)).unwrap().to_string();
        store.append(&Group { from, entries: &entries, checkpoint: checkpoint.as_bytes() }).unwrap();
    }

    fn store(folder: &Path) -> StoreWriter {
        let first = Group { from: 0, entries: &[entry(0, 1)], checkpoint: b"1" };
        StoreWriter::create(&folder.join("store"), &charter(1), &first).unwrap()
    }

    #[test]
    fn a_witness_is_sent_entries_up_to_a_checkpoint_within_the_limits() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path());
        // Checkpoints at 1, 4, 9, 10.
        for count in [3, 5, 1] {
            append(&mut store, count, 100);
        }
        let reader = store.reader();
        let check = |from: u64, until: u64, (count_max, bytes_max): (usize, usize), want: Option<u64>| {
            let sent = reader.extension(from, until, count_max, bytes_max);
            let size = sent.as_ref().ok().map(|(entries, _)| from + u64::try_from(entries.len()).unwrap());
            assert_eq!(size, want, "from {from} until {until}: {sent:?}");
            if let (Ok((entries, checkpoint)), Some(size)) = (sent, want) {
                assert_eq!(
                    entries,
                    (from..size)
                        .map(|index| entry(index, if index == 0 { 1 } else { 100 }))
                        .collect::<Vec<_>>()
                );
                let named = checkpoint == b"1"
                    || SignedCheckpoint::open(&checkpoint, &[log().verifier().clone()], &[]).unwrap().head()
                        == head(size);
                assert!(named, "the checkpoint is of another size than {size}");
            }
        };
        let much = (4096, 1 << 20);
        check(0, 10, much, Some(10));
        check(0, 9, much, Some(9));
        check(0, 8, much, Some(4));
        check(4, 4, much, Some(4));
        check(10, 10, much, Some(10));
        check(1, 10, (8, 1 << 20), Some(9));
        check(1, 10, (7, 1 << 20), Some(4));
        check(1, 10, (4096, 8 * 108), Some(9));
        check(1, 10, (4096, 8 * 108 - 1), Some(4));
        // A group that is beyond the limits goes whole.
        check(4, 10, (4, 1), Some(9));
        // Nobody is ever in the middle of a group.
        check(5, 5, much, None);
        check(10, 11, much, None);
    }

    #[test]
    fn the_log_is_served_whole_however_it_was_grouped_and_after_it_was_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = store(folder.path());
        for count in [1, 253, 1, 1, 255, 256, 3, 65_536] {
            append(&mut writer, count, 0);
        }
        let size = writer.size();
        assert_eq!(writer.head(), head(size));
        drop(writer);
        let mut writer = StoreWriter::open(&folder.path().join("store"), &charter(1)).unwrap();
        append(&mut writer, 5, 0);
        let reader = writer.reader();
        let read = |resource: Resource| reader.resource(resource).unwrap().ok_or("absent");
        for size in [size + 5, size, 511, 256, 255, 1] {
            assert_eq!(verify_log(head(size), 0, read, |_, _| ()).unwrap().entries, size);
        }
        let absent = Resource::Entries(EntryBundle::of(size + 6, (size + 5) / 256).unwrap());
        assert_eq!(reader.resource(absent).unwrap(), None);
    }

    #[test]
    fn a_store_is_made_once_and_opened_only_under_its_own_charter() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store");
        let open = |charter: &Charter| {
            StoreWriter::open(&file, charter).map(drop).map_err(|problem| problem.to_string())
        };
        assert!(open(&charter(1)).unwrap_err().contains("cannot be opened"));
        let mut writer = store(folder.path());
        let again =
            StoreWriter::create(&file, &charter(1), &Group { from: 0, entries: &[], checkpoint: b"0" });
        assert!(matches!(again, Err(StoreError::Create { .. })), "{again:?}");
        let gap = writer.append(&Group { from: 2, entries: &[entry(2, 1)], checkpoint: b"3" });
        assert!(matches!(gap, Err(StoreError::Gap { from: 2, size: 1 })), "{gap:?}");
        writer.keep(Some(b"note"), &[b"first".to_vec(), b"second".to_vec()]).unwrap();
        append(&mut writer, 1, 1);
        drop(writer);
        assert!(open(&charter(2)).unwrap_err().starts_with("the store's policy is"));
        let writer = StoreWriter::open(&file, &charter(1)).unwrap();
        let mut blocks = Vec::new();
        let take = |row: &[u8]| -> Result<(), StoreError> {
            blocks.push(row.to_vec());
            Ok(())
        };
        writer.reader().blocks(take).unwrap();
        assert_eq!(blocks, [b"first".to_vec(), b"second".to_vec()]);
        assert_eq!(writer.reader().witnessed().unwrap().as_deref(), Some(b"note".as_slice()));
    }
}
