//! Following the log as a witness: every entry is opened, folded and hashed by the witness itself before it co-signs.
//! Signers and watchers follow alike. Persisting is the driver's: it stores what comes out before it answers.

use std::{collections::BTreeMap, sync::Arc};

use kuraban_base::{Instant, TreeHash};
use kuraban_proof::{Cosigner, Entry, Opening, TreeHead, Witness, witness};

use crate::{
    body::Body,
    charter::Charter,
    fold::{Fold, FoldError},
    judge::CLOCKS_APART_MAX_MS,
    wire::LogEntry,
};

/// How many earlier heads a witness remembers, to recognise a checkpoint or a lease that is a little behind.
const HEADS_MAX: usize = 1024;

/// How far ahead of a witness's clock an entry may be dated, in milliseconds: twice what clocks may be apart. Allowance is
/// freed by dates, so none may lie where no clock will come for a long time.
const ENTRY_AHEAD_MS_MAX: u64 = 2 * CLOCKS_APART_MAX_MS;

/// Why a witness does not follow.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The entries do not start where the witness is.
    #[error("entries start at {from}, this witness is at {size}")]
    Gap {
        /// Where they start.
        from: u64,
        /// Where it is.
        size: u64,
    },
    /// An entry that does not decode or does not open.
    #[error("entry {index}: {problem}")]
    Entry {
        /// Which.
        index: u64,
        /// What is wrong.
        problem: String,
    },
    /// An entry that does not follow from those before it. The state is spoilt until a restart.
    #[error("entry {index} does not follow: {problem}")]
    Fold {
        /// Which.
        index: u64,
        /// What is wrong.
        #[source]
        problem: FoldError,
    },
    /// A checkpoint that the entries do not lead to, or that the log did not sign.
    #[error("the checkpoint is not what the entries lead to: {problem}")]
    Checkpoint {
        /// What is wrong.
        problem: String,
    },
    /// An earlier entry spoilt the state.
    #[error("an earlier entry did not follow; restart this witness after the log is mended")]
    Spoilt,
}

/// A witness's copy of the log's state.
#[derive(Debug)]
pub struct Follower {
    fold: Fold,
    leaves: witness::Fold,
    witness: Witness,
    last: TreeHead,
    heads: BTreeMap<u64, TreeHash>,
    spoilt: bool,
}

/// What a step forward leaves behind.
#[derive(Debug)]
pub struct Followed {
    /// The signature line.
    pub line: String,
    /// The co-signed head, to be persisted with the entries before the line is sent.
    pub head: TreeHead,
}

impl Follower {
    /// A witness that has seen nothing yet.
    #[must_use]
    pub fn new(charter: Arc<Charter>, cosigner: Cosigner) -> Self {
        let log = charter.roster().log().clone();
        let leaves = witness::Fold::start(log.name().clone());
        Self {
            fold: Fold::new(charter),
            leaves,
            witness: Witness::new(cosigner, vec![log]),
            last: TreeHead::empty(),
            heads: BTreeMap::new(),
            spoilt: false,
        }
    }

    /// The state folded so far.
    #[must_use]
    pub const fn fold(&self) -> &Fold {
        &self.fold
    }

    /// The state folded so far, for what a signer counts before the log shows it.
    pub const fn fold_mut(&mut self) -> &mut Fold {
        &mut self.fold
    }

    /// The last co-signed head.
    #[must_use]
    pub const fn head(&self) -> TreeHead {
        self.last
    }

    /// Whether an entry did not follow, so that the state is worth nothing until a restart.
    #[must_use]
    pub const fn is_spoilt(&self) -> bool {
        self.spoilt
    }

    /// Whether this witness co-signed that head, as far back as it remembers.
    #[must_use]
    pub fn knows(&self, size: u64, root: &TreeHash) -> bool {
        self.heads.get(&size) == Some(root)
    }

