//! The main job, shown: a guarded exchange at work on a real node, a thief with two stolen keys, the alarm, the stop, the
//! evacuation, and the score. Everything is a process of its own on loopback; nothing is played.

mod bench;
mod evacuation;
mod front;
mod kept;
mod node;
mod people;
mod process;
mod setup;
mod thief;
mod timeline;

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use kuraban_base::Amount;
use kuraban_chain::btc::{Address, Branch, Descriptor, Tx, TxOut, XPriv};
use serde_json::{Value, json};

pub(crate) use self::{
    bench::{BenchArgs, run as measure},
    node::NodeChoice,
};
use self::{
    evacuation::evacuations,
    front::{Customer, Gate, Service, now_us},
    node::Node,
    people::{Withdrawal, Writer},
    process::{Process, Will, wait_for},
    setup::{COINS, Exchange},
    thief::{Loot, Thief},
    timeline::{Score, Timeline},
};

/// What the thief takes in his test, in base units.
const TEST_SAT: u64 = 1_000_000;
/// What he pays for it.
const TEST_FEE_SAT: u64 = 20_000;
/// The writer's process.
const WRITER: &str = "writer";
/// How long the writer is gone, in milliseconds: longer than a permit lives.
const WITHOUT_WRITER_MS: u64 = 2500;
/// Blocks within which the hot vault must be empty.
const ROUNDS_MAX: usize = 4;
/// How long he waits to see whether anybody noticed, in milliseconds.
const NERVE_MS: u64 = 500;

/// How the demo is run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which node the chain runs on.
    #[arg(long, value_enum, default_value = "embedded")]
    node: NodeChoice,
    /// The node's program, where it is not the tool itself or on the PATH.
    #[arg(long, value_name = "FILE")]
    node_binary: Option<PathBuf>,
    /// The gateway's program.
    #[arg(long, value_name = "FILE", default_value = "nginx")]
    nginx: PathBuf,
    /// Keep the folder with keys, logs and stores, and say where it is.
    #[arg(long)]
    keep: bool,
}

/// What is set up, beside what every run has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Plan {
    node: NodeChoice,
    /// Coins in the hot vault.
    coins: u32,
    /// Whether the policy orders evacuation.
    evacuation: bool,
    /// Whether nginx runs in front of a service.
    gateway: bool,
}

/// Everything that runs.
struct Stage {
    dir: PathBuf,
    node: Node,
    exchange: Exchange,
    writer: Writer,
    service: Service,
    processes: Vec<Process>,
    sink: Address,
}

/// Runs the demo and returns its score. `say` is told each line of the timeline as it happens.
pub(crate) fn run(args: &Args, say: &mut dyn FnMut(&str)) -> anyhow::Result<Value> {
    let folder = tempfile::Builder::new().prefix("kuraban-demo-").tempdir()?;
    let dir = folder.path().to_owned();
    let mut timeline = Timeline::start(say);
    let _will = if args.keep {
        timeline.note(&format!("keys, logs and stores are kept in {}", dir.display()));
        None
    } else {
        Some(Will::remove(&dir)?)
    };
    let plan = Plan { node: args.node, coins: COINS, evacuation: true, gateway: true };
    let mut stage = Stage::set(plan, args, &dir, &mut timeline)?;
    let outcome = stage.play(args, &mut timeline);
    timeline.release();
    if args.keep || outcome.is_err() {
        let people = kept::write_people(&dir, &stage.exchange);
        let dir = folder.keep();
        timeline.line(&kept::words(&dir, &stage.exchange));
        people?;
    }
    outcome
}

/// A program of Kuraban, beside the tool itself.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("cannot tell where this program is")?;
    let path = own.parent().unwrap_or(Path::new(".")).join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is missing; build everything with `cargo build --workspace` or run `cargo xtask demo`",
        path.display()
    );
    Ok(path)
}

