//! The threads that speak to nodes: one follows the chain, one calls. They hand on what nodes say; decide nothing.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use kuraban_base::Amount;
use kuraban_chain::btc::{Network, Tx};
use kuraban_node::{
    p2p,
    rpc::{FeeEstimate, Rpc},
};
use kuraban_vault::signer::Clock;
use kuraban_watch::chain::{Chain, FromNode, Output};

use super::{
    desk::Input,
    figures::{Figure, Figures},
};
use crate::{
    bridge::Bridge,
    clock::{Monotonic, wall},
};

/// How often the follower of a chain is told the time.
const TICK: Duration = Duration::from_millis(100);
/// What the node says and nobody has looked at yet, at most.
const WAITING_MAX: usize = 256;
/// Transactions that wait to be handed to the node by a call.
const CALLS_MAX: usize = 1024;
/// How often the node is asked for an estimate.
const ESTIMATE_EVERY: Duration = Duration::from_secs(30);
/// Within how many blocks a payout shall be mined.
const CONFIRM_WITHIN_BLOCKS: u16 = 3;

/// Ends the process when a thread without which the writer must not go on ends, for whatever reason.
pub(super) struct Essential {
    /// Which.
    pub(super) name: &'static str,
    /// To the core.
    pub(super) inputs: SyncSender<Input>,
}

impl Drop for Essential {
    fn drop(&mut self) {
        // If the core is gone, the process ends already.
        drop(self.inputs.send(Input::Fatal(self.name)));
    }
}

/// Follows a chain on a thread of its own; the bridge is for broadcasts.
///
/// # Errors
/// No thread could be started.
pub(super) fn follow(
    mut chain: Chain,
    mut settings: p2p::Settings,
    clock: Monotonic,
    inputs: SyncSender<Input>,
) -> io::Result<Arc<Bridge>> {
    // Nothing here is in a hurry: who must see a theft at once is the watcher.
    settings.ping_every = TICK;
    let (said, hears) = mpsc::sync_channel(WAITING_MAX);
    let bridge = Arc::new(Bridge::start(settings, move |_, from| said.send(from).is_ok())?);
    let essential = Essential { name: "the thread that follows a chain", inputs };
    let ours = Arc::clone(&bridge);
    let run = move || {
        let mut due = Instant::now();
        loop {
            let from = next(&hears, &mut due);
            let now = Clock { wall: wall(), monotonic_ms: clock.ms() };
            for output in chain.step(now, from) {
                match output {
                    Output::Send(to) => ours.tell(to),
                    Output::Fact(fact) => {
                        if essential.inputs.send(Input::Chain(chain.network(), fact)).is_err() {
                            return;
                        }
                    }
                }
            }
        }
    };
    thread::Builder::new().name("chain".to_owned()).spawn(run)?;
    Ok(bridge)
}

/// What the node said, or that time has passed; both in turn, however much the node says.
fn next(hears: &Receiver<FromNode>, due: &mut Instant) -> FromNode {
    let now = Instant::now();
    match hears.recv_timeout(due.saturating_duration_since(now)) {
        Ok(from) if now < *due => from,
        Ok(from) => {
            *due = now.checked_add(TICK).unwrap_or(now);
            from
        }
        // The connection's thread ends only when nobody hears it any more.
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            let now = Instant::now();
            *due = now.checked_add(TICK).unwrap_or(now);
            FromNode::Tick
        }
    }
}

/// Calls a node on a thread of its own: hands it transactions and asks for estimates. `default` is told until the node
/// has an estimate, and whenever it has none.
///
/// # Errors
/// No thread could be started.
pub(super) fn call(
    network: Network,
    rpc: Rpc,
    default: Option<Amount>,
    figures: Arc<Figures>,
    inputs: SyncSender<Input>,
) -> io::Result<SyncSender<Tx>> {
    let (calls, queue) = mpsc::sync_channel::<Tx>(CALLS_MAX);
    let run = move || {
        let mut asked: Option<Instant> = None;
        loop {
            if asked.is_none_or(|asked| asked.elapsed() >= ESTIMATE_EVERY) {
                asked = Some(Instant::now());
                let rate = estimate(network, &rpc).or(default);
                let told = rate.is_none_or(|rate| inputs.send(Input::FeeRate(network, rate)).is_ok());
                if !told {
                    return;
                }
            }
            match queue.recv_timeout(ESTIMATE_EVERY) {
                Ok(tx) => send(network, &rpc, &tx, &figures),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    thread::Builder::new().name("node-calls".to_owned()).spawn(run)?;
    Ok(calls)
}

fn estimate(network: Network, rpc: &Rpc) -> Option<Amount> {
    match rpc.estimate_fee(CONFIRM_WITHIN_BLOCKS) {
        Ok(FeeEstimate::Rate { sat_per_kvb }) => Some(Amount::from(sat_per_kvb)),
        Ok(FeeEstimate::Unknown) => None,
        Err(problem) => {
            tracing::warn!(%network, %problem, "no-fee-estimate");
            None
        }
    }
}

fn send(network: Network, rpc: &Rpc, tx: &Tx, figures: &Figures) {
    match rpc.send(tx) {
        Ok(sent) => tracing::debug!(%network, txid = %tx.txid(), ?sent, "sent"),
        Err(problem) => {
            figures.add(Figure::BroadcastsRefused, &network.to_string(), 1);
            tracing::warn!(%network, txid = %tx.txid(), %problem, "broadcast-refused");
        }
    }
}
