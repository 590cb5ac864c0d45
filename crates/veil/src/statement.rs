//! All batches of one publication: which there are, that they follow on each other, and what they come to. Its root is what
//! stands in the log. Decides whether a batch's file is the statement's, and whether the totals are what the last batch ends with.

use kuraban_inclusion::{Cursor, Root, Scope, ScopeError, WireError, put_amount};
use sha2::{Digest as _, Sha256};

use crate::{
    BatchFile, Digest, Opening, Public, Refused, Salt, Shape, ShapeError, Totals, digest::AMOUNT_BITS,
    list_digest, verify,
};

/// Most batches: at the most rows, more than a billion customers.
pub const BATCHES_MAX: usize = 1 << 16;
/// Longest file of a statement, in bytes.
pub const STATEMENT_LENGTH_MAX: usize = 1 << 23;

/// What a file begins with.
const MAGIC: &[u8; 8] = b"KRBNVES1";
/// What separates these hashes from all others, in the first block of each.
const DOMAIN: &[u8] = b"kuraban-veil-v1";
/// What fills the block after the domain and before the kind.
const FILL: [u8; 63 - DOMAIN.len()] = [0; 63 - DOMAIN.len()];
/// What a hash is of.
const ROOT: u8 = 0;
const CONTEXT: u8 = 1;

fn hasher(kind: u8) -> Sha256 {
    Sha256::new().chain_update(DOMAIN).chain_update(FILL).chain_update([kind])
}

/// How a publication is cut into batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    scope: Scope,
    shape: Shape,
    batches: u32,
}

/// No such plan.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlanError {
    /// Assets or rows that no batch has.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// No batches, or too many.
    #[error("{found} batches, want 1 to {BATCHES_MAX}")]
    Batches {
        /// How many.
        found: usize,
    },
}

impl Plan {
    /// So many batches of 2^`log_rows` rows over a scope's assets.
    ///
    /// # Errors
    /// More or fewer than there can be.
    pub fn new(scope: Scope, log_rows: u8, batches: usize) -> Result<Self, PlanError> {
        let shape = Shape::new(scope.assets().len(), log_rows)?;
        let count = u32::try_from(batches).ok().filter(|_| (1..=BATCHES_MAX).contains(&batches));
        Ok(Self { scope, shape, batches: count.ok_or(PlanError::Batches { found: batches })? })
    }

    /// What is covered. Its depth says how many customers the hash tree of the same day had room for.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// How large each batch is.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// How many there are.
    #[must_use]
    pub fn batches(&self) -> usize {
        usize::try_from(self.batches).unwrap_or(usize::MAX)
    }

    /// What a batch's proof is bound to beside its digests: scope, shape, and its place among so many.
    #[must_use]
    pub fn context(&self, batch: usize) -> [u8; 32] {
        let scope = Sha256::digest(self.scope.encode());
        let hasher = hasher(CONTEXT).chain_update(scope).chain_update([self.shape.log_rows()]);
        let hasher = hasher.chain_update(self.batches.to_be_bytes());
        hasher.chain_update(u64::try_from(batch).unwrap_or(u64::MAX).to_be_bytes()).finalize().into()
    }
}

/// What a statement says of one batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The hash of its list of leaves.
    pub list: Digest,
    /// What commits to the totals after it.
    pub after: Digest,
}

/// A publication: its plan, its batches, and the totals with what opens their commitment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    plan: Plan,
    parts: Vec<Part>,
    totals: Totals,
}

/// Why there is no such statement.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StatementError {
    /// Longer than any is.
    #[error("the statement has {found} bytes, want at most {STATEMENT_LENGTH_MAX}")]
    Long {
        /// Its length.
        found: usize,
    },
    /// Not a file of this kind.
    #[error("is no statement under a veil: it does not begin with KRBNVES1")]
    Magic,
    /// Not the bytes of one.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// What it covers cannot be.
    #[error("what it covers: {0}")]
    Scope(#[from] ScopeError),
    /// Batches that cannot be.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A hash beyond the field.
    #[error("batch {batch}: is no hash in its one form")]
    Digest {
        /// Of which batch.
        batch: usize,
    },
    /// A salt in another form.
    #[error("the totals' salt is not in its one form")]
    Salt,
    /// Not as many batches or totals as planned.
    #[error("{found} {what}, want {want}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many were planned.
        want: usize,
    },
    /// A total beyond what the circuit counts.
    #[error("the total of asset number {asset} is beyond 2^{AMOUNT_BITS} - 1 base units")]
    Wide {
        /// The asset's place in the scope, from 0.
        asset: usize,
    },
    /// Totals that the last batch does not end with.
    #[error("the totals are not those that the last batch ends with: they were changed")]
    Totals,
}

