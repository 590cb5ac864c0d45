//! Between a node's connection and the state machine that follows its chain: the same words in both directions.
//!
//! Decides nothing. The state machine says when a connection is of no use, and it is ended here.

use std::{io, time::Instant};

use kuraban_base::Height;
use kuraban_chain::btc::{BlockHash, Tx};
use kuraban_watch::chain::{FromNode, ToNode, TxRef};

use kuraban_node::p2p::{Arrived, Client, Event, Request, Settings};

/// A node as a follower of its chain speaks to it.
#[derive(Debug)]
pub struct Bridge {
    client: Client,
}

impl Bridge {
    /// Connects and stays connected. `deliver` gets all that the node says, in order, with the time of its arrival; it
    /// may block, which leaves the node waiting, and ends the connection for good by answering `false`.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(
        settings: Settings,
        mut deliver: impl FnMut(Instant, FromNode) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let network = settings.network;
        let client = Client::start_with(settings, move |Arrived { at, event }| {
            tell_apart(&event, network);
            from_node(event).is_none_or(|from| deliver(at, from))
        })?;
        Ok(Self { client })
    }

    /// Passes on what the follower of the chain has to say. What cannot be passed on is lost: the follower asks again
    /// when a connection stands.
    pub fn tell(&self, to: ToNode) {
        let request = match to {
            ToNode::GetHeaders(have) => Request::Headers { have, stop: BlockHash::from_bytes([0; 32]) },
            ToNode::GetBlocks(blocks) => Request::Blocks(blocks),
            ToNode::GetTxs(refs) => Request::Txs(refs.iter().filter_map(txid).collect()),
            ToNode::AskMempool => Request::Mempool,
            ToNode::Close(lie) => {
                tracing::warn!(%lie, "node-hung-up");
                return self.client.hang_up();
            }
        };
        self.pass_on(request);
    }

    /// Hands a transaction to the node and everyone; says whether it was passed on.
    pub fn broadcast(&self, tx: Tx) -> bool {
        self.pass_on(Request::Broadcast(Box::new(tx)))
    }

    fn pass_on(&self, request: Request) -> bool {
        let told = self.client.tell(request);
        told.inspect_err(|problem| tracing::debug!(%problem, "node-not-told")).is_ok()
    }
}

/// Announcements come by transaction id, because the connection does not ask for others.
const fn txid(tx: &TxRef) -> Option<kuraban_base::Txid> {
    match tx {
        TxRef::Txid(txid) => Some(*txid),
        TxRef::Wtxid(_) => None,
    }
}

/// What concerns the operator.
fn tell_apart(event: &Event, network: kuraban_chain::btc::Network) {
    match event {
        Event::Ready(ready) => {
            tracing::info!(%network, peer = %ready.peer, software = ready.user_agent, "node-connected");
        }
        Event::Closed(closed) => {
            tracing::warn!(%network, problem = crate::log::told(closed), "node-gone");
        }
        Event::Rejected(reject) => tracing::warn!(%network, ?reject, "node-refused"),
        Event::Unreadable { command, error } => {
            tracing::warn!(%network, %command, %error, "node-unreadable");
        }
        Event::Headers(_)
        | Event::Block(_)
        | Event::Tx(_)
        | Event::InvTx(_)
        | Event::InvBlock(_)
        | Event::NotFound { .. }
        | Event::Alive { .. } => {}
    }
}

fn from_node(event: Event) -> Option<FromNode> {
    let refs = |txs: Vec<kuraban_base::Txid>| txs.into_iter().map(TxRef::Txid).collect();
    Some(match event {
        Event::Ready(ready) => {
            // A node that says less than zero has nothing.
            let height = u32::try_from(ready.start_height).unwrap_or(0);
            FromNode::Ready { height: Height::new(height) }
        }
        Event::Headers(headers) => FromNode::Headers(headers),
        Event::Block(block) => FromNode::Block(block),
        Event::Tx(tx) => FromNode::Tx(tx),
        Event::InvTx(txs) => FromNode::Inv { blocks: Vec::new(), txs: refs(txs) },
        Event::InvBlock(blocks) => FromNode::Inv { blocks, txs: Vec::new() },
        Event::NotFound { txs, blocks } => FromNode::NotFound { blocks, txs: refs(txs) },
        Event::Closed(_) => FromNode::Closed,
        Event::Alive { .. } | Event::Rejected(_) | Event::Unreadable { .. } => return None,
    })
}
