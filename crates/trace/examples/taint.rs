//! Measures a trace: a graph with the fan-in and fan-out of payments, one seed set, each method in turn.
//! Arguments: transactions in the graph, the stolen share of its first outputs in per mille, one method instead of all.

use core::ops::Range;
use std::time::Instant;

use kuraban_base::{Height, Txid};
use kuraban_chain::btc::{BlockHash, Network};
use kuraban_trace::{
    graph::{AddressNum, Fate, Graph, OutputNum, Tip, TxNum},
    taint::{Case, Method, Terms, trace},
};

/// Columns, as an index on disk has them.
struct Columns {
    first_input: Vec<u64>,
    first_output: Vec<u64>,
    inputs: Vec<u64>,
    values: Vec<u64>,
    spenders: Vec<u64>,
}

const NONE: u64 = u64::MAX;
const PER_BLOCK: u64 = 2_000;

/// A small generator of pseudo-random numbers (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below.max(1)
    }
}

impl Columns {
    /// One transaction that makes `seeds` outputs, then `count` that each spend one to three of the unspent outputs.
    fn new(count: u64, seeds: u64) -> Option<Self> {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let mut columns = Self {
            first_input: vec![0, 0],
            first_output: vec![0, seeds],
            inputs: Vec::new(),
            values: (0..seeds).map(|_| 100_000_000 + dice.roll(1_000_000_000)).collect(),
            spenders: vec![NONE; usize::try_from(seeds).ok()?],
        };
        let mut unspent: Vec<u64> = (0..seeds).collect();
        for tx in 1..=count {
            let mut whole = 0;
            // Most payments have one input, some join a few.
            let joins = [1, 1, 1, 2, 1, 3].get(usize::try_from(dice.roll(6)).ok()?).copied()?;
            for _ in 0..joins {
                if unspent.is_empty() {
                    break;
                }
                let length = u64::try_from(unspent.len()).ok()?;
                let spent = unspent.swap_remove(usize::try_from(dice.roll(length)).ok()?);
                let at = usize::try_from(spent).ok()?;
                whole += columns.values.get(at)?;
                *columns.spenders.get_mut(at)? = tx;
                columns.inputs.push(spent);
            }
            let mut left = whole - whole.min(200 + dice.roll(2_000));
            let pays = [1, 2, 2, 2, 2, 3].get(usize::try_from(dice.roll(6)).ok()?).copied()?;
            for n in 0..pays {
                let value = if n + 1 == pays { left } else { dice.roll(left) };
                left -= value;
                unspent.push(u64::try_from(columns.values.len()).ok()?);
                columns.values.push(value);
                columns.spenders.push(NONE);
            }
            columns.first_input.push(u64::try_from(columns.inputs.len()).ok()?);
            columns.first_output.push(u64::try_from(columns.values.len()).ok()?);
        }
        Some(columns)
    }
}

fn at(column: &[u64], number: u64) -> u64 {
    usize::try_from(number).ok().and_then(|at| column.get(at)).copied().unwrap_or(NONE)
}

impl Graph for Columns {
    fn address_count(&self) -> u64 {
        u64::try_from(self.values.len()).unwrap_or(u64::MAX)
    }

    fn network(&self) -> Network {
        Network::BtcMain
    }

    fn tip(&self) -> Option<Tip> {
        let blocks = u32::try_from(self.tx_count() / PER_BLOCK).ok()?;
        Some(Tip { height: Height::new(blocks), hash: BlockHash::from_bytes([0; 32]) })
    }

    fn tx_count(&self) -> u64 {
        u64::try_from(self.first_input.len()).map_or(0, |rows| rows - 1)
    }

    fn txid(&self, _: TxNum) -> Txid {
        Txid::from_bytes([0; 32])
    }

    fn find(&self, _: &Txid) -> Option<TxNum> {
        None
    }

    fn height(&self, tx: TxNum) -> Height {
        Height::new(u32::try_from(tx.number() / PER_BLOCK).unwrap_or(u32::MAX))
    }

    fn block(&self, height: Height) -> Option<Range<u64>> {
        let first = u64::from(height.blocks()) * PER_BLOCK;
        Some(first..(first + PER_BLOCK).min(self.tx_count()))
    }

    fn inputs(&self, tx: TxNum) -> impl Iterator<Item = OutputNum> + '_ {
        let (first, end) = (at(&self.first_input, tx.number()), at(&self.first_input, tx.number() + 1));
        let range = usize::try_from(first).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
        self.inputs.get(range).unwrap_or_default().iter().copied().map(OutputNum::new)
    }

    fn outputs(&self, tx: TxNum) -> Range<u64> {
        at(&self.first_output, tx.number())..at(&self.first_output, tx.number() + 1)
    }

    fn creator(&self, output: OutputNum) -> TxNum {
        let after = self.first_output.partition_point(|first| *first <= output.number());
        TxNum::new(u64::try_from(after).map_or(0, |after| after - 1))
    }

    fn spender(&self, output: OutputNum) -> Option<TxNum> {
        Some(at(&self.spenders, output.number())).filter(|tx| *tx != NONE).map(TxNum::new)
    }

    fn value(&self, output: OutputNum) -> u64 {
        at(&self.values, output.number())
    }

    fn fate(&self, _: OutputNum) -> Fate {
        Fate::Spendable
    }

    fn address(&self, output: OutputNum) -> Option<AddressNum> {
        Some(AddressNum::new(output.number()))
    }
}

/// Time that this thread has had a processor, which other programs do not lengthen; 0 where the system does not say.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ran_ns: Option<u64> = stat.split(' ').next().and_then(|text| text.parse().ok());
    ran_ns.unwrap_or(0) / 1_000
}

#[expect(clippy::print_stdout, reason = "an example that measures shows its figures")]
fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut args = std::env::args().skip(1);
    let count = args.next().map_or(Ok(1_400_000), |text| text.parse())?;
    let share = args.next().map_or(Ok(700), |text| text.parse::<u64>())?;
    let method = args.next().map(|name| name.parse::<Method>()).transpose()?;
    let seeds = 100_000;
    let columns = Columns::new(count, seeds).ok_or("too large for this machine")?;
    let stolen = (0..seeds * share / 1_000).map(OutputNum::new).collect();
    let cases = [Case { seeds: stolen }];
    for method in Method::ALL.into_iter().filter(|one| method.is_none_or(|method| method == *one)) {
        let (start, cpu) = (Instant::now(), cpu_us());
        let found = trace(&columns, &cases, &Terms::new(method))?;
        let (took, cpu) = (start.elapsed(), cpu_us().saturating_sub(cpu));
        let parts: usize = found.unspent.iter().map(|tainted| tainted.parts.len()).sum();
        println!(
            "{method:12} {:>9} transactions {:>6} ms, {:>6} ms on the processor, {:>9} outputs, {parts:>9} parts",
            found.transactions_touched,
            took.as_millis(),
            cpu / 1_000,
            found.unspent.len(),
        );
    }
    Ok(())
}
