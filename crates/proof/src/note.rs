//! Signed notes (C2SP signed-note) with Ed25519 keys, and Ed25519 cosignatures (C2SP tlog-cosignature).
//!
//! Decides whether a note's signatures are by keys that the reader knows. Unknown keys are ignored; a known
//! key's wrong signature spoils the whole note. It never decides which keys or how many are enough.

use core::{fmt, str::FromStr};

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use kuraban_base::{Digest, Instant, hex};

use crate::text::{base64, from_base64};

/// Longest note in bytes, as in the format's first implementation.
pub const NOTE_LENGTH_MAX: usize = 1_000_000;
/// Most signatures on a note; the format asks for at least 16.
pub const SIGNATURES_MAX: usize = 100;
/// Longest key name in bytes (tlog-cosignature: a name is counted in one byte).
const NAME_LENGTH_MAX: usize = 255;
/// Largest cosignature time in seconds.
const TIME_S_MAX: u64 = u64::MAX >> 1;

/// What is wrong with a note, its keys or its signatures.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// More bytes than a note may have.
    #[error("note has {got} bytes, want at most 1000000")]
    Long {
        /// Its length in bytes.
        got: usize,
    },
    /// Bytes that are not a signed note.
    #[error("note is malformed: {problem}")]
    Malformed {
        /// What was expected.
        problem: &'static str,
    },
    /// A signature line that is none.
    #[error("signature line {line} is not \"— <key name> <base64 of key id and signature>\"")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// More signatures than a note may have.
    #[error("note has more than 100 signatures")]
    Signatures,
    /// A key that the reader knows did not make this signature.
    #[error("signature by {name} does not verify")]
    Signature {
        /// The key's name.
        name: KeyName,
    },
}

/// Text that is not a verifier key of a type that is understood here.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// A name that keys may not have.
    #[error("key name {found:?} is not 1 to 255 bytes without spaces, control characters or +")]
    Name {
        /// The name.
        found: String,
    },
    /// Not three parts of the right form.
    #[error("verifier key is not <name>+<8 hexadecimal digits>+<base64>")]
    Form,
    /// A signature type that is not understood here.
    #[error("key {name} has type {found:#04x}, want 0x01 (Ed25519) or 0x04 (Ed25519 cosignature)")]
    Kind {
        /// The key's name.
        name: KeyName,
        /// The type.
        found: u8,
    },
    /// Bytes that are no public key, or one that anybody can sign for.
    #[error("key {name} is not a usable Ed25519 public key of 32 bytes")]
    Public {
        /// The key's name.
        name: KeyName,
    },
    /// An id that belongs to another key.
    #[error("key {name} has id {found}, but its bytes give {want}")]
    Id {
        /// The key's name.
        name: KeyName,
        /// The id as written.
        found: String,
        /// The id as computed.
        want: String,
    },
}

/// A key's name, which for a log is its origin.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyName(String);

impl KeyName {
    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let stranger = |c: char| c.is_whitespace() || ('\0'..' ').contains(&c) || c == '+';
        if (1..=NAME_LENGTH_MAX).contains(&text.len()) && !text.contains(stranger) {
            return Ok(Self(text.to_owned()));
        }
        Err(KeyError::Name { found: text.chars().take(NAME_LENGTH_MAX).collect() })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key signs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyKind {
    /// The note's body (type 0x01): a log's own key.
    Note,
    /// A time and the note's body (type 0x04): a witness's key.
    Cosignature,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Note => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// A public key with its name.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    kind: KeyKind,
    public: VerifyingKey,
    id: [u8; 4],
}

impl VerifierKey {
    fn new(name: KeyName, kind: KeyKind, public: VerifyingKey) -> Self {
        let hash = Digest::sha256(&[name.0.as_bytes(), b"\n", &[kind.byte()], public.as_bytes()]);
        let [a, b, c, d, ..] = *hash.as_bytes();
        Self { name, kind, public, id: [a, b, c, d] }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key's 32 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        self.public.as_bytes()
    }

    /// The four bytes by which signature lines name it; a hint, not an identity.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    fn named_by(&self, line: &SignatureLine) -> bool {
        self.name == line.name && self.id == line.id
    }

