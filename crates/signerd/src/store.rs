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
    #[error("there is no store at {}; run `kuraban-signerd init` first", path.display())]
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
    /// The last co-signed head.
    cosigned: Option<TreeHead>,
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
        // What an earlier attempt that was killed may have left. Never truncated: it may be a whole store's second name.
        match fs::remove_file(&draft) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io("create")(source)),
            Ok(()) | Err(_) => {}
        }
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&draft);
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
        let head = meta.get(COSIGNED).map_err(failed)?;
        let head =
            head.map(|row| decoded("the co-signed head", TreeHead::decode(row.value()))).transpose()?;
        drop((row, meta, read));
        Ok(Self { db, size, changes, cosigned: head })
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
        match self.cosigned {
            Some(head) => take(Change::Cosigned(head)),
            None => Ok(()),
        }
    }

    /// Writes changes, all or nothing; they are on disk when it returns.
    ///
    /// # Errors
    /// The database failed. What is on disk is then not known: the process must end.
    pub(crate) fn persist(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        // A witness that is asked again for what it has co-signed already changes nothing.
        let news = |change: &&Change| match change {
            Change::Entries { entries, .. } => !entries.is_empty(),
            Change::Cosigned(head) => self.cosigned != Some(*head),
            Change::Receipt(..) | Change::Trip(_) => true,
        };
        let changes: Vec<&Change> = changes.iter().filter(news).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let (mut size, mut number, mut cosigned) = (self.size, self.changes, self.cosigned);
        let write = self.db.begin_write().map_err(failed)?;
        for change in changes {
            match change {
                Change::Entries { from, entries } => put_entries(&write, *from, entries, &mut size)?,
                Change::Cosigned(head) => {
                    let mut table = write.open_table(META).map_err(failed)?;
                    table.insert(COSIGNED, head.encode().as_slice()).map_err(failed)?;
                    cosigned = Some(*head);
                }
                Change::Receipt(receipt, prevouts) => {
                    let row = Value::bytes(Change::receipt_row(receipt, prevouts));
                    put_change(&write, &mut number, size, ("receipt", row))?;
                }
                Change::Trip(trip) => put_change(&write, &mut number, size, ("trip", trip.to_value()))?,
            }
        }
        write.commit().map_err(failed)?;
        (self.size, self.changes, self.cosigned) = (size, number, cosigned);
        Ok(())
    }
}

fn put_entries(
    write: &WriteTransaction,
    from: u64,
    entries: &[LogEntry],
    size: &mut u64,
) -> Result<(), StoreError> {
    if from != *size {
        let problem = format!("entries from {from} on were to be stored after {size}");
        return Err(StoreError::Incomplete { problem });
    }
    let mut table = write.open_table(ENTRIES).map_err(failed)?;
    for entry in entries {
        table.insert(*size, entry.to_value().encode().as_slice()).map_err(failed)?;
        *size = size.saturating_add(1);
    }
    Ok(())
}

