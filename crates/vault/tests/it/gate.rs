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

/// The watcher's clock may be half a second ahead of the gate's, and the gate's may be put back by as much.
#[test]
fn a_permit_from_half_a_second_ahead_is_taken_and_from_further_ahead_it_is_not() {
    for (ahead_ms, want) in [(499, true), (500, true), (501, false)] {
        let mut gate = gate();
        let taken = gate.take(&roster(), at(0), permit(1, 1, ahead_ms, &[]));
        assert_eq!(taken.is_ok(), want, "{ahead_ms}");
        let passage = if want { Passage::Open { seq: 1 } } else { Passage::Silent };
        assert_eq!(gate.passage(at(0), OUT), passage, "{ahead_ms}");
    }
    let mut gate = gate();
    gate.take(&roster(), at(0), permit(1, 1, 0, &[])).unwrap();
    for (back_ms, want) in [(500, Passage::Open { seq: 1 }), (501, Passage::Silent)] {
        let back = Clock { wall: Instant::from_ms(kit::NOW.ms() - back_ms), ..at(0) };
        assert_eq!(gate.passage(back, OUT), want, "{back_ms}");
    }
}

#[test]
fn a_new_stream_counts_from_its_own_start_and_the_old_one_is_over() {
    let mut gate = gate();
    gate.take(&roster(), at(0), permit(1, 5, 0, &[])).unwrap();
    gate.joined(kit::machine(4), [2; 32]);
    assert_eq!(gate.passage(at(10), OUT), Passage::Open { seq: 5 });
    assert_eq!(gate.take(&roster(), at(10), permit(1, 6, 10, &[])), Err(PermitError::OtherStream));
    gate.take(&roster(), at(10), permit(2, 1, 10, &[OUT])).unwrap();
    assert_eq!(gate.passage(at(10), OUT), Passage::Tightened(Stage::Closed));
    assert_eq!(gate.passage(at(10), IN), Passage::Open { seq: 1 });
}

#[test]
fn nobody_but_a_watcher_opens_a_gate() {
    for number in [0, 1] {
        let mut gate = gate();
        gate.joined(kit::machine(number), [1; 32]);
        let by = kit::machine(number);
        let permit = Permit { by: by.clone(), ..permit(1, 1, 0, &[]).claim_unverified().clone() };
        let signed = Signed::sign(permit, &kit::statement(number));
        let problem = format!("{by} is no watcher");
        assert_eq!(gate.take(&roster(), at(0), signed), Err(PermitError::Stranger { problem }));
        assert_eq!(gate.passage(at(0), OUT), Passage::Silent);
    }
}
