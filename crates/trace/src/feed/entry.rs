//! What an entry of a tag feed can say. A closed list: an entry that says anything else is refused.
//!
//! Decides what each word may hold. Whether an entry fits those before it is [`super::Standing`]'s to say.

use core::{fmt, str::FromStr};

use kuraban_base::{CaseId, Digest, Height, Instant, Txid, hex};
use kuraban_chain::btc::{BlockHash, Network, OutPoint};

use crate::{
    accounts,
    tags::{
        Confidence,
        address::{self, Checked, SubjectError},
    },
    taint::Method,
};

/// Longest text of a field, in bytes.
const WORDS_MAX: usize = 1_000;
/// Most seeds of a case: what fits an entry.
pub const SEEDS_MAX: usize = 1_000;
/// Most tags that one entry names: what fits an entry.
pub const NAMED_MAX: usize = 4_096;

/// Text of one line: 1 to 1,000 bytes without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Words(String);

/// Text that is none of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WordsError {
    /// Empty or too long.
    #[error("text has {got} bytes, want 1 to {max}", max = WORDS_MAX)]
    Length {
        /// Its length.
        got: usize,
    },
    /// A character that would break a line or a terminal.
    #[error("text has the control character {found:?}")]
    Control {
        /// Which.
        found: char,
    },
}

impl Words {
    /// What is said of a place of which nothing else is known.
    #[must_use]
    pub fn stop() -> Self {
        Self("a stop".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Words {
    type Err = WordsError;

    fn from_str(text: &str) -> Result<Self, WordsError> {
        if !(1..=WORDS_MAX).contains(&text.len()) {
            return Err(WordsError::Length { got: text.len() });
        }
        match text.chars().find(|found| found.is_control()) {
            Some(found) => Err(WordsError::Control { found }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A chain that a theft can be followed on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Chain {
    /// One of outputs.
    Family(Network),
    /// One of accounts.
    Accounts(accounts::Chain),
}

/// A name that no chain has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("chain {found:?} is not known, want one such as bitcoin-main, litecoin-main, eth, xrp, xem")]
pub struct ChainError {
    /// What stood in its place, at most 32 characters of it.
    pub found: String,
}

impl Chain {
    /// Its name, such as `bitcoin-main` or `eth`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Family(network) => network.name(),
            Self::Accounts(chain) => chain.name(),
        }
    }

    /// The base unit of its native asset.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Family(_) => "sat",
            Self::Accounts(chain) => chain.unit(),
        }
    }

    /// Its name in packs of tags: the asset's on main networks, its own in capitals on others.
    #[must_use]
    pub fn network(self) -> String {
        match self {
            Self::Family(Network::BtcMain) => "BTC".to_owned(),
            Self::Family(Network::LtcMain) => "LTC".to_owned(),
            Self::Family(
                Network::BtcTest
                | Network::BtcSignet
                | Network::BtcRegtest
                | Network::LtcTest
                | Network::LtcRegtest,
            )
            | Self::Accounts(_) => self.name().to_ascii_uppercase(),
        }
    }

    /// Checks an address of this chain and gives the form under which it is looked up.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn address(self, text: &str) -> Result<Checked, SubjectError> {
        match self {
            Self::Family(network) => {
                address::of_family(network, text).map(|normal| Checked { normal, verified: true })
            }
            Self::Accounts(_) => address::address(&self.network(), text),
        }
    }
}

impl FromStr for Chain {
    type Err = ChainError;

    fn from_str(text: &str) -> Result<Self, ChainError> {
        let account = accounts::Chain::ALL.into_iter().find(|chain| chain.name() == text);
        let family = text.parse().ok().map(Self::Family);
        let found = || ChainError { found: text.chars().take(32).collect() };
        account.map(Self::Accounts).or(family).ok_or_else(found)
    }
}

/// A block: height and hash, the hash as the chain's programs show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: Digest,
}

/// A digest in the order in which programs of the BTC family show it.
fn reversed(bytes: &[u8; 32]) -> Digest {
    let mut bytes = *bytes;
    bytes.reverse();
    Digest::from_bytes(bytes)
}

/// A transaction id of the BTC family as it is shown.
#[must_use]
pub fn shown_txid(txid: &Txid) -> Digest {
    reversed(txid.as_bytes())
}

impl Block {
    /// A block of the BTC family.
    #[must_use]
    pub fn of_family(height: Height, hash: &BlockHash) -> Self {
        Self { height, hash: reversed(hash.as_bytes()) }
    }
}

/// A stolen output, or the transfer by which an account was robbed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seed {
    /// The transaction, as it is shown.
    pub tx: Digest,
    /// The output's or the transfer's place in it.
    pub index: u32,
    /// What it holds, in base units.
    pub units: u128,
}

