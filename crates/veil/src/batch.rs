//! One batch: its leaves, its proof, and the file that everybody gets. Decides whether a proof shows that some list of leaves
//! leads from one commitment of totals to the next.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kuraban_inclusion::{Cursor, Root, WireError};
use p3_koala_bear::KoalaBear;
use p3_uni_stark::{prove as prove_stark, verify as verify_stark};
use sha2::{Digest as _, Sha256};

use crate::{
    Digest, Leaf, Salt, Totals,
    circuit::Circuit,
    columns::Columns,
    digest::{AMOUNT_BITS, list_digest},
    params::{ASSETS_MAX, LOG_ROWS_MAX, LOG_ROWS_MIN, StarkProof, config, proof_length_max},
    trace::{given, trace},
};

/// Rows of a batch that are no leaf: both totals, and the carries.
const ROWS_APART: usize = 3;
/// What a batch's file begins with.
const MAGIC: &[u8; 8] = b"KRBNVEB1";
/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// How many assets and rows a batch has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    assets: usize,
    log_rows: u8,
}

/// No such shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShapeError {
    /// No assets, or too many.
    #[error("{found} assets, want 1 to {ASSETS_MAX}: publish the others in another statement")]
    Assets {
        /// How many.
        found: usize,
    },
    /// Too few rows, or too many.
    #[error("2^{found} rows in a batch, want 2^{LOG_ROWS_MIN} to 2^{LOG_ROWS_MAX}")]
    Rows {
        /// How many, as a power of two.
        found: u8,
    },
}

impl Shape {
    /// So many assets, and 2^`log_rows` rows.
    ///
    /// # Errors
    /// More or fewer than a proof can have.
    pub fn new(assets: usize, log_rows: u8) -> Result<Self, ShapeError> {
        if !(1..=ASSETS_MAX).contains(&assets) {
            return Err(ShapeError::Assets { found: assets });
        }
        if !(LOG_ROWS_MIN..=LOG_ROWS_MAX).contains(&log_rows) {
            return Err(ShapeError::Rows { found: log_rows });
        }
        Ok(Self { assets, log_rows })
    }

    /// How many assets there are.
    #[must_use]
    pub const fn assets(self) -> usize {
        self.assets
    }

    /// How many rows there are, as a power of two.
    #[must_use]
    pub const fn log_rows(self) -> u8 {
        self.log_rows
    }

    /// How many leaves a batch has, padding among them.
    #[must_use]
    pub const fn leaves(self) -> usize {
        (1_usize << self.log_rows) - ROWS_APART
    }

    pub(crate) const fn columns(self) -> Columns {
        Columns::new(self.assets)
    }
}

/// What is proved of: secret.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What was owed before it.
    pub before: Totals,
    /// The leaves, as many as the shape has.
    pub leaves: Vec<Leaf>,
    /// What hides the totals after it.
    pub after: Salt,
}

/// What a proof is about, for everybody to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Public {
    /// What commits to the totals before the batch.
    pub before: Digest,
    /// What commits to the totals after it.
    pub after: Digest,
    /// The hash of its list of leaves.
    pub list: Digest,
    /// What it is part of, as 32 bytes: the statement and the batch's number there.
    pub context: [u8; 32],
}

/// Why a batch is not proved.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProveError {
    /// Not as many leaves as the shape has.
    #[error("{found} leaves, want {want}")]
    Leaves {
        /// How many.
        found: usize,
        /// How many the shape has.
        want: usize,
    },
    /// Not an amount for each asset.
    #[error("leaf {leaf}: {found} amounts, want {want}, one for each asset")]
    Amounts {
        /// Which, from 0; the totals before count as one behind the last.
        leaf: usize,
        /// How many.
        found: usize,
        /// How many assets there are.
        want: usize,
    },
    /// An amount or a total beyond what the circuit counts.
    #[error(
        "asset number {asset}: {what} is beyond 2^{AMOUNT_BITS} - 1 base units, which the proof does not count"
    )]
    Wide {
        /// The asset's place in the scope, from 0.
        asset: usize,
        /// What it is.
        what: &'static str,
    },
    /// The proof system would not.
    #[error("no proof was made: {problem}")]
    Prover {
        /// What it said.
        problem: String,
    },
}

