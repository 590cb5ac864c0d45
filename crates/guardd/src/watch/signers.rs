//! One signer to be tripped: a connection that is kept, and each trip sent again until the signer has said that it
//! stopped. A trip that arrives twice changes nothing.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender},
    thread,
    time::Duration,
};

use kuraban_base::cbor::CborError;
use kuraban_link::{Connection, Identity, LinkError, connect};
use kuraban_vault::{
    breaker::Trip,
    statement::{Signed, Statement as _},
    wire::{Request, Response},
};

use super::driver::Input;
use crate::{clock, config::Peer, log};

/// Trips that wait for a signer; what is more is sent when it is back.
pub(super) const TRIPS_MAX: usize = 256;
/// How long a signer may take to answer, its durable write included.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often a signer is asked whether it is there, so that a lost connection is not found out by a trip.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pause before the first new attempt; it doubles with each that fails.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// The longest pause.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);
/// Deliveries that are remembered, so that each is told once.
const TOLD_MAX: usize = 4_096;

/// Why a connection to a signer ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the signer sent what is no response")]
    Malformed(#[source] CborError),
    #[error("the signer refused: {code}: {detail}")]
    Refused { code: String, detail: String },
    #[error("the signer answered with something else than was asked")]
    Other,
    #[error("this process is ending")]
    Over,
}

/// Keeps a connection to the signer and delivers trips over it until the process ends.
pub(super) fn follow(
    signer: &Peer,
    identity: &Identity,
    trips: &Receiver<Signed<Trip>>,
    inputs: &SyncSender<Input>,
) {
    let (name, address, _) = signer;
    let mut pause = RETRY_AFTER;
    let mut problem = String::new();
    let mut delivered = Delivered::default();
    loop {
        let mut stood = false;
        let Err(ended) = serve(signer, identity, (trips, inputs), (&mut stood, &mut delivered));
        if matches!(ended, Ended::Over) {
            return;
        }
        if stood {
            problem.clear();
            pause = RETRY_AFTER;
        }
        // The same trouble again and again is told once.
        let told = log::told(&ended);
        if told != problem {
            tracing::warn!(signer = %name, %address, problem = told, "signer-gone");
            problem = told;
        }
        thread::sleep(pause);
        pause = pause.saturating_mul(2).min(RETRY_AFTER_MAX);
    }
}

fn serve(
    (name, address, tls): &Peer,
    identity: &Identity,
    (trips, inputs): (&Receiver<Signed<Trip>>, &SyncSender<Input>),
    (stood, delivered): (&mut bool, &mut Delivered),
) -> Result<Infallible, Ended> {
    let mut link = connect(*address, identity, tls, ANSWER_WITHIN)?;
    // Whatever waits from before is among what the watcher now sends again.
    while trips.try_recv().is_ok() {}
    inputs.send(Input::Signer(name.clone())).map_err(|_| Ended::Over)?;
    ask(&mut link, &Request::Status)?;
    *stood = true;
    tracing::info!(signer = %name, %address, "signer-connected");
    loop {
        match trips.recv_timeout(LOOK_EVERY) {
            Ok(trip) => {
                tripped(ask(&mut link, &Request::Trip(trip.clone()))?)?;
                delivered.tell(name, &trip);
            }
            Err(RecvTimeoutError::Timeout) => drop(ask(&mut link, &Request::Status)?),
            Err(RecvTimeoutError::Disconnected) => return Err(Ended::Over),
        }
    }
}

fn ask(link: &mut Connection, request: &Request) -> Result<Response, Ended> {
    link.send(&request.encode())?;
    Response::decode(&link.recv()?).map_err(Ended::Malformed)
}

fn tripped(response: Response) -> Result<(), Ended> {
    match response {
        Response::Tripped => Ok(()),
        Response::Refused(refused) => Err(Ended::Refused { code: refused.code, detail: refused.detail }),
        Response::Status { .. }
        | Response::Cosigned { .. }
        | Response::Behind { .. }
        | Response::Lease(_)
        | Response::Receipts(_)
        | Response::Signatures(_)
        | Response::Permit(_)
        | Response::Alarm(..) => Err(Ended::Other),
    }
}

/// Trips that this signer has taken since the start, by their bytes.
#[derive(Default)]
struct Delivered(BTreeSet<Vec<u8>>);

impl Delivered {
    fn tell(&mut self, signer: &kuraban_base::MachineId, trip: &Signed<Trip>) {
        let claim = trip.claim_unverified();
        if self.0.len() >= TOLD_MAX {
            self.0.clear();
        }
        if self.0.insert(claim.to_value().encode()) {
            let (rule, delivered_us, tripped_ms) = (claim.rule.as_str(), clock::wall_us(), claim.at.ms());
            tracing::warn!(%signer, rule, delivered_us, tripped_ms, "trip-delivered");
        }
    }
}
