//! The witness (C2SP tlog-witness): cosigns a log's checkpoint only if it extends the last one that it cosigned.
//!
//! Decides, and says what to persist. It stores nothing: the caller reads the state, asks, persists the new
//! state durably in one transaction, and only then lets the cosignature out. Whatever path a checkpoint comes by
//! (a request with a proof, or the witness's own fold of every entry), a smaller size or another root at the
//! same size is never cosigned.

use core::{fmt, str::FromStr};

use kuraban_base::{
    Digest, Instant, TreeHash,
    cbor::{self, CborError, Fields, Value},
};

use crate::{
    checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint},
    note::{Cosigner, KeyName, NOTE_LENGTH_MAX, Note, SignatureLine, VerifierKey},
    text,
    tree::{Frontier, ProofError, TreeHead},
};

/// Most hashes in a request's proof.
pub const PROOF_LINES_MAX: usize = 63;
/// Longest request in bytes: a note and its proof.
pub const REQUEST_LENGTH_MAX: usize = NOTE_LENGTH_MAX + 64 * 64;

/// The path below a witness's monitoring prefix at which its latest cosigned checkpoint of a log lies.
#[must_use]
pub fn monitoring_path(origin: &str) -> String {
    format!("{}/checkpoint", Digest::sha256(&[origin.as_bytes()]))
}

/// Bytes that are no request.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// Longer than a request may be.
    #[error("request has {got} bytes, want at most 1004096")]
    Long {
        /// Its length in bytes.
        got: usize,
    },
    /// A line before the checkpoint that is not as it should be.
    #[error("request line {line}: want {want}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What should stand there.
        want: &'static str,
    },
    /// The checkpoint is malformed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A request to cosign a checkpoint, parsed and not verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddCheckpoint {
    /// The size that the log believes this witness to have cosigned last.
    pub old_size: u64,
    /// The consistency proof from that size.
    pub proof: Vec<TreeHash>,
    checkpoint: Checkpoint,
    note: Note,
}

impl AddCheckpoint {
    /// The request for a checkpoint that the log has signed.
    #[must_use]
    pub fn new(old_size: u64, proof: Vec<TreeHash>, checkpoint: &SignedCheckpoint) -> Self {
        Self { old_size, proof, checkpoint: checkpoint.checkpoint().clone(), note: checkpoint.note().clone() }
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// The first line that is not as it should be; the answer to that is status 400.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > REQUEST_LENGTH_MAX {
            return Err(RequestError::Long { got: bytes.len() });
        }
        let wrong = |line, want| RequestError::Line { line, want };
        let text = core::str::from_utf8(bytes).map_err(|_| wrong(1, "UTF-8"))?;
        let (old, mut rest) = text.split_once('\n').ok_or(wrong(1, "old <size>"))?;
        let old_size = old.strip_prefix("old ").and_then(text::decimal).ok_or(wrong(1, "old <size>"))?;
        let mut proof = Vec::new();
        for number in 2.. {
            let (line, after) = rest.split_once('\n').ok_or(wrong(number, "a hash or an empty line"))?;
            rest = after;
            if line.is_empty() {
                break;
            }
            if proof.len() >= PROOF_LINES_MAX {
                return Err(wrong(number, "at most 63 hashes"));
            }
            proof.push(text::hash(line).ok_or(wrong(number, "a hash in base64"))?);
        }
        let note = Note::parse(rest.as_bytes()).map_err(CheckpointError::Note)?;
        let checkpoint = Checkpoint::parse(note.body())?;
        Ok(Self { old_size, proof, checkpoint, note })
    }

    /// The log that the checkpoint names, not verified: whose state is to be read.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.checkpoint.origin()
    }
}

impl fmt::Display for AddCheckpoint {
    /// The request's body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", text::base64(hash.as_bytes())))?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for AddCheckpoint {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        Self::parse(text.as_bytes())
    }
}