impl Stage {
    fn set(plan: Plan, args: &Args, dir: &Path, timeline: &mut Timeline<'_>) -> anyhow::Result<Self> {
        let binary = match (&args.node_binary, args.node) {
            (Some(path), _) => path.clone(),
            (None, NodeChoice::Embedded) => env::current_exe()?,
            (None, NodeChoice::Litecoind) => "litecoind".into(),
            (None, NodeChoice::Bitcoind) => "bitcoind".into(),
        };
        let node = Node::start(dir, args.node, &binary)?;
        let exchange = Exchange::make(dir, &node, plan.evacuation)?;
        let service = Service::start()?;
        let writer = Writer { port: exchange.ports.writer };
        let sink = *exchange.customers.last().context("no customers")?;
        let mut stage =
            Self { dir: dir.to_owned(), node, exchange, writer, service, processes: Vec::new(), sink };
        timeline.note(&format!("{} answers on 127.0.0.1:{} (P2P)", args.node.word(), stage.node.p2p_port));
        stage.fund(plan.coins)?;
        stage.start_daemons()?;
        if plan.gateway {
            let ports = &stage.exchange.ports;
            let own = (ports.nginx, ports.gate, stage.service.port);
            let asset = stage.node.network.asset().ticker();
            stage.processes.push(front::nginx(&stage.dir, &args.nginx, own, asset)?);
        }
        stage.ready(plan.gateway)?;
        let ids: Vec<String> = stage.processes.iter().map(|process| process.id().to_string()).collect();
        timeline.note(&format!(
            "writer, watcher, gate, three signers and the gateway run (pids {})",
            ids.join(" ")
        ));
        Ok(stage)
    }

    /// Coins for the hot vault, and blocks until they can be spent: straight from the miner, or, if there shall be more
    /// than the vault has receive scripts, split from what the miner paid to a key of nobody's.
    fn fund(&self, coins: u32) -> anyhow::Result<()> {
        if coins > COINS {
            return self.fund_split(coins);
        }
        for index in 0..COINS {
            let script = self.exchange.descriptor.script_at(Branch::Receive, index)?;
            let address = Address::from_script(self.node.network, &script).context("no address")?;
            self.node.mine(1, &address.to_string())?;
        }
        self.node.mine(101, &self.sink.to_string())?;
        Ok(())
    }

    fn fund_split(&self, coins: u32) -> anyhow::Result<()> {
        let network = self.node.network;
        let faucet = XPriv::from_seed(network, &[7; 32])?;
        let descriptor = Descriptor::parse(network, &format!("wpkh({}/<0;1>/*)", faucet.xpub()))?;
        let place = (Branch::Receive, 0);
        let script = descriptor.script_at(place.0, place.1)?;
        let address = Address::from_script(network, &script).context("no address")?.to_string();
        let mut loot = Vec::new();
        for hash in self.node.mine(COINS, &address)? {
            let block = self.node.block(&hash)?;
            let coinbase = block.txs.first().context("a block without a coinbase")?;
            let output = coinbase.outputs.first().context("a coinbase without outputs")?;
            loot.push(thief::loot(coinbase.txid(), 0, output, place));
        }
        self.node.mine(101, &self.sink.to_string())?;
        let whole = sum(&loot)?.to_u64().context("amounts overflow")?;
        let each = whole.saturating_sub(10_000_000).checked_div(u64::from(coins)).context("no coins")?;
        let output = |index: u32| {
            let script =
                self.exchange.descriptor.script_at(Branch::Receive, index.checked_rem(COINS).unwrap_or(0))?;
            Ok(TxOut { value_sat: each, script })
        };
        let outputs = (0..coins).map(output).collect::<anyhow::Result<_>>()?;
        let owner = Thief { descriptor: &descriptor, stolen: vec![&faucet], own: script };
        self.node.send(&owner.sign(&loot, outputs)?)?;
        self.node.mine(1, &self.sink.to_string())?;
        Ok(())
    }

    fn start_daemons(&mut self) -> anyhow::Result<()> {
        let (signerd, guardd) = (program("kuraban-signerd")?, program("kuraban-guardd")?);
        let configs = self.exchange.configs.clone();
        let mut jobs: Vec<(String, PathBuf, Vec<&str>, PathBuf)> = Vec::new();
        for (index, config) in configs.signers.iter().enumerate() {
            let name = format!("signer-{}", index.saturating_add(1));
            jobs.push((name, signerd.clone(), Vec::new(), config.clone()));
        }
        jobs.push(("watcher-1".to_owned(), guardd.clone(), vec!["watch"], configs.watcher));
        jobs.push((WRITER.to_owned(), guardd.clone(), vec!["guard"], configs.writer));
        for (name, program, role, config) in &jobs {
            let made = Command::new(program).args(role).arg("init").arg("--config").arg(config).output()?;
            let words = String::from_utf8_lossy(&made.stderr).into_owned();
            anyhow::ensure!(made.status.success(), "{name} cannot be set up: {words}");
        }
        jobs.push(("gate-1".to_owned(), guardd, vec!["gate"], configs.gate));
        for (name, program, role, config) in jobs {
            let mut command = Command::new(program);
            command.args(role).arg("run").arg("--config").arg(config);
            self.processes.push(Process::start(&self.dir, &name, &mut command)?);
        }
        Ok(())
    }