impl Statement {
    /// Of its parts.
    ///
    /// # Errors
    /// Parts or totals that are not those of the plan, or do not belong together.
    pub fn new(plan: Plan, parts: Vec<Part>, totals: Totals) -> Result<Self, StatementError> {
        let (found, want) = (parts.len(), plan.batches());
        if found != want {
            return Err(StatementError::Count { what: "batches", found, want });
        }
        let (found, want) = (totals.amounts.len(), plan.shape().assets());
        if found != want {
            return Err(StatementError::Count { what: "totals", found, want });
        }
        if let Some(asset) = totals.amounts.iter().position(|total| total >> AMOUNT_BITS > 0) {
            return Err(StatementError::Wide { asset });
        }
        if parts.last().map(|part| part.after) != Some(totals.digest()) {
            return Err(StatementError::Totals);
        }
        Ok(Self { plan, parts, totals })
    }

    /// How it is cut into batches.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What is owed to all, in the order of the scope's assets.
    #[must_use]
    pub fn totals(&self) -> &[u128] {
        &self.totals.amounts
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.plan.scope.encode());
        bytes.push(self.plan.shape.log_rows());
        bytes.extend_from_slice(&self.plan.batches.to_be_bytes());
        for part in &self.parts {
            bytes.extend_from_slice(&part.list.to_bytes());
            bytes.extend_from_slice(&part.after.to_bytes());
        }
        self.totals.amounts.iter().for_each(|total| put_amount(&mut bytes, *total));
        bytes.extend_from_slice(&self.totals.salt.to_bytes());
        bytes
    }

    /// Reads a file, and whether its totals are those of its last batch.
    ///
    /// # Errors
    /// Anything else, to the last byte.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_LENGTH_MAX {
            return Err(StatementError::Long { found: bytes.len() });
        }
        let mut cursor = Cursor::new(bytes);
        if cursor.take(MAGIC.len()).ok() != Some(MAGIC) {
            return Err(StatementError::Magic);
        }
        let scope = Scope::read(&mut cursor)?;
        let log_rows = cursor.byte()?;
        let batches = usize::try_from(u32::from_be_bytes(cursor.array()?)).unwrap_or(usize::MAX);
        let plan = Plan::new(scope, log_rows, batches)?;
        let mut parts = Vec::new();
        for batch in 0..batches {
            let mut digest = || {
                let digest = Digest::from_bytes(&cursor.array()?);
                digest.ok_or(StatementError::Digest { batch })
            };
            parts.push(Part { list: digest()?, after: digest()? });
        }
        let amounts = cursor.amounts(plan.shape.assets())?;
        let salt = Salt::from_bytes(&cursor.array()?).ok_or(StatementError::Salt)?;
        cursor.end()?;
        Self::new(plan, parts, Totals { amounts, salt })
    }

    /// What stands in the log: the hash of every byte of it.
    #[must_use]
    pub fn root(&self) -> Root {
        Root::from_bytes(hasher(ROOT).chain_update(self.encode()).finalize().into())
    }

    /// What a batch's proof must be about; nothing beyond the last.
    #[must_use]
    pub fn public(&self, batch: usize) -> Option<Public> {
        let part = self.parts.get(batch)?;
        let before = match batch.checked_sub(1) {
            None => Totals::zero(self.plan.shape.assets()).digest(),
            Some(before) => self.parts.get(before)?.after,
        };
        Some(Public { before, after: part.after, list: part.list, context: self.plan.context(batch) })
    }

    /// Whether a batch's file is the statement's: its list, and the proof over it. Where all are, the totals are the sum of all leaves.
    ///
    /// # Errors
    /// Why it is not.
    pub fn verify(&self, batch: usize, file: &BatchFile) -> Result<(), Refused> {
        let (batches, shape) = (self.plan.batches(), self.plan.shape);
        let public = self.public(batch).ok_or(Refused::Batch { batch, batches })?;
        let found = list_digest(shape.log_rows(), &public.before, &file.leaves);
        if file.leaves.len() != shape.leaves() || found != public.list {
            return Err(Refused::List { found, want: public.list });
        }
        verify(shape, &public, &file.proof)
    }

    /// Whether a customer's leaf stands in a batch's file, and that file is the statement's. All other batches must be verified
    /// too before the totals are known to count it.
    ///
    /// # Errors
    /// Why it does not.
    pub fn counts(&self, opening: &Opening, file: &BatchFile) -> Result<(), Refused> {
        let found = self.root();
        if opening.root != found {
            return Err(Refused::Root { found, want: opening.root });
        }
        let stands = usize::try_from(opening.place).ok().and_then(|place| file.leaves.get(place));
        if stands != Some(&opening.leaf.digest()) {
            return Err(Refused::Leaf { place: opening.place });
        }
        self.verify(usize::try_from(opening.batch).unwrap_or(usize::MAX), file)
    }
}
