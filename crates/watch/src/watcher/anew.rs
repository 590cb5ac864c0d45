//! Which blocks may be followed with how much of the log. A script that the log makes a vault's only later is not looked for
//! in a block that was followed before, so a watcher that is set up anew follows none until the writer says that it has the
//! whole log; and where that was not so, because the writer lied or another watcher leased, it follows again from the
//! birthday. Decides when; never takes the writer's word for more than a reason to wait.

use std::collections::BTreeSet;

use kuraban_base::{Height, Instant, Txid};
use kuraban_chain::btc::{Network, OutPoint, Tx};
use kuraban_proof::Entry;
use kuraban_vault::{
    body::Body,
    fold::{Draft, Fold, unsigned_id},
    follow,
    signer::Clock,
    wire::{LogEntry, Response},
};

use super::{Change, Followed, LOG_WITHHELD, Step, Watcher, alarms::Raise, refuse, spends::owner};
use crate::{
    chain::{FromNode, Output},
    coins::Coins,
};

/// Before the log is there, the node only connects and goes. Kept until its blocks may be followed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held(Option<Height>);

impl Held {
    /// Takes note of what came from the node.
    pub(super) fn note(&mut self, from: &FromNode) {
        match from {
            FromNode::Ready { height } => self.0 = Some(*height),
            FromNode::Closed => self.0 = None,
            FromNode::Headers(_)
            | FromNode::Block(_)
            | FromNode::Inv { .. }
            | FromNode::Tx(_)
            | FromNode::NotFound { .. }
            | FromNode::Tick => {}
        }
    }
}

/// Whether a block was followed that holds this transaction, without all its outputs that are the vaults' by now. Where it is
/// too deep to be told it counts as followed; where it waits for a block it does not.
fn missed(fold: &Fold, followed: &Followed, draft: &Draft, txid: Txid) -> bool {
    let own = owner(fold, followed.chain.network());
    let mut outputs = (0_u32..).zip(&draft.tx.outputs).filter(|(_, output)| own(&output.script).is_some());
    match followed.coins.place(&txid) {
        Some(_) => outputs.any(|(vout, _)| !followed.coins.knows(&OutPoint { txid, vout })),
        None => !followed.coins.waits(&txid),
    }
}

/// The transaction that this entry adds to a payout, and where it would be seen.
fn assembled<'a>(fold: &'a Fold, logged: &LogEntry) -> Option<(Network, &'a Draft)> {
    let kind = Entry::decode(&logged.entry).ok()?.kind;
    let (_, _, body) = (kind.as_str() == "payout.assembled").then(|| follow::open(logged).ok())??;
    let Body::PayoutAssembled { payout, tx } = body else { return None };
    let record = fold.payout(&payout)?;
    let network = record.payout.network;
    let txid = unsigned_id(&Tx::decode(network, &tx).ok()?);
    Some((network, record.draft(&txid)?))
}

impl Watcher {
    /// Begins to follow blocks when this much of the log is all that the writer has.
    pub(super) fn complete(&mut self, clock: Clock, newest: u64, step: &mut Step) {
        if self.whole || self.follower.fold().size() < newest {
            return;
        }
        self.whole = true;
        step.persist.push(Change::Whole);
        let networks: Vec<Network> = self.networks.keys().copied().collect();
        for network in networks {
            let Some(followed) = self.networks.get_mut(&network) else { continue };
            followed.chain.begin(clock.monotonic_ms);
            if let Held(Some(height)) = core::mem::take(&mut followed.held) {
                self.node(clock, network, FromNode::Ready { height }, step);
            }
        }
    }

    /// Why nothing is leased while the log is not there.
    pub(super) fn not_whole(&self) -> Option<Response> {
        let size = self.follower.fold().size();
        let problem = format!("this watcher was set up anew and has {size} entries, the writer has more");
        (!self.whole).then(|| refuse("log-not-whole", problem))
    }

    /// Somebody must hear of a log that does not come: until it does, nothing is seen.
    pub(super) fn withheld(&mut self, clock: Clock, step: &mut Step) {
        let Some(begun_ms) = self.begun_ms.filter(|_| !self.whole) else { return };
        let Some(network) = self.networks.keys().next().copied() else { return };
        let silent_ms = clock.monotonic_ms.saturating_sub(begun_ms);
        if silent_ms <= self.patience_ms {
            return;
        }
        let since = Instant::from_ms(clock.wall.ms().saturating_sub(silent_ms));
        let size = self.follower.fold().size();
        let raise = Raise {
            rule: LOG_WITHHELD,
            subject: format!("log since {}", since.ms()),
            asset: network.asset(),
            detail: format!(
                "the writer has not shown its whole log since {since}, {size} entries are here; no block is followed"
            ),
            evidence: None,
            trip: false,
        };
        // Told once for each start: what the clocks say of its time may differ by a little.
        self.begun_ms = None;
        self.raise(clock, raise, step);
    }

    /// The networks on which one of these entries, which are folded, belongs to a spend that was seen in a block before them:
    /// its change may be where nobody looked.
    pub(super) fn overtaken(&self, entries: &[LogEntry]) -> BTreeSet<Network> {
        let waiting = self.waiting.list().into_iter().map(|(_, tx)| (unsigned_id(&tx), tx.txid()));
        let early: BTreeSet<(Txid, Txid)> = self.alarms.spends().chain(waiting).collect();
        if early.is_empty() {
            return BTreeSet::new();
        }
        let fold = self.follower.fold();
        let missed = |(network, draft): (Network, &Draft)| {
            let followed = self.networks.get(&network)?;
            let mut seen = early.iter().filter(|(unsigned, _)| *unsigned == draft.txid);
            seen.any(|(_, txid)| missed(fold, followed, draft, *txid)).then_some(network)
        };
        let drafts = entries.iter().filter_map(|logged| assembled(fold, logged));
        drafts.filter_map(missed).collect()
    }

    /// Forgets a network's blocks and follows it again from its birthday. Until it is there nothing of it is open or leased.
    pub(super) fn follow_anew(&mut self, clock: Clock, network: Network, step: &mut Step) {
        let Some(followed) = self.networks.get_mut(&network) else { return };
        followed.coins = Coins::default();
        let outputs: Vec<Output> = followed.chain.anew(clock);
        step.persist.push(Change::Anew { network });
        self.outputs(clock, network, outputs, step);
    }
}