    /// Waits until the writer answers and the gate is open, and a request gets through the gateway if there is one.
    fn ready(&mut self, gateway: bool) -> anyhow::Result<()> {
        let (writer, port, service) = (self.writer, self.exchange.ports.nginx, &self.service);
        let gate = Gate::new(self.exchange.ports.gate, self.node.network.asset().ticker());
        wait_for("the writer", Duration::from_secs(20), &mut self.processes, || {
            writer.get("/healthz").map(|_| true)
        })?;
        wait_for("an open gate", Duration::from_secs(20), &mut self.processes, || Ok(gate.ask()? == 200))?;
        if !gateway {
            return Ok(());
        }
        let customer = Customer::start(port);
        wait_for("a request through the gateway", Duration::from_secs(20), &mut self.processes, || {
            Ok(service.served() > 0)
        })?;
        drop(customer);
        Ok(())
    }

    fn play(&mut self, args: &Args, timeline: &mut Timeline<'_>) -> anyhow::Result<Value> {
        let requested = self.withdrawals(timeline)?;
        let held = self.held()?;
        let at_risk = sum(&held)?;
        timeline.note(&format!("the hot vault holds {}", self.coins(at_risk)));
        let customer = Customer::start(self.exchange.ports.nginx);
        self.without_writer(&customer, timeline)?;
        timeline.hold();
        let (test, arrived_us) = self.test(&held, timeline)?;
        self.stopped(&customer, timeline)?;
        self.drain(&held, &test, timeline)?;
        self.evacuated(&test, timeline)?;
        evacuation::sent(self.writer, self.node.network, &held, &test, timeline)?;
        let score = self.score(args, requested, &test, arrived_us, at_risk, &customer)?;
        timeline.finish(&score);
        Ok(score.to_json())
    }

    /// Customers' withdrawals flow: asked for, approved by two people, signed by two of three, confirmed.
    fn withdrawals(&mut self, timeline: &mut Timeline<'_>) -> anyhow::Result<usize> {
        let mut asked = Vec::new();
        for (number, to) in self.exchange.customers.iter().enumerate() {
            let number = u64::try_from(number)?;
            let amount_sat = 100_000_000 + number * 12_345_678;
            asked.push(Withdrawal { id: format!("w-{number}"), to: *to, amount_sat });
        }
        for withdrawal in &asked {
            let approvers = self.exchange.approvers.get(..2).unwrap_or_default();
            withdrawal.submit(self.writer, &self.exchange, approvers)?;
        }
        timeline.note(&format!("{} withdrawals requested, each approved by two people", asked.len()));
        self.until(&asked, &["broadcast", "confirmed"])?;
        timeline.note("all signed by two of three signers and handed to the node");
        wait_for("the withdrawals in the mempool", Duration::from_secs(10), &mut self.processes, || {
            Ok(self.node.mempool()?.len() >= asked.len())
        })?;
        self.node.mine(1, &self.sink.to_string())?;
        self.until(&asked, &["confirmed"])?;
        timeline.note("all confirmed");
        Ok(asked.len())
    }

    fn until(&mut self, withdrawals: &[Withdrawal], wanted: &[&str]) -> anyhow::Result<()> {
        let writer = self.writer;
        for withdrawal in withdrawals {
            let what = format!("{} to be {}", withdrawal.id, wanted.join(" or "));
            wait_for(&what, Duration::from_secs(20), &mut self.processes, || {
                let status = writer.status(&withdrawal.id)?;
                Ok(wanted.contains(&status.as_str()))
            })?;
        }
        Ok(())
    }

