//! What an exchange owes, under a veil: a proof that every customer's amount is a whole number that is not negative, and that
//! all of them sum to the published totals, asset by asset, without any of them being shown. The design and what leaks stand in
//! `docs/liabilities.md`, the choice of prover in `docs/adr/0020-liabilities-under-a-veil.md`.
//!
//! Decides from bytes and whole numbers alone: reads no file and no clock and starts no threads; randomness comes as an
//! argument. Says nothing of reserves. The proof system is Plonky3's; what is proved is this crate's, in `circuit.rs`.

mod batch;
mod circuit;
mod columns;
mod digest;
mod opening;
mod params;
mod statement;
mod trace;

pub use batch::{Batch, BatchFile, ProveError, Public, Refused, Shape, ShapeError, prove, verify};
pub use digest::{AMOUNT_BITS, Digest, Leaf, NotDigest, Salt, Totals, list_digest};
pub use opening::{OPENING_LENGTH_MAX, Opening, OpeningError};
pub use params::{ASSETS_MAX, LOG_ROWS_MAX, LOG_ROWS_MIN, Security, security};
pub use statement::{BATCHES_MAX, Part, Plan, PlanError, STATEMENT_LENGTH_MAX, Statement, StatementError};
