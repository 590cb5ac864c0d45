//! The writer killed at random moments while payouts flow: every payout ends confirmed, and is paid exactly once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use kuraban_base::Digest;
use kuraban_vault::Payout;

use crate::{
    exchange::{Exchange, Writer},
    process::Process,
};

const PAYOUTS: u8 = 20;
/// Kills that must have happened while payouts were under way.
const KILLS_MIN: usize = 8;
/// Far longer than it takes.
const WITHIN: Duration = Duration::from_secs(240);

/// Kills and starts until told to end; between start and kill the writer lives for 10 to 210 ms. Returns the count.
fn kill_again_and_again(writer: &Writer, process: &mut Process, end: &AtomicBool) -> usize {
    let mut kills = 0_usize;
    while !end.load(Ordering::Acquire) {
        let [first, second, ..] = *Digest::sha256(&[b"life", &kills.to_be_bytes()]).as_bytes();
        let life_ms = 10 + u64::from(u16::from_be_bytes([first, second])) * 200 / 65_536;
        thread::park_timeout(Duration::from_millis(life_ms));
        process.kill();
        *process = writer.start();
        kills += 1;
    }
    kills
}

/// Asks for whatever is not confirmed, as somebody who got no answer does; what was answered is answered the same.
fn ask(writer: &Writer, payout: &Payout) {
    let approve = |person| writer.approve(payout, person);
    let answers = [writer.request(payout), approve(2), approve(3)];
    for answer in answers.into_iter().flatten() {
        // An approval may come after the end, or before a request that did not get through.
        let other = ["approval-not-possible", "payout-unknown", "busy"];
        assert!(
            answer.status == 201 || other.iter().any(|code| answer.body.contains(code)),
            "{}",
            answer.body
        );
    }
}

#[test]
fn a_writer_killed_at_random_moments_pays_every_payout_exactly_once() {
    let mut exchange = Exchange::start();
    let amount = |number: u8| 1_000_000 + u64::from(number);
    let payouts: Vec<Payout> = (0..PAYOUTS)
        .map(|number| exchange.writer.payout(&format!("w-{number}"), 0x20 + number, amount(number)))
        .collect();
    let Exchange { node, writer, process, .. } = &mut exchange;
    let (end, begun) = (AtomicBool::new(false), Instant::now());
    let kills = thread::scope(|scope| {
        let killer = scope.spawn(|| kill_again_and_again(writer, process, &end));
        // A few at a time, so that there are always some under way when the writer dies.
        for few in payouts.chunks(2) {
            let mut open: Vec<&Payout> = few.iter().collect();
            while !open.is_empty() && begun.elapsed() < WITHIN {
                open.iter().for_each(|payout| ask(writer, payout));
                node.mine(1, &crate::kit::address(0xee).script());
                open.retain(|payout| writer.status(payout).as_deref() != Some("confirmed"));
            }
        }
        end.store(true, Ordering::Release);
        killer.join().unwrap()
    });
    assert!(kills >= KILLS_MIN, "{kills} kills");
    // Whatever is still on its way to a block gets there.
    exchange.mine();
    for (number, payout) in (0..).zip(&payouts) {
        assert_eq!(exchange.writer.status(payout).as_deref(), Some("confirmed"), "payout {}", payout.id);
        let paid = exchange.paid(&payout.destination);
        assert_eq!(paid.iter().map(|output| output.value_sat).collect::<Vec<_>>(), [amount(number)]);
    }
}
