//! What reaches the core, and the side of it that the HTTP threads hold: they put questions on the desk and wait.
//!
//! Decides nothing. Where the desk is full, whoever asks is told to come again.

use std::sync::mpsc::{SyncSender, TrySendError};

use kuraban_base::{Amount, MachineId};
use kuraban_chain::btc::Network;
use kuraban_vault::coordinator::{Ask, Coordinator, Event, Reply};
use kuraban_watch::chain::Fact;
use tokio::sync::oneshot;

use super::peers::Job;

/// Most inputs that wait for the core.
pub(super) const INPUTS_MAX: usize = 1024;

/// A question about the core's state, which it answers itself.
pub(super) type Look = Box<dyn FnOnce(&Coordinator) + Send>;

/// What reaches the core.
pub(super) enum Input {
    /// For the coordinator, as it is.
    Event(Event),
    /// Somebody asks and waits.
    Ask(Ask, oneshot::Sender<Reply>),
    /// Somebody wants to see something.
    Look(Look),
    /// A link stands; jobs for it go there.
    Joined(MachineId, SyncSender<Job>),
    /// The link broke.
    Lost(MachineId),
    /// Something happened on a chain.
    Chain(Network, Fact),
    /// The node's estimate, in base units per 1,000 virtual bytes.
    FeeRate(Network, Amount),
    /// Time has passed.
    Tick,
    /// A part without which the writer must not go on has ended.
    Fatal(&'static str),
}

/// The desk had no room, or nobody sits behind it any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the writer has too much to do")]
pub(super) struct Busy;

/// Where questions are put.
#[derive(Clone, Debug)]
pub(super) struct Desk(SyncSender<Input>);

impl Desk {
    pub(super) const fn new(inputs: SyncSender<Input>) -> Self {
        Self(inputs)
    }

    /// Asks; the answer comes when what it says is on disk.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Reply, Busy> {
        let (reply, answer) = oneshot::channel();
        self.put(Input::Ask(ask, reply))?;
        answer.await.map_err(|_| Busy)
    }

    /// Looks at the core's state.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Coordinator) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (reply, answer) = oneshot::channel();
        let look = move |coordinator: &Coordinator| {
            // Whoever asked may have gone away.
            drop(reply.send(look(coordinator)));
        };
        self.put(Input::Look(Box::new(look)))?;
        answer.await.map_err(|_| Busy)
    }

    fn put(&self, input: Input) -> Result<(), Busy> {
        self.0.try_send(input).map_err(|refused| match refused {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
    }
}
