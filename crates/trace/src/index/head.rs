//! The head of an index: a small text file that says how much of every column counts. Replaced as a whole, so that an
//! index is always in the state that some head describes.
//!
//! Decides whether a head is whole and of this version. Never looks at the columns.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use kuraban_base::{Height, hex};
use kuraban_chain::btc::{BlockHash, Network};
use sha2::{Digest as _, Sha256};

use super::{
    COLUMNS,
    column::{FileError, Filled, VERSION},
    table::Size,
};

pub(super) const HEAD: &str = "head";
const HEAD_NEW: &str = "head.new";
/// A head has about 1,200 bytes.
const HEAD_BYTES_MAX: u64 = 16_384;
const FIRST_WORD: &str = "kuraban-index";

/// Why a head cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// There is none.
    #[error("{} holds no index, want a folder that `kuraban index build` has made", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// It is of another version.
    #[error("{}: index of version {found}, this program reads version {VERSION}; build it again", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// It is not as it was written.
    #[error("{}: is damaged: {what}; build the index again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Where an index begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// Height of its first block.
    pub height: Height,
    /// The block before it; [`BlockHash::ZERO`] where it begins with the chain's first.
    pub before: BlockHash,
}

impl Start {
    /// With the chain's first block.
    pub const GENESIS: Self = Self { height: Height::new(0), before: BlockHash::ZERO };
}

/// What a writer was doing when it wrote the head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nothing more: the columns are as the head says.
    Settled,
    /// Appending: the columns have more than the head says.
    Open,
    /// Taking blocks off: the sums are not known.
    Undoing,
}

impl State {
    const ALL: [Self; 3] = [Self::Settled, Self::Open, Self::Undoing];

    const fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Open => "open",
            Self::Undoing => "undoing",
        }
    }
}

/// Names of the tables, in the order of [`Marks::tables`].
pub(super) const TABLES: [&str; 2] = ["txid-table", "script-table"];

/// How far every column is filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marks {
    pub(super) columns: [Filled; COLUMNS.len()],
    pub(super) tables: [Size; TABLES.len()],
}

impl Marks {
    /// Of an index without a block.
    pub(super) const EMPTY: Self =
        Self { columns: [Filled { items: 0, sum: 0 }; COLUMNS.len()], tables: [Size::NEW; TABLES.len()] };

    /// How many items the column of a name has.
    pub(super) fn items(&self, name: &str) -> u64 {
        let mut named = COLUMNS.iter().zip(&self.columns);
        named.find(|(known, _)| **known == name).map_or(0, |(_, filled)| filled.items)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) network: Network,
    pub(super) start: Start,
    pub(super) state: State,
    pub(super) marks: Marks,
    /// SHA-256 of the sums of pieces, which a file of its own holds.
    pub(super) sums: [u8; 32],
}

impl Head {
    fn encode(&self) -> String {
        let mut text = format!(
            "{FIRST_WORD} {VERSION}\nchain {}\nstart {} {}\nstate {}\n",
            self.network,
            self.start.height.blocks(),
            self.start.before,
            self.state.name()
        );
        let line = |written: core::fmt::Result| debug_assert!(written.is_ok(), "a string takes all text");
        for (name, filled) in COLUMNS.iter().zip(&self.marks.columns) {
            line(writeln!(text, "column {name} {} {:016x}", filled.items, filled.sum));
        }
        for (name, size) in TABLES.iter().zip(&self.marks.tables) {
            line(writeln!(text, "table {name} {} {:016x}", size.bits, size.sum));
        }
        line(writeln!(text, "sums {}", hex::encode(&self.sums)));
        let check = hex::encode(&Sha256::digest(&text));
        text + "check " + &check + "\n"
    }

    /// Puts it in the place of the one before, durably.
    pub(super) fn write(&self, folder: &Path) -> Result<(), FileError> {
        let (new, path) = (folder.join(HEAD_NEW), folder.join(HEAD));
        let mut file = File::create(&new).map_err(FileError::io(&new, "made"))?;
        let text = self.encode();
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(FileError::io(&new, "written"))?;
        fs::rename(&new, &path).map_err(FileError::io(&path, "replaced"))?;
        // A rename is durable when its folder is.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(FileError::io(folder, "written to disk"))
    }