fn put_change(
    write: &WriteTransaction,
    number: &mut u64,
    size: u64,
    change: (&str, Value),
) -> Result<(), StoreError> {
    let row = Value::map([("size", Value::uint(size)), change]).encode();
    write.open_table(CHANGES).map_err(failed)?.insert(*number, row.as_slice()).map_err(failed)?;
    *number = number.saturating_add(1);
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

#[cfg(test)]
mod tests {
    use kuraban_base::{Amount, Asset, Digest, Instant, PayoutDigest, TreeHash, Txid};
    use kuraban_chain::btc::{Script, TxOut};
    use kuraban_vault::{
        breaker::{Service, Stage, Trip},
        receipt::Receipt,
        statement::StatementSecret,
    };

    use super::*;

    fn binding() -> Binding {
        let machine = "signer-1".parse().unwrap();
        Binding { machine, roster: RosterHash::from_bytes([1; 32]), policy: PolicyHash::from_bytes([2; 32]) }
    }

    fn entries(from: u64, count: u8) -> Change {
        let entry =
            |n: u8| LogEntry { entry: vec![n; 40], salt: [n; 32], body: vec![n; usize::from(n) * 100] };
        Change::Entries { from, entries: (0..count).map(entry).collect() }
    }

    fn receipt(seq: u64) -> Change {
        let receipt = Receipt {
            by: "signer-1".parse().unwrap(),
            payout: format!("w-{seq}").parse().unwrap(),
            digest: PayoutDigest::from_bytes([3; 32]),
            txid: Txid::from_bytes([4; 32]),
            outflow: Amount::new(u128::MAX),
            seq,
            at: Instant::from_ms(5),
        };
        let prevout = |value_sat| TxOut { value_sat, script: Script::new(vec![6; 34]) };
        Change::Receipt(receipt, vec![prevout(0), prevout(u64::MAX)])
    }

    fn trip() -> Change {
        let trip = Trip {
            by: "watcher-1".parse().unwrap(),
            cells: vec![(Service::Withdrawal, Asset::Ltc)],
            stage: Stage::Closed,
            rule: "unexplained-spend".to_owned(),
            evidence: Digest::sha256(&[b"evidence"]),
            at: Instant::from_ms(7),
        };
        Change::Trip(Signed::sign(trip, &StatementSecret::from_seed(&[8; 32])))
    }

    fn head(size: u64) -> Change {
        Change::Cosigned(TreeHead { size, root: TreeHash::from_bytes([9; 32]) })
    }

    fn replayed(store: &Store) -> Vec<Change> {
        let mut all = Vec::new();
        store
            .replay::<StoreError>(|change| {
                all.push(change);
                Ok(())
            })
            .unwrap();
        all
    }

    #[test]
    fn what_was_stored_comes_back_in_the_order_in_which_it_happened() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("s.redb");
        Store::create(&path, &binding()).unwrap();
        let mut store = Store::open(&path, &binding()).unwrap();
        assert_eq!(replayed(&store), []);
        store.persist(&[trip(), entries(0, 3), head(3)]).unwrap();
        store.persist(&[receipt(1), receipt(2), entries(3, 0), head(3)]).unwrap();
        store.persist(&[entries(3, 2), head(5), receipt(3), entries(5, 1), head(6)]).unwrap();
        let want = [
            trip(),
            entries(0, 3),
            receipt(1),
            receipt(2),
            entries(3, 2),
            receipt(3),
            entries(5, 1),
            head(6),
        ];
        assert_eq!(replayed(&store), want);
        drop(store);
        assert_eq!(replayed(&Store::open(&path, &binding()).unwrap()), want);
    }

    #[test]
    fn many_entries_come_back_in_pieces_that_join() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("s.redb");
        Store::create(&path, &binding()).unwrap();
        let mut store = Store::open(&path, &binding()).unwrap();
        for round in 0..6 {
            store.persist(&[entries(round * 100, 100)]).unwrap();
        }
        let mut next = 0;
        for change in replayed(&store) {
            let Change::Entries { from, entries } = change else { panic!("{change:?}") };
            assert_eq!(from, next);
            assert!(entries.len() <= CHUNK);
            next += u64::try_from(entries.len()).unwrap();
        }
        assert_eq!(next, 600);
    }

    #[test]
    fn a_draft_that_is_a_stores_second_name_takes_nothing_with_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (path, draft, backup) = (at("s.redb"), at("s.redb.new"), at("backup"));
        let earlier = Binding { machine: "signer-2".parse().unwrap(), ..binding() };
        Store::create(&path, &earlier).unwrap();
        // Killed between its two names; then somebody moves the store away.
        fs::hard_link(&path, &draft).unwrap();
        fs::rename(&path, &backup).unwrap();
        let before = fs::read(&backup).unwrap();
        Store::create(&path, &binding()).unwrap();
        assert!(fs::read(&backup).unwrap() == before);
        assert!(!draft.exists());
        Store::open(&path, &binding()).unwrap();
        Store::open(&backup, &earlier).unwrap();
        // What is left of a draft that was never whole is no hindrance.
        fs::write(&draft, b"x").unwrap();
        fs::remove_file(&path).unwrap();
        Store::create(&path, &binding()).unwrap();
        Store::open(&path, &binding()).unwrap();
    }

    #[test]
    fn entries_that_do_not_follow_change_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("s.redb");
        Store::create(&path, &binding()).unwrap();
        let mut store = Store::open(&path, &binding()).unwrap();
        store.persist(&[entries(0, 2)]).unwrap();
        let problem = store.persist(&[receipt(1), entries(3, 1)]).unwrap_err();
        assert_eq!(problem.to_string(), "the store is damaged: entries from 3 on were to be stored after 2");
        assert_eq!(replayed(&store), [entries(0, 2)]);
    }

    #[test]
    fn rows_that_are_missing_or_malformed_are_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let check = |spoil: &dyn Fn(&WriteTransaction), want: &str| {
            let path = folder.path().join("s.redb");
            Store::create(&path, &binding()).unwrap();
            let mut store = Store::open(&path, &binding()).unwrap();
            store.persist(&[entries(0, 3), receipt(1), entries(3, 1), receipt(2)]).unwrap();
            let write = store.db.begin_write().unwrap();
            spoil(&write);
            write.commit().unwrap();
            drop(store);
            let store = Store::open(&path, &binding()).unwrap();
            let told = crate::told(&store.replay::<StoreError>(|_| Ok(())).unwrap_err());
            assert_eq!(told, want);
            fs::remove_file(path).unwrap();
        };
        let remove = |table: TableDefinition<'static, u64, &'static [u8]>, row: u64| {
            move |write: &WriteTransaction| drop(write.open_table(table).unwrap().remove(row).unwrap())
        };
        let put = |table: TableDefinition<'static, u64, &'static [u8]>, row: u64| {
            move |write: &WriteTransaction| {
                drop(write.open_table(table).unwrap().insert(row, &[0xa0][..]).unwrap())
            }
        };
        check(&remove(ENTRIES, 1), "the store is damaged: entries have row 2 where 1 is due");
        check(&remove(ENTRIES, 3), "the store is damaged: entries end at 3, want 4");
        check(&remove(CHANGES, 0), "the store is damaged: changes have row 1 where 0 is due");
        check(&put(ENTRIES, 2), "the store is damaged: entry 2 does not decode: entry is missing");
        check(&put(CHANGES, 1), "the store is damaged: change 1 does not decode: size is missing");
    }
}
