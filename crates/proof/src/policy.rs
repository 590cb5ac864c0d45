//! Trust policies (C2SP tlog-policy): which logs, which witnesses, and which sets of witnesses are enough.
//!
//! What an outside verifier writes down. It lets through what its author asked for, `quorum none` included;
//! whether that is fork-proof is [`crate::quorum`]'s question, which signers and watchers ask.

use std::collections::BTreeMap;

use crate::{
    checkpoint::{CheckpointError, SignedCheckpoint},
    note::{KeyError, KeyKind, VerifierKey},
};

/// Longest policy in bytes.
pub const POLICY_LENGTH_MAX: usize = 1_000_000;
/// Most logs, and most witnesses and groups together; the format asks for at least 32 of each.
const NAMES_MAX: usize = 1_000;

/// What is wrong with a policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// More bytes than a policy may have.
    #[error("policy has {got} bytes, want at most 1000000")]
    Long {
        /// Its length in bytes.
        got: usize,
    },
    /// A line that says nothing a policy can say.
    #[error("policy line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        problem: Problem,
    },
    /// No quorum line.
    #[error("policy has no quorum line, want exactly one")]
    NoQuorum,
}

/// What is wrong with a policy's line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// A control character.
    #[error("want no control characters but tab and newline")]
    Control,
    /// Not one of the four forms.
    #[error(
        "want log <vkey> [<url>], witness <name> <vkey> [<url>], group <name> all|any|<k> <name>... or quorum <name>|none"
    )]
    Form,
    /// Not a key that is understood.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key of the wrong type for its place.
    #[error("key has the wrong type, want 0x01 for a log and 0x04 for a witness")]
    Kind,
    /// The same public key a second time.
    #[error("public key stands in an earlier line too")]
    Duplicate,
    /// A name that is taken or reserved.
    #[error("name {0:?} is already defined or reserved")]
    Taken(String),
    /// A name that no earlier line defines.
    #[error("name {0:?} is not defined above")]
    Undefined(String),
    /// A name that is a member already.
    #[error("name {0:?} is a member already")]
    Member(String),
    /// A threshold beyond the members.
    #[error("threshold {0:?} is not all, any or a number from 1 to the number of members")]
    Threshold(String),
    /// A second quorum line.
    #[error("second quorum line, want exactly one")]
    SecondQuorum,
    /// More than there may be.
    #[error("more than 1000 logs, or witnesses and groups")]
    Many,
}

/// A checkpoint that a policy does not accept.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAccepted {
    /// It is malformed, or not signed by one of the logs.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The witnesses that cosigned it are no quorum.
    #[error("cosignatures by {got} of the policy's witnesses are no quorum")]
    Quorum {
        /// How many witnesses did cosign.
        got: usize,
    },
}

/// A key and where its owner is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Party {
    /// The key.
    pub key: VerifierKey,
    /// The URL, if the policy has one.
    pub url: Option<String>,
}

/// A witness, or a group that counts its members.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Voice {
    Witness { public: [u8; 32] },
    Group { needed: usize, members: Vec<Vec<u8>> },
}

/// Logs, witnesses and the rule which witnesses are enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    logs: Vec<Party>,
    witnesses: Vec<Party>,
    voices: BTreeMap<Vec<u8>, Voice>,
    /// `None` asks for no cosignature.
    quorum: Option<Vec<u8>>,
}

impl Policy {
    /// Reads a policy; names are opaque bytes.
    ///
    /// # Errors
    /// The first line that is wrong, or no quorum line.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > POLICY_LENGTH_MAX {
            return Err(PolicyError::Long { got: bytes.len() });
        }
        let mut draft = Draft::default();
        for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            draft.line(text).map_err(|problem| PolicyError::Line { line, problem })?;
        }
        let quorum = draft.quorum.ok_or(PolicyError::NoQuorum)?;
        Ok(Self { logs: draft.logs, witnesses: draft.witnesses, voices: draft.voices, quorum })
    }

    /// The logs; a key's name is its log's origin.
    #[must_use]
    pub fn logs(&self) -> &[Party] {
        &self.logs
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[Party] {
        &self.witnesses
    }

    /// Opens a checkpoint that one of the logs signed and a quorum of the witnesses cosigned.
    ///
    /// # Errors
    /// It is malformed, not by one of the logs, or without a quorum.
    pub fn open(&self, checkpoint: &[u8]) -> Result<SignedCheckpoint, NotAccepted> {
        let keys = |parties: &[Party]| parties.iter().map(|party| party.key.clone()).collect::<Vec<_>>();
        let signed = SignedCheckpoint::open(checkpoint, &keys(&self.logs), &keys(&self.witnesses))?;
        self.accepts(&signed).then_some(()).ok_or_else(|| {
            let by = |party: &&Party| signed.cosignatures().iter().any(|made| made.key == party.key);
            NotAccepted::Quorum { got: self.witnesses.iter().filter(by).count() }
        })?;
        Ok(signed)
    }

    fn accepts(&self, checkpoint: &SignedCheckpoint) -> bool {
        let cosigned = |key: &[u8; 32]| checkpoint.cosignatures().iter().any(|made| made.key.public() == key);
        self.quorum.as_ref().is_none_or(|name| self.speaks(name, &cosigned))
    }

    /// Recursion ends because a group's members are defined before it, and each name has one group at most.
    fn speaks(&self, name: &[u8], cosigned: &impl Fn(&[u8; 32]) -> bool) -> bool {
        match self.voices.get(name) {
            Some(Voice::Witness { public }) => cosigned(public),
            Some(Voice::Group { needed, members }) => {
                members.iter().filter(|member| self.speaks(member, cosigned)).count() >= *needed
            }
            None => false,
        }
    }
}

