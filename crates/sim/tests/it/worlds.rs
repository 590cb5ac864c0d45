//! Every mode over many seeds, kept seeds, and every flaw found.

use std::collections::BTreeMap;

use kuraban_sim::world::{Flaw, Mode, Outcome, Rule, Scenario, run};

/// How many seeds all modes share; `KURABAN_SEEDS` says otherwise.
const SEEDS: u64 = 500;

fn seeds() -> u64 {
    let said = std::env::var("KURABAN_SEEDS").ok();
    said.map_or(SEEDS, |text| text.parse().expect("KURABAN_SEEDS is a number"))
}

/// Runs one world; on a violation, runs it again with a trace and shows it.
fn live(mode: Mode, seed: u64) -> Outcome {
    let scenario = Scenario::new(seed, mode);
    let outcome = run(scenario);
    if let Some(violation) = &outcome.violation {
        let again = run(Scenario { trace: true, ..scenario });
        let from = again.trace.len().saturating_sub(400);
        for line in &again.trace[from..] {
            println!("{line}");
        }
        assert_eq!(again.violation.as_ref(), Some(violation), "the world is not the same twice");
        panic!("{mode:?}, seed {seed}: {violation}");
    }
    outcome
}

/// All seeds of a mode; what happened in them together.
fn live_all(mode: Mode) -> BTreeMap<String, u64> {
    let each = seeds().div_ceil(Mode::ALL.len() as u64);
    let first = std::env::var("KURABAN_FIRST_SEED").ok().map_or(0, |text| text.parse().unwrap());
    let mut counts = BTreeMap::new();
    for seed in first..first + each {
        for (what, count) in live(mode, seed).counts {
            *counts.entry(what).or_default() += count;
        }
    }
    println!("{mode:?}: {each} seeds, {counts:#?}");
    counts
}

#[test]
fn calm() {
    live_all(Mode::Calm);
}

#[test]
fn faults() {
    live_all(Mode::Faults);
}

#[test]
fn traitor() {
    live_all(Mode::Traitor);
}

#[test]
fn rogue() {
    live_all(Mode::Rogue);
}

#[test]
fn rogue_and_traitor() {
    live_all(Mode::RogueAndTraitor);
}

#[test]
fn thief() {
    live_all(Mode::Thief);
}
