//! Checkpoints (C2SP tlog-checkpoint): a log's signed word on its size and root, and the witnesses' cosignatures.
//!
//! Decides whether a checkpoint is by a log that the reader trusts. Whether its cosignatures are enough is
//! [`crate::quorum`]'s and [`crate::policy`]'s answer.

use core::fmt;

use kuraban_base::Instant;

use crate::{
    note::{KeyKind, KeyName, Note, NoteError, NoteSigner, SignatureLine, Verified, VerifierKey},
    text,
    tree::{TreeHead, empty_root},
};

/// Longest origin in bytes (tlog-cosignature: an origin is counted in one byte).
const ORIGIN_LENGTH_MAX: usize = 255;

/// What is wrong with a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it is wrong.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A body that is no checkpoint.
    #[error("checkpoint line {line}: want {want}")]
    Body {
        /// The line's number, from 1.
        line: usize,
        /// What should stand there.
        want: &'static str,
    },
    /// No trusted key of this origin signed it.
    #[error("checkpoint of {origin:?} has no signature by a trusted key of that name")]
    Unsigned {
        /// The origin that it names.
        origin: String,
    },
    /// No leaves, and yet another root than that of no leaves.
    #[error("checkpoint has size 0 and a root that is not that of the empty tree")]
    EmptyRoot,
}

/// A checkpoint's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    origin: String,
    head: TreeHead,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The checkpoint of a log without extension lines.
    #[must_use]
    pub fn new(origin: &KeyName, head: TreeHead) -> Self {
        Self { origin: origin.as_str().to_owned(), head, extensions: Vec::new() }
    }

    /// Reads a note's body.
    ///
    /// # Errors
    /// The first line that is not as it should be.
    pub fn parse(body: &str) -> Result<Self, CheckpointError> {
        let wrong = |line, want| CheckpointError::Body { line, want };
        let mut lines = body.strip_suffix('\n').ok_or(wrong(1, "a final newline"))?.split('\n');
        let origin = lines.next().filter(|line| (1..=ORIGIN_LENGTH_MAX).contains(&line.len()));
        let origin = origin.ok_or(wrong(1, "the log's origin, 1 to 255 bytes"))?;
        let size = lines.next().and_then(text::decimal).ok_or(wrong(2, "the tree's size in decimal"))?;
        let root = lines.next().and_then(text::hash).ok_or(wrong(3, "the root hash in base64"))?;
        let mut extensions = Vec::new();
        for (line, extension) in (4..).zip(lines) {
            if extension.is_empty() {
                return Err(wrong(line, "an extension line that is not empty"));
            }
            extensions.push(extension.to_owned());
        }
        Ok(Self { origin: origin.to_owned(), head: TreeHead { size, root }, extensions })
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Size and root.
    #[must_use]
    pub const fn head(&self) -> TreeHead {
        self.head
    }

    /// Lines after the root; nobody can audit them.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

impl fmt::Display for Checkpoint {
    /// The note's body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.head.size, text::base64(self.head.root.as_bytes()))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A witness's verified cosignature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cosignature {
    /// By which key.
    pub key: VerifierKey,
    /// When, by the witness's clock, in whole seconds.
    pub at: Instant,
}

/// A checkpoint that a trusted log signed, with the cosignatures by known witnesses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
    log: VerifierKey,
    cosignatures: Vec<Cosignature>,
}

impl SignedCheckpoint {
    /// Signs a head in the log's name. The caller never signs one that does not extend the last.
    ///
    /// # Errors
    /// The body is no note, which no key name brings about.
    pub fn sign(log: &NoteSigner, head: TreeHead) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::new(log.verifier().name(), head);
        let note = log.sign(&checkpoint.to_string())?;
        Ok(Self { checkpoint, note, log: log.verifier().clone(), cosignatures: Vec::new() })
    }

    /// Reads a checkpoint and verifies it: `logs` are the trusted logs' keys, each named as its log's origin;
    /// `witnesses` those of the known witnesses.
    ///
    /// # Errors
    /// It is malformed, a known key's signature fails, or no trusted key of its origin signed it.
    pub fn open(
        bytes: &[u8],
        logs: &[VerifierKey],
        witnesses: &[VerifierKey],
    ) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.body())?;
        Self::verify(checkpoint, note, logs, witnesses)
    }

    pub(crate) fn verify(
        checkpoint: Checkpoint,
        note: Note,
        logs: &[VerifierKey],
        witnesses: &[VerifierKey],
    ) -> Result<Self, CheckpointError> {
        let speaks =
            |key: &&VerifierKey| key.kind() == KeyKind::Note && key.name().as_str() == checkpoint.origin;
        let known = logs.iter().filter(speaks).chain(witnesses);
        let mut log = None;
        let mut cosignatures = Vec::new();
        for Verified { key, at } in note.verify(known)? {
            match at {
                Some(at) => cosignatures.push(Cosignature { key, at }),
                None if logs.contains(&key) => log = Some(key),
                None => {}
            }
        }
        let log = log.ok_or_else(|| CheckpointError::Unsigned { origin: checkpoint.origin.clone() })?;
        if checkpoint.head.size == 0 && checkpoint.head.root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { checkpoint, note, log, cosignatures })
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.checkpoint.origin()
    }

    /// Size and root.
    #[must_use]
    pub const fn head(&self) -> TreeHead {
        self.checkpoint.head
    }

    /// The body.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, with unknown keys' signatures too; its `Display` is what is published.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// The log's key that signed it.
    #[must_use]
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The verified cosignatures; one witness may have several.
    #[must_use]
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }

    /// Takes up a witness's answer: the lines by `witnesses`, others are ignored; says how many were new. A later line takes
    /// the place of an earlier one by the same witness, so that a checkpoint can be co-signed again for ever; an earlier one
    /// is ignored.
    ///
    /// # Errors
    /// The answer is malformed, or a line that names one of the witnesses does not verify; nothing is taken up then.
    pub fn add_cosignatures(
        &mut self,
        answer: &str,
        witnesses: &[VerifierKey],
    ) -> Result<usize, CheckpointError> {
        let mut note = self.note.clone();
        let mut cosignatures = self.cosignatures.clone();
        let mut added = 0_usize;
        for line in SignatureLine::parse_all(answer)? {
            let mut single = Note::unsigned(self.note.body());
            single.add(line.clone())?;
            let verified = single.verify(witnesses)?;
            let fresh =
                verified.into_iter().find_map(|Verified { key, at }| Some(Cosignature { key, at: at? }));
            let known = |fresh: &Cosignature| {
                cosignatures.iter().any(|other| other.key == fresh.key && other.at >= fresh.at)
            };
            if let Some(fresh) = fresh.filter(|fresh| !known(fresh)) {
                cosignatures.retain(|other| other.key != fresh.key);
                note.drop_lines_of(&fresh.key);
                cosignatures.push(fresh);
                note.add(line)?;
                added = added.saturating_add(1);
            }
        }
        self.note = note;
        self.cosignatures = cosignatures;
        Ok(added)
    }
}

impl fmt::Display for SignedCheckpoint {
    /// The signed note.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
