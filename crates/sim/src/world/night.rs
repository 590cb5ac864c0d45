//! A time in which nothing moves: no message, no machine, no block. In some worlds it takes the power too.

use kuraban_vault::fold::Record;

use super::{Mode, engine::World, random::Random, realm::Machine, writer::Writing};

/// When a hoarder's first day is over: half of the time that a hostile writer has.
const EVENING_MS: u64 = 35_000;

/// When it falls, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Night {
    /// It falls then, or as soon after as receipts wait for signatures.
    from_ms: u64,
    /// It falls then in any case.
    until_ms: u64,
    length_ms: u64,
    /// Whether it takes the power from every machine, and not only the watcher's, which would call its node dead.
    dark: bool,
}

impl Night {
    pub(super) fn of(mode: Mode, random: &mut Random) -> Option<Self> {
        const MINUTE_MS: u64 = 60_000;
        match mode {
            Mode::Calm
            | Mode::Faults
            | Mode::Rogue
            | Mode::Traitor
            | Mode::RogueAndTraitor
            | Mode::Thief
            | Mode::Anew
            | Mode::AnewThief
            | Mode::Rollback => None,
            Mode::Hoarder => {
                let length_ms = random.within(24 * 60 - 30, 24 * 60 + 30).saturating_mul(MINUTE_MS);
                Some(Self { from_ms: EVENING_MS, until_ms: EVENING_MS, length_ms, dark: false })
            }
            Mode::Outage => {
                let from_ms = random.within(2000, 30_000);
                let length_ms = random.within(5 * MINUTE_MS, 40 * MINUTE_MS);
                let dark = random.one_in(2);
                Some(Self { from_ms, until_ms: from_ms.saturating_add(30_000), length_ms, dark })
            }
        }
    }
}

impl World {
    /// Lets the night pass when it falls: whatever was to come comes as much later.
    pub(super) fn sleep(&mut self) {
        let Some(night) = self.night.filter(|night| self.now_ms >= night.from_ms) else { return };
        let waits = |record: &Record| record.signed.is_none() && !record.receipts.is_empty();
        let waiting = self.writer.honest().is_some_and(|writer| writer.fold().payouts().any(waits));
        if !waiting && self.now_ms < night.until_ms {
            return;
        }
        self.say(|| format!("nothing moves for {} ms", night.length_ms));
        self.count(if waiting { "nights over receipts" } else { "nights" });
        self.night = None;
        for machine in Machine::PEERS.into_iter().chain([Machine::Writer]) {
            if (night.dark || machine == Machine::Watcher) && self.runs(machine) {
                self.crash(machine);
            }
        }
        self.now_ms = self.now_ms.saturating_add(night.length_ms);
        let queue = core::mem::take(&mut self.queue).into_iter();
        self.queue =
            queue.map(|((at_ms, n), what)| ((at_ms.saturating_add(night.length_ms), n), what)).collect();
        if let Writing::Rogue(rogue) = &mut self.writer.state {
            rogue.wakes();
        }
    }
}
