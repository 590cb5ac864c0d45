//! The writer's links to signers and watchers: one thread each, one request at a time, reconnecting by itself.
//!
//! Carries requests and brings back answers. Decides only when a link is of no use.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

use kuraban_base::MachineId;
use kuraban_link::{Connection, Identity, LinkError, connect};
use kuraban_vault::{
    coordinator::Event,
    wire::{ENTRIES_MAX, Request, Response},
};

use super::{
    desk::Input,
    store::{Store, StoreError},
};
use crate::log::told;

/// How long connecting may take, and an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often an idle link is tried, so that a peer that went away is noticed.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// Pause before the first new attempt; it doubles with each one that fails.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// The longest pause.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// Most bytes of entries in one request, well under what a frame holds.
const ENTRIES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a subscription may be quiet before it is made anew.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// Something to ask of a peer.
#[derive(Debug)]
pub(super) enum Job {
    /// This.
    Ask(Box<Request>),
    /// To take more of the log.
    Entries {
        /// From which entry.
        from: u64,
        /// Up to which size.
        until: u64,
    },
}

/// A machine that the writer calls.
#[derive(Clone, Debug)]
pub(super) struct Callee {
    /// Its name.
    pub(super) id: MachineId,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// The key that it must show.
    pub(super) key: [u8; 32],
}

/// Why a link was given up.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the link failed")]
    Link(#[from] LinkError),
    #[error("the answer does not decode")]
    Answer(#[from] kuraban_base::cbor::CborError),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("{by} refuses to follow the log: {code}: {detail}")]
    Refused { by: MachineId, code: String, detail: String },
    /// The core is gone: this process ends.
    #[error("the writer ends")]
    Ended,
}

/// Keeps one link up for as long as the process lives.
///
/// # Errors
/// No thread could be started.
pub(super) fn call(
    callee: Callee,
    identity: Arc<Identity>,
    store: Store,
    inputs: SyncSender<Input>,
) -> std::io::Result<()> {
    let keep_up = move || {
        keep_up(&callee, &identity, |connection| {
            let (jobs, queue) = mpsc::sync_channel(1);
            let joined = Input::Joined(callee.id.clone(), jobs);
            inputs.send(joined).map_err(|_| Broken::Ended)?;
            let broken = serve(&callee, connection, &queue, &store, &inputs);
            inputs.send(Input::Lost(callee.id.clone())).map_err(|_| Broken::Ended)?;
            broken
        });
    };
    thread::Builder::new().name("peer".to_owned()).spawn(keep_up).map(drop)
}

/// Follows a watcher's alarms for as long as the process lives. Alarms that the log has already do no harm.
///
/// # Errors
/// No thread could be started.
pub(super) fn subscribe(
    callee: Callee,
    identity: Arc<Identity>,
    inputs: SyncSender<Input>,
) -> std::io::Result<()> {
    // How many alarms this process has, so that a link made anew brings only what is missing.
    let mut count = 0_u64;
    let follow = move || {
        keep_up(&callee, &identity, |connection| {
            let broken = alarms(connection, &mut count, &inputs);
            if !matches!(broken, Err(Broken::Link(LinkError::Timeout { .. }))) {
                // The watcher may have lost what it had; from the beginning nothing is missed.
                count = 0;
            }
            broken
        });
    };
    thread::Builder::new().name("alarms".to_owned()).spawn(follow).map(drop)
}

/// Connects, has the link used until it breaks, and again after a pause.
fn keep_up(callee: &Callee, identity: &Identity, mut used: impl FnMut(Connection) -> Result<(), Broken>) {
    let mut pause = RETRY_AFTER;
    loop {
        let begun = std::time::Instant::now();
        let connected = connect(callee.address, identity, &callee.key, ANSWER_WITHIN);
        let connected = connected.map_err(Broken::from).and_then(|connection| {
            tracing::info!(peer = %callee.id, "peer-connected");
            used(connection)
        });
        match connected {
            Err(Broken::Ended) => return,
            Err(problem) => {
                tracing::warn!(peer = %callee.id, problem = told(&problem), "peer-gone");
            }
            Ok(()) => {}
        }
        // A link that stood for a while was good; one that breaks at once is not to be hammered.
        pause = if begun.elapsed() > RETRY_AFTER_MAX { RETRY_AFTER } else { pause };
        thread::sleep(pause);
        pause = pause.saturating_mul(2).min(RETRY_AFTER_MAX);
    }
}

fn serve(
    callee: &Callee,
    mut connection: Connection,
    queue: &Receiver<Job>,
    store: &Store,
    inputs: &SyncSender<Input>,
) -> Result<(), Broken> {
    connection.set_timeout(Some(ANSWER_WITHIN));
    loop {
        let (request, extends) = match queue.recv_timeout(IDLE_MAX) {
            Ok(Job::Ask(request)) => (*request, false),
            Ok(Job::Entries { from, until }) => {
                let (entries, checkpoint) = store.extension(from, until, ENTRIES_MAX, ENTRIES_BYTES_MAX)?;
                (Request::Extend { from, entries, checkpoint, newest: until }, true)
            }
            Err(RecvTimeoutError::Timeout) => {
                ask(&mut connection, &Request::Status)?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return Err(Broken::Ended),
        };
        let answer = ask(&mut connection, &request)?;
        let refused = match &answer {
            Response::Refused(refused) => Some(refused.clone()),
            Response::Status { .. }
            | Response::Cosigned { .. }
            | Response::Behind { .. }
            | Response::Lease(_)
            | Response::Receipts(_)
            | Response::Signatures(_)
            | Response::Tripped
            | Response::Permit(_)
            | Response::Alarm(..) => None,
        };
        let event = Event::Answer(callee.id.clone(), Box::new(answer));
        inputs.send(Input::Event(event)).map_err(|_| Broken::Ended)?;
        // Whoever refuses the log is asked again on a new link, after a pause: nothing else would change its mind.
        if let Some(refused) = refused.filter(|_| extends) {
            let (code, detail) = (refused.code, refused.detail);
            return Err(Broken::Refused { by: callee.id.clone(), code, detail });
        }
    }
}

fn ask(connection: &mut Connection, request: &Request) -> Result<Response, Broken> {
    connection.send(&request.encode())?;
    Ok(Response::decode(&connection.recv()?)?)
}

fn alarms(mut connection: Connection, count: &mut u64, inputs: &SyncSender<Input>) -> Result<(), Broken> {
    connection.set_timeout(Some(QUIET_MAX));
    connection.send(&Request::Alarms { from: *count }.encode())?;
    loop {
        let answer = Response::decode(&connection.recv()?)?;
        let Response::Alarm(alarm, trip) = answer else {
            tracing::warn!(?answer, "no-alarm");
            return Ok(());
        };
        *count = count.saturating_add(1);
        inputs.send(Input::Event(Event::Alarm(alarm, trip))).map_err(|_| Broken::Ended)?;
    }
}