    pub(super) fn read(folder: &Path) -> Result<Self, HeadError> {
        let path = folder.join(HEAD);
        if !path.exists() {
            return Err(HeadError::Missing { folder: folder.to_owned() });
        }
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(HEAD_BYTES_MAX).read_to_string(&mut text))
            .map_err(FileError::io(&path, "read"))?;
        Self::decode(&path, &text)
    }

    fn decode(path: &Path, text: &str) -> Result<Self, HeadError> {
        let damaged = |what: &str| HeadError::Damaged { path: path.to_owned(), what: what.to_owned() };
        let version = text.lines().next().and_then(|line| line.strip_prefix(FIRST_WORD)).map(str::trim);
        let version = version.ok_or_else(|| damaged("it does not begin as a head does"))?;
        if version != VERSION.to_string() {
            let found = version.chars().take(16).collect();
            return Err(HeadError::Version { path: path.to_owned(), found });
        }
        let (body, check) = text.rsplit_once("check ").ok_or_else(|| damaged("its checksum is missing"))?;
        if hex::encode(&Sha256::digest(body)) + "\n" != check {
            return Err(damaged("its checksum does not match"));
        }
        let head = Self::fields(body).ok_or_else(|| damaged("a line is not what it should be"))?;
        // One state has one text.
        if head.encode() == text { Ok(head) } else { Err(damaged("it is not spelled as a head is")) }
    }

    fn fields(body: &str) -> Option<Self> {
        let mut lines = body.lines().skip(1);
        let mut words = |first: &str| {
            let mut words = lines.next()?.split(' ');
            (words.next() == Some(first)).then_some(words)
        };
        let network = words("chain")?.next()?.parse().ok()?;
        let mut start = words("start")?;
        let start =
            Start { height: Height::new(start.next()?.parse().ok()?), before: start.next()?.parse().ok()? };
        let state = words("state")?.next()?;
        let state = State::ALL.into_iter().find(|known| known.name() == state)?;
        let mut marks = Marks::EMPTY;
        for filled in &mut marks.columns {
            let mut rest = words("column")?.skip(1);
            let items = rest.next()?.parse().ok()?;
            *filled = Filled { items, sum: u64::from_str_radix(rest.next()?, 16).ok()? };
        }
        for size in &mut marks.tables {
            let mut rest = words("table")?.skip(1);
            let bits = rest.next()?.parse().ok().filter(|bits| (1..=41).contains(bits))?;
            *size = Size { bits, sum: u64::from_str_radix(rest.next()?, 16).ok()? };
        }
        let sums = hex::decode(words("sums")?.next()?).ok()?.try_into().ok()?;
        Some(Self { network, start, state, marks, sums })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let mut marks = Marks::EMPTY;
        for (at, filled) in (1_u64..).zip(&mut marks.columns) {
            *filled = Filled { items: at * 1_000_000_007, sum: u64::MAX / at };
        }
        marks.tables[1] = Size { bits: 17, sum: 3 };
        let start = Start { height: Height::new(5), before: BlockHash::from_bytes([7; 32]) };
        Head { network: Network::LtcRegtest, start, state: State::Undoing, marks, sums: [9; 32] }
    }

    #[test]
    fn a_head_comes_back_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let other = Head { state: State::Settled, ..head() };
        for head in [head(), other] {
            head.write(folder.path()).unwrap();
            assert_eq!(Head::read(folder.path()).unwrap(), head);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_changed_head_is_refused() {
        let path = Path::new("head");
        let text = head().encode();
        assert_eq!(Head::decode(path, &text).unwrap(), head());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(Head::decode(path, &changed).is_err(), "byte {at}");
            assert!(Head::decode(path, &text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let text = head().encode().replacen("kuraban-index 2", "kuraban-index 3", 1);
        let error = Head::decode(Path::new("head"), &text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "head: index of version 3, this program reads version 2; build it again"
        );
    }
}