    /// The verified signature, or `None` if this key did not make it over `body`.
    fn verify(&self, body: &str, blob: &[u8]) -> Option<Verified> {
        match self.kind {
            KeyKind::Note => {
                let signature = Signature::from_slice(blob).ok()?;
                self.public.verify_strict(body.as_bytes(), &signature).ok()?;
                Some(Verified { key: self.clone(), at: None })
            }
            KeyKind::Cosignature => {
                let (time, signature) = blob.split_first_chunk()?;
                let at_s = u64::from_be_bytes(*time);
                let signature = Signature::from_slice(signature).ok()?;
                // A time of zero is for subtrees; a cosignature of a whole tree says when it was made.
                if at_s == 0 || at_s > TIME_S_MAX {
                    return None;
                }
                self.public.verify_strict(cosigned(at_s, body).as_bytes(), &signature).ok()?;
                Some(Verified { key: self.clone(), at: Some(Instant::from_ms(at_s.saturating_mul(1000))) })
            }
        }
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
        let (id, key) = rest.split_once('+').ok_or(KeyError::Form)?;
        let name: KeyName = name.parse()?;
        let found: [u8; 4] = hex::decode_array(id).map_err(|_| KeyError::Form)?;
        let key = from_base64(key).ok_or(KeyError::Form)?;
        let (kind, public) = match key.split_first().ok_or(KeyError::Form)? {
            (0x01, public) => (KeyKind::Note, public),
            (0x04, public) => (KeyKind::Cosignature, public),
            (found, _) => return Err(KeyError::Kind { name, found: *found }),
        };
        let public = public.try_into().ok().and_then(|public| VerifyingKey::from_bytes(public).ok());
        let Some(public) = public.filter(|public| !public.is_weak()) else {
            return Err(KeyError::Public { name });
        };
        let key = Self::new(name, kind, public);
        if key.id == found {
            return Ok(key);
        }
        Err(KeyError::Id { found: hex::encode(&found), want: hex::encode(&key.id), name: key.name })
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.byte()], self.public.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(&self.id), base64(&key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

/// What a cosignature is over.
fn cosigned(at_s: u64, body: &str) -> String {
    format!("cosignature/v1\ntime {at_s}\n{body}")
}

/// A signature that verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// By which key.
    pub key: VerifierKey,
    /// When, for a cosignature.
    pub at: Option<Instant>,
}

/// A signature line as it stands under a note, not verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignatureLine {
    name: KeyName,
    id: [u8; 4],
    blob: Vec<u8>,
}

impl SignatureLine {
    /// The name that the line claims.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, blob) = line.strip_prefix("— ")?.split_once(' ')?;
        let blob = from_base64(blob)?;
        let (id, blob) = blob.split_first_chunk()?;
        let signed = !blob.is_empty();
        signed.then_some(Self { name: name.parse().ok()?, id: *id, blob: blob.to_vec() })
    }

    /// Reads lines that each end in a newline, at least one: a witness's answer.
    ///
    /// # Errors
    /// A line that is none, too many, or none at all.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, NoteError> {
        let lines = text
            .strip_suffix('\n')
            .ok_or(NoteError::Malformed { problem: "want signature lines that end in a newline" })?;
        let mut parsed = Vec::new();
        for (number, line) in (1..).zip(lines.split('\n')) {
            if number > SIGNATURES_MAX {
                return Err(NoteError::Signatures);
            }
            parsed.push(Self::parse(line).ok_or(NoteError::Line { line: number })?);
        }
        Ok(parsed)
    }
}

impl fmt::Display for SignatureLine {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "— {} {}", self.name, base64(&[self.id.as_slice(), &self.blob].concat()))
    }
}