    /// The root that this witness co-signed at a size, as far back as it remembers.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<TreeHash> {
        self.heads.get(&size).copied()
    }

    /// Takes up stored entries at a restart. They were co-signed, so an error means a damaged store.
    ///
    /// # Errors
    /// An entry does not decode, open or follow.
    pub fn restore(&mut self, entries: &[LogEntry]) -> Result<(), FollowError> {
        for (at, leaf, body) in self.open(entries)? {
            self.apply(at, body)?;
            let appended = self.leaves.append(leaf);
            appended.map_err(|problem| FollowError::Checkpoint { problem: problem.to_string() })?;
        }
        Ok(())
    }

    /// Takes up the last co-signed head at a restart, after all entries.
    ///
    /// # Errors
    /// The entries do not lead to it.
    pub fn restore_head(&mut self, head: TreeHead) -> Result<(), FollowError> {
        let found = self.leaves.frontier().head();
        if found != head {
            let problem =
                format!("stored head is {} of size {}, entries lead to {}", head.root, head.size, found.root);
            return Err(FollowError::Checkpoint { problem });
        }
        let origin = self.fold.charter().roster().log().name().clone();
        self.leaves = witness::Fold::new(origin, self.leaves.frontier().clone(), head)
            .map_err(|problem| FollowError::Checkpoint { problem: problem.to_string() })?;
        self.remember(head);
        Ok(())
    }

    /// Folds `entries`, which start at `from`, and co-signs `checkpoint` after them.
    ///
    /// # Errors
    /// Anything that does not follow; nothing has changed then, but for a spoilt state, which stays refused.
    pub fn extend(
        &mut self,
        from: u64,
        entries: &[LogEntry],
        checkpoint: &[u8],
        now: Instant,
    ) -> Result<Followed, FollowError> {
        if self.spoilt {
            return Err(FollowError::Spoilt);
        }
        if from != self.fold.size() {
            return Err(FollowError::Gap { from, size: self.fold.size() });
        }
        let opened = self.open(entries)?;
        let ahead = |(at, _, _): &(Instant, TreeHash, Body)| *at > now.plus_ms(ENTRY_AHEAD_MS_MAX);
        if let Some((index, (at, _, _))) = (from..).zip(&opened).find(|(_, entry)| ahead(entry)) {
            let problem = format!("it is dated {at}, this machine's clock says {now}");
            return Err(FollowError::Entry { index, problem });
        }
        // The root is compared on a copy first, so that a checkpoint of another log changes nothing.
        let mut leaves = self.leaves.clone();
        for (_, leaf, _) in &opened {
            leaves
                .append(*leaf)
                .map_err(|problem| FollowError::Checkpoint { problem: problem.to_string() })?;
        }
        let cosigned = self
            .witness
            .advance(self.last, &mut leaves, checkpoint, now)
            .map_err(|problem| FollowError::Checkpoint { problem: problem.to_string() })?;
        for (at, _, body) in opened {
            self.apply(at, body)?;
        }
        self.leaves = leaves;
        self.remember(cosigned.head);
        Ok(Followed { line: cosigned.answer(), head: cosigned.head })
    }

    fn remember(&mut self, head: TreeHead) {
        self.last = head;
        self.heads.insert(head.size, head.root);
        if self.heads.len() > HEADS_MAX {
            self.heads.pop_first();
        }
    }

    fn open(&self, entries: &[LogEntry]) -> Result<Vec<(Instant, TreeHash, Body)>, FollowError> {
        let mut opened = Vec::with_capacity(entries.len());
        for (index, logged) in (self.fold.size()..).zip(entries) {
            opened.push(open(logged).map_err(|problem| FollowError::Entry { index, problem })?);
        }
        Ok(opened)
    }

    fn apply(&mut self, at: Instant, body: Body) -> Result<(), FollowError> {
        let index = self.fold.size();
        self.fold.apply(at, body).map_err(|problem| {
            self.spoilt = true;
            FollowError::Fold { index, problem }
        })
    }
}

/// Opens one entry: its bytes, its commitment, its body.
///
/// # Errors
/// What does not fit.
pub fn open(logged: &LogEntry) -> Result<(Instant, TreeHash, Body), String> {
    let entry = Entry::decode(&logged.entry).map_err(|problem| problem.to_string())?;
    let opening = Opening { salt: logged.salt, body: logged.body.clone() };
    let bytes = entry.opened_by(&opening).map_err(|problem| problem.to_string())?;
    let body = Body::decode(entry.kind.as_str(), bytes).map_err(|problem| problem.to_string())?;
    Ok((entry.at, entry.leaf(), body))
}