    /// The hot vault's coins, as anybody can read them from the chain.
    fn held(&self) -> anyhow::Result<Vec<Loot>> {
        let own: Vec<_> = [Branch::Receive, Branch::Change]
            .into_iter()
            .flat_map(|branch| (0..40).map(move |index| (branch, index)))
            .filter_map(|place| Some((self.exchange.descriptor.script_at(place.0, place.1).ok()?, place)))
            .collect();
        let (mut coins, mut spent) = (Vec::new(), BTreeSet::new());
        let tip =
            self.node.call("getblockcount", &json!([]))?.as_u64().context("getblockcount: want a number")?;
        for height in 1..=tip {
            let hash = self.node.call("getblockhash", &json!([height]))?;
            let block = self.node.block(hash.as_str().context("getblockhash: want text")?)?;
            for tx in &block.txs {
                spent.extend(tx.inputs.iter().map(|input| input.prev));
                let txid = tx.txid();
                for (vout, output) in (0_u32..).zip(&tx.outputs) {
                    if let Some((_, place)) = own.iter().find(|(script, _)| *script == output.script) {
                        coins.push(thief::loot(txid, vout, output, *place));
                    }
                }
            }
        }
        coins.retain(|coin| !spent.contains(&coin.outpoint));
        coins.sort_by_key(|coin| coin.output.value_sat);
        Ok(coins)
    }

    /// An amount in whole coins with its ticker.
    fn coins(&self, amount: Amount) -> String {
        let asset = self.node.network.asset();
        format!("{} {asset}", amount.to_coins(asset.decimals()))
    }