/// Why a witness does not cosign.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// 400: the request is malformed.
    #[error(transparent)]
    Malformed(#[from] RequestError),
    /// 400: the old size is larger than the checkpoint's.
    #[error("old size {old} is larger than the checkpoint's size {size}")]
    Backwards {
        /// The old size.
        old: u64,
        /// The checkpoint's.
        size: u64,
    },
    /// 403: no trusted key signed it, or a known key's signature fails.
    #[error("checkpoint is not signed by a trusted key of its log")]
    Untrusted(#[source] CheckpointError),
    /// 404: not a log that this witness follows.
    #[error("origin {origin:?} is not known")]
    Unknown {
        /// The origin.
        origin: String,
    },
    /// 409: the old size is not that of the last cosigned checkpoint.
    #[error("last cosigned size is {size}, the request says {old}")]
    Conflict {
        /// The last cosigned size.
        size: u64,
        /// The request's.
        old: u64,
    },
    /// 422: the checkpoint does not extend the last cosigned one.
    #[error("checkpoint does not extend the last cosigned one")]
    Inconsistent(#[source] ProofError),
    /// 422: a checkpoint without leaves that has a root.
    #[error("checkpoint has size 0 and a root that is not that of the empty tree")]
    EmptyRoot,
    /// 503: this witness does not know the time.
    #[error("the witness's clock stands before the first second of 1970")]
    Clock,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Backwards { .. } => 400,
            Self::Untrusted(_) => 403,
            Self::Unknown { .. } => 404,
            Self::Conflict { .. } => 409,
            Self::Inconsistent(_) | Self::EmptyRoot => 422,
            Self::Clock => 503,
        }
    }

    /// The answer's body: a sentence, except that 409 says the last cosigned size and nothing else.
    #[must_use]
    pub fn body(&self) -> String {
        match self {
            Self::Conflict { size, .. } => format!("{size}\n"),
            Self::Malformed(_)
            | Self::Backwards { .. }
            | Self::Untrusted(_)
            | Self::Unknown { .. }
            | Self::Inconsistent(_)
            | Self::EmptyRoot
            | Self::Clock => format!("{self}\n"),
        }
    }

    /// The answer's content type.
    #[must_use]
    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "text/x.tlog.size",
            Self::Malformed(_)
            | Self::Backwards { .. }
            | Self::Untrusted(_)
            | Self::Unknown { .. }
            | Self::Inconsistent(_)
            | Self::EmptyRoot
            | Self::Clock => "text/plain; charset=utf-8",
        }
    }
}

/// A cosignature that may leave the witness once `head` is stored durably as the state of `origin`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "the new state must be stored before the cosignature leaves"]
pub struct Cosigned {
    /// Whose state it is.
    pub origin: KeyName,
    /// The state to store.
    pub head: TreeHead,
    /// The cosignature.
    pub line: SignatureLine,
}

impl Cosigned {
    /// The answer's body, for status 200.
    #[must_use]
    pub fn answer(&self) -> String {
        format!("{}\n", self.line)
    }
}

/// Why a witness does not cosign what it folded itself.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AdvanceError {
    /// The checkpoint is malformed or not by a trusted log.
    #[error("checkpoint is not one of the followed log")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is of another log than the fold.
    #[error("checkpoint is of {found:?}, the fold of {want}")]
    Origin {
        /// The checkpoint's origin.
        found: String,
        /// The fold's.
        want: KeyName,
    },
    /// The fold has not come from the last cosigned head.
    #[error("fold at size {at} was not seen to pass the last cosigned size {last}")]
    NotPassed {
        /// The fold's size.
        at: u64,
        /// The last cosigned size.
        last: u64,
    },
    /// The entries lead to another head than the checkpoint says.
    #[error("entries lead to size {found} root {root}, the checkpoint says size {size} root {said}")]
    Head {
        /// The fold's size.
        found: u64,
        /// The fold's root.
        root: TreeHash,
        /// The checkpoint's size.
        size: u64,
        /// The checkpoint's root.
        said: TreeHash,
    },
    /// This witness does not know the time.
    #[error("the witness's clock stands before the first second of 1970")]
    Clock,
}

/// Entries that do not lead through the last cosigned head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FoldError {
    /// The fold starts after the head that it should pass.
    #[error("fold starts at size {start}, after the last cosigned size {last}")]
    Late {
        /// Where it starts.
        start: u64,
        /// The last cosigned size.
        last: u64,
    },
    /// Another root at the last cosigned size: the log shows a fork.
    #[error("entries lead to root {found} at size {size}, cosigned was {want}: the log has forked")]
    Forked {
        /// The last cosigned size.
        size: u64,
        /// Where the entries lead.
        found: TreeHash,
        /// What was cosigned.
        want: TreeHash,
    },
}

/// A fold over every entry of one log that knows whether it came through the last cosigned head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fold {
    origin: KeyName,
    frontier: Frontier,
    last: TreeHead,
    passed: bool,
}

impl Fold {
    /// A fold over a log of which nothing was folded or cosigned yet.
    #[must_use]
    pub fn start(origin: KeyName) -> Self {
        Self { origin, frontier: Frontier::new(), last: TreeHead::empty(), passed: true }
    }

    /// Goes on from `frontier`, which holds every entry so far, towards and past the `last` cosigned head.
    ///
    /// # Errors
    /// The frontier lies after that head, or at its size with another root.
    pub fn new(origin: KeyName, frontier: Frontier, last: TreeHead) -> Result<Self, FoldError> {
        if frontier.size() > last.size {
            return Err(FoldError::Late { start: frontier.size(), last: last.size });
        }
        let mut fold = Self { origin, frontier, last, passed: false };
        fold.look()?;
        Ok(fold)
    }

    /// Adds the next entry's leaf hash.
    ///
    /// # Errors
    /// At the last cosigned size the root is another one. The fold can then never be cosigned.
    pub fn append(&mut self, leaf: TreeHash) -> Result<(), FoldError> {
        self.frontier.append(leaf);
        self.look()
    }

    fn look(&mut self) -> Result<(), FoldError> {
        if self.frontier.size() != self.last.size {
            return Ok(());
        }
        let found = self.frontier.root();
        if found != self.last.root {
            return Err(FoldError::Forked { size: self.last.size, found, want: self.last.root });
        }
        self.passed = true;
        Ok(())
    }

