//! What reaches a watcher, what it sends and stores, and what it is set up with. Decides nothing.

use kuraban_base::{MachineId, VaultId};
use kuraban_chain::btc::{BlockHash, Header, Network};
use kuraban_proof::{Cosigner, TreeHead};
use kuraban_vault::{
    Role,
    breaker::Trip,
    follow::FollowError,
    statement::{Signed, StatementSecret},
    wire::{LogEntry, Request, Response},
};

use super::Raised;
use crate::{
    chain::{self, FromNode, Position, ToNode},
    coins,
};

/// One connection of somebody to this watcher, named by the driver and never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Connection(pub u64);

/// A watcher's secrets.
#[derive(Debug)]
pub struct Secrets {
    /// For leases, permits, alarms and trips.
    pub statement: StatementSecret,
    /// For cosignatures.
    pub cosigner: Cosigner,
}

/// What a watcher watches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Each network that has a vault, once.
    pub chains: Vec<chain::Settings>,
    /// How long a spend may wait for its entries where another watcher could have leased them, in milliseconds.
    /// A watcher that is alone does not wait: nothing is signed before it has folded the receipts.
    pub log_wait_ms: u64,
}

/// Settings under which a watcher must not start.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsError {
    /// A vault's network that is not followed.
    #[error("vault {vault} is on {network}, which is not followed")]
    NotFollowed {
        /// The vault.
        vault: VaultId,
        /// Its network.
        network: Network,
    },
    /// A network that stands there twice.
    #[error("{network} stands there twice")]
    Repeated {
        /// Which.
        network: Network,
    },
    /// A network's settings contradict each other.
    #[error("settings of {network} contradict each other")]
    Chain {
        /// Which.
        network: Network,
        /// How.
        #[source]
        problem: chain::SettingsError,
    },
    /// The roster has no such watcher with this key.
    #[error("{me} is not a watcher with this statement key on the roster")]
    Stranger {
        /// The name.
        me: MachineId,
    },
}

/// What reaches a watcher.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Somebody asks. `role` is what the roster says about the key that asks; `fresh` are 32 bytes from the operating
    /// system's random source.
    Request {
        /// By which connection.
        from: Connection,
        /// In which role.
        role: Role,
        /// Random bytes for one challenge.
        fresh: [u8; 32],
        /// What.
        request: Box<Request>,
    },
    /// A connection ended.
    Gone(Connection),
    /// A connection to this signer stands: it is told what it may have missed.
    Signer(MachineId),
    /// A node of this network says something.
    Node(Network, FromNode),
    /// Time passed; wanted at least ten times a second.
    Tick,
}

/// What the driver shall send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// An answer, or the next item of a stream.
    Answer {
        /// To whom.
        to: Connection,
        /// What.
        response: Box<Response>,
    },
    /// A trip to a signer, on the signer's own socket. Lost where there is no connection; sent again on
    /// [`Event::Signer`].
    Trip {
        /// To whom.
        signer: MachineId,
        /// What.
        trip: Signed<Trip>,
    },
    /// To the node of a network.
    Node {
        /// Which network.
        network: Network,
        /// What.
        message: ToNode,
    },
}

/// What must be on disk before any effect of its step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Entries of the log, from an index on.
    Entries {
        /// The index of the first.
        from: u64,
        /// The entries.
        entries: Vec<LogEntry>,
    },
    /// The head that was co-signed.
    Cosigned(TreeHead),
    /// An alarm, and the trip that goes with it.
    Alarm(Box<Raised>),
    /// A block was connected.
    Connected {
        /// Of which network.
        network: Network,
        /// Its header.
        header: Header,
        /// What it did to the vaults' coins.
        coins: coins::Change,
    },
    /// The tip was undone.
    Disconnected {
        /// Of which network.
        network: Network,
        /// The block.
        hash: BlockHash,
    },
    /// The log is there as far as the writer had it: blocks may be followed.
    Whole,
    /// Blocks were followed with less of the log than they needed: they are forgotten and followed again.
    Anew {
        /// Of which network.
        network: Network,
    },
}

/// What the driver shall do, in this order: persist all or nothing, then send.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Step {
    /// To be on disk before any effect.
    pub persist: Vec<Change>,
    /// To be sent.
    pub effects: Vec<Effect>,
}

/// A stored change that does not fit the ones before it.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The stored log does not hold together.
    #[error("the stored log does not hold together")]
    Log(#[source] FollowError),
    /// A stored block does not fit.
    #[error("a stored block of {network} does not fit")]
    Chain {
        /// Which network.
        network: Network,
        /// In what way.
        #[source]
        problem: chain::RestoreError,
    },
    /// Stored coins do not fit.
    #[error("stored coins of {network} do not fit")]
    Coins {
        /// Which network.
        network: Network,
        /// In what way.
        #[source]
        problem: coins::ChangeError,
    },
    /// A stored block and its coins are not of one place.
    #[error("stored coins of {network} are not those of the block at {}", .tip.height)]
    Apart {
        /// Which network.
        network: Network,
        /// The block.
        tip: Position,
    },
    /// A network that is not followed any more.
    #[error("stored blocks are of {network}, which is not followed")]
    NotFollowed {
        /// Which.
        network: Network,
    },
    /// A stored alarm or trip that this watcher did not sign.
    #[error("a stored {what} is not signed by this watcher")]
    Statement {
        /// Which.
        what: &'static str,
    },
}
