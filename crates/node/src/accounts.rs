//! Nodes of the chains of accounts: what a block is, and what an account held after it; asked of a node, or read from a file of
//! what such a node answered.
//!
//! Decides what an answer means and whether it has the right form. A balance of ether is shown by a proof against the block's
//! hash; any other is the node's word. Each call is a connection of its own, bounded in time and size.

mod evm;
mod http;
mod nem;
mod printed;
mod xrp;

use std::time::Duration;

use kuraban_chain::accounts::{Account, Asset, BlockId, Form, Network, Signed};
use kuraban_chain::xrp::Address;

pub use http::{ANSWER_BYTES_MAX, Http};
pub use printed::{ACCOUNTS_MAX, PRINTED_BYTES_MAX, Printed};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// A place that cannot be asked.
    #[error("{place}: {problem}")]
    Place {
        /// The place.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The call did not get through, or its answer did not come in time.
    #[error("{what}: no answer from {url}")]
    Unreachable {
        /// What was asked.
        what: &'static str,
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: minreq::Error,
    },
    /// An answer larger than is read.
    #[error("{what}: answer has more than {ANSWER_BYTES_MAX} bytes")]
    Large {
        /// What was asked.
        what: &'static str,
    },
    /// An answer of another form.
    #[error("{what}: answer is not {want}")]
    Form {
        /// What was asked.
        what: &'static str,
        /// What it should be.
        want: &'static str,
    },
    /// The node says no.
    #[error("{what}: node says {message:?}")]
    Said {
        /// What was asked.
        what: &'static str,
        /// Its words, cut.
        message: String,
    },
    /// The node of another network.
    #[error("node is of network {found}, want {want} ({network})")]
    Network {
        /// Its number.
        found: u64,
        /// What it should be.
        want: u64,
        /// The network.
        network: Network,
    },
    /// A file of answers that cannot be read.
    #[error("it is not what a node of {network} printed: {problem}")]
    Printed {
        /// The network.
        network: Network,
        /// What is wrong with it.
        problem: String,
    },
}

/// A block of the node's chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Its hash.
    pub id: BlockId,
    /// Its height.
    pub height: u64,
    /// Its time, in seconds since 1970.
    pub time_s: u64,
    /// The root of its state, where balances are proven against it.
    state_root: Option<[u8; 32]>,
}

/// How an account stood after a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What it held, in base units.
    pub units: u128,
    /// Whether a proof against the block's hash shows it; else it is the node's word.
    pub proven: bool,
    signs: Signs,
}

/// Whose keys act for an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Signs {
    /// Its own.
    Own,
    /// Its own unless it turned that off, and the regular key (XRP Ledger).
    Keys { master: bool, regular: Option<Address> },
    /// Those of others: a multisignature account (NEM).
    Others,
}

/// What speaks against an account, in words.
pub type Found = Result<Standing, String>;

impl Standing {
    /// Checks that the key which signed could also have moved what the account held.
    ///
    /// # Errors
    /// Why not.
    pub fn moved_by(&self, signed: &Signed) -> Result<(), String> {
        let own = signed.signer == signed.account;
        match self.signs {
            Signs::Own if own => Ok(()),
            Signs::Keys { master: true, .. } if own => Ok(()),
            Signs::Keys { master: false, .. } if own => {
                Err("the account has turned its own key off: sign with its regular key".to_owned())
            }
            Signs::Keys { regular: Some(regular), .. } if Account::Xrp(regular) == signed.signer => Ok(()),
            Signs::Others if own => {
                Err("it is a multisignature account: its own key moves nothing".to_owned())
            }
            Signs::Own | Signs::Keys { .. } | Signs::Others => {
                Err(format!("it was signed by the key of {}, which is not the account's", signed.signer))
            }
        }
    }
}

/// Where blocks and balances are known.
#[derive(Debug)]
pub enum Ledger {
    /// From a node.
    Node(Network, Http),
    /// From a file of answers about one block.
    Printed(Printed),
}

impl Ledger {
    /// A node at `host:port` or `http://host[:port][/path]`, if it is of the network.
    ///
    /// # Errors
    /// A place that cannot be asked, no answer, a node of another network.
    pub fn node(network: Network, place: &str, within: Duration) -> Result<Self, AnswerError> {
        let http = Http::new(place, within)?;
        let found = match network.form() {
            Form::Eip191 => Some(evm::chain_id(&http)?),
            Form::Xrpl => xrp::network_id(&http)?,
            // Its blocks say it.
            Form::Nem => None,
        };
        match found {
            Some(found) if found != network.id() => {
                Err(AnswerError::Network { found, want: network.id(), network })
            }
            Some(_) | None => Ok(Self::Node(network, http)),
        }
    }

    /// The block of this hash, if it is in the node's chain. NEM's nodes know blocks by their height alone: one at another height
    /// than the one given is not found.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn block(&self, id: BlockId, height: u64) -> Result<Option<Block>, AnswerError> {
        match self {
            Self::Node(network, http) => match network.form() {
                Form::Eip191 => evm::block(http, id),
                Form::Xrpl => xrp::block(http, id),
                Form::Nem => nem::block(http, *network, id, height),
            },
            Self::Printed(printed) => Ok(printed.block(id)),
        }
    }

    /// How many decimals a token has, by its contract's word after a block; nothing for other assets, or where it does not say.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn decimals(&self, block: &Block, asset: Asset) -> Result<Option<u8>, AnswerError> {
        match (self, asset) {
            (Self::Node(_, http), Asset::Token(token)) => evm::decimals(http, block, &token),
            (Self::Printed(printed), Asset::Token(_)) => Ok(printed.decimals()),
            (Self::Node(..) | Self::Printed(_), _) => Ok(None),
        }
    }

    /// How an account stood after a block.
    ///
    /// # Errors
    /// No answer, or one of another form.
    pub fn standing(&self, block: &Block, asset: Asset, account: &Account) -> Result<Found, AnswerError> {
        match (self, account, asset) {
            (Self::Printed(printed), account, asset) => Ok(printed.standing(asset, account)),
            (Self::Node(_, http), Account::Evm(address), Asset::Token(token)) => {
                evm::token(http, block, &token, address)
            }
            (Self::Node(_, http), Account::Evm(address), _) => evm::ether(http, block, address),
            (Self::Node(_, http), Account::Xrp(address), _) => xrp::account(http, block, address),
            (Self::Node(_, http), Account::Nem(address), _) => nem::account(http, block, address),
        }
    }
}
