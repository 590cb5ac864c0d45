//! The gate: closed until told otherwise, closed again when the watcher falls silent.

use kuraban_base::{Asset, Instant};
use kuraban_vault::{
    Roster,
    breaker::{Cell, Service, Stage},
    permit::{Gate, Passage, PermitError},
    receipt::Permit,
    signer::Clock,
    statement::Signed,
};

use crate::kit;

const OUT: Cell = (Service::Withdrawal, Asset::Btc);
const IN: Cell = (Service::Deposit, Asset::Btc);

fn roster() -> Roster {
    Roster::from_toml(&kit::roster_toml()).unwrap()
}

/// The gate's clocks `ms` after its start.
fn at(ms: u64) -> Clock {
    Clock { wall: kit::NOW.plus_ms(ms), monotonic_ms: 77 + ms }
}

fn permit(stream: u8, seq: u64, ms: u64, closed: &[Cell]) -> Signed<Permit> {
    let tightened = if closed.is_empty() { Vec::new() } else { vec![(Stage::Closed, closed.to_vec())] };
    let stream = [stream; 32];
    let permit = Permit { by: kit::machine(4), stream, seq, epoch: 0, tightened, at: kit::NOW.plus_ms(ms) };
    Signed::sign(permit, &kit::statement(4))
}

fn gate() -> Gate {
    let mut gate = Gate::default();
    gate.joined(kit::machine(4), [1; 32]);
    gate
}

#[test]
fn silence_means_stop() {
    let mut gate = gate();
    assert_eq!(gate.passage(at(0), OUT), Passage::Silent);
    gate.take(&roster(), at(0), permit(1, 1, 0, &[])).unwrap();
    assert_eq!(gate.passage(at(0), OUT), Passage::Open { seq: 1 });
    assert_eq!(gate.passage(at(1999), OUT), Passage::Open { seq: 1 });
    assert_eq!(gate.passage(at(2000), OUT), Passage::Silent);
}

#[test]
fn each_clock_alone_ends_a_permit() {
    let mut gate = gate();
    gate.take(&roster(), at(0), permit(1, 1, 0, &[])).unwrap();
    let wall = Clock { wall: kit::NOW.plus_ms(2000), ..at(0) };
    let monotonic = Clock { wall: kit::NOW, ..at(2000) };
    let back = Clock { wall: Instant::from_ms(kit::NOW.ms() - 501), ..at(0) };
    for clock in [wall, monotonic, back] {
        assert_eq!(gate.passage(clock, OUT), Passage::Silent);
    }
}

#[test]
fn a_closed_cell_is_closed_at_once_and_others_stay_open() {
    let mut gate = gate();
    gate.take(&roster(), at(0), permit(1, 1, 0, &[])).unwrap();
    gate.take(&roster(), at(10), permit(1, 2, 10, &[OUT])).unwrap();
    assert_eq!(gate.passage(at(10), OUT), Passage::Tightened(Stage::Closed));
    assert_eq!(gate.passage(at(10), IN), Passage::Open { seq: 2 });
}

#[test]
fn replayed_old_foreign_and_future_permits_change_nothing() {
    let mut gate = gate();
    gate.take(&roster(), at(0), permit(1, 5, 0, &[OUT])).unwrap();
    let mut check = |permit, want: PermitError| {
        assert_eq!(gate.take(&roster(), at(1000), permit).unwrap_err(), want);
        assert_eq!(gate.passage(at(1000), OUT), Passage::Tightened(Stage::Closed));
    };
    check(permit(1, 5, 1000, &[]), PermitError::Backwards { found: 5, last: 5 });
    check(permit(1, 4, 1000, &[]), PermitError::Backwards { found: 4, last: 5 });
    check(permit(2, 6, 1000, &[]), PermitError::OtherStream);
    let now = kit::NOW.ms() + 1000;
    check(permit(1, 6, 1501, &[]), PermitError::Time { at: kit::NOW.ms() + 1501, now });
    let forged = Signed::sign(permit(1, 6, 1000, &[]).claim_unverified().clone(), &kit::statement(3));
    assert!(matches!(gate.take(&roster(), at(1000), forged), Err(PermitError::Stranger { .. })));
    let late = permit(1, 6, 0, &[]);
    let at_end = PermitError::Time { at: kit::NOW.ms(), now: kit::NOW.ms() + 2000 };
    assert_eq!(gate.take(&roster(), at(2000), late).unwrap_err(), at_end);
}
