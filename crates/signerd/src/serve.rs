//! The listening socket: one thread per connection, which reads a request, hands it to the signer's thread, and sends
//! the answer. Decides nothing but who is who, by the key in the handshake.

use std::{
    net::SocketAddr,
    process,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use kuraban_base::MachineId;
use kuraban_link::{Connection, Identity, Limits, LinkError, Listener};
use kuraban_vault::{
    Role,
    wire::{Refused, Request, Response},
};

use crate::{
    drive::{Job, Peers},
    log::{self, Level},
    told,
};

/// A handful of peers connect, so a handful of connections is plenty; one more ends the peer's oldest.
const LIMITS: Limits =
    Limits { handshakes_max: 32, per_peer_max: 4, handshake_time_max: Duration::from_secs(5) };
/// Requests that wait for the signer's thread. Each connection has at most one.
const QUEUE_MAX: usize = 64;

/// Starts to listen. Requests come out of the receiver.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) fn serve(
    listen: SocketAddr,
    identity: &Identity,
    peers: Peers,
) -> Result<Receiver<Job>, LinkError> {
    let listener = Listener::bind(listen, identity, peers.keys().copied().collect(), LIMITS)?;
    let (queue, jobs) = sync_channel(QUEUE_MAX);
    log::line(Level::Info, "listening", &[("addr", &listener.addr())]);
    spawn("accept", move || accept_all(&listener, &Arc::new(peers), &queue))?;
    Ok(jobs)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LinkError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|source| LinkError::Io { what: "start a thread", source })
}

fn accept_all(listener: &Listener, peers: &Arc<Peers>, queue: &SyncSender<Job>) {
    loop {
        let (peers, queue) = (Arc::clone(peers), queue.clone());
        let begun = listener.accept().and_then(|(connection, key)| {
            spawn("connection", move || {
                if let Some((machine, role)) = peers.get(&key) {
                    converse(connection, machine, *role, &queue);
                }
            })
        });
        if let Err(problem) = begun {
            if matches!(problem, LinkError::Stopped) {
                // Deaf for good: better gone, so that whoever watches the process starts it again.
                log::line(Level::Error, "stopped", &[("problem", &problem)]);
                process::exit(3);
            }
            log::peer_line(Level::Warn, "not-connected", &[("problem", &told(&problem))]);
        }
    }
}

/// Questions and answers, one after the other, until the connection ends.
fn converse(mut connection: Connection, machine: &MachineId, role: Role, queue: &SyncSender<Job>) {
    let addr = connection.addr();
    log::peer_line(Level::Info, "connected", &[("machine", machine), ("addr", &addr)]);
    let problem = loop {
        let answer = match connection.recv() {
            Ok(frame) => answer(&frame, machine, role, queue),
            Err(problem) => break told(&problem),
        };
        let Some(answer) = answer else { break "the signer is stopping".to_owned() };
        match connection.send(&answer.encode()) {
            Ok(()) => {}
            Err(problem @ LinkError::TooLong { .. }) => {
                let refused = refuse("answer-too-long", format!("{problem}; ask for fewer payouts at once"));
                if let Err(problem) = connection.send(&refused.encode()) {
                    break told(&problem);
                }
            }
            Err(problem) => break told(&problem),
        }
    };
    log::peer_line(
        Level::Info,
        "disconnected",
        &[("machine", machine), ("addr", &addr), ("problem", &problem)],
    );
}

/// The signer's answer; nothing if its thread is gone.
fn answer(frame: &[u8], machine: &MachineId, role: Role, queue: &SyncSender<Job>) -> Option<Response> {
    let request = match Request::decode(frame) {
        Ok(request) => request,
        Err(problem) => {
            log::peer_line(Level::Warn, "malformed", &[("machine", machine), ("problem", &problem)]);
            return Some(refuse("request-malformed", problem.to_string()));
        }
    };
    let (answer, answered) = sync_channel(1);
    queue.send(Job { machine: machine.clone(), role, request, answer }).ok()?;
    answered.recv().ok()
}

fn refuse(code: &str, detail: String) -> Response {
    Response::Refused(Refused { code: code.to_owned(), detail })
}
