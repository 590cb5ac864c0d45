//! The deterministic simulator: one seed decides a whole world in which the real coordinator, signers and watcher of an
//! exchange run unchanged, over a network that loses and delays, on machines that crash, on a chain that reorganises,
//! among people who err, and against one of several foes.
//!
//! An oracle that knows what people really wanted looks at every answer, every disk and every block, and names what
//! must never happen. It shares no code with the judgement it checks. Nothing here sleeps, reads a clock or a socket.

mod checks;
mod engine;
mod night;
mod node;
mod oracle;
mod people;
mod random;
mod realm;
mod rogue;
mod signers;
mod thief;
mod traitor;
mod watcher;
mod writer;

use core::fmt;
use std::collections::BTreeMap;

/// Against what the exchange has to hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// Nothing goes wrong but people's own mistakes.
    Calm,
    /// Messages are lost, machines crash, blocks are reorganised.
    Faults,
    /// The writer is hostile: forks its log, alters transactions, replays.
    Rogue,
    /// One signer is hostile, and the network is bad.
    Traitor,
    /// The writer is hostile and has the keys of one signer.
    RogueAndTraitor,
    /// A thief holds the coin keys of two signers.
    Thief,
    /// Faults, and the watcher's store is lost on the way: it is set up anew.
    Anew,
    /// A thief, and the watcher is set up anew before, between or after his thefts.
    AnewThief,
    /// The writer is hostile, in some worlds with the keys of one signer: it hoards receipts over a night, to have two days'
    /// allowance signed in one.
    Hoarder,
    /// As `Faults`, and everything stands still, longer than a receipt lives, while receipts wait for signatures.
    Outage,
    /// The writer is hostile, and one signer's disk is set back now and then.
    Rollback,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Calm,
        Self::Faults,
        Self::Rogue,
        Self::Traitor,
        Self::RogueAndTraitor,
        Self::Thief,
        Self::Anew,
        Self::AnewThief,
        Self::Hoarder,
        Self::Outage,
        Self::Rollback,
    ];

    const fn rogue(self) -> bool {
        matches!(self, Self::Rogue | Self::RogueAndTraitor | Self::Hoarder | Self::Rollback)
    }

    const fn faults(self) -> bool {
        matches!(self, Self::Faults | Self::Traitor | Self::Anew | Self::Outage)
    }

    const fn thief(self) -> bool {
        matches!(self, Self::Thief | Self::AnewThief)
    }

    const fn anew(self) -> bool {
        matches!(self, Self::Anew | Self::AnewThief)
    }
}

/// A rule of the machines or their drivers that is broken on purpose, to see that the oracle notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Signers' receipts do not reach the disk.
    ReceiptsNotStored,
    /// Signers lose their copy of the log, and so what they co-signed, when they restart.
    WitnessesForget,
    /// Signers release signatures for whatever the writer asks.
    SignersBlind,
    /// The hostile writer has the coin keys of all signers.
    KeysStolen,
    /// The writer answers before its entries are on disk.
    AnswersBeforeDisk,
    /// The writer's disk loses what it stored last when the writer crashes.
    WriterForgets,
    /// The writer sends entries with another checkpoint than the one after them.
    CheckpointsMixed,
    /// Signers' disks lose what they stored first.
    DisksRot,
    /// Nothing that the writer broadcasts leaves it.
    NothingBroadcast,
    /// Signers say that they took a trip and do not take it.
    TripsIgnored,
    /// The watcher sees no transactions.
    WatcherBlind,
    /// The watcher's copy of the log does not reach the disk.
    WatcherForgets,
    /// A watcher that is set up anew does not wait for the log before it follows blocks.
    FollowsEarly,
    /// Broken connections are not made again.
    NoReconnect,
    /// Signers release on the strength of receipts that have lapsed.
    ReceiptsNeverLapse,
    /// Signers do not say that a receipt has lapsed when they refuse to release on the strength of it.
    LapsesUntold,
    /// Signers whose disk was set back go on as if it were the latest.
    NeverFrozen,
}

/// What must never happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// Two confirmed transactions pay one payout.
    PaidTwice,
    /// Enough signatures exist for two transactions of one payout that do not exclude each other.
    PayableTwice,
    /// A signature was released, or coins moved, for what people did not approve.
    Unapproved,
    /// Two logs that contradict each other have a quorum of witnesses each.
    Fork,
    /// A signer's receipt numbers repeat or go back.
    ReceiptNumber,
    /// Signatures for more than the policy's limit were released within 24 hours.
    LimitExceeded,
    /// A signer that has forgotten what it signed gave a receipt or signed again.
    ForgetfulSigner,
    /// A theft was not followed by an alarm and a trip in time.
    NotAlarmed,
    /// The exchange was stopped without a reason.
    StoppedInVain,
    /// A withdrawal was signed although the breaker was tripped.
    SignedAfterTrip,
    /// Something that was acknowledged is gone.
    Forgotten,
    /// Something that nothing hinders has not happened in time.
    Stuck,
    /// An honest witness refuses an honest writer's log.
    Estranged,
    /// After a trip the vault's coins were left where the thief is.
    NotEvacuated,
    /// A machine could not restore itself from what it stored.
    NotRestored,
}

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// In what way.
    pub detail: String,
    /// When, in milliseconds of virtual time.
    pub at_ms: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} ms: {}", self.rule, self.at_ms, self.detail)
    }
}

/// Which world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// Decides everything that the mode leaves open.
    pub seed: u64,
    /// Against what.
    pub mode: Mode,
    /// What is broken on purpose.
    pub flaw: Option<Flaw>,
    /// Whether a readable trace is kept.
    pub trace: bool,
}

impl Scenario {
    /// A world without flaws or trace.
    #[must_use]
    pub const fn new(seed: u64, mode: Mode) -> Self {
        Self { seed, mode, flaw: None, trace: false }
    }
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// The first rule that was broken, if one was; the world ends there.
    pub violation: Option<Violation>,
    /// How often what happened, to see that a world is no idle one.
    pub counts: BTreeMap<String, u64>,
    /// Virtual time at the end, in milliseconds.
    pub end_ms: u64,
    /// What happened, line by line, if a trace was asked for.
    pub trace: Vec<String>,
}

impl Outcome {
    /// How often something happened.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }
}

/// Lives through one world.
#[must_use]
pub fn run(scenario: Scenario) -> Outcome {
    engine::World::new(scenario).live()
}
