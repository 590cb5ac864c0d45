//! The neutral list of transfers: what every importer writes and every trace reads. Decides what its words are called.

use std::collections::BTreeSet;

use kuraban_base::{Digest, hex};

use super::units::Units;

/// Version of the list's form.
pub(super) const VERSION: u32 = 1;
/// Characters of a hash in hexadecimal.
const HASH_LENGTH: usize = 64;
/// Characters of a NEM address, and with hyphens between groups of six.
const NEM_LENGTHS: [usize; 2] = [40, 46];

/// A chain of accounts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Chain {
    /// Ethereum and what is like it.
    Eth,
    /// The XRP Ledger.
    Xrp,
    /// NEM (NIS1).
    Xem,
}

impl Chain {
    /// Every chain.
    pub const ALL: [Self; 3] = [Self::Eth, Self::Xrp, Self::Xem];

    /// Its name, which is its native asset's name too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eth => "eth",
            Self::Xrp => "xrp",
            Self::Xem => "xem",
        }
    }

    /// The base unit of its native asset.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Eth => "wei",
            Self::Xrp => "drop",
            Self::Xem => "microxem",
        }
    }

    /// An account, asset or transaction as lists write it, where people write it otherwise: hexadecimal in the chain's
    /// case, NEM's addresses in capitals without hyphens.
    #[must_use]
    pub fn canonical(self, text: &str) -> String {
        let is_hash = text.len() == HASH_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_nem = NEM_LENGTHS.contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match self {
            Self::Eth if text.starts_with("0x") || text.starts_with("0X") => text.to_ascii_lowercase(),
            Self::Xrp if is_hash => text.to_ascii_uppercase(),
            Self::Xem if is_hash => text.to_ascii_lowercase(),
            Self::Xem if is_nem => text.replace('-', "").to_ascii_uppercase(),
            Self::Eth | Self::Xrp | Self::Xem => text.to_owned(),
        }
    }

    /// A transaction's id as lists write it.
    #[must_use]
    pub fn tx_name(self, tx: &Digest) -> String {
        let digits = tx.to_string();
        match self {
            Self::Eth => format!("0x{digits}"),
            Self::Xrp => digits.to_ascii_uppercase(),
            Self::Xem => digits,
        }
    }

    /// The id that a list's name of a transaction writes; `None` for a name that is no hash.
    #[must_use]
    pub fn tx_id(self, name: &str) -> Option<Digest> {
        let digits = match self {
            Self::Eth => name.strip_prefix("0x")?,
            Self::Xrp | Self::Xem => name,
        };
        hex::decode_array(&digits.to_ascii_lowercase()).ok().map(Digest::from_bytes)
    }
}

/// What accounts held before the list begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// Nothing, or what transfers of the kind `opening` say.
    Stated,
    /// Nobody says: units that an account pays and is not known to have were there before, and are clean.
    Unknown,
}

impl Opening {
    pub(super) const ALL: [Self; 2] = [Self::Stated, Self::Unknown];

    /// Its name in a list's first line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::Unknown => "unknown",
        }
    }
}

/// A list's first line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The chain.
    pub chain: Chain,
    /// What accounts held before.
    pub opening: Opening,
}

impl Header {
    /// The line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let (chain, opening) = (self.chain.name(), self.opening.name());
        format!(r#"{{"transfers":{VERSION},"chain":"{chain}","opening":"{opening}"}}"#)
    }
}

/// What a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// What the transaction says it pays.
    Payment,
    /// What a contract or the ledger paid in consequence.
    Internal,
    /// A token's movement, from its log.
    Token,
    /// The price of the transaction: to whom it goes, or to nobody if it is destroyed.
    Fee,
    /// Destroyed.
    Burn,
    /// Made: a reward, a withdrawal from staking, a new token.
    Mint,
    /// What an account held before the list begins.
    Opening,
}

impl Kind {
    pub(super) const ALL: [Self; 7] =
        [Self::Payment, Self::Internal, Self::Token, Self::Fee, Self::Burn, Self::Mint, Self::Opening];

    /// Its name in a list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Internal => "internal",
            Self::Token => "token",
            Self::Fee => "fee",
            Self::Burn => "burn",
            Self::Mint => "mint",
            Self::Opening => "opening",
        }
    }

    /// Whether there is a payer, and whether there is a payee; `None` for a fee, which may have one or not.
    pub(super) const fn ends(self) -> (bool, Option<bool>) {
        match self {
            Self::Payment | Self::Internal | Self::Token => (true, Some(true)),
            Self::Fee => (true, None),
            Self::Burn => (true, Some(false)),
            Self::Mint | Self::Opening => (false, Some(true)),
        }
    }
}

/// Units that go from one account to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The block's height.
    pub height: u64,
    /// The transaction's place in its block, from 0.
    pub position: u32,
    /// The transaction's id.
    pub tx: String,
    /// The transfer's place in its transaction, from 0.
    pub index: u32,
    /// What moves: the chain's name for its native asset, else the token's id.
    pub asset: String,
    /// Who pays.
    pub from: Option<String>,
    /// Who is paid.
    pub to: Option<String>,
    /// How many base units.
    pub amount: Units,
    /// What it is.
    pub kind: Kind,
}

impl Transfer {
    /// The line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let end = |account: &Option<String>| {
            account.as_ref().map_or_else(|| "null".to_owned(), |name| format!("\"{name}\""))
        };
        format!(
            r#"{{"height":{},"position":{},"tx":"{}","index":{},"asset":"{}","from":{},"to":{},"amount":"{}","kind":"{}"}}"#,
            self.height,
            self.position,
            self.tx,
            self.index,
            self.asset,
            end(&self.from),
            end(&self.to),
            self.amount,
            self.kind.name()
        )
    }
}

/// A block whose transfers a list has all, by its line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Its height.
    pub height: u64,
    /// Its hash, as the chain's programs show it.
    pub hash: Digest,
    /// The hash of the block before it.
    pub prev: Digest,
}

impl Mark {
    /// The line that stands after the block's transfers, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!(r#"{{"block":{},"hash":"{}","prev":"{}"}}"#, self.height, self.hash, self.prev)
    }

    /// The line by which the block leaves the list again, without its end.
    #[must_use]
    pub fn to_undo_line(&self) -> String {
        format!(r#"{{"undo":{},"hash":"{}"}}"#, self.height, self.hash)
    }
}

/// A line after the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// A transfer.
    Transfer(Transfer),
    /// Everything of this block stood before.
    Block(Mark),
    /// This block, the last one, is no longer in the chain.
    Undo(Mark),
}

/// A whole list, as an importer makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferList {
    /// Its first line.
    pub header: Header,
    /// The transfers in the chain's order.
    pub transfers: Vec<Transfer>,
    /// Its blocks in their order, as far as the files state their hashes: all of them or none.
    pub blocks: Vec<Mark>,
    /// Assets that are not in the list, since what the files say of them cannot be said in one.
    pub left_out: BTreeSet<String>,
}

impl TransferList {
    /// The lines after the first, without their ends: each block's line after its transfers, where blocks are known.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let mut transfers = self.transfers.iter().peekable();
        let mut blocks = self.blocks.iter().peekable();
        core::iter::from_fn(move || {
            let mark = blocks.peek().map(|mark| mark.height);
            let next = transfers.next_if(|transfer| mark.is_none_or(|height| transfer.height <= height));
            next.map(Transfer::to_line).or_else(|| blocks.next().map(Mark::to_line))
        })
    }
}
