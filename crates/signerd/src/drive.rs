//! The one thread that owns signer and store. Decides nothing: it gives the signer clocks and random bytes, writes what
//! the signer wants kept, and only then lets the answers go.

use core::{convert::Infallible, fmt::Display};
use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError},
    },
    time,
};

use kuraban_base::{Instant, MachineId, PayoutId};
use kuraban_vault::{
    Charter, Role,
    signer::{Change, Clock, RestoreError, Secrets, Signer},
    wire::{Refused, Request, Response},
};

use crate::{
    log::{self, Level},
    secret,
    store::{Store, StoreError},
};

/// Most requests whose changes go to disk together.
const BATCH_MAX: usize = 64;

/// A request that waits for its answer.
pub(crate) struct Job {
    /// Who asks.
    pub(crate) machine: MachineId,
    /// As what.
    pub(crate) role: Role,
    /// What is asked.
    pub(crate) request: Request,
    /// Where the answer goes; it has room for one.
    pub(crate) answer: SyncSender<Response>,
}

/// Why the signer stops. It never goes on past any of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored does not hold together.
    #[error("the signer cannot take up where it left off")]
    Restore(#[from] RestoreError),
    /// The system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// The system's time is before 1970 or beyond all bounds.
    #[error("the system's clock is out of its mind")]
    Clock,
    /// Nobody can ask any more.
    #[error("the listening thread has ended")]
    Deaf(#[source] io::Error),
}

/// The signer as it was when its last answer left.
///
/// # Errors
/// The store is damaged.
pub(crate) fn restore(
    machine: MachineId,
    charter: Arc<Charter>,
    secrets: Secrets,
    store: &Store,
) -> Result<Signer, DriveError> {
    let mut signer = Signer::new(machine.clone(), charter, secrets);
    store.replay(|change| signer.restore(change).map_err(DriveError::from))?;
    let fold = signer.follower().fold();
    let fields: [(&str, &dyn Display); 4] = [
        ("machine", &machine),
        ("log_size", &fold.size()),
        ("receipts", &signer.seq()),
        ("epoch", &fold.breaker().epoch()),
    ];
    log::line(Level::Info, "restored", &fields);
    Ok(signer)
}

/// Answers requests for ever.
///
/// # Errors
/// The store, the clock or the random source failed: whatever had not been answered by then never is.
pub(crate) fn drive(
    mut signer: Signer,
    mut store: Store,
    jobs: &Receiver<Job>,
) -> Result<Infallible, DriveError> {
    let clocks = Clocks { start: time::Instant::now() };
    loop {
        let deaf = |_| DriveError::Deaf(io::ErrorKind::BrokenPipe.into());
        let mut next = Some(jobs.recv().map_err(deaf)?);
        let (mut changes, mut answers) = (Vec::new(), Vec::new());
        while let Some(Job { machine, role, request, answer }) = next {
            let fresh = secret::random().map_err(DriveError::Random)?;
            let asked = payouts(&request);
            let step = signer.step(clocks.now()?, role, *fresh, request);
            changes.extend(step.persist);
            answers.push((machine, asked, answer, step.answer));
            next = if answers.len() < BATCH_MAX { jobs.try_recv().ok() } else { None };
        }
        store.persist(&changes)?;
        tell(&changes);
        for (machine, asked, to, answer) in answers {
            tell_refusals(&machine, &asked, &answer);
            match to.try_send(answer) {
                // Who asked may have gone; it will ask again.
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
    }
}

/// The payouts that a request is about, in the order in which they are answered.
fn payouts(request: &Request) -> Vec<PayoutId> {
    match request {
        Request::Sign { items, .. } => items.iter().map(|item| item.payout.clone()).collect(),
        Request::Release { items, .. } => items.iter().map(|item| item.payout.clone()).collect(),
        Request::Status
        | Request::Extend { .. }
        | Request::Lease { .. }
        | Request::Trip(_)
        | Request::Permits { .. }
        | Request::Alarms { .. } => Vec::new(),
    }
}

/// Tells the operator what was refused and why.
fn tell_refusals(machine: &MachineId, asked: &[PayoutId], answer: &Response) {
    let payout = |id: &PayoutId, reasons: &[Refused]| {
        for Refused { code, detail } in reasons {
            let fields: [(&str, &dyn Display); 4] =
                [("machine", machine), ("payout", id), ("code", code), ("detail", detail)];
            log::peer_line(Level::Warn, "payout-refused", &fields);
        }
    };
    match answer {
        Response::Refused(Refused { code, detail }) => {
            let fields: [(&str, &dyn Display); 3] =
                [("machine", machine), ("code", code), ("detail", detail)];
            log::peer_line(Level::Warn, "refused", &fields);
        }
        Response::Receipts(answers) => {
            let refused = asked.iter().zip(answers).filter_map(|(id, one)| Some((id, one.as_ref().err()?)));
            refused.for_each(|(id, reasons)| payout(id, reasons));
        }
        Response::Signatures(answers) => {
            let refused = asked.iter().zip(answers).filter_map(|(id, one)| Some((id, one.as_ref().err()?)));
            refused.for_each(|(id, reasons)| payout(id, reasons));
        }
        Response::Status { .. }
        | Response::Cosigned { .. }
        | Response::Behind { .. }
        | Response::Lease(_)
        | Response::Tripped
        | Response::Permit(_)
        | Response::Alarm(..) => {}
    }
}

/// Tells the operator what was put on disk and cannot be taken back.
fn tell(changes: &[Change]) {
    for change in changes {
        match change {
            Change::Receipt(receipt, _) => {
                let fields: [(&str, &dyn Display); 4] = [
                    ("payout", &receipt.payout),
                    ("txid", &receipt.txid),
                    ("outflow", &receipt.outflow),
                    ("seq", &receipt.seq),
                ];
                log::line(Level::Info, "receipt", &fields);
            }
            Change::Trip(trip) => {
                let trip = trip.claim_unverified();
                log::line(
                    Level::Warn,
                    "tripped",
                    &[("by", &trip.by), ("stage", &trip.stage), ("rule", &trip.rule)],
                );
            }
            Change::Entries { .. } | Change::Cosigned(_) => {}
        }
    }
}

/// The machine's two clocks.
struct Clocks {
    start: time::Instant,
}

impl Clocks {
    fn now(&self) -> Result<Clock, DriveError> {
        let since =
            time::SystemTime::now().duration_since(time::UNIX_EPOCH).map_err(|_| DriveError::Clock)?;
        let ms =
            |duration: time::Duration| u64::try_from(duration.as_millis()).map_err(|_| DriveError::Clock);
        Ok(Clock { wall: Instant::from_ms(ms(since)?), monotonic_ms: ms(self.start.elapsed())? })
    }
}

/// Peers by their keys for links.
pub(crate) type Peers = BTreeMap<[u8; 32], (MachineId, Role)>;
