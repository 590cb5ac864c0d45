//! Every mode over many seeds, seeds that once failed, and every flaw found.

use std::collections::BTreeMap;

use kuraban_sim::world::{Flaw, Mode, Outcome, Rule, Scenario, run};

/// How many worlds all modes share; `KURABAN_SEEDS` says otherwise.
const SEEDS: u64 = 830;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, want a number")))
}

/// Lives through one world; where a rule is broken, again with a trace that is shown.
fn live(mode: Mode, seed: u64) -> Outcome {
    let scenario = Scenario::new(seed, mode);
    let outcome = run(scenario);
    if let Some(violation) = &outcome.violation {
        let again = run(Scenario { trace: true, ..scenario });
        again.trace.iter().for_each(|line| println!("{line}"));
        assert_eq!(again.violation.as_ref(), Some(violation), "the world is not the same twice");
        panic!("{mode:?}, seed {seed}: {violation}");
    }
    outcome
}

/// All seeds of a mode, from `KURABAN_FIRST_SEED` on; each of `happens` must have happened in at least one of them, so
/// that no rule holds only because nothing tried it.
fn check(mode: Mode, happens: &[&str]) {
    let first = number("KURABAN_FIRST_SEED").unwrap_or(0);
    let count = number("KURABAN_SEEDS").unwrap_or(SEEDS).div_ceil(u64::try_from(Mode::ALL.len()).unwrap());
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first + count {
        for (what, count) in live(mode, seed).counts {
            *counts.entry(what).or_default() += count;
        }
    }
    println!("{mode:?}, seeds {first} to {}: {counts:#?}", first + count - 1);
    // A few seeds alone need not show everything.
    for what in happens.iter().filter(|_| count >= 50) {
        assert!(counts.contains_key(*what), "{mode:?}: in {count} worlds there was no {what:?}");
    }
}

#[test]
fn in_calm_worlds_all_that_people_want_is_paid_once() {
    check(
        Mode::Calm,
        &["confirmed spends", "answered conflict payout-other-body", "answered refused approval-other"],
    );
}

#[test]
fn crashes_losses_and_reorganisations_break_no_rule() {
    check(Mode::Faults, &["confirmed spends", "crashes", "reorganisations", "answered repeated "]);
}

#[test]
fn a_hostile_signer_breaks_no_rule() {
    check(Mode::Traitor, &["confirmed spends", "crashes", "reorganisations", "betrayals"]);
}

#[test]
fn a_hostile_writer_breaks_no_rule() {
    let refused = [
        "refused amount-not-approved",
        "refused approval-other",
        "refused approvals-missing",
        "refused destination-not-approved",
        "refused evacuation-no-evidence",
        "refused fee-above-cap",
        "refused input-unproven",
        "refused lease-invalid",
        "refused log-not-included",
        "refused log-not-witnessed",
        "refused output-unknown",
        "refused payout-ended",
        "refused request-unsigned",
        "refused transaction-form",
        "refused transaction-other",
        "rejected log-not-followed",
        "withheld lease-invalid",
        "withheld log-not-included",
        "forks shown",
        "confirmed spends",
    ];
    check(Mode::Rogue, &refused);
}

#[test]
fn a_hostile_writer_with_the_keys_of_one_signer_breaks_no_rule() {
    check(
        Mode::RogueAndTraitor,
        &["alarms", "confirmed spends", "forks shown", "withheld transaction-other"],
    );
}

#[test]
fn a_theft_is_noticed_stopped_and_the_rest_moved() {
    check(Mode::Thief, &["thefts", "alarms", "resets", "refused breaker-closed", "confirmed spends"]);
}

#[test]
fn a_watcher_that_is_set_up_anew_stops_nothing_in_vain() {
    check(Mode::Anew, &["watchers set up anew", "confirmed spends", "crashes", "reorganisations"]);
}

#[test]
fn a_watcher_that_is_set_up_anew_notices_thefts() {
    check(Mode::AnewThief, &["watchers set up anew", "thefts", "alarms", "resets"]);
}

#[test]
fn a_hostile_writer_that_hoards_receipts_gets_no_more_than_a_days_allowance_signed_in_a_day() {
    check(
        Mode::Hoarder,
        &["withheld receipt-lapsed", "refused limit-rolling", "signatures released", "nights"],
    );
}

#[test]
fn after_a_stop_longer_than_receipts_live_all_that_people_want_is_paid_once() {
    check(Mode::Outage, &["withheld receipt-lapsed", "nights over receipts", "confirmed spends", "crashes"]);
}

#[test]
fn a_signer_whose_disk_is_set_back_breaks_no_rule_under_a_hostile_writer() {
    let refused = ["refused signer-restored", "withheld signer-restored", "refused signer-frozen"];
    check(Mode::Rollback, &[&refused[..], &["disks set back", "signatures released"]].concat());
}