    /// The fold as bytes, so that it can go on after a restart: deterministic CBOR of
    /// `{origin, frontier: bytes, last: bytes, passed}`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Value::map([
            ("origin", Value::text(&self.origin)),
            ("frontier", Value::bytes(self.frontier.encode())),
            ("last", Value::bytes(self.last.encode())),
            ("passed", Value::Bool(self.passed)),
        ])
        .encode()
    }

    /// Reads what [`encode`](Self::encode) wrote. Whoever can write these bytes decides what is cosigned.
    ///
    /// # Errors
    /// Anything else, or a fold that says to have passed a head that lies before it.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut fields = Fields::of("fold", Value::decode(bytes)?)?;
        let origin = fields.parse("origin")?;
        let frontier = Frontier::decode(&fields.bytes("frontier")?)?;
        let last = TreeHead::decode(&fields.bytes("last")?)?;
        let passed = fields.bool("passed")?;
        fields.end()?;
        if passed && frontier.size() < last.size {
            let (size, last) = (frontier.size(), last.size);
            return Err(cbor::invalid("passed", format!("true at size {size}, which is before {last}")));
        }
        Ok(Self { origin, frontier, last, passed })
    }

    /// All that was folded.
    #[must_use]
    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }
}

/// A witness: its key and the keys of the logs that it follows.
#[derive(Debug)]
pub struct Witness {
    cosigner: Cosigner,
    logs: Vec<VerifierKey>,
}

impl Witness {
    /// A witness of these logs; a log's keys are named as its origin.
    #[must_use]
    pub const fn new(cosigner: Cosigner, logs: Vec<VerifierKey>) -> Self {
        Self { cosigner, logs }
    }

    /// The witness's public key.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        self.cosigner.verifier()
    }

    /// Answers a request. `last` is the last cosigned head of the request's [`origin`](AddCheckpoint::origin),
    /// [`TreeHead::empty`] if there is none yet.
    ///
    /// # Errors
    /// The refusal, which the caller answers with; nothing changes.
    pub fn add_checkpoint(
        &self,
        last: TreeHead,
        request: &AddCheckpoint,
        now: Instant,
    ) -> Result<Cosigned, Refusal> {
        let origin = self.origin(request.origin())?;
        let (checkpoint, note) = (request.checkpoint.clone(), request.note.clone());
        let signed =
            SignedCheckpoint::verify(checkpoint, note, &self.logs, &[]).map_err(|error| match error {
                CheckpointError::EmptyRoot => Refusal::EmptyRoot,
                CheckpointError::Note(_)
                | CheckpointError::Body { .. }
                | CheckpointError::Unsigned { .. } => Refusal::Untrusted(error),
            })?;
        let (head, old) = (signed.head(), request.old_size);
        if old > head.size {
            return Err(Refusal::Backwards { old, size: head.size });
        }
        if old != last.size {
            return Err(Refusal::Conflict { size: last.size, old });
        }
        head.extends(&last, &request.proof).map_err(Refusal::Inconsistent)?;
        self.cosign(origin, &signed, now).ok_or(Refusal::Clock)
    }

    /// Cosigns a checkpoint whose every entry this witness has folded itself. `last` is the last cosigned head
    /// of that log; on success the fold goes on from the new one.
    ///
    /// # Errors
    /// The checkpoint is not by the fold's log, not where the fold stands, or the fold did not come through `last`.
    pub fn advance(
        &self,
        last: TreeHead,
        fold: &mut Fold,
        checkpoint: &[u8],
        now: Instant,
    ) -> Result<Cosigned, AdvanceError> {
        let signed = SignedCheckpoint::open(checkpoint, &self.logs, &[])?;
        if signed.origin() != fold.origin.as_str() {
            let (found, want) = (signed.origin().to_owned(), fold.origin.clone());
            return Err(AdvanceError::Origin { found, want });
        }
        if !fold.passed || fold.last != last {
            return Err(AdvanceError::NotPassed { at: fold.frontier.size(), last: last.size });
        }
        let (folded, head) = (fold.frontier.head(), signed.head());
        if folded != head {
            let TreeHead { size: found, root } = folded;
            return Err(AdvanceError::Head { found, root, size: head.size, said: head.root });
        }
        let cosigned = self.cosign(fold.origin.clone(), &signed, now).ok_or(AdvanceError::Clock)?;
        fold.last = head;
        Ok(cosigned)
    }

    fn origin(&self, origin: &str) -> Result<KeyName, Refusal> {
        let log = self.logs.iter().map(VerifierKey::name).find(|name| name.as_str() == origin);
        log.cloned().ok_or_else(|| Refusal::Unknown { origin: origin.to_owned() })
    }

    fn cosign(&self, origin: KeyName, signed: &SignedCheckpoint, now: Instant) -> Option<Cosigned> {
        let line = self.cosigner.cosign(signed.note().body(), now)?;
        Some(Cosigned { origin, head: signed.head(), line })
    }
}
