//! Hubs: addresses that so many outputs paid to before a theft that whom they pay afterwards says nothing about it.
//!
//! Decides which addresses are one for a case, and counts nothing that came after its theft: a thief who pays himself a
//! thousand times makes no hub of his address, and the answer is the same whenever it is asked.

use std::collections::HashMap;

use kuraban_chain::btc::OutPoint;

use crate::{
    graph::{AddressNum, Graph, OutputNum, TxNum},
    index::Corrupted,
};

/// Addresses that are counted in one pass over the outputs: half a gibibyte of counts.
const ADDRESSES_AT_ONCE: u64 = 1 << 27;

/// From how many outputs on an address is a hub, and which outputs count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Threshold {
    /// This many or more.
    pub outputs_min: u32,
    /// Only outputs before this one.
    pub before: OutputNum,
}

impl Threshold {
    /// For a case: outputs count that are in blocks before the one of its earliest seed, and all of them while no seed is in
    /// the chain.
    ///
    /// # Errors
    /// A file of the graph is corrupted.
    pub fn of_case<G: Graph>(graph: &G, outputs_min: u32, seeds: &[OutPoint]) -> Result<Self, Corrupted> {
        let before = graph.reading(|| {
            let txs = seeds.iter().filter_map(|outpoint| graph.find(&outpoint.txid));
            let block = txs.min().and_then(|first| graph.block(graph.height(first)));
            block.map_or_else(
                || graph.tx_count().checked_sub(1).map_or(0, |last| graph.outputs(TxNum::new(last)).end),
                |txs| graph.outputs(TxNum::new(txs.start)).start,
            )
        })?;
        Ok(Self { outputs_min, before: OutputNum::new(before) })
    }
}

/// The hubs of one case, with how many outputs each had.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hubs {
    outputs: HashMap<AddressNum, u64>,
}

impl Hubs {
    /// The hubs by each of some thresholds. Looks at every output once, or as many times as there are 134,217,728 addresses;
    /// takes four bytes of memory for each of so many while it counts.
    ///
    /// # Errors
    /// A file of the graph is corrupted.
    pub fn count<G: Graph>(graph: &G, thresholds: &[Threshold]) -> Result<Vec<Self>, Corrupted> {
        graph.reading(|| Self::in_passes(graph, thresholds, ADDRESSES_AT_ONCE))
    }

    fn in_passes<G: Graph>(graph: &G, thresholds: &[Threshold], at_once: u64) -> Vec<Self> {
        let mut found = vec![Self::default(); thresholds.len()];
        let mut order: Vec<(Threshold, usize)> = thresholds.iter().copied().zip(0..).collect();
        order.sort_by_key(|(threshold, place)| (threshold.before, *place));
        let mut first = 0;
        while first < graph.address_count() && !order.is_empty() {
            let last = first.saturating_add(at_once).min(graph.address_count());
            Pass::new(first, last, thresholds).run(graph, &order, &mut found);
            first = last;
        }
        found
    }

    /// How many outputs a hub had before the theft; nothing for an address that is none.
    #[must_use]
    pub fn outputs(&self, address: AddressNum) -> Option<u64> {
        self.outputs.get(&address).copied()
    }

    /// Every hub.
    pub fn addresses(&self) -> impl Iterator<Item = AddressNum> + '_ {
        self.outputs.keys().copied()
    }
}

/// The counts of some addresses.
struct Pass {
    first: u64,
    counts: Vec<u32>,
    /// The least of all thresholds.
    least: u32,
    /// Those that have reached it.
    reached: Vec<u64>,
}

impl Pass {
    fn new(first: u64, last: u64, thresholds: &[Threshold]) -> Self {
        let room = usize::try_from(last.saturating_sub(first)).unwrap_or(usize::MAX);
        let least = thresholds.iter().map(|threshold| threshold.outputs_min.max(1)).min();
        Self { first, counts: vec![0; room], least: least.unwrap_or(u32::MAX), reached: Vec::new() }
    }

    fn run<G: Graph>(mut self, graph: &G, order: &[(Threshold, usize)], found: &mut [Hubs]) {
        let mut counted = 0;
        for (threshold, place) in order {
            (counted..threshold.before.number()).for_each(|output| self.add(graph, OutputNum::new(output)));
            counted = counted.max(threshold.before.number());
            let Some(hubs) = found.get_mut(*place) else { continue };
            for address in &self.reached {
                let count = self.count(*address);
                if count >= threshold.outputs_min {
                    hubs.outputs.insert(AddressNum::new(*address), u64::from(count));
                }
            }
        }
    }

