//! The signer's disk: everything it must not forget, in one redb file. Decides nothing; writes what it is told, all or
//! nothing, durable before it returns, and reads it back in the order in which it was written.
//!
//! - `entries`: index → entry, salt, body (deterministic CBOR).
//! - `changes`: number → receipt or trip, with the size of the log before it.
//! - `meta`: what the store belongs to, and the last co-signed head.

use std::{
    fs, io,
    ops::Bound,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use kuraban_base::{
    MachineId, PolicyHash, RosterHash,
    cbor::{CborError, Fields, Value},
};
use kuraban_proof::TreeHead;
use kuraban_vault::{signer::Change, statement::Signed, wire::LogEntry};
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction, backends::FileBackend,
};

use crate::secret::sync_folder;

/// The store's format. Another one is refused, never converted in passing.
const FORMAT: u64 = 1;
/// How many entries are read at once.
const CHUNK: usize = 256;
/// Memory for the store's cache, in bytes; the log is read once, at the start.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const BINDING: &str = "binding";
const COSIGNED: &str = "cosigned";

/// What a store belongs to. Under anything else its contents mean nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Binding {
    /// The machine.
    pub(crate) machine: MachineId,
    /// The roster.
    pub(crate) roster: RosterHash,
    /// The policy.
    pub(crate) policy: PolicyHash,
}

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// There is a file where the store should be created.
    #[error("{} is there already; init never touches a store", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// There is no store.
    #[error("there is no store at {}; create one with init", path.display())]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// The system failed.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The database failed.
    #[error("the store failed")]
    Database(#[source] Box<redb::Error>),
    /// The store was made under another roster, policy, machine or format.
    #[error("the store was made for {what} {found}, this is {own}")]
    Other {
        /// What differs.
        what: &'static str,
        /// What the store says.
        found: String,
        /// What the configuration says.
        own: String,
    },
    /// A row that is not as it was written.
    #[error("the store is damaged: {row} does not decode")]
    Damaged {
        /// Which row.
        row: String,
        /// What is wrong.
        #[source]
        source: CborError,
    },
    /// Rows that do not follow on each other.
    #[error("the store is damaged: {problem}")]
    Incomplete {
        /// What is missing.
        problem: String,
    },
}

impl StoreError {
    /// The exit status: 2 if the configuration does not fit the store, 3 otherwise.
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::Other { .. } => 2,
            Self::Exists { .. }
            | Self::Missing { .. }
            | Self::Io { .. }
            | Self::Database(_)
            | Self::Damaged { .. }
            | Self::Incomplete { .. } => 3,
        }
    }
}

fn failed(problem: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Box::new(problem.into()))
}

/// A row of `changes`: a receipt or a trip, and how many entries of the log were stored before it.
struct Row {
    size: u64,
    change: Change,
}

/// The open store. Only one process can have it open.
#[derive(Debug)]
pub(crate) struct Store {
    db: Database,
    /// Entries stored.
    size: u64,
    /// Rows of `changes`.
    changes: u64,
}

impl Store {
    /// Creates a store. It appears under its name only when it is whole.
    ///
    /// # Errors
    /// Something is there already, or the system failed.
    pub(crate) fn create(path: &Path, binding: &Binding) -> Result<(), StoreError> {
        let io = |what| move |source| StoreError::Io { what, path: path.to_owned(), source };
        let exists = || StoreError::Exists { path: path.to_owned() };
        if fs::symlink_metadata(path).is_ok() {
            return Err(exists());
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        // What an earlier attempt that was killed may have left; nothing ever opens it.
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft);
        let backend = FileBackend::new(file.map_err(io("create"))?).map_err(failed)?;
        let db = Builder::new().create_with_backend(backend).map_err(failed)?;
        let write = db.begin_write().map_err(failed)?;
        write.open_table(ENTRIES).map_err(failed)?;
        write.open_table(CHANGES).map_err(failed)?;
        write
            .open_table(META)
            .map_err(failed)?
            .insert(BINDING, binding.encode().as_slice())
            .map_err(failed)?;
        write.commit().map_err(failed)?;
        drop(db);
        // Unlike a rename, a link never replaces what is there.
        fs::hard_link(&draft, path).map_err(|source| {
            match source.kind() == io::ErrorKind::AlreadyExists {
                true => exists(),
                false => io("create")(source),
            }
        })?;
        fs::remove_file(&draft).and_then(|()| sync_folder(path)).map_err(io("create"))
    }

