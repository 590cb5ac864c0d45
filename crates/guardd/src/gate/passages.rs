//! The permits of all watchers, for many readers at once: an answer takes no longer because a permit is being verified.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use kuraban_base::MachineId;
use kuraban_vault::{
    Roster,
    breaker::Cell,
    permit::{Gate, Passage, PermitError},
    receipt::{PERMIT_MS, Permit},
    signer::Clock,
    statement::Signed,
};

use crate::clock::{self, Monotonic};

/// When a watcher's last permit came; none yet.
const NEVER: u64 = u64::MAX;

/// How often each answer was given.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) open: AtomicU64,
    pub(super) stopped: AtomicU64,
    pub(super) silent: AtomicU64,
    pub(super) unknown: AtomicU64,
}

/// What may pass now.
#[derive(Debug)]
pub(super) struct Passages {
    roster: Roster,
    clock: Monotonic,
    /// Whoever takes up a permit; readers do not wait for this.
    next: Mutex<Gate>,
    now: RwLock<Arc<Gate>>,
    /// When the last permit of each watcher came, on the monotonic clock.
    came_ms: BTreeMap<MachineId, AtomicU64>,
    pub(super) counts: Counts,
}

impl Passages {
    /// Closed for everything.
    pub(super) fn new(roster: Roster, watchers: Vec<MachineId>) -> Self {
        Self {
            roster,
            clock: Monotonic::start(),
            next: Mutex::default(),
            now: RwLock::default(),
            came_ms: watchers.into_iter().map(|watcher| (watcher, AtomicU64::new(NEVER))).collect(),
            counts: Counts::default(),
        }
    }

    fn clock(&self) -> Clock {
        Clock { wall: clock::wall(), monotonic_ms: self.clock.ms() }
    }

    fn next(&self) -> MutexGuard<'_, Gate> {
        // What is taken up is taken up whole: a panic elsewhere leaves a good state.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, gate: &Gate) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(gate.clone());
    }

    /// A stream from this watcher begins, under a fresh random number.
    pub(super) fn joined(&self, watcher: &MachineId, stream: [u8; 32]) {
        let mut gate = self.next();
        gate.joined(watcher.clone(), stream);
        self.publish(&gate);
    }

    /// Takes up a permit.
    pub(super) fn take(&self, watcher: &MachineId, permit: Signed<Permit>) -> Result<(), PermitError> {
        let clock = self.clock();
        let mut gate = self.next();
        gate.take(&self.roster, clock, permit)?;
        self.publish(&gate);
        if let Some(came_ms) = self.came_ms.get(watcher) {
            came_ms.store(clock.monotonic_ms, Ordering::Relaxed);
        }
        Ok(())
    }

    /// May this service run for this asset now?
    pub(super) fn passage(&self, cell: Cell) -> Passage {
        let gate = Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner));
        gate.passage(self.clock(), cell)
    }

    /// Each watcher with the age of its last permit in milliseconds, if there was one.
    pub(super) fn ages_ms(&self) -> impl Iterator<Item = (&MachineId, Option<u64>)> {
        let now = self.clock.ms();
        self.came_ms.iter().map(move |(watcher, came_ms)| {
            let came_ms = Some(came_ms.load(Ordering::Relaxed)).filter(|came_ms| *came_ms != NEVER);
            (watcher, came_ms.map(|came_ms| now.saturating_sub(came_ms)))
        })
    }

    /// Watchers whose last permit may still live.
    pub(super) fn live(&self) -> usize {
        self.ages_ms().filter(|(_, age_ms)| age_ms.is_some_and(|age_ms| age_ms < PERMIT_MS)).count()
    }
}
