//! Writers and gates that connect: a thread for each, which reads what it asks and sends what it is answered.
//!
//! Decides who may connect (writers and gates of the roster) and in which role they ask; what they are answered is the
//! watcher's.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

use kuraban_base::{MachineId, cbor::CborError};
use kuraban_link::{Connection as Link, LinkError, Listener};
use kuraban_vault::{
    Role, Roster,
    breaker::{Cell, Stage},
    wire::{Request, Response},
};
use kuraban_watch::Connection;

use super::driver::Input;
use crate::{clock, log};

/// Answers that wait to be sent: all alarms of a watcher at once, and some.
const ANSWERS_MAX: usize = 4_096 + 256;
/// How long a peer may take to take an answer.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// How often a stream on which nothing is sent is looked at, whether the peer is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long that look takes.
const LOOK: Duration = Duration::from_millis(1);
/// How long accepting rests after somebody was turned away.
const REST: Duration = Duration::from_millis(10);

/// Machines by the key that they show.
pub(super) type Peers = BTreeMap<[u8; 32], (MachineId, Role)>;

/// Who may connect.
pub(super) fn allowed(roster: &Roster) -> Peers {
    let peers = [Role::Writer, Role::Gate].into_iter().flat_map(|role| {
        roster.machines(role).map(move |(machine, entry)| (entry.tls, (machine.clone(), role)))
    });
    peers.collect()
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("it sent what is no request")]
    Malformed(#[source] CborError),
    #[error("it sent something on a stream")]
    Spoke,
    #[error("it does not take what it is sent")]
    Parted,
}

/// Takes connections for ever.
pub(super) fn accept(listener: &Listener, peers: &Arc<Peers>, inputs: &SyncSender<Input>) {
    for number in (0..).map(Connection) {
        let link = loop {
            match listener.accept() {
                Ok((link, key)) => break peers.get(&key).map(|peer| (link, peer.clone())),
                Err(problem) => {
                    let problem = log::told(&problem);
                    tracing::warn!(problem, "connection-refused");
                    thread::sleep(REST);
                }
            }
        };
        let Some((link, (machine, role))) = link else { continue };
        let peer = Peer { machine, role, number, inputs: inputs.clone() };
        let name = format!("of-{}", peer.machine);
        if let Err(problem) = thread::Builder::new().name(name).spawn(move || peer.serve(link)) {
            tracing::error!(%problem, "connection-refused");
        }
    }
}

/// One connection.
struct Peer {
    machine: MachineId,
    role: Role,
    number: Connection,
    inputs: SyncSender<Input>,
}

impl Peer {
    fn serve(self, mut link: Link) {
        let (machine, role) = (&self.machine, self.role);
        tracing::info!(%machine, %role, connection = self.number.0, address = %link.addr(), "peer-connected");
        let (answers, waiting) = mpsc::sync_channel(ANSWERS_MAX);
        let Err(ended) = self
            .pass_on(Input::Joined(self.number, answers))
            .and_then(|()| self.converse(&mut link, &waiting));
        let problem = log::told(&ended);
        tracing::info!(%machine, %role, connection = self.number.0, problem, "peer-gone");
        // If nobody takes it, the process is ending.
        drop(self.pass_on(Input::Gone(self.number)));
    }

    fn pass_on(&self, input: Input) -> Result<(), Ended> {
        self.inputs.send(input).map_err(|_| Ended::Parted)
    }

    /// One request, one answer; until a stream is asked for, on which only answers go.
    fn converse(&self, link: &mut Link, waiting: &Receiver<Box<Response>>) -> Result<Infallible, Ended> {
        loop {
            link.set_timeout(None);
            let request = Request::decode(&link.recv()?).map_err(Ended::Malformed)?;
            link.set_timeout(Some(TAKEN_WITHIN));
            let streams = matches!(request, Request::Permits { .. } | Request::Alarms { .. });
            self.pass_on(Input::Asked(self.number, self.role, Box::new(request)))?;
            if streams {
                return self.stream(link, waiting);
            }
            let response = waiting.recv().map_err(|_| Ended::Parted)?;
            link.send(&response.encode())?;
        }
    }

    fn stream(&self, link: &mut Link, waiting: &Receiver<Box<Response>>) -> Result<Infallible, Ended> {
        let mut last = None;
        loop {
            match waiting.recv_timeout(LOOK_EVERY) {
                Ok(response) => {
                    link.send(&response.encode())?;
                    self.tell(&response, &mut last);
                }
                Err(RecvTimeoutError::Timeout) => {
                    link.set_timeout(Some(LOOK));
                    match link.recv() {
                        Ok(_) => return Err(Ended::Spoke),
                        Err(LinkError::Timeout { .. }) => link.set_timeout(Some(TAKEN_WITHIN)),
                        Err(problem) => return Err(problem.into()),
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Ended::Parted),
            }
        }
    }

    /// A permit that says something else than the one before it, after it was sent.
    fn tell(&self, response: &Response, last: &mut Option<Vec<(Stage, Vec<Cell>)>>) {
        let Response::Permit(permit) = response else { return };
        let claim = permit.claim_unverified();
        if last.as_ref() == Some(&claim.tightened) {
            return;
        }
        let (gate, seq, sent_us) = (&self.machine, claim.seq, clock::wall_us());
        if claim.tightened.is_empty() {
            tracing::info!(%gate, seq, sent_us, "permit-open");
        } else {
            let cells = log::cells(&claim.tightened);
            tracing::warn!(%gate, seq, sent_us, cells, "permit-closed");
        }
        *last = Some(claim.tightened.clone());
    }
}