    /// Opens a store that belongs to `binding`.
    ///
    /// # Errors
    /// There is none, it belongs to something else, is damaged, or another process has it open.
    pub(crate) fn open(path: &Path, binding: &Binding) -> Result<Self, StoreError> {
        if let Err(source) = fs::symlink_metadata(path) {
            return Err(match source.kind() == io::ErrorKind::NotFound {
                true => StoreError::Missing { path: path.to_owned() },
                false => StoreError::Io { what: "open", path: path.to_owned(), source },
            });
        }
        let db = Builder::new().set_cache_size(CACHE_BYTES).open(path).map_err(failed)?;
        let read = db.begin_read().map_err(failed)?;
        let meta = read.open_table(META).map_err(failed)?;
        let row = meta.get(BINDING).map_err(failed)?;
        let row = row.ok_or_else(|| StoreError::Incomplete {
            problem: "it does not say what it belongs to".to_owned(),
        })?;
        binding.matches(row.value())?;
        let size = read.open_table(ENTRIES).map_err(failed)?.len().map_err(failed)?;
        let changes = read.open_table(CHANGES).map_err(failed)?.len().map_err(failed)?;
        drop((row, meta, read));
        Ok(Self { db, size, changes })
    }

    /// Hands over everything stored, in the order in which it was written: entries, and between them receipts and trips
    /// as they came; the last co-signed head at the end.
    ///
    /// # Errors
    /// The store is damaged, or `take` refuses.
    pub(crate) fn replay<E: From<StoreError>>(
        &self,
        mut take: impl FnMut(Change) -> Result<(), E>,
    ) -> Result<(), E> {
        let read = self.db.begin_read().map_err(failed)?;
        let changes = read.open_table(CHANGES).map_err(failed)?;
        let entries = read.open_table(ENTRIES).map_err(failed)?;
        let mut taken = 0;
        for (number, row) in (0..).zip(changes.iter().map_err(failed)?) {
            let (key, row) = row.map_err(failed)?;
            follows("changes", number, key.value())?;
            let row = Row::decode(key.value(), row.value())?;
            replay_entries(&entries, &mut taken, row.size, &mut take)?;
            take(row.change)?;
        }
        replay_entries(&entries, &mut taken, self.size, &mut take)?;
        let meta = read.open_table(META).map_err(failed)?;
        match meta.get(COSIGNED).map_err(failed)? {
            Some(row) => {
                take(Change::Cosigned(decoded("the co-signed head", TreeHead::decode(row.value()))?))
            }
            None => Ok(()),
        }
    }

    /// Writes changes, all or nothing; they are on disk when it returns.
    ///
    /// # Errors
    /// The database failed. What is on disk is then not known: the process must end.
    pub(crate) fn persist(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (mut size, mut number) = (self.size, self.changes);
        let write = self.db.begin_write().map_err(failed)?;
        for change in changes {
            put(&write, change, &mut size, &mut number)?;
        }
        write.commit().map_err(failed)?;
        (self.size, self.changes) = (size, number);
        Ok(())
    }
}

fn put(
    write: &WriteTransaction,
    change: &Change,
    size: &mut u64,
    number: &mut u64,
) -> Result<(), StoreError> {
    match change {
        Change::Entries { from, entries } => {
            if from != size {
                let problem = format!("entries from {from} on were to be stored after {size}");
                return Err(StoreError::Incomplete { problem });
            }
            let mut table = write.open_table(ENTRIES).map_err(failed)?;
            for entry in entries {
                table.insert(*size, entry.to_value().encode().as_slice()).map_err(failed)?;
                *size = size.saturating_add(1);
            }
        }
        Change::Cosigned(head) => {
            let mut table = write.open_table(META).map_err(failed)?;
            table.insert(COSIGNED, head.encode().as_slice()).map_err(failed)?;
        }
        Change::Receipt(..) | Change::Trip(_) => {
            let mut table = write.open_table(CHANGES).map_err(failed)?;
            table.insert(*number, encode_row(*size, change).as_slice()).map_err(failed)?;
            *number = number.saturating_add(1);
        }
    }
    Ok(())
}

