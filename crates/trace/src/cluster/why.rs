//! Why two addresses are in one cluster: the fewest transactions that lead from one to the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Clusters, co_spent};
use crate::{
    graph::{AddressNum, Graph, TxNum},
    index::Corrupted,
};

/// One transaction that spends from two addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joint {
    /// The transaction.
    pub tx: TxNum,
    /// One address that it spends from.
    pub from: AddressNum,
    /// Another.
    pub to: AddressNum,
}

/// The shortest chain of transactions that join `from` to `to` by co-spending; empty where both are the same address,
/// nothing where no such chain is. Of several the one with the lowest transaction numbers first. `clusters` has to be the
/// graph's, by co-spending alone: it bounds what is searched.
///
/// # Errors
/// A file of the graph is corrupted.
pub fn why<G: Graph>(
    graph: &G,
    clusters: &Clusters,
    from: AddressNum,
    to: AddressNum,
) -> Result<Option<Vec<Joint>>, Corrupted> {
    graph.reading(|| path(graph, clusters, from, to))
}

fn path<G: Graph>(graph: &G, clusters: &Clusters, from: AddressNum, to: AddressNum) -> Option<Vec<Joint>> {
    if from == to {
        return Some(Vec::new());
    }
    let cluster = clusters.cluster(from);
    if clusters.cluster(to) != cluster {
        return None;
    }
    let mut by_address: BTreeMap<AddressNum, Vec<usize>> = BTreeMap::new();
    let mut txs: Vec<(TxNum, BTreeSet<AddressNum>)> = Vec::new();
    for tx in (0..graph.tx_count()).map(TxNum::new) {
        let Some(mut addresses) = co_spent(graph, tx) else { continue };
        let Some(first) = addresses.next() else { continue };
        if clusters.cluster(first) != cluster {
            continue;
        }
        let addresses: BTreeSet<AddressNum> = core::iter::once(first).chain(addresses).collect();
        for address in &addresses {
            by_address.entry(*address).or_default().push(txs.len());
        }
        txs.push((tx, addresses));
    }
    shortest(&txs, &by_address, from, to)
}

/// Breadth first over addresses and the transactions between them.
fn shortest(
    txs: &[(TxNum, BTreeSet<AddressNum>)],
    by_address: &BTreeMap<AddressNum, Vec<usize>>,
    from: AddressNum,
    to: AddressNum,
) -> Option<Vec<Joint>> {
    let mut reached: BTreeMap<AddressNum, Joint> = BTreeMap::new();
    let mut used = BTreeSet::new();
    let mut queue = VecDeque::from([from]);
    while let Some(address) = queue.pop_front() {
        for place in by_address.get(&address).into_iter().flatten() {
            let Some((tx, others)) = txs.get(*place).filter(|_| used.insert(*place)) else { continue };
            for other in others.iter().filter(|other| **other != from) {
                if !reached.contains_key(other) {
                    reached.insert(*other, Joint { tx: *tx, from: address, to: *other });
                    queue.push_back(*other);
                }
            }
        }
        if reached.contains_key(&to) {
            break;
        }
    }
    let mut path = Vec::new();
    let mut address = to;
    while address != from {
        let joint = *reached.get(&address)?;
        path.push(joint);
        address = joint.from;
    }
    path.reverse();
    Some(path)
}
