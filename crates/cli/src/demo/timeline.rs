//! What happened, when, and what it cost: the timeline that people read and the score that scripts read.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::Context as _;
use kuraban_base::{Amount, Asset, Txid};
use serde_json::{Value, json};

use super::front::now_us;

/// Tells each thing as it happens, with milliseconds since the demo began. What happens in several processes at once is
/// known late, so from `hold` on the rows are kept, and told in the order of their times by `release`.
pub(super) struct Timeline<'a> {
    start_us: u64,
    say: &'a mut dyn FnMut(&str),
    held: Option<Vec<(u64, String)>>,
}

impl<'a> Timeline<'a> {
    pub(super) fn start(say: &'a mut dyn FnMut(&str)) -> Self {
        Self { start_us: now_us(), say, held: None }
    }

    /// Something that happens now.
    pub(super) fn note(&mut self, what: &str) {
        self.at(now_us(), what);
    }

    /// Something that happened at a time.
    pub(super) fn at(&mut self, at_us: u64, what: &str) {
        match &mut self.held {
            Some(held) => held.push((at_us, what.to_owned())),
            None => self.tell(at_us, what),
        }
    }

    fn tell(&mut self, at_us: u64, what: &str) {
        let ms = at_us.saturating_sub(self.start_us) / 1000;
        (self.say)(&format!("{ms:>7} ms  {what}"));
    }

    /// Words that belong to no time.
    pub(super) fn line(&mut self, words: &str) {
        (self.say)(words);
    }

    /// Keeps what follows until `release`.
    pub(super) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Tells what was kept, earliest first.
    pub(super) fn release(&mut self) {
        let mut held = self.held.take().unwrap_or_default();
        held.sort_by_key(|(at_us, _)| *at_us);
        for (at_us, what) in held {
            self.tell(at_us, &what);
        }
    }

    pub(super) fn finish(&mut self, score: &Score) {
        for (at_us, what) in [
            (score.alarm.arrived_us, "the test reached the watcher's node connection"),
            (score.alarm.raised_us, "the watcher raised the alarm and closed the permits"),
        ] {
            self.at(at_us, what);
        }
        self.release();
        for line in score.lines() {
            (self.say)(&line);
        }
    }
}

/// When a transaction reached the watcher and when the alarm was out, in microseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AlarmTimes {
    pub(super) arrived_us: u64,
    pub(super) raised_us: u64,
}