    #[inline]
    fn add<G: Graph>(&mut self, graph: &G, output: OutputNum) {
        let Some(address) = graph.address(output).map(AddressNum::number) else { return };
        let Some(count) = self.slot(address).and_then(|slot| self.counts.get_mut(slot)) else { return };
        *count = count.saturating_add(1);
        if *count == self.least {
            self.reached.push(address);
        }
    }

    fn slot(&self, address: u64) -> Option<usize> {
        usize::try_from(address.checked_sub(self.first)?).ok()
    }

    fn count(&self, address: u64) -> u32 {
        self.slot(address).and_then(|slot| self.counts.get(slot)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use kuraban_base::{Height, Txid};
    use kuraban_chain::btc::{BlockHash, Network, Script, TxOut};

    use super::*;
    use crate::graph::{Memory, Node};

    /// Addresses 0 to 4 are paid 1 to 5 times in block 0, and once more each in block 1; then 0 pays to 1 alone.
    fn graph() -> Memory {
        let paid = |rows: &[(u8, usize)]| -> Vec<TxOut> {
            let pay = |(to, times): &(u8, usize)| {
                vec![TxOut { value_sat: 5, script: Script::p2pkh(&[*to; 20]) }; *times]
            };
            rows.iter().flat_map(pay).collect()
        };
        let node = |number, inputs, rows: &[(u8, usize)]| Node {
            txid: Txid::from_bytes([number; 32]),
            inputs,
            outputs: paid(rows),
        };
        let seed = OutPoint { txid: Txid::from_bytes([2; 32]), vout: 0 };
        let blocks = [
            vec![node(1, Vec::new(), &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)])],
            vec![node(2, Vec::new(), &[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)])],
            vec![node(3, Vec::new(), &[(9, 1)]), node(4, vec![seed], &[(1, 1)])],
        ];
        let mut graph = Memory::new(Network::BtcRegtest);
        for (at, nodes) in (1..).zip(blocks) {
            let height = Height::new(u32::from(at) + 6);
            graph.push_nodes(height, BlockHash::from_bytes([at; 32]), &nodes).unwrap();
        }
        graph
    }

    #[track_caller]
    fn check(outputs_min: u32, seeds: &[(u8, u32)], want: &[(u8, u64)]) {
        let graph = graph();
        let outpoint =
            |(number, vout): &(u8, u32)| OutPoint { txid: Txid::from_bytes([*number; 32]), vout: *vout };
        let seeds: Vec<OutPoint> = seeds.iter().map(outpoint).collect();
        let threshold = Threshold::of_case(&graph, outputs_min, &seeds).unwrap();
        // Beside others, before and after it, and however many addresses are counted at once.
        let early = Threshold { outputs_min: 1, before: OutputNum::new(0) };
        let late = Threshold { outputs_min: 2, before: OutputNum::new(22) };
        for at_once in [1, 2, 5, 100] {
            let found = Hubs::in_passes(&graph, &[late, threshold, early], at_once);
            let address = |to: u8| graph.address_of(&Script::p2pkh(&[to; 20])).unwrap();
            let want: HashMap<_, _> = want.iter().map(|(to, count)| (address(*to), *count)).collect();
            assert_eq!(found[1].outputs, want, "{at_once} at once");
            assert!(found[2].outputs.is_empty());
        }
    }

    #[test]
    fn an_address_is_a_hub_by_what_it_had_before_the_block_of_the_earliest_seed() {
        check(4, &[(2, 0)], &[(3, 4), (4, 5)]);
        check(5, &[(2, 0)], &[(4, 5)]);
        check(6, &[(2, 0)], &[]);
        // The later of two seeds does not count, nor one that is in no block.
        check(5, &[(4, 0), (2, 0), (77, 0)], &[(4, 5)]);
        check(5, &[(4, 0)], &[(3, 5), (4, 6)]);
    }

    #[test]
    fn without_a_seed_in_the_chain_every_block_counts() {
        check(4, &[(77, 0)], &[(1, 4), (2, 4), (3, 5), (4, 6)]);
        check(4, &[], &[(1, 4), (2, 4), (3, 5), (4, 6)]);
    }

    #[test]
    fn a_thief_who_pays_himself_makes_no_hub() {
        // Address 1 gets its fourth output from the seed.
        check(4, &[(2, 0)], &[(3, 4), (4, 5)]);
    }
}
