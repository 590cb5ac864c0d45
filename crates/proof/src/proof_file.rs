//! Proof files (C2SP tlog-proof, `.tlog-proof`): one entry's presence in a log, to be verified offline.
//!
//! Decides whether a file shows that a leaf stands in a witnessed tree. That no other entry is missing is
//! nothing that such a file can show.

use core::fmt;

use kuraban_base::TreeHash;

use crate::{
    VerifierKey,
    checkpoint::{CheckpointError, SignedCheckpoint},
    note::{NOTE_LENGTH_MAX, Note, NoteError},
    policy::{NotAccepted, Policy},
    quorum::{QuorumError, WitnessQuorum},
    text,
    tree::ProofError,
};

/// The first line.
const MAGIC: &str = "c2sp.org/tlog-proof@v1";
/// Longest file in bytes: a note, a path and as much extra data again.
pub const PROOF_FILE_LENGTH_MAX: usize = 2 * NOTE_LENGTH_MAX;
/// Most hashes in an inclusion path.
const PATH_MAX: usize = 63;

/// Bytes that are no proof file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofFileError {
    /// Longer than a proof file may be.
    #[error("proof file has {got} bytes, want at most 2000000")]
    Long {
        /// Its length in bytes.
        got: usize,
    },
    /// A line before the checkpoint that is not as it should be.
    #[error("proof file line {line}: want {want}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What should stand there.
        want: &'static str,
    },
    /// The checkpoint is no note.
    #[error("checkpoint in the proof file is malformed")]
    Note(#[source] NoteError),
}

/// A proof file that does not show what it should.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotShown {
    /// The checkpoint is malformed or not by a trusted log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The policy does not accept the checkpoint.
    #[error(transparent)]
    Policy(#[from] NotAccepted),
    /// Too few witnesses cosigned it.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The leaf does not stand there.
    #[error("entry is not shown to be in the log")]
    Inclusion(#[from] ProofError),
}

/// An entry's place, its path to the root, and the checkpoint; parsed and not verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProofFile {
    /// Whatever the writer put beside it. Nothing authenticates it.
    pub extra: Option<Vec<u8>>,
    /// The entry's number, from zero.
    pub index: u64,
    /// The inclusion path, the leaf's sibling first.
    pub path: Vec<TreeHash>,
    /// The checkpoint, as it stands in the file.
    pub checkpoint: Note,
}

impl ProofFile {
    /// Reads a proof file.
    ///
    /// # Errors
    /// The first line that is not as it should be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFileError> {
        if bytes.len() > PROOF_FILE_LENGTH_MAX {
            return Err(ProofFileError::Long { got: bytes.len() });
        }
        let text =
            core::str::from_utf8(bytes).map_err(|_| ProofFileError::Line { line: 1, want: "UTF-8" })?;
        let mut lines = Lines { rest: text, line: 0 };
        if lines.next(MAGIC)? != MAGIC {
            return Err(lines.wrong(MAGIC));
        }
        let index_or_extra = "index <number>, or extra <base64> before it";
        let mut line = lines.next(index_or_extra)?;
        let mut extra = None;
        if let Some(data) = line.strip_prefix("extra ") {
            extra = Some(text::from_base64(data).ok_or_else(|| lines.wrong("extra <base64>"))?);
            line = lines.next("index <number>")?;
        }
        let index = line.strip_prefix("index ").and_then(text::decimal);
        let index = index.ok_or_else(|| lines.wrong(index_or_extra))?;
        let mut path = Vec::new();
        loop {
            let line = lines.next("a hash or an empty line")?;
            if line.is_empty() {
                break;
            }
            if path.len() >= PATH_MAX {
                return Err(lines.wrong("at most 63 hashes"));
            }
            path.push(text::hash(line).ok_or_else(|| lines.wrong("a hash in base64"))?);
        }
        let checkpoint = Note::parse(lines.rest.as_bytes()).map_err(ProofFileError::Note)?;
        Ok(Self { extra, index, path, checkpoint })
    }

    /// Verifies by an outsider's policy that `leaf` stands in the log.
    ///
    /// # Errors
    /// What is not shown.
    pub fn verify(&self, leaf: TreeHash, policy: &Policy) -> Result<SignedCheckpoint, NotShown> {
        let signed = policy.open(self.checkpoint.to_string().as_bytes())?;
        signed.head().includes(leaf, self.index, &self.path)?;
        Ok(signed)
    }

    /// Verifies by a log's keys and a fork-proof quorum that `leaf` stands in the log.
    ///
    /// # Errors
    /// What is not shown.
    pub fn verify_by_quorum(
        &self,
        leaf: TreeHash,
        logs: &[VerifierKey],
        quorum: &WitnessQuorum,
    ) -> Result<SignedCheckpoint, NotShown> {
        let checkpoint = self.checkpoint.to_string();
        let signed = SignedCheckpoint::open(checkpoint.as_bytes(), logs, quorum.witnesses())?;
        quorum.met(&signed)?;
        signed.head().includes(leaf, self.index, &self.path)?;
        Ok(signed)
    }
}

impl fmt::Display for ProofFile {
    /// The file's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MAGIC}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", text::base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", text::base64(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self, want: &'static str) -> Result<&'a str, ProofFileError> {
        self.line = self.line.saturating_add(1);
        let (line, rest) = self.rest.split_once('\n').ok_or_else(|| self.wrong(want))?;
        self.rest = rest;
        Ok(line)
    }

    const fn wrong(&self, want: &'static str) -> ProofFileError {
        ProofFileError::Line { line: self.line, want }
    }
}