    fn thief(&self) -> Thief<'_> {
        Thief {
            descriptor: &self.exchange.descriptor,
            stolen: self.exchange.coin_keys.iter().take(2).collect(),
            own: self.exchange.thief.script(),
        }
    }

    /// The writer is killed and comes back. Permits are the watcher's, so the services do not notice.
    fn without_writer(&mut self, customer: &Customer, timeline: &mut Timeline<'_>) -> anyhow::Result<()> {
        let at =
            self.processes.iter().position(|process| process.name() == WRITER).context("no writer runs")?;
        self.processes.remove(at).kill();
        let killed = customer.attempts().len();
        thread::sleep(Duration::from_millis(WITHOUT_WRITER_MS));
        let since = customer.attempts().split_off(killed);
        let refused = since.iter().filter(|attempt| attempt.status != 200).count();
        timeline.note(&format!("the writer is killed: {} requests go on, {refused} refused", since.len()));
        anyhow::ensure!(refused == 0 && !since.is_empty(), "services stopped with the writer");
        let mut command = Command::new(program("kuraban-guardd")?);
        command.args(["guard", "run", "--config"]).arg(&self.exchange.configs.writer);
        self.processes.push(Process::start(&self.dir, WRITER, &mut command)?);
        let writer = self.writer;
        wait_for("the writer to come back", Duration::from_secs(20), &mut self.processes, || {
            writer.status("w-0").map(|status| status == "confirmed")
        })?;
        timeline.note("the writer is back with all it had logged");
        Ok(())
    }

    /// The theft begins: a small test, signed with two stolen keys, past Kuraban, straight to the node.
    fn test(&self, held: &[Loot], timeline: &mut Timeline<'_>) -> anyhow::Result<(Tx, u64)> {
        let coin = held.last().context("the vault is empty")?;
        let test = self.thief().test(coin, TEST_SAT, TEST_FEE_SAT)?;
        let sent_us = now_us();
        self.node.send(&test)?;
        timeline
            .at(sent_us, &format!("a thief with two stolen keys pays himself a small test: {}", test.txid()));
        Ok((test, sent_us))
    }

    /// Waits until the gateway lets nothing through any more.
    fn stopped(&mut self, customer: &Customer, timeline: &mut Timeline<'_>) -> anyhow::Result<()> {
        wait_for("the stop at the gateway", Duration::from_secs(10), &mut self.processes, || {
            Ok(customer.attempts().last().is_some_and(|attempt| attempt.status == 403))
        })?;
        timeline.at(self.service.last_us(), "the last withdrawal request that the gateway let through");
        Ok(())
    }

    /// Nobody seems to have noticed; the thief goes for the rest, and bids three times.
    fn drain(&self, held: &[Loot], test: &Tx, timeline: &mut Timeline<'_>) -> anyhow::Result<()> {
        thread::sleep(Duration::from_millis(NERVE_MS));
        let taken = test.inputs.first().map(|input| input.prev);
        let rest: Vec<Loot> = held.iter().filter(|coin| Some(coin.outpoint) != taken).cloned().collect();
        for fee_sat in [100_000, 1_000_000, 4_000_000] {
            let drain = self.thief().drain(&rest, fee_sat)?;
            let fee = self.coins(fee_sat.into());
            match self.node.send(&drain) {
                Ok(()) => timeline.note(&format!("the drain entered the mempool with a fee of {fee}")),
                Err(refusal) => {
                    timeline.note(&format!("the node refuses the drain at a fee of {fee}: {refusal:#}"))
                }
            }
        }
        Ok(())
    }

    /// What is left moves to the cold vault: what was confirmed at once, and with it the coin that the thief's test spends,
    /// where the node takes the higher bid; else his change after the next block.
    fn evacuated(&mut self, test: &Tx, timeline: &mut Timeline<'_>) -> anyhow::Result<()> {
        let (writer, sink) = (self.writer, self.sink.to_string());
        let count = move |status: &str| -> anyhow::Result<usize> {
            Ok(evacuations(writer)?.iter().filter(|(_, found)| found == status).count())
        };
        for _ in 0..ROUNDS_MAX {
            wait_for("an evacuation on its way", Duration::from_secs(20), &mut self.processes, || {
                Ok(count("broadcast")? > 0)
            })?;
            let mempool = self.node.mempool()?;
            if !mempool.contains(&test.txid().to_string()) {
                timeline.note("the thief's test is no longer in the node's mempool");
            }
            self.node.mine(1, &sink)?;
            wait_for("the evacuation's confirmation", Duration::from_secs(20), &mut self.processes, || {
                Ok(count("broadcast")? == 0 && count("confirmed")? > 0)
            })?;
            if self.held()?.is_empty() {
                timeline.note("nothing is left in the hot vault; the rest lies in the cold vault");
                return Ok(());
            }
        }
        anyhow::bail!("the hot vault is not empty after {ROUNDS_MAX} blocks")
    }

    fn score(
        &self,
        args: &Args,
        requested: usize,
        test: &Tx,
        arrived_us: u64,
        at_risk: Amount,
        customer: &Customer,
    ) -> anyhow::Result<Score> {
        let mut confirmed = 0;
        for number in 0..requested {
            confirmed += usize::from(self.writer.status(&format!("w-{number}"))? == "confirmed");
        }
        let alarm = timeline::alarm(&self.dir.join("watcher-1.log"), &test.txid())?;
        let refused = customer.attempts().iter().filter(|attempt| attempt.status == 403).count();
        let lost = self.lost(&self.held()?, at_risk)?;
        let stolen = self.paid_to(&self.exchange.thief)?;
        Ok(Score {
            node: args.node.word(),
            asset: self.node.network.asset(),
            requested,
            confirmed,
            theft: test.txid(),
            sent_us: arrived_us,
            alarm,
            stopped_us: self.service.last_us(),
            refused,
            lost,
            stolen,
            at_risk,
        })
    }

    /// What the exchange no longer has: at risk, less what lies in the cold vault and what is still in the hot one.
    fn lost(&self, held: &[Loot], at_risk: Amount) -> anyhow::Result<Amount> {
        let cold = self.paid_to(&self.exchange.cold)?;
        let saved = sum(held)?.plus(cold).context("amounts overflow")?;
        at_risk.less(saved).context("more was saved than was there")
    }

    fn paid_to(&self, address: &Address) -> anyhow::Result<Amount> {
        let script = address.script();
        let tip =
            self.node.call("getblockcount", &json!([]))?.as_u64().context("getblockcount: want a number")?;
        let mut paid = Amount::ZERO;
        for height in 1..=tip {
            let hash = self.node.call("getblockhash", &json!([height]))?;
            let block = self.node.block(hash.as_str().context("getblockhash: want text")?)?;
            for output in block.txs.iter().flat_map(|tx| &tx.outputs).filter(|output| output.script == script)
            {
                paid = paid.plus(output.value_sat.into()).context("amounts overflow")?;
            }
        }
        Ok(paid)
    }
}

fn sum(coins: &[Loot]) -> anyhow::Result<Amount> {
    Amount::sum(coins.iter().map(|coin| coin.output.value_sat.into())).context("amounts overflow")
}
