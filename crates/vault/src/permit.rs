//! Permits at the gate: may this service run now? Closed until a watcher says otherwise, and closed again as soon as the
//! watcher is silent for two seconds, by the gate's own monotonic clock and by the time of day that the permit bears.

use std::collections::BTreeMap;

use kuraban_base::MachineId;

use crate::{
    breaker::{Cell, Stage},
    receipt::{PERMIT_MS, Permit},
    roster::{Role, Roster},
    signer::Clock,
    statement::Signed,
};

/// How far the watcher's clock may be ahead of the gate's, in milliseconds.
const AHEAD_MS_MAX: u64 = 500;

/// What the gate answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// Let it through; the permit behind it has this number in its stream.
    Open {
        /// The permit's number.
        seq: u64,
    },
    /// The breaker is not open for it.
    Tightened(Stage),
    /// No live permit of any watcher.
    Silent,
}

/// A permit that the gate does not take.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PermitError {
    /// Not signed by a watcher of the roster.
    #[error("not by a watcher on the roster: {problem}")]
    Stranger {
        /// What is wrong.
        problem: String,
    },
    /// For another gate or an earlier connection.
    #[error("for another stream than this gate asked for")]
    OtherStream,
    /// Not after the one before it.
    #[error("number {found} after {last}")]
    Backwards {
        /// Its number.
        found: u64,
        /// The last one's.
        last: u64,
    },
    /// Signed too long ago, or in the future.
    #[error("signed at {at} ms, it is {now} ms")]
    Time {
        /// When it was signed.
        at: u64,
        /// The gate's time of day.
        now: u64,
    },
}

/// The latest permit of one watcher.
#[derive(Clone, Debug)]
struct Live {
    permit: Permit,
    came_ms: u64,
}

/// A gate's state: one stream per watcher.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    streams: BTreeMap<MachineId, [u8; 32]>,
    live: BTreeMap<MachineId, Live>,
}

impl Gate {
    /// A stream to a watcher begins, under a fresh random number. What an earlier stream brought stays good until it
    /// runs out.
    pub fn joined(&mut self, watcher: MachineId, stream: [u8; 32]) {
        self.streams.insert(watcher, stream);
    }

    /// Takes up a permit.
    ///
    /// # Errors
    /// Why it does not count; the gate's answers do not change then.
    pub fn take(&mut self, roster: &Roster, clock: Clock, permit: Signed<Permit>) -> Result<(), PermitError> {
        let by = permit.claim_unverified().by.clone();
        let stranger = |problem: String| PermitError::Stranger { problem };
        let key = roster.statement_key(&by, Role::Watcher);
        let key = key.ok_or_else(|| stranger(format!("{by} is no watcher")))?;
        let permit = permit.verify(key).map_err(|problem| stranger(problem.to_string()))?.into_claim();
        if self.streams.get(&by) != Some(&permit.stream) {
            return Err(PermitError::OtherStream);
        }
        if let Some(last) = self.live.get(&by).map(|live| &live.permit)
            && last.stream == permit.stream
            && permit.seq <= last.seq
        {
            return Err(PermitError::Backwards { found: permit.seq, last: last.seq });
        }
        let (at, now) = (permit.at.ms(), clock.wall.ms());
        if now.saturating_sub(at) >= PERMIT_MS || at.saturating_sub(now) > AHEAD_MS_MAX {
            return Err(PermitError::Time { at, now });
        }
        self.live.insert(by, Live { permit, came_ms: clock.monotonic_ms });
        Ok(())
    }

    /// May this service run for this asset now? One watcher that tightens outweighs any number that do not.
    #[must_use]
    pub fn passage(&self, clock: Clock, cell: Cell) -> Passage {
        let live = |live: &&Live| {
            let age_ms = clock.monotonic_ms.saturating_sub(live.came_ms);
            let (at, now) = (live.permit.at.ms(), clock.wall.ms());
            age_ms < PERMIT_MS && now.saturating_sub(at) < PERMIT_MS && at.saturating_sub(now) <= AHEAD_MS_MAX
        };
        let permits = self.live.values().filter(live).map(|live| &live.permit);
        match permits.map(|permit| (permit.stage(cell), permit.seq)).max() {
            None => Passage::Silent,
            Some((Stage::Open, seq)) => Passage::Open { seq },
            Some((stage @ (Stage::Delayed | Stage::ReduceOnly | Stage::Closed), _)) => {
                Passage::Tightened(stage)
            }
        }
    }
}
