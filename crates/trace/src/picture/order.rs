//! Layers by time, and the order within them.
//!
//! Decides each node's layer, parent and rank. Crossings are reduced by sweeps that put each node at the mean place of
//! its neighbours (the barycentre method of Sugiyama, Tagawa and Toda, 1981), over all nodes and in whole numbers.

use super::Picture;

/// Sweeps over all layers, forwards and backwards in turn. More change little.
const SWEEPS: usize = 8;
/// Ranks are counted in this part of a layer's height.
const RANK_MAX: u64 = 1_000_000;

pub(super) fn arrange(picture: &mut Picture) {
    parents(picture);
    let links = links(picture);
    layers(picture, &links);
    ranks(picture, &links);
}

/// Each node that feeds another, once, as (from, to).
fn links(picture: &Picture) -> Vec<(usize, usize)> {
    let mut links: Vec<(usize, usize)> =
        picture.flows.iter().filter_map(|flow| Some((flow.from, flow.to?))).collect();
    links.sort_unstable();
    links.dedup();
    links
}

/// The node that gives a transaction most is its parent, the earlier of two that give the same.
fn parents(picture: &mut Picture) {
    let mut given: std::collections::BTreeMap<(usize, usize), (u128, u128)> =
        std::collections::BTreeMap::new();
    for flow in &picture.flows {
        let (conserved, any) = picture.weight(flow);
        if let Some(to) = flow.to {
            let sum = given.entry((to, flow.from)).or_default();
            *sum = (sum.0.saturating_add(conserved), sum.1.saturating_add(any));
        }
    }
    let mut best: Vec<Option<(u128, u128)>> = vec![None; picture.nodes.len()];
    for ((to, from), weight) in given {
        let (Some(best), Some(node)) = (best.get_mut(to), picture.nodes.get_mut(to)) else { continue };
        if best.is_none_or(|best| best < weight) {
            *best = Some(weight);
            node.parent = from;
        }
    }
}

/// A transaction joins the layer of the one before it in chain order, unless it takes units from that layer: then it
/// begins the next. So layers follow each other in time, and every flow leads to a later one.
fn layers(picture: &mut Picture, links: &[(usize, usize)]) {
    let mut feeding: Vec<Vec<usize>> = vec![Vec::new(); picture.nodes.len()];
    for (from, to) in links {
        if let Some(feeding) = feeding.get_mut(*to) {
            feeding.push(*from);
        }
    }
    let mut layer_of = vec![0_usize; picture.nodes.len()];
    let mut current = 0;
    for (place, feeding) in feeding.iter().enumerate().skip(1) {
        let after = feeding.iter().filter_map(|from| layer_of.get(*from)).max().copied().unwrap_or(0);
        current = current.max(after.saturating_add(1));
        if let (Some(layer), Some(node)) = (layer_of.get_mut(place), picture.nodes.get_mut(place)) {
            *layer = current;
            node.layer = current;
        }
    }
}

fn ranks(picture: &mut Picture, links: &[(usize, usize)]) {
    let depth = picture.nodes.iter().map(|node| node.layer).max().unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth.saturating_add(1)];
    for (place, node) in picture.nodes.iter().enumerate() {
        if let Some(layer) = layers.get_mut(node.layer) {
            layer.push(place);
        }
    }
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); picture.nodes.len()];
    let mut after = before.clone();
    for (from, to) in links {
        if let (Some(after), Some(before)) = (after.get_mut(*from), before.get_mut(*to)) {
            after.push(*to);
            before.push(*from);
        }
    }
    let mut rank = vec![0_u64; picture.nodes.len()];
    for layer in &layers {
        spread(layer, &mut rank);
    }
    for sweep in 0..SWEEPS {
        let forwards = sweep % 2 == 0;
        let neighbours = if forwards { &before } else { &after };
        let count = layers.len();
        for step in 0..count {
            let at = if forwards { step } else { count.saturating_sub(1).saturating_sub(step) };
            let Some(layer) = layers.get_mut(at) else { continue };
            let rank_of = |place: &usize| rank.get(*place).copied().unwrap_or(0);
            layer.sort_by_cached_key(|place| {
                let near = neighbours.get(*place).map(Vec::as_slice).unwrap_or_default();
                (mean(near.iter().map(rank_of)).unwrap_or_else(|| rank_of(place)), rank_of(place), *place)
            });
            spread(layer, &mut rank);
        }
    }
    for (node, rank) in picture.nodes.iter_mut().zip(rank) {
        node.rank = rank;
    }
}

/// Gives the nodes of a layer ranks in their order, evenly over its height.
fn spread(layer: &[usize], rank: &mut [u64]) {
    let gaps = u64::try_from(layer.len()).unwrap_or(u64::MAX).saturating_add(1);
    for (at, place) in (1_u64..).zip(layer) {
        if let Some(rank) = rank.get_mut(*place) {
            *rank = at.saturating_mul(RANK_MAX).checked_div(gaps).unwrap_or(0);
        }
    }
}

fn mean(values: impl Iterator<Item = u64>) -> Option<u64> {
    let (sum, count) = values
        .fold((0_u64, 0_u64), |(sum, count), value| (sum.saturating_add(value), count.saturating_add(1)));
    sum.checked_div(count)
}
