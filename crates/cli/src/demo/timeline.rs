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

/// Tells each thing as it happens, with milliseconds since the demo began.
pub(super) struct Timeline<'a> {
    start_us: u64,
    say: &'a mut dyn FnMut(&str),
}

impl<'a> Timeline<'a> {
    pub(super) fn start(say: &'a mut dyn FnMut(&str)) -> Self {
        Self { start_us: now_us(), say }
    }

    /// Something that happens now.
    pub(super) fn note(&mut self, what: &str) {
        self.at(now_us(), what);
    }

    /// Something that happened at a time.
    pub(super) fn at(&mut self, at_us: u64, what: &str) {
        let ms = at_us.saturating_sub(self.start_us) / 1000;
        (self.say)(&format!("{ms:>7} ms  {what}"));
    }

    pub(super) fn finish(&mut self, score: &Score) {
        for (at_us, what) in [
            (score.alarm.arrived_us, "the test reached the watcher's node connection"),
            (score.alarm.raised_us, "the watcher raised the alarm and closed the permits"),
        ] {
            self.at(at_us, what);
        }
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
    pub(super) lost: Amount,
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
                "lost           {} {asset} of {} {asset} that two stolen keys could have taken",
                coins(self.lost),
                coins(self.at_risk)
            ),
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
            "at_risk": amount(self.at_risk),
        })
    }
}