fn replay_entries<E: From<StoreError>>(
    table: &impl ReadableTable<u64, &'static [u8]>,
    taken: &mut u64,
    until: u64,
    take: &mut impl FnMut(Change) -> Result<(), E>,
) -> Result<(), E> {
    let mut chunk = Vec::new();
    let mut from = *taken;
    for row in table.range((Bound::Included(*taken), Bound::Excluded(until))).map_err(failed)? {
        let (key, row) = row.map_err(failed)?;
        follows("entries", *taken, key.value())?;
        let name = || format!("entry {}", key.value());
        let entry = decoded(&name(), Value::decode(row.value()).and_then(LogEntry::from_value))?;
        chunk.push(entry);
        *taken = taken.saturating_add(1);
        if chunk.len() >= CHUNK {
            take(Change::Entries { from, entries: core::mem::take(&mut chunk) })?;
            from = *taken;
        }
    }
    if *taken != until {
        let problem = format!("entries end at {taken}, want {until}");
        return Err(StoreError::Incomplete { problem }.into());
    }
    if chunk.is_empty() { Ok(()) } else { take(Change::Entries { from, entries: chunk }) }
}

fn follows(table: &str, want: u64, found: u64) -> Result<(), StoreError> {
    if found == want {
        return Ok(());
    }
    Err(StoreError::Incomplete { problem: format!("{table} have row {found} where {want} is due") })
}

fn decoded<T>(row: &str, result: Result<T, CborError>) -> Result<T, StoreError> {
    result.map_err(|source| StoreError::Damaged { row: row.to_owned(), source })
}

/// The bytes of a receipt or trip. Entries and heads have rows of their own.
fn encode_row(size: u64, change: &Change) -> Vec<u8> {
    let body = match change {
        Change::Receipt(receipt, prevouts) => {
            ("receipt", Value::bytes(Change::receipt_row(receipt, prevouts)))
        }
        Change::Trip(trip) => ("trip", trip.to_value()),
        Change::Entries { .. } | Change::Cosigned(_) => ("none", Value::Null),
    };
    Value::map([("size", Value::uint(size)), body]).encode()
}

impl Row {
    fn decode(number: u64, bytes: &[u8]) -> Result<Self, StoreError> {
        let parse = || {
            let mut fields = Fields::of("row", Value::decode(bytes)?)?;
            let size = fields.uint("size")?;
            let change = match fields.bytes("receipt") {
                Ok(row) => Change::of_receipt_row(&row)?,
                Err(_) => Change::Trip(Signed::from_value(fields.value("trip")?)?),
            };
            fields.end()?;
            Ok(Self { size, change })
        };
        decoded(&format!("change {number}"), parse())
    }
}

impl Binding {
    fn encode(&self) -> Vec<u8> {
        Value::map([
            ("format", Value::uint(FORMAT)),
            ("machine", Value::text(&self.machine)),
            ("roster", Value::bytes(self.roster.as_bytes())),
            ("policy", Value::bytes(self.policy.as_bytes())),
        ])
        .encode()
    }

    fn matches(&self, row: &[u8]) -> Result<(), StoreError> {
        let mut fields = decoded("meta", Value::decode(row).and_then(|value| Fields::of("meta", value)))?;
        same("format", decoded("meta", fields.uint::<u64>("format"))?, FORMAT)?;
        let found: MachineId = decoded("meta", fields.parse("machine"))?;
        same("machine", &found, &self.machine)?;
        same("roster", RosterHash::from_bytes(decoded("meta", fields.array("roster"))?), self.roster)?;
        same("policy", PolicyHash::from_bytes(decoded("meta", fields.array("policy"))?), self.policy)?;
        decoded("meta", fields.end())
    }
}

fn same<T: PartialEq + core::fmt::Display>(what: &'static str, found: T, own: T) -> Result<(), StoreError> {
    if found == own {
        return Ok(());
    }
    Err(StoreError::Other { what, found: found.to_string(), own: own.to_string() })
}
