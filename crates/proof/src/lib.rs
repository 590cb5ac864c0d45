//! What an outsider verifies: the log's tree, tiles, checkpoints, cosignatures and proofs, in the formats of
//! C2SP (tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature, tlog-witness, tlog-proof, tlog-policy).
//!
//! Customers and auditors compile this crate alone: it reaches only `base` and hash and signature crates.
//! It does no I/O and reads no clock and no randomness. It never decides whether a payout may move, and what
//! an entry's body means is not its business: it sees a commitment.

pub mod checkpoint;
pub mod entry;
pub mod note;
pub mod policy;
pub mod proof_file;
pub mod prove;
pub mod quorum;
mod text;
pub mod tile;
pub mod tiler;
pub mod tree;
pub mod verify_log;
pub mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, Cosignature, SignedCheckpoint};
pub use entry::{Entry, EntryError, EntryKind, KeyId, Opening};
pub use note::{Cosigner, KeyKind, KeyName, Note, NoteError, NoteSigner, SignatureLine, VerifierKey};
pub use policy::Policy;
pub use proof_file::ProofFile;
pub use quorum::{WitnessQuorum, Witnessed};
pub use tile::{EntryBundle, Resource, Tile};
pub use tiler::Tiler;
pub use tree::{Frontier, TreeHead};
pub use verify_log::verify_log;
pub use witness::{AddCheckpoint, Fold, Refusal, Witness};
