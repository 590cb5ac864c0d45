//! The writer killed at random moments while payouts flow: every payout ends confirmed, and is paid exactly once.

use std::{
    thread,
    time::{Duration, Instant},
};

use kuraban_base::Digest;
use kuraban_vault::Payout;

use crate::exchange::Exchange;

const PAYOUTS: u8 = 20;
const KILLS: u8 = 12;
/// Far longer than it takes.
const WITHIN: Duration = Duration::from_secs(240);

/// A pause below `max`, the same in every run.
fn pause(number: u8, max: u64) -> Duration {
    let [first, second, ..] = *Digest::sha256(&[b"pause", &[number]]).as_bytes();
    Duration::from_millis(u64::from(u16::from_be_bytes([first, second])) * max / 65_536)
}

#[test]
fn a_writer_killed_at_random_moments_pays_every_payout_exactly_once() {
    let mut exchange = Exchange::start();
    let amount = |number: u8| 1_000_000 + u64::from(number);
    let payouts: Vec<Payout> = (0..PAYOUTS)
        .map(|number| exchange.writer.payout(&format!("w-{number}"), 0x20 + number, amount(number)))
        .collect();
    let begun = Instant::now();
    let mut kills = 0;
    let mut killed = Instant::now();
    loop {
        assert!(begun.elapsed() < WITHIN, "not all are confirmed");
        let writer = &exchange.writer;
        let open: Vec<&Payout> =
            payouts.iter().filter(|payout| writer.status(payout).as_deref() != Some("confirmed")).collect();
        if open.is_empty() && kills >= KILLS {
            break;
        }
        // People ask again for whatever was not answered; what was is answered the same.
        for payout in open.iter().take(5) {
            let asked = writer.request(payout);
            let answers = asked.into_iter().chain(writer.approve(payout, 2)).chain(writer.approve(payout, 3));
            for answer in answers {
                let late = answer.status == 409 && answer.body.contains("approval-not-possible");
                assert!(answer.status == 201 || late || answer.status == 503, "{}", answer.body);
            }
        }
        exchange.mine();
        if kills < KILLS && killed.elapsed() > pause(kills, 700) {
            exchange.process.kill();
            thread::sleep(pause(kills, 50));
            exchange.process = exchange.writer.start();
            (kills, killed) = (kills + 1, Instant::now());
        }
    }
    for (number, payout) in (0..).zip(&payouts) {
        let paid: Vec<u64> =
            exchange.paid(&payout.destination).iter().map(|output| output.value_sat).collect();
        assert_eq!(paid, [amount(number)], "payout {}", payout.id);
    }
}