/// Why a proof shows nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Longer than any is.
    #[error("the proof has {found} bytes, want at most {most}")]
    Long {
        /// Its length.
        found: usize,
        /// The longest of this shape.
        most: usize,
    },
    /// Not the bytes of one.
    #[error("is no proof: {problem}")]
    Form {
        /// What is wrong.
        problem: String,
    },
    /// Of another size than the statement says.
    #[error("the proof is over 2^{found} rows, want 2^{want}")]
    Rows {
        /// Its own.
        found: usize,
        /// The statement's.
        want: usize,
    },
    /// A batch that the statement has not.
    #[error("batch {batch}: the statement has {batches}")]
    Batch {
        /// Which, from 0.
        batch: usize,
        /// How many there are.
        batches: usize,
    },
    /// Another list of leaves than the statement's.
    #[error(
        "the leaves have hash {found}, want the statement's {want}: the file was changed, or is of another batch"
    )]
    List {
        /// The file's.
        found: Digest,
        /// The statement's.
        want: Digest,
    },
    /// Another statement than the customer's file names.
    #[error("the statement has root {found}, want {want}, which the customer's file names")]
    Root {
        /// The statement's.
        found: Root,
        /// The file's.
        want: Root,
    },
    /// A leaf that is not there.
    #[error(
        "place {place} of the batch has another leaf: the file was changed, or the exchange does not count this holding"
    )]
    Leaf {
        /// Which place, from 0.
        place: u32,
    },
    /// A proof of something else, or of nothing.
    #[error("the proof does not hold: {problem}")]
    Proof {
        /// What the verifier said.
        problem: String,
    },
}

impl Batch {
    /// The totals after it.
    ///
    /// # Errors
    /// Another number of leaves or amounts, amounts and totals beyond [`AMOUNT_BITS`] bits.
    pub fn totals(&self, shape: Shape) -> Result<Totals, ProveError> {
        let (found, want) = (self.leaves.len(), shape.leaves());
        if found != want {
            return Err(ProveError::Leaves { found, want });
        }
        let mut sums = vec![0_u128; shape.assets()];
        let rows = self.leaves.iter().map(|leaf| &leaf.amounts).chain([&self.before.amounts]);
        for (leaf, amounts) in rows.enumerate() {
            let (found, want) = (amounts.len(), shape.assets());
            if found != want {
                return Err(ProveError::Amounts { leaf, found, want });
            }
            for (asset, (sum, amount)) in sums.iter_mut().zip(amounts).enumerate() {
                if amount >> AMOUNT_BITS > 0 {
                    return Err(ProveError::Wide { asset, what: "an amount" });
                }
                // Both are below 2^120 here, so nothing is saturated.
                *sum = sum.saturating_add(*amount);
                if *sum >> AMOUNT_BITS > 0 {
                    return Err(ProveError::Wide { asset, what: "a total" });
                }
            }
        }
        Ok(Totals { amounts: sums, salt: self.after })
    }
}

/// What is public, as the circuit has it.
pub(crate) fn values(public: &Public) -> Vec<KoalaBear> {
    let context = Digest::of_hash(&public.context);
    [public.before, public.after, public.list, context].iter().flat_map(|digest| *digest.elements()).collect()
}

/// Proves a batch: the totals after it, what is public of it with the leaves' digests, and the proof.
///
/// The seed is 32 random bytes of the operating system, new for every proof: what hides the batch is drawn from it.
///
/// # Errors
/// As [`Batch::totals`], and what the proof system says.
pub fn prove(
    shape: Shape,
    batch: &Batch,
    context: [u8; 32],
    seed: &[u8; 32],
) -> Result<(Totals, Public, BatchFile), ProveError> {
    let totals = batch.totals(shape)?;
    let given = given(batch, &totals.amounts);
    let (trace, digests) = trace(shape.columns(), shape.log_rows(), &given);
    let leaves: Vec<_> = digests.iter().skip(1).take(shape.leaves()).copied().collect();
    let before = batch.before.digest();
    let list = list_digest(shape.log_rows(), &before, &leaves);
    let public = Public { before, after: totals.digest(), list, context };
    let circuit = Circuit::new(shape.assets(), shape.log_rows());
    // Should a seed ever come twice, two different batches still draw differently.
    let seed =
        Sha256::new().chain_update(seed).chain_update(list.to_bytes()).chain_update(context).finalize();
    let proof = prove_stark(&config(seed.into()), &circuit, trace, &values(&public));
    let proof = proof.map_err(|problem| ProveError::Prover { problem: problem.to_string() })?;
    let proof = postcard::to_allocvec(&proof);
    let proof = proof.map_err(|problem| ProveError::Prover { problem: problem.to_string() })?;
    Ok((totals, public, BatchFile { leaves, proof }))
}

