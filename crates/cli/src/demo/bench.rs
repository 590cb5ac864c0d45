//! The demo's exchange under measurement: how many payouts per second go through three signers, and how soon after a theft
//! reaches the node's P2P port the gate is shut. Times are whole microseconds or milliseconds; nothing is averaged away.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use kuraban_chain::btc::p2p::{Message, PeerAddress, Services, Version};
use kuraban_vault::{RESET, body::reset_digest, breaker::Service as Cell};
use serde_json::{Value, json};

use super::{
    Args, NodeChoice, Plan, Stage, TEST_FEE_SAT, TEST_SAT,
    front::{Gate, now_us},
    people::{Withdrawal, sshsig},
    process::{Will, wait_for},
    timeline::Timeline,
};

/// The protocol version that the wallet speaks (BIP 339's).
const PROTOCOL_VERSION: i32 = 70016;
/// Threads that submit payouts.
const SUBMITTERS: usize = 4;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Subject {
    /// Payouts per second and their latency, through two of three signers with durable writes.
    Payouts,
    /// From a theft's arrival at the node's P2P port to the shut gate.
    Stop,
}

/// How it is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// What is measured.
    #[arg(value_enum)]
    subject: Subject,
    /// How many payouts or thefts.
    #[arg(long, default_value_t = 100)]
    count: u32,
}

/// Measures on the embedded node and returns the figures.
pub(crate) fn run(args: &BenchArgs, say: &mut dyn FnMut(&str)) -> anyhow::Result<Value> {
    let folder = tempfile::Builder::new().prefix("kuraban-bench-").tempdir()?;
    let _will = Will::remove(folder.path())?;
    let demo = Args { node: NodeChoice::Embedded, node_binary: None, nginx: "nginx".into(), keep: false };
    let plan =
        Plan { node: demo.node, coins: args.count.saturating_add(16), evacuation: false, gateway: false };
    let mut timeline = Timeline::start(say);
    let mut stage = Stage::set(plan, &demo, folder.path(), &mut timeline)?;
    let outcome = match args.subject {
        Subject::Payouts => stage.measure_payouts(args.count, &mut timeline),
        Subject::Stop => stage.measure_stop(args.count, &mut timeline),
    };
    if outcome.is_err() {
        timeline.note(&format!("keys, logs and stores are in {}", folder.keep().display()));
    }
    outcome
}

/// The value below which `percent` of the sorted ones lie: the smallest that at least so many do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