/// By which rules a case is followed and tags are given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The methods of taint, at least one, each once, in the order of [`Method::ALL`].
    pub methods: Vec<Method>,
    /// Whether tainted fees are followed.
    pub follow_fees: bool,
    /// Taint of fewer base units in one place is dropped.
    pub dust_units: u128,
    /// Taint of fewer base units is followed and gets no tag.
    pub tag_units_min: u128,
    /// An address that had this many outputs or more before the theft is a hub: taint is held there.
    pub hub_outputs_min: Option<u32>,
    /// How long a tag holds if it is not given again.
    pub lasts_ms: Option<u64>,
}

/// A theft that is being followed from now on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Its name, unique in the feed for ever.
    pub case: CaseId,
    /// The chain.
    pub chain: Chain,
    /// The token, where it is not the chain's native asset: its contract or its name.
    pub token: Option<Words>,
    /// What happened, in a few words.
    pub label: Words,
    /// A concept of the taxonomy of tags.
    pub concept: &'static str,
    /// Where one can read about it.
    pub source: Words,
    /// What was stolen, 1 to 1,000, ascending.
    pub seeds: Vec<Seed>,
    /// The rules.
    pub rules: Rules,
}

/// What a tag is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// An output; on a chain of accounts a transfer that was handed over.
    Output {
        /// The transaction, as it is shown.
        tx: Digest,
        /// The output's or the transfer's place in it.
        index: u32,
        /// Whose it is, where the script has an address; to whom the transfer went, where that is one.
        address: Option<String>,
    },
    /// An account.
    Account(String),
}

impl Subject {
    /// An output of the BTC family.
    #[must_use]
    pub fn output(outpoint: OutPoint, address: Option<String>) -> Self {
        Self::Output { tx: shown_txid(&outpoint.txid), index: outpoint.vout, address }
    }

    /// The address, where there is one.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Output { address, .. } => address.as_deref(),
            Self::Account(address) => Some(address),
        }
    }

    /// `txid:index` of an output.
    #[must_use]
    pub fn outpoint(&self) -> Option<String> {
        match self {
            Self::Output { tx, index, .. } => Some(format!("{}:{index}", hex::encode(tx.as_bytes()))),
            Self::Account(_) => None,
        }
    }
}

/// How much of a subject is tainted, in base units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taint {
    /// Over the methods of the case: what all agree on, and the most that one says.
    Span {
        /// The least.
        least: u128,
        /// The most, more than nothing.
        most: u128,
    },
    /// By one method.
    By {
        /// Which.
        method: Method,
        /// How much, more than nothing.
        units: u128,
    },
}

impl Taint {
    /// What methods say together of one place, each with what it finds; nothing where none finds any. Poison finds more than
    /// was stolen and counts only where it is asked alone.
    pub(crate) fn over(found: impl IntoIterator<Item = (Method, u128)>) -> Option<Self> {
        let found: Vec<(Method, u128)> = found.into_iter().collect();
        if let [(method, units)] = found.as_slice() {
            return (*units > 0).then_some(Self::By { method: *method, units: *units });
        }
        let (mut least, mut most) = (u128::MAX, 0);
        for (_, units) in found.into_iter().filter(|(method, _)| method.conserves()) {
            least = least.min(units);
            most = most.max(units);
        }
        (most > 0).then_some(Self::Span { least, most })
    }

