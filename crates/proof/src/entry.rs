//! A log entry and the opening of its commitment.
//!
//! Decides what an entry's bytes are and whether an opening belongs to it. It never decides which kinds there
//! are or what a body means; and the name in `by` is a claim until the opened body's own signature is checked.

use core::{fmt, str::FromStr};

use kuraban_base::{
    Digest, Instant, TreeHash,
    cbor::{self, CborError, Fields, Value},
};

use crate::tree;

/// Longest entry in bytes: an entry bundle counts an entry's bytes in sixteen bits (tlog-tiles, "Log Entries").
pub const ENTRY_LENGTH_MAX: usize = 65_535;
/// The only version of an entry there is.
const VERSION: u8 = 1;
/// Longest key id, in bytes.
const KEY_ID_LENGTH_MAX: usize = 128;
/// Longest kind, in bytes.
const KIND_LENGTH_MAX: usize = 64;

/// Bytes that are not an entry.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EntryError {
    /// More bytes than an entry may have.
    #[error("entry has {got} bytes, want at most 65535")]
    Long {
        /// Its length in bytes.
        got: usize,
    },
    /// Not the deterministic CBOR map of an entry.
    #[error("entry is not the expected map")]
    Cbor(#[from] CborError),
}

/// A token that is empty, too long or has a character that it may not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} is {found:?}, want {want}")]
pub struct TokenError {
    what: &'static str,
    found: String,
    want: &'static str,
}

/// An opening whose salt and body are not what the entry committed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("opening hashes to {found}, the entry committed to {want}")]
pub struct NotOpened {
    /// What salt and body hash to.
    pub found: Digest,
    /// What the entry says.
    pub want: Digest,
}

/// Names the key that answers for an entry's body: 1 to 128 printable ASCII characters without spaces.
///
/// Text rather than four bytes, so that nobody can grind a second key with the same id: a note key's
/// `name+id`, an SSH fingerprint `SHA256:…` and a roster's own name for a key all fit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId(String);

impl KeyId {
    /// The id as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let want = "1 to 128 printable ASCII characters without spaces";
        token("key id", text, KEY_ID_LENGTH_MAX, |byte| byte.is_ascii_graphic(), want).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an entry is about, such as `payout.requested`: 1 to 64 of a-z 0-9 . _ -.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryKind(String);

impl EntryKind {
    /// The kind as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryKind {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        token("entry kind", text, KIND_LENGTH_MAX, allowed, "1 to 64 of a-z 0-9 . _ -").map(Self)
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn token(
    what: &'static str,
    text: &str,
    length_max: usize,
    allowed: impl Fn(u8) -> bool,
    want: &'static str,
) -> Result<String, TokenError> {
    if (1..=length_max).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    // A long stranger is shown only as far as it helps.
    Err(TokenError { what, found: text.chars().take(length_max).collect(), want })
}

/// What stands in the log for one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When the writer appended it, by the writer's clock.
    pub at: Instant,
    /// The key that answers for the body.
    pub by: KeyId,
    /// What it is about.
    pub kind: EntryKind,
    /// The commitment to salt and body.
    pub commit: Digest,
}

impl Entry {
    /// The entry's bytes: deterministic CBOR of the map `{v: 1, at: ms, by: text, kind: text, commit: 32 bytes}`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Value::map([
            ("v", Value::uint(VERSION)),
            ("at", Value::uint(self.at.ms())),
            ("by", Value::text(&self.by)),
            ("kind", Value::text(&self.kind)),
            ("commit", Value::bytes(self.commit.as_bytes())),
        ])
        .encode()
    }

    /// Reads an entry's bytes.
    ///
    /// # Errors
    /// Anything but the one encoding of an entry of version 1.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_LENGTH_MAX {
            return Err(EntryError::Long { got: bytes.len() });
        }
        let mut fields = Fields::of("entry", Value::decode(bytes)?)?;
        let version: u64 = fields.uint("v")?;
        if version != u64::from(VERSION) {
            return Err(cbor::invalid("v", format!("{version}, want 1")).into());
        }
        let at = Instant::from_ms(fields.uint("at")?);
        let by = fields.parse("by")?;
        let kind = fields.parse("kind")?;
        let commit = Digest::from_bytes(fields.array("commit")?);
        fields.end()?;
        Ok(Self { at, by, kind, commit })
    }

    /// The entry's leaf in the tree (RFC 6962 §2.1).
    #[must_use]
    pub fn leaf(&self) -> TreeHash {
        tree::leaf_hash(&self.encode())
    }

    /// The body, if the opening is what this entry committed to.
    ///
    /// # Errors
    /// Salt and body hash to something else.
    pub fn opened_by<'a>(&self, opening: &'a Opening) -> Result<&'a [u8], NotOpened> {
        let found = opening.commit();
        if found == self.commit { Ok(&opening.body) } else { Err(NotOpened { found, want: self.commit }) }
    }
}

/// What lies beside the log for one entry: disclosed by role, erased after its retention.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// Fresh random bytes; without them a short body could be guessed from its commitment.
    pub salt: [u8; 32],
    /// The event itself.
    pub body: Vec<u8>,
}

impl Opening {
    /// SHA-256 over salt and body.
    #[must_use]
    pub fn commit(&self) -> Digest {
        Digest::sha256(&[&self.salt, &self.body])
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening {{ salt: <redacted>, body: <{} bytes> }}", self.body.len())
    }
}