/// The alarm over a transaction, as the watcher wrote it into its log.
pub(super) fn alarm(log: &Path, theft: &Txid) -> anyhow::Result<AlarmTimes> {
    let file = File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
    let subject = theft.to_string();
    let of_theft = |line: String| {
        let line: Value = serde_json::from_str(&line).ok()?;
        let same = line.get("event")?.as_str()? == "alarm" && line.get("subject")?.as_str()? == subject;
        let field = |name: &str| line.get(name).and_then(Value::as_u64);
        let times = AlarmTimes { arrived_us: field("arrived_us")?, raised_us: field("raised_us")? };
        same.then_some(times)
    };
    let found = BufReader::new(file).lines().map_while(Result::ok).find_map(of_theft);
    found.with_context(|| format!("{} has no alarm over {theft}", log.display()))
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Score {
    pub(super) node: &'static str,
    pub(super) asset: Asset,
    pub(super) requested: usize,
    pub(super) confirmed: usize,
    pub(super) theft: Txid,
    pub(super) sent_us: u64,
    pub(super) alarm: AlarmTimes,
    pub(super) stopped_us: u64,
    pub(super) refused: usize,
    /// What the exchange no longer has.
    pub(super) lost: Amount,
    /// What of it the thief has.
    pub(super) stolen: Amount,
    pub(super) at_risk: Amount,
}

/// Whole milliseconds between two times, rounded up.
const fn ms_between(from_us: u64, to_us: u64) -> u64 {
    to_us.saturating_sub(from_us).div_ceil(1000)
}

impl Score {
    fn alarm_ms(&self) -> u64 {
        ms_between(self.alarm.arrived_us, self.alarm.raised_us)
    }

    fn stop_ms(&self) -> u64 {
        ms_between(self.alarm.arrived_us, self.stopped_us)
    }

    /// What of the loss the thief does not have, so the miners do.
    fn fees(&self) -> Amount {
        self.lost.less(self.stolen).unwrap_or(Amount::ZERO)
    }

    fn for_what(&self) -> &'static str {
        if self.stolen == Amount::ZERO {
            " as fees of the evacuation"
        } else {
            " as fees of the evacuation and the theft"
        }
    }

    fn lines(&self) -> Vec<String> {
        let coins = |amount: Amount| amount.to_coins(self.asset.decimals());
        let asset = self.asset;
        vec![
            String::new(),
            format!("payouts        {} requested, {} confirmed", self.requested, self.confirmed),
            format!("alarm          {} ms after the theft reached our node connection", self.alarm_ms()),
            format!(
                "stop           {} ms after it, to the last request let through; {} refused since",
                self.stop_ms(),
                self.refused
            ),
            format!(
                "relay          {} ms from the thief's hand to our node connection",
                ms_between(self.sent_us, self.alarm.arrived_us)
            ),
            format!(
                "stolen         {} {asset} of {} {asset} that two stolen keys could have taken",
                coins(self.stolen),
                coins(self.at_risk)
            ),
            format!("fees           {} {asset} went to miners{}", coins(self.fees()), self.for_what()),
            format!("lost           {} {asset}: stolen and fees together", coins(self.lost)),
        ]
    }

    /// The score as scripts read it.
    pub(super) fn to_json(&self) -> Value {
        let amount = |amount: Amount| json!([{ "asset": self.asset.ticker(), "amount": amount.to_coins(self.asset.decimals()) }]);
        json!({
            "node": self.node,
            "payouts": { "requested": self.requested, "confirmed": self.confirmed },
            "theft": { "txid": self.theft.to_string() },
            "alarm_ms": self.alarm_ms(),
            "stop_ms": self.stop_ms(),
            "refused_requests": self.refused,
            "lost": amount(self.lost),
            "stolen": amount(self.stolen),
            "fees": amount(self.fees()),
            "at_risk": amount(self.at_risk),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_told_in_the_order_of_its_times() {
        let mut told = Vec::new();
        let mut say = |line: &str| told.push(line.get(12..).unwrap_or_default().to_owned());
        let mut timeline = Timeline::start(&mut say);
        let start_us = timeline.start_us;
        timeline.at(start_us + 9_000, "at once");
        timeline.hold();
        timeline.at(start_us + 7_000, "third");
        timeline.at(start_us + 2_000, "first");
        timeline.at(start_us + 7_000, "fourth");
        timeline.at(start_us + 3_000, "second");
        timeline.release();
        timeline.at(start_us, "at once again");
        assert_eq!(told, ["at once", "first", "second", "third", "fourth", "at once again"]);
    }

    #[test]
    fn a_loss_is_what_was_stolen_and_fees() {
        let check = |lost: u64, stolen: u64, want: [&str; 3]| {
            let score = Score {
                node: "embedded",
                asset: Asset::Btc,
                requested: 5,
                confirmed: 5,
                theft: Txid::from_bytes([0; 32]),
                sent_us: 0,
                alarm: AlarmTimes { arrived_us: 1, raised_us: 2 },
                stopped_us: 3,
                refused: 4,
                lost: lost.into(),
                stolen: stolen.into(),
                at_risk: 100_000_000.into(),
            };
            let json = score.to_json();
            let amount = |name: &str| json[name][0]["amount"].as_str().unwrap().to_owned();
            assert_eq!(["lost", "stolen", "fees"].map(amount), want);
        };
        check(0, 0, ["0", "0", "0"]);
        check(15_000_000, 0, ["0.15", "0", "0.15"]);
        check(15_000_000, 1_000_000, ["0.15", "0.01", "0.14"]);
    }
}
