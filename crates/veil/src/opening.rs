//! A customer's file under the veil: the own leaf and where it stands. It says nothing of anybody else. Decides whether bytes are
//! such a file; whether the leaf is counted, [`Statement::counts`](crate::Statement::counts) says.

use core::fmt;

use kuraban_inclusion::{
    Cursor, NAME_MAX, Opening as Written, Refused as NoOpening, Root, WireError, put_opening,
};

use crate::{Leaf, Salt};

/// Longest file, in bytes.
pub const OPENING_LENGTH_MAX: usize = 1 << 12;
/// What a file begins with.
const MAGIC: &[u8; 8] = b"KRBNVEO1";

/// A customer's file, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// The statement's root.
    pub root: Root,
    /// The batch, from 0.
    pub batch: u32,
    /// The leaf's place in it, from 0.
    pub place: u32,
    /// The leaf.
    pub leaf: Leaf,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({}/{} of {})", self.batch, self.place, self.root)
    }
}

/// Why bytes are no such file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpeningError {
    /// Longer than any is.
    #[error("the file has {found} bytes, want at most {OPENING_LENGTH_MAX}")]
    Long {
        /// Its length.
        found: usize,
    },
    /// Not a file of this kind.
    #[error("is no customer's file under a veil: it does not begin with KRBNVEO1")]
    Magic,
    /// Not the bytes of one.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A name or amounts that cannot be.
    #[error(transparent)]
    Leaf(#[from] NoOpening),
    /// Nobody's.
    #[error("the customer's name has 0 bytes, want 1 to {NAME_MAX}")]
    Name,
    /// A salt in another form.
    #[error("the salt is not in its one form")]
    Salt,
}

impl Opening {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(self.root.as_bytes());
        bytes.extend_from_slice(&self.batch.to_be_bytes());
        bytes.extend_from_slice(&self.place.to_be_bytes());
        put_opening(&mut bytes, &self.leaf.name, &self.leaf.salt.to_bytes(), &self.leaf.amounts);
        bytes
    }

    /// Reads a file, of so many assets.
    ///
    /// # Errors
    /// Anything else, to the last byte.
    pub fn decode(bytes: &[u8], assets: usize) -> Result<Self, OpeningError> {
        if bytes.len() > OPENING_LENGTH_MAX {
            return Err(OpeningError::Long { found: bytes.len() });
        }
        let mut cursor = Cursor::new(bytes);
        if cursor.take(MAGIC.len()).ok() != Some(MAGIC) {
            return Err(OpeningError::Magic);
        }
        let root = Root::from_bytes(cursor.array()?);
        let (batch, place) = (u32::from_be_bytes(cursor.array()?), u32::from_be_bytes(cursor.array()?));
        let Written { name, salt, amounts } = Written::read(&mut cursor, assets)?;
        cursor.end()?;
        if name.is_empty() {
            return Err(OpeningError::Name);
        }
        let salt = Salt::from_bytes(&salt).ok_or(OpeningError::Salt)?;
        Ok(Self { root, batch, place, leaf: Leaf { name, salt, amounts } })
    }
}
