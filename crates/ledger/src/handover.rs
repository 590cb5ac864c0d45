//! Handing customers over to another operator: what is handed over, in which order and in which pieces, what both sides' sums and roots
//! are, and whether anything was lost on the way. Encrypts nothing, signs nothing, reads no file: the tool does.
//!
//! Everything stands in one order: accounts by customer, then addresses, consents and cases, each by its key. Whatever is out of order,
//! stands twice or names a customer without an account is refused, so that one hand-over has one form.

mod compare;
mod fold;
mod manifest;
mod row;

use kuraban_base::{cbor::CborError, hex};

pub use compare::{Against, Difference, conserved};
pub use fold::{Fold, Sum, Totals, none_of};
pub use manifest::{ChunkLine, FileLine, Manifest, Receipt};
pub use row::{Account, Address, Case, Chunk, Consent, Kind, Packer, Row};

/// Bytes of rows at which a chunk is full, before encryption. A row that is longer has a chunk to itself.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Most bytes of a case's file.
pub const CASE_BYTES_MAX: usize = 4 << 20;
/// Most bytes of a chunk's file: a case, its frame and what encryption adds.
pub const CHUNK_BYTES_MAX: usize = CASE_BYTES_MAX + (64 << 10);
/// Most chunks.
pub const CHUNKS_MAX: usize = 100_000;
/// Most cases: a receipt names the file of each, and must be read again.
pub const CASES_MAX: usize = 200_000;
/// Longest address, in bytes.
pub const ADDRESS_MAX: usize = 128;
/// Longest name of what was consented to, in bytes.
pub const WHAT_MAX: usize = 256;
/// Longest name of a case's file, in bytes.
pub const FILE_NAME_MAX: usize = 64;

/// Names one hand-over: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExportId(pub [u8; 16]);

impl core::fmt::Display for ExportId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// 32 random bytes that go into every account's leaf, so that nobody finds balances by trying them against the root. They travel
/// inside the encrypted chunks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl core::fmt::Debug for Salt {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Salt(<redacted>)")
    }
}

/// Why a hand-over is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandoverError {
    /// Bytes that are not what they should be.
    #[error(transparent)]
    Form(#[from] CborError),
    /// Text that cannot stand there.
    #[error(
        "{field}: has {found:?}, want 1 to {max} bytes without control characters and blanks at its ends"
    )]
    Text {
        /// Which field.
        field: &'static str,
        /// What stood there, shortened.
        found: String,
        /// Most bytes.
        max: usize,
    },
    /// A name that would be a path.
    #[error(
        "case {found:?}: want a file name of a-z A-Z 0-9 - _ and ., at most 64 bytes, that begins with none of - and . and ends in .json"
    )]
    FileName {
        /// What stood there, shortened.
        found: String,
    },
    /// A file whose bytes are others.
    #[error("case {name}: its SHA-256 is {found}, want {want}")]
    CaseHash {
        /// The file.
        name: String,
        /// What its bytes hash to.
        found: String,
        /// What was said.
        want: String,
    },
    /// Twice, or in another order.
    #[error("{kind}: {found:?} stands after {after:?}; want each once, in order")]
    Order {
        /// Of what.
        kind: &'static str,
        /// The later key.
        found: String,
        /// The earlier key.
        after: String,
    },
    /// A customer without an account.
    #[error("{kind}: customer {customer:?} has no account in this hand-over")]
    NoAccount {
        /// Of what.
        kind: &'static str,
        /// Whose.
        customer: String,
    },
    /// An asset that the hand-over does not name.
    #[error("{customer}: asset {asset:?} is not among the hand-over's")]
    Asset {
        /// Whose.
        customer: String,
        /// Of what.
        asset: String,
    },
    /// A sum that no amount can hold.
    #[error("the total of {asset} is beyond 2^128 - 1 units")]
    Overflow {
        /// Of what.
        asset: String,
    },
    /// Something that should be equal and is not.
    #[error("{what} is {found}, want {want}")]
    Differs {
        /// What.
        what: String,
        /// What was found.
        found: String,
        /// What was said.
        want: String,
    },
    /// More than there may be.
    #[error("{what}: {found}, want at most {max}")]
    Many {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// The bound.
        max: usize,
    },
}

impl HandoverError {
    /// Found and wanted side by side, unless they are equal.
    pub(crate) fn unless_equal<T: PartialEq + ToString>(
        what: impl ToString,
        found: &T,
        want: &T,
    ) -> Result<(), Self> {
        if found == want {
            return Ok(());
        }
        Err(Self::Differs { what: what.to_string(), found: found.to_string(), want: want.to_string() })
    }
}

/// The text, if it can stand in this field.
fn text(field: &'static str, found: String, max: usize) -> Result<String, HandoverError> {
    let fits = (1..=max).contains(&found.len());
    let clean = found.trim() == found && !found.chars().any(char::is_control);
    if fits && clean {
        return Ok(found);
    }
    Err(HandoverError::Text { field, found: found.chars().take(40).collect(), max })
}