    /// What every method of the case grants.
    #[must_use]
    pub const fn least(self) -> u128 {
        match self {
            Self::Span { least, .. } => least,
            Self::By { units, .. } => units,
        }
    }

    /// The most that a method says.
    #[must_use]
    pub const fn most(self) -> u128 {
        match self {
            Self::Span { most, .. } => most,
            Self::By { units, .. } => units,
        }
    }
}

/// Whether the taint goes on from here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// When it is spent, the tags follow.
    Followed,
    /// It came to a service or a hub and is held there: nothing that leaves is tagged, and whoever runs it is told this
    /// deposit.
    HandedOver {
        /// What is known of the place, such as a tag's label.
        to: Words,
    },
}

/// Since when a tag holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// A transaction that waits for its block; this may yet not come.
    Mempool,
    /// A block.
    Block(Block),
}

/// A tag. Its number is the entry's place in the feed; chain, label, concept and source are its case's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    /// The theft.
    pub case: CaseId,
    /// What it is on.
    pub subject: Subject,
    /// How much is tainted.
    pub taint: Taint,
    /// All that the subject holds, in base units, where that is known.
    pub value: Option<u128>,
    /// Whether it goes on.
    pub reach: Reach,
    /// Since when.
    pub since: Since,
    /// How sure.
    pub confidence: Confidence,
    /// From then on it says nothing.
    pub expires: Option<Instant>,
}

/// Why tags are taken back. Closed: readers act on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// The block is no longer in the chain.
    Reorganised,
    /// The transaction was replaced by another or forgotten before it had a block.
    Replaced,
    /// The units moved on; tags on where they are now stand in the feed.
    Spent,
    /// A later tag says more exactly what this one says.
    Superseded,
    /// The policy lets tags of this age go.
    Expired,
    /// Whoever appealed was right.
    Appealed,
    /// It should never have been given.
    Error,
    /// Too little is tainted for a tag.
    BelowThreshold,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Reorganised,
        Self::Replaced,
        Self::Spent,
        Self::Superseded,
        Self::Expired,
        Self::Appealed,
        Self::Error,
        Self::BelowThreshold,
    ];

    /// Its name in the feed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reorganised => "reorganised",
            Self::Replaced => "replaced",
            Self::Spent => "spent",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::Appealed => "appealed",
            Self::Error => "error",
            Self::BelowThreshold => "below-threshold",
        }
    }
}

/// A name that no reason has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("reason {found:?} is not known, want one of {}", Reason::ALL.map(Reason::name).join(", "))]
pub struct ReasonError {
    /// What stood in its place, at most 32 characters of it.
    pub found: String,
}

impl FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        let known = Self::ALL.into_iter().find(|reason| reason.name() == text);
        known.ok_or_else(|| ReasonError { found: text.chars().take(32).collect() })
    }
}

/// What an entry says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A theft is followed from now on.
    Opened(Opened),
    /// A tag is given.
    Tag(Tag),
    /// Tags on transactions that waited have their block.
    Confirmed {
        /// Which, ascending, 1 to 4,096.
        tags: Vec<u64>,
        /// The block.
        block: Block,
    },
    /// Tags are taken back.
    Revoked {
        /// Which, ascending, 1 to 4,096.
        tags: Vec<u64>,
        /// Why.
        reason: Reason,
    },
    /// Somebody says that a tag is wrong; it stands until it is revoked.
    Appealed {
        /// Which.
        tag: u64,
        /// The appeal, as whoever took it names it.
        reference: Words,
    },
    /// A theft is followed no longer, and all its tags end.
    Closed {
        /// Which.
        case: CaseId,
        /// Why, in a few words.
        reason: Words,
    },
    /// How far a chain has been followed: everything that the feed has to say up to this block stands before it.
    Heartbeat {
        /// The chain.
        chain: Chain,
        /// Its last block.
        tip: Block,
    },
}

/// An entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When, by the clock of whoever keeps the feed.
    pub at: Instant,
    /// What.
    pub body: Body,
}