/// A text and the signatures under it, parsed and not verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    body: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// Anything but a body and at least one signature line in their form and limits.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let malformed = |problem| NoteError::Malformed { problem };
        if bytes.len() > NOTE_LENGTH_MAX {
            return Err(NoteError::Long { got: bytes.len() });
        }
        let text = core::str::from_utf8(bytes).map_err(|_| malformed("want UTF-8"))?;
        if text.contains(|c| c < ' ' && c != '\n') {
            return Err(malformed("want no control characters but newlines"));
        }
        // The last empty line divides: the body may have some of its own.
        let (body, signatures) =
            text.rsplit_once("\n\n").ok_or(malformed("want an empty line before the signatures"))?;
        let signatures = SignatureLine::parse_all(signatures)?;
        Ok(Self { body: format!("{body}\n"), signatures })
    }

    /// A body under which signatures are yet to be put.
    pub(crate) fn unsigned(body: &str) -> Self {
        Self { body: body.to_owned(), signatures: Vec::new() }
    }

    /// What is signed; ends in a newline.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The signature lines, in their order.
    #[must_use]
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Puts another signature line at the end.
    ///
    /// # Errors
    /// The note has as many as it may have.
    pub fn add(&mut self, line: SignatureLine) -> Result<(), NoteError> {
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(NoteError::Signatures);
        }
        self.signatures.push(line);
        Ok(())
    }

    /// Takes away the signature lines that name a key.
    pub(crate) fn drop_lines_of(&mut self, key: &VerifierKey) {
        self.signatures.retain(|line| !key.named_by(line));
    }

    /// The signatures by keys among `known`, in the order of their lines; others are ignored, and so there may
    /// be none.
    ///
    /// # Errors
    /// A line that names a known key does not verify.
    pub fn verify<'k>(
        &self,
        known: impl IntoIterator<Item = &'k VerifierKey, IntoIter: Clone>,
    ) -> Result<Vec<Verified>, NoteError> {
        let known = known.into_iter();
        let mut verified = Vec::new();
        for line in &self.signatures {
            // Two keys of one name may have the same four-byte id: then either may have signed.
            let mut keys = known.clone().filter(|key| key.named_by(line)).peekable();
            if keys.peek().is_none() {
                continue;
            }
            let signature = keys.find_map(|key| key.verify(&self.body, &line.blob));
            verified.push(signature.ok_or_else(|| NoteError::Signature { name: line.name.clone() })?);
        }
        Ok(verified)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.body)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A log's signing key (type 0x01). Zeroised when dropped; neither cloned nor shown.
pub struct NoteSigner {
    verifier: VerifierKey,
    secret: SigningKey,
}

impl NoteSigner {
    /// The key with this name and 32-byte seed (RFC 8032 §5.1.5). The caller zeroises its copy of the seed.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(seed);
        Self { verifier: VerifierKey::new(name, KeyKind::Note, secret.verifying_key()), secret }
    }

    /// The public key.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A note with this body, signed.
    ///
    /// # Errors
    /// The body does not end in a newline, has other control characters, or is too long.
    pub fn sign(&self, body: &str) -> Result<Note, NoteError> {
        if !body.ends_with('\n') || body.contains(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed {
                problem: "want a final newline and no other control characters",
            });
        }
        if body.len() > NOTE_LENGTH_MAX {
            return Err(NoteError::Long { got: body.len() });
        }
        let blob = self.secret.sign(body.as_bytes()).to_bytes().to_vec();
        let line = SignatureLine { name: self.verifier.name.clone(), id: self.verifier.id, blob };
        Ok(Note { body: body.to_owned(), signatures: vec![line] })
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner {{ name: {}, secret: <redacted> }}", self.verifier.name)
    }
}

/// A witness's signing key (type 0x04). Zeroised when dropped; neither cloned nor shown.
///
/// Only [`crate::witness::Witness`] signs with it, so no cosignature is made past the witness's rule.
pub struct Cosigner {
    verifier: VerifierKey,
    secret: SigningKey,
}

impl Cosigner {
    /// The key with this name and 32-byte seed (RFC 8032 §5.1.5). The caller zeroises its copy of the seed.
    ///
    /// A cosignature does not commit to the name: one key for one witness.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(seed);
        Self { verifier: VerifierKey::new(name, KeyKind::Cosignature, secret.verifying_key()), secret }
    }

    /// The public key.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The cosignature of a note's body; `None` in the first second after the epoch, whose time means nothing.
    pub(crate) fn cosign(&self, body: &str, now: Instant) -> Option<SignatureLine> {
        let at_s = now.s();
        if at_s == 0 {
            return None;
        }
        let signature = self.secret.sign(cosigned(at_s, body).as_bytes());
        let blob = [at_s.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        Some(SignatureLine { name: self.verifier.name.clone(), id: self.verifier.id, blob })
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner {{ name: {}, secret: <redacted> }}", self.verifier.name)
    }
}
