//! Importers: what nodes and public tools give, as lists of transfers.
//!
//! Each is a pure function of bytes. Decides what moved and in which order; never whether it was right to. What a file
//! does not say is not made up: a gap is an error, or an opening balance that is unknown.

mod etl;
mod evm;
mod nis;
mod nis_binary;
mod nis_mosaic;
mod node;
mod rippled;

pub use etl::etl;
pub use nis::nis;
pub use node::evm;
pub use rippled::rippled;

use kuraban_base::Digest;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    transfer::{Kind, Mark, Transfer},
    units::Units,
};

/// A file to import.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What errors call it.
    pub name: &'a str,
    /// All its bytes.
    pub bytes: &'a [u8],
}

/// Files that make no list.
#[derive(Debug, thiserror::Error)]
#[error("{name}")]
pub struct ImportError {
    /// The file, or the block or ledger once they are put together.
    pub name: String,
    /// What is wrong with it.
    #[source]
    pub problem: ImportProblem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum ImportProblem {
    /// Not JSON of the form that it must have.
    #[error("{place}is not the JSON that it must be: {problem}")]
    Json {
        /// The field with a colon after it; empty for all of it.
        place: String,
        /// What is wrong there, at most 200 characters of it.
        problem: String,
    },
    /// Not bytes of the form that they must have.
    #[error("{what} at byte {at}: found {found}, want {want}")]
    Binary {
        /// The field.
        what: &'static str,
        /// Where it stands.
        at: usize,
        /// What stands there.
        found: String,
        /// What may stand there.
        want: &'static str,
    },
    /// A field that cannot be what it says.
    #[error("{what}: found {found}, want {want}")]
    Field {
        /// The field.
        what: &'static str,
        /// What stood there, at most 80 characters of it.
        found: String,
        /// What may stand there.
        want: &'static str,
    },
    /// Something that is needed and not there.
    #[error("{what} is missing; give {give}")]
    Missing {
        /// What.
        what: String,
        /// What to give.
        give: &'static str,
    },
    /// Two things that cannot both be right.
    #[error("{what}: {one} against {other}")]
    Contradiction {
        /// What they are of.
        what: String,
        /// One.
        one: String,
        /// The other.
        other: String,
    },
}

impl ImportProblem {
    fn field(what: &'static str, found: &str, want: &'static str) -> Self {
        Self::Field { what, found: found.chars().take(80).collect(), want }
    }

    fn contradiction(what: impl Into<String>, one: impl ToString, other: impl ToString) -> Self {
        Self::Contradiction { what: what.into(), one: one.to_string(), other: other.to_string() }
    }

    fn json(path: &str, problem: &serde_json::Error) -> Self {
        let place = if matches!(path, "" | "." | "?") { String::new() } else { format!("{path}: ") };
        let problem: String = problem.to_string().chars().take(200).collect();
        Self::Json { place: place.chars().take(200).collect(), problem }
    }

    /// Names what a field belongs to.
    fn under(self, above: &str) -> Self {
        match self {
            Self::Json { place, problem } if place.is_empty() => {
                Self::Json { place: format!("{above}: "), problem }
            }
            Self::Json { place, problem } => Self::Json { place: format!("{above}.{place}"), problem },
            kept @ (Self::Binary { .. }
            | Self::Field { .. }
            | Self::Missing { .. }
            | Self::Contradiction { .. }) => kept,
        }
    }

    fn at(self, name: impl Into<String>) -> ImportError {
        ImportError { name: name.into(), problem: self }
    }
}

/// All of a file as JSON.
fn whole(bytes: &[u8]) -> Result<Value, ImportProblem> {
    serde_json::from_slice(bytes).map_err(|problem| ImportProblem::json("", &problem))
}

/// A value as what it must be; what is wrong is named with its field.
fn typed<T: DeserializeOwned>(value: Value) -> Result<T, ImportProblem> {
    serde_path_to_error::deserialize(value)
        .map_err(|problem| ImportProblem::json(&problem.path().to_string(), problem.inner()))
}

/// Writes one transaction's transfers, numbered from 0; what carries nothing is left out.
#[derive(Debug)]
struct Writer<'a> {
    list: &'a mut Vec<Transfer>,
    height: u64,
    position: u32,
    tx: &'a str,
    index: u32,
}

impl<'a> Writer<'a> {
    fn new(list: &'a mut Vec<Transfer>, height: u64, position: u32, tx: &'a str) -> Self {
        Self { list, height, position, tx, index: 0 }
    }

    fn write(&mut self, kind: Kind, asset: &str, from: Option<&str>, to: Option<&str>, amount: Units) {
        if amount.is_zero() {
            return;
        }
        self.list.push(Transfer {
            height: self.height,
            position: self.position,
            tx: self.tx.to_owned(),
            index: self.index,
            asset: asset.to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            amount,
            kind,
        });
        self.index = self.index.saturating_add(1);
    }
}

/// The lines of blocks whose hash and predecessor are all stated; else none, since one that lacks them cannot be followed.
fn marks(blocks: impl IntoIterator<Item = Option<Mark>>) -> Vec<Mark> {
    blocks.into_iter().collect::<Option<Vec<Mark>>>().unwrap_or_default()
}

/// A block's line from hashes in hexadecimal, in whatever case and with or without 0x.
fn mark(height: u64, hash: &str, prev: &str) -> Option<Mark> {
    let digest = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
        kuraban_base::hex::decode_array(&digits).ok().map(Digest::from_bytes)
    };
    Some(Mark { height, hash: digest(hash)?, prev: digest(prev)? })
}

/// The place of something in a list.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
