//! The watcher's disk: every change in the order in which it was decided, in one redb file. Decides nothing; what is
//! appended is durable before it returns, all or nothing.
//!
//! - `changes`: number → change (deterministic CBOR, [`Change::encode`]).
//! - `meta`: what the store belongs to.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use kuraban_base::{
    MachineId, PolicyHash, RosterHash,
    cbor::{CborError, Fields, Value},
};
use kuraban_watch::Change;
use redb::{
    Builder, Database, Durability, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition, backends::FileBackend,
};

/// The store's format. Another one is refused, never converted in passing.
const FORMAT: u64 = 1;
/// Memory for the store's cache, in bytes; changes are read once, at the start.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const BINDING: &str = "binding";

/// What a store belongs to. Under anything else its contents mean nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Binding {
    pub(super) machine: MachineId,
    pub(super) roster: RosterHash,
    pub(super) policy: PolicyHash,
}

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is a file where the store should be created.
    #[error("{} is there already; init never touches a store", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// There is no store.
    #[error("there is no store at {}; run `kuraban-guardd watch init` first", path.display())]
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
    /// The store was made for something else.
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
    /// Rows that are missing.
    #[error("the store is damaged: {problem}")]
    Incomplete {
        /// What is missing.
        problem: String,
    },
}

impl StoreError {
    /// The exit status: 2 if the configuration does not fit the store, 3 otherwise.
    #[must_use]
    pub const fn status(&self) -> u8 {
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

/// The open store. Only one process can have it open.
#[derive(Debug)]
pub(super) struct Store {
    db: Database,
    /// Rows of `changes`.
    next: u64,
}

/// What was stored before this start.
#[derive(Debug)]
pub(super) struct Rows(redb::ReadTransaction);

impl Store {
    /// Creates a store. It appears under its name only when it is whole.
    pub(super) fn create(path: &Path, binding: &Binding) -> Result<(), StoreError> {
        let io = |what| move |source| StoreError::Io { what, path: path.to_owned(), source };
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        if fs::symlink_metadata(path).is_ok() {
            return Err(StoreError::Exists { path: path.to_owned() });
        }
        // What an earlier attempt that was killed may have left. Never truncated: it may be a whole store's second name.
        match fs::remove_file(&draft) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io("create")(source)),
            Ok(()) | Err(_) => {}
        }
        let file = options.open(&draft).map_err(io("create"))?;
        let db =
            Builder::new().create_with_backend(FileBackend::new(file).map_err(failed)?).map_err(failed)?;
        let write = db.begin_write().map_err(failed)?;
        write.open_table(CHANGES).map_err(failed)?;
        let mut meta = write.open_table(META).map_err(failed)?;
        meta.insert(BINDING, binding.encode().as_slice()).map_err(failed)?;
        drop(meta);
        write.commit().map_err(failed)?;
        drop(db);
        // Unlike a rename, a link never replaces what is there.
        fs::hard_link(&draft, path).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                StoreError::Exists { path: path.to_owned() }
            } else {
                io("create")(source)
            }
        })?;
        fs::remove_file(&draft).and_then(|()| sync_folder(path)).map_err(io("create"))
    }

    /// Opens a store that belongs to `binding`.
    pub(super) fn open(path: &Path, binding: &Binding) -> Result<(Self, Rows), StoreError> {
        fs::symlink_metadata(path).map_err(|source| {
            let path = path.to_owned();
            if source.kind() == io::ErrorKind::NotFound {
                StoreError::Missing { path }
            } else {
                StoreError::Io { what: "open", path, source }
            }
        })?;
        let db = Builder::new().set_cache_size(CACHE_BYTES).open(path).map_err(failed)?;
        let read = db.begin_read().map_err(failed)?;
        let meta = read.open_table(META).map_err(failed)?;
        let row = meta.get(BINDING).map_err(failed)?;
        let problem = || StoreError::Incomplete { problem: "it does not say whose it is".to_owned() };
        binding.matches(row.ok_or_else(problem)?.value())?;
        let next = read.open_table(CHANGES).map_err(failed)?.len().map_err(failed)?;
        Ok((Self { db, next }, Rows(read)))
    }

    /// Appends changes, all or nothing; they are on disk when it returns.
    ///
    /// # Errors
    /// The database failed. What is on disk is then not known: the process must end.
    pub(super) fn append(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut write = self.db.begin_write().map_err(failed)?;
        write.set_durability(Durability::Immediate).map_err(failed)?;
        let mut table = write.open_table(CHANGES).map_err(failed)?;
        let mut next = self.next;
        for change in changes {
            table.insert(next, change.encode().as_slice()).map_err(failed)?;
            next = next.saturating_add(1);
        }
        drop(table);
        write.commit().map_err(failed)?;
        self.next = next;
        Ok(())
    }
}

impl Rows {
    /// Hands over everything stored, in order, with its number.
    ///
    /// # Errors
    /// The store is damaged, or `take` refuses.
    pub(super) fn replay<E: From<StoreError>>(
        self,
        mut take: impl FnMut(u64, Change) -> Result<(), E>,
    ) -> Result<(), E> {
        let changes = self.0.open_table(CHANGES).map_err(failed)?;
        for (want, row) in (0..).zip(changes.iter().map_err(failed)?) {
            let (number, row) = row.map_err(failed)?;
            let number = number.value();
            if number != want {
                let problem = format!("change {number} stands where change {want} should");
                return Err(StoreError::Incomplete { problem }.into());
            }
            let change = Change::decode(row.value())
                .map_err(|source| StoreError::Damaged { row: format!("change {number}"), source })?;
            take(number, change)?;
        }
        Ok(())
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
        let damaged = |source| StoreError::Damaged { row: "its owner".to_owned(), source };
        let read = || -> Result<(u64, Self), CborError> {
            let mut fields = Fields::of("binding", Value::decode(row)?)?;
            let format = fields.uint("format")?;
            let found = Self {
                machine: fields.parse("machine")?,
                roster: RosterHash::from_bytes(fields.array("roster")?),
                policy: PolicyHash::from_bytes(fields.array("policy")?),
            };
            fields.end()?;
            Ok((format, found))
        };
        let (format, found) = read().map_err(damaged)?;
        let same = |what, found: String, own: String| match found == own {
            true => Ok(()),
            false => Err(StoreError::Other { what, found, own }),
        };
        same("format", format.to_string(), FORMAT.to_string())?;
        same("machine", found.machine.to_string(), self.machine.to_string())?;
        same("roster", found.roster.to_string(), self.roster.to_string())?;
        same("policy", found.policy.to_string(), self.policy.to_string())
    }
}

/// Makes sure that a file's name survives a power cut.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Binding {
        let machine = "watcher-1".parse().unwrap();
        Binding { machine, roster: RosterHash::from_bytes([1; 32]), policy: PolicyHash::from_bytes([2; 32]) }
    }

    #[test]
    fn a_draft_that_is_a_stores_second_name_takes_nothing_with_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (path, draft, backup) = (at("s.redb"), at("s.redb.new"), at("backup"));
        let earlier = Binding { machine: "watcher-2".parse().unwrap(), ..binding() };
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
}
