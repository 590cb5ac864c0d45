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

#[test]
fn scan() {
    let each = seeds();
    let first: u64 = std::env::var("KURABAN_FIRST_SEED").ok().map_or(0, |text| text.parse().unwrap());
    let only = std::env::var("MODE").unwrap_or_default();
    for mode in Mode::ALL {
        if !only.is_empty() && format!("{mode:?}") != only {
            continue;
        }
        let start = std::time::Instant::now();
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut fails: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
        for seed in first..first + each {
            let outcome = std::panic::catch_unwind(|| run(Scenario::new(seed, mode)));
            match outcome {
                Ok(outcome) => {
                    if let Some(violation) = outcome.violation {
                        fails
                            .entry(format!("{:?}", violation.rule))
                            .or_default()
                            .push((seed, violation.to_string()));
                    }
                    for (what, count) in outcome.counts {
                        *counts.entry(what).or_default() += count;
                    }
                }
                Err(_) => fails.entry("panic".to_owned()).or_default().push((seed, String::new())),
            }
        }
        println!("{mode:?} {:?} each {counts:?}", start.elapsed() / u32::try_from(each).unwrap());
        for (rule, fail) in fails {
            println!("   {rule}: {} {:?}", fail.len(), &fail[..fail.len().min(3)]);
        }
    }
}

#[test]
fn show() {
    let Ok(seed) = std::env::var("SEED") else { return };
    let only = std::env::var("MODE").unwrap_or_default();
    for mode in Mode::ALL {
        if format!("{mode:?}") != only {
            continue;
        }
        let outcome = run(Scenario { trace: true, ..Scenario::new(seed.parse().unwrap(), mode) });
        for line in outcome.trace {
            println!("{line}");
        }
        println!("{:?} {:?}", outcome.violation, outcome.counts);
    }
}
