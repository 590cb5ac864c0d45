//! Permits: one stream per gate, signed every half second and at every change.
//!
//! Decides when a permit is due; what it says is the caller's. A gate that hears nothing for two seconds closes.

use std::collections::BTreeMap;

use kuraban_base::MachineId;
use kuraban_vault::{
    breaker::{Cell, Stage},
    receipt::Permit,
    signer::Clock,
    statement::{Signed, StatementSecret},
};

use crate::watcher::Connection;

/// How often a permit is sent at least, in milliseconds: a quarter of its life.
pub const PERMIT_EVERY_MS: u64 = 500;
/// Most gates.
pub const STREAMS_MAX: usize = 256;

/// What a permit says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Terms {
    /// The breaker's epoch in the log.
    pub(crate) epoch: u64,
    /// Cells that are not open.
    pub(crate) tightened: BTreeMap<Cell, Stage>,
}

impl Terms {
    fn by_stage(&self) -> Vec<(Stage, Vec<Cell>)> {
        let mut stages: BTreeMap<Stage, Vec<Cell>> = BTreeMap::new();
        for (cell, stage) in &self.tightened {
            stages.entry(*stage).or_default().push(*cell);
        }
        stages.into_iter().collect()
    }
}

#[derive(Clone, Debug)]
struct Stream {
    nonce: [u8; 32],
    seq: u64,
}

/// The streams that are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Permits {
    streams: BTreeMap<Connection, Stream>,
    said: Option<(u64, Terms)>,
}

impl Permits {
    /// Opens a stream; its first permit is due at once. Refused where there are too many.
    pub(crate) fn open(&mut self, to: Connection, nonce: [u8; 32]) -> bool {
        if self.streams.len() >= STREAMS_MAX && !self.streams.contains_key(&to) {
            return false;
        }
        self.streams.insert(to, Stream { nonce, seq: 0 });
        self.said = None;
        true
    }

    /// Ends a stream.
    pub(crate) fn end(&mut self, to: Connection) {
        self.streams.remove(&to);
    }

    /// Permits for all streams, if they are due.
    pub(crate) fn due(
        &mut self,
        clock: Clock,
        terms: &Terms,
        me: &MachineId,
        secret: &StatementSecret,
    ) -> Vec<(Connection, Signed<Permit>)> {
        let fresh = |(at, said): &(u64, Terms)| {
            clock.monotonic_ms.saturating_sub(*at) < PERMIT_EVERY_MS && said == terms
        };
        if self.said.as_ref().is_some_and(fresh) {
            return Vec::new();
        }
        self.said = Some((clock.monotonic_ms, terms.clone()));
        let tightened = terms.by_stage();
        let permit = |(to, stream): (&Connection, &mut Stream)| {
            stream.seq = stream.seq.saturating_add(1);
            let permit = Permit {
                by: me.clone(),
                stream: stream.nonce,
                seq: stream.seq,
                epoch: terms.epoch,
                tightened: tightened.clone(),
                at: clock.wall,
            };
            (*to, Signed::sign(permit, secret))
        };
        self.streams.iter_mut().map(permit).collect()
    }
}
