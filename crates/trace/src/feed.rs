//! A tag feed: tags that move with stolen coins, in a signed log that is only ever appended to, so that everybody can
//! follow it, nobody can be shown another one unnoticed, and every tag can be taken back with a reason.
//!
//! The log is one of C2SP's tlog-tiles, made with [`kuraban_proof`]; its entries are the closed list of [`Body`]. A tag's
//! number is its entry's place in the log. Decides what a feed may say and what it says at a time; never where stolen coins
//! are, and reads no file and no clock.
//!
//! Whoever keeps a feed appends to a [`Feed`] and puts out what it gives: first the files, then the checkpoint. Whoever
//! follows one hands a [`Replica`] a checkpoint and a way to read bundles, and then asks its [`Standing`].
//!
//! ```
//! use kuraban_base::{Height, Digest, Instant};
//! use kuraban_chain::btc::Network;
//! use kuraban_proof::{NoteSigner, Resource};
//! use kuraban_trace::feed::{Block, Body, Chain, Entry, Feed, Replica};
//! use std::collections::BTreeMap;
//!
//! let chain = Chain::Family(Network::BtcMain);
//! let tip = Block { height: Height::new(840_000), hash: Digest::from_bytes([7; 32]) };
//! let log = NoteSigner::from_seed("tags.example/feed".parse()?, &[1; 32]);
//!
//! let mut feed = Feed::new();
//! let beat = Entry { at: Instant::from_ms(1), body: Body::Heartbeat { chain, tip } };
//! let growth = feed.append(vec![beat])?;
//! let checkpoint = growth.sign(&log)?.note().to_string();
//! let files: BTreeMap<Resource, Vec<u8>> = growth.files.into_iter().collect();
//!
//! let mut replica = Replica::new(log.verifier().clone());
//! let read = |name| files.get(&name).cloned().ok_or(std::fmt::Error);
//! replica.update(checkpoint.as_bytes(), read, |_, _| {})?;
//! assert_eq!(replica.standing().freshness(chain).map(|fresh| fresh.tip), Some(tip));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod entry;
mod export;
mod replica;
mod standing;
pub(crate) mod tell;
mod wire;
mod writer;

pub use entry::{
    Block, Body, Chain, ChainError, Entry, NAMED_MAX, Opened, Reach, Reason, ReasonError, Rules, SEEDS_MAX,
    Seed, Since, Subject, Tag, Taint, Words, WordsError, shown_txid,
};
pub use replica::{Fork, Replica, SnapshotError, UpdateError, Updated};
pub use standing::{APPEALS_MAX, CASES_MAX, Case, Freshness, Misfit, Standing, TAGS_MAX};
pub use wire::WireError;
pub use writer::{APPEND_MAX, AppendError, Feed, Growth, ResumeError};