/// Whether a proof shows what is public of a batch.
///
/// # Errors
/// Why it does not. Any bytes may come here.
pub fn verify(shape: Shape, public: &Public, proof: &[u8]) -> Result<(), Refused> {
    let (found, most) = (proof.len(), proof_length_max(shape));
    if found > most {
        return Err(Refused::Long { found, most });
    }
    let form = |problem: String| Refused::Form { problem };
    let (proof, rest) =
        postcard::take_from_bytes::<StarkProof>(proof).map_err(|problem| form(problem.to_string()))?;
    if !rest.is_empty() {
        return Err(form(format!("{} bytes follow its end", rest.len())));
    }
    // Hiding doubles the rows.
    let (found, want) = (proof.degree_bits, usize::from(shape.log_rows()) + 1);
    if found != want {
        return Err(Refused::Rows { found: found.saturating_sub(1), want: want - 1 });
    }
    let circuit = Circuit::new(shape.assets(), shape.log_rows());
    // Plonky3 0.8 says of its verifier that panics on hostile proofs are not ruled out. Sizes and rows were checked; a panic
    // that is left is a proof that does not hold. Nothing outlives the call that a panic could leave half done.
    let judged =
        catch_unwind(AssertUnwindSafe(|| verify_stark(&config([0; 32]), &circuit, &proof, &values(public))));
    match judged {
        Ok(Ok(())) => Ok(()),
        Ok(Err(problem)) => Err(Refused::Proof { problem: format!("{problem:?}") }),
        Err(_) => Err(Refused::Proof { problem: "the verifier could not read it".to_owned() }),
    }
}

/// A batch's file: the hashes of its leaves, and the proof over them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchFile {
    /// The leaves, in their order.
    pub leaves: Vec<Digest>,
    /// The proof.
    pub proof: Vec<u8>,
}

impl BatchFile {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let leaves = self.leaves.iter().flat_map(Digest::to_bytes);
        MAGIC.iter().copied().chain(leaves).chain(self.proof.iter().copied()).collect()
    }

    /// Longest file of a shape, in bytes.
    #[must_use]
    pub fn length_max(shape: Shape) -> usize {
        MAGIC.len() + shape.leaves() * DIGEST_BYTES + proof_length_max(shape)
    }

    /// Reads a file. The proof is what follows the leaves, and is judged by [`verify`].
    ///
    /// # Errors
    /// Bytes that are no such file.
    pub fn decode(shape: Shape, bytes: &[u8]) -> Result<Self, Refused> {
        let (found, most) = (bytes.len(), Self::length_max(shape));
        if found > most {
            return Err(Refused::Long { found, most });
        }
        let form = |problem: WireError| Refused::Form { problem: problem.to_string() };
        let mut cursor = Cursor::new(bytes);
        if cursor.take(MAGIC.len()).ok() != Some(MAGIC) {
            return Err(Refused::Form { problem: "it does not begin with KRBNVEB1".to_owned() });
        }
        let mut leaves = Vec::with_capacity(shape.leaves());
        for leaf in 0..shape.leaves() {
            let digest = Digest::from_bytes(&cursor.array().map_err(form)?);
            let problem = || Refused::Form { problem: format!("leaf {leaf} is no hash in its one form") };
            leaves.push(digest.ok_or_else(problem)?);
        }
        Ok(Self { leaves, proof: bytes.get(cursor.at()..).unwrap_or_default().to_vec() })
    }
}
