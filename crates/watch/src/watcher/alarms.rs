//! This watcher's alarms and trips: each once for its rule and subject, and a trip stands until the log shows it and a
//! quorum's reset after it.

use std::collections::BTreeSet;

use kuraban_base::{Asset, Digest, MachineId};
use kuraban_proof::Entry;
use kuraban_vault::{
    body::{Alarm, Body, Evidence},
    breaker::{Cell, Service, Stage, Trip},
    follow,
    signer::Clock,
    statement::{Signed, StatementSecret},
    wire::LogEntry,
};

/// Most alarms without a trip, such as stalls, that one watcher raises. Those with a trip have no limit: a theft is never
/// one too many.
const ALARMS_MAX: usize = 4096;

/// An alarm with the trip that goes with it.
pub type Raised = (Signed<Alarm>, Option<Signed<Trip>>);

/// An alarm to be raised.
pub(super) struct Raise {
    pub(super) rule: &'static str,
    pub(super) subject: String,
    pub(super) asset: Asset,
    pub(super) detail: String,
    pub(super) evidence: Option<Evidence>,
    pub(super) trip: bool,
}

/// A trip, with the cells that no reset opened again.
#[derive(Debug)]
struct Standing {
    trip: Signed<Trip>,
    cells: BTreeSet<Cell>,
    logged: bool,
}

/// All alarms, in the order in which they were raised, and the trips that stand.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    list: Vec<Raised>,
    names: BTreeSet<(String, String)>,
    standing: Vec<Standing>,
}

/// The cells that an asset's alarms concern.
pub(super) const fn cells(asset: Asset) -> [Cell; 2] {
    [(Service::Withdrawal, asset), (Service::Deposit, asset)]
}

impl Alarms {
    /// Whether the rule fired on this subject before.
    pub(super) fn has(&self, rule: &str, subject: &str) -> bool {
        self.names.contains(&(rule.to_owned(), subject.to_owned()))
    }

    /// Alarms from a count on.
    pub(super) fn list(&self) -> &[Raised] {
        &self.list
    }

    /// Signs an alarm, and a trip with it where the rule says so; nothing if it was raised before.
    pub(super) fn raise(
        &mut self,
        clock: Clock,
        me: &MachineId,
        secret: &StatementSecret,
        raise: Raise,
    ) -> Option<Raised> {
        if self.has(raise.rule, &raise.subject) || (!raise.trip && self.list.len() >= ALARMS_MAX) {
            return None;
        }
        let alarm = Alarm {
            by: me.clone(),
            rule: raise.rule.to_owned(),
            subject: raise.subject,
            asset: raise.asset,
            detail: raise.detail,
            evidence: raise.evidence,
            at: clock.wall,
        };
        let alarm = Signed::sign(alarm, secret);
        let trip = raise.trip.then(|| {
            let trip = Trip {
                by: me.clone(),
                cells: cells(raise.asset).to_vec(),
                stage: Stage::Closed,
                rule: raise.rule.to_owned(),
                evidence: Digest::sha256(&[&Body::AlarmRaised(alarm.clone()).encode()]),
                at: clock.wall,
            };
            Signed::sign(trip, secret)
        });
        self.keep((alarm.clone(), trip.clone()));
        Some((alarm, trip))
    }

    /// Takes up an alarm that was raised, now or before a restart.
    pub(super) fn keep(&mut self, raised: Raised) {
        let claim = raised.0.claim_unverified();
        self.names.insert((claim.rule.clone(), claim.subject.clone()));
        if let Some(trip) = &raised.1 {
            let cells = trip.claim_unverified().cells.iter().copied().collect();
            self.standing.push(Standing { trip: trip.clone(), cells, logged: false });
        }
        self.list.push(raised);
    }

    /// The trips that stand, even if only for some of their cells.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Signed<Trip>> {
        self.standing.iter().map(|standing| &standing.trip)
    }

    /// A trip that stands and that the log does not show yet.
    pub(super) fn unlogged(&self) -> Option<&Trip> {
        self.standing
            .iter()
            .find(|standing| !standing.logged)
            .map(|standing| standing.trip.claim_unverified())
    }

    /// The cells that trips keep shut, with their stage.
    pub(super) fn tightened(&self) -> impl Iterator<Item = (Cell, Stage)> {
        let cells = |standing: &Standing| {
            let stage = standing.trip.claim_unverified().stage;
            standing.cells.clone().into_iter().map(move |cell| (cell, stage))
        };
        self.standing.iter().flat_map(cells)
    }

    /// Notes which trips the log shows, and which of their cells a later reset opens again. A trip that the log does
    /// not show yet stays: nobody who ordered the reset had seen it.
    pub(super) fn note(&mut self, entries: &[LogEntry]) {
        let concerns = |logged: &&LogEntry| {
            let kind = Entry::decode(&logged.entry).map(|entry| entry.kind);
            kind.is_ok_and(|kind| matches!(kind.as_str(), "breaker.tripped" | "breaker.reset"))
        };
        for (_, _, body) in entries.iter().filter(concerns).filter_map(|logged| follow::open(logged).ok()) {
            if let Body::BreakerTripped(trip) = &body {
                for own in self.standing.iter_mut().filter(|own| own.trip == *trip) {
                    own.logged = true;
                }
            }
            if let Body::BreakerReset { cells, .. } = &body {
                for own in self.standing.iter_mut().filter(|own| own.logged) {
                    own.cells.retain(|cell| !cells.contains(cell));
                }
            }
        }
        self.standing.retain(|own| !own.cells.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use kuraban_base::Instant;

    use super::*;

    #[test]
    fn the_cap_is_on_stalls_and_never_on_thefts() {
        let clock = Clock { wall: Instant::from_ms(0), monotonic_ms: 0 };
        let (me, secret) = ("watcher-1".parse().unwrap(), StatementSecret::from_seed(&[7; 32]));
        let mut alarms = Alarms::default();
        let mut raise = |number: usize, trip: bool| {
            let raise = Raise {
                rule: if trip { "theft" } else { "stall" },
                subject: number.to_string(),
                asset: Asset::Btc,
                detail: String::new(),
                evidence: None,
                trip,
            };
            let raised = alarms.raise(clock, &me, &secret, raise);
            raised.map(|(_, trip)| trip.is_some())
        };
        let last = ALARMS_MAX - 1;
        assert!((0..last).all(|number| raise(number, false) == Some(false)));
        assert_eq!(raise(last, false), Some(false));
        // Full: a stall is one too many, a theft is not, and it leaves no room for a stall.
        assert_eq!(raise(last + 1, false), None);
        assert_eq!((raise(0, true), raise(1, true)), (Some(true), Some(true)));
        assert_eq!(raise(last + 1, false), None);
        // The same theft is none again.
        assert_eq!(raise(0, true), None);
        assert_eq!(alarms.list().len(), ALARMS_MAX + 2);
        assert_eq!(alarms.standing().count(), 2);
    }
}
