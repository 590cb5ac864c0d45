//! This watcher's alarms and trips: each once for its rule and subject, and a trip stands until the log shows it and a
//! quorum's reset after it.

use std::collections::{BTreeMap, BTreeSet};

use kuraban_base::{Asset, Digest, MachineId, Txid};
use kuraban_chain::btc::{Network, Tx};
use kuraban_proof::Entry;
use kuraban_vault::{
    body::{Alarm, Body, Evidence},
    breaker::{Cell, Service, Stage, Trip},
    fold::unsigned_id,
    follow,
    signer::Clock,
    statement::{Signed, StatementKey, StatementSecret},
    wire::LogEntry,
};

use super::UNEXPLAINED_SPEND;

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
    /// Spends that raised an alarm: the id without signatures, and the transaction's.
    spends: BTreeSet<(Txid, Txid)>,
    /// This watcher's alarms in the log whose trips the log does not show yet, by the digest that a trip names.
    logged: BTreeMap<Digest, Alarm>,
}

/// The cells that an asset's alarms concern.
pub(super) const fn cells(asset: Asset) -> [Cell; 2] {
    [(Service::Withdrawal, asset), (Service::Deposit, asset)]
}

/// The ids of the spend that an alarm is about. Too large for evidence, it is known by its own id alone.
fn spend(alarm: &Alarm) -> Option<(Txid, Txid)> {
    // An asset's networks write transactions alike.
    let network = match alarm.asset {
        Asset::Btc => Network::BtcMain,
        Asset::Ltc => Network::LtcMain,
    };
    let tx = alarm.evidence.as_ref().and_then(|evidence| Tx::decode(network, &evidence.tx).ok());
    let txid = alarm.subject.parse().ok()?;
    Some((tx.map_or(txid, |tx| unsigned_id(&tx)), txid))
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

    /// Remembers what an alarm was about.
    fn name(&mut self, alarm: &Alarm) {
        self.names.insert((alarm.rule.clone(), alarm.subject.clone()));
        if alarm.rule == UNEXPLAINED_SPEND {
            self.spends.extend(spend(alarm));
        }
    }

    /// Takes up an alarm that was raised, now or before a restart.
    pub(super) fn keep(&mut self, raised: Raised) {
        self.name(raised.0.claim_unverified());
        if let Some(trip) = &raised.1 {
            let cells = trip.claim_unverified().cells.iter().copied().collect();
            self.standing.push(Standing { trip: trip.clone(), cells, logged: false });
        }
        self.list.push(raised);
    }

    /// Spends that raised an alarm: the id without signatures, and the transaction's.
    pub(super) fn spends(&self) -> impl Iterator<Item = (Txid, Txid)> {
        self.spends.iter().copied()
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
    /// not show yet stays: nobody who ordered the reset had seen it. An alarm that stands in the log with its trip is not
    /// raised again by a watcher that was set up anew; `own` is the key by which it knows its own.
    pub(super) fn note(&mut self, own: &StatementKey, entries: &[LogEntry]) {
        let concerns = |logged: &&LogEntry| {
            let kind = Entry::decode(&logged.entry).map(|entry| entry.kind);
            kind.is_ok_and(|kind| {
                matches!(kind.as_str(), "alarm.raised" | "breaker.tripped" | "breaker.reset")
            })
        };
        for (_, _, body) in entries.iter().filter(concerns).filter_map(|logged| follow::open(logged).ok()) {
            if let Body::AlarmRaised(alarm) = &body
                && let Ok(verified) = alarm.clone().verify(own)
            {
                self.logged.insert(Digest::sha256(&[&body.encode()]), verified.into_claim());
            }
            if let Body::BreakerTripped(trip) = &body {
                let shown = trip.clone().verify(own).ok();
                let alarm = shown.and_then(|trip| self.logged.remove(&trip.claim().evidence));
                if let Some(alarm) = alarm {
                    self.name(&alarm);
                }
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