/// Worlds in which a rule was broken once, and what it was that broke it.
#[test]
fn worlds_that_once_failed() {
    let worlds = [
        // A receipt whose answer was lost kept its signer from following the log when the payout ended.
        (Mode::Faults, 96),
        // Two signers gave receipts for different transactions of one payout, and both signed.
        (Mode::RogueAndTraitor, 31),
        (Mode::RogueAndTraitor, 40),
        (Mode::RogueAndTraitor, 88),
        // The watcher leased while its trip was kept out of the log.
        (Mode::RogueAndTraitor, 8),
        (Mode::RogueAndTraitor, 19),
        (Mode::RogueAndTraitor, 25),
        // A signer who answered nothing useful was waited for.
        (Mode::Traitor, 59),
        (Mode::Traitor, 64),
        (Mode::Traitor, 81),
        // One contested coin kept the whole evacuation out of the mempool.
        (Mode::Thief, 0),
        // An evacuation that was lost on its way to the node was not sent again for half a minute.
        (Mode::Thief, 234),
        (Mode::Thief, 369),
    ];
    for (mode, seed) in worlds {
        live(mode, seed);
    }
}

#[test]
fn a_world_is_the_same_every_time() {
    for mode in Mode::ALL {
        let scenario = Scenario { trace: true, ..Scenario::new(7, mode) };
        assert_eq!(run(scenario), run(scenario), "{mode:?}");
    }
}

/// With a flaw in the machines or what drives them, some world of `mode` must break `rule`.
fn finds(flaw: Flaw, mode: Mode, rule: Rule) {
    const WORLDS: u64 = 400;
    let mut others = BTreeMap::new();
    for seed in 0..WORLDS {
        let outcome = run(Scenario { flaw: Some(flaw), ..Scenario::new(seed, mode) });
        match outcome.violation.map(|violation| violation.rule) {
            Some(found) if found == rule => return,
            Some(other) => *others.entry(other).or_insert(0_u32) += 1,
            None => {}
        }
    }
    panic!("{flaw:?}: no {rule:?} in {WORLDS} worlds of {mode:?}, but {others:?}");
}

#[test]
fn receipts_that_are_not_stored_are_noticed() {
    finds(Flaw::ReceiptsNotStored, Mode::Faults, Rule::ReceiptNumber);
}

#[test]
fn receipts_that_never_lapse_are_noticed() {
    finds(Flaw::ReceiptsNeverLapse, Mode::Hoarder, Rule::LimitExceeded);
}

#[test]
fn a_writer_that_never_asks_for_fresh_receipts_is_noticed() {
    finds(Flaw::LapsesUntold, Mode::Outage, Rule::Stuck);
}

#[test]
fn signers_that_go_on_after_they_forgot_are_noticed() {
    finds(Flaw::NeverFrozen, Mode::Rollback, Rule::ForgetfulSigner);
}

#[test]
fn witnesses_that_forget_are_noticed() {
    finds(Flaw::WitnessesForget, Mode::Rogue, Rule::Fork);
}

#[test]
fn signers_that_sign_blindly_are_noticed() {
    finds(Flaw::SignersBlind, Mode::Rogue, Rule::Unapproved);
}

#[test]
fn signers_that_pay_twice_are_noticed() {
    finds(Flaw::SignersBlind, Mode::Rogue, Rule::PayableTwice);
}

#[test]
fn payments_that_no_signer_knows_of_are_noticed() {
    finds(Flaw::KeysStolen, Mode::Rogue, Rule::Unapproved);
    finds(Flaw::KeysStolen, Mode::Rogue, Rule::PaidTwice);
}

#[test]
fn answers_before_the_disk_are_noticed() {
    finds(Flaw::AnswersBeforeDisk, Mode::Faults, Rule::Forgotten);
}

#[test]
fn a_writer_that_loses_entries_is_noticed() {
    finds(Flaw::WriterForgets, Mode::Faults, Rule::Forgotten);
}

#[test]
fn trips_that_are_not_taken_are_noticed() {
    finds(Flaw::TripsIgnored, Mode::RogueAndTraitor, Rule::SignedAfterTrip);
}

#[test]
fn a_watcher_that_sees_nothing_is_noticed() {
    finds(Flaw::WatcherBlind, Mode::Thief, Rule::NotAlarmed);
}

#[test]
fn a_watcher_that_forgets_the_log_is_noticed() {
    finds(Flaw::WatcherForgets, Mode::Faults, Rule::StoppedInVain);
}

#[test]
fn a_watcher_that_follows_blocks_before_it_has_the_log_is_noticed() {
    finds(Flaw::FollowsEarly, Mode::Anew, Rule::StoppedInVain);
}

#[test]
fn connections_that_are_not_made_again_are_noticed() {
    finds(Flaw::NoReconnect, Mode::Faults, Rule::Stuck);
}

#[test]
fn entries_under_another_checkpoint_are_noticed() {
    finds(Flaw::CheckpointsMixed, Mode::Calm, Rule::Estranged);
}

#[test]
fn disks_that_rot_are_noticed() {
    finds(Flaw::DisksRot, Mode::Faults, Rule::NotRestored);
}

#[test]
fn an_evacuation_that_never_leaves_is_noticed() {
    finds(Flaw::NothingBroadcast, Mode::Thief, Rule::NotEvacuated);
}