impl Stage {
    fn measure_payouts(&mut self, count: u32, timeline: &mut Timeline<'_>) -> anyhow::Result<Value> {
        let customers = self.exchange.customers.clone();
        let made: Vec<Withdrawal> = (0..count)
            .zip(customers.iter().cycle())
            .map(|(number, to)| Withdrawal { id: format!("b-{number}"), to: *to, amount_sat: 10_000_000 })
            .collect();
        // One at a time first: the latency of a payout that has the system to itself.
        let (alone, crowd) = made.split_at(made.len().min(20));
        for withdrawal in alone {
            self.submit(withdrawal)?;
            self.until(std::slice::from_ref(withdrawal), &["broadcast", "confirmed"])?;
        }
        timeline.note(&format!("{} payouts one by one", alone.len()));
        let next = AtomicUsize::new(0);
        let stage: &Self = self;
        thread::scope(|scope| {
            let submit = || -> anyhow::Result<()> {
                while let Some(withdrawal) = crowd.get(next.fetch_add(1, Ordering::SeqCst)) {
                    stage.submit(withdrawal)?;
                }
                Ok(())
            };
            let threads: Vec<_> = (0..SUBMITTERS).map(|_| scope.spawn(submit)).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(done) => done,
                Err(_) => anyhow::bail!("a submitter panicked"),
            })
        })?;
        self.until(crowd, &["broadcast", "confirmed"])?;
        timeline.note(&format!("{} payouts at once", crowd.len()));
        let times = self.times()?;
        Ok(json!({ "alone": figures(&times, alone)?, "crowd": figures(&times, crowd)? }))
    }

    fn submit(&self, withdrawal: &Withdrawal) -> anyhow::Result<()> {
        let approvers = self.exchange.approvers.get(..2).unwrap_or_default();
        withdrawal.submit(self.writer, &self.exchange, approvers)
    }

    /// When each payout had its last approval and when it was signed, in milliseconds, from the log.
    fn times(&self) -> anyhow::Result<BTreeMap<String, (u64, u64)>> {
        let mut times: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for event in self.writer.events()? {
            let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let at_ms = event.get("at_ms").and_then(Value::as_u64).context("an event without at_ms")?;
            let entry = times.entry(text("payout")).or_default();
            match text("kind").as_str() {
                "payout.approved" => entry.0 = entry.0.max(at_ms),
                "payout.signed" => entry.1 = at_ms,
                _ => {}
            }
        }
        Ok(times)
    }

    /// One theft after the other, each of another coin, each followed by a reset that two people sign.
    fn measure_stop(&mut self, count: u32, timeline: &mut Timeline<'_>) -> anyhow::Result<Value> {
        let held = self.held()?;
        let gate = Gate::new(self.exchange.ports.gate, self.node.network.asset().ticker());
        let mut port = Peer::connect(self)?;
        let mut times_us = Vec::new();
        for coin in held.iter().take(usize::try_from(count)?) {
            let theft = self.thief().test(coin, TEST_SAT, TEST_FEE_SAT)?;
            let frame = Message::Tx(Box::new(theft)).encode(self.node.network);
            let sent_us = now_us();
            port.stream.write_all(&frame)?;
            let shut_us = gate.until(403, Duration::from_secs(5))?;
            times_us.push(shut_us.saturating_sub(sent_us));
            self.reset()?;
            gate.until(200, Duration::from_secs(10))?;
        }
        times_us.sort_unstable();
        timeline.note(&format!("{} thefts, each stopped", times_us.len()));
        Ok(json!({
            "count": times_us.len(),
            "p50_us": percentile(&times_us, 50),
            "p99_us": percentile(&times_us, 99),
            "max_us": times_us.last(),
        }))
    }

    /// Two people open the breaker again, as soon as the writer has logged the trip.
    fn reset(&mut self) -> anyhow::Result<()> {
        let writer = self.writer;
        wait_for("the trip in the log", Duration::from_secs(10), &mut self.processes, || {
            let breaker = writer.get("/v1/breaker")?;
            Ok(breaker.get("tightened").and_then(Value::as_array).is_some_and(|cells| !cells.is_empty()))
        })?;
        let breaker = writer.get("/v1/breaker")?;
        let epoch = breaker.get("epoch").and_then(Value::as_u64).context("the breaker has no epoch")?;
        let asset = self.node.network.asset();
        let cells = [(Cell::Withdrawal, asset), (Cell::Deposit, asset)];
        let digest = reset_digest(self.exchange.charter.roster().origin(), epoch, &cells);
        let approve =
            |key: &ssh_key::PrivateKey| -> anyhow::Result<String> { sshsig(key, RESET, digest.as_bytes()) };
        let approvals =
            self.exchange.approvers.iter().take(2).map(approve).collect::<anyhow::Result<Vec<String>>>()?;
        let named: Vec<Value> = cells
            .iter()
            .map(|(service, asset)| json!({ "service": service.word(), "asset": asset.ticker() }))
            .collect();
        writer.reset(&json!({ "cells": named, "epoch": epoch, "approvals": approvals }))
    }
}

/// Throughput and latency of some payouts.
fn figures(times: &BTreeMap<String, (u64, u64)>, payouts: &[Withdrawal]) -> anyhow::Result<Value> {
    let pairs: Vec<(u64, u64)> = payouts
        .iter()
        .map(|payout| {
            times.get(&payout.id).copied().with_context(|| format!("{} is not in the log", payout.id))
        })
        .collect::<anyhow::Result<_>>()?;
    let first = pairs.iter().map(|(approved, _)| *approved).min().unwrap_or_default();
    let last = pairs.iter().map(|(_, signed)| *signed).max().unwrap_or_default();
    let mut latency_ms: Vec<u64> =
        pairs.iter().map(|(approved, signed)| signed.saturating_sub(*approved)).collect();
    latency_ms.sort_unstable();
    let took_ms = last.saturating_sub(first).max(1);
    let count = u64::try_from(pairs.len())?;
    Ok(json!({
        "payouts": count,
        "took_ms": took_ms,
        "payouts_per_s": count.saturating_mul(1000).checked_div(took_ms),
        "latency_p50_ms": percentile(&latency_ms, 50),
        "latency_p99_ms": percentile(&latency_ms, 99),
    }))
}

/// A plain peer of the node, as the thief's wallet is one.
struct Peer {
    stream: TcpStream,
}

impl Peer {
    fn connect(stage: &Stage) -> anyhow::Result<Self> {
        let network = stage.node.network;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, stage.node.p2p_port))?;
        stream.set_nodelay(true)?;
        let version = Version {
            version: PROTOCOL_VERSION,
            services: Services::default(),
            time_s: i64::try_from(now_us() / 1_000_000)?,
            receiver: PeerAddress::NOWHERE,
            sender: PeerAddress::NOWHERE,
            nonce: now_us(),
            user_agent: "/a wallet/".to_owned(),
            start_height: 0,
            relay: false,
        };
        stream.write_all(&Message::Version(Box::new(version)).encode(network))?;
        stream.write_all(&Message::Verack.encode(network))?;
        // What the node says is not of interest, but must not fill the socket up.
        let mut reader = stream.try_clone()?;
        thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        thread::sleep(Duration::from_millis(300));
        Ok(Self { stream })
    }
}