#[derive(Default)]
struct Draft {
    logs: Vec<Party>,
    witnesses: Vec<Party>,
    voices: BTreeMap<Vec<u8>, Voice>,
    /// Names that are a member of a group.
    members: Vec<Vec<u8>>,
    quorum: Option<Option<Vec<u8>>>,
}

impl Draft {
    fn line(&mut self, line: &[u8]) -> Result<(), Problem> {
        if line.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err(Problem::Control);
        }
        let words: Vec<&[u8]> =
            line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
        if words.first().is_none_or(|word| word.starts_with(b"#")) {
            return Ok(());
        }
        match words.as_slice() {
            [b"log", key, url @ ..] if url.len() <= 1 => self.log(key, url.first()),
            [b"witness", name, key, url @ ..] if url.len() <= 1 => self.witness(name, key, url.first()),
            [b"group", name, threshold, members @ ..] if !members.is_empty() => {
                self.group(name, threshold, members)
            }
            [b"quorum", name] => self.quorum(name),
            _ => Err(Problem::Form),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&&[u8]>) -> Result<(), Problem> {
        let party = party(key, url, KeyKind::Note, &self.logs)?;
        self.logs.push(party);
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: Option<&&[u8]>) -> Result<(), Problem> {
        let party = party(key, url, KeyKind::Cosignature, &self.witnesses)?;
        self.define(name, Voice::Witness { public: *party.key.public() })?;
        self.witnesses.push(party);
        Ok(())
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], members: &[&[u8]]) -> Result<(), Problem> {
        for member in members {
            if !self.voices.contains_key(*member) {
                return Err(Problem::Undefined(shown(member)));
            }
            if self.members.iter().any(|other| other == member) {
                return Err(Problem::Member(shown(member)));
            }
            self.members.push(member.to_vec());
        }
        let needed = match threshold {
            b"any" => Some(1),
            b"all" => Some(members.len()),
            number => core::str::from_utf8(number)
                .ok()
                .and_then(crate::text::decimal)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=members.len()).contains(number)),
        };
        let needed = needed.ok_or_else(|| Problem::Threshold(shown(threshold)))?;
        let members = members.iter().map(|member| member.to_vec()).collect();
        self.define(name, Voice::Group { needed, members })
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), Problem> {
        if self.quorum.is_some() {
            return Err(Problem::SecondQuorum);
        }
        if name != b"none" && !self.voices.contains_key(name) {
            return Err(Problem::Undefined(shown(name)));
        }
        self.quorum = Some((name != b"none").then(|| name.to_vec()));
        Ok(())
    }

    fn define(&mut self, name: &[u8], voice: Voice) -> Result<(), Problem> {
        if name == b"none" || self.voices.contains_key(name) {
            return Err(Problem::Taken(shown(name)));
        }
        if self.voices.len() >= NAMES_MAX {
            return Err(Problem::Many);
        }
        self.voices.insert(name.to_vec(), voice);
        Ok(())
    }
}

fn party(key: &[u8], url: Option<&&[u8]>, kind: KeyKind, others: &[Party]) -> Result<Party, Problem> {
    let key: VerifierKey = core::str::from_utf8(key).map_err(|_| KeyError::Form)?.parse()?;
    if key.kind() != kind {
        return Err(Problem::Kind);
    }
    if others.iter().any(|other| other.key.public() == key.public()) {
        return Err(Problem::Duplicate);
    }
    if others.len() >= NAMES_MAX {
        return Err(Problem::Many);
    }
    Ok(Party { key, url: url.map(|url| shown(url)) })
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
